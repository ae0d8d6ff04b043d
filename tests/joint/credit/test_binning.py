from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.errors import ConfigError, ModelFileError, TypeMismatchError, ValueRangeError
from ppc.joint.credit.binning import Binning, Codes

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)


def numeric(edges: tuple[float, ...], specials: tuple[float, ...] = ()) -> Binning:
    k = len(edges) + 1
    s = len(specials)
    return Binning("x", "numeric", edges, (), specials, tuple(range(k, k + s)), k + s, None, k + s + 1)


def categorical(*groups: tuple[str, ...]) -> Binning:
    k = len(groups)
    return Binning("c", "categorical", (), groups, (), (), k, k + 1, k + 2)


def test_intervals_are_closed_on_the_left() -> None:
    b = numeric((1.0, 2.5))
    x = np.array([-1e300, 0.999, 1.0, 2.4999, 2.5, 1e300, np.nan])
    assert b.apply(x).tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert b.labels == ("[-inf, 1)", "[1, 2.5)", "[2.5, inf)", "missing")


def test_special_values_go_to_their_own_bins_whatever_interval_they_lie_in() -> None:
    b = numeric((0.0,), (-999.0, 5.0))
    assert b.apply(np.array([-999.0, -998.0, 5.0, 6.0, np.nan])).tolist() == [2, 0, 3, 1, 4]
    assert b.labels[2:] == ("special -999", "special 5", "missing")


def test_unseen_categories_and_missing_ones() -> None:
    b = categorical(("own",), ("rent", "free"))
    assert b.apply(Codes.of(["own", "free", "rent", None, "castle"])).tolist() == [0, 1, 1, 2, 3]
    assert b.labels == ("own", "rent | free", "missing", "other")


def test_small_bins_may_share_a_regular_bin() -> None:
    b = Binning("c", "categorical", (), (("a",), ()), ("?",), (0,), 1, 1, 2)
    assert b.apply(Codes.of(["a", "?", None, "new"])).tolist() == [0, 0, 1, 1]
    assert b.labels == ("a | special ?", "missing | other")


def test_codes_with_unused_labels_and_no_rows() -> None:
    b = categorical(("a",))
    assert b.apply(Codes(np.array([], dtype=np.int64), ("a", "z"))).tolist() == []
    assert b.apply(Codes.of([None, None])).tolist() == [1, 1]


@given(st.sets(finite, max_size=12), st.lists(finite | st.just(float("nan")), max_size=50))
def test_every_value_gets_one_bin_that_holds_it(edges: set[float], values: list[float]) -> None:
    b = numeric(tuple(sorted({e + 0.0 for e in edges})))
    x = np.asarray(values, dtype=np.float64)
    bounds = [-np.inf, *b.edges, np.inf]
    for value, at in zip(values, b.apply(x), strict=True):
        if np.isnan(value):
            assert at == b.missing_bin
        else:
            assert bounds[at] <= value < bounds[at + 1]


@given(st.sets(finite, min_size=1, max_size=12), st.data())
def test_merging_bins_is_merging_their_rows(edges: set[float], data: st.DataObject) -> None:
    b = numeric(tuple(sorted({e + 0.0 for e in edges})), (7.25,))
    cut = data.draw(st.integers(1, b.n_regular))
    groups = [g for g in (list(range(cut)), list(range(cut, b.n_regular))) if g]
    merged = b.merge(groups)
    x = np.asarray([*b.edges, *(e + 1 for e in b.edges), 7.25, np.nan])
    new = {old: k for k, g in enumerate(groups) for old in g}
    extra = {old: old - b.n_regular + len(groups) for old in range(b.n_regular, b.n_bins)}
    assert merged.apply(x).tolist() == [(new | extra)[i] for i in b.apply(x).tolist()]


@given(st.sets(finite, max_size=12), st.sets(finite, max_size=3))
def test_json_round_trip_is_exact_for_numbers(edges: set[float], specials: set[float]) -> None:
    b = numeric(tuple(sorted({e + 0.0 for e in edges})), tuple(specials))
    assert Binning.from_json(b.to_json()) == b
    assert Binning.from_json(b.to_json()).to_json() == b.to_json()


@given(st.sets(st.text(max_size=8), min_size=1, max_size=8))
def test_json_round_trip_is_exact_for_categories(labels: set[str]) -> None:
    b = categorical(*((label,) for label in sorted(labels)))
    assert Binning.from_json(b.to_json()) == b


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": "ppc-binning/2"}',
        numeric((1.0,)).to_json().replace("1.0", '"x"'),
        numeric((1.0,)).to_json().replace('"n_bins": 3', '"n_bins": 9'),
        numeric((1.0, 2.0)).to_json().replace("1.0, 2.0", "2.0, 1.0"),
        numeric((1.0,)).to_json().replace('"missing_bin": 2', '"missing_bin": true'),
        numeric((1.0,)).to_json().replace("numeric", "neither"),
        categorical(("a",)).to_json().replace('"a"', "3"),
    ],
)
def test_a_damaged_binning_is_refused(text: str) -> None:
    with pytest.raises(ModelFileError):
        Binning.from_json(text)


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_edges_must_be_finite(bad: float) -> None:
    with pytest.raises(ConfigError):
        numeric((bad,))


def test_infinite_values_are_refused_and_the_column_is_named() -> None:
    with pytest.raises(ValueRangeError, match="'x'"):
        numeric((1.0,)).apply(np.array([1.0, np.inf]))


def test_the_kinds_are_not_confused() -> None:
    with pytest.raises(TypeMismatchError):
        numeric((1.0,)).apply(Codes.of(["a"]))
    with pytest.raises(TypeMismatchError):
        categorical(("a",)).apply(np.array([1.0]))
    with pytest.raises(TypeMismatchError):
        numeric((1.0,)).apply(np.array(["a"]))


@pytest.mark.parametrize("groups", [[[0]], [[0, 1], [1, 2]], [[0, 2], [1]], [[0, 1, 2], []]])
def test_merging_takes_a_partition_of_neighbours(groups: list[list[int]]) -> None:
    with pytest.raises(ConfigError):
        numeric((1.0, 2.0)).merge(groups)

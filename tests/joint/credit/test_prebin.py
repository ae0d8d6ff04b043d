from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.errors import ColumnError, ConfigError, DisclosureRefused, ValueRangeError
from ppc.joint.credit.binning import Codes
from ppc.joint.credit.prebin import prebin


def rows_of(binning, values) -> list[int]:
    return np.bincount(binning.apply(values), minlength=binning.n_bins).tolist()


def test_equal_frequency_bins_are_equal_when_values_are_distinct() -> None:
    x = np.random.default_rng(1).permutation(1000).astype(float)
    b = prebin(x, name="x", bins=10)
    assert rows_of(b, x) == [100] * 10 + [0]


def test_equal_width_bins_have_equal_width() -> None:
    x = np.random.default_rng(1).exponential(size=1000)
    b = prebin(x, name="x", method="equal_width", bins=5)
    width = (x.max() - x.min()) / 5
    assert np.allclose(b.edges, x.min() + width * np.arange(1, 5))


def test_few_distinct_values_get_a_bin_each() -> None:
    x = np.repeat([1.0, 2.0, 5.0], [10, 20, 30])
    b = prebin(x, name="x", bins=20)
    assert b.edges == (2.0, 5.0)


def test_ties_stay_together() -> None:
    x = np.concatenate([np.zeros(500), np.arange(1, 501)])
    b = prebin(x, name="x", bins=10)
    assert b.apply(np.zeros(1))[0] == 0
    assert rows_of(b, x)[0] >= 500


def test_a_range_wider_than_the_largest_float() -> None:
    x = np.concatenate([np.full(10, -1.7e308), np.full(10, 1.7e308)])
    b = prebin(x, name="x", method="equal_width", bins=4)
    assert np.isfinite(b.edges).all()
    assert rows_of(b, x)[0] == 10


@given(
    st.lists(st.integers(-5, 30).map(float) | st.just(float("nan")), min_size=1, max_size=120),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(["equal_frequency", "equal_width"]),
)
def test_no_bin_of_numbers_is_small(values: list[float], bins: int, min_rows: int, method: str) -> None:
    x = np.asarray(values)
    try:
        b = prebin(x, name="x", method=method, bins=bins, min_rows=min_rows, specials=[-1.0, 7.0])
    except (ColumnError, DisclosureRefused):
        return
    rows = rows_of(b, x)
    assert all(n == 0 or n >= min_rows for n in rows)
    assert sum(rows) == len(x)
    assert b.n_regular <= max(bins, 1)


@given(
    st.lists(st.sampled_from([None, *"abcdefghij"]), min_size=1, max_size=120), st.integers(1, 8), st.integers(1, 12)
)
def test_no_bin_of_categories_is_small(values: list[str | None], bins: int, min_rows: int) -> None:
    x = Codes.of(values)
    try:
        b = prebin(x, name="c", bins=bins, min_rows=min_rows, specials=["b"])
    except (ColumnError, DisclosureRefused):
        return
    rows = rows_of(b, x)
    assert all(n == 0 or n >= min_rows for n in rows)
    assert sum(rows) == len(x)
    assert b.n_regular <= bins


@given(st.permutations(list("aaaabbbccd") * 3))
def test_categories_do_not_depend_on_the_order_of_rows(values: list[str]) -> None:
    assert prebin(Codes.of(values), name="c", bins=3) == prebin(Codes.of(sorted(values)), name="c", bins=3)


def test_rare_categories_are_pooled_with_those_never_seen() -> None:
    values = Codes.of(["a"] * 50 + ["b"] * 40 + ["c"] * 3 + ["d"] * 4)
    b = prebin(values, name="c", min_rows=5)
    assert b.groups == (("a",), ("b",), ())
    assert b.apply(Codes.of(["c", "d", "never seen"])).tolist() == [2, 2, 2]


def test_a_small_missing_bin_joins_the_largest() -> None:
    x = np.concatenate([np.repeat([1.0, 2.0, 3.0], [20, 50, 30]), [np.nan] * 4])
    kept = prebin(x, name="x", min_rows=4)
    assert rows_of(kept, x) == [20, 50, 30, 4]
    pooled = prebin(x, name="x", min_rows=5)
    assert rows_of(pooled, x) == [20, 54, 30]
    assert pooled.labels[1] == "[2, 3) | missing"


def test_no_row_missing_still_leaves_a_bin_for_later() -> None:
    b = prebin(np.arange(100.0), name="x", min_rows=5)
    assert b.apply(np.array([np.nan]))[0] == b.n_bins - 1


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.full(30, np.nan), "all null"),
        (np.full(30, 3.0), "one value"),
        (np.repeat([0.0, 1.0], [28, 2]), "no two groups of at least 5"),
        (Codes.of([None] * 30), "all null"),
        (Codes.of(["a"] * 30), "one value"),
        (Codes.of(["a"] * 28 + ["b"] * 2), "no two groups of at least 5"),
    ],
)
def test_a_feature_that_tells_nothing_apart_is_named(values, why: str) -> None:
    with pytest.raises(ColumnError, match=why) as caught:
        prebin(values, name="income", min_rows=5)
    assert caught.value.where == "column 'income'"
    assert caught.value.hint


def test_infinite_values_are_refused() -> None:
    with pytest.raises(ValueRangeError, match="'x'"):
        prebin(np.array([1.0, -np.inf]), name="x")


def test_fewer_rows_than_the_smallest_bin() -> None:
    with pytest.raises(DisclosureRefused):
        prebin(np.arange(4.0), name="x", min_rows=5)


@pytest.mark.parametrize(
    "wrong", [{"bins": 0}, {"min_rows": 0}, {"specials": ["a"]}, {"specials": [1.0, 1.0]}, {"method": "magic"}]
)
def test_settings_are_checked(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        prebin(np.arange(10.0), name="x", **wrong)


def test_a_column_whose_minimum_fills_every_quantile_still_has_two_bins() -> None:
    values = np.concatenate([np.zeros(980), np.arange(1.0, 21.0)])
    binning = prebin(values, name="gains", method="equal_frequency", bins=10, min_rows=20)
    assert binning.edges == (1.0,)
    assert np.bincount(binning.apply(values)).tolist()[:2] == [980, 20]

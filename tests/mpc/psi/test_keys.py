"""When two keys are the same, and which columns can be keys."""

from __future__ import annotations

import copy
import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.errors import ConfigError, KeyColumnError, TypeMismatchError, ValueRangeError
from ppc.mpc.psi.keys import Normalise, as_keys, prepare


def digests(*columns, **options):
    return prepare({f"c{i}": c for i, c in enumerate(columns)}, **options)._digests


def same(a, b, **options) -> bool:
    return bool(np.array_equal(digests(a, **options), digests(b, **options)))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(), max_size=20), st.lists(st.text(), max_size=20))
def test_digests_meet_exactly_where_texts_do(left, right):
    left, right = sorted(set(left) - {""}), sorted(set(right) - {""})
    a = digests(pa.array(left, pa.string()))
    b = digests(pa.array(right, pa.string()))
    common = {d.tobytes() for d in a} & {d.tobytes() for d in b}
    assert len(common) == len(set(left) & set(right))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=20, unique=True))
def test_several_columns_are_unambiguous(pairs):
    keys = prepare({"a": pa.array([p[0] for p in pairs]), "b": pa.array([p[1] for p in pairs])})
    assert len(keys) == len(pairs)


def test_columns_do_not_run_together():
    assert not np.array_equal(digests(pa.array(["ab"]), pa.array(["c"])), digests(pa.array(["a"]), pa.array(["bc"])))
    assert not np.array_equal(digests(pa.array(["ab"])), digests(pa.array(["a"]), pa.array(["b"])))
    assert not np.array_equal(digests(pa.array(["a"]), pa.array(["b"])), digests(pa.array(["b"]), pa.array(["a"])))


def test_numbers_are_not_texts():
    number, text = prepare({"id": pa.array([12])}), prepare({"id": pa.array(["12"])})
    assert (number.types, text.types) == (("integer",), ("text",))
    assert not np.array_equal(number._digests, text._digests)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (pa.array([1, 2], pa.int8()), pa.array([1, 2], pa.uint64())),
        (pa.array([1, 2], pa.int64()), pa.array([decimal.Decimal(1), decimal.Decimal(2)], pa.decimal128(9, 0))),
        (pa.array(["x", "y"], pa.string()), pa.array(["x", "y"], pa.large_string())),
        (pa.array(["x", "y"], pa.string()), pa.array(["x", "y"], pa.string_view())),
        (pa.array(["x", "y"]), pa.array(["x", "y"]).dictionary_encode()),
        (pa.array(["x", "y"]), pa.chunked_array([["x"], ["y"]])),
        (pa.array(["x", "y"]), pa.array(["w", "x", "y"]).slice(1)),
        (pa.array([5, 6]), pa.array([4, 5, 6]).slice(1)),
        (pa.array([b"x", b"y"]), pa.array([b"x", b"y"], pa.large_binary())),
        (pa.array([b"x", b"y"]), pa.array([b"x", b"y"], pa.binary(1))),
        (pa.array([dt.date(2020, 1, 2)], pa.date32()), pa.array([dt.date(2020, 1, 2)], pa.date64())),
        (pa.array([dt.datetime(2020, 1, 2)], pa.timestamp("s")),
         pa.array([dt.datetime(2020, 1, 2)], pa.timestamp("us"))),
        (
            pa.array([dt.datetime(2020, 1, 2, tzinfo=dt.UTC)], pa.timestamp("ms", "UTC")),
            pa.array([dt.datetime(2020, 1, 2, tzinfo=dt.UTC)], pa.timestamp("us", "Asia/Shanghai")),
        ),
    ],
)  # fmt: skip
def test_how_a_value_is_stored_does_not_matter(a, b):
    assert same(a, b)


def test_normalisation():
    plain, full = pa.array(["Ab 12"]), pa.array(["ＡＢ\u3000１２"])
    assert not same(plain, full)
    assert same(plain, full, normalise=Normalise(case=True, width=True))
    assert not same(plain, full, normalise=Normalise(width=True))
    messy = pa.array(["  Ab \t\u00a0 12 "])
    assert same(plain, messy, normalise=Normalise(spaces="collapse"))
    assert not same(plain, messy, normalise=Normalise(spaces="trim"))
    assert same(pa.array(["a b"]), pa.array(["\u2003a b\n"]), normalise=Normalise(spaces="trim"))
    assert same(pa.array(["13800138000"]), pa.array(["138 0013 8000"]), normalise=Normalise(spaces="remove"))
    for a, b in (("ΣΊΣΥΦΟΣ", "σίσυφος"), ("ÇA", "ça"), ("ÉCOLE", "école")):
        assert same(pa.array([a]), pa.array([b]), normalise=Normalise(case=True)), a
    with pytest.raises(ConfigError, match="spaces is one of"):
        Normalise(spaces="some")  # type: ignore[arg-type]


def test_rows_without_a_key():
    keys = prepare({"a": pa.array(["x", None, "", "y", "z"]), "b": pa.array([1, 2, 3, None, 5])})
    assert keys.rows.tolist() == [0, 4]
    assert (len(keys), keys.total, keys.nulls, keys.duplicates) == (2, 5, 3, 0)
    only_spaces = prepare({"a": pa.array([" ", "x"])}, normalise=Normalise(spaces="trim"))
    assert only_spaces.rows.tolist() == [1]
    for nothing in (pa.nulls(3), pa.array([None] * 3, pa.int64()), pa.array([None] * 3, pa.string())):
        keys = prepare({"a": nothing})
        assert (len(keys), keys.nulls) == (0, 3)
    assert len(prepare({"a": pa.array([], pa.string())})) == 0
    assert len(prepare({"a": pa.chunked_array([], pa.int64())})) == 0


def test_duplicates():
    column = {"id": pa.array(["b", "a", "b", None, "a", "b", "c"])}
    with pytest.raises(KeyColumnError, match="3 of 7 rows repeat the key of an earlier row") as e:
        prepare(column)
    assert "id" in str(e.value.where)
    keys = prepare(column, duplicates="first")
    assert keys.rows.tolist() == [0, 1, 6]
    assert keys.duplicates == 3
    with pytest.raises(KeyColumnError, match="1 of 2"):
        prepare({"id": pa.array(["A", "a"])}, normalise=Normalise(case=True))
    with pytest.raises(ConfigError, match="duplicates"):
        prepare(column, duplicates="last")  # type: ignore[arg-type]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 30), max_size=60))
def test_first_of_each_agrees_with_python(values):
    keys = prepare({"id": pa.array(values, pa.int64())}, duplicates="first")
    assert keys.rows.tolist() == sorted({v: i for i, v in reversed(list(enumerate(values)))}.values())


def test_columns_that_cannot_be_keys():
    for bad in (pa.array([1.5]), pa.array([[1]]), pa.array([decimal.Decimal("1.5")])):
        with pytest.raises(TypeMismatchError, match="cannot be a key") as e:
            prepare({"amount": bad})
        assert e.value.where == "column amount"
    with pytest.raises(ValueRangeError, match="64 bits"):
        prepare({"id": pa.array([2**63], pa.uint64())})
    with pytest.raises(ValueRangeError, match="microsecond"):
        prepare({"at": pa.array([1], pa.timestamp("ns"))})
    with pytest.raises(KeyColumnError, match="no key column"):
        prepare({})
    with pytest.raises(KeyColumnError, match="different lengths"):
        prepare({"a": pa.array([1]), "b": pa.array([1, 2])})


def test_text_that_is_not_utf8():
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe"))
    for normalise in (Normalise(), Normalise(case=True, width=True, spaces="collapse")):
        with pytest.raises(KeyColumnError, match="UTF-8") as e:
            prepare({"name": bad}, normalise=normalise)
        assert e.value.where == "column name"


def test_keys_of_a_megabyte():
    a, b = "x" * (1 << 20), "x" * (1 << 20) + "y"
    assert len(prepare({"a": pa.array([a, b])})) == 2
    assert same(pa.array([a]), pa.array([a]))


def test_keys_show_nothing():
    keys = prepare({"id": pa.array(["alice", "bob"])})
    assert repr(keys) == "<Keys 2 of 2 rows, types=['text']>"
    with pytest.raises(TypeError):
        copy.copy(keys)


def test_columns_by_name_or_in_order():
    column = pa.array(["x"])
    assert np.array_equal(as_keys([column])._digests, as_keys({"id": column})._digests)
    keys = as_keys([column])
    assert as_keys(keys) is keys


def test_salted_hashes_belong_to_one_session():
    keys = prepare({"id": pa.array(["x", "y"])})
    assert keys.salted(b"1" * 32) == keys.salted(b"1" * 32)
    assert not set(keys.salted(b"1" * 32)) & set(keys.salted(b"2" * 32))
    assert all(len(h) == 32 for h in keys.salted(b"1" * 32))

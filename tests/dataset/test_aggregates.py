"""Aggregates of clear columns against exact arithmetic and NumPy."""

import itertools
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.dataset import aggregates
from ppc.errors import ValueRangeError

INTS = {k: np.iinfo(k) for k in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")}


def chunked(values, kind, pieces=3):
    array = pa.array(values, kind)
    cuts = [len(array) * i // pieces for i in range(pieces + 1)]
    return pa.chunked_array([array.slice(a, b - a) for a, b in itertools.pairwise(cuts)], type=array.type)


@pytest.mark.parametrize("kind", INTS)
@given(data=st.data())
def test_integer_sums_are_exact_and_never_wrap(kind, data):
    limits = INTS[kind]
    values = data.draw(st.lists(st.one_of(st.none(), st.integers(int(limits.min), int(limits.max))), max_size=30))
    column = chunked(values, kind)
    there = [v for v in values if v is not None]
    assert aggregates.total(column) == sum(there)
    if there:
        assert aggregates.mean(column) == float(Fraction(sum(there), len(there)))


def test_a_sum_past_64_bits():
    top = 2**63 - 1
    assert aggregates.total(chunked([top] * 10, "int64")) == 10 * top
    assert aggregates.total(chunked([-top - 1] * 10, "int64")) == -10 * (top + 1)
    assert aggregates.total(chunked([2**64 - 1] * 10, "uint64")) == 10 * (2**64 - 1)


@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=50))
def test_float_moments_agree_with_exact_arithmetic(values):
    column = chunked(values, "float64")
    there = [Fraction(v) for v in values if v is not None]
    assert aggregates.total(column) == pytest.approx(float(sum(there)), rel=1e-12, abs=1e-5)
    if there:
        mean = sum(there) / len(there)
        assert aggregates.mean(column) == pytest.approx(float(mean), rel=1e-12, abs=1e-6)
    if len(there) > 1:
        exact = float(sum((x - mean) ** 2 for x in there) / (len(there) - 1))
        assert aggregates.variance(column) == pytest.approx(
            exact, rel=1e-9, abs=1e-12 * max(abs(x) for x in there) ** 2 + 1e-300
        )


def test_the_variance_survives_a_large_mean():
    column = chunked([1e9 + x for x in (4.0, 7.0, 13.0, 16.0)], "float64")
    assert aggregates.variance(column) == 30.0  # the textbook formula gives -170.67 here


@pytest.mark.parametrize("kind", ["float64", "int64", "bool", "null", "decimal128(10, 2)"])
@pytest.mark.parametrize("values", [[], [None, None]])
def test_of_no_values(kind, values):
    from ppc.dataset import types

    column = chunked(values, types.to_arrow(kind))
    assert aggregates.total(column) == 0
    assert math.isnan(aggregates.mean(column))
    assert math.isnan(aggregates.variance(column))
    assert aggregates.histogram(column, [0, 1, 2], name="x").tolist() == [0, 0]


def test_of_one_value():
    column = chunked([None, 3, None], "int64")
    assert aggregates.mean(column) == 3
    assert math.isnan(aggregates.variance(column))


def test_bools_and_decimals():
    bools = chunked([True, False, None, True], "bool")
    assert aggregates.total(bools) == 2
    assert aggregates.mean(bools) == pytest.approx(2 / 3)
    assert aggregates.variance(bools) == pytest.approx(1 / 3)
    assert np.array_equal(aggregates.as_float64(bools), [1, 0, np.nan, 1], equal_nan=True)
    money = chunked([Decimal("0.10"), None, Decimal("0.20")], pa.decimal128(10, 2))
    assert aggregates.total(money) == 0.3  # 0.1 + 0.2 in binary is not
    assert aggregates.as_float64(money)[2] == 0.2


def test_infinities_and_nan_go_through_without_a_warning():
    assert aggregates.total(chunked([1.0, math.inf], "float64")) == math.inf
    assert math.isnan(aggregates.total(chunked([-math.inf, math.inf], "float64")))
    assert math.isnan(aggregates.variance(chunked([1.0, math.inf], "float64")))
    assert math.isnan(aggregates.mean(chunked([1.0, math.nan], "float64")))
    assert aggregates.histogram(chunked([math.nan, math.inf, 1.0], "float64"), [0, 2], name="x").tolist() == [1]
    assert aggregates.histogram(chunked([math.inf, 1.0], "float64"), [0, 2, math.inf], name="x").tolist() == [1, 1]


@given(
    st.lists(st.one_of(st.none(), st.integers(-5, 5).map(float), st.floats(-5, 5)), max_size=40),
    st.lists(st.integers(-6, 6), min_size=2, max_size=8, unique=True).map(sorted),
)
def test_histograms_have_numpys_bins(values, edges):
    counts = aggregates.histogram(chunked(values, "float64"), edges, name="x")
    there = np.array([v for v in values if v is not None], dtype=float)
    by_hand = [((there >= a) & (there < b)).sum() for a, b in itertools.pairwise(edges)]
    by_hand[-1] += (there == edges[-1]).sum()
    assert counts.tolist() == by_hand
    assert counts.dtype == np.int64


@pytest.mark.parametrize("edges", [[], [1], [1, 1], [2, 1], [0, math.nan], [[0, 1]], ["a", "b"], None, 3])
def test_edges_that_are_none(edges):
    with pytest.raises(ValueRangeError) as e:
        aggregates.histogram(chunked([1.0], "float64"), edges, name="income")
    assert "column 'income'" in e.value.where


def test_arrays_are_copies_that_may_be_written_to():
    column = pa.chunked_array([pa.array([1.0, 2.0])])
    x = aggregates.as_float64(column)
    x[0] = 9
    assert column.to_pylist() == [1.0, 2.0]

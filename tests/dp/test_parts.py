"""Measured vectors: how much one row changes them, and that the figures come back from them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc import dp
from ppc.dataset import Dataset, Field, Schema
from ppc.dp import parts
from ppc.dp.engines.base import Request
from ppc.dp.engines.duck import DuckEngine
from ppc.errors import ColumnError, QueryError, TypeMismatchError

SCHEMA = Schema(
    (
        Field("x", "float64", bounds=(-3, 7.5)),
        Field("y", "float64", bounds=(0, 1e6)),
        Field("k", "int64", bounds=(-4, 9)),
        Field("b", "bool"),
        Field("wide", "int64", bounds=(0, 2**40)),
        Field("t", "string"),
    )
)
QUERIES = [
    dp.count(), dp.count("x"), dp.missing("x"), dp.count_distinct("k"), dp.sum("x"), dp.sum("k"), dp.sum("wide"),
    dp.mean("x"), dp.mean("b"), dp.mean("wide"), dp.variance("y"), dp.stddev("k"), dp.covariance("x", "y"),
    dp.covariance("k", "b"), dp.correlation("x", "k"), dp.linear_regression(["x", "b"], "y"), dp.mean("x", (0, 1e-9)),
]  # fmt: skip

FLOATS = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([-3.0, 7.5, 0.0, 1e6, np.nextafter(7.5, 8), 5e-324, 1e300, -1e300]),
)
ROWS = st.fixed_dictionaries(
    {
        "x": FLOATS,
        "y": FLOATS,
        "k": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        "b": st.one_of(st.none(), st.booleans()),
        "wide": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        "t": st.one_of(st.none(), st.text(max_size=3)),
    }
)


def table(rows):
    return pa.table({f.name: pa.array([r[f.name] for r in rows], SCHEMA.to_arrow().field(f.name).type) for f in SCHEMA})


def vectors(rows):
    engine = DuckEngine(table(rows), SCHEMA, threads=1)
    try:
        for query in QUERIES:
            part = parts.build(query.aggregates[0], SCHEMA)
            yield query, part, part.vector(engine.sums(Request(part.terms)))[:, 0]
    finally:
        engine.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(ROWS, max_size=4), ROWS)
def test_one_row_changes_a_vector_by_no_more_than_is_said(rows, more):
    """The sensitivity argument, tried with nulls, NaN, infinities, extreme and boundary values."""
    for (query, part, before), (_, _, after) in zip(vectors(rows), vectors([*rows, more]), strict=True):
        change = [int(a) - int(b) for a, b in zip(after, before, strict=True)]
        assert sum(map(abs, change)) <= part.row_l1, query
        assert sum(c * c for c in change) <= part.row_l2**2 * (1 + 1e-12), query
        if isinstance(
            query.aggregates[0], dp.query.Mean | dp.query.Variance | dp.query.Covariance | dp.query.Correlation
        ):
            assert all(c >= 0 for c in change), "a partition of unity: every coordinate only grows"


def test_the_bound_is_reached():
    """It is not only an upper bound: some row changes the vector by exactly that much."""
    ends = [dict.fromkeys("xykbt"), {"x": 7.5, "y": 1e6, "k": 9, "b": True, "wide": 2**40, "t": "a"}]
    ends[0]["wide"] = None
    for (query, part, before), (_, _, after) in zip(vectors(ends[:1]), vectors(ends), strict=True):
        change = sum(abs(int(a) - int(b)) for a, b in zip(after, before, strict=True))
        if "missing" not in query.label:
            assert change >= 0.999 * part.row_l1, query


def test_the_figures_come_back(stays):
    engine = DuckEngine(stays.to_arrow(), stays.schema)
    clean = stays.to_pandas()
    age, days = clean["age"].clip(0, 120), clean["days"].clip(0, 60)
    both = age.notna() & days.notna()
    right = {
        "count": len(clean), "count(days)": days.notna().sum(), "missing(days)": days.isna().sum(),
        "sum(days)": days.sum(), "mean(age)": age.mean(), "variance(age)": age.var(), "stddev(days)": days.std(),
        "covariance(age,days)": age[both].cov(days[both]), "correlation(age,days)": age[both].corr(days[both]),
        "count_distinct(ward)": clean["ward"].nunique(),
    }  # fmt: skip
    queries = [
        dp.count(), dp.count("days"), dp.missing("days"), dp.sum("days"), dp.mean("age"), dp.variance("age"),
        dp.stddev("days"), dp.covariance("age", "days"), dp.correlation("age", "days"), dp.count_distinct("ward"),
    ]  # fmt: skip
    for query in queries:
        part = parts.build(query.aggregates[0], stays.schema)
        raw = np.array(part.vector(engine.sums(Request(part.terms))), dtype=float)
        # columns of floats are rounded to 1/4096 of their range where squares and products are needed
        assert part.finish(raw, 0.0)[0, 0] == pytest.approx(right[query.label], rel=1e-3, abs=1e-3), query
    engine.close()


def test_regression_is_least_squares():
    rng = np.random.default_rng(1)
    x, k = rng.uniform(-3, 7.5, 400), rng.integers(-4, 10, 400)
    y = 1e5 + 2e4 * x + 1e4 * k + rng.normal(0, 1e3, 400)
    rows = [{"x": a, "y": c, "k": int(b), "b": None, "wide": None, "t": None} for a, b, c in zip(x, k, y, strict=True)]
    engine = DuckEngine(table(rows), SCHEMA)
    part = parts.build(dp.linear_regression(["x", "k"], "y").aggregates[0], SCHEMA)
    raw = np.array(part.vector(engine.sums(Request(part.terms))), dtype=float)
    engine.close()
    right = np.linalg.lstsq(np.column_stack([np.ones(400), x, k]), y.clip(0, 1e6), rcond=None)[0]
    assert part.finish(raw, 0.0)[:, 0] == pytest.approx(right, rel=2e-3)


def test_bounds_are_asked_for_and_never_looked_up():
    bare = Schema((Field("x", "float64"), Field("t", "string")))
    with pytest.raises(QueryError, match="no bounds") as e:
        parts.build(dp.mean("x").aggregates[0], bare)
    assert "suggest_bounds" in e.value.hint
    with pytest.raises(TypeMismatchError, match="'t'"):
        parts.build(dp.mean("t", (0, 1)).aggregates[0], bare)
    with pytest.raises(ColumnError):
        parts.build(dp.mean("z", (0, 1)).aggregates[0], bare)
    assert Dataset.from_arrow(table([]), SCHEMA) is not None

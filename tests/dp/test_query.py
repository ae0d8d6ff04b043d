"""Questions: frozen, comparable, and the same after JSON."""

import dataclasses
import json
import math

import pytest

from ppc import dp
from ppc.dp.query import Query
from ppc.errors import QueryError

ALL = [
    dp.count(), dp.count("age"), dp.missing("days"), dp.count_distinct("ward"), dp.sum("days", (0, 60)), dp.mean("age"),
    dp.variance("age"), dp.stddev("age"), dp.covariance("age", "days"), dp.correlation("age", "days", (0, 1), (2, 3)),
    dp.quantiles("age", [0.1, 0.9]), dp.median("days", candidates=100, interval=False),
    dp.histogram("age", [0, 50, 120]), dp.histogram("ward", values=["A", "B"]),
    dp.crosstab("ward", dp.bin("age", [0, 60, 120])), dp.top_k("ward", 2),
    dp.linear_regression(["age"], "days", [(0, 120), (0, 60)]),
    dp.group_by("ward", dp.unknown("age")).agg(dp.count(), dp.mean("days")).where("age > 3").where("ward = 'A'"),
    dp.group_by(dp.known("ward", ["A"])).agg(dp.median("age")),
]  # fmt: skip


@pytest.mark.parametrize("query", ALL, ids=str)
def test_a_query_survives_json_and_can_not_be_changed(query):
    assert Query.from_dict(json.loads(query.to_json())) == query
    assert hash(query) == hash(Query.from_dict(query.to_dict()))
    with pytest.raises(dataclasses.FrozenInstanceError):
        query.condition = "x"
    with pytest.raises(dataclasses.FrozenInstanceError):
        query.aggregates[0].column = "x"


@pytest.mark.parametrize(
    "bounds", [(1, 1), (2, 1), (math.nan, 1), (0, math.inf), (-math.inf, 0), (1,), (1, 2, 3), "ab", 5, (None, 1)]
)
def test_bounds_must_be_finite_and_in_order(bounds):
    for make in (dp.sum, dp.mean, dp.variance, dp.stddev, dp.median):
        with pytest.raises(QueryError):
            make("age", bounds)


@pytest.mark.parametrize("edges", [[], [1], [1, 1], [2, 1], [0, math.nan], [0, math.inf], "ab", [0, None]])
def test_edges_must_rise(edges):
    with pytest.raises(QueryError):
        dp.histogram("age", edges)
    with pytest.raises(QueryError):
        dp.bin("age", edges)


@pytest.mark.parametrize("probs", [[], [0], [1], [-0.1], [1.1], [math.nan], [0.33333], ["x"]])
def test_probabilities_lie_inside(probs):
    with pytest.raises(QueryError):
        dp.quantiles("age", probs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: dp.top_k("ward", 0),
        lambda: dp.top_k("ward", True),
        lambda: dp.group_by(),
        lambda: dp.group_by("ward").agg(),
        lambda: dp.group_by("ward", "ward").agg(dp.count()),
        lambda: dp.group_by("ward").agg(dp.count(), dp.count()),
        lambda: dp.group_by("ward").agg(dp.count().where("age > 1")),
        lambda: dp.count().where(" "),
        lambda: dp.mean(3),
        lambda: dp.known("ward", []),
        lambda: dp.known("ward", ["A", "A"]),
        lambda: dp.linear_regression([], "y"),
        lambda: dp.linear_regression(["y"], "y"),
        lambda: dp.linear_regression(["a"], "y", [(0, 1)]),
        lambda: Query(()),
        lambda: Query.from_dict({}),
        lambda: Query.from_dict({"aggregates": [{"kind": "maximum"}]}),
        lambda: Query.from_dict({"aggregates": [{"kind": "count"}], "join": 1}),
        lambda: dp.median("age", candidates=1),
    ],
)
def test_malformed_questions_are_refused(make):
    with pytest.raises(QueryError):
        make()

"""Conditions: the same rows as DuckDB itself chooses, on all engines, and nothing that could fail on some value."""

import datetime as dt

import pytest

from ppc.dp import condition
from ppc.dp.engines.base import Request, Term
from ppc.dp.engines.duck import DuckEngine
from ppc.dp.engines.polar import PolarsEngine
from ppc.errors import ColumnError, QueryError

GOOD = [
    "age >= 18", "18 < age", "age BETWEEN 20 AND 40", "age NOT BETWEEN 20 AND 40", "ward = 'A'", "ward <> 'A'",
    "ward IN ('A', 'C')", "ward NOT IN ('A')", "returned", "NOT returned", "returned = false", "age IS NULL",
    "days IS NOT NULL", "days > 10.5 AND (age < 30 OR ward = 'B')", "NOT (age > 50 OR days <= 3)", "age = -5",
    "age > days", "day >= DATE '2022-03-01'", "day < '2022-03-01'", "ward = 'O''Brien'", "days > -1e3",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_the_same_rows_as_duckdb_on_every_engine(stays, text):
    # NaN is a missing value here; in DuckDB it is larger than any number
    expected = text.replace("days", "nullif(days, CAST('nan' AS DOUBLE))")
    request = Request((Term(),), (), condition.parse(text, stays.schema))
    right = len(stays.where(expected))
    for make in (DuckEngine, lambda t, s: PolarsEngine(stays.to_polars(), s)):
        engine = make(stays.to_arrow(), stays.schema)
        engine.check(request)
        assert engine.sums(request)[0, 0] == right
        engine.close()
    assert 0 <= right < len(stays)


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "age", "age +", "age + 1 > 2", "1/age > 1", "CAST(ward AS INT) > 1", "length(ward) = 1",
        "age > 'x'", "ward > 1", "ward = days", "EXISTS (SELECT 1)", "age IN (SELECT 1)", "1 = 1", "TRUE",
        "NULL", "age = NULL", "ward LIKE 'A%'", "age > 1; DROP TABLE x", "age > 1) OR (1 = 1", "returned = 1",
        "stays.x.age > 1",
        "age > 1e999", "day > 'yesterday'", "age > 99999999999999999999", "age > 1 GROUP BY 1", "error(ward)",
        "ward IS TRUE", "age > ALL (SELECT 1)", "CASE WHEN age > 1 THEN TRUE END", "x" * 20_000,
    ],
)  # fmt: skip
def test_whatever_could_fail_or_reach_further_is_refused(stays, text):
    with pytest.raises((QueryError, ColumnError)):
        condition.parse(text, stays.schema)


def test_constants_take_the_columns_type(stays):
    found = condition.parse("day = '2024-02-29'", stays.schema).node
    assert found.value == dt.date(2024, 2, 29)
    with pytest.raises(ColumnError, match="'agee'"):
        condition.parse("agee > 3", stays.schema)

"""SELECT statements: what is covered gives the same query as saying it in Python, the rest is refused with a reason."""

import pytest

from ppc import dp
from ppc.dp.query import Query
from ppc.errors import ColumnError, QueryError

BOTH = Query((*dp.count("days").aggregates, *dp.mean("age").aggregates))
SAME = [
    ("SELECT COUNT(*) FROM stays", dp.count()),
    ("select count(days), avg(age) from Stays", BOTH),
    ("SELECT COUNT(DISTINCT patient) FROM stays", dp.count_distinct("patient")),
    ("SELECT SUM(days) AS total FROM stays AS s", dp.sum("days")),
    ("SELECT VAR_SAMP(age) FROM stays", dp.variance("age")),
    ("SELECT VARIANCE(age) FROM stays", dp.variance("age")),
    ("SELECT STDDEV(age) FROM stays", dp.stddev("age")),
    ("SELECT MEDIAN(age) FROM stays", dp.median("age")),
    ("SELECT QUANTILE_CONT(age, 0.9) FROM stays", dp.quantiles("age", [0.9])),
    ("SELECT CORR(age, days) FROM stays", dp.correlation("age", "days")),
    ("SELECT COVAR_SAMP(age, days) FROM stays", dp.covariance("age", "days")),
    ("SELECT ward, AVG(days) FROM stays GROUP BY ward", dp.group_by("ward").agg(dp.mean("days"))),
    ("SELECT returned, ward, COUNT(*) FROM stays GROUP BY ward, returned", dp.crosstab("ward", "returned")),
    ("SELECT COUNT(*) FROM stays GROUP BY patient", dp.group_by(dp.unknown("patient")).agg(dp.count())),
]  # fmt: skip


@pytest.mark.parametrize(("text", "query"), SAME)
def test_the_same_query(stays, text, query):
    from ppc.dp import sql

    assert sql.parse(text, stays.schema, "stays") == query


def test_a_condition_is_kept(session, stays):
    query = session.parse("SELECT COUNT(*) FROM stays WHERE age BETWEEN 18 AND 64 AND ward IN ('A', 'B')")
    right = len(stays.where("age BETWEEN 18 AND 64 AND ward IN ('A', 'B')"))
    assert float(session.release(query, epsilon=1e6)) == right
    assert float(session.sql("SELECT COUNT(*) FROM stays WHERE days IS NULL", epsilon=1e6)) > 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT age FROM stays", "values of column 'age'"), ("SELECT * FROM stays", "plain aggregates"),
        ("SELECT AVG(age + 1) FROM stays", "expressions"), ("SELECT MAX(age) FROM stays", "MAX"),
        ("SELECT COUNT(*) FROM stays a JOIN stays b ON TRUE", "joins"), ("SELECT COUNT(*) FROM stays, stays b", ""),
        ("SELECT COUNT(*) FROM (SELECT 1)", "subqueries"), ("SELECT COUNT(*) FROM other", "no table"),
        ("SELECT COUNT(*) FROM read_parquet('/etc/passwd')", "only the table"), ("SELECT COUNT(*) FROM a.stays", ""),
        ("SELECT COUNT(*) FROM stays ORDER BY 1", "ORDER BY"), ("SELECT COUNT(*) FROM stays LIMIT 1", "LIMIT"),
        ("SELECT ward, COUNT(*) FROM stays GROUP BY ward HAVING COUNT(*) > 3", "HAVING"),
        ("DROP TABLE stays", "SELECT"),
        ("SELECT DISTINCT COUNT(*) FROM stays", "DISTINCT"), ("SELECT COUNT(*) FROM stays; SELECT 1", "one SELECT"),
        ("SELECT COUNT(*) FROM stays UNION SELECT 1", "one SELECT"),
        ("WITH a AS (SELECT 1) SELECT COUNT(*) FROM stays", "WITH"),
        ("SELECT COUNT(*) OVER () FROM stays", ""), ("SELECT SUM(DISTINCT age) FROM stays", ""),
        ("SELECT COUNT(*) FILTER (WHERE age > 3) FROM stays", ""),
        ("SELECT COUNT(*) FROM stays GROUP BY ALL", "GROUP BY"),
        ("SELECT COUNT(*) FROM stays GROUP BY age + 1", "expression"), ("SELECT COUNT(*)", "FROM"),
        ("SELECT COUNT(*) FROM stays TABLESAMPLE 10%", "samples"), ("SELEC", ""), ("", ""), ("SELECT 1 FROM stays", ""),
        ("SELECT COUNT(*) FROM stays WHERE age + 1 > 2", ""),
        ("SELECT ward FROM stays GROUP BY ward", "without aggregates"),
        ("SELECT COUNT(DISTINCT age, ward) FROM stays", ""), ("SELECT getenv('HOME'), COUNT(*) FROM stays", ""),
    ],
)  # fmt: skip
def test_the_rest_is_refused_with_the_reason(session, text, reason):
    with pytest.raises(QueryError) as e:
        session.sql(text, epsilon=1)
    assert reason in str(e.value)
    assert session.history() == []


def test_unknown_columns_are_named(session):
    with pytest.raises(ColumnError, match="'agee'"):
        session.sql("SELECT AVG(agee) FROM stays")

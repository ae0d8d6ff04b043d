"""SQL conditions: what they select, and what they may not reach."""

import datetime as dt

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset import expression
from ppc.errors import QueryError

TABLE = pa.table(
    {
        "age": [10, 20, None, 40],
        "City": ["a", None, "c'est", "d"],
        "marital status": ["x", "y", "x", "y"],
        "default": [True, False, None, True],
        "since": [dt.date(2020, 1, day) for day in (1, 2, 3, 4)],
    }
)


@pytest.mark.parametrize(
    ("condition", "mask"),
    [
        ("age > 15", [False, True, None, True]),
        ("age > 15 AND city IS NOT NULL", [False, False, None, True]),
        ("age IS NULL", [False, False, True, False]),
        ("\"marital status\" = 'x'", [True, False, True, False]),
        ("city = 'c''est'", [False, None, True, False]),
        ('"default"', [True, False, None, True]),
        ("age IN (10, 40) OR city LIKE 'c%'", [True, None, True, True]),
        ("age BETWEEN 10 AND 20", [True, True, None, False]),
        ("since >= DATE '2020-01-03'", [False, False, True, True]),
        ("CAST(age AS VARCHAR) = '10'", [True, False, None, False]),
        ("CASE WHEN age > 15 THEN true ELSE false END", [False, True, False, True]),
        ("coalesce(age, 0) % 20 = 0", [False, True, True, True]),
        ("upper(city) = 'A'", [True, None, False, False]),
        ("true", [True] * 4),
        ("NULL::BOOLEAN", [None] * 4),
        ("age > 15 -- a comment", [False, True, None, True]),
    ],
)
def test_conditions(condition, mask):
    assert expression.evaluate(condition, TABLE).to_pylist() == mask


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        ("", "characters"),
        ("   ", "characters"),
        ("age >", "not valid SQL"),
        ("age > (1", "not valid SQL"),
        ("age > 1; DROP TABLE _rows", "not valid SQL"),
        ("age > 1); SELECT (true", "not valid SQL"),
        ("age > 1), (true", "one condition and nothing else"),
        ("true) FROM _rows WHERE (age > 1", "not valid SQL"),
        ("true) FROM (SELECT 1 AS x", "not valid SQL"),
        ("(SELECT true)", "a subquery"),
        ("age IN (SELECT age FROM _rows)", "a subquery"),
        ("EXISTS (FROM read_csv('/etc/passwd'))", "a subquery"),
        ("EXISTS (FROM '/etc/passwd')", "a subquery"),
        ("row_number() OVER () > 1", "a window function"),
        ("*", "a star"),
        ("COLUMNS(*)", "a star"),
        ("age > ?", "a parameter"),
        ("#1 > 1", "a column by position"),
        ("len(list_filter([age], x -> x > 1)) > 0", "a lambda"),
        ("count(*) > 1", "not allowed"),
        ("sum(age) > 1", "sum() is not allowed"),
        ("unnest([true, false])", "unnest() is not allowed"),
        ("random() < 0.5", "random() is not allowed"),
        ("current_setting('threads') = '1'", "current_setting() is not allowed"),
        ("read_text('/etc/passwd') IS NULL", "read_text() is not allowed"),
        ("no_such(age)", "unknown function"),
        ("age + 1", "not true or false"),
        ("city > 3", "does not fit"),
        ("other.age > 1", "no column 'other.age'"),
        ("duckdb_settings.name = 'x'", "no column"),
    ],
)
def test_what_is_refused(condition, what):
    with pytest.raises(QueryError) as e:
        expression.evaluate(condition, TABLE)
    assert what in str(e.value)
    assert e.value.hint


def test_an_unknown_column_is_refused_with_the_nearest_name():
    with pytest.raises(QueryError, match="no column 'agee'") as e:
        expression.evaluate("agee > 1", TABLE)
    assert e.value.hint == "Did you mean 'age'?"


@pytest.mark.parametrize("condition", ["CAST(city AS INTEGER) = 1", "strptime(city, '%Y') IS NULL", "age = since"])
def test_an_error_on_a_value_does_not_show_it(condition):
    with pytest.raises(QueryError) as e:
        expression.evaluate(condition, TABLE.slice(2))
    assert "c'est" not in f"{e.value} {e.value.hint} {e.value.__cause__}"


def test_an_aggregate_of_one_row_is_refused_as_well():
    with pytest.raises(QueryError, match="not allowed"):
        expression.evaluate("max(age) > 1", TABLE.slice(0, 1))


def test_names_that_sql_can_not_tell_apart():
    with pytest.raises(QueryError, match="differ in case only"):
        expression.evaluate("a > 1", pa.table({"a": [1], "A": [2]}))


def test_python_variables_are_out_of_reach():
    secret = pa.table({"x": [1]})
    with pytest.raises(QueryError):
        expression.evaluate("(SELECT x FROM secret) = 1", TABLE)
    assert secret.num_rows == 1


def test_rows_keep_their_order():
    n = 300_000
    x = np.random.default_rng(1).permutation(n)
    mask = expression.evaluate("x % 3 = 0", pa.table({"x": x}))
    assert np.array_equal(mask.to_numpy(), x % 3 == 0)


@pytest.mark.parametrize(
    "query",
    [
        "FROM read_text('{path}')",
        "FROM '{path}'",
        "FROM glob('{folder}/*')",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "ATTACH '{folder}/out.db'",
        "SET enable_external_access = true",
        "LOAD httpfs",
    ],
)
def test_the_room_is_locked_whatever_is_asked_in_it(tmp_path, query):
    """What the check of the expression would let through by mistake still finds no file."""
    path = tmp_path / "secret.csv"
    path.write_text("a\n1\n")
    with expression._locked_room() as db, pytest.raises(duckdb.Error):
        db.execute(query.format(path=path, folder=tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["secret.csv"]


def test_no_rows():
    assert len(expression.evaluate("age > 1", TABLE.slice(0, 0))) == 0

"""The same questions to every implementation of `Analysable`, held against exact arithmetic on the clear values."""

import math
from fractions import Fraction

import numpy as np
import pytest

from ppc.dataset import Analysable
from ppc.errors import ColumnError, ProtectionError, TypeMismatchError, ValueRangeError

NUMERIC = ["age", "days", "returned"]
QUESTIONS = ["count", "sum", "mean", "variance"]
EDGES = [0, 10, 25.5, 50, 100]


# --- the exact answers, from Python's own numbers ---
def values(table, column):
    return [Fraction(v) for v in table.column(column).to_pylist() if v is not None]


def exact(question, table, column):
    x = values(table, column)
    if question == "count":
        return float(len(x))
    if question == "sum":
        return float(sum(x))
    if not x or (question == "variance" and len(x) < 2):
        return math.nan
    mean = sum(x) / len(x)
    return float(mean if question == "mean" else sum((v - mean) ** 2 for v in x) / (len(x) - 1))


def exact_histogram(table, column, edges):
    x = values(table, column)
    bins = len(edges) - 1
    return [
        sum(edges[i] <= v and (v < edges[i + 1] or (i == bins - 1 and v == edges[i + 1])) for v in x)
        for i in range(bins)
    ]


def ask(dataset, question, column):
    """One of the questions as a person would put it."""
    return dataset.histogram(column, EDGES) if question == "histogram" else getattr(dataset, question)(column)


def check_refusal(answers, question, column):
    with pytest.raises(ProtectionError) as e:
        answers.release(ask(answers.protected, question, column))
    assert e.value.hint, "a refusal says what to do instead"


# --- the suite ---
def test_it_satisfies_the_protocol_and_keeps_the_schema(protect, stays):
    answers = protect(stays)
    assert isinstance(answers.protected, Analysable)
    assert answers.protected.schema["days"].unit == "days"
    assert set(answers.protected.schema.names) <= set(stays.schema.names)


def test_the_number_of_rows(protect, stays):
    answers = protect(stays)
    assert answers.close_enough(answers.release(answers.protected.count()), 200)


@pytest.mark.parametrize("column", NUMERIC)
@pytest.mark.parametrize("question", QUESTIONS)
def test_aggregates(implementation, protect, stays, question, column):
    answers = protect(stays)
    if question in implementation.refuses:
        return check_refusal(answers, question, column)
    answer = answers.release(ask(answers.protected, question, column))
    assert answers.close_enough(answer, exact(question, answers.clear, column))


@pytest.mark.parametrize("column", NUMERIC)
def test_histograms(implementation, protect, stays, column):
    answers = protect(stays)
    if "histogram" in implementation.refuses:
        return check_refusal(answers, "histogram", column)
    counts = np.asarray(answers.release(answers.protected.histogram(column, EDGES)))
    expected = exact_histogram(answers.clear, column, EDGES)
    assert counts.shape == (len(EDGES) - 1,)
    assert all(answers.close_enough(float(c), float(x)) for c, x in zip(counts, expected, strict=True))


def test_values_outside_of_the_edges_are_in_no_bin(implementation, protect, stays):
    answers = protect(stays)
    if "histogram" in implementation.refuses:
        return check_refusal(answers, "histogram", "days")
    counts = np.asarray(answers.release(answers.protected.histogram("days", [20, 40])))
    inside = sum(20 <= v <= 40 for v in values(answers.clear, "days"))
    assert 0 < inside < len(values(answers.clear, "days"))
    assert answers.close_enough(float(counts[0]), float(inside))


def test_an_analysis_is_written_once(implementation, protect, stays):
    def length_of_stay(ds):
        return ds.release(ds.mean("days"))

    if "mean" not in implementation.refuses:
        answers = protect(stays)
        assert answers.close_enough(length_of_stay(answers.protected), length_of_stay(stays))


@pytest.mark.parametrize("question", QUESTIONS)
def test_one_row(implementation, protect, stays, question):
    row = next(i for i, v in enumerate(stays.column("days").to_pylist()) if v is not None)
    answers = protect(stays.take([row]))
    if implementation.refuses & {question, "one row"}:
        return check_refusal(answers, question, "days")
    answer = answers.release(ask(answers.protected, question, "days"))
    assert answers.close_enough(answer, exact(question, answers.clear, "days"))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_column_of_nulls(implementation, protect, stays, question):
    answers = protect(stays)
    if implementation.refuses & {question, "no values"}:
        return check_refusal(answers, question, "unknown")
    answer = answers.release(ask(answers.protected, question, "unknown"))
    assert answers.close_enough(answer, exact(question, answers.clear, "unknown"))


@pytest.mark.parametrize("question", ["sum", "mean", "variance", "histogram"])
@pytest.mark.parametrize("column", ["patient_id", "admitted"])
def test_columns_that_are_not_numeric_are_refused_by_name(protect, stays, question, column):
    answers = protect(stays)
    with pytest.raises(TypeMismatchError, match=f"'{column}'") as e:
        ask(answers.protected, question, column)
    assert stays.schema[column].type in e.value.what


@pytest.mark.parametrize("question", [*QUESTIONS, "histogram"])
def test_an_unknown_column_is_refused_with_the_nearest_name(protect, stays, question):
    answers = protect(stays)
    with pytest.raises(ColumnError, match="'dyas'") as e:
        ask(answers.protected, question, "dyas")
    assert e.value.hint == "Did you mean 'days'?"


@pytest.mark.parametrize("edges", [[], [1], [1, 1], [2, 1], [0, math.nan, 1]])
def test_edges_that_are_none(implementation, protect, stays, edges):
    answers = protect(stays)
    refusal = ProtectionError if "histogram" in implementation.refuses else ValueRangeError
    with pytest.raises(refusal):
        answers.protected.histogram("days", edges)


def test_the_repr_shows_no_values(protect, stays):
    answers = protect(stays.take([0]).with_column("age", [97]))
    assert "97" not in repr(answers.protected)
    assert "P0000" not in repr(answers.protected)


def test_the_clear_dataset_is_untouched(implementation, protect, stays):
    before = stays.take(np.arange(len(stays)))
    answers = protect(stays)
    answers.release(answers.protected.count())
    assert stays.equals(before)

"""Short ways to say a question: `mean("age")`, `group_by("ward").agg(count(), mean("days"))`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ppc.dp.query import (
    Aggregate,
    By,
    Correlation,
    Count,
    CountDistinct,
    Covariance,
    LinearRegression,
    LogisticRegression,
    Mean,
    Missing,
    Quantiles,
    Query,
    Scalar,
    Stddev,
    Sum,
    Variance,
    checked_bounds,
    checked_name,
    checked_numbers,
)  # fmt: skip
from ppc.errors import QueryError


def bin(column: str, edges: Sequence[float]) -> By:
    """Group a column of numbers by bins: `bin("age", [0, 18, 65, 120])`."""
    return By(column, edges=checked_numbers(edges, "edges"))


def unknown(column: str) -> By:
    """Group by whatever values there are. Needs δ; groups of few people are left out."""
    return By(column, open=True)


def known(column: str, values: Sequence[Scalar]) -> By:
    """Group by these categories, public ones."""
    return By(column, values=tuple(values))


def count(column: str | None = None) -> Query:
    """How many rows; with a column, how many values that are not missing."""
    return Query((Count(column),))


def missing(column: str) -> Query:
    """How many missing values (null, NaN)."""
    return Query((Missing(checked_name(column, "column")),))


def count_distinct(column: str) -> Query:
    """How many distinct values."""
    return Query((CountDistinct(checked_name(column, "column")),))


def sum(column: str, bounds: Sequence[float] | None = None) -> Query:
    """The sum of a column."""
    return Query((Sum(column, checked_bounds(bounds, "sum")),))


def mean(column: str, bounds: Sequence[float] | None = None) -> Query:
    """The mean of a column."""
    return Query((Mean(column, checked_bounds(bounds, "mean")),))


def variance(column: str, bounds: Sequence[float] | None = None) -> Query:
    """The sample variance of a column."""
    return Query((Variance(column, checked_bounds(bounds, "variance")),))


def stddev(column: str, bounds: Sequence[float] | None = None) -> Query:
    """The standard deviation of a column."""
    return Query((Stddev(column, checked_bounds(bounds, "stddev")),))


def covariance(
    column: str, other: str, bounds: Sequence[float] | None = None, other_bounds: Sequence[float] | None = None
) -> Query:
    """The sample covariance of two columns."""
    return Query(
        (Covariance(column, other, checked_bounds(bounds, "covariance"), checked_bounds(other_bounds, "covariance")),)
    )


def correlation(
    column: str, other: str, bounds: Sequence[float] | None = None, other_bounds: Sequence[float] | None = None
) -> Query:
    """Pearson's correlation of two columns."""
    return Query(
        (
            Correlation(
                column, other, checked_bounds(bounds, "correlation"), checked_bounds(other_bounds, "correlation")
            ),
        )
    )


def quantiles(
    column: str,
    probs: Sequence[float] = (0.25, 0.5, 0.75),
    bounds: Sequence[float] | None = None,
    *,
    candidates: int = 4096,
    interval: bool = True,
) -> Query:
    """Quantiles of a column. See `Quantiles`."""
    return Query(
        (Quantiles(column, checked_numbers(probs, "probs"), checked_bounds(bounds, "quantiles"), candidates, interval),)
    )


def median(
    column: str, bounds: Sequence[float] | None = None, *, candidates: int = 4096, interval: bool = True
) -> Query:
    """The median of a column. See `Quantiles`."""
    return quantiles(column, (0.5,), bounds, candidates=candidates, interval=interval)


def histogram(column: str, edges: Sequence[float] | None = None, *, values: Sequence[Scalar] | None = None) -> Query:
    """Counts by bin (with `edges`) or by category (`values`, or the schema's domain)."""
    key = By(
        column, None if edges is None else checked_numbers(edges, "edges"), None if values is None else tuple(values)
    )
    return Query((Count(),), (key,))


def crosstab(rows: str | By, columns: str | By) -> Query:
    """Counts by the categories or bins of two columns."""
    return Query((Count(),), (_key(rows), _key(columns)))


def top_k(column: str | By, k: int) -> Query:
    """The k most frequent categories, with their counts."""
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise QueryError("k must be a whole number of 1 or more", where="top_k")
    return Query((Count(),), (_key(column),), top=k)


def linear_regression(features: Sequence[str], label: str, bounds: Sequence[Sequence[float]] | None = None) -> Query:
    """Least squares of `label` on `features`; `bounds` of each feature, then of the label."""
    pairs = None if bounds is None else tuple(b for b in (checked_bounds(p, "linear_regression") for p in bounds) if b)
    return Query((LinearRegression(label, tuple(features), pairs),))


def logistic_regression(
    features: Sequence[str], label: str, bounds: Sequence[Sequence[float]] | None = None, *, steps: int = 12
) -> LogisticRegression:
    """The chance of `label` (a bool, or 0 and 1) given `features`; `bounds` of each. See `LogisticRegression`."""
    checked = [checked_bounds(p, "logistic_regression") for p in bounds or ()]
    pairs = None if bounds is None else tuple(b for b in checked if b)
    return LogisticRegression(label, tuple(features), pairs, steps=steps)


@dataclass(frozen=True)
class Groups:
    """What `group_by` gives: say next what to ask of each group."""

    keys: tuple[By, ...]

    def agg(self, *aggregates: Query | Aggregate) -> Query:
        """Ask these of each group: `group_by("ward").agg(count(), mean("days"))`."""
        flat: list[Aggregate] = []
        for a in aggregates:
            if isinstance(a, Query):
                if a.keys or a.condition or a.top is not None:
                    raise QueryError("an aggregate in agg() has no keys and no condition of its own", where="agg")
                flat += a.aggregates
            else:
                flat.append(a)
        return Query(tuple(flat), self.keys)


def group_by(*keys: str | By) -> Groups:
    """Group rows by columns: names with a `domain` in the schema, or `bin(…)`, `known(…)`, `unknown(…)`."""
    if not keys:
        raise QueryError("group_by needs at least one column", where="group_by")
    return Groups(tuple(_key(k) for k in keys))


def _key(key: str | By) -> By:
    return key if isinstance(key, By) else By(checked_name(key, "key"))

"""Questions, as frozen specifications: what is asked, not how it is answered. They hold no data and serialise to JSON.

    q = group_by("ward").agg(count(), mean("days")).where("age >= 18")
    Query.from_dict(q.to_dict()) == q

Bounds and lists of categories come from the schema, or are given here; they are never looked up in the data.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

from ppc.errors import QueryError, did_you_mean

Bounds: TypeAlias = "tuple[float, float] | None"
Scalar: TypeAlias = "str | int | float | bool"


def checked_bounds(value: Any, name: str) -> Bounds:
    if value is None:
        return None
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        raise QueryError("bounds are two numbers, (least, greatest)", where=name) from None
    if not -math.inf < low < high < math.inf:
        raise QueryError(
            "bounds must be finite, the lower one first",
            where=name,
            hint="Give what is plausible, (0, 120) for an age.",
        )
    return low, high


def checked_name(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise QueryError(f"{what} must be a column's name, not {type(value).__name__}", where="query")
    return value


def checked_numbers(values: Any, what: str) -> tuple[float, ...]:
    try:
        out = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        raise QueryError(f"{what} must be a list of numbers", where="query") from None
    return out


# --- what is asked of the rows of one cell ---
@dataclass(frozen=True)
class Aggregate:
    """One thing asked of the rows of a table or group."""

    kind: ClassVar[str] = ""

    @property
    def label(self) -> str:
        """What the figure is called: `mean(age)`."""
        columns = [getattr(self, n) for n in ("column", "other") if getattr(self, n, None)]
        return f"{self.kind}({','.join(columns)})" if columns else self.kind

    def to_dict(self) -> dict[str, Any]:
        """Plain values: `{"kind": "mean", "column": "age"}`."""
        parts = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"kind": self.kind, **{k: v for k, v in parts.items() if v is not None}}


@dataclass(frozen=True)
class Count(Aggregate):
    """Rows; with a column, its values that are not missing."""

    kind = "count"
    column: str | None = None


@dataclass(frozen=True)
class Missing(Aggregate):
    """Missing values of a column: null and NaN."""

    kind = "missing"
    column: str


@dataclass(frozen=True)
class CountDistinct(Aggregate):
    """Distinct values of a column."""

    kind = "count_distinct"
    column: str


@dataclass(frozen=True)
class _OfNumbers(Aggregate):
    column: str
    bounds: Bounds = None

    def __post_init__(self) -> None:
        checked_name(self.column, "column")
        object.__setattr__(self, "bounds", checked_bounds(self.bounds, self.label))


@dataclass(frozen=True)
class Sum(_OfNumbers):
    """The sum of the values, each moved into the bounds."""

    kind = "sum"


@dataclass(frozen=True)
class Mean(_OfNumbers):
    """The mean of the values, each moved into the bounds."""

    kind = "mean"


@dataclass(frozen=True)
class Variance(_OfNumbers):
    """The sample variance (divisor n − 1)."""

    kind = "variance"


@dataclass(frozen=True)
class Stddev(_OfNumbers):
    """The square root of the sample variance."""

    kind = "stddev"


@dataclass(frozen=True)
class _OfPairs(Aggregate):
    column: str
    other: str
    bounds: Bounds = None
    other_bounds: Bounds = None

    def __post_init__(self) -> None:
        checked_name(self.column, "column")
        checked_name(self.other, "other")
        object.__setattr__(self, "bounds", checked_bounds(self.bounds, self.label))
        object.__setattr__(self, "other_bounds", checked_bounds(self.other_bounds, self.label))


@dataclass(frozen=True)
class Covariance(_OfPairs):
    """The sample covariance of two columns, over the rows where both have a value."""

    kind = "covariance"


@dataclass(frozen=True)
class Correlation(_OfPairs):
    """Pearson's correlation of two columns, over the rows where both have a value."""

    kind = "correlation"


@dataclass(frozen=True)
class Quantiles(Aggregate):
    """Quantiles, chosen among `candidates` evenly spaced values between the bounds.

    Args:
        column: of numbers.
        probs: each above 0 and below 1, in steps of 0.0001.
        bounds: the least and greatest candidate.
        candidates: how many; integers between the bounds are all candidates if there are no more of them than this.
        interval: spend half of the price on a 95% interval around each.
    """

    kind = "quantiles"
    column: str
    probs: tuple[float, ...] = (0.25, 0.5, 0.75)
    bounds: Bounds = None
    candidates: int = 4096
    interval: bool = True

    def __post_init__(self) -> None:
        checked_name(self.column, "column")
        object.__setattr__(self, "bounds", checked_bounds(self.bounds, self.label))
        probs = checked_numbers(self.probs, "probs")
        if not probs or not all(0 < p < 1 and abs(p * 10_000 - round(p * 10_000)) < 1e-6 for p in probs):
            raise QueryError("probs must be above 0 and below 1, of at most four digits", where=self.label)
        object.__setattr__(self, "probs", probs)
        if not isinstance(self.candidates, int) or not 2 <= self.candidates <= 1 << 16:
            raise QueryError("candidates must be a whole number from 2 to 65,536", where=self.label)

    @property
    def label(self) -> str:
        """`median(age)` for the one of 0.5."""
        return f"median({self.column})" if self.probs == (0.5,) else f"quantiles({self.column})"


@dataclass(frozen=True)
class LinearRegression(Aggregate):
    """Least squares of `column` on `features`, with an intercept; from a noisy moment matrix."""

    kind = "linear_regression"
    column: str
    features: tuple[str, ...] = ()
    bounds: tuple[tuple[float, float], ...] | None = None

    def __post_init__(self) -> None:
        checked_name(self.column, "column")
        object.__setattr__(self, "features", _features(self.features, self.column))
        if self.bounds is not None:
            pairs = tuple(checked_bounds(b, self.label) for b in self.bounds)
            if len(pairs) != len(self.features) + 1:
                raise QueryError("give bounds of every feature, then of the label", where=self.label)
            object.__setattr__(self, "bounds", pairs)


def _features(values: Any, label: str) -> tuple[str, ...]:
    if isinstance(values, str) or not values:
        raise QueryError("features must be a list of one or more columns", where="regression")
    names = tuple(checked_name(v, "feature") for v in values)
    if len(set(names)) != len(names) or label in names:
        raise QueryError("features must be distinct, and not hold the label", where="regression")
    if len(names) > 64:
        raise QueryError("at most 64 features", where="regression")
    return names


AGGREGATES: dict[str, type[Aggregate]] = {
    c.kind: c
    for c in (
        Count, Missing, CountDistinct, Sum, Mean, Variance, Stddev, Covariance, Correlation, Quantiles,
        LinearRegression,
    )
}  # fmt: skip


# --- what rows are grouped by ---
@dataclass(frozen=True)
class By:
    """A column to group by.

    Args:
        column: its name.
        edges: for a column of numbers, the edges of bins: closed on the left, the last one on both sides.
        values: the categories; else those of the schema's `domain`.
        open: categories are not public and have to be found: needs δ, and groups of few people stay out.
    """

    column: str
    edges: tuple[float, ...] | None = None
    values: tuple[Scalar, ...] | None = None
    open: bool = False

    def __post_init__(self) -> None:
        checked_name(self.column, "key")
        if [self.edges is not None, self.values is not None, self.open].count(True) > 1:
            raise QueryError("a key has edges, or values, or is open", where=f"key '{self.column}'")
        if self.edges is not None:
            edges = checked_numbers(self.edges, "edges")
            if len(edges) < 2 or not all(a < b for a, b in itertools.pairwise(edges)):
                raise QueryError("edges must be two or more rising numbers", where=f"key '{self.column}'")
            if not all(math.isfinite(e) for e in edges):
                raise QueryError("edges must be finite", where=f"key '{self.column}'")
            object.__setattr__(self, "edges", edges)
        if self.values is not None:
            values = tuple(self.values)
            if not values or len(set(values)) != len(values):
                raise QueryError("values must be a list of distinct categories", where=f"key '{self.column}'")
            if not all(isinstance(v, str | int | float | bool) for v in values):
                raise QueryError("values must be texts or numbers", where=f"key '{self.column}'")
            object.__setattr__(self, "values", values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        parts = {"column": self.column, "edges": _plain(self.edges), "values": _plain(self.values)}
        return {k: v for k, v in parts.items() if v is not None} | ({"open": True} if self.open else {})


# --- whole questions ---
@dataclass(frozen=True)
class Query:
    """A question: aggregates over the rows that satisfy `condition`, by group if there are keys."""

    aggregates: tuple[Aggregate, ...]
    keys: tuple[By, ...] = ()
    condition: str | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        if not self.aggregates or not all(isinstance(a, Aggregate) for a in self.aggregates):
            raise QueryError(
                "a query needs at least one aggregate", where="query", hint='group_by("ward").agg(count())'
            )
        labels = [a.label for a in self.aggregates]
        if len(set(labels)) != len(labels):
            raise QueryError("a query asks for the same figure twice", where="query")
        if len({k.column for k in self.keys}) != len(self.keys):
            raise QueryError("a query groups by the same column twice", where="query")

    @property
    def label(self) -> str:
        """The question in one line."""
        text = ", ".join(a.label for a in self.aggregates)
        if self.keys:
            text += " by " + ", ".join(k.column for k in self.keys)
        if self.top is not None:
            text = f"top {self.top}: {text}"
        return f"{text} where {self.condition}" if self.condition else text

    def __str__(self) -> str:
        return self.label

    def where(self, condition: str) -> Query:
        """The same question about the rows that satisfy a condition: `"age >= 18 AND ward = 'A'"`."""
        return replace(self, condition=_joined(self.condition, condition))

    def to_dict(self) -> dict[str, Any]:
        """The question as plain values, for JSON."""
        out: dict[str, Any] = {"aggregates": [a.to_dict() for a in self.aggregates]}
        if self.keys:
            out["keys"] = [k.to_dict() for k in self.keys]
        if self.condition:
            out["where"] = self.condition
        if self.top is not None:
            out["top"] = self.top
        return out

    def to_json(self) -> str:
        """The question as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True)

    @staticmethod
    def from_dict(parts: Mapping[str, Any]) -> Query:
        """The question that `to_dict` described; `QueryError` if it is none."""
        try:
            aggregates = tuple(_aggregate(a) for a in parts["aggregates"])
            keys = tuple(
                By(k["column"], _tuple(k.get("edges")), _tuple(k.get("values")), bool(k.get("open", False)))
                for k in parts.get("keys", ())
            )
            unknown_parts = set(parts) - {"aggregates", "keys", "where", "top"}
        except (KeyError, TypeError, AttributeError):
            raise QueryError("this does not describe a query", where="query") from None
        if unknown_parts:
            raise QueryError(f"a query has no part '{sorted(unknown_parts)[0]}'", where="query")
        return Query(aggregates, keys, parts.get("where"), parts.get("top"))


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _tuple(value: Any) -> Any:
    return tuple(_tuple(v) for v in value) if isinstance(value, list | tuple) else value


def _aggregate(parts: Mapping[str, Any]) -> Aggregate:
    given = {k: _tuple(v) for k, v in parts.items()}
    kind = given.pop("kind")
    if kind not in AGGREGATES:
        raise QueryError(f"there is no aggregate '{kind}'", where="query", hint=did_you_mean(str(kind), AGGREGATES))
    return AGGREGATES[kind](**given)


# --- a question that is answered in several steps ---
@dataclass(frozen=True)
class LogisticRegression:
    """The chance of `column` (a bool, or 0 and 1) given `features`, with an intercept; by noisy gradients.

    Args:
        column: the label.
        features: numeric columns.
        bounds: of each feature; else the schema's.
        condition: which rows.
        steps: how many noisy gradients, 1 to 100.
    """

    column: str
    features: tuple[str, ...]
    bounds: tuple[tuple[float, float], ...] | None = None
    condition: str | None = None
    steps: int = 12

    def __post_init__(self) -> None:
        checked_name(self.column, "label")
        object.__setattr__(self, "features", _features(self.features, self.column))
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or not 1 <= self.steps <= 100:
            raise QueryError("steps must be a whole number from 1 to 100", where=self.label)
        if self.bounds is not None:
            pairs = tuple(checked_bounds(b, self.label) for b in self.bounds)
            if len(pairs) != len(self.features) or None in pairs:
                raise QueryError("give bounds of every feature", where=self.label)
            object.__setattr__(self, "bounds", pairs)

    @property
    def label(self) -> str:
        """The question in one line."""
        text = f"logistic_regression({self.column})"
        return f"{text} where {self.condition}" if self.condition else text

    @property
    def figures(self) -> tuple[str, ...]:
        """What the coefficients are called."""
        return ("intercept", *(f"coefficient({c})" for c in self.features))

    def __str__(self) -> str:
        return self.label

    def where(self, condition: str) -> LogisticRegression:
        """The same question about the rows that satisfy a condition."""
        return replace(self, condition=_joined(self.condition, condition))

    def to_dict(self) -> dict[str, Any]:
        """The question as plain values, for JSON."""
        parts = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"logistic_regression": {k: v for k, v in parts.items() if v is not None}}

    @staticmethod
    def from_dict(parts: Mapping[str, Any]) -> LogisticRegression:
        """The question that `to_dict` described; `QueryError` if it is none."""
        try:
            (given,) = (parts[k] for k in parts if k == "logistic_regression")
            return LogisticRegression(**{k: _tuple(v) for k, v in given.items()})
        except (TypeError, ValueError, AttributeError):
            raise QueryError("this does not describe a logistic regression", where="query") from None


def _joined(first: str | None, second: Any) -> str:
    if not isinstance(second, str) or not second.strip():
        raise QueryError("a condition is a text such as age >= 18", where="where")
    return f"({first}) AND ({second})" if first else second

"""How each aggregate is measured: an integer vector in every cell, and what is read off it once noise is added.

Moments are measured in a partition of unity. For a in [0, 1] a row gives (1 − a, a) instead of (1, a): nothing is lost,
as 1 is the sum of both, and a row changes the vector by 1 in L1, not by 2. For second moments the Bernstein polynomials
((1 − a)², 2a(1 − a), a²) do the same. So a mean or a variance has the noise of one figure, not of two or three. The
engine adds up 1, a, a² as integers, and the vector is an integer combination of these sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.dataset import types
from ppc.dataset.schema import Schema
from ppc.dp import query as q
from ppc.dp.engines.base import Exact, Number, Term
from ppc.errors import QueryError, TypeMismatchError

Raw: TypeAlias = NDArray[np.float64]  # noisy vectors, shape (rows, cells)
Finish: TypeAlias = Callable[[Raw, float], NDArray[np.float64]]

_ONE: Final = 24  # bits of a column that is summed as it is
_TWO: Final = 12  # bits of each of two factors
_FOUR: Final = 10  # bits of each of four factors


@dataclass(frozen=True)
class Part:
    """One aggregate, ready to be measured.

    Args:
        figures: the names of what comes out.
        terms: what the engine adds up.
        matrix: the measured vector is `matrix @ sums`, integers; shape (rows, terms).
        row_l1, row_l2: by how much one row changes the vector at most, in L1 (whole) and in L2.
        finish: from noisy vectors (rows, cells) and the noise's standard deviation, the figures (figures, cells).
        references: vectors (rows,) that a cell of n rows might have, for error bars that are given beforehand.
        whole: the figures are whole numbers.
        linear: the figure is one coordinate of the vector times a constant.
    """

    aggregate: q.Aggregate
    figures: tuple[str, ...]
    terms: tuple[Term, ...]
    matrix: tuple[tuple[int, ...], ...]
    row_l1: int
    row_l2: float
    finish: Finish
    references: Callable[[float], Sequence[NDArray[np.float64]]]
    whole: bool = False
    linear: bool = False

    def vector(self, sums: Exact) -> Exact:
        """The exact vector, shape (rows, cells), Python integers."""
        out: Exact = np.array(self.matrix, dtype=np.object_) @ sums
        return out


def bounds_of(schema: Schema, column: str, given: tuple[float, float] | None, label: str) -> tuple[float, float]:
    """The public bounds of a numeric column: the query's, else the schema's.

    Raises:
        TypeMismatchError: the column is not numeric.
        QueryError: there are no bounds; they are never taken from the data.
    """
    field = schema[column]
    if not types.is_numeric(field.type):
        raise TypeMismatchError(
            f"column '{column}' is {field.type}, and numbers are needed", where=f"{label}, column '{column}'"
        )
    if given is not None:
        return given
    if field.type == "bool":
        return 0.0, 1.0
    if field.bounds is None or not field.bounds[0] < field.bounds[1]:
        raise QueryError(
            f"column '{column}' has no bounds",
            where=label,
            hint=f"Say what is plausible, without looking at the data: bounds=(least, greatest), or in the schema."
            f" suggest_bounds('{column}') spends a little budget on it.",
        )
    return field.bounds


def number(schema: Schema, column: str, bounds: tuple[float, float], bits: int) -> Number:
    """A column as integers from 0 to at most 2**bits, 0 at the lower bound."""
    low, high = bounds
    kind = schema[column].type
    whole = kind == "bool" or types.is_integer(kind)
    if whole and low == math.floor(low) and high == math.floor(high) and high - low <= 1 << bits and abs(low) < 1 << 53:
        return Number(column, low, high, low, 1.0, integer=True)
    return Number(column, low, high, low, (1 << bits) / (high - low))


def build(aggregate: q.Aggregate, schema: Schema) -> Part:
    """The part that measures an aggregate. Quantiles are none: see `quantile.py`."""
    label = aggregate.label
    if isinstance(aggregate, q.Count):
        if aggregate.column is not None:
            schema[aggregate.column]
        return _counting(aggregate, Term(present=(aggregate.column,) if aggregate.column else ()))
    if isinstance(aggregate, q.CountDistinct):
        schema[aggregate.column]
        return _counting(aggregate, Term(distinct=aggregate.column))
    if isinstance(aggregate, q.Missing):
        schema[aggregate.column]
        return _counting(aggregate, Term(), Term(present=(aggregate.column,)))
    if isinstance(aggregate, q.Sum):
        return _sum(aggregate, schema, bounds_of(schema, aggregate.column, aggregate.bounds, label))
    if isinstance(aggregate, q.Mean):
        return _mean(aggregate, schema, bounds_of(schema, aggregate.column, aggregate.bounds, label))
    if isinstance(aggregate, q.Variance | q.Stddev):
        return _variance(aggregate, schema, bounds_of(schema, aggregate.column, aggregate.bounds, label))
    if isinstance(aggregate, q.Covariance | q.Correlation):
        a = bounds_of(schema, aggregate.column, aggregate.bounds, label)
        b = bounds_of(schema, aggregate.other, aggregate.other_bounds, label)
        make = _covariance if isinstance(aggregate, q.Covariance) else _correlation
        return make(aggregate, schema, a, b)
    if isinstance(aggregate, q.LinearRegression):
        return _regression(aggregate, schema)
    raise QueryError(f"{label} can not be measured", where=label)


# --- counts and sums: one coordinate ---
def _counting(aggregate: q.Aggregate, term: Term, minus: Term | None = None) -> Part:
    """One row is one more, or one less; or it adds at most one value that was not there."""
    terms = (term,) if minus is None else (term, minus)
    return Part(
        aggregate, (aggregate.label,), terms, ((1, -1),) if minus else ((1,),), 1, 1.0,
        lambda raw, sd: raw, lambda n: [np.array([n])], whole=True, linear=True,
    )  # fmt: skip


def _sum(aggregate: q.Sum, schema: Schema, bounds: tuple[float, float]) -> Part:
    low, high = bounds
    largest = max(abs(low), abs(high))
    kind = schema[aggregate.column].type
    whole = (kind == "bool" or types.is_integer(kind)) and low.is_integer() and high.is_integer()
    whole = whole and largest <= 1 << 31
    n = Number(aggregate.column, low, high, 0.0, 1.0 if whole else (1 << _ONE) / largest, integer=whole)
    # one row changes the sum by a value between the bounds: at most the larger of them in size
    reach = max(abs(n.least), abs(n.most))
    return Part(
        aggregate, (aggregate.label,), (Term((n,), (n.column,)),), ((1,),), reach, float(reach),
        lambda raw, sd: raw / n.scale, lambda rows: [np.array([rows * (n.least + n.most) / 2])], linear=True,
    )  # fmt: skip


# --- moments of one column ---
def _mean(aggregate: q.Mean, schema: Schema, bounds: tuple[float, float]) -> Part:
    n = number(schema, aggregate.column, bounds, _ONE)
    k = n.most
    terms = (Term(present=(n.column,)), Term((n,), (n.column,)))

    def finish(raw: Raw, sd: float) -> NDArray[np.float64]:
        ones, total = (raw[0] + raw[1]) / k, raw[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(ones >= 0.5, n.low + total / np.maximum(ones, 0.5) / n.scale, math.nan)
        return np.clip(mean, *bounds)[None, :]

    # (k − a, a): L1 is k for every a; L2 is at most k, at a = 0 and a = k
    matrix = ((k, -1), (0, 1))
    references = lambda rows: [np.array([rows * k * (1 - m), rows * k * m]) for m in (0.02, 0.5, 0.98)]  # noqa: E731
    return Part(aggregate, (aggregate.label,), terms, matrix, k, float(k), finish, references)


def _moments(raw: Raw, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """n, Σa, Σa² from sums of the Bernstein polynomials (k − a)², 2a(k − a), a²."""
    return (raw[0] + raw[1] + raw[2]) / k**2, (raw[1] / 2 + raw[2]) / k, raw[2]


def _bernstein(k: int) -> tuple[tuple[int, int, int], ...]:
    """(k − a)², 2a(k − a), a² as combinations of 1, a, a²."""
    return (k * k, -2 * k, 1), (0, 2 * k, -2), (0, 0, 1)


def _variance(aggregate: q.Variance | q.Stddev, schema: Schema, bounds: tuple[float, float]) -> Part:
    n = number(schema, aggregate.column, bounds, _TWO)
    k = n.most
    terms = (Term(present=(n.column,)), Term((n,), (n.column,)), Term((n, n), (n.column,)))
    root = isinstance(aggregate, q.Stddev)

    def finish(raw: Raw, sd: float) -> NDArray[np.float64]:
        ones, first, second = _moments(raw, k)
        enough = ones >= 1.5
        rows = np.where(enough, ones, 2.0)
        variance = np.clip((second - first**2 / rows) / (rows - 1), 0, k**2 / 4 * rows / (rows - 1)) / n.scale**2
        return np.where(enough, np.sqrt(variance) if root else variance, math.nan)[None, :]

    def references(rows: float) -> list[NDArray[np.float64]]:
        # all at one end, half at either end, evenly spread
        return [rows * k * k * np.array(v) for v in ((0.95, 0.02, 0.03), (0.5, 0.0, 0.5), (1 / 3, 1 / 3, 1 / 3))]

    return Part(aggregate, (aggregate.label,), terms, _bernstein(k), k * k, float(k * k), finish, references)


# --- moments of two columns ---
def _covariance(
    aggregate: q.Covariance | q.Correlation, schema: Schema, a: tuple[float, float], b: tuple[float, float]
) -> Part:
    x, y = _pair(aggregate, schema, a, b, _TWO)
    k, h = x.most, y.most
    both = (x.column, y.column)
    terms = (Term(present=both), Term((x,), both), Term((y,), both), Term((x, y), both))

    def finish(raw: Raw, sd: float) -> NDArray[np.float64]:
        ones = raw.sum(axis=0) / (k * h)
        enough = ones >= 1.5
        rows = np.where(enough, ones, 2.0)
        first, other = (raw[1] + raw[3]) / h, (raw[2] + raw[3]) / k
        value = (raw[3] - first * other / rows) / (rows - 1) / (x.scale * y.scale)
        limit = k * h / 4 * rows / (rows - 1) / (x.scale * y.scale)
        return np.where(enough, np.clip(value, -limit, limit), math.nan)[None, :]

    # (k − x)(h − y), x(h − y), (k − x)y, xy: all >= 0, and their sum is k·h
    matrix = ((k * h, -h, -k, 1), (0, h, 0, -1), (0, 0, k, -1), (0, 0, 0, 1))
    shapes = ((0.25,) * 4, (0.48, 0.02, 0.02, 0.48))
    references = lambda rows: [rows * k * h * np.array(s) for s in shapes]  # noqa: E731
    return Part(aggregate, (aggregate.label,), terms, matrix, k * h, float(k * h), finish, references)


def _pair(
    aggregate: q.Covariance | q.Correlation, schema: Schema, a: tuple[float, float], b: tuple[float, float], bits: int
) -> tuple[Number, Number]:
    return number(schema, aggregate.column, a, bits), number(schema, aggregate.other, b, bits)


def _correlation(
    aggregate: q.Covariance | q.Correlation, schema: Schema, a: tuple[float, float], b: tuple[float, float]
) -> Part:
    x, y = _pair(aggregate, schema, a, b, _FOUR)
    k, h = x.most, y.most
    both = (x.column, y.column)
    powers = [(i, j) for i in range(3) for j in range(3)]
    terms = tuple(Term((x,) * i + (y,) * j, both) for i, j in powers)
    # the products of two Bernstein bases: nine terms, all >= 0, and their sum is k²h²
    bx, by = _bernstein(k), _bernstein(h)
    matrix = tuple(tuple(bx[i][s] * by[j][t] for s, t in powers) for i, j in powers)
    weights = np.array([0.0, 0.5, 1.0])

    def finish(raw: Raw, sd: float) -> NDArray[np.float64]:
        grid = raw.reshape(3, 3, -1) / (float(k) ** 2 * float(h) ** 2)
        ones = grid.sum(axis=(0, 1))
        enough = ones >= 1.5
        rows = np.where(enough, ones, 2.0)
        mx = np.einsum("i,ijc->c", weights, grid) / rows
        my = np.einsum("j,ijc->c", weights, grid) / rows
        vx, vy = grid[2].sum(axis=0) / rows - mx**2, grid[:, 2].sum(axis=0) / rows - my**2
        cov = np.einsum("i,j,ijc->c", weights, weights, grid) / rows - mx * my
        with np.errstate(divide="ignore", invalid="ignore"):
            r = cov / np.sqrt(np.maximum(vx, 1e-12) * np.maximum(vy, 1e-12))
        return np.where(enough, np.clip(r, -1, 1), math.nan)[None, :]

    even = np.outer([1 / 3] * 3, [1 / 3] * 3).ravel()
    near = np.outer([0.3, 0.4, 0.3], [0.3, 0.4, 0.3]).ravel()
    references = lambda rows: [rows * float(k * k * h * h) * s for s in (even, near)]  # noqa: E731
    top = k * k * h * h
    return Part(aggregate, (aggregate.label,), terms, matrix, top, float(top), finish, references)


# --- regression ---
def _regression(aggregate: q.LinearRegression, schema: Schema) -> Part:
    names = (*aggregate.features, aggregate.column)
    given = aggregate.bounds or (None,) * len(names)
    limits = [bounds_of(schema, c, b, aggregate.label) for c, b in zip(names, given, strict=True)]
    k = 1 << _TWO
    numbers = [
        Number(c, low, high, (low + high) / 2, 2 * k / (high - low))
        for c, (low, high) in zip(names, limits, strict=True)
    ]
    size = len(names) + 1
    pairs = list(combinations_with_replacement(range(size), 2))  # of (1, x₁, …, y)
    terms = tuple(Term(tuple(numbers[i - 1] for i in pair if i), names) for pair in pairs)
    # z = (k, v₁, …, v_y) with |v| <= k: each of the products has size at most k². Those with 1 are scaled up to that.
    most = max(k, *(max(abs(n.least), n.most) for n in numbers))
    matrix = tuple(
        tuple(k ** sum(i == 0 for i in pair) if s == t else 0 for t in range(len(pairs)))
        for s, pair in enumerate(pairs)
    )
    centres = np.array([n.offset for n in numbers])
    halves = np.array([k / n.scale for n in numbers])

    def finish(raw: Raw, sd: float) -> NDArray[np.float64]:
        cells = raw.shape[1]
        full = np.zeros((cells, size, size))
        for row, (i, j) in zip(raw, pairs, strict=True):
            full[:, i, j] = full[:, j, i] = row / k**2
        values, vectors = np.linalg.eigh(full[:, :-1, :-1])
        # noise makes small eigenvalues smaller, even negative: none is taken to be below the noise
        floor = np.maximum(sd / k**2 * math.sqrt(size), 1e-9)
        solved = np.einsum("cij,cj,ckj,ck->ci", vectors, 1 / np.maximum(values, floor), vectors, full[:, :-1, -1])
        slopes = solved[:, 1:] * halves[-1] / halves[:-1]
        intercept = centres[-1] + halves[-1] * solved[:, 0] - slopes @ centres[:-1]
        out: NDArray[np.float64] = np.vstack([intercept, slopes.T])
        return np.where(full[:, 0, 0] >= size, out, math.nan)

    def references(rows: float) -> list[NDArray[np.float64]]:
        same = [1.0 if i == j == 0 else (1 / 3 if i == j else 0.0) for i, j in pairs]
        return [rows * k**2 * np.array(same)]

    figures = ("intercept", *(f"coefficient({c})" for c in aggregate.features))
    count = len(pairs)
    return Part(
        aggregate, figures, terms, matrix, count * most * most, math.sqrt(count) * most * most, finish, references
    )  # fmt: skip

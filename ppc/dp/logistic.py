"""Logistic regression with noisy gradients.

The curvature of the loss is at most ¼ZᵀZ, whatever the coefficients (Böhning, Lindsay 1988). ZᵀZ is released once,
with noise; then each step adds 4(ZᵀZ)⁻¹ times a noisy gradient. A dozen steps are enough, where plain descent takes
hundreds, each of which would have to be paid for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.dataset import types
from ppc.dataset.schema import Schema
from ppc.dp import condition, measuring, parts
from ppc.dp import query as q
from ppc.dp import recipe as recipes
from ppc.dp.accountant import STEPS, Charge
from ppc.dp.budget import Price
from ppc.dp.engines.base import Engine, Exact, Request
from ppc.dp.noise import Noise, scaled, split
from ppc.dp.release import Figure
from ppc.dp.unit import Unit
from ppc.errors import QueryError

if TYPE_CHECKING:
    from ppc.dp.session import Session

_FINE: Final = 1 << 20  # a gradient of size 1, in units of the noise's grid
_BLOCK: Final = 1 << 16  # rows at a time


@dataclass(frozen=True, eq=False)
class LogisticModel:
    """Coefficients of a logistic regression, in the columns' own units.

    Args:
        features: the columns.
        intercept: with its 95% error in `errors[0]`.
        coefficients: one for each feature.
        errors: half widths of 95% intervals for the noise (not for the sampling): intercept, then features.
        price: what it cost.
    """

    features: tuple[str, ...]
    intercept: float
    coefficients: NDArray[np.float64]
    errors: NDArray[np.float64]
    price: Price

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities for rows of features, shape (rows, features)."""
        return _sigmoid(np.asarray(x, dtype=np.float64) @ self.coefficients + self.intercept)

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The same as a release has them, each with its interval."""
        names = ("intercept", *(f"coefficient({c})" for c in self.features))
        values = np.r_[self.intercept, self.coefficients]
        return tuple(
            Figure(n, values[i : i + 1], values[i : i + 1] - e, values[i : i + 1] + e)
            for i, (n, e) in enumerate(zip(names, self.errors, strict=True))
        )

    def __repr__(self) -> str:
        names = ("intercept", *self.features)
        values = (self.intercept, *self.coefficients)
        if not np.isfinite(self.errors).all():
            lines = [f"{n}: too few rows for the noise" for n in names]
        else:
            lines = [f"{n}: {v:.4g} ± {e:.2g}" for n, v, e in zip(names, values, self.errors, strict=True)]
        return "\n".join([*lines, f"± is half of a 95% interval for the noise. Spent {self.price}."])


@dataclass(frozen=True)
class Prepared:
    """A regression that fits the schema, priced: everything but the data."""

    question: q.LogisticRegression
    spec: q.LinearRegression  # the same columns, with bounds of all of them
    part: parts.Part
    kept: condition.Condition | None
    unit: Unit
    moments: recipes.Measured
    noises: tuple[Noise, ...]
    price: Price

    @property
    def charges(self) -> list[Charge]:
        """One for the moments, one for each gradient."""
        return [self.moments.noise.charge, *(n.charge for n in self.noises)]

    @property
    def size(self) -> int:
        """Coefficients, the intercept among them."""
        return len(self.question.features) + 1


def prepare(question: q.LogisticRegression, schema: Schema, unit: Unit, price: Price) -> Prepared:
    """Check a question and scale its noise. Touches no data.

    Raises:
        QueryError, ColumnError, TypeMismatchError: it can not be asked.
    """
    label, features = question.column, question.features
    if not (schema[label].type == "bool" or types.is_integer(schema[label].type)):
        raise QueryError(
            f"the label '{label}' is {schema[label].type}, not bool or 0 and 1", where="logistic_regression"
        )
    own = question.bounds or (None,) * len(features)
    pairs = zip(features, own, strict=True)
    limits = (*(parts.bounds_of(schema, c, b, "logistic_regression") for c, b in pairs), (0.0, 1.0))
    spec = q.LinearRegression(label, features, limits)
    part = parts.build(spec, schema)
    kept = condition.parse(question.condition, schema) if question.condition else None
    moments_price, *gradient_prices = split(price, [question.steps, *[3] * question.steps])
    reach = unit.reach(False)
    moments = recipes.measure(part, moments_price, reach)
    size = len(features) + 1
    noises = tuple(_gradient_noise(p, size, reach.rows, reach.l2) for p in gradient_prices)
    return Prepared(question, spec, part, kept, unit, moments, noises, price)


def fit(session: Session, question: q.LogisticRegression, price: Price) -> LogisticModel:
    """Fit a logistic regression. Rows with a missing value are left out.

    Raises:
        BudgetExceeded: it would overspend. QueryError, ColumnError, TypeMismatchError: it can not be asked.
    """
    made = prepare(question, session.schema, session.unit, price)
    with session.pay(made.charges, question.label, question.to_dict()) as engine:
        vector, z, y = exact(made, engine)
        raw = measuring.noisy_vector(made.moments, vector)[:, 0]
        drawn = [np.array(n.draw(made.size), dtype=np.float64) for n in made.noises]
        told = descend(made, z, y, raw, drawn)
    return _model(made, raw, told[-1][1])


def exact(made: Prepared, engine: Engine) -> tuple[Exact, NDArray[np.float64], NDArray[np.float64]]:
    """What is read of the data: the moments, shape (moments, 1), and the rows that the gradients are made of."""
    sums = engine.sums(Request(made.part.terms, (), made.kept, made.unit))
    columns = (*made.question.features, made.question.column)
    return made.part.vector(sums), *_rows(engine.matrix(columns, made.kept, made.unit), made.spec)


def explained(made: Prepared, rows: float | None) -> tuple[recipes.Expected, ...]:
    """The noise of the coefficients. Their errors are for evenly spread features and as many ones as zeros."""
    noise = made.noises[0]
    norm = _norm(made)
    errors: NDArray[np.float64] | None = None
    if rows is not None:
        errors = _errors(made, np.array(made.part.references(rows)[0]))
    grid = norm / _FINE
    loss = float(noise.charge.epsilon) if noise.charge.epsilon is not None else math.sqrt(2 * float(noise.charge.rho))
    return tuple(
        recipes.Expected(
            name, noise.kind, noise.scale * loss * grid, noise.scale * grid,
            None if errors is None else float(errors[i]), "value",
        )
        for i, name in enumerate(made.question.figures)
    )  # fmt: skip


def _gradient_noise(price: Price, size: int, rows: int, l2: float) -> Noise:
    """Noise for Σ (p − y)·z/‖·‖: with z in [−1, 1]^size and |p − y| <= 1, a row's vector has norm at most 1 once it is
    divided by `size` (L1, Laplace) or √size (L2, Gaussian). Rounding to the grid moves each coordinate by at most ½.
    """
    l1_one = _FINE + math.ceil(size / 2) + 1
    l1_one += -l1_one % STEPS
    return scaled(price, l1_one * rows, (_FINE + 0.5 * math.sqrt(size) + 1) * max(l2, float(rows)))


def _rows(matrix: NDArray[np.float64], spec: q.LinearRegression) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features with an intercept, each clamped and moved into [−1, 1]; labels clamped into [0, 1]."""
    matrix = matrix[~np.isnan(matrix).any(axis=1)]
    low, high = np.array(spec.bounds).T
    clamped = np.clip(matrix, low, high)
    z = np.ones_like(matrix)
    z[:, 1:] = np.clip((clamped[:, :-1] - (low + high)[:-1] / 2) / ((high - low)[:-1] / 2), -1, 1)
    return z, np.clip(clamped[:, -1], 0, 1)


def _gram(raw: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """ZᵀZ and Zᵀy of rows in [−1, 1], shape (size + 1, size + 1), from a noisy vector of moments."""
    unit = float(1 << 24)
    full = np.zeros((size + 1, size + 1))
    at = 0
    for i in range(size + 1):
        for j in range(i, size + 1):
            full[i, j] = full[j, i] = raw[at] / unit
            at += 1
    return full


def _curvature(made: Prepared, full: NDArray[np.float64]) -> NDArray[np.float64]:
    """(ZᵀZ)⁻¹, from noisy moments. Directions in which there is less data than noise are hardly moved along."""
    values, vectors = np.linalg.eigh(full[: made.size, : made.size])
    inverse: NDArray[np.float64] = (vectors / np.maximum(values, _floor(made))) @ vectors.T
    return inverse


def _floor(made: Prepared) -> float:
    """The curvature below which there is less data than noise."""
    noise_level = made.moments.sd / (1 << 24) * math.sqrt(made.size)
    return max(noise_level, _norm(made) * made.noises[0].sd / _FINE, 1e-9)


def _norm(made: Prepared) -> float:
    return math.sqrt(made.size) if made.noises[0].kind == "gaussian" else float(made.size)


def descend(
    made: Prepared, z: NDArray[np.float64], y: NDArray[np.float64], raw: NDArray[np.float64],
    drawn: Sequence[NDArray[np.float64]],
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:  # fmt: skip
    """The steps: for each its noisy gradient, which is what is told of the data, and the coefficients after it."""
    norm, inverse = _norm(made), _curvature(made, _gram(raw, made.size))
    w, out = np.zeros(made.size), []
    for noise in drawn:
        noisy = _gradient(z, y, w, norm) + noise
        w = w + 4 * inverse @ (noisy / _FINE * norm)
        out.append((noisy, w))
    return out


def _errors(made: Prepared, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half widths of 95% intervals: intercept, then slopes, in the columns' own units. Infinite if there is less data
    than noise in some direction: the coefficients are then drawn to 0, by how much nobody can tell.
    """
    full, size, noise = _gram(raw, made.size), made.size, made.noises[0]
    if not np.linalg.eigvalsh(full[:size, :size])[0] > _floor(made):
        return np.full(size, np.inf)
    # near the optimum the curvature is about c·ZᵀZ with c = p(1 − p), p the share of ones: the noise of earlier steps
    # fades by 1 − 4c a step
    share = min(max((full[0, size] / max(full[0, 0], 1.0) + 1) / 2, 0.02), 0.98)
    fade = (1 - 4 * share * (1 - share)) ** 2
    step = 4 * _curvature(made, full) * (noise.sd / _FINE * _norm(made))
    sd = np.sqrt((step**2).sum(axis=1) / (1 - fade))
    half, centre = _scales(made.spec)
    out: NDArray[np.float64] = recipes.S95 * np.r_[math.hypot(sd[0], *(sd[1:] / half * centre)), sd[1:] / half]
    return out


def _scales(spec: q.LinearRegression) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.array(spec.bounds)[:-1].T
    return (high - low) / 2, (high + low) / 2


def _model(made: Prepared, raw: NDArray[np.float64], w: NDArray[np.float64]) -> LogisticModel:
    half, centre = _scales(made.spec)
    slopes = w[1:] / half
    return LogisticModel(
        made.question.features, float(w[0] - slopes @ centre), slopes, _errors(made, raw), made.price
    )  # fmt: skip


def _gradient(z: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], norm: float) -> Any:
    """Σ (y − p)·z/norm on the grid: each row is rounded by itself, so the sum is exact and one row changes it by what
    `_gradient_noise` says."""
    total = np.zeros(z.shape[1], dtype=np.int64)
    for start in range(0, len(z), _BLOCK):
        block = z[start : start + _BLOCK]
        # column by column: a row's own score, whatever rows stand beside it (a matrix product may round by position)
        score = np.zeros(len(block))
        for k in range(block.shape[1]):
            score += block[:, k] * w[k]
        rest = y[start : start + _BLOCK] - _sigmoid(score)
        total += np.floor(block * (rest / norm)[:, None] * _FINE + 0.5).astype(np.int64).sum(axis=0)
    return total.astype(np.float64)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    out: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(x, -500, 500)))
    return out

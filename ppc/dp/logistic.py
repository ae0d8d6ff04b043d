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
from ppc.dp import condition, measuring, parts
from ppc.dp import query as q
from ppc.dp import recipe as recipes
from ppc.dp.accountant import STEPS
from ppc.dp.budget import Price
from ppc.dp.engines.base import Request
from ppc.dp.noise import Noise, scaled, split
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

    def __repr__(self) -> str:
        names = ("intercept", *self.features)
        values = (self.intercept, *self.coefficients)
        lines = [f"{n}: {v:.4g} ± {e:.2g}" for n, v, e in zip(names, values, self.errors, strict=True)]
        return "\n".join([*lines, f"± is half of a 95% interval for the noise. Spent {self.price}."])


def fit(
    session: Session,
    features: Sequence[str],
    label: str,
    *,
    epsilon: float | None = None,
    rho: float | None = None,
    price: Price | None = None,
    bounds: Sequence[tuple[float, float]] | None = None,
    where: str | None = None,
    steps: int = 12,
) -> LogisticModel:
    """Fit a logistic regression. Rows with a missing value are left out.

    Args:
        session: whose data and budget.
        features: numeric columns, with bounds in the schema or in `bounds`.
        label: a bool column, or one of the integers 0 and 1.
        epsilon, rho, price: what to pay; ρ does much better than ε here.
        bounds: of the features.
        where: which rows.
        steps: how many noisy gradients, 1 to 100.

    Raises:
        BudgetExceeded: it would overspend. QueryError, ColumnError, TypeMismatchError: it can not be asked.
    """
    schema = session.schema
    if not (schema[label].type == "bool" or types.is_integer(schema[label].type)):
        raise QueryError(
            f"the label '{label}' is {schema[label].type}, not bool or 0 and 1", where="logistic_regression"
        )
    if not isinstance(steps, int) or not 1 <= steps <= 100:
        raise QueryError("steps must be a whole number from 1 to 100", where="logistic_regression")
    given = None if bounds is None else (*(tuple(b) for b in bounds), (0.0, 1.0))
    if bounds is None:
        given = (*(parts.bounds_of(schema, c, None, "logistic_regression") for c in features), (0.0, 1.0))
    spec = q.LinearRegression(label, tuple(features), given)  # type: ignore[arg-type]
    part = parts.build(spec, schema)
    kept = condition.parse(where, schema) if where else None
    offered = session.price_of(epsilon, rho, price)
    moments_price, *gradient_prices = split(offered, [steps, *[3] * steps])
    reach = session.unit.reach(False)
    moments = recipes.measure(part, moments_price, reach)
    size = len(features) + 1
    noises = [_gradient_noise(p, size, reach.rows, reach.l2) for p in gradient_prices]
    charges = [moments.noise.charge, *(n.charge for n in noises)]
    told = {"logistic_regression": {"features": list(features), "label": label, "where": where, "steps": steps}}
    with session.pay(charges, f"logistic_regression({label})", told) as engine:
        sums = engine.sums(Request(part.terms, (), kept, session.unit))
        raw = measuring.noisy_vector(moments, part.vector(sums))[:, 0]
        z, y = _rows(engine.matrix((*features, label), kept, session.unit), spec)
        return _descend(z, y, _gram(raw, size), noises, moments, spec, offered)


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


def _descend(
    z: NDArray[np.float64], y: NDArray[np.float64], full: NDArray[np.float64], noises: list[Noise],
    moments: recipes.Measured, spec: q.LinearRegression, price: Price,
) -> LogisticModel:  # fmt: skip
    size = z.shape[1]
    values, vectors = np.linalg.eigh(full[:size, :size])
    noise_level = moments.sd / (1 << 24) * math.sqrt(size)
    gaussian = noises[0].kind == "gaussian"
    norm = math.sqrt(size) if gaussian else float(size)
    # directions in which there is less data than noise are hardly moved along
    floor = max(noise_level, norm * noises[0].sd / _FINE, 1e-9)
    inverse = (vectors / np.maximum(values, floor)) @ vectors.T
    w = np.zeros(size)
    for noise in noises:
        exact = _gradient(z, y, w, norm)
        drawn = np.array(noise.draw(size), dtype=np.float64)
        w = w + 4 * inverse @ ((exact + drawn) / _FINE * norm)
    # near the optimum the curvature is about c·ZᵀZ with c = p(1 − p), p the share of ones: the noise of earlier steps
    # fades by 1 − 4c a step
    share = min(max((full[0, size] / max(full[0, 0], 1.0) + 1) / 2, 0.02), 0.98)
    fade = (1 - 4 * share * (1 - share)) ** 2
    step = 4 * inverse * (noises[0].sd / _FINE * norm)
    sd = np.sqrt((step**2).sum(axis=1) / (1 - fade))
    low, high = np.array(spec.bounds)[:-1].T
    half, centre = (high - low) / 2, (high + low) / 2
    slopes = w[1:] / half
    errors = recipes.S95 * np.r_[math.hypot(sd[0], *(sd[1:] / half * centre)), sd[1:] / half]
    return LogisticModel(spec.features, float(w[0] - slopes @ centre), slopes, errors, price)


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

"""The joint training in the clear, on pooled data: the same steps in float64 NumPy.

For comparison only: it says what the joint model would be if the parties could show each other everything. Equal
parameters, rows and stream give the same batches and rates as the secure training; only the arithmetic differs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ppc.core.rng import Stream
from ppc.joint.credit.training import STEP_BITS, Floats, LogisticParams, Scale, Schedule, row_weights
from ppc.mpc.learn.descent import l1_threshold


@dataclass(frozen=True)
class ClearModel:
    """A model of standardised features. `coef` (features,); `se`, `z`, `p` with Newton only, the intercept's first."""

    intercept: float
    coef: Floats
    scale: Scale
    iterations: int
    losses: tuple[float, ...] = ()
    se: Floats | None = None
    z: Floats | None = None
    p: Floats | None = field(default=None)

    def logits(self, matrix: Floats) -> Floats:
        """b + w·x of raw features, shape (rows,)."""
        return np.asarray(self.intercept + self.scale.apply(matrix) @ self.coef)

    def predict(self, matrix: Floats) -> Floats:
        """Probabilities of the event, shape (rows,)."""
        return sigmoid(self.logits(matrix))


def fit(
    matrix: Floats,
    y: Floats,
    params: LogisticParams,
    stream: Stream,
    *,
    sample_weight: Floats | None = None,
) -> ClearModel:
    """Train on pooled rows.

    Args:
        matrix: raw features, float64 (rows, features): the parties' columns side by side, in rank order.
        y: labels 0.0 and 1.0, (rows,).
        params: as in the job's step.
        stream: `job.public_stream(f"{step}\\0")`, the one that the step uses.
        sample_weight: (rows,) positive.
    """
    scale = Scale.of(matrix)
    x = scale.apply(matrix)
    weights = row_weights(y, params.class_weight)
    if sample_weight is not None:
        own = sample_weight / sample_weight.mean()
        weights = own if weights is None else weights * own
    if params.solver == "newton":
        return _newton(x, y, weights, params, scale)
    return _sgd(x, y, weights, params, scale, Schedule(params, len(y), stream))


def _sgd(
    x: Floats, y: Floats, weights: Floats | None, params: LogisticParams, scale: Scale, schedule: Schedule
) -> ClearModel:
    x, y = _with_ones(x)[schedule.order], y[schedule.order]
    s = None if weights is None else weights[schedule.order]
    w, u = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    penalised = np.ones_like(w)
    penalised[0] = 0.0
    losses: list[float] = []
    epoch = 0
    for epoch, batches in enumerate(schedule.epochs):
        before = w
        rate = schedule.rate(epoch)
        for b in batches:
            batch = schedule.batches[b]
            r = sigmoid(x[batch] @ w) - y[batch]
            if s is not None:
                r = r * s[batch]
            u = (
                params.momentum * u
                + (x[batch].T @ r) * (schedule.step(epoch, batch) / 2.0**STEP_BITS)
                + rate * params.l2 * penalised * w
            )
            w = w - u
            if params.l1:
                threshold = l1_threshold(params.l1, rate, params.momentum)
                w = w - np.clip(w, -threshold, threshold) * penalised
        if params.stops == "change" and np.abs(w - before).max() <= params.tolerance:
            break
        if params.stops == "loss":
            losses.append(float(((sigmoid(x @ w) - y) ** 2).mean()))
            if len(losses) > 1 and losses[-2] - losses[-1] < params.tolerance:
                break
    return ClearModel(float(w[0]), w[1:], scale, epoch + 1, tuple(losses))


def _newton(x: Floats, y: Floats, weights: Floats | None, params: LogisticParams, scale: Scale) -> ClearModel:
    n = len(y)
    x = _with_ones(x)
    s = np.ones(n) if weights is None else weights
    penalty = np.full(x.shape[1], params.l2)
    penalty[0] = 0.0
    w = np.zeros(x.shape[1])
    losses: list[float] = []
    for _ in range(params.max_iterations):
        p = sigmoid(x @ w)
        losses.append(float(((p - y) ** 2).mean()))
        gradient = x.T @ (s * (p - y)) / n + penalty * w
        step = np.linalg.solve(_hessian(x, s, p, penalty), gradient)
        w = w - step
        if params.stops == "change" and np.abs(step).max() <= params.tolerance:
            break
        if params.stops == "loss" and len(losses) > 1 and losses[-2] - losses[-1] < params.tolerance:
            break
    covariance = np.linalg.inv(_hessian(x, s, sigmoid(x @ w), penalty)) / n
    se = np.sqrt(np.diag(covariance))
    z, p_values = wald(w, se)
    return ClearModel(float(w[0]), w[1:], scale, len(losses), tuple(losses), se, z, p_values)


def _hessian(x: Floats, s: Floats, p: Floats, penalty: Floats) -> Floats:
    d = s * p * (1.0 - p)
    return np.asarray(x.T @ (d[:, None] * x) / len(d) + np.diag(penalty))


def _with_ones(x: Floats) -> Floats:
    return np.hstack([np.ones((len(x), 1)), x])


def sigmoid(z: NDArray[np.float64]) -> Floats:
    """1 / (1 + exp(-z)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))


def wald(coef: Floats, se: Floats) -> tuple[Floats, Floats]:
    """z statistics and two-sided p-values of the normal distribution."""
    from scipy.special import ndtr

    z = coef / se
    return np.asarray(z), np.asarray(2.0 * ndtr(-np.abs(z)))

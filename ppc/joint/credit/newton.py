"""Newton's method (iteratively reweighted least squares) on shares, with standard errors from the inverse Hessian.

The Hessian H = Xᵀ diag(s p (1 - p)) X / n stays secret, and so does its inverse, which comes from the Newton-Schulz
iteration V <- V (2 I - H V): matrix products only, no division. At w = 0 every p (1 - p) is at its largest, 1/4, so the
inverse at w = 0 is a start from which the iteration converges at every later w.

Source: Schulz, ZAMM 13 (1933); Ben-Israel and Cohen, SIAM J. Numer. Anal. 3 (1966), for the starting condition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ppc.errors import InternalError
from ppc.joint.credit.sgd import Inputs, Trained, logits, mean_squared_error
from ppc.joint.credit.training import P_BITS, X_BITS, Floats, LogisticParams
from ppc.mpc import ops
from ppc.mpc.learn.descent import W_BITS, settled
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

#: Fraction bits of the Hessian, its inverse and the gradient.
H_BITS: Final = 22
#: 1/n is an integer over 2**MEAN_BITS; its rounding scales gradient, Hessian and penalty alike, so it cancels.
MEAN_BITS: Final = 23
#: What is added to the diagonal before inverting, so that an inverse stays below 2**16 and its products below 2**62,
#: even if features repeat each other. It does not move the optimum, only the way there.
RIDGE: Final = 2.0**-16
#: Newton-Schulz steps: from a multiple of the identity; within the training; for the standard errors.
COLD_STEPS: Final = 16
WARM_STEPS: Final = 5
FINAL_STEPS: Final = 8
CHUNK_WORDS: Final = 1 << 21


def train(s: Session, inputs: Inputs, params: LogisticParams, report: Callable[[float, str], None]) -> Trained:
    """Maximum likelihood, or with L2 the penalised one; the variances are the diagonal of the inverse Hessian.

    Cost: for each iteration about 45 rounds and 7 for each chunk of rows; each party sends about 24 bytes for every
    feature of every row.
    Threat: semi-honest. Leaks: shapes, the number of iterations, and the loss if `early_stop = "loss"`.
    """
    n_weights = 1 + sum(inputs.sizes)
    mean = round(2**MEAN_BITS / inputs.count) or 1
    unit = mean * inputs.count / 2**MEAN_BITS  # close to 1: what the rounding of 1/n multiplies everything by
    penalty = np.full(n_weights, params.l2 * unit)
    penalty[0] = 0.0
    w = ops.constant(s, np.zeros(n_weights), frac_bits=W_BITS)
    start: AShare | None = None
    losses: list[float] = []
    iteration = 0
    for iteration in range(1, params.max_iterations + 1):
        report((iteration - 1) / (params.max_iterations + 1), f"iteration {iteration}")
        gradient, hessian = _derivatives(s, inputs, w, mean, penalty)
        if start is None:
            start = inverse = _invert(s, hessian, _scaled_identity(s, hessian), COLD_STEPS)
        else:
            inverse = _invert(s, hessian, start, WARM_STEPS)
        if params.stops == "loss":
            losses.append(mean_squared_error(s, inputs, w))
        step = ops.truncate(s, ops.matmul(s, inverse, gradient, truncated=False), 2 * H_BITS - W_BITS)
        w = w - step
        if params.stops == "change" and settled(s, step, params.tolerance):
            break
        if params.stops == "loss" and len(losses) > 1 and losses[-2] - losses[-1] < params.tolerance:
            break
    report(params.max_iterations / (params.max_iterations + 1), "standard errors")
    _, hessian = _derivatives(s, inputs, w, mean, penalty)
    inverse = _invert(s, hessian, start, FINAL_STEPS) if start is not None else hessian
    diagonal = inverse.reshape(-1)[:: n_weights + 1]
    return Trained(w, iteration, tuple(losses), diagonal, unit / inputs.count)


def _derivatives(s: Session, inputs: Inputs, w: AShare, mean: int, penalty: Floats) -> tuple[AShare, AShare]:
    """Gradient (weights,) and Hessian (weights, weights) of the objective at w, `H_BITS`."""
    k = len(penalty)
    total: AShare | None = None
    chunk = max(1, CHUNK_WORDS // k)
    for first in range(0, inputs.rows, chunk):
        run = slice(first, min(first + chunk, inputs.rows))
        blocks = [f.rows(run) for f in inputs.blocks]
        p = ops.sigmoid(s, logits(s, blocks, w), frac_bits=P_BITS)
        r, d = p - inputs.y[run], p - ops.square(s, p)
        if inputs.weights is not None:
            weighted = ops.mul(s, inputs.weights[run].reshape(-1, 1), ops.stack([r, d], axis=1))
            r, d = weighted[:, 0], weighted[:, 1]
        # d and d x for every feature x: the columns of diag(d) [1 X].
        scaled = ops.mul(s, inputs.features(run), d.reshape(-1, 1), truncated=False)
        scaled = ops.concatenate([d.reshape(-1, 1), ops.truncate(s, scaled, X_BITS)], axis=1)
        # Products of every feature with r and with those columns, summed over the rows: X_BITS + P_BITS.
        right = ops.concatenate([r.reshape(-1, 1), scaled], axis=1)
        sums = ops.matmul_fixed_t_many(s, [(f, right) for f in blocks], truncated=False)
        table = ops.concatenate([right.sum(axis=0, keepdims=True).shift_left(X_BITS), *sums])
        total = table if total is None else total + table
    if total is None:
        raise InternalError("training on no rows")
    both = ops.truncate(s, total.scale(np.array(mean, np.uint64), MEAN_BITS), X_BITS + P_BITS + MEAN_BITS - H_BITS)
    gradient, hessian = both[:, 0], both[:, 1:]
    if penalty.any():
        gradient = gradient + ops.mul_public(s, ops.rescale(s, w, H_BITS), penalty, frac_bits=H_BITS)
        hessian = hessian + np.diag(penalty)
    return gradient, hessian


def _scaled_identity(s: Session, h: AShare) -> AShare:
    """I / 2**k, where 2**k is the smallest power of two above the trace of H: a secret power, so it says nothing of H.

    The eigenvalues of H / 2**k lie between 0 and 1, which is what the iteration needs to start.
    """
    k = h.shape[0]
    trace = h.reshape(-1)[:: k + 1].sum().reshape(1)
    # Standardised features give a trace between 2**-6 and 2**9. Each power above the trace adds what 2**-p has more
    # than 2**-(p + 1); the last one is always there.
    powers = np.arange(-6, 9)
    above = ops.b2a(s, ops.less_than_zero(s, trace.broadcast_to(powers.shape) - 2.0**powers))
    steps = (1 << (H_BITS - 1 - powers)).astype(np.uint64)
    inverse = above.scale(steps, H_BITS).sum() + 2.0**-9
    return inverse.reshape(1, 1).broadcast_to((k, k)) * np.eye(k, dtype=np.int64)


def _invert(s: Session, h: AShare, start: AShare, steps: int) -> AShare:
    """The inverse of H + RIDGE I by `steps` Newton-Schulz steps from `start`. 6 rounds a step."""
    h = h + RIDGE * np.eye(h.shape[0])
    v = start
    for _ in range(steps):
        remainder = -ops.matmul(s, h, v) + np.eye(h.shape[0])
        v = v + ops.matmul(s, v, remainder)
    return v

"""Mini-batch gradient descent on shares: the features stay with their owners, the weights are shares until the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ppc.joint.credit.training import P_BITS, STEP_BITS, X_BITS, LogisticParams, Schedule
from ppc.mpc import ops
from ppc.mpc.fixed import FixedMatrix
from ppc.mpc.learn.descent import UPDATE_BITS, W_BITS, l1_threshold, settled, soften, times
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare


@dataclass(frozen=True)
class Inputs:
    """What training computes on, rows in the order of the schedule.

    `blocks`: one fixed matrix of standardised features for each party that has some, in rank order, `X_BITS`.
    `y`: (rows,) labels, `P_BITS`. `weights`: (rows,) row weights, `P_BITS`, or `None`. `features`: all features of a
    run of rows as one share (rows, features), `X_BITS`. `member`: (rows,) integers, 1 for rows that count and 0 for
    others, if nobody may know which do, and `counted`, how many they are; the weights of the others are 0.
    """

    blocks: tuple[FixedMatrix, ...]
    y: AShare
    weights: AShare | None
    features: Callable[[slice], AShare]
    member: AShare | None = None
    counted: int | None = None

    @property
    def rows(self) -> int:
        return self.y.shape[0]

    @property
    def count(self) -> int:
        """How many rows count."""
        return self.rows if self.counted is None else self.counted

    @property
    def sizes(self) -> tuple[int, ...]:
        """Features of each block."""
        return tuple(f.shape[1] for f in self.blocks)


@dataclass(frozen=True)
class Trained:
    """The weights as a share, the intercept's first: shape (1 + features,), `W_BITS`.

    `losses`: if they were opened. `variance`: of the weights (Newton), before it is multiplied by `unit`.
    """

    w: AShare
    iterations: int
    losses: tuple[float, ...] = ()
    variance: AShare | None = None
    unit: float = 1.0


def train(
    s: Session, inputs: Inputs, params: LogisticParams, schedule: Schedule, report: Callable[[float, str], None]
) -> Trained:
    """Gradient descent with momentum, decayed rate, L2, and L1 as a proximal step.

    Cost: for each batch 3 rounds and those of the sigmoid (2 more with row weights, 4 with L1); each party sends about
    8 bytes for a row and 24 for a weight, and the sigmoid's bytes for a row.
    Threat: semi-honest. Leaks: shapes, and what `early_stop` says.
    """
    n_weights = 1 + sum(inputs.sizes)
    w = ops.constant(s, np.zeros(n_weights), frac_bits=W_BITS)
    u = ops.constant(s, np.zeros(n_weights), frac_bits=W_BITS)
    penalised = np.ones(n_weights)
    penalised[0] = 0.0
    losses: list[float] = []
    epoch, done, total = 0, 0, len(schedule.batches) * len(schedule.epochs)
    # Between epochs that may be the last one more is computed, so what can be asked for ahead ends there.
    for epochs in _runs(len(schedule.epochs), whole=params.stops == "none"):
        before = w
        steps = [schedule.batches[b] for e in epochs for b in schedule.epochs[e]]
        for batch in s.repeat(steps):
            epoch = done // len(schedule.batches)
            report(done / total, f"epoch {epoch + 1} of {len(schedule.epochs)}")
            rate = schedule.rate(epoch)
            # u <- momentum u + rate / size Xᵀ r + rate l2 w, in one truncation: every term with UPDATE_BITS.
            step = np.array(schedule.step(epoch, batch), np.uint64)
            update = _gradient(s, inputs, w, batch).scale(step, STEP_BITS) + times(u, params.momentum)
            if params.l2:
                update = update + times(w, rate * params.l2 * penalised)
            u = ops.truncate(s, update, UPDATE_BITS - W_BITS)
            w = w - u
            if params.l1:
                w = ops.concatenate([w[:1], soften(s, w[1:], l1_threshold(params.l1, rate, params.momentum))])
            done += 1
        if params.stops == "change" and settled(s, w - before, params.tolerance):
            break
        if params.stops == "loss":
            losses.append(mean_squared_error(s, inputs, w))
            if len(losses) > 1 and losses[-2] - losses[-1] < params.tolerance:
                break
    return Trained(w, epoch + 1, tuple(losses))


def _runs(epochs: int, *, whole: bool) -> list[range]:
    return [range(epochs)] if whole else [range(e, e + 1) for e in range(epochs)]


def _gradient(s: Session, inputs: Inputs, w: AShare, batch: slice) -> AShare:
    """[1 X]ᵀ of the residuals p - y, times the row weights, over one batch: (weights,), X_BITS + P_BITS."""
    blocks = [f.rows(batch) for f in inputs.blocks]
    r = ops.sigmoid(s, logits(s, blocks, w), frac_bits=P_BITS) - inputs.y[batch]
    if inputs.weights is not None:
        r = ops.mul(s, inputs.weights[batch], r)
    parts = ops.matmul_fixed_t_many(s, [(f, r) for f in blocks], truncated=False)
    return ops.concatenate([r.sum().reshape(1).shift_left(X_BITS), *parts])


def logits(s: Session, blocks: Sequence[FixedMatrix], w: AShare) -> AShare:
    """b + X w: (rows,), X_BITS + W_BITS fraction bits; nothing is truncated. One round."""
    pairs, at = [], 1
    for f in blocks:
        pairs.append((f, w[at : at + f.shape[1]]))
        at += f.shape[1]
    z = w[:1].shift_left(X_BITS)
    for product in ops.matmul_fixed_many(s, pairs, truncated=False):
        z = product + z
    return z


def mean_squared_error(s: Session, inputs: Inputs, w: AShare) -> float:
    """The mean of (p - y)² over the training rows, told to all."""
    r = ops.sigmoid(s, logits(s, inputs.blocks, w), frac_bits=P_BITS) - inputs.y
    if inputs.member is not None:
        r = ops.mul(s, inputs.member, r)
    return float(ops.open(s, ops.dot(s, r, r).reshape(1))[0]) / inputs.count

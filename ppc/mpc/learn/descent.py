"""Steps of gradient descent on shares: an update in one truncation, momentum, L1 and L2, and when to stop.

An update is carried with UPDATE_BITS fraction bits before it is truncated to those of the weights, so that a step that
is far smaller than a weight still counts: |update| < 2**(62 - 58) = 16.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.core.rng import Stream
from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

W_BITS: Final = 22  # fraction bits of weights
UPDATE_BITS: Final = 58


def times(x: AShare, factor: ArrayLike, bits: int = UPDATE_BITS) -> AShare:
    """x by public numbers, with `bits` fraction bits; nothing is truncated."""
    extra = bits - x.frac_bits
    words = np.rint(np.asarray(factor, np.float64) * 2.0**extra).astype(np.int64).view(np.uint64)
    return x.scale(words, extra)


def soften(s: Session, w: AShare, threshold: float) -> AShare:
    """The proximal step of L1: each weight moves towards 0 by `threshold`, and stays there. 4 rounds."""
    return w - ops.clip(s, w, -threshold, threshold)


def l1_threshold(l1: float, rate: float, momentum: float) -> float:
    """How far the proximal step of L1 moves a weight: its fixed points are then the minima of loss + l1 |w|.

    With momentum a constant gradient g moves a weight by rate · g / (1 - momentum) a step, so a weight rests away from
    0 if that is the threshold, |g| = l1; without the divisor the penalty would count 1 - momentum times.
    """
    return rate * l1 / (1.0 - momentum)


def settled(s: Session, change: AShare, tolerance: float) -> bool:
    """Whether no element moved by more than `tolerance`: one bit, told to all. About 8 rounds on a few numbers."""
    both = ops.concatenate([change - tolerance, -change - tolerance])
    moved = ops.b2a(s, ~ops.less_than_zero(s, both)).sum().reshape(1)
    return bool(ops.open_bits(s, ops.less_than_zero(s, moved - 1))[0])


def batches(rows: int, size: int) -> list[slice]:
    """Runs of rows, all of one size: where they do not divide evenly, neighbours share a row."""
    count = max(1, round(rows / size))
    length = -(-rows // count)
    return [slice(int(a), int(a) + length) for a in np.linspace(0, rows - length, count).astype(np.int64)]


def visits(count: int, epochs: int, seed: int) -> list[NDArray[np.int64]]:
    """For each epoch a public order of the batches, the same at every party."""
    stream = Stream(seed.to_bytes(16, "little")).derive("batches")
    return [stream.permutation(count) for _ in range(epochs)]

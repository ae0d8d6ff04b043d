"""Between numbers and bits in the clear, and the exact sigmoid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppc.mpc.plain import boolean
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare


def less_than_zero(s: Session, x: AShare, thresholds: Sequence[int]) -> list[BShare]:
    """x - t < 0 in the ring, for each threshold. Cost: none."""
    return [boolean.share(s.ring.is_negative(x.parts[0] - s.ring.word(t))) for t in thresholds]


def b2a(s: Session, x: BShare) -> AShare:
    """0 and 1. Cost: none."""
    return AShare((s.ring.of_integers(boolean.flags(x)),), 0, 0)


def bit_mul(s: Session, bit: BShare, x: AShare) -> AShare:
    """bit * x. Cost: none."""
    return AShare((s.ring.of_integers(boolean.flags(bit)) * x.parts[0],), x.frac_bits, 0)


def sigmoid(s: Session, x: AShare, frac_bits: int) -> AShare:
    """1 / (1 + exp(-x)), rounded. Cost: none."""
    values = s.ring.to_floats(x.parts[0]) / 2.0**x.frac_bits
    exact = 0.5 * (1.0 + np.tanh(0.5 * values))
    return AShare((s.fx.of(frac_bits).encode(exact),), frac_bits, 0)

"""Exact rounding. `truncate` is off by less than one unit; here the result is the floor itself, whatever the value."""

from __future__ import annotations

from ppc.errors import ConfigError
from ppc.mpc.ops.arithmetic import truncate
from ppc.mpc.ops.compare import b2a, less_than_zero
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare


def truncate_exact(s: Session, x: AShare, drop: int) -> AShare:
    """floor(x / 2**drop) in ring units, with `drop` fraction bits fewer: never off, for every x within ±2**62.

    `truncate` gives the floor or one more; one comparison with x says which.

    Cost: 5 rounds, 21.125 n bytes. Threat: the engine's. Leaks: the shape.
    Source: as `truncate`; the correction is Catrina, de Hoogh (SCN 2010) §3, "exact truncation".
    """
    if not 0 <= drop <= 61:
        raise ConfigError(f"a truncation drops 0 to 61 bits, not {drop}")
    if not drop:
        return x
    y = truncate(s, x, drop)
    too_large = less_than_zero(s, x - y.shift_left(drop))
    return y - b2a(s, too_large).reinterpret(y.frac_bits)


def floor(s: Session, x: AShare) -> AShare:
    """The largest integer not above x, as integers (frac_bits 0). Exact. Cost: 5 rounds, 21.125 n bytes."""
    return truncate_exact(s, x, x.frac_bits)


def ceil(s: Session, x: AShare) -> AShare:
    """The smallest integer not below x, as integers. Exact. Cost: as `floor`."""
    return -floor(s, -x)


def round_half_up(s: Session, x: AShare) -> AShare:
    """The nearest integer, as integers; halves go up (NumPy's go to the even one). Exact. Cost: as `floor`."""
    return floor(s, x + 0.5) if x.frac_bits else x

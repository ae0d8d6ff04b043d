"""Smooth functions of secret numbers, with their measured errors."""

from __future__ import annotations

from ppc.errors import ConfigError
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare


def sigmoid(s: Session, x: AShare, *, frac_bits: int | None = None) -> AShare:
    """1 / (1 + exp(-x)), within 1e-3 for every x in the ring, with the session's fraction bits (or `frac_bits`).

    x may carry more fraction bits than the session has (an untruncated product, up to 40): it is taken as it is.
    """
    if not 0 < x.frac_bits <= 40:
        raise ConfigError(f"sigmoid takes shares of 1 to 40 fraction bits, not {x.frac_bits}")
    return s.engine.sigmoid(s, x, s.fx.frac_bits if frac_bits is None else frac_bits)

"""Truncation between two parties, without gross error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.mpc.additive.arithmetic import wrap
from ppc.mpc.pairwise.conversion import bit_across
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]

_OFFSET: Final = np.uint64(1 << 62)
_TOP: Final = np.uint64(63)


def truncate(s: Session, xs: Sequence[AShare], drop: int) -> list[AShare]:
    """[x / 2**drop], rounded down or up (up with the odds of the fraction dropped): off by less than one unit.

    u = x + 2**62 lies in [0, 2**63) and is a + b modulo 2**64, with a = x_0 + 2**62 and b = x_1. floor(a / 2**f) +
    ceil(b / 2**f) is u / 2**f, off by less than one, and too large by w 2**(64 - f) if a + b wrapped. Because u has no
    top bit, w is the OR of the top bits p of a and q of b: p + q - p q, one product of two bits, modulo 2**f. So there
    is no gross error, for every x within ±2**62.

    Cost: 2 rounds, n / 16 bytes and half a word of f bits (2, 4 or 8 bytes) an element, n / 2 transfers each way.
    Threat: semi-honest. Leaks: the shape.
    Source: Rathee and others, SiRNN (IEEE S&P 2021), §4.
    """
    n = sum(x.size for x in xs)
    if not n:
        return [wrap(s, x.parts[0], x.frac_bits - drop) for x in xs]
    f, lift = np.uint64(drop), np.uint64(64 - drop)
    narrow: Any = np.uint16 if drop <= 16 else np.uint32 if drop <= 32 else np.uint64
    flat = np.concatenate([x.parts[0].reshape(-1) for x in xs]) if len(xs) > 1 else xs[0].parts[0].reshape(-1)
    if s.rank == 0:
        flat = flat + _OFFSET
    top = flat >> _TOP
    words = flat >> f
    if s.rank == 0:
        words -= np.uint64(1 << (62 - drop))
    else:
        words += (flat & np.uint64((1 << drop) - 1)) != 0
    words -= top << lift
    words += bit_across(s, "truncate", top, narrow) << lift
    out, at = [], 0
    for x in xs:
        out.append(wrap(s, words[at : at + x.size].reshape(x.shape), x.frac_bits - drop))
        at += x.size
    return out

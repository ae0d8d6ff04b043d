"""Truncation of replicated shares without gross error and without anything prepared beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.mpc.replicated.sharing import ALONE, LEFT, give, join, known_left, wrap
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]

_OFFSET: Final = np.uint64(1 << 62)
_TOP: Final = np.uint64(63)


def truncate(s: Session, xs: Sequence[AShare], drop: int) -> list[AShare]:
    """[x / 2**drop], rounded down or up (up with the odds of the fraction dropped): off by less than one unit.

    u = x + 2**62 lies in [0, 2**63) and is a + b modulo 2**64, with a = x_0 + 2**62 known to parties 0 and 2, and b =
    x_1 + x_2 known to party 1. Then floor(a / 2**f) + ceil(b / 2**f) is u / 2**f, off by less than one, and too large
    by w 2**(64 - f) if a + b wrapped. Because u has no top bit, w is the OR of the top bits p of a and q of b: p + q -
    p q, where p q is the product of a bit that two parties know with one that the third knows. So there is no gross
    error, for every x within ±2**62. w is needed modulo 2**f only, so it travels in 32-bit words if f allows.

    Cost: 2 rounds; party 1 sends 12 n bytes, parties 0 and 2 send 4 n (16 n and 8 n if f > 32).
    Threat: semi-honest. Leaks: the shape.
    Source: the carry from top bits when the value's own is known: Rathee and others, SiRNN (IEEE S&P 2021), here with
    ABY3's split into two summands (CCS 2018, §5.1) and the product by replicated shares.
    """
    n = sum(x.size for x in xs)
    if not n:
        return [wrap(s, (x.parts[0], x.parts[1]), x.frac_bits - drop) for x in xs]
    f, lift = np.uint64(drop), np.uint64(64 - drop)
    narrow: Any = np.uint32 if drop <= 32 else np.uint64
    if s.rank == ALONE:
        b = _flat([x.parts[0] + x.parts[1] for x in xs])
        q = b >> _TOP
        rest = (b >> f) + ((b & np.uint64((1 << drop) - 1)) != 0) - (q << lift)
        (y1, y2), _ = give(s, "truncate", ALONE, [rest, q.astype(narrow)])
        c1, c2 = join(s, "truncate/carry", np.empty(n, narrow))
        return _split(s, xs, y1 + _lifted(c1, lift), y2 + _lifted(c2, lift), drop)
    a = _flat([p for x in xs if (p := known_left(s, x)) is not None]) + _OFFSET
    top = a >> _TOP
    known = (a >> f) - (top << lift) - np.uint64(1 << (62 - drop))
    y, q_part = give(s, "truncate", ALONE, [np.empty(n, np.uint64), np.empty(n, narrow)])
    mine = 1 if s.rank == LEFT else 0  # party 0 holds component 1 of what party 1 gave, party 2 component 2
    c = join(s, "truncate/carry", q_part[mine] * top.astype(narrow))
    out = [y[i] + _lifted(c[i], lift) for i in (0, 1)]
    out[1 - mine] += known
    return _split(s, xs, out[0], out[1], drop)


def _lifted(c: Any, lift: np.uint64) -> Words:
    words: Words = c.astype(np.uint64) << lift
    return words


def _flat(parts: Sequence[Words]) -> Words:
    return np.concatenate([p.reshape(-1) for p in parts]) if len(parts) > 1 else parts[0].reshape(-1)


def _split(s: Session, xs: Sequence[AShare], a: Words, b: Words, drop: int) -> list[AShare]:
    out, at = [], 0
    for x in xs:
        cut = slice(at, at + x.size)
        out.append(wrap(s, (a[cut].reshape(x.shape), b[cut].reshape(x.shape)), x.frac_bits - drop))
        at += x.size
    return out

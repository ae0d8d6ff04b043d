"""Truncation of replicated shares without gross error and without anything prepared beforehand.

u = x + 2**62 lies in [0, 2**63) and is a + b modulo 2**64, with a known to parties 0 and 2, and b to party 1. Then
floor(a / 2**f) + ceil(b / 2**f) is u / 2**f, off by less than one, and too large by w 2**(64 - f) if a + b wrapped.
Because u has no top bit, w is the OR of the top bits p of a and q of b: p + q - p q, where p q is the product of a bit
that two parties know with one that the third knows. So there is no gross error, for every x within ±2**62. w is needed
modulo 2**f only, so it travels in 32-bit words if f allows. (In Z_2^128: 126 for 62, and so on.)

Source: the carry from top bits when the value's own is known: Rathee and others, SiRNN (IEEE S&P 2021), here with
ABY3's split into two summands (CCS 2018, §5.1) and the product by replicated shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core.wide import Wide
from ppc.mpc.replicated.sharing import ALONE, LEFT, RIGHT, draw, give, join, known_left, wrap
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]

_NAME: Final = "truncate"


def truncate(s: Session, xs: Sequence[AShare], drop: int) -> list[AShare]:
    """[x / 2**drop], rounded down or up (up with the odds of the fraction dropped): off by less than one unit.

    a = x_0 + 2**62 and b = x_1 + x_2; see the module.

    Cost: 2 rounds; party 1 sends 12 n bytes, parties 0 and 2 send 4 n (16 n and 8 n if f > 32).
    Threat: semi-honest. Leaks: the shape. Source: see the module.
    """
    n = sum(x.size for x in xs)
    if not n:
        return [wrap(s, (x.parts[0], x.parts[1]), x.frac_bits - drop) for x in xs]
    if s.rank == ALONE:
        given = _alone(s, _flat([x.parts[0] + x.parts[1] for x in xs]), drop)
        y, q = give(s, _NAME, ALONE, given)
        out = _joined(s, y, q, None, drop)
    else:
        a = _flat([p for x in xs if (p := known_left(s, x)) is not None])
        y, q = give(s, _NAME, ALONE, _like(s, n, drop))
        out = _joined(s, y, q, a, drop)
    return _split(s, xs, out[0], out[1], drop)


def truncate_summands(s: Session, name: str, z: Words, drop: int) -> tuple[Words, Words]:
    """The components of (z_0 + z_1 + z_2) / 2**drop, flat, for masked summands of which each party knows its own.

    Parties 0 and 2 tell each other theirs, so a = z_0 + z_2 + 2**62; b = z_1, which nobody needs to hear. Party 1's
    z_1 holds a share of zero of which both others lack one key, so a alone is uniform to them.

    Cost: 2 rounds, 12 n bytes from each party (16 n if f > 32): one round and 8 n bytes of party 1 fewer than a product
    that is shared first and then truncated. Threat: semi-honest. Leaks: the shape. Source: see the module.
    """
    like = _like(s, z.size, drop)
    number = s.next_id()
    if s.rank == LEFT:
        came = s.transfer(name, {RIGHT: [z]}, {RIGHT: [z], ALONE: like})
        y, q = ((np.zeros_like(v), v) for v in came[ALONE])
        return _joined(s, y, q, z + came[RIGHT][0], drop)
    stream = s.shared_stream(RIGHT if s.rank == ALONE else ALONE, number)
    drawn = [draw(stream, v) for v in like]
    if s.rank == ALONE:
        rest = [v - d for v, d in zip(_alone(s, z, drop), drawn, strict=True)]
        s.transfer(name, {LEFT: rest}, {})
        return _joined(s, (rest[0], drawn[0]), (rest[1], drawn[1]), None, drop)
    ((theirs,),) = s.transfer(name, {LEFT: [z]}, {LEFT: [z]}).values()
    y, q = ((v, np.zeros_like(v)) for v in drawn)
    return _joined(s, y, q, z + theirs, drop)


def _like(s: Session, n: int, drop: int) -> list[Words]:
    """Arrays of the types that party 1 gives: numbers of the ring, and w modulo 2**drop in the narrowest words."""
    narrow: Any = np.uint32 if drop <= 32 else np.uint64
    return [s.ring.zeros(n), s.ring.zeros(n) if drop > 64 else np.zeros(n, narrow)]


def _alone(s: Session, b: Words, drop: int) -> list[Words]:
    """What party 1 gives: ceil(b / 2**f) - q 2**(64 - f), and q."""
    top, f = np.uint64(s.ring.bits - 1), np.uint64(drop)
    q = b >> top
    up = s.ring.word((1 << drop) - 1)
    carried = (b >> f) + (((b & up) + up) >> f)  # the dropped part is not 0: it and 2**f - 1 reach 2**f
    return [carried - (q << np.uint64(s.ring.bits - drop)), _narrow(s, q, drop)]


def _narrow(s: Session, q: Words, drop: int) -> Any:
    if drop > 64:
        return q
    return s.ring.limbs(q).reshape(q.size, -1)[:, 0].astype(np.uint32 if drop <= 32 else np.uint64)


def _joined(
    s: Session, y: tuple[Words, Words], q: tuple[Words, Words], a: Words | None, drop: int
) -> tuple[Words, Words]:
    """The components, from those of what party 1 gave and, at parties 0 and 2, from a without its 2**62."""
    lift = np.uint64(s.ring.bits - drop)
    if a is None:
        c = join(s, f"{_NAME}/carry", q[0])
        return y[0] + _lifted(s, c[0], lift), y[1] + _lifted(s, c[1], lift)
    a = a + s.ring.word(1 << (s.ring.bits - 2))
    top = a >> np.uint64(s.ring.bits - 1)
    mine = 1 if s.rank == LEFT else 0  # party 0 holds component 1 of what party 1 gave, party 2 component 2
    c = join(s, f"{_NAME}/carry", q[mine] * _narrow(s, top, drop))
    out = [y[i] + _lifted(s, c[i], lift) for i in (0, 1)]
    out[1 - mine] += (a >> np.uint64(drop)) - (top << lift) - s.ring.word(1 << (s.ring.bits - 2 - drop))
    return out[0], out[1]


def _lifted(s: Session, c: Any, lift: np.uint64) -> Words:
    words: Words = c if isinstance(c, Wide) else s.ring.of_integers(c)
    return words << lift


def _flat(parts: Sequence[Words]) -> Words:
    return np.concatenate([p.reshape(-1) for p in parts]) if len(parts) > 1 else parts[0].reshape(-1)


def _split(s: Session, xs: Sequence[AShare], a: Words, b: Words, drop: int) -> list[AShare]:
    out, at = [], 0
    for x in xs:
        cut = slice(at, at + x.size)
        out.append(wrap(s, (a[cut].reshape(x.shape), b[cut].reshape(x.shape)), x.frac_bits - drop))
        at += x.size
    return out

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
from ppc.mpc.replicated import _kernels, twins
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
        out = _lifted(s, y[0], y[1], join(s, f"{_NAME}/carry", q[0]), drop)
    else:
        a = np.array(_flat([p for x in xs if (p := known_left(s, x)) is not None]), order="C", subok=True)
        mine = 1 if s.rank == LEFT else 0
        out = _joined(s, [pair[mine] for pair in give(s, _NAME, ALONE, _like(s, n, drop))], a, drop)
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
        return _joined(s, came[ALONE], np.add(came[RIGHT][0], z), drop)
    stream = s.shared_stream(RIGHT if s.rank == ALONE else ALONE, number)
    drawn = [draw(stream, v) for v in like]
    if s.rank == ALONE:
        rest = _alone(s, z, drop)
        for v, d in zip(rest, drawn, strict=True):
            np.subtract(v, d, out=v)
        s.transfer(name, {LEFT: rest}, {})
        return _lifted(s, rest[0], drawn[0], join(s, f"{_NAME}/carry", like[1]), drop)
    ((theirs,),) = s.transfer(name, {LEFT: [z]}, {LEFT: [z]}).values()
    return _joined(s, drawn, np.add(theirs, z), drop)


def _like(s: Session, n: int, drop: int) -> list[Words]:
    """Arrays of the types that party 1 gives: numbers of the ring, and w modulo 2**drop in the narrowest words."""
    narrow: Any = np.uint32 if drop <= 32 else np.uint64
    if s.ring.bits == 64:
        return [np.empty(n, np.uint64), np.empty(n, narrow)]
    return [s.ring.zeros(n), s.ring.zeros(n) if drop > 64 else np.empty(n, narrow)]


def _alone(s: Session, b: Words, drop: int) -> list[Words]:
    """What party 1 gives: ceil(b / 2**f) - q 2**(64 - f), and q."""
    y, q = _like(s, b.size, drop)
    if s.ring.bits == 64:
        _kernels.alone(np.ascontiguousarray(b), drop, y, q)
        return [y, q]
    y, top = twins.alone(b, drop)
    return [y, _narrow(s, top, q)]


def _narrow(s: Session, top: Words, like: Any) -> Any:
    """The lowest bits of ring elements, in words like these."""
    if isinstance(like, Wide):
        return top
    return s.ring.limbs(top).reshape(top.size, -1)[:, 0].astype(like.dtype)


def _joined(s: Session, given: Sequence[Any], a: Words, drop: int) -> tuple[Words, Words]:
    """The components at parties 0 and 2, from what party 1 gave to each and from a without its 2**62.

    All three arrays are this call's to write into.
    """
    y, q = given
    if s.ring.bits == 64:
        known, product = a, q
        _kernels.together(a, q, drop, known, product)
    else:
        known, top = twins.together(a, drop)
        product = q * _narrow(s, top, q)
    c = join(s, f"{_NAME}/carry", product)
    # Party 0 holds component 1 of what party 1 gave, party 2 component 2; component 0 is what both know.
    return _lifted(s, known, y, c, drop) if s.rank == LEFT else _lifted(s, y, known, c, drop)


def _lifted(s: Session, own: Words, other: Words, c: tuple[Any, Any], drop: int) -> tuple[Words, Words]:
    """The components with w 2**(64 - f) added, in place where they are."""
    by = s.ring.bits - drop
    if s.ring.bits == 64:
        _kernels.lift(own, c[0], by)
        _kernels.lift(other, c[1], by)
        return own, other
    w = [v if isinstance(v, Wide) else s.ring.of_integers(v) for v in c]
    return own + (w[0] << np.uint64(by)), other + (w[1] << np.uint64(by))


def _flat(parts: Sequence[Words]) -> Words:
    return np.concatenate([p.reshape(-1) for p in parts]) if len(parts) > 1 else parts[0].reshape(-1)


def _split(s: Session, xs: Sequence[AShare], a: Words, b: Words, drop: int) -> list[AShare]:
    out, at = [], 0
    for x in xs:
        cut = slice(at, at + x.size)
        out.append(wrap(s, (a[cut].reshape(x.shape), b[cut].reshape(x.shape)), x.frac_bits - drop))
        at += x.size
    return out

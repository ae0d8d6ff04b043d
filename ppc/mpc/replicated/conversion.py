"""Between numbers and bits in replicated shares: comparison, and bits as numbers and as switches.

All begin in the same way: x = a + b with a = x_0 known to parties 0 and 2, and b = x_1 + x_2 known to party 1. What two
parties know is a share already (component 0); party 1 gives the other summand. Source: ABY3 (CCS 2018), §5.3 and §5.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.mpc.replicated import arithmetic
from ppc.mpc.replicated.boolean import and_words
from ppc.mpc.replicated.sharing import ALONE, LEFT, RIGHT, give, join, known_left, public, wrap, wrap_bits
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

Words: TypeAlias = NDArray[np.uint64]
Pair: TypeAlias = tuple[Words, Words]

_LOW: Final = 63  # bits below the sign


def less_than_zero(s: Session, x: AShare, thresholds: Sequence[int]) -> list[BShare]:
    """[x < t] for each public threshold t, in ring units.

    The sign of a + b, with a = x_0 - t, is the XOR of both top bits and of the carry out of the 63 lower ones. Party 1
    shares the bits of b once; the products of single bits come from what parties 0 and 2 hold; then (generate,
    propagate) of neighbours merge, 63 into 32, 16, 8, 4, 2, 1. All thresholds share the rounds.

    Cost: 8 rounds; for J thresholds party 1 sends (8 + 14.75 J) n bytes, parties 0 and 2 send 22.625 J n.
    Threat: semi-honest. Leaks: the shape.
    Source: ABY3 (CCS 2018) §5.3; the tree without the propagate of the lowest group: Brent, Kung (1982).
    """
    if not x.size:
        return [wrap_bits(s, public(s, np.zeros(0, np.uint64)), x.shape) for _ in thresholds]
    m = bits.words_for(x.size)
    if s.rank == ALONE:
        given = bits.slice_bits((x.parts[0] + x.parts[1]).reshape(-1))
    else:
        given = np.empty((64, m), np.uint64)
    (b,) = give(s, "compare/bits", ALONE, [given], xor=True)
    propagate, generate = _first_level(s, x, thresholds, b, m)
    carry = _carry(s, generate, (propagate[0][:, 1:_LOW], propagate[1][:, 1:_LOW]))
    sign = tuple(p[:, _LOW] ^ c for p, c in zip(propagate, carry, strict=True))
    return [wrap_bits(s, (sign[0][j], sign[1][j]), x.shape) for j in range(len(thresholds))]


def _first_level(s: Session, x: AShare, thresholds: Sequence[int], b: Pair, m: int) -> tuple[Pair, Pair]:
    """Components of a ^ b (J, 64, m) and of a & b (J, 63, m)."""
    shape = (len(thresholds), 64, m)
    known = known_left(s, x)
    if known is None:
        generate = join(s, "compare/and", np.empty((shape[0], _LOW, m), np.uint64), xor=True)
        return (np.broadcast_to(b[0], shape), np.broadcast_to(b[1], shape)), generate
    flat = known.reshape(-1)
    a = np.stack([bits.slice_bits(flat - np.uint64(t % 2**64)) for t in thresholds])
    mine = np.broadcast_to(b[1 if s.rank == LEFT else 0], shape)
    generate = join(s, "compare/and", a[:, :_LOW] & mine[:, :_LOW], xor=True)
    return ((a, mine) if s.rank == LEFT else (mine, a)), generate


def _carry(s: Session, g: Pair, p: Pair) -> Pair:
    """The carry out of all groups (J, m), from g (J, k, m) and p (J, k - 1, m), which lacks the lowest group."""
    while (k := g[0].shape[1]) > 1:
        n = k // 2
        left = tuple(np.concatenate([c[:, 0 : 2 * n - 1 : 2], c[:, 2 : 2 * n - 1 : 2]], axis=1) for c in p)
        right = tuple(
            np.concatenate([c[:, 0 : 2 * n : 2], d[:, 1 : 2 * n - 2 : 2]], axis=1) for c, d in zip(g, p, strict=True)
        )
        z = and_words(s, f"compare/{k}", left, right)
        g, p = (
            _pair(np.concatenate([c[:, 1 : 2 * n : 2] ^ d[:, :n], c[:, 2 * n :]], axis=1) for c, d in _both(g, z)),
            _pair(np.concatenate([d[:, n:], c[:, 2 * n - 1 :]], axis=1) for c, d in _both(p, z)),
        )
    return g[0][:, 0], g[1][:, 0]


def _both(x: Pair, y: Pair) -> zip[tuple[Words, Words]]:
    return zip(x, y, strict=True)


def _pair(arrays: Iterable[Words]) -> Pair:
    a, b = arrays
    return a, b


def b2a(s: Session, x: BShare) -> AShare:
    """[v] as integers: v = p ^ q = p + q - 2 p q, with p = v_0 known to parties 0 and 2, q = v_1 ^ v_2 to party 1.

    Cost: 2 rounds, 8 n bytes. Threat: semi-honest. Leaks: the shape. Source: ABY3 (CCS 2018), §5.4.
    """
    n = x.size
    if not n:
        return wrap(s, public(s, np.zeros(x.shape, np.uint64)), 0)
    if s.rank == ALONE:
        give(s, "b2a", ALONE, [bits.unpack(x.parts[0] ^ x.parts[1], n).astype(np.uint64)])
        parts = join(s, "b2a/join", np.empty(n, np.uint64))
    else:
        own = 0 if s.rank == LEFT else 1
        p = bits.unpack(x.parts[own], n).astype(np.uint64)
        (q,) = give(s, "b2a", ALONE, [np.empty(n, np.uint64)])
        z = q[1 - own]
        z = z - ((p * z) << np.uint64(1))
        if s.rank == RIGHT:
            z += p
        parts = join(s, "b2a/join", z)
    return wrap(s, (parts[0].reshape(x.shape), parts[1].reshape(x.shape)), 0)


def bit_mul(s: Session, bit: BShare, x: AShare) -> AShare:
    """[b x]: the bit as an integer, times x. Cost: 3 rounds, 16 n bytes. Threat: semi-honest. Leaks: the shape."""
    return arithmetic.mul(s, b2a(s, bit), x)

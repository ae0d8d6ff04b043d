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

AT_ONCE: Final = 32 << 20  # bytes of bits that are held at the same time, 24 + 48 J for each element


def less_than_zero(s: Session, x: AShare, thresholds: Sequence[int]) -> list[BShare]:
    """[x < t] for each public threshold t, in ring units.

    The sign of a + b, with a = x_0 - t, is the XOR of both top bits and of the carry out of the 63 lower ones. Party 1
    shares the bits of b once; the products of single bits come from what parties 0 and 2 hold; then (generate,
    propagate) of neighbours merge, 63 into 32, 16, 8, 4, 2, 1. All thresholds share the rounds.

    Cost: 8 rounds; for J thresholds party 1 sends (8 + 14.75 J) n bytes, parties 0 and 2 send 22.625 J n. In Z_2^128 9
    rounds and about twice the bytes. The rounds are paid anew for every 32 MiB of bits (466,000 elements
    and one threshold), so that no more of them is held at a time.
    Threat: semi-honest. Leaks: the shape.
    Source: ABY3 (CCS 2018) §5.3; the tree without the propagate of the lowest group: Brent, Kung (1982).
    """
    flat = x.ravel()
    runs = -(-x.size * (24 + 48 * len(thresholds)) * s.ring.limbs_each // AT_ONCE) or 1
    step = -(-x.size // (64 * runs)) * 64 or 64
    out: list[list[Pair]] = [[(np.zeros(0, np.uint64),) * 2] for _ in thresholds]
    for at in range(0, x.size, step):
        a, b = _compare(s, flat[at : at + step], thresholds)
        for j, words in enumerate(out):
            words.append((a[j], b[j]))
    return [wrap_bits(s, _pair(np.concatenate(c) for c in zip(*words, strict=True)), x.shape) for words in out]


def _compare(s: Session, x: AShare, thresholds: Sequence[int]) -> Pair:
    """Components of [x < t], packed, (J, m), for elements (n,)."""
    last = s.ring.bits - 1
    if s.rank == ALONE:
        given = s.ring.slice_bits(x.parts[0] + x.parts[1])
    else:
        given = np.empty((last + 1, bits.words_for(x.size)), np.uint64)
    (b,) = give(s, "compare/bits", ALONE, [given], xor=True)
    propagate, generate = _first_level(s, x, thresholds, b)
    carry = _carry(s, generate, (propagate[0][:, 1:last], propagate[1][:, 1:last]))
    return _pair(p[:, last] ^ c for p, c in zip(propagate, carry, strict=True))


def _first_level(s: Session, x: AShare, thresholds: Sequence[int], b: Pair) -> tuple[Pair, Pair]:
    """Components of a ^ b (J, 64, m) and of a & b (J, 63, m)."""
    last, m = len(b[0]) - 1, b[0].shape[1]
    shape = (len(thresholds), last + 1, m)
    known = known_left(s, x)
    if known is None:
        generate = join(s, "compare/and", np.empty((shape[0], last, m), np.uint64), xor=True)
        return (np.broadcast_to(b[0], shape), np.broadcast_to(b[1], shape)), generate
    a = np.stack([s.ring.slice_bits(known - s.ring.word(t)) for t in thresholds])
    mine = np.broadcast_to(b[1 if s.rank == LEFT else 0], shape)
    generate = join(s, "compare/and", a[:, :last] & mine[:, :last], xor=True)
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
        return wrap(s, public(s, s.ring.zeros(x.shape)), 0)
    if s.rank == ALONE:
        give(s, "b2a", ALONE, [s.ring.of_integers(bits.unpack(x.parts[0] ^ x.parts[1], n))])
        parts = join(s, "b2a/join", s.ring.zeros(n))
    else:
        own = 0 if s.rank == LEFT else 1
        p = s.ring.of_integers(bits.unpack(x.parts[own], n))
        (q,) = give(s, "b2a", ALONE, [s.ring.zeros(n)])
        z = q[1 - own]
        z = z - ((p * z) << np.uint64(1))
        if s.rank == RIGHT:
            z += p
        parts = join(s, "b2a/join", z)
    return wrap(s, (parts[0].reshape(x.shape), parts[1].reshape(x.shape)), 0)


def bit_mul(s: Session, bit: BShare, x: AShare) -> AShare:
    """[b x]: the bit as an integer, times x. Cost: 3 rounds, 16 n bytes. Threat: semi-honest. Leaks: the shape."""
    return arithmetic.mul(s, b2a(s, bit), x)

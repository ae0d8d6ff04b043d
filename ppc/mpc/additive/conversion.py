"""Between numbers and bits in additive shares: comparison, and bits as numbers and as switches.

Costs are what each party sends to each other party, for n elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.mpc.additive import _kernels, arithmetic, boolean
from ppc.mpc.correlations.comparison import Comparison
from ppc.mpc.correlations.kinds import DaBit, Injection
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

Words: TypeAlias = NDArray[np.uint64]


def less_than_zero(s: Session, x: AShare, thresholds: Sequence[int]) -> list[BShare]:
    """[x < t] for each public threshold t, in ring units.

    c = x + r is opened, with the bits of r shared. The top bit of x - t = (c - t) - r is the XOR of the top bits of c
    - t and r and of the borrow [low63(c - t) < low63(r)], which takes two more levels; see
    `ppc.mpc.correlations.comparison`. All thresholds share the opening and the rounds.

    Cost: 3 rounds, 8 n bytes and 5 n for each threshold (bits are packed, 64 elements at a time).
    Threat: semi-honest. Leaks: the shape.
    Source: Escudero, Ghosh, Keller, Rachuri, Scholl (CRYPTO 2020); ABY2.0 (USENIX Security 2021).
    """
    if not x.size:
        return [boolean.wrap(s, np.zeros(0, np.uint64), x.shape) for _ in thresholds]
    rows, mask2, mask3, r, nibble_products, products2, products3 = s.take(Comparison(x.size, len(thresholds)))
    (c,) = s.open_sum("compare", x.parts[0].reshape(-1) + r)
    level1, tops = compare_nibbles(s, c, thresholds, rows, nibble_products)
    (opened2,) = s.open_xor("compare/16", level1 ^ mask2)
    level2 = merge(s, opened2, mask2, products2)
    (opened3,) = s.open_xor("compare/4", level2 ^ mask3)
    level3 = merge(s, opened3, mask3, products3)
    return [boolean.wrap(s, level3[b, 0, 0] ^ top, x.shape) for b, top in enumerate(tops)]


def compare_nibbles(
    s: Session, c: Words, thresholds: Sequence[int], rows: Words, products: Words
) -> tuple[Words, list[Words]]:
    """Level 1, without a message: shares of (greater, equal), (branches, 2, 16, m), and of the XOR of the top bits."""
    mine = int(s.rank == 0)
    level = np.empty((len(thresholds), 2, 16, rows.shape[1]), np.uint64)
    tops = []
    for b, t in enumerate(thresholds):
        public = bits.slice_bits(c - np.uint64(t % 2**64))
        _kernels.nibbles(public, rows, products, mine, level[b])
        tops.append(rows[63] ^ public[63] if mine else rows[63])
    return level, tops


def merge(s: Session, opened: Words, masks: Words, products: Words) -> Words:
    """One level, without a message: shares of (G, P) for each four neighbours, (branches, 2, k, m)."""
    branches, _, groups, m = opened.shape
    out = np.zeros((branches, 2, groups // 4, m), np.uint64)
    for b in range(branches):
        _kernels.merge(opened[b], masks[b], products[b], int(s.rank == 0), groups == 4, out[b])
    return out


def b2a(s: Session, x: BShare) -> AShare:
    """[b] as a number: b ^ d is opened for a random bit d that is shared both ways.

    Cost: 1 round, n / 8 bytes. Threat: semi-honest. Leaks: the shape.
    Source: daBits, Rotaru, Wood (INDOCRYPT 2019).
    """
    if not x.size:
        return arithmetic.wrap(s, np.zeros(x.shape, np.uint64), 0)
    d, number = s.take(DaBit(x.size))
    (opened,) = s.open_xor("b2a", x.parts[0] ^ d)
    flags = bits.unpack(opened, x.size).astype(np.uint64)
    words = number - ((flags * number) << np.uint64(1))
    return arithmetic.wrap(s, (words + flags if s.rank == 0 else words).reshape(x.shape), 0)


def bit_mul(s: Session, bit: BShare, x: AShare) -> AShare:
    """[b x]: b ^ d and x + a are opened together, for a random bit d and mask a with a share of d a.

    With f = b ^ d and e = x + a: b = f + (1 - 2 f) d, so b x = f x + (1 - 2 f)(e d - d a).

    Cost: 1 round, 8 n + n / 8 bytes. Threat: semi-honest. Leaks: the shape.
    Source: bit injection, ABY3 (Mohassel, Rindal, CCS 2018) §5.4; here by a masked opening.
    """
    if not x.size:
        return x
    d, a, number, d_a = s.take(Injection(x.size))
    mine = x.parts[0].reshape(-1)
    tag = "bit_mul"
    sent_bits, sent = bit.parts[0] ^ d, mine + a
    for their_bits, theirs in s.exchange(tag, sent_bits, sent):
        sent_bits, sent = sent_bits ^ their_bits, sent + theirs
    words = inject(bits.unpack(sent_bits, x.size), sent, mine, number, d_a)
    return arithmetic.wrap(s, words.reshape(x.shape), x.frac_bits)


def inject(flags: NDArray[np.uint8], e: Words, x: Words, d: Words, d_a: Words) -> Words:
    """The share of b x, from the public f and e."""
    f = flags.astype(np.uint64)
    words = e * d
    words -= d_a
    words -= (f * words) << np.uint64(1)
    words += f * x
    return words

"""Between numbers and bits in additive shares: comparison, and bits as numbers and as switches.

Costs are what each party sends to each other party, for n elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.mpc.additive import _kernels, arithmetic, boolean
from ppc.mpc.correlations.comparison import Comparison, Parts
from ppc.mpc.correlations.kinds import DaBit, Injection
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

Words: TypeAlias = NDArray[np.uint64]


AT_ONCE: Final = 32 << 20  # bytes of correlations that are held at the same time, 40 + 20 J for each element


def less_than_zero(s: Session, x: AShare, thresholds: Sequence[int]) -> list[BShare]:
    """[x < t] for each public threshold t, in ring units.

    c = x + r is opened, with the bits of r shared. The top bit of x - t = (c - t) - r is the XOR of the top bits of c
    - t and r and of the borrow [low63(c - t) < low63(r)], which takes two more levels; see
    `ppc.mpc.correlations.comparison`. All thresholds share the opening and the rounds.

    Cost: 3 rounds, 8 n bytes and 5 n for each threshold (bits are packed, 64 elements at a time); in Z_2^128 4 rounds,
    16 n bytes and 10.5 n. The rounds are paid anew for every 32 MiB of randomness (560,000 elements and one threshold),
    so that no more of it is held at a time. Threat: semi-honest. Leaks: the shape.
    Source: Escudero, Ghosh, Keller, Rachuri, Scholl (CRYPTO 2020); ABY2.0 (USENIX Security 2021).
    """
    flat = x.parts[0].reshape(-1)
    runs = -(-x.size * (40 + 20 * len(thresholds)) * s.ring.limbs_each // AT_ONCE) or 1
    step = -(-x.size // (64 * runs)) * 64 or 64
    out: list[list[Words]] = [[np.zeros(0, np.uint64)] for _ in thresholds]
    for at in range(0, x.size, step):
        for words, more in zip(out, _compare(s, flat[at : at + step], thresholds), strict=True):
            words.append(more)
    return [boolean.wrap(s, np.concatenate(words), x.shape) for words in out]


def _compare(s: Session, x: Words, thresholds: Sequence[int]) -> list[Words]:
    """The packed bits of [x < t], for elements (n,)."""
    correlation = Comparison(x.size, len(thresholds), s.ring.bits)
    masked, parts = correlation.split(s.take(correlation))
    masked += x  # r is spent with it
    (c,) = s.open_sum("compare", masked)
    del masked
    ladder = Ladder(s, c, thresholds, parts)
    del c, parts  # the bits of r, most of what a comparison holds
    while ladder.pairs > 1:
        (opened,) = s.open_xor(f"compare/{ladder.pairs}", ladder.hidden())
        ladder.climb(opened)
    return ladder.signs()


class Ladder:
    """The comparison of c = x + r, which is open, with thresholds, level by level. It sends nothing: whoever drives it
    opens what `hidden` gives, with other things perhaps, and hands it to `climb` until there is one pair left.
    """

    def __init__(self, s: Session, c: Words, thresholds: Sequence[int], parts: Parts) -> None:
        self._mine = int(s.rank == 0)
        self._masks, self._products = list(parts.masks), list(parts.products)
        rows = parts.rows
        self._values = np.empty((len(thresholds), 2, len(rows) // 4, rows.shape[1]), np.uint64)
        self._tops = []
        for b, t in enumerate(thresholds):
            public = s.ring.slice_bits(c - s.ring.word(t) if t else c)
            _kernels.nibbles(public, rows, parts.nibble_products, self._mine, self._values[b])
            self._tops.append(rows[-1] ^ public[-1] if self._mine else rows[-1])

    @property
    def pairs(self) -> int:
        """How many pairs (greater, equal) are left."""
        return self._values.shape[2]

    def hidden(self) -> Words:
        """This party's share of all pairs under their masks."""
        return self._values ^ self._masks[0]

    def climb(self, opened: Words) -> None:
        """Merge neighbours, whose pairs are open under masks."""
        masks, products = self._masks.pop(0), self._products.pop(0)
        branches, _, pairs, m = opened.shape
        merged = np.zeros((branches, 2, max(1, pairs // 4), m), np.uint64)
        for b in range(branches):
            if pairs == 2:
                merged[b, 0, 0] = _merge_two(opened[b], masks[b], products[b, 0, 0], self._mine)
            else:
                _kernels.merge(opened[b], masks[b], products[b], self._mine, pairs == 4, merged[b])
        self._values = merged

    def signs(self) -> list[Words]:
        """This party's share of [x < t] for each threshold."""
        return [value[0, 0] ^ top for value, top in zip(self._values, self._tops, strict=True)]


def _merge_two(opened: Words, masks: Words, product: Words, mine: int) -> Words:
    """The share of g1 ^ p1 g0, from pairs (2, 2, m) open under masks and the share of the product of masks p1 g0."""
    (g0, g1), (_, p1) = masks
    (G0, G1), (_, P1) = opened
    share: Words = g1 ^ (P1 & g0) ^ (G0 & p1) ^ product
    return share ^ G1 ^ (P1 & G0) if mine else share


def b2a(s: Session, x: BShare) -> AShare:
    """[b] as a number: b ^ d is opened for a random bit d that is shared both ways.

    Cost: 1 round, n / 8 bytes. Threat: semi-honest. Leaks: the shape.
    Source: daBits, Rotaru, Wood (INDOCRYPT 2019).
    """
    if not x.size:
        return arithmetic.wrap(s, s.ring.zeros(x.shape), 0)
    d, number = s.take(DaBit(x.size, s.ring.bits))
    (opened,) = s.open_xor("b2a", x.parts[0] ^ d)
    flags = s.ring.of_integers(bits.unpack(opened, x.size))
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
    d, a, number, d_a = s.take(Injection(x.size, s.ring.bits))
    mine = x.parts[0].reshape(-1)
    tag = "bit_mul"
    sent_bits, sent = bit.parts[0] ^ d, mine + a
    for their_bits, theirs in s.exchange(tag, sent_bits, sent):
        sent_bits, sent = sent_bits ^ their_bits, sent + theirs
    words = inject(s.ring.of_integers(bits.unpack(sent_bits, x.size)), sent, mine, number, d_a)
    return arithmetic.wrap(s, words.reshape(x.shape), x.frac_bits)


def inject(f: Words, e: Words, x: Words, d: Words, d_a: Words) -> Words:
    """The share of b x, from the public f (0 or 1) and e."""
    words = e * d
    words -= d_a
    words -= (f * words) << np.uint64(1)
    words += f * x
    return words

"""The correlation behind a comparison: random bits with all the products that a log-depth comparison with them needs.

To learn whether c < r for a public c and a secret r of 63 bits, both are cut into 16 nibbles (32 for 127 bits). A
nibble of r enters through all products of its four bits, so that [r > c] and [r = c] of a nibble are sums of shares
with public coefficients. Four neighbours (g, p) = (greater, equal) merge into one by

    G = g3 ^ p3 g2 ^ p3 p2 g1 ^ p3 p2 p1 g0,    P = p3 p2 p1 p0

where every g and p has been opened under a mask once, and the products of those masks are part of the correlation. So
each level costs one round and one bit a value. 64 bits need two levels: 16 nibbles, 4, 1; and 128 bits three: 32, 8,
2, 1, where the last one merges a pair by G = g1 ^ p1 g0.

Source: edaBits (Escudero, Ghosh, Keller, Rachuri, Scholl, CRYPTO 2020) for the masked opening; masked wires with
multi-input gates: ABY2.0 (Patra, Schneider, Suresh, Yalame, USENIX Security 2021), §3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits, ring
from ppc.mpc.correlations.kinds import _Numbers
from ppc.mpc.correlations.source import Field, Masks

Words: TypeAlias = NDArray[np.uint64]

# Products of two or more bits of a nibble, as index sets: 6 pairs, 4 triples, 1 quadruple.
NIBBLE_PRODUCTS: Final = tuple(c for k in (2, 3, 4) for c in combinations(range(4), k))

# Products of masks that a merge needs; 0 … 3 stand for g0 … g3, 4 … 7 for p0 … p3.
MERGE_PRODUCTS: Final = (
    (7, 2), (7, 1), (6, 1), (7, 0), (6, 0), (5, 0), (7, 6), (7, 5), (6, 5),
    (7, 6, 1), (7, 6, 0), (7, 5, 0), (6, 5, 0), (7, 6, 5), (7, 6, 5, 0),
    (7, 4), (6, 4), (5, 4), (7, 6, 4), (7, 5, 4), (6, 5, 4), (7, 6, 5, 4),
)  # fmt: skip
LAST_MERGE_PRODUCTS: Final = 15  # the last merge has no P, so the products with p0 are left out

# How many pairs (g, p) are opened at each level, by the bits of the ring.
LEVELS: Final = {64: (16, 4), 128: (32, 8, 2)}


def products_of_level(pairs: int) -> int:
    """How many products a merge of so many pairs needs for each four (or two) of them."""
    return 1 if pairs == 2 else LAST_MERGE_PRODUCTS if pairs == 4 else len(MERGE_PRODUCTS)


def nibble_products(rows: Words) -> Words:
    """(11, 16, m): the products of the bits of each nibble of bit slices (64, m); 32 nibbles of 128."""
    nibbles = rows.reshape(len(rows) // 4, 4, -1)
    out = np.empty((len(NIBBLE_PRODUCTS), len(nibbles), rows.shape[1]), np.uint64)
    for k, chosen in enumerate(NIBBLE_PRODUCTS):
        known = {c: i for i, c in enumerate(NIBBLE_PRODUCTS[:k])}
        head = chosen[:-1]
        first = nibbles[:, head[0]] if len(head) == 1 else out[known[head]]
        np.bitwise_and(first, nibbles[:, chosen[-1]], out=out[k])
    return out


def merge_products(gp: Words, count: int) -> Words:
    """(count, k, m): products of the masks of g and p, gp (2, 4 k, m); of a pair (2, 2, m) only p1 g0."""
    if gp.shape[1] == 2:
        pair: Words = (gp[1, 1] & gp[0, 0])[None, None]
        return pair
    k, m = gp.shape[1] // 4, gp.shape[2]
    grouped = gp.reshape(2, k, 4, m)
    values = [grouped[0, :, i] for i in range(4)] + [grouped[1, :, i] for i in range(4)]
    out = np.empty((count, k, m), np.uint64)
    for row, chosen in zip(out, MERGE_PRODUCTS[:count], strict=True):
        np.bitwise_and(values[chosen[0]], values[chosen[1]], out=row)
        for i in chosen[2:]:
            row &= values[i]
    return out


@dataclass(frozen=True, slots=True)
class Comparison(_Numbers):
    """A random r of all bits of the ring for each of n elements, shared by sum and as bits, ready for `branches`
    comparisons with it.

    Uniform: the bit slices of r (64, m); for each level of LEVELS the masks of its pairs (g, p), for each branch.
    Derived: r (n,); the products of its nibbles; for each level the products of the masks.
    """

    kind: ClassVar[str] = "comparison"
    n: int
    branches: int
    ring_bits: int = 64

    @property
    def uniform(self) -> tuple[Field, ...]:
        """Bits of r; masks of every level."""
        m = bits.words_for(self.n)
        masks = (Field((self.branches, 2, k, m), True) for k in LEVELS[self.ring_bits])
        return (Field((self.ring_bits, m), True), *masks)

    @property
    def derived(self) -> tuple[Field, ...]:
        """r, products of nibbles, products of masks of every level."""
        m = bits.words_for(self.n)
        products = (
            Field((self.branches, products_of_level(k), max(1, k // 4), m), True) for k in LEVELS[self.ring_bits]
        )
        return (
            Field((self.n,), ring_bits=self.ring_bits),
            Field((len(NIBBLE_PRODUCTS), self.ring_bits // 4, m), True),
            *products,
        )

    def derive(self, uniform: Sequence[Words], masks: Masks) -> Sequence[Words]:
        """r, products of nibbles, products of masks of every level."""
        rows, *levels = uniform
        low = rows.copy()
        low[-1] = 0  # the top bit takes no part in the comparison
        return (
            ring.by_bits(self.ring_bits).unslice_bits(rows, self.n),
            nibble_products(low),
            *(np.stack([merge_products(b, products_of_level(k)) for b in level])
              for k, level in zip(LEVELS[self.ring_bits], levels, strict=True)),
        )  # fmt: skip

    def split(self, taken: Sequence[Words]) -> tuple[Words, Parts]:
        """What was taken: r, which is spent first, and the rest by name."""
        k = 1 + len(LEVELS[self.ring_bits])
        return taken[k], Parts(taken[0], taken[k + 1], taken[1:k], taken[k + 2 : 2 * k + 1])


@dataclass(frozen=True, slots=True, repr=False)
class Parts:
    """A party's shares of a comparison: bit slices of r, products of nibbles; masks and products of each level."""

    rows: Words
    nibble_products: Words
    masks: Sequence[Words]
    products: Sequence[Words]

"""NumPy twins of the kernels: slow, written from the definition, for tests to hold the kernels against."""

from __future__ import annotations

from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import ring
from ppc.mpc.correlations.comparison import MERGE_PRODUCTS, NIBBLE_PRODUCTS

Words: TypeAlias = NDArray[np.uint64]


def _masked_product(opened: list[Words], shares: dict[tuple[int, ...], Words], names: tuple[int, ...]) -> Words:
    """The share of prod (opened_i ^ mask_i) without the product of the opened ones alone."""
    total = np.zeros_like(opened[0])
    for size in range(1, len(names) + 1):
        for chosen in combinations(names, size):
            term = shares[tuple(sorted(chosen))]
            for i in names:
                if i not in chosen:
                    term = term & opened[i]
            total = total ^ term
    return total


def nibbles(c: Words, r: Words, products: Words, mine: int) -> Words:
    """See the kernel: [r > c] and [r = c] of each nibble."""
    out = np.zeros((2, len(c) // 4, c.shape[1]), np.uint64)
    for k in range(len(c) // 4):
        flipped = [~c[4 * k + i] for i in range(4)]
        shares: dict[tuple[int, ...], Words] = {(i,): r[4 * k + i] for i in range(4)}
        shares |= {names: products[j, k] for j, names in enumerate(NIBBLE_PRODUCTS)}
        if k == len(c) // 4 - 1:  # the top bit takes no part: as if c and r had a 0 there
            flipped[3] = ~np.zeros_like(flipped[3])
            shares[(3,)] = np.zeros_like(flipped[3])
        out[1, k] = _masked_product(flipped, shares, (0, 1, 2, 3))
        if mine:
            out[1, k] ^= flipped[0] & flipped[1] & flipped[2] & flipped[3]
        for low in range(4):  # r_low n_low times the product of n_j ^ r_j over the bits above
            above = tuple(range(low + 1, 4))
            for size in range(len(above) + 1):
                for chosen in combinations(above, size):
                    term = shares[(low, *chosen)] & flipped[low]
                    for i in above:
                        if i not in chosen:
                            term = term & flipped[i]
                    out[0, k] ^= term
    return out


def merge(opened: Words, masks: Words, products: Words, mine: int, last: bool) -> Words:
    """See the kernel: four pairs into one."""
    groups = opened.shape[1] // 4
    out = np.zeros((2, groups, opened.shape[2]), np.uint64)
    for t in range(groups):
        values = [opened[a, 4 * t + i] for a in (0, 1) for i in range(4)]
        shares: dict[tuple[int, ...], Words] = {(4 * a + i,): masks[a, 4 * t + i] for a in (0, 1) for i in range(4)}
        shares |= {tuple(sorted(names)): products[j, t] for j, names in enumerate(MERGE_PRODUCTS[: len(products)])}
        for name, terms in ((0, ((3,), (7, 2), (7, 6, 1), (7, 6, 5, 0))), (1, ((7, 6, 5, 4),))):
            if name == 1 and last:
                continue
            for names in terms:
                out[name, t] ^= _masked_product(values, shares, names)
                if mine:
                    public = values[names[0]].copy()
                    for i in names[1:]:
                        public &= values[i]
                    out[name, t] ^= public
    return out


def truncate(c: Words, hi: Words, top: Words, drop: int, mine: int) -> Words:
    """See the kernel: x >> drop."""
    last = ring.of(c).bits - 1
    word = ring.of(c).word
    carry = c >> np.uint64(last)
    wrap = top - ((carry * top) << np.uint64(1))
    out = (wrap << np.uint64(last - drop)) - hi
    if mine:
        out = out + ((c & word((1 << last) - 1)) >> np.uint64(drop)) + (carry << np.uint64(last - drop))
        out = out - word(1 << (last - 1 - drop))
    return out

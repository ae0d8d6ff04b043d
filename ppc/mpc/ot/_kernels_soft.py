"""Machine-code loops of OT extension over small fields. No branch and no address depends on a secret."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_TILE = 256  # words of each stream at a time: the adding up stays in the first-level cache


@njit(cache=True, nogil=True, error_model="numpy")
def fold(block: Words, sums: Words, total: Words) -> None:
    """sums[b] = XOR of the rows x of `block` (2^k, …) whose bit b is set; total = XOR of all. `block` is overwritten.

    sums (at most k, width), total (width or more,). Halving: rows 2j and 2j + 1 are added after the odd ones went into
    the sum of the lowest bit.
    """
    width = sums.shape[1]
    for start in range(0, width, _TILE):
        stop = min(width, start + _TILE)
        rows = block.shape[0]
        b = 0
        while rows > 1:
            rows //= 2
            if b < sums.shape[0]:
                for w in range(start, stop):
                    sums[b, w] = block[1, w]
                for j in range(1, rows):
                    for w in range(start, stop):
                        sums[b, w] ^= block[2 * j + 1, w]
            for j in range(rows):
                for w in range(start, stop):
                    block[j, w] = block[2 * j, w] ^ block[2 * j + 1, w]
            b += 1
        for w in range(start, stop):
            total[w] = block[0, w]


@njit(cache=True, nogil=True, error_model="numpy")
def fold16(block: Words, sums: Words, total: Words) -> None:
    """`fold` for k = 4, where a word of each of the 16 streams fits into the registers."""
    for w in range(sums.shape[1]):
        e0, e1, e2, e3 = block[0, w], block[2, w], block[4, w], block[6, w]
        e4, e5, e6, e7 = block[8, w], block[10, w], block[12, w], block[14, w]
        o0, o1, o2, o3 = block[1, w], block[3, w], block[5, w], block[7, w]
        o4, o5, o6, o7 = block[9, w], block[11, w], block[13, w], block[15, w]
        sums[0, w] = ((o0 ^ o1) ^ (o2 ^ o3)) ^ ((o4 ^ o5) ^ (o6 ^ o7))
        a0, a1, a2, a3, a4, a5, a6, a7 = e0 ^ o0, e1 ^ o1, e2 ^ o2, e3 ^ o3, e4 ^ o4, e5 ^ o5, e6 ^ o6, e7 ^ o7
        sums[1, w] = (a1 ^ a3) ^ (a5 ^ a7)
        b0, b1, b2, b3 = a0 ^ a1, a2 ^ a3, a4 ^ a5, a6 ^ a7
        sums[2, w] = b1 ^ b3
        sums[3, w] = b2 ^ b3
        total[w] = (b0 ^ b1) ^ (b2 ^ b3)


@njit(cache=True, nogil=True, error_model="numpy")
def correct(columns: Words, u: Words, flags: Words, k: int) -> None:
    """columns[c] ^= u[c // k] where the bit of Δ is set: flags (128,) all ones or zero."""
    for c in range(columns.shape[0]):
        g = c // k
        f = flags[c]
        for w in range(columns.shape[1]):
            columns[c, w] ^= u[g, w] & f

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
def correct(columns: Words, u: Words, flags: Words, k: int) -> None:
    """columns[c] ^= u[c // k] where the bit of Δ is set: flags (128,) all ones or zero."""
    for c in range(columns.shape[0]):
        g = c // k
        f = flags[c]
        for w in range(columns.shape[1]):
            columns[c, w] ^= u[g, w] & f

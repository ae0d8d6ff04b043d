"""Machine-code loops of the pseudorandom correlation generator. Elements of GF(2^128) are rows of two words."""

from __future__ import annotations

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

Words = NDArray[np.uint64]


@njit(cache=True, nogil=True, error_model="numpy")
def interleave(left: Words, right: Words, width: int, out: Words, sums: Words) -> None:
    """Children of one level of all trees: out[k, 2i] = left[k, i], out[k, 2i+1] = right[k, i], the first `width` only.

    left, right (trees, w, 2); out (trees, width, 2); sums (trees, 2, 2) gets the sums of the left and the right ones.
    """
    for k in range(left.shape[0]):
        for side in range(2):
            source = left if side == 0 else right
            s0, s1 = uint64(0), uint64(0)
            for i in range((width + 1 - side) // 2):
                a, b = source[k, i, 0], source[k, i, 1]
                out[k, 2 * i + side, 0] = a
                out[k, 2 * i + side, 1] = b
                s0 ^= a
                s1 ^= b
            sums[k, side, 0] = s0
            sums[k, side, 1] = s1


@njit(cache=True, nogil=True, error_model="numpy")
def convolve(v: Words, taps: Words) -> None:
    """Row i of v (n, k) is added to row i+1, and to each of the 24 after that by one bit of its taps, in order.

    taps (⌈n/2⌉,): 32 bits for a row, 24 of them used. Without branches.
    """
    n, k = v.shape
    one = uint64(1)
    for i in range(n):
        pattern = (taps[i >> 1] >> uint64(32 * (i & 1))) & uint64(0xFFFFFFFF)
        for c in range(k):
            x = v[i, c]
            if i + 1 < n:
                v[i + 1, c] ^= x
            if i + 25 < n:
                for j in range(24):
                    v[i + 2 + j, c] ^= x & (uint64(0) - ((pattern >> uint64(j)) & one))
            else:
                for j in range(n - i - 2):
                    v[i + 2 + j, c] ^= x & (uint64(0) - ((pattern >> uint64(j)) & one))


@njit(cache=True, nogil=True, error_model="numpy")
def expand(v: Words, draws: Words, weight: int, out: Words) -> None:
    """out[i] ^= the sum of `weight` rows of v (n, 2), row numbers scaled from 32-bit draws (two a word)."""
    n = uint64(v.shape[0])
    low = uint64(0xFFFFFFFF)
    for i in range(out.shape[0]):
        a, b = out[i, 0], out[i, 1]
        for j in range(weight):
            at = i * weight + j
            r = ((draws[at >> 1] >> uint64(32 * (at & 1))) & low) * n >> uint64(32)
            a ^= v[r, 0]
            b ^= v[r, 1]
        out[i, 0] = a
        out[i, 1] = b

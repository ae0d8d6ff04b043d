"""Machine-code loops over uint64 arrays. Arrays in, arrays out; no branch depends on a value that may be secret.

Each has a NumPy twin of the same meaning in `ppc.core.ring` or `ppc.core.bits`; tests hold the two against each
other. They are compiled at first use and cached on disk; all are sequential, because on a machine that runs a party
or two the other cores have their own work.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

Words = NDArray[np.uint64]


@njit(cache=True, nogil=True, error_model="numpy")
def matmul(a: Words, bt: Words, out: Words) -> None:
    """out = a @ bt.T for a (n, d), bt (k, d): dot products of contiguous rows."""
    n, d = a.shape
    k = bt.shape[0]
    for i in range(n):
        for j in range(k):
            s = uint64(0)
            for l in range(d):
                s += a[i, l] * bt[j, l]
            out[i, j] = s


@njit(cache=True, nogil=True, error_model="numpy")
def matmul_transposed(a: Words, g: Words, out: Words) -> None:
    """out += g.T @ a for a (n, d), g (n, k), out (k, d): one pass over a."""
    n, d = a.shape
    k = g.shape[1]
    for i in range(n):
        for j in range(k):
            x = g[i, j]
            for l in range(d):
                out[j, l] += x * a[i, l]


@njit(cache=True, nogil=True, error_model="numpy")
def transpose_bits(words: Words, out: Words) -> None:
    """Bit i of words[j] becomes bit j % 64 of out[i, j // 64]; words (64 m,), out (64, m).

    Source: the recursive block transpose of Warren, Hacker's Delight, §7-3.
    """
    block = np.empty(64, np.uint64)
    for m in range(out.shape[1]):
        for j in range(64):
            block[j] = words[64 * m + j]
        width = 32
        mask = uint64(0x00000000FFFFFFFF)
        while width != 0:
            shift = uint64(width)
            j = 0
            while j < 64:
                t = ((block[j] >> shift) ^ block[j + width]) & mask
                block[j] ^= t << shift
                block[j + width] ^= t
                j = (j + width + 1) & ~width
            width >>= 1
            if width != 0:
                mask ^= mask << uint64(width)
        for i in range(64):
            out[i, m] = block[i]


@njit(cache=True, nogil=True, error_model="numpy")
def untranspose_bits(rows: Words, out: Words) -> None:
    """The inverse of `transpose_bits`: rows (64, m), out (64 m,)."""
    block = np.empty(64, np.uint64)
    for m in range(rows.shape[1]):
        for i in range(64):
            block[i] = rows[i, m]
        width = 32
        mask = uint64(0x00000000FFFFFFFF)
        while width != 0:
            shift = uint64(width)
            j = 0
            while j < 64:
                t = ((block[j] >> shift) ^ block[j + width]) & mask
                block[j] ^= t << shift
                block[j + width] ^= t
                j = (j + width + 1) & ~width
            width >>= 1
            if width != 0:
                mask ^= mask << uint64(width)
        for j in range(64):
            out[64 * m + j] = block[j]

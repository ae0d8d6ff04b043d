"""Machine-code loops over two-limb numbers (m, 2): low word, high word. No branch depends on a value."""

from __future__ import annotations

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy")
def add(a: Words, b: Words) -> None:
    """a += b modulo 2**128, row by row."""
    for i in range(a.shape[0]):
        low = a[i, 0] + b[i, 0]
        a[i, 1] += b[i, 1] + uint64(low < b[i, 0])
        a[i, 0] = low


@njit(cache=True, nogil=True, error_model="numpy")
def subtract(a: Words, b: Words) -> None:
    """a -= b modulo 2**128, row by row."""
    for i in range(a.shape[0]):
        low = a[i, 0]
        a[i, 1] -= b[i, 1] + uint64(low < b[i, 0])
        a[i, 0] = low - b[i, 0]


@njit(cache=True, nogil=True, error_model="numpy")
def encode(x: Floats, out: Words) -> None:
    """Numbers within ±2**56 as two limbs of two's complement, 64 fraction bits."""
    for i in range(x.shape[0]):
        size = abs(x[i])
        whole = np.floor(size)
        low = uint64(np.rint((size - whole) * 2.0**64))  # below 2**64: a double under 1 is at most 1 - 2**-53
        high = uint64(whole)
        negative = uint64(x[i] < 0)
        flip = uint64(0) - negative
        low = (low ^ flip) + negative
        high = (high ^ flip) + (negative & uint64(low == 0))
        out[i, 0] = low
        out[i, 1] = high


@njit(cache=True, nogil=True, error_model="numpy")
def decode(words: Words, out: Floats) -> None:
    """Limbs as float64; of a negative number the magnitude is made first, so that nothing cancels."""
    for i in range(words.shape[0]):
        negative = words[i, 1] >> uint64(63)
        flip = uint64(0) - negative
        low = (words[i, 0] ^ flip) + negative
        high = (words[i, 1] ^ flip) + (negative & uint64(low == 0))
        value = float(high) + float(low) * 2.0**-64
        out[i] = -value if negative else value

"""Machine-code loops over two-limb numbers (m, 2): low word, high word. No branch depends on a value."""

from __future__ import annotations

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

Words = NDArray[np.uint64]


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

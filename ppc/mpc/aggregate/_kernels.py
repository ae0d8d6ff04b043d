"""Machine-code loops over two-limb numbers (m, 2): low word, high word. No branch depends on a value."""

from __future__ import annotations

from typing import Any

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


@njit(cache=True, nogil=True, inline="always")
def _product(a: Any, b: Any) -> Any:
    """a·b modulo 2**61 − 1, below 2**61; by halves of 31 bits: no sum of parts passes 2**63.3."""
    low31, low30, p = uint64(2**31 - 1), uint64(2**30 - 1), uint64(2**61 - 1)
    au, ad, bu, bd = a >> uint64(31), a & low31, b >> uint64(31), b & low31
    middle = ad * bu + au * bd
    x = au * bu * uint64(2) + (middle >> uint64(30)) + ((middle & low30) << uint64(31)) + ad * bd
    x = (x & p) + (x >> uint64(61))
    return x - p * uint64(x >= p)


@njit(cache=True, nogil=True, error_model="numpy")
def split(secrets: Words, coefficients: Words, out: Words) -> None:
    """Values at 1, 2, … (parties, m) of polynomials modulo 2**61 − 1: constant terms, and the others (degree, m)."""
    p: Any = uint64(2**61 - 1)
    for i in range(out.shape[0]):
        point = uint64(i + 1)
        for k in range(out.shape[1]):
            value: Any = uint64(0)
            for c in range(coefficients.shape[0]):
                value = _product(value, point) + coefficients[c, k]
                value -= p * uint64(value >= p)
            value = _product(value, point) + secrets[k]
            out[i, k] = value - p * uint64(value >= p)


@njit(cache=True, nogil=True, error_model="numpy")
def combine(shares: Words, factors: Words, out: Words) -> None:
    """Σ factors[i] · shares[i] modulo 2**61 − 1: shares (n, m), out (m,)."""
    p: Any = uint64(2**61 - 1)
    for k in range(out.shape[0]):
        value: Any = uint64(0)
        for i in range(factors.shape[0]):
            value += _product(shares[i, k], factors[i])
            value -= p * uint64(value >= p)
        out[k] = value

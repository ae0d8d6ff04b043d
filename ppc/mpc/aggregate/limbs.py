"""Real numbers in Z_2^128 as two 64-bit limbs: 64 fraction bits, exact sums.

A number x is carried as round(x * 2**64) in two's complement; row i of a uint64 array (m, 2) holds the low and the
high word. Whole numbers are exact. What one site adds lies within ±`MAX_ABS` = 2**56, so the sum of `MAX_PARTIES` = 50
sites stays below 2**62 and can never wrap; the bound is checked when a number is encoded.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.errors import TypeMismatchError, ValueRangeError

MAX_ABS: Final = 2.0**56
MAX_PARTIES: Final = 50
STEP: Final = 2.0**-64

Words = NDArray[np.uint64]


def encode(x: ArrayLike, name: str = "value") -> Words:
    """Numbers (any shape, read in C order) as limbs (m, 2). Integers are exact, floats rounded to 2**-64.

    Raises:
        ValueRangeError: NaN, infinite, or beyond ±MAX_ABS; the message names `name`, never the value.
        TypeMismatchError: not numbers.
    """
    values = np.asarray(x)
    if values.dtype.kind not in "fiub":
        raise TypeMismatchError(f"numbers are needed, not {values.dtype}", where=name)
    flat = values.reshape(-1)
    out = np.empty((flat.size, 2), np.uint64)
    if values.dtype.kind in "iub":
        if flat.size and not (int(flat.min()) >= -MAX_ABS and int(flat.max()) <= MAX_ABS):
            raise _outside(name)
        out[:, 0] = 0
        out[:, 1] = flat.astype(np.int64).view(np.uint64)
        return out
    real = flat.astype(np.float64)
    if not bool((np.abs(real) <= MAX_ABS).all()):  # NaN fails as well
        if np.isnan(real).any():
            raise ValueRangeError("a statistic to be added up is NaN", where=name)
        raise _outside(name)
    from ppc.mpc.aggregate import _kernels

    _kernels.encode(np.ascontiguousarray(real), out)
    return out


def _outside(name: str) -> ValueRangeError:
    return ValueRangeError(
        "a statistic to be added up lies outside ±2**56",
        where=name,
        hint="use a larger unit for the column (grams instead of milligrams)",
    )


def decode(words: Words) -> NDArray[np.float64]:
    """Limbs (m, 2) as float64 (m,), correct to two units in the last place, also for negative numbers near zero."""
    from ppc.mpc.aggregate import _kernels

    out = np.empty(len(words))
    _kernels.decode(np.ascontiguousarray(words), out)
    return out


def add(a: Words, b: Words) -> None:
    """a += b modulo 2**128, in place."""
    from ppc.mpc.aggregate import _kernels

    _kernels.add(a, b)


def subtract(a: Words, b: Words) -> None:
    """a -= b modulo 2**128, in place."""
    from ppc.mpc.aggregate import _kernels

    _kernels.subtract(a, b)


def add_numpy(a: Words, b: Words) -> None:
    """The twin of `add` in NumPy alone."""
    low = a[:, 0] + b[:, 0]
    a[:, 1] += b[:, 1] + (low < b[:, 0]).astype(np.uint64)
    a[:, 0] = low


def subtract_numpy(a: Words, b: Words) -> None:
    """The twin of `subtract` in NumPy alone."""
    borrow = (a[:, 0] < b[:, 0]).astype(np.uint64)
    a[:, 0] -= b[:, 0]
    a[:, 1] -= b[:, 1] + borrow


def encode_numpy(real: NDArray[np.float64]) -> Words:
    """The twin of the kernel that encodes, in NumPy alone."""
    size = np.abs(real)
    whole = np.floor(size)
    out = np.stack([np.rint((size - whole) * 2.0**64).astype(np.uint64), whole.astype(np.uint64)], axis=1)
    negative = real < 0
    out[negative] = _negated(out[negative])
    return out


def decode_numpy(words: Words) -> NDArray[np.float64]:
    """The twin of the kernel that decodes, in NumPy alone."""
    negative = words[:, 1] >> np.uint64(63) == 1
    size = np.where(negative[:, None], _negated(words), words)
    value = size[:, 1].astype(np.float64) + size[:, 0].astype(np.float64) * STEP
    return np.where(negative, -value, value)


def _negated(words: Words) -> Words:
    low = ~words[:, 0] + np.uint64(1)
    return np.stack([low, ~words[:, 1] + (low == 0).astype(np.uint64)], axis=1)

"""Packed bits: 64 booleans a word, little-endian, and bit-sliced integers (row i holds bit i of every element)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]


def words_for(n: int) -> int:
    """Words that hold n bits."""
    return (n + 63) // 64


def pack(flags: NDArray[np.bool_]) -> Words:
    """Booleans (n,) as words; bits after the last are 0."""
    out = np.zeros(8 * words_for(flags.size), np.uint8)
    packed = np.packbits(flags.reshape(-1), bitorder="little")
    out[: packed.size] = packed
    return out.view("<u8").astype(np.uint64, copy=False)


def unpack(words: Words, n: int) -> NDArray[np.uint8]:
    """The first n bits as 0 and 1."""
    octets = np.ascontiguousarray(words).astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, count=n, bitorder="little")


def slice_bits(values: Words) -> Words:
    """Elements (n,) as bit slices (64, words_for(n)); elements after the last count as 0."""
    from ppc.core import _kernels

    m = words_for(values.size)
    padded = np.zeros(64 * m, np.uint64)
    padded[: values.size] = values.reshape(-1)
    out = np.empty((64, m), np.uint64)
    _kernels.transpose_bits(padded, out)
    return out


def unslice_bits(rows: Words, n: int) -> Words:
    """The inverse of `slice_bits`: the n elements of bit slices (64, m)."""
    from ppc.core import _kernels

    out = np.empty(64 * rows.shape[1], np.uint64)
    _kernels.untranspose_bits(np.ascontiguousarray(rows), out)
    return out[:n]


def slice_bits_numpy(values: Words) -> Words:
    """The twin of `slice_bits` in NumPy alone."""
    return np.stack([pack(((values.reshape(-1) >> np.uint64(i)) & np.uint64(1)).astype(bool)) for i in range(64)])

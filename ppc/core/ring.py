"""Arithmetic in Z_2^64 on NumPy arrays of uint64, where every operation wraps.

Sums, differences and products of elements are NumPy's own. Matrix products go to kernels: NumPy has no fast integer
one.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.errors import TypeMismatchError

BITS: Final = 64
Words = NDArray[np.uint64]


def as_ring(values: NDArray[np.generic]) -> Words:
    """Integers (or booleans) of any shape as residues modulo 2**64: two's complement."""
    kind = values.dtype.kind
    if kind == "u":
        return values.astype(np.uint64, copy=False)
    if kind in "ib":
        return values.astype(np.int64, copy=False).view(np.uint64)
    raise TypeMismatchError(f"a ring takes integers, not {values.dtype}")


def as_signed(words: Words) -> NDArray[np.int64]:
    """Residues read as −2**63 … 2**63 − 1."""
    return words.view(np.int64)


def matmul(a: Words, b: Words) -> Words:
    """a @ b modulo 2**64, with NumPy's rules for one- and two-dimensional operands.

    Raises:
        TypeMismatchError: shapes that do not fit, or more than two dimensions.
    """
    if not (a.ndim in (1, 2) and b.ndim in (1, 2) and a.shape[-1] == b.shape[0]):
        raise TypeMismatchError(f"matrix product of shapes {a.shape} and {b.shape}")
    left = np.ascontiguousarray(a.reshape(1, -1) if a.ndim == 1 else a)
    right = b.reshape(-1, 1) if b.ndim == 1 else b
    from ppc.core import _kernels

    out = np.empty((left.shape[0], right.shape[1]), np.uint64)
    _kernels.matmul(left, np.ascontiguousarray(right.T), out)
    shape = (a.shape[:1] if a.ndim == 2 else ()) + (b.shape[1:] if b.ndim == 2 else ())
    return out.reshape(shape)


def matmul_transposed(a: Words, g: Words) -> Words:
    """a.T @ g modulo 2**64 for a (n, d) and g (n, k) or (n,), in one pass over a without a transposed copy."""
    if not (a.ndim == 2 and g.ndim in (1, 2) and a.shape[0] == g.shape[0]):
        raise TypeMismatchError(f"transposed matrix product of shapes {a.shape} and {g.shape}")
    from ppc.core import _kernels

    columns = np.ascontiguousarray(g if g.ndim == 2 else g.reshape(-1, 1))
    if columns.shape[1] > a.shape[1]:  # the kernel's inner loop runs over the wider one
        out = np.zeros((a.shape[1], columns.shape[1]), np.uint64)
        _kernels.matmul_transposed(columns, np.ascontiguousarray(a), out)
        return out.reshape(a.shape[1:] + g.shape[1:])
    out = np.zeros((columns.shape[1], a.shape[1]), np.uint64)
    _kernels.matmul_transposed(np.ascontiguousarray(a), columns, out)
    return out.T.reshape(a.shape[1:] + g.shape[1:])


def dot(a: Words, b: Words) -> np.uint64:
    """The inner product of two vectors modulo 2**64."""
    return np.uint64(matmul(a, b)[()])


def matmul_numpy(a: Words, b: Words) -> Words:
    """The twin of `matmul` in NumPy alone: slow, obviously right."""
    out: Words = np.matmul(a, b)
    return out


def shift_right(words: Words, bits: int) -> Words:
    """floor(x / 2**bits) of the signed residues."""
    return (words.view(np.int64) >> np.int64(bits)).view(np.uint64)


def headroom_bits(terms: int) -> int:
    """Bits that a sum of so many terms may grow by."""
    return math.ceil(math.log2(terms)) if terms > 1 else 0

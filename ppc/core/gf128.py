"""GF(2^128) = GF(2)[x] / (x^128 + x^7 + x^2 + x + 1) on arrays: an element is two words, low word first, addition is ^.

Multiplication uses the processor's carry-less product where `ppc.core.cpu` finds it, and portable loops elsewhere.
The polynomial is that of GCM (NIST SP 800-38D §6.3), with bits in the usual order, not GCM's reflected one.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ppc.core import cpu

Words = NDArray[np.uint64]


def multiply(a: Words, b: Words) -> Words:
    """a · b, elementwise; uint64 (n, 2) each."""
    out = np.empty_like(a)
    if cpu.has("pclmul"):
        from ppc.core import _intrinsics

        _intrinsics.multiply(a, b, out)
    else:
        from ppc.core import _kernels_gf128

        _kernels_gf128.multiply(a, b, out)
    return out


def add_dot(out: Words, a: Words, b: Words) -> None:
    """out ^= the sum of a[i] · b[i] in place; out (2,), a and b uint64 (n, 2)."""
    if cpu.has("pclmul"):
        from ppc.core import _intrinsics

        _intrinsics.add_dot(a, b, out)
    else:
        out ^= np.bitwise_xor.reduce(multiply(a, b), axis=0)


def add_scaled(out: Words, a: Words, factor: Words) -> None:
    """out ^= a · factor in place; out and a uint64 (n, 2), factor (2,).

    The portable form looks bytes of `a` up in a table, so memory access depends on `a` (here what has been sent, or
    hashes of the party's own keys) but never on `factor`.
    """
    if cpu.has("pclmul"):
        from ppc.core import _intrinsics

        _intrinsics.add_scaled(a, factor, out)
    else:
        from ppc.core import _kernels_gf128

        _kernels_gf128.apply(tables(multiply(frobenius(0), np.tile(factor, (128, 1)))), a, out)


@cache
def _frobenius(power: int) -> Words:
    if power == 0:
        basis = np.zeros((128, 2), np.uint64)
        for j in range(128):
            basis[j, j // 64] = np.uint64(1) << np.uint64(j % 64)
        return basis
    before = _frobenius(power - 1)
    return multiply(before, before)


def frobenius(power: int) -> Words:
    """(x^j)^(2^power) for j = 0 … 127; uint64 (128, 2). `frobenius(0)` is the basis itself."""
    return _frobenius(power)


def tables(images: Words) -> Words:
    """Lookup tables (16, 256, 2) of the GF(2)-linear map that takes x^j to images[j] (128, 2)."""
    from ppc.core import _kernels_gf128

    out = np.empty((16, 256, 2), np.uint64)
    _kernels_gf128.tables(np.ascontiguousarray(images), out)
    return out


def add_mapped(out: Words, a: Words, table: Words) -> None:
    """out ^= map(a) in place, for a map given by its `tables`."""
    from ppc.core import _kernels_gf128

    _kernels_gf128.apply(table, a, out)


def to_int(element: Words) -> int:
    """An element (2,) as an integer whose bit j is the coefficient of x^j."""
    return int(element[0]) | int(element[1]) << 64


def from_int(value: int) -> Words:
    """The inverse of `to_int`."""
    return np.array([value & (1 << 64) - 1, value >> 64], np.uint64)


def int_multiply(a: int, b: int) -> int:
    """The product of two elements as integers, for the few that are not worth an array."""
    product = 0
    for j in range(128):
        if b >> j & 1:
            product ^= a << j
    for j in range(254, 127, -1):
        if product >> j & 1:
            product ^= 1 << j | 0x87 << (j - 128)
    return product


def int_inverse(a: int) -> int:
    """1 / a = a^(2^128 − 2), for a ≠ 0."""
    result, square = 1, a
    for _ in range(127):
        square = int_multiply(square, square)
        result = int_multiply(result, square)
    return result


def transpose(columns: Words, n: int) -> Words:
    """The first n rows of a bit matrix with 128 columns of packed bits: uint64 (128, ⌈n / 64⌉) to (n, 2)."""
    from ppc.core import _kernels_gf128

    rows = np.empty((64 * columns.shape[1], 2), np.uint64)
    _kernels_gf128.transpose128(columns, rows)
    return rows[:n]

"""GF(2^128) by the carry-less multiplication instruction of x86 (PCLMULQDQ), called through LLVM's intrinsic.

Imported only where `ppc.core.cpu` finds the instruction. Held against `ppc.core._kernels_gf128` by a property test.
"""

# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64
from numba.extending import intrinsic
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_PAIR = ir.VectorType(_I64, 2)
_NAME = "llvm.x86.pclmulqdq"


def _carryless_product(_context: Any, a: Any, b: Any) -> Any:
    """The 128-bit carry-less product of two words, as (low, high)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = builder.module.globals.get(_NAME)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(_PAIR, [_PAIR, _PAIR, _I8]), _NAME)
        zero = ir.Constant(_PAIR, [0, 0])
        x, y = (builder.insert_element(zero, word, ir.Constant(_I32, 0)) for word in args)
        product = builder.call(function, [x, y, ir.Constant(_I8, 0)])
        halves = [builder.extract_element(product, ir.Constant(_I32, k)) for k in range(2)]
        return context.make_tuple(builder, signature.return_type, halves)

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), generate


_carryless: Any = intrinsic(_carryless_product)


@njit(inline="always")
def _product(a0: Any, a1: Any, b0: Any, b1: Any) -> Any:
    """(a1 a0)·(b1 b0) modulo x^128 + x^7 + x^2 + x + 1, by Karatsuba."""
    l0, l1 = _carryless(a0, b0)
    h0, h1 = _carryless(a1, b1)
    m0, m1 = _carryless(a0 ^ a1, b0 ^ b1)
    return _folded(l0, l1, h0, h1, m0, m1)


@njit(inline="always")
def _folded(l0: Any, l1: Any, h0: Any, h1: Any, m0: Any, m1: Any) -> Any:
    """Karatsuba's three products put together and reduced: two folds by x^128 = 0x87."""
    m0 ^= l0 ^ h0
    m1 ^= l1 ^ h1
    l1 ^= m0
    h0 ^= m1
    fold = uint64(0x87)
    t0, t1 = _carryless(h1, fold)
    l1 ^= t0
    h0 ^= t1
    u0, u1 = _carryless(h0, fold)
    return l0 ^ u0, l1 ^ u1


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(a: Words, b: Words, out: Words) -> None:
    """out[i] = a[i] · b[i]."""
    for i in range(a.shape[0]):
        out[i, 0], out[i, 1] = _product(a[i, 0], a[i, 1], b[i, 0], b[i, 1])


@njit(cache=True, nogil=True, error_model="numpy")
def add_scaled(a: Words, factor: Words, out: Words) -> None:
    """out[i] ^= a[i] · factor, factor of shape (2,)."""
    f0, f1 = factor[0], factor[1]
    for i in range(a.shape[0]):
        x, y = _product(a[i, 0], a[i, 1], f0, f1)
        out[i, 0] ^= x
        out[i, 1] ^= y


@njit(cache=True, nogil=True, error_model="numpy")
def add_dot(a: Words, b: Words, out: Words) -> None:
    """out ^= the sum of a[i] · b[i], out of shape (2,); reduced once at the end."""
    l0 = l1 = h0 = h1 = m0 = m1 = uint64(0)
    for i in range(a.shape[0]):
        x0, x1 = _carryless(a[i, 0], b[i, 0])
        y0, y1 = _carryless(a[i, 1], b[i, 1])
        z0, z1 = _carryless(a[i, 0] ^ a[i, 1], b[i, 0] ^ b[i, 1])
        l0 ^= x0
        l1 ^= x1
        h0 ^= y0
        h1 ^= y1
        m0 ^= z0
        m1 ^= z1
    x, y = _folded(l0, l1, h0, h1, m0, m1)
    out[0] ^= x
    out[1] ^= y

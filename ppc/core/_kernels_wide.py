"""Machine-code loops over 128-bit words, as rows (low, high) of uint64. No branch depends on a value.

A factor or a term of one row stands for all rows of the other. Tests hold each against Python's integers.
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


def _full_product(_context: Any, a: Any, b: Any) -> Any:
    """The 128-bit product of two words, as (low, high): one instruction on 64-bit machines."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, double = ir.IntType(64), ir.IntType(128)
        product = builder.mul(*(builder.zext(x, double) for x in args))
        high = builder.trunc(builder.lshr(product, ir.Constant(double, 64)), word)
        return context.make_tuple(builder, signature.return_type, [builder.trunc(product, word), high])

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), generate


_product: Any = intrinsic(_full_product)


@njit(cache=True, nogil=True, error_model="numpy")
def add(a: Words, b: Words, out: Words) -> None:
    """out = a + b."""
    i = j = 0
    u = int(a.shape[0] > 1)
    v = int(b.shape[0] > 1)
    for k in range(out.shape[0]):
        x = a[i, 0]
        low = x + b[j, 0]
        out[k, 1] = a[i, 1] + b[j, 1] + uint64(low < x)
        out[k, 0] = low
        i += u
        j += v


@njit(cache=True, nogil=True, error_model="numpy")
def subtract(a: Words, b: Words, out: Words) -> None:
    """out = a - b."""
    i = j = 0
    u = int(a.shape[0] > 1)
    v = int(b.shape[0] > 1)
    for k in range(out.shape[0]):
        x = a[i, 0]
        y = b[j, 0]
        out[k, 1] = a[i, 1] - b[j, 1] - uint64(x < y)
        out[k, 0] = x - y
        i += u
        j += v


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(a: Words, b: Words, out: Words) -> None:
    """out = a * b."""
    i = j = 0
    u = int(a.shape[0] > 1)
    v = int(b.shape[0] > 1)
    for k in range(out.shape[0]):
        low, high = _product(a[i, 0], b[j, 0])
        out[k, 1] = high + a[i, 0] * b[j, 1] + a[i, 1] * b[j, 0]
        out[k, 0] = low
        i += u
        j += v


@njit(cache=True, nogil=True, error_model="numpy")
def running_sum(a: Words, out: Words) -> None:
    """out[i, j] = a[0, j] + … + a[i, j] for a (n, m, 2)."""
    n, m = a.shape[0], a.shape[1]
    for j in range(m):
        low = uint64(0)
        high = uint64(0)
        for i in range(n):
            low += a[i, j, 0]
            high += a[i, j, 1] + uint64(low < a[i, j, 0])
            out[i, j, 0] = low
            out[i, j, 1] = high


@njit(cache=True, nogil=True, error_model="numpy")
def total(a: Words, out: Words) -> None:
    """out[j] = sum over i of a[i, j] for a (n, m, 2), out (m, 2) of zeros."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            low = out[j, 0] + a[i, j, 0]
            out[j, 1] += a[i, j, 1] + uint64(low < a[i, j, 0])
            out[j, 0] = low


@njit(cache=True, nogil=True, error_model="numpy")
def matmul(a: Words, bt: Words, out: Words) -> None:
    """out = a @ bt.T for a (n, d, 2), bt (k, d, 2)."""
    for i in range(a.shape[0]):
        for j in range(bt.shape[0]):
            low = uint64(0)
            high = uint64(0)
            for l in range(a.shape[1]):
                p, q = _product(a[i, l, 0], bt[j, l, 0])
                low += p
                high += q + uint64(low < p) + a[i, l, 0] * bt[j, l, 1] + a[i, l, 1] * bt[j, l, 0]
            out[i, j, 0] = low
            out[i, j, 1] = high


@njit(cache=True, nogil=True, error_model="numpy")
def matmul_transposed(a: Words, g: Words, out: Words) -> None:
    """out += g.T @ a for a (n, d, 2), g (n, k, 2), out (k, d, 2): one pass over a."""
    for i in range(a.shape[0]):
        for j in range(g.shape[1]):
            x = g[i, j, 0]
            y = g[i, j, 1]
            for l in range(a.shape[1]):
                p, q = _product(a[i, l, 0], x)
                low = out[j, l, 0] + p
                out[j, l, 1] += q + uint64(low < p) + a[i, l, 0] * y + a[i, l, 1] * x
                out[j, l, 0] = low

"""Which of NumPy's functions and ufuncs a SecureArray takes, and what they become."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ppc.mpc import ops, secure_tables
from ppc.mpc import secure_functions as f
from ppc.mpc.secure_array import SecureArray, as_real

UFUNCS: Final[dict[Any, Callable[..., Any]]] = {
    np.add: lambda x, y: x + y if isinstance(x, SecureArray) else y + x,
    np.subtract: lambda x, y: x - y if isinstance(x, SecureArray) else y.__rsub__(x),
    np.multiply: lambda x, y: x * y if isinstance(x, SecureArray) else y * x,
    np.divide: lambda x, y: x / y if isinstance(x, SecureArray) else y.__rtruediv__(x),
    np.matmul: lambda x, y: x @ y if isinstance(x, SecureArray) else y.__rmatmul__(x),
    np.power: operator.pow,
    np.negative: operator.neg,
    np.positive: operator.pos,
    np.absolute: abs,
    np.square: lambda x: x**2,
    np.reciprocal: lambda x: x**-1,
    np.sqrt: f.sqrt,
    np.exp: f.exp,
    np.log: f.log,
    np.tanh: f.tanh,
    np.sign: f.sign,
    np.floor: f.floor,
    np.ceil: f.ceil,
    np.fabs: abs,
    np.log2: lambda x: f.log(x) * (1 / math.log(2)),
    np.log10: lambda x: f.log(x) * (1 / math.log(10)),
    np.log1p: lambda x: f.log(x + 1.0),
    np.expm1: lambda x: f.exp(x) - 1.0,
    np.maximum: f.maximum,
    np.minimum: f.minimum,
    np.less: lambda x, y: x < y if isinstance(x, SecureArray) else y > x,
    np.less_equal: lambda x, y: x <= y if isinstance(x, SecureArray) else y >= x,
    np.greater: lambda x, y: x > y if isinstance(x, SecureArray) else y < x,
    np.greater_equal: lambda x, y: x >= y if isinstance(x, SecureArray) else y <= x,
    np.equal: lambda x, y: x == y if isinstance(x, SecureArray) else y == x,
    np.not_equal: lambda x, y: x != y if isinstance(x, SecureArray) else y != x,
    np.logical_and: lambda x, y: x & y if isinstance(x, SecureArray) else y & x,
    np.logical_or: lambda x, y: x | y if isinstance(x, SecureArray) else y | x,
    np.logical_xor: lambda x, y: x ^ y if isinstance(x, SecureArray) else y ^ x,
    np.logical_not: operator.invert,
    np.bitwise_and: lambda x, y: x & y if isinstance(x, SecureArray) else y & x,
    np.bitwise_or: lambda x, y: x | y if isinstance(x, SecureArray) else y | x,
    np.bitwise_xor: lambda x, y: x ^ y if isinstance(x, SecureArray) else y ^ x,
    np.invert: operator.invert,
}


def _moved(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy that only rearranges elements, or repeats or drops them."""

    def apply(x: SecureArray, *args: Any, **kwargs: Any) -> SecureArray:
        return x.rearranged(lambda index: f(index, *args, **kwargs))

    return apply


def _split(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same for those that give several arrays."""

    def apply(x: SecureArray, *args: Any, **kwargs: Any) -> list[SecureArray]:
        index = np.arange(x.size).reshape(x.shape)
        return [x.rearranged(lambda _, part=part: part) for part in f(index, *args, **kwargs)]  # type: ignore[misc]

    return apply


def _constant(value: float) -> Callable[..., Any]:
    return lambda x: x.wrap(ops.constant(x.session, np.full(x.shape, value)))


def _diff(x: SecureArray, n: int = 1, axis: int = -1) -> Any:
    for _ in range(n):
        upper = x.rearranged(lambda i: np.delete(i, 0, axis=axis))
        x = upper - x.rearranged(lambda i: np.delete(i, -1, axis=axis))
    return x


def _average(x: SecureArray, axis: Any = None, weights: Any = None) -> Any:
    if weights is None:
        return x.mean(axis)
    if isinstance(weights, SecureArray):
        return (x * weights).sum(axis) / weights.sum(axis if weights.shape == x.shape else None)
    fractions = np.asarray(weights, np.float64)
    shape = np.broadcast_shapes(x.shape, fractions.shape)
    return (x * (fractions / np.broadcast_to(fractions, shape).sum(axis=axis, keepdims=True))).sum(axis)


def _take(x: Any, indices: Any, axis: int | None = None) -> Any:
    if isinstance(indices, SecureArray):
        table = x if axis in (0, None) else np.moveaxis(x, axis, 0)
        return secure_tables.lookup(np.ravel(table) if axis is None else table, indices)
    return x.rearranged(lambda i: np.take(i, indices, axis=axis))


def _histogram(x: SecureArray, bins: Any, weights: Any = None) -> Any:
    return secure_tables.histogram(x.ravel(), bins, None if weights is None else weights.ravel()), np.asarray(bins)


FUNCTIONS: Final[dict[Any, Callable[..., Any]]] = {
    np.sum: lambda x, axis=None, keepdims=False: x.sum(axis=axis, keepdims=keepdims),
    np.mean: lambda x, axis=None, keepdims=False: x.mean(axis=axis, keepdims=keepdims),
    np.average: _average,
    np.var: lambda x, axis=None, ddof=0, keepdims=False: x.var(axis=axis, ddof=ddof, keepdims=keepdims),
    np.std: lambda x, axis=None, ddof=0, keepdims=False: x.std(axis=axis, ddof=ddof, keepdims=keepdims),
    np.min: lambda x, axis=None, keepdims=False: x.min(axis=axis, keepdims=keepdims),
    np.max: lambda x, axis=None, keepdims=False: x.max(axis=axis, keepdims=keepdims),
    np.ptp: lambda x, axis=None: x.max(axis=axis) - x.min(axis=axis),
    np.argmin: lambda x, axis=None: x.argmin(axis=axis),
    np.argmax: lambda x, axis=None: x.argmax(axis=axis),
    np.any: lambda x, axis=None, keepdims=False: x.any(axis=axis, keepdims=keepdims),
    np.all: lambda x, axis=None, keepdims=False: x.all(axis=axis, keepdims=keepdims),
    np.count_nonzero: lambda x, axis=None: (x if x.is_boolean else x != 0).sum(axis=axis),
    np.cumsum: lambda x, axis=None: x.cumsum(axis=axis),
    np.dot: lambda x, y: UFUNCS[np.matmul](x, y),
    np.clip: lambda x, low, high: x.clip(low, high),
    np.where: f.where,
    np.concatenate: f.concatenate,
    np.stack: f.stack,
    np.reshape: lambda x, shape: x.reshape(shape),
    np.ravel: lambda x: x.ravel(),
    np.vstack: lambda arrays: f.concatenate([np.atleast_2d(a) for a in arrays]),
    np.hstack: lambda arrays: f.concatenate(arrays, axis=0 if np.ndim(arrays[0]) == 1 else 1),
    np.column_stack: lambda arrays: f.concatenate([a.reshape(len(a), -1) for a in arrays], axis=1),
    np.zeros_like: _constant(0.0),
    np.ones_like: _constant(1.0),
    np.diff: _diff,
    np.trace: lambda x: x.rearranged(np.diagonal).sum(),
    np.take: _take,
    np.outer: f.outer,
    np.inner: lambda x, y: UFUNCS[np.matmul](x, y.T),
    np.vdot: lambda x, y: UFUNCS[np.matmul](x.ravel(), y.ravel()),
    np.cov: lambda x, rowvar=True, ddof=1: f.cov(x, rowvar, ddof),
    np.histogram: _histogram,
    np.argsort: lambda x: f.argsort(x),
    np.percentile: lambda x, q: f.quantile(x, (np.asarray(q, float) / 100).tolist()),
    np.linalg.inv: lambda x: x.wrap(ops.inverse(x.session, as_real(x.session, x.as_number()))),
    **{
        g: _moved(g)
        for g in (
            np.transpose,
            np.swapaxes,
            np.moveaxis,
            np.squeeze,
            np.expand_dims,
            np.broadcast_to,
            np.flip,
            np.flipud,
            np.fliplr,
            np.roll,
            np.rot90,
            np.repeat,
            np.tile,
            np.delete,
            np.diagonal,
            np.atleast_1d,
            np.atleast_2d,
        )
    },
    **{g: _split(g) for g in (np.split, np.array_split)},
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    np.sort: lambda x: f.sort(x),
    np.median: lambda x: f.median(x),
    np.quantile: lambda x, q: f.quantile(x, q),
}

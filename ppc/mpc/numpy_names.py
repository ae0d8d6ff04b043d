"""Which of NumPy's functions and ufuncs a SecureArray takes, and what they become."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ppc.mpc import secure_functions as f
from ppc.mpc.secure_array import SecureArray

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

FUNCTIONS: Final[dict[Any, Callable[..., Any]]] = {
    np.sum: lambda x, axis=None, keepdims=False: x.sum(axis=axis, keepdims=keepdims),
    np.mean: lambda x, axis=None: x.mean(axis=axis),
    np.var: lambda x, axis=None, ddof=0: x.var(axis=axis, ddof=ddof),
    np.std: lambda x, axis=None, ddof=0: x.std(axis=axis, ddof=ddof),
    np.min: lambda x, axis=None: x.min(axis=axis),
    np.max: lambda x, axis=None: x.max(axis=axis),
    np.argmin: lambda x, axis=None: x.argmin(axis=axis),
    np.argmax: lambda x, axis=None: x.argmax(axis=axis),
    np.any: lambda x: x.any(),
    np.all: lambda x: x.all(),
    np.cumsum: lambda x, axis=None: x.cumsum(axis=axis),
    np.dot: lambda x, y: UFUNCS[np.matmul](x, y),
    np.clip: lambda x, low, high: x.clip(low, high),
    np.where: f.where,
    np.concatenate: f.concatenate,
    np.stack: f.stack,
    np.reshape: lambda x, shape: x.reshape(shape),
    np.ravel: lambda x: x.ravel(),
    np.transpose: lambda x: x.T,
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    np.sort: lambda x: f.sort(x),
    np.median: lambda x: f.median(x),
    np.quantile: lambda x, q: f.quantile(x, q),
}

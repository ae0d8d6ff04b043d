"""`SecureArray`: secret numbers and booleans that read like NumPy. Every operation is one call into `ppc.mpc.ops`.

    x = array(s, my_rows, owner=0, shape=(1000, 8))
    w = array(s, my_weights, owner=1, shape=8)
    p = sigmoid(x @ w)
    late = (p > 0.5).sum()
    print(late.reveal())

Public numbers and arrays mix with secret ones in every expression. A comparison gives secret booleans, which select
with `where`, count with `sum`, and combine with `&`, `|`, `~`. What would need the plain value (`if x:`, `float(x)`)
raises and says what to use.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.core import bits
from ppc.errors import SecretMisuse, TypeMismatchError
from ppc.mpc import ops
from ppc.mpc.secret_array import SecretArray
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

Operand: TypeAlias = "SecureArray | ArrayLike"
Axis: TypeAlias = int | tuple[int, ...] | None


class SecureArray(SecretArray):
    """A secret array: numbers (an `AShare`) or booleans (a `BShare`) of one session."""

    __slots__ = ()
    __hash__ = None

    # --- operands ---
    def _other(self, other: Operand) -> SecureArray | None:
        """Another secret of the same session; `None` for something public."""
        if not isinstance(other, SecureArray):
            return None
        if other._session is not self._session:
            raise SecretMisuse("arrays of two sessions do not mix")
        return other

    def paired(self, other: Operand) -> tuple[AShare, AShare]:
        """Both as numbers of one format."""
        x, theirs = self.as_number(), self._other(other)
        if theirs is None:
            values = np.asarray(other)
            whole = values.dtype.kind in "iub" and x.frac_bits == 0
            f = 0 if whole else max(x.frac_bits, self._session.fx.frac_bits)
            y = ops.constant(self._session, values, frac_bits=f)
        else:
            y = theirs.as_number()
        f = max(x.frac_bits, y.frac_bits)
        return ops.rescale(self._session, x, f), ops.rescale(self._session, y, f)

    # --- arithmetic ---
    def __add__(self, other: Operand) -> SecureArray:
        x, y = self.paired(other)
        return self.wrap(x + y)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> SecureArray:
        x, y = self.paired(other)
        return self.wrap(x - y)

    def __rsub__(self, other: Operand) -> SecureArray:
        x, y = self.paired(other)
        return self.wrap(y - x)

    def __neg__(self) -> SecureArray:
        return self.wrap(-self.as_number())

    def __pos__(self) -> SecureArray:
        return self

    def __mul__(self, other: Operand) -> SecureArray:
        s, theirs = self._session, self._other(other)
        if theirs is None:
            factor = np.asarray(other)
            x = self.as_number()
            if factor.dtype.kind in "iub":
                return self.wrap(x * factor)
            return self.wrap(ops.mul_public(s, as_real(s, x), factor))
        if isinstance(self._secret, BShare) and isinstance(theirs._secret, BShare):
            return self.wrap(ops.and_(s, self._secret, theirs._secret))
        if isinstance(self._secret, BShare):
            return self.wrap(ops.bit_mul(s, self._secret, theirs.as_number()))
        if isinstance(theirs._secret, BShare):
            return self.wrap(ops.bit_mul(s, theirs._secret, self.as_number()))
        return self.wrap(ops.mul(s, self.as_number(), theirs.as_number()))

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> SecureArray:
        s, theirs = self._session, self._other(other)
        if theirs is None:
            return self.wrap(ops.mul_public(s, as_real(s, self.as_number()), 1.0 / np.asarray(other, np.float64)))
        return self.wrap(ops.divide(s, as_real(s, self.as_number()), as_real(s, theirs.as_number()), signed=True))

    def __rtruediv__(self, other: ArrayLike) -> SecureArray:
        s = self._session
        return self.wrap(ops.divide(s, np.asarray(other, np.float64), as_real(s, self.as_number()), signed=True))

    def __matmul__(self, other: Operand) -> SecureArray:
        s, theirs = self._session, self._other(other)
        if theirs is None:
            return self.wrap(ops.matmul_public(s, _fit(s, self.as_number(), other), other))
        return self.wrap(ops.matmul(s, self.as_number(), theirs.as_number()))

    def __rmatmul__(self, other: ArrayLike) -> SecureArray:
        s = self._session
        return self.wrap(ops.matmul_public(s, _fit(s, self.as_number(), other), other, left=True))

    def __pow__(self, exponent: float) -> SecureArray:
        """Powers 0.5, -0.5, -1 and 0, 1, 2, 3, …: the exponent is public."""
        s, x = self._session, self.as_number()
        special: dict[float, Callable[[], AShare]] = {
            2: lambda: ops.square(s, x),
            0.5: lambda: ops.sqrt(s, as_real(s, x)),
            -0.5: lambda: ops.inverse_sqrt(s, as_real(s, x)),
            -1: lambda: ops.reciprocal(s, as_real(s, x), signed=True),
        }
        if exponent in special:
            return self.wrap(special[exponent]())
        if not (isinstance(exponent, int | np.integer) and exponent >= 0):
            raise TypeMismatchError("powers are 0, 1, 2, …, 0.5, -0.5 and -1", hint="use exp(y * log(x)) for others")
        out = ops.constant(s, np.ones(self.shape), frac_bits=x.frac_bits)
        for bit in bin(int(exponent))[2:] if exponent else "":
            out = ops.square(s, out)
            out = ops.mul(s, out, x) if bit == "1" else out
        return self.wrap(out)

    def __abs__(self) -> SecureArray:
        return self.wrap(ops.absolute(self._session, self.as_number()))

    # --- comparisons ---
    def __lt__(self, other: Operand) -> SecureArray:
        x, y = self.paired(other)
        return self.wrap(ops.less_than(self._session, x, y))

    def __gt__(self, other: Operand) -> SecureArray:
        x, y = self.paired(other)
        return self.wrap(ops.less_than(self._session, y, x))

    def __le__(self, other: Operand) -> SecureArray:
        return ~(self > other)

    def __ge__(self, other: Operand) -> SecureArray:
        return ~(self < other)

    def __eq__(self, other: Operand) -> SecureArray:  # type: ignore[override]
        theirs = self._other(other)
        if isinstance(self._secret, BShare) and (theirs is None or theirs.is_boolean):
            return ~(self ^ other)
        x, y = self.paired(other)
        return self.wrap(ops.equal(self._session, x, y))

    def __ne__(self, other: Operand) -> SecureArray:  # type: ignore[override]
        return ~(self == other)

    # --- booleans ---
    def __invert__(self) -> SecureArray:
        return self.wrap(~self.as_boolean())

    def _bits(self, other: Operand) -> tuple[BShare, BShare]:
        theirs = self._other(other)
        if theirs is None:
            y = self._session.engine.constant_bits(self._session, _flags(other))
        else:
            y = theirs.as_boolean()
        x = self.as_boolean()
        shape = np.broadcast_shapes(x.shape, y.shape)
        return x.broadcast_to(shape), y.broadcast_to(shape)

    def __and__(self, other: Operand) -> SecureArray:
        x, y = self._bits(other)
        if self._other(other) is None:  # what is public masks every share
            words = bits.pack(np.broadcast_to(np.asarray(other), x.shape))
            return self.wrap(BShare(tuple(p & words for p in x.parts), x.shape, x.holder))
        return self.wrap(ops.and_(self._session, x, y))

    def __or__(self, other: Operand) -> SecureArray:
        return ~(~self & (~other if isinstance(other, SecureArray) else ~_flags(other)))

    def __xor__(self, other: Operand) -> SecureArray:
        x, y = self._bits(other)
        return self.wrap(x ^ y)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    # --- elements and shape ---
    def __getitem__(self, index: Any) -> SecureArray:
        return self.wrap(self._secret[_public_index(index)])

    def __setitem__(self, index: Any, value: Operand) -> None:
        """Assign at a public index. Cost: none for numbers into numbers."""
        index = _public_index(index)
        theirs = self._other(value)
        if isinstance(self._secret, BShare):
            flags = theirs.as_boolean() if theirs is not None else None
            place = np.arange(self.size).reshape(self.shape)[index]
            new = flags if flags is not None else self._session.engine.constant_bits(
                self._session, np.broadcast_to(np.asarray(value, bool), np.shape(place))
            )  # fmt: skip
            self._secret = _set_bits(self._secret, np.asarray(place), new.broadcast_to(np.shape(place)))
            return
        x, y = self.paired(value)
        parts = tuple(p.copy() for p in x.parts)
        for mine, new_part in zip(parts, y.parts, strict=True):
            mine[index] = new_part
        self._secret = AShare(parts, x.frac_bits, x.holder)

    def __iter__(self) -> Iterator[SecureArray]:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: Any) -> SecureArray:
        """As `numpy.reshape`."""
        return self.wrap(self._secret.reshape(*shape))

    def ravel(self) -> SecureArray:
        """One dimension."""
        return self.wrap(self._secret.ravel())

    flatten = ravel

    @property
    def T(self) -> SecureArray:
        """The transpose."""
        return self.wrap(self._secret.T)

    def rearranged(self, f: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> SecureArray:
        """The elements where `f` puts them: it takes and gives an array of their flat positions. Cost: none."""
        return self.wrap(self._secret.ravel()[f(np.arange(self.size).reshape(self.shape))])

    def transpose(self, *axes: Any) -> SecureArray:
        """As `numpy.transpose`."""
        return self.rearranged(lambda i: i.transpose(*axes))

    def swapaxes(self, a: int, b: int) -> SecureArray:
        """As `numpy.swapaxes`."""
        return self.rearranged(lambda i: i.swapaxes(a, b))

    def squeeze(self, axis: Any = None) -> SecureArray:
        """As `numpy.squeeze`."""
        return self.rearranged(lambda i: i.squeeze(axis))

    def repeat(self, repeats: Any, axis: int | None = None) -> SecureArray:
        """As `numpy.repeat`."""
        return self.rearranged(lambda i: i.repeat(repeats, axis))

    def astype(self, kind: Any) -> SecureArray:
        """float: fixed-point numbers; int: whole numbers, cut towards zero as NumPy does; bool: x != 0."""
        wanted, s = np.dtype(kind), self._session
        if wanted.kind == "b":
            return self if self.is_boolean else self != 0
        x = self.as_number()
        if wanted.kind == "f":
            return self.wrap(as_real(s, x))
        if wanted.kind not in "iu":
            raise TypeMismatchError(f"a SecureArray holds float, int or bool, not {wanted}")
        if not x.frac_bits:
            return self.wrap(x)
        negative = ops.less_than_zero(s, x)
        floor = ops.floor(s, ops.select(s, negative, -x, x))
        return self.wrap(ops.select(s, negative, -floor, floor))

    def copy(self) -> SecureArray:
        """Another array of the same secret; assignment to one leaves the other alone."""
        return self.wrap(self._secret)

    # --- reductions: axis is None, an integer or a tuple ---
    def sum(self, axis: Axis = None, keepdims: bool = False) -> SecureArray:
        """The sum; of booleans, how many are true. Cost: none (booleans: 1 round)."""
        return self.wrap(self.as_number().sum(axis=axis, keepdims=keepdims))

    def cumsum(self, axis: int | None = None) -> SecureArray:
        """Running sums."""
        return self.wrap(self.as_number().cumsum(axis=axis))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> SecureArray:
        """The mean."""
        return self._along(axis, keepdims, lambda x: ops.mean(self._session, as_real(self._session, x), 0))

    def var(self, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> SecureArray:
        """The variance, with NumPy's default divisor n."""
        return self._along(axis, keepdims, lambda x: ops.variance(self._session, as_real(self._session, x), 0, ddof))

    def std(self, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> SecureArray:
        """The standard deviation."""
        return self.var(axis, ddof, keepdims) ** 0.5

    def min(self, axis: Axis = None, keepdims: bool = False) -> SecureArray:
        """The smallest."""
        return self._along(axis, keepdims, lambda x: ops.minimum_along(self._session, x, 0))

    def max(self, axis: Axis = None, keepdims: bool = False) -> SecureArray:
        """The largest."""
        return self._along(axis, keepdims, lambda x: ops.maximum_along(self._session, x, 0))

    def argmin(self, axis: int | None = None) -> SecureArray:
        """The index of the smallest, the first of equals."""
        return self._along(axis, False, lambda x: ops.argmin(self._session, x, 0))

    def argmax(self, axis: int | None = None) -> SecureArray:
        """The index of the largest, the first of equals."""
        return self._along(axis, False, lambda x: ops.argmax(self._session, x, 0))

    def any(self, axis: Axis = None, keepdims: bool = False) -> SecureArray:
        """Whether one is true."""
        return self.wrap(self.as_boolean()).sum(axis, keepdims) > 0

    def all(self, axis: Axis = None, keepdims: bool = False) -> SecureArray:
        """Whether all are true."""
        return ~(~self).any(axis, keepdims)

    def _along(self, axis: Axis, keepdims: bool, f: Callable[[AShare], AShare]) -> SecureArray:
        """f along the first axis of (k, …), where the axes to be reduced have become the first one."""
        x = self.as_number()
        if axis is None:
            axes = tuple(range(x.ndim))
        else:
            given = axis if isinstance(axis, tuple) else (axis,)
            if not all(-x.ndim <= a < x.ndim for a in given) or len({a % x.ndim for a in given}) != len(given):
                raise TypeMismatchError(f"axis {axis} of an array of shape {x.shape}", where="axis")
            axes = tuple(a % x.ndim for a in given)
        rest = tuple(i for i in range(x.ndim) if i not in axes)
        kept = tuple(x.shape[i] for i in rest)
        if axes != (0,):
            flat = x if not x.ndim else x.transpose(*axes, *rest)
            x = flat.reshape(math.prod(x.shape[i] for i in axes), *kept)
        reduced = f(x)
        return self.wrap(reduced.reshape(tuple(1 if i in axes else n for i, n in enumerate(self.shape)))
                         if keepdims else reduced)  # fmt: skip

    def dot(self, other: Operand) -> SecureArray:
        """As `@`."""
        return self @ other

    def clip(self, low: float, high: float) -> SecureArray:
        """Within public bounds."""
        return self.wrap(ops.clip(self._session, as_real(self._session, self.as_number()), low, high))

    def sort(self) -> NoReturn:
        """In place, as NumPy has it, is not offered: use `ppc.mpc.secure_functions.sort(x)`."""
        self._refuse("sorting in place", "use ppc.mpc.secure_functions.sort(x), which returns the sorted array")

    # --- NumPy's own functions and ufuncs ---
    def __array_function__(self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        from ppc.mpc.numpy_names import FUNCTIONS

        handler = FUNCTIONS.get(func)
        if handler is None:
            raise SecretMisuse(
                f"numpy.{func.__name__} of a SecureArray is not offered", hint="see docs/secure_array.md for what is"
            )
        try:
            inspect.signature(handler).bind(*args, **kwargs)
        except TypeError:
            raise SecretMisuse(
                f"numpy.{func.__name__} of a SecureArray does not take these arguments",
                hint=f"it takes {inspect.signature(handler)}",
            ) from None
        return handler(*args, **kwargs)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from ppc.mpc.numpy_names import UFUNCS

        handler = UFUNCS.get(ufunc)
        if handler is None or method != "__call__" or kwargs:
            raise SecretMisuse(
                f"numpy.{ufunc.__name__} of a SecureArray is not offered", hint="see docs/secure_array.md for what is"
            )
        return handler(*inputs)


def as_real(s: Session, x: AShare) -> AShare:
    """Integers as fixed-point numbers."""
    return x if x.frac_bits else ops.rescale(s, x, s.fx.frac_bits)


def _flags(other: Operand) -> NDArray[np.bool_]:
    flags = np.asarray(other)
    if flags.dtype.kind != "b":
        raise TypeMismatchError(f"booleans combine with booleans, not {flags.dtype}")
    return flags


def _fit(s: Session, x: AShare, factor: Operand) -> AShare:
    """x in the format in which a public factor multiplies it: whole numbers stay whole among themselves."""
    return x if np.asarray(factor).dtype.kind in "iub" else as_real(s, x)


def _public_index(index: Any) -> Any:
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(p, SecureArray | AShare | BShare) for p in parts):
        raise SecretMisuse(
            "a secret index",
            hint="use ppc.mpc.secure_functions.lookup(table, index), where(condition, x, y), or sort with payloads",
        )
    return index


def _set_bits(x: BShare, place: NDArray[np.int64], new: BShare) -> BShare:
    parts = []
    for mine, theirs in zip(x.parts, new.parts, strict=True):
        flags = bits.unpack(mine, x.size).copy()
        flags[place.reshape(-1)] = bits.unpack(theirs, new.size)
        parts.append(bits.pack(flags.astype(bool)))
    return BShare(tuple(parts), x.shape, x.holder)

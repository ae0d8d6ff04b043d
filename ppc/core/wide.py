"""`Wide`: NumPy arrays of 128-bit words, so that code written for uint64 arrays works on them as it stands.

An element is a record of two uint64, `lo` and `hi`; what moves elements about (slices, reshape, transpose,
concatenate, broadcast) is NumPy's own, and arithmetic (+, -, *, <<, ^ …) wraps modulo 2**128 by machine-code loops.
Whatever else NumPy has for numbers is refused, and so is a mixture with plain uint64, which would not say if a word
is signed: use `ppc.core.ring.Z128` to make words of numbers. A shift's distance is an integer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.errors import TypeMismatchError

Words = NDArray[np.uint64]

LIMBS: Final = np.dtype([("lo", "<u8"), ("hi", "<u8")])
_MASK: Final = (1 << 64) - 1


class Wide(NDArray[np.uint64]):
    """An array of words modulo 2**128. To the type checker it is an array of words; see the module for what differs."""

    __array_priority__ = 1.0  # what is concatenated stays of this type

    @property
    def lo(self) -> Words:
        """The low halves, a view."""
        return np.ndarray.view(self, np.ndarray)["lo"]

    @property
    def hi(self) -> Words:
        """The high halves, a view."""
        return np.ndarray.view(self, np.ndarray)["hi"]

    @property
    def limbs(self) -> Words:
        """The same memory as uint64, (…, 2), low half first; copied if it is not contiguous."""
        flat = np.ascontiguousarray(np.ndarray.view(self, np.ndarray)).reshape(-1)
        return flat.view(np.uint64).reshape(*self.shape, 2)

    def __getitem__(self, index: Any) -> Any:
        got = super().__getitem__(index)
        return wide(np.asarray(got)) if isinstance(got, np.void) else got

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs and ufunc in _UFUNCS:
            result = _UFUNCS[ufunc](*inputs)
        elif method == "reduce" and ufunc is np.add:
            result = total(inputs[0], kwargs.get("axis", 0), bool(kwargs.get("keepdims", False)))
        elif method == "reduce" and ufunc is np.bitwise_xor and kwargs.get("axis", 0) == 0:
            limbs = as_wide(inputs[0]).limbs
            result = from_limbs(np.bitwise_xor.reduce(limbs, axis=0))
        else:
            raise TypeMismatchError(f"128-bit words have no {ufunc.__name__}.{method}")
        if out is None:
            return result
        (target,) = out
        target[...] = result
        return target

    def sum(self, axis: Any = None, keepdims: bool = False, **_: Any) -> Wide:  # type: ignore[override]
        """The sum over axes, modulo 2**128."""
        return total(self, axis, keepdims)

    def cumsum(self, axis: int | None = None, **_: Any) -> Wide:  # type: ignore[override]
        """Running sums along an axis (of all elements if it is `None`), modulo 2**128."""
        from ppc.core import _kernels_wide

        x = self.reshape(-1) if axis is None else self
        along = 0 if axis is None else axis
        moved = np.moveaxis(x, along, 0)
        limbs = as_wide(moved).limbs
        flat = limbs.reshape(limbs.shape[0], math.prod(limbs.shape[1:-1]), 2)
        out = np.empty_like(flat)
        _kernels_wide.running_sum(flat, out)
        return as_wide(np.moveaxis(from_limbs(out.reshape(limbs.shape)), 0, along))

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: words have no other form."""
        raise TypeMismatchError("128-bit words do not convert; decode them with ppc.core.ring.Z128")

    def view(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: use `limbs`."""
        if args and args[0] is Wide:
            return super().view(Wide)
        raise TypeMismatchError("128-bit words are not viewed as another type; use `limbs`, `lo` and `hi`")


def wide(records: NDArray[Any]) -> Wide:
    """Records of LIMBS as an array of words, without a copy."""
    return np.ndarray.view(records, Wide)


def from_limbs(limbs: Words) -> Wide:
    """uint64 (…, 2) as words (…), without a copy if it is contiguous."""
    flat = np.ascontiguousarray(limbs).reshape(-1)
    return wide(flat.view(LIMBS).reshape(limbs.shape[:-1]))


def word(value: int) -> Wide:
    """One word, without dimensions."""
    return from_limbs(np.array([value & _MASK, (value >> 64) & _MASK], np.uint64))


def as_wide(x: Any) -> Wide:
    """Words of words, of records, or of a Python integer.

    Raises:
        TypeMismatchError: anything else.
    """
    if isinstance(x, Wide):
        return x
    if isinstance(x, int) and not isinstance(x, bool):
        return word(x)
    if isinstance(x, np.ndarray) and x.dtype == LIMBS:
        return wide(x)
    kind = x.dtype if isinstance(x, np.ndarray | np.generic) else type(x).__name__
    raise TypeMismatchError(
        f"words of 128 bits do not mix with {kind}", hint="make words of it with the session's ring"
    )


def _rows(x: Wide, shape: tuple[int, ...]) -> Words:
    """Limbs (n, 2) of x broadcast to a shape; a single row stands for all."""
    if x.size == 1 and math.prod(shape) != 1:
        return x.limbs.reshape(1, 2)
    if x.shape != shape:
        x = as_wide(np.broadcast_to(x, shape, subok=True))
    return x.limbs.reshape(-1, 2)


def _binary(name: str) -> Callable[[Any, Any], Wide]:
    def apply(a: Any, b: Any) -> Wide:
        from ppc.core import _kernels_wide

        x, y = as_wide(a), as_wide(b)
        shape = np.broadcast_shapes(x.shape, y.shape)
        out = np.empty((math.prod(shape), 2), np.uint64)
        getattr(_kernels_wide, name)(_rows(x, shape), _rows(y, shape), out)
        return from_limbs(out.reshape(*shape, 2))

    return apply


def _bitwise(f: np.ufunc) -> Callable[[Any, Any], Wide]:
    def apply(a: Any, b: Any) -> Wide:
        x, y = as_wide(a), as_wide(b)
        return _both(f(x.lo, y.lo), f(x.hi, y.hi))

    return apply


def _both(lo: Words, hi: Words) -> Wide:
    out = np.empty(lo.shape, LIMBS)
    out["lo"], out["hi"] = lo, hi
    return wide(out)


def shift_left(x: Any, bits: Any) -> Wide:
    """x * 2**bits."""
    words, n = as_wide(x), _distance(bits)
    lo, hi = words.lo, words.hi
    if n >= 64:
        return _both(np.zeros_like(lo), lo << np.uint64(n - 64))
    if not n:
        return _both(lo, hi)
    return _both(lo << np.uint64(n), (hi << np.uint64(n)) | (lo >> np.uint64(64 - n)))


def shift_right(x: Any, bits: Any, *, signed: bool = False) -> Wide:
    """floor(x / 2**bits), of the residues or of the signed numbers."""
    words, n = as_wide(x), _distance(bits)
    lo, hi = words.lo, words.hi
    fill = (hi.view(np.int64) >> np.int64(63)).view(np.uint64) if signed else np.zeros_like(hi)
    if n >= 64:
        low = _arithmetic(hi, n - 64) if signed else hi >> np.uint64(n - 64)
        return _both(low, fill)
    if not n:
        return _both(lo, hi)
    high = _arithmetic(hi, n) if signed else hi >> np.uint64(n)
    return _both((lo >> np.uint64(n)) | (hi << np.uint64(64 - n)), high)


def _arithmetic(words: Words, n: int) -> Words:
    return (words.view(np.int64) >> np.int64(n)).view(np.uint64)


def _distance(bits: Any) -> int:
    n = int(bits)
    if not 0 <= n < 128:
        raise TypeMismatchError(f"128-bit words are shifted by 0 to 127 bits, not {n}")
    return n


def negative(x: Any) -> Wide:
    """-x."""
    return _SUBTRACT(word(0), x)


def total(x: Any, axis: Any, keepdims: bool) -> Wide:
    """The sum over one axis, several, or all."""
    from ppc.core import _kernels_wide

    words = as_wide(x)
    if axis is None:
        axes = tuple(range(words.ndim))
    else:
        axes = tuple(sorted(a % words.ndim for a in (axis if isinstance(axis, tuple) else (axis,))))
    kept = [i for i in range(words.ndim) if i not in axes]
    limbs = as_wide(words.transpose(*axes, *kept)).limbs
    shape = tuple(words.shape[i] for i in kept)
    out = np.zeros((math.prod(shape), 2), np.uint64)
    _kernels_wide.total(limbs.reshape(math.prod(words.shape[i] for i in axes), math.prod(shape), 2), out)
    final = tuple(1 if i in axes else n for i, n in enumerate(words.shape)) if keepdims else shape
    return from_limbs(out.reshape(*final, 2))


_SUBTRACT: Final = _binary("subtract")
_UFUNCS: Final[dict[np.ufunc, Callable[..., Wide]]] = {
    np.add: _binary("add"),
    np.subtract: _SUBTRACT,
    np.multiply: _binary("multiply"),
    np.negative: negative,
    np.bitwise_and: _bitwise(np.bitwise_and),
    np.bitwise_or: _bitwise(np.bitwise_or),
    np.bitwise_xor: _bitwise(np.bitwise_xor),
    np.invert: lambda x: _both(~as_wide(x).lo, ~as_wide(x).hi),
    np.left_shift: shift_left,
    np.right_shift: shift_right,
}

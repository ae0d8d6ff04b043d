"""Arithmetic in Z_2^64 and Z_2^128 on NumPy arrays of words, where every operation wraps.

Sums, differences and products of elements are the arrays' own (`uint64`, or `ppc.core.wide.Wide`). What differs between
the rings is behind the Protocol `Ring`, with the two implementations `Z64` and `Z128`; `of(words)` tells which one an
array belongs to. Matrix products go to kernels: NumPy has no fast integer one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.core.rng import Stream
from ppc.core.wide import LIMBS, Wide, from_limbs, wide, word
from ppc.core.wide import shift_right as _wide_shift
from ppc.errors import ConfigError, TypeMismatchError

BITS: Final = 64
Words: TypeAlias = NDArray[np.uint64]
Floats: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]


class Ring(Protocol):
    """Integers modulo 2**bits. Signed numbers are in two's complement."""

    bits: int
    limbs_each: int  # uint64 words an element

    def zeros(self, shape: int | Shape) -> Words:
        """Zeros."""

    def word(self, value: int) -> Any:
        """One element without dimensions, which broadcasts."""

    def words(self, values: Any) -> Words:
        """Python integers of any size (nested lists, or an array of objects) as elements."""

    def of_integers(self, values: NDArray[np.generic]) -> Words:
        """An array of integers or booleans as elements."""

    def of_floats(self, values: Floats) -> Words:
        """Whole numbers in float64 as elements."""

    def to_floats(self, words: Words) -> Floats:
        """The signed numbers, rounded to float64."""

    def to_integers(self, words: Words) -> NDArray[Any]:
        """The signed numbers as they are: int64, or Python integers in an array of objects."""

    def draw(self, stream: Stream, shape: int | Shape) -> Words:
        """The next uniform elements of a stream."""

    def limbs(self, words: Words) -> Words:
        """The same memory as uint64: the shape itself, or (…, 2)."""

    def from_limbs(self, limbs: Words) -> Words:
        """The inverse of `limbs`, without a copy if it is contiguous."""

    def matmul(self, a: Words, b: Words) -> Words:
        """a @ b for matrices (n, d) and (d, k)."""

    def matmul_transposed(self, a: Words, g: Words) -> Words:
        """a.T @ g for matrices (n, d) and (n, k), in one pass over a without a transposed copy."""

    def shift_right(self, words: Words, by: int) -> Words:
        """floor(x / 2**by) of the signed numbers."""

    def is_negative(self, words: Words) -> NDArray[np.bool_]:
        """The top bit."""

    def slice_bits(self, words: Words) -> Words:
        """Elements (n,) as bit slices (bits, words_for(n))."""

    def unslice_bits(self, rows: Words, n: int) -> Words:
        """The n elements of bit slices."""


class _Z64:
    """uint64, on NumPy's own operations."""

    bits = 64
    limbs_each = 1

    def zeros(self, shape: int | Shape) -> Words:
        return np.zeros(shape, np.uint64)

    def word(self, value: int) -> Any:
        return np.uint64(value % (1 << 64))

    def words(self, values: Any) -> Words:
        return _modulo(values, 1 << 64).astype(np.uint64)

    def of_integers(self, values: NDArray[np.generic]) -> Words:
        kind = values.dtype.kind
        if kind == "u":
            return values.astype(np.uint64, copy=False)
        if kind in "ib":
            return values.astype(np.int64, copy=False).view(np.uint64)
        raise TypeMismatchError(f"a ring takes integers, not {values.dtype}")

    def of_floats(self, values: Floats) -> Words:
        return values.astype(np.int64).view(np.uint64)

    def to_floats(self, words: Words) -> Floats:
        return words.view(np.int64).astype(np.float64)

    def to_integers(self, words: Words) -> NDArray[Any]:
        return words.view(np.int64)

    def draw(self, stream: Stream, shape: int | Shape) -> Words:
        return stream.uint64(shape)

    def limbs(self, words: Words) -> Words:
        return words

    def from_limbs(self, limbs: Words) -> Words:
        return limbs

    def matmul(self, a: Words, b: Words) -> Words:
        from ppc.core import _kernels

        out = np.empty((a.shape[0], b.shape[1]), np.uint64)
        _kernels.matmul(np.ascontiguousarray(a), np.ascontiguousarray(b.T), out)
        return out

    def matmul_transposed(self, a: Words, g: Words) -> Words:
        from ppc.core import _kernels

        return _by_wider(a, g, _kernels.matmul_transposed, np.zeros)

    def shift_right(self, words: Words, by: int) -> Words:
        return (words.view(np.int64) >> np.int64(by)).view(np.uint64)

    def is_negative(self, words: Words) -> NDArray[np.bool_]:
        return words.view(np.int64) < 0

    def slice_bits(self, words: Words) -> Words:
        return bits.slice_bits(words)

    def unslice_bits(self, rows: Words, n: int) -> Words:
        return bits.unslice_bits(rows, n)


class _Z128:
    """`Wide` words of two limbs."""

    bits = 128
    limbs_each = 2

    def zeros(self, shape: int | Shape) -> Words:
        return wide(np.zeros(shape, LIMBS))

    def word(self, value: int) -> Any:
        return word(value % (1 << 128))

    def words(self, values: Any) -> Words:
        numbers = _modulo(values, 1 << 128)
        limbs = np.empty((*numbers.shape, 2), np.uint64)
        limbs[..., 0] = (numbers & ((1 << 64) - 1)).astype(np.uint64)
        limbs[..., 1] = (numbers >> 64).astype(np.uint64)
        return from_limbs(limbs)

    def of_integers(self, values: NDArray[np.generic]) -> Words:
        if values.dtype.kind not in "iub":
            raise TypeMismatchError(f"a ring takes integers, not {values.dtype}")
        out = np.empty(values.shape, LIMBS)
        signed = values.dtype.kind == "i"
        out["lo"] = values.astype(np.int64).view(np.uint64) if signed else values.astype(np.uint64)
        out["hi"] = (values.astype(np.int64) >> np.int64(63)).view(np.uint64) if signed else 0
        return wide(out)

    def of_floats(self, values: Floats) -> Words:
        magnitude = np.abs(values)
        high = np.floor(magnitude * 2.0**-64)
        out = np.empty(values.shape, LIMBS)
        out["lo"], out["hi"] = (magnitude - high * 2.0**64).astype(np.uint64), high.astype(np.uint64)
        return _signed(wide(out), np.asarray(values < 0))

    def to_floats(self, words: Words) -> Floats:
        below = self.is_negative(words)
        magnitude = _of(_signed(words, below))  # of a number near 0, hi alone would say -2**64
        out: Floats = magnitude.hi.astype(np.float64) * 2.0**64 + magnitude.lo.astype(np.float64)
        return np.where(below, -out, out)

    def to_integers(self, words: Words) -> NDArray[Any]:
        x = _of(words)
        return np.asarray(x.hi.view(np.int64).astype(object) * (1 << 64) + x.lo.astype(object), object)

    def draw(self, stream: Stream, shape: int | Shape) -> Words:
        sizes = (shape,) if isinstance(shape, int) else shape
        return from_limbs(stream.uint64((*sizes, 2)))

    def limbs(self, words: Words) -> Words:
        return _of(words).limbs

    def from_limbs(self, limbs: Words) -> Words:
        return from_limbs(limbs)

    def matmul(self, a: Words, b: Words) -> Words:
        from ppc.core import _kernels_wide

        out = np.empty((a.shape[0], b.shape[1], 2), np.uint64)
        _kernels_wide.matmul(_of(a).limbs, _of(b.T).limbs, out)
        return from_limbs(out)

    def matmul_transposed(self, a: Words, g: Words) -> Words:
        from ppc.core import _kernels_wide

        def kernel(x: Words, y: Words, out: Words) -> None:
            _kernels_wide.matmul_transposed(_of(x).limbs, _of(y).limbs, _of(out).limbs)

        return _by_wider(a, g, kernel, lambda shape, _: self.zeros(shape))

    def shift_right(self, words: Words, by: int) -> Words:
        return _wide_shift(words, by, signed=True)

    def is_negative(self, words: Words) -> NDArray[np.bool_]:
        return _of(words).hi.view(np.int64) < 0

    def slice_bits(self, words: Words) -> Words:
        x = _of(words)
        return np.concatenate([bits.slice_bits(half.reshape(-1)) for half in (x.lo, x.hi)])

    def unslice_bits(self, rows: Words, n: int) -> Words:
        out = np.empty(n, LIMBS)
        out["lo"], out["hi"] = bits.unslice_bits(rows[:64], n), bits.unslice_bits(rows[64:], n)
        return wide(out)


Z64: Final[Ring] = _Z64()
Z128: Final[Ring] = _Z128()
RINGS: Final = {64: Z64, 128: Z128}


def of(words: Words) -> Ring:
    """The ring that an array's elements belong to."""
    return Z128 if isinstance(words, Wide) else Z64


def by_bits(ring_bits: int) -> Ring:
    """The ring of 64 or of 128 bits."""
    if ring_bits not in RINGS:
        raise ConfigError(f"a ring has 64 or 128 bits, not {ring_bits}")
    return RINGS[ring_bits]


def _of(words: Words) -> Wide:
    if not isinstance(words, Wide):
        raise TypeMismatchError(f"words of 128 bits are needed, not {words.dtype}")
    return words


def _signed(words: Words, below: NDArray[np.bool_]) -> Words:
    """-x where the flag is set: (x ^ m) - m with m all ones."""
    ones = Z128.of_integers(-below.astype(np.int64))
    return (words ^ ones) - ones


def _modulo(values: Any, modulus: int) -> NDArray[Any]:
    numbers = np.asarray(values, dtype=object)
    flat = [int(v) % modulus for v in numbers.reshape(-1)]
    out = np.empty(len(flat), object)
    out[:] = flat
    return out.reshape(numbers.shape)


def _by_wider(a: Words, g: Words, kernel: Callable[[Words, Words, Words], None], zeros: Callable[..., Words]) -> Words:
    """a.T @ g; the kernel's inner loop runs over the wider of the two."""
    left, right = np.asanyarray(a, order="C"), np.asanyarray(g, order="C")
    out: Words
    if right.shape[1] > left.shape[1]:
        out = zeros((left.shape[1], right.shape[1]), np.uint64)
        kernel(right, left, out)
        return out
    out = zeros((right.shape[1], left.shape[1]), np.uint64)
    kernel(left, right, out)
    return out.T


def as_ring(values: NDArray[np.generic]) -> Words:
    """Integers (or booleans) of any shape as residues modulo 2**64: two's complement."""
    return Z64.of_integers(values)


def as_signed(words: Words) -> NDArray[np.int64]:
    """Residues modulo 2**64 read as −2**63 … 2**63 − 1."""
    return words.view(np.int64)


def matmul(a: Words, b: Words) -> Words:
    """a @ b in the ring of its operands, with NumPy's rules for one- and two-dimensional operands.

    Raises:
        TypeMismatchError: shapes that do not fit, or more than two dimensions.
    """
    if not (a.ndim in (1, 2) and b.ndim in (1, 2) and a.shape[-1] == b.shape[0]):
        raise TypeMismatchError(f"matrix product of shapes {a.shape} and {b.shape}")
    left = a.reshape(1, -1) if a.ndim == 1 else a
    right = b.reshape(-1, 1) if b.ndim == 1 else b
    shape = (a.shape[:1] if a.ndim == 2 else ()) + (b.shape[1:] if b.ndim == 2 else ())
    return of(a).matmul(left, right).reshape(shape)


def matmul_transposed(a: Words, g: Words) -> Words:
    """a.T @ g in the ring of its operands, for a (n, d) and g (n, k) or (n,)."""
    if not (a.ndim == 2 and g.ndim in (1, 2) and a.shape[0] == g.shape[0]):
        raise TypeMismatchError(f"transposed matrix product of shapes {a.shape} and {g.shape}")
    columns = g if g.ndim == 2 else g.reshape(-1, 1)
    return of(a).matmul_transposed(a, columns).reshape(a.shape[1:] + g.shape[1:])


def dot(a: Words, b: Words) -> np.uint64:
    """The inner product of two vectors modulo 2**64."""
    return np.uint64(matmul(a, b)[()])


def matmul_numpy(a: Words, b: Words) -> Words:
    """The twin of `matmul` in NumPy alone: slow, obviously right."""
    out: Words = np.matmul(a, b)
    return out


def shift_right(words: Words, by: int) -> Words:
    """floor(x / 2**by) of the signed residues."""
    return of(words).shift_right(words, by)


def headroom_bits(terms: int) -> int:
    """Bits that a sum of so many terms may grow by."""
    return math.ceil(math.log2(terms)) if terms > 1 else 0

"""The two secret types: `AShare` (numbers, shared additively) and `BShare` (bits, shared by XOR).

Both are closed. They add, subtract, slice and reshape, because that needs no message; everything that does is a
function that takes the session (`ppc.mpc.ops`). They never turn into a plain value by accident: comparison, truth
value, conversion to a number or an array, iteration and pickling raise `SecretMisuse`.

A share holds one or more `parts`, as its engine keeps them: `plain` and `additive` have one, `replicated` has two.
Linear operations are the same on every part, so they live here; `holder` says which part takes a public constant at
this party.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.core import bits, ring
from ppc.core.fixedpoint import FixedPoint
from ppc.errors import SecretMisuse, TypeMismatchError

Words: TypeAlias = NDArray[np.uint64]
Parts: TypeAlias = tuple[Words, ...]
Index: TypeAlias = Any  # what NumPy takes between brackets: integers, slices, index arrays, None, …


def _shape(given: tuple[int | tuple[int, ...], ...]) -> tuple[int, ...]:
    """reshape(2, 3) and reshape((2, 3)) mean the same."""
    flat: list[int] = []
    for g in given:
        flat.extend(g if isinstance(g, tuple) else (g,))
    return tuple(flat)


class Mask(Protocol):
    """What an engine remembers of a share that it has opened under a mask (see `ppc.mpc.additive.masked`)."""


class _Secret:
    """What no secret does, and what to do instead."""

    __slots__ = ()
    __array_ufunc__ = None  # ndarray + share asks the share, instead of looping over the elements
    __hash__ = None  # type: ignore[assignment]

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise SecretMisuse(f"{what} of a secret {type(self).__name__}", hint=instead)

    def __bool__(self) -> NoReturn:  # noqa: PLE0304
        self._refuse("the truth value", "use ops.select, or ops.open if everyone may see it")

    def __float__(self) -> float:
        self._refuse("float()", "use ops.open or ops.reveal")

    def __int__(self) -> int:
        self._refuse("int()", "use ops.open or ops.reveal")

    def __index__(self) -> NoReturn:  # noqa: PLE0305
        self._refuse("an index", "secret indices need ops that take them")

    def __complex__(self) -> complex:
        self._refuse("complex()", "use ops.open or ops.reveal")

    def __iter__(self) -> NoReturn:
        self._refuse("iteration", "use slices and whole-array operations")

    def __contains__(self, item: object) -> bool:
        self._refuse("membership", "use ops.less_than and ops.select")

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        self._refuse("conversion to an array", "use ops.open or ops.reveal")

    def __eq__(self, other: object) -> bool:
        self._refuse("==", "use ops.less_than and ops.select")

    def __ne__(self, other: object) -> bool:
        self._refuse("!=", "use ops.less_than and ops.select")

    def __lt__(self, other: object) -> bool:
        self._refuse("<", "use ops.less_than")

    def __le__(self, other: object) -> bool:
        self._refuse("<=", "use ops.less_than")

    def __gt__(self, other: object) -> bool:
        self._refuse(">", "use ops.less_than")

    def __ge__(self, other: object) -> bool:
        self._refuse(">=", "use ops.less_than")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self._refuse("pickling", "a share never leaves its party; write artifacts with ppc.mpc.io")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable


class AShare(_Secret):
    """This party's share of an array of numbers in Z_2^64 or Z_2^128, fixed point with `frac_bits` fraction bits (0:
    integers).

    `+`, `-`, unary `-` and `*` take another share where that is local (never `share * share`: use `ops.mul`), public
    numbers and public arrays. Shapes broadcast as in NumPy. A public factor must be integer: a real one needs a
    truncation, `ops.mul_public`.
    """

    __slots__ = ("_frac", "_holder", "_parts", "mask")

    def __init__(self, parts: Parts, frac_bits: int, holder: int | None, mask: Mask | None = None) -> None:
        self._parts = tuple(np.asanyarray(p) for p in parts)  # sums of arrays without dimensions come as scalars
        self._frac = frac_bits
        self._holder = holder
        self.mask = mask

    # --- what is public of it ---
    @property
    def parts(self) -> Parts:
        """The words of this party, as its engine keeps them."""
        return self._parts

    @property
    def holder(self) -> int | None:
        """Which part takes public constants at this party; `None` if none does."""
        return self._holder

    @property
    def ring(self) -> ring.Ring:
        """The ring of its numbers."""
        return ring.of(self._parts[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, which is public."""
        return self._parts[0].shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._parts[0].ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._parts[0].size

    @property
    def frac_bits(self) -> int:
        """Fraction bits; 0 for integers."""
        return self._frac

    def __len__(self) -> int:
        return len(self._parts[0])

    def __repr__(self) -> str:
        return f"<AShare shape={self.shape} frac_bits={self._frac}>"

    # --- local arithmetic ---
    def _with(self, parts: Parts, frac_bits: int | None = None) -> AShare:
        return AShare(parts, self._frac if frac_bits is None else frac_bits, self._holder)

    def _shift(self, words: Words) -> AShare:
        """Add public ring elements."""
        if self._holder is None:  # a new object all the same: it is not the value that `mask` is about
            shape = np.broadcast_shapes(self.shape, words.shape)
            return self._with(tuple(np.broadcast_to(p, shape, subok=True) for p in self._parts))
        holder = self._holder
        if np.broadcast_shapes(self.shape, words.shape) == self.shape:
            return self._with(tuple(p + words if i == holder else p for i, p in enumerate(self._parts)))
        return self._with(
            tuple(p + (words if i == holder else np.zeros_like(words)) for i, p in enumerate(self._parts))
        )

    def _public(self, other: ArrayLike) -> Words:
        return FixedPoint(self._frac, self.ring.bits).encode(other, "a public operand")

    def _check(self, other: object) -> None:
        if isinstance(other, _Secret) and not isinstance(other, AShare):
            raise SecretMisuse(f"AShare and {type(other).__name__} do not mix", hint="convert the bits with ops.b2a")
        if isinstance(other, AShare) and other._frac != self._frac:
            raise SecretMisuse(
                f"shares of {self._frac} and {other._frac} fraction bits do not add",
                hint="use ops.rescale or ops.truncate",
            )

    def __add__(self, other: AShare | ArrayLike) -> AShare:
        self._check(other)
        if isinstance(other, AShare):
            return self._with(tuple(a + b for a, b in zip(self._parts, other._parts, strict=True)))
        return self._shift(self._public(other))

    __radd__ = __add__

    def __sub__(self, other: AShare | ArrayLike) -> AShare:
        self._check(other)
        if isinstance(other, AShare):
            return self._with(tuple(a - b for a, b in zip(self._parts, other._parts, strict=True)))
        return self._shift(np.negative(self._public(other)))

    def __rsub__(self, other: ArrayLike) -> AShare:
        return (-self) + other

    def __neg__(self) -> AShare:
        return self._with(tuple(np.negative(p) for p in self._parts))

    def __mul__(self, other: ArrayLike) -> AShare:
        if isinstance(other, _Secret):
            raise SecretMisuse("share * share needs a message", hint="use ops.mul(session, x, y)")
        factor = np.asarray(other)
        if factor.dtype.kind not in "iub":
            raise SecretMisuse(
                f"a share times {factor.dtype} needs a truncation", hint="use ops.mul_public(session, x, factor)"
            )
        return self.scale(self.ring.of_integers(factor))

    __rmul__ = __mul__

    def scale(self, words: Words | np.uint64, frac_bits: int = 0) -> AShare:
        """Times public ring elements that carry `frac_bits` fraction bits; nothing is truncated."""
        return self._with(tuple(p * words for p in self._parts), self._frac + frac_bits)

    def shift_left(self, n: int) -> AShare:
        """The same numbers with n more fraction bits."""
        return self._with(tuple(p << np.uint64(n) for p in self._parts), self._frac + n)

    def reinterpret(self, frac_bits: int) -> AShare:
        """The same ring elements, read with `frac_bits` fraction bits (0: as integers)."""
        return self._with(self._parts, frac_bits)

    def wrapping(self) -> AShare:
        """The same share, for arithmetic that is meant to wrap: debug mode does not watch its range."""
        return AShare(self._parts, self._frac, self._holder, self.mask)

    # --- local rearrangement ---
    def __getitem__(self, index: Index) -> AShare:
        if isinstance(index, _Secret):
            raise SecretMisuse("a secret index", hint="only public indices are local")
        return self._with(tuple(np.asanyarray(p[index]) for p in self._parts))

    def reshape(self, *shape: int | tuple[int, ...]) -> AShare:
        """As `numpy.reshape`."""
        return self._with(tuple(p.reshape(_shape(shape)) for p in self._parts))

    def ravel(self) -> AShare:
        """One dimension."""
        return self.reshape(-1)

    @property
    def T(self) -> AShare:
        """The transpose."""
        return self._with(tuple(p.T for p in self._parts))

    def transpose(self, *axes: int) -> AShare:
        """As `numpy.transpose`."""
        return self._with(tuple(p.transpose(*axes) for p in self._parts))

    def broadcast_to(self, shape: tuple[int, ...]) -> AShare:
        """As `numpy.broadcast_to`; itself if it already has the shape."""
        if shape == self.shape:
            return self
        return self._with(tuple(np.broadcast_to(p, shape, subok=True) for p in self._parts))

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> AShare:
        """The sum over `axis`, exact as long as it stays in the ring's range."""
        return self._with(
            tuple(np.asanyarray(np.sum(p, axis=axis, keepdims=keepdims, dtype=np.uint64)) for p in self._parts)
        )

    def cumsum(self, axis: int | None = None) -> AShare:
        """Running sums along `axis`."""
        return self._with(tuple(np.cumsum(p, axis=axis, dtype=np.uint64) for p in self._parts))

    def matmul_words(self, words: Words, frac_bits: int, left: bool = False) -> AShare:
        """self @ words (words @ self with `left`) for public ring elements that carry `frac_bits` fraction bits."""
        return self._with(
            tuple(ring.matmul(words, p) if left else ring.matmul(p, words) for p in self._parts), self._frac + frac_bits
        )

    def joined(self, others: Sequence[AShare], how: Any, axis: int) -> AShare:
        """self and the others along an axis, by `numpy.concatenate` or `numpy.stack`."""
        columns = zip(self._parts, *(x._parts for x in others), strict=True)
        return self._with(tuple(how(column, axis=axis) for column in columns))


class BShare(_Secret):
    """This party's XOR share of an array of bits, packed 64 a word.

    `^` takes another BShare or public booleans, `~` flips. `&` and `|` need a message: `ops.and_`, `ops.or_`.
    """

    __slots__ = ("_holder", "_parts", "_shape")

    def __init__(self, parts: Parts, shape: tuple[int, ...], holder: int | None) -> None:
        self._parts = parts  # each (words_for(size),); bits after the last are arbitrary
        self._shape = shape
        self._holder = holder

    @property
    def parts(self) -> Parts:
        """The packed words of this party."""
        return self._parts

    @property
    def holder(self) -> int | None:
        """Which part takes public constants at this party; `None` if none does."""
        return self._holder

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in bits, which is public."""
        return self._shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._shape)

    @property
    def size(self) -> int:
        """The number of bits."""
        return math.prod(self._shape)

    def __len__(self) -> int:
        if not self._shape:
            raise TypeMismatchError("a BShare without dimensions has no length")
        return self._shape[0]

    def __repr__(self) -> str:
        return f"<BShare shape={self._shape}>"

    def _flip(self, words: Words) -> BShare:
        return BShare(
            tuple(p ^ words if i == self._holder else p for i, p in enumerate(self._parts)), self._shape, self._holder
        )

    def __xor__(self, other: BShare | ArrayLike) -> BShare:
        if isinstance(other, AShare):
            raise SecretMisuse("BShare and AShare do not mix", hint="convert the bits with ops.b2a")
        if isinstance(other, BShare):
            if other._shape != self._shape:
                raise TypeMismatchError(f"XOR of shapes {self._shape} and {other._shape}")
            return BShare(
                tuple(a ^ b for a, b in zip(self._parts, other._parts, strict=True)), self._shape, self._holder
            )
        flags = np.asarray(other)
        if flags.dtype.kind != "b":
            raise TypeMismatchError(f"XOR of a BShare takes booleans, not {flags.dtype}")
        return self._flip(bits.pack(np.broadcast_to(flags, self._shape)))

    __rxor__ = __xor__

    def __invert__(self) -> BShare:
        return self._flip(np.full(bits.words_for(self.size), np.uint64(2**64 - 1)))

    def __and__(self, other: object) -> NoReturn:
        self._refuse("&", "use ops.and_(session, x, y)")

    def __or__(self, other: object) -> NoReturn:
        self._refuse("|", "use ops.or_(session, x, y)")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = None  # a TypeError

    # --- local rearrangement ---
    def _rearrange(self, index: NDArray[np.int64]) -> BShare:
        """The bits at flat positions `index`."""
        n = self.size
        parts = tuple(bits.pack(bits.unpack(p, n)[index.reshape(-1)].astype(bool)) for p in self._parts)
        return BShare(parts, index.shape, self._holder)

    def __getitem__(self, index: Index) -> BShare:
        if isinstance(index, _Secret):
            raise SecretMisuse("a secret index", hint="only public indices are local")
        return self._rearrange(np.asarray(np.arange(self.size).reshape(self._shape)[index]))

    def reshape(self, *shape: int | tuple[int, ...]) -> BShare:
        """As `numpy.reshape`."""
        new = np.broadcast_to(np.False_, self._shape).reshape(_shape(shape)).shape
        return BShare(self._parts, new, self._holder)

    def ravel(self) -> BShare:
        """One dimension."""
        return BShare(self._parts, (self.size,), self._holder)

    @property
    def T(self) -> BShare:
        """The transpose."""
        return self._rearrange(np.arange(self.size).reshape(self._shape).T)

    def broadcast_to(self, shape: tuple[int, ...]) -> BShare:
        """As `numpy.broadcast_to`; itself if it already has the shape."""
        if shape == self._shape:
            return self
        return self._rearrange(np.broadcast_to(np.arange(self.size).reshape(self._shape), shape))

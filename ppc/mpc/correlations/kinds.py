"""The kinds of correlated randomness that the additive engine spends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import ClassVar, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits, ring
from ppc.mpc.correlations.source import Field, MaskRef, Masks

Words: TypeAlias = NDArray[np.uint64]

_ONE: Final = np.uint64(1)


def flatten(parts: tuple[object, ...]) -> tuple[int, ...]:
    """Nested tuples of integers as one."""
    flat: list[int] = []
    for p in parts:
        flat.extend(flatten(p) if isinstance(p, tuple) else (int(p),))  # type: ignore[call-overload]
    return tuple(flat)


class _Numbers:
    """The integers of a frozen dataclass."""

    __slots__ = ()

    def numbers(self) -> tuple[int, ...]:
        """All that distinguishes it from others of its kind."""
        return flatten(astuple(self))  # type: ignore[call-overload]


MUL: Final = 0
MATMUL: Final = 1
MATMUL_TRANSPOSED: Final = 2

BINARY: Final[dict[int, Callable[[Words, Words], Words]]] = {
    MUL: lambda x, y: x * y,
    MATMUL: ring.matmul,
    MATMUL_TRANSPOSED: ring.matmul_transposed,
}


@dataclass(frozen=True, slots=True)
class Product(_Numbers):
    """[z] = x ∘ y for two masks, where ∘ is *, @ or .T @.

    If a party owns one of the masks it does its own part in the clear, so that its words of the other one are left out.
    """

    kind: ClassVar[str] = "product"
    op: int
    x: MaskRef
    y: MaskRef

    @property
    def uniform(self) -> tuple[Field, ...]:
        """None of its own: the masks are drawn elsewhere."""
        return ()

    @property
    def derived(self) -> tuple[Field, ...]:
        """z."""
        shape = {
            MUL: self.x.shape,
            MATMUL: (self.x.rows, self.y.width),
            MATMUL_TRANSPOSED: (self.x.width, self.y.width),
        }[self.op]
        return (Field(shape, ring_bits=self.x.ring_bits),)

    def derive(self, uniform: Sequence[Words], masks: Masks) -> Sequence[Words]:
        """z."""
        x = masks.total(self.x, self.y.owner if self.x.owner < 0 else -1)
        same = self.x == self.y and self.x.owner < 0
        y = x if same else masks.total(self.y, self.x.owner)
        return (BINARY[self.op](x, y),)


@dataclass(frozen=True, slots=True)
class Truncation(_Numbers):
    """[r] uniform, [hi] = (r mod 2**63) >> drop, [top] = r >> 63, for n elements (127 for 63 in Z_2^128)."""

    kind: ClassVar[str] = "truncation"
    n: int
    drop: int
    ring_bits: int = 64

    @property
    def uniform(self) -> tuple[Field, ...]:
        """r."""
        return (Field((self.n,), ring_bits=self.ring_bits),)

    @property
    def derived(self) -> tuple[Field, ...]:
        """hi and top."""
        return (Field((self.n,), ring_bits=self.ring_bits),) * 2

    def derive(self, uniform: Sequence[Words], masks: Masks) -> Sequence[Words]:
        """hi and top."""
        (r,) = uniform
        top = self.ring_bits - 1
        low = r & ring.by_bits(self.ring_bits).word((1 << top) - 1)
        return low >> np.uint64(self.drop), r >> np.uint64(top)


@dataclass(frozen=True, slots=True)
class BitTriple(_Numbers):
    """[c] = [a] & [b] on packed words."""

    kind: ClassVar[str] = "bits"
    words: int

    @property
    def uniform(self) -> tuple[Field, ...]:
        """a and b."""
        return (Field((self.words,), True), Field((self.words,), True))

    @property
    def derived(self) -> tuple[Field, ...]:
        """c."""
        return (Field((self.words,), True),)

    def derive(self, uniform: Sequence[Words], masks: Masks) -> Sequence[Words]:
        """c."""
        return (uniform[0] & uniform[1],)


@dataclass(frozen=True, slots=True)
class DaBit(_Numbers):
    """n random bits, shared by XOR (packed) and by sum."""

    kind: ClassVar[str] = "dabit"
    n: int
    ring_bits: int = 64

    @property
    def uniform(self) -> tuple[Field, ...]:
        """The bits."""
        return (Field((bits.words_for(self.n),), True),)

    @property
    def derived(self) -> tuple[Field, ...]:
        """The same bits as numbers."""
        return (Field((self.n,), ring_bits=self.ring_bits),)

    def derive(self, uniform: Sequence[Words], masks: Masks) -> Sequence[Words]:
        """The same bits as numbers."""
        return (ring.by_bits(self.ring_bits).of_integers(bits.unpack(uniform[0], self.n)),)


@dataclass(frozen=True, slots=True)
class Injection(_Numbers):
    """n random bits shared by XOR and by sum, random words a, and bit * a: for a secret bit times a secret number."""

    kind: ClassVar[str] = "injection"
    n: int
    ring_bits: int = 64

    @property
    def uniform(self) -> tuple[Field, ...]:
        """The bits, and a."""
        return (Field((bits.words_for(self.n),), True), Field((self.n,), ring_bits=self.ring_bits))

    @property
    def derived(self) -> tuple[Field, ...]:
        """The bits as numbers, and bit * a."""
        return (Field((self.n,), ring_bits=self.ring_bits),) * 2

    def derive(self, uniform: Sequence[Words], masks: Masks) -> Sequence[Words]:
        """The bits as numbers, and bit * a."""
        flags = ring.by_bits(self.ring_bits).of_integers(bits.unpack(uniform[0], self.n))
        return (flags, flags * uniform[1])


@dataclass(frozen=True, slots=True)
class Permuted(_Numbers):
    """[z] = rows of a mask in an order that one party knows: `order[i]` says which row comes to place i.

    The permuting party's own words of the mask are left out: it needs none.
    """

    kind: ClassVar[str] = "permuted"
    owner: int
    order: int  # the number of the permutation
    mask: MaskRef

    @property
    def uniform(self) -> tuple[Field, ...]:
        """None of its own: mask and permutation are drawn elsewhere."""
        return ()

    @property
    def derived(self) -> tuple[Field, ...]:
        """z."""
        return (Field(self.mask.shape, ring_bits=self.mask.ring_bits),)

    def derive(self, uniform: Sequence[Words], masks: Masks) -> Sequence[Words]:
        """z."""
        order = masks.permutation(self.order, self.owner, self.mask.rows)
        return (masks.total(self.mask, self.owner)[order],)

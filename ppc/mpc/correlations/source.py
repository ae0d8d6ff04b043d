"""What a source of correlated randomness is, and what a correlation is.

A correlation is a set of secret arrays that satisfy a relation (c = a * b, hi = r >> f) and are shared among the
parties. Its *uniform* arrays are random and independent; its *derived* ones follow from them. With a dealer every
party but the last expands all its shares from a seed, and only the last party's shares of the derived arrays have to
travel.

Objects are numbered by `Session.next_id`, the same at every party. A number is spent once: a source hands out the
correlation of a number, refuses the same or a smaller number afterwards, and so does the dealer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core.ring import RINGS, Ring
from ppc.net.channel import MeterReading

Words: TypeAlias = NDArray[np.uint64]

EVERYONE = -1  # the owner of a mask that is the sum of all parties' words


@dataclass(frozen=True, slots=True)
class Field:
    """One array of a correlation: its shape, and how its shares combine."""

    shape: tuple[int, ...]
    xor: bool = False
    ring_bits: int = 64  # 128: numbers of two words

    @property
    def size(self) -> int:
        """Words of 64 bits."""
        return math.prod(self.wire)

    @property
    def wire(self) -> tuple[int, ...]:
        """The shape as words of 64 bits."""
        return self.shape if self.ring_bits == 64 else (*self.shape, 2)

    def read(self, words: Words) -> Words:
        """The array, from as many words of 64 bits."""
        return RINGS[self.ring_bits].from_limbs(words.reshape(self.wire))


@dataclass(frozen=True, slots=True)
class MaskRef:
    """Rows `start` … `stop` of the mask `number`, whose rows have `width` words.

    `owner` is the rank of the one party that knows the mask, or EVERYONE if it is the sum of all parties' words.
    """

    number: int
    owner: int
    width: int
    start: int
    stop: int
    ring_bits: int = 64

    @property
    def rows(self) -> int:
        """Rows."""
        return self.stop - self.start

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, width)."""
        return self.rows, self.width

    @property
    def ring(self) -> Ring:
        """The ring of its words."""
        return RINGS[self.ring_bits]


class Masks(Protocol):
    """What a dealer knows of masks."""

    def total(self, ref: MaskRef, without: int = EVERYONE) -> Words:
        """The mask (rows, width): the sum of the parties' words, leaving out party `without`."""

    def permutation(self, number: int, owner: int, n: int) -> NDArray[np.int64]:
        """The permutation that party `owner` draws under this number."""


class Correlation(Protocol):
    """A kind of correlated randomness with its sizes. Frozen, comparable, and made of integers so that it travels."""

    kind: ClassVar[str]

    @property
    def uniform(self) -> tuple[Field, ...]:
        """The independent random arrays."""

    @property
    def derived(self) -> tuple[Field, ...]:
        """The arrays that follow from the uniform ones and from masks."""

    def derive(self, uniform: Sequence[Words], masks: Masks) -> Sequence[Words]:
        """The derived arrays in the clear: what the dealer computes."""

    def numbers(self) -> tuple[int, ...]:
        """All that distinguishes it from others of its kind."""


class Source(Protocol):
    """Where one party's correlated randomness comes from."""

    @property
    def meter(self) -> MeterReading:
        """Bytes from and to whoever makes it."""

    def mask(self, ref: MaskRef) -> Words:
        """This party's words of a mask, of shape (rows, width); zeros if another party owns it."""

    def permutation(self, number: int, n: int) -> NDArray[np.int64]:
        """A permutation that only this party and the source know."""

    def take(self, number: int, correlation: Correlation) -> tuple[Words, ...]:
        """This party's shares of the uniform and the derived arrays. Each number once."""

    @property
    def asks_ahead(self) -> bool:
        """Whether `ask` saves time."""

    def ask(self, items: Sequence[tuple[int, Correlation]]) -> None:
        """Begin with these; they will be taken next, in this order."""

    def fetch_ahead(self) -> None:
        """Wait until all that was asked for is here."""

    def drop_ahead(self) -> None:
        """What was asked for and not taken is not needed any more."""

    def close(self) -> None:
        """No more is needed."""

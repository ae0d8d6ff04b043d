"""Shares that were opened under a mask, and products of them.

A product needs x and y opened as x + a and y + b, and a share of the product of the masks from the dealer:

    x y = (x + a)(y + b) - (x + a) b - a (y + b) + a b.

The opening is kept with the share object (`AShare.mask`), so whoever multiplies it again pays nothing for it; the
product of masks is fresh each time. A value that one party gave is masked by that party's own words, so it is opened
by one message one way, and that party does its part of the product in the clear.

Threat: semi-honest. Leaks: shapes. Every mask is uniform and used for one value only.
Source: Beaver (CRYPTO '91) with openings kept over products: Turbospeedz (Ben-Efraim, Nielsen, Omri, ACNS 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ProtocolAbort
from ppc.mpc.correlations.kinds import BINARY, MATMUL, MATMUL_TRANSPOSED, MUL, Product
from ppc.mpc.correlations.source import EVERYONE, MaskRef
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare
from ppc.net.channel import Spec

Words: TypeAlias = NDArray[np.uint64]


@dataclass(slots=True, repr=False)
class Masked:
    """A value (rows, width) opened under mask `number`.

    `owner` knows the value as `plain` and the mask; with no owner (EVERYONE) the mask is the sum of all parties'
    words, of which `mine` are this party's. `opened` is value + mask, which is public, or `None` before the message.
    """

    number: int
    owner: int
    rows: int
    width: int
    opened: Words | None = None
    plain: Words | None = None
    mine: Words | None = None
    ring_bits: int = 64

    def ref(self, start: int = 0, stop: int | None = None) -> MaskRef:
        """The mask's name for the dealer."""
        return MaskRef(self.number, self.owner, self.width, start, self.rows if stop is None else stop, self.ring_bits)

    def view(self, start: int = 0, stop: int | None = None) -> Operand:
        """Rows of it as an operand."""
        rows = slice(start, self.rows if stop is None else stop)
        if self.opened is None:
            raise ProtocolAbort("a masked value is used before it is opened")
        return Operand(
            self.ref(start, stop),
            self.opened[rows],
            None if self.plain is None else self.plain[rows],
            None if self.mine is None else self.mine[rows],
        )


@dataclass(frozen=True, slots=True, repr=False)
class Operand:
    """Rows of a masked value: its public opening, and what this party knows."""

    ref: MaskRef
    opened: Words
    plain: Words | None
    mine: Words | None


def _rows_and_width(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape if len(shape) == 2 else (int(np.prod(shape)), 1)


def mask_input(s: Session, x: Words | None, owner: int, shape: tuple[int, ...]) -> Masked:
    """The record of a value that `owner` gave; nothing is sent yet."""
    rows, width = _rows_and_width(shape)
    plain = None if x is None else x.reshape(rows, width)
    return Masked(s.next_id(), owner, rows, width, plain=plain, ring_bits=s.ring.bits)


def open_masked(s: Session, operation: str, xs: Sequence[AShare]) -> list[Masked]:
    """Every share's value plus its mask, made public, unless that was done before.

    Cost: 8 n bytes from the owner for a value that one party gave; 1 round and 8 n bytes for all the others together.
    """
    out: list[Masked] = []
    fresh: list[tuple[Masked, Words]] = []
    for x in xs:
        record = x.mask
        if not isinstance(record, Masked):
            rows, width = _rows_and_width(x.shape)
            record = Masked(s.next_id(), EVERYONE, rows, width, ring_bits=s.ring.bits)
            record.mine = s.correlations.mask(record.ref())
            fresh.append((record, x.parts[0].reshape(rows, width) + record.mine))
            x.mask = record
        out.append(record)
    for record in out:
        if record.owner >= 0 and record.opened is None:
            open_input(s, operation, record)
    if fresh:
        opened = s.open_sum(f"{operation}/mask", *(words for _, words in fresh))
        for (record, _), words in zip(fresh, opened, strict=True):
            record.opened = words
    return out


def open_input(s: Session, operation: str, record: Masked) -> None:
    """The owner tells all others its value plus its mask."""
    limbs = None
    if record.plain is not None:
        words = s.correlations.mask(record.ref())
        words += record.plain
        limbs = s.ring.limbs(words)
    shape = (record.rows, record.width, s.ring.limbs_each)[: 2 + (s.ring.limbs_each > 1)]
    opened = s.publish(f"{operation}/input", record.owner, limbs, Spec(np.uint64, shape))
    record.opened = s.ring.from_limbs(opened)


def product(s: Session, op: int, x: Operand, y: Operand) -> Words:
    """This party's share of x * y, x @ y or x.T @ y, for operands that are open under masks. Cost: none online."""
    if op == MUL and x.ref.owner < 0 <= y.ref.owner:
        x, y = y, x
    correlation = Product(op, x.ref, y.ref)
    f = BINARY[op]
    (z,) = s.take(correlation)
    if x.ref.owner >= 0:  # the owner multiplies by what is left of y after the others' masks; they by theirs
        if x.plain is not None:
            z += f(x.plain, _less_mine(y))
        elif y.ref.owner < 0 and y.mine is not None:
            z -= f(x.opened, y.mine)
        elif y.ref.owner == s.rank and y.plain is not None:
            z -= f(x.opened, y.opened - y.plain)
    elif y.ref.owner >= 0:
        if y.plain is not None:
            z += f(_less_mine(x), y.plain)
        elif x.mine is not None:
            z -= f(x.mine, y.opened)
    elif x.mine is not None and y.mine is not None:
        if op == MUL and x.ref == y.ref:
            twice = x.mine << np.uint64(1)
            z += f(x.opened, x.opened - twice if s.rank == 0 else np.negative(twice))
        else:
            z += f(x.opened, (y.opened - y.mine) if s.rank == 0 else np.negative(y.mine))
            z -= f(x.mine, y.opened)
    return z


def _less_mine(y: Operand) -> Words:
    """The opening less what this party knows of the mask."""
    if y.plain is not None:
        return y.plain
    return y.opened if y.mine is None else y.opened - y.mine


__all__ = [
    "MATMUL",
    "MATMUL_TRANSPOSED",
    "MUL",
    "Masked",
    "Operand",
    "mask_input",
    "open_input",
    "open_masked",
    "product",
]

"""What an engine is asked: sums of small integers over rows, by cell.

Each row gives a few integers of known range (`Term`), and the engine adds them up exactly. So an aggregate does not
depend on the order of rows, cannot be swayed by rounding, and one unit changes it by a known whole number. That is what
the noise is scaled to. Noise comes later, and is no engine's business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.dataset.schema import Schema
from ppc.dp.condition import Condition
from ppc.dp.unit import ROW, Unit

#: Python integers of any size, shape (terms, cells).
Exact: TypeAlias = "NDArray[np.object_]"


@dataclass(frozen=True)
class Number:
    """A column of numbers as integers: v = round((clamp(x, low, high) − offset) · scale), halves away from zero.

    Every step is monotone in x, in IEEE arithmetic too. So v lies between the values at `low` and at `high`, which
    Python computes with the same operations: `least` and `most` are exact.
    """

    column: str
    low: float
    high: float
    offset: float
    scale: float
    integer: bool = False  # the column is of integers, and offset and scale are whole: engines may use integers

    def at(self, x: float) -> int:
        """v for one value within the bounds."""
        v = (x - self.offset) * self.scale
        return math.floor(v + 0.5) if v >= 0 else -math.floor(0.5 - v)

    @property
    def least(self) -> int:
        """v at the lower bound."""
        return self.at(self.low)

    @property
    def most(self) -> int:
        """v at the upper bound."""
        return self.at(self.high)


@dataclass(frozen=True)
class Term:
    """One integer a row: the product of `factors`, or 1 if there are none; 0 if a value of `present` is missing.

    `distinct` stands apart: not a sum, but the number of distinct values of that column.
    """

    factors: tuple[Number, ...] = ()
    present: tuple[str, ...] = ()
    distinct: str | None = None


@dataclass(frozen=True)
class Key:
    """What cells are made of: known values, bins between edges, the integers that a `Number` gives (from 0), or values
    yet to be found (`open`).

    Rows whose value is missing, or is none of the known ones, are in no cell.
    """

    column: str
    values: tuple[Any, ...] | None = None
    edges: tuple[float, ...] | None = None
    number: Number | None = None

    @property
    def open(self) -> bool:
        """Whether the values are not known."""
        return self.values is None and self.edges is None and self.number is None

    @property
    def size(self) -> int:
        """How many known cells."""
        if self.values is not None:
            return len(self.values)
        if self.number is not None:
            return self.number.most + 1
        return len(self.edges) - 1 if self.edges is not None else 0


@dataclass(frozen=True)
class Request:
    """Sums of `terms` over the rows that satisfy `where`, by the cells of `keys`, `unit` bounded."""

    terms: tuple[Term, ...]
    keys: tuple[Key, ...] = ()
    where: Condition | None = None
    unit: Unit = ROW

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        names: dict[str, None] = dict.fromkeys(k.column for k in self.keys)
        for t in self.terms:
            names.update(
                dict.fromkeys([*t.present, *(f.column for f in t.factors), *([t.distinct] if t.distinct else [])])
            )
        names.update(dict.fromkeys(self.where.columns if self.where else ()))
        if self.unit.by:
            names[self.unit.by] = None
        return tuple(names)

    @property
    def cells(self) -> int:
        """How many known cells there are."""
        return math.prod(k.size for k in self.keys)


class Engine(Protocol):
    """Computes requests over one source. Not thread-safe: one request at a time."""

    salt: int
    """Decides which rows of a person are kept; drawn at random for every engine."""

    @property
    def schema(self) -> Schema:
        """The source's columns."""
        ...

    def check(self, request: Request) -> None:
        """Raise `QueryError` if the request can not be run. Touches no values."""
        ...

    def sums(self, request: Request) -> Exact:
        """The sums, shape (terms, cells), cells in C order of the keys. All keys are known."""
        ...

    def groups(self, request: Request) -> tuple[list[tuple[Any, ...]], Exact]:
        """The values of the (open) keys that occur, and the sums, shape (terms, groups)."""
        ...

    def matrix(self, columns: Sequence[str], where: Condition | None, unit: Unit) -> NDArray[np.float64]:
        """Rows of numeric columns, float64, shape (rows, columns), missing as NaN, `unit` bounded."""
        ...

    def close(self) -> None:
        """Let go of the source, and delete what was spilled to disk."""
        ...


def empty(terms: int, cells: int) -> Exact:
    """Zeros: Python integers, shape (terms, cells)."""
    out = np.empty((terms, cells), dtype=np.object_)
    out.fill(0)
    return out


def place(request: Request, keys: Sequence[NDArray[np.int64]], sums: Sequence[Sequence[Any]]) -> Exact:
    """Sums of the cells that occur, put where they belong.

    Args:
        request: what was asked.
        keys: for each key, the index of the cell, −1 for none; shape (groups,).
        sums: for each term, the sums; shape (groups,); `None` is 0.
    """
    out = empty(len(request.terms), request.cells)
    if not keys:
        for t, values in enumerate(sums):
            out[t, 0] = int(values[0] or 0) if len(values) else 0
        return out
    inside = np.logical_and.reduce([k >= 0 for k in keys])
    at = np.ravel_multi_index([k[inside] for k in keys], [k.size for k in request.keys])
    for t, values in enumerate(sums):
        column = np.array([0 if v is None else int(v) for v in values], dtype=np.object_)
        np.add.at(out[t], at, column[inside])
    return out

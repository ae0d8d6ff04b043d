"""Equivalence classes: rows that no quasi-identifier tells apart.

Everything that measures or makes anonymity works on integer codes: one code a distinct value of a column, one number a
class. Counting is sorting; nothing loops over rows or classes in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ppc.errors import ColumnError, ConfigError

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_RADIX_LIMIT = 1 << 62


@dataclass(frozen=True)
class Encoded:
    """One column as codes: `codes` (rows,) index `values`; values are sorted where their type has an order.

    A null is a value of its own, the last one.
    """

    name: str
    codes: Codes
    values: Any  # an Arrow array; null is its last element if the column has one

    @property
    def cardinality(self) -> int:
        return len(self.values)


def encode(dataset: Dataset, name: str) -> Encoded:
    """A column as codes. Numbers, dates and texts are coded in their order; other types in order of appearance."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = dataset.column(name).combine_chunks()
    distinct = pc.unique(column)
    try:
        distinct = distinct.take(pc.sort_indices(distinct))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # an unordered type
        present = distinct.drop_null()
        distinct = pa.concat_arrays([present, distinct.filter(pc.is_null(distinct))])
    codes = pc.index_in(column, value_set=distinct).to_numpy(zero_copy_only=False).astype(np.int64)
    return Encoded(name, codes, distinct)


def combine(columns: Sequence[Codes], cardinalities: Sequence[int]) -> tuple[Codes, int]:
    """One number for each combination of codes (rows,), and a bound on it; renumbered where it would overflow."""
    if not columns:
        raise ConfigError("at least one column is needed")
    key, size = columns[0].astype(np.int64, copy=True), int(cardinalities[0])
    for codes, cardinality in zip(columns[1:], cardinalities[1:], strict=True):
        if size * cardinality > _RADIX_LIMIT:
            key, size = _renumber(key, size)
        key *= cardinality
        key += codes
        size *= int(cardinality)
    return key, size


def _renumber(key: Codes, size: int) -> tuple[Codes, int]:
    """Numbers from 0 without gaps, in the order of the old ones."""
    if size <= max(1 << 22, 4 * len(key)):
        seen = np.zeros(size, np.bool_)
        seen[key] = True
        number = np.cumsum(seen, dtype=np.int64) - 1
        return number[key], int(number[-1]) + 1 if size else 0
    distinct, inverse = np.unique(key, return_inverse=True)
    return inverse.astype(np.int64, copy=False), len(distinct)


@dataclass(frozen=True)
class Classes:
    """The equivalence classes of a dataset: `index` (rows,) is each row's class, `sizes` (classes,) its rows."""

    index: Codes
    sizes: Codes

    @property
    def count(self) -> int:
        return len(self.sizes)

    @property
    def rows(self) -> int:
        return len(self.index)

    @staticmethod
    def of(dataset: Dataset, quasi_identifiers: Sequence[str]) -> Classes:
        """The classes of these columns.

        Raises:
            ConfigError: no column, or one named twice. ColumnError: a column that is not there, or no rows.
        """
        names = list(quasi_identifiers)
        if not names or len(set(names)) != len(names):
            raise ConfigError(
                "quasi-identifiers are one or more different columns",
                hint="Name them, or give columns the role quasi_identifier in the schema.",
            )
        if not dataset.num_rows:
            raise ColumnError("there are no rows to measure", where=f"dataset '{dataset.name}'")
        encoded = [encode(dataset, n) for n in names]
        return Classes.from_codes([e.codes for e in encoded], [e.cardinality for e in encoded])

    @staticmethod
    def from_codes(columns: Sequence[Codes], cardinalities: Sequence[int]) -> Classes:
        """The classes of coded columns."""
        index, count = _renumber(*combine(columns, cardinalities))
        return Classes(index, np.bincount(index, minlength=count).astype(np.int64))

    def histogram(self, codes: Codes, cardinality: int) -> Histogram:
        """How often each code of a further column occurs in each class."""
        key = self.index * cardinality + codes
        if self.count * cardinality <= max(1 << 22, 4 * len(key)):
            dense = np.bincount(key, minlength=self.count * cardinality)
            pair = np.flatnonzero(dense)
            counts = dense[pair]
        else:
            pair, counts = np.unique(key, return_counts=True)
        return Histogram(pair // cardinality, pair % cardinality, counts.astype(np.int64), self.sizes, cardinality)


@dataclass(frozen=True)
class Histogram:
    """Counts of a column's codes by class, only those above zero: sorted by class, then by code."""

    group: Codes
    code: Codes
    counts: Codes
    sizes: Codes
    cardinality: int

    @property
    def shares(self) -> Floats:
        """Each count as a share of its class."""
        return self.counts / self.sizes[self.group]

    @property
    def overall(self) -> Floats:
        """Each code's share of all rows (cardinality,)."""
        shares: Floats = np.bincount(self.code, weights=self.counts, minlength=self.cardinality) / self.sizes.sum()
        return shares

    @property
    def starts(self) -> Codes:
        """Where each class begins (classes,)."""
        return np.searchsorted(self.group, np.arange(len(self.sizes)))

    def total(self, values: Floats) -> Floats:
        """The sum of a value over each class's entries (classes,)."""
        sums: Floats = np.bincount(self.group, weights=values, minlength=len(self.sizes)).astype(np.float64)
        return sums

    def greatest(self, values: Floats) -> Floats:
        """The greatest of a value over each class's entries (classes,)."""
        return np.maximum.reduceat(values, self.starts)

"""What a search for an anonymous table needs to know of the data: distinct tuples and their counts.

The tuples can come from a dataset, or from a GROUP BY that an engine did over data larger than memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ppc.desensitize.anonymity.classes import Codes, Encoded, Floats, combine, encode
from ppc.errors import ColumnError, ConfigError

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset


@dataclass(frozen=True)
class Sensitive:
    """How often each sensitive code occurs with each tuple: entries (tuple, code, count), sorted by tuple."""

    name: str
    tuple_of: Codes
    code: Codes
    counts: Codes
    cardinality: int
    ordered: bool

    @property
    def overall(self) -> Floats:
        shares: Floats = np.bincount(self.code, weights=self.counts, minlength=self.cardinality) / self.counts.sum()
        return shares


@dataclass(frozen=True)
class Tuples:
    """Distinct tuples: `codes` (tuples, columns) index each column's `values`; `counts` (tuples,) rows each."""

    columns: tuple[Encoded, ...]
    codes: Codes
    counts: Codes
    sensitive: Sensitive | None
    row_tuple: Codes | None  # (rows,) the tuple of each row of the dataset they came from

    @property
    def rows(self) -> int:
        return int(self.counts.sum())


def collect(
    dataset: Dataset, names: Sequence[str], sensitive: str | None, *, ordered: bool, count: str | None = None
) -> Tuples:
    """The tuples of a dataset. `count` names a column that says how many rows each row stands for."""
    if not dataset.num_rows:
        raise ColumnError("there are no rows", where=f"dataset '{dataset.name}'")
    weight = np.ones(dataset.num_rows, np.int64)
    if count is not None:
        given = dataset.numpy(count, finite=True)
        if not ((given >= 1) & (given == np.floor(given))).all():
            raise ConfigError("counts should be whole numbers from 1 on", where=f"column '{count}'")
        weight = given.astype(np.int64)
    encoded = tuple(encode(dataset, n) for n in names)
    key, _ = combine([e.codes for e in encoded], [e.cardinality for e in encoded])
    _, first, row_tuple = np.unique(key, return_index=True, return_inverse=True)
    codes = np.ascontiguousarray(np.stack([e.codes[first] for e in encoded], axis=1))
    counts = np.bincount(row_tuple, weights=weight).astype(np.int64)
    secret = None
    if sensitive is not None:
        column = encode(dataset, sensitive)
        pair, inverse = np.unique(row_tuple * column.cardinality + column.codes, return_inverse=True)
        secret = Sensitive(
            sensitive,
            pair // column.cardinality,
            pair % column.cardinality,
            np.bincount(inverse, weights=weight).astype(np.int64),
            column.cardinality,
            ordered,
        )
    return Tuples(encoded, codes, counts, secret, row_tuple.astype(np.int64))

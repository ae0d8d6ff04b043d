"""The questions that a dataset answers under every protection.

An analysis is written once, against this Protocol, and runs on clear, encrypted, shared or differentially private data:

    def length_of_stay(ds: Analysable) -> float:
        return ds.release(ds.mean("days"))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ppc.dataset.schema import Schema

#: What an aggregate gives back: a plain number in the clear; under a protection a ciphertext, a share, a noisy number.
Value: TypeAlias = Any


@runtime_checkable
class Analysable(Protocol):
    """A dataset, clear or protected, that can be counted, summed, averaged and binned.

    Every implementation means the same by a question:

    - Nulls are skipped: `mean` divides by the number of values that are there.
    - Of no values the count and the sum are 0, and the mean is NaN. The variance of fewer than two values is NaN.
    - `bool` columns count as 0 and 1.
    - An unknown column raises `ColumnError` with the nearest known name; a column that is not numeric raises
      `TypeMismatchError` naming the column and its type.

    Values stay protected until `release`: a protection may return a ciphertext, a share or a noisy number, and only
    `release` turns it into a plain number, for whoever may see it. Clear data release at once.

    A protection that can not answer a question, or will not (no budget left, too small a cell, a scheme without
    products), raises `ProtectionError` before it has read or disclosed anything. The message says why, and the hint
    names the protection that can. It never answers approximately without saying so, and never falls back to clear data.
    """

    @property
    def schema(self) -> Schema:
        """The columns and what they mean; the schema is public to whoever holds this object."""
        ...

    def count(self, col: str | None = None) -> Value:
        """How many rows there are; with `col`, how many of its values are not null."""
        ...

    def sum(self, col: str) -> Value:
        """The sum of a numeric column's values that are not null."""
        ...

    def mean(self, col: str) -> Value:
        """The mean of a numeric column's values that are not null."""
        ...

    def variance(self, col: str) -> Value:
        """The sample variance (divisor n − 1) of a numeric column's values that are not null."""
        ...

    def histogram(self, col: str, edges: Sequence[float] | NDArray[np.float64]) -> Value:
        """How many values lie in each bin, shape `(len(edges) - 1,)`.

        Bins are closed on the left and open on the right, the last one is closed on both sides, as in
        `numpy.histogram`. Values outside of the edges, and nulls, are in no bin.
        """
        ...

    def release(self, value: Value) -> Any:
        """What an aggregate of this object returned, as a plain `int`, `float` or array, for whoever may see it."""
        ...

"""Key columns made ready for matching: text, without nulls, without duplicates, and which rows they came from."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ppc.errors import KeyColumnError

if TYPE_CHECKING:
    import pyarrow as pa

    from ppc.dataset.dataset import Dataset


@dataclass(frozen=True)
class Keys:
    """`columns`: one text array a key column, without nulls; `rows`: the dataset's row of each, int64."""

    columns: list[pa.Array]
    rows: NDArray[np.int64]

    @staticmethod
    def of(
        dataset: Dataset,
        names: Sequence[str],
        *,
        normalise: bool = False,
        duplicates: Literal["error", "first"] = "error",
        nulls: Literal["error", "drop"] = "error",
    ) -> Keys:
        """The keys of a dataset.

        Raises:
            KeyColumnError: nulls or duplicates where they are errors; names the column and the count, never a key.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        where = f"dataset '{dataset.name}', column {', '.join(repr(n) for n in names)}"
        columns: list[Any] = []
        missing = np.zeros(dataset.num_rows, np.bool_)
        for name in names:
            text = dataset.column(name).cast(pa.string()).combine_chunks()
            if normalise:
                text = pa.array([None if v is None else normal(v) for v in text.to_pylist()], pa.string())
            empty = np.asarray(pc.fill_null(pc.equal(text, ""), True))
            if nulls == "error" and empty.any():
                raise KeyColumnError(
                    f"key '{name}' is missing in {int(empty.sum())} rows",
                    where=f"dataset '{dataset.name}', column '{name}'",
                    hint='Leave those rows out with nulls = "drop".',
                )
            missing |= empty
            columns.append(text)
        rows = np.flatnonzero(~missing)
        if not len(rows):
            raise KeyColumnError("no row has a key", where=where)
        first = _first_of_each(columns, rows)
        repeated = len(rows) - len(first)
        if repeated and duplicates == "error":
            raise KeyColumnError(
                f"the key is not unique: {repeated} rows repeat an earlier one",
                where=where,
                hint='Keep the first row of each with duplicates = "first", or name more key columns.',
            )
        rows = rows[first]
        return Keys([c.take(pa.array(rows)) for c in columns], rows)


def _first_of_each(columns: list[Any], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions in `rows` of the first row of every distinct key, in order."""
    import pyarrow as pa

    code = np.zeros(len(rows), np.int64)
    for column in columns:
        own = np.asarray(column.take(pa.array(rows)).dictionary_encode().indices, dtype=np.int64)
        # Number the pairs (code so far, own code) anew, so that the product never overflows.
        _, code = np.unique(code * (int(own.max()) + 1) + own, return_inverse=True)
        code = code.reshape(-1).astype(np.int64)
    _, first = np.unique(code, return_index=True)
    return np.sort(first).astype(np.int64)


def normal(text: str) -> str:
    """A key with case, width (NFKC) and spaces evened out: `" Ａb  C"` becomes `"ab c"`."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())

"""The rows that a scan looks at, and a column's distinct values among them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ppc.core.rng import Stream
from ppc.desensitize import arrays as a
from ppc.desensitize.discovery import _kernels as k
from ppc.desensitize.discovery.detector import CLASSES, Values

#: A fixed key: the rows looked at are no secret, and two scans of the same data should agree.
_KEY: Final = b"ppc scan: sample"


def chosen_rows(total: int, most: int | None) -> npt.NDArray[np.int64] | None:
    """Rows spread over the table, one at random of each of `most` equal stretches, ascending; None for all rows.

    One of each stretch, so that sorted data are covered; at random within it, so that no period of the data is hit.
    """
    if most is None or total <= most:
        return None
    edges = np.arange(most + 1, dtype=np.int64) * total // most
    jitter = Stream(_KEY).uint64((most,))
    width = np.diff(edges).astype(np.uint64)
    return edges[:-1] + (jitter % width).astype(np.int64)


def taken(column: Any, rows: npt.NDArray[np.int64] | None) -> Any:
    """The rows of a chunked column as one plain array, chunk by chunk: what is not wanted is not copied."""
    if rows is None:
        return a.flat(column)
    parts, start = [], 0
    for chunk in column.chunks:
        inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(chunk))]
        if len(inside):
            parts.append(a.plain(chunk.take(pa.array(inside - start))))
        start += len(chunk)
    return pa.concat_arrays(parts) if parts else pa.array([], column.type)


def distinct_values(array: Any) -> Values | None:
    """The distinct values of an array, nulls and empty texts left out; None for a type that no detector reads."""
    kind = a.type_class(array.type)
    if kind in ("date", "timestamp"):
        return _values("date", pc.value_counts(array.drop_null()), None)
    if kind == "bool":
        return _values("bool", pc.value_counts(array.drop_null()), None)
    if kind == "string":
        counted = pc.value_counts(pc.utf8_trim_whitespace(array.drop_null().cast(pa.string())))
        return _values("text", counted, _present)
    if kind == "integer":
        return _values("number", pc.value_counts(array.drop_null()), _integers)
    if kind in ("float", "decimal"):
        return _values("number", pc.value_counts(array.cast(pa.float64(), safe=False).drop_null()), _floats)
    return None


def _values(kind: str, counted: Any, texts: Any) -> Values:
    values, rows = counted.field(0), counted.field(1).to_numpy(zero_copy_only=False).astype(np.int64)
    none = np.zeros(len(values), np.int32), np.zeros(len(values), np.uint16)
    if texts is None:
        return Values(kind, None, None, *none, rows)
    made, numbers, kept = texts(values)
    rows = rows if kept is None else rows[kept]
    if made is None:
        return Values(kind, None, numbers, none[0][: len(rows)], none[1][: len(rows)], rows)
    text = a.text_of(made)
    length, seen = np.empty(len(made), np.int32), np.empty(len(made), np.uint16)
    k.shapes(text.offsets, text.data, CLASSES, length, seen)
    return Values(kind, made, numbers, length, seen, rows)


def _present(values: Any) -> Any:
    kept = pc.not_equal(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
    return (values, None, None) if kept.all() else (values.filter(pa.array(kept)), None, kept)


def _integers(values: Any) -> Any:
    return values.cast(pa.string()), values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), None


def _floats(values: Any) -> Any:
    numbers = values.to_numpy(zero_copy_only=False)
    kept = np.isfinite(numbers)
    numbers = numbers[kept]
    # Whole numbers are read as such: pandas makes floats of integers with nulls.
    if len(numbers) and (np.floor(numbers) == numbers).all() and (np.abs(numbers) < 2**53).all():
        return pa.array(numbers.astype(np.int64)).cast(pa.string()), numbers, kept
    return None, numbers, kept

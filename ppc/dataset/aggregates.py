"""Counts, sums, moments and histograms of one clear column: exact where arithmetic can be, and the same every time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ppc.errors import ValueRangeError

_LOW: Final = np.uint64((1 << 32) - 1)


def total(column: pa.ChunkedArray) -> int | float:
    """The sum of the values that are not null: exact for integers and bools, pairwise in float64 for the rest."""
    if pa.types.is_null(column.type):
        return 0
    if pa.types.is_boolean(column.type) or pa.types.is_integer(column.type):
        return sum(_exact_sum(c.drop_null()) for c in column.chunks)
    if pa.types.is_decimal(column.type):
        wide = column.cast(pa.decimal256(76, column.type.scale))  # room for the sum
        return float(pc.sum(wide, min_count=0).as_py() or 0)
    with np.errstate(invalid="ignore", over="ignore"):  # infinities of both signs: the answer is NaN, not a warning
        return float(values(column).sum(dtype=np.float64))


def _exact_sum(chunk: pa.Array) -> int:
    """The sum as a Python integer. Halves of 32 bits each can not overflow for fewer than 2**31 rows."""
    if len(chunk) == 0:
        return 0
    if pa.types.is_boolean(chunk.type):
        return int(chunk.true_count)
    x = chunk.to_numpy(zero_copy_only=False)
    if x.dtype.itemsize < 8:
        return int(x.sum(dtype=np.int64))
    low = int((x.view(np.uint64) & _LOW).sum(dtype=np.uint64))
    high = int((x >> x.dtype.type(32)).sum(dtype=x.dtype))
    return (high << 32) + low


def values(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """The values that are not null, float64, shape (count,). NaN and infinities stay."""
    if pa.types.is_null(column.type):
        return np.empty(0, dtype=np.float64)
    return as_float64(column.drop_null())


def as_float64(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """All values as a new float64 array, null as NaN. Integers beyond 2**53 are rounded to the nearest double."""
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if column.type != pa.float64():
        column = column.cast(pa.float64(), safe=False)
    return np.array(column.to_numpy(), dtype=np.float64)  # a copy: Arrow's own memory is not to be written to


def mean(column: pa.ChunkedArray) -> float:
    """The mean of the values that are not null; NaN if there are none."""
    n = len(column) - int(column.null_count)
    if n == 0:
        return math.nan
    return total(column) / n  # of two Python integers: rounded once, correctly


def variance(column: pa.ChunkedArray) -> float:
    """The sample variance (divisor n − 1), in two passes; NaN for fewer than two values.

    Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", The American Statistician 37 (1983),
    equation 1.7: the second term takes off the rounding error of the mean.
    """
    x = values(column)
    if x.size < 2:
        return math.nan
    with np.errstate(invalid="ignore", over="ignore"):  # an infinity among the values makes the answer NaN
        d = x - x.mean()
        return float((np.dot(d, d) - d.sum() ** 2 / x.size) / (x.size - 1))


def histogram(column: pa.ChunkedArray, edges: Sequence[float] | NDArray[np.float64], *, name: str) -> NDArray[np.int64]:
    """Counts by bin, int64, shape (len(edges) − 1,); bins as in `numpy.histogram`. Nulls and NaN are in no bin."""
    x = values(column)
    return np.histogram(x[~np.isnan(x)], bins=check_edges(edges, name=name))[0].astype(np.int64)


def check_edges(edges: Sequence[float] | NDArray[np.float64], *, name: str) -> NDArray[np.float64]:
    """The edges as a float64 array; `ValueRangeError` unless there are two or more, none NaN, in rising order."""
    try:
        e = np.asarray(edges, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueRangeError("edges must be numbers", where=f"histogram of column '{name}'") from None
    if e.ndim != 1 or e.size < 2:
        raise ValueRangeError(
            f"edges must be a list of at least two numbers, not of shape {e.shape}",
            where=f"histogram of column '{name}'",
        )
    if not bool(np.all(e[:-1] < e[1:])):
        raise ValueRangeError(
            "edges must rise from one to the next, without NaN",
            where=f"histogram of column '{name}'",
            hint="Use np.unique(edges) to sort them and drop the double ones.",
        )
    return e

"""Bounds found in the data, with noise: counts of values by sign and power of two."""

from __future__ import annotations

from typing import Final

import numpy as np

from ppc.dataset import types
from ppc.dataset.schema import Schema
from ppc.dp import ask
from ppc.dp.query import Query
from ppc.dp.release import Figure
from ppc.errors import QueryError, TypeMismatchError

_LEAST: Final = -20  # values nearer to 0 than 2**-20 are in one bin with 0
_MOST: Final = 62
_POWERS: Final = [2.0**e for e in range(_LEAST, _MOST + 1)]
EDGES: Final = tuple([-p for p in reversed(_POWERS)] + _POWERS)
_Z: Final = 3.0  # in half widths of a 95% interval


def query(column: str, schema: Schema) -> Query:
    """The histogram that bounds are read off."""
    if not types.is_numeric(schema[column].type):
        raise TypeMismatchError(
            f"column '{column}' is {schema[column].type}, and numbers are needed", where=f"column '{column}'"
        )
    return ask.histogram(column, EDGES)


def read(counts: Figure, column: str) -> tuple[float, float]:
    """The outer edges of the bins whose noisy count is clearly above 0.

    An empty bin passes with chance exp(−3·log 20)/2 = 1/16,000 under Laplace noise, and there are fewer than 170.
    """
    clear = np.flatnonzero(counts.values > _Z * (counts.high - counts.values))
    if not clear.size:
        raise QueryError(
            "no value is distinguishable from noise",
            where=f"suggest_bounds('{column}')",
            hint="Spend more, or give bounds from what is known about the column.",
        )
    return EDGES[int(clear[0])], EDGES[int(clear[-1]) + 1]

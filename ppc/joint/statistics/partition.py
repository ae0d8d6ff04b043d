"""A public grid of values, cut as finely as the pooled counts allow.

A counted quantity (patients by age, deaths by day) lies on a fine public grid. Told are counts of intervals of it, and
no interval that is told holds from 1 to min_cell − 1 of anything that is counted. The intervals are found from the top:
an interval is cut in two where neither half is small; only those halves are ever tested.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.joint.statistics.study import Counts, Floats, Study


def cut(
    study: Study[Any], counts: Counts, wanted: Callable[[int, int], bool] | None = None
) -> tuple[list[tuple[int, int]], Floats]:
    """Intervals [a, b) of grid cells, and the pooled counts in each: (intervals, kinds).

    Args:
        counts: this site's counts, int64 (cells, kinds); every kind of an interval must be 0 or at least min_cell.
        wanted: whether an interval is to be cut further (default: all).
    """
    cells = len(counts)
    above = np.vstack([np.zeros((1, counts.shape[1]), np.int64), np.cumsum(counts, 0)])
    done: list[tuple[int, int]] = []
    level = [(0, cells)]
    while level:
        done += [p for p in level if p[1] - p[0] <= 1 or not (wanted is None or wanted(*p))]
        whole = [p for p in level if p not in done]
        level = []
        # In the middle if that can be, else at a quarter of the way from either end.
        for share in ((1, 2), (1, 4), (3, 4)):
            at = {p: p[0] + (p[1] - p[0]) * share[0] // share[1] for p in whole}
            tried = [p for p in whole if p[0] < at[p] < p[1]]
            if not tried:
                continue
            halves = [[above[at[a, b]] - above[a], above[b] - above[at[a, b]]] for a, b in tried]
            small = study.any_small(halves)
            for p, bad in zip(tried, small, strict=True):
                if not bad:
                    level += [(p[0], at[p]), (at[p], p[1])]
                    whole.remove(p)
        done += whole
    done.sort()
    mine = np.stack([above[b] - above[a] for a, b in done])
    return done, study.total(counts=mine)["counts"]


def on_grid(values: Floats, low: float, high: float, step: float) -> NDArray[np.int64]:
    """The cell [low + i step, low + (i+1) step) of every value: −1 below `low`, `cells` at and above `high`."""
    cells = grid_size(low, high, step)
    at = np.floor((values - low) / step + 1e-9).astype(np.int64)
    return np.clip(at, -1, cells)


def grid_size(low: float, high: float, step: float) -> int:
    """Cells of the grid."""
    return max(1, int(np.ceil((high - low) / step - 1e-9)))

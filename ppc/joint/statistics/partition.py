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
        candidates = [p for p in level if p[1] - p[0] > 1 and (wanted is None or wanted(*p))]
        done += [p for p in level if p not in set(candidates)]
        if not candidates:
            break
        middles = [(a + b) // 2 for a, b in candidates]
        halves = [(a, m) for (a, _), m in zip(candidates, middles, strict=True)]
        halves += [(m, b) for (_, b), m in zip(candidates, middles, strict=True)]
        small = study.any_small([above[b] - above[a] for a, b in halves])
        k = len(candidates)
        level = []
        for i, whole in enumerate(candidates):
            if small[i] or small[i + k]:
                done.append(whole)
            else:
                level += [halves[i], halves[i + k]]
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

"""`histogram` and `quantiles`: pooled counts of intervals, and values found by counting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from ppc.joint.registry import register
from ppc.joint.statistics.describe import plain
from ppc.joint.statistics.partition import grid_size, on_grid
from ppc.joint.statistics.release import SCALE, Noisy, shown, terms
from ppc.joint.statistics.study import Counts, Statistic, Study, StudyParams
from ppc.joint.statistics.suppression import hide_line


class HistogramParams(StudyParams):
    """column: numeric. edges: ascending; values below the first and from the last on are counted apart."""

    column: str
    edges: tuple[float, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _ascending(self) -> HistogramParams:
        if any(not a < b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges must ascend")
        return self


@register
class Histogram(Statistic[HistogramParams]):
    """Counts by interval, as `numpy.histogram` has them: [a, b), the last one closed."""

    name = "histogram"
    summary = "count values by interval"
    Params = HistogramParams
    opens = "the number of values in each interval"
    noisy = True

    def compute(self, study: Study[HistogramParams]) -> Mapping[str, Any]:
        column, edges = study.params.column, np.array(study.params.edges)
        study.keep(column)
        n = study.rows()
        x = study.numeric(column)
        counts = np.array([(x < edges[0]).sum(), *np.histogram(x, edges)[0], (x > edges[-1]).sum()])
        told = study.counts(counts, hide=hide_line(study, counts))
        shown = [plain(c, whole=True) for c in told]
        if np.isnan(told).any():
            study.say(f"{int(np.isnan(told).sum())} intervals are suppressed: too few rows, or to protect those")
        return {"column": column, "n": n, "edges": edges.tolist(), "below": shown[0], "counts": shown[1:-1],
                "above": shown[-1]}  # fmt: skip

    def release(self, study: Study[HistogramParams]) -> Mapping[str, Any]:
        column, edges = study.params.column, np.array(study.params.edges)
        x = study.numeric(column)
        x = x[~np.isnan(x)]
        counts = np.array([(x < edges[0]).sum(), *np.histogram(x, edges)[0], (x > edges[-1]).sum()])
        found = terms(study.ctx.view)
        noisy = Noisy(study, found.rho if found else 0.0)
        told = [shown(c) for c in noisy.draw([SCALE * counts], 1)[0]]
        return {"column": column, "n": sum(told), "edges": edges.tolist(), "below": told[0], "counts": told[1:-1],
                "above": told[-1], "release": noisy.note(found)}  # fmt: skip


class QuantilesParams(StudyParams):
    """columns: numeric. probabilities: of the quantiles. low, high: public bounds of the values; resolution: of the
    grid between them on which values are told apart (1 for whole numbers: then a quantile is exact)."""

    columns: tuple[str, ...] = Field(min_length=1)
    probabilities: tuple[float, ...] = (0.25, 0.5, 0.75)
    low: float
    high: float
    resolution: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _sane(self) -> QuantilesParams:
        if not self.low < self.high:
            raise ValueError("low must be less than high")
        if not all(0 < p < 1 for p in self.probabilities):
            raise ValueError("probabilities must be between 0 and 1")
        if grid_size(self.low, self.high, self.resolution) > 1 << 24:
            raise ValueError("resolution is too fine: more than 16 million cells")
        return self


@register
class Quantiles(Statistic[QuantilesParams]):
    """The smallest value that a share p of the rows does not exceed, found by halving the range and counting.

    A range is halved only where neither half holds a small count; where that ends before the resolution is reached,
    the interval that holds the quantile is told instead, and says so.
    """

    name = "quantiles"
    summary = "quantiles by secure counting"
    Params = QuantilesParams
    opens = "for each quantile, the number of values below each of about log2(range / resolution) points"
    rounds = 60
    noisy = True

    def compute(self, study: Study[QuantilesParams]) -> Mapping[str, Any]:
        params = study.params
        return {"quantiles": [q for c in params.columns for q in self._column(study, c)]}

    @staticmethod
    def _column(study: Study[QuantilesParams], column: str) -> list[dict[str, Any]]:
        params = study.params
        x = study.numeric(column)
        x = x[~np.isnan(x)]
        cells = grid_size(params.low, params.high, params.resolution)
        at = np.sort(on_grid(x, params.low, params.high, params.resolution).clip(0, cells - 1))

        def below(cell: int) -> int:
            return int(np.searchsorted(at, cell))

        n = study.counts([len(x)])[0]
        if np.isnan(n) or n == 0:
            study.say(f"'{column}' has too few values for quantiles")
            return []
        out = int(((x < params.low) | (x > params.high)).sum())
        study.say_rows(study.counts([out])[0], f"of '{column}' lie outside the stated range and count at its ends")
        brackets = descend(study, below, cells, [int(np.ceil(p * n - 1e-9)) for p in params.probabilities])
        found = []
        for p, (a, b) in zip(params.probabilities, brackets, strict=True):
            low, high = params.low + a * params.resolution, params.low + b * params.resolution
            exact = b - a == 1
            if not exact:
                study.say(f"quantile {p:g} of '{column}' is told only to {high - low:g}: finer counts are too small")
            value = low if exact else (low + high) / 2
            found.append(
                {
                    "column": column,
                    "p": p,
                    "value": value,
                    "low": low,
                    "high": high,
                    "at_resolution": exact,
                    "n": int(n),
                }
            )
        return found

    def release(self, study: Study[QuantilesParams]) -> Mapping[str, Any]:
        """Halving by noisy counts: at each level the spans are disjoint, so one row is in one half."""
        params, found = study.params, terms(study.ctx.view)
        cells = grid_size(params.low, params.high, params.resolution)
        levels = max(1, math.ceil(math.log2(cells)))
        noisy = Noisy(study, found.rho if found else 0.0)
        share = 1 / (len(params.columns) * (levels + 1))
        lines: list[dict[str, Any]] = []
        for column in params.columns:
            x = study.numeric(column)
            at = np.sort(on_grid(x[~np.isnan(x)], params.low, params.high, params.resolution).clip(0, cells - 1))
            n = float(noisy.draw([np.array([SCALE * len(at)])], 1, share)[0][0])
            spans = [(0, cells, 0.0)] * len(params.probabilities)
            for _ in range(levels):
                halves = sorted({(a, (a + b) // 2) for a, b, _ in spans if b - a > 1})
                if not halves:
                    break
                own = np.array([np.searchsorted(at, m) - np.searchsorted(at, a) for a, m in halves], np.int64)
                left = dict(zip(halves, noisy.draw([SCALE * own], 1, share)[0], strict=True))
                for i, (a, b, before) in enumerate(spans):
                    if b - a > 1:
                        m, first = (a + b) // 2, float(left[a, (a + b) // 2])
                        here = params.probabilities[i] * n <= before + first
                        spans[i] = (a, m, before) if here else (m, b, before + first)
            for p, (a, b, _) in zip(params.probabilities, spans, strict=True):
                low, high = params.low + a * params.resolution, params.low + b * params.resolution
                lines.append({"column": column, "p": p, "value": low, "low": low, "high": high, "at_resolution": True,
                              "n": shown(n)})  # fmt: skip
        study.say(f"each count on the way to a quantile has noise of sd {noisy.sd:.1f} rows")
        return {"quantiles": lines, "release": noisy.note(found)}


def descend(study: Study[Any], below: Any, cells: int, ranks: list[int]) -> list[tuple[int, int]]:
    """For each rank r (from 1) the smallest interval [a, b) of cells that is told to hold the r-th smallest value."""
    state = dict.fromkeys(ranks, (0, cells, 0))  # interval, and how many values lie before it
    active = dict(state)
    while active := {r: s for r, s in active.items() if s[1] - s[0] > 1}:
        spans = sorted({(a, b, before) for a, b, before in active.values()})
        halves: Counts = np.array(
            [[below((a + b) // 2) - below(a), below(b) - below((a + b) // 2)] for a, b, _ in spans], np.int64
        )
        small = study.any_small(halves)
        left = study.total(counts=np.where(np.array(small), 0, halves[:, 0]))["counts"]
        for r, span in list(active.items()):
            i = spans.index(span)
            if small[i]:
                del active[r]
                continue
            a, b, before = span
            middle, first = (a + b) // 2, int(left[i])
            active[r] = state[r] = (a, middle, before) if r <= before + first else (middle, b, before + first)
    return [state[r][:2] for r in ranks]

"""`correlation`: Pearson's from pooled cross products, Spearman's from ranks on a public grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ppc.joint.registry import register
from ppc.joint.statistics.describe import plain
from ppc.joint.statistics.partition import cut, grid_size, on_grid
from ppc.joint.statistics.study import Floats, Statistic, Study, StudyParams


class CorrelationParams(StudyParams):
    """columns: numeric, rows with a missing value in any are left out. method: "pearson" or "spearman".

    ranges: for Spearman, each column's public `[low, high, resolution]`: values are ranked by their cell of this grid,
    or of a coarser one where cells are too small to count; equal cells share a rank.
    """

    columns: tuple[str, ...] = Field(min_length=2)
    method: Literal["pearson", "spearman"] = "pearson"
    ranges: dict[str, tuple[float, float, float]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ranged(self) -> CorrelationParams:
        if self.method == "spearman":
            for c in self.columns:
                if c not in self.ranges or not (self.ranges[c][0] < self.ranges[c][1] and self.ranges[c][2] > 0):
                    raise ValueError(f"spearman needs ranges.{c} = [low, high, resolution]")
                if grid_size(*self.ranges[c]) > 4096:
                    raise ValueError(f"ranges.{c} has more than 4096 cells")
        return self


@register
class Correlation(Statistic[CorrelationParams]):
    """A matrix of correlations, with p-values."""

    name = "correlation"
    summary = "correlate columns"
    Params = CorrelationParams
    opens = "means, and sums of squares and cross products of all pairs of columns"

    def what(self, params: CorrelationParams) -> list[str]:
        found = super().what(params)
        if params.method == "spearman":
            found.append("the number of values in each interval of each column, no interval with few rows")
        return found

    def compute(self, study: Study[CorrelationParams]) -> Mapping[str, Any]:
        from scipy import stats

        params = study.params
        study.keep(*params.columns)
        n = study.rows(len(params.columns))
        x = study.data.matrix(params.columns)
        if params.method == "spearman":
            x = np.column_stack([_ranks(study, c, x[:, j]) for j, c in enumerate(params.columns)])
        cross = cross_products(study, x, n)
        spread = np.sqrt(np.diag(cross))
        for j, c in enumerate(params.columns):
            if not spread[j] > 0:
                study.say(f"'{c}' is constant: it has no correlation")
        with np.errstate(invalid="ignore", divide="ignore"):
            r = np.clip(cross / np.outer(spread, spread), -1, 1)
            t = r * np.sqrt((n - 2) / (1 - r**2))
            p = 2 * stats.t.sf(np.abs(t), n - 2)
        p[np.isnan(r)] = np.nan
        return {
            "columns": list(params.columns),
            "method": params.method,
            "n": n,
            "r": [[plain(v) for v in line] for line in r],
            "p": [[plain(v) for v in line] for line in p],
        }


def cross_products(study: Study[Any], x: Floats, n: int) -> Floats:
    """Pooled sums of squares and products of deviations from the pooled means, (d, d)."""
    mean = study.total(sums=x.sum(0))["sums"] / n
    off = x - mean
    both = study.total(sums=off.sum(0), products=off.T @ off)
    # The first mean was rounded; the second pass takes away what that left.
    return np.asarray(both["products"] - np.outer(both["sums"], both["sums"]) / n)


def _ranks(study: Study[CorrelationParams], column: str, x: Floats) -> Floats:
    """The mean rank of each value's interval among all sites' values."""
    low, high, step = study.params.ranges[column]
    cells = grid_size(low, high, step)
    at = on_grid(x, low, high, step).clip(0, cells - 1)
    intervals, counts = cut(study, np.bincount(at, minlength=cells).reshape(-1, 1))
    before = np.concatenate([[0.0], np.cumsum(counts[:, 0])])
    middle = before[:-1] + (counts[:, 0] + 1) / 2
    coarse = sum(1 for a, b in intervals if b - a > 1)
    if coarse:
        study.say(f"'{column}' is ranked by {len(intervals)} intervals, {coarse} of them wider than {step:g}")
    starts = np.array([a for a, _ in intervals])
    return np.asarray(middle[np.searchsorted(starts, at, side="right") - 1])

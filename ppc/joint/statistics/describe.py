"""`describe`: count, missing, mean, variance, standard deviation, skewness and kurtosis, also by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from ppc.joint.registry import register
from ppc.joint.statistics.study import Floats, Statistic, Study, StudyParams

COUNTS = ("n", "missing")


class DescribeParams(StudyParams):
    """columns: numeric columns. by: a categorical column to describe within."""

    columns: tuple[str, ...] = Field(min_length=1)
    by: str | None = None


@register
class Describe(Statistic[DescribeParams]):
    """Moments of columns."""

    name = "describe"
    summary = "describe columns"
    Params = DescribeParams
    opens = "count, missing count, mean, variance, skewness and kurtosis of each column"

    def columns(self, params: DescribeParams) -> list[str]:
        return [*params.columns, *([params.by] if params.by else [])]

    def compute(self, study: Study[DescribeParams]) -> Mapping[str, Any]:
        params = study.params
        groups: tuple[Any, ...] = ("all",)
        if params.by is not None:
            study.keep(params.by)
            groups = study.levels(params.by) or ()
        found = moments(study, params.columns, params.by)
        return {
            "by": params.by,
            "columns": [
                {"column": c, "group": g, **{k: plain(v[i, j], whole=k in COUNTS) for k, v in found.items()}}
                for j, c in enumerate(params.columns)
                for i, g in enumerate(groups)
            ],
        }


def moments(study: Study[Any], columns: tuple[str, ...], by: str | None, order: int = 4) -> dict[str, Floats]:
    """Moments by group and column, each (groups, columns), NaN where too few rows are.

    n and missing first, tested before they open; then means; then central moments, of deviations from the pooled mean,
    so that nothing cancels. Skewness and kurtosis (excess) are the population's g1 and g2, as `scipy.stats` has them.
    """
    group = study.codes(by) if by else np.zeros(len(study.data), np.int64)
    g, k = (len(study.levels(by) or ()) if by else 1), len(columns)
    x = study.data.matrix(columns)
    there = ~np.isnan(x)

    def by_group(values: Floats) -> Floats:
        out = np.zeros((g, k))
        for i in range(g):
            out[i] = np.where(there[group == i], values[group == i], 0.0).sum(0)
        return out

    n_mine = by_group(there.astype(np.float64))
    all_mine = np.array([np.sum(group == i) for i in range(g)], np.float64)[:, None]
    told = study.counts(np.stack([n_mine, all_mine - n_mine]))
    n, missing = told
    shut = np.isnan(n)
    with np.errstate(invalid="ignore", divide="ignore"):

        def pooled(values: Floats) -> Floats:
            mine = np.where(shut, 0.0, by_group(values))
            return np.asarray(study.total(sums=mine)["sums"] / n)

        mean = pooled(x)
        safe = np.where(np.isfinite(mean), mean, 0.0)
        if order < 2:
            return {"n": n, "missing": missing, "mean": mean}
        off = x - safe[group.clip(0)] if len(x) else x
        both = study.total(one=np.where(shut, 0.0, by_group(off)), two=np.where(shut, 0.0, by_group(off**2)))
        drift, m2 = both["one"] / n, both["two"] / n
        m2 = np.maximum(m2 - drift**2, 0.0)
        mean = mean + drift
        variance = m2 * n / (n - 1)
        variance[n < 2] = np.nan
        found = {"n": n, "missing": missing, "mean": mean, "variance": variance, "sd": np.sqrt(variance)}
        if order < 4:
            return found
        scale = np.where(m2 > 0, np.sqrt(m2), 1.0)
        u = (x - np.where(np.isfinite(mean), mean, 0.0)[group.clip(0)]) / np.where(np.isfinite(scale), scale, 1.0)[
            group.clip(0)
        ]
        high = study.total(three=np.where(shut, 0.0, by_group(u**3)), four=np.where(shut, 0.0, by_group(u**4)))
        constant = ~(m2 > 0)
        found["skewness"] = np.where(constant, np.nan, high["three"] / n)
        found["kurtosis"] = np.where(constant, np.nan, high["four"] / n - 3)
        for i, j in zip(*np.nonzero(constant & (n > 0)), strict=True):
            study.say(f"'{columns[j]}' is constant" + (f" in group {i}" if by else "") + ": it has no skewness")
    for i, j in zip(*np.nonzero(shut), strict=True):
        where = f" in group '{(study.levels(by) or ())[i]}'" if by else ""
        study.say(f"'{columns[j]}' has fewer than {study.limits.min_cell} values{where}: nothing is shown")
    for i, j in zip(*np.nonzero(n == 0), strict=True):
        where = f" in group '{(study.levels(by) or ())[i]}'" if by else ""
        study.say(f"'{columns[j]}' has no values{where}")
    return found


def plain(value: float, *, whole: bool = False) -> float | int | None:
    """A number for a summary: `None` where there is none."""
    return None if not np.isfinite(value) else int(value) if whole else float(value)

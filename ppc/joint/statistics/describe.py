"""`describe`: count, missing, mean, variance, standard deviation, skewness and kurtosis, also by group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ppc.joint.registry import register
from ppc.joint.statistics.study import Counts, Floats, Statistic, Study, StudyParams

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
    levels = (study.levels(by) or ()) if by else ("all",)
    group = study.codes(by) if by else None
    g, k = len(levels), len(columns)

    def by_group(values: Callable[[Floats, int, Counts | int], Floats]) -> Floats:
        """Sums (groups, columns) of a function of the values that are there, one column in memory at a time."""
        out = np.zeros((g, k))
        for j, column in enumerate(columns):
            x = study.data.numpy(column)
            there = ~np.isnan(x)
            x = x[there]
            if group is None:
                out[0, j] = values(x, j, 0).sum()
            else:
                mine = group[there]
                out[:, j] = np.bincount(mine, values(x, j, mine), minlength=g)
        return out

    n_mine = by_group(lambda x, _j, _g: np.ones(len(x)))
    sizes = np.array([len(study.data)]) if group is None else np.bincount(group, minlength=g)
    n, missing = study.counts(np.stack([n_mine, sizes[:, None] - n_mine]))
    shut = np.isnan(n)

    def pooled(*functions: Callable[[Floats, int, Counts | int], Floats]) -> list[Floats]:
        sums = study.total(sums=np.stack([np.where(shut, 0.0, by_group(f)) for f in functions]))["sums"]
        return [np.asarray(s / n) for s in sums]

    with np.errstate(invalid="ignore", divide="ignore"):
        (mean,) = pooled(lambda x, _j, _g: x)
        centre = np.where(np.isfinite(mean), mean, 0.0)
        drift, m2 = pooled(lambda x, j, i: x - centre[i, j], lambda x, j, i: (x - centre[i, j]) ** 2)
        m2 = np.maximum(m2 - drift**2, 0.0)
        mean = mean + drift
        variance = m2 * n / (n - 1)
        variance[n < 2] = np.nan
        found = {"n": n, "missing": missing, "mean": mean, "variance": variance, "sd": np.sqrt(variance)}
        if order < 4:
            return found
        middle = np.where(np.isfinite(mean), mean, 0.0)
        scale = np.where(m2 > 0, np.sqrt(m2), 1.0)

        def power(x: Floats, j: int, i: Counts | int, k: int) -> Floats:
            u = (x - middle[i, j]) / scale[i, j]
            square = u * u  # NumPy's own u**3 is thirty times slower
            return np.asarray(square * (u if k == 3 else square))

        three, four = pooled(lambda x, j, i: power(x, j, i, 3), lambda x, j, i: power(x, j, i, 4))
        constant = ~(m2 > 0)
        found["skewness"] = np.where(constant, np.nan, three)
        found["kurtosis"] = np.where(constant, np.nan, four - 3)

    def note(which: NDArray[np.bool_], words: str) -> None:
        for i, j in zip(*np.nonzero(which), strict=True):
            where = f" in group '{levels[i]}'" if by else ""
            study.say(f"'{columns[j]}'{where} {words}")

    note(constant & (n > 0), "is constant: it has no skewness")
    note(shut, f"has fewer than {study.limits.min_cell} values: nothing is shown")
    note(n == 0, "has no values")
    return found


def plain(value: float, *, whole: bool = False) -> float | int | None:
    """A number for a summary: `None` where there is none."""
    return None if not np.isfinite(value) else int(value) if whole else float(value)

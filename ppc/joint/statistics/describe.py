"""`describe`: count, missing, mean, variance, standard deviation, skewness and kurtosis, also by group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ppc.joint.operator import PlanView
from ppc.joint.registry import register
from ppc.joint.statistics.dominance import dominated, largest_two, watched
from ppc.joint.statistics.partition import grid_size, on_grid
from ppc.joint.statistics.release import Noisy, bounds_of, counted, mean_of, powers, shown, terms
from ppc.joint.statistics.study import Counts, Floats, RosterChanged, Statistic, Study, StudyParams

COUNTS = ("n", "missing")
Function = Callable[[Floats, int, Counts | int], Floats]


class DescribeParams(StudyParams):
    """columns: numeric columns. by: a categorical column to describe within. extremes: `{ age = [0, 120, 1] }`: the
    smallest and largest value too, told on a public grid [low, high, resolution], if every site's policy allows it."""

    columns: tuple[str, ...] = Field(min_length=1)
    by: str | None = None
    extremes: dict[str, tuple[float, float, float]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ranged(self) -> DescribeParams:
        for column, (low, high, step) in self.extremes.items():
            if column not in self.columns:
                raise ValueError(f"extremes.{column} is not among the columns")
            if not (low < high and step > 0 and grid_size(low, high, step) <= 1 << 24):
                raise ValueError(f"extremes.{column} = [low, high, resolution], with at most 16 million cells")
        return self


@register
class Describe(Statistic[DescribeParams]):
    """Moments of columns."""

    name = "describe"
    summary = "describe columns"
    Params = DescribeParams
    opens = "count, missing count, mean, variance, skewness and kurtosis of each column"
    opens_noisy = "count, missing count, mean and variance of each column"
    sums_values = True
    noisy = True

    def check(self, params: DescribeParams, view: PlanView) -> None:
        super().check(params, view)
        if terms(view) is not None:
            for column in params.columns:
                bounds_of(view, column)

    def columns(self, params: DescribeParams) -> list[str]:
        return [*params.columns, *([params.by] if params.by else [])]

    def what(self, params: DescribeParams) -> list[str]:
        found = super().what(params)
        for column, (_, _, step) in params.extremes.items():
            found.append(
                f"the smallest and the largest {column} to {step:g}, A SINGLE PATIENT'S VALUE EACH (only if every "
                "site's policy allows extremes)"
            )
        return found

    def compute(self, study: Study[DescribeParams]) -> Mapping[str, Any]:
        params = study.params
        groups: tuple[Any, ...] = ("all",)
        if params.by is not None:
            study.keep(params.by)
            groups = study.levels(params.by) or ()
        found = moments(study, params.columns, params.by)
        if params.extremes:
            found |= extremes(study, found["n"])
        return {
            "by": params.by,
            "columns": [
                {"column": c, "group": g, **{k: plain(v[i, j], whole=k in COUNTS) for k, v in found.items()}}
                for j, c in enumerate(params.columns)
                for i, g in enumerate(groups)
            ],
        }

    def release(self, study: Study[DescribeParams]) -> Mapping[str, Any]:
        params = study.params
        groups = (study.levels(params.by) or ()) if params.by else ("all",)
        group = study.codes(params.by) if params.by else np.zeros(len(study.data), np.int64)
        noisy = Noisy(study, found.rho if (found := terms(study.ctx.view)) else 0.0)
        lines = noisy_moments(study, noisy, params.columns, group, groups)
        study.say("skewness, kurtosis and extremes are not told with noise")
        return {"by": params.by, "columns": lines, "release": noisy.note(found)}


def noisy_moments(
    study: Study[Any], noisy: Noisy, columns: tuple[str, ...], group: Counts, groups: tuple[Any, ...]
) -> list[dict[str, Any]]:
    """A line for each column and group, with noise. One row adds to n, Σu, Σu² of a column, or to its missing."""
    view, k = study.ctx.view, len(groups)
    blocks = []
    for column in columns:
        x = study.numeric(column)
        blocks += [powers(x, bounds_of(view, column), group, k, 2), counted(np.where(np.isnan(x), group, -1), k)]
    told = noisy.draw(blocks, 3 * len(columns))
    lines = []
    for j, column in enumerate(columns):
        for i, g in enumerate(groups):
            line = mean_of(told[2 * j][i], bounds_of(view, column), noisy.sd)
            lines.append({"column": column, "group": g, "missing": shown(told[2 * j + 1][i]), **line})
            if line["mean"] is None:
                where = f" in group '{g}'" if k > 1 else ""
                study.say(f"the mean of '{column}'{where} is not told: the noise is too large for its rows")
    return lines


def moments(study: Study[Any], columns: tuple[str, ...], by: str | None, order: int = 4) -> dict[str, Floats]:
    """Moments by group and column, each (groups, columns), NaN where too few rows are.

    n and missing first, tested before they open; then means; then central moments, of deviations from the pooled mean,
    so that nothing cancels. Skewness and kurtosis (excess) are the population's g1 and g2, as `scipy.stats` has them.
    """
    levels = (study.levels(by) or ()) if by else ("all",)
    group = study.codes(by) if by else None
    g, k = len(levels), len(columns)

    def note(which: NDArray[np.bool_], words: str) -> None:
        for i, j in zip(*np.nonzero(which), strict=True):
            where = f" in group '{levels[i]}'" if by else ""
            study.say(f"'{columns[j]}'{where} {words}")

    checked = False  # that no value is infinite

    def values_of(*functions: Function, watch: bool = False) -> list[tuple[Floats, Floats, Floats]]:
        """Of each f(value): sums, and if `watch` sums of |f|, (groups, columns), and the two largest |f|.

        One column is in memory at a time, and every column is read once.
        """
        out = [(np.zeros((g, k)), np.zeros((g, k)), np.zeros((2, g, k))) for _ in functions]
        for j, column in enumerate(columns):
            x = study.data.numpy(column) if checked else study.numeric(column)
            there = ~np.isnan(x)
            whole = bool(there.all())
            x = x if whole else x[there]
            mine = group if group is None or whole else group[there]
            for f, (sums, size, largest) in zip(functions, out, strict=True):
                v = f(x, j, 0 if mine is None else mine)
                sums[:, j] = v.sum() if mine is None else np.bincount(mine, v, minlength=g)
                if len(v) and watch:
                    np.abs(v, out=v)
                    size[:, j] = v.sum() if mine is None else np.bincount(mine, v, minlength=g)
                    for i in range(g):
                        largest[:, i, j] = largest_two(v if mine is None else v[mine == i])
        return out

    def closed(own: tuple[Floats, Floats, Floats], shut: NDArray[np.bool_], few: Counts | None = None) -> Any:
        """Where one row or two make too much of a pooled sum, or few make it."""
        return dominated(study, np.where(shut, 0.0, own[2]), np.where(shut, 0.0, own[1]), few)

    def pooled(*parts: Floats) -> list[Floats]:
        return [np.asarray(s / n) for s in study.total(sums=np.stack(parts))["sums"]]

    counted, others, ones = (
        v[0]
        for v in values_of(
            lambda x, _j, _g: np.ones_like(x), lambda x, _j, _g: (x != 0) + 0.0, lambda x, _j, _g: (x != 1) + 0.0
        )
    )
    checked = True
    sizes = np.array([len(study.data)]) if group is None else np.bincount(group, minlength=g)
    n, missing = study.counts(np.stack([counted, sizes[:, None] - counted]))
    small = np.isnan(n)
    watch = watched(study.limits)

    with np.errstate(invalid="ignore", divide="ignore"):
        (own,) = values_of(lambda x, _j, _g: x.copy(), watch=watch)
        heavy = closed(own, small, np.where(small, 0, np.stack([others, ones])).astype(np.int64))
        shut = small | heavy
        (mean,) = pooled(np.where(shut, 0.0, own[0]))
        mean[heavy] = np.nan
        centre = np.where(np.isfinite(mean), mean, 0.0)
        off, own = values_of(lambda x, j, i: x - centre[i, j], lambda x, j, i: (x - centre[i, j]) ** 2, watch=watch)
        far = closed(own, shut)
        drift, m2 = pooled(np.where(shut, 0.0, off[0]), np.where(shut | far, 0.0, own[0]))
        m2 = np.maximum(m2 - drift**2, 0.0)
        m2[shut | far] = np.nan
        mean = mean + drift
        variance = m2 * n / (n - 1)
        variance[n < 2] = np.nan
        found = {"n": n, "missing": missing, "mean": mean, "variance": variance, "sd": np.sqrt(variance)}
        note(
            heavy,
            "has one value or two that make most of its sum, or few that differ from 0 or 1: only its count is shown",
        )
        note(far, "has one value or two that lie far from all others: its spread is not shown")
        if order < 4:
            return found
        middle = np.where(np.isfinite(mean), mean, 0.0)
        scale = np.where(m2 > 0, np.sqrt(m2), 1.0)
        shut = shut | far

        def power(x: Floats, j: int, i: Counts | int, k: int) -> Floats:
            u = (x - middle[i, j]) / scale[i, j]
            square = u * u  # NumPy's own u**3 is thirty times slower
            return np.asarray(square * (u if k == 3 else square))

        # The share of the largest grows with the power: what holds for the fourth holds for the third.
        threes, own = values_of(lambda x, j, i: power(x, j, i, 3), lambda x, j, i: power(x, j, i, 4), watch=watch)
        lonely = closed(own, shut)
        three, four = pooled(*(np.where(shut | lonely, 0.0, v[0]) for v in (threes, own)))
        note(lonely, "has one value or two that make most of the fourth power: skewness and kurtosis are not shown")
        gone = ~(m2 > 0) | shut | lonely
        found["skewness"] = np.where(gone, np.nan, three)
        found["kurtosis"] = np.where(gone, np.nan, four - 3)
        constant = m2 == 0

    note(constant & (n > 0), "is constant: it has no skewness")
    note(small, f"has fewer than {study.limits.min_cell} values: nothing is shown")
    note(n == 0, "has no values")
    return found


def extremes(study: Study[DescribeParams], n: Floats) -> dict[str, Floats]:
    """min and max (groups, columns), NaN where they are not told: by halving the grid and asking whether any row of any
    site lies beyond. Nothing opens but these answers, and they follow from the result."""
    params, nothing = study.params, np.full(n.shape, np.nan)
    found = {"min": nothing.copy(), "max": nothing.copy()}
    if not study.limits.extremes:
        study.say("smallest and largest values are not told: not every site's policy allows it")
        return found
    group = study.codes(params.by) if params.by else np.zeros(len(study.data), np.int64)
    for column, (low, high, step) in params.extremes.items():
        j, cells = params.columns.index(column), grid_size(low, high, step)
        x = study.numeric(column)
        there = ~np.isnan(x)
        at, mine = on_grid(x[there], low, high, step).clip(0, cells - 1), group[there]
        own = [at[mine == i] for i in range(len(n))]
        shown = np.flatnonzero(n[:, j] > 0)
        # Both as a search for the highest cell that is reached: the lowest is the highest of the mirrored grid.
        tops = [own[i].max(initial=-1) for i in shown] + [(cells - 1 - own[i]).max(initial=-1) for i in shown]
        a, b = np.zeros(len(tops), np.int64), np.full(len(tops), cells, np.int64)  # the cell is in [a, b)
        while (b - a > 1).any():
            middle = (a + b) // 2
            beyond = _anyone(study, np.array(tops) >= middle)
            a, b = np.where(beyond, middle, a), np.where(beyond, b, middle)
        found["max"][shown, j] = low + a[: len(shown)] * step
        found["min"][shown, j] = low + (cells - 1 - a[len(shown) :]) * step
        study.say(
            f"smallest and largest '{column}' are told to {step:g}; values outside {low:g} to {high:g} count there"
        )
    return found


def _anyone(study: Study[Any], mine: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where some site says so; not which, nor how many."""
    if len(study.sites) == 2:
        bits, sites = study.ctx.pool.small(mine.astype(np.int64), 3)
        told = (bits, sites)
    else:
        answer = study.ctx.pool.negative(-mine.astype(np.int64).reshape(1, -1))
        if answer is None:
            raise RosterChanged
        told = answer
    if set(told[1]) != set(study.sites):
        raise RosterChanged
    return told[0]


def plain(value: float, *, whole: bool = False) -> float | int | None:
    """A number for a summary: `None` where there is none."""
    return None if not np.isfinite(value) else int(value) if whole else float(value)

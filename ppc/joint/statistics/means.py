"""`ttest` and `anova`: comparisons of means, from pooled counts, means and variances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import model_validator

from ppc.joint.operator import PlanView
from ppc.joint.registry import register
from ppc.joint.statistics.crosstab import need_levels
from ppc.joint.statistics.describe import moments
from ppc.joint.statistics.dominance import dominated, largest_two
from ppc.joint.statistics.study import Counts, Floats, Statistic, Stopped, Study, StudyParams


class TTestParams(StudyParams):
    """column: numeric. by: a column of two levels (the difference is first minus second). paired: another numeric
    column instead of `by`. kind: "welch" (unequal variances) or "student"."""

    column: str
    by: str | None = None
    paired: str | None = None
    kind: Literal["welch", "student"] = "welch"

    @model_validator(mode="after")
    def _one(self) -> TTestParams:
        if (self.by is None) == (self.paired is None):
            raise ValueError("give either by (a column of two levels) or paired (another column)")
        return self


@register
class TTest(Statistic[TTestParams]):
    """Student's and Welch's t test."""

    name = "ttest"
    summary = "compare two means"
    Params = TTestParams
    opens = "count, mean and variance of each group"
    sums_values = True

    def columns(self, params: TTestParams) -> list[str]:
        return [c for c in (params.column, params.by, params.paired) if c]

    def check(self, params: TTestParams, view: PlanView) -> None:
        super().check(params, view)
        if params.by:
            need_levels([params.by], params, view)

    def compute(self, study: Study[TTestParams]) -> Mapping[str, Any]:
        params = study.params
        study.keep(*self.columns(params))
        study.rows(2)
        if params.paired:
            return self._paired(study, params.paired)
        groups = study.levels(params.by or "") or ()
        if len(groups) != 2:
            raise Stopped("problem", f"'{params.by}' has {len(groups)} levels, and a t test compares two")
        m = moments(study, (params.column,), params.by, order=2)
        n, mean, variance = (m[k][:, 0] for k in ("n", "mean", "variance"))
        check_groups(n, groups, study, mean, variance)
        if params.kind == "student":
            df = n.sum() - 2
            pooled = ((n - 1) * variance).sum() / df
            se = math.sqrt(pooled * (1 / n).sum())
        else:
            parts = variance / n
            se = math.sqrt(parts.sum())
            df = parts.sum() ** 2 / (parts**2 / (n - 1)).sum() if se > 0 else float("nan")
        groups_shown = [
            {"group": g, "n": int(n[i]), "mean": float(mean[i]), "sd": math.sqrt(variance[i])}
            for i, g in enumerate(groups)
        ]
        return {"column": params.column, "by": params.by, "kind": params.kind, "groups": groups_shown,
                **t_test(float(mean[0] - mean[1]), se, float(df))}  # fmt: skip

    @staticmethod
    def _paired(study: Study[TTestParams], other: str) -> Mapping[str, Any]:
        d = study.numeric(study.params.column) - study.numeric(other)

        def check(values: Floats, what: str, few: Counts | None = None) -> None:
            total = np.array([values.sum()])
            if dominated(study, np.array([largest_two(values)]).T, total, few).any():
                raise Stopped("refused", f"a single row, or very few, make most of the {what} of the differences")

        check(np.abs(d), "sum", np.array([[(d != 0).sum()], [(d != 1).sum()]]))
        first = study.total(n=len(d), sum=d.sum())
        mean = float(first["sum"] / first["n"])
        n = float(first["n"])
        check((d - mean) ** 2, "spread")
        second = study.total(drift=(d - mean).sum(), squares=((d - mean) ** 2).sum())
        drift = float(second["drift"]) / n
        variance = max(float(second["squares"]) / n - drift**2, 0.0) * n / (n - 1)
        return {"column": study.params.column, "paired": other, "kind": "paired", "n": int(n),
                **t_test(mean + drift, math.sqrt(variance / n), n - 1)}  # fmt: skip


def check_groups(n: Floats, groups: tuple[Any, ...], study: Study[Any], *figures: Floats) -> None:
    """Refuse groups that are too small to show, or of which a figure stays closed."""
    bad = [f"'{g}'" for g, k in zip(groups, n, strict=True) if not k >= max(2, study.limits.min_cell)]
    if bad:
        raise Stopped("refused", f"group {' and '.join(bad)} has fewer than {max(2, study.limits.min_cell)} rows")
    heavy = [f"'{g}'" for i, g in enumerate(groups) if any(np.isnan(f[i]) for f in figures)]
    if heavy:
        raise Stopped(
            "refused", f"one row or two make most of the sum, or of the spread, of group {' and '.join(heavy)}"
        )


def t_test(difference: float, se: float, df: float) -> dict[str, Any]:
    """t, its degrees of freedom, the two-sided p and the 95 % limits of the difference."""
    from scipy import stats

    if not se > 0:
        return {"difference": difference, "problem": "the values do not vary: there is no t"}
    t = difference / se
    half = float(stats.t.ppf(0.975, df)) * se
    return {"difference": difference, "se": se, "t": t, "df": df, "p": 2 * float(stats.t.sf(abs(t), df)),
            "low": difference - half, "high": difference + half}  # fmt: skip


class AnovaParams(StudyParams):
    """column: numeric. by: a categorical column."""

    column: str
    by: str


@register
class Anova(Statistic[AnovaParams]):
    """One-way analysis of variance."""

    name = "anova"
    summary = "compare the means of several groups"
    Params = AnovaParams
    opens = "count, mean and variance of each group"
    sums_values = True

    def columns(self, params: AnovaParams) -> list[str]:
        return [params.column, params.by]

    def check(self, params: AnovaParams, view: PlanView) -> None:
        super().check(params, view)
        need_levels([params.by], params, view)

    def compute(self, study: Study[AnovaParams]) -> Mapping[str, Any]:
        from scipy import stats

        params = study.params
        study.keep(params.column, params.by)
        groups = study.levels(params.by) or ()
        study.rows(len(groups))
        m = moments(study, (params.column,), params.by, order=2)
        n, mean, variance = (m[k][:, 0] for k in ("n", "mean", "variance"))
        empty = n == 0
        if empty.any():
            groups = tuple(g for g, e in zip(groups, empty, strict=True) if not e)
            n, mean, variance = n[~empty], mean[~empty], variance[~empty]
        check_groups(n, groups, study, mean, variance)
        shown = [
            {"group": g, "n": int(n[i]), "mean": float(mean[i]), "sd": math.sqrt(variance[i])}
            for i, g in enumerate(groups)
        ]
        if len(groups) < 2:
            raise Stopped("problem", "there is one group only: nothing to compare")
        grand = float((n * mean).sum() / n.sum())
        between = float((n * (mean - grand) ** 2).sum())
        inside = float(((n - 1) * variance).sum())
        df1, df2 = len(groups) - 1, float(n.sum()) - len(groups)
        found = {"column": params.column, "by": params.by, "groups": shown, "between": between, "within": inside,
                 "df1": df1, "df2": int(df2)}  # fmt: skip
        if not inside > 0:
            return {**found, "problem": "the values do not vary within the groups: there is no F"}
        f = (between / df1) / (inside / df2)
        return {**found, "f": f, "p": float(stats.f.sf(f, df1, df2)), "eta2": between / (between + inside)}


__all__ = ["Anova", "TTest", "check_groups", "np", "t_test"]

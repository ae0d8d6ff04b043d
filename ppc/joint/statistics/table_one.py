"""`table_one`: the baseline table of a medical paper: every variable by arm, with a test of their difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from ppc.joint.operator import PlanView
from ppc.joint.registry import register
from ppc.joint.statistics.codes import UNKNOWN
from ppc.joint.statistics.crosstab import need_levels, tests
from ppc.joint.statistics.describe import moments, plain
from ppc.joint.statistics.means import t_test
from ppc.joint.statistics.study import Statistic, Stopped, Study, StudyParams
from ppc.joint.statistics.suppression import hide_table


class TableOneParams(StudyParams):
    """columns: in the order of the table; a column with levels is a category. by: the arms, a column with levels."""

    columns: tuple[str, ...] = Field(min_length=1)
    by: str


@register
class TableOne(Statistic[TableOneParams]):
    """Mean and standard deviation of numbers, counts and shares of categories, by arm.

    Two arms are compared by Welch's t test, more by analysis of variance; categories by χ².
    """

    name = "table_one"
    summary = "make the baseline table"
    Params = TableOneParams
    opens = "for each arm: count, mean and variance of each number, the number of rows of each level of each category"
    rounds = 30
    sums_values = True

    def columns(self, params: TableOneParams) -> list[str]:
        return [*params.columns, params.by]

    def check(self, params: TableOneParams, view: PlanView) -> None:
        super().check(params, view)
        need_levels([params.by], params, view)

    def compute(self, study: Study[TableOneParams]) -> Mapping[str, Any]:
        params = study.params
        study.keep(params.by)
        study.rows()
        arms = study.levels(params.by) or ()
        sizes = study.counts(np.bincount(study.codes(params.by), minlength=len(arms)))
        if np.isnan(sizes).any():
            raise Stopped("refused", f"an arm has fewer than {study.limits.min_cell} rows")
        numeric = tuple(c for c in params.columns if study.levels(c) is None)
        lines: dict[str, dict[str, Any]] = {}
        if numeric:
            m = moments(study, numeric, params.by, order=2)
            for j, column in enumerate(numeric):
                n, mean, sd = (m[k][:, j] for k in ("n", "mean", "sd"))
                missing = m["missing"][:, j]
                lines[column] = {
                    "column": column, "kind": "number",
                    "n": [plain(v, whole=True) for v in n], "missing": [plain(v, whole=True) for v in missing],
                    "mean": [plain(v) for v in mean], "sd": [plain(v) for v in sd], **_compare(n, mean, sd),
                }  # fmt: skip
        for column in params.columns:
            if study.levels(column) is not None:
                lines[column] = self._category(study, column)
        return {
            "by": params.by,
            "arms": list(arms),
            "n": sizes.astype(int).tolist(),
            "lines": [lines[c] for c in params.columns],
        }

    @staticmethod
    def _category(study: Study[TableOneParams], column: str) -> dict[str, Any]:
        levels, arms = study.levels(column) or (), study.levels(study.params.by) or ()
        code, arm = study.codes(column), study.codes(study.params.by)
        rows = len(levels)
        known = code >= 0
        counts = np.bincount(code[known] * len(arms) + arm[known], minlength=rows * len(arms)).reshape(rows, -1)
        missing = np.bincount(arm[~known], minlength=len(arms))
        # Arms' sizes are known, so the missing are a line of the table too; levels' totals are not told.
        whole = np.vstack([counts, missing])
        told = study.counts(whole, hide=hide_table(study, whole.T, columns=False).T)
        unknown = study.counts([(code == UNKNOWN).sum()])[0]
        study.say_rows(unknown, f"have a value of '{column}' outside its levels; they count as missing")
        line: dict[str, Any] = {
            "column": column, "kind": "category", "levels": list(levels),
            "counts": [[plain(c, whole=True) for c in row] for row in told[:-1]],
            "missing": [plain(c, whole=True) for c in told[-1]],
        }  # fmt: skip
        if np.isnan(told[:-1]).any():
            study.say(f"'{column}': cells of few rows are suppressed, and so is the test")
            return {**line, "p": None, "test": None}
        found = tests(told[:-1])
        return {**line, "p": found.get("p"), "test": "χ²"}


def _compare(n: Any, mean: Any, sd: Any) -> dict[str, Any]:
    from scipy import stats

    if np.isnan(sd).any() or (n < 2).any():
        return {"p": None, "test": None}
    variance = sd**2
    if len(n) == 2:
        parts = variance / n
        if not parts.sum() > 0:
            return {"p": None, "test": None}
        df = parts.sum() ** 2 / (parts**2 / (n - 1)).sum()
        found = t_test(float(mean[0] - mean[1]), math.sqrt(parts.sum()), float(df))
        return {"p": found.get("p"), "test": "Welch"}
    grand = (n * mean).sum() / n.sum()
    between, inside = (n * (mean - grand) ** 2).sum(), ((n - 1) * variance).sum()
    df1, df2 = len(n) - 1, n.sum() - len(n)
    if df1 < 1 or not inside > 0:
        return {"p": None, "test": None}
    return {"p": float(stats.f.sf(between / df1 / (inside / df2), df1, df2)), "test": "ANOVA"}

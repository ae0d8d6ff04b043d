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
from ppc.joint.statistics.release import Noisy, bounds_of, counted, mean_of, powers, shown, terms
from ppc.joint.statistics.study import Statistic, Stopped, Study, StudyParams, levels_of
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
    opens_noisy = opens
    sums_values = True
    noisy = True

    def columns(self, params: TableOneParams) -> list[str]:
        return [*params.columns, params.by]

    def check(self, params: TableOneParams, view: PlanView) -> None:
        super().check(params, view)
        need_levels([params.by], params, view)
        if terms(view) is not None:
            for column in params.columns:
                if levels_of(params, view, column) is None:
                    bounds_of(view, column)

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

    def release(self, study: Study[TableOneParams]) -> Mapping[str, Any]:
        params, found = study.params, terms(study.ctx.view)
        arms, arm, k = study.levels(params.by) or (), study.codes(params.by), len(study.levels(params.by) or ())
        blocks = [counted(arm, k)]  # then for each column what a row adds to: 3 sums or 1, or 1 of the missing
        touched = 1
        for column in params.columns:
            levels = study.levels(column)
            if levels is None:
                x = study.numeric(column)
                blocks.append(powers(x, bounds_of(study.ctx.view, column), arm, k, 2))
                missing = np.isnan(x)
                touched += 3
            else:
                code = study.codes(column)
                missing = code < 0
                blocks.append(counted(np.where(missing | (arm < 0), -1, code * k + arm), len(levels) * k))
                touched += 1
            blocks.append(counted(np.where(missing, arm, -1), k))
        noisy = Noisy(study, found.rho if found else 0.0)
        told = noisy.draw(blocks, touched)
        lines: list[dict[str, Any]] = []
        for j, column in enumerate(params.columns):
            sums, missing_of = told[1 + 2 * j], [shown(v) for v in told[2 + 2 * j]]
            levels = study.levels(column)
            line: dict[str, Any] = {"column": column, "missing": missing_of, "p": None, "test": None}
            if levels is None:
                each = [mean_of(sums[i], bounds_of(study.ctx.view, column), noisy.sd) for i in range(k)]
                line |= {"kind": "number", **{key: [e[key] for e in each] for key in ("n", "mean", "sd")}}
            else:
                counts = [[shown(v) for v in row] for row in sums.reshape(len(levels), k)]
                line |= {"kind": "category", "levels": list(levels), "counts": counts}
            lines.append(line)
        study.say("tests are not given with noise")
        return {"by": params.by, "arms": list(arms), "n": [shown(v) for v in told[0]], "lines": lines,
                "release": noisy.note(found)}  # fmt: skip

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

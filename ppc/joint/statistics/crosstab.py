"""`crosstab`: a table of two categories, with χ², Fisher's exact test, odds and risk ratios."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ppc.errors import JobFileError
from ppc.joint.operator import PlanView
from ppc.joint.registry import register
from ppc.joint.statistics.describe import plain
from ppc.joint.statistics.release import Noisy, counted, shown, terms
from ppc.joint.statistics.study import Counts, Floats, Statistic, Stopped, Study, StudyParams, levels_of
from ppc.joint.statistics.suppression import hide_table


class CrosstabParams(StudyParams):
    """rows, columns: categorical columns with public levels. In a 2×2 table the first row and the first column are the
    reference: the odds ratio is that of the second column in the second row."""

    rows: str
    columns: str


@register
class Crosstab(Statistic[CrosstabParams]):
    """Counts of two categories."""

    name = "crosstab"
    summary = "tabulate two categories"
    Params = CrosstabParams
    opens = "the number of rows in each cell of the table, and its row and column totals"
    opens_noisy = "the number of rows in each cell of the table"
    noisy = True

    def columns(self, params: CrosstabParams) -> list[str]:
        return [params.rows, params.columns]

    def check(self, params: CrosstabParams, view: PlanView) -> None:
        super().check(params, view)
        need_levels(self.columns(params), params, view)

    def compute(self, study: Study[CrosstabParams]) -> Mapping[str, Any]:
        params = study.params
        study.keep(params.rows, params.columns)
        n = study.rows()
        counts = table_of(study, params.rows, params.columns)
        check_totals(study, counts, params.rows, params.columns)
        hidden = hide_table(study, counts)
        # With nothing hidden the totals follow from the cells; else they open beside them.
        told = study.counts(counts, hide=hidden)
        totals = study.total(rows=counts.sum(1), columns=counts.sum(0))
        found: dict[str, Any] = {
            "row_variable": params.rows,
            "column_variable": params.columns,
            "rows": list(study.levels(params.rows) or ()),
            "columns": list(study.levels(params.columns) or ()),
            "counts": [[plain(c, whole=True) for c in line] for line in told],
            "row_totals": totals["rows"].astype(int).tolist(),
            "column_totals": totals["columns"].astype(int).tolist(),
            "n": n,
        }
        if hidden.any():
            study.say(
                f"{int(hidden.sum())} cells are suppressed (fewer than {study.limits.min_cell} rows, or to protect "
                "those): "
                "no test is given. Merge levels to get one."
            )
            return found
        return {**found, **tests(told)}

    def release(self, study: Study[CrosstabParams]) -> Mapping[str, Any]:
        params, found = study.params, terms(study.ctx.view)
        rows, columns = study.levels(params.rows) or (), study.levels(params.columns) or ()
        at, across = study.codes(params.rows), study.codes(params.columns)
        cell = np.where((at >= 0) & (across >= 0), at * len(columns) + across, -1)
        noisy = Noisy(study, found.rho if found else 0.0)
        told = noisy.draw([counted(cell, len(rows) * len(columns))], 1)[0].reshape(len(rows), -1)
        counts = [[shown(c) for c in line] for line in told]
        study.say("totals are sums of the noisy cells; tests of independence are not given with noise")
        return {
            "row_variable": params.rows, "column_variable": params.columns, "rows": list(rows),
            "columns": list(columns), "counts": counts, "row_totals": [sum(line) for line in counts],
            "column_totals": [sum(c) for c in zip(*counts, strict=True)], "n": sum(map(sum, counts)),
            "release": noisy.note(found),
        }  # fmt: skip


def need_levels(columns: list[str], params: StudyParams, view: PlanView) -> None:
    """Refuse a column that has no public list of levels."""
    for column in columns:
        if levels_of(params, view, column) is None:
            raise JobFileError(
                f"column '{column}' needs a public list of its levels", where=view.where,
                hint=f'levels = {{ {column} = ["…", "…"] }}',
            )  # fmt: skip


def table_of(study: Study[Any], rows: str, columns: str) -> Counts:
    """This site's counts (levels of rows, levels of columns)."""
    r, c = len(study.levels(rows) or ()), len(study.levels(columns) or ())
    return np.bincount(study.codes(rows) * c + study.codes(columns), minlength=r * c).reshape(r, c)


def check_totals(study: Study[Any], counts: Counts, rows: str, columns: str) -> None:
    """Refuse a table with a level of too few rows: its total would open."""
    small = study.small(np.concatenate([counts.sum(1), counts.sum(0)]))
    names = [*((rows, x) for x in study.levels(rows) or ()), *((columns, x) for x in study.levels(columns) or ())]
    bad = [f"'{level}' of '{column}'" for (column, level), s in zip(names, small, strict=True) if s]
    if bad:
        few = study.limits.min_cell
        raise Stopped("refused", f"fewer than {few} rows have level {' and '.join(bad)}: merge it with another level")


def tests(table: Floats) -> dict[str, Any]:
    """χ² with its p; for a 2×2 table also Yates, Fisher, odds and risk ratio with 95 % limits."""
    from scipy import stats

    used = table[table.sum(1) > 0][:, table.sum(0) > 0]
    if min(used.shape) < 2:
        return {"problem": "one of the variables has one level only: there is nothing to test"}
    expected = np.outer(used.sum(1), used.sum(0)) / used.sum()
    chi2 = float(((used - expected) ** 2 / expected).sum())
    df = (used.shape[0] - 1) * (used.shape[1] - 1)
    n = float(used.sum())
    found: dict[str, Any] = {
        "chi2": chi2,
        "df": df,
        "p": float(stats.chi2.sf(chi2, df)),
        "cramers_v": math.sqrt(chi2 / n / (min(used.shape) - 1)),
        "smallest_expected": float(expected.min()),
    }
    if table.shape == (2, 2):
        found |= two_by_two(table)
    return found


def two_by_two(table: Floats) -> dict[str, Any]:
    """Yates' χ², Fisher's exact test, odds ratio (Woolf) and risk ratio (Katz) of the second row against the first."""
    from scipy import stats

    (a, b), (c, d) = table
    yates, p_yates, _, _ = stats.chi2_contingency(table, correction=True)
    fisher = stats.fisher_exact(table.astype(np.int64))
    found: dict[str, Any] = {
        "chi2_yates": float(yates), "p_yates": float(p_yates), "p_fisher": float(fisher[1]),
        "odds_ratio": None, "risk_ratio": None,
    }  # fmt: skip
    z = float(stats.norm.ppf(0.975))

    def ratio(value: float, se: float) -> dict[str, float]:
        return {"value": value, "low": value * math.exp(-z * se), "high": value * math.exp(z * se)}

    if min(a, b, c, d) > 0:
        found["odds_ratio"] = ratio(d * a / (c * b), math.sqrt(1 / a + 1 / b + 1 / c + 1 / d))
    if b > 0 and d > 0:
        found["risk_ratio"] = ratio((d / (c + d)) / (b / (a + b)), math.sqrt(1 / d - 1 / (c + d) + 1 / b - 1 / (a + b)))
    return found

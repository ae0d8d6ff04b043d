"""The demonstration's control: the same analyses by SciPy, statsmodels and lifelines on pooled rows in the clear."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppc.demos.clinics import Study

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """One figure, computed jointly and on pooled rows."""

    step: str
    figure: str
    joint: float
    pooled: float
    by: str

    @property
    def difference(self) -> float:
        """Relative to the pooled figure (absolute below 1e-6)."""
        return abs(self.joint - self.pooled) / max(abs(self.pooled), 1e-6)


def compare(study: Study, summaries: Mapping[str, Summary]) -> list[Pair]:
    """Every figure of the job beside the pooled one, of the same sites. What is not installed is left out."""
    found: list[Pair] = []
    checks: tuple[tuple[str, Callable[[Study, Summary, Mapping[str, Summary]], Iterator[Pair]]], ...] = (
        ("table_one", _table_one),
        ("glm", _glm),
        ("crosstab", _crosstab),
        ("kaplan_meier", _kaplan_meier),
        ("log_rank", _log_rank),
        ("cox", _cox),
    )
    for step, check in checks:
        if step in summaries and not {"refused", "problem"} & set(summaries[step]):
            with suppress(ImportError):
                found += check(study, summaries[step], summaries)
    return found


def pooled(study: Study, summary: Summary) -> dict[str, Any]:
    """The rows of the sites that the summary is about."""
    names = study.rows[summary["sites"][0]]
    rows = {k: np.concatenate([study.rows[s][k] for s in summary["sites"]]) for k in names}
    if study.kind == "heart":
        rows["disease"] = np.where(rows["target"] > 0, "yes", "no")
        rows["sex"] = np.where(rows["sex"] == 1, "male", "female")
        for name, low in (("trestbps", 50.0), ("thalach", 40.0), ("oldpeak", -10.0)):
            rows[name] = np.where(rows[name] >= low, rows[name], np.nan)
    return rows


def _table_one(study: Study, s: Summary, _all: Mapping[str, Summary]) -> Iterator[Pair]:
    from scipy import stats

    rows = pooled(study, s)
    arm = rows[s["by"]]
    for line in s["lines"]:
        x = rows[line["column"]]
        if line["kind"] == "number":
            groups = [x[(arm == a) & ~np.isnan(x)] for a in s["arms"]]
            for i, g in enumerate(groups):
                yield Pair(
                    "table one",
                    f"mean of {line['column']}, {s['by']} {s['arms'][i]}",
                    line["mean"][i],
                    float(g.mean()),
                    "NumPy",
                )
            yield Pair(
                "table one",
                f"p of {line['column']}",
                line["p"],
                float(stats.ttest_ind(*groups, equal_var=False).pvalue),
                "SciPy",
            )
        elif line["p"] is not None:
            spelled = np.array([f"{v:g}" if isinstance(v, float) else str(v) for v in x.tolist()])
            table = np.array([[np.sum((spelled == str(v)) & (arm == a)) for a in s["arms"]] for v in line["levels"]])
            peer = stats.chi2_contingency(table[table.sum(1) > 0], correction=False)
            yield Pair("table one", f"p of {line['column']}", line["p"], float(peer.pvalue), "SciPy")


def _design(rows: Mapping[str, Any], names: list[str]) -> Any:
    columns = []
    for name in names:
        term, _, level = name.partition("=")
        if name == "intercept":
            columns.append(np.ones(len(next(iter(rows.values())))))
        else:
            columns.append((rows[term] == level).astype(float) if level else rows[term].astype(float))
    return np.column_stack(columns)


def _glm(study: Study, s: Summary, _all: Mapping[str, Summary]) -> Iterator[Pair]:
    import statsmodels.api as sm

    rows = pooled(study, s)
    names = [c["name"] for c in s["coefficients"]]
    x = _design(rows, names)
    y = (rows[s["outcome"]] == "yes").astype(float) if study.kind == "heart" else rows[s["outcome"]]
    whole = ~np.isnan(x).any(1)
    fit = sm.GLM(y[whole], x[whole], sm.families.Binomial()).fit(tol=1e-12)
    for c, b, se in zip(s["coefficients"], fit.params, fit.bse, strict=True):
        yield Pair("logistic model", f"coefficient of {c['name']}", c["coef"], float(b), "statsmodels")
        yield Pair("logistic model", f"standard error of {c['name']}", c["se"], float(se), "statsmodels")


def _crosstab(study: Study, s: Summary, _all: Mapping[str, Summary]) -> Iterator[Pair]:
    from scipy import stats

    if "chi2" not in s:
        return
    rows = pooled(study, s)
    a, b = rows[s["row_variable"]], rows[s["column_variable"]]
    table = np.array([[np.sum((a == x) & (b == y)) for y in s["columns"]] for x in s["rows"]])
    yield Pair(
        "cross table", "χ²", s["chi2"], float(stats.chi2_contingency(table, correction=False).statistic), "SciPy"
    )
    yield Pair("cross table", "p of Fisher's test", s["p_fisher"], float(stats.fisher_exact(table).pvalue), "SciPy")


def _grouped(times: Any, ends: list[float], horizon: float) -> Any:
    """Each time as the end of its public group."""
    at = np.searchsorted(np.array(ends), np.minimum(times, horizon))
    return np.array(ends)[at.clip(0, len(ends) - 1)]


def _ends(s: Summary) -> list[float]:
    return sorted({t for c in s["curves"] for t in c["times"]})


def _kaplan_meier(study: Study, s: Summary, _all: Mapping[str, Summary]) -> Iterator[Pair]:
    import lifelines

    rows = pooled(study, s)
    for curve in s["curves"]:
        mine = rows[s["by"]] == curve["group"]
        times = _grouped(rows["time"][mine], _ends(s), 2700.0)
        fit = lifelines.KaplanMeierFitter().fit(times, rows["event"][mine])
        for year in (1, 3, 5):
            at = np.flatnonzero(np.array(curve["times"]) <= 365.25 * year)
            if len(at):
                t, value = curve["times"][at[-1]], curve["survival"][at[-1]]
                yield Pair(
                    "survival", f"{s['by']} {curve['group']}, {year} year{'s' * (year > 1)}", value,
                    float(fit.predict(t)), "lifelines",
                )  # fmt: skip


def _log_rank(study: Study, s: Summary, every: Mapping[str, Summary]) -> Iterator[Pair]:
    from lifelines.statistics import multivariate_logrank_test

    curves = every["kaplan_meier"]
    if curves.get("sites") != s["sites"] or "curves" not in curves:
        return
    rows = pooled(study, s)
    peer = multivariate_logrank_test(_grouped(rows["time"], _ends(curves), 2700.0), rows[s["by"]], rows["event"])
    yield Pair("log-rank test", "χ²", s["chi2"], float(peer.test_statistic), "lifelines")
    yield Pair("log-rank test", "p", s["p"], float(peer.p_value), "lifelines")


def _cox(study: Study, s: Summary, _every: Mapping[str, Summary]) -> Iterator[Pair]:
    import lifelines
    import pandas as pd

    rows = pooled(study, s)
    names = [c["name"] for c in s["coefficients"]]
    frame = pd.DataFrame(_design(rows, names), columns=names)
    frame["time"], frame["event"] = _grouped(rows["time"], s["group_ends"], 2700.0), rows["event"]
    fit = lifelines.CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-12, "max_steps": 100})
    for c in s["coefficients"]:
        for figure, key, value in (
            ("coefficient", "coef", fit.params_),
            ("standard error", "se", fit.standard_errors_),
        ):
            yield Pair("proportional hazards", f"{figure} of {c['name']}", c[key], float(value[c["name"]]), "lifelines")


def worst(pairs: list[Pair]) -> float:
    """The largest difference; NaN if nothing was compared."""
    return max((p.difference for p in pairs), default=math.nan)

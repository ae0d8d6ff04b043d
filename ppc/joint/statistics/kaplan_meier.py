"""`kaplan_meier` and `log_rank`: survival curves with confidence bands, and the test that they are one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppc.joint.operator import PlanView
from ppc.joint.registry import register
from ppc.joint.statistics.crosstab import need_levels
from ppc.joint.statistics.describe import plain
from ppc.joint.statistics.study import Floats, Statistic, Stopped, Study
from ppc.joint.statistics.survival import SurvivalParams, Times, table


class KaplanMeierParams(SurvivalParams):
    """by: a categorical column: a curve for each level."""

    by: str | None = None


def _what(params: SurvivalParams, name: str) -> list[str]:
    counts = f"the number of events, of censored rows and of rows at risk{name}, of all sites' rows together"
    if params.exact:
        return [
            f"at each time on the grid {counts}, ALSO WHERE THEY ARE FEW (exact = true): a single patient's event time "
            "can be seen, not whose it is"
        ]
    return [f"in groups of neighbouring times {counts}; no count below {params.min_cell}"]


@register
class KaplanMeier(Statistic[KaplanMeierParams]):
    """The product-limit estimate with Greenwood's error and log-log limits."""

    name = "kaplan_meier"
    summary = "estimate survival curves"
    Params = KaplanMeierParams
    rounds = 30

    def columns(self, params: KaplanMeierParams) -> list[str]:
        return [params.time, params.event, *([params.by] if params.by else [])]

    def check(self, params: KaplanMeierParams, view: PlanView) -> None:
        super().check(params, view)
        if params.by:
            need_levels([params.by], params, view)

    def what(self, params: KaplanMeierParams) -> list[str]:
        return _what(params, f" by {params.by}" if params.by else "")

    def compute(self, study: Study[KaplanMeierParams]) -> Mapping[str, Any]:
        params = study.params
        times = table(study, params, params.by)
        groups = (study.levels(params.by) or ()) if params.by else ("all",)
        return {
            "time": params.time,
            "event": params.event,
            "by": params.by,
            "exact": params.exact,
            "interval": params.interval,
            "curves": [curve(times, j, g) for j, g in enumerate(groups)],
        }


def curve(times: Times, j: int, group: Any) -> dict[str, Any]:
    """One group's curve: survival after each time, its log-log limits, and the counts it rests on.

    Source: Kalbfleisch and Prentice, The Statistical Analysis of Failure Time Data, 2nd ed., §1.4.
    """
    from scipy import stats

    d, n = times.events[:, j], times.at_risk[:, j]
    used = (n > 0) & (d + times.censored[:, j] > 0)
    t, d, n = times.times[used], d[used], n[used]
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.cumprod(1 - d / n)
        greenwood = np.cumsum(d / (n * (n - d)))
        z = float(stats.norm.ppf(0.975))
        v = np.log(survival)
        half = z * np.sqrt(greenwood) / v
        low, high = np.exp(-np.exp(np.log(-v) - half)), np.exp(-np.exp(np.log(-v) + half))
    flat = survival == 1
    low[flat], high[flat] = 1.0, 1.0
    low[survival == 0], high[survival == 0] = np.nan, np.nan
    low, high = np.minimum(low, high), np.maximum(low, high)
    under = np.flatnonzero(survival <= 0.5)
    return {
        "group": group,
        "times": t.tolist(),
        "survival": survival.tolist(),
        "low": [plain(v) for v in low],
        "high": [plain(v) for v in high],
        "events": d.astype(int).tolist(),
        "at_risk": n.astype(int).tolist(),
        "n": int(n[0]) if len(n) else 0,
        "total_events": int(d.sum()),
        "median": float(t[under[0]]) if len(under) else None,
    }


class LogRankParams(SurvivalParams):
    """by: a categorical column of two or more levels."""

    by: str


@register
class LogRank(Statistic[LogRankParams]):
    """The log-rank test."""

    name = "log_rank"
    summary = "test whether survival differs between groups"
    Params = LogRankParams
    rounds = 30

    def columns(self, params: LogRankParams) -> list[str]:
        return [params.time, params.event, params.by]

    def check(self, params: LogRankParams, view: PlanView) -> None:
        super().check(params, view)
        need_levels([params.by], params, view)

    def what(self, params: LogRankParams) -> list[str]:
        return _what(params, f" by {params.by}")

    def compute(self, study: Study[LogRankParams]) -> Mapping[str, Any]:
        from scipy import stats

        params = study.params
        times = table(study, params, params.by)
        groups = study.levels(params.by) or ()
        some = np.flatnonzero(times.at_risk[0] > 0) if len(times.times) else np.zeros(0, int)
        if len(some) < 2:
            raise Stopped("problem", f"'{params.by}' has one level only: there is nothing to compare")
        observed, expected, v = log_rank(times.events[:, some], times.at_risk[:, some])
        z = (observed - expected)[:-1]
        chi2 = float(z @ np.linalg.pinv(v[:-1, :-1]) @ z)
        df = len(some) - 1
        return {
            "by": params.by,
            "exact": params.exact,
            "groups": [
                {"group": groups[j], "observed": int(observed[i]), "expected": float(expected[i])}
                for i, j in enumerate(some)
            ],
            "chi2": chi2,
            "df": df,
            "p": float(stats.chi2.sf(chi2, df)),
        }


def log_rank(events: Floats, at_risk: Floats) -> tuple[Floats, Floats, Floats]:
    """Observed and expected events (g,), and the covariance of their difference (g, g).

    Source: Mantel 1966; the hypergeometric variance as in Kalbfleisch and Prentice, §1.5.
    """
    d, n = events.sum(1), at_risk.sum(1)
    used = (d > 0) & (n > 0)
    d, n, share = d[used], n[used], at_risk[used] / n[used, None]
    factor = d * np.where(n > 1, (n - d) / np.maximum(n - 1, 1), 0.0)
    v = np.diag((share * factor[:, None]).sum(0)) - (share * factor[:, None]).T @ share
    return events.sum(0), (share * d[:, None]).sum(0), v

"""`meta_analysis`: a mean difference estimated at every site, and combined, for sites that may give estimates only.

This is the one statistic that shows a figure of a single site: its estimate and standard error. The plan says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ppc.errors import FrameError
from ppc.joint.operator import EVERYONE, Disclosure, PlanView
from ppc.joint.registry import register
from ppc.joint.statistics.crosstab import need_levels
from ppc.joint.statistics.study import RosterChanged, Statistic, Stopped, Study, StudyParams


class MetaParams(StudyParams):
    """outcome: numeric, or 0 and 1. by: a column of two levels. measure: "mean_difference" of the second level against
    the first, or "log_odds_ratio" of an outcome of 0 and 1."""

    outcome: str
    by: str
    measure: Literal["mean_difference", "log_odds_ratio"] = "mean_difference"


@register
class MetaAnalysis(Statistic[MetaParams]):
    """Fixed and random effects (DerSimonian and Laird)."""

    name = "meta_analysis"
    summary = "combine the sites' own estimates"
    Params = MetaParams

    def columns(self, params: MetaParams) -> list[str]:
        return [params.outcome, params.by]

    def check(self, params: MetaParams, view: PlanView) -> None:
        super().check(params, view)
        need_levels([params.by], params, view)

    def disclosures(self, params: MetaParams, view: PlanView) -> list[Disclosure]:
        what = "the site's own estimate and its standard error (nothing if one of its groups has few rows)"
        return [
            Disclosure(peer, what, site, (params.outcome, params.by), "to combine the estimates")
            for site in view.parties
            for peer in view.peers(site)
        ] + [
            Disclosure(
                EVERYONE, "how many rows lack a value, of all sites together", columns=(params.outcome, params.by)
            )
        ]

    def compute(self, study: Study[MetaParams]) -> Mapping[str, Any]:
        params = study.params
        study.keep(params.outcome, params.by)
        groups = study.levels(params.by) or ()
        if len(groups) != 2:
            raise Stopped("problem", f"'{params.by}' has {len(groups)} levels, and two are compared")
        told = study.ctx.pool.gather(self._own(study))
        if set(told) != set(study.sites):
            raise RosterChanged
        order = [p for p in study.ctx.parties if told.get(p) is not None]
        for party in order:
            pair = told[party]
            good = isinstance(pair, list) and len(pair) == 2 and all(isinstance(v, int | float) for v in pair)
            if not good or not (math.isfinite(pair[0]) and 0 < pair[1] < math.inf):
                raise FrameError("its estimate is malformed", party=party, where="meta_analysis")
        for party in told:
            if party not in order:
                study.say(f"{party} gives no estimate: one of its groups has too few rows")
        if len(order) < 2:
            raise Stopped("refused", "fewer than two sites give an estimate")
        b, se = (np.array([told[p][i] for p in order], np.float64) for i in (0, 1))
        sites = [
            {"site": p, "estimate": float(x), "se": float(s), **_limits(x, s)}
            for p, x, s in zip(order, b, se, strict=True)
        ]
        return {
            "outcome": params.outcome,
            "by": params.by,
            "measure": params.measure,
            "estimates": sites,
            **combine(b, se),
        }

    @staticmethod
    def _own(study: Study[MetaParams]) -> list[float] | None:
        params, least = study.params, max(2, study.limits.min_cell)
        y, group = study.numeric(params.outcome), study.codes(params.by)
        parts = [y[group == g] for g in (0, 1)]
        if min(len(p) for p in parts) < least:
            return None
        if params.measure == "log_odds_ratio":
            table = np.array([[(p == v).sum() for v in (0, 1)] for p in parts], np.float64)
            if table.min() < least:
                return None
            (a, b), (c, d) = table
            return [math.log(a * d / (b * c)), math.sqrt((1 / table).sum())]
        variance = sum(p.var(ddof=1) / len(p) for p in parts)
        return [float(parts[1].mean() - parts[0].mean()), math.sqrt(variance)] if variance > 0 else None


def combine(b: Any, se: Any) -> dict[str, Any]:
    """Fixed effect, random effects, and heterogeneity: Q, I², τ².

    Source: DerSimonian and Laird, Controlled Clinical Trials 1986.
    """
    from scipy import stats

    w = 1 / np.asarray(se) ** 2
    fixed = float((w * b).sum() / w.sum())
    q = float((w * (b - fixed) ** 2).sum())
    df = len(w) - 1
    tau2 = max(0.0, (q - df) / float(w.sum() - (w**2).sum() / w.sum()))
    v = 1 / (1 / w + tau2)
    random = float((v * b).sum() / v.sum())
    out = {}
    for name, value, weight in (("fixed", fixed, w), ("random", random, v)):
        s = 1 / math.sqrt(float(weight.sum()))
        out[name] = {"estimate": value, "se": s, "p": 2 * float(stats.norm.sf(abs(value / s))), **_limits(value, s)}
    return {**out, "q": q, "df": df, "p_heterogeneity": float(stats.chi2.sf(q, df)), "tau2": tau2,
            "i2": max(0.0, 1 - df / q) if q > 0 else 0.0}  # fmt: skip


def _limits(value: float, se: float) -> dict[str, float]:
    from scipy import stats

    half = float(stats.norm.ppf(0.975)) * se
    return {"low": float(value - half), "high": float(value + half)}


__all__: Sequence[str] = ["MetaAnalysis", "combine"]

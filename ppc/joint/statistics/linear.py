"""`linear_model`: ordinary (or weighted) least squares from pooled cross products."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from ppc.joint.operator import Disclosure, PlanView
from ppc.joint.registry import register
from ppc.joint.statistics.design import build, check_levels, coefficients, solve
from ppc.joint.statistics.study import Statistic, Stopped, Study, StudyParams


class LinearParams(StudyParams):
    """outcome: numeric. terms: numeric or categorical columns. site_effects: an own intercept for every site."""

    outcome: str
    terms: tuple[str, ...] = Field(min_length=1)
    site_effects: bool = False


def site_disclosure(params: Any, view: PlanView) -> list[Disclosure]:
    """What an intercept for every site tells of it."""
    if not params.site_effects:
        return []
    what = "the adjusted mean outcome of a site (its own coefficient)"
    return [
        Disclosure(peer, f"{what}, {site}", site, (params.outcome,), "site_effects is on")
        for site in view.parties
        for peer in view.peers(site)
    ]


@register
class LinearModel(Statistic[LinearParams]):
    """Least squares."""

    name = "linear_model"
    summary = "fit a linear model"
    Params = LinearParams
    opens = "means, sums of squares and cross products of the outcome and the model's columns"

    def columns(self, params: LinearParams) -> list[str]:
        return [params.outcome, *params.terms]

    def disclosures(self, params: LinearParams, view: PlanView) -> list[Disclosure]:
        return super().disclosures(params, view) + site_disclosure(params, view)

    def compute(self, study: Study[LinearParams]) -> Mapping[str, Any]:
        from scipy import stats

        params = study.params
        study.keep(*self.columns(params))
        design = build(study, params.terms, intercept=True, site_effects=params.site_effects)
        p = len(design.names)
        n = study.rows(p)
        check_levels(study, design)
        y, x = study.numeric(params.outcome), design.x[:, 1:]
        first = study.total(x=x.sum(0), y=y.sum())
        mx, my = first["x"] / n, float(first["y"]) / n
        u, v = x - mx, y - my
        s = study.total(xx=u.T @ u, xy=u.T @ v, yy=v @ v, x=u.sum(0), y=v.sum())
        xx = s["xx"] - np.outer(s["x"], s["x"]) / n
        xy = s["xy"] - s["x"] * s["y"] / n
        yy = float(s["yy"] - s["y"] ** 2 / n)
        if not yy > 0:
            raise Stopped("problem", f"'{params.outcome}' is constant")
        mx, my = mx + s["x"] / n, my + float(s["y"]) / n
        slope, inverse = solve(xx, xy, design.names[1:])
        residual = study.total(rss=((v - u @ slope - (my - (float(first["y"]) / n))
                                     + (mx - first["x"] / n) @ slope) ** 2).sum())  # fmt: skip
        rss, df = float(residual["rss"]), n - p
        sigma2 = rss / df
        beta = np.concatenate([[my - mx @ slope], slope])
        se = np.sqrt(sigma2 * np.concatenate([[1 / n + mx @ inverse @ mx], np.diag(inverse)]))
        r2 = 1 - rss / yy
        f = (yy - rss) / (p - 1) / sigma2 if sigma2 > 0 else float("inf")
        loglik = -n / 2 * (math.log(2 * math.pi) + math.log(rss / n) + 1) if rss > 0 else float("inf")
        return {
            "outcome": params.outcome,
            "n": n,
            "coefficients": coefficients(design.names, beta, se, df=df),
            "sigma": math.sqrt(sigma2),
            "r2": r2,
            "r2_adjusted": 1 - (1 - r2) * (n - 1) / df,
            "f": f,
            "p": float(stats.f.sf(f, p - 1, df)),
            "df": df,
            "loglik": loglik,
            "aic": -2 * loglik + 2 * p,
        }

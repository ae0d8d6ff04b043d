"""`glm`: generalised linear models by iteratively reweighted least squares on pooled sums.

Each iteration opens X'WX and X'Wz of all rows, and the deviance: what Newton's method needs, and nothing of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from ppc.errors import ColumnError
from ppc.joint.operator import Disclosure, PlanView
from ppc.joint.registry import register
from ppc.joint.statistics.codes import codes
from ppc.joint.statistics.design import Design, build, check_levels, coefficients, gram, solve
from ppc.joint.statistics.families import ALLOWED, CANONICAL, FAMILIES, LINKS, Family, Link, Model
from ppc.joint.statistics.linear import site_disclosure
from ppc.joint.statistics.study import Floats, Level, Statistic, Stopped, Study, StudyParams

TOLERANCE = 1e-10


class GlmParams(StudyParams):
    """outcome: 0 and 1 for binomial (or name what counts as 1 in `positive`). terms: numeric or categorical columns.

    family: binomial, poisson, gamma or gaussian. link: default logit, log, log, identity.
    offset, weight: numeric columns. site_effects: an own intercept for every site.
    """

    outcome: str
    terms: tuple[str, ...] = Field(min_length=1)
    family: Family = "binomial"
    link: Link | None = None
    positive: tuple[Level, ...] | None = None
    offset: str | None = None
    weight: str | None = None
    site_effects: bool = False
    max_iterations: int = Field(default=25, ge=1, le=200)

    @model_validator(mode="after")
    def _fits(self) -> GlmParams:
        if self.link is not None and self.link not in ALLOWED[self.family]:
            raise ValueError(f"{self.family} takes the link {' or '.join(ALLOWED[self.family])}")
        return self


@register
class Glm(Statistic[GlmParams]):
    """Logistic, Poisson, gamma and Gaussian regression."""

    name = "glm"
    summary = "fit a generalised linear model"
    Params = GlmParams
    opens = "the model's weighted cross products (X'WX, X'Wz) and deviance at each of about 6 to 10 iterations"
    rounds = 24

    def columns(self, params: GlmParams) -> list[str]:
        return [c for c in (params.outcome, *params.terms, params.offset, params.weight) if c]

    def check(self, params: GlmParams, view: PlanView) -> None:
        if params.positive is None:
            super().check(params, view)
            return
        view.column(view.parties[0], params.outcome)
        trimmed = params.model_copy(update={"levels": {**params.levels, params.outcome: params.positive}})
        super().check(trimmed, view)

    def disclosures(self, params: GlmParams, view: PlanView) -> list[Disclosure]:
        return super().disclosures(params, view) + site_disclosure(params, view)

    def compute(self, study: Study[GlmParams]) -> Mapping[str, Any]:
        params = study.params
        others = [c for c in self.columns(params) if c != params.outcome]
        study.keep(*others)
        y = outcome_of(study)
        design = build(study, params.terms, intercept=True, site_effects=params.site_effects)
        n = study.rows(len(design.names))
        classes = y.astype(np.int64) if params.family == "binomial" else None
        if classes is not None:
            both = study.counts([(classes == 0).sum(), (classes == 1).sum()])
            if not (both > 0).all():
                reason = "one class of the outcome has no rows, or too few to show: there is nothing to fit"
                raise Stopped("problem" if (both == 0).any() else "refused", reason)
            study.say(f"{study.shown(both[1])} of {study.shown(n)} rows have the outcome")
        check_levels(study, design, classes, 2 if classes is not None else 1)
        offset = study.numeric(params.offset) if params.offset else np.zeros(len(y))
        weight = study.numeric(params.weight) if params.weight else np.ones(len(y))
        if not (weight > 0).all():
            raise ColumnError("weights must be positive", where=f"column '{params.weight}'", party=study.ctx.me)
        model = Model(params.family, params.link or CANONICAL[params.family])
        fit = _Fit(study, model, design, y, offset, weight)
        with np.errstate(all="ignore"):  # what overflows is seen in the pooled deviance
            fit.run(params.max_iterations)
            return fit.result(n)


def outcome_of(study: Study[GlmParams]) -> Floats:
    """The outcome as numbers, checked at home: a site with a wrong value stops, naming the column, not the value."""
    params = study.params
    column = f"column '{params.outcome}'"
    if params.positive is not None:
        there = ~study.data.column(params.outcome).is_null().to_numpy()
        kept = study.counts([int((~there).sum())])
        study.data = study.data if there.all() else study.data.where(there)
        study.say_rows(kept[0], "left out: the outcome is missing")
        return (codes(study.data, params.outcome, params.positive) >= 0).astype(np.float64)
    study.keep(params.outcome)
    if study.levels(params.outcome) is not None:
        code = study.codes(params.outcome)
        if len(study.levels(params.outcome) or ()) != 2:
            raise Stopped("problem", f"the outcome '{params.outcome}' has more than two levels")
        return code.astype(np.float64)
    y = study.numeric(params.outcome)
    good = {
        "binomial": np.isin(y, (0, 1)).all(),
        "poisson": (y >= 0).all(),
        "gamma": (y > 0).all(),
        "gaussian": True,
    }[params.family]
    if not good:
        rule = {"binomial": "0 or 1", "poisson": "0 or more", "gamma": "more than 0"}[params.family]
        raise ColumnError(f"the outcome of a {params.family} model must be {rule}", where=column, party=study.ctx.me)
    return y


class _Fit:
    """Newton's iterations (Fisher scoring), the same at every site."""

    def __init__(
        self, study: Study[Any], model: Model, design: Design, y: Floats, offset: Floats, weight: Floats
    ) -> None:
        self.study, self.model, self.design = study, model, design
        self.x, self.y, self.offset, self.weight = design.x, y, offset, weight
        self.beta = np.zeros(self.x.shape[1])
        self.h = np.eye(len(self.beta))
        self.deviance = float("inf")
        self.iterations = 0
        self.converged = False

    def run(self, limit: int) -> None:
        eta = self.model.eta(self.model.start(self.y))
        step = np.zeros_like(self.beta)
        first = True
        while self.iterations < limit:
            h, g, deviance = self.step(eta if first else None)
            bad = float(not np.isfinite(deviance) or abs(deviance) > 1e15)
            told = self.study.total("glm", h=h, g=g, deviance=0.0 if bad else deviance, bad=bad)
            worse = told["bad"] > 0 or float(told["deviance"]) > self.deviance * (1 + 1e-8) + 1e-8
            if not first and worse and self.iterations > 1 and np.abs(step).max() > 1e-12:
                step = step / 2  # the last step went too far
                self.beta = self.beta - step
                self.iterations += 1
                continue
            self.deviance = float("inf") if first else float(told["deviance"])
            self.h = told["h"]
            try:
                beta, _ = solve(self.h, told["g"], self.design.names)
            except Stopped:
                if self._separated():
                    return
                raise
            step = beta - self.beta
            self.beta = beta
            self.iterations += 1
            self.study.ctx.report(min(0.9, self.iterations / 10), f"iteration {self.iterations}")
            size = np.sqrt(np.diag(self.h)) / np.sqrt(max(float(np.trace(self.h)), 1e-300))
            first = False
            if np.abs(step * size).max() <= TOLERANCE * max(1.0, float(np.abs(beta * size).max())):
                self.converged = True
                return

    def step(self, eta: Floats | None) -> tuple[Floats, Floats, float]:
        """This site's X'WX, X'Wz and deviance at the coefficients (or, to begin with, at a linear predictor)."""
        from ppc.joint.statistics import _kernels

        p = self.x.shape[1]
        h, g = np.zeros((p, p)), np.zeros(p)
        family, link = FAMILIES.index(self.model.family), LINKS.index(self.model.link)
        deviance = _kernels.irls(self.x, self.y, self.offset, self.weight, self.beta,
                                 np.zeros(0) if eta is None else eta, eta is not None, family, link, h, g)  # fmt: skip
        return h, g, float(deviance)

    def _fitted(self) -> tuple[Floats, Floats]:
        eta = self.x @ self.beta + self.offset
        if self.model.link == "log":
            eta = np.minimum(eta, 200.0)
        return eta, self.model.mu(eta)

    def _separated(self) -> bool:
        """Whether a binomial fit runs off to infinity: the outcome is known for sure from the columns."""
        return self.model.family == "binomial" and self.iterations > 5 and bool(np.abs(self.beta).max() > 10)

    def result(self, n: int) -> dict[str, Any]:
        model, study, p = self.model, self.study, len(self.beta)
        if not self.converged:
            if self._separated():
                far = np.abs(self.beta) > 8
                names = [x for x, f in zip(self.design.names, far, strict=True) if f and x != "intercept"]
                reason = (
                    f"separation: the outcome is predicted with certainty by {' and '.join(names) or 'the model'}; "
                    "their coefficients have no finite estimate. Leave them out, or merge levels"
                )
            else:
                reason = f"the fit did not converge in {self.iterations} iterations; check the columns' scales"
            raise Stopped("problem", reason)
        _eta, mu = self._fitted()
        slope = model.slope(mu)
        w = self.weight / (slope**2 * model.variance(mu))
        pearson = float((self.weight * (self.y - mu) ** 2 / model.variance(mu)).sum())
        told = study.total("glm", h=gram(self.x, w), pearson=pearson, n=self.weight.sum(),
                           deviance=model.deviance(self.y, mu, self.weight), y=(self.weight * self.y).sum(),
                           offset=(self.weight * np.exp(np.minimum(self.offset, 200))).sum())  # fmt: skip
        df = n - p
        scale = float(told["pearson"]) / df if model.free_scale else 1.0
        _, inverse = solve(told["h"], np.zeros(p), self.design.names)
        # The normal likelihood is taken at its own maximum, the gamma one at the estimated scale.
        at = float(told["deviance"]) / n if model.family == "gaussian" else scale
        loglik = float(study.total("glm", loglik=model.loglik(self.y, mu, self.weight, at))["loglik"])
        table = coefficients(self.design.names, self.beta, np.sqrt(scale * np.diag(inverse)), df=None)
        if model.link in ("logit", "log"):
            for line in table:
                line["ratio"] = [float(np.exp(min(line[k], 700.0))) for k in ("coef", "low", "high")]
        null = self._null(told, n)
        return {
            "outcome": study.params.outcome,
            "family": model.family,
            "link": model.link,
            "n": n,
            "coefficients": table,
            "deviance": float(told["deviance"]),
            "null_deviance": null,
            "pearson_chi2": float(told["pearson"]),
            "scale": scale,
            "df": df,
            "loglik": loglik,
            "aic": -2 * loglik + 2 * p,
            "iterations": self.iterations,
        }

    def _null(self, told: dict[str, Floats], n: int) -> float | None:
        """The deviance of the model with an intercept alone; `None` with an offset in a model where it is no mean."""
        if self.study.params.offset and self.model.family != "poisson":
            return None
        if self.study.params.offset:
            mu = float(told["y"] / told["offset"]) * np.exp(self.offset)
        else:
            mu = np.full(len(self.y), float(told["y"] / told["n"]))
        return float(self.study.total("glm", null=self.model.deviance(self.y, mu, self.weight))["null"])

"""`cox`: proportional hazards by Newton's method on pooled sums over risk sets.

At each time the pooled sums over all rows still at risk open: of exp(xβ), x exp(xβ) and x x' exp(xβ). Between two times
they differ by the rows that left. So times are grouped until at least min_cell rows with and min_cell without the event
leave in each group (or none); with `exact` every time stands for itself, and a row that leaves alone can be worked out:
that is for data that may be shown, and the plan says so. With `strata = "site"` each site has its own baseline: then
only the gradient and the Hessian of all sites together open, at any resolution of times.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field

from ppc.joint.registry import register
from ppc.joint.statistics.concordance import between_sites, within_sites
from ppc.joint.statistics.design import build, check_levels, coefficients, solve
from ppc.joint.statistics.study import Floats, Statistic, Stopped, Study
from ppc.joint.statistics.survival import SurvivalParams, read, table


class CoxParams(SurvivalParams):
    """terms: numeric or categorical columns. ties: "efron" or "breslow". strata: "site" or "none". concordance: tell
    Harrell's C too."""

    terms: tuple[str, ...] = Field(min_length=1)
    ties: Literal["efron", "breslow"] = "efron"
    strata: Literal["none", "site"] = "none"
    concordance: bool = True
    max_iterations: int = Field(default=30, ge=1, le=200)


@register
class Cox(Statistic[CoxParams]):
    """The proportional hazards model."""

    name = "cox"
    summary = "fit a proportional hazards model"
    Params = CoxParams
    rounds = 40

    def columns(self, params: CoxParams) -> list[str]:
        return [params.time, params.event, *params.terms]

    def what(self, params: CoxParams) -> list[str]:
        found = self._sums(params)
        if params.concordance:
            pairs = "how many pairs of rows are concordant, and tied, by the fitted risk score"
            found.append(pairs + (" (pairs within a site)" if params.strata == "site" else ", and the score's spread"))
        return found

    @staticmethod
    def _sums(params: CoxParams) -> list[str]:
        if params.strata == "site":
            return [
                "the partial likelihood's value, gradient and Hessian of all sites together, at each iteration",
                f"the number of events, and of rows; none below {params.min_cell}",
            ]
        if params.exact:
            return [
                "at every single time the sums over the rows at risk, of all sites' rows together, at each iteration "
                "(exact = true): THE COLUMNS OF A PATIENT WHO LEAVES ALONE AT A TIME CAN BE WORKED OUT"
            ]
        return [
            f"sums over the rows at risk at groups of times, at each iteration; at least {params.min_cell} rows with "
            f"and {params.min_cell} without the event leave in each group (or none)",
            "the number of events and of censored rows in each group of times",
        ]

    def compute(self, study: Study[CoxParams]) -> Mapping[str, Any]:
        params = study.params
        study.keep(*self.columns(params))
        if params.strata == "site":
            likelihood: _Likelihood = _BySite(study)
        else:
            likelihood = _Pooled(study)
        return likelihood.fit()


class _Likelihood:
    """Newton's iterations on the log partial likelihood."""

    n: int
    events: int
    names: tuple[str, ...]
    ends: list[float] | None = None  # of the groups of times, where they are public

    def __init__(self, study: Study[CoxParams]) -> None:
        self.study, self.params = study, study.params

    def prepare(self) -> None:
        """The model's columns, in units of their pooled spread about their pooled mean: exp(xβ) stays in range."""
        study = self.study
        design = build(study, self.params.terms, intercept=False)
        self.names = design.names
        self.n = study.rows(len(self.names))
        check_levels(study, design)
        first = study.total("cox", x=design.x.sum(0))["x"] / self.n
        second = study.total("cox", v=((design.x - first) ** 2).sum(0))["v"] / self.n
        flat = [name for name, v in zip(self.names, second, strict=True) if not v > 0]
        if flat:
            raise Stopped("problem", f"{' and '.join(flat)} is constant: nothing can be estimated of it")
        self.scale = np.sqrt(second)
        self.x = (design.x - first) / self.scale

    def concordance(self, score: Floats) -> dict[str, Any] | None:
        """Harrell's C of a risk score."""
        raise AssertionError  # pragma: no cover

    def evaluate(self, beta: Floats) -> tuple[float, Floats, Floats]:
        """Log partial likelihood, gradient, and the negative Hessian."""
        raise AssertionError  # pragma: no cover

    def fit(self) -> dict[str, Any]:
        from scipy import stats

        k = len(self.names)
        beta = np.zeros(k)
        value, gradient, h = self.evaluate(beta)
        null, score, h0 = value, gradient, h
        converged = False
        iterations = 0
        step, _ = solve(h, gradient, self.names)
        while iterations < self.params.max_iterations and not converged:
            iterations += 1
            trial = self.evaluate(beta + step)
            if not trial[0] >= value - 1e-9 * abs(value):
                step = step / 2
                continue
            beta = beta + step
            value, gradient, h = trial
            self.study.ctx.report(min(0.9, iterations / 10), f"iteration {iterations}")
            if np.abs(beta).max() > 30:
                break
            step, inverse = solve(h, gradient, self.names)
            converged = bool(np.abs(step).max() <= 1e-10 * max(1.0, float(np.abs(beta).max())))
        if not converged:
            far = [n for n, b in zip(self.names, beta, strict=True) if abs(b) > 8]
            reason = f"{' and '.join(far)} separates who has the event" if far else "check the columns' scales"
            raise Stopped("problem", f"the fit did not converge in {iterations} iterations: {reason}")
        lines = coefficients(self.names, beta / self.scale, np.sqrt(np.diag(inverse)) / self.scale, df=None)
        for line in lines:
            line["ratio"] = [float(np.exp(min(line[x], 700.0))) for x in ("coef", "low", "high")]
        ratio = 2 * (value - null)
        score_test = float(score @ solve(h0, score, self.names)[0])
        return {
            "time": self.params.time,
            "event": self.params.event,
            "ties": self.params.ties,
            "strata": self.params.strata,
            "exact": self.params.exact,
            "group_ends": self.ends,
            "n": self.n,
            "events": self.events,
            "coefficients": lines,
            "loglik": value,
            "null_loglik": null,
            "likelihood_ratio": {"chi2": ratio, "df": k, "p": float(stats.chi2.sf(ratio, k))},
            "score_test": {"chi2": score_test, "df": k, "p": float(stats.chi2.sf(score_test, k))},
            "aic": -2 * value + 2 * k,
            "iterations": iterations,
            **({"concordance": self.concordance(self.x @ beta)} if self.params.concordance else {}),
        }


class _Pooled(_Likelihood):
    """One baseline for all: sums over risk sets open, group of times by group of times."""

    def __init__(self, study: Study[CoxParams]) -> None:
        super().__init__(study)
        self.times = table(study, self.params, None)
        self.events = int(self.times.events.sum())
        self.ends = self.times.times.tolist()
        self.prepare()

    def evaluate(self, beta: Floats) -> tuple[float, Floats, Floats]:
        own = self.times
        sums = risk_sums(self.x, beta, own.at, own.event, len(own.times))
        told = self.study.total("cox", **sums)
        return partial(told, own.events[:, 0], beta, self.params.ties)

    def concordance(self, score: Floats) -> dict[str, Any] | None:
        own = self.times
        return between_sites(self.study, own.at, own.event, score, len(own.times))


class _BySite(_Likelihood):
    """A baseline for every site: each site's own partial likelihood, of which the sums open."""

    def __init__(self, study: Study[CoxParams]) -> None:
        super().__init__(study)
        at, self.event = read(study, self.params)
        told = study.counts([self.event.sum(), (~self.event).sum()])
        if np.isnan(told).any() or told[0] == 0:
            raise Stopped("refused" if np.isnan(told[0]) else "problem", "too few events")
        self.events = int(told[0])
        self.times, self.at = np.unique(at, return_inverse=True)
        self.prepare()

    def evaluate(self, beta: Floats) -> tuple[float, Floats, Floats]:
        size = len(self.times)
        sums = risk_sums(self.x, beta, self.at, self.event, size)
        d = np.bincount(self.at[self.event], minlength=size).astype(np.float64)
        value, gradient, h = partial(sums, d, beta, self.params.ties)
        told = self.study.total("cox", value=value, gradient=gradient, h=h)
        return float(told["value"]), told["gradient"], told["h"]

    def concordance(self, score: Floats) -> dict[str, Any] | None:
        return within_sites(self.study, self.at, self.event, score)


def risk_sums(x: Floats, beta: Floats, at: Any, event: Any, size: int) -> dict[str, Floats]:
    """Sums of 1, x, xx' times exp(xβ) over rows that leave at each time: s0, s1, s2 of all, d0, d1, d2 of events;
    and the sum of x over events."""
    n, k = x.shape
    w = np.exp(np.clip(x @ beta, -200, 200))
    products = (x[:, :, None] * x[:, None, :]).reshape(n, k * k)
    every = w[:, None] * np.hstack([np.ones((n, 1)), x, products])
    out: dict[str, Floats] = {}
    for name, rows in (("s", np.ones(n, bool)), ("d", event)):
        sums = np.zeros((size, 1 + k + k * k))
        np.add.at(sums, at[rows], every[rows])
        out |= {f"{name}0": sums[:, 0], f"{name}1": sums[:, 1 : 1 + k], f"{name}2": sums[:, 1 + k :]}
    out["x"] = x[event].sum(0)
    return out


def partial(sums: Mapping[str, Floats], d: Floats, beta: Floats, ties: str) -> tuple[float, Floats, Floats]:
    """Log partial likelihood, gradient, negative Hessian, from `risk_sums` and the number of events at each time.

    Source: Efron, JASA 1977, and Breslow 1974, as in Kalbfleisch and Prentice, §4.2.3.
    """
    k = len(beta)
    s0, s1, s2 = (np.asarray(sums[n])[::-1].cumsum(0)[::-1] for n in ("s0", "s1", "s2"))
    value, gradient, h = float(sums["x"] @ beta), sums["x"].copy(), np.zeros((k, k))
    for t in np.flatnonzero(d > 0):
        count = round(float(d[t]))
        share = np.arange(count) / count if ties == "efron" else np.zeros(count)
        a0 = s0[t] - share * sums["d0"][t]
        a1 = s1[t] - share[:, None] * sums["d1"][t]
        a2 = s2[t] - share[:, None] * sums["d2"][t]
        mean = a1 / a0[:, None]
        value -= float(np.log(a0).sum())
        gradient = gradient - mean.sum(0)
        h = h + (a2 / a0[:, None]).sum(0).reshape(k, k) - mean.T @ mean
    return value, gradient, h

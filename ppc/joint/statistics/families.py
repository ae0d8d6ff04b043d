"""Families of generalised linear models: link, variance, deviance, likelihood. Arrays in, arrays out.

Source: McCullagh and Nelder, Generalized Linear Models, 2nd ed., tables 2.1 and 2.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ppc.joint.statistics.study import Floats

Family = Literal["binomial", "poisson", "gamma", "gaussian"]
Link = Literal["logit", "log", "inverse", "identity"]

#: In the order of the kernel's codes.
FAMILIES = ("binomial", "poisson", "gamma", "gaussian")
LINKS = ("logit", "log", "inverse", "identity")

CANONICAL: dict[str, str] = {"binomial": "logit", "poisson": "log", "gamma": "log", "gaussian": "identity"}
ALLOWED: dict[str, tuple[str, ...]] = {
    "binomial": ("logit",),
    "poisson": ("log", "identity"),
    "gamma": ("log", "inverse"),
    "gaussian": ("identity", "log"),
}


@dataclass(frozen=True)
class Model:
    """A family with a link."""

    family: str
    link: str

    @property
    def free_scale(self) -> bool:
        """Whether the dispersion is estimated."""
        return self.family in ("gamma", "gaussian")

    def start(self, y: Floats) -> Floats:
        """First fitted values."""
        if self.family == "binomial":
            return (y + 0.5) / 2
        return y + 0.1 if self.family == "poisson" else y

    def eta(self, mu: Floats) -> Floats:
        """The linear predictor of fitted values."""
        if self.link == "logit":
            return np.asarray(np.log(mu / (1 - mu)))
        return np.asarray({"log": np.log, "inverse": np.reciprocal, "identity": np.positive}[self.link](mu))

    def mu(self, eta: Floats) -> Floats:
        """Fitted values of a linear predictor."""
        if self.link == "logit":
            e = np.exp(-np.abs(eta))
            return np.where(eta >= 0, 1 / (1 + e), e / (1 + e))
        return np.asarray({"log": np.exp, "inverse": np.reciprocal, "identity": np.positive}[self.link](eta))

    def slope(self, mu: Floats) -> Floats:
        """d eta / d mu."""
        if self.link == "logit":
            return 1 / (mu * (1 - mu))
        if self.link == "log":
            return 1 / mu
        return -1 / mu**2 if self.link == "inverse" else np.ones_like(mu)

    def variance(self, mu: Floats) -> Floats:
        """The variance of an observation at scale 1."""
        return {"binomial": mu * (1 - mu), "poisson": mu, "gamma": mu**2, "gaussian": np.ones_like(mu)}[self.family]

    def deviance(self, y: Floats, mu: Floats, weight: Floats) -> float:
        """The deviance of these rows."""
        from scipy.special import xlogy

        if self.family == "binomial":
            d = -2 * np.log(np.where(y > 0.5, mu, 1 - mu))  # y is 0 or 1
        elif self.family == "poisson":
            d = 2 * (xlogy(y, y) - xlogy(y, mu) - (y - mu))
        elif self.family == "gamma":
            d = 2 * ((y - mu) / mu - np.log(y / mu))
        else:
            d = (y - mu) ** 2
        return float((weight * d).sum())

    def loglik(self, y: Floats, mu: Floats, weight: Floats, scale: float) -> float:
        """The log-likelihood of these rows, with `weight` as variance weights."""
        from scipy.special import gammaln, xlogy

        if self.family == "binomial":
            each = weight * (xlogy(y, mu) + xlogy(1 - y, 1 - mu))
        elif self.family == "poisson":
            each = weight * (xlogy(y, mu) - mu - gammaln(y + 1))
        elif self.family == "gamma":
            w = weight / scale
            each = xlogy(w, w * y / mu) - w * y / mu - np.log(y) - gammaln(w)
        else:
            each = -0.5 * (weight * (y - mu) ** 2 / scale + np.log(2 * np.pi * scale / weight))
        return float(np.sum(each))

"""Which distribution a generalised linear model has: its score and information as functions of the linear predictor.

With the linear predictor η = b + w·x + offset, half the mean deviance has the gradient (1/n) Σ r_i [1 x_i] and, by
Fisher scoring, the matrix (1/n) Σ h_i [1 x_i]ᵀ[1 x_i]:

| family | mean | r | h |
|---|---|---|---|
| gaussian | η | η − y | 1 |
| logistic | σ(η) | σ(η) − y | σ(η)(1 − σ(η)) |
| tweedie, power p, log link | exp η | exp((2−p)η) − y·exp((1−p)η) | exp((2−p)η) |

Poisson is power 1, gamma power 2; their exponentials of 0 are left out.

Source: McCullagh, Nelder, "Generalized linear models", 2nd ed. 1989, section 2.5; Jørgensen, J. R. Stat. Soc. B 49
(1987).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare


class Family(Protocol):
    """One distribution with its link."""

    @property
    def constant(self) -> bool:
        """Whether h is 1 in every row and step."""

    def start(self, s: Session, mean: AShare) -> AShare:
        """The intercept of the model without features, for a mean of shape (1,)."""

    def score(self, s: Session, eta: AShare, y: AShare) -> tuple[AShare, AShare | None]:
        """(r, h) for each row; h is None where it is constant."""

    def mean(self, s: Session, eta: AShare) -> AShare:
        """What is expected, for each row."""


@dataclass(frozen=True)
class Gaussian:
    """Ordinary least squares."""

    constant: bool = True

    def start(self, s: Session, mean: AShare) -> AShare:
        return mean

    def score(self, s: Session, eta: AShare, y: AShare) -> tuple[AShare, AShare | None]:
        return eta - y, None

    def mean(self, s: Session, eta: AShare) -> AShare:
        return eta


@dataclass(frozen=True)
class Logistic:
    """Labels 0 and 1; probabilities within 1e-3 (see `ops.sigmoid`)."""

    constant: bool = False

    def start(self, s: Session, mean: AShare) -> AShare:
        return ops.constant(s, np.zeros(1))

    def score(self, s: Session, eta: AShare, y: AShare) -> tuple[AShare, AShare | None]:
        p = ops.sigmoid(s, eta)
        return p - y, p - ops.square(s, p)

    def mean(self, s: Session, eta: AShare) -> AShare:
        return ops.sigmoid(s, eta)


@dataclass(frozen=True)
class Tweedie:
    """Log link; power 1 is Poisson, between 1 and 2 compound Poisson-gamma, 2 gamma.

    The linear predictor is cut to ±`reach`, so means lie between exp(-reach) and exp(reach).
    """

    power: float
    reach: float

    @property
    def constant(self) -> bool:
        """Gamma's information does not depend on the mean."""
        return self.power == 2

    def start(self, s: Session, mean: AShare) -> AShare:
        return ops.log(s, mean, low=math.exp(-self.reach), high=math.exp(self.reach))

    def score(self, s: Session, eta: AShare, y: AShare) -> tuple[AShare, AShare | None]:
        eta = ops.clip(s, eta, -self.reach, self.reach)
        p = self.power
        if p == 1:
            mu = self._power(s, eta, 1.0)
            return mu - y, mu
        if p == 2:
            return -ops.mul(s, y, self._power(s, eta, -1.0)) + 1.0, None
        both = ops.mul_public(s, ops.stack([eta, eta]), np.array([[2 - p], [1 - p]]))
        powers = ops.exp(s, both, low=-self.reach - 0.5, high=self.reach + 0.5)
        return powers[0] - ops.mul(s, y, powers[1]), powers[0]

    def mean(self, s: Session, eta: AShare) -> AShare:
        return self._power(s, ops.clip(s, eta, -self.reach, self.reach), 1.0)

    def _power(self, s: Session, eta: AShare, sign: float) -> AShare:
        return ops.exp(s, eta if sign > 0 else -eta, low=-self.reach - 0.5, high=self.reach + 0.5)

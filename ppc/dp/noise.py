"""Noise: OpenDP's exact samplers on integers, with the argument of sensitivity beside each call.

A mechanism here is v + η: v an exact integer vector, η independent integer noise. OpenDP samples η without floating
point (discrete Laplace; discrete Gaussian, Canonne, Kamath, Steinke, NeurIPS 2020), from the operating system's
randomness; there is no seed. Its own privacy map is asked whether the loss is within the price, each time a measurement
is built. Measurements are built once for each scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.dp.accountant import Charge
from ppc.dp.budget import EXACT, Price
from ppc.errors import ConfigError, InternalError

# OpenDP's integers have 64 bits and saturate. With scales up to 2**55 the chance to get there is below exp(−2**8).
_MAX_SCALE: Final = 2.0**55
_TIGHTEN: Final = 64  # steps of one unit in the last place; one or two are enough


@dataclass(frozen=True)
class Noise:
    """Independent integer noise on each coordinate of a vector.

    Args:
        kind: `"laplace"` (P(k) ∝ exp(−|k|/scale)) or `"gaussian"` (P(k) ∝ exp(−k²/(2·scale²))).
        scale: in units of the integers.
        charge: what one use costs.
    """

    kind: str
    scale: float
    charge: Charge

    @property
    def sd(self) -> float:
        """The standard deviation (of the continuous distribution: never less than the discrete one's)."""
        return self.scale * math.sqrt(2) if self.kind == "laplace" else self.scale

    def draw(self, n: int) -> NDArray[np.object_]:
        """n independent values, as Python integers."""
        out = np.empty(n, dtype=np.object_)
        if n:
            out[:] = _measurement(self.kind, self.scale)([0] * n)
        return out

    def tail(self, delta: Fraction) -> int:
        """The least k >= 0 with P(η >= k) <= delta."""
        if self.kind == "laplace":
            # P(η >= k) = a^k / (1 + a) for k >= 0, a = exp(−1/scale)
            least = -self.scale * math.log(float(delta) * (1 + math.exp(-1 / self.scale)))
            return max(0, math.ceil(least * (1 + 1e-12) + 1e-9))
        # P(N_Z(0, σ²) >= k) <= P(N(0, σ²) >= k − 1): Canonne, Kamath, Steinke 2020, proposition 25
        from scipy.special import ndtri

        return math.ceil(-self.scale * float(ndtri(float(delta)))) + 2


def scaled(price: Price, l1: int, l2: float) -> Noise:
    """The least noise for a vector that one unit changes by at most `l1` in L1 and `l2` in L2.

    A price in ε gives Laplace noise of scale l1/ε (Dwork, McSherry, Nissim, Smith 2006); one in ρ gives Gaussian noise
    of σ = l2/√(2ρ) (Bun, Steinke 2016, proposition 1.6; the discrete one is no worse: Canonne, Kamath, Steinke 2020,
    theorem 4). Scales are rounded up until OpenDP's own map agrees.

    Raises:
        ConfigError: the price is so small that the noise would leave 64-bit integers.
    """
    if price.rho is not None:
        rho = price.rho
        return _fitted("gaussian", l2 / math.sqrt(2 * float(rho)), l2, rho, Charge.gaussian(rho))
    epsilon = price.epsilon or Decimal(0)
    return _fitted("laplace", l1 / float(epsilon), l1, epsilon, Charge.laplace(epsilon, l1))


@lru_cache(maxsize=512)
def _fitted(kind: str, scale: float, sensitivity: float, limit: Decimal, charge: Charge) -> Noise:
    if not 0 < scale <= _MAX_SCALE:
        raise ConfigError(
            "the price is too small for this query: its noise does not fit 64-bit integers",
            where="price",
            hint="Spend more, or give closer bounds.",
        )
    for _ in range(_TIGHTEN):
        loss = _measurement(kind, scale).map(sensitivity)
        exact = Fraction(sensitivity) / Fraction(scale)
        loss_here = exact if kind == "laplace" else exact * exact / 2
        if Decimal(loss) <= limit and loss_here <= Fraction(limit):
            return Noise(kind, scale, charge)
        scale = math.nextafter(scale, math.inf)
    raise InternalError("no scale of the noise fits its price", where=kind)


@lru_cache(maxsize=512)
def _measurement(kind: str, scale: float) -> Any:
    """OpenDP's measurement for vectors of 64-bit integers. Built in 0.1 ms; the library loads in about a second."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    if kind == "laplace":
        return dp.m.make_laplace(domain, dp.l1_distance(T="i64"), scale=scale)
    return dp.m.make_gaussian(domain, dp.l2_distance(T=float), scale=scale)


@dataclass(frozen=True)
class Selection:
    """Choosing one of several candidates by a score, the exponential mechanism and its relative for zCDP.

    Args:
        kind: `"epsilon"` (permute-and-flip: McKenna, Sheldon, NeurIPS 2020; never worse than the exponential mechanism)
            or `"rho"` (Gumbel noise, the exponential mechanism itself: ε²/8-zCDP as its loss has range ε, Cesar,
            Rogers, ALT 2021).
        scale: in units of the score.
        charge: what one use costs.
    """

    kind: str
    scale: float
    charge: Charge

    def choose(self, scores: NDArray[np.int64]) -> int:
        """The index of the candidate that is chosen; large scores are likely."""
        return int(_chooser(self.kind, self.scale)(scores.tolist()))


def selection(price: Price, sensitivity: int) -> Selection:
    """The sharpest selection for scores that one unit changes by at most `sensitivity`, each in either direction."""
    if price.rho is not None:
        # ρ = ε²/8 with ε = 2·sensitivity/scale
        kind, limit = "rho", price.rho
        scale = sensitivity / math.sqrt(2 * float(limit))
        charge = Charge.gaussian(limit, mechanism="selection")
    else:
        kind, limit = "epsilon", price.epsilon or Decimal(0)
        scale = 2 * sensitivity / float(limit)
        charge = Charge.pure(limit, mechanism="selection")
    if not 0 < scale <= _MAX_SCALE:
        raise ConfigError("the price is too small for this query", where="price", hint="Spend more.")
    for _ in range(_TIGHTEN):
        if Decimal(_chooser(kind, scale).map(sensitivity)) <= limit:
            return Selection(kind, scale, charge)
        scale = math.nextafter(scale, math.inf)
    raise InternalError("no scale of the selection fits its price", where=kind)


@lru_cache(maxsize=512)
def _chooser(kind: str, scale: float) -> Any:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    measure = dp.max_divergence() if kind == "epsilon" else dp.zero_concentrated_divergence()
    return dp.m.make_noisy_max(domain, dp.linf_distance(T="i64"), measure, scale=scale)


def split(price: Price, weights: list[int]) -> list[Price]:
    """Parts of a price in proportion to weights; their sum is at most the price, exactly."""
    total = sum(weights)
    out = []
    for w in weights:
        share = Decimal(w) / Decimal(total)
        part = price.part(share)
        # 60 digits of a third are rounded: take off the last place, so that the parts never exceed the whole
        slack = Decimal(1) - Decimal(10) ** -25
        exact = total & (total - 1) == 0 or (100 % total == 0)
        out.append(part if exact else part.part(slack))
    if len(weights) > 1 and EXACT.create_decimal(sum(p.measure for p in out)) > price.measure:
        raise InternalError("parts of a price exceed it", where="split")
    return out


def gaussian_values(sigma: float, size: int) -> NDArray[np.int64]:
    """Independent discrete Gaussian values of parameter σ, int64, shape (size,)."""
    return np.array(_measurement("gaussian", sigma)([0] * size), dtype=np.int64)

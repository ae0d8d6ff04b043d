"""Noise that several parties add in parts, so that none of them knows the whole.

Each party draws discrete Gaussian noise and adds it to its share; the sum over the parties is the noise of the release.
The sum of discrete Gaussians is not one itself, but nearly: the difference is paid for (τ below).

Source: Kairouz, Liu, Steinke, "The distributed discrete Gaussian mechanism for federated learning with secure
aggregation", ICML 2021, proposition 14 and theorem 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.dp.accountant import Charge
from ppc.dp.budget import cost
from ppc.errors import ConfigError

LEAST_SIGMA: Final = 2.0  # below it the sum of few parts is far from a discrete Gaussian
_LARGEST: Final = 2.0**40  # the noise stays far from the ends of a 64-bit ring


@dataclass(frozen=True)
class DistributedNoise:
    """Parameters of noise for integer vectors that `parties` parties add in parts.

    Args:
        parties: how many draw noise.
        missing: how many of them may drop out, or subtract the part they know, without weakening the guarantee.
        sensitivity: by how much one unit changes the vector, in L2, in units of its integers.
        size: the number of coordinates.
        rho: the zCDP that is to be reached; `sigma` follows.

    Raises:
        ConfigError: a number is out of range, or a part would have σ below 2 units: use finer units (scale the vector
            up), as the bound is not small there.
    """

    parties: int
    missing: int
    sensitivity: float
    size: int
    rho: Decimal

    def __init__(self, parties: int, missing: int, sensitivity: float, size: int, rho: float | Decimal) -> None:
        if not (isinstance(parties, int) and isinstance(missing, int) and 0 <= missing < parties <= 10_000):
            raise ConfigError("parties and missing must be whole numbers, 0 <= missing < parties", where="noise")
        if not (isinstance(size, int) and 1 <= size <= 1 << 40):
            raise ConfigError("size must be a whole number of 1 or more", where="noise")
        if not 0 < sensitivity < math.inf:
            raise ConfigError("sensitivity must be above 0 and finite", where="noise")
        object.__setattr__(self, "parties", parties)
        object.__setattr__(self, "missing", missing)
        object.__setattr__(self, "sensitivity", float(sensitivity))
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "rho", cost(rho, "rho"))
        if not LEAST_SIGMA <= self.share_sigma <= _LARGEST:
            raise ConfigError(
                f"each part would have a standard deviation of {self.share_sigma:.3g} units; 2 to 2**40 are needed",
                where="noise",
                hint="Scale the vector and its sensitivity up (finer units), or spend less.",
            )

    @property
    def share_sigma(self) -> float:
        """σᵢ of each party's part: σᵢ² = σ²/(parties − missing), with σ so that `loss() <= rho`."""
        honest = self.parties - self.missing
        target = math.sqrt(2 * float(self.rho))
        low = self.sensitivity / target / math.sqrt(honest)  # enough if the sum were exact
        sigma = max(low, 0.5)
        for _ in range(200):
            if _epsilon(sigma, honest, self.sensitivity, self.size) <= target:
                return sigma
            sigma *= 1.02 if sigma < 3 else 1 + 1e-12
        return math.nan

    @property
    def sigma(self) -> float:
        """The standard deviation of the sum of all parts that are sure to be there."""
        return self.share_sigma * math.sqrt(self.parties - self.missing)

    @property
    def tau(self) -> float:
        """The correction for a sum of discrete Gaussians."""
        return _tau(self.share_sigma, self.parties - self.missing)

    def loss(self) -> float:
        """ρ of the sum, never above `rho`: ½·ε² with ε = Δ/(√n·σᵢ) + τ·√size."""
        return _epsilon(self.share_sigma, self.parties - self.missing, self.sensitivity, self.size) ** 2 / 2

    @property
    def charge(self) -> Charge:
        """What one use costs."""
        return Charge.gaussian(self.rho, mechanism="distributed gaussian")

    def share(self) -> NDArray[np.int64]:
        """One party's part: int64, shape (size,). Each party calls this for itself and tells nobody."""
        from ppc.dp.noise import gaussian_values

        return gaussian_values(self.share_sigma, self.size)


def _tau(sigma: float, n: int) -> float:
    """τ = 10·Σ_{k=1}^{n−1} exp(−2π²σ²·k/(k + 1))."""
    return 10 * math.fsum(math.exp(-2 * math.pi**2 * sigma**2 * k / (k + 1)) for k in range(1, n))


def _epsilon(sigma: float, n: int, sensitivity: float, size: int) -> float:
    return sensitivity / (math.sqrt(n) * sigma) + _tau(sigma, n) * math.sqrt(size)

"""Polynomials of encrypted numbers, in Chebyshev's basis, and smooth functions through them.

A power basis loses all precision by degree 10 (its coefficients grow like 2.4**degree); T_k stays within ±1 on the
interval, and T_{a+b} = 2 T_a T_b - T_{a-b} reaches degree k in ceil(log2 k) products.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from ppc.errors import ConfigError, DepthExhausted
from ppc.he.ckks import CkksVector

_SAMPLES = 4001
_MAX_DEGREE = 63


@dataclass(frozen=True)
class Fit:
    """A function on [-reach, reach] as a Chebyshev series.

    Args:
        reach: half the interval; outside of it the polynomial means nothing and may be enormous.
        coefficients: of T_0 … T_d at x / reach.
        error: the largest deviation from the function on the interval.
        top: the largest value of the polynomial on it.
    """

    reach: float
    coefficients: tuple[float, ...]
    error: float
    top: float

    @property
    def degree(self) -> int:
        return len(self.coefficients) - 1

    @property
    def levels(self) -> int:
        """Levels that evaluation takes, when the input is already divided by `reach`."""
        return levels_of(self.degree)

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The polynomial at plain numbers."""
        return np.asarray(chebyshev.chebval(np.asarray(x) / self.reach, np.array(self.coefficients)))


def levels_of(degree: int) -> int:
    """Levels for a series of that degree: the products of T, and the coefficients."""
    return math.ceil(math.log2(max(degree, 1))) + 1


def fit(function: Callable[[NDArray[np.float64]], NDArray[np.float64]], reach: float, degree: int) -> Fit:
    """Interpolate a smooth function at Chebyshev's points; within a small factor of the best polynomial.

    Source: Trefethen, Approximation Theory and Approximation Practice, ch. 16.
    """
    if not (0 < reach < math.inf and 1 <= degree <= _MAX_DEGREE):
        raise ConfigError(f"a fit needs a positive reach and a degree of 1 … {_MAX_DEGREE}")
    interpolate: Any = chebyshev.chebinterpolate
    series = interpolate(lambda t: function(t * reach), degree)
    series[np.abs(series) < 1e-13 * np.abs(series).max()] = 0.0  # of an odd function every second one
    t = np.linspace(-1, 1, _SAMPLES)
    values = chebyshev.chebval(t, series)
    error = float(np.abs(values - function(t * reach)).max())
    return Fit(reach, tuple(float(c) for c in series), error, float(np.abs(values).max()))


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def fit_for_depth(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], reach: float, levels: int, precision: float = 1e-5
) -> Fit:
    """The least degree of 3, 7, 15, 31 that is as precise as asked, or the highest that the levels allow.

    Raises:
        DepthExhausted: fewer levels than degree 3 takes.
    """
    made: Fit | None = None
    for degree in (3, 7, 15, 31):
        if levels_of(degree) > levels:
            break
        made = fit(function, reach, degree)
        if made.error <= precision:
            break
    if made is None:
        raise DepthExhausted(
            f"a polynomial of degree 3 takes {levels_of(3)} levels; {levels} are left",
            hint="Generate a key with more depth.",
        )
    return made


def evaluate(t: CkksVector, series: Fit) -> CkksVector:
    """The series at encrypted t, |t| <= 1: the input already divided by the fit's reach.

    Raises:
        DepthExhausted: fewer levels are left than `series.levels`.
    """
    t.need_level(series.levels, f"a polynomial of degree {series.degree}")
    known: dict[int, CkksVector] = {1: t.declare(bound=1.0)}

    def basis(k: int) -> CkksVector:
        if k not in known:
            a, b = basis((k + 1) // 2), basis(k // 2)
            product = a * b
            doubled = product + product
            known[k] = (doubled - (1.0 if k % 2 == 0 else known[1])).declare(bound=1.0)
        return known[k]

    total: CkksVector | None = None
    for k in range(len(series.coefficients) - 1, 0, -1):
        if series.coefficients[k]:
            term = basis(k) * series.coefficients[k]
            total = term if total is None else total + term
    if total is None:
        total = t * 0.0
    out = total + series.coefficients[0]
    return out.declare(bound=series.top * 1.001 + out.error, error=out.error + series.error)

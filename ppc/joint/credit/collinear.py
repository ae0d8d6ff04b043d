"""Which of several correlated features to keep: plain functions of a correlation matrix and of information values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST_EIGENVALUE: Final = 1e-6  # below the precision of correlations from fixed point; caps a VIF at a million


def by_information(iv: Sequence[float], keep: Sequence[bool]) -> list[int]:
    """Positions in the order of preference: those to `keep` whatever comes, then by falling information value."""
    return sorted(range(len(iv)), key=lambda i: (not keep[i], -iv[i], i))


def uncorrelated(related: NDArray[np.bool_], iv: Sequence[float], keep: Sequence[bool]) -> list[int]:
    """Positions that stay when, of two related features, the one with the higher information value stays.

    Args:
        related: (d, d) symmetric, whether two features are correlated beyond the threshold.
        keep: features that stay even so.
    """
    chosen: list[int] = []
    for i in by_information(iv, keep):
        if keep[i] or not any(related[i, j] for j in chosen):
            chosen.append(i)
    return sorted(chosen)


def inflation(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance inflation factors: the diagonal of the inverse correlation matrix, (d,), at most about 1e6.

    Source: Belsley, Kuh & Welsch, Regression Diagnostics, Wiley 1980, § 3.2.
    """
    values, vectors = np.linalg.eigh(correlation)
    factors: NDArray[np.float64] = (vectors**2 / np.maximum(values, LEAST_EIGENVALUE)).sum(axis=1)
    return factors


def not_inflated(
    correlation: NDArray[np.float64], iv: Sequence[float], keep: Sequence[bool], limit: float
) -> list[int]:
    """Positions that stay when, as long as a factor exceeds `limit`, the least informative of those that do leaves."""
    chosen = list(range(len(iv)))
    while len(chosen) > 1:
        factors = inflation(correlation[np.ix_(chosen, chosen)])
        over = [i for i, f in zip(chosen, factors, strict=True) if f > limit and not keep[i]]
        if not over:
            break
        chosen.remove(min(over, key=lambda i: (iv[i], -i)))
    return chosen

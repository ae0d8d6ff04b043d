"""Machine-code loops over rows; the NumPy twin of `gram` stands in `ppc.joint.statistics.design`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def gram(x: Floats, weight: Floats, out: Floats) -> None:
    """out += x' diag(weight) x for x (n, p): one pass, rows added up in blocks so that rounding does not pile up."""
    n, p = x.shape
    block = np.zeros((p, p))
    for start in range(0, n, 1024):
        block[:] = 0.0
        for i in range(start, min(start + 1024, n)):
            for j in range(p):
                a = weight[i] * x[i, j]
                for k in range(p):
                    block[j, k] += a * x[i, k]
        for j in range(p):
            for k in range(p):
                out[j, k] += block[j, k]


@njit(cache=True, nogil=True)
def concordance(at: Ints, event: NDArray[np.bool_], rank: Ints) -> tuple[float, float, float]:
    """Concordant, tied and comparable pairs of rows in descending order of time; `rank` of the score from 0, equal
    scores alike. A Fenwick tree over the ranks holds the rows that last longer: n log n steps."""
    n = len(at)
    size = 0
    for i in range(n):
        size = max(size, rank[i] + 1)
    tree = np.zeros(size + 1, np.int64)
    concordant, tied, comparable, inside = 0.0, 0.0, 0.0, 0
    start = 0
    while start < n:
        end = start
        while end < n and at[end] == at[start]:
            end += 1
        for had in (False, True):  # rows censored at a time last longer than its events
            if had:
                for i in range(start, end):
                    if event[i]:
                        below = _count(tree, rank[i])
                        concordant += below
                        tied += _count(tree, rank[i] + 1) - below
                        comparable += inside
            for i in range(start, end):
                if event[i] == had:
                    k = rank[i] + 1
                    while k <= size:
                        tree[k] += 1
                        k += k & -k
                    inside += 1
        start = end
    return concordant, tied, comparable


@njit(cache=True, nogil=True)
def _count(tree: Ints, k: int) -> int:
    """How many of the first k ranks."""
    found = 0
    while k > 0:
        found += tree[k]
        k -= k & -k
    return found


LOGIT, LOG, INVERSE, IDENTITY = 0, 1, 2, 3
BINOMIAL, POISSON, GAMMA, GAUSSIAN = 0, 1, 2, 3


@njit(cache=True, nogil=True, error_model="numpy")
def irls(
    x: Floats, y: Floats, offset: Floats, weight: Floats, beta: Floats, eta: Floats, given: bool, family: int,
    link: int, h: Floats, g: Floats,
) -> float:  # fmt: skip
    """One step of reweighted least squares in one pass over the rows: h += X'WX, g += X'Wz; the deviance.

    The linear predictor is `eta` if `given`, else X beta + offset. Its NumPy twin is in the tests.
    """
    n, p = x.shape
    square, line = np.zeros((p, p)), np.zeros(p)
    deviance = 0.0
    for start in range(0, n, 1024):
        square[:] = 0.0
        line[:] = 0.0
        part = 0.0
        for i in range(start, min(start + 1024, n)):
            if given:
                e = eta[i]
            else:
                e = offset[i]
                for j in range(p):
                    e += x[i, j] * beta[j]
                if link == LOG:
                    e = min(e, 200.0)
            if link == LOGIT:
                small = np.exp(-abs(e))
                mu = 1 / (1 + small) if e >= 0 else small / (1 + small)
                slope = 1 / (mu * (1 - mu))
            elif link == LOG:
                mu = np.exp(e)
                slope = 1 / mu
            elif link == INVERSE:
                mu = 1 / e
                slope = -1 / mu**2
            else:
                mu = e
                slope = 1.0
            if family == BINOMIAL:
                variance = mu * (1 - mu)
                d = -2 * np.log(mu if y[i] > 0.5 else 1 - mu)
            elif family == POISSON:
                variance = mu
                d = 2 * ((y[i] * np.log(y[i] / mu) if y[i] > 0 else 0.0 * mu) - (y[i] - mu))
            elif family == GAMMA:
                variance = mu**2
                d = 2 * ((y[i] - mu) / mu - np.log(y[i] / mu))
            else:
                variance = 1.0
                d = (y[i] - mu) ** 2
            part += weight[i] * d
            w = weight[i] / (slope**2 * variance)
            wz = w * (e - offset[i] + (y[i] - mu) * slope)
            if not np.isfinite(w):
                w = 0.0
            if not np.isfinite(wz):
                wz = 0.0
            for j in range(p):
                a = w * x[i, j]
                line[j] += wz * x[i, j]
                for k in range(p):
                    square[j, k] += a * x[i, k]
        deviance += part
        for j in range(p):
            g[j] += line[j]
            for k in range(p):
                h[j, k] += square[j, k]
    return deviance

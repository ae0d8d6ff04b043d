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

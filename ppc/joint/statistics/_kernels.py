"""A machine-code loop over float64 rows; its NumPy twin stands in `ppc.joint.statistics.design`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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

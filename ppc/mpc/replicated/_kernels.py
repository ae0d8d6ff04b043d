"""Machine-code loops of the replicated engine: a party's summand of a product, masked. No branch on a secret.

x0, x1 and y0, y1 are this party's two components; ours - theirs (or their XOR) is its share of zero. The result goes
into `ours`, so that no more memory is touched. NumPy twins: `ppc.mpc.replicated.twins`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Words = NDArray[np.uint64]


@njit(cache=True, nogil=True, error_model="numpy")
def mul(x0: Words, x1: Words, y0: Words, y1: Words, ours: Words, theirs: Words) -> None:
    """ours += x0 (y0 + y1) + x1 y0 - theirs, for flat arrays of one length."""
    for i in range(ours.size):
        ours[i] += x0[i] * (y0[i] + y1[i]) + x1[i] * y0[i] - theirs[i]


@njit(cache=True, nogil=True, error_model="numpy")
def and_(x0: Words, x1: Words, y0: Words, y1: Words, ours: Words, theirs: Words) -> None:
    """ours ^= x0 (y0 ^ y1) ^ x1 y0 ^ theirs, for flat arrays of one length."""
    for i in range(ours.size):
        ours[i] ^= (x0[i] & (y0[i] ^ y1[i])) ^ (x1[i] & y0[i]) ^ theirs[i]

"""Machine-code loops of the replicated engine: a party's summand of a product, masked. No branch on a secret.

x0, x1 and y0, y1 are this party's two components; ours - theirs (or their XOR) is its share of zero. The result goes
into `ours`, so that no more memory is touched. NumPy twins: `ppc.mpc.replicated.twins`.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64
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


# Truncation; q is uint32 or uint64, whatever needs no more bits.


@njit(cache=True, nogil=True, error_model="numpy")
def alone(b: Words, drop: int, y: Words, q: Words) -> None:
    """y = ceil(b / 2**drop) - top 2**(64 - drop) and q = top, the top bit of b."""
    f = uint64(drop)
    lift = uint64(64 - drop)
    low = (uint64(1) << f) - uint64(1)
    for i in range(b.size):
        top = b[i] >> uint64(63)
        y[i] = (b[i] >> f) + (((b[i] & low) + low) >> f) - (top << lift)
        q[i] = top


@njit(cache=True, nogil=True, error_model="numpy")
def together(a: Words, q: Words, drop: int, known: Words, product: Words) -> None:
    """For u = a + 2**62 with top bit p: known = floor(u / 2**drop) - p 2**(64 - drop) - 2**(62 - drop); p q."""
    f = uint64(drop)
    lift = uint64(64 - drop)
    offset = uint64(1) << uint64(62)
    for i in range(a.size):
        u = a[i] + offset
        top = u >> uint64(63)
        known[i] = (u >> f) - (top << lift) - (offset >> f)
        product[i] = q[i] * top


@njit(cache=True, nogil=True, error_model="numpy")
def lift(y: Words, c: Words, by: int) -> None:
    """y += c 2**by."""
    n = uint64(by)
    for i in range(y.size):
        y[i] += uint64(c[i]) << n

"""NumPy twins of the kernels, for tests to hold the kernels against."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import ring

Words: TypeAlias = NDArray[np.uint64]


def mul(x0: Words, x1: Words, y0: Words, y1: Words, ours: Words, theirs: Words) -> Words:
    """x0 y0 + x0 y1 + x1 y0 + ours - theirs."""
    z: Words = x0 * y0 + x0 * y1 + x1 * y0 + ours - theirs
    return z


def and_(x0: Words, x1: Words, y0: Words, y1: Words, ours: Words, theirs: Words) -> Words:
    """x0 y0 ^ x0 y1 ^ x1 y0 ^ ours ^ theirs."""
    z: Words = (x0 & y0) ^ (x0 & y1) ^ (x1 & y0) ^ ours ^ theirs
    return z


def alone(b: Words, drop: int) -> tuple[Words, Words]:
    """See the kernel: ceil(b / 2**drop) less the top bit in its place, and the top bit."""
    r, f = ring.of(b), np.uint64(drop)
    low = r.word((1 << drop) - 1)
    top = b >> np.uint64(r.bits - 1)
    return (b >> f) + (((b & low) + low) >> f) - (top << np.uint64(r.bits - drop)), top


def together(a: Words, drop: int) -> tuple[Words, Words]:
    """See the kernel: what parties 0 and 2 know of x / 2**drop, and the top bit of a + 2**62."""
    r, f = ring.of(a), np.uint64(drop)
    u = a + r.word(1 << (r.bits - 2))
    top = u >> np.uint64(r.bits - 1)
    return (u >> f) - (top << np.uint64(r.bits - drop)) - r.word(1 << (r.bits - 2 - drop)), top

"""NumPy twins of the kernels, for tests to hold the kernels against."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]


def mul(x0: Words, x1: Words, y0: Words, y1: Words, ours: Words, theirs: Words) -> Words:
    """x0 y0 + x0 y1 + x1 y0 + ours - theirs."""
    z: Words = x0 * y0 + x0 * y1 + x1 * y0 + ours - theirs
    return z


def and_(x0: Words, x1: Words, y0: Words, y1: Words, ours: Words, theirs: Words) -> Words:
    """x0 y0 ^ x0 y1 ^ x1 y0 ^ ours ^ theirs."""
    z: Words = (x0 & y0) ^ (x0 & y1) ^ (x1 & y0) ^ ours ^ theirs
    return z

"""Smooth functions of secret numbers, with their measured errors.

Source of the constructions: range reduction by a secret power of two found with public thresholds, then a polynomial:
Aly, Smart, "Benchmarking privacy preserving scientific operations" (ACNS 2019); the polynomials are Chebyshev
interpolants of our own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from ppc.errors import ConfigError
from ppc.mpc.ops.arithmetic import concatenate, mul, mul_public, rescale, stack, truncate
from ppc.mpc.ops.compare import b2a, stack_bits
from ppc.mpc.ops.divide import normalise, positive_range, reciprocal
from ppc.mpc.ops.extrema import maximum_along
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

_WORK: Final = 26  # fraction bits inside
_SIGMOID_BITS: Final = 39  # the most that an engine gives: its series has 40

_LN2: Final = math.log(2.0)
# exp(t) on [0, log 2], degree 5, error 1.2e-7: the interpolant of 2**u on [0, 1] with u = t / log 2.
_EXP: Final = tuple(
    c / _LN2**k
    for k, c in enumerate(
        (0.9999998983500237, 0.693154489663239, 0.24014181820145927, 0.055860337077081816, 0.00894959042362586,
         0.0018937540580547345)
    )
)  # fmt: skip
# log(2.5 + 1.5 t) on [-1, 1], degree 9, error 6.4e-6.
_LOG: Final = (
    0.9162879176324586, 0.600001555380202, -0.17986015316439818, 0.0719227149922937, -0.033482706248910074,
    0.01615010549326443, -0.004956634377367668, 0.002443033823318788, -0.004837162857992894, 0.0026275045326315193,
)  # fmt: skip


def sigmoid(s: Session, x: AShare, *, frac_bits: int | None = None) -> AShare:
    """1 / (1 + exp(-x)), within 1e-3 for every x in the ring, with the session's fraction bits (or `frac_bits`).

    x may carry more fraction bits than the session has (an untruncated product, up to 40, or 96 in Z_2^128): it is
    taken as it is.

    Cost: 4 rounds, 34.25 n bytes.
    """
    most = 40 if s.ring.bits == 64 else 96
    if not 0 < x.frac_bits <= most:
        raise ConfigError(f"sigmoid takes shares of 1 to {most} fraction bits, not {x.frac_bits}")
    wanted = s.fx.frac_bits if frac_bits is None else frac_bits
    return rescale(s, s.engine.sigmoid(s, x, min(wanted, _SIGMOID_BITS)), wanted)


def tanh(s: Session, x: AShare) -> AShare:
    """tanh(x) = 2 sigmoid(2 x) - 1, within 2e-3 for every x. Cost: as `sigmoid`."""
    return sigmoid(s, x * 2) * 2 - 1.0


def polynomial(s: Session, x: AShare, coefficients: Sequence[float]) -> AShare:
    """c0 + c1 x + c2 x^2 + … for public coefficients, with x's fraction bits.

    Powers are built by doubling, so all terms stay as large as they are: |x| should not be much above 1.

    Cost: 2 ceil(log2 degree) + 1 rounds.
    """
    degree = len(coefficients) - 1
    flat = x.ravel()
    powers = stack([flat])  # row i is x ** (i + 1)
    while len(powers) < degree:
        more = powers[: min(len(powers), degree - len(powers))]
        powers = concatenate([powers, mul(s, more, powers[-1:])])
    f = x.frac_bits
    weights = s.ring.of_floats(np.rint(np.array(coefficients[1:]) * 2.0**f))
    total = powers.scale(weights[:, None], f).sum(axis=0)
    return (truncate(s, total, f) + coefficients[0]).reshape(x.shape)


def exp(s: Session, x: AShare, *, low: float = -13.0, high: float = 17.0) -> AShare:
    """exp(x) for any x <= high, with x's fraction bits; 0 for x below `low`.

    x = k log 2 + t: the comparisons with all multiples of log 2 in the range give 2**k as a sum of bits, a polynomial
    gives exp(t).

    Args:
        low, high: public bounds; tighter is cheaper and more exact.

    Error: 4e-5 of the result (4e-6 if high - low is at most 20), plus one step;
    exp(low) where it is cut to 0. Above `high` the result has no meaning, and nothing leaks.
    Cost: 14 rounds; with J = 1.45 (high - low) thresholds, about 112 n + 5.125 J n bytes.
    """
    first, last = math.floor(low / _LN2), math.ceil(high / _LN2)
    kept = min(_WORK - 2, 59 - (last - first))
    if not (low < high and kept >= 12 and kept - first > x.frac_bits and x.frac_bits <= _WORK):
        raise ConfigError(f"exp needs low < high within 32 of each other and low below 0, not {low:g} … {high:g}")
    flat = x.ravel()
    units = [round(j * _LN2 * 2**x.frac_bits) for j in range(first, last + 1)]
    steps = 1 - b2a(s, stack_bits(s.engine.less_than_zero(s, flat, units)))  # [x >= j log 2] for j = first … last
    whole = steps.sum(axis=0) + (first - 1)
    t = flat.shift_left(_WORK - x.frac_bits) - whole.scale(s.ring.word(round(_LN2 * 2**_WORK)), _WORK)
    power = polynomial(s, t.wrapping(), _EXP)  # means nothing below `low`, where it is multiplied by 0
    # 2**(whole - first) as an integer, and 0 below `low`: jumps of 2**(j - first) - 2**(j - 1 - first).
    jumps = s.ring.words([1] + [2 ** (k - 1) for k in range(1, len(units))])
    scale = steps.scale(jumps[:, None]).sum(axis=0)
    words = s.engine.mul(s, truncate(s, power, _WORK - kept), scale)
    return truncate(s, words.reinterpret(kept - first), kept - first - x.frac_bits).reshape(x.shape)


def log(s: Session, x: AShare, *, low: float | None = None, high: float | None = None) -> AShare:
    """The natural logarithm of x, for low <= x <= high, with x's fraction bits.

    Error: 1e-5 plus one step. Outside the bounds the result has no meaning, and nothing leaks.
    Cost: 17 rounds; with J = log4(high / low) thresholds, about 230 n + 5.125 J n bytes.
    """
    low, high = positive_range(x, low, high)
    normal = normalise(s, x.ravel(), low, high)
    t = mul_public(s, normal.u, 1 / 1.5, frac_bits=_WORK) - 2.5 / 1.5
    inside = polynomial(s, t, _LOG)
    # x = u * 4**j / 2**f
    whole = normal.steps.sum(axis=0) + normal.first
    outside = whole.scale(s.ring.word(round(math.log(4.0) * 2**_WORK)), _WORK) - x.frac_bits * math.log(2.0)
    return rescale(s, inside + outside, x.frac_bits).reshape(x.shape)


def softmax(s: Session, x: AShare, axis: int = -1) -> AShare:
    """exp(x) / sum of exp(x) along `axis`, for any x.

    Error: 5e-5; differences to the largest beyond 13 give 0.
    Cost: 4 log2(k) + 37 rounds for k entries along the axis.
    """
    axis = axis % x.ndim
    top = maximum_along(s, x, axis).reshape(tuple(1 if i == axis else n for i, n in enumerate(x.shape)))
    powers = exp(s, x - top, low=-13.0, high=0.5)
    total = powers.sum(axis=axis, keepdims=True)
    inverse = reciprocal(s, total, low=0.5, high=2.0 * x.shape[axis])
    return mul(s, powers, inverse.broadcast_to(x.shape))

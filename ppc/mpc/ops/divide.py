"""Reciprocal, division and inverse square root of secret numbers.

All three bring x into [1, 4) by a secret power of 4 that is found with comparisons against public powers of 4 (one
masked opening for all of them), improve a first linear guess by a few products, and undo the scaling.

Source: normalise, then Goldschmidt: Catrina, Saxena, "Secure computation with fixed-point numbers" (FC 2010) §3.4;
Newton for the inverse square root: Lu and others, "Faster secure multiparty computation of adaptive gradient descent"
(PPMLP 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from ppc.errors import ConfigError
from ppc.mpc.ops.arithmetic import constant, mul, mul_public, rescale, stack, truncate
from ppc.mpc.ops.compare import b2a, bit_mul, less_than_zero, stack_bits
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

_TOP: Final = 44  # a normalised number is [1, 4) * 2**44 before it is cut to _WORK bits
_WORK: Final = 26  # fraction bits of the numbers in [1, 4) and of what is computed from them
_QUOTIENT: Final = 20  # fraction bits of 1 / u when it multiplies a numerator
_OUT: Final = 17  # fraction bits of the result before its scale is undone: 2**44 * 2**17 is within 2**62


@dataclass(frozen=True, slots=True)
class Normal:
    """x = u * 4**j in ring units, u in [1, 4) with _WORK fraction bits; `steps` are the bits [x >= 4**(j + 1)]."""

    u: AShare
    steps: AShare  # (J, n) integers 0 and 1
    first: int  # the smallest j

    @property
    def last(self) -> int:
        """The largest j."""
        return self.first + len(self.steps)

    def scale(self, exponent: int, per_step: int) -> AShare:
        """The integers 2**(exponent - per_step * j), as a sum over the steps."""
        j = self.first
        weights = [2 ** (exponent - per_step * (j + i)) for i in range(len(self.steps) + 1)]
        jumps = self.steps.ring.words([b - a for a, b in pairwise(weights)])
        total: AShare = self.steps.scale(jumps[:, None]).sum(axis=0) + weights[0]
        return total


def normalise(s: Session, x: AShare, low: float, high: float) -> Normal:
    """Bring x, known to lie in [low, high], into [1, 4). 6 rounds."""
    first = max(0, math.floor(math.log2(low) + x.frac_bits) // 2)
    last = math.floor(math.log2(high) + x.frac_bits) // 2
    if not last <= _TOP // 2:
        raise ConfigError(f"a divisor below 2**{_TOP + 2 - x.frac_bits} is needed; its public bound is {high:g}")
    thresholds = [1 << (2 * j) for j in range(first + 1, last + 1)]
    steps = AShare(tuple(s.ring.zeros((0, x.size)) for _ in x.parts), 0, x.holder)
    if thresholds:
        below = s.engine.less_than_zero(s, x, thresholds)
        steps = 1 - b2a(s, stack_bits(below))
    normal = Normal(x, steps, first)
    scaled = s.engine.mul(s, x.reinterpret(0), normal.scale(_TOP, 2))
    return Normal(truncate(s, scaled.reinterpret(_TOP), _TOP - _WORK), steps, first)


def positive_range(x: AShare, low: float | None, high: float | None) -> tuple[float, float]:
    """Public bounds of x, with the widest that can be normalised by default."""
    step = 2.0**-x.frac_bits
    low = step if low is None else max(low, step)
    high = 2.0 ** (_TOP + 1 - x.frac_bits) if high is None else high
    if not 0 < low <= high:
        raise ConfigError(f"the public range of a divisor must satisfy 0 < low <= high, not {low:g} … {high:g}")
    return low, high


def reciprocal(
    s: Session, x: AShare, *, low: float | None = None, high: float | None = None, signed: bool = False
) -> AShare:
    """1 / x for low <= |x| <= high, with x's fraction bits.

    Args:
        low: public lower bound of |x|; one step by default. Tighter bounds are cheaper and more exact.
        high: public upper bound of |x|; 2**(45 - frac_bits) by default (1.3e8 with 18).
        signed: x may be negative. Costs 5 rounds more.

    Error: 2**-15 (3.1e-5) of the result (2e-7 if high / low is at most 1e10), plus one step. Outside the bounds (and
    for 0) the result has no meaning, and nothing leaks. To divide by large numbers use `divide`: 1 / x has few digits
    then.
    Cost: 20 rounds, 264 n + 5.125 J n bytes with J = log4(high / low) thresholds (19 and 8 n less if J <= 17).
    """
    low, high = positive_range(x, low, high)
    f = x.frac_bits
    if not 2 * f < _TOP + _OUT:
        raise ConfigError(f"reciprocal takes shares of at most {(_TOP + _OUT - 1) // 2} fraction bits")
    magnitude, negative = _magnitude(s, x.ravel(), signed)
    normal = normalise(s, magnitude, low, high)
    y = _one_over(s, normal.u)
    # With x = X / 2**f and X = u * 4**j: 1 / x = 2**f / X, in ring units y * 4**-j * 2**(2 f). As many bits of y are
    # kept as leave its product with the scale, 4**(last - j), within 2**61.
    kept = min(_WORK, 61 - 2 * len(normal.steps))
    top = max(2 * normal.last, 2 * f - kept)
    words = s.engine.mul(s, truncate(s, y, _WORK - kept).reinterpret(0), normal.scale(top, 2))
    return _signed(s, _dropped(s, words, kept + top - 2 * f, f), negative).reshape(x.shape)


def _magnitude(s: Session, x: AShare, signed: bool) -> tuple[AShare, BShare | None]:
    """|x| and whether x is negative; x itself if it is known to be positive."""
    if not signed:
        return x, None
    negative = less_than_zero(s, x)
    return x - bit_mul(s, negative, x * 2), negative


def _signed(s: Session, x: AShare, negative: BShare | None) -> AShare:
    """-x where the bit is 1."""
    return x if negative is None else x - bit_mul(s, negative.broadcast_to(x.shape), x * 2)


def _dropped(s: Session, words: AShare, drop: int, frac_bits: int) -> AShare:
    """Ring elements with their lowest bits cut, read with `frac_bits` fraction bits."""
    cut = truncate(s, words.reinterpret(62), drop) if drop else words
    return cut.reinterpret(frac_bits)


def _one_over(s: Session, u: AShare) -> AShare:
    """1 / u for u in [1, 4), by Goldschmidt's y (1 + e)(1 + e^2)(1 + e^4)(1 + e^8), e = 1 - u y. 11 rounds."""
    # The best linear guess on [1, 4]: 1 - u y = T_2((5 - 2 u) / 3) / T_2(5 / 3) (Chebyshev), so |e| <= 9 / 41.
    t = u.frac_bits
    y = mul_public(s, u, -8.0 / 41.0, frac_bits=t) + 40.0 / 41.0
    e = 1.0 - mul(s, u, y)
    for _ in range(3):
        both = mul(s, stack([y, e]), stack([e, e]))
        y, e = y + both[0], both[1]
    return y + mul(s, y, e)


def divide(
    s: Session,
    x: AShare | ArrayLike,
    y: AShare,
    *,
    low: float | None = None,
    high: float | None = None,
    signed: bool = False,
) -> AShare:
    """x / y with broadcasting, for low <= |y| <= high as in `reciprocal`; x may be public. The result has y's format.

    |x| must stay below 2**(42 - frac_bits) (1.6e7 with 18 bits), and |x / y| below 2**(62 - frac_bits) / high (1.3e5 by
    default, 1.7e10 for high = 1000).

    Error: 4e-6 of the quotient, plus 1 + 4 / |y| steps. Out of bounds the result has no meaning, and nothing leaks.
    Cost: 22 rounds (27 if signed); with J = log4(high / low) thresholds, 288 n + 5.125 J n bytes.
    """
    low, high = positive_range(y, low, high)
    f = y.frac_bits
    magnitude, negative = _magnitude(s, y.ravel(), signed)
    normal = normalise(s, magnitude, low, high)
    over = truncate(s, _one_over(s, normal.u), _WORK - _QUOTIENT).reshape(y.shape)
    numerator = rescale(s, x, f) if isinstance(x, AShare) else constant(s, x, frac_bits=f)
    shape = np.broadcast_shapes(numerator.shape, y.shape)
    product = mul(s, numerator.broadcast_to(shape), over.broadcast_to(shape), truncated=False)
    part = rescale(s, product, f)  # x / u; what is left is the scale, y = u * 4**j / 2**f
    top = max(2 * normal.last, f)
    scale = normal.scale(top, 2).reshape(y.shape).broadcast_to(shape)
    quotient = _dropped(s, s.engine.mul(s, part.reinterpret(0), scale), top - f, f)
    return _signed(s, quotient, None if negative is None else negative.reshape(y.shape).broadcast_to(shape))


def inverse_sqrt(s: Session, x: AShare, *, low: float | None = None, high: float | None = None) -> AShare:
    """1 / sqrt(x) for low <= x <= high, with x's fraction bits.

    Error: 2e-6 of the result, plus one step. Outside the bounds the result has no meaning, and nothing leaks.
    Cost: 27 rounds; with J = log4(high / low) thresholds, 216 n + 5.125 J n bytes.
    """
    low, high = positive_range(x, low, high)
    normal = normalise(s, x.ravel(), low, high)
    y = _one_over_sqrt(s, normal.u)
    # x = X / 2**f, u = X / 4**j: 1 / sqrt(x) = y * 2**(f / 2 - j), so with f even the scale is a power of 2.
    f = x.frac_bits
    if f % 2:
        y = mul_public(s, y, math.sqrt(2.0), frac_bits=_WORK)
    # Ring units of the result: y * 2**(f // 2 + f - j); the scale carries 22 more bits, so it stays an integer.
    words = s.engine.mul(s, y.reinterpret(0), normal.scale(22 + f // 2, 1))
    return truncate(s, words.reinterpret(62), 22 + _WORK - f).reinterpret(f).reshape(x.shape)


def sqrt(s: Session, x: AShare, *, low: float | None = None, high: float | None = None) -> AShare:
    """sqrt(x) for low <= x <= high, with x's fraction bits; 0 for x = 0.

    Error: 2e-6 of the result, plus one step. Outside the bounds the result has no meaning, and nothing leaks.
    Cost: 29 rounds; with J = log4(high / low) thresholds, 232 n + 5.125 J n bytes.
    """
    low, high = positive_range(x, low, high)
    normal = normalise(s, x.ravel(), low, high)
    root = mul(s, normal.u, _one_over_sqrt(s, normal.u))
    f = x.frac_bits
    if f % 2:
        root = mul_public(s, root, math.sqrt(2.0), frac_bits=_WORK)
    # sqrt(X / 2**f) in ring units is sqrt(u) * 2**(j + f / 2).
    words = s.engine.mul(s, root.reinterpret(0), normal.scale(0, -1))
    return truncate(s, words.reinterpret(62), _WORK - f // 2).reinterpret(f).reshape(x.shape)


def _one_over_sqrt(s: Session, u: AShare) -> AShare:
    """1 / sqrt(u) for u in [1, 4): Newton's y (3 - u y^2) / 2 from a linear guess. 19 rounds."""
    t = u.frac_bits
    # The best linear guess is within 0.087 relative on [1, 4]; three steps of e -> 1.5 e^2 make that 6e-8.
    y = mul_public(s, u, -0.1525, frac_bits=t) + 1.067
    for _ in range(3):
        v = 3.0 - mul(s, u, mul(s, y, y))
        y = truncate(s, s.engine.mul(s, y, v), t + 1).reinterpret(t)
    return y

"""The logistic function in additive shares: a short sine series inside, constants outside, one opening for both."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits, ring
from ppc.mpc.additive import arithmetic, conversion
from ppc.mpc.correlations.kinds import DaBit, Injection, Truncation
from ppc.mpc.correlations.sigmoid import CLIP, COEFFICIENTS, SINE_BITS, SigmoidSeries, waves
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]

_FACTOR_BITS = 20  # fraction bits of the public factors of the sines


def sigmoid(s: Session, x: AShare, frac_bits: int) -> AShare:
    """[1 / (1 + exp(-x))] within 7.2e-4 for every x, with `frac_bits` fraction bits.

    inside * (series + 1/2) + above, with inside = [-T <= x < T], above = [x >= T]; one masked opening of x serves both
    comparisons and the series.

    Cost: 4 rounds, 34.25 n bytes. Threat: semi-honest. Leaks: the shape.
    Source: see `ppc.mpc.correlations.sigmoid`.
    """
    if not x.size:
        return arithmetic.wrap(s, s.ring.zeros(x.shape), frac_bits)
    n, q = x.size, s.ring.bits
    series_bits = SINE_BITS + _FACTOR_BITS
    drop = series_bits - frac_bits
    clip = int(CLIP * 2.0**x.frac_bits)
    correlation = SigmoidSeries(n, x.frac_bits, q)
    *taken, cosines, sines = s.take(correlation)
    r, parts = correlation.comparison.split(taken)
    t_r, t_hi, t_top = s.take(Truncation(n, drop, q))
    d_inside, a, inside_number, d_a = s.take(Injection(n, q))
    d_above, above_number = s.take(DaBit(n, q))

    (c,) = s.open_sum("sigmoid", x.parts[0].reshape(-1) + r)

    ladder = conversion.Ladder(s, c, (-clip, clip), parts)
    series = arithmetic.wrap(s, _series(c, x.frac_bits, cosines, sines), series_bits)
    hidden = arithmetic.mask_for_truncation(s, [series], t_r)
    opened, masked = _exchange(s, f"sigmoid/{ladder.pairs}", ladder.hidden(), hidden)

    (half,) = arithmetic.after_truncation(s, [series], masked, t_hi, t_top, drop)
    half = half + 0.5
    ladder.climb(opened)
    while ladder.pairs > 1:
        (opened,) = s.open_xor(f"sigmoid/{ladder.pairs}", ladder.hidden())
        ladder.climb(opened)

    below, below_top = ladder.signs()
    inside = below ^ below_top
    above = ~below_top if s.rank == 0 else below_top
    value = half.parts[0]
    flags, e = _exchange(s, "sigmoid/select", np.stack([inside ^ d_inside, above ^ d_above]), value + a)

    words = conversion.inject(s.ring.of_integers(bits.unpack(flags[0], n)), e, value, inside_number, d_a)
    f = s.ring.of_integers(bits.unpack(flags[1], n))
    one = above_number - ((f * above_number) << np.uint64(1))
    if s.rank == 0:
        one += f
    words += one << np.uint64(frac_bits)
    return arithmetic.wrap(s, words.reshape(x.shape), frac_bits)


def _exchange(s: Session, tag: str, xored: Words, added: Words) -> tuple[Words, Words]:
    """Open packed bits and words together. One round."""
    for their_bits, theirs in s.exchange(tag, xored, added):
        xored, added = xored ^ their_bits, added + theirs
    return xored, added


def _series(c: Words, frac_bits: int, cosines: Words, sines: Words) -> Words:
    """The share of sum over k of b_k sin(k w (c - r)), from the public c and shares of cos(k w r) and sin(k w r)."""
    numbers = ring.of(c)
    out = numbers.zeros(c.shape)
    for i, wave in enumerate(waves(c, frac_bits)):
        factor = wave * (COEFFICIENTS[i] * 2.0**_FACTOR_BITS)
        out += numbers.of_floats(np.rint(factor.imag)) * cosines[i]
        out -= numbers.of_floats(np.rint(factor.real)) * sines[i]
    return out

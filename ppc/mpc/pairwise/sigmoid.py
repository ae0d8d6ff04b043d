"""The logistic function between two parties: a short sine series inside, constants outside."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.mpc.additive.arithmetic import wrap
from ppc.mpc.additive.boolean import wrap as wrap_bits
from ppc.mpc.correlations.sigmoid import CLIP, COEFFICIENTS, FREQUENCIES, waves
from ppc.mpc.pairwise import conversion, products
from ppc.mpc.pairwise.truncation import truncate
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]

_CHOSEN_BITS: Final = 15  # fraction bits of a chooser's sine: rounding adds 2**-16 for each term, 3e-5 in all
_FACTOR_BITS: Final = 25  # of the sender's factor
_WIDTH: Final = _CHOSEN_BITS + 1  # in two's complement: a sine is at most 1 - 2**-15


def sigmoid(s: Session, x: AShare, frac_bits: int) -> AShare:
    """[1 / (1 + exp(-x))] within 7.6e-4 for every x, with `frac_bits` fraction bits.

    inside * (series + 1/2) + above, with inside = [-T <= x < T], above = [x >= T].

    Cost: 14 rounds for 2**14 elements a party; about 650 n bytes, 145 n transfers each way.
    Threat: semi-honest. Leaks: the shape. Source: see `ppc.mpc.correlations.sigmoid`.
    """
    if not x.size:
        return wrap(s, np.zeros(x.shape, np.uint64), frac_bits)
    n, m = x.size, bits.words_for(x.size)
    clip = int(CLIP * 2.0**x.frac_bits)
    below, below_top = conversion.less_than_zero(s, x.reshape(-1), (-clip, clip))
    inside, above = below ^ below_top, ~below_top
    drop = _CHOSEN_BITS + _FACTOR_BITS - frac_bits
    series = wrap(s, _series(s, x), _CHOSEN_BITS + _FACTOR_BITS)
    (half,) = truncate(s, [series], drop)
    # inside * (half + 1/2) + above * 1: one step with both switches.
    switch = np.concatenate([inside.parts[0], above.parts[0]])
    values = np.zeros((2, 64 * m), np.uint64)
    values[0, :n] = (half + 0.5).parts[0]
    if s.rank == 0:
        values[1] = np.uint64(1) << np.uint64(frac_bits)
    both = conversion.bit_mul(s, wrap_bits(s, switch, (128 * m,)), wrap(s, values.reshape(-1), frac_bits))
    words = both.parts[0].reshape(2, -1)[:, :n]
    return wrap(s, (words[0] + words[1]).reshape(x.shape), frac_bits)


def _series(s: Session, x: AShare) -> Words:
    """Shares of the sum over k of c_k sin(k w x), (n,).

    With x = a + b, sin(k w (a + b)) = sin(k w a) cos(k w b) + cos(k w a) sin(k w b): a party knows the sines of its
    share. A period that is a power of two makes the wrap of a + b harmless.
    """
    k, n = len(FREQUENCIES), x.size
    factors, small = np.empty((2, k, n), np.float64), np.empty((2, k, n), np.float64)
    for i, wave in enumerate(waves(x.parts[0].reshape(-1), x.frac_bits)):
        factors[0, i], factors[1, i] = COEFFICIENTS[i] * wave.imag, COEFFICIENTS[i] * wave.real
        small[0, i], small[1, i] = wave.real, wave.imag
    edge = 2**_CHOSEN_BITS - 1
    chosen = np.clip(np.rint(small * 2.0**_CHOSEN_BITS), -edge, edge).astype(np.int64).view(np.uint64)
    given = np.rint(factors * 2.0**_FACTOR_BITS).astype(np.int64).view(np.uint64)
    return products.sums_across(s, "sigmoid/series", given.reshape(2 * k, n), chosen.reshape(2 * k, n), _WIDTH)

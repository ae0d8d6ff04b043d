"""The logistic function in replicated shares: a short sine series inside, constants outside."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.mpc.correlations.sigmoid import CLIP, COEFFICIENTS, FREQUENCIES, SINE_BITS, waves
from ppc.mpc.replicated import arithmetic, conversion
from ppc.mpc.replicated.sharing import ALONE, LEFT, give, join, known_left, public, wrap, wrap_bits
from ppc.mpc.replicated.truncation import truncate
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

Words: TypeAlias = NDArray[np.uint64]

_FACTOR_BITS: Final = 20  # fraction bits of what multiplies a shared sine


def sigmoid(s: Session, x: AShare, frac_bits: int) -> AShare:
    """[1 / (1 + exp(-x))] within 7.2e-4 for every x, with `frac_bits` fraction bits.

    inside * (series + 1/2) + above, with inside = [-T <= x < T], above = [x >= T].

    Cost: 15 rounds; party 1 sends 137.5 n bytes, parties 0 and 2 send 81.25 n.
    Threat: semi-honest. Leaks: the shape. Source: see `ppc.mpc.correlations.sigmoid`.
    """
    if not x.size:
        return wrap(s, public(s, s.ring.zeros(x.shape)), frac_bits)
    clip = int(CLIP * 2.0**x.frac_bits)
    below, below_top = conversion.less_than_zero(s, x, (-clip, clip))
    inside, above = below ^ below_top, ~below_top
    flags = conversion.b2a(s, _stacked(s, inside, above))
    drop = SINE_BITS + _FACTOR_BITS - frac_bits
    (half,) = truncate(s, [_series(s, x)], drop)
    return arithmetic.mul(s, flags[0], half + 0.5) + flags[1].shift_left(frac_bits)


def _stacked(s: Session, x: BShare, y: BShare) -> BShare:
    n = x.size
    parts = [
        bits.pack(np.concatenate([bits.unpack(a, n), bits.unpack(b, n)]).astype(bool))
        for a, b in zip(x.parts, y.parts, strict=True)
    ]
    return wrap_bits(s, (parts[0], parts[1]), (2, *x.shape))


def _series(s: Session, x: AShare) -> AShare:
    """[sum over k of c_k sin(k w x)] with SINE_BITS + _FACTOR_BITS fraction bits.

    With x = a + b as in `conversion`, sin(k w (a + b)) = sin(k w a) cos(k w b) + cos(k w a) sin(k w b): party 1 shares
    the sines and cosines of b, and parties 0 and 2 both know those of a. Nothing is opened; a period that is a power of
    two makes the wrap of a + b harmless.

    Cost: 2 rounds; party 1 sends 64 n bytes, parties 0 and 2 send 8 n. Threat: semi-honest. Leaks: the shape.
    """
    n, series_bits = x.size, SINE_BITS + _FACTOR_BITS
    both = np.empty((2, len(FREQUENCIES), n), np.float64)
    known = known_left(s, x)
    if known is None:
        for i, wave in enumerate(waves((x.parts[0] + x.parts[1]).reshape(-1), x.frac_bits)):
            both[0, i], both[1, i] = wave.real, wave.imag
        given = s.ring.of_floats(np.rint(both * 2.0**SINE_BITS))
        give(s, "sigmoid/waves", ALONE, [given])
        parts = join(s, "sigmoid/series", s.ring.zeros(n))
    else:
        for i, wave in enumerate(waves(known.reshape(-1), x.frac_bits)):
            both[0, i], both[1, i] = COEFFICIENTS[i] * wave.imag, COEFFICIENTS[i] * wave.real
        factors = s.ring.of_floats(np.rint(both * 2.0**_FACTOR_BITS))
        (given_parts,) = give(s, "sigmoid/waves", ALONE, [s.ring.zeros(both.shape)])
        mine = given_parts[1 if s.rank == LEFT else 0]
        parts = join(s, "sigmoid/series", (factors * mine).sum(axis=(0, 1), dtype=np.uint64))
    return wrap(s, (parts[0].reshape(x.shape), parts[1].reshape(x.shape)), series_bits)

"""The correlation behind the sigmoid: a comparison's random r, with the sines and cosines of r.

After x + r has been opened once, as c, every sin(k w x) = sin(k w c) cos(k w r) - cos(k w c) sin(k w r) is a sum of
shares with public coefficients, as long as the period is a power of two, so that r may wrap. The same opening serves
the comparisons that clip the series.

Source: Zheng, Zhang, Wang and others, "Secure softmax/sigmoid for machine-learning computation", ACSAC 2023 (the
Fourier series by shared sines); the frequencies and coefficients are our own fit, see `FREQUENCIES`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import ring
from ppc.mpc.correlations.comparison import Comparison
from ppc.mpc.correlations.kinds import _Numbers
from ppc.mpc.correlations.source import Field, Masks

Words: TypeAlias = NDArray[np.uint64]
Complexes: TypeAlias = NDArray[np.complex128]

# sigmoid(x) - 1/2 = sum of COEFFICIENTS[i] * sin(2 pi FREQUENCIES[i] x / PERIOD) within 6.8e-4 for |x| <= CLIP, and 0
# or 1 is within 7.1e-4 of the sigmoid beyond CLIP. A minimax fit by linear programming over the best four of the
# frequencies 1 to 48; a period much longer than 2 * CLIP leaves the series free outside, so it converges without the
# jump of a plain Fourier series.
PERIOD_BITS: Final = 7
CLIP: Final = 7.25
FREQUENCIES: Final = (3, 13, 26, 42)
COEFFICIENTS: Final = (0.7449248242452409, 0.15955791926253066, 0.02460657008621907, 0.002821202484941461)
SINE_BITS: Final = 20  # fraction bits of a shared sine: rounding adds at most 5e-7 * 0.93


def waves(words: Words, frac_bits: int) -> list[Complexes]:
    """exp(2 pi i k x / PERIOD) for each frequency k, for ring elements x with `frac_bits` fraction bits."""
    numbers = ring.of(words)
    phase = numbers.to_floats(words & numbers.word((1 << (PERIOD_BITS + frac_bits)) - 1))
    phase *= 2.0 * math.pi / 2.0 ** (PERIOD_BITS + frac_bits)
    z = np.empty(words.shape, np.complex128)
    np.cos(phase, out=z.real)
    np.sin(phase, out=z.imag)
    z3 = z * z * z
    z13 = np.square(z3 * z * z) * z3
    z26 = np.square(z13)
    return [z3, z13, z26, z26 * z13 * z3]


@dataclass(frozen=True, slots=True)
class SigmoidSeries(_Numbers):
    """A `Comparison` with two branches for n elements, and the sines and cosines of its r.

    Derived beyond the comparison's: cosines (4, n) and sines (4, n), with SINE_BITS fraction bits.
    """

    kind: ClassVar[str] = "sigmoid"
    n: int
    frac_bits: int
    ring_bits: int = 64

    @property
    def comparison(self) -> Comparison:
        """The comparison in it."""
        return Comparison(self.n, 2, self.ring_bits)

    @property
    def uniform(self) -> tuple[Field, ...]:
        """As the comparison's."""
        return self.comparison.uniform

    @property
    def derived(self) -> tuple[Field, ...]:
        """The comparison's, then cosines and sines."""
        wave = Field((len(FREQUENCIES), self.n), ring_bits=self.ring_bits)
        return (*self.comparison.derived, wave, wave)

    def derive(self, uniform: Sequence[Words], masks: Masks) -> Sequence[Words]:
        """The comparison's, then cosines and sines."""
        compared = self.comparison.derive(uniform, masks)
        both = np.empty((2, len(FREQUENCIES), self.n), np.float64)
        for i, wave in enumerate(waves(compared[0], self.frac_bits)):
            both[0, i], both[1, i] = wave.real, wave.imag
        both *= 2.0**SINE_BITS
        words = ring.by_bits(self.ring_bits).of_floats(np.rint(both, out=both))
        return (*compared, words[0], words[1])

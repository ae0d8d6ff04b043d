"""Real numbers in Z_2^64 or Z_2^128: x is carried as round(x * 2**frac_bits), negative ones in two's complement."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.core import ring
from ppc.errors import ConfigError, TypeMismatchError, ValueRangeError

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """A fixed-point format with `frac_bits` fraction bits (0 … 60) of a ring of `ring_bits` = 64 (or 0 … 124 of 128).

    What is encoded lies within ±`max_abs` = 2**(62 − frac_bits): one bit is the sign, and one is kept free because a
    truncation needs |x| < 2**62 in the ring. A product carries 2 * frac_bits before it is truncated, so a product, or a
    sum of products, must stay within ±`max_product` = 2**(62 − 2 * frac_bits). With 18 bits these are 1.7e13 and 6.7e7,
    and the step is 3.8e-6. In the ring of 128 bits 62 becomes 126: with 40 fraction bits 7.7e25, 7.0e13 and 9.1e-13,
    for twice the bytes and about three times the work.
    """

    frac_bits: int = 18
    ring_bits: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.frac_bits <= self.ring.bits - 4:
            raise ConfigError(f"frac_bits is between 0 and {self.ring.bits - 4}, not {self.frac_bits}")

    @property
    def ring(self) -> ring.Ring:
        """The ring's arithmetic."""
        return ring.by_bits(self.ring_bits)

    def of(self, frac_bits: int) -> FixedPoint:
        """The format of the same ring with other fraction bits."""
        return replace(self, frac_bits=frac_bits)

    @property
    def scale(self) -> float:
        """2**frac_bits."""
        return float(1 << self.frac_bits)

    @property
    def step(self) -> float:
        """The distance of neighbouring numbers, 2**-frac_bits."""
        return 1.0 / self.scale

    @property
    def max_abs(self) -> float:
        """The largest magnitude that is encoded."""
        return 2.0 ** (self.ring_bits - 2 - self.frac_bits)

    @property
    def max_product(self) -> float:
        """The largest magnitude of a product, or of a sum of products, before its truncation."""
        return 2.0 ** (self.ring_bits - 2 - 2 * self.frac_bits)

    def encode(self, x: ArrayLike, name: str = "value") -> Words:
        """Numbers (any shape; floats, integers or booleans) as ring elements, rounded to the nearest.

        Raises:
            ValueRangeError: missing, NaN, infinite or beyond ±max_abs; the message names `name`, never the value.
            TypeMismatchError: not numbers.
        """
        if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
            raise ValueRangeError("a missing value cannot be shared", where=name, hint="fill or drop them first")
        values = np.asarray(x)
        if values.dtype.kind not in "fiub":
            raise TypeMismatchError(f"numbers are needed, not {values.dtype}", where=name)
        scaled = values.astype(np.float64) * self.scale
        if not bool((np.abs(scaled) <= 2.0 ** (self.ring_bits - 2)).all()):  # NaN fails as well
            self._refuse(values.astype(np.float64), name)
        if values.dtype.kind in "iub" and (self.frac_bits == 0 or self.ring_bits > 64):
            return self.ring.of_integers(values) << self._lift  # a float64 would round integers beyond 2**53
        return self.ring.of_floats(np.rint(scaled))

    @property
    def _lift(self) -> np.uint64:
        return np.uint64(self.frac_bits)

    def _refuse(self, values: NDArray[np.float64], name: str) -> None:
        if np.isnan(values).any():
            raise ValueRangeError("NaN cannot be shared", where=name, hint="fill or drop missing values first")
        if np.isinf(values).any():
            raise ValueRangeError("an infinite value cannot be shared", where=name, hint="clip or drop it first")
        raise ValueRangeError(
            f"a value lies outside ±{self.max_abs:g}, the range of {self.frac_bits} fraction bits in {self.ring_bits}",
            where=name,
            hint="rescale the column (for example to unit variance), use fewer fraction bits, or ring_bits=128",
        )

    def decode(self, words: Words) -> NDArray[np.float64]:
        """Ring elements as float64."""
        return self.ring.to_floats(words) / self.scale

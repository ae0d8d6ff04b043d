"""Real numbers in Z_2^64: x is carried as round(x * 2**frac_bits), negative numbers in two's complement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.errors import ConfigError, TypeMismatchError, ValueRangeError

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """A fixed-point format of Z_2^64 with `frac_bits` fraction bits (0 … 60).

    What is encoded lies within ±`max_abs` = 2**(62 − frac_bits): one bit is the sign, and one is kept free because a
    truncation needs |x| < 2**62 in the ring. A product carries 2 * frac_bits before it is truncated, so a product, or a
    sum of products, must stay within ±`max_product` = 2**(62 − 2 * frac_bits). With 18 bits these are 1.7e13 and 6.7e7,
    and the step is 3.8e-6.
    """

    frac_bits: int = 18

    def __post_init__(self) -> None:
        if not 0 <= self.frac_bits <= 60:
            raise ConfigError(f"frac_bits is between 0 and 60, not {self.frac_bits}")

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
        return 2.0 ** (62 - self.frac_bits)

    @property
    def max_product(self) -> float:
        """The largest magnitude of a product, or of a sum of products, before its truncation."""
        return 2.0 ** (62 - 2 * self.frac_bits)

    def encode(self, x: ArrayLike, name: str = "value") -> Words:
        """Numbers (any shape; floats, integers or booleans) as ring elements, rounded to the nearest.

        Raises:
            ValueRangeError: NaN, infinite or beyond ±max_abs; the message names `name`, never the value.
            TypeMismatchError: not numbers.
        """
        values = np.asarray(x)
        if values.dtype.kind not in "fiub":
            raise TypeMismatchError(f"numbers are needed, not {values.dtype}", where=name)
        scaled = values.astype(np.float64) * self.scale
        if not bool((np.abs(scaled) <= 2.0**62).all()):  # NaN fails as well
            self._refuse(values.astype(np.float64), name)
        if self.frac_bits == 0 and values.dtype.kind in "iub":  # a float64 would round integers beyond 2**53
            return values.astype(np.int64).view(np.uint64)
        return np.rint(scaled).astype(np.int64).view(np.uint64)

    def _refuse(self, values: NDArray[np.float64], name: str) -> None:
        if np.isnan(values).any():
            raise ValueRangeError("NaN cannot be shared", where=name, hint="fill or drop missing values first")
        if np.isinf(values).any():
            raise ValueRangeError("an infinite value cannot be shared", where=name, hint="clip or drop it first")
        raise ValueRangeError(
            f"a value lies outside ±{self.max_abs:g}, the range of {self.frac_bits} fraction bits",
            where=name,
            hint="rescale the column (for example to unit variance), or use fewer fraction bits",
        )

    def decode(self, words: Words) -> NDArray[np.float64]:
        """Ring elements as float64."""
        return words.view(np.int64).astype(np.float64) / self.scale

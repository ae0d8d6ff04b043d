"""How numbers lie in a Paillier plaintext: fixed point, several to a ciphertext, each in a slot with room to grow.

A number x is carried as the integer m = round(x * 2**frac_bits), |m| <= 2**(value_bits + frac_bits); the exponent is
fixed and public, so a ciphertext does not betray a magnitude. A plaintext is M = sum of m_i * 2**(slot_bits * i), and
it decodes as long as every |m_i| stays below 2**(slot_bits - 1): the vector keeps count of how large its slots can have
become, and refuses the operation that would pass that edge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from gmpy2 import mpz
from numpy.typing import ArrayLike, NDArray

from ppc.errors import ConfigError, HeadroomExceeded, TypeMismatchError, ValueRangeError

Integers = NDArray[np.int64] | NDArray[np.object_]

MASK_BITS: Final = 40  # statistical distance of masked partial sums: 2**-40
_INT64_SAFE: Final = 62


@dataclass(frozen=True, slots=True)
class Packing:
    """Where the binary point is, how large a value may be, and how wide a slot is.

    Args:
        frac_bits: fraction bits, 0 … 60; 0 means integers.
        value_bits: |x| <= 2**value_bits; value_bits + frac_bits is at most 62.
        slot_bits: width of a slot, a multiple of 8; None gives every number a ciphertext of its own, which products
            with vectors and matrices need.
        shift: fraction bits that products with plain numbers have added.
    """

    frac_bits: int = 24
    value_bits: int = 24
    slot_bits: int | None = 64
    shift: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.frac_bits <= 60 and self.value_bits >= 1 and self.fresh_bits <= _INT64_SAFE):
            raise ConfigError(
                f"value_bits ({self.value_bits}) and frac_bits ({self.frac_bits}) add up to at most {_INT64_SAFE}"
            )
        if self.slot_bits is not None and not (self.slot_bits % 8 == 0 and self.fresh_bits < self.slot_bits <= 1024):
            raise ConfigError(
                f"slot_bits is a multiple of 8 above value_bits + frac_bits = {self.fresh_bits}, up to 1024; "
                f"not {self.slot_bits}"
            )
        if not 0 <= self.shift <= 1 << 14:
            raise ConfigError(f"shift is between 0 and {1 << 14}, not {self.shift}")

    @staticmethod
    def single(frac_bits: int = 24, value_bits: int = 24) -> Packing:
        """One number a ciphertext."""
        return Packing(frac_bits, value_bits, None)

    @staticmethod
    def for_sums(rows: int, frac_bits: int = 20, value_bits: int = 24) -> Packing:
        """Slots that `sum` of up to `rows` numbers fits into, with room for the masks that hide the partial sums."""
        if rows < 1:
            raise ConfigError("for_sums needs a number of rows of at least 1")
        need = value_bits + frac_bits + rows.bit_length() + MASK_BITS + 16  # 16: the sign, and 2**7 slots squared
        return Packing(frac_bits, value_bits, -(-need // 8) * 8)

    @property
    def fresh_bits(self) -> int:
        """A fresh slot holds at most 2**fresh_bits in magnitude."""
        return self.value_bits + self.frac_bits

    @property
    def point(self) -> int:
        """Where the binary point is: all fraction bits."""
        return self.frac_bits + self.shift

    def shifted(self, bits: int) -> Packing:
        """The format of a product with numbers of `bits` fraction bits."""
        return replace(self, shift=self.shift + bits)

    def slots(self, key_bits: int) -> int:
        """Numbers in a ciphertext of a key of `key_bits` bits."""
        return 1 if self.slot_bits is None else (key_bits - 1) // self.slot_bits

    def limit(self, n: Any) -> int:
        """The largest magnitude that a slot under the modulus n can hold."""
        return int(n) // 2 if self.slot_bits is None else (1 << (self.slot_bits - 1)) - 1

    def encode(self, x: ArrayLike, name: str = "value") -> NDArray[np.int64]:
        """Numbers (any shape; floats, integers or booleans) as integers of the fixed-point format.

        Raises:
            ValueRangeError: NaN, infinite, or beyond 2**value_bits; the message names `name`, never the value.
            TypeMismatchError: no numbers, or a ragged list; or floats where frac_bits is 0.
        """
        return encode_fixed(x, self.frac_bits, self.value_bits, name)

    def decode(self, integers: Integers, dtype: str) -> NDArray[Any]:
        """The numbers that integers stand for: float64, or (dtype `int64`) the integers themselves."""
        if dtype == "int64" and self.point == 0:
            return integers
        if integers.dtype == object:
            one = 1 << self.point
            return np.array([m / one for m in integers], np.float64)  # Python's division of integers rounds once
        return np.asarray(np.ldexp(integers.astype(np.float64), -self.point))

    def pack(self, integers: Integers, key_bits: int) -> list[Any]:
        """Integers (count,) as plaintexts, the last padded with zeros; they may be negative."""
        if self.slot_bits is None:
            return [mpz(int(m)) for m in integers.tolist()]
        slots, width = self.slots(key_bits), self.slot_bits // 8
        cells = np.zeros((-(-len(integers) // slots) * slots, width), np.uint8)
        if integers.dtype == object:
            joined = b"".join([int(m).to_bytes(width, "little", signed=True) for m in integers])
            cells[: len(integers)] = np.frombuffer(joined, np.uint8).reshape(-1, width)
        else:
            octets = np.ascontiguousarray(integers, dtype="<i8").view(np.uint8).reshape(-1, 8)
            cells[: len(integers), :8] = octets[:, :width]
            if width > 8:
                cells[: len(integers), 8:] = np.where(integers < 0, 255, 0)[:, None]
        cells[:, -1] ^= 0x80  # adds 2**(slot_bits - 1): two's complement becomes an offset, so no slot borrows
        data, size, offset = cells.tobytes(), slots * width, self._offset(slots)
        return [mpz.from_bytes(data[i : i + size], "little") - offset for i in range(0, len(data), size)]

    def unpack(self, plaintexts: list[Any], count: int, key_bits: int) -> Integers:
        """The first `count` integers in plaintexts between -n/2 and n/2: int64 where all fit, Python integers else.

        Raises:
            HeadroomExceeded: a plaintext that no slots of this format could hold.
        """
        if self.slot_bits is None:
            return narrow([int(m) for m in plaintexts[:count]])
        slots, width = self.slots(key_bits), self.slot_bits // 8
        offset, size = self._offset(slots), slots * width
        try:
            data = b"".join([(m + offset).to_bytes(size, "little") for m in plaintexts])
        except OverflowError as error:
            raise HeadroomExceeded("a ciphertext decrypts to more than its slots can hold") from error
        cells = np.frombuffer(data, np.uint8).reshape(-1, width)[:count].copy()
        cells[:, -1] ^= 0x80
        if width > 8:
            sign = np.where(cells[:, 7] & 0x80, 255, 0).astype(np.uint8)
            if (cells[:, 8:] != sign[:, None]).any():
                whole = cells.tobytes()
                return narrow(
                    [int.from_bytes(whole[i : i + width], "little", signed=True) for i in range(0, len(whole), width)]
                )
            return np.ascontiguousarray(cells[:, :8]).view("<i8").ravel()
        wide = np.where(cells[:, -1:] & 0x80, 255, 0).astype(np.uint8).repeat(8, axis=1)
        wide[:, :width] = cells
        return wide.view("<i8").ravel()

    def _offset(self, slots: int) -> Any:
        """2**(slot_bits - 1) in every slot."""
        bits = self.slot_bits or 0
        return (((mpz(1) << (bits * slots)) - 1) // ((mpz(1) << bits) - 1)) << (bits - 1)


def narrow(integers: list[int]) -> Integers:
    """int64 where all integers fit, an array of Python integers otherwise."""
    try:
        return np.array(integers, np.int64)
    except OverflowError:
        return np.array(integers, object)


def encode_fixed(x: ArrayLike, frac_bits: int, value_bits: int, name: str = "value") -> NDArray[np.int64]:
    """round(x * 2**frac_bits) as int64, with |x| <= 2**value_bits checked."""
    values = as_numbers(x, name)
    top = 2.0**value_bits
    if values.dtype.kind == "f":
        if frac_bits == 0 and not np.equal(np.rint(values), values)[np.isfinite(values)].all():
            raise TypeMismatchError(
                "the format holds integers and the values have fractions", where=name, hint="Give frac_bits."
            )
        good = np.abs(values) <= top  # false for NaN
        if not good.all():
            _refuse(values, good, value_bits, name)
        return np.asarray(np.rint(np.ldexp(values, frac_bits)).astype(np.int64))
    good = (values <= 1 << value_bits) & (values >= -(1 << value_bits))
    if not good.all():
        _refuse(values, good, value_bits, name)
    return np.asarray(values.astype(np.int64) << frac_bits)


def as_numbers(x: ArrayLike, name: str) -> NDArray[Any]:
    """An array of floats, integers or booleans.

    Raises:
        TypeMismatchError: ragged, or another type.
    """
    try:
        values = np.asarray(x)
    except ValueError as error:
        raise TypeMismatchError("the rows have different lengths", where=name) from error
    if values.dtype.kind not in "fiub":
        raise TypeMismatchError(f"numbers are needed, not {values.dtype}", where=name)
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def _refuse(values: NDArray[Any], good: NDArray[np.bool_], value_bits: int, name: str) -> None:
    bad = int(np.flatnonzero(~good.ravel())[0])
    if values.dtype.kind == "f" and not np.isfinite(values.ravel()[bad]):
        raise ValueRangeError(f"NaN or infinite at position {bad}", where=name, hint="Drop or fill missing values.")
    raise ValueRangeError(
        f"the value at position {bad} is beyond ±2**{value_bits}", where=name, hint="Give a larger value_bits."
    )

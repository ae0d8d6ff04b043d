"""What vectors and matrices of Paillier ciphertexts have in common: encryption, sums, products, bytes.

Every operation knows three things of its operands and refuses before it computes: the key (`KeyMismatch`), the packing
and the binary point (`ParameterMismatch`), and how large a slot can have become (`HeadroomExceeded`).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.core import rng
from ppc.errors import (
    ConfigError,
    EnvelopeError,
    HeadroomExceeded,
    ParameterMismatch,
    SecretMisuse,
    ValueRangeError,
)
from ppc.he.envelope import Envelope
from ppc.he.keys import PrivateKey, PublicKey, need_private
from ppc.he.paillier.keys import PaillierPrivateKey, PaillierPublicKey, signed
from ppc.he.paillier.modular import Words, to_words
from ppc.he.paillier.packing import MASK_BITS, Integers, Packing, as_numbers, narrow

SCALAR_FRAC_BITS: Final = 24  # of a float that ciphertexts are multiplied by


class PaillierArray:
    """An encrypted array of fixed-point numbers; the base of `PaillierVector` and `PaillierMatrix`.

    Ciphertexts are immutable: every operation gives a new array. The type is closed: it has no truth value, no
    equality, no iteration and no NumPy conversion.
    """

    kind: ClassVar[str]
    __slots__ = ("bound", "ciphertexts", "dtype", "folded", "fresh", "packing", "public", "shape")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        public: PaillierPublicKey,
        ciphertexts: Words,
        shape: tuple[int, ...],
        packing: Packing,
        bound: int,
        dtype: str,
        *,
        fresh: bool = False,
        folded: bool = False,
    ) -> None:
        if bound > packing.limit(public.n):
            raise HeadroomExceeded(
                f"the result could reach {bound.bit_length()} bits, the slots hold "
                f"{packing.limit(public.n).bit_length()}",
                hint="Encrypt with wider slots (slot_bits), or fewer frac_bits or value_bits.",
            )
        self.public, self.ciphertexts, self.shape = public, ciphertexts, shape
        self.packing, self.bound, self.dtype = packing, bound, dtype
        self.fresh = fresh  # its randomness is new and known to nobody else: it may be sent as it is
        self.folded = folded  # one number, the sum of all slots of one ciphertext

    @classmethod
    def encrypt(
        cls,
        key: PaillierPublicKey | PaillierPrivateKey,
        values: ArrayLike,
        *,
        packing: Packing | None = None,
        full: bool = False,
        threads: int | None = None,
        name: str = "value",
    ) -> Self:
        """Encrypt numbers.

        Args:
            key: the public key; its owner's private key does the same several times faster.
            values: floats, integers or booleans; their shape is public.
            packing: the format; by default 24 + 24 bits in slots of 64, for integers without fraction bits.
            full: draw the randomness as Paillier does (y ** n) instead of DJN's short exponents.
            threads: as many as there are processors if None.
            name: what an error calls the values.

        Raises:
            ValueRangeError: NaN, infinite, or beyond 2**value_bits.
            TypeMismatchError: not numbers, ragged, or another number of dimensions than the class holds.
        """
        numbers = as_numbers(values, name)
        cls._check_shape(numbers.shape, name)
        if packing is None:
            packing = Packing() if numbers.dtype.kind == "f" else Packing(0, 44)
        dtype = "float64" if packing.frac_bits or numbers.dtype.kind == "f" else "int64"
        encoded = packing.encode(numbers, name).ravel()
        return cls.encrypt_encoded(
            key, encoded, numbers.shape, packing, 1 << packing.fresh_bits, dtype, full=full, threads=threads
        )

    @classmethod
    def encrypt_encoded(
        cls,
        key: PaillierPublicKey | PaillierPrivateKey,
        encoded: Integers,
        shape: tuple[int, ...],
        packing: Packing,
        bound: int,
        dtype: str,
        *,
        full: bool = False,
        threads: int | None = None,
    ) -> Self:
        """Encrypt integers that are encoded already and that `bound` covers."""
        plaintexts = packing.pack(encoded, key.public.bits)
        rows = key.encrypt_residues(plaintexts, full=full, threads=threads)
        return cls(key.public, rows, shape, packing, bound, dtype, fresh=True)

    def decrypt(self, key: PaillierPrivateKey, *, threads: int | None = None) -> NDArray[Any]:
        """The numbers: float64, or int64 (Python integers where they are larger) if integers were encrypted.

        Raises:
            KeyMismatch: another key, or a public one.
        """
        return self.packing.decode(self.decrypt_encoded(key, threads=threads), self.dtype).reshape(self.shape)

    def decrypt_encoded(self, key: PaillierPrivateKey, *, threads: int | None = None) -> Integers:
        """The integers before the binary point is set; flat."""
        _private(key, self.public)
        n, bits = self.public.n, self.public.bits
        plaintexts = [signed(m, n) for m in key.decrypt_residues(self.ciphertexts, threads=threads)]
        if self.folded:
            slots = self.packing.unpack(plaintexts, self.packing.slots(bits), bits)
            return narrow([sum(int(m) for m in slots.tolist())])
        return self.packing.unpack(plaintexts, math.prod(self.shape), bits)

    # --- sums ---
    def __add__(self, other: object) -> Self:
        if not isinstance(other, PaillierArray):
            return self.add_plain(other)
        self._check_pair(other)
        rows = self.public.ring.multiply(self.ciphertexts, other.ciphertexts)
        return self._with(rows, self.bound + other.bound, dtype=_wider(self.dtype, other.dtype))

    __radd__ = __add__

    def __sub__(self, other: object) -> Self:
        if isinstance(other, PaillierArray):
            self._check_pair(other)
            return self + (-other)
        return self.add_plain(other, sign=-1)

    def __rsub__(self, other: object) -> Self:
        return (-self).add_plain(other)

    def __neg__(self) -> Self:
        return self._with(self.public.ring.inverses(self.ciphertexts), self.bound)

    def add_plain(self, values: Any, *, sign: int = 1) -> Self:
        """Add public numbers, of this shape or one for all; or subtract them (sign -1)."""
        if self.folded:
            raise ParameterMismatch("nothing plain is added to a masked sum", hint="Add it after decryption.")
        numbers = self.packing.encode(values, "operand")
        if numbers.shape not in ((), self.shape):
            raise ParameterMismatch(
                f"a plain array of shape {numbers.shape} for an encrypted one of shape {self.shape}"
            )
        encoded: Integers = np.broadcast_to(sign * numbers, self.shape).ravel()
        public, shift = self.public, self.packing.shift
        if shift:
            encoded = narrow([m << shift for m in encoded.tolist()])
        factors = [1 + public.n * (m % public.n) for m in self.packing.pack(encoded, public.bits)]
        rows = public.ring.multiply(self.ciphertexts, to_words(factors, public.ring.words))
        return self._with(rows, self.bound + (1 << (self.packing.fresh_bits + shift)))

    # --- products with plain numbers ---
    def __mul__(self, other: object) -> Self:
        if isinstance(other, PaillierArray):
            raise ParameterMismatch(
                "Paillier does not multiply two ciphertexts", hint="CKKS (CkksVector) and BFV (BfvVector) do."
            )
        if isinstance(other, int):
            return self.times_scalar(other)
        factor = as_numbers(other, "factor")  # type: ignore[arg-type]
        if factor.ndim == 0:
            return self.times_scalar(factor.item())
        return self.times_array(factor)

    __rmul__ = __mul__

    def times_scalar(self, factor: float, *, frac_bits: int = SCALAR_FRAC_BITS) -> Self:
        """Multiply every number by one public number; a float takes `frac_bits` more fraction bits, an integer none."""
        if isinstance(factor, bool | int):
            k, frac_bits = int(factor), 0
        elif math.isfinite(factor):
            k = round(factor * (1 << frac_bits))
        else:
            raise ValueRangeError("NaN or infinite", where="factor")
        bound = self.bound * max(abs(k), 1)
        packing = self.packing.shifted(frac_bits)
        empty = type(self)(self.public, self.ciphertexts[:0], (0,), packing, bound, self.dtype)  # checks the head-room
        ring = self.public.ring
        rows = ring.power(ring.inverses(self.ciphertexts) if k < 0 else self.ciphertexts, abs(k))
        return empty._with(rows, bound, shape=self.shape, dtype=_after(self.dtype, frac_bits), folded=self.folded)

    def times_array(self, factors: ArrayLike, *, frac_bits: int | None = None, value_bits: int = 11) -> Self:
        """Multiply number by number with plain numbers of the same shape, one slot a ciphertext.

        The work, the new binary point and the head-room depend on `frac_bits` and `value_bits` only, so they tell
        nothing of the factors.
        """
        self._need_single("a product number by number")
        numbers = as_numbers(factors, "factors")
        if numbers.shape != self.shape:
            raise ParameterMismatch(f"factors of shape {numbers.shape} for an array of shape {self.shape}")
        frac_bits = (0 if numbers.dtype.kind != "f" else SCALAR_FRAC_BITS) if frac_bits is None else frac_bits
        scale = Packing.single(frac_bits, value_bits)
        encoded = scale.encode(numbers, "factors").ravel()
        packing = self.packing.shifted(frac_bits)
        bound = self.bound << scale.fresh_bits
        empty = type(self)(self.public, self.ciphertexts[:0], (0,), packing, bound, self.dtype)
        ring = self.public.ring
        rows = ring.each_power(self.ciphertexts, np.abs(encoded).astype(np.uint64), scale.fresh_bits + 1)
        negative = np.flatnonzero(encoded < 0)
        if len(negative):
            rows = rows.copy()
            rows[negative] = ring.inverses(rows[negative])
        return empty._with(rows, bound, shape=self.shape, dtype=_after(self.dtype, frac_bits))

    # --- sending ---
    def rerandomized(self, *, full: bool = False, threads: int | None = None) -> Self:
        """The same numbers under new randomness: nobody can tell what they were computed from."""
        rows = self.public.obfuscate(self.ciphertexts, full=full, threads=threads)
        return self._with(rows, self.bound, fresh=True)

    def to_bytes(self) -> bytes:
        """The array in an envelope. What was computed is re-randomised first; what was just encrypted need not be."""
        return self.to_envelope().to_bytes()

    def to_envelope(self) -> Envelope:
        ready = self if self.fresh else self.rerandomized()
        meta = {
            "frac_bits": self.packing.frac_bits,
            "value_bits": self.packing.value_bits,
            "slot_bits": self.packing.slot_bits or 0,
            "shift": self.packing.shift,
            "bound": f"{self.bound:x}",
            "folded": int(self.folded),
        }
        public = self.public
        payload = np.ascontiguousarray(ready.ciphertexts, "<u8").tobytes()
        return Envelope(
            "paillier", self.kind, public.key_id, public.parameter_hash, self.shape, self.dtype, meta, payload
        )

    @classmethod
    def from_bytes(cls, data: bytes, key: PublicKey | PrivateKey) -> Self:
        """The array of `to_bytes`, checked against the key it is to be used with.

        Raises:
            EnvelopeError: damaged, of another version or kind, or a ciphertext outside its group.
            KeyMismatch: encrypted under another key.
        """
        return cls.from_envelope(Envelope.from_bytes(data), key)

    @classmethod
    def from_envelope(cls, envelope: Envelope, key: PublicKey | PrivateKey) -> Self:
        envelope.expect("paillier", cls.kind)
        public: Any = key.public
        public.check(envelope.key_id)
        if envelope.parameters != public.parameter_hash:
            raise ParameterMismatch("the ciphertext was made with other parameters than the key has")
        packing = _packing_of(envelope)
        try:
            bound = int(envelope.meta.get("bound", ""), 16)
        except (TypeError, ValueError) as error:
            raise EnvelopeError("the ciphertext's 'bound' is malformed") from error
        if not 0 < bound <= packing.limit(public.n):
            raise EnvelopeError("the ciphertext's 'bound' is out of its range")
        folded = bool(envelope.integer("folded", 0, 1))
        cls._check_shape(envelope.shape, "ciphertext")
        count = 1 if folded else -(-math.prod(envelope.shape) // packing.slots(public.bits))
        if len(envelope.payload) != 8 * count * public.ring.words or (folded and envelope.shape):
            raise EnvelopeError(f"{len(envelope.payload)} bytes are not the {count} ciphertexts that the shape needs")
        rows = np.frombuffer(envelope.payload, "<u8").reshape(count, public.ring.words)
        public.check_ciphertexts(rows)
        # The sender has seen these bytes: sent on, they are re-randomised.
        return cls(public, rows, envelope.shape, packing, bound, envelope.dtype, folded=folded)

    # --- the closed type ---
    def __repr__(self) -> str:
        return f"<{type(self).__name__} paillier shape={self.shape} key={self.public.key_id[:12]}>"

    def __bool__(self) -> NoReturn:
        raise SecretMisuse("an encrypted array has no truth value", hint="Decrypt it first.")

    def __float__(self) -> NoReturn:
        raise SecretMisuse("an encrypted number is no float", hint="Decrypt it first.")

    def __eq__(self, other: object) -> NoReturn:
        raise SecretMisuse("ciphertexts are not compared", hint="Decrypt them first.")

    def __iter__(self) -> NoReturn:
        raise SecretMisuse("an encrypted array is not iterated", hint="Compute on the whole array.")

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        raise SecretMisuse("an encrypted array is no NumPy array", hint="Decrypt it first.")

    def __reduce__(self) -> NoReturn:
        raise SecretMisuse("an encrypted array is not pickled", hint="Use to_bytes().")

    # --- helpers ---
    @classmethod
    def _check_shape(cls, shape: tuple[int, ...], name: str) -> None:
        raise ConfigError(f"{cls.__name__} is not used by itself")

    def _with(
        self,
        rows: Words,
        bound: int,
        *,
        shape: tuple[int, ...] | None = None,
        dtype: str | None = None,
        fresh: bool = False,
        folded: bool | None = None,
    ) -> Self:
        return type(self)(
            self.public,
            rows,
            self.shape if shape is None else shape,
            self.packing,
            bound,
            dtype or self.dtype,
            fresh=fresh,
            folded=self.folded if folded is None else folded,
        )

    def _check_pair(self, other: PaillierArray) -> None:
        self.public.check(other.public.key_id, "the other operand")
        mine, theirs = self.packing, other.packing
        if mine.point != theirs.point:
            raise ParameterMismatch(
                f"numbers with {mine.point} and with {theirs.point} fraction bits are not added",
                hint="Encrypt both with the same frac_bits, and multiply both by the same kind of factor.",
            )
        if mine.slot_bits != theirs.slot_bits or self.folded != other.folded:
            raise ParameterMismatch(
                "the two are packed differently", hint="Encrypt both with the same value_bits and slot_bits."
            )
        if self.shape != other.shape:
            raise ParameterMismatch(f"shapes {self.shape} and {other.shape} are not added")

    def _need_single(self, what: str) -> None:
        if self.packing.slot_bits is not None:
            raise ParameterMismatch(
                f"{what} needs one number a ciphertext; these lie {self.packing.slots(self.public.bits)} to one",
                hint="Encrypt with packing=Packing.single(…).",
            )

    def _mask_bits(self) -> int:
        """Bits of the masks that hide one slot among others of the same total, to within 2**-MASK_BITS.

        Slots s and s' of one total differ by the differences of some t with |t_i| <= slots * bound; adding t to the
        drawn numbers moves their joint distribution by at most slots * slots * bound / 2**bits.
        """
        return self.bound.bit_length() + MASK_BITS + 2 * self.packing.slots(self.public.bits).bit_length()

    def _masks(self) -> list[int]:
        """Random numbers below 2**_mask_bits in magnitude, one a slot, that sum to 0."""
        bits = self._mask_bits()
        size, slots = -(-bits // 8), self.packing.slots(self.public.bits)
        drawn = [int.from_bytes(rng.random_bytes(size), "little") >> (-bits % 8) for _ in range(slots)]
        return [a - b for a, b in zip(drawn, drawn[1:] + drawn[:1], strict=True)]


def _packing_of(envelope: Envelope) -> Packing:
    try:
        return Packing(
            envelope.integer("frac_bits", 0, 60),
            envelope.integer("value_bits", 1, 62),
            envelope.integer("slot_bits", 0, 1024) or None,
            envelope.integer("shift", 0, 1 << 14),
        )
    except ConfigError as error:
        raise EnvelopeError("the ciphertext's packing is impossible") from error


def _private(key: Any, public: PaillierPublicKey) -> None:
    need_private(key)
    public.check(key.key_id, "the key")


def _wider(a: str, b: str) -> str:
    return "float64" if "float64" in (a, b) else "int64"


def _after(dtype: str, frac_bits: int) -> str:
    return "float64" if frac_bits else dtype

"""BFV: encrypted vectors of integers, exact, that add and multiply.

A slot holds an integer modulo the plain modulus t. `bound` follows how large the integers can be and refuses what
would wrap around t; `used` counts the products behind a ciphertext and refuses one more than the key was made for; and
whoever decrypts checks SEAL's own measure of the noise. So the answer is exact or there is none.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.errors import DepthExhausted, EnvelopeError, HeadroomExceeded, ParameterMismatch, TypeMismatchError
from ppc.he.chunks import LatticeVector, chunk_sizes, open_envelope, runs, sizes_of, split_payload
from ppc.he.envelope import Envelope
from ppc.he.keys import PrivateKey, PublicKey
from ppc.he.lattice import BfvPrivateKey, BfvPublicKey, tenseal
from ppc.he.paillier.packing import as_numbers, encode_fixed


class BfvVector(LatticeVector):
    """An encrypted vector of integers. See `encrypt`."""

    scheme: ClassVar[str] = "bfv"
    dtype: ClassVar[str] = "int64"
    __slots__ = ("bound", "used")

    def __init__(
        self,
        public: BfvPublicKey,
        chunks: list[Any],
        sizes: tuple[int, ...],
        bound: int,
        used: int,
        *,
        fresh: bool = False,
    ) -> None:
        if bound > public.limit:
            raise HeadroomExceeded(
                f"the result could reach {bound.bit_length()} bits, a slot holds {public.limit.bit_length()}",
                hint="Encrypt with fewer value_bits, or generate a key with more plain_bits.",
            )
        self.public, self.chunks, self.sizes, self.fresh = public, chunks, sizes, fresh
        self.bound, self.used = bound, used

    @classmethod
    def encrypt(
        cls,
        key: BfvPublicKey | BfvPrivateKey,
        values: ArrayLike,
        *,
        value_bits: int = 16,
        chunk: int | None = None,
        name: str = "value",
    ) -> BfvVector:
        """Encrypt integers (n,), |x| <= 2**value_bits.

        Raises:
            TypeMismatchError: fractions, not numbers, or not a vector.
            ValueRangeError: NaN, infinite, or beyond 2**value_bits.
            HeadroomExceeded: value_bits do not fit the key.
        """
        public: BfvPublicKey = key.public
        integers = _integers(values, value_bits, name)
        if integers.ndim != 1:
            raise TypeMismatchError(f"a vector is needed, not an array of shape {integers.shape}", where=name)
        made = cls(public, [], (len(integers),), 1 << value_bits, 0, fresh=True)
        made.sizes = chunk_sizes(len(integers), chunk, public.slots)
        ts = tenseal()
        made.chunks = [ts.bfv_vector(public.context, piece.tolist()) for piece in made.pieces(integers)]
        return made

    def decrypt(self, key: BfvPrivateKey) -> NDArray[np.int64]:
        """The integers (n,), exactly.

        Raises:
            KeyMismatch: another key, or a public one.
            DepthExhausted: the noise has grown past what decrypts (a forged header, or very many sums).
        """
        secret = self.private(key)
        for chunk in self.chunks:
            if key.noise_budget(chunk.ciphertext()[0]) < 1:
                raise DepthExhausted("the noise of a ciphertext has grown past what decrypts")
        parts = [np.array(c.decrypt(secret)[:n], np.int64) for c, n in zip(self.chunks, self.sizes, strict=True)]
        return np.concatenate(parts)

    @property
    def level(self) -> int:
        """Products that may still follow."""
        return int(self.public.depth) - self.used

    def __add__(self, other: object) -> BfvVector:
        if isinstance(other, LatticeVector):
            return self._combine(other, lambda x, y: x + y)
        plain, top = self._plain(other)
        return self._with(lambda c, p: c + p, self._pieces(plain), self.bound + top, self.used)

    __radd__ = __add__

    def __sub__(self, other: object) -> BfvVector:
        if isinstance(other, LatticeVector):
            return self._combine(other, lambda x, y: x - y)
        plain, top = self._plain(other)
        return self._with(lambda c, p: c + p, self._pieces(-plain), self.bound + top, self.used)

    def __rsub__(self, other: object) -> BfvVector:
        return (-self) + other

    def __neg__(self) -> BfvVector:
        zeros = [tenseal().bfv_vector(self.public.context, [0] * n) for n in self.sizes]
        return self._with(lambda c, z: z - c, zeros, self.bound, self.used)

    def __mul__(self, other: object) -> BfvVector:
        if isinstance(other, LatticeVector):
            self.check_pair(other)
            self.need_keys("a product of two ciphertexts", products=True)
            theirs = other if isinstance(other, BfvVector) else self
            used = max(self.used, theirs.used) + 1
            if used > self.public.depth:
                raise DepthExhausted(f"the key was made for {self.public.depth} products, this would be one more")
            return self._with(lambda x, y: x * y, theirs.chunks, self.bound * theirs.bound, used)
        plain, top = self._plain(other)
        self.need_level(1, "a product")
        return self._with(lambda c, p: c * p, self._pieces(plain), self.bound * max(top, 1), self.used + 1)

    __rmul__ = __mul__

    def sum(self) -> BfvVector:
        """The sum of all integers, a vector of length 1. Needs rotations."""
        self.need_keys("a sum within a ciphertext", rotations=True)
        bound = self.bound * len(self)
        BfvVector(self.public, [], (1,), bound, self.used)  # the head-room
        total = None
        for chunk, size in zip(self.chunks, self.sizes, strict=True):
            part = chunk if size == 1 else chunk.sum()
            total = part if total is None else total + part
        return BfvVector(self.public, [total], (1,), bound, self.used)

    def dot(self, other: BfvVector | ArrayLike) -> BfvVector:
        """The inner product with an encrypted or plain vector, of length 1. Needs rotations."""
        self.need_keys("an inner product", rotations=True)
        if not isinstance(other, BfvVector) and np.ndim(other) == 0:
            raise ParameterMismatch("an inner product needs two vectors")
        return (self * other).sum()

    def rerandomized(self) -> BfvVector:
        """The same integers, with a fresh encryption of zero added."""
        ts = tenseal()
        zeros = [ts.bfv_vector(self.public.context, [0] * n) for n in self.sizes]
        made = self._with(lambda c, z: c + z, zeros, self.bound, self.used)
        made.fresh = True
        return made

    def to_envelope(self) -> Envelope:
        ready, public = self if self.fresh else self.rerandomized(), self.public
        meta = {"bound": self.bound, "used": self.used, "chunks": runs(self.sizes)}
        return Envelope(
            "bfv", "vector", public.key_id, public.parameter_hash, self.shape, self.dtype, meta, ready.payload()
        )

    @classmethod
    def from_envelope(cls, envelope: Envelope, key: PublicKey | PrivateKey) -> Self:
        public = open_envelope(envelope, "bfv", "vector", key)
        bound = envelope.integer("bound", 0, public.limit)
        used = envelope.integer("used", 0, public.depth)
        sizes = sizes_of(envelope, public)
        ts, chunks = tenseal(), []
        for data, size in zip(split_payload(envelope.payload, len(sizes)), sizes, strict=True):
            try:
                chunk = ts.bfv_vector_from(public.context, data)
                inner = chunk.ciphertext()
                proper = len(inner) == 1 and chunk.size() == size and inner[0].size() == 2
            except (ValueError, RuntimeError, MemoryError) as problem:
                raise EnvelopeError("a chunk of the ciphertext is malformed") from problem
            if not proper:
                raise EnvelopeError("a chunk of the ciphertext is not what the header says")
            chunks.append(chunk)
        return cls(public, chunks, sizes, bound, used)

    # --- helpers ---
    def _combine(self, other: LatticeVector, operation: Any) -> BfvVector:
        self.check_pair(other)
        theirs = other if isinstance(other, BfvVector) else self
        return self._with(operation, theirs.chunks, self.bound + theirs.bound, max(self.used, theirs.used))

    def _with(self, operation: Any, others: list[Any], bound: int, used: int) -> BfvVector:
        made = BfvVector(self.public, [], self.sizes, bound, used)  # the head-room, before anything is computed
        made.chunks = [self._careful(operation, c, o) for c, o in zip(self.chunks, others, strict=True)]
        return made

    def _careful(self, operation: Any, chunk: Any, other: Any) -> Any:
        try:
            return operation(chunk, other)
        except RuntimeError as error:
            if "transparent" not in str(error):  # SEAL refuses a result that is zero for anyone to see
                raise
            return tenseal().bfv_vector(self.public.context, [0] * chunk.size())

    def _plain(self, values: object) -> tuple[NDArray[np.int64], int]:
        plain = _integers(values, self.public.limit.bit_length() - 1, "operand")
        if plain.ndim and plain.shape != self.shape:
            raise ParameterMismatch(f"a plain array of shape {plain.shape} for an encrypted vector of {self.shape}")
        return np.broadcast_to(plain, self.shape), int(np.abs(plain).max())

    def _pieces(self, plain: NDArray[np.int64]) -> list[Any]:
        return [piece.tolist() for piece in self.pieces(plain)]


def _integers(values: Any, value_bits: int, name: str) -> NDArray[np.int64]:
    return encode_fixed(as_numbers(values, name), 0, value_bits, name)

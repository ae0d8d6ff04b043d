"""CKKS: encrypted vectors of real numbers that add, multiply and are put into polynomials, approximately.

TenSEAL multiplies, relinearises and rescales. What is added here:

- A product drops a prime q that is only close to the scale S, and TenSEAL counts the quotient as S: each product of two
  ciphertexts is off by S/q (1e-6). The exact factor is kept as `gain` and divided out on decryption; plain factors are
  multiplied by q/S beforehand.
- `bound` says how large the numbers can be; an operation whose result would not fit the modulus is refused, where CKKS
  itself returns garbage.
- `error` is an estimate of the largest absolute error, carried through every operation.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.errors import EnvelopeError, HeadroomExceeded, ParameterMismatch, ValueRangeError
from ppc.he.chunks import LatticeVector, chunk_sizes, open_envelope, runs, sizes_of, split_payload
from ppc.he.ckks_chunks import added, rotation_error, zeros
from ppc.he.envelope import Envelope
from ppc.he.keys import PrivateKey, PublicKey
from ppc.he.lattice import CkksPrivateKey, CkksPublicKey, tenseal
from ppc.he.paillier.packing import as_numbers

DEFAULT_MAX_ABS: Final = 1024.0
_SAME_GAIN: Final = 1e-12
# Errors of a slot, times scale / N: what rounding by a prime leaves (6 standard deviations of N/6, half as much again
# for the largest of many); and of encoding a plain vector (6 * sqrt(N/24)), times scale / sqrt(N).
_ROUNDING: Final = 1.5
_ENCODING: Final = 2.0


class CkksVector(LatticeVector):
    """An encrypted vector of float64. See `encrypt`."""

    scheme: ClassVar[str] = "ckks"
    dtype: ClassVar[str] = "float64"
    __slots__ = ("_level", "bound", "error", "gain")

    def __init__(
        self,
        public: CkksPublicKey,
        chunks: list[Any],
        sizes: tuple[int, ...],
        bound: float,
        error: float,
        gain: float = 1.0,
        *,
        level: int,
        fresh: bool = False,
    ) -> None:
        self.public, self.chunks, self.sizes, self.fresh = public, chunks, sizes, fresh
        self.bound, self.error, self.gain, self._level = bound, error, gain, level

    @classmethod
    def encrypt(
        cls,
        key: CkksPublicKey | CkksPrivateKey,
        values: ArrayLike,
        *,
        max_abs: float = DEFAULT_MAX_ABS,
        chunk: int | None = None,
        name: str = "value",
    ) -> CkksVector:
        """Encrypt numbers (n,).

        Args:
            key: the public key (or the key pair).
            values: floats, integers or booleans, |x| <= max_abs.
            max_abs: a public bound. Products are refused when their bounds would not fit, so keep it small.
            chunk: numbers a ciphertext, at most the slots; half the slots lets `matmul` give many columns.
            name: what an error calls the values.

        Raises:
            ValueRangeError: NaN, infinite, or beyond max_abs.
            TypeMismatchError: not numbers, or not a vector.
            HeadroomExceeded: max_abs does not fit the key.
        """
        public: CkksPublicKey = key.public
        x = checked_vector(values, max_abs, name)
        if max_abs > public.capacity(public.depth):
            raise HeadroomExceeded(
                f"max_abs does not fit a fresh ciphertext, which holds {public.capacity(public.depth)}"
            )
        sizes = chunk_sizes(len(x), chunk, public.slots)
        ts, context = tenseal(), public.context
        chunks = [ts.ckks_vector(context, piece) for piece in np.split(x, np.cumsum(sizes)[:-1])]
        error = _ROUNDING * public.degree / public.scale
        return cls(public, chunks, sizes, float(max_abs), error, level=public.depth, fresh=True)

    def decrypt(self, key: CkksPrivateKey) -> NDArray[np.float64]:
        """The numbers (n,), each with an error of about `error` at most.

        Raises:
            KeyMismatch: another key, or a public one.
        """
        secret = self.private(key)
        parts = [np.asarray(c.decrypt(secret), np.float64)[:n] for c, n in zip(self.chunks, self.sizes, strict=True)]
        return np.concatenate(parts) / self.gain

    @property
    def level(self) -> int:
        """Products that may still follow."""
        return self._level

    def declare(self, *, bound: float, error: float | None = None) -> CkksVector:
        """The same vector under the caller's word that |x| <= bound, for instance one that hides what it came from."""
        return self._with(self.chunks, bound, self.error if error is None else error, fresh=self.fresh)

    # --- sums ---
    def __add__(self, other: object) -> CkksVector:
        if isinstance(other, LatticeVector):
            return self._add(other, 1)
        x = self._plain(other, "operand")
        values = [c + piece for c, piece in zip(self.chunks, self._pieces(x * self.gain), strict=True)]
        top = float(np.max(np.abs(x)))
        return self._with(
            values, self.bound + top, self.error + _ENCODING * math.sqrt(self.public.degree) / self._scale
        )

    __radd__ = __add__

    def __sub__(self, other: object) -> CkksVector:
        if isinstance(other, LatticeVector):
            return self._add(other, -1)
        return self + (-self._plain(other, "operand"))

    def __rsub__(self, other: object) -> CkksVector:
        return (-self) + other

    def __neg__(self) -> CkksVector:
        return self._with([-c for c in self.chunks], self.bound, self.error)

    def _add(self, other: LatticeVector, sign: int) -> CkksVector:
        self.check_pair(other)
        a, b = self._same_gain(other if isinstance(other, CkksVector) else self)
        higher = a._level >= b._level  # TenSEAL leaves its left operand alone, and the right one if it is not higher
        try:
            if sign > 0:
                out = [x + y if higher else y + x for x, y in zip(a.chunks, b.chunks, strict=True)]
            else:
                out = [x - y if higher else (-y) + x for x, y in zip(a.chunks, b.chunks, strict=True)]
        except RuntimeError as problem:
            out = self._zeros(problem, min(a._level, b._level))
        error = a.error + b.error
        if a.gain != b.gain:
            error += abs(a.gain / b.gain - 1.0) * b.bound
        return a._with(out, a.bound + b.bound, error, level=min(a._level, b._level))

    def _same_gain(self, other: CkksVector) -> tuple[CkksVector, CkksVector]:
        """Both with one gain, where a spare level lets a plain factor bring them together."""
        if self.gain == other.gain or abs(self.gain / other.gain - 1.0) < _SAME_GAIN:
            return self, other
        if self.level > other.level:
            return self._times(other.gain / self.gain, other.gain), other
        if other.level > self.level:
            return self, other._times(self.gain / other.gain, self.gain)
        return self, other

    # --- products ---
    def __mul__(self, other: object) -> CkksVector:
        if isinstance(other, LatticeVector):
            return self._multiply(other)
        x = self._plain(other, "factor")
        if x.ndim == 0:
            return self._times(float(x), self.gain)
        self.need_level(1, "a product")
        top, public = float(np.max(np.abs(x))), self.public
        bound = self._fits(self.bound * max(top, 1e-300), self.level - 1, "the product")
        correction = public.primes[self.level] / self._scale
        pieces = self._pieces(x * correction)
        try:
            out = [c * p for c, p in zip(self.chunks, pieces, strict=True)]
        except RuntimeError as problem:
            out = self._products_with_zeros(problem, pieces)
        encoding = self.bound * _ENCODING * math.sqrt(public.degree) / self._scale
        return self._with(out, bound, self.error * top + encoding + self._rounded(), level=self._level - 1)

    __rmul__ = __mul__

    def _times(self, factor: float, gain: float) -> CkksVector:
        """The product with one number; the encoded factor absorbs what turns this gain into `gain`."""
        self.need_level(1, "a product")
        value = abs(factor) * self.gain / gain
        bound = self._fits(self.bound * max(value, 1e-300), self.level - 1, "the product")
        encoded = factor * self.public.primes[self.level] / self._scale
        out = [c * encoded for c in self.chunks] if encoded else self._zeros(None, self._level - 1)
        error = self.error * value + self.bound / self._scale + self._rounded()
        made = self._with(out, bound, error, level=self._level - 1)
        made.gain = gain
        return made

    def _multiply(self, other: LatticeVector) -> CkksVector:
        self.check_pair(other)
        self.need_keys("a product of two ciphertexts", products=True)
        theirs = other if isinstance(other, CkksVector) else self
        level = min(self.level, theirs.level)
        if level < 1:
            self.need_level(1, "a product")
            theirs.need_level(1, "a product")
        bound = self._fits(self.bound * theirs.bound, level - 1, "the product")
        higher = self._level >= theirs._level
        out = [x * y if higher else y * x for x, y in zip(self.chunks, theirs.chunks, strict=True)]
        error = self.error * theirs.bound + theirs.error * self.bound + self.error * theirs.error
        made = self._with(out, bound, error + self._rounded(), level=level - 1)
        made.gain = self.gain * theirs.gain * self._scale / self.public.primes[level]
        return made

    def sum(self) -> CkksVector:
        """The sum of all numbers, a vector of length 1. Needs rotations."""
        self.need_keys("a sum within a ciphertext", rotations=True)
        bound = self._fits(self.bound * len(self), self.level, "the sum")
        total = None
        for chunk, size in zip(self.chunks, self.sizes, strict=True):
            part = chunk if size == 1 else chunk.sum()
            total = part if total is None else added(total, part)
        rotated = rotation_error(self.public, max(self.sizes)) * len(self.sizes)
        return self._with([total], bound, self.error * len(self) + rotated, sizes=(1,))

    def dot(self, other: CkksVector | ArrayLike) -> CkksVector:
        """The inner product with an encrypted or plain vector, of length 1. Needs rotations."""
        self.need_keys("an inner product", rotations=True)
        if not isinstance(other, CkksVector) and self._plain(other, "factor").ndim == 0:
            raise ParameterMismatch("an inner product needs two vectors")
        return (self * other).sum()

    def matmul(self, plain: ArrayLike) -> CkksVector:
        """self @ plain for a plain matrix (n, m): a vector (m,). Needs rotations.

        Where TenSEAL's diagonal method is valid and cheaper it is used, otherwise one inner product a column, each
        column then in a ciphertext of its own. TenSEAL's method gives wrong numbers when rows and columns together
        exceed the slots by more than one (TenSEAL issue 504); it is never called there.
        """
        from ppc.he.ckks_matmul import vector_times_matrix

        return vector_times_matrix(self, plain)

    # --- sending ---
    def rerandomized(self) -> CkksVector:
        """The same numbers, with a fresh encryption of zero added."""
        fresh_zeros = [tenseal().ckks_vector(self.public.context, [0.0] * n) for n in self.sizes]
        chunks = [z + c for c, z in zip(self.chunks, fresh_zeros, strict=True)]
        return self._with(chunks, self.bound, self.error + self._rounded(), fresh=True)

    def to_envelope(self) -> Envelope:
        ready = self if self.fresh else self.rerandomized()
        public = self.public
        meta = {
            "level": ready.level,
            "scale_bits": int(math.log2(self._scale)),
            "bound": ready.bound,
            "error": ready.error,
            "gain": ready.gain,
            "chunks": runs(self.sizes),
        }
        return Envelope(
            "ckks", "vector", public.key_id, public.parameter_hash, self.shape, self.dtype, meta, ready.payload()
        )

    @classmethod
    def from_envelope(cls, envelope: Envelope, key: PublicKey | PrivateKey) -> Self:
        public = open_envelope(envelope, "ckks", "vector", key)
        level = envelope.integer("level", 0, public.depth)
        envelope.integer("scale_bits", round(math.log2(public.scale)), round(math.log2(public.scale)))
        bound = envelope.number("bound", 0.0, public.capacity(level))
        error = envelope.number("error", 0.0, math.inf)
        gain = envelope.number("gain", 0.5, 2.0)
        sizes = sizes_of(envelope, public)
        ts, chunks = tenseal(), []
        for data, size in zip(split_payload(envelope.payload, len(sizes)), sizes, strict=True):
            try:
                chunk = ts.ckks_vector_from(public.context, data)
                inner = chunk.ciphertext()
                proper = len(inner) == 1 and chunk.size() == size and inner[0].size() == 2
                proper = proper and int(inner[0].coeff_modulus_size()) == level + 1 and inner[0].scale == public.scale
            except (ValueError, RuntimeError, MemoryError) as problem:
                raise EnvelopeError("a chunk of the ciphertext is malformed") from problem
            if not proper:
                raise EnvelopeError("a chunk of the ciphertext is not what the header says")
            chunks.append(chunk)
        return cls(public, chunks, sizes, bound, error, gain, level=level)

    # --- helpers ---
    @property
    def _scale(self) -> float:
        return float(self.public.scale)

    def _rounded(self) -> float:
        """The error that dropping a prime leaves."""
        return _ROUNDING * float(self.public.degree) / self._scale

    def _with(
        self,
        chunks: list[Any],
        bound: float,
        error: float,
        *,
        level: int | None = None,
        sizes: tuple[int, ...] | None = None,
        fresh: bool = False,
    ) -> CkksVector:
        level = self._level if level is None else level
        self._fits(bound, level, "the result")
        return CkksVector(self.public, chunks, sizes or self.sizes, bound, error, self.gain, level=level, fresh=fresh)

    def _zeros(self, problem: RuntimeError | None, level: int) -> list[Any]:
        """Encryptions of zero, for where SEAL refuses because the result is zero for anyone to see."""
        if problem is not None and "transparent" not in str(problem):
            raise problem
        return [zeros(self.public, n, level) for n in self.sizes]

    def _products_with_zeros(self, problem: RuntimeError, pieces: list[Any]) -> list[Any]:
        """Products chunk by chunk, with encryptions of zero where a whole piece is zero."""
        if "transparent" not in str(problem):
            raise problem
        return [
            c * p if np.any(p) else zeros(self.public, n, self._level - 1)
            for c, p, n in zip(self.chunks, pieces, self.sizes, strict=True)
        ]

    def _fits(self, bound: float, level: int, what: str) -> float:
        if not bound <= self.public.capacity(level):
            raise HeadroomExceeded(
                f"{what} could reach {bound:.3g}; level {level} holds {self.public.capacity(level):.3g}",
                hint="Encrypt with a smaller max_abs, or generate a key with more depth.",
            )
        return bound

    def _plain(self, values: object, name: str) -> NDArray[np.float64]:
        x = as_numbers(values, name).astype(np.float64)  # type: ignore[arg-type]
        if not np.isfinite(x).all():
            raise ValueRangeError("NaN or infinite", where=name)
        if x.ndim and x.shape != self.shape:
            raise ParameterMismatch(f"a plain array of shape {x.shape} for an encrypted vector of shape {self.shape}")
        return x

    def _pieces(self, x: NDArray[np.float64]) -> list[Any]:
        return [float(x)] * len(self.sizes) if x.ndim == 0 else self.pieces(x)


def checked_vector(values: ArrayLike, max_abs: float, name: str) -> NDArray[np.float64]:
    """A vector of float64 with |x| <= max_abs."""
    from ppc.errors import TypeMismatchError

    x = as_numbers(values, name).astype(np.float64)
    if x.ndim != 1:
        raise TypeMismatchError(f"a vector is needed, not an array of shape {x.shape}", where=name)
    if not 0 < max_abs < math.inf:
        raise ValueRangeError("max_abs is a positive number", where=name)
    if not (np.abs(x) <= max_abs).all():
        finite = np.isfinite(x)
        if not finite.all():
            raise ValueRangeError(
                f"NaN or infinite at position {int(np.flatnonzero(~finite)[0])}",
                where=name,
                hint="Drop or fill missing values.",
            )
        position = int(np.flatnonzero(np.abs(x) > max_abs)[0])
        raise ValueRangeError(
            f"the value at position {position} is beyond max_abs", where=name, hint="Give a larger max_abs."
        )
    return x

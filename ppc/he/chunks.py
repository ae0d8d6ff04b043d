"""What CKKS and BFV vectors have in common: chunks of at most one ciphertext, envelopes, and a closed type.

TenSEAL spreads a long vector over several ciphertexts by itself, but then prints a warning and refuses most operations.
Here every chunk is a TenSEAL vector of its own, never longer than a ciphertext has slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ConfigError, DepthExhausted, EnvelopeError, ParameterMismatch, SecretMisuse
from ppc.he.envelope import Envelope
from ppc.he.keys import PrivateKey, PublicKey, need_private
from ppc.he.lattice import LatticePrivateKey, LatticePublicKey

_MAX_CHUNKS = 1 << 20
_LENGTH_BYTES = 4


class LatticeVector:
    """An encrypted vector (n,) in chunks; the base of `CkksVector` and `BfvVector`."""

    scheme: ClassVar[str]
    dtype: ClassVar[str]
    __slots__ = ("chunks", "fresh", "public", "sizes")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    public: Any
    chunks: list[Any]
    sizes: tuple[int, ...]
    fresh: bool

    @property
    def shape(self) -> tuple[int]:
        return (sum(self.sizes),)

    def __len__(self) -> int:
        return sum(self.sizes)

    @property
    def level(self) -> int:
        """Products that may still follow."""
        raise ConfigError(f"{type(self).__name__} has no level")

    def need_level(self, levels: int, what: str) -> None:
        """Raise `DepthExhausted` unless so many levels are left."""
        if self.level < levels:
            raise DepthExhausted(
                f"{what} takes {levels} of the levels; {self.level} are left",
                hint="Generate a key with more depth.",
            )

    def need_keys(self, what: str, *, products: bool = False, rotations: bool = False) -> None:
        """Raise `ParameterMismatch` unless the public key came with the evaluation keys for it."""
        for wanted, has, option in (
            (products, self.public.products, "products"),
            (rotations, self.public.rotations, "rotations"),
        ):
            if wanted and not has:
                raise ParameterMismatch(
                    f"{what} needs evaluation keys that this public key does not carry",
                    hint=f"Generate the key with {option}=True and send the public key whole.",
                )

    def check_pair(self, other: LatticeVector) -> None:
        """Raise unless the other vector has the same key and the same chunks."""
        if type(self) is not type(other):
            raise ParameterMismatch(f"a {type(self).__name__} and a {type(other).__name__} do not combine")
        if self.public is not other.public:
            self.public.check(other.public.key_id, "the other operand")
        if self.sizes != other.sizes:
            raise ParameterMismatch(
                f"vectors of lengths {self.shape} and {other.shape} in chunks of {max(self.sizes)} and "
                f"{max(other.sizes)} do not combine"
            )

    def pieces(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """A plain vector of this length, cut as the chunks are."""
        if values.shape != self.shape:
            raise ParameterMismatch(f"a plain vector of shape {values.shape} for an encrypted one of {self.shape}")
        return list(np.split(values, np.cumsum(self.sizes)[:-1]))

    def payload(self) -> bytes:
        """The chunks, each behind its length."""
        parts = []
        for chunk in self.chunks:
            data = chunk.serialize()
            parts += [len(data).to_bytes(_LENGTH_BYTES, "big"), data]
        return b"".join(parts)

    def private(self, key: PrivateKey) -> Any:
        """The secret key, checked to be this vector's."""
        need_private(key)
        self.public.check(key.key_id, "the key")
        if not isinstance(key, LatticePrivateKey):
            raise ParameterMismatch("a key of another scheme")
        return key.secret

    def to_envelope(self) -> Envelope:
        """The vector in an envelope; what was computed gets fresh randomness first."""
        raise ConfigError(f"{type(self).__name__} is not serialised")

    def to_bytes(self) -> bytes:
        """The vector as bytes."""
        return self.to_envelope().to_bytes()

    @classmethod
    def from_envelope(cls, envelope: Envelope, key: PublicKey | PrivateKey) -> Self:
        """The vector of `to_envelope`, checked against the key it is to be used with."""
        raise ConfigError(f"{cls.__name__} is not serialised")

    @classmethod
    def from_bytes(cls, data: bytes, key: PublicKey | PrivateKey) -> Self:
        """The vector of `to_bytes`.

        Raises:
            EnvelopeError: damaged, of another version or kind.
            KeyMismatch: encrypted under another key.
        """
        return cls.from_envelope(Envelope.from_bytes(data), key)

    # --- the closed type ---
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.scheme} shape={self.shape} key={self.public.key_id[:12]}>"

    def __bool__(self) -> NoReturn:
        raise SecretMisuse("an encrypted vector has no truth value", hint="Decrypt it first.")

    def __float__(self) -> NoReturn:
        raise SecretMisuse("an encrypted vector is no float", hint="Decrypt it first.")

    def __eq__(self, other: object) -> NoReturn:
        raise SecretMisuse("ciphertexts are not compared", hint="Decrypt them first.")

    def __iter__(self) -> NoReturn:
        raise SecretMisuse("an encrypted vector is not iterated", hint="Compute on the whole vector.")

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        raise SecretMisuse("an encrypted vector is no NumPy array", hint="Decrypt it first.")

    def __reduce__(self) -> NoReturn:
        raise SecretMisuse("an encrypted vector is not pickled", hint="Use to_bytes().")


def chunk_sizes(length: int, chunk: int | None, slots: int) -> tuple[int, ...]:
    """How a vector of that length is cut: chunks of `chunk` (at most `slots`) numbers, and a shorter last one."""
    if length < 1:
        raise ConfigError("an empty vector is not encrypted")
    chunk = slots if chunk is None else chunk
    if not 1 <= chunk <= slots:
        raise ConfigError(f"a chunk holds 1 … {slots} numbers, not {chunk}")
    whole, rest = divmod(length, chunk)
    return (chunk,) * whole + ((rest,) if rest else ())


def runs(sizes: Sequence[int]) -> list[list[int]]:
    """The chunk sizes as [size, how many times] pairs, for a header."""
    out: list[list[int]] = []
    for size in sizes:
        if out and out[-1][0] == size:
            out[-1][1] += 1
        else:
            out.append([size, 1])
    return out


def sizes_of(envelope: Envelope, public: LatticePublicKey) -> tuple[int, ...]:
    """The chunk sizes in a header, checked against its shape and the key's slots."""
    listed = envelope.meta.get("chunks")
    sizes: list[int] = []
    if isinstance(listed, list):
        for run in listed:
            if not (isinstance(run, list) and len(run) == 2 and all(type(x) is int for x in run)):
                raise EnvelopeError("the ciphertext's chunks are malformed")
            size, count = run
            if not (1 <= size <= public.slots and 1 <= count <= _MAX_CHUNKS - len(sizes)):
                raise EnvelopeError("the ciphertext's chunks are out of range")
            sizes += [size] * count
    if not sizes or envelope.shape != (sum(sizes),):
        raise EnvelopeError("the ciphertext's chunks do not fit its shape")
    return tuple(sizes)


def split_payload(payload: bytes, count: int) -> list[bytes]:
    """The chunks' bytes.

    Raises:
        EnvelopeError: the lengths do not fill the payload exactly.
    """
    parts, at = [], 0
    for _ in range(count):
        size = int.from_bytes(payload[at : at + _LENGTH_BYTES], "big")
        at += _LENGTH_BYTES
        if size == 0 or at + size > len(payload):
            raise EnvelopeError("a chunk of the ciphertext is cut off")
        parts.append(payload[at : at + size])
        at += size
    if at != len(payload):
        raise EnvelopeError("there are bytes behind the last chunk of the ciphertext")
    return parts


def open_envelope(envelope: Envelope, scheme: str, kind: str, key: PublicKey | PrivateKey) -> Any:
    """Check kind, key and parameters of an envelope; the public key."""
    envelope.expect(scheme, kind)
    public = key.public
    public.check(envelope.key_id)
    if envelope.parameters != public.parameter_hash:
        raise ParameterMismatch("the ciphertext was made with other parameters than the key has")
    return public

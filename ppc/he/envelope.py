"""The envelope of a serialised ciphertext: what it is, under which key, in which format, and a checksum over it all.

Layout: `PPCHE`, one byte of version, the header's length (4 bytes, big-endian), the header (canonical JSON), the
payload, and SHA-256 of everything before. The checksum finds damage; it is no signature: who can write the
file can write another ciphertext, as with every additively homomorphic scheme.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ppc.core.files import atomic_write
from ppc.errors import EnvelopeError, FileError
from ppc.he.keys import Json, canonical

VERSION: Final = 1
_MAGIC: Final = b"PPCHE"
_DIGEST: Final = 32
_MAX_HEADER: Final = 1 << 20
_MAX_DIMENSION: Final = 1 << 48
_FIELDS: Final = {"scheme", "kind", "key_id", "parameters", "shape", "dtype", "meta", "payload"}


@dataclass(frozen=True)
class Envelope:
    """One serialised ciphertext object.

    Args:
        scheme: `paillier`, `ckks`, `bfv`.
        kind: `vector`, `matrix`, `sums` …: which class reads it.
        key_id: of the key it is encrypted under.
        parameters: `PublicKey.parameter_hash` of that key.
        shape: of the encrypted array; () is a single number.
        dtype: `float64` or `int64`, of what decryption gives.
        meta: the scheme's own numbers (scale, level, head-room …).
        payload: the ciphertexts.
    """

    scheme: str
    kind: str
    key_id: str
    parameters: str
    shape: tuple[int, ...]
    dtype: str
    meta: Json = field(default_factory=dict)
    payload: bytes = b""

    def __repr__(self) -> str:
        return f"<Envelope {self.scheme} {self.kind} shape={self.shape} key={self.key_id[:12]}>"

    def to_bytes(self) -> bytes:
        header = canonical(
            {
                "scheme": self.scheme,
                "kind": self.kind,
                "key_id": self.key_id,
                "parameters": self.parameters,
                "shape": list(self.shape),
                "dtype": self.dtype,
                "meta": self.meta,
                "payload": len(self.payload),
            }
        )
        if len(header) > _MAX_HEADER:
            raise EnvelopeError(f"the header would exceed {_MAX_HEADER} bytes")
        body = _MAGIC + bytes([VERSION]) + len(header).to_bytes(4, "big") + header + self.payload
        return body + hashlib.sha256(body).digest()

    @classmethod
    def from_bytes(cls, data: bytes, where: str | None = None) -> Envelope:
        """The envelope in `data`.

        Raises:
            EnvelopeError: truncated, altered in any byte, of another version, or not an envelope.
        """
        start = len(_MAGIC) + 5
        if len(data) < start + _DIGEST or data[: len(_MAGIC)] != _MAGIC:
            raise EnvelopeError("not a ciphertext of ppc, or cut off", where=where)
        if data[len(_MAGIC)] != VERSION:
            raise EnvelopeError(
                f"the ciphertext has version {data[len(_MAGIC)]}, this ppc reads version {VERSION}", where=where
            )
        if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
            raise EnvelopeError("the ciphertext is damaged: its checksum does not fit", where=where)
        length = int.from_bytes(data[start - 4 : start], "big")
        if length > min(_MAX_HEADER, len(data) - start - _DIGEST):
            raise EnvelopeError("the ciphertext's header is longer than the file", where=where)
        return cls._of_header(data[start : start + length], data[start + length : -_DIGEST], where)

    @classmethod
    def _of_header(cls, header: bytes, payload: bytes, where: str | None) -> Envelope:
        try:
            parts = json.loads(header)
            proper = isinstance(parts, dict) and set(parts) == _FIELDS and canonical(parts) == header
        except (ValueError, RecursionError) as error:
            raise EnvelopeError("the ciphertext's header is malformed", where=where) from error
        if not proper or not _well_typed(parts):
            raise EnvelopeError("the ciphertext's header is malformed", where=where)
        if parts["payload"] != len(payload):
            raise EnvelopeError(
                f"the ciphertext has {len(payload)} bytes where its header says {parts['payload']}", where=where
            )
        return cls(
            parts["scheme"],
            parts["kind"],
            parts["key_id"],
            parts["parameters"],
            tuple(parts["shape"]),
            parts["dtype"],
            parts["meta"],
            payload,
        )

    def write(self, path: str | Path) -> None:
        """Write the envelope to a file."""
        with atomic_write(path) as out:
            out.write(self.to_bytes())

    @classmethod
    def read(cls, path: str | Path) -> Envelope:
        """The envelope in a file."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise FileError(f"cannot read the ciphertext: {error.strerror}", where=str(path)) from error
        return cls.from_bytes(data, str(path))

    def expect(self, scheme: str, kind: str, where: str | None = None) -> None:
        """Raise `EnvelopeError` unless this is a `kind` of `scheme`."""
        if (self.scheme, self.kind) != (scheme, kind):
            raise EnvelopeError(f"a {scheme} {kind} was expected, this is a {self.scheme} {self.kind}", where=where)

    def integer(self, name: str, low: int, high: int) -> int:
        """An integer of `meta`, checked to be low … high."""
        value = self.meta.get(name)
        if type(value) is not int or not low <= value <= high:
            raise EnvelopeError(f"the ciphertext's '{name}' is missing or out of its range")
        return value

    def number(self, name: str, low: float, high: float) -> float:
        """A number of `meta`, checked to be low … high."""
        value = self.meta.get(name)
        if type(value) not in (int, float) or value is None or not low <= value <= high:
            raise EnvelopeError(f"the ciphertext's '{name}' is missing or out of its range")
        return float(value)


def _well_typed(parts: dict[str, Any]) -> bool:
    texts = all(type(parts[n]) is str for n in ("scheme", "kind", "key_id", "parameters"))
    shape = parts["shape"]
    return (
        texts
        and type(shape) is list
        and len(shape) <= 2
        and all(type(d) is int and 0 <= d <= _MAX_DIMENSION for d in shape)
        and parts["dtype"] in ("float64", "int64")
        and type(parts["meta"]) is dict
        and type(parts["payload"]) is int
    )

"""Keys of every scheme: how they are named, kept in files, and told apart.

A public key has a `key_id`, the SHA-256 of what it is made of, cut to 128 bits; every ciphertext carries it. A key file
is JSON with a version and a checksum. Its private part is encrypted with AES-256-GCM under a passphrase (scrypt) or
under a key file of at least 32 random bytes (HKDF), and bound to the public part.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from ppc.core import rng
from ppc.core.files import atomic_write
from ppc.errors import ConfigError, FileError, KeyFileError, KeyMismatch, SecretMisuse, did_you_mean

KEY_FILE_VERSION: Final = 1
_FORMAT: Final = "ppc-he-key"
_MAX_FILE: Final = 1 << 30
_SCRYPT_LOG_N: Final = 17  # with r = 8: 128 MB and about a third of a second, OWASP's recommendation for scrypt
_SCRYPT_LOG_N_MAX: Final = 20  # a hostile key file must not ask for more than 1 GB
_SCHEMES: Final = {
    "paillier": ("ppc.he.paillier.keys", "PaillierPublicKey", "PaillierPrivateKey"),
    "ckks": ("ppc.he.lattice", "CkksPublicKey", "CkksPrivateKey"),
    "bfv": ("ppc.he.lattice", "BfvPublicKey", "BfvPrivateKey"),
}

Json = dict[str, Any]


def canonical(parts: Mapping[str, Any]) -> bytes:
    """JSON with one spelling only: sorted keys, no spaces, ASCII."""
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def digest_id(label: str, *parts: bytes) -> str:
    """128 bits of SHA-256 over the labelled parts, as 32 hexadecimal digits."""
    h = hashlib.sha256(f"ppc/he/{label}".encode())
    for part in parts:
        h.update(len(part).to_bytes(8, "big") + part)
    return h.hexdigest()[:32]


class PublicKey(ABC):
    """The part of a key that everyone may have: it encrypts, and computes on ciphertexts."""

    scheme: ClassVar[str]
    key_id: str
    parameters: Json  # public numbers that fix the scheme: bits, degree, scale …

    @property
    def parameter_hash(self) -> str:
        """Names the parameters, so that ciphertexts of different ones are told apart even under one key."""
        return digest_id("parameters", self.scheme.encode(), canonical(self.parameters))

    @abstractmethod
    def public_fields(self) -> Json:
        """What the key file stores of it; `from_fields` takes it back."""

    @classmethod
    @abstractmethod
    def from_fields(cls, fields: Json) -> Self:
        """The key of `public_fields`, with everything checked.

        Raises:
            KeyFileError: a field is missing or impossible.
            WeakParameters: below 128-bit security, or below 2048 bits for Paillier.
        """

    @property
    def public(self) -> Self:
        return self

    def check(self, key_id: str, what: str = "the ciphertext") -> None:
        """Raise `KeyMismatch` unless `key_id` is this key's."""
        if key_id != self.key_id:
            raise KeyMismatch(
                f"{what} belongs to key {key_id[:12]}…, not to key {self.key_id[:12]}…",
                hint="Use the key that it was encrypted under (ppc keys show FILE prints a key's id).",
            )

    def to_bytes(self) -> bytes:
        """The public key as the bytes of a key file."""
        return _seal_file({**_header(self, "public"), "public": self.public_fields()})

    def write(self, path: str | Path) -> None:
        """Write the public key to a file that anyone may read."""
        with atomic_write(path) as out:
            out.write(self.to_bytes())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_spell(self.parameters)} id={self.key_id[:12]}>"


class PrivateKey(ABC):
    """The part of a key that decrypts. Never printed, never pickled."""

    public: PublicKey

    @property
    def scheme(self) -> str:
        return self.public.scheme

    @property
    def key_id(self) -> str:
        return self.public.key_id

    @abstractmethod
    def secret_bytes(self) -> bytes:
        """The private part, for the encrypted half of a key file."""

    @classmethod
    @abstractmethod
    def from_secret(cls, public: Any, secret: bytes) -> Self:
        """The key of `public` and `secret_bytes`.

        Raises:
            KeyFileError: the private part does not belong to the public part.
        """

    def write(self, path: str | Path, *, passphrase: str | None = None, key_file: str | Path | None = None) -> None:
        """Write both parts to a file of mode 0600, the private one encrypted.

        Args:
            passphrase: at least 8 characters; or
            key_file: a file of at least 32 random bytes.
        """
        header = _header(self.public, "private")
        body = {**header, "public": self.public.public_fields()}
        body["private"] = _lock(self.secret_bytes(), canonical(body), passphrase, key_file)
        with atomic_write(path, mode=0o600) as out:
            out.write(_seal_file(body))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_spell(self.public.parameters)} id={self.key_id[:12]}>"

    def __reduce__(self) -> Any:
        raise SecretMisuse("a private key is not pickled", hint="Use key.write(path, passphrase=…).")


def generate(scheme: str, **parameters: Any) -> PrivateKey:
    """A fresh key pair.

    Args:
        scheme: `paillier` (`bits`, 3072 by default, 2048 the least), `ckks` (`depth`, `scale_bits`, `rotations`) or
            `bfv` (`depth`, `plain_bits`).
        parameters: see `PaillierPrivateKey.generate`, `CkksPrivateKey.generate`, `BfvPrivateKey.generate`.

    Raises:
        WeakParameters: parameters below 128-bit security (Paillier: below 2048 bits).
        ConfigError: an unknown scheme or an impossible parameter.
    """
    make = _classes(scheme)[1].generate
    known = inspect.signature(make).parameters
    for name in parameters:
        if name not in known:
            raise ConfigError(f"{scheme} has no parameter '{name}'", hint=did_you_mean(name, known))
    key: PrivateKey = make(**parameters)
    return key


def read_public(path: str | Path) -> PublicKey:
    """The public key in a key file, public or private (the private part stays locked)."""
    return public_from_bytes(_read_file(path), where=str(path))


def public_from_bytes(data: bytes, where: str | None = None) -> PublicKey:
    """The public key of `PublicKey.to_bytes`.

    Raises:
        KeyFileError: damaged, or of another version.
    """
    return _public_of(_open_file(data, where), where)


def read_private(path: str | Path, *, passphrase: str | None = None, key_file: str | Path | None = None) -> PrivateKey:
    """The key pair in a private key file.

    Raises:
        KeyFileError: damaged, of another version, holds no private part, or the passphrase or key file is wrong.
    """
    body = _open_file(_read_file(path), str(path))
    locked = body.pop("private", None)
    if locked is None:
        raise KeyFileError("this file holds a public key; a private key is needed", where=str(path))
    body.pop("checksum", None)
    public = _public_of(body, str(path))
    secret = _unlock(locked, canonical(body), passphrase, key_file, str(path))
    private: PrivateKey = _classes(public.scheme)[1].from_secret(public, secret)
    return private


def describe(path: str | Path) -> Json:
    """What may be said of a key file: scheme, kind, id, parameters, and how its private part is locked."""
    body = _open_file(_read_file(path), str(path))
    public = _public_of(body, str(path))
    locked = body.get("private")
    return {
        "scheme": public.scheme,
        "kind": body["kind"],
        "key_id": public.key_id,
        "parameters": public.parameters,
        "locked_by": locked.get("lock") if isinstance(locked, dict) else None,
    }


def need_private(key: PublicKey | PrivateKey, what: str = "decrypting") -> PrivateKey:
    """The key itself if it is private; otherwise an error that says so."""
    if not isinstance(key, PrivateKey):
        raise KeyMismatch(f"{what} needs the private key; this is the public one", hint="Open it with read_private.")
    return key


# --- the file ---
def _header(public: PublicKey, kind: str) -> Json:
    return {
        "format": _FORMAT,
        "version": KEY_FILE_VERSION,
        "kind": kind,
        "scheme": public.scheme,
        "key_id": public.key_id,
    }


def _seal_file(body: Json) -> bytes:
    checksum = hashlib.sha256(canonical(body)).hexdigest()
    return json.dumps({**body, "checksum": checksum}, indent=1, sort_keys=True).encode() + b"\n"


def _open_file(data: bytes, where: str | None) -> Json:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise KeyFileError("not a key file: no JSON", where=where) from error
    if not isinstance(body, dict) or body.get("format") != _FORMAT:
        raise KeyFileError("not a key file of ppc", where=where)
    if body.get("version") != KEY_FILE_VERSION:
        raise KeyFileError(
            f"the key file has another version than {KEY_FILE_VERSION}", where=where, hint="Use the ppc that wrote it."
        )
    checked = {k: v for k, v in body.items() if k != "checksum"}
    try:
        intact = _seal_file(checked) == data  # the one spelling, so no byte may differ
    except ValueError:
        intact = False
    if (
        not intact
        or body.get("kind") not in ("public", "private")
        or (body["kind"] == "private") != ("private" in body)
    ):
        raise KeyFileError("the key file is damaged: its checksum does not fit", where=where)
    return body


def _public_of(body: Json, where: str | None) -> PublicKey:
    scheme, fields = body.get("scheme"), body.get("public")
    if scheme not in list(_SCHEMES) or not isinstance(fields, dict):
        raise KeyFileError("the key file names no scheme that ppc knows", where=where)
    public: PublicKey = _classes(scheme)[0].from_fields(fields)
    if public.key_id != body.get("key_id"):
        raise KeyFileError("the key file is damaged: its key id does not fit its key", where=where)
    return public


def _classes(scheme: str) -> tuple[Any, Any]:
    if scheme not in _SCHEMES:
        raise ConfigError(f"no scheme named '{scheme}'", hint=did_you_mean(scheme, _SCHEMES))
    module, public, private = _SCHEMES[scheme]
    loaded = importlib.import_module(module)
    return getattr(loaded, public), getattr(loaded, private)


def _read_file(path: str | Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise FileError(f"cannot read the key: {error.strerror}", where=str(path)) from error
    if len(data) > _MAX_FILE:
        raise KeyFileError("too large for a key file", where=str(path))
    return data


# --- the lock on the private part ---
def _lock(secret: bytes, bound_to: bytes, passphrase: str | None, key_file: str | Path | None) -> Json:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if (passphrase is None) == (key_file is None):
        raise ConfigError("a private key is written under a passphrase or a key file: give one of them")
    salt, nonce = rng.random_bytes(16), rng.random_bytes(12)
    if passphrase is not None:
        if len(passphrase) < 8:
            raise ConfigError("the passphrase has fewer than 8 characters")
        lock: Json = {"lock": "passphrase", "kdf": "scrypt", "log_n": _SCRYPT_LOG_N}
    else:
        lock = {"lock": "key-file", "kdf": "hkdf-sha256"}
    lock |= {"salt": to_text(salt), "nonce": to_text(nonce)}
    key = _derive(lock, salt, passphrase, key_file, None)
    return lock | {"data": to_text(AESGCM(key).encrypt(nonce, secret, canonical(lock) + bound_to))}


def _unlock(locked: Any, bound_to: bytes, passphrase: str | None, key_file: str | Path | None, where: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not isinstance(locked, dict):
        raise KeyFileError("the private part is malformed", where=where)
    lock = {k: v for k, v in locked.items() if k != "data"}
    salt, nonce = from_text(lock.get("salt"), where), from_text(lock.get("nonce"), where)
    data = from_text(locked.get("data"), where)
    if len(nonce) != 12:
        raise KeyFileError("the private part is malformed", where=where)
    key = _derive(lock, salt, passphrase, key_file, where)
    try:
        return AESGCM(key).decrypt(nonce, data, canonical(lock) + bound_to)
    except InvalidTag as error:
        raise KeyFileError(f"the {lock['lock'].replace('-', ' ')} does not open this key", where=where) from error


def _derive(lock: Json, salt: bytes, passphrase: str | None, key_file: str | Path | None, where: str | None) -> bytes:
    kind, log_n = (lock.get("lock"), lock.get("kdf")), lock.get("log_n")
    if kind == ("passphrase", "scrypt"):
        if passphrase is None:
            raise KeyFileError("the private key is locked by a passphrase; none was given", where=where)
        if not isinstance(log_n, int) or not 14 <= log_n <= _SCRYPT_LOG_N_MAX:
            raise KeyFileError("the private part asks for an unusual amount of work", where=where)
        return hashlib.scrypt(
            passphrase.encode(), salt=salt, n=1 << log_n, r=8, p=1, dklen=32, maxmem=(1 << log_n) * 1024 + (1 << 20)
        )
    if kind == ("key-file", "hkdf-sha256"):
        if key_file is None:
            raise KeyFileError("the private key is locked by a key file; none was given", where=where)
        return _hkdf(_read_key_file(key_file), salt)
    raise KeyFileError("the private part is locked in a way that ppc does not know", where=where)


def _read_key_file(path: str | Path) -> bytes:
    material = _read_file(path)
    if len(material) < 32:
        raise KeyFileError("a key file holds at least 32 random bytes", where=str(path))
    return material


def _hkdf(material: bytes, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt, b"ppc/he/key-file").derive(material)


# --- spelling ---
def to_text(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode()


def from_text(text: Any, where: str | None = None) -> bytes:
    """The bytes of `to_text`.

    Raises:
        KeyFileError: not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise KeyFileError("a field that should be base64 is not", where=where) from error


def _spell(parameters: Json) -> str:
    return " ".join(f"{k}={v}" for k, v in parameters.items())

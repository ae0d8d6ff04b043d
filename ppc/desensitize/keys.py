"""Keys for keyed transformations: where they come from, what is derived from them, and what never happens to them.

A `Key` holds secret bytes in this process. It shows an identifier, never its bytes, and cannot be pickled. A `KeyRef`
says where a key lies (a file, an environment variable); it holds no secret, so it may be sent to the workers of a
cluster, each of which reads the key for itself. `Keys` names several of either.

Every transformation works with a key derived for its purpose and scope by HKDF-SHA256 (RFC 5869), so one master key
serves a whole policy, and a token in one scope says nothing about a token in another.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from ppc.errors import ConfigError, KeyFileError, SecretMisuse, did_you_mean

LENGTHS: Final = (16, 24, 32, 48, 64)
_SALT: Final = b"ppc.desensitize/1"
_SIZES: Final = f"A key has {', '.join(map(str, LENGTHS[:-1]))} or {LENGTHS[-1]} bytes"
_MAX_FILE: Final = 1 << 20


class Key:
    """A secret key of 16, 24, 32, 48 or 64 bytes.

    Make one with `Key.generate()`, `Key.from_file(path)`, `Key.from_env(name)` or `Key(bytes)`.
    """

    __slots__ = ("_derived", "_material")

    def __init__(self, material: bytes, *, where: str | None = None) -> None:
        if not isinstance(material, bytes | bytearray) or len(material) not in LENGTHS:
            size = f"{len(material)} bytes" if isinstance(material, bytes | bytearray) else type(material).__name__
            raise KeyFileError(
                f"a key of {size} is not usable",
                where=where,
                hint=_SIZES + ".",
            )
        self._material = bytes(material)
        self._derived: dict[tuple[str, str, int], bytes] = {}

    @classmethod
    def generate(cls) -> Key:
        """A fresh random key of 32 bytes."""
        from ppc.core.rng import random_bytes

        return cls(random_bytes(32))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, passphrase: bytes | None = None) -> Key:
        """Read a key file: raw bytes, one line of hexadecimal or base64, or a PKCS#8 private key (PEM or DER).

        Raises KeyFileError if the file is missing, or is none of these.
        """
        where = os.fspath(path)
        try:
            with Path(path).open("rb") as f:
                content = f.read(_MAX_FILE)
        except OSError as e:
            raise KeyFileError(f"the key file can not be read: {e.strerror}", where=where) from None
        return cls(_parse(content, where, passphrase), where=where)

    @classmethod
    def from_env(cls, name: str) -> Key:
        """Read a key in hexadecimal or base64 from an environment variable."""
        text = os.environ.get(name)
        if text is None:
            raise KeyFileError("the environment variable is not set", where=f"environment variable {name}")
        return cls(_parse_text(text.strip(), f"environment variable {name}"), where=f"environment variable {name}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the key as one line of hexadecimal, readable by its owner only (mode 0600)."""
        from ppc.core.files import atomic_write

        with atomic_write(Path(path), mode=0o600) as f:
            f.write(self._material.hex().encode() + b"\n")

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that tell keys apart in reports; nothing about the key follows from them."""
        return self.derive("id", "", 4).hex()

    def derive(self, purpose: str, scope: str, length: int) -> bytes:
        """HKDF-SHA256(key, salt, purpose || 0 || scope), `length` bytes."""
        slot = (purpose, scope, length)
        found = self._derived.get(slot)
        if found is None:
            from cryptography.hazmat.primitives.hashes import SHA256
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF

            info = purpose.encode() + b"\0" + scope.encode()
            found = HKDF(SHA256(), length, _SALT, info).derive(self._material)
            self._derived[slot] = found
        return found

    def exactly(self, length: int, what: str) -> bytes:
        """The key itself, for ciphertexts of other systems; raises KeyFileError unless it has `length` bytes."""
        if len(self._material) != length:
            raise KeyFileError(
                f"{what} takes a key of {length} bytes, this one has {len(self._material)}",
                hint="Give the very key of the other system, or choose the cipher that fits its length.",
            )
        return self._material

    def __repr__(self) -> str:
        return f"<Key id={self.id}>"

    def __reduce__(self) -> NoReturn:
        raise SecretMisuse(
            "a Key can not be pickled or copied to another process",
            hint="Give a KeyRef (KeyRef.file(path) or KeyRef.env(name)): each worker then reads the key itself.",
        )


def _parse(content: bytes, where: str, passphrase: bytes | None) -> bytes:
    if b"-----BEGIN" in content or content[:1] == b"\x30":
        found = _pkcs8(content, where, passphrase)
        if found is not None:
            return found
    if len(content) in LENGTHS and not re.fullmatch(rb"[0-9A-Fa-f]+\s*", content):
        return content
    try:
        text = content.decode("ascii").strip()
    except UnicodeDecodeError:
        return content  # a wrong length: Key says so
    if not text or re.search(r"\s", text):
        return content
    return _parse_text(text, where)


def _parse_text(text: str, where: str) -> bytes:
    if re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text) and len(text) // 2 in LENGTHS:
        return bytes.fromhex(text)
    try:
        decoded = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) in LENGTHS:
        return decoded
    raise KeyFileError(
        f"{len(text)} characters that are not a key in hexadecimal or base64",
        where=where,
        hint=_SIZES + "; Key.generate().save(path) makes one.",
    )


def _pkcs8(content: bytes, where: str, passphrase: bytes | None) -> bytes | None:
    """A key of 32 bytes from a private key: HKDF over its canonical PKCS#8 bytes."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    pem = b"-----BEGIN" in content
    load = serialization.load_pem_private_key if pem else serialization.load_der_private_key
    try:
        private = load(content, passphrase)
    except TypeError:
        hint = "Give its passphrase." if passphrase is None else "Give no passphrase."
        raise KeyFileError("the private key's passphrase is missing or not wanted", where=where, hint=hint) from None
    except (ValueError, UnsupportedAlgorithm):
        if not pem:
            return None  # raw bytes may begin with 0x30 too
        raise KeyFileError("the private key is damaged, or its passphrase is wrong", where=where) from None
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return HKDF(hashes.SHA256(), 32, _SALT, b"pkcs8").derive(der)


@dataclass(frozen=True)
class KeyRef:
    """Where a key lies: `KeyRef.file(path)` or `KeyRef.env(name)`. Holds no secret; may be pickled and printed.

    `passphrase_env` names the environment variable with the passphrase of an encrypted PKCS#8 file.
    """

    kind: Literal["file", "env"]
    where: str
    passphrase_env: str | None = None

    @classmethod
    def file(cls, path: str | os.PathLike[str], *, passphrase_env: str | None = None) -> KeyRef:
        return cls("file", os.path.abspath(os.fspath(path)), passphrase_env)

    @classmethod
    def env(cls, name: str) -> KeyRef:
        return cls("env", name)

    @classmethod
    def parse(cls, text: str) -> KeyRef:
        """`env:NAME`, `file:PATH` or a path."""
        if text.startswith("env:"):
            return cls.env(text[4:])
        return cls.file(text.removeprefix("file:"))

    def load(self) -> Key:
        """Read the key; raises KeyFileError."""
        if self.kind == "env":
            return Key.from_env(self.where)
        passphrase = None
        if self.passphrase_env is not None:
            value = os.environ.get(self.passphrase_env)
            if value is None:
                raise KeyFileError(
                    "the environment variable is not set", where=f"environment variable {self.passphrase_env}"
                )
            passphrase = value.encode()
        return Key.from_file(self.where, passphrase=passphrase)


class Keys(Mapping[str, Key]):
    """Named keys. `Keys.of(x)` takes a Key, a KeyRef, or a mapping of names to either; the name is 'default' if one.

    A KeyRef is read at its first use. The object may be pickled if it holds references only.
    """

    def __init__(self, keys: Mapping[str, Key | KeyRef] | None = None, /, **named: Key | KeyRef) -> None:
        self._held: dict[str, Key | KeyRef] = {**(keys or {}), **named}
        self._loaded: dict[str, Key] = {}
        for name, key in self._held.items():
            if not isinstance(key, Key | KeyRef):
                raise ConfigError(
                    f"key '{name}' is a {type(key).__name__}",
                    hint="Give a Key (Key.from_file, Key.from_env) or a KeyRef, never the secret as a string.",
                )

    @classmethod
    def of(cls, keys: Key | KeyRef | Mapping[str, Key | KeyRef] | None) -> Keys:
        if isinstance(keys, Keys):
            return keys
        if isinstance(keys, Key | KeyRef):
            return cls(default=keys)
        if keys is not None and not isinstance(keys, Mapping):
            raise ConfigError(
                f"keys are a {type(keys).__name__}",
                hint="Give a Key, a KeyRef, or a mapping of names to them, never the secret as a string.",
            )
        return cls(keys)

    @property
    def shareable(self) -> bool:
        """Whether it holds references only, and so may be sent to other processes."""
        return all(isinstance(k, KeyRef) for k in self._held.values())

    def __getitem__(self, name: str) -> Key:
        key = self._loaded.get(name)
        if key is None:
            try:
                held = self._held[name]
            except KeyError:
                hint = (
                    did_you_mean(name, self._held) or "No key was given: pass keys=Key.from_file(path), or --key FILE."
                )
                raise ConfigError(f"no key named '{name}'", hint=hint) from None
            key = held.load() if isinstance(held, KeyRef) else held
            self._loaded[name] = key
        return key

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def __repr__(self) -> str:
        return f"<Keys {', '.join(self._held) or 'none'}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"_held": self._held, "_loaded": {}}


def needed(key: Key | None) -> Key:
    """The key of a kernel that cannot do without; the framework has refused a missing one long before."""
    if key is None:
        raise ConfigError("the transformation needs a key", hint="Give key=Key.from_file(path).")
    return key


__all__ = ["Key", "KeyRef", "Keys", "needed"]

"""Reversible encryption of values: AES-SIV (equal values stay equal), AES-GCM and SM4-GCM (they do not)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, BaseModel, Field

from ppc.desensitize import arrays as a
from ppc.desensitize._kernels import encode
from ppc.desensitize.keys import Key, needed
from ppc.desensitize.siv import Siv
from ppc.desensitize.transform import EXACT, Scope, transform
from ppc.errors import EnvelopeError, PpcError, TypeMismatchError

Mode = Literal["aes-siv", "aes-gcm", "sm4-gcm"]
Encoding = Literal["base64url", "binary"]
_KEY_BYTES: Final = {"aes-siv": 64, "aes-gcm": 32, "sm4-gcm": 16}
_NONCE: Final = 12
_TAG: Final = 16
_LETTERS: Final = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", np.uint8)
_VALUES: Final = np.full(256, 255, np.uint8)
_VALUES[_LETTERS] = np.arange(64, dtype=np.uint8)


def _encoded(kind: Any, params: BaseModel) -> Any:
    return pa.binary() if params.encoding == "binary" else pa.string()  # type: ignore[attr-defined]


def _secret(key: Key | None, mode: str, scope: str, raw_key: bool) -> bytes:
    own = needed(key)
    return own.exactly(_KEY_BYTES[mode], mode) if raw_key else own.derive(f"encrypt/{mode}", scope, _KEY_BYTES[mode])


@transform("encrypt", takes=EXACT, gives=_encoded, family="reversible", keyed="yes", reverse="decrypt", joins=True)
def encrypt(
    array: Any,
    *,
    mode: Mode = "aes-siv",
    scope: Scope = "default",
    encoding: Encoding = "base64url",
    raw_key: bool = False,
    key: Key | None = None,
) -> Any:
    """Authenticated encryption of each value's canonical text, as base64url text or binary.

    aes-siv (RFC 5297) is deterministic: joins survive, and equal values show. aes-gcm and sm4-gcm (SP 800-38D, GB/T
    36624-2018) draw a fresh 96-bit nonce for each value, so no joins; at most 2**32 values under one key and scope.
    """
    text = a.text_of(a.canonical(array, "encrypt"))
    secret = _secret(key, mode, scope, raw_key)
    if mode == "aes-siv":
        off, data = Siv(secret).seal(text)
    else:
        off, data = _seal_gcm(text, secret, mode)
    if encoding == "binary":
        return a.scrubbed(a.build(off, data, text.valid, pa.binary()))
    size = np.empty(len(text) + 1, np.int32)
    encode.base64_size(off, size)
    out = a.allocate(int(size[-1]))
    encode.base64_fill(off, data, _LETTERS, size, out)
    return a.scrubbed(a.build(size, out, text.valid))


def _seal_gcm(text: a.Text, secret: bytes, mode: str) -> tuple[Any, a.Bytes]:
    from ppc.core.rng import random_bytes

    n = len(text)
    nonces = random_bytes(_NONCE * n)
    off = (text.relative() + (_NONCE + _TAG) * np.arange(n + 1)).astype(np.int32)
    seal = _gcm(secret, mode)
    raw = text.data.tobytes() if n else b""
    pieces = []
    at = text.offsets.tolist()
    for i in range(n):
        nonce = nonces[_NONCE * i : _NONCE * i + _NONCE]
        pieces.append(nonce)
        pieces.append(seal(nonce, raw[at[i] : at[i + 1]]))
    return off, np.frombuffer(b"".join(pieces) or b"\0", np.uint8)


def _gcm(secret: bytes, mode: str) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if mode == "aes-gcm":
        aead = AESGCM(secret)
        return lambda nonce, value: aead.encrypt(nonce, value, None)

    def seal(nonce: bytes, value: bytes) -> bytes:
        encryptor = Cipher(algorithms.SM4(secret), modes.GCM(nonce)).encryptor()
        return encryptor.update(value) + encryptor.finalize() + encryptor.tag

    return seal


def _ungcm(secret: bytes, mode: str) -> Any:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    aead = AESGCM(secret) if mode == "aes-gcm" else None

    def unseal(sealed: bytes) -> bytes | None:
        if len(sealed) < _NONCE + _TAG:
            return None
        nonce, body = sealed[:_NONCE], sealed[_NONCE:]
        try:
            if aead is not None:
                return bytes(aead.decrypt(nonce, body, None))
            decryptor = Cipher(algorithms.SM4(secret), modes.GCM(nonce, body[-_TAG:])).decryptor()
            return decryptor.update(body[:-_TAG]) + decryptor.finalize()
        except InvalidTag:
            return None

    return unseal


def _type_name(value: str) -> str:
    from ppc.dataset import types

    try:
        kind = types.to_arrow(value)
    except PpcError as e:
        raise ValueError(e.what) from None
    if a.type_class(kind) not in ("string", "binary", "integer", "decimal", "bool", "date", "timestamp"):
        raise ValueError("should be string, binary, integer, decimal, bool, date or timestamp")
    return value


def _decrypted(kind: Any, params: BaseModel) -> Any:
    from ppc.dataset import types

    return types.to_arrow(params.type)  # type: ignore[attr-defined]


@transform(
    "decrypt",
    takes=frozenset({"string", "binary"}),
    gives=_decrypted,
    family="reversible",
    keyed="yes",
    reverse="encrypt",
    joins=True,
)
def decrypt(
    array: Any,
    *,
    mode: Mode = "aes-siv",
    scope: Scope = "default",
    raw_key: bool = False,
    type: Annotated[str, Field(min_length=1), AfterValidator(_type_name)] = "string",
    key: Key | None = None,
) -> Any:
    """Undo encrypt: the same mode, scope and key; `type` is what the column was ("int64", "date", …).

    Raises EnvelopeError if a value is not a ciphertext of this key, mode and scope (how many are not).
    """
    text = a.text_of(array)
    if not a.is_bytes(array.type):
        off = np.empty(len(text) + 1, np.int32)
        out = a.allocate(text.nbytes)
        if encode.base64_bytes(text.offsets, text.data, _VALUES, off, out):
            raise EnvelopeError("a value is not a ciphertext: it is not base64url", hint="Is the column encrypted?")
        text = a.Text(off, out, text.valid)
    secret = _secret(key, mode, scope, raw_key)
    present = text.present()
    if mode == "aes-siv":
        off, data, good = Siv(secret).open(text)
    else:
        unseal = _ungcm(secret, mode)
        raw = text.data.tobytes()
        at = text.offsets.tolist()
        values = [unseal(raw[at[i] : at[i + 1]]) if present[i] else b"" for i in range(len(text))]
        good = np.array([v is not None for v in values], np.bool_)
        off = np.zeros(len(text) + 1, np.int32)
        np.cumsum([len(v or b"") for v in values], out=off[1:])
        data = np.frombuffer(b"".join(v or b"" for v in values) or b"\0", np.uint8)
    bad = int(np.count_nonzero(present & ~good))
    if bad:
        raise EnvelopeError(
            f"{bad} value(s) are not ciphertexts of this key, mode and scope", hint="Use the key and scope of encrypt."
        )
    kind = _decrypted(None, decrypt.parse({"type": type}))
    if a.type_class(kind) == "binary":
        return a.build(off, data, text.valid, pa.binary())
    plain = a.build(off, data, text.valid)
    try:
        plain.validate(full=True)
        return plain if kind == pa.string() else _from_text(plain, kind)
    except pa.ArrowInvalid:
        raise TypeMismatchError(
            f"the plaintexts are not of type {type}", hint="Give the column's first type."
        ) from None


def _from_text(plain: Any, kind: Any) -> Any:
    if a.type_class(kind) == "timestamp":
        # The text is the instant in UTC, which is how Arrow takes a timestamp that gets a zone.
        return plain.cast(pa.timestamp("us")).cast(kind)
    return plain.cast(kind)

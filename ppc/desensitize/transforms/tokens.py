"""One-way transformations: keyed hashes and short tokens.

Both work on the canonical text of a value, so that the integer 42 in one table and the text '42' in another still join.
"""

from __future__ import annotations

import functools
import warnings
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field

from ppc.desensitize import arrays as a
from ppc.desensitize._kernels import digest, encode
from ppc.desensitize.blockcipher import Cmac
from ppc.desensitize.keys import Key, needed
from ppc.desensitize.transform import EXACT, STRING, Scope, transform


class UnkeyedHashWarning(UserWarning):
    """A hash without a key can be undone by hashing every phone number, and so protects little."""


@transform("token", takes=EXACT, gives=STRING, family="one way", keyed="yes", joins=True)
def token(
    array: Any, *, scope: Scope = "default", length: Annotated[int, Field(ge=13, le=25)] = 20, key: Key | None = None
) -> Any:
    """A short deterministic token: AES-CMAC (RFC 4493) under a key of this scope, in base 32.

    length: characters of 5 bits; 20 (100 bits) make a collision among 10**9 values less likely than 10**-12.
    Joins survive within a scope; tokens of two scopes are unrelated.
    """
    text = a.text_of(a.canonical(array, "token"))
    macs = Cmac(needed(key).derive("token", scope, 16)).column(text)
    # The kernel writes eight letters at a time, so the last row needs some room behind it.
    out = a.allocate(len(text) * length + 32)
    encode.base32_rows(macs.view(np.uint64), length, out)
    return a.build_fixed(length, out, len(text), text.valid)


Algorithm = Literal["sha256", "sha512", "sm3"]


@transform("hash", takes=EXACT, gives=STRING, family="one way", keyed="optional", joins=True)
def hash_(
    array: Any,
    *,
    algorithm: Algorithm = "sha256",
    scope: Scope = "default",
    keyed: bool = True,
    length: Annotated[int, Field(ge=16, le=128)] | None = None,
    key: Key | None = None,
) -> Any:
    """A hash in hexadecimal: HMAC (RFC 2104) with SHA-256, SHA-512 or SM3, under a key of this scope.

    keyed=False gives the plain hash, with a warning: whoever can list the possible values can undo it.
    length: the digits to keep (all by default).
    """
    if keyed:
        secret: bytes | None = needed(key).derive("hash", f"{algorithm}/{scope}", 32)
    else:
        warnings.warn(
            "a hash without a key is undone by hashing every possible value; give it a key", UnkeyedHashWarning, 2
        )
        secret = None
    text = a.text_of(a.canonical(array, "hash"))
    digests = digest_column(text, algorithm, secret)
    width = 2 * digests.shape[1] if length is None else min(length, 2 * digests.shape[1])
    out = a.allocate(len(text) * width)
    encode.hex_rows(digests, width, out)
    return a.build_fixed(width, out, len(text), text.valid)


def digest_column(text: a.Text, algorithm: Algorithm, hmac_key: bytes | None) -> a.Bytes:
    """The digest of every row, plain or HMAC under a key no longer than a block; uint8 (n, 32 or 64)."""
    wide = algorithm == "sha512"
    word: Any = np.uint64 if wide else np.uint32
    start = np.array(_INITIAL[algorithm], word)
    constants = np.array(_constants(80 if wide else 64, 64 if wide else 32), word)
    outer = np.zeros(0, word)
    done = 0
    if hmac_key is not None:
        done = 128 if wide else 64
        padded = np.frombuffer(hmac_key.ljust(done, b"\0"), np.uint8)
        inner, outer = start.copy(), start.copy()
        for state, byte in ((inner, 0x36), (outer, 0x5C)):
            block = padded ^ np.uint8(byte)
            if wide:
                digest.sha512_block(state, block, np.zeros(80, np.uint64), constants)
            elif algorithm == "sm3":
                digest.sm3_block(state, block, np.zeros(68, np.uint32))
            else:
                digest.sha256_block(state, block, np.zeros(68, np.uint32), constants)
        start = inner
    out = np.empty((len(text), 64 if wide else 32), np.uint8)
    if wide:
        digest.digest64(text.offsets, text.data, start, done, outer, constants, out)
    else:
        kind = digest.SM3 if algorithm == "sm3" else digest.SHA256
        digest.digest32(text.offsets, text.data, kind, start, done, outer, constants, out)
    return out


def _primes(n: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < n:
        if all(candidate % p for p in found):
            found.append(candidate)
        candidate += 1
    return found


def _root(x: int, degree: int) -> int:
    low, high = 0, 1 << (x.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= x else (low, middle - 1)
    return low


@functools.cache
def _constants(n: int, bits: int) -> list[int]:
    """FIPS 180-4, 4.2.2 and 4.2.3: the fractional parts of the cube roots of the first primes."""
    return [_root(p << (3 * bits), 3) & ((1 << bits) - 1) for p in _primes(n)]


def _initial(bits: int) -> list[int]:
    """FIPS 180-4, 5.3.3 and 5.3.5: the fractional parts of the square roots of the first eight primes."""
    return [_root(p << (2 * bits), 2) & ((1 << bits) - 1) for p in _primes(8)]


_INITIAL: Final[dict[str, list[int]]] = {
    "sha256": _initial(32),
    "sha512": _initial(64),
    # GB/T 32905-2016, 4.1.
    "sm3": [
        0x7380166F,
        0x4914B2B9,
        0x172442D7,
        0xDA8A0600,
        0xA96F30BC,
        0x163138AA,
        0xE38DEE4D,
        0xB0FB0E4E,
    ],
}

__all__ = ["UnkeyedHashWarning", "digest_column", "hash_", "token"]

"""Scalar multiplication in the group of prime order ℓ ≈ 2^252 of edwards25519, on whole arrays of points.

For processors with AVX-512 IFMA (`available`), where eight points share one instruction stream: about five times
libsodium's speed on one core. The results are libsodium's, byte for byte: `multiply` is that of
`crypto_scalarmult_ed25519_noclamp`, with the same refusals, and `hash_and_multiply` starts from
`crypto_core_ed25519_from_uniform`. Constant time in scalars and points (`_edwards25519`).

Points are rows of 32 bytes (RFC 8032, section 5.1.2).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ppc.core import cpu
from ppc.errors import ConfigError

Octets = NDArray[np.uint8]
Digits = NDArray[np.int64]

CALL = 512  # points a call: one inversion serves all of them


def available() -> bool:
    """True if the processor has the instructions."""
    return cpu.has("avx512f") and cpu.has("avx512dq") and cpu.has("avx512ifma")


def multiply(points: Octets, scalars: bytes | Octets) -> Octets | None:
    """scalar · P for each point (n, 32), n <= 512; None unless all are canonical and in the group, and none neutral.

    Args: scalars: one of 32 bytes below 2^255 for all points, or one for each (n, 32); little-endian.
    """
    from ppc.core import _edwards25519 as kernels

    out = np.empty((len(points), 4), np.uint64)
    good = kernels.multiply(
        _words(points), *_lanes(scalars, len(points)), _order_digits(), kernels.CONSTANTS, out
    )  # fmt: skip
    return _octets(out) if good else None


def hash_and_multiply(uniform: Octets, scalars: bytes | Octets) -> Octets:
    """scalar · H(u) for uniform rows of 32 bytes (n, 32), n <= 512; H is Elligator 2 times the cofactor."""
    from ppc.core import _edwards25519 as kernels

    out = np.empty((len(uniform), 4), np.uint64)
    kernels.hash_and_multiply(_words(uniform), *_lanes(scalars, len(uniform)), kernels.CONSTANTS, out)
    return _octets(out)


def _words(rows: Octets) -> NDArray[np.uint64]:
    if not 1 <= len(rows) <= CALL:
        raise ConfigError(f"a call takes 1 to {CALL} points, not {len(rows)}")
    words: NDArray[np.uint64] = np.ascontiguousarray(rows).view("<u8").astype(np.uint64)
    return words


def _octets(words: NDArray[np.uint64]) -> Octets:
    return words.astype("<u8", copy=False).view(np.uint8).reshape(-1, 32)


def _lanes(scalars: bytes | Octets, n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Sizes and sign masks of the digits, most significant first: (groups or 1, 64, 8)."""
    if isinstance(scalars, bytes):
        digits = np.repeat(signed_digits(np.frombuffer(scalars, np.uint8).reshape(1, 32)), 8, axis=0)
    else:
        digits = signed_digits(scalars)
        digits = np.concatenate([digits, np.repeat(digits[-1:], -n % 8, axis=0)])
    turned = np.ascontiguousarray(digits[:, ::-1].reshape(-1, 8, 64).transpose(0, 2, 1))
    negative = turned >> 63  # −1 or 0
    return ((turned ^ negative) - negative).astype(np.uint64), negative.astype(np.uint64)


def signed_digits(scalars: Octets) -> Digits:
    """Scalars (n, 32) below 2^255 as digits −8 … 8 of base 16, least significant first; int64 (n, 64). No branches."""
    nibbles = np.stack([scalars & 15, scalars >> 4], axis=2).reshape(len(scalars), 64).astype(np.int64)
    nibbles[:, 63] &= 7
    for k in range(63):
        carry = (nibbles[:, k] + 8) >> 4
        nibbles[:, k] -= carry << 4
        nibbles[:, k + 1] += carry
    return nibbles


@cache
def _order_digits() -> Digits:
    from ppc.core._edwards25519 import ORDER

    return np.ascontiguousarray(signed_digits(np.frombuffer(ORDER.to_bytes(32, "little"), np.uint8)[None])[0, ::-1])

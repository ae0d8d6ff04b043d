"""Shamir's secret sharing over GF(2**255 − 19): any `threshold` shares give the secret, fewer tell nothing of it.

Source: Shamir, "How to share a secret", CACM 1979. A secret is a uniform element of the field; keys are derived from it
by hashing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ppc.core.rng import random_bytes
from ppc.errors import ConfigError, ProtocolAbort

PRIME: Final = 2**255 - 19
SHARE_BYTES: Final = 32


def random_element() -> int:
    """A uniform element of the field (64 random bytes reduced: the bias is below 2**-256)."""
    return int.from_bytes(random_bytes(64), "little") % PRIME


def split(secret: int, points: Sequence[int], threshold: int) -> list[bytes]:
    """Shares of `secret`, 32 bytes each, one for every point (distinct, 1 … PRIME − 1)."""
    if not 1 <= threshold <= len(points):
        raise ConfigError(f"a threshold of {threshold} for {len(points)} shares")
    coefficients = [secret, *(random_element() for _ in range(threshold - 1))]
    shares = []
    for x in points:
        y = 0
        for c in reversed(coefficients):
            y = (y * x + c) % PRIME
        shares.append(y.to_bytes(SHARE_BYTES, "little"))
    return shares


def weights(points: Sequence[int]) -> list[int]:
    """Lagrange's coefficients at 0 for these points: the secret is the weighted sum of their shares."""
    found = []
    for x in points:
        above = below = 1
        for other in points:
            if other != x:
                above = above * other % PRIME
                below = below * (other - x) % PRIME
        found.append(above * pow(below, -1, PRIME) % PRIME)
    return found


def join(shares: Mapping[int, bytes], threshold: int) -> int:
    """The secret of at least `threshold` shares, given by point; `ProtocolAbort` if there are fewer."""
    if len(shares) < threshold:
        raise ProtocolAbort(f"{len(shares)} shares of a key are left, and {threshold} are needed")
    points = sorted(shares)[:threshold]
    values = [int.from_bytes(shares[p], "little") for p in points]
    return sum(w * v for w, v in zip(weights(points), values, strict=True)) % PRIME

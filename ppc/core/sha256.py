"""SHA-256 of whole columns: many short messages a call, without an object for each (FIPS 180-4).

The compression function is the processor's where `ppc.core.cpu` finds its SHA instructions, and portable loops
elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ppc.core import cpu

Octets = NDArray[np.uint8]
Offsets = NDArray[np.int64]


def digests(prefix: bytes, columns: Sequence[tuple[Octets, Offsets]], rows: int) -> Octets:
    """SHA-256 of `prefix` and then, for each column, the value's length (8 bytes, little-endian) and the value.

    Args: columns: bytes and offsets (rows + 1,) as in Arrow's large_binary: value i is data[offsets[i]:offsets[i+1]].

    Returns: uint8 (rows, 32).
    """
    from ppc.core import _kernels_sha256

    sizes = np.full(rows, len(prefix), np.int64)
    for _, offsets in columns:
        sizes += np.diff(offsets) + 8
    starts = np.zeros(rows + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    messages = np.empty(starts[-1], np.uint8)
    cursor = starts[:-1].copy()
    for k, octet in enumerate(prefix):
        messages[cursor + k] = octet
    cursor += len(prefix)
    for data, offsets in columns:
        _kernels_sha256.append(data, offsets, messages, cursor)
    return _digest(messages, starts)


def rows(messages: Octets) -> Octets:
    """SHA-256 of each row; uint8 (n, width) to (n, 32)."""
    n, width = messages.shape
    starts = width * np.arange(n + 1, dtype=np.int64)
    return _digest(np.ascontiguousarray(messages).reshape(-1), starts)


def _digest(messages: Octets, starts: Offsets) -> Octets:
    """SHA-256 of messages[starts[i]:starts[i+1]]; uint8 (n, 32)."""
    out = np.empty((len(starts) - 1, 32), np.uint8)
    initial, constants = _constants()
    if cpu.has("sha"):
        from ppc.core import _intrinsics_sha256 as sha

        state, tail = np.empty(8, np.uint32), np.empty(128, np.uint8)
        sha.digest(messages, starts, initial[[*sha.ABEF, *sha.CDGH]], constants, out, state, tail)
    else:
        from ppc.core import _kernels_sha256

        _kernels_sha256.digest(messages, starts, initial, constants, out)
    return out


@cache
def _constants() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The initial state and the round constants: fractions of square and cube roots of the first primes."""
    primes: list[int] = []
    candidate = 2
    while len(primes) < 64:
        if all(candidate % p for p in primes):
            primes.append(candidate)
        candidate += 1
    initial = [math.isqrt(p << 64) & 0xFFFFFFFF for p in primes[:8]]
    return np.array(initial, np.uint32), np.array([_cube_root(p << 96) & 0xFFFFFFFF for p in primes], np.uint32)


def _cube_root(n: int) -> int:
    """⌊n^(1/3)⌋ of an integer."""
    low, high = 0, 1 << (n.bit_length() // 3 + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**3 <= n:
            low = middle
        else:
            high = middle - 1
    return low

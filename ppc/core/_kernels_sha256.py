# mypy: disallow-untyped-decorators=False
"""SHA-256 of many short messages, one after another in a buffer. Portable; no branch depends on a message's bytes."""

from __future__ import annotations

import numpy as np
from numba import njit, uint32, uint64
from numpy.typing import NDArray

Octets = NDArray[np.uint8]
Offsets = NDArray[np.int64]


@njit(inline="always")
def _rotate(x: np.uint32, n: int) -> np.uint32:
    return uint32((x >> uint32(n)) | (x << uint32(32 - n)))


@njit(cache=True, nogil=True, error_model="numpy")
def append(data: Octets, offsets: Offsets, out: Octets, cursor: Offsets) -> None:
    """Value i, data[offsets[i]:offsets[i+1]], goes to out[cursor[i]:] after its length in 8 bytes; cursor moves on."""
    for i in range(cursor.shape[0]):
        at = cursor[i]
        size = offsets[i + 1] - offsets[i]
        for k in range(8):
            out[at + k] = (uint64(size) >> uint64(8 * k)) & uint64(255)
        at += 8
        start = offsets[i]
        for k in range(size):
            out[at + k] = data[start + k]
        cursor[i] = at + size


@njit(cache=True, nogil=True, error_model="numpy")
def digest(
    data: Octets, offsets: Offsets, initial: NDArray[np.uint32], constants: NDArray[np.uint32], out: Octets
) -> None:
    """out[i] (32 bytes) = SHA-256 of data[offsets[i]:offsets[i+1]]. FIPS 180-4, sections 5.1.1 and 6.2.2."""
    w = np.empty(64, np.uint32)
    block = np.empty(64, np.uint8)
    state = np.empty(8, np.uint32)
    for i in range(offsets.shape[0] - 1):
        start, size = offsets[i], offsets[i + 1] - offsets[i]
        for k in range(8):
            state[k] = initial[k]
        blocks = (size + 8) // 64 + 1
        for b in range(blocks):
            base = 64 * b
            for k in range(64):
                at = base + k
                if at < size:
                    block[k] = data[start + at]
                else:
                    block[k] = 0x80 if at == size else 0
            if b == blocks - 1:
                bits = uint64(8 * size)
                for k in range(8):
                    block[56 + k] = (bits >> uint64(56 - 8 * k)) & uint64(255)
            for k in range(16):
                w[k] = (
                    (uint32(block[4 * k]) << uint32(24))
                    | (uint32(block[4 * k + 1]) << uint32(16))
                    | (uint32(block[4 * k + 2]) << uint32(8))
                    | uint32(block[4 * k + 3])
                )
            for k in range(16, 64):
                x, y = w[k - 15], w[k - 2]
                s0 = _rotate(x, 7) ^ _rotate(x, 18) ^ (x >> uint32(3))
                s1 = _rotate(y, 17) ^ _rotate(y, 19) ^ (y >> uint32(10))
                w[k] = uint32(w[k - 16] + s0 + w[k - 7] + s1)
            a, bb, c, d = state[0], state[1], state[2], state[3]
            e, f, g, h = state[4], state[5], state[6], state[7]
            for k in range(64):
                t1 = uint32(
                    h + (_rotate(e, 6) ^ _rotate(e, 11) ^ _rotate(e, 25)) + ((e & f) ^ (~e & g)) + constants[k] + w[k]
                )
                t2 = uint32((_rotate(a, 2) ^ _rotate(a, 13) ^ _rotate(a, 22)) + ((a & bb) ^ (a & c) ^ (bb & c)))
                h, g, f = g, f, e
                e = uint32(d + t1)
                d, c, bb = c, bb, a
                a = uint32(t1 + t2)
            state[0] += a
            state[1] += bb
            state[2] += c
            state[3] += d
            state[4] += e
            state[5] += f
            state[6] += g
            state[7] += h
        for k in range(8):
            for q in range(4):
                out[i, 4 * k + q] = (state[k] >> uint32(24 - 8 * q)) & uint32(255)

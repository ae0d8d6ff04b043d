"""Kernels that turn digests into text of a fixed width, and bytes to and from base64url."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any


@njit(cache=True, nogil=True)
def hex_rows(digests: Array, width: int, out: Array) -> None:
    """The first `width` lower-case hexadecimal digits of each row of digests (n, bytes)."""
    for i in range(digests.shape[0]):
        q = i * width
        for j in range(width):
            byte = digests[i, j >> 1]
            nibble = (byte >> 4) if (j & 1) == 0 else (byte & 15)
            out[q + j] = nibble + (48 if nibble < 10 else 87)


@njit(cache=True, nogil=True)
def base32_rows(macs: Array, width: int, letters: Array, out: Array) -> None:
    """The first `width` base-32 characters (5 bits each, most significant first) of 16-byte rows; width <= 25."""
    five = np.uint64(31)
    for i in range(macs.shape[0]):
        high = np.uint64(0)
        low = np.uint64(0)
        for j in range(8):
            high = (high << np.uint64(8)) | np.uint64(macs[i, j])
            low = (low << np.uint64(8)) | np.uint64(macs[i, 8 + j])
        q = i * width
        # 60 bits are twelve characters; the next come from the 4 bits left over and from the lower half.
        rest = (high << np.uint64(60)) | (low >> np.uint64(4))
        k = min(width, 12)
        for j in range(k):
            out[q + j] = letters[(high >> np.uint64(59 - 5 * j)) & five]
        k = min(width, 24)
        for j in range(12, k):
            out[q + j] = letters[(rest >> np.uint64(59 - 5 * (j - 12))) & five]
        for j in range(24, width):
            out[q + j] = letters[(low >> np.uint64(3)) & five]


@njit(cache=True, nogil=True)
def base64_size(off: Array, out_off: Array) -> None:
    """Offsets of unpadded base64url text."""
    total = 0
    out_off[0] = 0
    for i in range(off.shape[0] - 1):
        total += ((off[i + 1] - off[i]) * 4 + 2) // 3
        out_off[i + 1] = total


@njit(cache=True, nogil=True)
def base64_fill(off: Array, data: Array, letters: Array, out_off: Array, out: Array) -> None:
    """Unpadded base64url (RFC 4648, section 5) of every row."""
    for i in range(off.shape[0] - 1):
        p, stop = off[i], off[i + 1]
        q = out_off[i]
        while p + 3 <= stop:
            v = (np.uint32(data[p]) << 16) | (np.uint32(data[p + 1]) << 8) | np.uint32(data[p + 2])
            out[q] = letters[v >> 18]
            out[q + 1] = letters[(v >> 12) & 63]
            out[q + 2] = letters[(v >> 6) & 63]
            out[q + 3] = letters[v & 63]
            p += 3
            q += 4
        if stop - p == 1:
            v = np.uint32(data[p]) << 16
            out[q] = letters[v >> 18]
            out[q + 1] = letters[(v >> 12) & 63]
        elif stop - p == 2:
            v = (np.uint32(data[p]) << 16) | (np.uint32(data[p + 1]) << 8)
            out[q] = letters[v >> 18]
            out[q + 1] = letters[(v >> 12) & 63]
            out[q + 2] = letters[(v >> 6) & 63]


@njit(cache=True, nogil=True)
def base64_bytes(off: Array, data: Array, values: Array, out_off: Array, out: Array) -> int:
    """Decode unpadded base64url; return the number of rows that are not (values: letter -> 0..63, else 255)."""
    bad = 0
    q = 0
    out_off[0] = 0
    for i in range(off.shape[0] - 1):
        p, stop = off[i], off[i + 1]
        ok = (stop - p) % 4 != 1
        acc = np.uint32(0)
        bits = 0
        for j in range(p, stop):
            v = values[data[j]]
            if v == 255:
                ok = False
                break
            acc = ((acc << 6) | np.uint32(v)) & np.uint32(0xFFFFFF)
            bits += 6
            if bits >= 8:
                bits -= 8
                out[q] = np.uint8((acc >> bits) & 255)
                q += 1
        if not ok or (acc & ((np.uint32(1) << bits) - np.uint32(1))) != 0:
            bad += 1
        out_off[i + 1] = q
    return bad

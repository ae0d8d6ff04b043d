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


@njit(cache=True, nogil=True, inline="always")
def _swap(x: Any) -> Any:
    """The word with its bytes in reverse order."""
    x = ((x & np.uint64(0x00FF00FF00FF00FF)) << np.uint64(8)) | ((x >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF))
    x = ((x & np.uint64(0x0000FFFF0000FFFF)) << np.uint64(16)) | ((x >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF))
    return (x << np.uint64(32)) | (x >> np.uint64(32))


@njit(cache=True, nogil=True, inline="always")
def _eight(bits: Any) -> Any:
    """The top 40 bits of a word as eight letters a-z2-7, the first in the lowest byte; all eight at once."""
    # Spread 40 bits to eight bytes of five: halves of 20, quarters of 10, eighths of 5, most significant first.
    x = (bits >> np.uint64(44)) | (((bits >> np.uint64(24)) & np.uint64(0xFFFFF)) << np.uint64(32))
    x = ((x >> np.uint64(10)) & np.uint64(0x000003FF000003FF)) | ((x & np.uint64(0x000003FF000003FF)) << np.uint64(16))
    x = ((x >> np.uint64(5)) & np.uint64(0x001F001F001F001F)) | ((x & np.uint64(0x001F001F001F001F)) << np.uint64(8))
    # Bytes of 26 and more become digits: 'a' + 26 - 73 is '2'.
    digit = ((x + np.uint64(0x6666666666666666)) & np.uint64(0x8080808080808080)) >> np.uint64(7)
    return x + np.uint64(0x6161616161616161) - digit * np.uint64(73)


@njit(cache=True, nogil=True, inline="always")
def _store8(out: Array, p: Any, word: Any) -> None:
    """Eight bytes at p, the lowest first: one store after compilation."""
    out[p] = np.uint8(word & np.uint64(255))
    out[p + np.uint64(1)] = np.uint8((word >> np.uint64(8)) & np.uint64(255))
    out[p + np.uint64(2)] = np.uint8((word >> np.uint64(16)) & np.uint64(255))
    out[p + np.uint64(3)] = np.uint8((word >> np.uint64(24)) & np.uint64(255))
    out[p + np.uint64(4)] = np.uint8((word >> np.uint64(32)) & np.uint64(255))
    out[p + np.uint64(5)] = np.uint8((word >> np.uint64(40)) & np.uint64(255))
    out[p + np.uint64(6)] = np.uint8((word >> np.uint64(48)) & np.uint64(255))
    out[p + np.uint64(7)] = np.uint8((word >> np.uint64(56)) & np.uint64(255))


@njit(cache=True, nogil=True)
def base32_rows(macs: Array, width: int, out: Array) -> None:
    """The first `width` (8 to 25) base-32 letters of rows of two little-endian words; out has 32 bytes to spare.

    RFC 4648's alphabet in lower case, 5 bits a letter, the most significant bit of the row first.
    """
    w = np.uint64(width)
    eight = np.uint64(8)
    for i in range(macs.shape[0]):
        high = _swap(macs[i, 0])
        low = _swap(macs[i, 1])
        q = np.uint64(i) * w
        # What is written beyond the row's width, the next row overwrites.
        _store8(out, q, _eight(high))
        _store8(out, q + eight, _eight((high << np.uint64(40)) | (low >> np.uint64(24))))
        if width > 16:
            _store8(out, q + np.uint64(16), _eight(low << np.uint64(16)))
        if width > 24:
            last = (low >> np.uint64(3)) & np.uint64(31)
            out[q + np.uint64(24)] = np.uint8(last + np.uint64(97) if last < np.uint64(26) else last + np.uint64(24))


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

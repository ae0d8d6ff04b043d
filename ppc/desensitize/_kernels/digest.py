"""SHA-256, SHA-512 (FIPS 180-4) and SM3 (GB/T 32905-2016) over the rows of a string array, plain or as HMAC.

One driver for each word size: `begin` is the state to start from (after the 64- or 128-byte key block of HMAC, then
`done` counts that block), and a non-empty `outer` is the state for HMAC's second hash (RFC 2104).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any

SHA256: int = 0
SM3: int = 1


@njit(cache=True, nogil=True, inline="always")
def _rotl(x: Any, n: int) -> Any:
    return np.uint32((x << np.uint32(n)) | (x >> np.uint32(32 - n)))


@njit(cache=True, nogil=True, inline="always")
def _rotr(x: Any, n: int) -> Any:
    return np.uint32((x >> np.uint32(n)) | (x << np.uint32(32 - n)))


@njit(cache=True, nogil=True, inline="always")
def _round256(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, k: Any, w: Any) -> Any:
    """One round; returns the new d and h. Eight of these in a row, with the letters rotated, need no moves."""
    s1 = _rotr(e, 6) ^ _rotr(e, 11) ^ _rotr(e, 25)
    t1 = np.uint32(h + s1 + (g ^ (e & (f ^ g))) + k + w)
    s0 = _rotr(a, 2) ^ _rotr(a, 13) ^ _rotr(a, 22)
    return np.uint32(d + t1), np.uint32(t1 + s0 + ((a & b) | (c & (a | b))))


@njit(cache=True, nogil=True)
def sha256_block(state: Array, block: Array, w: Array, k: Array) -> None:
    """One SHA-256 compression of 64 bytes; w is scratch of 64 words, k the round constants."""
    for t in range(16):
        j = 4 * t
        w[t] = (
            (np.uint32(block[j]) << np.uint32(24))
            | (np.uint32(block[j + 1]) << np.uint32(16))
            | (np.uint32(block[j + 2]) << np.uint32(8))
            | np.uint32(block[j + 3])
        )
    for t in range(16, 64):
        x = w[t - 15]
        y = w[t - 2]
        s0 = _rotr(x, 7) ^ _rotr(x, 18) ^ (x >> np.uint32(3))
        s1 = _rotr(y, 17) ^ _rotr(y, 19) ^ (y >> np.uint32(10))
        w[t] = w[t - 16] + s0 + w[t - 7] + s1
    a, b, c, d, e, f, g, h = state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
    for t in range(0, 64, 8):
        d, h = _round256(a, b, c, d, e, f, g, h, k[t], w[t])
        c, g = _round256(h, a, b, c, d, e, f, g, k[t + 1], w[t + 1])
        b, f = _round256(g, h, a, b, c, d, e, f, k[t + 2], w[t + 2])
        a, e = _round256(f, g, h, a, b, c, d, e, k[t + 3], w[t + 3])
        h, d = _round256(e, f, g, h, a, b, c, d, k[t + 4], w[t + 4])
        g, c = _round256(d, e, f, g, h, a, b, c, k[t + 5], w[t + 5])
        f, b = _round256(c, d, e, f, g, h, a, b, k[t + 6], w[t + 6])
        e, a = _round256(b, c, d, e, f, g, h, a, k[t + 7], w[t + 7])
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d
    state[4] += e
    state[5] += f
    state[6] += g
    state[7] += h


@njit(cache=True, nogil=True)
def sm3_block(state: Array, block: Array, w: Array) -> None:
    """One SM3 compression of 64 bytes; w is scratch of 68 words (GB/T 32905-2016, 5.3)."""
    for t in range(16):
        j = 4 * t
        w[t] = (
            (np.uint32(block[j]) << np.uint32(24))
            | (np.uint32(block[j + 1]) << np.uint32(16))
            | (np.uint32(block[j + 2]) << np.uint32(8))
            | np.uint32(block[j + 3])
        )
    for t in range(16, 68):
        x = w[t - 16] ^ w[t - 9] ^ _rotl(w[t - 3], 15)
        w[t] = x ^ _rotl(x, 15) ^ _rotl(x, 23) ^ _rotl(w[t - 13], 7) ^ w[t - 6]
    a, b, c, d, e, f, g, h = state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
    const = np.uint32(0x79CC4519)
    for t in range(64):
        if t == 16:
            # T_16 is 0x7A879D8A rotated left by 16.
            const = _rotl(np.uint32(0x7A879D8A), 16)
        a12 = _rotl(a, 12)
        ss1 = _rotl(np.uint32(a12 + e + const), 7)
        ss2 = ss1 ^ a12
        if t < 16:
            ff = a ^ b ^ c
            gg = e ^ f ^ g
        else:
            ff = (a & b) | (a & c) | (b & c)
            gg = (e & f) | (~e & g)
        tt1 = np.uint32(ff + d + ss2 + (w[t] ^ w[t + 4]))
        tt2 = np.uint32(gg + h + ss1 + w[t])
        d = c
        c = _rotl(b, 9)
        b = a
        a = tt1
        h = g
        g = _rotl(f, 19)
        f = e
        e = np.uint32(tt2 ^ _rotl(tt2, 9) ^ _rotl(tt2, 17))
        const = _rotl(const, 1)
    state[0] ^= a
    state[1] ^= b
    state[2] ^= c
    state[3] ^= d
    state[4] ^= e
    state[5] ^= f
    state[6] ^= g
    state[7] ^= h


@njit(cache=True, nogil=True, inline="always")
def _block32(kind: int, state: Array, block: Array, w: Array, k: Array) -> None:
    if kind == 0:
        sha256_block(state, block, w, k)
    else:
        sm3_block(state, block, w)


@njit(cache=True, nogil=True)
def digest32(off: Array, data: Array, kind: int, begin: Array, done: int, outer: Array, k: Array, out: Array) -> None:
    """Digests (n, 32) of every row with SHA-256 (kind 0) or SM3 (kind 1)."""
    block = np.zeros(64, np.uint8)
    w = np.zeros(68, np.uint32)
    state = np.zeros(8, np.uint32)
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        bits = np.uint64(stop - start + done) << np.uint64(3)
        for j in range(8):
            state[j] = begin[j]
        p = start
        while p + 64 <= stop:
            _block32(kind, state, data[p : p + 64], w, k)
            p += 64
        rest = stop - p
        for j in range(rest):
            block[j] = data[p + j]
        block[rest] = 0x80
        for j in range(rest + 1, 64):
            block[j] = 0
        if rest > 55:
            _block32(kind, state, block, w, k)
            for j in range(56):
                block[j] = 0
        for j in range(8):
            block[63 - j] = np.uint8((bits >> np.uint64(8 * j)) & np.uint64(255))
        _block32(kind, state, block, w, k)
        if outer.shape[0] > 0:
            for j in range(8):
                word = state[j]
                for b in range(4):
                    block[4 * j + b] = np.uint8((word >> np.uint32(24 - 8 * b)) & np.uint32(255))
                state[j] = outer[j]
            block[32] = 0x80
            for j in range(33, 64):
                block[j] = 0
            block[62] = 3  # 96 bytes are 768 bits = 0x0300
            _block32(kind, state, block, w, k)
        for j in range(8):
            word = state[j]
            for b in range(4):
                out[i, 4 * j + b] = np.uint8((word >> np.uint32(24 - 8 * b)) & np.uint32(255))


@njit(cache=True, nogil=True, inline="always")
def _rotr64(x: Any, n: int) -> Any:
    return (x >> np.uint64(n)) | (x << np.uint64(64 - n))


@njit(cache=True, nogil=True, inline="always")
def _round512(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, k: Any, w: Any) -> Any:
    """One round of SHA-512; see _round256."""
    s1 = _rotr64(e, 14) ^ _rotr64(e, 18) ^ _rotr64(e, 41)
    t1 = h + s1 + (g ^ (e & (f ^ g))) + k + w
    s0 = _rotr64(a, 28) ^ _rotr64(a, 34) ^ _rotr64(a, 39)
    return d + t1, t1 + s0 + ((a & b) | (c & (a | b)))


@njit(cache=True, nogil=True)
def sha512_block(state: Array, block: Array, w: Array, k: Array) -> None:
    """One SHA-512 compression of 128 bytes; w is scratch of 80 words, k the round constants."""
    for t in range(16):
        value = np.uint64(0)
        for j in range(8):
            value = (value << np.uint64(8)) | np.uint64(block[8 * t + j])
        w[t] = value
    for t in range(16, 80):
        x = w[t - 15]
        y = w[t - 2]
        s0 = _rotr64(x, 1) ^ _rotr64(x, 8) ^ (x >> np.uint64(7))
        s1 = _rotr64(y, 19) ^ _rotr64(y, 61) ^ (y >> np.uint64(6))
        w[t] = w[t - 16] + s0 + w[t - 7] + s1
    a, b, c, d, e, f, g, h = state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
    for t in range(0, 80, 8):
        d, h = _round512(a, b, c, d, e, f, g, h, k[t], w[t])
        c, g = _round512(h, a, b, c, d, e, f, g, k[t + 1], w[t + 1])
        b, f = _round512(g, h, a, b, c, d, e, f, k[t + 2], w[t + 2])
        a, e = _round512(f, g, h, a, b, c, d, e, k[t + 3], w[t + 3])
        h, d = _round512(e, f, g, h, a, b, c, d, k[t + 4], w[t + 4])
        g, c = _round512(d, e, f, g, h, a, b, c, k[t + 5], w[t + 5])
        f, b = _round512(c, d, e, f, g, h, a, b, k[t + 6], w[t + 6])
        e, a = _round512(b, c, d, e, f, g, h, a, k[t + 7], w[t + 7])
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d
    state[4] += e
    state[5] += f
    state[6] += g
    state[7] += h


@njit(cache=True, nogil=True)
def digest64(off: Array, data: Array, begin: Array, done: int, outer: Array, k: Array, out: Array) -> None:
    """SHA-512 digests (n, 64) of every row."""
    block = np.zeros(128, np.uint8)
    w = np.zeros(80, np.uint64)
    state = np.zeros(8, np.uint64)
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        bits = np.uint64(stop - start + done) << np.uint64(3)
        for j in range(8):
            state[j] = begin[j]
        p = start
        while p + 128 <= stop:
            sha512_block(state, data[p : p + 128], w, k)
            p += 128
        rest = stop - p
        for j in range(rest):
            block[j] = data[p + j]
        block[rest] = 0x80
        for j in range(rest + 1, 128):
            block[j] = 0
        if rest > 111:
            sha512_block(state, block, w, k)
            for j in range(120):
                block[j] = 0
        for j in range(8):
            block[127 - j] = np.uint8((bits >> np.uint64(8 * j)) & np.uint64(255))
        sha512_block(state, block, w, k)
        if outer.shape[0] > 0:
            for j in range(8):
                word = state[j]
                for b in range(8):
                    block[8 * j + b] = np.uint8((word >> np.uint64(56 - 8 * b)) & np.uint64(255))
                state[j] = outer[j]
            block[64] = 0x80
            for j in range(65, 128):
                block[j] = 0
            block[126] = 6  # 192 bytes are 1536 bits = 0x0600
            sha512_block(state, block, w, k)
        for j in range(8):
            word = state[j]
            for b in range(8):
                out[i, 8 * j + b] = np.uint8((word >> np.uint64(56 - 8 * b)) & np.uint64(255))

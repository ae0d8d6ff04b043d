"""Kernels that lay a column out as AES blocks: CMAC (RFC 4493) and counter mode; AES itself is one OpenSSL call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any


@njit(cache=True, nogil=True, inline="always")
def load8(data: Array, p: Any) -> Any:
    """Eight bytes from p (unsigned, so that no sign is tested) as a little-endian word: one load after compilation."""
    return (
        np.uint64(data[p])
        | (np.uint64(data[p + np.uint64(1)]) << np.uint64(8))
        | (np.uint64(data[p + np.uint64(2)]) << np.uint64(16))
        | (np.uint64(data[p + np.uint64(3)]) << np.uint64(24))
        | (np.uint64(data[p + np.uint64(4)]) << np.uint64(32))
        | (np.uint64(data[p + np.uint64(5)]) << np.uint64(40))
        | (np.uint64(data[p + np.uint64(6)]) << np.uint64(48))
        | (np.uint64(data[p + np.uint64(7)]) << np.uint64(56))
    )


@njit(cache=True, nogil=True)
def cmac_first(off: Array, data: Array, k1: Array, k2: Array, words: Array, blocks: Array, count: Array) -> int:
    """Write every row's first CMAC block into blocks (n, 16) and its number of blocks into `count`; return the most.

    A last block is already whitened: with K1 if it is full, padded with 10* and whitened with K2 if not.
    words: the blocks and keys as little-endian 64-bit words, (n + 2, 2): the last two rows are K1 and K2.
    """
    most = 1
    n = off.shape[0] - 1
    end = data.shape[0] - 16
    low1, high1, low2, high2 = words[n, 0], words[n, 1], words[n + 1, 0], words[n + 1, 1]
    one = np.uint64(1)
    for i in range(n):
        start = off[i]
        size = off[i + 1] - start
        if size <= 16 and start <= end:
            # Sixteen bytes lie there, of this row and perhaps of the next: read them, and keep what is ours.
            count[i] = 1
            p = np.uint64(start)
            low = load8(data, p)
            high = load8(data, p + np.uint64(8))
            if size == 16:
                words[i, 0] = low ^ low1
                words[i, 1] = high ^ high1
            elif size < 8:
                bit = np.uint64(8 * size)
                words[i, 0] = ((low & ((one << bit) - one)) | (np.uint64(0x80) << bit)) ^ low2
                words[i, 1] = high2
            else:
                bit = np.uint64(8 * size - 64)
                words[i, 0] = low ^ low2
                words[i, 1] = ((high & ((one << bit) - one)) | (np.uint64(0x80) << bit)) ^ high2
        elif size > 16:
            rounds = (size + 15) >> 4
            count[i] = rounds
            most = max(most, rounds)
            for j in range(16):
                blocks[i, j] = data[start + j]
        elif size == 16:
            count[i] = 1
            for j in range(16):
                blocks[i, j] = data[start + j] ^ k1[j]
        else:
            count[i] = 1
            for j in range(size):
                blocks[i, j] = data[start + j] ^ k2[j]
            blocks[i, size] = np.uint8(0x80) ^ k2[size]
            for j in range(size + 1, 16):
                blocks[i, j] = k2[j]
    return most


@njit(cache=True, nogil=True)
def cmac_next(
    off: Array, data: Array, k1: Array, k2: Array, count: Array, step: int, chain: Array, blocks: Array, rows: Array
) -> int:
    """Block number `step` (from 1) of the rows that have one, XORed with `chain`; return how many rows those are."""
    m = 0
    for i in range(off.shape[0] - 1):
        if count[i] <= step:
            continue
        rows[m] = i
        start = off[i] + 16 * step
        size = min(16, off[i + 1] - start)
        for j in range(size):
            blocks[m, j] = data[start + j] ^ chain[i, j]
        if count[i] == step + 1:
            if size == 16:
                for j in range(16):
                    blocks[m, j] ^= k1[j]
            else:
                for j in range(size):
                    blocks[m, j] ^= k2[j]
                blocks[m, size] = chain[i, size] ^ np.uint8(0x80) ^ k2[size]
                for j in range(size + 1, 16):
                    blocks[m, j] = chain[i, j] ^ k2[j]
        m += 1
    return m


@njit(cache=True, nogil=True)
def scatter(rows: Array, m: int, source: Array, target: Array) -> None:
    """target[rows[k]] = source[k] for k < m."""
    for k in range(m):
        i = rows[k]
        for j in range(16):
            target[i, j] = source[k, j]


@njit(cache=True, nogil=True)
def siv_strings(off: Array, data: Array, d: Array, dbl_d: Array, out_off: Array, out: Array) -> None:
    """The string T of S2V (RFC 5297, section 2.4) for each row: xorend for 16 bytes or more, else pad and dbl(D)."""
    q = 0
    out_off[0] = 0
    for i in range(off.shape[0] - 1):
        start = off[i]
        size = off[i + 1] - start
        if size >= 16:
            for j in range(size):
                out[q + j] = data[start + j]
            for j in range(16):
                out[q + size - 16 + j] ^= d[j]
            q += size
        else:
            for j in range(size):
                out[q + j] = data[start + j] ^ dbl_d[j]
            out[q + size] = np.uint8(0x80) ^ dbl_d[size]
            for j in range(size + 1, 16):
                out[q + j] = dbl_d[j]
            q += 16
        out_off[i + 1] = q


@njit(cache=True, nogil=True)
def counter_blocks(off: Array, tags: Array, blocks: Array) -> None:
    """CTR blocks of every row from its synthetic IV with bits 31 and 63 cleared (RFC 5297, section 2.5)."""
    b = 0
    for i in range(off.shape[0] - 1):
        n = (off[i + 1] - off[i] + 15) >> 4
        low = np.uint64(0)
        for j in range(8, 16):
            byte = tags[i, j]
            if j == 8 or j == 12:
                byte &= np.uint8(0x7F)
            low = (low << np.uint64(8)) | np.uint64(byte)
        # Bit 63 of `low` starts cleared, so adding a row's few blocks never carries into the upper half.
        for k in range(n):
            value = low + np.uint64(k)
            for j in range(8):
                blocks[b, j] = tags[i, j]
                blocks[b, 15 - j] = np.uint8((value >> np.uint64(8 * j)) & np.uint64(0xFF))
            b += 1


@njit(cache=True, nogil=True)
def xor_stream(off: Array, data: Array, stream: Array, out_off: Array, lead: int, out: Array) -> None:
    """out[row] from byte `lead` on = data XOR stream, each row's stream starting at a block boundary."""
    b = 0
    for i in range(off.shape[0] - 1):
        start = off[i]
        size = off[i + 1] - start
        q = out_off[i] + lead
        for j in range(size):
            out[q + j] = data[start + j] ^ stream[b + j]
        b += ((size + 15) >> 4) << 4


@njit(cache=True, nogil=True)
def pair_reduce(macs: Array, start: int, bound: int, out: Array) -> None:
    """out[i] = a 63-bit number from macs[i, start:start+8], reduced modulo `bound` (bias below bound / 2**63)."""
    for i in range(macs.shape[0]):
        value = np.uint64(0)
        for j in range(start, start + 8):
            value = (value << np.uint64(8)) | np.uint64(macs[i, j])
        out[i] = np.int64((value >> np.uint64(1)) % np.uint64(bound))


@njit(cache=True, nogil=True)
def copy_rows(data: Array, starts: Array, out_off: Array, out: Array) -> None:
    """out[out_off[i]:out_off[i+1]] = the bytes of data from starts[i] on."""
    for i in range(starts.shape[0]):
        shift = starts[i] - out_off[i]
        for j in range(out_off[i], out_off[i + 1]):
            out[j] = data[shift + j]

"""Portable loops over GF(2^128) and over GF(2)-linear maps of it. Elements are rows of two words, low word first."""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

Words = NDArray[np.uint64]


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(a: Words, b: Words, out: Words) -> None:
    """out[i] = a[i] · b[i], bit by bit and without a branch on them."""
    one = uint64(1)
    for i in range(a.shape[0]):
        x, y = a[i, 0], a[i, 1]
        r0, r1 = uint64(0), uint64(0)
        for w in range(2):
            word = b[i, w]
            for k in range(64):
                mask = uint64(0) - ((word >> uint64(k)) & one)
                r0 ^= x & mask
                r1 ^= y & mask
                top = uint64(0) - (y >> uint64(63))
                y = (y << one) | (x >> uint64(63))
                x = (x << one) ^ (top & uint64(0x87))
        out[i, 0] = r0
        out[i, 1] = r1


@njit(cache=True, nogil=True, error_model="numpy")
def tables(images: Words, out: Words) -> None:
    """For the linear map that takes bit j to images[j] (128, 2): out[k, v] (16, 256, 2), what byte k = v adds."""
    for k in range(16):
        out[k, 0, 0] = uint64(0)
        out[k, 0, 1] = uint64(0)
        for j in range(8):
            for v in range(1 << j):
                for w in range(2):
                    out[k, (1 << j) + v, w] = out[k, v, w] ^ images[8 * k + j, w]


@njit(cache=True, nogil=True, error_model="numpy")
def apply(table: Words, a: Words, out: Words) -> None:
    """out[i] ^= the map of `table` at a[i]."""
    byte = uint64(255)
    for i in range(a.shape[0]):
        r0, r1 = uint64(0), uint64(0)
        for w in range(2):
            word = a[i, w]
            for k in range(8):
                v = (word >> uint64(8 * k)) & byte
                r0 ^= table[8 * w + k, v, 0]
                r1 ^= table[8 * w + k, v, 1]
        out[i, 0] ^= r0
        out[i, 1] ^= r1


@njit(cache=True, nogil=True, error_model="numpy")
def shift_add(acc: Words, term: Words) -> None:
    """acc = acc · X ⊕ term, elementwise."""
    one = uint64(1)
    for i in range(acc.shape[0]):
        x, y = acc[i, 0], acc[i, 1]
        top = uint64(0) - (y >> uint64(63))
        acc[i, 1] = ((y << one) | (x >> uint64(63))) ^ term[i, 1]
        acc[i, 0] = ((x << one) ^ (top & uint64(0x87))) ^ term[i, 0]


@njit(cache=True, nogil=True, error_model="numpy")
def transpose128(columns: Words, rows: Words) -> None:
    """Bit i of columns[j] becomes bit j of rows[i]; columns (128, m), rows (64 m, 2).

    Source: the recursive block transpose of Warren, Hacker's Delight, §7-3, on eight 64×64 blocks at a time, which the
    compiler turns into vector instructions.
    """
    count = columns.shape[1]
    block = np.zeros((64, 8), np.uint64)
    for half in range(2):
        for start in range(0, count, 8):
            width = min(8, count - start)
            for j in range(64):
                for z in range(width):
                    block[j, z] = columns[64 * half + j, start + z]
            step = 32
            mask = uint64(0x00000000FFFFFFFF)
            while step != 0:
                shift = uint64(step)
                j = 0
                while j < 64:
                    for z in range(8):
                        t = ((block[j, z] >> shift) ^ block[j + step, z]) & mask
                        block[j, z] ^= t << shift
                        block[j + step, z] ^= t
                    j = (j + step + 1) & ~step
                step >>= 1
                if step != 0:
                    mask ^= mask << uint64(step)
            for z in range(width):
                for i in range(64):
                    rows[64 * (start + z) + i, half] = block[i, z]

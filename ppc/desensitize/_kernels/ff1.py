"""FF1 (NIST SP 800-38G) on columns whose halves fit 56 bits; AES runs between these kernels, one call a round.

Symbols are bytes (an ASCII alphabet) or int32 code points; `table` maps a symbol to its numeral, to SEPARATOR for
what is kept in place, or to INVALID.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any

SEPARATOR = -1
INVALID = -2


@njit(cache=True, nogil=True)
def scan(off: Array, symbols: Array, table: Array, counts: Array) -> None:
    """counts[i]: numerals in row i, or -1 if the row holds a symbol that is neither numeral nor separator."""
    top = table.shape[0]
    for i in range(off.shape[0] - 1):
        n = 0
        for j in range(off[i], off[i + 1]):
            c = symbols[j]
            v = table[c] if c < top else np.int32(INVALID)
            if v >= 0:
                n += 1
            elif v == INVALID:
                n = -1
                break
        counts[i] = n


@njit(cache=True, nogil=True)
def split(rows: Array, off: Array, symbols: Array, table: Array, radix: int, u: int, a: Array, b: Array) -> None:
    """a[k], b[k] = NUM of the first u and of the remaining numerals of row rows[k]."""
    r = np.uint64(radix)
    for k in range(rows.shape[0]):
        i = rows[k]
        left = np.uint64(0)
        right = np.uint64(0)
        n = 0
        for j in range(off[i], off[i + 1]):
            v = table[symbols[j]]
            if v >= 0:
                if n < u:
                    left = left * r + np.uint64(v)
                else:
                    right = right * r + np.uint64(v)
                n += 1
        a[k] = left
        b[k] = right


@njit(cache=True, nogil=True, inline="always")
def _be(x: Any) -> Any:
    """Swap the byte order of a 64-bit word."""
    x = ((x & np.uint64(0x00FF00FF00FF00FF)) << np.uint64(8)) | ((x >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF))
    x = ((x & np.uint64(0x0000FFFF0000FFFF)) << np.uint64(16)) | ((x >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF))
    return (x << np.uint64(32)) | (x >> np.uint64(32))


@njit(cache=True, nogil=True)
def load(base: Array, b: Array, marker: int, q: Array) -> None:
    """q[k] = the last block of Q, [round]||NUM(B) XORed into the CBC state base[k] (base has one row, or one a row).

    marker = round << 8*bytes(B); base and q are the blocks as pairs of native words.
    """
    step = 1 if base.shape[0] > 1 else 0
    mark = np.uint64(marker)
    for k in range(b.shape[0]):
        q[k, 0] = base[k * step, 0]
        q[k, 1] = base[k * step, 1] ^ _be(b[k] | mark)


@njit(cache=True, nogil=True, inline="always")
def _remainder(high: Any, low: Any, d: int, m: Any) -> Any:
    """The first d (8 or 12) bytes of a block as a number, modulo m < 2**56."""
    y = _be(high) % m
    if d == 12:
        rest = _be(low) >> np.uint64(32)
        if m <= np.uint64(0xFFFFFFFF):
            y = ((y << np.uint64(32)) | rest) % m
        else:
            for shift in range(24, -8, -8):
                y = ((y << np.uint64(8)) | ((rest >> np.uint64(shift)) & np.uint64(255))) % m
    return y


@njit(cache=True, nogil=True)
def turn(s: Array, a: Array, b: Array, d: int, modulus: int, base: Array, marker: int, q: Array) -> None:
    """One encryption round after its AES call: A, B = B, (A + NUM(S)) mod m; then load q for the next round."""
    m = np.uint64(modulus)
    mark = np.uint64(marker)
    step = 1 if base.shape[0] > 1 else 0
    for k in range(a.shape[0]):
        c = a[k] + _remainder(s[k, 0], s[k, 1], d, m)
        if c >= m:
            c -= m
        a[k] = b[k]
        b[k] = c
        q[k, 0] = base[k * step, 0]
        q[k, 1] = base[k * step, 1] ^ _be(c | mark)


@njit(cache=True, nogil=True)
def unturn(s: Array, a: Array, b: Array, d: int, modulus: int, base: Array, marker: int, q: Array) -> None:
    """One decryption round after its AES call: A, B = (B - NUM(S)) mod m, A; then load q for the next round."""
    m = np.uint64(modulus)
    mark = np.uint64(marker)
    step = 1 if base.shape[0] > 1 else 0
    for k in range(a.shape[0]):
        y = _remainder(s[k, 0], s[k, 1], d, m)
        c = b[k] - y if b[k] >= y else b[k] + m - y
        b[k] = a[k]
        a[k] = c
        q[k, 0] = base[k * step, 0]
        q[k, 1] = base[k * step, 1] ^ _be(c | mark)


@njit(cache=True, nogil=True)
def join(
    rows: Array, off: Array, table: Array, letters: Array, radix: int, u: int, n: int, a: Array, b: Array, out: Array
) -> None:
    """Write A||B over the numerals of `out`, a copy of the symbols; separators stay where they are."""
    digits = np.empty(n, np.int64)
    r = np.uint64(radix)
    ten = np.uint64(10)
    for k in range(rows.shape[0]):
        left = a[k]
        right = b[k]
        if radix == 10:
            # A constant divisor compiles to a multiplication.
            for j in range(n - 1, u - 1, -1):
                x = right // ten
                digits[j] = np.int64(right - x * ten)
                right = x
            for j in range(u - 1, -1, -1):
                x = left // ten
                digits[j] = np.int64(left - x * ten)
                left = x
        else:
            for j in range(n - 1, u - 1, -1):
                x = right // r
                digits[j] = np.int64(right - x * r)
                right = x
            for j in range(u - 1, -1, -1):
                x = left // r
                digits[j] = np.int64(left - x * r)
                left = x
        i = rows[k]
        j = 0
        for p in range(off[i], off[i + 1]):
            if table[out[p]] >= 0:
                out[p] = letters[digits[j]]
                j += 1


@njit(cache=True, nogil=True)
def gather_blocks(rows: Array, off: Array, data: Array, width: int, out: Array) -> None:
    """out[k, :width] = the bytes of row rows[k], all of that width; the rest of out[k] is left as it is."""
    for k in range(rows.shape[0]):
        start = off[rows[k]]
        for j in range(width):
            out[k, j] = data[start + j]

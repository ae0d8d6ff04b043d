"""Machine-code loops of the two-party protocols. No branch and no address depends on a secret.

Pads come in planes: h[i, e] is the pad of the transfer for bit i of element e, `h0` and `h1` the sender's two, `h` the
chooser's. Choices are packed, one plane a bit.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint8, uint64
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Octets = NDArray[np.uint8]

_TILE = 512


@njit(cache=True, nogil=True, error_model="numpy")
def shift(rows: Words, flags: Words, delta: Words) -> None:
    """rows[j] ^= delta where bit j of the packed flags is set."""
    d0, d1 = delta[0], delta[1]
    for w in range(flags.shape[0]):
        f = flags[w]
        for b in range(64):
            mask = uint64(0) - ((f >> uint64(b)) & uint64(1))
            rows[64 * w + b, 0] ^= d0 & mask
            rows[64 * w + b, 1] ^= d1 & mask


@njit(cache=True, nogil=True, error_model="numpy")
def low_words(rows: Words, hashed: Words, out: Words) -> None:
    """out[j] = the low word of rows[j] ^ hashed[j]."""
    for j in range(out.shape[0]):
        out[j] = rows[j, 0] ^ hashed[j, 0]


@njit(cache=True, nogil=True, error_model="numpy")
def counters(inner: Words, first: int, out: Words) -> None:
    """out[j, b] = inner[j] ^ (first + b + 1), blocks that another pass of the cipher makes pads of."""
    for j in range(inner.shape[0]):
        x, y = inner[j, 0], inner[j, 1]
        for b in range(out.shape[1]):
            out[j, b, 0] = x ^ uint64(first + b + 1)
            out[j, b, 1] = y


@njit(cache=True, nogil=True, error_model="numpy")
def fold_in(blocks: Words, inner: Words) -> None:
    """blocks[j, b] ^= inner[j]."""
    for j in range(blocks.shape[0]):
        x, y = inner[j, 0], inner[j, 1]
        for b in range(blocks.shape[1]):
            blocks[j, b, 0] ^= x
            blocks[j, b, 1] ^= y


@njit(cache=True, nogil=True, error_model="numpy")
def low_bits(words: Words, out: Words) -> None:
    """out[b] (packed) = bit b of each word, for the first len(out) bits."""
    for b in range(out.shape[0]):
        for w in range(out.shape[1]):
            packed = uint64(0)
            for j in range(64):
                packed |= ((words[64 * w + j] >> uint64(b)) & uint64(1)) << uint64(j)
            out[b, w] = packed


# --- a number times a number ---
@njit(cache=True, nogil=True, error_model="numpy")
def product_send(x: Words, h0: Words, h1: Words, signed: bool, octets: Octets, acc: Words) -> None:
    """Corrections for bit i of the other party's number: h0 - h1 + x modulo 2**(64 - i), and acc -= h0 2**i.

    octets: for each bit ⌈(64 - i) / 8⌉ planes of one byte an element. If `signed`, the last bit counts negative.
    """
    n = x.shape[0]
    tau = np.empty(_TILE, np.uint64)
    for start in range(0, n, _TILE):
        width = min(_TILE, n - start)
        at = 0
        for i in range(h0.shape[0]):
            negative = signed and i == h0.shape[0] - 1
            for e in range(width):
                pad = h0[i, start + e]
                v = uint64(0) - x[start + e] if negative else x[start + e]
                tau[e] = pad - h1[i, start + e] + v
                acc[start + e] -= pad << uint64(i)
            for b in range((71 - i) // 8):
                place = at * n + start
                for e in range(width):
                    octets[place + e] = uint8(tau[e] >> uint64(8 * b))
                at += 1


@njit(cache=True, nogil=True, error_model="numpy")
def product_choose(choices: Words, h: Words, octets: Octets, acc: Words) -> None:
    """acc += (h + correction where the bit is set) 2**i, for the planes of `product_send`."""
    n = acc.shape[0]
    tau = np.empty(_TILE, np.uint64)
    for start in range(0, n, _TILE):
        width = min(_TILE, n - start)
        at = 0
        for i in range(h.shape[0]):
            for e in range(width):
                tau[e] = uint64(0)
            for b in range((71 - i) // 8):
                place = at * n + start
                for e in range(width):
                    tau[e] |= uint64(octets[place + e]) << uint64(8 * b)
                at += 1
            for e in range(width):
                j = start + e
                mask = uint64(0) - ((choices[i, j >> 6] >> uint64(j & 63)) & uint64(1))
                acc[j] += (h[i, j] + (tau[e] & mask)) << uint64(i)


# --- a column times a number ---
@njit(cache=True, nogil=True, error_model="numpy")
def column_send(xt: Words, h0: Words, h1: Words, k: int, i: int, octets: Octets, acc: Words) -> None:
    """As `product_send` for one bit i, where element p of the other party stands for xt[p // k] (n,).

    xt (d, n); h0, h1 (p, n) pads; octets (planes, p, n); acc (k, n) -= the pads of the same column.
    """
    n = xt.shape[1]
    tau = np.empty(n, np.uint64)
    for p in range(octets.shape[1]):
        column, c = p // k, p % k
        for e in range(n):
            pad = h0[p, e]
            tau[e] = pad - h1[p, e] + xt[column, e]
            acc[c, e] -= pad << uint64(i)
        for b in range(octets.shape[0]):
            for e in range(n):
                octets[b, p, e] = uint8(tau[e] >> uint64(8 * b))


@njit(cache=True, nogil=True, error_model="numpy")
def column_choose(choices: Words, h: Words, k: int, i: int, octets: Octets, acc: Words) -> None:
    """The other side of `column_send`: acc (k, n) += (h + correction where the bit is set) 2**i."""
    n = acc.shape[1]
    tau = np.empty(n, np.uint64)
    for p in range(octets.shape[1]):
        c = p % k
        for e in range(n):
            tau[e] = uint64(0)
        for b in range(octets.shape[0]):
            for e in range(n):
                tau[e] |= uint64(octets[b, p, e]) << uint64(8 * b)
        mask = uint64(0) - ((choices[p >> 6] >> uint64(p & 63)) & uint64(1))
        for e in range(n):
            acc[c, e] += (h[p, e] + (tau[e] & mask)) << uint64(i)


# --- comparison of nibbles ---
@njit(inline="always")
def _strip(z0, z1, z2, z3, o0, o1, o2, o3):  # type: ignore[no-untyped-def]
    """The pads of all 16 choices: two bits for each in each half, from the pads of the four bits of a choice."""
    m0, m1 = uint64(0xCCCCCCCCCCCCCCCC), uint64(0xF0F0F0F0F0F0F0F0)
    m2, m3 = uint64(0xFF00FF00FF00FF00), uint64(0xFFFF0000FFFF0000)
    return (z0 ^ ((z0 ^ o0) & m0)) ^ (z1 ^ ((z1 ^ o1) & m1)) ^ (z2 ^ ((z2 ^ o2) & m2)) ^ (z3 ^ ((z3 ^ o3) & m3))


@njit(cache=True, nogil=True, error_model="numpy")
def leaves_send(u: Words, h0: Words, h1: Words, masks: Words, out: NDArray[np.uint32]) -> None:
    """For each nibble v of the chooser: [u < v] and [u = v] under masks, for all 16 possible v.

    u (J, n), J <= 2; h0, h1 (64, n); masks (J, 2, 16, n / 64) packed: this party's shares; out (J, 16, n).
    """
    low = uint64(0x5555555555555555)
    for j in range(16):
        for e in range(u.shape[1]):
            pad = _strip(
                h0[4 * j, e], h0[4 * j + 1, e], h0[4 * j + 2, e], h0[4 * j + 3, e],
                h1[4 * j, e], h1[4 * j + 1, e], h1[4 * j + 2, e], h1[4 * j + 3, e],
            )  # fmt: skip
            for t in range(u.shape[0]):
                at = uint64(2) * ((u[t, e] >> uint64(4 * j)) & uint64(15))
                less, equal = (low << at) << uint64(2), uint64(2) << at
                a = uint64(0) - ((masks[t, 0, j, e >> 6] >> uint64(e & 63)) & uint64(1))
                b = uint64(0) - ((masks[t, 1, j, e >> 6] >> uint64(e & 63)) & uint64(1))
                word = less ^ equal ^ (a & low) ^ (b & ~low) ^ (pad >> uint64(32 * t))
                out[t, j, e] = np.uint32(word & uint64(0xFFFFFFFF))


@njit(cache=True, nogil=True, error_model="numpy")
def leaves_choose(v: Words, h: Words, came: NDArray[np.uint32], out: Words) -> None:
    """The entry of `leaves_send` at each nibble of v (n,): out (J, 2, 16, n / 64) packed."""
    one = uint64(1)
    for j in range(16):
        for w in range(out.shape[3]):
            for t in range(out.shape[0]):
                less, equal = uint64(0), uint64(0)
                for b in range(64):
                    e = 64 * w + b
                    pad = h[4 * j, e] ^ h[4 * j + 1, e] ^ h[4 * j + 2, e] ^ h[4 * j + 3, e]
                    entry = uint64(came[t, j, e]) ^ (pad >> uint64(32 * t))
                    entry >>= uint64(2) * ((v[e] >> uint64(4 * j)) & uint64(15))
                    less |= (entry & one) << uint64(b)
                    equal |= ((entry >> one) & one) << uint64(b)
                out[t, 0, j, w] = less
                out[t, 1, j, w] = equal

"""Machine-code loops of ring-LWE encryption: polynomials modulo x^n + 1 over three primes below 2**61.

Products by constants use Shoup's trick (the constant c comes with floor(c 2**64 / q)); sums of products are kept in 128
bits, up to 32 of them. No branch and no address depends on a secret.
"""

# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False, disallow-untyped-defs=False

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from ppc.core._kernels_wide import _product

Words = NDArray[np.uint64]


@njit(inline="always")
def _below(s: Any, q: Any) -> Any:
    """s mod q for s < 2 q. By the sign bit of s - q: a comparison may be compiled to a branch."""
    d = s - q
    return d + (q & (uint64(0) - (d >> uint64(63))))


@njit(inline="always")
def _less(u: Any, v: Any, q: Any) -> Any:
    """u - v mod q."""
    d = u - v
    return d + (q & (uint64(0) - (d >> uint64(63))))


@njit(inline="always")
def _negated(r: Any, yes: Any, q: Any) -> Any:
    """-r mod q where `yes` is 1, else r."""
    m = uint64(0) - uint64(yes)
    return r ^ ((r ^ _below(q - r, q)) & m)


@njit(inline="always")
def _times(x: Any, c: Any, ratio: Any, q: Any) -> Any:
    """x c mod q for any 64-bit x and c < q."""
    _, high = _product(x, ratio)
    r = x * c - high * q
    return _below(r, q)


@njit(cache=True, nogil=True, error_model="numpy")
def forward(a: Words, roots: Words, ratios: Words, primes: Words) -> None:
    """Values of the polynomials a (3, n), in place. Source: Longa, Naehrig (CANS 2016), algorithm 1."""
    n = a.shape[1]
    for i in range(a.shape[0]):
        q = primes[i]
        t, m = n // 2, 1
        while m < n:
            start = 0
            for k in range(m):
                c, ratio = roots[i, m + k], ratios[i, m + k]
                for j in range(start, start + t):
                    u = a[i, j]
                    v = _times(a[i, j + t], c, ratio, q)
                    a[i, j] = _below(u + v, q)
                    a[i, j + t] = _less(u, v, q)
                start += 2 * t
            t //= 2
            m *= 2


@njit(cache=True, nogil=True, error_model="numpy")
def backward(a: Words, roots: Words, ratios: Words, last: Words, last_ratios: Words, primes: Words) -> None:
    """The inverse of `forward`: `roots` are the inverses, `last` is 1 / n. Source: as above, algorithm 2."""
    n = a.shape[1]
    for i in range(a.shape[0]):
        q = primes[i]
        t, m = 1, n
        while m > 1:
            start, h = 0, m // 2
            for k in range(h):
                c, ratio = roots[i, h + k], ratios[i, h + k]
                for j in range(start, start + t):
                    u, v = a[i, j], a[i, j + t]
                    a[i, j] = _below(u + v, q)
                    a[i, j + t] = _times(_less(u, v, q), c, ratio, q)
                start += 2 * t
            t *= 2
            m = h
        for j in range(n):
            a[i, j] = _times(a[i, j], last[i], last_ratios[i], q)


@njit(cache=True, nogil=True, error_model="numpy")
def signed(x: Words, ones: Words, primes: Words, out: Words) -> None:
    """Signed 64-bit coefficients x (n,) modulo each prime: out (3, n). `ones` are the ratios of 1."""
    for i in range(out.shape[0]):
        q = primes[i]
        for j in range(x.shape[0]):
            sign = x[j] >> uint64(63)
            m = uint64(0) - sign
            out[i, j] = _negated(_times((x[j] ^ m) + sign, uint64(1), ones[i], q), sign, q)


@njit(cache=True, nogil=True, error_model="numpy")
def add_encoded(m: Words, q_low: Any, scale: Words, ratios: Words, primes: Words, out: Words) -> None:
    """out (3, n) += round(q m / 2**64), for m (n,).

    With v = (q m + 2**63) mod 2**64 the rounded quotient is (q m + 2**63 - v) / 2**64, so (2**63 - v) / 2**64 modulo
    each prime; `scale` is 2**-64.
    """
    half = uint64(1) << uint64(63)
    for i in range(out.shape[0]):
        q = primes[i]
        for j in range(m.shape[0]):
            v = q_low * m[j] + half
            sign = uint64(v > half)
            r = _times(((half - v) ^ (uint64(0) - sign)) + sign, scale[i], ratios[i], q)
            out[i, j] = _below(out[i, j] + _negated(r, sign, q), q)


@njit(inline="always")
def _ones(x: Any) -> Any:
    x = x - ((x >> uint64(1)) & uint64(0x5555555555555555))
    x = (x & uint64(0x3333333333333333)) + ((x >> uint64(2)) & uint64(0x3333333333333333))
    x = (x + (x >> uint64(4))) & uint64(0x0F0F0F0F0F0F0F0F)
    return (x * uint64(0x0101010101010101)) >> uint64(56)


@njit(cache=True, nogil=True, error_model="numpy")
def errors(words: Words, primes: Words, out: Words) -> None:
    """out (3, n) = small errors: the difference of two sums of 21 random bits, standard deviation 3.24."""
    low = uint64((1 << 21) - 1)
    for j in range(words.shape[0]):
        a, b = _ones(words[j] & low), _ones((words[j] >> uint64(21)) & low)
        for i in range(out.shape[0]):
            out[i, j] = _less(a, b, primes[i])


@njit(cache=True, nogil=True, error_model="numpy")
def ternary(words: Words, primes: Words, out: Words) -> None:
    """out (3, n) = -1, 0 or 1, within 2**-62 of uniform."""
    for j in range(words.shape[0]):
        _, draw = _product(words[j], uint64(3))
        for i in range(out.shape[0]):
            out[i, j] = _less(draw, uint64(1), primes[i])


@njit(cache=True, nogil=True, error_model="numpy")
def uniform(words: Words, primes: Words) -> None:
    """Random words (3, n) to residues, in place: 61 bits each, within 2**-43 of uniform."""
    mask = uint64((1 << 61) - 1)
    for i in range(words.shape[0]):
        q = primes[i]
        for j in range(words.shape[1]):
            words[i, j] = _below(words[i, j] & mask, q)


@njit(cache=True, nogil=True, error_model="numpy")
def multiply_add(acc: Words, x: Words, y: Words) -> None:
    """acc (3, n, 2) += x y in 128 bits."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            low, high = _product(x[i, j], y[i, j])
            s = acc[i, j, 0] + low
            acc[i, j, 1] += high + uint64(s < low)
            acc[i, j, 0] = s


@njit(cache=True, nogil=True, error_model="numpy")
def reduce(acc: Words, lifts: Words, ratios: Words, ones: Words, primes: Words, out: Words) -> None:
    """out (3, n) = acc mod each prime; `lifts` are 2**64."""
    for i in range(out.shape[0]):
        q = primes[i]
        for j in range(out.shape[1]):
            s = _times(acc[i, j, 1], lifts[i], ratios[i], q) + _times(acc[i, j, 0], uint64(1), ones[i], q)
            out[i, j] = _below(s, q)


@njit(cache=True, nogil=True, error_model="numpy")
def add_flood(low: Words, high: Words, lifts: Words, ratios: Words, ones: Words, primes: Words, out: Words) -> None:
    """out (3, n) += high 2**64 + low."""
    for i in range(out.shape[0]):
        q = primes[i]
        for j in range(out.shape[1]):
            s = _times(high[j], lifts[i], ratios[i], q) + _times(low[j], uint64(1), ones[i], q)
            out[i, j] = _below(_below(s, q) + out[i, j], q)


@njit(cache=True, nogil=True, error_model="numpy")
def add(a: Words, b: Words, primes: Words, out: Words) -> None:
    """out = a + b modulo each prime."""
    for i in range(out.shape[0]):
        q = primes[i]
        for j in range(out.shape[1]):
            out[i, j] = _below(a[i, j] + b[i, j], q)


@njit(cache=True, nogil=True, error_model="numpy")
def decode(phase: Words, hats: Words, hat_ratios: Words, high: Words, low: Words, primes: Words, out: Words) -> None:
    """out (n,) = round(2**64 phase / q) modulo 2**64, from residues (3, n).

    phase / q is the sum of x_i / q_i modulo 1 with x_i = phase (q / q_i)^-1 mod q_i; 2**124 / q_i = high_i + low_i
    2**-64 gives 2**64 x_i / q_i with 60 fraction bits.
    """
    for j in range(out.shape[0]):
        s0, s1 = uint64(1) << uint64(59), uint64(0)
        for i in range(phase.shape[0]):
            x = _times(phase[i, j], hats[i], hat_ratios[i], primes[i])
            p0, p1 = _product(x, high[i])
            _, fine = _product(x, low[i])
            t = p0 + fine
            p1 += uint64(t < fine)
            s0 += t
            s1 += p1 + uint64(s0 < t)
        out[j] = (s0 >> uint64(60)) | (s1 << uint64(4))

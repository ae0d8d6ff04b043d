"""Montgomery arithmetic on eight residues at a time, in limbs of 52 bits.

A residue is k limbs, least significant first; eight residues interleave as an array (k, 8). k is even and R = 2**(52k)
exceeds 4N, so that a product of two residues below 2N is again below 2N and no step subtracts N ("almost Montgomery
multiplication", Gueron, J. Cryptogr. Eng. 2012). No branch depends on a residue; table look-ups do depend on the
exponent's digits (docs/he.md says what that means).

Numbers come and go as little-endian 64-bit words, rows of a uint64 array, always below N.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ppc.core._lanes import add, carry_of, limb_of, load, madd_hi, madd_lo, splat, store

_LIMB = np.uint64((1 << 52) - 1)


@njit(nogil=True, cache=True, inline="never")
def multiply(acc, a, b, n, n_inv, k):  # type: ignore[no-untyped-def]
    """acc[:k] = a * b / R mod N, below 2N, in each lane. `acc` is (k + 2, 8) and is neither a nor b.

    Two limbs of b a pass: every limb of a and n that is loaded feeds eight multiply-adds. An accumulator takes at
    most 4k + 4 products below 2**52, so it stays under 2**64 for k below 1000.
    """
    zero = splat(np.uint64(0))
    n_inverse = splat(n_inv)
    for j in range(k + 2):
        store(acc, j, zero)
    for i in range(0, k, 2):
        b0 = load(b, i)
        b1 = load(b, i + 1)
        a0 = load(a, 0)
        a1 = load(a, 1)
        n0 = splat(n[0])
        n1 = splat(n[1])
        t = madd_lo(load(acc, 0), a0, b0)
        m0 = madd_lo(zero, t, n_inverse)
        t = madd_lo(t, n0, m0)
        t = add(load(acc, 1), carry_of(t))
        t = madd_hi(madd_hi(t, a0, b0), n0, m0)
        t = madd_lo(madd_lo(t, a1, b0), n1, m0)
        t = madd_lo(t, a0, b1)
        m1 = madd_lo(zero, t, n_inverse)
        t = madd_lo(t, n0, m1)
        carry = carry_of(t)
        for j in range(2, k):
            a2 = load(a, j)
            n2 = splat(n[j])
            u = madd_hi(madd_hi(carry, a1, b0), n1, m0)
            t = madd_hi(madd_hi(load(acc, j), a0, b1), n0, m1)
            u = madd_lo(madd_lo(u, a2, b0), n2, m0)
            t = madd_lo(madd_lo(t, a1, b1), n1, m1)
            store(acc, j - 2, add(t, u))
            carry = zero
            a0 = a1
            a1 = a2
            n0 = n1
            n1 = n2
        t = madd_hi(madd_hi(carry, a1, b0), n1, m0)
        t = madd_hi(madd_hi(t, a0, b1), n0, m1)
        t = madd_lo(madd_lo(t, a1, b1), n1, m1)
        store(acc, k - 2, t)
        store(acc, k - 1, madd_hi(madd_hi(zero, a1, b1), n1, m1))
    carry = zero
    for j in range(k):
        t = add(load(acc, j), carry)
        store(acc, j, limb_of(t))
        carry = carry_of(t)


@njit(nogil=True, cache=True)
def _limbs_of_words(words, out, lane, k):  # type: ignore[no-untyped-def]
    """Cut the 64-bit words of one number into 52-bit limbs in column `lane` of `out`."""
    count = words.shape[0]
    for j in range(k):
        bit = 52 * j
        w = bit >> 6
        s = np.uint64(bit & 63)
        limb = np.uint64(0)
        if w < count:
            limb = words[w] >> s
            if s > np.uint64(12) and w + 1 < count:
                limb |= words[w + 1] << (np.uint64(64) - s)
        out[j, lane] = limb & _LIMB


@njit(nogil=True, cache=True)
def _words_of_limbs(limbs, lane, n, k, words, scratch):  # type: ignore[no-untyped-def]
    """Reduce one lane from below 2N to below N and join its limbs into 64-bit words."""
    borrow = np.int64(0)
    for j in range(k):
        t = np.int64(limbs[j, lane]) - np.int64(n[j]) + borrow
        scratch[j] = np.uint64(t) & _LIMB
        borrow = t >> np.int64(63)
    keep = np.uint64(borrow)  # all ones if the lane was below N already
    for w in range(words.shape[0]):
        words[w] = np.uint64(0)
    for j in range(k):
        limb = (np.uint64(limbs[j, lane]) & keep) | (scratch[j] & ~keep)
        bit = 52 * j
        w = bit >> 6
        s = np.uint64(bit & 63)
        if w < words.shape[0]:
            words[w] |= limb << s
            if s > np.uint64(12) and w + 1 < words.shape[0]:
                words[w + 1] |= limb >> (np.uint64(64) - s)


@njit(nogil=True, cache=True)
def _load_group(numbers, first, out, k):  # type: ignore[no-untyped-def]
    """Rows first … first+7 of `numbers` into lanes; past the end the last row is repeated."""
    for lane in range(8):
        row = min(first + lane, numbers.shape[0] - 1)
        _limbs_of_words(numbers[row], out, lane, k)


@njit(nogil=True, cache=True)
def _store_group(limbs, first, n, k, numbers, scratch):  # type: ignore[no-untyped-def]
    for lane in range(8):
        if first + lane < numbers.shape[0]:
            _words_of_limbs(limbs, lane, n, k, numbers[first + lane], scratch)


@njit(nogil=True, cache=True)
def product_pairs(a, b, out, n, n_inv, rr, k):  # type: ignore[no-untyped-def]
    """out[i] = a[i] * b[i] mod N; all (count, words). `rr` is R**2 mod N as k limbs."""
    x = np.empty((k + 2, 8), np.uint64)
    y = np.empty((k + 2, 8), np.uint64)
    z = np.empty((k + 2, 8), np.uint64)
    scratch = np.empty(k, np.uint64)
    square = np.empty((k, 8), np.uint64)
    for j in range(k):
        square[j, :] = rr[j]
    for first in range(0, a.shape[0], 8):
        _load_group(a, first, x, k)
        _load_group(b, first, y, k)
        multiply(z, x, y, n, n_inv, k)
        multiply(x, z, square, n, n_inv, k)
        _store_group(x, first, n, k, out, scratch)


@njit(nogil=True, cache=True)
def product_all(a, out, n, n_inv, k):  # type: ignore[no-untyped-def]
    """out[lane] = the product of a[lane], a[lane + 8], … times R**-(rounds) mod N; a is (8 * rounds, words)."""
    x = np.empty((k + 2, 8), np.uint64)
    acc = np.zeros((k + 2, 8), np.uint64)
    spare = np.empty((k + 2, 8), np.uint64)
    scratch = np.empty(k, np.uint64)
    acc[0, :] = 1
    for first in range(0, a.shape[0], 8):
        _load_group(a, first, x, k)
        multiply(spare, acc, x, n, n_inv, k)
        acc, spare = spare, acc
    _store_group(acc, 0, n, k, out, scratch)


@njit(nogil=True, cache=True)
def power(a, digits, out, n, n_inv, one, rr, k):  # type: ignore[no-untyped-def]
    """out[i] = a[i] ** e mod N, with e given as 5-bit `digits`, most significant first. `one` is R mod N.

    A fixed window: the sequence of products is the same for every exponent of that length.
    """
    table = np.empty((32, k + 2, 8), np.uint64)
    square = np.empty((k, 8), np.uint64)
    acc = np.empty((k + 2, 8), np.uint64)
    spare = np.empty((k + 2, 8), np.uint64)
    plain_one = np.zeros((k, 8), np.uint64)
    plain_one[0, :] = 1
    scratch = np.empty(k, np.uint64)
    for j in range(k):
        square[j, :] = rr[j]
    for first in range(0, a.shape[0], 8):
        _load_group(a, first, spare, k)
        for j in range(k):
            table[0, j, :] = one[j]
        multiply(table[1], spare, square, n, n_inv, k)
        for d in range(2, 32):
            multiply(table[d], table[d - 1], table[1], n, n_inv, k)
        for j in range(k):
            acc[j, :] = one[j]
        for position in range(digits.shape[0]):
            for _ in range(5):
                multiply(spare, acc, acc, n, n_inv, k)
                acc, spare = spare, acc
            multiply(spare, acc, table[digits[position]], n, n_inv, k)
            acc, spare = spare, acc
        multiply(spare, acc, plain_one, n, n_inv, k)
        acc, spare = spare, acc
        _store_group(acc, first, n, k, out, scratch)


@njit(nogil=True, cache=True)
def fixed_base_rows(bases, table, n, n_inv, one, rr, k):  # type: ignore[no-untyped-def]
    """table[r, d] = bases[r] ** d in Montgomery form, d = 0 … D-1; bases is (rows, words), table (rows, D, k)."""
    x = np.empty((k + 2, 8), np.uint64)
    acc = np.empty((k + 2, 8), np.uint64)
    spare = np.empty((k + 2, 8), np.uint64)
    square = np.empty((k, 8), np.uint64)
    for j in range(k):
        square[j, :] = rr[j]
    for first in range(0, bases.shape[0], 8):
        _load_group(bases, first, spare, k)
        multiply(x, spare, square, n, n_inv, k)
        for j in range(k):
            acc[j, :] = one[j]
        for d in range(table.shape[1]):
            for lane in range(8):
                if first + lane < bases.shape[0]:
                    for j in range(k):
                        table[first + lane, d, j] = acc[j, lane]
            multiply(spare, acc, x, n, n_inv, k)
            acc, spare = spare, acc


@njit(nogil=True, cache=True)
def fixed_base(table, digits, factors, out, n, n_inv, k):  # type: ignore[no-untyped-def]
    """out[i] = factors[i] * product over r of table[r, digits[i, r]] mod N.

    The factors come in plain form, so that the last product takes the result out of Montgomery form too.
    """
    x = np.empty((k + 2, 8), np.uint64)
    acc = np.empty((k + 2, 8), np.uint64)
    spare = np.empty((k + 2, 8), np.uint64)
    scratch = np.empty(k, np.uint64)
    rows = table.shape[0]
    for first in range(0, digits.shape[0], 8):
        for r in range(rows):
            for lane in range(8):
                entry = table[r, digits[min(first + lane, digits.shape[0] - 1), r]]
                for j in range(k):
                    x[j, lane] = entry[j]
            if r == 0:
                acc, x = x, acc
            else:
                multiply(spare, acc, x, n, n_inv, k)
                acc, spare = spare, acc
        _load_group(factors, first, x, k)
        multiply(spare, acc, x, n, n_inv, k)
        acc, spare = spare, acc
        _store_group(acc, first, n, k, out, scratch)


@njit(nogil=True, cache=True)
def joint_power(table, digits, out, n, n_inv, one, k):  # type: ignore[no-untyped-def]
    """out[lane] = product over r of base[r, lane] ** e[r, lane] mod N: Straus' method with 4-bit digits.

    table (rounds * 8, 16, k) holds the powers 0 … 15 of the bases in Montgomery form, base (r, lane) at row 8r + lane;
    digits (windows, rounds * 8), most significant window first. Every digit costs one product, zero or not.
    """
    x = np.empty((k + 2, 8), np.uint64)
    acc = np.empty((k + 2, 8), np.uint64)
    spare = np.empty((k + 2, 8), np.uint64)
    plain_one = np.zeros((k, 8), np.uint64)
    plain_one[0, :] = 1
    scratch = np.empty(k, np.uint64)
    for j in range(k):
        acc[j, :] = one[j]
    for w in range(digits.shape[0]):
        if w > 0:
            for _ in range(4):
                multiply(spare, acc, acc, n, n_inv, k)
                acc, spare = spare, acc
        for first in range(0, digits.shape[1], 8):
            for lane in range(8):
                entry = table[first + lane, digits[w, first + lane]]
                for j in range(k):
                    x[j, lane] = entry[j]
            multiply(spare, acc, x, n, n_inv, k)
            acc, spare = spare, acc
    multiply(spare, acc, plain_one, n, n_inv, k)
    acc, spare = spare, acc
    _store_group(acc, 0, n, k, out, scratch)

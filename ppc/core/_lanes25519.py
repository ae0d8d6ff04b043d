"""Arithmetic modulo p = 2^255 − 19 on eight numbers at a time, in limbs of 51 bits (AVX-512 IFMA).

A field element is five rows of an array `m` (rows, 8) of 64-bit words; it is named by its number e, rows 5e … 5e+4.
Elements are reduced loosely: limbs below 2^51 + 2^15, so that sums of two still fit into the 52 bits that the multiply
instruction reads; every function here takes and gives such elements. No branch depends on a value.

Source: Bernstein, PKC 2006 (the field); 52-bit multiply-add with 51-bit limbs as in Gueron, Krasnov, and Faz-Hernández,
López, LATINCRYPT 2015 (vectorised edwards25519).
"""

# mypy: disallow-untyped-decorators=False, disallow-untyped-defs=False, disallow-untyped-calls=False

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit, types

from ppc.core._lanes import (
    add,
    both_of,
    differing,
    either_of,
    equal,
    load,
    madd_hi,
    madd_lo,
    shifted_left,
    shifted_right,
    splat,
    store,
    subtract,
    v8,
)

MATRIX: Final = types.Array(types.uint64, 2, "C")
E: Final = types.intp  # the number of an element
# Signatures are given, so that each function is compiled once: the number 3 has another type for numba than a variable.
ONE: Final = types.void(MATRIX, E)
TWO: Final = types.void(MATRIX, E, E)
THREE: Final = types.void(MATRIX, E, E, E)

P: Final = 2**255 - 19
MASK: Final = np.uint64((1 << 51) - 1)
_ONES: Final = np.uint64(2**64 - 1)
# 2p in limbs, to keep differences positive.
_TWICE_P0: Final = np.uint64(2 * (2**51 - 19))
_TWICE_P: Final = np.uint64(2 * (2**51 - 1))

_twice = shifted_left(1)
_by_2 = shifted_left(1)
_by_16 = shifted_left(4)
_carry = shifted_right(51)


@njit(inline="always")
def _times19(a):
    return add(add(_by_16(a), _by_2(a)), a)


@njit(inline="always")
def _settle(m, o, r0, r1, r2, r3, r4):
    """Carry once in every limb, and store: limbs below 2^61 become loosely reduced."""
    mask = splat(MASK)
    c0, c1, c2, c3, c4 = _carry(r0), _carry(r1), _carry(r2), _carry(r3), _carry(r4)
    store(m, 5 * o, add(both_of(r0, mask), _times19(c4)))
    store(m, 5 * o + 1, add(both_of(r1, mask), c0))
    store(m, 5 * o + 2, add(both_of(r2, mask), c1))
    store(m, 5 * o + 3, add(both_of(r3, mask), c2))
    store(m, 5 * o + 4, add(both_of(r4, mask), c3))


@njit(inline="always")
def _fold(m, o, l0, l1, l2, l3, l4, l5, l6, l7, l8, h1, h2, h3, h4, h5, h6, h7, h8, h9):
    """Columns of a product, low parts and high parts (which weigh 2^52, so double in the next column), modulo p."""
    t5, t6, t7, t8 = add(l5, _twice(h5)), add(l6, _twice(h6)), add(l7, _twice(h7)), add(l8, _twice(h8))
    r0 = add(l0, _times19(t5))
    r1 = add(add(l1, _twice(h1)), _times19(t6))
    r2 = add(add(l2, _twice(h2)), _times19(t7))
    r3 = add(add(l3, _twice(h3)), _times19(t8))
    r4 = add(add(l4, _twice(h4)), _times19(_twice(h9)))
    _settle(m, o, r0, r1, r2, r3, r4)


@njit(THREE, cache=True, nogil=True)
def mul(m, o, a, b):
    """o = a · b."""
    z = splat(np.uint64(0))
    a0, a1, a2, a3, a4 = load(m, 5 * a), load(m, 5 * a + 1), load(m, 5 * a + 2), load(m, 5 * a + 3), load(m, 5 * a + 4)
    b0, b1, b2, b3, b4 = load(m, 5 * b), load(m, 5 * b + 1), load(m, 5 * b + 2), load(m, 5 * b + 3), load(m, 5 * b + 4)
    l0 = madd_lo(z, a0, b0)
    l1 = madd_lo(madd_lo(z, a0, b1), a1, b0)
    l2 = madd_lo(madd_lo(madd_lo(z, a0, b2), a1, b1), a2, b0)
    l3 = madd_lo(madd_lo(madd_lo(madd_lo(z, a0, b3), a1, b2), a2, b1), a3, b0)
    l4 = madd_lo(madd_lo(madd_lo(madd_lo(madd_lo(z, a0, b4), a1, b3), a2, b2), a3, b1), a4, b0)
    l5 = madd_lo(madd_lo(madd_lo(madd_lo(z, a1, b4), a2, b3), a3, b2), a4, b1)
    l6 = madd_lo(madd_lo(madd_lo(z, a2, b4), a3, b3), a4, b2)
    l7 = madd_lo(madd_lo(z, a3, b4), a4, b3)
    l8 = madd_lo(z, a4, b4)
    h1 = madd_hi(z, a0, b0)
    h2 = madd_hi(madd_hi(z, a0, b1), a1, b0)
    h3 = madd_hi(madd_hi(madd_hi(z, a0, b2), a1, b1), a2, b0)
    h4 = madd_hi(madd_hi(madd_hi(madd_hi(z, a0, b3), a1, b2), a2, b1), a3, b0)
    h5 = madd_hi(madd_hi(madd_hi(madd_hi(madd_hi(z, a0, b4), a1, b3), a2, b2), a3, b1), a4, b0)
    h6 = madd_hi(madd_hi(madd_hi(madd_hi(z, a1, b4), a2, b3), a3, b2), a4, b1)
    h7 = madd_hi(madd_hi(madd_hi(z, a2, b4), a3, b3), a4, b2)
    h8 = madd_hi(madd_hi(z, a3, b4), a4, b3)
    h9 = madd_hi(z, a4, b4)
    _fold(m, o, l0, l1, l2, l3, l4, l5, l6, l7, l8, h1, h2, h3, h4, h5, h6, h7, h8, h9)


@njit(TWO, cache=True, nogil=True)
def square(m, o, a):
    """o = a²: the mixed products once, doubled."""
    z = splat(np.uint64(0))
    a0, a1, a2, a3, a4 = load(m, 5 * a), load(m, 5 * a + 1), load(m, 5 * a + 2), load(m, 5 * a + 3), load(m, 5 * a + 4)
    l0 = madd_lo(z, a0, a0)
    l1 = _twice(madd_lo(z, a0, a1))
    l2 = madd_lo(_twice(madd_lo(z, a0, a2)), a1, a1)
    l3 = _twice(madd_lo(madd_lo(z, a0, a3), a1, a2))
    l4 = madd_lo(_twice(madd_lo(madd_lo(z, a0, a4), a1, a3)), a2, a2)
    l5 = _twice(madd_lo(madd_lo(z, a1, a4), a2, a3))
    l6 = madd_lo(_twice(madd_lo(z, a2, a4)), a3, a3)
    l7 = _twice(madd_lo(z, a3, a4))
    l8 = madd_lo(z, a4, a4)
    h1 = madd_hi(z, a0, a0)
    h2 = _twice(madd_hi(z, a0, a1))
    h3 = madd_hi(_twice(madd_hi(z, a0, a2)), a1, a1)
    h4 = _twice(madd_hi(madd_hi(z, a0, a3), a1, a2))
    h5 = madd_hi(_twice(madd_hi(madd_hi(z, a0, a4), a1, a3)), a2, a2)
    h6 = _twice(madd_hi(madd_hi(z, a1, a4), a2, a3))
    h7 = madd_hi(_twice(madd_hi(z, a2, a4)), a3, a3)
    h8 = _twice(madd_hi(z, a3, a4))
    h9 = madd_hi(z, a4, a4)
    _fold(m, o, l0, l1, l2, l3, l4, l5, l6, l7, l8, h1, h2, h3, h4, h5, h6, h7, h8, h9)


@njit(THREE, cache=True, nogil=True)
def squares(m, o, a, n):
    """o = a^(2^n), n > 0."""
    square(m, o, a)
    for _ in range(n - 1):
        square(m, o, o)


@njit(THREE, cache=True, nogil=True)
def plus(m, o, a, b):
    """o = a + b."""
    a, b = 5 * a, 5 * b
    _settle(
        m, o,
        add(load(m, a), load(m, b)), add(load(m, a + 1), load(m, b + 1)), add(load(m, a + 2), load(m, b + 2)),
        add(load(m, a + 3), load(m, b + 3)), add(load(m, a + 4), load(m, b + 4)),
    )  # fmt: skip


@njit(inline="always")
def _less(m, a, b, twice_p):
    return subtract(add(load(m, a), splat(twice_p)), load(m, b))


@njit(THREE, cache=True, nogil=True)
def minus(m, o, a, b):
    """o = a − b."""
    a, b = 5 * a, 5 * b
    _settle(
        m, o,
        _less(m, a, b, _TWICE_P0), _less(m, a + 1, b + 1, _TWICE_P), _less(m, a + 2, b + 2, _TWICE_P),
        _less(m, a + 3, b + 3, _TWICE_P), _less(m, a + 4, b + 4, _TWICE_P),
    )  # fmt: skip


@njit(TWO, cache=True, nogil=True)
def copy(m, o, a):
    """o = a."""
    for j in range(5):
        store(m, 5 * o + j, load(m, 5 * a + j))


@njit(types.void(MATRIX, E, E, v8), cache=True, nogil=True)
def move_if(m, o, a, mask):
    """o = a in the lanes where `mask` is all ones."""
    for j in range(5):
        old = load(m, 5 * o + j)
        store(m, 5 * o + j, differing(old, both_of(differing(old, load(m, 5 * a + j)), mask)))


@njit(TWO, cache=True, nogil=True)
def freeze(m, o, a):
    """o = a, the one form with limbs below 2^51 and a value below p."""
    mask = splat(MASK)
    r0, r1, r2, r3, r4 = load(m, 5 * a), load(m, 5 * a + 1), load(m, 5 * a + 2), load(m, 5 * a + 3), load(m, 5 * a + 4)
    for _ in range(2):
        r1 = add(r1, _carry(r0))
        r0 = both_of(r0, mask)
        r2 = add(r2, _carry(r1))
        r1 = both_of(r1, mask)
        r3 = add(r3, _carry(r2))
        r2 = both_of(r2, mask)
        r4 = add(r4, _carry(r3))
        r3 = both_of(r3, mask)
        r0 = add(r0, _times19(_carry(r4)))
        r4 = both_of(r4, mask)
    # Now below 2^255 + 19·2. Adding 19 carries out of bit 255 exactly if the value is p or more: twice for safety.
    for _ in range(2):
        q = _carry(add(r0, splat(np.uint64(19))))
        q = _carry(add(r1, q))
        q = _carry(add(r2, q))
        q = _carry(add(r3, q))
        q = _carry(add(r4, q))
        r0 = add(r0, _times19(q))
        r1 = add(r1, _carry(r0))
        r0 = both_of(r0, mask)
        r2 = add(r2, _carry(r1))
        r1 = both_of(r1, mask)
        r3 = add(r3, _carry(r2))
        r2 = both_of(r2, mask)
        r4 = both_of(add(r4, _carry(r3)), mask)
        r3 = both_of(r3, mask)
    store(m, 5 * o, r0)
    store(m, 5 * o + 1, r1)
    store(m, 5 * o + 2, r2)
    store(m, 5 * o + 3, r3)
    store(m, 5 * o + 4, r4)


@njit(v8(MATRIX, E, E), cache=True, nogil=True)
def is_zero(m, a, spare):
    """All ones in the lanes where a = 0; `spare` is overwritten."""
    freeze(m, spare, a)
    e = 5 * spare
    some = either_of(either_of(load(m, e), load(m, e + 1)), either_of(load(m, e + 2), load(m, e + 3)))
    return equal(either_of(some, load(m, e + 4)), splat(np.uint64(0)))


@njit(v8(MATRIX, E, E), cache=True, nogil=True)
def parity(m, a, spare):
    """All ones in the lanes where a, below p, is odd; `spare` is overwritten."""
    freeze(m, spare, a)
    one = splat(np.uint64(1))
    return equal(both_of(load(m, 5 * spare), one), one)


@njit(v8(v8), cache=True, nogil=True)
def inverted(mask):
    """The other lanes."""
    return differing(mask, splat(_ONES))


@njit(types.void(MATRIX, E, E, E, E), cache=True, nogil=True)
def power_250(m, o, eleventh, a, s):
    """o = a^(2^250 − 1) and eleventh = a^11; s, s+1 are overwritten. All of them are other elements than a."""
    square(m, s, a)
    squares(m, o, s, 2)
    mul(m, o, o, a)  # 9
    mul(m, eleventh, o, s)
    square(m, s, eleventh)
    mul(m, o, o, s)  # 2^5 − 1
    squares(m, s, o, 5)
    mul(m, o, o, s)  # 2^10 − 1
    squares(m, s, o, 10)
    mul(m, s, s, o)  # 2^20 − 1
    squares(m, s + 1, s, 20)
    mul(m, s, s, s + 1)  # 2^40 − 1
    squares(m, s, s, 10)
    mul(m, o, o, s)  # 2^50 − 1
    squares(m, s, o, 50)
    mul(m, s, s, o)  # 2^100 − 1
    squares(m, s + 1, s, 100)
    mul(m, s, s, s + 1)  # 2^200 − 1
    squares(m, s, s, 50)
    mul(m, o, o, s)


@njit(THREE, cache=True, nogil=True)
def inverse(m, o, a, s):
    """o = 1 / a (0 for 0) = a^(2^255 − 21), o another element than a; s … s+2 are overwritten."""
    power_250(m, o, s + 2, a, s)
    squares(m, o, o, 5)
    mul(m, o, o, s + 2)

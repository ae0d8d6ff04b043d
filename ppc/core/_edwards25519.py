"""Points of edwards25519 in lanes: eight scalar multiplications at a time, in constant time, and what goes with them.

−x² + y² = 1 + d·x²·y² over p = 2^255 − 19, in extended coordinates (X : Y : Z : T), x = X/Z, y = Y/Z, XY = ZT. Sums are
by a formula without exceptions. Scalars come as 64 signed digits of base 16; for every digit all eight multiples of
the point are read and one is kept by masks, so neither branches nor addresses depend on a secret.

Source: Hisil, Wong, Carter, Dawson, ASIACRYPT 2008, sections 3.1 and 3.3 (sums and doubling for a = −1); RFC 8032,
section 5.1.3 (decoding); RFC 9380, section 6.7.1 (Elligator 2), with the sign of x and the cofactor as libsodium's
`crypto_core_ed25519_from_uniform` has them.
"""

# mypy: disallow-untyped-decorators=False, disallow-untyped-defs=False, disallow-untyped-calls=False

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit, types

from ppc.core._lanes import both_of, either_of, equal, load, splat, store, v8
from ppc.core._lanes25519 import (
    MASK,
    MATRIX,
    E,
    P,
    copy,
    freeze,
    inverse,
    inverted,
    is_zero,
    minus,
    move_if,
    mul,
    parity,
    plus,
    power_250,
    square,
    squares,
)

ORDER: Final = 2**252 + 27742317777372353535851937790883648493
GROUPS: Final = 64  # of eight points: a call's worth, so that one inversion serves many
CALL: Final = 8 * GROUPS

_FLAG: Final = types.boolean
_CUBE: Final = types.Array(types.uint64, 3, "C")
_DIGITS: Final = types.Array(types.int64, 1, "C")

# --- numbers of field elements in the scratch array ---
_X, _Y, _Z, _T = 0, 1, 2, 3  # the point at work
_S = 4  # … 13: scratch
_SUM = 14  # … 17: Y−X, Y+X, 2Z, 2dT of the summand
_SPARE = 18
_KEEP = 19  # … 22: a point kept aside
_ZERO, _ONE, _D, _TWICE_D, _ROOT, _A = 24, 25, 26, 27, 28, 29
_TABLE = 32  # … 63: 1 … 8 times the point, four elements each
ELEMENTS: Final = 64


def _limbs(value: int) -> list[int]:
    return [value >> 51 * k & int(MASK) for k in range(5)]


_d = -121665 * pow(121666, -1, P) % P
CONSTANTS: Final = np.array(
    [_limbs(v % P) for v in (0, 1, _d, 2 * _d, pow(2, (P - 1) // 4, P), 486662)], np.uint64
)  # fmt: skip


@njit(types.void(MATRIX, MATRIX), cache=True, nogil=True)
def _prepare(m, constants):
    for k in range(constants.shape[0]):
        for j in range(5):
            store(m, 5 * (_ZERO + k) + j, splat(constants[k, j]))


# --- bytes ---
@njit(types.void(MATRIX, E, MATRIX, E, MATRIX, MATRIX), cache=True, nogil=True)
def _read(m, o, rows, first, signs, canonical):
    """o = the low 255 bits of rows first … first+7 (the last again past the end); bit 255 as masks, and who is < p."""
    for lane in range(8):
        row = min(first + lane, rows.shape[0] - 1)
        w0, w1, w2, w3 = rows[row, 0], rows[row, 1], rows[row, 2], rows[row, 3]
        m[5 * o, lane] = w0 & MASK
        m[5 * o + 1, lane] = (w0 >> np.uint64(51) | w1 << np.uint64(13)) & MASK
        m[5 * o + 2, lane] = (w1 >> np.uint64(38) | w2 << np.uint64(26)) & MASK
        m[5 * o + 3, lane] = (w2 >> np.uint64(25) | w3 << np.uint64(39)) & MASK
        m[5 * o + 4, lane] = w3 >> np.uint64(12) & MASK
        signs[0, lane] = np.uint64(0) - (w3 >> np.uint64(63))
        full = w1 & w2 & (w3 | np.uint64(1 << 63))
        high = full == np.uint64(2**64 - 1) and w0 >= np.uint64(2**64 - 19)
        canonical[0, lane] = np.uint64(0) if high else np.uint64(2**64 - 1)


@njit(types.void(MATRIX, E, v8, MATRIX, E, MATRIX), cache=True, nogil=True)
def _write(m, y, odd, rows, first, signs):
    """rows first … first+7 = the value of y below p, with bit 255 where the mask `odd` is."""
    freeze(m, _SPARE, y)
    store(signs, 0, odd)
    e = 5 * _SPARE
    for lane in range(8):
        if first + lane < rows.shape[0]:
            l0, l1, l2, l3, l4 = m[e, lane], m[e + 1, lane], m[e + 2, lane], m[e + 3, lane], m[e + 4, lane]
            rows[first + lane, 0] = l0 | l1 << np.uint64(51)
            rows[first + lane, 1] = l1 >> np.uint64(13) | l2 << np.uint64(38)
            rows[first + lane, 2] = l2 >> np.uint64(26) | l3 << np.uint64(25)
            rows[first + lane, 3] = l3 >> np.uint64(39) | l4 << np.uint64(12) | (signs[0, lane] & np.uint64(1 << 63))


# --- points ---
@njit(types.void(MATRIX, _FLAG), cache=True, nogil=True)
def _double(m, with_t):
    """P = 2P; T only if asked for, since only a sum needs it."""
    square(m, _S, _X)
    square(m, _S + 1, _Y)
    square(m, _S + 2, _Z)
    plus(m, _S + 2, _S + 2, _S + 2)
    plus(m, _S + 3, _X, _Y)
    square(m, _S + 3, _S + 3)
    plus(m, _S + 4, _S, _S + 1)  # −H
    minus(m, _S + 5, _S + 4, _S + 3)  # −E
    minus(m, _S + 6, _S, _S + 1)  # −G
    plus(m, _S + 7, _S + 2, _S + 6)  # −F
    mul(m, _X, _S + 5, _S + 7)
    mul(m, _Y, _S + 6, _S + 4)
    mul(m, _Z, _S + 7, _S + 6)
    if with_t:
        mul(m, _T, _S + 5, _S + 4)


@njit(types.void(MATRIX, E, _FLAG), cache=True, nogil=True)
def _add(m, q, with_t):
    """P = P + Q, Q as q … q+3 = Y−X, Y+X, 2Z, 2dT."""
    minus(m, _S, _Y, _X)
    plus(m, _S + 1, _Y, _X)
    mul(m, _S, _S, q)
    mul(m, _S + 1, _S + 1, q + 1)
    mul(m, _S + 2, _T, q + 3)
    mul(m, _S + 3, _Z, q + 2)
    minus(m, _S + 4, _S + 1, _S)  # E
    minus(m, _S + 5, _S + 3, _S + 2)  # F
    plus(m, _S + 6, _S + 3, _S + 2)  # G
    plus(m, _S + 7, _S + 1, _S)  # H
    mul(m, _X, _S + 4, _S + 5)
    mul(m, _Y, _S + 6, _S + 7)
    mul(m, _Z, _S + 5, _S + 6)
    if with_t:
        mul(m, _T, _S + 4, _S + 7)


@njit(types.void(MATRIX), cache=True, nogil=True)
def _tabulate(m):
    """1 … 8 times P, as summands."""
    for k in range(8):
        e = _TABLE + 4 * k
        if k:
            _add(m, _TABLE, True)
        minus(m, e, _Y, _X)
        plus(m, e + 1, _Y, _X)
        plus(m, e + 2, _Z, _Z)
        mul(m, e + 3, _T, _TWICE_D)


@njit(types.void(MATRIX, v8, v8), cache=True, nogil=True)
def _choose(m, size, negative):
    """The summand ±size·P from the table, size 0 … 8 in each lane; everything is read, whatever the digit."""
    none = equal(size, splat(np.uint64(0)))
    for c in range(4):
        # 0 times P is Y−X = Y+X = 1, 2Z = 2, T = 0
        e = 5 * (_SUM + c)
        value = np.uint64(2) if c == 2 else np.uint64(1) if c < 2 else np.uint64(0)
        store(m, e, both_of(none, splat(value)))
        for j in range(1, 5):
            store(m, e + j, splat(np.uint64(0)))
    for k in range(8):
        here = equal(size, splat(np.uint64(k + 1)))
        for r in range(20):
            to = 5 * _SUM + r
            store(m, to, either_of(load(m, to), both_of(here, load(m, 5 * (_TABLE + 4 * k) + r))))
    copy(m, _SPARE, _SUM)
    move_if(m, _SUM, _SUM + 1, negative)
    move_if(m, _SUM + 1, _SPARE, negative)
    minus(m, _SPARE, _ZERO, _SUM + 3)
    move_if(m, _SUM + 3, _SPARE, negative)


@njit(types.void(MATRIX), cache=True, nogil=True)
def _neutral(m):
    copy(m, _X, _ZERO)
    copy(m, _Y, _ONE)
    copy(m, _Z, _ONE)
    copy(m, _T, _ZERO)


@njit(types.void(MATRIX, MATRIX, MATRIX), cache=True, nogil=True)
def _multiply(m, sizes, negatives):
    """P = scalar · P by the table; digits from the most significant one, rows of sizes and of sign masks."""
    _neutral(m)
    for i in range(sizes.shape[0]):
        if i:
            for k in range(4):
                _double(m, k == 3)
        _choose(m, load(sizes, i), load(negatives, i))
        _add(m, _SUM, False)


@njit(types.void(MATRIX, _DIGITS), cache=True, nogil=True)
def _multiply_public(m, digits):
    """P = scalar · P by the table for one public scalar, whose zeros are skipped."""
    _neutral(m)
    for i in range(digits.shape[0]):
        if i:
            for k in range(4):
                _double(m, k == 3)
        if digits[i]:
            size = np.uint64(abs(digits[i]))
            _choose(m, splat(size), splat(np.uint64(0) - np.uint64(digits[i] < 0)))
            _add(m, _SUM, False)


@njit(v8(MATRIX, E, E, E, E), cache=True, nogil=True)
def _root_of_ratio(m, o, u, v, s):
    """o = √(u/v) where it exists, whose lanes the result masks; s … s+5 are overwritten. RFC 8032, section 5.1.3."""
    square(m, s + 4, v)
    mul(m, s + 4, s + 4, v)  # v³
    square(m, s + 5, s + 4)
    mul(m, s + 5, s + 5, v)
    mul(m, s + 5, s + 5, u)  # u·v⁷
    power_250(m, o, s + 2, s + 5, s)
    squares(m, o, o, 2)
    mul(m, o, o, s + 5)  # ^(2^252 − 3)
    mul(m, o, o, s + 4)
    mul(m, o, o, u)
    square(m, s, o)
    mul(m, s, s, v)  # v·o² is u, or −u, or neither
    minus(m, s + 1, s, u)
    good = is_zero(m, s + 1, s + 3)
    plus(m, s + 1, s, u)
    turned = is_zero(m, s + 1, s + 3)
    mul(m, s + 2, o, _ROOT)
    move_if(m, o, s + 2, turned)
    return either_of(good, turned)


@njit(types.void(MATRIX, E, v8), cache=True, nogil=True)
def _give_sign(m, x, odd):
    """x or −x, whichever is odd where the mask is set and even elsewhere."""
    wrong = inverted(equal(parity(m, x, _S), odd))
    minus(m, _S, _ZERO, x)
    move_if(m, x, _S, wrong)


@njit(v8(MATRIX, MATRIX, E, MATRIX, MATRIX), cache=True, nogil=True)
def _decode(m, rows, first, signs, canonical):
    """P = the points of rows first … first+7; the mask of those that are canonical, on the curve, and have x ≠ 0."""
    _read(m, _Y, rows, first, signs, canonical)
    square(m, _S, _Y)
    minus(m, _S + 1, _S, _ONE)
    mul(m, _S, _S, _D)
    plus(m, _S, _S, _ONE)
    good = both_of(_root_of_ratio(m, _X, _S + 1, _S, _S + 2), load(canonical, 0))
    good = both_of(good, inverted(is_zero(m, _X, _S)))
    _give_sign(m, _X, load(signs, 0))
    copy(m, _Z, _ONE)
    mul(m, _T, _X, _Y)
    return good


@njit(types.void(MATRIX, MATRIX, E, MATRIX, MATRIX), cache=True, nogil=True)
def _hash(m, rows, first, signs, canonical):
    """P = the hash of uniform rows: Elligator 2, then eight times."""
    r, w, n, e = _KEEP, _KEEP + 1, _KEEP + 2, _KEEP + 3
    _read(m, r, rows, first, signs, canonical)
    square(m, _S, r)
    plus(m, _S, _S, _S)  # 2r²
    plus(m, w, _S, _ONE)
    mul(m, _S + 1, _S, _A)
    minus(m, _S + 1, _ZERO, _S + 1)  # −2Ar²
    minus(m, n, _ZERO, _A)
    # The Montgomery u is n/w with n = −A if that is on the curve, else −A·2r²: by χ(−A·w·(A² − A²w + w²)).
    square(m, _S + 2, _A)
    mul(m, _S + 3, _S + 2, w)
    minus(m, _S + 2, _S + 2, _S + 3)
    square(m, _S + 3, w)
    plus(m, _S + 2, _S + 2, _S + 3)
    mul(m, e, _S + 2, w)
    mul(m, e, e, n)
    power_250(m, _X, _Y, e, _S + 2)
    squares(m, _X, _X, 4)
    square(m, _Y, e)
    square(m, _T, _Y)
    mul(m, _Y, _Y, _T)  # e⁶
    mul(m, _X, _X, _Y)  # e^((p−1)/2)
    plus(m, _X, _X, _ONE)
    move_if(m, n, _S + 1, is_zero(m, _X, _S))
    # y = (u − 1)/(u + 1) = N/D, and x² = (N² − D²)/(d·N² + D²)
    minus(m, _Y, n, w)
    plus(m, _Z, n, w)
    square(m, _S, _Y)
    square(m, _S + 1, _Z)
    minus(m, _S + 2, _S, _S + 1)
    mul(m, _S + 3, _S, _D)
    plus(m, _S + 3, _S + 3, _S + 1)
    _root_of_ratio(m, _X, _S + 2, _S + 3, _S + 4)
    _give_sign(m, _X, load(signs, 0))
    mul(m, _T, _X, _Y)
    mul(m, _X, _X, _Z)
    for k in range(3):
        _double(m, k == 2)


# --- whole calls ---
@njit(types.void(MATRIX, MATRIX, E, MATRIX, MATRIX), cache=True, nogil=True)
def _encode_all(m, kept, groups, out, signs):
    """rows of `out` = the points kept, all denominators inverted together (Montgomery's trick)."""
    copy(m, _KEEP, _ONE)
    for g in range(groups):  # running products of the Z before
        for j in range(5):
            store(kept, 20 * g + 15 + j, load(m, 5 * _KEEP + j))
            store(m, 5 * _Z + j, load(kept, 20 * g + 10 + j))
        mul(m, _KEEP, _KEEP, _Z)
    inverse(m, _KEEP + 1, _KEEP, _S)
    copy(m, _KEEP, _KEEP + 1)
    for g in range(groups - 1, -1, -1):
        for j in range(5):
            store(m, 5 * _X + j, load(kept, 20 * g + j))
            store(m, 5 * _Y + j, load(kept, 20 * g + 5 + j))
            store(m, 5 * _Z + j, load(kept, 20 * g + 10 + j))
            store(m, 5 * _T + j, load(kept, 20 * g + 15 + j))
        mul(m, _T, _T, _KEEP)  # 1 / Z
        mul(m, _KEEP, _KEEP, _Z)
        mul(m, _X, _X, _T)
        mul(m, _Y, _Y, _T)
        _write(m, _Y, parity(m, _X, _S), out, 8 * g, signs)


@njit(types.void(MATRIX, MATRIX, E), cache=True, nogil=True)
def _keep(m, kept, g):
    for r in range(15):
        store(kept, 20 * g + r, load(m, r))


@njit(types.boolean(MATRIX, _CUBE, _CUBE, _DIGITS, MATRIX, MATRIX), cache=True, nogil=True)
def multiply(points, sizes, negatives, order_digits, constants, out):
    """out = scalar · P for each point (n, 4 words), n <= 512; False if one is not in the prime-order group.

    sizes, negatives: the digits of the scalars, (groups or 1, 64, 8): one scalar a lane, or the same for all groups.
    """
    m = np.empty((5 * ELEMENTS, 8), np.uint64)
    groups = (points.shape[0] + 7) // 8
    kept = np.empty((20 * groups, 8), np.uint64)
    signs, canonical = np.empty((1, 8), np.uint64), np.empty((1, 8), np.uint64)
    _prepare(m, constants)
    bad = splat(np.uint64(0))
    for g in range(groups):
        good = _decode(m, points, 8 * g, signs, canonical)
        _tabulate(m)
        _multiply_public(m, order_digits)
        minus(m, _S, _Y, _Z)
        good = both_of(good, both_of(is_zero(m, _X, _SPARE), is_zero(m, _S, _SPARE)))
        bad = either_of(bad, inverted(good))
        which = g if sizes.shape[0] > 1 else 0
        _multiply(m, sizes[which], negatives[which])
        _keep(m, kept, g)
    store(signs, 0, bad)
    for lane in range(8):
        if signs[0, lane]:
            return False
    _encode_all(m, kept, groups, out, signs)
    return True


@njit(types.void(MATRIX, _CUBE, _CUBE, MATRIX, MATRIX), cache=True, nogil=True)
def hash_and_multiply(rows, sizes, negatives, constants, out):
    """out = scalar · H(row) for uniform rows (n, 4 words), n <= 512; digits as in `multiply`."""
    m = np.empty((5 * ELEMENTS, 8), np.uint64)
    groups = (rows.shape[0] + 7) // 8
    kept = np.empty((20 * groups, 8), np.uint64)
    signs, canonical = np.empty((1, 8), np.uint64), np.empty((1, 8), np.uint64)
    _prepare(m, constants)
    for g in range(groups):
        _hash(m, rows, 8 * g, signs, canonical)
        _tabulate(m)
        which = g if sizes.shape[0] > 1 else 0
        _multiply(m, sizes[which], negatives[which])
        _keep(m, kept, g)
    _encode_all(m, kept, groups, out, signs)

"""Machine-code loops of the additive engine, over packed bits and ring words; no branch depends on a secret.

Their NumPy twins are in `ppc.mpc.additive.twins`. `mine` is 1 at the one party that adds public constants, else 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_ALL = np.uint64(2**64 - 1)


@njit(cache=True, nogil=True, error_model="numpy")
def nibbles(c: Words, r: Words, products: Words, mine: int, out: Words) -> None:
    """Shares of (greater, equal) = ([r > c], [r = c]) of all bits but the top one, nibble by nibble.

    c (64, m) public bit slices; r (64, m) shares of bit slices; products (11, 16, m) in the order of NIBBLE_PRODUCTS;
    out (2, 16, m); in Z_2^128 there are 128 slices and 32 nibbles. With n_i = not c_i, equal = prod (n_i ^ r_i),
    greater = sum over i of r_i n_i prod over j > i (n_j ^ r_j).
    """
    m = c.shape[1]
    nibbles = c.shape[0] // 4
    for k in range(nibbles):
        top = k == nibbles - 1  # the top bit takes no part: as if r_3 = c_3 = 0
        for w in range(m):
            n0 = ~c[4 * k, w]
            n1 = ~c[4 * k + 1, w]
            n2 = ~c[4 * k + 2, w]
            n3 = _ALL if top else ~c[4 * k + 3, w]
            r0 = r[4 * k, w]
            r1 = r[4 * k + 1, w]
            r2 = r[4 * k + 2, w]
            r3 = uint64(0) if top else r[4 * k + 3, w]
            r01 = products[0, k, w]
            r02 = products[1, k, w]
            r03 = products[2, k, w]
            r12 = products[3, k, w]
            r13 = products[4, k, w]
            r23 = products[5, k, w]
            r012 = products[6, k, w]
            r013 = products[7, k, w]
            r023 = products[8, k, w]
            r123 = products[9, k, w]
            r0123 = products[10, k, w]
            n01 = n0 & n1
            n12 = n1 & n2
            n23 = n2 & n3
            n13 = n1 & n3
            n02 = n0 & n2
            n03 = n0 & n3
            greater = (
                (n01 & n23 & r0) ^ (n12 & n3 & r1) ^ (n23 & r2) ^ (n3 & r3)
                ^ (n02 & n3 & r01) ^ (n03 & n1 & r02) ^ (n01 & n2 & r03) ^ (n13 & r12) ^ (n12 & r13) ^ (n2 & r23)
                ^ (n03 & r012) ^ (n02 & r013) ^ (n01 & r023) ^ (n1 & r123) ^ (n0 & r0123)
            )  # fmt: skip
            equal = (
                (n12 & n3 & r0) ^ (n02 & n3 & r1) ^ (n01 & n3 & r2) ^ (n01 & n2 & r3)
                ^ (n23 & r01) ^ (n13 & r02) ^ (n12 & r03) ^ (n03 & r12) ^ (n02 & r13) ^ (n01 & r23)
                ^ (n3 & r012) ^ (n2 & r013) ^ (n1 & r023) ^ (n0 & r123) ^ r0123
            )  # fmt: skip
            if mine == 1:
                equal ^= n01 & n23
            out[0, k, w] = greater
            out[1, k, w] = equal


@njit(inline="always")
def _triple(X, Y, Z, x, y, z, xy, xz, yz, xyz):  # type: ignore[no-untyped-def]
    """Share of (X ^ x)(Y ^ y)(Z ^ z) without the public X Y Z."""
    return (X & Y & z) ^ (X & Z & y) ^ (Y & Z & x) ^ (X & yz) ^ (Y & xz) ^ (Z & xy) ^ xyz


@njit(cache=True, nogil=True, error_model="numpy")
def merge(opened: Words, masks: Words, products: Words, mine: int, last: bool, out: Words) -> None:
    """Four neighbouring pairs (g, p) into one: G = g3 ^ p3 g2 ^ p3 p2 g1 ^ p3 p2 p1 g0, P = p3 p2 p1 p0.

    opened (2, 4 k, m) = g and p under their masks, public; masks (2, 4 k, m) shares of the masks; products (22 or 15,
    k, m) shares of their products in the order of MERGE_PRODUCTS; out (2, k, m), where P is left alone if `last`.
    """
    groups, m = out.shape[1], out.shape[2]
    for t in range(groups):
        for w in range(m):
            G0 = opened[0, 4 * t, w]
            G1 = opened[0, 4 * t + 1, w]
            G2 = opened[0, 4 * t + 2, w]
            G3 = opened[0, 4 * t + 3, w]
            P1 = opened[1, 4 * t + 1, w]
            P2 = opened[1, 4 * t + 2, w]
            P3 = opened[1, 4 * t + 3, w]
            g0 = masks[0, 4 * t, w]
            g1 = masks[0, 4 * t + 1, w]
            g2 = masks[0, 4 * t + 2, w]
            g3 = masks[0, 4 * t + 3, w]
            p1 = masks[1, 4 * t + 1, w]
            p2 = masks[1, 4 * t + 2, w]
            p3 = masks[1, 4 * t + 3, w]
            p3g2 = products[0, t, w]
            p3g1 = products[1, t, w]
            p2g1 = products[2, t, w]
            p3g0 = products[3, t, w]
            p2g0 = products[4, t, w]
            p1g0 = products[5, t, w]
            p3p2 = products[6, t, w]
            p3p1 = products[7, t, w]
            p2p1 = products[8, t, w]
            p3p2g1 = products[9, t, w]
            p3p2g0 = products[10, t, w]
            p3p1g0 = products[11, t, w]
            p2p1g0 = products[12, t, w]
            p3p2p1 = products[13, t, w]
            p3p2p1g0 = products[14, t, w]
            # The quadruple p3 p2 p1 g0 = G0 (p3 p2 p1) ^ g0 (p3 p2 p1), each with one variable fewer.
            g = g3 ^ (P3 & g2) ^ (G2 & p3) ^ p3g2
            g ^= _triple(P3, P2, G1, p3, p2, g1, p3p2, p3g1, p2g1, p3p2g1)
            g ^= G0 & _triple(P3, P2, P1, p3, p2, p1, p3p2, p3p1, p2p1, p3p2p1)
            g ^= (P3 & P2 & P1 & g0) ^ _triple(P3, P2, P1, p3g0, p2g0, p1g0, p3p2g0, p3p1g0, p2p1g0, p3p2p1g0)
            if mine == 1:
                g ^= G3 ^ (P3 & (G2 ^ (P2 & (G1 ^ (P1 & G0)))))
            out[0, t, w] = g
            if not last:
                P0 = opened[1, 4 * t, w]
                p0 = masks[1, 4 * t, w]
                p3p0 = products[15, t, w]
                p2p0 = products[16, t, w]
                p1p0 = products[17, t, w]
                p3p2p0 = products[18, t, w]
                p3p1p0 = products[19, t, w]
                p2p1p0 = products[20, t, w]
                p3p2p1p0 = products[21, t, w]
                p = P0 & _triple(P3, P2, P1, p3, p2, p1, p3p2, p3p1, p2p1, p3p2p1)
                p ^= (P3 & P2 & P1 & p0) ^ _triple(P3, P2, P1, p3p0, p2p0, p1p0, p3p2p0, p3p1p0, p2p1p0, p3p2p1p0)
                if mine == 1:
                    p ^= P3 & P2 & P1 & P0
                out[1, t, w] = p


@njit(cache=True, nogil=True, error_model="numpy")
def truncate(c: Words, hi: Words, top: Words, drop: int, mine: int, out: Words) -> None:
    """The share of x >> drop, from c = x + 2**62 + r (open), hi = (r mod 2**63) >> drop and top = r >> 63 (shares)."""
    d = uint64(drop)
    up = uint64(63 - drop)
    low = uint64(2**63 - 1)
    offset = uint64(1) << uint64(62 - drop)
    for i in range(c.shape[0]):
        carry = c[i] >> uint64(63)
        wrap = top[i] - ((carry * top[i]) << uint64(1))  # a share of carry xor top, less the public carry
        v = (wrap << up) - hi[i]
        if mine == 1:
            v += ((c[i] & low) >> d) + (carry << up) - offset
        out[i] = v

"""Bits in XOR shares, packed 64 a word. Costs are what each party sends, for n bits."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.mpc.additive.boolean import wrap
from ppc.mpc.pairwise.transfers import bit_products
from ppc.mpc.session import Session
from ppc.mpc.shares import BShare

Words: TypeAlias = NDArray[np.uint64]


def and_(s: Session, x: BShare, y: BShare) -> BShare:
    """[z] = [x & y].

    Cost: 1 round, n / 4 bytes, n transfers each way. Threat: semi-honest. Leaks: the shape.
    Source: Beaver (CRYPTO '91) in Z_2, with triples of transfers: Asharov, Lindell, Schneider, Zohner (CCS 2013), §5.
    """
    if not x.size:
        return x
    z = and_words(s, "and", x.parts[0], y.parts[0][None])
    return wrap(s, z[0], x.shape)


def and_words(s: Session, operation: str, x: Words, ys: Words) -> Words:
    """Shares of x & y for each of several y, from shares of x (m,) and ys (width, m): a product has one x for all y.

    Cost: 1 round, (1 + width) m words, 64 m transfers each way whatever the width.
    """
    width, m = ys.shape
    a, b, c = bit_products(s, m, width)
    opened = s.open_xor(operation, np.concatenate([(x ^ a)[None], ys ^ b]))[0]
    d, e = opened[0], opened[1:]
    c ^= d & b
    c ^= e & a
    if s.rank == 0:
        c ^= d & e
    return c

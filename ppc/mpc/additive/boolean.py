"""Bits in XOR shares, packed 64 a word.

Costs are what each party sends to each other party, for n bits.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.errors import ProtocolAbort
from ppc.mpc.correlations.kinds import BitTriple
from ppc.mpc.session import Session
from ppc.mpc.shares import BShare

Words: TypeAlias = NDArray[np.uint64]
Flags: TypeAlias = NDArray[np.bool_]


def wrap(s: Session, words: Words, shape: tuple[int, ...]) -> BShare:
    """This party's packed words as a share."""
    return BShare((words,), shape, 0 if s.rank == 0 else None)


def input_bits(s: Session, x: Flags | None, owner: int, shape: tuple[int, ...]) -> BShare:
    """As `arithmetic.input`, with XOR. Cost: none. Leaks: the shape."""
    number = s.next_id()
    m = bits.words_for(int(np.prod(shape)))
    if s.rank != owner:
        return wrap(s, s.shared_stream(owner, number).bits(m), shape)
    if x is None:
        raise ProtocolAbort("the owner gave no bits", where="share_bits")
    words = bits.pack(x)
    for peer in s.peers:
        words = words ^ s.shared_stream(peer, number).bits(m)
    return wrap(s, words, shape)


def constant_bits(s: Session, x: Flags) -> BShare:
    """Party 0 holds the bits, the others zero. Cost: none."""
    words = bits.pack(x)
    return wrap(s, words if s.rank == 0 else np.zeros_like(words), x.shape)


def random_bits(s: Session, shape: tuple[int, ...]) -> BShare:
    """Each party draws its own share. Cost: none. Leaks: nothing."""
    return wrap(s, s.private_stream.bits(bits.words_for(math.prod(shape))), shape)


def open_bits(s: Session, x: BShare) -> Flags:
    """Everyone sends its share to everyone. Cost: 1 round, n / 8 bytes. Leaks: the bits, on purpose."""
    (words,) = s.open_xor("open_bits", x.parts[0])
    return bits.unpack(words, x.size).astype(bool).reshape(x.shape)


def and_(s: Session, x: BShare, y: BShare) -> BShare:
    """[z] = [x & y].

    Cost: 1 round, n / 4 bytes. Threat: semi-honest. Leaks: the shape. Source: Beaver (CRYPTO '91) in Z_2.
    """
    if not x.size:
        return x
    a, b, c = s.take(BitTriple(x.parts[0].size))
    d, e = s.open_xor("and", x.parts[0] ^ a, y.parts[0] ^ b)
    z = c ^ (d & b) ^ (e & a)
    return wrap(s, z ^ (d & e) if s.rank == 0 else z, x.shape)

"""Bits in replicated XOR shares, packed 64 a word. Costs are what each party sends in all, for n bits."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.errors import ProtocolAbort
from ppc.mpc.replicated import _kernels
from ppc.mpc.replicated.sharing import after, before, give, pass_back, public, wrap_bits, zeros_shared
from ppc.mpc.session import Session
from ppc.mpc.shares import BShare

Words: TypeAlias = NDArray[np.uint64]
Flags: TypeAlias = NDArray[np.bool_]


def input_bits(s: Session, x: Flags | None, owner: int, shape: tuple[int, ...]) -> BShare:
    """As `arithmetic.input`, with XOR. Cost: one message one way, n / 8 bytes from the owner. Leaks: the shape."""
    if s.rank == owner and x is None:
        raise ProtocolAbort("the owner gave no bits", where="share_bits")
    words = np.zeros(bits.words_for(int(np.prod(shape))), np.uint64) if x is None else bits.pack(x)
    return wrap_bits(s, give(s, "share_bits", owner, [words], xor=True)[0], shape)


def constant_bits(s: Session, x: Flags) -> BShare:
    """Component 0 is the bits, the others are zero. Cost: none."""
    return wrap_bits(s, public(s, bits.pack(x)), x.shape)


def random_bits(s: Session, shape: tuple[int, ...]) -> BShare:
    """As `arithmetic.random`. Cost: none. Leaks: nothing."""
    return wrap_bits(s, zeros_shared(s, np.zeros(bits.words_for(math.prod(shape)), np.uint64)), shape)


def open_bits(s: Session, x: BShare) -> Flags:
    """Each party tells the previous one the component that it lacks. Cost: 1 round, n / 8 bytes. Leaks: the bits."""
    mine = np.asarray(x.parts[1], order="C")
    ((theirs,),) = s.transfer("open_bits", {before(s.rank): [mine]}, {after(s.rank): [mine]}).values()
    return bits.unpack(x.parts[0] ^ mine ^ theirs, x.size).astype(bool).reshape(x.shape)


def and_(s: Session, x: BShare, y: BShare) -> BShare:
    """[z] = [x & y].

    Cost: 1 round, n / 8 bytes. Threat: semi-honest. Leaks: the shape. Source: as `arithmetic.mul`, in Z_2.
    """
    if not x.size:
        return x
    return wrap_bits(s, and_words(s, "and", x.parts, y.parts), x.shape)


def and_words(s: Session, operation: str, x: tuple[Words, ...], y: tuple[Words, ...]) -> tuple[Words, Words]:
    """The components of x & y, from components of any one shape. Cost: 1 round, the size of one array."""
    shape = x[0].shape
    ours, theirs = zeros_shared(s, x[0].reshape(-1))
    flat = [np.ascontiguousarray(p).reshape(-1) for p in (*x, *y)]
    _kernels.and_(flat[0], flat[1], flat[2], flat[3], ours, theirs)
    a, b = pass_back(s, operation, ours)
    return a.reshape(shape), b.reshape(shape)

"""Bits in the clear."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.errors import ProtocolAbort
from ppc.mpc.session import Session
from ppc.mpc.shares import BShare

Flags: TypeAlias = NDArray[np.bool_]


def share(flags: Flags) -> BShare:
    """Bits as a share that hides nothing."""
    return BShare((bits.pack(flags),), flags.shape, 0)


def flags(x: BShare) -> Flags:
    """The bits of a share that hides nothing."""
    return bits.unpack(x.parts[0], x.size).astype(bool).reshape(x.shape)


def input_bits(s: Session, x: Flags | None, owner: int, shape: tuple[int, ...]) -> BShare:
    """The bits themselves. Cost: none."""
    if x is None:
        raise ProtocolAbort("the owner gave no bits", where="share_bits")
    return share(x.reshape(shape))


def constant_bits(s: Session, x: Flags) -> BShare:
    """The bits themselves. Cost: none."""
    return share(x)


def random_bits(s: Session, shape: tuple[int, ...]) -> BShare:
    """Uniform bits. Cost: none."""
    return BShare((s.private_stream.bits(bits.words_for(math.prod(shape))),), shape, 0)


def open_bits(s: Session, x: BShare) -> Flags:
    """The bits themselves. Cost: none."""
    return flags(x)


def and_(s: Session, x: BShare, y: BShare) -> BShare:
    """x & y. Cost: none."""
    return BShare((x.parts[0] & y.parts[0],), x.shape, 0)

"""Comparisons and what is chosen by them. A comparison is exact; |x - y| must stay below 2**63 in the ring.

Costs are for two parties with the additive engine; n is the number of elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.core import bits
from ppc.errors import TypeMismatchError
from ppc.mpc.ops.arithmetic import _check_owner, check_size, concatenate
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

Flags: TypeAlias = NDArray[np.bool_]


def share_bits(s: Session, x: ArrayLike | None, owner: int, shape: tuple[int, ...] | int) -> BShare:
    """The owner's booleans as a share of bits. Cost: none."""
    wanted = (shape,) if isinstance(shape, int) else tuple(shape)
    check_size(wanted, "bits")
    _check_owner(s, owner)
    flags = None
    if s.tracing:
        flags = np.zeros(wanted, np.bool_) if s.rank == owner else None
    elif s.rank == owner:
        flags = np.asarray(x)
        if flags.dtype.kind != "b" or flags.shape != wanted:
            raise TypeMismatchError(f"booleans of shape {wanted} are needed, not {flags.dtype} of {flags.shape}")
    return s.engine.input_bits(s, flags, owner, wanted)


def open_bits(s: Session, x: BShare) -> Flags:
    """The bits, told to every party. Cost: 1 round, n / 8 bytes."""
    return s.engine.open_bits(s, x)


def less_than_zero(s: Session, x: AShare) -> BShare:
    """x < 0, exact over the whole ring. Cost: 3 rounds, 13 n bytes."""
    return s.engine.less_than_zero(s, x, [0])[0]


def less_than(s: Session, x: AShare, y: AShare | ArrayLike) -> BShare:
    """x < y, with broadcasting; y may be public. Cost: 3 rounds, 13 n bytes."""
    return less_than_zero(s, x - y)


def less_than_each(s: Session, x: AShare, thresholds: Sequence[float]) -> list[BShare]:
    """x < t for each public threshold t. Cost: 3 rounds, 8 n bytes and 5 n for each threshold."""
    fx = s.fx.of(min(x.frac_bits, 40))
    extra = x.frac_bits - fx.frac_bits
    units = [int(s.ring.to_integers(fx.encode(t, "threshold"))[()]) << extra for t in thresholds]
    return s.engine.less_than_zero(s, x, units)


def and_(s: Session, x: BShare, y: BShare) -> BShare:
    """x & y elementwise, with broadcasting. Cost: 1 round, n / 4 bytes."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    return s.engine.and_(s, x.broadcast_to(shape), y.broadcast_to(shape))


def or_(s: Session, x: BShare, y: BShare) -> BShare:
    """x | y elementwise, with broadcasting. Cost: as `and_`."""
    return ~and_(s, ~x, ~y)


def b2a(s: Session, bit: BShare) -> AShare:
    """The bits as integers 0 and 1 (frac_bits 0). Cost: 1 round, n / 8 bytes."""
    return s.engine.b2a(s, bit)


def bit_mul(s: Session, bit: BShare, x: AShare) -> AShare:
    """x where the bit is 1, else 0, with broadcasting. Cost: 1 round, 8.125 n bytes."""
    shape = np.broadcast_shapes(bit.shape, x.shape)
    return s.engine.bit_mul(s, bit.broadcast_to(shape), x.broadcast_to(shape))


def select(s: Session, bit: BShare, x: AShare | ArrayLike, y: AShare | ArrayLike) -> AShare:
    """x where the bit is 1, else y, with broadcasting. One of the two may be public. Cost: 1 round, 8.125 n bytes."""
    if isinstance(y, AShare):
        return y - bit_mul(s, bit, y - x)
    if isinstance(x, AShare):
        return bit_mul(s, bit, x - y) + y
    raise TypeMismatchError("select needs a share", hint="for two public values: ops.b2a, then public arithmetic")


def absolute(s: Session, x: AShare) -> AShare:
    """|x|. Cost: 4 rounds, 21.1 n bytes."""
    return x - bit_mul(s, less_than_zero(s, x), x * 2)


def sign(s: Session, x: AShare) -> AShare:
    """-1, 0 or 1 as integers. Cost: 4 rounds, 18.3 n bytes."""
    below, at_most = s.engine.less_than_zero(s, x, [0, 1])  # x < 0, and x < one unit: x <= 0
    both = b2a(s, stack_bits([below, at_most]))
    return 1 - both[0] - both[1]


def stack_bits(xs: Sequence[BShare]) -> BShare:
    """Bits of one shape along a new first axis. Cost: none."""
    shape = xs[0].shape
    parts = tuple(
        bits.pack(np.concatenate([bits.unpack(p, x.size) for p, x in zip(column, xs, strict=True)]).astype(bool))
        for column in zip(*(x.parts for x in xs), strict=True)
    )
    return BShare(parts, (len(xs), *shape), xs[0].holder)


def concatenate_bits(xs: Sequence[BShare]) -> BShare:
    """Bits along the first axis, as `numpy.concatenate`. Cost: none."""
    trailing = {x.shape[1:] for x in xs}
    if not xs or len(trailing) != 1 or any(not x.shape for x in xs):
        raise TypeMismatchError(f"bits of shapes {[x.shape for x in xs]} do not join")
    parts = tuple(
        bits.pack(np.concatenate([bits.unpack(p, x.size) for p, x in zip(column, xs, strict=True)]).astype(bool))
        for column in zip(*(x.parts for x in xs), strict=True)
    )
    return BShare(parts, (sum(len(x) for x in xs), *trailing.pop()), xs[0].holder)


def maximum(s: Session, x: AShare, y: AShare) -> AShare:
    """The larger of the two, elementwise. Cost: 4 rounds, 21.1 n bytes."""
    return select(s, less_than(s, x, y), y, x)


def minimum(s: Session, x: AShare, y: AShare) -> AShare:
    """The smaller of the two, elementwise. Cost: 4 rounds, 21.1 n bytes."""
    return select(s, less_than(s, x, y), x, y)


def clip(s: Session, x: AShare, low: float, high: float) -> AShare:
    """x within public bounds. Cost: 4 rounds, 34.3 n bytes."""
    below, above = less_than_each(s, x, [low, high])
    shape = (1, *x.shape)
    inside = concatenate([(x - low).reshape(shape), (x - high).reshape(shape)])
    moved = bit_mul(s, stack_bits([below, ~above]), inside)
    return x - moved[0] - moved[1]

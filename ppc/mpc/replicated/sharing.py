"""Who holds which component, and the three ways in which components come about.

Component i is held by parties i and i - 1, and party i + 1 does not know it. Two parties that hold a common key draw
the same words without talking, so a fresh component known to both is free.

Everything is a tuple of arrays here: the two components of this party, its own first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import ring
from ppc.core.rng import Stream
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

Words: TypeAlias = NDArray[np.uint64]
Array: TypeAlias = NDArray[Any]  # uint64, or uint32 where a protocol needs no more bits

PARTIES: Final = 3

# In a conversion, x is split into x_0, which parties 0 and 2 know, and x_1 + x_2, which party 1 alone knows.
LEFT: Final = 0
ALONE: Final = 1
RIGHT: Final = 2


def after(rank: int) -> int:
    """The next party, which shares component `rank + 1` with this one."""
    return (rank + 1) % PARTIES


def before(rank: int) -> int:
    """The previous party, which shares component `rank` with this one."""
    return (rank + 2) % PARTIES


def holder(s: Session) -> int | None:
    """Which part takes public constants: component 0."""
    return {0: 0, 2: 1}.get(s.rank)


def wrap(s: Session, parts: tuple[Words, Words], frac_bits: int) -> AShare:
    """This party's components as a share."""
    return AShare(parts, frac_bits, holder(s))


def wrap_bits(s: Session, parts: tuple[Words, Words], shape: tuple[int, ...]) -> BShare:
    """This party's packed components as a share."""
    return BShare(parts, shape, holder(s))


def public(s: Session, words: Words) -> tuple[Words, Words]:
    """The components of what all know: component 0 is the value, the others are zero."""
    zeros = np.zeros_like(words)
    return (words if s.rank == 0 else zeros), (words if s.rank == 2 else zeros)


def known_left(s: Session, x: AShare) -> Words | None:
    """Component 0 at parties 0 and 2."""
    return None if s.rank == ALONE else x.parts[0 if s.rank == LEFT else 1]


def draw(stream: Stream, like: Array) -> Array:
    """Uniform words of the shape and type of `like`."""
    if ring.of(like).limbs_each > 1:
        return ring.of(like).draw(stream, like.shape)
    words = stream.uint64(-(-like.nbytes // 8))
    return words.view(like.dtype)[: like.size].reshape(like.shape)


def zeros_shared(s: Session, like: Words) -> tuple[Words, Words]:
    """Words of the shape and ring of `like`, in common with the previous and with the next party.

    The first less (or XOR) the second is this party's share of zero: it looks uniform to whoever lacks one of the keys.
    Source: Araki and others (CCS 2016), §2.2.
    """
    number = s.next_id()
    ours = draw(s.shared_stream(before(s.rank), number), like)
    return ours, draw(s.shared_stream(after(s.rank), number), like)


def pass_back(s: Session, operation: str, z: Words) -> tuple[Words, Words]:
    """Each party's masked summand becomes its component, told to the previous party, which shares it. One round."""
    back, ahead = before(s.rank), after(s.rank)
    ((theirs,),) = s.transfer(operation, {back: [z]}, {ahead: [z]}).values()
    return z, theirs


def give(
    s: Session, operation: str, owner: int, values: Sequence[Array], *, xor: bool = False
) -> list[tuple[Array, Array]]:
    """What one party knows, as components: one is drawn with the next party, one is told to the previous one, one is 0.

    Args:
        values: at the owner the values, elsewhere arrays of the same shapes and types, of which nothing else is read.

    Cost: one message one way of the values' size. Threat: semi-honest. Leaks: the shapes.
    """
    ahead, back = after(owner), before(owner)
    number = s.next_id()
    if s.rank == back:
        came = s.transfer(operation, {}, {owner: values})[owner]
        return [(np.zeros_like(v), t) for v, t in zip(values, came, strict=True)]
    stream = s.shared_stream(ahead if s.rank == owner else owner, number)
    drawn = [draw(stream, v) for v in values]
    if s.rank == ahead:
        s.transfer(operation, {}, {})
        return [(d, np.zeros_like(d)) for d in drawn]
    rest = [v ^ d if xor else v - d for v, d in zip(values, drawn, strict=True)]
    s.transfer(operation, {back: rest}, {})
    return list(zip(rest, drawn, strict=True))


def join(s: Session, operation: str, z: Array, *, xor: bool = False) -> tuple[Array, Array]:
    """The sum of a value of party 0 and one of party 2, as components. Party 1 gives an array of their shape.

    Both parties mask theirs with words that they have in common with party 1, and tell each other the rest.

    Cost: 1 round of the value's size between parties 0 and 2. Threat: semi-honest. Leaks: the shape.
    """
    number = s.next_id()
    if s.rank == ALONE:
        s.transfer(operation, {}, {})
        return draw(s.shared_stream(LEFT, number), z), draw(s.shared_stream(RIGHT, number), z)
    drawn = draw(s.shared_stream(ALONE, number), z)
    rest = z ^ drawn if xor else z - drawn
    peer = RIGHT if s.rank == LEFT else LEFT
    ((theirs,),) = s.transfer(operation, {peer: [rest]}, {peer: [rest]}).values()
    both = rest ^ theirs if xor else rest + theirs
    return (both, drawn) if s.rank == LEFT else (drawn, both)

"""A secret shuffle: each two parties permute in their turn, so every party lacks one of the three permutations."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.mpc.replicated.sharing import PARTIES, after, before, draw, wrap
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]


def shuffle(s: Session, x: AShare) -> AShare:
    """The rows of [x] (n, k) in a uniformly random order that nobody knows.

    In turn i, parties i and i + 1 hold x as a sum of two (x_i + x_(i+1), and x_(i+2)), put both in an order that they
    draw from their common key, and share the sum afresh.

    Cost: 3 rounds, 16 n k bytes. Threat: semi-honest. Leaks: n, k.
    Source: resharing-based shuffling, Laur, Willemson, Zhang (ISC 2011), with permutations from common keys.
    """
    if not x.size:
        return x
    parts = (x.parts[0], x.parts[1])
    for turn in range(PARTIES):
        parts = _turn(s, parts, turn)
    return wrap(s, parts, x.frac_bits)


def _turn(s: Session, parts: tuple[Words, Words], first: int) -> tuple[Words, Words]:
    second, third = after(first), before(first)
    order_id, mask_id = s.next_id(), s.next_id()
    if s.rank == third:  # its components are drawn with one of the two each
        s.transfer("shuffle", {}, {})
        like = parts[0]
        return draw(s.shared_stream(second, mask_id), like), draw(s.shared_stream(first, mask_id), like)
    peer = second if s.rank == first else first
    order = s.shared_stream(peer, order_id).permutation(len(parts[0]))
    summand = (parts[0] + parts[1] if s.rank == first else parts[1])[order]
    drawn = draw(s.shared_stream(third, mask_id), summand)
    rest = summand - drawn
    ((theirs,),) = s.transfer("shuffle", {peer: [rest]}, {peer: [rest]}).values()
    middle = rest + theirs  # component first + 1, which both hold
    return (drawn, middle) if s.rank == first else (middle, drawn)

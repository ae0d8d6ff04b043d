"""Shares as words on disk, and the session that a job's steps use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.errors import JobFileError
from ppc.mpc.correlations.pairwise import Randomness
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare
from ppc.net.channel import Channel


def needs_helper(operator: str, where: str) -> JobFileError:
    """Why four or more parties cannot do without."""
    return JobFileError(
        f"{operator} computes on shares, and four or more parties need a helper for that, which deals correlated "
        "randomness",
        where=where,
        hint='Name one in the job: helper = "helper". Two or three parties can do without.',
    )


def open_session(
    me: str,
    parties: Sequence[str],
    channels: Mapping[str, Channel],
    dealer: Channel | None,
    randomness: Randomness = "ot",
) -> Session:
    """The secure computation of all parties of a job.

    With the helper's channel if it has one: additive shares. Without: two parties make their randomness themselves,
    three hold replicated shares, which need none.
    """
    if dealer is not None:
        return Session.additive(me, parties, channels, dealer)
    if len(parties) == 3:
        return Session.replicated(me, parties, channels)
    if len(parties) != 2:
        raise needs_helper("this job", "key 'helper'")
    return Session.two_party(me, parties, channels, randomness=randomness)


def words(share: AShare) -> tuple[NDArray[np.uint64], int]:
    """A share's words, shape (parts, *share.shape), and its fraction bits."""
    return np.stack(share.parts), share.frac_bits


def restore(session: Session, stacked: NDArray[Any], frac_bits: int) -> AShare:
    """The share whose words were kept."""
    parts = tuple(np.ascontiguousarray(p, dtype=np.uint64) for p in stacked)
    # Which part takes public constants is the engine's business: ask it for a constant of its own.
    holder = session.engine.constant(session, np.zeros((), np.uint64), frac_bits).holder
    return AShare(parts, frac_bits, holder)

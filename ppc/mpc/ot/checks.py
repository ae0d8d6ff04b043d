"""Checks that let transfers and vector OLE stand against parties that deviate from the protocol.

**Columns.** In OT extension and in the direct vector OLE one party sends, for each bit s_i of the other's secret, a
column U_i, and the other gets Q_i = T_i + s_i·u_i where all u_i should be the same vector u. A party that sends
different ones tests bits of s. The check is that of SoftSpokenOT for the repetition code: vectors over F = GF(2^128)
are hashed by h(v) = Σ χ_j·v_j with random χ_j that are drawn before and told after the columns are sent, and χ = 1 at
a last place, which is random and thrown away. The prover tells x = h(u) and t_i = h(T_i); the verifier wants
h(Q_i) = t_i + s_i·x for every i.

*Why it suffices.* Fix the columns u_i that were really sent. Two different ones have the same hash with probability
2^-128 over χ; suppose that no two do (all but 2^-115). Then at most one u has h(u) = x. The test of column i is
s_i·(h(u_i) − x) = e_i for an e_i of the prover's choice, so each column with u_i ≠ u passes for one value of s_i only:
k deviating columns pass with probability 2^-k, and the prover then knows k bits of s that it guessed. It can correct
its own side for those k columns, so the result is that of the ideal functionality, in which a party may guess bits of
the key and is caught at the first wrong guess. Guessing all of s has probability 2^-128, checks or not.

*What the check tells.* t_i is what the verifier can compute from x, and x is masked by the last place.

**Trees.** See `vole`: the holder of the trees' roots answers a random combination of all leaves.

Source: Roy, "SoftSpokenOT", CRYPTO 2022, sections 3 and 4 (universal hashing of columns in place of the check of
Keller, Orsini, Scholl, CRYPTO 2015, whose proof has a gap); Patra, Sarkar, Suresh, NDSS 2017 (the same idea).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits, gf128, rng
from ppc.core.rng import Stream
from ppc.errors import ProtocolAbort
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]

COLUMNS: Final = 128
CHALLENGE: Final = Spec(np.uint64, (2,))


class Weights:
    """χ for places in order, from a seed of two words; the last of `total` places has weight 1."""

    def __init__(self, seed: Words, total: int) -> None:
        self._stream = Stream(seed.tobytes())
        self._left = total

    def next(self, n: int) -> Words:
        """The weights of the next n places; uint64 (n, 2)."""
        out = self._stream.uint64((n, 2))
        self._left -= n
        if not self._left:
            out[-1] = (1, 0)
        return out


class Verifier:
    """The side with the secret bits: hashes columns as they come, then asks."""

    def __init__(self, total: int) -> None:
        self._seed = np.frombuffer(rng.random_key(), np.uint64)
        self._weights = Weights(self._seed, total)
        self._sums = np.zeros((COLUMNS, 2), np.uint64)
        self._now = np.empty((0, 2), np.uint64)

    def __repr__(self) -> str:
        return "<checks.Verifier>"

    def advance(self, n: int) -> None:
        """What follows concerns the next n places."""
        self._now = self._weights.next(n)

    def add(self, i: int, column: Words) -> None:
        """Those places of Q_i; uint64 (n, 2)."""
        gf128.add_dot(self._sums[i], column, self._now)

    def conclude(self, channel: Channel, tag: str, secret: Words) -> None:
        """Tell χ, hear x and the t_i, compare. `secret` (2,) are the bits s; one round.

        Raises: ProtocolAbort: the columns do not belong together.
        """
        channel.send(f"{tag} challenge", self._seed)
        x, t = channel.recv(f"{tag} check", CHALLENGE, Spec(np.uint64, (COLUMNS, 2)))
        masks = np.uint64(0) - bits.unpack(secret, COLUMNS).astype(np.uint64)
        if ((t ^ (masks[:, None] & x)) != self._sums).any():
            raise inconsistent(channel, tag)


def answer(
    channel: Channel, tag: str, total: int, pieces: Callable[[], Iterator[tuple[Words, Callable[[int], Words]]]]
) -> None:
    """The side that sent columns: hear χ, tell x and the t_i.

    `pieces` yields the places in order, some at a time: those of u (n, 2), and a function that gives those of T_i,
    called once for each i = 0 … 127.
    """
    (seed,) = channel.recv(f"{tag} challenge", CHALLENGE)
    weights = Weights(seed, total)
    x, t = np.zeros(2, np.uint64), np.zeros((COLUMNS, 2), np.uint64)
    for u, column in pieces():
        now = weights.next(len(u))
        gf128.add_dot(x, u, now)
        for i in range(COLUMNS):
            gf128.add_dot(t[i], column(i), now)
    channel.send(f"{tag} check", x, t)


def inconsistent(channel: Channel, tag: str) -> ProtocolAbort:
    """The error for a peer whose messages do not belong together."""
    return ProtocolAbort(
        f"{channel.peer} deviates from the protocol: its messages do not belong together",
        where=f"consistency check of '{tag}'",
        party=channel.peer,
        hint="nothing was matched; do not run again with this party before it is explained",
    )

"""Universal IDs (private ID): both parties give the same random number to every key of the union, in one order.

Each party learns the IDs of its own rows, and those of all rows that anybody has. So tables of both can be laid side
by side over the union, with gaps, and secure computation can work on the rows that have no gap, whichever they are.
Neither party learns which of its rows the other has.

1. both make pseudo-random functions F_0 and F_1, one each, and learn the other's on their own keys (`oprf`): the ID
   of a key x is F_0(x) ⊕ F_1(x), 128 bits. Nobody can compute that of a key that it did not bring
2. circuit PSI (`circuit`) gives shares of which of the smaller set's keys (its party is the receiver) the other one has
3. on shares, IDs of keys that both have become zero; the bins are shuffled, so that no party knows their order, and
   opened to the sender. These are the IDs of keys that only the receiver has
4. the sender adds its own, sorts, and tells the receiver the IDs of the union

Threat: semi-honest; the session's engine for step 3. Rests on what `rr22` does (`ppc.mpc.psi.rr22`).
Leaks: to both how many keys the other has, and how many are in the union, so how many both have. Nothing else.
Cost: that of `circuit` without columns; then in step 3 two rounds and those of a shuffle, 48 bytes a bin; step 1
    sends 16 bytes a block of a store (1.35 blocks a key) for each party's keys; step 4 sends 16 bytes a key of the
    union.

Why nothing else leaks. *The sender* sees the IDs of the receiver's own keys in an order that the receiver's half of
the shuffle makes uniform: random numbers, as F of the receiver at these keys is unknown to it. It computes their
number from what it is to learn. *The receiver* sees the IDs of the union in ascending order: its own, and others that
are random to it, as F of the sender at keys that it did not bring. Which of its own the sender brought too does not
change them.

Source: Buddhavarapu, Knox, Mohassel, Sengupta, Taubeneck, Vlaskin, "Private matching for compute", ePrint 2020/599,
    for the functionality; Garimella, Mohassel, Rosulek, Sadeghian, Singh, "Private set operations from oblivious
    switching", PKC 2021, section 4, for IDs by two pseudo-random functions and a private union by shuffled
    membership.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.errors import ConfigError, FrameError, ProtocolAbort
from ppc.mpc import ops
from ppc.mpc.ot import vole
from ppc.mpc.psi import circuit, cuckoo, okvs, oprf
from ppc.mpc.psi.ecdh import Progress
from ppc.mpc.psi.greeting import MAX_ROWS, greet
from ppc.mpc.psi.keys import Keys, as_keys
from ppc.mpc.session import Session
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]

_PROTOCOL: Final = "union ids v1"
_IDS_A_FRAME: Final = 1 << 20  # 16 MB


@dataclass(frozen=True, repr=False, eq=False)
class UnionIds:
    """The union of two parties' keys, as one of them holds it.

    Attributes:
        ids: (size, 2) uint64, ascending by the first word, then the second; the same at both parties.
        rows: my rows that have a key (int64), in the order of their IDs.
        places: where those stand among the IDs: `ids[places[i]]` is the ID of `rows[i]`.
        theirs: how many keys the other party has.
    """

    ids: Words
    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    theirs: int

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<UnionIds {len(self.rows)} of {len(self)} mine>"

    @property
    def common(self) -> int:
        """How many keys both parties have."""
        return len(self.rows) + self.theirs - len(self)


def universal_ids(
    s: Session,
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    *,
    randomness: vole.Randomness = "silent",
    max_peer_rows: int = MAX_ROWS,
    progress: Progress | None = None,
) -> UnionIds:
    """IDs for the union of both parties' keys. Both call this at the same time.

    Threat model, leakage, cost and sources are those of the module. Arguments and errors as in `circuit.match`.
    """
    channel = circuit.peer(s)
    if randomness not in ("silent", "ot"):
        raise ConfigError(f"randomness is one of silent, ot, not {randomness!r}")
    keys, tell = as_keys(keys), progress or _ignore
    theirs, salt = greet(channel, keys, f"{_PROTOCOL} {randomness}", max_peer_rows)
    receiver = circuit.fewer(s, len(keys), theirs)
    if not (len(keys) and theirs):
        return _alone(channel, keys, theirs, sending=s.rank != receiver)
    tell(0.0, "making IDs")
    mine = _ids(s, channel, keys, theirs, salt, randomness)
    found = circuit.after_greeting(
        s, keys, theirs, oprf.salted(salt, "members"), np.zeros((len(keys), 0), np.uint64), 0, frac_bits=0,
        receiver=receiver, randomness=randomness, progress=lambda done, what: tell(0.2 + 0.6 * done, what),
    )  # fmt: skip
    in_bins = None
    if found.rows is not None:
        # From rows of the table back to keys, which is how IDs are ordered.
        key_of = np.full(keys.total, -1, np.int64)
        key_of[keys.rows] = np.arange(len(keys))
        in_bins = np.zeros((found.bins, 2), np.uint64)
        in_bins[found.rows >= 0] = mine[key_of[found.rows[found.rows >= 0]]]
    tell(0.85, "shuffling what only one party has")
    columns = s.engine.input(s, None if in_bins is None else np.ascontiguousarray(in_bins.T), receiver,
                             (2, found.bins), 0)  # fmt: skip
    other = ~found.member
    alone = s.engine.bit_mul(s, ops.stack_bits([other, other]).ravel(), columns.ravel())
    shuffled = s.engine.shuffle(s, alone.reshape(2, found.bins).T)
    opened = s.engine.reveal(s, shuffled, 1 - receiver)
    tell(0.95, "exchanging the IDs of the union")
    if opened is not None:
        union = _merge(mine, opened[opened.any(axis=1)], theirs, channel)
        _send(channel, union)
    else:
        union = _receive(channel, len(keys), theirs)
    order, places = _places(union, mine, channel)
    tell(1.0, "IDs made")
    return UnionIds(union, keys.rows[order], places, theirs)


def sent_bytes(mine: int, theirs: int) -> int:
    """About how many bytes the party that sends more sends."""
    small, large = sorted((max(mine, 1), max(theirs, 1)))
    extra = 16 * okvs.layout(large).blocks + 48 * cuckoo.bins_for(small) + 16 * (small + large) + 700_000
    return circuit.sent_bytes(small, large) + extra


def _ids(s: Session, channel: Channel, keys: Keys, theirs: int, salt: bytes, randomness: vole.Randomness) -> Words:
    """F_0 ⊕ F_1 of my keys, (keys, 2)."""
    inputs = oprf.Inputs.of(keys, salt, "id")
    total = np.zeros((len(keys), 2), np.uint64)
    for holder in (0, 1):
        part = oprf.salted(salt, f"id {holder}")
        if s.rank == holder:
            blocks = oprf.hold(channel, theirs, part, randomness).evaluate(inputs)
        else:
            blocks = oprf.learn(channel, inputs, part, randomness)
        total ^= oprf.finish(blocks, part, "id")
    return total


def _alone(channel: Channel, keys: Keys, theirs: int, *, sending: bool) -> UnionIds:
    """One party, or both, have no keys: whoever has some draws the IDs."""
    if sending:
        ids = rng.os_stream().uint64((len(keys), 2))
        ids = ids[_order(ids)]
        _send(channel, ids)
        rows = keys.rows[rng.os_stream().permutation(len(keys))]
        return UnionIds(ids, rows, np.arange(len(ids), dtype=np.int64), theirs)
    ids = _receive(channel, len(keys), theirs)
    return UnionIds(ids, keys.rows[:0], np.empty(0, np.int64), theirs)


def _merge(mine: Words, others: Words, theirs: int, channel: Channel) -> Words:
    """All IDs, ascending."""
    union = np.concatenate([mine, others])
    union = union[_order(union)]
    if not (len(others) <= theirs and _ascending(union)):
        raise ProtocolAbort(
            "the IDs of the union repeat each other",
            where="union IDs",
            hint="a party did not follow the protocol",
            party=channel.peer,
        )
    return union


def _send(channel: Channel, union: Words) -> None:
    channel.send("union size", np.array([len(union)], np.uint64))
    for start in range(0, len(union), _IDS_A_FRAME):
        channel.send("union ids", union[start : start + _IDS_A_FRAME])


def _receive(channel: Channel, mine: int, theirs: int) -> Words:
    (told,) = channel.recv("union size", Spec(np.uint64, (1,)))
    size = int(told[0])
    if not max(mine, theirs) <= size <= mine + theirs:
        raise FrameError(
            f"{channel.peer} announces a union of {size} keys, for sets of {mine} and {theirs}",
            where="frame field 'payload' of 'union size'",
            party=channel.peer,
        )
    union = np.empty((size, 2), np.uint64)
    for start in range(0, size, _IDS_A_FRAME):
        part = union[start : start + _IDS_A_FRAME]
        (part[:],) = channel.recv("union ids", Spec(np.uint64, part.shape))
    if not _ascending(union):
        raise FrameError(
            f"{channel.peer} sent IDs that are not in ascending order",
            where="frame field 'payload' of 'union ids'",
            party=channel.peer,
        )
    return union


def _places(union: Words, mine: Words, channel: Channel) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """My keys in the order of their IDs, and where each stands in the union."""
    from ppc.mpc.psi import _kernels

    order = _order(mine)
    places = np.empty(len(mine), np.int64)
    if not (_kernels.merge(union, np.ascontiguousarray(mine[order]), places) and (places >= 0).all()):
        raise FrameError(
            f"{channel.peer} left out IDs of the union",
            where="frame field 'payload' of 'union ids'",
            party=channel.peer,
        )
    return order, places


def _order(ids: Words) -> NDArray[np.int64]:
    """The order of IDs by first, then second word."""
    return np.lexsort((ids[:, 1], ids[:, 0])).astype(np.int64, copy=False)


def _ascending(ids: Words) -> bool:
    a, b = ids[:-1], ids[1:]
    return bool(((a[:, 0] < b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] < b[:, 1]))).all())


def _ignore(fraction: float, what: str) -> None:
    """Progress that nobody asked for."""

"""Circuit PSI: what two parties have in common, as shares that later steps compute on. Nobody learns who matched.

One party (the receiver, by default the one with fewer keys) puts its keys into bins, one a bin (`cuckoo`); the other
(the sender) takes every key of its own as if it lay in all three of its bins.

1. greeting; the receiver learns a pseudo-random function F of the sender (`oprf`) at (x, j) for each of its keys x,
   where j says which of its three bins x is in
2. the sender draws for each bin a tag t and words w, and for j = 1, 2, 3 sends a store (`okvs`) that maps each of its
   keys y to F(y, j) plus (t, z − w) of y's j-th bin, where z are y's columns. At its own (x, j) the receiver reads t
   and z − w of its bin if the sender has x, and random words if not
3. both share their tags of every bin and compare them on shares: a bit a bin, the membership. What the receiver read
   and w are shares of the sender's columns; they and the receiver's are multiplied by the bit

Threat: semi-honest; the session's engine for step 3. Rests on what `rr22` does (`ppc.mpc.psi.rr22`). A receiver that
    deviates and learns F at two keys of one bin sees equal tags if the sender has both.
Leaks: to both the number of the other's keys, and of its columns. Nothing else: not even how many match.
Cost: up to 13 rounds, and 6 for each further 2^17 bins; with B bins (1.31 n + 104 for the receiver's n keys) and m keys
    at the sender: the receiver sends 16 bytes a block of a store of n keys (1.35 blocks a key), the sender 48 a block
    of a store of m, times 1 + half its columns; each 16 bytes a bin for the comparison and 8 a bin and column.
A bin that does not match is taken for one that does with probability 2^-64 each, below 2^-40 for up to 2^24 bins.

Why nothing else leaks. *The sender* sees uniform blocks, and the engine's. *The receiver* sees three stores. It knows
F at one (x, j) for each bin with a key of its own, and at those the store gives t and z − w of that bin: uniform,
since no two of them share a bin. Everywhere else the encoded values are masked by values of F that it does not know:
F is taken at (y, j), so each mask is used once. A store that encodes uniform values is itself uniform.

Source: Pinkas, Schneider, Tkachenko, Yanai, "Efficient circuit-based PSI with linear communication", EUROCRYPT 2019
    (programmable OPRF and bins); Rindal, Schoppmann, "VOLE-PSI", EUROCRYPT 2021, section 5 (from VOLE and a store).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.core import rng
from ppc.core.fixedpoint import FixedPoint
from ppc.errors import ConfigError, FrameError, TypeMismatchError, ValueRangeError
from ppc.mpc import ops
from ppc.mpc.ot import vole
from ppc.mpc.psi import cuckoo, okvs, oprf
from ppc.mpc.psi.ecdh import Progress
from ppc.mpc.psi.greeting import MAX_ROWS, greet
from ppc.mpc.psi.keys import Keys, as_keys
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare
from ppc.net.channel import Channel

Words = NDArray[np.uint64]

MAX_BINS: Final = 1 << 24  # 64-bit tags of so many bins collide with probability 2^-40
MAX_COLUMNS: Final = 1 << 10
_PROTOCOL: Final = "circuit psi v1"
_BINS_AT_ONCE: Final = 1 << 17  # compared on shares in one go: 64 bits each, as booleans 8 MB
_TAG_BITS: Final = 64


@dataclass(frozen=True, repr=False, eq=False)
class Matched:
    """The bins after circuit PSI, as one party holds them.

    Attributes:
        receiver: the rank of the party whose keys lie in the bins.
        bins: their number, which is public.
        rows: at the receiver, the row (int64) whose key lies in each bin, -1 where none does; `None` at the sender.
        member: one bit a bin, 1 where the sender has the key too; shares.
        columns: by rank, that party's columns of the matching rows, zero in the other bins: shares (bins, its columns).
    """

    receiver: int
    bins: int
    rows: NDArray[np.int64] | None
    member: BShare
    columns: tuple[AShare, ...]

    def __repr__(self) -> str:
        return f"<Matched bins={self.bins} columns={[c.shape[1] for c in self.columns]}>"


def match(
    s: Session,
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    columns: ArrayLike | None = None,
    *,
    frac_bits: int | None = None,
    receiver: int | None = None,
    randomness: vole.Randomness = "silent",
    max_peer_rows: int = MAX_ROWS,
    progress: Progress | None = None,
) -> Matched:
    """Membership and columns of the common keys, as shares. Both parties call this at the same time.

    Threat model, leakage, cost and sources are those of the module.

    Args:
        s: a session of the two parties.
        keys: from `ppc.mpc.psi.keys.prepare`, or key columns, which are prepared with the defaults.
        columns: (rows of the table, k) numbers that go with the rows, for later steps to compute on; `None` for none.
        frac_bits: of both parties' columns, the same at both; the session's by default, 0 for integers.
        receiver: the rank of the party whose keys lie in the bins, the same at both; by default the one with fewer.
        randomness, max_peer_rows, progress: as in `ppc.mpc.psi.protocols.intersect`.

    Raises:
        ConfigError: a session of other than two parties; settings that differ. ValueRangeError: a number that does not
        fit; too many keys. Others as `ppc.mpc.psi.ecdh.intersect`.
    """
    channel = peer(s)
    if randomness not in ("silent", "ot"):
        raise ConfigError(f"randomness is one of silent, ot, not {randomness!r}")
    if receiver not in (None, 0, 1):
        raise ConfigError(f"the receiver is a rank, 0 or 1, not {receiver!r}")
    keys = as_keys(keys)
    f = s.fx.frac_bits if frac_bits is None else frac_bits
    mine = _encode(columns, keys, f)
    asked = "any" if receiver is None else s.parties[receiver]
    theirs, salt = greet(channel, keys, f"{_PROTOCOL} {randomness} {f} {asked}", max_peer_rows)
    width = _their_width(channel, mine.shape[1])
    if receiver is None:
        receiver = fewer(s, len(keys), theirs)
    return after_greeting(
        s, keys, theirs, salt, mine, width, frac_bits=f, receiver=receiver, randomness=randomness,
        progress=progress,
    )  # fmt: skip


def peer(s: Session) -> Channel:
    """The channel to the other party of a session of two."""
    if len(s.parties) != 2:
        raise ConfigError(
            f"this matches the keys of two parties, and the session has {len(s.parties)}", hint="open one of two"
        )
    return s.channel(1 - s.rank)


def fewer(s: Session, mine: int, theirs: int) -> int:
    """The rank of the party with fewer keys; at a tie the lower one."""
    return s.rank if (mine, s.rank) < (theirs, 1 - s.rank) else 1 - s.rank


def after_greeting(
    s: Session,
    keys: Keys,
    theirs: int,
    salt: bytes,
    mine: Words,
    width: int,
    *,
    frac_bits: int,
    receiver: int,
    randomness: vole.Randomness,
    progress: Progress | None = None,
) -> Matched:
    """`match` when the parties know of each other: the peer's number of keys and of columns, and the session's salt.

    `mine`: my columns of my keys as ring elements (keys, k).
    """
    channel, f, receiving = peer(s), frac_bits, s.rank == receiver
    rows, others = (len(keys), theirs) if receiving else (theirs, len(keys))
    bins = cuckoo.bins_for(rows)
    if not bins <= MAX_BINS:
        raise ValueRangeError(
            f"{rows} keys take {bins} bins; circuit PSI has at most {MAX_BINS}", hint="match in several parts"
        )
    tell = progress or _ignore
    part = _Part(channel, keys, salt, bins, randomness, tell)
    sender_width = width if receiving else mine.shape[1]
    place = None
    if not (rows and others):
        tags = words = None
        place = np.full(bins, -1, np.int64)
    elif receiving:
        place, tags, words = part.receive(others, sender_width)
    else:
        tags, words = part.send(rows, mine)
    tell(0.8, "comparing on shares")
    member = _compare(s, receiver, tags, bins)
    # Of the sender's columns each party holds words that add up to them; the receiver's it knows itself.
    sent = _zeros(s, bins, sender_width, f)
    if tags is not None:
        for rank in (0, 1):
            sent = sent + s.engine.input(s, words if s.rank == rank else None, rank, (bins, sender_width), f)
    own = None
    if receiving and place is not None:
        own = np.zeros((bins, mine.shape[1]), np.uint64)
        own[place >= 0] = mine[place[place >= 0]]
    kept = s.engine.input(s, own, receiver, (bins, mine.shape[1] if receiving else width), f)
    both = _masked(s, member, ops.concatenate([kept, sent], axis=1))
    split = kept.shape[1]
    by_rank = (both[:, :split], both[:, split:])
    tell(1.0, "matched")
    return Matched(
        receiver,
        bins,
        np.where(place >= 0, keys.rows[place] if len(keys) else -1, -1) if receiving and place is not None else None,
        member,
        by_rank if receiver == 0 else by_rank[::-1],
    )


def sent_bytes(receiver_rows: int, sender_rows: int, columns: int = 0) -> int:
    """About how many bytes the party that sends more sends."""
    bins = cuckoo.bins_for(receiver_rows)
    stores = 3 * 16 * (1 + columns // 2) * okvs.layout(max(sender_rows, 1)).blocks
    return max(stores, 16 * okvs.layout(max(receiver_rows, 1)).blocks) + (16 + 8 * columns) * bins + 700_000


# --- steps 1 and 2 ---
@dataclass(frozen=True, repr=False)
class _Part:
    """One party's side of the programmable OPRF."""

    channel: Channel
    keys: Keys
    salt: bytes
    bins: int
    randomness: vole.Randomness
    progress: Callable[[float, str], None]

    def _candidates(self) -> NDArray[np.uint32]:
        return cuckoo.candidates(self.keys.hashed(self.salt, "bins"), self.bins)

    def _inputs(self, j: int) -> oprf.Inputs:
        return oprf.Inputs.of(self.keys, self.salt, f"circuit {j}")

    def receive(self, others: int, width: int) -> tuple[NDArray[np.int64], Words, Words]:
        """The key in each bin (-1: none), my tag of each bin, and my words (bins, width) of the sender's columns."""
        self.progress(0.0, "placing my keys in bins")
        table, choice = cuckoo.place(self._candidates(), self.bins)
        at = np.empty(len(self.keys), np.int64)
        at[table[table >= 0]] = np.flatnonzero(table >= 0)
        inputs = oprf.Inputs(*(np.empty((len(self.keys), 2), np.uint64) for _ in range(3)))
        for j in range(cuckoo.HASHES):
            made, here = self._inputs(j), choice == j
            for into, whole in zip(_arrays(inputs), _arrays(made), strict=True):
                into[here] = whole[here]
        self.progress(0.2, "learning a pseudo-random function of my keys")
        blocks = oprf.learn(self.channel, inputs, oprf.salted(self.salt, "circuit"), self.randomness)
        # A bin without a key of mine gets a random tag: the sender cannot tell it from others.
        stream = rng.os_stream()
        tags, words = stream.uint64((self.bins,)), stream.uint64((self.bins, width))
        sizes = okvs.layout(others)
        for j in range(cuckoo.HASHES):
            self.progress(0.4 + 0.13 * j, f"reading the store of {self.channel.peer}")
            here = np.flatnonzero(choice == j)
            for pair in range(_pairs(width)):
                store = oprf.receive_store(self.channel, "circuit store", sizes)
                got = okvs.decode(inputs.place[here], inputs.r[here], store, sizes)
                got -= oprf.finish(blocks[here], self.salt, f"{j} {pair}")
                for half in (0, 1):
                    column = 2 * pair + half - 1  # the first word is the tag
                    if column < 0:
                        tags[at[here]] = got[:, half]
                    elif column < width:
                        words[at[here], column] = got[:, half]
        return table, tags, words

    def send(self, rows: int, columns: Words) -> tuple[Words, Words]:
        """My tag of each bin, and my words (bins, k) of my columns (keys, k)."""
        self.progress(0.0, "making correlated randomness")
        key = oprf.hold(self.channel, rows, oprf.salted(self.salt, "circuit"), self.randomness)
        stream, width = rng.os_stream(), columns.shape[1]
        tags, words = stream.uint64((self.bins,)), stream.uint64((self.bins, width))
        mine, sizes = self._candidates(), okvs.layout(len(self.keys))
        for j in range(cuckoo.HASHES):
            self.progress(0.4 + 0.13 * j, "encoding my keys")
            inputs = self._inputs(j)
            blocks = key.evaluate(inputs)
            for pair in range(_pairs(width)):
                values = oprf.finish(blocks, self.salt, f"{j} {pair}")
                for half in (0, 1):
                    column = 2 * pair + half - 1
                    if column < 0:
                        values[:, half] += tags[mine[:, j]]
                    elif column < width:
                        values[:, half] += columns[:, column] - words[mine[:, j], column]
                store = okvs.encode(inputs.place, inputs.r, values, sizes, stream)
                oprf.send_store(self.channel, "circuit store", store)
        return tags, words


def _arrays(inputs: oprf.Inputs) -> tuple[Words, Words, Words]:
    return inputs.place, inputs.r, inputs.value


def _pairs(width: int) -> int:
    """Stores for a tag and `width` columns: two words a block."""
    return width // 2 + 1


# --- step 3 ---
def _compare(s: Session, receiver: int, tags: Words | None, bins: int) -> BShare:
    """Whether the parties' tags are equal, a bit for each of `bins`; no bit is set if there are no tags.

    Cost: 6 rounds for each 2^17 bins; 15.75 bytes a bin.
    """
    if tags is None:
        return s.engine.constant_bits(s, np.zeros(bins, np.bool_))
    parts = []
    for start in range(0, bins, _BINS_AT_ONCE):
        mine = tags[start : start + _BINS_AT_ONCE]
        n = -(-len(mine) // 64) * 64  # so that halves of the bits are halves of the words
        flags = np.zeros((_TAG_BITS, n), np.bool_)
        for bit in range(_TAG_BITS):
            flags[bit, : len(mine)] = (mine >> np.uint64(bit)) & np.uint64(1)
        a, b = (ops.share_bits(s, flags if s.rank == rank else None, rank, (_TAG_BITS, n)) for rank in (0, 1))
        equal = ~(a ^ b)
        while len(equal) > 1:
            equal = s.engine.and_(s, *_halves(equal))
        parts.append(equal.ravel()[: len(mine)])
    return _join(parts)


def _halves(x: BShare) -> tuple[BShare, BShare]:
    """The first and the second half of the rows of x (2 k, n) for n a multiple of 64, without moving a bit."""
    rows, n = x.shape
    words = rows // 2 * n // 64
    return (
        BShare(tuple(p[:words] for p in x.parts), (rows // 2, n), x.holder),
        BShare(tuple(p[words : 2 * words] for p in x.parts), (rows // 2, n), x.holder),
    )


def _join(parts: Sequence[BShare]) -> BShare:
    """Bits one after the other; all parts but the last have a multiple of 64."""
    words = tuple(np.concatenate(column) for column in zip(*(x.parts for x in parts), strict=True))
    return BShare(words, (sum(x.size for x in parts),), parts[0].holder)


def _masked(s: Session, member: BShare, columns: AShare) -> AShare:
    """The columns (bins, k) where the bit is set, else 0."""
    bins, width = columns.shape
    if not width:
        return columns
    # Column by column: bits need no rearrangement then, only to be repeated.
    flat = columns.T.reshape(-1)
    bit = ops.stack_bits([member] * width).ravel() if width > 1 else member
    return s.engine.bit_mul(s, bit, flat).reshape(width, bins).T


def _zeros(s: Session, bins: int, width: int, frac_bits: int) -> AShare:
    return s.engine.constant(s, np.zeros((bins, width), np.uint64), frac_bits)


# --- columns ---
def _encode(columns: ArrayLike | None, keys: Keys, frac_bits: int) -> Words:
    """The columns of the rows that have a key, as ring elements (keys, k)."""
    if columns is None:
        return np.zeros((len(keys), 0), np.uint64)
    values = np.asarray(columns)
    if not (values.ndim == 2 and len(values) == keys.total and values.shape[1] <= MAX_COLUMNS):
        raise TypeMismatchError(
            f"columns have the shape (rows, columns), ({keys.total}, up to {MAX_COLUMNS}), not {values.shape}"
        )
    return FixedPoint(frac_bits).encode(values[keys.rows], "a column")


def _their_width(channel: Channel, mine: int) -> int:
    (theirs,) = channel.exchange("circuit columns", np.array([mine], np.uint64))
    if not theirs[0] <= MAX_COLUMNS:
        raise FrameError(
            f"{channel.peer} announces {theirs[0]} columns, at most {MAX_COLUMNS} are taken",
            where="frame field 'payload' of 'circuit columns'",
            party=channel.peer,
        )
    return int(theirs[0])


def _ignore(fraction: float, what: str) -> None:
    """Progress that nobody asked for."""

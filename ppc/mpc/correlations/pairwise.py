"""What two parties need to compute without a helper: correlated transfers in both directions, made by themselves.

A correlated transfer gives the chooser a random bit r and a row t, the sender a row q = t ⊕ r·Δ for its secret Δ of the
session. Rows are made in batches ahead of their use, by OT extension over small fields (`ppc.mpc.ot.softspoken`, no
assumption beyond base transfers and a cipher) or silently (`ppc.mpc.ot.silent`, LPN: almost no bytes, more work).

Every row is handed out once: `rows` cuts them off the store, and nothing else reads it. Both parties ask for the same
numbers at the same points of the program, so they cut alike.

Threat: semi-honest. Leaks: how many transfers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits, rng
from ppc.errors import ConfigError, CorrelationError
from ppc.mpc.correlations.source import Correlation, MaskRef
from ppc.mpc.ot import lpn, silent, softspoken
from ppc.net.channel import Channel, MeterReading

Words: TypeAlias = NDArray[np.uint64]
Randomness: TypeAlias = Literal["ot", "silent"]

_FIRST: Final = 1 << 8  # words of transfers (64 each) in the first batch …
_LARGEST: Final = 1 << 12  # … and in later ones; a batch costs a millisecond however small it is
_LARGEST_SILENT: Final = 1 << 14


def describe(randomness: Randomness) -> str:
    """One line for plans: what the correlated randomness of two parties rests on."""
    if randomness == "silent":
        return f"oblivious transfer, silent: {lpn.describe()}"
    k = softspoken.FIELD_BITS
    return f"oblivious transfer, no LPN (SoftSpokenOT, k = {k}: {softspoken.groups(k) / 8:g} bytes each)"


class PairwiseSource:
    """One party's side. The base transfers run at the first use."""

    def __init__(
        self,
        channel: Channel,
        rank: int,
        randomness: Randomness = "ot",
        field_bits: int = softspoken.FIELD_BITS,
    ) -> None:
        if randomness not in ("ot", "silent"):
            raise ConfigError(f"no way to make transfers is called '{randomness}'", hint="ot or silent")
        softspoken.groups(field_bits)  # refuses sizes that there are not
        self.randomness = randomness
        self._channel = channel
        self._rank = rank
        self._field_bits = field_bits
        self._sender: _Sending | None = None
        self._receiver: _Choosing | None = None
        self._made = MeterReading()
        self.hash_key = b""  # public: of the hash that makes pads of rows
        self.lattice: object = None  # keys for matrix products, once they were needed: `ppc.mpc.pairwise.lattices`

    def __repr__(self) -> str:
        return f"<PairwiseSource {self.randomness} with {self._channel.peer}>"

    @property
    def meter(self) -> MeterReading:
        """Bytes that making transfers cost so far; they are in the session's own meter as well."""
        return self._made

    # --- transfers ---
    def _begin(self) -> tuple[_Sending, _Choosing]:
        if self._sender is None or self._receiver is None:
            before = self._channel.meter.snapshot()
            mine = np.frombuffer(rng.random_bytes(16), np.uint64)
            (theirs,) = self._channel.exchange("ot salt", mine)
            salt = (mine.tobytes() + theirs.tobytes()) if self._rank == 0 else (theirs.tobytes() + mine.tobytes())
            self.hash_key = _key(b"hash", salt)
            trees = (_key(b"left", salt), _key(b"right", salt))
            code = _key(b"code", salt)
            for turn in (0, 1):
                if turn == self._rank:
                    sender = softspoken.Sender(self._channel, trees, self._field_bits)
                    self._sender = _Sending(self._channel, sender, trees, code, self.randomness, self.hash_key)
                else:
                    receiver = softspoken.Receiver(self._channel, trees, self._field_bits)
                    self._receiver = _Choosing(self._channel, receiver, trees, code, self.randomness, self.hash_key)
            self._made = self._made + (self._channel.meter.snapshot() - before)
            if self._sender is None or self._receiver is None:
                raise ConfigError("correlated transfers are between two parties, of rank 0 and 1")
        return self._sender, self._receiver

    @property
    def delta(self) -> Words:
        """Δ of the transfers that this party sends."""
        return self._begin()[0].delta

    def rows(self, sending: int, choosing: int) -> tuple[Words, Words, Words]:
        """Fresh correlated transfers: q (64 · sending, 2), and r (choosing,) packed with t (64 · choosing, 2).

        Args: in words of 64 transfers. The other party asks for the same numbers the other way round.
        """
        sender, receiver = self._begin()
        before = self._channel.meter.snapshot()
        # One direction after the other, the same order at both: the one whose sender has rank 0 first.
        q: Words
        if self._rank == 0:
            q = sender.take(sending)
            r, t = receiver.take(choosing)
        else:
            r, t = receiver.take(choosing)
            q = sender.take(sending)
        self._made = self._made + (self._channel.meter.snapshot() - before)
        return q, r, t

    # --- what a source is ---
    def mask(self, ref: MaskRef) -> Words:
        """There are no masks that a helper knows."""
        raise self._no_helper("masks")

    def permutation(self, number: int, n: int) -> NDArray[np.int64]:
        """There are no permutations that a helper knows."""
        raise self._no_helper("permutations")

    def take(self, number: int, correlation: Correlation) -> tuple[Words, ...]:
        """Two parties without a helper run other protocols than those that spend dealt correlations."""
        raise self._no_helper(correlation.kind)

    def _no_helper(self, what: str) -> CorrelationError:
        return CorrelationError(
            f"{what} come from a dealer, and this session has none",
            hint="Call the session's engine (ppc.mpc.ops): it makes what it needs of transfers.",
        )

    @property
    def asks_ahead(self) -> bool:
        """Nobody is waited for."""
        return False

    def ask(self, items: Sequence[tuple[int, Correlation]]) -> None:
        """Nothing to ask for."""

    def fetch_ahead(self) -> None:
        """Nothing to wait for."""

    def drop_ahead(self) -> None:
        """Nothing was asked for."""

    def close(self) -> None:
        """No more is needed."""
        self._sender = self._receiver = None


def _key(label: bytes, salt: bytes) -> bytes:
    return hashlib.sha256(b"ppc pairwise v1 " + label + salt).digest()[:16]


class _Store:
    """Rows that were made and not yet handed out, and how large the next batch is."""

    def __init__(self, largest: int) -> None:
        self.largest = largest  # as much is made for itself, and what lies in the store stays there
        self._next = _FIRST

    def batch(self, missing: int) -> int:
        """Words to make now."""
        size = max(missing, self._next)
        self._next = min(self.largest, 4 * self._next)
        return size


class _Sending(_Store):
    """The transfers that this party sends."""

    def __init__(
        self,
        channel: Channel,
        extension: softspoken.Sender,
        trees: tuple[bytes, bytes],
        code: bytes,
        randomness: Randomness,
        hash_key: bytes,
    ) -> None:
        super().__init__(_LARGEST if randomness == "ot" else _LARGEST_SILENT)
        self._channel = channel
        self._extension = extension
        self._silent = None if randomness == "ot" else silent.Sender(channel, extension, trees, code, hash_key)
        self._rows = np.zeros((0, 2), np.uint64)
        self.delta = extension.delta

    def take(self, words: int) -> Words:
        if words >= self.largest:
            return self._make(words)
        left = len(self._rows) // 64
        if words > left:
            size = self.batch(words - left)
            self._rows = np.concatenate([self._rows, self._make(size)]) if left else self._make(size)
        out, self._rows = self._rows[: 64 * words], self._rows[64 * words :]
        return out

    def _make(self, words: int) -> Words:
        if self._silent is not None:
            return self._silent.extend(words)
        (u,) = self._channel.recv("ot columns", self._extension.spec(words))
        return self._extension.extend(u)


class _Choosing(_Store):
    """The transfers that this party receives."""

    def __init__(
        self,
        channel: Channel,
        extension: softspoken.Receiver,
        trees: tuple[bytes, bytes],
        code: bytes,
        randomness: Randomness,
        hash_key: bytes,
    ) -> None:
        super().__init__(_LARGEST if randomness == "ot" else _LARGEST_SILENT)
        self._channel = channel
        self._extension = extension
        self._silent = None if randomness == "ot" else silent.Receiver(channel, extension, trees, code, hash_key)
        self._rows = np.zeros((0, 2), np.uint64)
        self._choices = np.zeros(0, np.uint64)

    def take(self, words: int) -> tuple[Words, Words]:
        if words >= self.largest:
            return self._make(words)
        left = len(self._choices)
        if words > left:
            choices, rows = self._make(self.batch(words - left))
            self._choices = np.concatenate([self._choices, choices]) if left else choices
            self._rows = np.concatenate([self._rows, rows]) if left else rows
        out = self._choices[:words], self._rows[: 64 * words]
        self._choices, self._rows = self._choices[words:], self._rows[64 * words :]
        return out

    def _make(self, words: int) -> tuple[Words, Words]:
        if self._silent is not None:
            return self._silent.extend(words)
        choices = rng.os_stream().bits(words)
        rows, u = self._extension.extend(choices)
        self._channel.send("ot columns", u)
        return choices, rows


def packed_lowest(rows: Words) -> Words:
    """The lowest bit of each row, packed."""
    return bits.pack((rows[:, 0] & np.uint64(1)).astype(np.bool_))

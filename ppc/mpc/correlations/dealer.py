"""The dealer: a helper process that makes correlated randomness and sees no input.

At the start each party sends it a fresh seed. From then on every party but the last expands its shares alone, and the
last asks for its shares of the derived arrays, one small request for one or for many correlations. The dealer expands
all seeds, so it knows every correlation; it must not collude with a party, and it learns only shapes.

Source: the commodity-based model, Beaver (STOC 1997); seeds for all shares but one are folklore.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import ring, rng
from ppc.errors import CorrelationError, FrameError, PeerUnavailable, ProtocolAbort
from ppc.mpc.correlations import request
from ppc.mpc.correlations.source import Correlation, Field, MaskRef, Words
from ppc.net.channel import Channel, MeterReading, Spec

_HELLO: Final = "dealer/hello"
_ASK: Final = "dealer/ask"
_HELLO_WORDS: Final = 4  # seed (2), rank, number of parties


class Expander:
    """What one party's seed gives: its words of masks, and its shares of correlations."""

    __slots__ = ("_masks", "_permutations", "_rank", "_shares")

    def __init__(self, seed: bytes, rank: int) -> None:
        self._masks = rng.derive_key(seed, "masks")
        self._shares = rng.derive_key(seed, "shares")
        self._permutations = rng.derive_key(seed, "permutations")
        self._rank = rank

    def __repr__(self) -> str:
        return f"<Expander rank={self._rank}>"

    def mask(self, ref: MaskRef) -> Words:
        """This party's words of a mask; zeros if another party owns it."""
        if ref.owner not in (-1, self._rank):
            return ref.ring.zeros(ref.shape)
        stream = rng.Stream(self._masks, ref.number)
        if ref.start:
            stream.seek_words(ref.start * ref.width * ref.ring.limbs_each)
        return ref.ring.draw(stream, ref.shape)

    def permutation(self, number: int, n: int) -> NDArray[np.int64]:
        """This party's permutation `number` of n rows."""
        return rng.Stream(self._permutations, number).permutation(n)

    def shares(self, number: int, fields: Sequence[Field]) -> list[Words]:
        """This party's random arrays of correlation `number`."""
        stream = rng.Stream(self._shares, number)
        return [f.read(stream.uint64(f.size)) for f in fields]  # one array each, so that what is spent can be freed


class DealerSource:
    """One party's side: expands its seed and, as the last party, fetches what has to travel."""

    def __init__(self, channel: Channel, rank: int, parties: int) -> None:
        seed = rng.random_key()
        self._channel = channel
        self._expander = Expander(seed, rank)
        self._asks = rank == parties - 1
        self._ahead: deque[request.Item] = deque()  # asked for, not yet received
        self._stale = 0  # how many of them, from the left, are not needed any more
        self._fetched: deque[tuple[Words, ...]] = deque()  # what has arrived of them, from the left
        self._last = 0
        words = np.concatenate([np.frombuffer(seed, np.uint64), np.array([rank, parties], np.uint64)])
        channel.send(_HELLO, words)

    @property
    def meter(self) -> MeterReading:
        """Bytes to and from the dealer."""
        return self._channel.meter.snapshot()

    def mask(self, ref: MaskRef) -> Words:
        """This party's words of a mask."""
        return self._expander.mask(ref)

    def permutation(self, number: int, n: int) -> NDArray[np.int64]:
        """This party's permutation of n rows."""
        return self._expander.permutation(number, n)

    def take(self, number: int, correlation: Correlation) -> tuple[Words, ...]:
        """This party's shares of the correlation `number`, which must be larger than any before.

        Raises:
            CorrelationError: a number that was used, or another correlation than the one asked for ahead.
            PeerUnavailable: the dealer has gone; it is named.
        """
        if not number > self._last:
            raise CorrelationError(f"correlation {number} was spent before", where=correlation.kind)
        self._last = number
        if not self._asks:
            return tuple(self._expander.shares(number, (*correlation.uniform, *correlation.derived)))
        while self._stale:
            self._stale -= 1
            self._receive()
        if not self._ahead:
            self.ask([(number, correlation)])
        if self._ahead[0] != (number, correlation):
            raise CorrelationError(
                f"correlation {number} is another one than was asked for ahead", where=correlation.kind
            )
        mine = self._expander.shares(number, correlation.uniform)
        return (*mine, *self._receive())

    def ask(self, items: Sequence[request.Item]) -> None:
        """Let the dealer begin with these. Only the last party asks; the others need nothing."""
        if not self._asks:
            return
        for at in range(0, len(items), request.MAX_ITEMS):
            self._channel.send_bytes(_ASK, request.encode(items[at : at + request.MAX_ITEMS]))
        self._ahead.extend(items)

    @property
    def asks_ahead(self) -> bool:
        """Asking ahead saves a round trip to the dealer."""
        return True

    def drop_ahead(self) -> None:
        """What was asked for and not taken is not needed; it is received and forgotten at the next `take`."""
        self._stale = len(self._ahead)

    def fetch_ahead(self) -> None:
        """Wait until all that was asked for has arrived. It is kept in memory."""
        while len(self._fetched) < len(self._ahead):
            self._fetched.append(self._from_wire(*self._ahead[len(self._fetched)]))

    def _receive(self) -> tuple[Words, ...]:
        item = self._ahead.popleft()
        return self._fetched.popleft() if self._fetched else self._from_wire(*item)

    def _from_wire(self, number: int, correlation: Correlation) -> tuple[Words, ...]:
        fields = correlation.derived
        came = self._channel.recv(f"dealer/{correlation.kind}#{number}", *(Spec(np.uint64, f.wire) for f in fields))
        return tuple(f.read(words) for f, words in zip(fields, came, strict=True))

    def close(self) -> None:
        """Tell the dealer that no more is needed."""
        self._channel.close()


class _Dealer:
    """The dealer's knowledge: every party's expander."""

    def __init__(self, expanders: Sequence[Expander]) -> None:
        self._expanders = expanders

    def total(self, ref: MaskRef, without: int = -1) -> Words:
        """The mask (rows, width): the sum of the parties' words, leaving out party `without`."""
        if ref.owner >= 0:
            return ref.ring.zeros(ref.shape) if ref.owner == without else self._expanders[ref.owner].mask(ref)
        total = ref.ring.zeros(ref.shape)
        for rank, expander in enumerate(self._expanders):
            if rank != without:
                total += expander.mask(ref)
        return total

    def permutation(self, number: int, owner: int, n: int) -> NDArray[np.int64]:
        """The permutation that party `owner` draws under this number."""
        return self._expanders[owner].permutation(number, n)

    def deal(self, number: int, correlation: Correlation) -> list[Words]:
        """The last party's shares of the derived arrays."""
        uniform, derived = correlation.uniform, correlation.derived
        *others, last = self._expanders
        totals = last.shares(number, uniform)
        theirs: list[list[Words]] = []
        for expander in others:
            drawn = expander.shares(number, (*uniform, *derived))
            theirs.append(drawn[len(uniform) :])
            for total, share, field in zip(totals, drawn, uniform, strict=False):
                _combine(total, share, field.xor)
        out = [np.asanyarray(w, order="C") for w in correlation.derive(totals, self)]
        for shares in theirs:
            for value, share, field in zip(out, shares, derived, strict=True):
                (np.bitwise_xor if field.xor else np.subtract)(value, share, out=value)
        return out


def _combine(total: Words, share: Words, xor: bool) -> None:
    (np.bitwise_xor if xor else np.add)(total, share, out=total)


def serve(channels: Mapping[str, Channel], *, cancelled: Callable[[], bool] | None = None) -> None:
    """Deal to one session until its parties close. Runs in the helper's process; see `Session.additive`.

    Args:
        channels: a channel to every party, by name.
        cancelled: asked between requests; when it is true the dealer stops.

    Raises:
        FrameError: a party sent something that is no greeting or no request; it is named.
        PeerUnavailable: the last party vanished without a goodbye.
    """
    try:
        dealer, last = _greet(channels)
        spent = 0
        while not (cancelled is not None and cancelled()):
            try:
                data = last.recv_bytes(_ASK, request.MAX_REQUEST_BYTES)
            except PeerUnavailable:
                if last.closed_by_peer:
                    return
                raise
            for number, correlation in request.decode(data, peer=last.peer, parties=len(channels)):
                if not number > spent:
                    raise FrameError(f"{last.peer} asked for correlation {number} twice", party=last.peer)
                spent = number
                last.send(
                    f"dealer/{correlation.kind}#{number}",
                    *(ring.of(w).limbs(w) for w in dealer.deal(number, correlation)),
                )
    except FrameError as error:
        for channel in channels.values():
            channel.abort(error)
        raise
    finally:
        for channel in channels.values():
            channel.close()


def _greet(channels: Mapping[str, Channel]) -> tuple[_Dealer, Channel]:
    """Every party's seed and rank, and the channel of the last party."""
    by_rank: dict[int, tuple[Expander, Channel]] = {}
    for name, channel in channels.items():
        (words,) = channel.recv(_HELLO, Spec(np.uint64, _HELLO_WORDS))
        rank, parties = int(words[2]), int(words[3])
        if parties != len(channels) or rank >= parties or rank in by_rank or parties > request.MAX_PARTIES:
            raise ProtocolAbort(
                f"{name} says it is party {rank} of {parties}; the dealer serves {len(channels)}",
                where="dealer",
                party=name,
                hint="do all parties list the same parties in the same order?",
            )
        by_rank[rank] = (Expander(words[:2].tobytes(), rank), channel)
    ordered = [by_rank[r] for r in sorted(by_rank)]
    return _Dealer([e for e, _ in ordered]), ordered[-1][1]

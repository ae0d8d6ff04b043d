"""`Session`: one party's view of one secure computation. Every protocol is a plain function that takes it first.

It holds who takes part, how secrets are shared (the engine), the channels, the source of correlated randomness, the
fixed-point format, and this party's private random stream. All parties run the same program; each message carries the
name of its operation and its number in the program, so a party that runs something else is noticed at the first
message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ppc.core import ring, rng
from ppc.core.fixedpoint import FixedPoint
from ppc.errors import ConfigError, CorrelationError, FrameError, PpcError, ProtocolAbort
from ppc.net.channel import Channel, MeterReading, Spec

if TYPE_CHECKING:
    from ppc.mpc.correlations.pairwise import Randomness
    from ppc.mpc.correlations.source import Correlation, Source
    from ppc.mpc.engine import Engine
    from ppc.mpc.profile import Profile

Array: TypeAlias = NDArray[Any]
Words: TypeAlias = NDArray[np.uint64]
T = TypeVar("T")


def _spec(like: Array) -> Spec:
    """What travels for an array like this one."""
    return Spec(np.uint64, (*like.shape, 2)) if ring.of(like).limbs_each > 1 else Spec.of(like)


def _like(wanted: Sequence[Array], came: Sequence[Array]) -> tuple[Array, ...]:
    """What came, as words of the same ring as what was wanted."""
    return tuple(ring.of(a).from_limbs(b) for a, b in zip(wanted, came, strict=True))


_KEY_WORDS = rng.KEY_BYTES // 8
_SENT_AT_ONCE = 1 << 14  # bytes that fit into any transport's buffers, so that sending them never waits for the peer


class Session:
    """One party's view of one computation. Make it with `Session.plain`, `Session.additive` or
    `Session.replicated`; use it as a context manager.

    Attributes:
        parties: the names of all computing parties, in rank order.
        rank: this party's index in `parties`.
        fx: the fixed-point format of inputs and results.
        ring: the ring of all numbers, which is that of `fx`.
        tracing: whether only costs are counted (see `ppc.mpc.tracing`): nobody gives values then, and what is opened
            means nothing.
        engine: the protocols of the way secrets are shared.
    """

    tracing = False

    def __init__(
        self,
        engine: Engine,
        parties: Sequence[str],
        rank: int,
        *,
        channels: Mapping[str, Channel] | None = None,
        correlations: Source | None = None,
        fx: FixedPoint | None = None,
    ) -> None:
        if len(set(parties)) != len(parties) or not 0 <= rank < len(parties):
            raise ConfigError(f"parties need distinct names and a rank below {len(parties)}")
        self.engine = engine
        self.parties = tuple(parties)
        self.rank = rank
        self.fx = fx or FixedPoint()
        self.ring = self.fx.ring
        self._source = correlations
        self._stream = rng.os_stream()
        self._step = 0
        self._ids = 0
        self._profile: Profile | None = None
        self._watch: list[tuple[int, Correlation]] | None = None
        self._pair_keys: dict[int, bytes] = {}
        self._sender: ThreadPoolExecutor | None = None
        self._unseen_rounds = 0
        try:
            self._channels = {r: (channels or {})[p] for r, p in enumerate(self.parties) if r != rank}
        except KeyError as missing:
            raise ConfigError(f"no channel to party {missing}", where="session") from None
        if self._channels:
            self._greet()
        self._start = self._read_meters()

    # --- ways to make one ---
    @classmethod
    def plain(cls, fx: FixedPoint | None = None, name: str = "plain") -> Session:
        """A session of one party that computes in the clear with the same formats: the reference for every engine."""
        from ppc.mpc.plain import PlainEngine

        return cls(PlainEngine(), (name,), 0, fx=fx)

    @classmethod
    def additive(
        cls,
        me: str,
        parties: Sequence[str],
        channels: Mapping[str, Channel],
        dealer: Channel,
        fx: FixedPoint | None = None,
    ) -> Session:
        """Two or more parties, additive shares, correlated randomness from a dealer.

        Args:
            me: this party's name, one of `parties`.
            parties: all computing parties in rank order, the same at each.
            channels: a channel to every other party, by name.
            dealer: a channel to the helper, which runs `ppc.mpc.correlations.dealer.serve`.

        Threat: semi-honest; all parties but one may collude, the dealer with none of them.
        """
        from ppc.mpc.additive import AdditiveEngine
        from ppc.mpc.correlations.dealer import DealerSource

        if me not in parties or len(parties) < 2:
            raise ConfigError(f"the additive engine needs two or more parties, one of them '{me}'")
        rank = list(parties).index(me)
        source = DealerSource(dealer, rank, len(parties))
        return cls(AdditiveEngine(), parties, rank, channels=channels, correlations=source, fx=fx)

    @classmethod
    def from_cache(
        cls,
        me: str,
        parties: Sequence[str],
        channels: Mapping[str, Channel],
        cache: str | Path,
        fx: FixedPoint | None = None,
    ) -> Session:
        """Two or more parties, additive shares, correlated randomness from this party's file of `ppc offline make`.

        Arguments as in `additive`; every call spends one run of the cache, before anything of it is used.

        Threat: as `additive`; the dealer is whoever made the files.
        """
        from ppc.mpc.additive import AdditiveEngine
        from ppc.mpc.correlations.filesource import begin

        if me not in parties or len(parties) < 2:
            raise ConfigError(f"the additive engine needs two or more parties, one of them '{me}'")
        fx = fx or FixedPoint()
        source = None
        try:
            source = begin(str(cache), me, parties, channels, fx)
            rank = list(parties).index(me)
            return cls(AdditiveEngine(), parties, rank, channels=channels, correlations=source, fx=fx)
        except PpcError as error:
            if source is not None:
                source.close()
            for channel in channels.values():
                channel.abort(error)  # the others would wait for a party that has no correlations
            raise

    @classmethod
    def two_party(
        cls,
        me: str,
        parties: Sequence[str],
        channels: Mapping[str, Channel],
        fx: FixedPoint | None = None,
        *,
        randomness: Randomness = "ot",
    ) -> Session:
        """Two parties and nobody else: additive shares, products by oblivious transfer.

        Arguments as in `additive`.
            randomness: "ot" (SoftSpokenOT: rests on base transfers and a cipher alone) or "silent" (LPN: a fraction of
                the bytes, more work).

        Threat: semi-honest; each party is protected from the other.
        """
        from ppc.mpc.correlations.pairwise import PairwiseSource
        from ppc.mpc.pairwise import PairwiseEngine

        if me not in parties or len(parties) != 2:
            raise ConfigError(f"a session without a helper has two parties, one of them '{me}'")
        if fx is not None and fx.ring_bits != 64:
            raise ConfigError(
                f"two parties without a helper compute in the ring of 64 bits, not {fx.ring_bits}",
                hint="Use FixedPoint(…, 64), or a session with a helper.",
            )
        rank = list(parties).index(me)
        peer = parties[1 - rank]
        if peer not in channels:
            raise ConfigError(f"no channel to party '{peer}'", where="session")
        source = PairwiseSource(channels[peer], rank, randomness)
        return cls(PairwiseEngine(), parties, rank, channels=channels, correlations=source, fx=fx)

    @classmethod
    def replicated(
        cls, me: str, parties: Sequence[str], channels: Mapping[str, Channel], fx: FixedPoint | None = None
    ) -> Session:
        """Three parties, replicated shares, no helper and nothing prepared beforehand.

        Arguments as in `additive`. Threat: semi-honest; no two parties collude.
        """
        from ppc.mpc.replicated import ReplicatedEngine

        if me not in parties or len(parties) != 3:
            raise ConfigError(f"the replicated engine needs three parties, one of them '{me}'")
        return cls(ReplicatedEngine(), parties, list(parties).index(me), channels=channels, fx=fx)

    # --- who and what it costs ---
    @property
    def me(self) -> str:
        """This party's name."""
        return self.parties[self.rank]

    @property
    def peers(self) -> tuple[int, ...]:
        """The ranks of the others."""
        return tuple(self._channels)

    def channel(self, rank: int) -> Channel:
        """The channel to another party, for two-party protocols that bring messages of their own."""
        return self._channels[rank]

    @property
    def correlations(self) -> Source:
        """Where correlated randomness comes from."""
        if self._source is None:
            raise CorrelationError(f"the {self.engine.name} engine has no source of correlated randomness")
        return self._source

    @property
    def meter(self) -> MeterReading:
        """Rounds, and bytes from and to all the other parties since the session began; subtract two readings.

        What the dealer sends is not in it: see `Session.offline`.
        """
        return self._read_meters() - self._start

    @property
    def offline(self) -> MeterReading:
        """Bytes from and to the source of correlated randomness."""
        return MeterReading() if self._source is None else self._source.meter

    def _read_meters(self) -> MeterReading:
        readings = [c.meter.snapshot() for c in self._channels.values()]
        total = sum(readings, MeterReading())
        rounds = max((r.rounds for r in readings), default=0) + self._unseen_rounds
        return MeterReading(rounds, total.sent, total.received, total.messages)

    def __repr__(self) -> str:
        return f"<Session {self.engine.name} me={self.me} parties={','.join(self.parties)}>"

    # --- correlated randomness, numbered in the same way at every party ---
    def next_id(self) -> int:
        """A number that no other object of this session has, and that every party gives to the same object."""
        self._ids += 1
        return self._ids

    @property
    def last_id(self) -> int:
        """The last number that was given."""
        return self._ids

    def take(self, correlation: Correlation) -> tuple[Words, ...]:
        """This party's shares of a fresh correlation: its uniform arrays, then its derived ones."""
        number = self.next_id()
        if self._watch is not None:
            self._watch.append((number, correlation))
        return self.correlations.take(number, correlation)

    def repeat(self, items: Sequence[T]) -> Iterator[T]:
        """Iterate over `items` (batches as slices, or anything), asking the dealer ahead for what the body will take.

            for rows in s.repeat([slice(i, i + 64) for i in range(0, 6400, 64)]):
                step(s, f.rows(rows), …)

        The body must run the same operations on the same shapes at every item, where rows of fixed matrices may move
        with the slice, and batches of another length are taken as they come. Leaving the loop early is fine if every
        party leaves it at the same item.
        """
        from ppc.mpc.correlations.ahead import repeat

        return repeat(self, items)

    @property
    def asks_ahead(self) -> bool:
        """Whether it helps to know beforehand what will be taken."""
        return self._source is not None and self._source.asks_ahead

    @contextmanager
    def watched(self) -> Iterator[list[tuple[int, Correlation]]]:
        """The correlations that are taken inside the block."""
        taken: list[tuple[int, Correlation]] = []
        outer, self._watch = self._watch, taken
        try:
            yield taken
        finally:
            self._watch = outer
            if outer is not None:
                outer.extend(taken)

    def ask_ahead(self, items: Sequence[tuple[int, Correlation]]) -> None:
        """Let the source begin with what will be taken next."""
        self.correlations.ask(items)

    def fetch_ahead(self) -> None:
        """Wait until what was asked ahead is here, so that what follows is online work alone."""
        if self._source is not None:
            self._source.fetch_ahead()

    @contextmanager
    def reserved(self, count: int) -> Iterator[None]:
        """Inside the block at most `count` numbers are given, and afterwards all of them are.

        For a protocol whose number of steps depends on chance: what follows it is numbered the same in every run.
        """
        end = self._ids + count
        yield
        if self._ids > end:
            raise CorrelationError(f"a protocol took {self._ids - end} numbers more than its {count}")
        self._ids = end

    def skip_to(self, number: int) -> None:
        """Give no number up to this one again; what was asked for and not taken is dropped."""
        self._ids = max(self._ids, number)
        self.correlations.drop_ahead()

    # --- messages ---
    def _greet(self) -> None:
        """Check that all parties mean the same computation, and agree on a key with each."""
        ways = getattr(self._source, "randomness", "dealer") if self._source is not None else ""
        about = f"{self.engine.name} {ways} {self.fx.frac_bits} {self.fx.ring_bits} {' '.join(self.parties)}"
        digest = np.frombuffer(hashlib.sha256(about.encode()).digest(), np.uint64)
        for r, channel in self._channels.items():
            mine = np.frombuffer(rng.random_key(), np.uint64)
            with self._naming("session"):
                theirs, other = channel.exchange("session", mine, digest)
            if not np.array_equal(other, digest):
                raise ProtocolAbort(
                    "the parties do not mean the same session (engine, fraction bits, ring, parties and their order)",
                    where="session",
                    party=self.parties[r],
                )
            low, high = (mine, theirs) if self.rank < r else (theirs, mine)
            self._pair_keys[r] = rng.derive_key(low.tobytes() + high.tobytes(), "pair")

    @contextmanager
    def _naming(self, operation: str) -> Iterator[None]:
        before = self._read_meters() if self._profile is not None else None
        try:
            yield
        except FrameError as error:
            raise ProtocolAbort(
                f"'{operation}' cannot go on: {error.what}",
                where=f"operation {operation}, message {self._step}",
                hint="do all parties run the same program on the same shapes?",
                party=error.party,
            ) from error
        if self._profile is not None and before is not None:
            self._profile.note(self._read_meters() - before)

    @contextmanager
    def naming(self, operation: str) -> Iterator[None]:
        """For a source that talks to the others itself: its messages count, and fail, as those of an operation."""
        with self._naming(operation):
            yield

    @contextmanager
    def profile(self) -> Iterator[Profile]:
        """What each line of the caller's code costs inside the block: `with s.profile() as p: …; print(p)`."""
        from ppc.mpc.profile import Profile

        outer, self._profile = self._profile, Profile()
        try:
            yield self._profile
        finally:
            self._profile = outer

    def _tag(self, operation: str) -> str:
        self._step += 1
        return f"{operation}#{self._step}"

    def exchange(self, operation: str, *arrays: Array) -> list[tuple[Array, ...]]:
        """Send my arrays to every party and get theirs, of the same shapes, in rank order. One round."""
        tag = self._tag(operation)
        sent = [ring.of(a).limbs(a) for a in arrays]
        with self._naming(operation):
            return [_like(arrays, self._channels[r].exchange(tag, *sent)) for r in self._channels]

    def transfer(
        self, operation: str, sends: Mapping[int, Sequence[Array]], expects: Mapping[int, Sequence[Array]]
    ) -> dict[int, tuple[Array, ...]]:
        """Send arrays to some parties, receive from some arrays like those in `expects`, by rank. One round, whoever
        takes part. Of `expects` nothing but types and shapes is read.

        All parties call it at the same point of the program, also those that send and receive nothing: a channel cannot
        see that a message to one party answers one from another, so rounds are counted here.
        """
        tag = self._tag(operation)
        before = self._read_meters().rounds
        with self._naming(operation):
            contiguous = {
                r: [np.asarray(ring.of(a).limbs(a), order="C") for a in arrays] for r, arrays in sends.items()
            }
            came: dict[int, tuple[Array, ...]] = {}
            # Three parties that each wait until the next one reads would wait for ever: large frames go from a thread.
            waiting = []
            for r, arrays in contiguous.items():
                if r in expects:
                    continue
                if sum(a.nbytes for a in arrays) <= _SENT_AT_ONCE:
                    self._channels[r].send(tag, *arrays)
                else:
                    if self._sender is None:
                        self._sender = ThreadPoolExecutor(1, thread_name_prefix="ppc-sender")
                    waiting.append(self._sender.submit(self._channels[r].send, tag, *arrays))
            for r, wanted in expects.items():
                if r in contiguous:
                    got = self._channels[r].exchange(tag, *contiguous[r])
                else:
                    got = self._channels[r].recv(tag, *(_spec(a) for a in wanted))
                came[r] = _like(wanted, got)
            for sent in waiting:
                sent.result()
            self._unseen_rounds += 1 - (self._read_meters().rounds - before)
        return came

    def open_sum(self, operation: str, *arrays: Words) -> list[Words]:
        """The sums over all parties, in the ring. One round."""
        return self._combined(np.add, operation, arrays)

    def open_xor(self, operation: str, *arrays: Words) -> list[Words]:
        """The XORs over all parties. One round."""
        return self._combined(np.bitwise_xor, operation, arrays)

    def _combined(self, combine: np.ufunc, operation: str, arrays: Sequence[Words]) -> list[Words]:
        sums = list(arrays)
        for theirs in self.exchange(operation, *arrays):
            # What was received is ours to write into; a fresh array of many megabytes costs more than the addition.
            sums = [combine(a, b, out=b if b.flags.writeable else None) for a, b in zip(sums, theirs, strict=True)]
        return sums

    def publish(self, operation: str, owner: int, array: Array | None, spec: Spec) -> Array:
        """The owner's array at every party. One message one way."""
        tag = self._tag(operation)
        with self._naming(operation):
            if self.rank != owner:
                return self._channels[owner].recv(tag, spec)[0]
            if array is None:
                raise ProtocolAbort("the owner gave nothing to publish", where=f"operation {operation}")
            for channel in self._channels.values():
                channel.send(tag, array)
            return array

    def collect(self, operation: str, to: int, array: Words) -> list[Words] | None:
        """Every party's array at party `to`; `None` elsewhere. One message one way."""
        tag = self._tag(operation)
        with self._naming(operation):
            if self.rank != to:
                self._channels[to].send(tag, ring.of(array).limbs(array))
                return None
            spec = _spec(array)
            return [array, *(_like([array], c.recv(tag, spec))[0] for c in self._channels.values())]

    @property
    def private_stream(self) -> rng.Stream:
        """The stream that only this party draws from; no two draws give the same words."""
        return self._stream

    def shared_stream(self, peer: int, number: int) -> rng.Stream:
        """The stream `number` that only this party and `peer` can draw from."""
        return rng.Stream(self._pair_keys[peer], number)

    # --- the end ---
    def close(self) -> None:
        """Say goodbye to the dealer and the parties. Twice is harmless."""
        if self._source is not None:
            self._source.close()
        for channel in self._channels.values():
            channel.close()
        if self._sender is not None:
            self._sender.shutdown(wait=False)

    def abort(self, reason: BaseException) -> None:
        """Tell the other parties why this one stops, and close. Never raises."""
        if not isinstance(reason, PpcError):
            reason = ProtocolAbort(f"{self.me} stopped: {type(reason).__name__}", party=self.me)
        for channel in self._channels.values():
            channel.abort(reason)
        self.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort(error)

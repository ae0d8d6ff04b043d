"""Collective operations of many sites through one of them, which survive the loss of any, the one in the middle too.

One site leads; the others answer its questions over their channels with it. Nothing is sent between two others, so no
frame can get lost half way: at any moment each site has either answered or not, and the leader alone decides who took
part. If the leader is lost, the next site in a fixed order leads: it asks everyone how many operations they have
finished, hands the last result to who missed it, and begins the unfinished one anew, with fresh keys.

Why a star and not a mesh: a mesh sends every vector n − 1 times; the star sends it once, and the leader learns no more
than the pooled figure, which every site is told anyway. The leader is trusted as all sites are (semi-honest): it
follows the protocol, and may look at all it gets.

A site is excluded, by name, when it vanishes, is late, sends something malformed, sends twice, or stops with an error
of its own. A side of a broken network that has fewer than `quorum` sites stops; the quorum is more than half, so two
sides can never both go on.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ppc.errors import (
    ConfigError,
    FrameError,
    InternalError,
    JobCancelled,
    NetError,
    PpcError,
    ProtocolAbort,
    RemoteFailure,
)
from ppc.mpc.aggregate.limbs import MAX_PARTIES
from ppc.net.channel import Array, Channel, Spec

MAX_NOTE_BYTES: Final = 1 << 20
MAX_DATA_BYTES: Final = 1 << 30
DEADLINE_S: Final = 600.0  # for one answer; covers a site's own computing before it
GRACE_S: Final = 5.0

Arrays = tuple[Array, ...]
_ASK, _DATA = "aggregate ask", "aggregate data"


@dataclass(frozen=True)
class Outcome:
    """What one operation gave, the same at every site. `sites`: whose data it is about."""

    note: Mapping[str, Any]
    arrays: Arrays
    sites: tuple[str, ...]


class Operation(ABC):
    """One collective operation, as each site runs it."""

    @abstractmethod
    def lead(self, star: Star) -> Outcome:
        """The leader's side: questions to the living, and what comes of the answers. Started anew by a new leader."""

    @abstractmethod
    def answer(self, verb: str, note: Mapping[str, Any], arrays: Arrays) -> Arrays:
        """Another site's answer to one question of the leader."""


class Star:
    """One site's end of the star. Every site calls `run` with its own side of the same operations in the same order.

    Args:
        me, parties: my name, and all in the order in which they lead.
        channels: one to every other site.
        quorum: fewer living sites than this stop with `ProtocolAbort`.
        deadline_s: how long the leader waits for one answer of a site before it is excluded.
        on_lost: called once with the name of a lost site and the reason.
    """

    def __init__(
        self,
        me: str,
        parties: Sequence[str],
        channels: Mapping[str, Channel],
        *,
        quorum: int | None = None,
        deadline_s: float = DEADLINE_S,
        on_lost: Callable[[str, str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        n = len(parties)
        if not 2 <= n <= MAX_PARTIES:
            raise ConfigError(f"between 2 and {MAX_PARTIES} sites can add up, not {n}")
        quorum = default_quorum(n) if quorum is None else quorum
        if not n < 2 * quorum <= 2 * n:
            raise ConfigError(f"the quorum of {n} sites is between {n // 2 + 1} and {n}, not {quorum}")
        missing = [p for p in parties if p != me and p not in channels]
        if me not in parties or missing:
            raise ConfigError(f"there is no channel to {missing[0] if missing else me}")
        self.me = me
        self.parties = tuple(parties)
        self.quorum = quorum
        self.lost: dict[str, str] = {}
        self.done = 0
        self.term = 0
        self.last: Outcome | None = None
        self._channels = channels
        self._deadline_s = deadline_s
        self._on_lost = on_lost
        self._cancelled = cancelled or (lambda: False)
        self._questions = 0
        self._synced = True

    # --- who ---
    @property
    def alive(self) -> tuple[str, ...]:
        """The sites that take part, the leader first."""
        return tuple(p for p in self.parties if p not in self.lost)

    @property
    def leader(self) -> str:
        """Who asks the questions now."""
        return self.alive[0]

    def lose(self, party: str, reason: str) -> None:
        """Go on without `party`; `ProtocolAbort` if too few are left."""
        if party not in self.lost:
            self.lost[party] = reason
            if self._on_lost is not None:
                self._on_lost(party, reason)
        if len(self.alive) < self.quorum:
            gone = ", ".join(f"{p} ({why})" for p, why in self.lost.items())
            raise ProtocolAbort(
                f"{len(self.alive)} of {len(self.parties)} sites are left, and {self.quorum} are needed; lost: {gone}",
                party=party,
            )

    # --- every site ---
    def run(self, operation: Operation) -> Outcome:
        """One operation, to its outcome. The same at every site that is still there when it ends."""
        seq = self.done + 1
        while self.done < seq:
            leader = self.leader
            if leader == self.me:
                self._lead(operation)
                continue
            try:
                self._follow(operation, leader, seq)
            except (NetError, RemoteFailure) as error:
                self.term += 1
                self._synced = False
                self.lose(leader, _reason(error))
        if self.last is None:
            raise InternalError("an operation ended without an outcome")
        return self.last

    def _adopt(self, outcome: Outcome) -> None:
        self.last = outcome
        self.done += 1

    # --- the leader ---
    def _lead(self, operation: Operation) -> None:
        if not self._synced and self._catch_up():
            return
        try:
            outcome = operation.lead(self)
        except ProtocolAbort as error:
            for party in self.alive[1:]:
                self._tell(party, {"verb": "stop", "reason": error.what})
            raise
        self._adopt(outcome)
        for party in self.alive[1:]:
            self._tell_result(party)

    def _catch_up(self) -> bool:
        """After a leader's loss: nobody misses a result that somebody has. True if I was the one who did."""
        told = self.ask("status", {}, specs=(Spec("int64", 1),))
        counts = {p: int(a[0][0]) for p, a in told.items()}
        newest = max((*counts.values(), self.done))
        behind = self.done < newest
        if behind:
            for party in (p for p, c in counts.items() if c == newest):
                found = self.ask("fetch", {}, to=(party,), specs=None)
                if party in found:
                    self._adopt(_parse_outcome(found[party], party))
                    break
        self._synced = self.done == newest  # if the only site that had it is gone too, ask again
        if self._synced:
            for party, count in counts.items():
                if count == self.done - 1 and party not in self.lost:
                    self._tell_result(party)
        return behind

    def _tell_result(self, party: str) -> None:
        if self.last is not None:
            note = {"verb": "result", "seq": self.done}
            self._say(party, note, _pack_outcome(self.last))

    def ask(
        self,
        verb: str,
        note: Mapping[str, Any],
        arrays: Arrays | Mapping[str, Arrays] = (),
        *,
        to: Sequence[str] | None = None,
        specs: Sequence[Spec] | None,
        each: Callable[[str, Arrays], None] | None = None,
    ) -> dict[str, Arrays]:
        """One question to the living (or to some), and their answers by name. Who does not answer well is lost.

        Args:
            arrays: what goes with the question: to all, or by name.
            specs: the exact answer; `None` takes any arrays.
            each: given each answer as it comes, instead of its being kept.
        """
        members = [p for p in (self.alive if to is None else to) if p != self.me and p not in self.lost]
        self._questions += 1
        number = self._questions
        for party in members:
            mine = arrays[party] if isinstance(arrays, Mapping) else arrays
            self._say(party, {**note, "verb": verb, "number": number}, mine)
        found: dict[str, Arrays] = {}
        limit = time.monotonic() + self._deadline_s
        for party in members:
            if party in self.lost:
                continue
            try:
                # An answer that lies ready behind that of a late site is taken: each has a little time of its own.
                grace = time.monotonic() + min(self._deadline_s / 4, GRACE_S)
                with _deadline(self._channels[party], max(limit, grace)):
                    if specs is None:
                        answer = self._channels[party].recv_arrays(f"aggregate reply {number}", MAX_DATA_BYTES)
                    else:
                        answer = self._channels[party].recv(f"aggregate reply {number}", *specs)
            except (NetError, RemoteFailure, JobCancelled) as error:
                if self._cancelled():
                    raise JobCancelled("the job was cancelled") from None
                late = isinstance(error, JobCancelled)
                self._exclude(party, f"late: no answer within {self._deadline_s:g} s" if late else _reason(error))
                continue
            found[party] = () if each is not None else answer
            if each is not None:
                each(party, answer)
        return found

    def _say(self, party: str, note: Mapping[str, Any], arrays: Arrays) -> None:
        if party in self.lost:
            return
        data = json.dumps({**note, "arrays": len(arrays), "lost": self.lost}).encode()
        try:
            self._channels[party].send_bytes(_ASK, data)
            if arrays:
                self._channels[party].send(_DATA, *arrays)
        except (NetError, RemoteFailure) as error:
            self._exclude(party, _reason(error))

    def _exclude(self, party: str, reason: str) -> None:
        """Tell the site, if it can still hear, and go on without it."""
        self._tell(party, {"verb": "excluded", "reason": reason})
        self._channels[party].abort(ProtocolAbort(f"{party} was excluded: {reason}", party=party))
        self.lose(party, reason)

    def _tell(self, party: str, note: Mapping[str, Any]) -> None:
        with contextlib.suppress(PpcError):
            self._channels[party].send_bytes(_ASK, json.dumps({**note, "arrays": 0, "lost": {}}).encode())

    # --- the others ---
    def _follow(self, operation: Operation, leader: str, seq: int) -> None:
        channel = self._channels[leader]
        while True:
            note = _parse_note(channel.recv_bytes(_ASK, MAX_NOTE_BYTES), leader)
            arrays = channel.recv_arrays(_DATA, MAX_DATA_BYTES) if note["arrays"] else ()
            for party, reason in note["lost"].items():
                if party in self.parties and party not in (self.me, leader):
                    self.lose(party, str(reason))
            verb = note["verb"]
            if verb == "excluded":
                raise ProtocolAbort(f"this site was excluded by {leader}: {note.get('reason')}", party=self.me)
            if verb == "stop":
                raise ProtocolAbort(str(note.get("reason")), party=leader)
            if verb == "result":
                if note.get("seq") == seq:
                    self._adopt(_parse_outcome(arrays, leader))
                    return
                continue
            if verb == "status":
                reply: Arrays = (np.array([self.done]),)
            elif verb == "fetch":
                reply = _pack_outcome(self.last) if self.last is not None else ()
            else:
                reply = operation.answer(verb, note, arrays)
            channel.send(f"aggregate reply {note['number']}", *reply)


def default_quorum(n: int) -> int:
    """Two thirds of n sites, rounded up, and at least two."""
    return max(2, -(-2 * n // 3))


# --- notes ---
def _parse_note(data: bytes, leader: str) -> dict[str, Any]:
    try:
        note = json.loads(data)
        good = isinstance(note["verb"], str) and isinstance(note["lost"], dict) and isinstance(note["arrays"], int)
        good = good and (note["verb"] in ("result", "excluded", "stop") or isinstance(note["number"], int))
    except (ValueError, RecursionError, KeyError, TypeError):
        good = False
    if not good:
        raise FrameError("a question of the leader is malformed", party=leader, where="aggregation")
    return dict(note)


def names(note: Mapping[str, Any], key: str, known: Sequence[str], leader: str = "the leader") -> tuple[str, ...]:
    """A list of distinct known sites in a note."""
    value = note.get(key)
    if not isinstance(value, list) or not set(map(str, value)) <= set(known) or len(set(map(str, value))) != len(value):
        raise FrameError(f"'{key}' of a question is malformed", where="aggregation", party=leader)
    return tuple(value)


def _pack_outcome(outcome: Outcome) -> Arrays:
    head = json.dumps({"note": outcome.note, "sites": outcome.sites}).encode()
    return (np.frombuffer(head, np.uint8), *outcome.arrays)


def _parse_outcome(arrays: Arrays, party: str) -> Outcome:
    try:
        head = json.loads(arrays[0].tobytes())
        return Outcome(dict(head["note"]), tuple(arrays[1:]), tuple(map(str, head["sites"])))
    except (ValueError, RecursionError, KeyError, TypeError, IndexError, AttributeError):
        raise FrameError("a result is malformed", party=party, where="aggregation") from None


def _reason(error: PpcError) -> str:
    if isinstance(error, RemoteFailure):
        return f"stopped with an error: {error.what}"[:300]
    if isinstance(error, FrameError):
        return f"malformed: {error.what}"[:300]
    return error.what[:300]


@contextlib.contextmanager
def _deadline(channel: Channel, at: float) -> Any:
    """Cancel the channel if the block has not ended at the moment `at` (monotonic)."""
    timer = threading.Timer(max(0.0, at - time.monotonic()), channel.cancel)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()

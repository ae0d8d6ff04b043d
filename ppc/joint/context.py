"""What an operator has in its hands while it runs at one party."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from ppc.errors import FrameError, JobCancelled, PpcError, ProtocolAbort
from ppc.joint import artifacts as store
from ppc.joint.artifacts import StepArtifacts, Store
from ppc.joint.job import Job, digest
from ppc.joint.operator import Params, PlanView
from ppc.net.channel import Channel, MeterReading

if TYPE_CHECKING:
    from pathlib import Path

    from ppc.core.rng import Stream
    from ppc.dataset.dataset import Dataset
    from ppc.mpc.aggregate import Aggregation
    from ppc.mpc.session import Session

P_co = TypeVar("P_co", bound=Params, covariant=True)

MAX_NOTE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Event:
    """Progress at one party: the fraction of the step that is done (0..1), a short text, and the cost so far."""

    job: str
    step: str
    party: str
    fraction: float
    text: str
    rounds: int
    sent: int
    received: int
    seconds: float


@dataclass
class Runtime:
    """What all steps of one run share at one party."""

    job: Job
    me: str
    source: Dataset
    channels: Mapping[str, Channel]
    dealer: Channel | None
    store: Store
    models: Path
    progress: Callable[[Event], None] | None = None
    log: Callable[[str], None] | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)
    dataset: Dataset = field(init=False)
    run_id: str = ""
    step: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    peer_rows: Mapping[str, int] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    _session: Session | None = None
    _pool: Aggregation | None = None

    def __post_init__(self) -> None:
        self.dataset = self.source

    @property
    def session(self) -> Session:
        if self._session is None:
            from ppc.joint import shares

            self._session = shares.open_session(
                self.me, self.job.parties, self.channels, self.dealer, self.job.randomness
            )
        return self._session

    @property
    def pool(self) -> Aggregation:
        if self._pool is None:
            from ppc.mpc.aggregate import Aggregation

            first = self.job.result
            order = [first, *(p for p in self.job.parties if p != first)]
            self._pool = Aggregation(
                self.me, order, self.channels, quorum=self.job.quorum, on_lost=self._on_lost,
                cancelled=self.cancelled.is_set,
            )  # fmt: skip
        return self._pool

    def _on_lost(self, party: str, reason: str) -> None:
        self.lost[party] = reason
        if self.log is not None:
            self.log(f"{self.step}: going on without {party}: {reason}")

    def end(self) -> None:
        """Nobody reports success before everyone who is still there has everything."""
        if self._pool is not None:
            self._pool.finish()
        else:
            self.agree("end", self.run_id)

    def close_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def reading(self) -> MeterReading:
        """The cost so far: rounds with the busiest peer, bytes and messages over every channel, the helper's too."""
        peers = [c.meter.snapshot() for c in self.channels.values()]
        dealer = [self.dealer.meter.snapshot()] if self.dealer is not None else []
        total = sum([*peers, *dealer], MeterReading())
        return replace(total, rounds=max((r.rounds for r in peers), default=0))

    def report(self, fraction: float, text: str) -> None:
        if self.cancelled.is_set():
            raise JobCancelled("the job was cancelled", where=f"step '{self.step}'" if self.step else None)
        if self.progress is not None:
            cost = self.reading()
            seconds = time.monotonic() - self.started
            self.progress(
                Event(
                    self.job.name, self.step, self.me, min(max(fraction, 0.0), 1.0), text,
                    cost.rounds, cost.sent, cost.received, seconds,
                )
            )  # fmt: skip

    # --- public notes between the parties ---
    def gather(self, name: str, value: Any) -> dict[str, Any]:
        """Every party tells every other a public JSON value; all get `{party: value}` in rank order."""
        data = store.dumps(value).encode()
        for peer in self._peers():
            self.channels[peer].send_bytes(f"note {name}"[:96], data)
        got = {peer: self._note(peer, name) for peer in self._peers()}
        return {p: value if p == self.me else got[p] for p in self.job.parties if p == self.me or p in got}

    def publish(self, name: str, value: Any, owner: str) -> Any:
        """`owner` tells everyone a public JSON value; the others pass anything. All get it."""
        if self.me == owner:
            data = store.dumps(value).encode()
            for peer in self._peers():
                self.channels[peer].send_bytes(f"note {name}"[:96], data)
            return value
        return self._note(owner, name)

    def agree(self, name: str, value: Any, error: type[PpcError] = ProtocolAbort, hint: str | None = None) -> None:
        """Stop at every party unless all hold the same public value. Only its SHA-256 travels."""
        mine = np.frombuffer(bytes.fromhex(digest(value)), np.uint8)
        differ = []
        for peer in self._peers():
            (theirs,) = self.channels[peer].exchange(f"agree {name}"[:96], mine)
            if not np.array_equal(mine, theirs):
                differ.append(peer)
        if differ:
            raise error(f"{' and '.join([self.me, *differ])} do not hold the same {name}", party=differ[0], hint=hint)

    def _peers(self) -> list[str]:
        return [p for p in self.job.parties if p != self.me and p not in self.lost]

    def _note(self, peer: str, name: str) -> Any:
        data = self.channels[peer].recv_bytes(f"note {name}"[:96], MAX_NOTE_BYTES)
        try:
            return store.loads(data.decode())
        except (ValueError, RecursionError):
            raise FrameError("a note is not valid JSON", party=peer, where=f"note '{name}'") from None


class Context(Generic[P_co]):
    """One party's view of one running step.

    Attributes:
        me, rank, parties, peers: who is here; `rank` is my index in `parties`.
        job, step: the job and the step's name; params: the step's parameters.
        view: the plan's view before this step (schemas of all parties, features, label …).
        artifacts: what this step leaves behind; `find(name)` and `artifacts_of(step)` read what earlier steps left.
        dataset: my rows: all of them, or the matched ones in the shared order once `align` has run.
        source: my dataset as it came.
    """

    def __init__(self, runtime: Runtime, step: str, params: P_co, view: PlanView, own: StepArtifacts | None) -> None:
        self._runtime = runtime
        self.step = step
        self.params = params
        self.view = view
        self._artifacts = own

    # --- who ---
    @property
    def job(self) -> Job:
        return self._runtime.job

    @property
    def me(self) -> str:
        return self._runtime.me

    @property
    def parties(self) -> tuple[str, ...]:
        return self.job.parties

    @property
    def rank(self) -> int:
        return self.job.rank(self.me)

    @property
    def peers(self) -> tuple[str, ...]:
        return tuple(p for p in self.parties if p != self.me)

    # --- with whom ---
    @property
    def session(self) -> Session:
        """The secure computation, opened at its first use and shared by all steps of the run."""
        return self._runtime.session

    @property
    def pool(self) -> Aggregation:
        """Secure sums among all parties that need no helper and survive the loss of a party."""
        return self._runtime.pool

    @property
    def limits(self) -> Mapping[str, Any]:
        """What this party allows at most, of its own policy: names and numbers that an operator knows."""
        return self._runtime.limits

    @property
    def peer_rows(self) -> Mapping[str, int]:
        """How many keys each peer may bring to a matching, by this party's own policy; who is not named, any number."""
        return self._runtime.peer_rows

    @property
    def lost(self) -> Mapping[str, str]:
        """Parties that the job goes on without, and why."""
        return self._runtime.lost

    @property
    def channels(self) -> Mapping[str, Channel]:
        return self._runtime.channels

    def gather(self, name: str, value: Any) -> dict[str, Any]:
        """Every party tells every other a PUBLIC JSON value; all get `{party: value}`. One message each way."""
        return self._runtime.gather(name, value)

    def publish(self, name: str, value: Any, owner: str) -> Any:
        """`owner` tells everyone a PUBLIC JSON value (the others pass anything); all get it."""
        return self._runtime.publish(name, value, owner)

    def agree(self, name: str, value: Any) -> None:
        """Stop at every party (`ProtocolAbort`) unless all hold the same public value: counts, names of columns."""
        self._runtime.agree(name, value)

    # --- on what ---
    @property
    def dataset(self) -> Dataset:
        return self._runtime.dataset

    @dataset.setter
    def dataset(self, value: Dataset) -> None:
        """Later steps see this dataset. To be set in `Operator.apply`, from artifacts."""
        self._runtime.dataset = value

    @property
    def source(self) -> Dataset:
        return self._runtime.source

    @property
    def artifacts(self) -> StepArtifacts:
        """What this step leaves behind."""
        if self._artifacts is None:
            raise ProtocolAbort("no artifacts can be written here", where=self.where)
        return self._artifacts

    def find(self, name: str) -> StepArtifacts | None:
        """The artifacts of the last step so far that left one of this name; `None` if none did."""
        return self._runtime.store.latest(name)

    def artifacts_of(self, step: str) -> StepArtifacts:
        """What a finished step left behind."""
        return self._runtime.store.of(step)

    @property
    def models(self) -> Path:
        """The party's folder of saved models."""
        return self._runtime.models

    @property
    def run_id(self) -> str:
        """A name of this run that every party has the same and nobody could choose."""
        return self._runtime.run_id

    def public_stream(self, label: str = "") -> Stream:
        """Randomness that all parties have the same of and that protects nothing (the order of batches)."""
        return self.job.public_stream(f"{self.step}\0{label}")

    # --- how far ---
    def report(self, fraction: float, text: str) -> None:
        """Say how far this step is (0..1); raises `JobCancelled` if the job was cancelled."""
        self._runtime.report(fraction, text)

    def log(self, text: str) -> None:
        """A line for the party's own log. Names, shapes and counts only."""
        if self._runtime.log is not None:
            self._runtime.log(f"{self.step}: {text}")

    @property
    def cancelled(self) -> bool:
        return self._runtime.cancelled.is_set()

    @property
    def where(self) -> str:
        """How errors name the step."""
        return f"step '{self.step}'"

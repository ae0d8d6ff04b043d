"""What the coordinator knows of a job, and the moves between its states. Pure data: no clock, no store, no network.

proposed ──every participant approved──▶ approved ──free places──▶ running ──every one is done──▶ done
    │                                       │                        │
    └──────────────┬────────────────────────┴────────────────────────┘
                   ▼
          failed or cancelled ──retry──▶ proposed (attempt + 1)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from ppc.errors import ConfigError, JobStateError, PpcError

MAX_TEXT: Final = 300  # characters of a progress or log text that travel
JOB_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class Role(StrEnum):
    """What an agent does for a job."""

    PARTY = "party"
    HELPER = "helper"


class JobState(StrEnum):
    """The state of a job as a whole."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Nothing more happens to the job, unless a party asks for another attempt."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class Phase(StrEnum):
    """Where one participant stands in one attempt of a job."""

    PENDING = "pending"
    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class EventKind(StrEnum):
    """What an event tells. Progress is shown and forgotten; the rest is kept."""

    STATE = "state"
    PARTY = "party"
    PROGRESS = "progress"
    LOG = "log"
    ERROR = "error"


class DirectiveKind(StrEnum):
    """What the coordinator asks of an agent. Each may come twice: the agent does it once."""

    CONSIDER = "consider"
    PREPARE = "prepare"
    START = "start"
    STOP = "stop"


MOVES: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.PROPOSED: frozenset({JobState.APPROVED, JobState.FAILED, JobState.CANCELLED}),
    JobState.APPROVED: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED}),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset({JobState.PROPOSED}),
    JobState.CANCELLED: frozenset({JobState.PROPOSED}),
}

# A participant's phase only moves forward within one attempt; `order` says how far it has come.
_ORDER: Final[Mapping[Phase, int]] = {
    Phase.PENDING: 0,
    Phase.WAITING: 1,
    Phase.APPROVED: 2,
    Phase.READY: 3,
    Phase.RUNNING: 4,
    Phase.DONE: 5,
    Phase.REFUSED: 6,
    Phase.FAILED: 6,
    Phase.STOPPED: 6,
}


def advances(old: Phase, new: Phase) -> bool:
    """Whether a report of `new` is news after `old`; a late or repeated report is not."""
    return _ORDER[new] > _ORDER[old]


@dataclass(frozen=True)
class Fault:
    """An error as it may travel: of the tree in ppc/errors.py, redacted, with the party and the step it happened at."""

    code: str
    what: str
    where: str | None = None
    hint: str | None = None
    party: str | None = None
    step: str | None = None

    def to_error(self) -> PpcError:
        """The exception to raise or to show; the step becomes part of `where`."""
        parts = {k: v for k, v in self.to_dict().items() if k != "step"}
        if self.step and f"step {self.step}" not in (self.where or ""):
            parts["where"] = ", ".join(p for p in (f"step {self.step}", self.where) if p)
        return PpcError.from_dict(parts)

    def to_dict(self) -> dict[str, str]:
        """Only the parts that are set."""
        return {k: v for k, v in vars(self).items() if v}

    @staticmethod
    def from_dict(parts: Mapping[str, Any]) -> Fault:
        """The fault that `to_dict` described."""
        known = {k: str(parts[k]) for k in ("code", "what", "where", "hint", "party", "step") if parts.get(k)}
        return Fault(known.pop("code", "PPC-E000"), known.pop("what", "unknown error"), **known)

    @staticmethod
    def of(error: PpcError, *, step: str | None = None, party: str | None = None) -> Fault:
        """The fault for an error of our own making (its texts are already fit to travel)."""
        return Fault(error.code, error.what, error.where, error.hint, error.party or party, step)


@dataclass(frozen=True)
class DatasetEntry:
    """What the catalog says of one dataset: its schema and a rounded number of rows."""

    party: str
    name: str
    schema_toml: str
    rows: int
    visible_to: tuple[str, ...] = ("*",)

    def visible(self, party: str) -> bool:
        """Whether `party` may see the entry."""
        return party == self.party or "*" in self.visible_to or party in self.visible_to


@dataclass(frozen=True)
class Signed:
    """Bytes signed by a party: what they say is read by `statements.verify` alone."""

    payload: bytes
    signature: bytes
    certificate: bytes


@dataclass(frozen=True)
class Cost:
    """What a job cost one participant."""

    rounds: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0


@dataclass
class Participant:
    """One party or helper of a job, in the job's present attempt."""

    party: str
    role: Role
    phase: Phase = Phase.PENDING
    plan_hash: str = ""
    detail: str = ""
    fault: Fault | None = None
    approval: Signed | None = None
    decision: Signed | None = None  # a person's word that the agent has not confirmed yet
    address: str = ""
    cost: Cost | None = None
    step: str = ""
    fraction: float = 0.0
    online: bool = False


@dataclass
class JobRecord:
    """One job."""

    id: str
    name: str
    submitter: str
    job_toml: str
    job_hash: str
    submission: Signed
    participants: dict[str, Participant]
    datasets: tuple[DatasetEntry, ...]
    state: JobState = JobState.PROPOSED
    attempt: int = 1
    plan_hash: str = ""
    fault: Fault | None = None
    created: float = 0.0
    updated: float = 0.0
    retry: Signed | None = None
    events: int = 0  # number of events kept so far

    @property
    def helper(self) -> str | None:
        """The helper's name, if the job has one."""
        return next((p.party for p in self.participants.values() if p.role is Role.HELPER), None)

    def move(self, state: JobState) -> None:
        """Changes the state; raises `JobStateError` when there is no such move."""
        if state not in MOVES[self.state]:
            raise JobStateError(f"job {self.id} is {self.state}: it cannot become {state}")
        self.state = state

    def require(self, *states: JobState, action: str) -> None:
        """Raises `JobStateError` unless the job is in one of `states`."""
        if self.state not in states:
            wanted = " or ".join(states)
            raise JobStateError(f"job {self.id} is {self.state}", hint=f"only a {wanted} job can be {action}")

    def all_in(self, *phases: Phase) -> bool:
        """Whether every participant is in one of `phases`."""
        return all(p.phase in phases for p in self.participants.values())

    def reset(self) -> None:
        """Another attempt: every participant starts again, with nothing approved."""
        self.move(JobState.PROPOSED)
        self.attempt += 1
        self.fault = None
        for name, p in self.participants.items():
            self.participants[name] = Participant(p.party, p.role, online=p.online)


@dataclass(frozen=True)
class Event:
    """Something that happened to a job. `seq` counts the kept events from 1; progress has 0."""

    seq: int
    time: float
    kind: EventKind
    attempt: int = 1
    party: str = ""
    step: str = ""
    fraction: float = 0.0
    text: str = ""
    state: JobState | None = None
    phase: Phase | None = None
    fault: Fault | None = None


@dataclass(frozen=True)
class Report:
    """What an agent says of its part in one attempt of a job."""

    job_id: str
    attempt: int
    phase: Phase
    plan_hash: str = ""
    approval: Signed | None = None
    address: str = ""
    fault: Fault | None = None
    detail: str = ""
    cost: Cost | None = None
    audit_head: str = ""


@dataclass(frozen=True)
class Notice:
    """Progress or a log line of one participant."""

    job_id: str
    attempt: int
    kind: EventKind
    step: str = ""
    fraction: float = 0.0
    text: str = ""


@dataclass(frozen=True)
class Hello:
    """An agent introduces itself, with everything it works on."""

    role: Role
    version: str
    instance: str
    datasets: tuple[DatasetEntry, ...] = ()
    jobs: tuple[Report, ...] = ()
    max_jobs: int = 1


@dataclass(frozen=True)
class Directive:
    """What the coordinator asks of an agent."""

    kind: DirectiveKind
    job_id: str
    attempt: int
    job_toml: str = ""
    submission: Signed | None = None
    datasets: tuple[DatasetEntry, ...] = ()
    decision: Signed | None = None
    approvals: tuple[Signed, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None


def check_job_id(job_id: str) -> str:
    """The id itself, if it is one: it names a folder, so nothing else may pass."""
    if not JOB_ID.fullmatch(job_id):
        raise ConfigError("a job id has 1 to 64 lower-case letters, digits and dashes", where="job id")
    return job_id


def clip(text: str) -> str:
    """`text` on one line, cut to the length that travels."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"


def with_online(job: JobRecord, online: Iterable[str]) -> JobRecord:
    """A copy of the job whose participants are marked as connected or not."""
    names = set(online)
    return replace(job, participants={n: replace(p, online=n in names) for n, p in job.participants.items()})


_HEAD: Final = re.compile(r"\[audit ([0-9a-f]{64})\]")


def with_head(text: str, head: str) -> str:
    """The text of an event, with the head of the reporter's audit log: so the coordinator keeps a witness of it."""
    return f"{text} [audit {head}]".strip() if re.fullmatch(r"[0-9a-f]{64}", head) else text


def without_head(text: str) -> str:
    """The text of an event for people."""
    return _HEAD.sub("", text).strip()


def told_heads(events: Iterable[Event], party: str) -> list[str]:
    """The heads of `party`'s audit log that it told with its reports."""
    return [m[1] for e in events if e.party == party and e.kind is EventKind.PARTY and (m := _HEAD.search(e.text))]

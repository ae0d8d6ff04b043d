"""Between the messages of coordinator.proto and the records of jobs.py; server.py and client.py go through here.

Every text and number from the wire passes here: an unknown enum value or an impossible number is a `FrameError`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, TypeVar

# gRPC writes its own log lines to stderr; what a person needs to know arrives as an exception.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc

from ppc.coordinator.jobs import (
    Cost,
    DatasetEntry,
    Directive,
    DirectiveKind,
    Event,
    EventKind,
    Fault,
    Hello,
    JobRecord,
    JobState,
    Notice,
    Participant,
    Phase,
    Report,
    Role,
    Signed,
)
from ppc.coordinator.proto.ppc.coordinator.v1 import coordinator_pb2 as pb
from ppc.coordinator.proto.ppc.coordinator.v1 import coordinator_pb2_grpc as adapter
from ppc.errors import FrameError, PpcError

FAULT_KEY: Final = "ppc-fault-bin"
E = TypeVar("E", bound=StrEnum)


def channel_options(max_message_bytes: int) -> list[tuple[str, int]]:
    """Options that both ends use: caps on messages, and pings that find a dead connection within seconds."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_metadata_size", 16 << 10),
        ("grpc.keepalive_time_ms", 5_000),
        ("grpc.keepalive_timeout_ms", 4_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 2_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 2_000),
    ]


# ---- enums: proto names are the record's values in capitals, after the enum's own name ----
def _enum(cls: type[E], wrapper: Any, prefix: str) -> tuple[dict[E, Any], dict[int, E]]:
    out: dict[E, Any] = {member: int(wrapper.Value(f"{prefix}_{member.name}")) for member in cls}
    return out, {number: member for member, number in out.items()}


_ROLE, _FROM_ROLE = _enum(Role, pb.Role, "ROLE")
_STATE, _FROM_STATE = _enum(JobState, pb.JobState, "JOB_STATE")
_PHASE, _FROM_PHASE = _enum(Phase, pb.Phase, "PHASE")
_EVENT, _FROM_EVENT = _enum(EventKind, pb.EventKind, "EVENT_KIND")
_KIND, _FROM_KIND = _enum(DirectiveKind, pb.DirectiveKind, "DIRECTIVE_KIND")


def _known(table: dict[int, E], number: int, field: str) -> E:
    if number not in table:
        raise FrameError(f"unknown value {number}", where=f"field '{field}'")
    return table[number]


def states_to(states: Iterable[JobState]) -> list[Any]:
    """For a request."""
    return [_STATE[s] for s in states]


def states_from(numbers: Iterable[int]) -> list[JobState]:
    """From a request."""
    return [_known(_FROM_STATE, n, "states") for n in numbers]


# ---- errors ----
def fault_to(fault: Fault | None) -> Any:
    """As a message; `None` for `None`, which leaves a field unset."""
    return pb.Error(**fault.to_dict()) if fault else None


def fault_from(message: Any) -> Fault | None:
    """From a field that may be unset."""
    return Fault.from_dict({f.name: value for f, value in message.ListFields()}) if message.ListFields() else None


def error_metadata(error: PpcError) -> tuple[tuple[str, bytes], ...]:
    """How an exception of the tree travels beside a gRPC status."""
    return ((FAULT_KEY, json.dumps(error.to_dict()).encode()),)


def error_from(metadata: Iterable[tuple[str, str | bytes]] | None) -> PpcError | None:
    """The exception that `error_metadata` carried, if it is there."""
    for key, value in metadata or ():
        if key == FAULT_KEY:
            try:
                parts = json.loads(value)
                return PpcError.from_dict({str(k): str(v) for k, v in parts.items()})
            except (ValueError, AttributeError):
                return None
    return None


# ---- parts ----
def signed_to(signed: Signed | None) -> Any:
    """As a message, or `None`."""
    return pb.Statement(**vars(signed)) if signed else None


def signed_from(message: Any) -> Signed | None:
    """From a field that may be unset."""
    if not message.payload:
        return None
    return Signed(message.payload, message.signature, message.certificate)


def entry_to(entry: DatasetEntry) -> Any:
    """As a message."""
    return pb.Dataset(**{**vars(entry), "visible_to": list(entry.visible_to)})


def entry_from(message: Any) -> DatasetEntry:
    """From a message."""
    if message.rows < 0:
        raise FrameError("a negative number of rows", where="field 'rows'")
    return DatasetEntry(message.party, message.name, message.schema_toml, message.rows, tuple(message.visible_to))


def _cost_to(cost: Cost | None) -> Any:
    return pb.Cost(**vars(cost)) if cost else None


def _cost_from(message: Any, present: bool) -> Cost | None:
    if not present:
        return None
    return Cost(message.rounds, message.bytes_sent, message.bytes_received, message.seconds, message.peak_memory_bytes)


def _participant_to(p: Participant) -> Any:
    return pb.Participant(
        party=p.party,
        role=_ROLE[p.role],
        phase=_PHASE[p.phase],
        plan_hash=p.plan_hash,
        detail=p.detail,
        error=fault_to(p.fault),
        step=p.step,
        fraction=p.fraction,
        cost=_cost_to(p.cost),
        online=p.online,
        statement=signed_to(p.approval),
    )


def _participant_from(m: Any) -> Participant:
    return Participant(
        party=m.party,
        role=_known(_FROM_ROLE, m.role, "role"),
        phase=_known(_FROM_PHASE, m.phase, "phase"),
        plan_hash=m.plan_hash,
        detail=m.detail,
        fault=fault_from(m.error),
        approval=signed_from(m.statement),
        cost=_cost_from(m.cost, m.HasField("cost")),
        step=m.step,
        fraction=m.fraction,
        online=m.online,
    )


# ---- jobs and events ----
def job_to(job: JobRecord) -> Any:
    """As a message."""
    return pb.Job(
        id=job.id,
        name=job.name,
        state=_STATE[job.state],
        attempt=job.attempt,
        submitter=job.submitter,
        job_toml=job.job_toml,
        job_hash=job.job_hash,
        plan_hash=job.plan_hash,
        participants=[_participant_to(p) for p in job.participants.values()],
        datasets=[entry_to(e) for e in job.datasets],
        error=fault_to(job.fault),
        created=job.created,
        updated=job.updated,
        submission=signed_to(job.submission),
    )


def job_from(m: Any) -> JobRecord:
    """From a message."""
    return JobRecord(
        id=m.id,
        name=m.name,
        submitter=m.submitter,
        job_toml=m.job_toml,
        job_hash=m.job_hash,
        submission=signed_from(m.submission) or Signed(b"", b"", b""),
        participants={p.party: _participant_from(p) for p in m.participants},
        datasets=tuple(entry_from(d) for d in m.datasets),
        state=_known(_FROM_STATE, m.state, "state"),
        attempt=m.attempt,
        plan_hash=m.plan_hash,
        fault=fault_from(m.error),
        created=m.created,
        updated=m.updated,
    )


def event_to(event: Event) -> Any:
    """As a message."""
    return pb.Event(
        seq=event.seq,
        time=event.time,
        kind=_EVENT[event.kind],
        party=event.party,
        step=event.step,
        fraction=event.fraction,
        text=event.text,
        state=_STATE[event.state] if event.state else None,
        phase=_PHASE[event.phase] if event.phase else None,
        error=fault_to(event.fault),
        attempt=event.attempt,
    )


def event_from(m: Any) -> Event:
    """From a message."""
    return Event(
        seq=m.seq,
        time=m.time,
        kind=_known(_FROM_EVENT, m.kind, "kind"),
        attempt=m.attempt,
        party=m.party,
        step=m.step,
        fraction=m.fraction,
        text=m.text,
        state=_known(_FROM_STATE, m.state, "state") if m.state else None,
        phase=_known(_FROM_PHASE, m.phase, "phase") if m.phase else None,
        fault=fault_from(m.error),
    )


# ---- an agent's stream ----
def hello_to(hello: Hello) -> Any:
    """As a stream message."""
    return pb.AgentMessage(
        hello=pb.Hello(
            role=_ROLE[hello.role],
            version=hello.version,
            instance=hello.instance,
            datasets=[entry_to(e) for e in hello.datasets],
            jobs=[_report_to(r) for r in hello.jobs],
            max_jobs=hello.max_jobs,
        )
    )


def hello_from(m: Any) -> Hello:
    """From the body of a stream message."""
    if not 1 <= m.max_jobs <= 1024 or not 0 < len(m.instance) <= 64:
        raise FrameError("an agent's introduction is malformed", where="field 'max_jobs' or 'instance'")
    return Hello(
        role=_known(_FROM_ROLE, m.role, "role"),
        version=m.version[:40],
        instance=m.instance,
        datasets=tuple(entry_from(d) for d in m.datasets),
        jobs=tuple(report_from(r) for r in m.jobs),
        max_jobs=m.max_jobs,
    )


def _report_to(report: Report) -> Any:
    return pb.JobReport(
        job_id=report.job_id,
        attempt=report.attempt,
        phase=_PHASE[report.phase],
        plan_hash=report.plan_hash,
        statement=signed_to(report.approval),
        address=report.address,
        error=fault_to(report.fault),
        detail=report.detail,
        cost=_cost_to(report.cost),
        audit_head=report.audit_head,
    )


def report_to(report: Report) -> Any:
    """As a stream message."""
    return pb.AgentMessage(report=_report_to(report))


def report_from(m: Any) -> Report:
    """From the body of a stream message."""
    return Report(
        job_id=m.job_id,
        attempt=m.attempt,
        phase=_known(_FROM_PHASE, m.phase, "phase"),
        plan_hash=m.plan_hash[:80],
        approval=signed_from(m.statement),
        address=m.address,
        fault=fault_from(m.error),
        detail=m.detail,
        cost=_cost_from(m.cost, m.HasField("cost")),
        audit_head=m.audit_head[:64],
    )


def notice_to(notice: Notice) -> Any:
    """As a stream message."""
    return pb.AgentMessage(
        event=pb.JobEvent(
            job_id=notice.job_id,
            attempt=notice.attempt,
            kind=_EVENT[notice.kind],
            step=notice.step,
            fraction=notice.fraction,
            text=notice.text,
        )
    )


def notice_from(m: Any) -> Notice:
    """From the body of a stream message."""
    return Notice(m.job_id, m.attempt, _known(_FROM_EVENT, m.kind, "kind"), m.step, m.fraction, m.text)


def directive_to(d: Directive) -> Any:
    """As a stream message."""
    return pb.CoordinatorMessage(
        directive=pb.Directive(
            kind=_KIND[d.kind],
            job_id=d.job_id,
            attempt=d.attempt,
            job_toml=d.job_toml,
            submission=signed_to(d.submission),
            datasets=[entry_to(e) for e in d.datasets],
            decision=signed_to(d.decision),
            approvals=[signed_to(a) for a in d.approvals],
            addresses=dict(d.addresses),
            error=fault_to(d.fault),
        )
    )


def directive_from(m: Any) -> Directive:
    """From the body of a stream message."""
    approvals = [signed_from(a) for a in m.approvals]
    return Directive(
        kind=_known(_FROM_KIND, m.kind, "kind"),
        job_id=m.job_id,
        attempt=m.attempt,
        job_toml=m.job_toml,
        submission=signed_from(m.submission),
        datasets=tuple(entry_from(e) for e in m.datasets),
        decision=signed_from(m.decision),
        approvals=tuple(a for a in approvals if a),
        addresses=dict(m.addresses),
        fault=fault_from(m.error),
    )


__all__ = ["adapter", "grpc", "pb"]

"""Where jobs move by themselves: they start when there is room, and end when someone fails or vanishes.

What an agent must do is derived from its job's state whenever the agent (re)connects, so neither side has to remember
what it sent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from ppc.coordinator import jobhead
from ppc.coordinator.chronicle import Chronicle
from ppc.coordinator.jobs import (
    Directive,
    DirectiveKind,
    EventKind,
    Fault,
    Hello,
    JobRecord,
    JobState,
    Participant,
    Phase,
    Role,
)
from ppc.coordinator.mailbox import Mailbox
from ppc.errors import JobCancelled, PeerTimeout, PeerUnavailable, RemoteFailure

_SECOND_HAND_S: Final = 2.0  # how long the party that is blamed may take to tell its own side
# Errors that say "somebody else failed": the party they name knows better.
_SECOND_HAND: Final = {PeerUnavailable.code, PeerTimeout.code, RemoteFailure.code, JobCancelled.code}


@dataclass
class Member:
    """An agent that is connected, or was until a moment ago."""

    name: str
    hello: Hello
    outbox: Mailbox[Directive]
    seen: float
    left: bool = False


@dataclass
class _Clock:
    """Moments (monotonic) that the board keeps for one open job; lost in a restart, which starts them anew."""

    prepare_by: float | None = None
    fault: Fault | None = None  # second-hand: becomes the job's unless a better one comes in time
    fault_at: float = 0.0


class Floor:
    """Open jobs and connected agents. The board alone uses it, under its lock."""

    def __init__(self, jobs: Chronicle, *, lease_s: float, prepare_s: float, proposal_s: float) -> None:
        self.jobs = jobs
        self.members: dict[str, Member] = {}
        self.lease_s = lease_s
        self._prepare_s, self._proposal_s = prepare_s, proposal_s
        self._clocks: dict[str, _Clock] = {}
        # After a restart every agent that works on a job has two leases to come back.
        self._recovering_until = time.monotonic() + 2 * lease_s

    # ---- room ----
    def schedule(self) -> None:
        """Starts approved jobs, the oldest first, whose participants are all connected and have a free place."""
        for job in list(self.jobs.open.values()):
            if job.state is JobState.APPROVED and all(self._has_place(n) for n in job.participants):
                job.move(JobState.RUNNING)
                self.clock(job).prepare_by = time.monotonic() + self._prepare_s
                self.jobs.commit(job, [self.jobs.state_event(job, "")])
                self.direct_all(job)

    def _has_place(self, name: str) -> bool:
        member = self.members.get(name)
        if member is None or member.left or member.outbox.closed:
            return False
        busy = sum(j.state is JobState.RUNNING for j in self.jobs.of(name))
        return busy < member.hello.max_jobs

    # ---- time ----
    def tick(self) -> None:
        """Looks at every clock."""
        now, wall = time.monotonic(), time.time()
        for member in list(self.members.values()):
            if not member.left and now - member.seen > self.lease_s:
                member.left = True
                member.outbox.close()
                self.vanished(member.name, f"{member.name} has vanished")
        for job in list(self.jobs.open.values()):
            clock = self.clock(job)
            if clock.fault and (now > clock.fault_at or self.gone(clock.fault.party)):
                self.fail(job, clock.fault)
            elif job.state is JobState.RUNNING:
                self._check_running(job, clock, now)
            elif job.state is JobState.PROPOSED and wall - job.updated > self._proposal_s:
                late = ", ".join(p.party for p in job.participants.values() if p.phase is not Phase.APPROVED)
                self.end(job, JobState.CANCELLED, Fault.of(JobCancelled(f"not approved in time by {late}")))

    def _check_running(self, job: JobRecord, clock: _Clock, now: float) -> None:
        if now > self._recovering_until:
            for name, participant in job.participants.items():
                if name not in self.members and participant.phase not in (Phase.DONE, Phase.FAILED):
                    self.lose(job, name, Fault.of(PeerUnavailable(f"{name} has vanished", party=name)))
                    return
        if clock.prepare_by is None and not job.all_in(Phase.READY, Phase.RUNNING, Phase.DONE, Phase.FAILED):
            clock.prepare_by = now + self._prepare_s
        if clock.prepare_by is not None and now > clock.prepare_by:
            late = next((p.party for p in job.participants.values() if p.phase is Phase.APPROVED), job.submitter)
            self.fail(job, Fault.of(PeerTimeout(f"{late} did not get ready within {self._prepare_s:g} s", party=late)))

    def gone(self, name: str | None) -> bool:
        """Whether the agent of that name certainly has nothing more to tell."""
        if name is None or name not in self.members:
            return False
        return self.members[name].left

    def vanished(self, name: str, what: str) -> None:
        """Ends every running job that needs the agent of that name; others go on without it."""
        for job in self.jobs.of(name):
            participant = job.participants[name]
            if job.state is JobState.RUNNING and participant.phase not in (Phase.DONE, Phase.FAILED):
                self.lose(job, name, Fault.of(PeerUnavailable(what, party=name)))

    # ---- how jobs end ----
    def lose(self, job: JobRecord, name: str, fault: Fault) -> None:
        """A party is lost: the job goes on without it if its quorum allows, and fails otherwise."""
        if not self.spare(job, name, fault):
            self.fail(job, fault)

    def spare(self, job: JobRecord, name: str, fault: Fault) -> bool:
        """Go on without a party that was lost after all had started, if the job's quorum allows."""
        quorum = jobhead.read(job.job_toml).quorum
        lost = job.participants[name]
        started = job.all_in(Phase.READY, Phase.RUNNING, Phase.DONE, Phase.FAILED)
        if quorum is None or lost.role is not Role.PARTY or job.state is not JobState.RUNNING or not started:
            return False
        lost.phase, lost.fault = Phase.FAILED, fault
        left = [p for p in job.participants.values() if p.role is Role.PARTY and p.phase is not Phase.FAILED]
        if len(left) < quorum:
            return False
        text = f"the job goes on without {name}: {fault.what}"
        self.jobs.commit(job, [self.jobs.event(job, EventKind.LOG, name, step=fault.step or lost.step, text=text)])
        self.end_if_done(job)
        return True

    def end_if_done(self, job: JobRecord) -> None:
        """The job is done when everyone who is left is."""
        if job.all_in(Phase.DONE, Phase.FAILED):
            self.end(job, JobState.DONE, None)

    def blame(self, job: JobRecord, reporter: str, fault: Fault) -> None:
        """A participant failed: the job fails with it; if it blames another, that one may first tell its own side."""
        if self.spare(job, reporter, fault):
            return
        clock = self.clock(job)
        second_hand = fault.code in _SECOND_HAND and (fault.party != reporter or fault.code == JobCancelled.code)
        if not second_hand or self.gone(fault.party):
            self.fail(job, fault)
        elif clock.fault is None or clock.fault.party == reporter:
            # The one that was blamed blames another: follow the chain to its end.
            clock.fault, clock.fault_at = fault, time.monotonic() + _SECOND_HAND_S

    def fail(self, job: JobRecord, fault: Fault) -> None:
        """Ends the job as failed; a fault without a step gets the one that its party was last heard in."""
        blamed = job.participants.get(fault.party or "")
        if fault.step is None and blamed is not None and blamed.step:
            fault = replace(fault, step=blamed.step)
        self.end(job, JobState.FAILED, fault)

    def end(self, job: JobRecord, state: JobState, fault: Fault | None) -> None:
        """Ends the job and tells every participant and watcher; nothing happens if it has ended already."""
        if job.state.ended:
            return
        job.move(state)
        job.fault = fault
        events = []
        if fault:
            told = self.jobs.event(job, EventKind.ERROR, fault.party or "", step=fault.step or "", text=fault.what)
            events.append(replace(told, fault=fault))
            for participant in job.participants.values():
                if participant.phase not in (Phase.DONE, Phase.FAILED, Phase.REFUSED):
                    participant.phase = Phase.STOPPED
        events.append(replace(self.jobs.state_event(job, fault.what if fault else ""), fault=fault))
        self.jobs.open.pop(job.id, None)
        self.jobs.commit(job, events)
        for name in job.participants:
            member = self.members.get(name)
            if member:
                member.outbox.put(Directive(DirectiveKind.STOP, job.id, job.attempt, fault=fault))
        self._clocks.pop(job.id, None)
        self.jobs.dismiss(job.id)
        self.schedule()

    # ---- what agents must do ----
    def direct_all(self, job: JobRecord) -> None:
        """Tells every participant what follows from the state of the job."""
        for participant in job.participants.values():
            self.direct(job, participant)

    def direct(self, job: JobRecord, participant: Participant) -> None:
        """Tells one agent what follows from the state of the job; nothing if it is not connected."""
        member = self.members.get(participant.party)
        if member is None or member.left:
            return
        kind: DirectiveKind | None = None
        if job.state is JobState.PROPOSED and participant.phase in (Phase.PENDING, Phase.WAITING):
            kind = DirectiveKind.CONSIDER
        elif job.state is JobState.RUNNING and participant.phase is Phase.APPROVED:
            kind = DirectiveKind.PREPARE
        elif job.state is JobState.RUNNING and participant.phase is Phase.READY:
            everyone_listens = job.all_in(Phase.READY, Phase.RUNNING, Phase.DONE)
            kind = DirectiveKind.START if everyone_listens else None
        if kind is None:
            return
        everything = job.participants.values()
        member.outbox.put(
            Directive(
                kind,
                job.id,
                job.attempt,
                job_toml=job.job_toml,
                submission=job.retry or job.submission,
                datasets=job.datasets,
                decision=participant.decision,
                approvals=tuple(p.approval for p in everything if p.approval) if job.state is JobState.RUNNING else (),
                addresses={p.party: p.address for p in everything if p.address} if kind is DirectiveKind.START else {},
            )
        )

    def clock(self, job: JobRecord) -> _Clock:
        """The moments that are kept for the job."""
        return self._clocks.setdefault(job.id, _Clock())

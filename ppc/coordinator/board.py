"""The coordinator's mind: it takes what agents and clients say, moves jobs, and tells everyone concerned.

No network here. `server.py` calls these methods from its threads; one lock guards everything. What an agent must do is
derived from a job's state whenever the agent (re)connects, so neither side has to remember what it sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ppc.coordinator import jobhead, statements
from ppc.coordinator.jobs import (
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
    advances,
    clip,
    with_head,
    with_online,
)
from ppc.coordinator.mailbox import Mailbox
from ppc.coordinator.statements import Statement, Word
from ppc.coordinator.store import Store
from ppc.errors import (
    IdentityError,
    JobCancelled,
    JobFileError,
    JobNotFound,
    JobStateError,
    PeerTimeout,
    PeerUnavailable,
    PlanMismatch,
    PolicyDenied,
    PpcError,
    RemoteFailure,
    did_you_mean,
)

MAX_SKEW_S: Final = 600.0  # between a signer's clock and ours
_SECOND_HAND_S: Final = 2.0  # how long the party that is blamed may take to tell its own side
# Errors that say "somebody else failed": the party they name knows better.
_SECOND_HAND: Final = {PeerUnavailable.code, PeerTimeout.code, RemoteFailure.code, JobCancelled.code}
_IN_USE: Final = (JobState.PROPOSED, JobState.APPROVED, JobState.RUNNING)


@dataclass
class Member:
    """An agent that is connected, or was until a moment ago."""

    name: str
    hello: Hello
    outbox: Mailbox[Directive]
    seen: float
    left: bool = False


@dataclass
class _Watch:
    """Moments (monotonic) that the board keeps for one open job; lost in a restart, which starts them anew."""

    prepare_by: float | None = None
    fault: Fault | None = None  # second-hand: becomes the job's unless a better one comes in time
    fault_at: float = 0.0
    subscribers: list[Mailbox[Event]] = field(default_factory=list)


class Board:
    """All jobs, all members, and the rules between them."""

    def __init__(
        self,
        store: Store,
        ca: bytes,
        *,
        knows: Callable[[str], bool] = lambda _name: True,
        lease_s: float = 5.0,
        prepare_s: float = 120.0,
        proposal_s: float = 7 * 86400.0,
        max_open_jobs: int = 200,
    ) -> None:
        self._store = store
        self._ca = ca
        self._knows = knows
        self._lease_s, self._prepare_s, self._proposal_s = lease_s, prepare_s, proposal_s
        self._max_open_jobs = max_open_jobs
        self._lock = threading.RLock()
        self._members: dict[str, Member] = {}
        self._watches: dict[str, _Watch] = {}
        # Open jobs, the oldest first. The store has every job; these are the ones that can still move.
        self._open: dict[str, JobRecord] = {j.id: j for j in reversed(store.jobs(states=_IN_USE))}
        # After a restart every agent that works on a job has two leases to come back.
        self._recovering_until = time.monotonic() + 2 * lease_s

    # ---- what clients ask ----
    def online(self) -> list[str]:
        """The names of the connected agents."""
        with self._lock:
            return sorted(m.name for m in self._members.values() if not m.left)

    @property
    def open_jobs(self) -> int:
        """How many jobs have not ended."""
        return len(self._open)

    def catalog(self, caller: str) -> list[DatasetEntry]:
        """The datasets that `caller` may see."""
        with self._lock:
            return [e for e in self._store.catalog() if e.visible(caller)]

    def job(self, caller: str, job_id: str) -> JobRecord:
        """One job of the caller's; raises `JobNotFound` for any other."""
        with self._lock:
            return with_online(self._job(caller, job_id), self.online())

    def jobs(self, caller: str, states: Iterable[JobState] = (), limit: int = 100) -> list[JobRecord]:
        """The caller's jobs, the newest first."""
        with self._lock:
            found = self._store.jobs(party=caller, states=states, limit=max(1, min(limit, 1000)))
            return [with_online(self._open.get(j.id, j), self.online()) for j in found]

    def watch(self, caller: str, job_id: str, after: int = 0) -> Mailbox[Event]:
        """The job's events after number `after`, then whatever happens until it ends."""
        with self._lock:
            job = self._job(caller, job_id)
            box: Mailbox[Event] = Mailbox()
            for event in self._store.events(job.id, after):
                box.put(event)
            if job.state.ended:
                box.close()
            else:
                self._watch(job.id).subscribers.append(box)
            return box

    def leave(self, job_id: str, box: Mailbox[Event]) -> None:
        """A watcher goes."""
        with self._lock:
            box.close()
            watch = self._watches.get(job_id)
            if watch and box in watch.subscribers:
                watch.subscribers.remove(box)

    def submit(self, caller: str, job_toml: str, signed: Signed) -> JobRecord:
        """A new job, proposed by `caller`."""
        said = self._said(caller, signed)
        head = jobhead.read(job_toml)
        if said.word is not Word.SUBMIT or said.attempt != 1:
            raise IdentityError("the signed statement is not a submission", party=caller)
        if caller not in head.parties:
            raise PolicyDenied(f"{caller} is not a party of this job", hint="only a party of a job can submit it")
        for name in head.members:
            if not self._knows(name):
                raise JobFileError(f"party '{name}' is not known to this coordinator", where="job file")
        with self._lock:
            if self._store.load(said.job) is not None:
                raise JobStateError(f"there is already a job {said.job}")
            if len(self._open) >= self._max_open_jobs:
                raise JobStateError(
                    f"{len(self._open)} jobs are open already", hint="cancel some with `ppc cancel JOB`"
                )
            now = time.time()
            job = JobRecord(
                id=said.job,
                name=head.name,
                submitter=caller,
                job_toml=job_toml,
                job_hash=said.job_hash,
                plan_hash=said.plan_hash,
                submission=signed,
                participants={n: Participant(n, Role.HELPER if n == head.helper else Role.PARTY) for n in head.members},
                datasets=tuple(self._entry(caller, p, head.datasets[p]) for p in head.parties),
                created=now,
                updated=now,
            )
            self._open[job.id] = job
            self._commit(job, [self._state_event(job, f"proposed by {caller}")])
            self._direct_all(job)
            return with_online(job, self.online())

    def decide(self, caller: str, signed: Signed) -> JobRecord:
        """A party's word on a job: approve, deny, cancel, retry."""
        said = self._said(caller, signed)
        with self._lock:
            job = self._job(caller, said.job)
            act = {
                Word.APPROVE: self._approve,
                Word.DENY: self._deny,
                Word.CANCEL: self._cancel,
                Word.RETRY: self._retry,
            }.get(said.word)
            if act is None:
                raise IdentityError(f"a '{said.word}' is no decision", party=caller)
            attempt = job.attempt + 1 if said.word is Word.RETRY else job.attempt
            statements.require(said, word=said.word, job=job.id, attempt=attempt, job_hash=job.job_hash)
            act(job, said, signed)
            return with_online(job, self.online())

    def _approve(self, job: JobRecord, said: Statement, signed: Signed) -> None:
        participant = job.participants[said.party]
        if participant.phase is Phase.APPROVED and participant.plan_hash == said.plan_hash:
            return
        job.require(JobState.PROPOSED, action="approved")
        if participant.phase is Phase.WAITING and participant.plan_hash != said.plan_hash:
            raise PlanMismatch(
                "the plan that was approved is not the plan that the party's agent computed",
                party=said.party,
                hint="look at the plan again: ppc approve JOB",
            )
        participant.decision = signed
        self._commit(job, [self._event(job, EventKind.LOG, said.party, text="a person approved the plan")])
        self._direct(job, participant)

    def _deny(self, job: JobRecord, said: Statement, _signed: Signed) -> None:
        job.require(JobState.PROPOSED, JobState.APPROVED, action="denied")
        job.participants[said.party].phase = Phase.REFUSED
        what = f"{said.party} denied the job" + (f": {said.reason}" if said.reason else "")
        self._end(job, JobState.CANCELLED, Fault.of(PolicyDenied(what, party=said.party)))

    def _cancel(self, job: JobRecord, said: Statement, _signed: Signed) -> None:
        job.require(*_IN_USE, action="cancelled")
        what = f"{said.party} cancelled the job" + (f": {said.reason}" if said.reason else "")
        self._end(job, JobState.CANCELLED, Fault.of(JobCancelled(what, party=said.party)))

    def _retry(self, job: JobRecord, said: Statement, signed: Signed) -> None:
        job.require(JobState.FAILED, JobState.CANCELLED, action="tried again")
        if job.participants[said.party].role is not Role.PARTY:
            raise PolicyDenied("only a party of the job can ask for another attempt", party=said.party)
        entries = tuple(self._entry(said.party, e.party, e.name) for e in job.datasets)
        job.reset()
        job.retry, job.datasets, job.plan_hash = signed, entries, said.plan_hash
        self._open[job.id] = job
        self._commit(job, [self._state_event(job, f"attempt {job.attempt}, asked for by {said.party}")])
        self._direct_all(job)

    # ---- what agents say ----
    def attend(self, name: str, hello: Hello) -> Member:
        """An agent connects. Raises `JobStateError` while another agent of that name is connected."""
        with self._lock:
            now = time.monotonic()
            known = self._members.get(name)
            other = known is not None and not known.left and known.hello.instance != hello.instance
            # The stream of a dead agent ends with its process, so who was heard of just now is alive.
            if known and other and not known.outbox.closed and now - known.seen < self._lease_s:
                raise JobStateError(f"another agent of {name} is connected", hint="stop it, or use another name")
            if known:
                known.outbox.close()
            member = Member(name, hello, Mailbox(), now)
            self._members[name] = member
            if hello.role is Role.PARTY:
                self._store.publish(name, [replace(e, party=name) for e in hello.datasets])
            working = {(r.job_id, r.attempt) for r in hello.jobs}
            for job in self._of(name):
                phase = job.participants[name].phase
                lost = phase in (Phase.READY, Phase.RUNNING) and (job.id, job.attempt) not in working
                if lost and job.state is JobState.RUNNING:
                    self._fail(
                        job, Fault.of(PeerUnavailable(f"{name} was restarted in the middle of the job", party=name))
                    )
            for report in hello.jobs:
                self.report(member, report)
            for job in self._of(name):
                self._direct(job, job.participants[name])
            self._schedule()
            return member

    def heard(self, member: Member) -> None:
        """The agent gave a sign of life."""
        member.seen = time.monotonic()

    def part(self, member: Member, reason: str | None) -> None:
        """The agent's stream ended: with a `reason` it said goodbye, without one it may come back within its lease."""
        with self._lock:
            member.outbox.close()
            if self._members.get(member.name) is not member:
                return
            if reason is not None:
                member.left = True
                self._vanished(member.name, f"{member.name} was stopped")

    def report(self, member: Member, report: Report) -> None:
        """News of the agent's part in a job. Late, repeated or unfounded news changes nothing."""
        with self._lock:
            job = self._open.get(report.job_id)
            if job is None or job.attempt != report.attempt or member.name not in job.participants:
                # Whatever it still does for that attempt, nobody waits for it.
                gone = Fault.of(JobCancelled("the job has ended"))
                member.outbox.put(Directive(DirectiveKind.STOP, report.job_id, report.attempt, fault=gone))
                return
            participant = job.participants[member.name]
            if not advances(participant.phase, report.phase) or not self._plausible(job, report.phase):
                return
            try:
                self._take(job, participant, report)
            except PpcError as error:
                self._fail(job, Fault.of(error, party=member.name))

    def notice(self, member: Member, notice: Notice) -> None:
        """Progress or a log line."""
        with self._lock:
            job = self._open.get(notice.job_id)
            if job is None or job.attempt != notice.attempt or job.state is not JobState.RUNNING:
                return
            participant = job.participants.get(member.name)
            if participant is None or not 0.0 <= notice.fraction <= 1.0:
                return
            step, text = clip(notice.step), clip(notice.text)
            if notice.kind is EventKind.PROGRESS:
                participant.step, participant.fraction = step, notice.fraction
                event = Event(0, time.time(), EventKind.PROGRESS, job.attempt, member.name, step, notice.fraction, text)
                self._tell(job, [event])
            elif notice.kind is EventKind.LOG:
                self._commit(job, [self._event(job, EventKind.LOG, member.name, step=step, text=text)])

    def _take(self, job: JobRecord, participant: Participant, report: Report) -> None:
        """One participant moves on; perhaps the job does."""
        if report.phase is Phase.APPROVED:
            self._check_approval(job, participant, report)
        participant.phase = report.phase
        participant.plan_hash = report.plan_hash or participant.plan_hash
        participant.detail = clip(report.detail)
        participant.address = report.address[:300]
        participant.cost = report.cost or participant.cost
        participant.fault = report.fault
        text = with_head(participant.detail, report.audit_head)
        self._commit(job, [self._event(job, EventKind.PARTY, participant.party, phase=report.phase, text=text)])
        if report.phase is Phase.APPROVED and job.all_in(Phase.APPROVED):
            self._agree(job)
        elif report.phase is Phase.READY and job.all_in(Phase.READY):
            self._watch(job.id).prepare_by = None
            self._direct_all(job)
        elif report.phase is Phase.DONE and job.all_in(Phase.DONE):
            self._end(job, JobState.DONE, None)
        elif report.phase in (Phase.REFUSED, Phase.FAILED):
            fault = report.fault or Fault("PPC-E500", "failed without saying why")
            self._blame(job, participant.party, replace(fault, party=fault.party or participant.party))

    @staticmethod
    def _plausible(job: JobRecord, phase: Phase) -> bool:
        """Whether a participant can be in `phase` while the job is in its state."""
        if job.state is JobState.RUNNING:
            return phase in (Phase.READY, Phase.RUNNING, Phase.DONE, Phase.FAILED)
        return phase in (Phase.WAITING, Phase.APPROVED, Phase.REFUSED, Phase.FAILED)

    def _check_approval(self, job: JobRecord, participant: Participant, report: Report) -> None:
        if report.approval is None:
            raise IdentityError("an approval came without a signature", party=participant.party)
        said = self._said(participant.party, report.approval, fresh=False)
        statements.require(said, word=Word.APPROVE, job=job.id, attempt=job.attempt, job_hash=job.job_hash)
        if said.plan_hash != report.plan_hash:
            raise PlanMismatch("its approval is of another plan than it reports", party=participant.party)
        participant.approval, participant.decision = report.approval, None

    def _agree(self, job: JobRecord) -> None:
        """Everyone approved: of one and the same plan?"""
        first, *others = job.participants.values()
        for other in others:
            if other.plan_hash != first.plan_hash:
                raise PlanMismatch(
                    f"{first.party} and {other.party} computed different plans",
                    hint="do all run the same version of ppc?",
                )
        if job.plan_hash and job.plan_hash != first.plan_hash:
            raise PlanMismatch(
                f"the plan that {job.submitter} submitted is not the one that the parties computed",
                hint="a dataset's schema changed meanwhile: submit the job again",
            )
        job.plan_hash = first.plan_hash
        job.move(JobState.APPROVED)
        self._commit(job, [self._state_event(job, "every participant approved the plan")])
        self._schedule()

    def _schedule(self) -> None:
        """Starts approved jobs, the oldest first, whose participants are all connected and have a free place."""
        for job in list(self._open.values()):
            if job.state is JobState.APPROVED and all(self._has_place(n) for n in job.participants):
                job.move(JobState.RUNNING)
                self._watch(job.id).prepare_by = time.monotonic() + self._prepare_s
                self._commit(job, [self._state_event(job, "")])
                self._direct_all(job)

    def _has_place(self, name: str) -> bool:
        member = self._members.get(name)
        if member is None or member.left or member.outbox.closed:
            return False
        busy = sum(j.state is JobState.RUNNING for j in self._of(name))
        return busy < member.hello.max_jobs

    # ---- time ----
    def tick(self) -> None:
        """Looks at every clock; called about twice a second."""
        with self._lock:
            now, wall = time.monotonic(), time.time()
            for member in list(self._members.values()):
                if not member.left and now - member.seen > self._lease_s:
                    member.left = True
                    member.outbox.close()
                    self._vanished(member.name, f"{member.name} has vanished")
            for job in list(self._open.values()):
                watch = self._watch(job.id)
                if watch.fault and (now > watch.fault_at or self._gone(watch.fault.party)):
                    self._fail(job, watch.fault)
                elif job.state is JobState.RUNNING:
                    self._check_running(job, watch, now)
                elif job.state is JobState.PROPOSED and wall - job.updated > self._proposal_s:
                    late = ", ".join(p.party for p in job.participants.values() if p.phase is not Phase.APPROVED)
                    self._end(job, JobState.CANCELLED, Fault.of(JobCancelled(f"not approved in time by {late}")))

    def _check_running(self, job: JobRecord, watch: _Watch, now: float) -> None:
        if now > self._recovering_until:
            for name, participant in job.participants.items():
                if name not in self._members and participant.phase is not Phase.DONE:
                    self._fail(job, Fault.of(PeerUnavailable(f"{name} has vanished", party=name)))
                    return
        if watch.prepare_by is None and not job.all_in(Phase.READY, Phase.RUNNING, Phase.DONE):
            watch.prepare_by = now + self._prepare_s
        if watch.prepare_by is not None and now > watch.prepare_by:
            late = next((p.party for p in job.participants.values() if p.phase is Phase.APPROVED), job.submitter)
            self._fail(job, Fault.of(PeerTimeout(f"{late} did not get ready within {self._prepare_s:g} s", party=late)))

    def _gone(self, name: str | None) -> bool:
        """Whether the agent of that name certainly has nothing more to tell."""
        if name is None or name not in self._members:
            return False
        return self._members[name].left

    def _vanished(self, name: str, what: str) -> None:
        for job in self._of(name):
            participant = job.participants[name]
            if job.state is JobState.RUNNING and participant.phase is not Phase.DONE:
                fault = Fault.of(PeerUnavailable(what, party=name))
                self._fail(job, replace(fault, step=participant.step or None))

    # ---- how jobs end ----
    def _blame(self, job: JobRecord, reporter: str, fault: Fault) -> None:
        """A participant failed: the job fails with it; if it blames another, that one may first tell its own side."""
        watch = self._watch(job.id)
        second_hand = fault.code in _SECOND_HAND and (fault.party != reporter or fault.code == JobCancelled.code)
        if not second_hand or self._gone(fault.party):
            self._fail(job, fault)
        elif watch.fault is None or watch.fault.party == reporter:
            # The one that was blamed blames another: follow the chain to its end.
            watch.fault, watch.fault_at = fault, time.monotonic() + _SECOND_HAND_S

    def _fail(self, job: JobRecord, fault: Fault) -> None:
        self._end(job, JobState.FAILED, fault)

    def _end(self, job: JobRecord, state: JobState, fault: Fault | None) -> None:
        if job.state.ended:
            return
        job.move(state)
        job.fault = fault
        events = []
        if fault:
            told = self._event(job, EventKind.ERROR, fault.party or "", step=fault.step or "", text=fault.what)
            events.append(replace(told, fault=fault))
            for participant in job.participants.values():
                if participant.phase not in (Phase.DONE, Phase.FAILED, Phase.REFUSED):
                    participant.phase = Phase.STOPPED
        events.append(replace(self._state_event(job, fault.what if fault else ""), fault=fault))
        self._open.pop(job.id, None)
        self._commit(job, events)
        for name in job.participants:
            member = self._members.get(name)
            if member:
                member.outbox.put(Directive(DirectiveKind.STOP, job.id, job.attempt, fault=fault))
        watch = self._watches.pop(job.id, None)
        for box in watch.subscribers if watch else ():
            box.close()
        self._schedule()

    # ---- what agents must do ----
    def _direct_all(self, job: JobRecord) -> None:
        for participant in job.participants.values():
            self._direct(job, participant)

    def _direct(self, job: JobRecord, participant: Participant) -> None:
        """Tells one agent what follows from the state of the job; nothing if it is not connected."""
        member = self._members.get(participant.party)
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

    # ---- small things ----
    def _said(self, caller: str, signed: Signed, *, fresh: bool = True) -> Statement:
        said = statements.verify(signed, self._ca)
        if said.party != caller:
            raise IdentityError(f"{caller} sent a statement of {said.party}")
        if fresh and abs(time.time() - said.time) > MAX_SKEW_S:
            raise IdentityError(
                "the signed statement is not of now", party=caller, hint="is the clock of that computer right?"
            )
        return said

    def _entry(self, caller: str, party: str, dataset: str) -> DatasetEntry:
        entries = [e for e in self._store.catalog() if e.party == party and e.visible(caller)]
        for entry in entries:
            if entry.name == dataset:
                return entry
        hint = did_you_mean(dataset, [e.name for e in entries]) or f"{party} has not published any dataset to {caller}"
        raise JobFileError(f"{party} has no dataset '{dataset}'", where="job file, key 'datasets'", hint=hint)

    def _job(self, caller: str, job_id: str) -> JobRecord:
        job = self._open.get(job_id) or self._store.load(job_id)
        if job is None or caller not in job.participants:
            raise JobNotFound(
                f"there is no job '{clip(job_id)}' that {caller} takes part in", hint="ppc jobs lists them"
            )
        return job

    def _of(self, name: str) -> list[JobRecord]:
        return [j for j in self._open.values() if name in j.participants]

    def _watch(self, job_id: str) -> _Watch:
        return self._watches.setdefault(job_id, _Watch())

    def _event(
        self,
        job: JobRecord,
        kind: EventKind,
        party: str = "",
        *,
        step: str = "",
        text: str = "",
        phase: Phase | None = None,
    ) -> Event:
        job.events += 1
        return Event(job.events, time.time(), kind, job.attempt, party, step, 0.0, text, phase=phase)

    def _state_event(self, job: JobRecord, text: str) -> Event:
        return replace(self._event(job, EventKind.STATE, text=text), state=job.state)

    def _commit(self, job: JobRecord, events: Sequence[Event]) -> None:
        job.updated = time.time()
        self._store.save(job, events)
        self._tell(job, events)

    def _tell(self, job: JobRecord, events: Iterable[Event]) -> None:
        for event in events:
            for box in self._watch(job.id).subscribers:
                box.put(event, droppable=event.kind is EventKind.PROGRESS)

    def stop(self) -> None:
        """Lets every listener go. Jobs stay as they are in the store."""
        with self._lock:
            for member in self._members.values():
                member.outbox.close()
            for watch in self._watches.values():
                for box in watch.subscribers:
                    box.close()

"""The coordinator's ear: it takes what clients and agents say, checks it, and moves jobs accordingly.

No network here. `server.py` calls these methods from its threads; one lock guards everything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from ppc.coordinator import jobhead, statements
from ppc.coordinator.chronicle import OPEN, Chronicle
from ppc.coordinator.floor import Floor, Member
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
    JobStateError,
    PeerUnavailable,
    PlanMismatch,
    PolicyDenied,
    PpcError,
    did_you_mean,
)

MAX_SKEW_S: Final = 600.0  # between a signer's clock and ours


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
        self._max_open_jobs = max_open_jobs
        self._lock = threading.RLock()
        self._jobs = Chronicle(store)
        self._floor = Floor(self._jobs, lease_s=lease_s, prepare_s=prepare_s, proposal_s=proposal_s)

    # ---- what clients ask ----
    def online(self) -> list[str]:
        """The names of the connected agents."""
        with self._lock:
            return sorted(m.name for m in self._floor.members.values() if not m.left)

    @property
    def open_jobs(self) -> int:
        """How many jobs have not ended."""
        return len(self._jobs.open)

    def catalog(self, caller: str) -> list[DatasetEntry]:
        """The datasets that `caller` may see."""
        with self._lock:
            return [e for e in self._store.catalog() if e.visible(caller)]

    def job(self, caller: str, job_id: str) -> JobRecord:
        """One job of the caller's; raises `JobNotFound` for any other."""
        with self._lock:
            return with_online(self._jobs.find(caller, job_id), self.online())

    def jobs(self, caller: str, states: Iterable[JobState] = (), limit: int = 100) -> list[JobRecord]:
        """The caller's jobs, the newest first."""
        with self._lock:
            found = self._store.jobs(party=caller, states=states, limit=max(1, min(limit, 1000)))
            return [with_online(self._jobs.open.get(j.id, j), self.online()) for j in found]

    def watch(self, caller: str, job_id: str, after: int = 0) -> Mailbox[Event]:
        """The job's events after number `after`, then whatever happens until it ends."""
        with self._lock:
            return self._jobs.subscribe(self._jobs.find(caller, job_id), after)

    def leave(self, job_id: str, box: Mailbox[Event]) -> None:
        """A watcher goes."""
        with self._lock:
            self._jobs.unsubscribe(job_id, box)

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
                raise JobFileError(
                    f"party '{name}' is not known to this coordinator",
                    where="job file",
                    hint="is the name as in its certificate? The coordinator's operator keeps the roster.",
                )
        with self._lock:
            if self._store.load(said.job) is not None:
                raise JobStateError(f"there is already a job {said.job}")
            if len(self._jobs.open) >= self._max_open_jobs:
                raise JobStateError(
                    f"{len(self._jobs.open)} jobs are open already", hint="cancel some with `ppc cancel JOB`"
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
            self._jobs.open[job.id] = job
            self._jobs.commit(job, [self._jobs.state_event(job, f"proposed by {caller}")])
            self._floor.direct_all(job)
            return with_online(job, self.online())

    def decide(self, caller: str, signed: Signed) -> JobRecord:
        """A party's word on a job: approve, deny, cancel, retry."""
        said = self._said(caller, signed)
        with self._lock:
            job = self._jobs.find(caller, said.job)
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
        self._jobs.commit(job, [self._jobs.event(job, EventKind.LOG, said.party, text="a person approved the plan")])
        self._floor.direct(job, participant)

    def _deny(self, job: JobRecord, said: Statement, _signed: Signed) -> None:
        job.require(JobState.PROPOSED, JobState.APPROVED, action="denied")
        job.participants[said.party].phase = Phase.REFUSED
        what = f"{said.party} denied the job" + (f": {said.reason}" if said.reason else "")
        self._floor.end(job, JobState.CANCELLED, Fault.of(PolicyDenied(what, party=said.party)))

    def _cancel(self, job: JobRecord, said: Statement, _signed: Signed) -> None:
        job.require(*OPEN, action="cancelled")
        what = f"{said.party} cancelled the job" + (f": {said.reason}" if said.reason else "")
        self._floor.end(job, JobState.CANCELLED, Fault.of(JobCancelled(what, party=said.party)))

    def _retry(self, job: JobRecord, said: Statement, signed: Signed) -> None:
        job.require(JobState.FAILED, JobState.CANCELLED, action="tried again")
        if job.participants[said.party].role is not Role.PARTY:
            raise PolicyDenied("only a party of the job can ask for another attempt", party=said.party)
        entries = tuple(self._entry(said.party, e.party, e.name) for e in job.datasets)
        job.reset()
        job.retry, job.datasets, job.plan_hash = signed, entries, said.plan_hash
        self._jobs.open[job.id] = job
        self._jobs.commit(job, [self._jobs.state_event(job, f"attempt {job.attempt}, asked for by {said.party}")])
        self._floor.direct_all(job)

    # ---- what agents say ----
    def attend(self, name: str, hello: Hello) -> Member:
        """An agent connects. Raises `JobStateError` while another agent of that name is connected."""
        with self._lock:
            now = time.monotonic()
            known = self._floor.members.get(name)
            other = known is not None and not known.left and known.hello.instance != hello.instance
            # The stream of a dead agent ends with its process, so who was heard of just now is alive.
            if known and other and not known.outbox.closed and now - known.seen < self._floor.lease_s:
                raise JobStateError(f"another agent of {name} is connected", hint="stop it, or use another name")
            if known:
                known.outbox.close()
            member = Member(name, hello, Mailbox(), now)
            self._floor.members[name] = member
            if hello.role is Role.PARTY:
                self._store.publish(name, [replace(e, party=name) for e in hello.datasets])
            working = {(r.job_id, r.attempt) for r in hello.jobs}
            for job in self._jobs.of(name):
                phase = job.participants[name].phase
                lost = phase in (Phase.READY, Phase.RUNNING) and (job.id, job.attempt) not in working
                if lost and job.state is JobState.RUNNING:
                    what = f"{name} was restarted in the middle of the job"
                    self._floor.lose(job, name, Fault.of(PeerUnavailable(what, party=name)))
            for report in hello.jobs:
                self.report(member, report)
            for job in self._jobs.of(name):
                self._floor.direct(job, job.participants[name])
            self._floor.schedule()
            return member

    def heard(self, member: Member) -> None:
        """The agent gave a sign of life."""
        member.seen = time.monotonic()

    def part(self, member: Member, reason: str | None) -> None:
        """The agent's stream ended: with a `reason` it said goodbye, without one it may come back within its lease."""
        with self._lock:
            member.outbox.close()
            if self._floor.members.get(member.name) is not member:
                return
            if reason is not None:
                member.left = True
                self._floor.vanished(member.name, f"{member.name} was stopped")

    def report(self, member: Member, report: Report) -> None:
        """News of the agent's part in a job. Late, repeated or unfounded news changes nothing."""
        with self._lock:
            job = self._jobs.open.get(report.job_id)
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
                self._floor.fail(job, Fault.of(error, party=member.name))

    def notice(self, member: Member, notice: Notice) -> None:
        """Progress or a log line."""
        with self._lock:
            job = self._jobs.open.get(notice.job_id)
            if job is None or job.attempt != notice.attempt or job.state is not JobState.RUNNING:
                return
            participant = job.participants.get(member.name)
            if participant is None or not 0.0 <= notice.fraction <= 1.0:
                return
            step, text = clip(notice.step), clip(notice.text)
            if notice.kind is EventKind.PROGRESS:
                participant.step, participant.fraction = step, notice.fraction
                event = Event(0, time.time(), EventKind.PROGRESS, job.attempt, member.name, step, notice.fraction, text)
                self._jobs.tell(job, [event])
            elif notice.kind is EventKind.LOG:
                self._jobs.commit(job, [self._jobs.event(job, EventKind.LOG, member.name, step=step, text=text)])

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
        self._jobs.commit(
            job, [self._jobs.event(job, EventKind.PARTY, participant.party, phase=report.phase, text=text)]
        )
        if report.phase is Phase.APPROVED and job.all_in(Phase.APPROVED):
            self._agree(job)
        elif report.phase is Phase.READY and job.all_in(Phase.READY):
            self._floor.clock(job).prepare_by = None
            self._floor.direct_all(job)
        elif report.phase is Phase.DONE:
            self._floor.end_if_done(job)
        elif report.phase in (Phase.REFUSED, Phase.FAILED):
            fault = report.fault or Fault("PPC-E500", "failed without saying why")
            self._floor.blame(job, participant.party, replace(fault, party=fault.party or participant.party))

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
        self._jobs.commit(job, [self._jobs.state_event(job, "every participant approved the plan")])
        self._floor.schedule()

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

    def tick(self) -> None:
        """Looks at every clock; called a few times a second."""
        with self._lock:
            self._floor.tick()

    def stop(self) -> None:
        """Lets every listener go. Jobs stay as they are in the store."""
        with self._lock:
            for member in self._floor.members.values():
                member.outbox.close()
            self._jobs.close()

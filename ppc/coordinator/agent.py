"""The long-running process of one party (`ppc party`) or of a helper (`ppc helper`).

It connects out to the coordinator, decides by its own policy whether a plan may run, and runs each job in a child
process. It believes nothing that it can check: who proposed a job, what the plan is, and that every participant
approved that plan.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from ppc.coordinator import statements
from ppc.coordinator.audit import AuditLog
from ppc.coordinator.borders import check_countries, summary
from ppc.coordinator.desk import Desk
from ppc.coordinator.jobs import (
    Cost,
    Directive,
    DirectiveKind,
    EventKind,
    Fault,
    Hello,
    Notice,
    Phase,
    Report,
    Signed,
    check_job_id,
    clip,
)
from ppc.coordinator.link import Link
from ppc.coordinator.planning import Planned
from ppc.coordinator.redact import fault_of
from ppc.coordinator.runner import Message, Runner
from ppc.coordinator.statements import Statement, Word
from ppc.errors import (
    IdentityError,
    InternalError,
    JobCancelled,
    PeerUnavailable,
    PlanMismatch,
    PolicyDenied,
    PpcError,
)

log = logging.getLogger("ppc.agent")

_TICK_S: Final = 0.2
_ACTIVE: Final = (Phase.READY, Phase.RUNNING)


@dataclass
class Work:
    """One job that this agent deals with: what it last reported, and the child that runs it."""

    report: Report
    submitter: str = ""
    planned: Planned | None = None
    runner: Runner | None = None
    outcome: Message | None = None
    logged_step: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """The attempt."""
        return self.report.job_id, self.report.attempt


class Agent:
    """Runs in one thread (`run`); what comes from the coordinator and from children is queued for it."""

    def __init__(self, desk: Desk, *, on_ready: Callable[[], None] = lambda: None) -> None:
        self._desk = desk
        self._me = desk.me
        self._audit = AuditLog(desk.workdir / "audit.jsonl")
        self._on_ready = on_ready
        self._inbox: queue.Queue[Callable[[], None]] = queue.Queue()
        self._lock = threading.RLock()
        self._works: dict[str, Work] = {}
        self._stopping = threading.Event()
        self._said_problem = ""
        self._link = Link(
            desk.identity,
            desk.coordinator.address,
            desk.coordinator.name,
            hello=self._hello,
            on_directive=lambda d: self._inbox.put(lambda: self._obey(d)),
            on_change=lambda up, problem: self._inbox.put(lambda: self._changed(up, problem)),
        )

    def stop(self) -> None:
        """Ends `run`; safe from a signal handler or another thread."""
        self._stopping.set()
        self._inbox.put(lambda: None)

    def run(self) -> None:
        """Serves until `stop`. Raises what makes it impossible: a dataset that cannot be read, a certificate that the
        coordinator does not accept."""
        self._desk.open()
        self._audit.write("started", role=str(self._desk.role), datasets=self._desk.datasets())
        self._link.start()
        try:
            while not self._stopping.is_set():
                try:
                    act = self._inbox.get(timeout=_TICK_S)
                except queue.Empty:
                    act = None
                with self._lock:
                    if act is not None:
                        act()
                    self._tick()
                if self._link.fatal is not None:
                    raise self._link.fatal
        finally:
            self._shut()

    def _shut(self) -> None:
        with self._lock:
            runners = [w.runner for w in self._works.values() if w.runner]
            for runner in runners:
                runner.kill()
        self._link.stop("stopped")
        for runner in runners:
            runner.wait(5.0)
        self._audit.write("stopped")
        self._desk.close()

    # ---- the connection ----
    def _hello(self) -> Hello:
        with self._lock:
            return Hello(
                role=self._desk.role,
                version=self._desk.version,
                instance=self._desk.instance,
                datasets=self._desk.entries(),
                jobs=tuple(w.report for w in self._works.values()),
                max_jobs=self._desk.max_jobs,
            )

    def _changed(self, up: bool, problem: PpcError | None) -> None:
        if up:
            self._said_problem = ""
            log.info("connected to %s at %s", self._desk.coordinator.name, self._desk.coordinator.address)
            self._on_ready()
        elif problem is not None and str(problem) != self._said_problem:
            self._said_problem = str(problem)
            log.warning("%s; trying again", problem)

    def _tick(self) -> None:
        orphaned = not self._link.connected and time.monotonic() - self._link.lost_at > self._desk.orphan_s
        for work in self._works.values():
            if work.runner is None:
                continue
            work.runner.tick()
            if orphaned and work.outcome is None:
                name = self._desk.coordinator.name
                lost = PeerUnavailable(f"{self._me} lost the coordinator, so nobody could cancel the job", party=name)
                work.outcome = {"event": "failed", "fault": Fault.of(lost).to_dict()}
                work.runner.cancel()

    # ---- what the coordinator asks ----
    def _obey(self, directive: Directive) -> None:
        try:
            check_job_id(directive.job_id)
        except PpcError:
            log.warning("the coordinator named a job that cannot be one")
            return
        act = {
            DirectiveKind.CONSIDER: self._consider,
            DirectiveKind.PREPARE: self._prepare,
            DirectiveKind.START: self._start,
            DirectiveKind.STOP: self._stop_job,
        }[directive.kind]
        try:
            act(directive)
        except Exception as error:
            if not isinstance(error, PpcError):
                log.exception("job %s", directive.job_id)
            self._give_up(directive, error)

    def _consider(self, d: Directive) -> None:
        work = self._works.get(d.job_id)
        if work is not None and work.report.attempt == d.attempt and work.report.phase is not Phase.WAITING:
            self._say(work.report)
            return
        planned, said = self._understand(d)
        known = work is not None and work.report.attempt == d.attempt
        work = self._begin(Work(Report(d.job_id, d.attempt, Phase.PENDING, planned.plan.hash), said.party, planned))
        if not known:
            abroad = sorted({f"{f.to} in {f.country}" for f in self._desk.flows(planned)})
            self._note("asked", work, submitter=said.party, job_name=planned.job.name, parties=list(planned.members),
                       abroad=abroad)  # fmt: skip
        verdict = self._desk.judge(planned, said.party)
        if verdict.forbidden:
            self._note("forbidden", work, reasons=list(verdict.reasons))
            raise PolicyDenied(f"the policy of {self._me} does not allow this job", party=self._me)
        if d.decision is not None:
            self._check_decision(d, planned)
            self._note("approved by a person", work)
            self._report(work, Phase.APPROVED, approval=d.decision)
        elif verdict.allowed:
            self._note("approved by rule", work, rule=verdict.rule)
            self._report(work, Phase.APPROVED, approval=self._sign(Word.APPROVE, d, planned))
        elif self._desk.denies:
            self._note("denied", work, reasons=list(verdict.reasons))
            raise PolicyDenied(f"the policy of {self._me} does not allow this job", party=self._me)
        else:
            self._note("waiting for a person", work, reasons=list(verdict.reasons))
            log.info("job %s waits: ppc approve %s (%s)", d.job_id, d.job_id, "; ".join(verdict.reasons))
            self._report(work, Phase.WAITING, detail=f"waits for a person at {self._me}")

    def _prepare(self, d: Directive) -> None:
        work = self._works.get(d.job_id)
        if work is not None and work.key == (d.job_id, d.attempt) and work.runner is not None:
            self._say(work.report)
            return
        planned, said = self._understand(d)
        self._check_approvals(d, planned)
        signers = [(statements.verify(s, self._desk.ca).party, s) for s in d.approvals]
        check_countries(signers, self._desk.borders)
        if self._desk.judge(planned, said.party).forbidden:
            raise PolicyDenied(f"the policy of {self._me} does not allow this job", party=self._me)
        self._desk.claim(d.job_id, d.attempt)
        work = self._begin(Work(Report(d.job_id, d.attempt, Phase.APPROVED, planned.plan.hash), said.party, planned))
        self._note("preparing", work, approvals=list(planned.members))

        def on_message(message: Message) -> None:
            self._inbox.put(lambda: self._heard(work, message))

        task = self._desk.task(d.job_id, d.attempt, planned, d.job_toml)
        work.runner = Runner(task, self._desk.folder(d.job_id) / "worker.log", on_message)

    def _start(self, d: Directive) -> None:
        work = self._works.get(d.job_id)
        if work is None or work.runner is None or work.key != (d.job_id, d.attempt):
            return
        if work.report.phase is Phase.READY:
            self._note("running", work)
            self._note_transfers(work)
            self._report(work, Phase.RUNNING)
            work.runner.send({"do": "start", "addresses": dict(d.addresses)})

    def _stop_job(self, d: Directive) -> None:
        work = self._works.get(d.job_id)
        if work is None or work.report.attempt != d.attempt:
            return
        fault = d.fault
        if fault is not None and work.report.phase not in (Phase.DONE, Phase.FAILED, Phase.REFUSED):
            self._note("ended", work, code=fault.code, what=fault.what, party=fault.party, step=fault.step)
            log.info("job %s ended: %s", d.job_id, fault.to_error())
        if work.runner is not None and work.outcome is None:
            stopped = fault or Fault.of(JobCancelled("the job has ended"))
            work.outcome = {"event": "stopped", "fault": stopped.to_dict()}
            work.runner.cancel()
        if work.runner is None:
            self._works.pop(d.job_id, None)

    # ---- what children say ----
    def _heard(self, work: Work, message: Message) -> None:
        kind = message.get("event")
        if kind == "ready":
            if work.report.phase is Phase.APPROVED and work.outcome is None:
                address = self._desk.advertise(str(message["host"]), int(message["port"]))
                self._report(work, Phase.READY, address=address)
        elif kind == "progress":
            step, fraction = str(message["step"]), float(message["fraction"])
            if step != work.logged_step:
                work.logged_step = step
                log.info("job %s: step %s", work.report.job_id, step)
            text = clip(str(message["text"]))
            self._link.say(Notice(*work.key, EventKind.PROGRESS, clip(step), fraction, text))
        elif kind == "log":
            text = clip(str(message["text"]))
            log.info("job %s: %s", work.report.job_id, text)
            self._link.say(Notice(*work.key, EventKind.LOG, work.logged_step, 0.0, text))
        elif kind in ("done", "failed"):
            if kind == "failed" and "own" in message:
                log.warning("job %s failed: %s", work.report.job_id, PpcError.from_dict(message["own"]))
            work.outcome = work.outcome or message
        elif kind == "exit":
            self._settle(work, message)

    def _settle(self, work: Work, exit_message: Message) -> None:
        """The child has ended: say how."""
        work.runner = None
        outcome = work.outcome
        if outcome is None:
            code = int(exit_message.get("code", 0))
            how = f"was killed (signal {-code})" if code < 0 else f"ended by itself (status {code})"
            what = f"the process of the job at {self._me} {how}"
            killed = InternalError(what, hint=f"the log of {self._me} has the details", party=self._me)
            outcome = {"event": "failed", "fault": Fault.of(killed, step=work.logged_step or None).to_dict()}
        if outcome["event"] == "done":
            cost = Cost(**outcome["cost"])
            refused = [clip(str(r)) for r in outcome.get("refused", [])][:100]
            self._note("done", work, seconds=cost.seconds, bytes_sent=cost.bytes_sent, refused=refused)
            log.info("job %s is done; results in %s", work.report.job_id, self._desk.folder(work.report.job_id))
            self._report(work, Phase.DONE, cost=cost)
        elif outcome["event"] == "stopped":
            if self._works.get(work.report.job_id) is work:
                del self._works[work.report.job_id]
        else:
            self._fail(work, Phase.FAILED, Fault.from_dict(outcome["fault"]))

    # ---- checks ----
    def _understand(self, d: Directive) -> tuple[Planned, Statement]:
        """The plan as we compute it, and the proposal; raises unless both hold together and concern us."""
        if d.submission is None:
            raise IdentityError("the proposal carries no signature")
        said = statements.verify(d.submission, self._desk.ca)
        word = Word.SUBMIT if d.attempt == 1 else Word.RETRY
        planned = self._desk.plan(d.job_toml, d.datasets)
        statements.require(said, word=word, job=d.job_id, attempt=d.attempt, job_hash=planned.job.hash)
        if self._me not in planned.members:
            raise PlanMismatch(f"{self._me} takes no part in this job", where="job file", party=self._me)
        if said.party not in planned.job.parties:
            raise PlanMismatch(f"{said.party} proposed a job that it is not a party of", party=said.party)
        if said.plan_hash and said.plan_hash != planned.plan.hash:
            raise PlanMismatch(
                f"the plan that {said.party} proposed is not the one that the agent of {self._me} computes",
                where=f"job {d.job_id}",
                hint="do all run the same version of ppc, with the same datasets? After an update restart the agents",
                party=self._me,
            )
        return planned, said

    def _check_decision(self, d: Directive, planned: Planned) -> None:
        """The person approved as this party, and saw the plan that we computed."""
        if d.decision is None:
            return
        said = statements.verify(d.decision, self._desk.ca)
        statements.require(said, word=Word.APPROVE, job=d.job_id, attempt=d.attempt, job_hash=planned.job.hash)
        if said.party != self._me:
            raise IdentityError(f"an approval of {said.party} was given for {self._me}")
        if said.plan_hash != planned.plan.hash:
            raise PlanMismatch(
                "the plan that the person approved is not the one that the agent computed", party=self._me
            )

    def _check_approvals(self, d: Directive, planned: Planned) -> None:
        """Every participant signed its approval of this very plan."""
        by: dict[str, Statement] = {}
        for signed in d.approvals:
            said = statements.verify(signed, self._desk.ca)
            by[said.party] = said
        for name in planned.members:
            if name not in by:
                raise PlanMismatch(f"there is no approval of {name}", where=f"job {d.job_id}", party=name)
            statements.require(by[name], word=Word.APPROVE, job=d.job_id, attempt=d.attempt, job_hash=planned.job.hash)
            if by[name].plan_hash != planned.plan.hash:
                raise PlanMismatch(f"{name} approved another plan", where=f"job {d.job_id}", party=name)

    # ---- reports ----
    def _begin(self, work: Work) -> Work:
        """Takes the place of what was known of the job; a child of an earlier attempt ends at once."""
        old = self._works.get(work.report.job_id)
        if old is not None and old.runner is not None:
            old.outcome = {"event": "stopped"}
            old.runner.kill()
        self._works[work.report.job_id] = work
        return work

    def _sign(self, word: Word, d: Directive, planned: Planned) -> Signed:
        said = Statement(word, self._me, d.job_id, d.attempt, planned.job.hash, planned.plan.hash)
        return statements.sign(said, self._desk.identity)

    def _note(self, event: str, work: Work, **detail: Any) -> None:
        self._audit.write(event, work.report.job_id, attempt=work.report.attempt, plan=work.report.plan_hash, **detail)

    def _note_transfers(self, work: Work) -> None:
        """From here on data may cross a border: to whom, what, at which risk, on which ground."""
        borders = self._desk.borders
        if work.planned is not None and borders is not None:
            for part in summary(self._desk.flows(work.planned), borders.basis):
                self._note("transfer", work, submitter=work.submitter, **part)

    def _report(self, work: Work, phase: Phase, **parts: Any) -> None:
        work.report = replace(work.report, phase=phase, audit_head=self._audit.head, **parts)
        self._say(work.report)

    def _say(self, report: Report) -> None:
        self._link.say(report)

    def _fail(self, work: Work, phase: Phase, fault: Fault) -> None:
        self._note(str(phase), work, code=fault.code, what=fault.what, where=fault.where, step=fault.step)
        self._report(work, phase, fault=fault)

    def _give_up(self, d: Directive, error: Exception) -> None:
        """A directive could not be obeyed: the job fails, and everyone is told why."""
        log.warning("job %s: %s", d.job_id, error)
        work = self._works.get(d.job_id)
        if work is None or work.report.attempt != d.attempt:
            work = self._begin(Work(Report(d.job_id, d.attempt, Phase.PENDING)))
        phase = Phase.REFUSED if d.kind is DirectiveKind.CONSIDER else Phase.FAILED
        self._fail(work, phase, fault_of(error, party=self._me))

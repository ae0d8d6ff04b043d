"""What an agent does with what the coordinator tells it, true or false. The desk and the link only pretend."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ppc.coordinator import agent as agent_module
from ppc.coordinator import audit, statements
from ppc.coordinator.agent import Agent
from ppc.coordinator.borders import Borders, Flow
from ppc.coordinator.config import CoordinatorAddress
from ppc.coordinator.desk import Desk
from ppc.coordinator.jobs import Directive, DirectiveKind, Fault, Phase, Report, Role
from ppc.coordinator.planning import Planned
from ppc.coordinator.policy import Verdict
from ppc.coordinator.statements import Statement, Word
from ppc.errors import ColumnError, FileError, IdentityError, JobStateError, PlanMismatch, PolicyDenied

TEXT = "the job"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class PretendedDesk(Desk):
    """bank-a's desk, without data: a plan is the hash of the job's text."""

    role = Role.PARTY
    max_jobs = 1
    denies = False

    def __init__(self, folder: Path, keys: Any, ca: bytes) -> None:
        self.me, self.identity, self.ca, self.workdir = "bank-a", keys["bank-a"], ca, folder
        self.coordinator = CoordinatorAddress(address="127.0.0.1:1")
        self.orphan_s, self.version, self.instance, self._lock_file = 60.0, "0", "i", None
        self.verdict = Verdict(True, rule="everything")
        self.config = SimpleNamespace(data_plane=SimpleNamespace(advertise=None))  # type: ignore[assignment]

    def plan(self, job_toml: str, entries: Any) -> Planned:
        if "column" in job_toml:
            raise ColumnError("there is no column 'x'", where="/private/job.toml")
        job = SimpleNamespace(parties=("bank-a", "bank-b"), helper="helper", hash=digest(job_toml), name="n")
        return Planned(job, SimpleNamespace(hash=digest("plan " + job_toml)))  # type: ignore[arg-type]

    def judge(self, planned: Planned, submitter: str) -> Verdict:
        return self.verdict

    def task(self, *_: Any) -> dict[str, Any]:
        return {"task": "pretend"}


class PretendedRunner:
    """A child that does nothing but remember."""

    last: PretendedRunner

    def __init__(self, task: Any, log: Path, on_message: Callable[[Any], None]) -> None:
        self.sent: list[Any] = []
        self.on_message = on_message
        self.cancelled = self.killed = False
        PretendedRunner.last = self

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def cancel(self) -> None:
        self.cancelled = True

    def kill(self) -> None:
        self.killed = True

    def tick(self) -> None: ...


class Bench:
    """An agent, what it said, and ways to tell it things."""

    def __init__(self, folder: Path, keys: Any, ca: bytes) -> None:
        self.keys = keys
        self.desk = PretendedDesk(folder, keys, ca)
        self.agent = Agent(self.desk)
        self.said: list[Any] = []
        self.agent._link.say = self.said.append  # type: ignore[method-assign]

    def signed(self, word: Word, party: str, /, **change: Any) -> Any:
        said = Statement(word, party, "probe-1", 1, digest(TEXT), digest("plan " + TEXT))
        return statements.sign(replace(said, **change), self.keys[party])

    def tell(self, kind: DirectiveKind, **parts: Any) -> Report:
        """A directive; returns the agent's last report."""
        full = {"job_toml": TEXT, "submission": self.signed(Word.SUBMIT, "bank-b"), **parts}
        self.agent._obey(Directive(kind, full.pop("job_id", "probe-1"), full.pop("attempt", 1), **full))
        self.drain()
        return self.last

    def approvals(self, **change: Any) -> tuple[Any, ...]:
        """Everyone's; `bank_b=…` replaces what that party signed."""
        return tuple(
            self.signed(Word.APPROVE, name, **change.get(name.replace("-", "_"), {}))
            for name in ("bank-a", "bank-b", "helper")
        )

    def child(self, **message: Any) -> None:
        """The child says something."""
        PretendedRunner.last.on_message(message)
        self.drain()

    def drain(self) -> None:
        while not self.agent._inbox.empty():
            self.agent._inbox.get()()

    @property
    def last(self) -> Report:
        return next(s for s in reversed(self.said) if isinstance(s, Report))

    def audited(self) -> list[str]:
        return [r.event for r in audit.verify(self.desk.workdir / "audit.jsonl")]


@pytest.fixture
def bench(tmp_path: Path, keys: Any, ca: bytes, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An agent of bank-a whose children pretend."""
    monkeypatch.setattr(agent_module, "Runner", PretendedRunner)
    return Bench(tmp_path / "work", keys, ca)


# ---- considering ----
def test_what_a_rule_allows_is_approved_and_signed(bench: Bench, ca: bytes) -> None:
    report = bench.tell(DirectiveKind.CONSIDER)
    assert report.phase is Phase.APPROVED
    assert report.approval is not None
    said = statements.verify(report.approval, ca)
    assert (said.word, said.party, said.plan_hash) == (Word.APPROVE, "bank-a", digest("plan " + TEXT))
    assert bench.audited() == ["asked", "approved by rule"]


def test_what_no_rule_allows_waits_and_keeps_its_reasons_at_home(bench: Bench) -> None:
    bench.desk.verdict = Verdict(False, reasons=("rule 'r' does not cover column 'income'",))
    report = bench.tell(DirectiveKind.CONSIDER)
    assert report.phase is Phase.WAITING
    assert "income" not in str(report)
    (record,) = [r for r in audit.verify(bench.desk.workdir / "audit.jsonl") if r.event == "waiting for a person"]
    assert record.detail["reasons"] == ["rule 'r' does not cover column 'income'"]


def test_otherwise_deny_and_forbidden_refuse(bench: Bench) -> None:
    bench.desk.denies = True
    bench.desk.verdict = Verdict(False, reasons=("secret reasons",))
    report = bench.tell(DirectiveKind.CONSIDER)
    assert report.phase is Phase.REFUSED
    assert report.fault is not None
    assert report.fault.code == PolicyDenied.code
    assert "secret" not in str(report)


def test_a_person_s_approval_counts_if_it_is_of_this_plan_and_this_party(bench: Bench) -> None:
    bench.desk.verdict = Verdict(False)
    assert bench.tell(DirectiveKind.CONSIDER).phase is Phase.WAITING
    decision = bench.signed(Word.APPROVE, "bank-a")
    report = bench.tell(DirectiveKind.CONSIDER, decision=decision)
    assert report.phase is Phase.APPROVED
    assert report.approval == decision


@pytest.mark.parametrize(
    ("party", "change", "code"),
    [
        ("bank-a", {"plan_hash": "another"}, PlanMismatch.code),
        ("bank-a", {"job": "probe-2"}, PlanMismatch.code),
        ("bank-a", {"attempt": 2}, PlanMismatch.code),
        ("bank-a", {"word": Word.CANCEL}, PlanMismatch.code),
        ("bank-b", {}, IdentityError.code),
    ],
)
def test_the_coordinator_cannot_make_up_a_person_s_approval(
    bench: Bench, party: str, change: dict[str, Any], code: str
) -> None:
    bench.desk.verdict = Verdict(False)
    decision = bench.signed(Word.APPROVE, party, **change)
    report = bench.tell(DirectiveKind.CONSIDER, decision=decision)
    assert report.phase is Phase.REFUSED
    assert report.fault is not None
    assert report.fault.code == code


def test_not_even_a_person_lets_what_is_forbidden_run(bench: Bench) -> None:
    bench.desk.verdict = Verdict(False, forbidden=True)
    report = bench.tell(DirectiveKind.CONSIDER, decision=bench.signed(Word.APPROVE, "bank-a"))
    assert report.phase is Phase.REFUSED


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"job_toml": "another job"}, PlanMismatch.code),
        ({"job_id": "probe-2"}, PlanMismatch.code),
        ({"submission": None}, IdentityError.code),
    ],
)
def test_two_parties_with_different_job_files_do_not_run(bench: Bench, change: dict[str, Any], code: str) -> None:
    report = bench.tell(DirectiveKind.CONSIDER, **change)
    assert report.phase is Phase.REFUSED
    assert report.fault is not None
    assert (report.fault.code, report.fault.party) == (code, report.fault.party)


def test_a_proposal_by_someone_who_is_no_party_is_refused(bench: Bench) -> None:
    report = bench.tell(DirectiveKind.CONSIDER, submission=bench.signed(Word.SUBMIT, "stranger"))
    assert report.phase is Phase.REFUSED
    assert report.fault is not None
    assert report.fault.party == "stranger"


def test_a_plan_that_differs_from_the_submitter_s_is_refused(bench: Bench) -> None:
    report = bench.tell(DirectiveKind.CONSIDER, submission=bench.signed(Word.SUBMIT, "bank-b", plan_hash="other"))
    assert report.phase is Phase.REFUSED
    assert report.fault is not None
    assert report.fault.code == PlanMismatch.code


def test_a_job_that_cannot_be_planned_is_refused_without_its_paths(bench: Bench) -> None:
    text = "column"
    submission = bench.signed(Word.SUBMIT, "bank-b", job_hash=digest(text))
    report = bench.tell(DirectiveKind.CONSIDER, job_toml=text, submission=submission)
    assert report.fault is not None
    assert (report.fault.what, report.fault.where) == ("there is no column 'x'", "job.toml")


def test_a_job_id_that_is_a_path_is_not_touched(bench: Bench) -> None:
    bench.agent._obey(Directive(DirectiveKind.CONSIDER, "../../etc", 1))
    assert bench.said == []


# ---- preparing ----
def test_everyone_s_approval_starts_a_child_that_gets_ready_and_runs(bench: Bench) -> None:
    bench.tell(DirectiveKind.CONSIDER)
    assert bench.tell(DirectiveKind.PREPARE, approvals=bench.approvals()).phase is Phase.APPROVED
    bench.child(event="ready", host="127.0.0.1", port=7)
    assert (bench.last.phase, bench.last.address) == (Phase.READY, "127.0.0.1:7")
    report = bench.tell(DirectiveKind.START, addresses={"bank-b": "h:1"})
    assert report.phase is Phase.RUNNING
    assert PretendedRunner.last.sent == [{"do": "start", "addresses": {"bank-b": "h:1"}}]
    cost = {"rounds": 1, "bytes_sent": 2, "bytes_received": 3, "seconds": 4.0, "peak_memory_bytes": 5}
    bench.child(event="done", cost=cost)
    bench.child(event="exit", code=0)
    assert bench.last.phase is Phase.DONE
    assert bench.audited() == ["asked", "approved by rule", "preparing", "running", "done"]


@pytest.mark.parametrize(
    ("approvals", "named"),
    [
        (lambda b: b.approvals()[:2], "helper"),
        (lambda b: (), "bank-a"),
        (lambda b: b.approvals(bank_b={"plan_hash": "another"}), "bank-b"),
        (lambda b: b.approvals(bank_b={"job_hash": "another"}), "bank-b"),
        (lambda b: b.approvals(bank_b={"attempt": 7}), "bank-b"),
        (lambda b: b.approvals(bank_b={"word": Word.DENY}), "bank-b"),
    ],
)
def test_without_everyone_s_approval_of_this_plan_nothing_starts(
    bench: Bench, approvals: Callable[[Bench], Any], named: str
) -> None:
    report = bench.tell(DirectiveKind.PREPARE, approvals=approvals(bench))
    assert report.phase is Phase.FAILED
    assert report.fault is not None
    assert (report.fault.code, report.fault.party) == (PlanMismatch.code, named)


def test_an_attempt_that_ran_before_is_not_run_again(bench: Bench) -> None:
    """A coordinator that replays an old job, with all its true approvals, to an agent that was restarted."""
    bench.tell(DirectiveKind.CONSIDER)
    bench.tell(DirectiveKind.PREPARE, approvals=bench.approvals())
    bench.agent._works.clear()
    report = bench.tell(DirectiveKind.PREPARE, approvals=bench.approvals())
    assert report.phase is Phase.FAILED
    assert report.fault is not None
    assert report.fault.code == JobStateError.code
    assert "ran before" in report.fault.what


def test_a_directive_that_comes_twice_is_obeyed_once(bench: Bench) -> None:
    bench.tell(DirectiveKind.CONSIDER)
    bench.tell(DirectiveKind.CONSIDER)
    bench.tell(DirectiveKind.PREPARE, approvals=bench.approvals())
    first = PretendedRunner.last
    bench.tell(DirectiveKind.PREPARE, approvals=bench.approvals())
    assert PretendedRunner.last is first
    assert bench.audited() == ["asked", "approved by rule", "preparing"]


# ---- ends ----
def running(bench: Bench) -> None:
    bench.tell(DirectiveKind.CONSIDER)
    bench.tell(DirectiveKind.PREPARE, approvals=bench.approvals())
    bench.child(event="ready", host="127.0.0.1", port=7)
    bench.tell(DirectiveKind.START)


def test_stop_cancels_the_child_and_forgets_the_job(bench: Bench) -> None:
    running(bench)
    before = len(bench.said)
    bench.tell(DirectiveKind.STOP, fault=Fault("PPC-E504", "cancelled", party="bank-b"))
    assert PretendedRunner.last.cancelled
    bench.child(event="failed", fault={"code": "PPC-E504", "what": "x"})
    bench.child(event="exit", code=1)
    assert bench.agent._works == {}
    assert len(bench.said) == before
    assert bench.audited()[-1] == "ended"


def test_a_child_that_fails_is_reported_with_its_own_fault(bench: Bench) -> None:
    running(bench)
    fault = Fault("PPC-E103", "column 'x' is constant", party="bank-a", step="woe")
    bench.child(event="failed", fault=fault.to_dict(), own={"code": "PPC-E103", "what": "with /a/path"})
    bench.child(event="exit", code=1)
    assert (bench.last.phase, bench.last.fault) == (Phase.FAILED, fault)


@pytest.mark.parametrize(("code", "words"), [(-9, "was killed (signal 9)"), (0, "ended by itself (status 0)")])
def test_a_child_that_ends_without_a_word_is_an_error(bench: Bench, code: int, words: str) -> None:
    running(bench)
    bench.child(event="exit", code=code)
    assert bench.last.phase is Phase.FAILED
    assert bench.last.fault is not None
    assert words in bench.last.fault.what


def test_a_new_attempt_ends_the_child_of_the_old_one(bench: Bench) -> None:
    running(bench)
    old = PretendedRunner.last
    bench.tell(DirectiveKind.CONSIDER, attempt=2, submission=bench.signed(Word.RETRY, "bank-b", attempt=2))
    assert old.killed
    old.on_message({"event": "exit", "code": -9})
    bench.drain()
    assert bench.last.attempt == 2
    assert bench.last.phase is Phase.APPROVED


def test_stop_for_another_attempt_is_not_ours(bench: Bench) -> None:
    running(bench)
    bench.tell(DirectiveKind.STOP, attempt=7)
    assert not PretendedRunner.last.cancelled


def test_what_the_agent_says_on_connecting_is_everything_it_works_on(bench: Bench) -> None:
    running(bench)
    hello = bench.agent._hello()
    assert [(r.job_id, r.phase) for r in hello.jobs] == [("probe-1", Phase.RUNNING)]


def test_the_attempt_that_ran_is_kept_on_disk(tmp_path: Path, keys: Any, ca: bytes) -> None:
    desk = PretendedDesk(tmp_path, keys, ca)
    desk.claim("j", 1)
    with pytest.raises(JobStateError):
        desk.claim("j", 1)
    desk.claim("j", 3)
    with pytest.raises(JobStateError):
        desk.claim("j", 2)
    (tmp_path / "jobs" / "j" / "attempt.json").write_text("?")
    with pytest.raises(FileError):
        desk.claim("j", 4)


def test_what_peers_connect_to_can_be_another_name(tmp_path: Path, keys: Any, ca: bytes) -> None:
    desk = PretendedDesk(tmp_path, keys, ca)
    assert desk.advertise("", 0) == ""
    assert desk.advertise("127.0.0.1", 7) == "127.0.0.1:7"
    for shown, expected in (
        ("bank.example", "bank.example:7"),
        ("bank.example:9", "bank.example:9"),
        ("[::1]", "[::1]:7"),
    ):
        desk.config.data_plane.advertise = shown  # type: ignore[misc]
        assert desk.advertise("127.0.0.1", 7) == expected


# ---- borders ----
def test_what_crosses_a_border_is_recorded_when_it_starts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    abroad = Borders(home="CN", parties={"bank-b": "FR"}, basis={"FR": "contract 7"})
    flow = Flow("bank-b", "FR", "woe", "the bins' counts", ("income",), 3, True)
    monkeypatch.setattr(PretendedDesk, "borders", abroad)
    monkeypatch.setattr(PretendedDesk, "flows", lambda self, planned: (flow,))
    running(bench)
    bench.child(event="done", cost={"rounds": 1, "bytes_sent": 2, "bytes_received": 3, "seconds": 4.0},
                refused=["describe: the rows differ by fewer than 5 from those of an earlier question"])  # fmt: skip
    bench.child(event="exit", code=0)
    records = {r.event: r.detail for r in audit.verify(bench.desk.workdir / "audit.jsonl")}
    assert records["asked"]["abroad"] == ["bank-b in FR"]
    transfer = records["transfer"]
    assert (transfer["to"], transfer["country"], transfer["risk"], transfer["basis"]) == (
        "bank-b", "FR", "medium", "contract 7",
    )  # fmt: skip
    assert transfer["columns"] == ["income"]
    assert transfer["submitter"] == "bank-b"
    assert "earlier question" in records["done"]["refused"][0]

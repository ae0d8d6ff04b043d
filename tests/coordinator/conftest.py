"""Certificates (made once), and a board with agents that only pretend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ppc.coordinator import statements
from ppc.coordinator.board import Board, Member
from ppc.coordinator.config import CoordinatorConfig, IdentityFiles, Roster
from ppc.coordinator.jobs import DatasetEntry, Directive, Hello, JobRecord, Phase, Report, Role
from ppc.coordinator.statements import Statement, Word
from ppc.coordinator.store import Store
from ppc.net import identity as certificates
from ppc.net.identity import Identity

SCHEMA = 'version = 1\n[[field]]\nname = "x"\ntype = "int64"\n'
NAMES = ("coordinator", "bank-a", "bank-b", "helper", "stranger")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    """A certificate for everyone, of one authority."""
    folder = tmp_path_factory.mktemp("keys")
    certificates.create_ca(folder)
    return {name: certificates.issue(folder, name) for name in NAMES}


@pytest.fixture(scope="session")
def other_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    """The same names under another authority."""
    folder = tmp_path_factory.mktemp("other-keys")
    certificates.create_ca(folder)
    return {name: certificates.issue(folder, name) for name in NAMES}


@pytest.fixture(scope="session")
def ca(keys: dict[str, Identity]) -> bytes:
    """The authority's certificate."""
    return keys["bank-a"].ca_path.read_bytes()


JOB = """\
name = "probe"
parties = ["bank-a", "bank-b"]
helper = "helper"
[datasets]
bank-a = "left"
bank-b = "right"
[[step]]
operator = "probe"
"""


@dataclass
class Pretender:
    """An agent without a network: it takes directives from its member's outbox and answers as it is told."""

    board: Board
    name: str
    identity: Identity
    member: Member
    got: list[Directive] = field(default_factory=list)

    def take(self) -> list[Directive]:
        """The directives since the last look."""
        new = []
        while (directive := self.member.outbox.get(0.0)) is not None:
            new.append(directive)
        self.got += new
        return new

    def report(self, job: JobRecord, phase: Phase, **parts: Any) -> None:
        """News of this agent's part."""
        self.board.report(self.member, Report(job.id, job.attempt, phase, **parts))

    def approve(self, job: JobRecord, plan_hash: str = "plan-1") -> None:
        """A signed approval."""
        said = Statement(Word.APPROVE, self.name, job.id, job.attempt, job.job_hash, plan_hash)
        self.report(job, Phase.APPROVED, plan_hash=plan_hash, approval=statements.sign(said, self.identity))


@dataclass
class Hall:
    """A board, its store, and pretending agents."""

    board: Board
    store: Store
    keys: dict[str, Identity]
    agents: dict[str, Pretender] = field(default_factory=dict)
    job_toml: str = JOB

    def connect(
        self, name: str, *, instance: str = "one", jobs: tuple[Report, ...] = (), max_jobs: int = 2
    ) -> Pretender:
        """An agent says hello."""
        role = Role.HELPER if name == "helper" else Role.PARTY
        dataset = {"bank-a": "left", "bank-b": "right"}.get(name)
        entries = (DatasetEntry(name, dataset, SCHEMA, 100),) if dataset else ()
        member = self.board.attend(name, Hello(role, "0", instance, entries, jobs, max_jobs))
        self.agents[name] = Pretender(self.board, name, self.keys[name], member)
        return self.agents[name]

    def everyone(self) -> None:
        """All three agents."""
        for name in ("bank-a", "bank-b", "helper"):
            self.connect(name)

    def say(
        self, word: Word, job: JobRecord, party: str, *, attempt: int | None = None, plan_hash: str = ""
    ) -> JobRecord:
        """A person's decision."""
        said = Statement(word, party, job.id, attempt or job.attempt, job.job_hash, plan_hash)
        return self.board.decide(party, statements.sign(said, self.keys[party]))

    def submit(self, job_id: str = "probe-1", party: str = "bank-a", text: str = JOB, **parts: Any) -> JobRecord:
        """A proposal."""
        said = Statement(Word.SUBMIT, party, job_id, 1, "job-hash", parts.get("plan_hash", ""))
        self.board.submit(party, text, statements.sign(said, self.keys[party]))
        return self.board.job(party, job_id)

    def running(self, job_id: str = "probe-1") -> JobRecord:
        """A job that everyone approved, got ready for, and runs."""
        job = self.submit(job_id)
        for agent in self.agents.values():
            agent.approve(job)
        for agent in self.agents.values():
            agent.report(job, Phase.READY, address="127.0.0.1:1")
        for agent in self.agents.values():
            agent.report(job, Phase.RUNNING)
        return self.board.job("bank-a", job_id)

    def now(self, job_id: str = "probe-1") -> JobRecord:
        """The job as it stands."""
        return self.board.job("bank-a", job_id)

    def texts(self, job_id: str = "probe-1") -> list[str]:
        """What was recorded of it, in words."""
        return [f"{e.kind} {e.party} {e.state or e.phase or ''} {e.text}".strip() for e in self.store.events(job_id)]


@pytest.fixture
def make_hall(keys: dict[str, Identity], ca: bytes, tmp_path: Path) -> Iterator[Callable[..., Hall]]:
    """Boards over one file: a second one is the coordinator after a restart."""
    stores = []

    def make(**options: Any) -> Hall:
        store = Store(f"sqlite:///{tmp_path / 'board.db'}")
        stores.append(store)
        options.setdefault("knows", lambda name: name in NAMES and name != "stranger")
        return Hall(Board(store, ca, **options), store, keys)

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def hall(make_hall: Callable[..., Hall]) -> Hall:
    """A board with all agents connected."""
    one = make_hall()
    one.everyone()
    return one


@pytest.fixture
def server_config(keys: dict[str, Identity]) -> Callable[..., CoordinatorConfig]:
    """The settings of a coordinator for bank-a, bank-b and the helper."""

    def make(who: Identity | None = None, **parts: Any) -> CoordinatorConfig:
        who = who or keys["coordinator"]
        files = IdentityFiles(certificate=who.cert_path, key=who.key_path, ca=who.ca_path)
        parts.setdefault("roster", Roster(parties=("bank-a", "bank-b"), helpers=("helper",)))
        parts.setdefault("listen", "127.0.0.1:0")
        return CoordinatorConfig(identity=files, **parts)

    return make

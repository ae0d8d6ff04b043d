from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ppc.coordinator.jobs import (
    Cost,
    DatasetEntry,
    Event,
    EventKind,
    Fault,
    JobRecord,
    JobState,
    Participant,
    Phase,
    Role,
    Signed,
)
from ppc.coordinator.store import Store
from ppc.errors import ConfigError, FileError

SIGNED = Signed(b'{"x":"\xc3\xa9"}', b"\x00\xff", b"PEM")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of our own, on a free loopback port."""
    tools = {name: shutil.which(name) for name in ("initdb", "pg_ctl")}
    for name in tools:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        tools[name] = tools[name] or (str(found[-1]) if found else None)
    pytest.importorskip("psycopg")
    if not all(tools.values()):
        pytest.skip("needs a PostgreSQL server (initdb, pg_ctl)")
    # Not below pytest's own folder, which other users may not enter.
    folder = Path(tempfile.mkdtemp(prefix="ppc-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        if not shutil.which("runuser") or subprocess.run(["id", "nobody"], capture_output=True).returncode:
            pytest.skip("PostgreSQL does not run as root, and there is no other user to run it as")
        as_user = ["runuser", "-u", "nobody", "--"]
        shutil.chown(folder, "nobody")
    data = folder / "data"
    run: Callable[..., Any] = lambda *a: subprocess.run(  # noqa: E731
        [*as_user, *a], check=True, capture_output=True, cwd="/", timeout=120
    )
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    user = "nobody" if as_user else getpass.getuser()
    try:
        run(str(tools["initdb"]), "-D", str(data), "-A", "trust", "-U", user, "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run(str(tools["pg_ctl"]), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    except (subprocess.SubprocessError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL does not start here ({type(error).__name__})")
    try:
        yield f"postgresql://{user}@127.0.0.1:{port}/postgres"
    finally:
        run(str(tools["pg_ctl"]), "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Every kind of database that a coordinator may be given."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sub' / 'store.db'}"
    import sqlalchemy as sa

    url: str = request.getfixturevalue("postgres")
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as db:
        db.execute(sa.text("DROP TABLE IF EXISTS ppc_events, ppc_participants, ppc_jobs, ppc_catalog, ppc_about"))
    engine.dispose()
    return url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An empty store."""
    one = Store(url)
    yield one
    one.close()


def job(job_id: str, created: float = 1.0, state: JobState = JobState.PROPOSED, parties: str = "ab") -> JobRecord:
    names = {f"bank-{p}": Participant(f"bank-{p}", Role.PARTY) for p in parties}
    names["helper"] = Participant("helper", Role.HELPER)
    return JobRecord(
        job_id, "Scorecard Ü", "bank-a", 'name = "é"\n', "jh", SIGNED, names,
        (DatasetEntry("bank-a", "left", "toml", 2**40, ("*",)),), state=state, created=created, updated=created,
    )  # fmt: skip


def test_a_job_comes_back_as_it_was_saved(store: Store) -> None:
    one = job("j-1")
    one.fault = Fault("PPC-E103", "column 'x'", party="bank-b", step="woe")
    one.participants["bank-b"] = Participant(
        "bank-b", Role.PARTY, Phase.DONE, "ph", "detail", Fault("PPC-E900", "w"), SIGNED, SIGNED, "h:1",
        Cost(7, 2**41, 3, 1.5, 2**33),
    )  # fmt: skip
    one.retry = SIGNED
    store.save(one)
    assert store.load("j-1") == one
    assert list(store.load("j-1").participants) == ["bank-a", "bank-b", "helper"]
    assert store.load("none") is None


def test_saving_again_replaces(store: Store) -> None:
    one = job("j-1")
    store.save(one)
    one.state, one.attempt = JobState.CANCELLED, 3
    one.participants["bank-a"].phase = Phase.STOPPED
    store.save(one)
    assert store.load("j-1") == one
    assert len(store.jobs()) == 1


def test_jobs_are_found_by_party_and_state_the_newest_first(store: Store) -> None:
    store.save(job("old", 1.0))
    store.save(job("new", 3.0, JobState.RUNNING))
    store.save(job("other", 2.0, parties="ac"))
    assert [j.id for j in store.jobs()] == ["new", "other", "old"]
    assert [j.id for j in store.jobs(party="bank-b")] == ["new", "old"]
    assert [j.id for j in store.jobs(party="bank-b", states=[JobState.PROPOSED])] == ["old"]
    assert [j.id for j in store.jobs(limit=2)] == ["new", "other"]
    assert store.jobs(party="nobody") == []


def test_events_are_kept_in_order_with_everything_they_tell(store: Store) -> None:
    events = [
        Event(1, 1.0, EventKind.STATE, state=JobState.PROPOSED, text="proposed"),
        Event(2, 2.0, EventKind.PARTY, 2, "bank-a", phase=Phase.APPROVED),
        Event(3, 3.0, EventKind.ERROR, 1, "bank-b", "woe", 0.0, "boom", fault=Fault("PPC-E103", "boom")),
    ]
    store.save(job("j-1"), events)
    assert store.events("j-1") == events
    assert store.events("j-1", after=2) == events[2:]
    assert store.events("j-2") == []


def test_a_failed_save_leaves_nothing_behind(store: Store) -> None:
    store.save(job("j-1"), [Event(1, 1.0, EventKind.LOG)])
    changed = job("j-1", state=JobState.RUNNING)
    with pytest.raises(FileError, match="store does not answer"):
        store.save(changed, [Event(1, 2.0, EventKind.LOG)])  # there is an event 1 already
    assert store.load("j-1").state is JobState.PROPOSED


def test_publishing_replaces_what_a_party_had_published(store: Store) -> None:
    first = DatasetEntry("bank-a", "left", "t1", 100)
    store.publish("bank-a", [first, DatasetEntry("bank-a", "gone", "t", 1)])
    store.publish("bank-b", [DatasetEntry("bank-b", "right", "t", 5, ("bank-a",))])
    store.publish("bank-a", [replace(first, schema_toml="t2")])
    assert [(e.party, e.name, e.schema_toml, e.visible_to) for e in store.catalog()] == [
        ("bank-a", "left", "t2", ("*",)),
        ("bank-b", "right", "t", ("bank-a",)),
    ]
    store.publish("bank-a", [])
    assert [e.party for e in store.catalog()] == ["bank-b"]


def test_everything_is_there_after_a_restart(store: Store, url: str) -> None:
    store.save(job("j-1"), [Event(1, 1.0, EventKind.LOG, text="x")])
    store.publish("bank-a", [DatasetEntry("bank-a", "left", "t", 1)])
    store.close()
    again = Store(url)
    assert again.load("j-1") == job("j-1")
    assert len(again.events("j-1")) == 1
    assert len(again.catalog()) == 1
    again.close()


def test_a_store_of_another_version_is_not_touched(store: Store, url: str) -> None:
    import sqlalchemy as sa

    with store._engine.begin() as db:
        db.execute(sa.text("UPDATE ppc_about SET value = '99'"))
    with pytest.raises(FileError, match="version 99"):
        Store(url)


def test_urls_that_cannot_be_opened_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a database URL"):
        Store("coordinator.db")
    with pytest.raises(ConfigError):
        Store("nosuchdb://x/y")
    (tmp_path / "text.db").write_text("this is not a database, but a text that is long enough to be one")
    with pytest.raises(FileError, match="cannot open the store"):
        Store(f"sqlite:///{tmp_path / 'text.db'}")
    with pytest.raises(FileError) as caught:
        Store("postgresql://user:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in str(caught.value)


def test_sqlite_writes_ahead(tmp_path: Path) -> None:
    import sqlite3

    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    connection = sqlite3.connect(tmp_path / "store.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    store.close()

"""The whole thing as people use it: real processes, the ppc command, mutual TLS on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppc.coordinator import audit, proposals
from ppc.coordinator.jobs import EventKind, JobState, Phase
from ppc.errors import IdentityError, PortInUse

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("integration"), pytest.mark.timeout(120)]

ASK_ME = 'rows = "round:10"\n'


def ppc(
    *arguments: str | Path, environment: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "ppc.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **(environment or {})},
        **options,
    )


@pytest.fixture
def environment(operators: Path) -> dict[str, str]:
    """For commands that plan a job with the tests' own operator."""
    return {"PYTHONPATH": str(operators)}


def test_a_job_from_the_command_line(cluster: Callable[..., Any], job: Any, tmp_path: Path, environment: Any) -> None:
    running = cluster()
    config = running.config("bank-a")
    file = tmp_path / "job.toml"
    file.write_text(job(helper="helper", seconds=0.3))

    plan = ppc("plan", file, "--config", config, environment=environment)
    assert plan.returncode == 0, plan.stderr
    assert "Every party learns the number of rows" in plan.stdout

    done = ppc("submit", file, "--config", config, "--watch", "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    states = [e["state"] for e in events if e["kind"] == "state"]
    assert states == ["proposed", "approved", "running", "done"]
    assert {e["party"] for e in events if e["kind"] == "progress"} == {"bank-a", "bank-b"}

    listed = json.loads(ppc("jobs", "--config", running.config("bank-b"), "--json").stdout)
    assert [(j["name"], j["state"]) for j in listed] == [("probe", "done")]
    job_id = listed[0]["id"]
    shown = ppc("jobs", job_id, "--config", config)
    assert "bank-b\tparty\tdone\tyes" in shown.stdout
    costs = {p["party"]: p["cost"] for p in listed[0]["participants"]}
    assert costs["bank-a"]["bytes_sent"] == costs["bank-b"]["bytes_received"] > 0

    for party in ("bank-a", "bank-b"):
        assert running.result(job_id, party)["steps"][0]["summary"] == {"rows": 100}
        verified = ppc("audit", "verify", "--config", running.config(party), "--coordinator", "--json")
        assert json.loads(verified.stdout)["compared"] >= 3
        events_of = [r.event for r in audit.verify(running.workdir(party) / "audit.jsonl") if r.job == job_id]
        assert events_of == ["asked", "approved by rule", "preparing", "running", "done"]

    watched = ppc("watch", job_id, "--config", config)
    assert watched.returncode == 0
    assert "done" in watched.stdout
    catalog = ppc("catalog", "--config", config)
    assert "bank-b\tright\tabout 60\tyes\tid, x" in catalog.stdout
    doctor = ppc("doctor", "--config", config, "--json")
    assert doctor.returncode == 0, doctor.stdout
    assert {"identity", "coordinator", "clock", "policy"} <= {f["check"] for f in json.loads(doctor.stdout)}


def test_the_way_from_nothing_to_a_first_job(tmp_path: Path) -> None:
    """docs/coordinator.md, word for word but for names of hosts and files; a person approves at both banks."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"

    def run(*arguments: str) -> str:
        done = ppc(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("ca", "init", "--dir", "ca")
    for name in ("coordinator", "bank-a", "bank-b"):
        run("ca", "issue", name, "--dir", "ca")
    run("init", "coordinator", "--party", "bank-a", "--party", "bank-b", "--listen", address)
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("id,x\n" + "".join(f"{i},{i % 3}\n" for i in range(20)))
        data = f"customers={tmp_path / name}.csv"
        run("init", "party", f"bank-{name}", "--data", data, "--coordinator", address, "--dir", name)
        assert "ok (1 datasets)" in run("party", "--config", f"{name}/party.toml", "--check")
    (tmp_path / "job.toml").write_text(
        'name = "match"\nparties = ["bank-a", "bank-b"]\n[datasets]\nbank-a = "customers"\nbank-b = "customers"\n'
        '[[step]]\noperator = "align"\nkeys = ["id"]\n'
    )
    servers = []
    try:
        for kind, config in (("coordinator", "coordinator.toml"), ("party", "a/party.toml"), ("party", "b/party.toml")):
            command = [sys.executable, "-m", "ppc.cli", kind, "--config", config, "--ready-file", f"{config}.ready"]
            servers.append(subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL))
        _until(lambda: all((tmp_path / d / "party.toml.ready").exists() for d in "ab"), 30)
        job_id = run("submit", "job.toml", "--config", "a/party.toml").strip()
        for name in ("a", "b"):
            _until(
                lambda name=name: (
                    "bank-" + name + "\tparty\twaiting" in run("jobs", job_id, "--config", f"{name}/party.toml")
                )
            )
            assert "Every party learns" in run("approve", job_id, "--config", f"{name}/party.toml", "--yes")
        assert "state     done" in run("watch", job_id, "--config", "b/party.toml")
        for name in ("a", "b"):
            left = tmp_path / name / "work" / "jobs" / job_id
            assert json.loads((left / "result.json").read_text())["steps"][0]["summary"]["matched"] == 20
            assert (left / "report.html").stat().st_mode & 0o077 == 0
    finally:
        for server in reversed(servers):
            server.terminate()
            server.wait(10)


def test_a_job_that_no_rule_allows_waits_for_a_person(cluster: Callable[..., Any], job: Any, environment: Any) -> None:
    running = cluster(policies={"bank-b": ASK_ME})
    submitted = running.submit(job())
    config = running.config("bank-b")
    _until(lambda: running.client("bank-a").job(submitted.id).participants["bank-b"].phase is Phase.WAITING)
    assert running.client("bank-a").job(submitted.id).state is JobState.PROPOSED
    assert running.client("bank-a").job(submitted.id).datasets[1].rows == 60

    refused = ppc("approve", submitted.id, "--config", config, environment=environment, stdin=subprocess.DEVNULL)
    assert refused.returncode == 3
    assert "error[PPC-E112]: nobody is here to ask" in refused.stderr
    wrong = ppc("approve", submitted.id, "--config", config, "--plan", "0" * 64, environment=environment)
    assert wrong.returncode == 7
    approved = ppc("approve", submitted.id, "--config", config, "--yes", environment=environment)
    assert approved.returncode == 0, approved.stderr
    assert "Every party learns the number of rows" in approved.stdout
    assert running.wait(submitted.id, 30).state is JobState.DONE
    events = [r.event for r in audit.verify(running.workdir("bank-b") / "audit.jsonl") if r.job == submitted.id]
    assert events[:3] == ["asked", "waiting for a person", "approved by a person"]


def test_cancel_while_waiting_and_while_running(cluster: Callable[..., Any], job: Any) -> None:
    running = cluster(policies={"bank-b": ASK_ME})
    client = running.client("bank-a")
    waiting = running.submit(job())
    cancelled = proposals.cancel(client, client.job(waiting.id), "not today")
    assert cancelled.state is JobState.CANCELLED
    assert "not today" in cancelled.fault.what

    for deaf in (False, True):
        one = running.submit(job(helper="helper", seconds=60.0, deaf=deaf))
        at_b = running.client("bank-b")
        _until(lambda one=one: client.job(one.id).participants["bank-b"].phase is Phase.WAITING)
        proposals.approve(at_b, at_b.job(one.id), proposals.plan_of(at_b, at_b.job(one.id)))
        _until(lambda one=one: client.job(one.id).participants["bank-b"].phase is Phase.RUNNING, 30)
        workers = _workers(running)
        assert len(workers) == 3
        proposals.cancel(client, client.job(one.id))
        _until(lambda: not _workers(running), 8)
    # Nothing is left of it, and another job runs.
    last = running.submit(job())
    _until(lambda: client.job(last.id).participants["bank-b"].phase is Phase.WAITING)
    at_b = running.client("bank-b")
    proposals.approve(at_b, at_b.job(last.id), proposals.plan_of(at_b, at_b.job(last.id)))
    assert running.wait(last.id, 30).state is JobState.DONE


def test_ctrl_c_stops_the_watching_and_not_the_job(cluster: Callable[..., Any], job: Any) -> None:
    running = cluster(helper=None)
    submitted = running.submit(job(seconds=4.0))
    command = [
        sys.executable,
        "-m",
        "ppc.cli",
        "watch",
        submitted.id,
        "--config",
        str(running.config("bank-a")),
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _out, err = watching.communicate(timeout=10)
    assert watching.returncode == 130
    assert "Traceback" not in err
    assert running.wait(submitted.id, 30).state is JobState.DONE


def test_servers_end_cleanly_on_sigterm_and_sigint(cluster: Callable[..., Any]) -> None:
    running = cluster()
    processes = dict(running.processes)
    for number, name in enumerate(["bank-a", "bank-b", "helper", "coordinator"]):
        processes[name].send_signal(signal.SIGTERM if number % 2 else signal.SIGINT)
        assert processes[name].wait(8) == 0, running.log(name).read_text()
        assert "Traceback" not in running.log(name).read_text()
        assert not (running.folder / name / "ready.json").exists()


def test_mistakes_of_those_who_set_it_up(cluster: Callable[..., Any], tmp_path: Path, environment: Any) -> None:
    from ppc.net import identity as certificates

    running = cluster(helper=None)
    # A second coordinator on the same port.
    config = running.config("coordinator")
    second = tmp_path / "second.toml"
    second.write_text(f'store = "sqlite:///{tmp_path / "second.db"}"\n' + config.read_text())
    found = ppc("coordinator", "--config", second)
    assert found.returncode == PortInUse.exit_status
    assert found.stderr.splitlines()[-2].startswith("error[PPC-E305]: the address is taken")
    assert found.stderr.splitlines()[-1].startswith("hint: ")
    # A second agent in the same folder.
    config = running.config("bank-b")
    found = ppc("party", "--config", config, environment=environment)
    assert found.returncode == 3
    assert "another agent of bank-b works in this folder" in found.stderr
    # An agent with a certificate of another authority.
    running.processes["bank-b"].terminate()
    running.processes["bank-b"].wait(8)
    certificates.create_ca(tmp_path / "other")
    other = certificates.issue(tmp_path / "other", "bank-b")
    text, keys = config.read_text(), running.folder / "keys"
    forged = text.replace(str(keys / "bank-b.pem"), str(other.cert_path))
    forged = forged.replace(str(keys / "bank-b.key"), str(other.key_path))
    assert forged != text
    config.write_text(forged)
    found = ppc("party", "--config", config, environment=environment)
    assert found.returncode == IdentityError.exit_status
    assert "error[PPC-E302]" in found.stderr
    assert "Traceback" not in found.stderr
    # An agent that is not on the roster.
    stranger = certificates.issue(keys, "bank-z")
    config.write_text(text.replace("bank-b", "bank-z").replace('"work"', '"work-z"'))
    assert stranger.cert_path.exists()
    found = ppc("party", "--config", config, environment=environment)
    assert found.returncode == IdentityError.exit_status
    assert "bank-z is not known to this coordinator" in found.stderr


def test_the_coordinator_sees_no_value_of_the_data(cluster: Callable[..., Any], job: Any, tmp_path: Path) -> None:
    """Its store, its log and every event of a job that crashed over a value are searched for what the file holds."""
    secret = "4711-secret"
    running = cluster(helper=None)
    for how in ("crash", "column"):
        submitted = running.submit(job(fail_at="bank-b", how=how))
        events = list(running.watch(submitted.id))
        ended = running.wait(submitted.id, 30)
        assert ended.state is JobState.FAILED
        assert (ended.fault.party, ended.fault.step) == ("bank-b", "probe")
        assert any(e.kind is EventKind.ERROR and e.fault.party == "bank-b" for e in events)
        said = f"{ended}{events}"
        assert secret not in said
        assert "/home/someone" not in said
        assert ("column 'x' is constant" in ended.fault.what) == (how == "column")
    running.stop()
    own_log = b"".join(p.read_bytes() for p in (running.folder / "bank-b").rglob("worker.log"))
    assert secret.encode() in own_log
    for place in ("coordinator", "bank-a"):
        for path in (running.folder / place).rglob("*"):
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), path
                if place == "coordinator":
                    assert str(tmp_path / "b.csv").encode() not in path.read_bytes(), path


def _until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _workers(running: Any) -> list[int]:
    import psutil

    found = []
    for process in running.processes.values():
        found += [c.pid for c in psutil.Process(process.pid).children() if c.is_running() and c.status() != "zombie"]
    return found

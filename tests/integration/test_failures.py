"""Processes that die in the middle of a job: everyone left gets one clear error within ten seconds."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from ppc.coordinator import audit, proposals
from ppc.coordinator.jobs import JobState, Phase
from ppc.errors import PeerUnavailable, PlanMismatch

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("integration"), pytest.mark.timeout(120)]


def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def start(running: Any, text: str, party: str | None = None) -> Any:
    """A job that has been running for a moment at every participant."""
    job = running.submit(text, party)
    client = running.client("bank-a")
    until(lambda: all(p.phase is Phase.RUNNING for p in client.job(job.id).participants.values()), 30)
    until(lambda: client.job(job.id).participants["bank-a"].fraction > 0)
    return job


def children(running: Any) -> list[psutil.Process]:
    return [c for p in running.processes.values() if p.poll() is None for c in psutil.Process(p.pid).children()]


@pytest.mark.parametrize(
    "victim",
    [
        "bank-b",
        "helper",
        pytest.param(
            "bank-a",
            marks=[
                pytest.mark.heavy,
                pytest.mark.skipif(os.environ.get("PPC_HEAVY") != "1", reason="bank-b is killed in the short form"),
            ],
        ),
    ],
)
def test_an_agent_that_is_killed_fails_the_job_at_everyone_within_ten_seconds(
    cluster: Callable[..., Any], job: Any, victim: str
) -> None:
    running = cluster()
    submitted = start(running, job(helper="helper", seconds=60.0))
    worker = children(running)
    began = time.monotonic()
    running.processes[victim].kill()
    watcher = "bank-b" if victim == "bank-a" else "bank-a"
    ended = running.wait(submitted.id, 10, party=watcher)
    assert time.monotonic() - began < 10
    assert ended.state is JobState.FAILED
    assert ended.fault.party == victim
    assert victim in ended.fault.what
    gone, alive = psutil.wait_procs(worker, timeout=max(0.1, 10 - (time.monotonic() - began)))
    assert not alive
    assert len(gone) == 3
    for name in {"bank-a", "bank-b", "helper"} - {victim}:
        until(lambda name=name: ended_in_log(running, name, submitted.id) is not None, 5)
        record = ended_in_log(running, name, submitted.id)
        assert record.detail["what"]

    # The victim comes back, and another attempt of the same job is proposed and can be cancelled.
    running.start_process(victim)
    running.wait_ready(victim)
    client = running.client(watcher)
    again = proposals.retry(client, client.job(submitted.id))
    assert again.attempt == 2
    until(lambda: client.job(submitted.id).state is JobState.RUNNING, 30)
    proposals.cancel(client, client.job(submitted.id))


def ended_in_log(running: Any, name: str, job_id: str) -> Any:
    """The record of the party's own log that says how the job ended."""
    records = audit.verify(running.workdir(name) / "audit.jsonl", torn_end=True)
    return next((r for r in records if r.job == job_id and r.event in ("ended", "failed")), None)


def test_a_job_outlives_a_restart_of_the_coordinator(cluster: Callable[..., Any], job: Any) -> None:
    running = cluster()
    submitted = start(running, job(helper="helper", seconds=3.0))
    watched = running.watch(submitted.id)
    next(watched)
    running.processes["coordinator"].kill()
    running.processes["coordinator"].wait()
    with pytest.raises(PeerUnavailable, match="connection to the coordinator is lost"):
        list(watched)
    running.start_process("coordinator")
    running.wait_ready("coordinator")
    running._clients.clear()
    ended = running.wait(submitted.id, 30)
    assert ended.state is JobState.DONE
    assert running.result(submitted.id, "bank-a")["steps"][0]["summary"] == {"rows": 100}
    assert running.wait(running.submit(job()).id, 30).state is JobState.DONE


def test_a_job_that_finished_while_the_coordinator_was_away_is_done_when_it_is_back(
    cluster: Callable[..., Any], job: Any
) -> None:
    running = cluster(helper=None)
    submitted = start(running, job(seconds=1.5))
    running.processes["coordinator"].kill()
    running.processes["coordinator"].wait()
    result = running.job_folder(submitted.id, "bank-a") / "result.json"
    until(result.exists, 15)
    running.start_process("coordinator")
    running.wait_ready("coordinator")
    running._clients.clear()
    assert running.wait(submitted.id, 30).state is JobState.DONE


def test_without_a_coordinator_a_job_is_given_up_after_a_while(cluster: Callable[..., Any], job: Any) -> None:
    """Nobody could cancel it any more: its parties stop it by themselves."""
    running = cluster(helper=None, party_settings={"orphan_s": 1.0})
    submitted = start(running, job(seconds=60.0))
    workers = children(running)
    running.processes["coordinator"].kill()
    running.processes["coordinator"].wait()
    _gone, alive = psutil.wait_procs([w for w in workers if w.is_running()], timeout=10)
    assert not alive
    running.start_process("coordinator")
    running.wait_ready("coordinator")
    running._clients.clear()
    ended = running.wait(submitted.id, 15)
    assert ended.state is JobState.FAILED
    assert "lost the coordinator" in ended.fault.what


def test_when_the_cluster_s_owner_is_killed_nothing_stays_behind(
    operators: Path, load_probe: None, tmp_path: Path
) -> None:
    import subprocess
    import sys

    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("id,x\n1,2\n")
    script = (
        "import sys, time\n"
        "from ppc.coordinator.local import LocalCluster\n"
        f"c = LocalCluster({{'bank-a': {{'left': r'{tmp_path}/a.csv'}}}}, folder=r'{tmp_path}/c')\n"
        "c.start()\n"
        "print(*[p.pid for p in c.processes.values()], flush=True)\n"
        "time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = [int(p) for p in owner.stdout.readline().split()]
    assert len(pids) == 3
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    until(lambda: not any(psutil.pid_exists(p) and psutil.Process(p).status() != "zombie" for p in pids), 10)


def test_a_policy_with_the_wrong_column_does_not_let_a_job_run(cluster: Callable[..., Any], job: Any) -> None:
    rule = """\
rows = "exact"
otherwise = "deny"
[[allow]]
partners = ["bank-a"]
operators = ["probe"]
datasets = ["right"]
columns = ["x"]
recipients = ["bank-a"]
"""
    running = cluster(helper=None, policies={"bank-b": rule})
    assert running.wait(running.submit(job()).id, 30).state is JobState.DONE
    refused = running.wait(running.submit(job(column="id")).id, 30)
    assert refused.state is JobState.FAILED
    assert refused.fault.party == "bank-b"
    assert refused.fault.code == "PPC-E501"
    assert "column" not in str(refused.fault)


def test_a_peer_that_brings_far_more_keys_than_the_plan_says(
    cluster: Callable[..., Any], job: Any, tmp_path: Path
) -> None:
    """bank-b's file grows after its 60 rows were published: within bank-a's tolerance that runs, beyond it stops."""
    policy = 'rows = "exact"\npeer_rows_above_plan = 0.25\n[[allow]]\npartners = ["*"]\noperators = ["*"]\n'
    policy += 'datasets = ["*"]\ncolumns = ["*"]\nrecipients = ["*"]\n'
    running = cluster(helper=None, policies={"bank-a": policy, "bank-b": policy})
    text = job().replace('operator = "probe"', 'operator = "align"\nkeys = ["id"]')
    for rows, allowed in ((75, True), (76, False)):
        (tmp_path / "b.csv").write_text("id,x\n" + "".join(f"{i},{i % 5}\n" for i in range(rows)))
        ended = running.wait(running.submit(text).id, 60)
        if allowed:
            assert ended.state is JobState.DONE
        else:
            assert ended.state is JobState.FAILED
            assert (ended.fault.code, ended.fault.party, ended.fault.step) == ("PPC-E202", "bank-b", "align")
            assert "bank-b announces 76 keys; at most 75" in ended.fault.what


def test_what_does_not_fit_is_refused_by_the_agents(
    cluster: Callable[..., Any], job: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    running = cluster(helper=None)
    # The submitter computes another plan than the agents: nothing runs, and everyone is told.
    import probe_operators

    original = probe_operators.Probe.disclosures
    with monkeypatch.context() as patch:
        patch.setattr(probe_operators.Probe, "disclosures", lambda self, params, view: original(self, params, view)[:1])
        ended = running.wait(running.submit(job()).id, 30)
    assert ended.state is JobState.FAILED
    assert ended.fault.code == PlanMismatch.code
    assert "bank-a" in ended.fault.what
    # A job's process that is killed is named; the agent itself lives on.
    ended = running.wait(running.submit(job(fail_at="bank-b", how="kill")).id, 30)
    assert ended.state is JobState.FAILED
    assert (ended.fault.party, ended.fault.step) == ("bank-b", "probe")
    assert "the process of the job at bank-b was killed (signal 9)" in ended.fault.what
    # A dataset whose columns changed since they were published is not used.
    (tmp_path / "b.csv").write_text("id,x,new\n1,2,3\n")
    ended = running.wait(running.submit(job()).id, 30)
    assert ended.state is JobState.FAILED
    assert ended.fault.party == "bank-b"
    assert "columns changed since they were published" in ended.fault.what

"""Runs: agreement before data, failures told to all, resuming, cancelling."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ppc.dataset.dataset import Dataset
from ppc.errors import (
    ColumnError,
    InternalError,
    JobCancelled,
    JobFileError,
    PeerUnavailable,
    PlanMismatch,
    PpcError,
    RemoteFailure,
)
from ppc.joint import Event, Job, outcomes, plan, run_party, simulate
from ppc.joint.party import fingerprint
from ppc.net import memory

Jobs = Callable[..., Job]
Data = dict[str, Dataset]


def test_a_run_gives_every_party_its_results(toy_job: Jobs, toy_data: Data, tmp_path: Path) -> None:
    events: list[Event] = []
    results = simulate(toy_job("toy_total", "toy_total"), toy_data, tmp_path, progress=events.append)
    for party, rows in (("a", 3), ("b", 4)):
        result = results[party]
        assert result.summary("toy_total0") == {"total": 7}
        assert len(result.artifacts.of("toy_total1").array("x")) == rows
        assert result.steps[0].rounds == 1
        assert result.steps[0].sent > 0
        assert result.plan.hash == results["a"].plan.hash
        mine = [e for e in events if e.party == party and e.step == "toy_total0"]
        assert [e.fraction for e in mine] == [0.0, 0.5, 1.0]
        assert mine[-1].sent > mine[0].sent > 0
    with pytest.raises(JobFileError):
        results["a"].step("absent")


def test_different_job_files_stop_both_before_data(toy_job: Jobs, toy_data: Data, toys: Any) -> None:
    jobs = {"a": toy_job("toy_total"), "b": toy_job("toy_total", seed=1)}
    found = outcomes(jobs, toy_data)
    for me, peer in (("a", "b"), ("b", "a")):
        error = found[me]
        assert isinstance(error, PlanMismatch)
        assert error.party == peer
        assert "same job" in error.what
    assert toys["runs"] == []


def test_another_plan_than_the_approved_one_is_refused(toy_job: Jobs, toy_data: Data, toys: Any) -> None:
    job = toy_job("toy_total")
    approved = plan(job, {p: d.schema for p, d in toy_data.items()}, {"a": 1, "b": 1}).hash
    net = memory.network(["a", "b"])

    def run(me: str, peer: str, hash_: str, into: dict[str, Any], tmp: Path) -> None:
        try:
            into[me] = run_party(
                job, me=me, dataset=toy_data[me], channels={peer: net[me][peer]}, workdir=tmp / me, plan_hash=hash_
            )
        except PpcError as error:
            into[me] = error

    import tempfile

    for hash_, good in ((approved, True), ("0" * 64, False)):
        net = memory.network(["a", "b"])
        found: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as folder:
            threads = [
                threading.Thread(target=run, args=("a", "b", approved, found, Path(folder))),
                threading.Thread(target=run, args=("b", "a", hash_, found, Path(folder))),
            ]
            for t in threads:
                t.start()
            for t in threads:
                t.join(20)
        if good:
            assert found["a"].summary("toy_total0") == found["b"].summary("toy_total0")
        else:
            assert isinstance(found["b"], PlanMismatch)
            assert "approved" in found["b"].what
            assert isinstance(found["a"], RemoteFailure)
            assert found["a"].party == "b"
    assert len(toys["runs"]) == 2


@pytest.mark.parametrize("at", ["a", "b"])
def test_a_failure_reaches_the_other_party_with_name_and_step(toy_job: Jobs, toy_data: Data, at: str) -> None:
    job = toy_job("toy_total", {"operator": "toy_fails", "name": "third", "at": at})
    found = outcomes(job, toy_data)
    other = "b" if at == "a" else "a"
    error, echo = found[at], found[other]
    assert isinstance(error, ColumnError)
    assert error.party == at
    assert "step 'third'" in (error.where or "")
    assert "column 'x'" in (error.where or "")
    assert isinstance(echo, RemoteFailure)
    assert echo.party == at
    assert "third" in str(echo)
    with pytest.raises(ColumnError):
        simulate(job, toy_data)


def test_a_defect_is_told_without_its_text(toy_job: Jobs, toy_data: Data) -> None:
    found = outcomes(toy_job({"operator": "toy_breaks", "at": "b"}), toy_data)
    assert isinstance(found["b"], InternalError)
    assert isinstance(found["b"].__cause__, ZeroDivisionError)
    assert isinstance(found["a"], RemoteFailure)
    assert "4711" not in str(found["a"]) + str(found["b"])


def test_a_job_resumes_where_it_stopped(toy_job: Jobs, toy_data: Data, tmp_path: Path, toys: Any) -> None:
    fails = {"operator": "toy_fails", "name": "x", "at": "b"}
    found = outcomes(toy_job({"operator": "toy_total", "name": "t"}, fails), toy_data, tmp_path)
    assert isinstance(found["b"], ColumnError)
    assert sorted(toys["runs"]) == [("a", "t"), ("b", "t")]
    works = toy_job({"operator": "toy_total", "name": "t"}, {"operator": "toy_total", "name": "u"})
    results = simulate(works, toy_data, tmp_path)
    assert sorted(toys["runs"]) == [("a", "t"), ("a", "u"), ("b", "t"), ("b", "u")]
    assert [s.resumed for s in results["a"].steps] == [True, False]
    assert results["a"].summary("t") == {"total": 7}
    again = simulate(works, toy_data, tmp_path)
    assert [s.resumed for s in again["b"].steps] == [True, True]
    assert len(toys["runs"]) == 4


def test_changed_parameters_or_data_are_run_again(toy_job: Jobs, toy_data: Data, tmp_path: Path, toys: Any) -> None:
    steps = [{"operator": "toy_total", "name": "t"}, {"operator": "toy_total", "name": "u"}]
    simulate(toy_job(*steps), toy_data, tmp_path)
    simulate(toy_job(steps[0], {**steps[1], "amount": 5}), toy_data, tmp_path)
    assert len(toys["runs"]) == 6  # t was taken, u was not
    other = {**toy_data, "b": Dataset.from_arrow(pa.table({"x": [9.0]}), name="b")}
    results = simulate(toy_job(*steps), other, tmp_path)
    assert not any(s.resumed for s in results["a"].steps)  # b's data changed: a starts over with it
    assert results["a"].summary("t") == {"total": 4}


def test_artifacts_of_different_runs_do_not_mix(toy_job: Jobs, toy_data: Data, tmp_path: Path, toys: Any) -> None:
    job = toy_job("toy_total")
    simulate(job, toy_data, tmp_path / "one")
    simulate(job, toy_data, tmp_path / "two")
    (tmp_path / "mixed").mkdir()
    (tmp_path / "one" / "a").rename(tmp_path / "mixed" / "a")
    (tmp_path / "two" / "b").rename(tmp_path / "mixed" / "b")
    results = simulate(job, toy_data, tmp_path / "mixed")
    assert not results["a"].steps[0].resumed
    assert len(toys["runs"]) == 6


def test_shares_survive_on_disk(toy_job: Jobs, toy_data: Data, tmp_path: Path) -> None:
    keep = {"operator": "toy_shares", "name": "keep"}
    simulate(toy_job(keep, helper="h"), toy_data, tmp_path)
    job = toy_job(keep, {"operator": "toy_shares", "name": "open", "do": "open"}, helper="h")
    results = simulate(job, toy_data, tmp_path)
    assert results["a"].steps[0].resumed
    assert results["a"].summary("open") == {"x": [1.0, 2.0, 3.0, 4.0, 5.0]}
    assert results["b"].summary("open") == {"x": [1.0, 2.0, 3.0, 4.0, 5.0]}


def test_cancelling_wakes_a_party_that_waits(toy_job: Jobs, toy_data: Data, tmp_path: Path, toys: Any) -> None:
    net = memory.network(["a", "b"])
    job, stop, found = toy_job("toy_waits"), threading.Event(), {}

    def run(me: str, peer: str) -> None:
        try:
            run_party(
                job, me=me, dataset=toy_data[me], channels={peer: net[me][peer]}, workdir=tmp_path / me, cancelled=stop
            )
        except PpcError as error:
            found[me] = error

    threads = [threading.Thread(target=run, args=p) for p in (("a", "b"), ("b", "a"))]
    for t in threads:
        t.start()
    assert toys["waiting"].wait(20)
    began = time.monotonic()
    stop.set()
    for ends in net.values():
        for channel in ends.values():
            channel.cancel()
    for t in threads:
        t.join(20)
    assert time.monotonic() - began < 5
    assert isinstance(found["a"], JobCancelled)
    assert isinstance(found["b"], JobCancelled)
    assert "step 'toy_waits0'" in (found["a"].where or "")


def test_a_vanished_peer_is_named(toy_job: Jobs, toy_data: Data, tmp_path: Path) -> None:
    a, b = memory.pair("a", "b")
    b.close()
    with pytest.raises(PeerUnavailable) as caught:
        run_party(toy_job("toy_total"), me="a", dataset=toy_data["a"], channels={"b": a}, workdir=tmp_path)
    assert caught.value.party == "b"


def test_a_stranger_cannot_run_a_job(toy_job: Jobs, toy_data: Data, tmp_path: Path) -> None:
    with pytest.raises(JobFileError, match="'c' is not a party"):
        run_party(toy_job("toy_total"), me="c", dataset=toy_data["a"], channels={}, workdir=tmp_path)


def test_a_helper_in_the_job_needs_its_channel(toy_job: Jobs, toy_data: Data, tmp_path: Path) -> None:
    with pytest.raises(JobFileError, match="no channel to it"):
        run_party(toy_job("toy_total", helper="h"), me="a", dataset=toy_data["a"], channels={}, workdir=tmp_path)


def test_the_fingerprint_follows_every_value() -> None:
    table = pa.table({"x": [1.0, 2.0, None], "y": ["a", "b", "c"]})
    base = fingerprint(Dataset.from_arrow(table))
    assert fingerprint(Dataset.from_arrow(pa.table({"x": [1.0, 2.0, None], "y": ["a", "b", "c"]}))) == base
    assert fingerprint(Dataset.from_arrow(pa.table({"x": [1.0, 2.5, None], "y": ["a", "b", "c"]}))) != base
    assert fingerprint(Dataset.from_arrow(pa.table({"x": [1.0, 2.0, None], "z": ["a", "b", "c"]}))) != base

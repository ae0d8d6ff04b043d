"""What parties tell each other in public, and what a hostile peer can do with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppc.dataset.dataset import Dataset
from ppc.errors import FrameError, JobCancelled, ProtocolAbort
from ppc.joint import Event, Job
from ppc.joint.artifacts import Store
from ppc.joint.context import Runtime
from ppc.net import memory


@pytest.fixture
def runtimes(toy_job: Callable[..., Job], toy_data: dict[str, Dataset], tmp_path: Path) -> dict[str, Runtime]:
    net = memory.network(["a", "b"])
    job = toy_job("toy_total")
    return {
        me: Runtime(job, me, toy_data[me], dict(net[me].items()), None, Store(tmp_path / me), tmp_path)
        for me in ("a", "b")
    }


def both(runtimes: dict[str, Runtime], act: Callable[[Runtime], Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def one(runtime: Runtime) -> None:
        try:
            found[runtime.me] = act(runtime)
        except Exception as error:
            found[runtime.me] = error

    threads = [threading.Thread(target=one, args=(r,)) for r in runtimes.values()]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
    return found


def test_notes_reach_all_in_rank_order(runtimes: dict[str, Runtime]) -> None:
    found = both(runtimes, lambda r: r.gather("x", {"me": r.me, "v": [1.5, float("inf")]}))
    assert found["a"] == found["b"]
    assert list(found["a"]) == ["a", "b"]
    assert found["a"]["b"] == {"me": "b", "v": [1.5, float("inf")]}
    told = both(runtimes, lambda r: r.publish("y", r.me if r.me == "b" else None, "b"))
    assert told == {"a": "b", "b": "b"}


def test_agreement_is_checked_at_both(runtimes: dict[str, Runtime]) -> None:
    assert both(runtimes, lambda r: r.agree("n", 3)) == {"a": None, "b": None}
    found = both(runtimes, lambda r: r.agree("number of rows", r.me))
    for me, peer in (("a", "b"), ("b", "a")):
        assert isinstance(found[me], ProtocolAbort)
        assert found[me].party == peer
        assert "number of rows" in found[me].what


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_note_that_is_no_json_names_the_peer(runtimes: dict[str, Runtime], data: bytes) -> None:
    runtimes["b"].channels["a"].send_bytes("note x", data)
    with pytest.raises(FrameError) as caught:
        runtimes["a"]._note("b", "x")
    assert caught.value.party == "b"


def test_another_program_is_noticed(runtimes: dict[str, Runtime]) -> None:
    runtimes["b"].channels["a"].send("something else", np.zeros(3))
    with pytest.raises(FrameError) as caught:
        runtimes["a"].gather("x", 1)
    assert caught.value.party == "b"


def test_reports_carry_the_cost_and_stop_a_cancelled_job(runtimes: dict[str, Runtime]) -> None:
    events: list[Event] = []
    a = runtimes["a"]
    a.progress = events.append
    a.step = "one"
    both(runtimes, lambda r: r.gather("x", 1))
    a.report(1.7, "x")
    assert events[0].fraction == 1.0
    assert (events[0].rounds, events[0].party, events[0].step) == (1, "a", "one")
    assert events[0].sent == events[0].received > 0
    a.cancelled.set()
    with pytest.raises(JobCancelled) as caught:
        a.report(0.1, "x")
    assert "step 'one'" in (caught.value.where or "")

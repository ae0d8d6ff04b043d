"""All parties in one process."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ppc.dataset.dataset import Dataset
from ppc.errors import JobFileError
from ppc.joint import Job, simulate

Jobs = Callable[..., Job]
Data = dict[str, Dataset]


def test_temporary_artifacts_live_as_long_as_the_results(toy_job: Jobs, toy_data: Data) -> None:
    results = simulate(toy_job("toy_total"), toy_data)
    root = results["a"].artifacts.root
    one = results.pop("b")
    del results
    gc.collect()
    assert root.exists()
    assert len(one.artifacts.of("toy_total0").array("x")) == 4
    del one
    gc.collect()
    assert not root.exists()


def test_datasets_must_be_the_parties(toy_job: Jobs, toy_data: Data) -> None:
    with pytest.raises(JobFileError, match="no dataset was given") as caught:
        simulate(toy_job("toy_total"), {"a": toy_data["a"]})
    assert caught.value.party == "b"
    with pytest.raises(JobFileError, match="'c' is not a party"):
        simulate(toy_job("toy_total"), {**toy_data, "c": toy_data["a"]})


def test_latency_is_paid(toy_job: Jobs, toy_data: Data) -> None:
    began = time.monotonic()
    result = simulate(toy_job("toy_total"), toy_data, latency_s=0.02)["a"]
    assert time.monotonic() - began >= 0.02 * result.cost.rounds


def test_a_keyboard_interrupt_stops_every_thread(toy_job: Jobs, toy_data: Data, toys: Any) -> None:
    def press() -> None:
        toys["waiting"].wait(20)
        os.kill(os.getpid(), signal.SIGINT)

    before = threading.active_count()
    threading.Thread(target=press).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        simulate(toy_job("toy_waits"), toy_data)
    assert time.monotonic() - began < 10
    assert threading.active_count() == before

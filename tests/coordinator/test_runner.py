from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ppc.coordinator.runner import Runner, ask
from ppc.errors import FileError, InternalError


def inspection(**datasets: Path) -> dict[str, Any]:
    settings = {n: {"name": n, "path": str(p), "schema": None, "hide": ["hidden*"]} for n, p in datasets.items()}
    return {"task": "inspect", "me": "bank-a", "operators": [], "datasets": settings}


def test_a_child_looks_at_data_and_gives_its_memory_back(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("id,x,hidden_1\n1,2.5,3\n2,,4\n")
    answer = ask(inspection(customers=path), tmp_path / "log", 60)
    assert answer["event"] == "inspected"
    found = answer["datasets"]["customers"]
    assert found["rows"] == 2
    assert "hidden_1" not in found["schema"] + found["public"]
    assert "fields.x" in found["public"]
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_an_error_in_a_child_comes_back_in_two_forms(tmp_path: Path) -> None:
    answer = ask(inspection(customers=tmp_path / "none.csv"), tmp_path / "log", 60)
    assert answer["event"] == "failed"
    assert str(tmp_path) in answer["own"]["where"]
    assert str(tmp_path) not in str(answer["fault"])
    assert answer["own"]["code"] == answer["fault"]["code"] == FileError.code
    assert "dataset 'customers'" in answer["own"]["where"]


def test_nothing_of_the_task_is_in_the_arguments_or_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    os.mkfifo(path)  # the child waits for it, however long we take to look
    ended = threading.Event()
    runner = Runner(
        inspection(customers=path), tmp_path / "log", lambda m: ended.set() if m["event"] == "exit" else None
    )
    process = psutil.Process(runner.pid)
    while not process.cmdline():  # the kernel is still changing the program
        time.sleep(0.01)
    assert process.cmdline()[-2:] == ["-m", "ppc.coordinator.worker"]
    assert str(path) not in "".join(process.cmdline()) + "".join(process.environ().values())
    runner.kill()
    assert ended.wait(60)


def test_a_child_that_hangs_is_killed(tmp_path: Path) -> None:
    messages: list[Any] = []
    os.mkfifo(tmp_path / "pipe.csv")
    runner = Runner(inspection(customers=tmp_path / "pipe.csv"), tmp_path / "log", messages.append)
    runner.cancel()
    runner.tick()
    assert not messages  # it has some time to stop by itself
    runner.kill()
    assert runner.wait(10)
    assert messages[-1] == {"event": "exit", "code": -9}
    runner.send({"do": "cancel"})  # nobody there: no error
    runner.kill()


def test_asking_takes_no_longer_than_allowed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    began = time.monotonic()
    with pytest.raises(InternalError, match="did not end within"):
        ask(inspection(customers=tmp_path / "pipe.csv"), tmp_path / "log", 1.0)
    assert time.monotonic() - began < 8


def test_a_child_ends_with_its_agent(tmp_path: Path) -> None:
    """However the agent dies: a process that only starts a child is killed."""
    os.mkfifo(tmp_path / "pipe.csv")
    task = inspection(customers=tmp_path / "pipe.csv")
    script = (
        "import time\nfrom pathlib import Path\nfrom ppc.coordinator.runner import Runner\n"
        f"r = Runner({task!r}, Path({str(tmp_path / 'log')!r}), print)\n"
        "print(r.pid, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = psutil.Process(int(owner.stdout.readline()))
        time.sleep(0.5)
        owner.kill()
    gone, _alive = psutil.wait_procs([child], timeout=10)
    assert gone


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write the log"):
        Runner({}, tmp_path / "file" / "log", print)

"""`ppc demo credit` as a person runs it: one command, real processes, a report."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ppc.demos import german

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("processes")]


def _ppc(*arguments: str, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ppc.cli", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )


def _mine(folder: Path) -> list[psutil.Process]:
    """Processes of a demonstration that still run: their arguments name its folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or ()):
            found.append(process)
    return found


def test_german_credit(tmp_path: Path) -> None:
    done = _ppc("demo", "credit", "--json", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert abs(result["auc_joint"] - result["auc_pooled"]) <= 0.005
    assert result["max_coefficient_difference"] <= 1e-2
    assert result["rows_matched"] == 900
    assert result["processes"] == 4
    assert result["rounds"] > 0 < result["bytes"]
    assert 0.6 < result["auc_joint"] < 0.95
    assert 0 < result["ks_joint"] < 1
    page = Path(result["report"]).read_text()
    assert "Joint, pooled, alone" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert not _mine(tmp_path)


def test_own_files_with_the_label_at_the_second_bank_and_no_helper(tmp_path: Path) -> None:
    a, b = german.split(tmp_path)
    done = _ppc(
        "demo", "credit", "--left", str(b), "--right", str(a), "--key", german.KEY, "--label", german.LABEL,
        "--positive", "bad", "--no-helper", "--out", str(tmp_path / "out"), "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["rows_matched"] == 900
    assert result["processes"] == 3
    assert result["max_coefficient_difference"] <= 1e-2


def test_a_typing_mistake_is_answered_before_anything_starts(tmp_path: Path) -> None:
    a, b = german.split(tmp_path)
    done = _ppc(
        "demo", "credit", "--left", str(a), "--right", str(b), "--key", "customer", "--label", german.LABEL,
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout == ""
    assert "error[PPC-E105]: there is no key column 'customer'" in done.stderr
    assert "Did you mean 'customer_id'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "ppc.cli", "demo", "credit", "--out", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while len(_mine(tmp_path)) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(_mine(tmp_path)) >= 5
        os.killpg(demo.pid, signal.SIGINT)
        _, errors = demo.communicate(timeout=30)
    finally:
        if demo.poll() is None:
            demo.kill()
            demo.communicate()
    assert demo.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    deadline = time.monotonic() + 10
    while _mine(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _mine(tmp_path)

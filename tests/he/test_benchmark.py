"""The benchmark still runs, and judges its figures as it says."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "he.py"
    spec = importlib.util.spec_from_file_location("benchmark_he", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("ratio", "value", "target", "met"),
    [
        (15.0, 1.0, ">= 15", True),
        (14.9, 1.0, ">= 15", False),
        (1.1, 5.0, "<= 1.1", True),
        (1.2, 5.0, "<= 1.1", False),
        (None, 1.9, "< 2 s", True),
        (None, 2.1, "< 2 s", False),
        (None, 2.1, "", None),
        (None, None, ">= 15", None),
        (float("nan"), 1.0, ">= 15", False),
    ],
)
def test_verdicts(benchmark, capsys, ratio, value, target, met):
    benchmark.Report(True).line("work", value, "ms", ratio=ratio, target=target)
    assert lines(capsys)[0]["met"] is met


def test_a_peer_that_is_not_installed_says_so(benchmark, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "HEU_PYTHON", Path("/nowhere/python"))
    assert benchmark.run_heu(2048, 4) is None
    benchmark.Report(False).line("work", None, "ms", peer="heu")
    assert "not installed" in capsys.readouterr().out


@pytest.mark.heavy
def test_it_runs(benchmark, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "HEU_PYTHON", Path("/nowhere/python"))
    report = benchmark.Report(True)
    if os.environ.get("PPC_HEAVY") == "1":
        monkeypatch.setattr(sys, "argv", ["he.py", "--quick", "--json", "--bits", "2048"])
        benchmark.main()
    else:
        benchmark.scoring(report, ("client",))
    rows = lines(capsys)
    assert rows
    assert all(row["met"] is not False for row in rows if "error" in row["work"])  # speed is not judged here

"""The documentation says what the code does."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from ppc.desensitize.engines.sql import FUNCTIONS
from ppc.desensitize.policy import Policy
from ppc.desensitize.transform import get, names

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "desensitize.md").read_text("utf-8")


def test_the_table_of_transformations() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| (\w+) \| (`\w+`|no) \| ([\w ]+) \| (\w+) \| (\w+) \|$", PAGE, re.M)
    assert sorted(r[0] for r in rows) == names()
    for name, key, reverse, deterministic, joins, keeps in rows:
        t = get(name)
        assert key == t.keyed
        assert reverse.strip("`") == (t.reverse or "no")
        assert deterministic == ("yes" if t.deterministic else "if keyed")
        assert (joins, keeps) == tuple("yes" if b else "no" for b in (t.joins, t.keeps_format))


def test_the_policy_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "diagnosis.csv").write_text("influenza;flu;respiratory\n")
    text = re.search(r"```toml\n(.*?)```", PAGE, re.S)
    assert text is not None
    policy = Policy.from_toml(text[1], folder=tmp_path)
    assert len(policy.rule) == 7


def test_the_sql_functions_on_the_page() -> None:
    for f in FUNCTIONS:
        assert re.search(rf"`{f.name}\([^`]*\)`", PAGE), f.name


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "examples" / "03_etl_desensitize.py"
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    said = capsys.readouterr().out
    assert "decrypted cards equal the first ones: True" in said
    assert "13812345678" not in said


def test_the_benchmark_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Small and untimed, so that it cannot rot."""
    path = ROOT / "benchmarks" / "desensitize.py"
    monkeypatch.setattr(sys, "argv", [str(path), "--json", "--rows", "2000", "--repeats", "1", "--gigabytes", "0.005"])
    module = runpy.run_path(str(path))
    monkeypatch.setitem(module["main"].__globals__, "PEERS", ROOT / "no-such-folder")
    assert module["main"]() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 20
    assert all(line.startswith('{"work": ') for line in lines)

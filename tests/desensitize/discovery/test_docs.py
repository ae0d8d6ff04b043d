"""The page names all that is looked for; the example and the benchmarks run."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from ppc.desensitize.discovery.catalogue import builtin
from ppc.desensitize.grading import available

ROOT = Path(__file__).parents[3]


def test_every_category_and_pack_is_on_the_page() -> None:
    page = (ROOT / "docs" / "discovery.md").read_text("utf-8")
    for category in {d.category for d in builtin()}:
        last = category.rpartition(".")[2]
        assert f"`{category}`" in page or f"`.{last}`" in page, category
    assert all(f"`{name}`" in page for name in available())


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "07_anonymize.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "person.phone" in said
    assert "rows released" in said


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("anonymity", ["--rows", "3000", "--measured", "1000", "--no-peers"]),
        ("discovery", ["--rows", "3000", "--no-peers"]),
    ],
)
def test_the_benchmarks_run(name: str, options: list[str]) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) >= 7
    assert all({"work", "value", "unit", "peer", "ratio", "target", "met"} <= set(line) for line in lines)
    assert all(line["value"] > 0 for line in lines)

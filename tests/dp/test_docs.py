"""The page about private statistics and its example do what they say."""

import re
import runpy
from pathlib import Path

import pytest

from ppc import dp

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "dp.md").read_text()


def test_the_python_on_the_page_runs(stays, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"stays": stays}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "docs/dp.md", "exec"), names)
    assert "mean(days)" in capsys.readouterr().out
    assert 0 < float(names["result"]) < 60
    assert len(names["answers"]) == 2
    names["result"].plot("days.png")
    dp.tradeoff(names["session"], dp.mean("days"), rows=10_000, path="tradeoff.png")
    names["session"].close()


def test_the_questions_on_the_page_can_be_asked(session):
    names = {**{n: getattr(dp, n) for n in dp.__all__}, "dp": dp}
    table = PAGE.split("## What can be asked")[1].split("Every query takes")[0]
    asked = 0
    for cell in re.findall(r"`([^`]+)`", table):
        if "(" in cell and not cell.startswith("session."):
            query = eval(
                cell.replace('bin("age", […])', 'bin("age", [0, 60, 120])').replace('"code"', '"patient"'), names
            )
            session.explain(query, epsilon=1, delta=1e-9)
            asked += 1
    assert asked >= 10


def test_the_costs_on_the_page_are_right():
    from decimal import Decimal

    found = dp.accountant.compare([dp.Charge.laplace(Decimal("0.1"), 1024)] * 100, 1e-6)
    row = re.search(r"\| basic \| zCDP.*?\n\|---.*?\n\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", PAGE)
    basic, zcdp, pld = map(float, row.groups())
    assert (basic, pld) == (found.basic, pytest.approx(found.pld, abs=0.05))
    assert zcdp == pytest.approx(found.zcdp, abs=0.1)


def test_the_example_runs(capsys):
    pytest.importorskip("lifelines")
    runpy.run_path(str(ROOT / "examples" / "06_private_statistics.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "For ± 0.5 years" in said
    assert said.count("refused:") == 2
    assert "spent so far 3\n" in said

"""The page about datasets and its example do what they say."""

import re
import runpy
import tomllib
from pathlib import Path

import duckdb
import pytest

from ppc.dataset import Schema, types

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "dataset.md").read_text()
CSV = "customer_id,age,income,city,default\n017,34,51000,Porto,0\n018,?,32500,Lisbon,1\n019,58,NA,Porto,0\n"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "customers.csv").write_text(CSV)
    with duckdb.connect(str(tmp_path / "bank.db")) as db:
        db.execute("CREATE TABLE loans AS SELECT 1 AS id, 2.5 AS amount, true AS open")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_on_the_page_runs(folder):
    names = {}
    for code in blocks("python"):
        if "finite=True" in code:  # the page says that it raises for a missing value: there is none in the label
            assert names["ds"].count("default") == len(names["ds"])
        exec(compile(code, "docs/dataset.md", "exec"), names)
    assert names["default_rate"](names["ds"]) == pytest.approx(1 / 3)
    assert (folder / "adults.parquet").exists()


def test_the_ways_in_on_the_page_work(folder):
    import ppc

    calls = re.findall(r"`(ppc\.read\(\"duckdb:[^`]*\))`", PAGE)
    assert len(calls) == 2
    for call in calls:
        assert len(eval(call, {"ppc": ppc})) == 1


def test_the_schema_on_the_page_is_one():
    (text,) = blocks("toml")
    assert Schema.from_toml(text).names == list(tomllib.loads(text)["fields"])


def test_the_types_on_the_page_exist():
    row = next(line for line in PAGE.splitlines() if line.startswith("| `type`"))
    for name in re.findall(r"`([^`]+)`", row)[1:]:
        assert types.canonical(name) == name


def test_the_example_runs(capsys):
    runpy.run_path(str(ROOT / "examples" / "01_dataset.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "default rate: 40%" in said
    assert "error[PPC-E108]: column 'income' should be float64, but a value is not" in said
    assert "fifty" not in said

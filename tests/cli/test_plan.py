from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

JOB = """\
name = "match"
parties = ["bank-a", "bank-b"]
[[step]]
operator = "align"
keys = ["id"]
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Two files with ten customers in common."""
    paths = {"job": tmp_path / "job.toml", "a": tmp_path / "a.csv", "b": tmp_path / "b.csv"}
    paths["job"].write_text(JOB)
    paths["a"].write_text("id,x\n" + "".join(f"c{i},{i}\n" for i in range(30)))
    paths["b"].write_text("id,y\n" + "".join(f"c{i},{i}\n" for i in range(20, 60)))
    return paths


def data(files: dict[str, Path]) -> list[str]:
    return ["--data", f"bank-a={files['a']}", "--data", f"bank-b={files['b']}"]


def test_a_plan_on_local_files(ppc: Any, files: dict[str, Path]) -> None:
    found = ppc("plan", files["job"], *data(files))
    assert found.status == 0, found.err
    assert "Parties  bank-a, bank-b" in found.out
    parts = json.loads(ppc("plan", files["job"], *data(files), "--json").out)
    assert parts["job"]["name"] == "match"
    assert parts["hash"] in found.out
    more = json.loads(ppc("plan", files["job"], *data(files), "--rows", "bank-a=1000000", "--json").out)
    assert more["hash"] == parts["hash"]


def test_a_plan_on_schemas_alone(ppc: Any, files: dict[str, Path], tmp_path: Path) -> None:
    for party, column in (("a", "x"), ("b", "y")):
        (tmp_path / f"{party}.toml").write_text(f'[fields.id]\ntype = "string"\n[fields.{column}]\ntype = "int64"\n')
    options = ["--schema", f"bank-a={tmp_path / 'a.toml'}", "--schema", f"bank-b={tmp_path / 'b.toml'}"]
    found = ppc("plan", files["job"], *options)
    assert found.status == 0, found.err


def test_a_simulation_shows_what_each_party_learns(ppc: Any, files: dict[str, Path], tmp_path: Path) -> None:
    found = ppc("simulate", files["job"], *data(files), "--out", tmp_path / "out", "--json")
    assert found.status == 0, found.err
    parts = json.loads(found.out)
    assert set(parts) == {"bank-a", "bank-b"}
    assert parts["bank-a"]["steps"][0]["summary"]["matched"] == 10
    assert parts["bank-a"]["bytes"] > 0
    assert (tmp_path / "out" / "bank-a").is_dir()
    text = ppc("simulate", files["job"], *data(files))
    assert text.status == 0
    assert "matched=10" in text.out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--data", "bank-a"], 3, "'bank-a' is not PARTY=VALUE"),
        (["--data", "bank-c=x.csv"], 3, "'bank-c' is not a party"),
        (["--data", "bank-a=x.csv", "--data", "bank-a=x.csv"], 3, "given twice"),
        ([], 3, "no data of bank-a"),
        (["--bandwidth-mbps", "0"], 3, "more than 0"),
        (["--bandwidth-mbps", "nan"], 3, "more than 0"),
        (["--operators", "no_such_module_here"], 3, "cannot be imported"),
    ],
)
def test_mistakes_of_a_simulation(
    ppc: Any, files: dict[str, Path], arguments: list[str], status: int, words: str
) -> None:
    found = ppc("simulate", files["job"], *arguments)
    assert found.status == status
    assert words in found.err
    assert "Traceback" not in found.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "key 'parties'"),
        ("name = = 1", "not valid TOML"),
        (JOB.replace("align", "aling"), "Did you mean 'align'?"),
        (JOB.replace('"id"', '"idd"'), "idd"),
        (JOB.replace("keys", "kees"), "kees"),
    ],
)
def test_mistakes_in_a_job_file(ppc: Any, files: dict[str, Path], text: str, words: str) -> None:
    files["job"].write_text(text)
    for command in ("plan", "simulate"):
        found = ppc(command, files["job"], *data(files))
        assert found.status == 3
        assert words in found.err


def test_a_job_file_that_is_not_there_or_no_text(ppc: Any, tmp_path: Path) -> None:
    assert ppc("plan", tmp_path / "none.toml", "--data", "a=b").status == 3
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in ppc("plan", tmp_path / "bad.toml", "--data", "a=b").err
    (tmp_path / "big.toml").write_bytes(b"#" * 300_000)
    assert "larger than" in ppc("submit", tmp_path / "big.toml").err


def test_commands_that_need_to_know_who_acts(
    ppc: Any, files: dict[str, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["jobs"],
        ["submit", files["job"]],
        ["watch", "x"],
        ["approve", "x"],
        ["cancel", "x"],
        ["catalog"],
    ):
        found = ppc(*arguments)
        assert found.status == 3
        assert "hint: say who you are: --config party.toml" in found.err

"""The commands: scan, inventory, risk, anonymize."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from ppc.cli import main
from ppc.cli._risk_report import steps
from ppc.dataset.schema import Role, Schema


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    with Path("people.csv").open("w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["phone", "age", "gender", "zip_code", "diagnosis"])
        for i in range(400):
            out.writerow(
                [f"138{i:08d}", rng.integers(20, 60), "MF"[i % 2], f"100{i % 7:02d}", ["flu", "cold"][i % 3 > 0]]
            )
    Path("h.toml").write_text(
        '[age]\nkind = "interval"\nwidths = [10, 20]\nlow = 0\nhigh = 100\n[zip_code]\nkind = "prefix"\nkeep = [3, 0]\n'
    )
    return tmp_path


def test_from_a_scan_to_a_release(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "people.csv"]) == 0
    said = capsys.readouterr()
    assert "person.phone" in said.out
    assert "5 columns added" in said.err
    assert "13800000001" not in said.out + said.err + Path("people.schema.toml").read_text("utf-8")
    schema = Schema.read("people.schema.toml")
    assert [f.role for f in schema] == [Role.IDENTIFIER, *[Role.QUASI_IDENTIFIER] * 3, Role.SENSITIVE]

    assert main(["inventory", "."]) == 0
    listed = capsys.readouterr().out
    assert "diagnosis" in listed
    assert main(["catalog", "."]) == 0
    assert capsys.readouterr().out == listed, "of folders here, catalog says the same"
    assert main(["inventory", ".", "--grade", "4", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [c["column"] for c in listed["datasets"][0]["columns"]] == ["diagnosis"]

    assert main(["risk", "people.csv", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert before["quasi_identifiers"] == ["age", "gender", "zip_code"]
    assert before["risk"]["k"] == 1

    # A column that names people is not released beside generalized ones.
    release = ["anonymize", "people.csv", "--k", "5", "--l", "2", "--hierarchies", "h.toml", "--out", "out.csv"]
    assert main(release) == 4
    assert "identifies people" in capsys.readouterr().err
    assert not Path("out.csv").exists()
    assert main([*release, "--drop-identifiers", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["rows"] + made["left_out"] == 400
    assert set(made["levels"]) == {"age", "gender", "zip_code"}
    assert main(["risk", "out.csv", "--original", "people.csv", "--html", "r.html", "--label", "diagnosis"]) == 0
    said = capsys.readouterr()
    assert "model after" in said.out
    assert "wrote r.html" in said.err
    page = Path("r.html").read_text("utf-8")
    assert page.count("<svg") >= 3
    assert "What each column adds" in page
    assert main(["risk", "out.csv", "--json"]) == 0
    after = json.loads(capsys.readouterr().out)
    assert after["risk"]["k"] >= 5
    assert after["sensitive"][0]["distinct_l"] >= 2


def test_columns_named_by_hand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["risk", "people.csv"]) == 3
    assert "no quasi-identifiers are named" in capsys.readouterr().err
    assert (
        main(["risk", "people.csv", "--qi", "age,gender", "--sensitive", "diagnosis", "--population", "people.csv"])
        == 0
    )
    said = capsys.readouterr().out
    assert "k-map" in said
    assert "diagnosis: t, equal" in said
    mondrian = ["anonymize", "people.csv", "-k", "4", "-q", "age", "-q", "zip_code", "--method", "mondrian"]
    assert main([*mondrian, "-o", "m.parquet"]) == 0
    assert "ranges of its own" in capsys.readouterr().out
    assert Schema.read("m.schema.toml").by_role(Role.QUASI_IDENTIFIER)
    for wrong, says in (
        (["-o", "people.csv"], "the output is the input"),
        (["-o", "x.csv", "--suppression", "2"], "suppression"),
        (["-o", "x.csv", "-k", "401"], "k is 401"),
    ):
        assert main([*mondrian, *wrong]) in (3, 4)
        assert says in capsys.readouterr().err
    assert not Path("x.csv").exists()


def test_options_of_scan(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("own.toml").write_text(
        '[[detector]]\nname = "z"\ncategory = "org.zone"\npattern = \'100\\d\\d\'\nnames = ["zip_code"]\nnamed = 0.95\n'
    )
    arguments = ["scan", "people.csv", "--no-write", "--all", "--pack", "hipaa", "-d", "own.toml", "--json"]
    assert main(arguments) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert not Path("people.schema.toml").exists()
    assert found["packs"] == ["hipaa 2013.1"]
    assert {c["column"]: c["category"] for c in found["columns"]}["zip_code"] == "org.zone"
    assert main(["scan", "people.csv", "--out", "other.toml", "--rows", "50"]) == 0
    assert Schema.read("other.toml").names[0] == "phone"
    assert main(["scan", "--packs"]) == 0
    assert "JR/T 0197-2020" in capsys.readouterr().out
    for wrong, says in (
        (["scan"], "name a file"),
        (["scan", "people.csv", "h.toml", "--out", "x.toml"], "one file"),
        (["scan", "gone.csv"], "gone.csv"),
        (["scan", "people.csv", "--pack", "gdrp"], "Did you mean 'gdpr'"),
        (["scan", "duckdb:///x.db?table=t"], "Name a schema file"),
        (["inventory", "people.csv"], "ppc scan people.csv"),
        (["inventory", "gone"], "gone"),
    ):
        assert main(wrong) == 3
        assert says in capsys.readouterr().err


def test_the_curve_of_risk_falls_where_a_class_size_has_its_risk() -> None:
    # One row alone, a class of 2, a class of 4: risks 1, 1/2, 1/4 for 1, 2 and 4 rows of 7.
    x, y = steps([(1, 1), (2, 1), (4, 1)])
    assert x.tolist() == [0, 0.25, 0.25, 0.5, 0.5, 1, 1]
    assert y.tolist() == pytest.approx([1, 1, 3 / 7, 3 / 7, 1 / 7, 1 / 7, 0])

"""The inventory: what lies in a folder, the gravest first."""

import json
from pathlib import Path

import pytest

from ppc.dataset import Field, Grade, Role, Schema
from ppc.desensitize.discovery import inventory
from ppc.errors import ConfigError, FileError, SchemaError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    Schema((Field("sku", "string", grade=Grade.PUBLIC), Field("x", "int64"))).write(tmp_path / "goods.schema.toml")
    patients = Schema(
        (
            Field("mrn", "string", category="health.record", role=Role.IDENTIFIER),
            Field("hiv", "bool", category="health.special", grade=Grade.RESTRICTED),
            Field("ward", "string", category="none"),
        ),
        "patients",
    )
    patients.write(tmp_path / "deep" / "p.schema.toml")
    (tmp_path / "deep" / "p.csv").write_text("mrn,hiv,ward\n")
    return tmp_path


def test_datasets_columns_and_grades(folder: Path) -> None:
    found = inventory([folder, folder / "deep" / "p.csv", folder / "goods.schema.toml"], packs=["pipl", "gdpr"])
    assert [(d.name, d.grade) for d in found.datasets] == [("patients", 5), ("goods", 1)]
    mrn, hiv, ward = found.datasets[0].entries
    assert mrn.grade == 4  # the schema has none: the rules give it
    assert [b.clause for b in mrn.bases] == ["PIPL Art. 28; GB/T 45574-2025, 6.4", "GDPR Art. 9(1), Art. 4(15)"]
    assert hiv.grade == 5
    assert (ward.grade, ward.bases) == (None, ())
    assert json.loads(json.dumps(found.to_dict()))["datasets"][0]["columns"][1]["grade"] == 5


def test_the_grave_ones_only(folder: Path) -> None:
    found = inventory([folder], packs=["pipl"])
    assert [row[2] for row in found.table(4)[1]] == ["mrn", "hiv"]
    assert len(found.table()[1]) == 5
    assert [len(d["columns"]) for d in found.to_dict(5)["datasets"]] == [1, 0]


def test_errors(folder: Path) -> None:
    (folder / "bare.csv").write_text("a\n")
    with pytest.raises(FileError, match="no schema beside it"):
        inventory([folder / "bare.csv"])
    with pytest.raises(FileError):
        inventory([folder / "missing"])
    with pytest.raises(ConfigError):
        inventory([folder], packs=["pipel"])
    (folder / "bad.schema.toml").write_text("fields = 1")
    with pytest.raises(SchemaError):
        inventory([folder])

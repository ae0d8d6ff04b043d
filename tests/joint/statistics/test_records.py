"""Hospital records in the standards' own forms: OMOP CDM tables and FHIR bulk files."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ppc.dataset.schema import Role
from ppc.errors import ColumnError, ConfigError, FileError
from ppc.joint.statistics import fhir, omop
from ppc.joint.statistics.extract import Extract, Measure

ON = dt.date(2020, 1, 1)
CDM = Extract(
    ON,
    conditions={"diabetes": (201826,)},
    measures={"chol": Measure((3027114,), unit=8840), "first_chol": Measure((3027114,), which="first")},
    drugs={"statin": (1545958,)},
)


def tables() -> dict[str, pa.Table]:
    day = [dt.date(2015, 1, 1), dt.date(2019, 1, 1), dt.date(2021, 1, 1)]
    return {
        "person": pa.table(
            {"person_id": [1, 2, 3], "gender_concept_id": [8507, 8532, 0], "year_of_birth": [1950, 1960, None]}
        ),
        "condition_occurrence": pa.table(
            # 443238 descends from 201826; person 3 falls ill after the study's day.
            {"person_id": [1, 2, 3], "condition_concept_id": [443238, 5, 201826], "condition_start_date": day}
        ),
        "measurement": pa.table({
            "person_id": [1, 1, 1, 2], "measurement_concept_id": [3027114] * 3 + [9], "unit_concept_id": [8840] * 4,
            "measurement_date": [*day, day[0]], "value_as_number": [200.0, 220.0, 240.0, 7.0],
        }),
        "drug_exposure": pa.table(
            {"person_id": [2], "drug_concept_id": [1545958], "drug_exposure_start_date": [day[0]]}
        ),
        "concept_ancestor": pa.table({"ancestor_concept_id": [201826], "descendant_concept_id": [443238]}),
    }  # fmt: skip


@pytest.fixture(params=["folder", "duckdb"])
def cdm(request: Any, tmp_path: Path) -> Path:
    if request.param == "folder":
        for name, table in tables().items():
            pq.write_table(table, tmp_path / f"{name}.parquet")
        return tmp_path
    path = tmp_path / "it's a cdm.duckdb"
    with duckdb.connect(str(path)) as db:
        for name, table in tables().items():
            db.register("incoming", table)
            db.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
            db.unregister("incoming")
    return path


def test_omop(cdm: Path) -> None:
    found = omop.read(cdm, CDM)
    assert found.to_arrow().to_pylist() == [
        {"person": "1", "sex": "male", "age": 70.0, "diabetes": 1, "statin": 0, "chol": 220.0, "first_chol": 200.0},
        {"person": "2", "sex": "female", "age": 60.0, "diabetes": 0, "statin": 1, "chol": None, "first_chol": None},
        {"person": "3", "sex": None, "age": None, "diabetes": 0, "statin": 0, "chol": None, "first_chol": None},
    ]
    assert found.schema["person"].role is Role.IDENTIFIER
    assert omop.read(cdm, CDM, descendants=False).to_arrow()["diabetes"].to_pylist() == [0, 0, 0]


def test_omop_says_what_is_missing_or_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        omop.read(tmp_path / "nothing", CDM)
    with pytest.raises(FileError, match="no table 'person'"):
        omop.read(tmp_path, CDM)
    parts = tables()
    pq.write_table(parts["person"], tmp_path / "person.parquet")
    with pytest.raises(FileError, match="condition_occurrence"):
        omop.read(tmp_path, CDM)
    with pytest.raises(ConfigError, match="whole number"):
        pq.write_table(parts["condition_occurrence"], tmp_path / "condition_occurrence.parquet")
        omop.read(tmp_path, Extract(ON, conditions={"x": ("1) OR (1=1",)}))
    two = parts["measurement"].set_column(2, "unit_concept_id", pa.array([8840, 8753, 8840, 8840]))
    pq.write_table(two, tmp_path / "measurement.parquet")
    with pytest.raises(ColumnError, match="'chol' has values in 2 units"):
        omop.read(tmp_path, Extract(ON, measures={"chol": Measure((3027114,))}))
    pq.write_table(parts["person"].rename_columns(["person_id", "a", "b"]), tmp_path / "person.parquet")
    with pytest.raises(ColumnError, match="not of the OMOP CDM"):
        omop.read(tmp_path, Extract(ON))
    with pytest.raises(ConfigError, match="more than once"):
        Extract(ON, conditions={"age": (1,)})


def write(folder: Path, name: str, *resources: dict[str, Any]) -> None:
    (folder / name).write_text("\n".join(json.dumps(r) for r in resources) + "\n")


def observation(person: str, day: str, value: Any, unit: str = "mg/dL") -> dict[str, Any]:
    return {"resourceType": "Observation", "subject": {"reference": f"Patient/{person}"}, "effectiveDateTime": day,
            "code": {"coding": [{"system": "http://loinc.org", "code": "2093-3"}]},
            "valueQuantity": {"value": value, "unit": unit, "code": unit}}  # fmt: skip


@pytest.fixture
def bulk(tmp_path: Path) -> Path:
    first = {"resourceType": "Patient", "id": "a", "gender": "female", "birthDate": "1950-06-15"}
    write(tmp_path, "Patient.000.ndjson", first, {**first, "id": "b", "gender": "other", "birthDate": "1980"})
    write(tmp_path, "Condition.ndjson", {
        "resourceType": "Condition", "subject": {"reference": "Patient/a"}, "onsetDateTime": "2010-05",
        "code": {"coding": [{"code": "E11"}, {"code": "44054006"}]},
    })  # fmt: skip
    earlier, later = observation("a", "2012-01-01", 210), observation("a", "2018-01-01T10:00:00Z", 190.5)
    write(tmp_path, "Observation.ndjson", earlier, later, observation("b", "2021-01-01", 150))
    return tmp_path


BULK = Extract(ON, conditions={"diabetes": ("44054006",)}, measures={"chol": Measure(("2093-3",), unit="mg/dL")})


def test_fhir(bulk: Path) -> None:
    found = fhir.read(bulk, BULK)
    assert found.to_arrow().to_pylist() == [
        {"person": "a", "sex": "female", "age": 69.0, "diabetes": 1, "chol": 190.5},
        {"person": "b", "sex": None, "age": 39.0, "diabetes": 0, "chol": None},
    ]
    assert found.schema["chol"].unit == "mg/dL"


def test_fhir_says_what_is_wrong(bulk: Path, tmp_path: Path) -> None:
    write(bulk, "Observation.1.ndjson", observation("b", "2015-01-01", 5.2, "mmol/L"))
    with pytest.raises(ColumnError, match="'chol' has values in 2 units"):
        fhir.read(bulk, BULK)
    (bulk / "Patient.1.ndjson").write_text('{"resourceType": "Patient", "id": "c"}\n{"broken\n')
    with pytest.raises(FileError, match="not a FHIR resource") as raised:
        fhir.read(bulk, BULK)
    assert "Patient.1.ndjson, line 2" in str(raised.value)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileError, match=r"no \*\.ndjson files"):
        fhir.read(empty, BULK)


# --- OMOP in PostgreSQL ---
@pytest.fixture
def server(postgres: str) -> Iterator[str]:
    """The tables in a schema of their own, with columns that a study does not need."""
    import sqlalchemy as sa

    engine = sa.create_engine(postgres.replace("postgresql://", "postgresql+psycopg://"))
    kinds = {"int64": "bigint", "date32[day]": "date", "double": "numeric", "null": "bigint"}
    with engine.begin() as db:
        db.execute(sa.text("DROP SCHEMA IF EXISTS cdm CASCADE"))
        db.execute(sa.text("CREATE SCHEMA cdm"))
        for name, table in tables().items():
            columns = ", ".join(f"{f.name} {kinds[str(f.type)]}" for f in table.schema)
            db.execute(sa.text(f"CREATE TABLE cdm.{name} ({columns}, note text DEFAULT 'private')"))
            names = table.column_names
            values = ", ".join(f":{c}" for c in names)
            db.execute(sa.text(f"INSERT INTO cdm.{name} ({', '.join(names)}) VALUES ({values})"), table.to_pylist())
    yield postgres
    engine.dispose()


@pytest.mark.postgres
def test_omop_from_postgresql_is_that_from_files(server: str, tmp_path: Path) -> None:
    for name, table in tables().items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    for descendants in (True, False):
        here = omop.read(server, CDM, schema="cdm", descendants=descendants)
        assert here.to_arrow() == omop.read(tmp_path, CDM, descendants=descendants).to_arrow()


@pytest.mark.postgres
def test_only_the_needed_rows_and_columns_leave_the_database(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ppc.joint.statistics.omop_postgres import _Fetch

    seen: dict[str, Any] = {}
    real = _Fetch.copy

    def spy(self: Any, name: str, *rest: Any) -> Any:
        found = real(self, name, *rest)
        rows = self.duck.execute(f"SELECT * FROM {name}")
        seen[name] = ([d[0] for d in rows.description], len(rows.fetchall()))
        return found

    monkeypatch.setattr(_Fetch, "copy", spy)
    omop.read(server, Extract(ON, measures={"chol": Measure((3027114,))}), schema="cdm")
    assert set(seen) == {"person", "concept_ancestor", "measurement"}
    assert "note" not in seen["person"][0]
    assert seen["measurement"][1] == 2  # not the other concept's row, nor that after the study's day
    assert seen["concept_ancestor"][1] == 0


@pytest.mark.postgres
def test_what_is_wrong_with_a_database_is_said_without_its_password(server: str) -> None:
    import sqlalchemy as sa

    with pytest.raises(FileError, match="no table 'person'"):
        omop.read(server, CDM, schema="elsewhere")
    engine = sa.create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as db:
        db.execute(sa.text("ALTER TABLE cdm.person RENAME COLUMN year_of_birth TO born"))
    engine.dispose()
    with pytest.raises(ColumnError, match=r"not of the OMOP CDM.*year_of_birth"):
        omop.read(server, CDM, schema="cdm")
    with pytest.raises(FileError, match="cannot reach the database") as raised:
        omop.read("postgresql://ppc:topsecret@127.0.0.1:1/cdm?connect_timeout=2", CDM)
    assert "topsecret" not in str(raised.value)
    assert "***" in str(raised.value)


def test_only_a_database_has_schemas(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only a PostgreSQL database has schemas"):
        omop.read(tmp_path, CDM, schema="cdm")
    with pytest.raises(ConfigError, match="not a database URL"):
        omop.read("postgresql://host:port/cdm", CDM)

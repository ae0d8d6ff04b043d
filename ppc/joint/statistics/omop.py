"""OMOP CDM tables (person, condition_occurrence, measurement, drug_exposure) as a study's dataset, by DuckDB.

From a PostgreSQL database only the rows and columns that the study needs are fetched first (`omop_postgres`).

Source: OHDSI, OMOP Common Data Model v5.4: the tables' columns, and the concepts of gender.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from ppc.dataset.dataset import Dataset
from ppc.errors import ColumnError, ConfigError, FileError
from ppc.joint.statistics.extract import Code, Extract, assemble, wrong_unit

MALE, FEMALE = 8507, 8532
_TABLES: Final = ("person", "condition_occurrence", "measurement", "drug_exposure", "concept_ancestor")
_READERS: Final = {".parquet": "read_parquet", ".csv": "read_csv"}


def read(
    source: str | Path,
    extract: Extract,
    *,
    descendants: bool = True,
    name: str = "patients",
    schema: str | None = None,
) -> Dataset:
    """One row for each person.

    Args:
        source: a folder with `person.parquet` (or `.csv`) and so on, a DuckDB file that has the tables, or the URL of a
            PostgreSQL database (`postgresql://user@host/name`; needs `pip install 'ppc[postgres]'`).
        extract: its codes are standard concept ids (integers); a measure's unit is a unit concept id.
        descendants: take a concept's descendants too, where there is a table `concept_ancestor`.
        schema: of a PostgreSQL database, where the tables lie (default: its search path).

    Raises:
        FileError: a table that is needed is missing, or the database cannot be read. ColumnError: a measure in several
            units, or a table's column.
    """
    import duckdb

    url = str(source) if str(source).startswith(("postgresql://", "postgresql+psycopg://", "postgres://")) else None
    if schema is not None and url is None:
        raise ConfigError("only a PostgreSQL database has schemas", where="schema")
    path = Path("a PostgreSQL database" if url else source)
    connection = duckdb.connect()
    try:
        if url is not None:
            from ppc.joint.statistics import omop_postgres

            known = omop_postgres.fetch(connection, url, schema, extract, descendants=descendants)
        else:
            known = _open(connection, path)
        if "person" not in known:
            raise FileError("there is no table 'person'", where=str(path))
        return _Reader(connection, known, path, extract, descendants).read(name)
    except (duckdb.BinderException, duckdb.CatalogException) as error:
        raise ColumnError(f"a table is not of the OMOP CDM: {str(error).splitlines()[0]}", where=str(path)) from None
    finally:
        connection.close()


def _open(connection: Any, path: Path) -> set[str]:
    """Make the tables known by their names; which there are."""
    known = set()
    if path.is_dir():
        for table in _TABLES:
            for suffix, reader in _READERS.items():
                file = path / f"{table}{suffix}"
                if file.exists() and table not in known:
                    quoted = str(file).replace("'", "''")
                    connection.execute(f"CREATE VIEW {table} AS SELECT * FROM {reader}('{quoted}')")
                    known.add(table)
        return known
    if not path.is_file():
        raise FileError("no such file or folder", where=str(path))
    quoted = str(path).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS cdm (READ_ONLY)")
    connection.execute("USE cdm")
    return {row[0].lower() for row in connection.execute("SHOW TABLES").fetchall()}


class _Reader:
    def __init__(self, connection: Any, known: set[str], path: Path, extract: Extract, descendants: bool) -> None:
        self.run, self.known, self.path, self.extract = connection.execute, known, path, extract
        self.descendants = descendants and "concept_ancestor" in known

    def read(self, name: str) -> Dataset:
        rows = self.run("SELECT person_id, gender_concept_id, year_of_birth FROM person").fetchall()
        sex = {MALE: "male", FEMALE: "female"}
        people = {
            str(p): (sex.get(g), None if born is None else float(self.extract.on.year - born)) for p, g, born in rows
        }
        flags = self._flags("condition_occurrence", "condition", self.extract.conditions)
        flags |= self._flags("drug_exposure", "drug", self.extract.drugs)
        return assemble(self.extract, people, flags, self._measures(), name)

    def _flags(self, table: str, kind: str, wanted: Mapping[str, Iterable[Code]]) -> dict[str, set[str]]:
        day = f"{kind}_start_date" if kind == "condition" else "drug_exposure_start_date"
        found = {}
        for column, codes in wanted.items():
            self._need(table)
            query = (
                f"SELECT DISTINCT person_id FROM {table} WHERE {kind}_concept_id IN ({self._concepts(column, codes)}) "
                f"AND ({day} IS NULL OR {day} <= ?)"
            )
            found[column] = {str(p) for (p,) in self.run(query, [self.extract.on]).fetchall()}
        return found

    def _measures(self) -> dict[str, dict[str, float]]:
        found = {}
        for column, measure in self.extract.measures.items():
            self._need("measurement")
            where = (
                f"measurement_concept_id IN ({self._concepts(column, measure.codes)}) AND value_as_number IS NOT NULL "
                "AND measurement_date <= ?"
            )
            units = self.run(
                f"SELECT DISTINCT coalesce(unit_concept_id, 0) FROM measurement WHERE {where}", [self.extract.on]
            ).fetchall()
            if len(units) > 1 or (measure.unit is not None and any(u != measure.unit for (u,) in units)):
                raise wrong_unit(column, len(units), str(self.path))
            pick = "arg_max" if measure.which == "last" else "arg_min"
            query = (
                f"SELECT person_id, {pick}(value_as_number, measurement_date) FROM measurement WHERE {where} GROUP BY 1"
            )
            found[column] = {str(p): float(v) for p, v in self.run(query, [self.extract.on]).fetchall()}
        return found

    def _concepts(self, column: str, codes: Iterable[Code]) -> str:
        for code in codes:
            if isinstance(code, bool) or not isinstance(code, int):
                raise ConfigError("an OMOP concept is a whole number", where=f"column '{column}'")
        listed = ", ".join(str(int(c)) for c in codes)
        if not self.descendants:
            return listed
        return (
            f"SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id IN ({listed}) "
            f"UNION ALL SELECT unnest([{listed}])"
        )

    def _need(self, table: str) -> None:
        if table not in self.known:
            raise FileError(f"there is no table '{table}'", where=str(self.path))

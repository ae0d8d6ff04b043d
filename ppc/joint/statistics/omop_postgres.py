"""What a study needs of OMOP CDM tables in PostgreSQL, fetched into DuckDB: its concepts' rows and columns.

All tables are read in one read-only transaction, so they are of one moment. Names and codes go to the server as such or
as parameters, never as text of a query.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa

from ppc.errors import ColumnError, ConfigError, FileError
from ppc.joint.statistics.extract import Code, Extract

ROWS_AT_A_TIME: Final = 50_000
MAX_CONCEPTS: Final = 1_000_000

_ID, _DAY, _NUMBER = pa.int64(), pa.date32(), pa.float64()
PERSON: Final = {"person_id": _ID, "gender_concept_id": _ID, "year_of_birth": _ID}
ANCESTOR: Final = {"ancestor_concept_id": _ID, "descendant_concept_id": _ID}
#: Of each table with events: its concept, its day, and the columns.
EVENTS: Final = {
    "condition_occurrence": ("condition_concept_id", "condition_start_date", {}),
    "drug_exposure": ("drug_concept_id", "drug_exposure_start_date", {}),
    "measurement": (
        "measurement_concept_id", "measurement_date", {"unit_concept_id": _ID, "value_as_number": _NUMBER}
    ),
}  # fmt: skip


def fetch(duck: Any, url: str, schema: str | None, extract: Extract, *, descendants: bool) -> set[str]:
    """Put the tables that `extract` needs into the DuckDB connection; the names of those that are there.

    Raises:
        FileError: the database cannot be reached, or stops. ColumnError: a column is missing.
    """
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, ProgrammingError

    try:
        parsed = sa.make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(parsed, isolation_level="REPEATABLE READ")
    except (ArgumentError, ValueError):
        raise ConfigError("not a database URL", where="source", hint="postgresql://user@host/name") from None
    except ModuleNotFoundError:
        raise ConfigError("PostgreSQL needs a driver", where="source", hint="pip install 'ppc[postgres]'") from None
    where = parsed.render_as_string(hide_password=True)
    try:
        known = set(sa.inspect(engine).get_table_names(schema)) | set(sa.inspect(engine).get_view_names(schema))
        with engine.connect().execution_options(postgresql_readonly=True) as connection:
            return _Fetch(connection, duck, schema, known).all(extract, descendants)
    except ProgrammingError as error:
        what = str(error.orig).splitlines()[0] if error.orig else "a query failed"
        raise ColumnError(f"a table is not of the OMOP CDM: {what}", where=where) from None
    except OperationalError as error:
        raise FileError("cannot reach the database, or it stopped", where=where,
                        hint="Check host, port, user and password.") from error  # fmt: skip
    except DBAPIError as error:
        raise FileError(f"the database failed ({type(error.orig).__name__})", where=where) from None
    finally:
        engine.dispose()


class _Fetch:
    def __init__(self, connection: Any, duck: Any, schema: str | None, known: set[str]) -> None:
        self.connection, self.duck, self.schema, self.known = connection, duck, schema, known

    def all(self, extract: Extract, descendants: bool) -> set[str]:
        measures = [c for m in extract.measures.values() for c in m.codes]
        wanted = {
            "condition_occurrence": _whole(c for codes in extract.conditions.values() for c in codes),
            "drug_exposure": _whole(c for codes in extract.drugs.values() for c in codes),
            "measurement": _whole(measures),
        }
        every = sorted(set().union(*wanted.values()))
        if "person" in self.known:
            self.copy("person", PERSON)
        below: dict[int, set[int]] = {}
        if descendants and every and "concept_ancestor" in self.known:
            for ancestor, descendant in self.copy("concept_ancestor", ANCESTOR, ("ancestor_concept_id", every)):
                below.setdefault(ancestor, set()).add(descendant)
        for table, codes in wanted.items():
            concept, day, more = EVENTS[table]
            if codes and table in self.known:
                listed = codes.union(*(below.get(c, set()) for c in codes))
                columns = {"person_id": _ID, concept: _ID, day: _DAY, **more}
                self.copy(table, columns, (concept, sorted(listed)), (day, extract.on))
        return self.known

    def copy(
        self, name: str, columns: dict[str, pa.DataType], among: tuple[str, list[int]] | None = None,
        until: tuple[str, Any] | None = None,
    ) -> list[tuple[int, int]]:  # fmt: skip
        """The columns of a table, of rows with one of these concepts and not after that day, into DuckDB. Small tables
        of two columns are given back as well."""
        import sqlalchemy as sa

        table = sa.table(name, *(sa.column(c) for c in columns), schema=self.schema)
        query = sa.select(*(table.c[c] for c in columns))
        if among is not None:
            if len(among[1]) > MAX_CONCEPTS:
                raise ConfigError(f"more than {MAX_CONCEPTS} concepts", where=f"table '{name}'")
            query = query.where(table.c[among[0]] == sa.any_(sa.literal(among[1], sa.ARRAY(sa.BigInteger))))
        if until is not None:
            day = table.c[until[0]]
            query = query.where(sa.or_(day.is_(None), day <= sa.literal(until[1], sa.Date)))
        schema = pa.schema(list(columns.items()))
        batches, pairs = [], []
        result = self.connection.execution_options(stream_results=True, yield_per=ROWS_AT_A_TIME).execute(query)
        for part in result.partitions():
            values = [[None if v is None else _plain(v, t) for v in column] for column, t in
                      zip(zip(*part, strict=True), schema.types, strict=True)]  # fmt: skip
            batches.append(pa.record_batch([pa.array(v, t) for v, t in zip(values, schema.types, strict=True)], schema))
            if name == "concept_ancestor":
                pairs += list(zip(*values, strict=True))
        self.duck.register("incoming", pa.Table.from_batches(batches, schema))
        self.duck.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        self.duck.unregister("incoming")
        return pairs


def _plain(value: Any, kind: pa.DataType) -> Any:
    """What a driver gives (Decimal, datetime) as the column's type."""
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_date(kind):
        return value.date() if hasattr(value, "date") else value
    return int(value)


def _whole(codes: Iterable[Code]) -> set[int]:
    """Concepts, which are whole numbers; other codes are refused by the reader, naming the column."""
    return {c for c in codes if isinstance(c, int) and not isinstance(c, bool)}

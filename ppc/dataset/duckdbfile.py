"""Tables and queries of a DuckDB database file, named by a URL: `duckdb:///file.db?table=t`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import pyarrow as pa

from ppc.errors import ColumnError, FileError, QueryError, did_you_mean

_BATCH_ROWS: Final = 1 << 16
_HINT = "Write duckdb:///file.db?table=t, or duckdb:////absolute/file.db?query=SELECT…"


@dataclass(frozen=True)
class Source:
    """One table, or the result of one query, of a database file."""

    file: Path
    table: str | None
    query: str | None

    @property
    def name(self) -> str:
        """What to call the dataset."""
        return self.table or self.file.stem


def parse(url: str) -> Source:
    """The parts of a `duckdb:` URL; `FileError` if it is malformed. Three slashes: relative; four: absolute."""
    # '+' is a plus sign in SQL, not a blank, so only %20 and blanks themselves stand for one.
    try:
        parts = urlsplit(url.replace("+", "%2B").replace("#", "%23"))
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), separator="&")
    except ValueError:
        raise FileError("the database URL is malformed", where=url.split("?")[0], hint=_HINT) from None
    path = unquote(parts.path).removeprefix("/") if parts.path.startswith("/") else ""
    if parts.scheme != "duckdb" or parts.netloc or not path:
        raise FileError("the database URL is malformed", where=url.split("?")[0], hint=_HINT)
    given = dict(options)
    if len(options) != 1 or set(given) - {"table", "query"} or not next(iter(given.values())).strip():
        raise FileError("the database URL must name a table or a query, and nothing else", where=path, hint=_HINT)
    return Source(Path(path), given.get("table"), given.get("query"))


def read(source: Source, wanted: list[str] | None) -> pa.Table:
    """The rows of a table or query, in the database's order. The database is opened for reading only.

    A query may read this database and nothing else: no files, no network, no other database.
    """
    with _relation(source) as relation:
        columns = list(relation.columns)
        for name in wanted or ():
            if name not in columns:
                hint = did_you_mean(name, columns)
                raise ColumnError(f"there is no column '{name}'", where=str(source.file), hint=hint)
        table = relation.to_arrow_table()
    return table if wanted is None else table.select(wanted)


def batches(source: Source) -> Iterator[pa.RecordBatch]:
    """The rows as `read` gives them, a batch at a time; at least one batch."""
    with _relation(source) as relation:
        reader = relation.to_arrow_reader(_BATCH_ROWS)
        empty = True
        for batch in reader:
            empty = False
            yield batch
        if empty:
            yield pa.RecordBatch.from_pylist([], reader.schema)


@contextmanager
def _relation(source: Source) -> Iterator[Any]:
    import duckdb

    where = str(source.file)
    if not source.file.is_file():
        raise FileError("there is no such database file", where=where, hint=_HINT)
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        "lock_configuration": "true",
    }
    try:
        db = duckdb.connect(str(source.file), read_only=True, config=config)
    except duckdb.Error:
        raise FileError(
            "the database can not be opened",
            where=where,
            hint="Is it a DuckDB file, not of a newer version, and not open for writing elsewhere?",
        ) from None
    with db:
        if source.table is not None:
            query = f"SELECT * FROM {_table(db, source.table, where)}"
        else:
            query = _single_select(source.query or "", where)
        try:
            yield db.sql(query)
        except duckdb.Error as e:
            # The kind of the error, not DuckDB's message: that may quote a value.
            kind = type(e).__name__.removesuffix("Exception")
            raise QueryError(f"the query failed ({kind} error)", where=where, hint="Try it in DuckDB.") from None


def _quoted(*names: str) -> str:
    return ".".join('"' + n.replace('"', '""') + '"' for n in names)


def _table(db: object, name: str, where: str) -> str:
    rows = db.execute(  # type: ignore[attr-defined]
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = current_database()"
    ).fetchall()
    for schema, table in rows:
        if name == table or name == f"{schema}.{table}":
            return _quoted(schema, table)
    names = [t if s == "main" else f"{s}.{t}" for s, t in rows]
    raise FileError(f"the database has no table '{name}'", where=where, hint=did_you_mean(name, names))


def _single_select(query: str, where: str) -> str:
    import duckdb

    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error:
        raise QueryError("the query is not valid SQL", where=where) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError("the query must be one SELECT", where=where)
    return statements[0].query

"""Rows of any database that SQLAlchemy reaches, named by its URL with `table=` or `query=` added.

`postgresql+psycopg://user@host/db?table=customers`, `sqlite:///file.db?query=SELECT…`. The password may stand in the
URL, but is better left to the driver (`PGPASSWORD`, `~/.pgpass`); no error shows it.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from ppc.errors import FileError, MissingExtra, QueryError, TypeMismatchError, did_you_mean

_ROWS: Final = 1 << 14
_HINT: Final = "Write postgresql+psycopg://user@host/db?table=t, or ?query=SELECT…"
_URL: Final = re.compile(r"[a-z][a-z0-9]*(\+[a-z0-9_]+)?://")
# Python types in the order in which one is looked for: a bool is an int too, a datetime a date.
_TYPES: Final[list[tuple[type, Any]]] = [
    (bool, pa.bool_()),
    (int, pa.int64()),
    (float, pa.float64()),
    (decimal.Decimal, None),
    (str, pa.string()),
    (dt.datetime, pa.timestamp("us")),
    (dt.date, pa.date32()),
    (dt.time, pa.time64("us")),
    (bytes, pa.binary()),
]


def is_url(source: str) -> bool:
    """Whether this names a database rather than a file."""
    return _URL.match(source) is not None


def batches(url: str) -> tuple[str, Iterator[pa.RecordBatch]]:
    """The name of the table, and its rows in the database's order, at least one batch of them.

    Raises: FileError: the URL is malformed, or the database cannot be reached. QueryError: it refuses the query.
    TypeMismatchError: a column has values of several types. MissingExtra: the database's driver is not installed.
    """
    import sqlalchemy as sa

    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise FileError("the database URL is malformed", where=url.split(":")[0], hint=_HINT) from None
    given = {k: v for k in ("table", "query") if isinstance(v := parsed.query.get(k), str) and v.strip()}
    parsed = parsed.difference_update_query(["table", "query"])
    where = parsed.render_as_string(hide_password=True)
    if len(given) != 1:
        raise FileError("the database URL must name a table or a query", where=where, hint=_HINT)
    try:
        engine = sa.create_engine(parsed)
    except ModuleNotFoundError as e:
        raise MissingExtra(f"this database needs the package '{e.name}'", hint=f"pip install {e.name}") from None
    except sa.exc.ArgumentError:
        raise FileError("there is no such kind of database", where=where, hint=_HINT) from None
    return given.get("table", "query"), _rows(engine, given, where)


def _rows(engine: Any, given: dict[str, str], where: str) -> Iterator[pa.RecordBatch]:
    import sqlalchemy as sa

    try:
        with engine.connect() as connection:
            if "table" in given:
                statement: Any = _select(sa.inspect(engine), given["table"], where)
            else:
                statement = sa.text(given["query"])
            result = connection.execution_options(stream_results=True, yield_per=_ROWS).execute(statement)
            if not result.returns_rows:
                raise QueryError("the query returns no rows", where=where, hint="Write one SELECT.")
            names = list(result.keys())
            schema: pa.Schema | None = None
            waiting: list[Any] = []
            for rows in result.partitions():
                waiting.extend(rows)
                # Types come from the first rows that have a value in every column, or from the first quarter million.
                if schema is None and (_complete(waiting) or len(waiting) >= 1 << 18):
                    schema = _schema(names, waiting, where)
                if schema is not None:
                    yield _batch(waiting, schema, where)
                    waiting = []
            schema_known = schema if schema is not None else _schema(names, waiting, where)
            if waiting or schema is None:
                yield _batch(waiting, schema_known, where)
    except sa.exc.OperationalError:
        raise FileError(
            "the database can not be reached, or refuses the query", where=where, hint="Try it in the database's shell."
        ) from None
    except sa.exc.SQLAlchemyError as e:
        # The kind of the error, not the driver's message: that may quote a value.
        raise QueryError(f"the query failed ({type(e).__name__})", where=where) from None
    finally:
        engine.dispose()


def _select(inspector: Any, name: str, where: str) -> Any:
    import sqlalchemy as sa

    schema, _, table = name.rpartition(".")
    known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
    if table not in known:
        raise FileError(f"the database has no table '{name}'", where=where, hint=did_you_mean(table, known))
    columns: list[Any] = [sa.column(c["name"]) for c in inspector.get_columns(table, schema or None)]
    return sa.select(*columns).select_from(sa.table(table, schema=schema or None))


def _complete(rows: list[Any]) -> bool:
    return bool(rows) and all(any(v is not None for v in column) for column in zip(*rows, strict=True))


def _schema(names: list[str], rows: list[Any], where: str) -> pa.Schema:
    fields = []
    for i, name in enumerate(names):
        value = next((row[i] for row in rows if row[i] is not None), None)
        fields.append(pa.field(name, _type(value, [row[i] for row in rows], f"{where}, column '{name}'")))
    return pa.schema(fields)


def _type(value: Any, values: list[Any], where: str) -> pa.DataType:
    if value is None:
        return pa.string()
    for kind, arrow in _TYPES:
        if isinstance(value, kind):
            if isinstance(value, dt.datetime) and value.tzinfo is not None:
                return pa.timestamp("us", "UTC")
            if arrow is None:
                whole = all(v is None or v == v.to_integral_value() for v in values)
                return pa.int64() if whole else pa.float64()
            return arrow
    raise TypeMismatchError(f"values of type {type(value).__name__} have no place in a dataset", where=where)


def _batch(rows: list[Any], schema: pa.Schema, where: str) -> pa.RecordBatch:
    columns = []
    for i, field in enumerate(schema):
        values = [row[i] for row in rows]
        if any(isinstance(v, decimal.Decimal) for v in values):
            to: type = int if pa.types.is_integer(field.type) else float
            if to is int and any(v is not None and v != v.to_integral_value() for v in values):
                raise TypeMismatchError("values have fractions after a long run of whole numbers", where=where)
            values = [None if v is None else to(v) for v in values]
        try:
            columns.append(pa.array(values, field.type))
        except (pa.ArrowException, TypeError, OverflowError):
            raise TypeMismatchError(
                f"a value is not {field.type} as the others are", where=f"{where}, column '{field.name}'"
            ) from None
    return pa.RecordBatch.from_arrays(columns, schema=schema)

"""From any Arrow data to the plain types that a dataset holds, and from those to what a schema asks for."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ppc.dataset import types
from ppc.dataset.schema import Schema
from ppc.errors import ColumnError, SchemaError, TypeMismatchError, did_you_mean


def to_table(obj: Any) -> pa.Table:
    """Anything that speaks the Arrow PyCapsule interface, as a table of plain types without metadata.

    Raises:
        TypeMismatchError: the object does not speak it, or a column's type has no name in a schema.
        ColumnError: a column's name is empty, or two columns share one.
    """
    if isinstance(obj, pa.Table):
        table = obj
    elif hasattr(obj, "__arrow_c_stream__") or hasattr(obj, "__arrow_c_array__"):
        try:
            table = pa.table(_with_named_index(obj))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as e:
            # pandas refuses columns of mixed objects; Arrow's own message would quote a value.
            column = next((str(a) for a in e.args[1:] if "column" in str(a)), "")
            raise TypeMismatchError(
                f"{type(obj).__name__} holds values of mixed types",
                where=column.removeprefix("Conversion failed for ") or None,
                hint="Give every value of a column one type.",
            ) from None
    else:
        raise TypeMismatchError(
            f"expected a table, found {type(obj).__name__}",
            hint="Give anything with __arrow_c_stream__: a pandas or Polars frame, a DuckDB relation, a pyarrow table.",
        )
    table = _without_pandas_index(table)
    check_names(table.column_names)
    fields, columns = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = types.to_arrow(types.from_arrow(field.type, column=field.name))
        columns.append(_plain(column, kind))
        fields.append(pa.field(field.name, kind, nullable=field.nullable))
    if not fields:  # a table without columns still has a number of rows; a dataset does not
        return pa.table({})
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def check_names(names: list[str], where: str | None = None) -> None:
    """`ColumnError` if a name is empty or occurs twice."""
    for i, name in enumerate(names):
        if not name.strip():
            raise ColumnError(f"column {i + 1} of {len(names)} has no name", where=where, hint="Name every column.")
    for name, times in Counter(names).items():
        if times > 1:
            raise ColumnError(f"{times} columns are named '{name}'", where=where, hint="Give each column its own name.")


def _with_named_index(obj: Any) -> Any:
    """A pandas frame with its named index as columns, the last ones: pandas 2 sends it so, pandas 3 leaves it out."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(obj, pandas.DataFrame):
        return obj
    names = [n for n in obj.index.names if n is not None and n not in obj.columns]
    if not names or len(names) < obj.index.nlevels:
        return obj
    flat = obj.reset_index()
    return flat[[*obj.columns, *names]]


def _without_pandas_index(table: pa.Table) -> pa.Table:
    """pandas sends an unnamed index that it does not regard as data under a name of its own making."""
    made_up = [n for n in table.column_names if n.startswith("__index_level_") and n.endswith("__")]
    if made_up and b"pandas" in (table.schema.metadata or {}):
        return table.drop_columns(made_up)
    return table


def _plain(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The same values in another encoding (from dictionary, large, view, date64, fixed-size to the plain type)."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([c.storage for c in column.chunks], type=column.type.storage_type)
    if pa.types.is_run_end_encoded(column.type):
        column = pa.chunked_array([pc.run_end_decode(c) for c in column.chunks], type=column.type.value_type)
    if column.type == kind:
        return column
    chunks: list[pa.Array] = []
    todo = list(reversed(column.chunks))
    while todo:
        chunk = todo.pop()
        try:
            chunks.append(chunk.cast(kind))
        except pa.ArrowInvalid:  # 2 GB of text do not fit one chunk of the plain type
            if len(chunk) < 2:
                raise TypeMismatchError(f"a value of type {column.type} does not fit {kind}") from None
            half = len(chunk) // 2
            todo += [chunk.slice(half), chunk.slice(0, half)]
    return pa.chunked_array(chunks, type=kind)


def check_columns(names: list[str], schema: Schema, where: str | None = None) -> None:
    """`SchemaError` if a column is in the data only or in the schema only."""
    for name in schema.names:
        if name not in names:
            raise SchemaError(
                f"the schema has column '{name}', which the data do not have",
                where=_place(where, name),
                hint=did_you_mean(name, [n for n in names if n not in schema] or names),
            )
    for name in names:
        if name not in schema:
            raise SchemaError(
                f"the data have column '{name}', which the schema does not have",
                where=_place(where, name),
                hint=f"Add [fields.{name}] to the schema, or leave the column out with columns=[...].",
            )


def fit(table: pa.Table, schema: Schema, *, where: str | None = None) -> pa.Table:
    """The table in the order and types of a schema.

    Types may differ where no value changes: integers and floats of other widths, whole floats as integers, dates as
    timestamps, columns without any value as any type.

    Raises:
        SchemaError: a column is in one of the two only, or has nulls where the schema says none.
        TypeMismatchError: a column's type is another; the message has the expected and the found one.
    """
    check_columns(table.column_names, schema, where)
    columns, fields = [], []
    for field in schema:
        kind = types.to_arrow(field.type)
        column = _cast(table.column(field.name), field.type, kind, field.name, where)
        if not field.nullable and column.null_count:
            row = int(np.flatnonzero(np.asarray(column.is_null()))[0]) + 1
            raise SchemaError(
                f"column '{field.name}' may not have missing values, but has",
                where=_place(where, field.name, row),
                hint="Set nullable = true in the schema, or fill the values in.",
            )
        columns.append(column)
        fields.append(pa.field(field.name, kind, nullable=field.nullable))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields)) if fields else table


def _place(where: str | None, column: str, row: int | None = None) -> str:
    parts = [where, f"column '{column}'", f"data row {row}" if row else None]
    return ", ".join(p for p in parts if p)


def _cast(column: pa.ChunkedArray, name: str, kind: pa.DataType, label: str, where: str | None) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    found = types.from_arrow(column.type, column=label)
    if found == "null":
        return column.cast(kind)
    numbers = types.is_numeric(found) and types.is_numeric(name) and name != "null"
    instants = found.split("[")[0] in ("date", "timestamp") and name.startswith("timestamp")
    zones = ("tz=" in found) == ("tz=" in name)
    if (numbers and "bool" not in (found, name)) or (instants and zones):
        try:
            return column.cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # Arrow's message would quote the value
            raise TypeMismatchError(
                f"column '{label}' should be {name}, but is {found} with values that {name} can not hold",
                where=_place(where, label),
                hint=f"Declare it {found} in the schema.",
            ) from None
    if name == "bool" and types.is_integer(found):
        other = pc.and_(pc.not_equal(column, 0), pc.not_equal(column, 1))
        if not pc.any(other, min_count=0).as_py():
            return column.cast(kind)
    raise TypeMismatchError(
        f"column '{label}' should be {name}, but is {found}",
        where=_place(where, label),
        hint=f"Declare it {found} in the schema, or convert the data.",
    )

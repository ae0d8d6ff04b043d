"""`Dataset`: an immutable Arrow table that knows what its columns mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from ppc.dataset import aggregates, convert, types
from ppc.dataset.schema import Field, Schema
from ppc.errors import ColumnError, MissingExtra, SchemaError, TypeMismatchError, ValueRangeError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class Dataset:
    """Rows and columns in the clear, with a `Schema`. Never changed in place: every method gives a new one.

    Make one with `ppc.read(path)` or `Dataset.from_arrow(frame)`. It answers the questions of `Analysable`, and hands
    itself back to any library that speaks Arrow (`pl.DataFrame(ds)`, `pa.table(ds)`, `duckdb.sql("… FROM ds")`).
    """

    __slots__ = ("_name", "_schema", "_table")

    _table: pa.Table
    _schema: Schema
    _name: str

    def __init__(self, table: pa.Table, schema: Schema, name: str) -> None:
        """For use inside: the table already fits the schema. Elsewhere use `Dataset.from_arrow`."""
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_schema", schema)
        object.__setattr__(self, "_name", name)

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(f"a Dataset can not be changed: '{key}'; methods such as with_column give a new one")

    def __delattr__(self, key: str) -> None:
        raise AttributeError(f"a Dataset can not be changed: '{key}'")

    @staticmethod
    def from_arrow(obj: Any, schema: Schema | None = None, name: str = "data") -> Dataset:
        """A dataset from anything with `__arrow_c_stream__`: pandas, Polars, a DuckDB relation, pyarrow.

        Args:
            obj: the table. Dictionary-encoded columns are decoded; the unnamed index of a pandas frame is left out.
            schema: what the columns mean, their types and order. Without one, names and types are taken as they are.
            name: what to call it in errors and reports.

        Raises:
            TypeMismatchError: not a table, or a column of another type than the schema's.
            ColumnError: a column's name is empty, or two columns share one.
            SchemaError: the schema has other columns than the data, or forbids nulls that are there.
        """
        table = convert.to_table(obj)
        if schema is None:
            return Dataset(table, Schema.from_arrow(table.schema, name), name)
        return Dataset(convert.fit(table, schema, where=f"dataset '{name}'"), schema, name)

    # --- what it is ---
    @property
    def schema(self) -> Schema:
        """The columns and what they mean."""
        return self._schema

    @property
    def name(self) -> str:
        """What errors and reports call it."""
        return self._name

    @property
    def columns(self) -> list[str]:
        """The columns' names, in order."""
        return self._schema.names

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return int(self._table.num_rows)

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        return f"<Dataset '{self._name}' rows={self.num_rows} columns={len(self._schema)}>"

    # --- columns as arrays ---
    def column(self, name: str) -> pa.ChunkedArray:
        """A column as Arrow data; `ColumnError` with the nearest name if there is none."""
        self._field(name)
        return self._table.column(name)

    def numpy(self, name: str, *, finite: bool = False) -> NDArray[np.float64]:
        """A numeric column as a new float64 array, shape (rows,), null as NaN and bools as 0 and 1.

        Args:
            name: the column.
            finite: raise `ValueRangeError`, naming the column and the first such row, if a value is null, NaN or
                infinite.
        """
        x = aggregates.as_float64(self._numeric(name))
        if finite and not np.isfinite(x).all():
            row = int(np.flatnonzero(~np.isfinite(x))[0]) + 1
            raise ValueRangeError(
                f"column '{name}' has missing or infinite values",
                where=f"dataset '{self._name}', column '{name}', data row {row}",
                hint="Drop those rows with where(), or fill the values in.",
            )
        return x

    def matrix(self, names: Iterable[str], *, finite: bool = False) -> NDArray[np.float64]:
        """Numeric columns as a new float64 array, shape (rows, columns), C order, null as NaN. See `numpy`."""
        wanted = self._names(names)
        out = np.empty((self.num_rows, len(wanted)), dtype=np.float64)
        for j, name in enumerate(wanted):
            out[:, j] = self.numpy(name, finite=finite)
        return out

    # --- fewer columns or rows ---
    def select(self, names: Iterable[str]) -> Dataset:
        """The named columns, in the order given."""
        wanted = self._names(names)
        return Dataset(self._table.select(wanted), self._schema.select(wanted), self._name)

    def drop(self, names: Iterable[str]) -> Dataset:
        """Every column but the named ones."""
        gone = set(self._names(names))
        return self.select([n for n in self.columns if n not in gone])

    def where(self, condition: str | ArrayLike | pa.Array | pa.ChunkedArray) -> Dataset:
        """The rows for which a condition holds, in order. Where it is null the row is left out, as in SQL.

        Args:
            condition: a boolean mask, shape (rows,), or a SQL expression over this dataset's columns:
                `ds.where("age >= 18 AND city IS NOT NULL")`. Subqueries, other tables and files are refused.

        Raises:
            QueryError: the expression is malformed, is not boolean, or asks for more than this row's columns.
            TypeMismatchError: the mask is not boolean, or of another length.
        """
        if isinstance(condition, str):
            from ppc.dataset import expression

            mask = expression.evaluate(condition, self._table)
        else:
            mask = self._mask(condition)
        return Dataset(self._table.filter(mask), self._schema, self._name)

    def take(self, indices: ArrayLike | pa.Array) -> Dataset:
        """The rows at these positions (integers from 0), in that order; a position may occur more than once.

        Raises:
            TypeMismatchError: the positions are not integers.
            ValueRangeError: a position is negative or past the last row.
        """
        at = np.asarray(indices)
        if at.size == 0:
            at = at.reshape(-1).astype(np.int64)
        if at.ndim != 1 or at.dtype.kind not in "iu":
            raise TypeMismatchError(
                f"positions must be integers of shape (n,), not {at.dtype} of shape {at.shape}", where="take"
            )
        if at.size and not (at.min() >= 0 and at.max() < self.num_rows):
            raise ValueRangeError(
                f"positions must be from 0 to {self.num_rows - 1}", where=f"take from dataset '{self._name}'"
            )
        return Dataset(self._table.take(pa.array(at)), self._schema, self._name)

    # --- other columns or meanings ---
    def with_schema(self, schema: Schema) -> Dataset:
        """The same rows under another schema: its order, its types where no value changes, its meanings.

        Raises:
            SchemaError, TypeMismatchError: the schema does not fit; the message has the column, and the expected and
                the found type.
        """
        return Dataset(convert.fit(self._table, schema, where=f"dataset '{self._name}'"), schema, self._name)

    def with_column(self, name: str, values: Any, field: Field | None = None) -> Dataset:
        """This dataset with a column more, or with another column in place of the one of that name.

        Args:
            name: the column's name.
            values: `len(self)` values: a NumPy or Arrow array, a pandas or Polars series, a list. NaN in a NumPy array
                is a null, as `numpy()` gives it out.
            field: what the column means. Without one, a replaced column of the same type keeps its field, and any other
                has a name and a type only.
        """
        array = _to_chunked(values, name)
        if len(array) != self.num_rows and self.columns:
            raise TypeMismatchError(
                f"column '{name}' has {len(array)} values for {self.num_rows} rows", where=f"dataset '{self._name}'"
            )
        one = convert.to_table(pa.table({name: array}))
        if field is None:
            field = Schema.from_arrow(one.schema)[name]
            if name in self._schema and self._schema[name].type == field.type and self._schema[name].nullable:
                field = self._schema[name]
        elif field.name != name:
            raise SchemaError(f"the field is of column '{field.name}', not of '{name}'", where="with_column")
        one = convert.fit(one, Schema((field,)), where=f"dataset '{self._name}'")
        if name in self._schema:
            table = self._table.set_column(self.columns.index(name), one.schema.field(0), one.column(0))
        else:
            table = self._table.append_column(one.schema.field(0), one.column(0)) if self.columns else one
        return Dataset(table, self._schema.with_field(field), self._name)

    def rename(self, names: Mapping[str, str]) -> Dataset:
        """Columns under other names, `{old: new}`; their fields move with them."""
        from dataclasses import replace

        self._names(names)
        new = [names.get(n, n) for n in self.columns]
        convert.check_names(new, f"dataset '{self._name}'")
        fields = tuple(replace(f, name=n) for f, n in zip(self._schema, new, strict=True))
        return Dataset(self._table.rename_columns(new), replace(self._schema, fields=fields), self._name)

    # --- to other libraries and files ---
    def to_arrow(self) -> pa.Table:
        """The data as a `pyarrow.Table`."""
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """The data as a pandas frame; `MissingExtra` if pandas is not installed."""
        try:
            import pandas  # noqa: F401
        except ImportError:
            raise MissingExtra("pandas is not installed", hint="pip install pandas") from None
        frame: pd.DataFrame = self._table.to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """The data as a Polars frame; `MissingExtra` if Polars is not installed."""
        try:
            import polars
        except ImportError:
            raise MissingExtra("Polars is not installed", hint="pip install polars") from None
        return polars.DataFrame(self._table)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return self._table.schema.__arrow_c_schema__()

    def write(self, path: str | Path) -> None:
        """Write the data to a file, whole or not at all; `.csv`, `.tsv`, `.parquet` or `.arrow` says which kind.

        The schema is not in the file: `ds.schema.write("customers.schema.toml")` puts it beside `customers.parquet`,
        where `ppc.read` finds it.
        """
        from ppc.dataset import io

        io.write(self._table, path)

    def equals(self, other: Dataset) -> bool:
        """Whether the other has the same schema and the same values in the same order. NaN equals nothing."""
        return self._schema.fields == other.schema.fields and bool(self._table.equals(other.to_arrow()))

    # --- Analysable ---
    def count(self, col: str | None = None) -> int:
        """How many rows there are; with `col`, how many of its values are not null."""
        if col is None:
            return self.num_rows
        column = self.column(col)
        return len(column) - int(column.null_count)

    def sum(self, col: str) -> int | float:
        """The sum of the values that are not null, 0 if there are none; an exact `int` for integers and bools."""
        return aggregates.total(self._numeric(col))

    def mean(self, col: str) -> float:
        """The mean of the values that are not null; NaN if there are none."""
        return aggregates.mean(self._numeric(col))

    def variance(self, col: str) -> float:
        """The sample variance (divisor n − 1) of the values that are not null; NaN for fewer than two."""
        return aggregates.variance(self._numeric(col))

    def histogram(self, col: str, edges: Sequence[float] | NDArray[np.float64]) -> NDArray[np.int64]:
        """Counts by bin, int64, shape (len(edges) − 1,); bins as in `numpy.histogram`, the last one closed."""
        return aggregates.histogram(self._numeric(col), edges, name=col)

    def release(self, value: Any) -> Any:
        """The value itself: clear data hide nothing. `TypeMismatchError` unless it is a number or an array of them."""
        if isinstance(value, np.generic):  # before float: a NumPy double is one
            return value.item()
        if isinstance(value, bool | int | float | np.ndarray):
            return value
        raise TypeMismatchError(
            f"expected what an aggregate of this dataset returned, found {type(value).__name__}",
            where="release",
            hint="A value is released by the dataset that it came from.",
        )

    # --- helpers ---
    def _field(self, name: str) -> Field:
        if name in self._schema:
            return self._schema[name]
        raise ColumnError(
            f"there is no column '{name}'", where=f"dataset '{self._name}'", hint=did_you_mean(str(name), self.columns)
        )

    def _names(self, names: Iterable[str]) -> list[str]:
        if isinstance(names, str):
            raise TypeMismatchError(
                "expected a list of column names, found one name", hint=f"Write ['{names}'] instead of '{names}'."
            )
        wanted = list(names)
        for name in wanted:
            self._field(name)
        return wanted

    def _numeric(self, name: str) -> pa.ChunkedArray:
        field = self._field(name)
        if not types.is_numeric(field.type):
            raise TypeMismatchError(
                f"column '{name}' is {field.type}, and numbers are needed",
                where=f"dataset '{self._name}', column '{name}'",
                hint="Read it under a schema that says it is a number, or choose another column.",
            )
        return self._table.column(name)

    def _mask(self, condition: Any) -> pa.ChunkedArray:
        mask = _to_chunked(condition, "mask") if not isinstance(condition, pa.ChunkedArray) else condition
        if len(mask) == 0 and pa.types.is_null(mask.type):
            mask = mask.cast(pa.bool_())
        if not pa.types.is_boolean(mask.type) or len(mask) != self.num_rows:
            raise TypeMismatchError(
                f"a mask must be bool of length {self.num_rows}, not {mask.type} of length {len(mask)}", where="where"
            )
        return mask


def _to_chunked(values: Any, name: str) -> pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    try:
        if hasattr(values, "__arrow_c_stream__"):
            return pa.chunked_array(values)
        return pa.chunked_array([pa.array(values, from_pandas=True)])
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError, TypeError):
        raise TypeMismatchError(
            f"the values for '{name}' are not one column of one type", where=f"column '{name}'"
        ) from None

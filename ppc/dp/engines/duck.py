"""Requests answered by DuckDB: over an Arrow table, or over Parquet files larger than memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ppc.core import rng
from ppc.dataset import types
from ppc.dataset.schema import Schema
from ppc.dp.condition import Condition
from ppc.dp.engines.base import Exact, Key, Request, Term, empty, place
from ppc.dp.engines.text import Dialect, Writer
from ppc.dp.unit import Unit
from ppc.errors import FileError, QueryError

_SMALL: Final = 1 << 28
_SOURCE: Final = "_rows"
_DUCKDB: Final[dict[str, str]] = {
    "quote_mark": '"', "long": "BIGINT", "wide": "HUGEINT", "value_hash": "hash", "tally": "histogram",
}  # fmt: skip


class DuckEngine:
    """A source in DuckDB: an Arrow table, or Parquet files by path or glob.

    The database lives in memory. What does not fit is spilled to a folder that only this user may read, and that
    `close` deletes.
    """

    def __init__(
        self, source: pa.Table | str | Path, schema: Schema | None = None, *, threads: int | None = None
    ) -> None:
        import duckdb

        self._spill = Path(tempfile.mkdtemp(prefix="ppc-dp-"))  # mode 0700
        self._db = duckdb.connect(config={"temp_directory": str(self._spill), "autoinstall_known_extensions": "false"})
        # DuckDB believes Parquet's statistics, which leave NaN out: isnan(x) is taken as false, x <= 60 as true, for
        # every row of a file whose other values say so. A row's part would hang on other rows, and privacy with it.
        self._db.execute("SET disabled_optimizers = 'statistics_propagation'")
        if threads is not None:
            self._db.execute(f"SET threads = {int(threads)}")
        self._parquet = not isinstance(source, pa.Table)
        self._statistics = duckdb.connect()  # only ever asked for what Parquet's statistics know
        self.salt = int.from_bytes(rng.random_bytes(7), "big")
        if isinstance(source, pa.Table):
            row = pa.array(np.arange(source.num_rows, dtype=np.int64))
            name = "__ppc_row"
            self._db.register("_arrow", source.append_column(name, row))
            self._from, self._row = "_arrow", Dialect(row_hash="", **_DUCKDB).quote(name)
            found = source.schema
        else:
            path = str(source).replace("'", "''")
            self._from = f"read_parquet('{path}', filename = true, file_row_number = true)"
            self._row = "filename, file_row_number"
            try:
                self._plain_from = f"read_parquet('{path}')"
                found = self._db.sql(f"SELECT * FROM {self._plain_from} LIMIT 0").to_arrow_table().schema
            except duckdb.Error:
                self.close()
                raise FileError(
                    "the Parquet file can not be read", where=str(source), hint="Is it there, and is it Parquet?"
                ) from None
        self._schema = _fit(found, schema)
        self._dialect = Dialect(row_hash=f"hash({self._row}, {{salt}})", **_DUCKDB)

    @property
    def schema(self) -> Schema:
        """The source's columns."""
        return self._schema

    def close(self) -> None:
        """Close the database, and delete what it spilled."""
        self._db.close()
        self._statistics.close()
        shutil.rmtree(self._spill, ignore_errors=True)

    # --- requests ---
    def check(self, request: Request) -> None:
        """Bind the request's SQL, without running it."""
        import duckdb

        try:
            self._db.sql(self._writer(request, fast=False).query(request)).columns  # noqa: B018 - binds the names
        except duckdb.Error as e:
            kind = type(e).__name__.removesuffix("Exception")
            raise QueryError(f"the query does not fit the columns' types ({kind} error)", where="query") from None

    def sums(self, request: Request) -> Exact:
        """The sums by known cells. See `Engine`."""
        table = self._run(request)
        keys = [_cell(table.column(f"k{i}"), k) for i, k in enumerate(request.keys)]
        return place(request, keys, [table.column(f"s{i}").to_pylist() for i in range(len(request.terms))])

    def groups(self, request: Request) -> tuple[list[tuple[Any, ...]], Exact]:
        """The groups that occur. See `Engine`."""
        table = self._run(request)
        names = list(zip(*(table.column(f"k{i}").to_pylist() for i in range(len(request.keys))), strict=True))
        out = empty(len(request.terms), len(names))
        for i in range(len(request.terms)):
            out[i] = [int(v or 0) for v in table.column(f"s{i}").to_pylist()]
        return names, out

    def matrix(self, columns: Sequence[str], where: Condition | None, unit: Unit) -> NDArray[np.float64]:
        """Rows of numeric columns. See `Engine`."""
        request = Request((), (), where, unit)
        table = self._db.sql(self._writer(request, fast=False).rows(tuple(columns), where, unit)).to_arrow_table()
        out = np.empty((table.num_rows, len(columns)), dtype=np.float64)
        for j, name in enumerate(columns):
            out[:, j] = table.column(name).to_numpy(zero_copy_only=False)
        return out

    # --- running ---
    def _run(self, request: Request) -> pa.Table:
        if self._parquet and request == Request((Term(),)):  # every row counts, whatever its values: no scan is needed
            return pa.table({"s0": [self._known(())[0]]})
        table = self._db.sql(self._writer(request, fast=True).query(request)).to_arrow_table()
        if any(pa.types.is_floating(c.type) and bool(pc.any(pc.is_nan(c)).as_py()) for c in table.columns):
            # Parquet's statistics leave NaN out. The other way round gives the same integers, so nobody can tell which.
            table = self._db.sql(self._writer(request, fast=False).query(request)).to_arrow_table()
        return table

    def _writer(self, request: Request, *, fast: bool) -> Writer:
        rows, inside = self._found(request) if fast else (_SMALL, {})
        return Writer(self._dialect, self._schema, self._source(request), self.salt, inside, rows < _SMALL)

    def _source(self, request: Request) -> str:
        return self._from if request.unit.by or not self._parquet else self._plain_from

    def _found(self, request: Request) -> tuple[int, dict[str, tuple[float, float]]]:
        """How many rows the source has, and the columns that need no clamping. Parquet files know both: no scan."""
        if not self._parquet:
            return int(self._db.sql(f"SELECT count(*) FROM {self._from}").fetchall()[0][0]), {}
        plain = request.unit.by is None and request.where is None
        bounds = self._summed(request) if plain else {}
        rows, *ends = self._known(tuple(bounds))
        inside = {}
        for i, (c, (low, high)) in enumerate(bounds.items()):
            least, most = ends[2 * i], ends[2 * i + 1]
            if rows < _SMALL and least is not None and most is not None and low <= least and most <= high:
                inside[c] = (low, high)
        return rows, inside

    def _known(self, columns: tuple[str, ...]) -> tuple[Any, ...]:
        """What Parquet's statistics say: the number of rows, then least and greatest value of each column."""
        q = self._dialect.quote
        ends = "".join(f", min({q(c)}), max({q(c)})" for c in columns)
        return tuple(self._statistics.execute(f"SELECT count(*){ends} FROM {self._plain_from}").fetchall()[0])

    def _summed(self, request: Request) -> dict[str, tuple[float, float]]:
        """Columns that could do without clamping, with the bounds that their values have to lie in."""
        bounds: dict[str, tuple[float, float]] = {}
        if any(len(t.factors) > 2 for t in request.terms):  # such products are added up as integers: no NaN comes out
            return {}
        # A column that a term counts by itself must turn a NaN up in some sum: only columns that are summed qualify.
        for n in (f for t in request.terms for f in t.factors):
            if self._schema[n.column].type == "float64" or (n.integer and self._schema[n.column].type != "bool"):
                low, high = bounds.get(n.column, (n.low, n.high))
                bounds[n.column] = (max(low, n.low), min(high, n.high))
        return bounds


def _fit(found: pa.Schema, schema: Schema | None) -> Schema:
    """The schema given, checked against the columns that are there; else theirs."""
    actual = Schema.from_arrow(found)
    if schema is None:
        return actual
    for field in schema:
        kind = actual[field.name].type  # ColumnError if it is not there
        if types.is_numeric(kind) != types.is_numeric(field.type) or (kind == "bool") != (field.type == "bool"):
            raise QueryError(
                f"column '{field.name}' is {kind} in the file and {field.type} in the schema", where=field.name
            )
    from dataclasses import replace

    return Schema(
        tuple(replace(f, type=actual[f.name].type, domain=None) if _other(f, actual) else f for f in schema),
        schema.name,
    )


def _other(field: Any, actual: Schema) -> bool:
    return bool(actual[field.name].type != field.type)


def _cell(column: pa.ChunkedArray, key: Key) -> NDArray[np.int64]:
    """The index of each value's cell, −1 if it has none."""
    if key.values is None:
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64)
    values = pa.array(list(key.values or ())).cast(column.type, safe=False)
    at = pc.index_in(column.combine_chunks() if column.num_chunks != 1 else column.chunk(0), value_set=values)
    return np.asarray(pc.fill_null(at, -1).to_numpy(zero_copy_only=False), dtype=np.int64)

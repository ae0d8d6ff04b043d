"""Tables that are read a batch at a time, more than once, and never as a whole: CSV, Parquet, Arrow, DuckDB and SQL.

`open_table` gives a `Table`, whose `batches(columns)` yields record batches in the same order every time. A file is
read where it lies; that it does not change in between is checked. The rows of a database have no order of their own,
so the result of a query is copied once into a file that only the owner can read.

A small CSV file is read whole, as `ppc.dataset.read` does. In a larger one the types of the columns come from the
schema beside it; without one, columns stay text as they stand in the file (so nothing is lost when they are written
again), except those named in `typed`: they are integers, dates or
timestamps if every value is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from ppc.core.files import atomic_write
from ppc.dataset import convert, csvfile, duckdbfile, io, sqlsource
from ppc.dataset.schema import Schema
from ppc.errors import ColumnError, FileError, TypeMismatchError, did_you_mean

WHOLE_BYTES: Final = 32 << 20  # smaller CSV files are read at once
BATCH_ROWS: Final = 1 << 16

_INTEGER: Final = r"^(0|-?[1-9][0-9]{0,17})$"
_DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2})?$"

Batches = Iterator[pa.RecordBatch]


class Table:
    """A table that is read in batches; `names` are its columns. Made by `open_table`."""

    def __init__(self, name: str, names: Sequence[str], read: Callable[[list[str]], Batches], file: Path) -> None:
        self.name = name
        self.names = tuple(names)
        self._read = read
        self._file = file
        self._stamp = _stamp(file)

    def batches(self, columns: Iterable[str] | None = None) -> Batches:
        """The rows, some of their columns, in batches of at most 2^16 rows; at least one batch, in the file's order.

        Raises: ColumnError: no such column. FileError: the file is damaged, or was changed since it was opened.
        """
        chosen = list(self.names if columns is None else columns)
        for column in chosen:
            if column not in self.names:
                raise ColumnError(
                    f"there is no column '{column}'", where=str(self._file), hint=did_you_mean(column, self.names)
                )
        if _stamp(self._file) != self._stamp:
            raise FileError("the file changed while it was in use", where=str(self._file))
        none = True
        for batch in self._read(chosen):
            for start in range(0, batch.num_rows, BATCH_ROWS):
                none = False
                yield batch.slice(start, BATCH_ROWS)
            if none and not batch.num_rows:
                none = False
                yield batch

    def __repr__(self) -> str:
        return f"<Table {self.name} {list(self.names)}>"


def open_table(
    source: str | Path,
    *,
    typed: Iterable[str] = (),
    schema: Schema | None = None,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    scratch: Path | None = None,
    whole_bytes: int = WHOLE_BYTES,
) -> Table:
    """A table to read in batches.

    Args:
        source: a file of any kind that `ppc.dataset.read` knows; `duckdb:///file.db?table=t`; or an SQLAlchemy URL
            with `table=` or `query=` added, such as `postgresql+psycopg://host/db?table=customers`.
        typed: columns of a large CSV file without a schema whose types matter (keys).
        scratch: a folder for the copy of a query's result, which lives as long as the folder does; needed for
            databases.

    Raises: as `ppc.dataset.read`.
    """
    text = str(source)
    if text.startswith("duckdb:"):
        return _copied(duckdbfile.parse(text).name, duckdbfile.batches(duckdbfile.parse(text)), scratch)
    if sqlsource.is_url(text):
        return _copied(*sqlsource.batches(text), scratch)
    file = Path(source)
    io.check_readable(file)
    kind, stem = io.kind_of(file)
    if kind in io.PARQUET:
        return _binary(file, stem, _parquet_names, _parquet_batches, "Parquet")
    if kind in io.ARROW:
        return _binary(file, stem, _arrow_names, _arrow_batches, "Arrow")
    beside = file.with_name(f"{stem}.schema.toml")
    if schema is None and beside.is_file():
        schema = Schema.read(beside)
    options = csvfile.Options(delimiter or io.CSV[kind], encoding, tuple(io.NULL_VALUES), guessed=delimiter is None)
    if file.stat().st_size <= whole_bytes and file.suffix.lower() not in io.ZIPPED:
        table = convert.to_table(csvfile.read(file, options, None, schema))
        return Table(stem, table.column_names, lambda chosen: iter(_whole(table.select(chosen))), file)
    return _csv(file, stem, options, schema, list(typed))


def _whole(table: pa.Table) -> list[pa.RecordBatch]:
    return table.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        found = os.stat(file)
    except OSError as e:
        raise FileError(f"the file can not be read: {e.strerror}", where=str(file)) from None
    return found.st_size, found.st_mtime_ns, found.st_ino


# --- CSV ---
def _csv(file: Path, stem: str, options: csvfile.Options, schema: Schema | None, typed: list[str]) -> Table:
    names = csvfile.names(file, options)
    for name in typed:
        if name not in names:
            raise ColumnError(f"there is no column '{name}'", where=str(file), hint=did_you_mean(name, names))
    known = csvfile.known_types(schema, names, str(file))
    guessed = {} if schema is not None else _key_types(file, options, typed)

    def read(chosen: list[str]) -> Batches:
        for batch in csvfile.batches(file, options, chosen, {n: known.get(n, pa.string()) for n in chosen}):
            columns = [
                batch.column(i).cast(guessed[n]) if n in guessed else batch.column(i) for i, n in enumerate(chosen)
            ]
            yield pa.RecordBatch.from_arrays(columns, chosen)

    return Table(stem, names, read, file)


def _key_types(file: Path, options: csvfile.Options, typed: list[str]) -> dict[str, pa.DataType]:
    """Which columns are all integers (as a number would be written: no leading zeros), all dates, or all timestamps."""
    if not typed:
        return {}
    candidates = {n: {_INTEGER: pa.int64(), _DATE: pa.date32(), _TIME: pa.timestamp("us")} for n in typed}
    some = dict.fromkeys(typed, False)
    for batch in csvfile.batches(file, options, typed, dict.fromkeys(typed, pa.string())):
        for i, name in enumerate(typed):
            values = batch.column(i).drop_null()
            some[name] |= len(values) > 0
            for pattern in list(candidates[name]):
                fits = pc.all(pc.match_substring_regex(values, pattern), min_count=0).as_py()
                if not fits or not _casts(values, candidates[name][pattern]):
                    del candidates[name][pattern]
    return {n: next(iter(found.values())) for n, found in candidates.items() if found and some[n]}


def _casts(values: pa.Array, kind: pa.DataType) -> bool:
    try:
        values.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


# --- Parquet and Arrow ---
def _binary(
    file: Path,
    stem: str,
    names: Callable[[Path], list[str]],
    read: Callable[[Path, list[str]], Batches],
    kind: str,
) -> Table:
    def guarded(chosen: list[str]) -> Batches:
        try:
            yield from read(file, chosen)
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            raise _damaged(file, kind) from None

    try:
        found = names(file)
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise _damaged(file, kind) from None
    convert.check_names(found, str(file))
    return Table(stem, found, guarded, file)


def _damaged(file: Path, kind: str) -> FileError:
    return FileError(
        f"the file is damaged, or is not {kind}",
        where=str(file),
        hint="Was it copied in full? Its ending says how it is read.",
    )


def _parquet_names(file: Path) -> list[str]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        return list(parquet.schema_arrow.names)


def _parquet_batches(file: Path, chosen: list[str]) -> Batches:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        schema = parquet.schema_arrow
        # A name with a dot in it would be taken as a path into a nested column: then all columns are read.
        columns = None if any("." in n for n in chosen) else chosen
        empty = True
        for batch in parquet.iter_batches(BATCH_ROWS, columns=columns):
            empty = False
            yield batch.select(chosen)
        if empty:
            yield pa.RecordBatch.from_pylist([], pa.schema([schema.field(n) for n in chosen]))


def _arrow_names(file: Path) -> list[str]:
    with pa.OSFile(str(file)) as source:
        return list(_arrow_reader(source).schema.names)


def _arrow_batches(file: Path, chosen: list[str]) -> Batches:
    with pa.OSFile(str(file)) as source:
        reader = _arrow_reader(source)
        empty = True
        if isinstance(reader, pa.ipc.RecordBatchFileReader):
            all_batches: Iterable[pa.RecordBatch] = (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            all_batches = reader
        for batch in all_batches:
            empty = False
            yield batch.select(chosen)
        if empty:
            yield pa.RecordBatch.from_pylist([], pa.schema([reader.schema.field(n) for n in chosen]))


def _arrow_reader(source: Any) -> Any:
    is_file = source.read(6) == b"ARROW1"  # the file format; else a stream
    source.seek(0)
    return pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)


# --- databases ---
def _copied(name: str, batches: Batches, scratch: Path | None) -> Table:
    """The rows of a query, in a file of the scratch folder."""
    if scratch is None:
        raise FileError("a query's result needs a folder to be kept in meanwhile", where=name)
    handle, path = tempfile.mkstemp(prefix="ppc-query-", suffix=".arrow", dir=scratch)  # mode 0600
    file = Path(path)
    with os.fdopen(handle, "wb") as f:
        first = next(batches)
        schema = first.schema
        with pa.ipc.new_file(f, schema) as out:
            out.write_batch(first)
            for batch in batches:
                if batch.schema != schema:
                    raise TypeMismatchError("a column changes its type within the result", where=name)
                out.write_batch(batch)
    return _binary(file, name, _arrow_names, _arrow_batches, "Arrow")


# --- writing ---
@contextmanager
def writing(path: str | Path, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """A function that adds a batch to the file `path`, which appears when the block ends without an error.

    Raises: as `ppc.dataset.io.write`.
    """
    file = Path(path)
    kind = io.writable_kind(file, schema)
    with atomic_write(file, mode=0o600) as f:
        if kind in io.CSV:
            csvfile.write(schema.empty_table(), f, io.CSV[kind])
            options = pcsv.WriteOptions(include_header=False, delimiter=io.CSV[kind], quoting_style="needed")
            writer: Any = pcsv.CSVWriter(f, schema, write_options=options)
        elif kind in io.PARQUET:
            import pyarrow.parquet as pq

            writer = pq.ParquetWriter(f, schema, compression="zstd")
        else:
            writer = pa.ipc.new_file(f, schema)
        with writer:
            yield writer.write_batch if kind in io.PARQUET else writer.write

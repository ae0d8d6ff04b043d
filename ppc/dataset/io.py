"""Reading and writing files of columns: CSV, TSV, Parquet, Arrow, and tables in DuckDB databases."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa

from ppc.core.files import atomic_write
from ppc.dataset import convert, csvfile, duckdbfile, types
from ppc.dataset.dataset import Dataset
from ppc.dataset.schema import Schema
from ppc.errors import ColumnError, FileError, InputError, TypeMismatchError, did_you_mean

#: What stands for a missing value in a CSV file, also with blanks around it, unless `read` is told otherwise.
NULL_VALUES: Final = (
    "", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "NULL", "null", "None", "<NA>",
)  # fmt: skip

CSV: Final = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
ZIPPED: Final = {".gz", ".bz2", ".zst"}
PARQUET: Final = {".parquet", ".pq"}
ARROW: Final = {".arrow", ".feather", ".ipc"}
_KINDS: Final = "CSV (.csv), TSV (.tsv), Parquet (.parquet), Arrow (.arrow, .feather), duckdb:///file.db?table=t"


def read(
    path: str | Path,
    schema: Schema | str | Path | None = None,
    null_values: Iterable[str] = NULL_VALUES,
    *,
    columns: Iterable[str] | None = None,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    name: str | None = None,
) -> Dataset:
    """A dataset from a file, of the kind that the file's ending says.

    Args:
        path: a `.csv` or `.tsv` (also `.csv.gz`, `.bz2`, `.zst`), `.parquet` or `.arrow`/`.feather` file; or
            `duckdb:///relative.db?table=t`, `duckdb:////absolute.db?query=SELECT…`.
        schema: what the columns mean, or the TOML file that says so. Without one, `customers.schema.toml` is used if it
            lies beside `customers.csv`; else names and types are taken from the data.
        null_values: what stands for a missing value (CSV and TSV only).
        columns: read these only, in this order.
        delimiter: between the values of a CSV file, if it is not the usual one.
        encoding: of a CSV file.
        name: what to call the dataset; else the file's name without its ending.

    Raises:
        FileError: the file is missing, unreadable, empty, damaged, in another encoding, or of an unknown kind.
        ColumnError: a column's name is empty, doubled, or not in the file.
        SchemaError: the schema has other columns than the file, or forbids nulls that are there.
        TypeMismatchError: a value is not of the type that the schema gives; naming file, column and row, not the value.
    """
    wanted = _wanted(columns)
    if str(path).startswith("duckdb:"):
        described = Schema.read(schema) if isinstance(schema, str | Path) else schema
        source = duckdbfile.parse(str(path))
        return _finish(duckdbfile.read(source, wanted), described, wanted, str(path), name or source.name)
    file = Path(path)
    check_readable(file)
    kind, stem = kind_of(file)
    described = _described(file, stem, schema)
    if kind in CSV:
        options = csvfile.Options(delimiter or CSV[kind], encoding, tuple(null_values), guessed=delimiter is None)
        if described is not None and wanted is not None:
            described = described.select(wanted)
        table = csvfile.read(file, options, wanted, described)
    else:
        table = _read_binary(file, _parquet if kind in PARQUET else _arrow, wanted)
    return _finish(table, described, wanted, str(file), name or stem)


def _wanted(columns: Iterable[str] | None) -> list[str] | None:
    if columns is None:
        return None
    if isinstance(columns, str):
        raise TypeMismatchError("columns must be a list of names", hint=f"Write columns=['{columns}'].")
    wanted = list(columns)
    convert.check_names(wanted, "argument columns")
    return wanted


def _finish(table: pa.Table, schema: Schema | None, wanted: list[str] | None, where: str, name: str) -> Dataset:
    try:
        table = convert.to_table(table)
    except InputError as e:
        raise type(e)(e.what, where=f"{where}, {e.where}" if e.where else where, hint=e.hint) from None
    if schema is None:
        return Dataset(table, Schema.from_arrow(table.schema, name), name)
    if wanted is not None:
        schema = schema.select(wanted)
    return Dataset(convert.fit(table, schema, where=where), schema, name)


# --- which file ---
def kind_of(file: Path) -> tuple[str, str]:
    """The ending that says how to read a file, and its name without it."""
    plain = file.with_suffix("") if file.suffix.lower() in ZIPPED else file
    kind = plain.suffix.lower()
    if kind in CSV or (plain == file and kind in PARQUET | ARROW):
        return kind, plain.stem
    raise FileError(
        f"files that end in '{''.join(file.suffixes[-2:])}' are of no known kind",
        where=str(file),
        hint=f"Known: {_KINDS}.",
    )


def _described(file: Path, stem: str, schema: Schema | str | Path | None) -> Schema | None:
    if isinstance(schema, Schema):
        return schema
    if schema is not None:
        return Schema.read(schema)
    beside = file.with_name(f"{stem}.schema.toml")
    return Schema.read(beside) if beside.is_file() else None


def check_readable(file: Path) -> None:
    """`FileError` that says why, if there is no file with something in it."""
    try:
        with file.open("rb") as f:
            empty = not f.read(1)
    except FileNotFoundError:
        near = did_you_mean(file.name, [p.name for p in file.parent.glob("*")]) if file.parent.is_dir() else None
        hint = near if near and near.startswith("Did") else f"The folder is {file.parent.absolute()}."
        raise FileError("there is no such file", where=str(file), hint=hint) from None
    except IsADirectoryError:
        raise FileError("this is a folder, not a file", where=str(file), hint="Name one file in it.") from None
    except (OSError, ValueError) as e:
        raise FileError(
            f"the file can not be read: {getattr(e, 'strerror', None) or 'bad name'}", where=str(file)
        ) from None
    if empty:
        raise FileError("the file is empty", where=str(file))


# --- Parquet and Arrow ---
def _read_binary(
    file: Path, reader: Callable[[Path, list[str] | None], pa.Table], wanted: list[str] | None
) -> pa.Table:
    try:
        return reader(file, wanted)
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise FileError(
            f"the file is damaged, or is not {'Parquet' if reader is _parquet else 'Arrow'}",
            where=str(file),
            hint="Was it copied in full? Its ending says how it is read.",
        ) from None


def _parquet(file: Path, wanted: list[str] | None) -> pa.Table:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        names = parquet.schema_arrow.names
        convert.check_names(names, str(file))
        _check_wanted(wanted, names, str(file))
        if wanted is None:
            return parquet.read()
        # By position: a name with a dot in it would be taken as a path into a nested column.
        top = {n: i for i, n in enumerate(names)}
        leaves = [n for n in wanted if "." not in n]
        table = parquet.read(columns=leaves) if len(leaves) == len(wanted) else parquet.read()
        return table.select([table.column_names.index(n) for n in wanted if n in top])


def _arrow(file: Path, wanted: list[str] | None) -> pa.Table:
    with pa.OSFile(str(file)) as source:
        if source.read(6) == b"ARROW1":  # the file format; else a stream
            source.seek(0)
            table = pa.ipc.open_file(source).read_all()
        else:
            source.seek(0)
            table = pa.ipc.open_stream(source).read_all()
    convert.check_names(table.column_names, str(file))
    _check_wanted(wanted, table.column_names, str(file))
    return table if wanted is None else table.select(wanted)


def _check_wanted(wanted: list[str] | None, names: list[str], where: str) -> None:
    for name in wanted or ():
        if name not in names:
            raise ColumnError(f"there is no column '{name}'", where=where, hint=did_you_mean(name, names))


# --- writing ---
def write(table: pa.Table, path: str | Path) -> None:
    """Write a table to `.csv`, `.tsv`, `.parquet` or `.arrow`/`.feather`, whole or not at all.

    CSV can not tell an empty text, or a text such as `NA`, from a missing value: use another format to keep them.

    Raises:
        FileError: of an unknown kind, or the folder is missing or can not be written to.
        TypeMismatchError: a column can not be written to this kind of file (lists and bytes to CSV).
    """
    file = Path(path)
    kind = writable_kind(file, table.schema)
    writer: Callable[[pa.Table, BinaryIO], None]
    if kind in CSV:
        writer = lambda t, f: csvfile.write(t, f, CSV[kind])  # noqa: E731
    else:
        writer = _write_parquet if kind in PARQUET else _write_arrow
    with atomic_write(file) as f:
        writer(table, f)


def writable_kind(file: Path, schema: pa.Schema | None = None) -> str:
    """The ending that says how a file is written; errors as of `write`, for columns that it cannot hold too."""
    kind = file.suffix.lower()
    if kind in CSV:
        for field in schema if schema is not None else ():
            if types.from_arrow(field.type, column=field.name).startswith(("list<", "binary", "duration")):
                raise TypeMismatchError(
                    f"column '{field.name}' is {field.type}, which CSV can not hold",
                    where=str(file),
                    hint="Write a .parquet or .arrow file, or drop the column.",
                )
    elif kind not in PARQUET | ARROW:
        raise FileError(f"files that end in '{kind}' can not be written", where=str(file), hint=f"Known: {_KINDS}.")
    return kind


def _write_parquet(table: pa.Table, f: BinaryIO) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, f, compression="zstd")


def _write_arrow(table: pa.Table, f: BinaryIO) -> None:
    with pa.ipc.new_file(f, table.schema) as out:
        out.write_table(table)

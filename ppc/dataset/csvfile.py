"""CSV and TSV: types inferred without harm to codes and keys, missing values, and errors that name column and row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from ppc.dataset import convert, types
from ppc.dataset.schema import Schema
from ppc.errors import ColumnError, ConfigError, FileError, SchemaError, TypeMismatchError, did_you_mean

_BLOCK: Final = 8 << 20
# A digit string that a number would not give back as it stands: `007`, `+4917012345`, 19 digits in a double.
_CODE: Final = r"^(0[0-9]|\+[0-9]{7}|[0-9]{17})[0-9]*$"
_ENCODING_HINT: Final = "Pass its encoding, such as encoding='gb18030', 'latin-1' or 'utf-16', or save it as UTF-8."


@dataclass(frozen=True)
class Options:
    """How a file is written: what is between values, in which encoding, and what stands for a missing one."""

    delimiter: str
    encoding: str
    null_values: tuple[str, ...]
    guessed: bool = False
    """Whether the delimiter comes from the file's ending, and not from a person."""

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1:
            raise ConfigError("delimiter must be one character", where="argument delimiter")
        try:
            "".encode(self.encoding)
        except LookupError:
            raise ConfigError(f"there is no encoding '{self.encoding}'", where="argument encoding") from None


def read(file: Path, options: Options, wanted: list[str] | None, schema: Schema | None) -> pa.Table:
    """The table in a file, its columns of the schema's types, or of inferred ones."""
    where = str(file)
    header, blank_lines, is_empty = _header(file, options)
    convert.check_names(header, where)
    other = next((d for d in (";", "\t", "|", ",") if d in header[0]), None)
    if options.guessed and len(header) == 1 and other is not None:
        raise FileError(
            "the first line has one name only, with what looks like another delimiter in it",
            where=where,
            hint=f"Pass delimiter={other!r}.",
        )
    for name in wanted or ():
        if name not in header:
            raise ColumnError(f"there is no column '{name}'", where=where, hint=did_you_mean(name, header))
    chosen = wanted if wanted is not None else header
    known = known_types(schema, chosen, where)
    if is_empty:
        return pa.table({name: pa.array([], known.get(name, pa.null())) for name in chosen})
    layout = _Layout(file, options, header, blank_lines, _BLOCK)
    try:
        table = layout.read(chosen, known)
    except (pa.ArrowException, UnicodeDecodeError, OSError) as e:
        _explain(e, layout, known)
    _check_quotes(table, file)
    if schema is None:
        table = _infer_again(table, layout)
    for i, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):  # "nan" is no number that anybody measured
            column = table.column(i)
            if pc.any(pc.is_nan(column)).as_py():
                column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
                table = table.set_column(i, field, column)
    return table


def names(file: Path, options: Options) -> list[str]:
    """The columns of a file."""
    header, _, _ = _header(file, options)
    convert.check_names(header, str(file))
    return header


def batches(file: Path, options: Options, chosen: list[str], kinds: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """The chosen columns, of the types given, a block of the file at a time; at least one batch."""
    header, blank_lines, is_empty = _header(file, options)
    if is_empty:
        yield pa.RecordBatch.from_arrays([pa.array([], kinds[n]) for n in chosen], chosen)
        return
    layout = _Layout(file, options, header, blank_lines, _BLOCK)
    try:
        yield from layout.stream(chosen, kinds)
    except (pa.ArrowException, UnicodeDecodeError, OSError) as e:
        _explain(e, layout, kinds)


def write(table: pa.Table, f: BinaryIO, delimiter: str) -> None:
    """The table as CSV: a header line, UTF-8, missing values empty, text in quotes only where needed."""
    header = io.StringIO()
    csv.writer(header, delimiter=delimiter, lineterminator="\n").writerow(table.column_names)
    f.write(header.getvalue().encode())
    pcsv.write_csv(table, f, pcsv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style="needed"))


# --- reading ---
@dataclass(frozen=True)
class _Layout:
    """A file whose first line is known."""

    file: Path | BinaryIO
    options: Options
    header: list[str]
    blank_lines: int
    """Before the header."""
    block: int
    """Bytes to read at a time."""

    def read(self, chosen: list[str], kinds: dict[str, pa.DataType], **parse: Any) -> pa.Table:
        """The chosen columns, of the types given or else inferred."""
        return pcsv.read_csv(self.file, *self._parts(**parse), self._conversion(chosen, kinds))

    def texts(self, chosen: list[str]) -> Iterator[pa.RecordBatch]:
        """The chosen columns as they stand in the file, as text, a block at a time."""
        return self.stream(chosen, dict.fromkeys(chosen, pa.string()))

    def stream(self, chosen: list[str], kinds: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        """The chosen columns, of the types given, a block at a time."""
        with pcsv.open_csv(self.file, *self._parts(), self._conversion(chosen, kinds)) as r:
            yield from r

    def _parts(self, *, use_threads: bool = True, invalid_row_handler: Any = None) -> tuple[Any, Any]:
        reading = pcsv.ReadOptions(
            column_names=self.header,
            skip_rows=self.blank_lines,
            skip_rows_after_names=1,
            encoding=self.options.encoding,
            block_size=self.block,
            use_threads=use_threads,
        )
        parsing = pcsv.ParseOptions(
            delimiter=self.options.delimiter,
            newlines_in_values=True,
            ignore_empty_lines=len(self.header) > 1,  # in a file of one column an empty line is a missing value
            invalid_row_handler=invalid_row_handler,
        )
        return reading, parsing

    def _conversion(self, chosen: list[str], kinds: dict[str, pa.DataType]) -> Any:
        # Missing values also stand with a blank before or behind them: ", ?," is how many old files are written.
        nulls = dict.fromkeys(v for n in self.options.null_values for v in (n, f" {n}", f"{n} "))
        return pcsv.ConvertOptions(
            include_columns=chosen, column_types=kinds, null_values=list(nulls), strings_can_be_null=True
        )


def _header(file: Path, options: Options) -> tuple[list[str], int, bool]:
    """The names in the first line, how many blank lines come before it, and whether nothing comes after it.

    Read by Python: Arrow would take a doubled or an empty name as it comes. Blanks around a name are no part of it.
    """
    try:
        with pa.input_stream(str(file)) as raw, io.TextIOWrapper(raw, options.encoding, newline="") as text:
            rows = csv.reader(text, delimiter=options.delimiter)
            for blank_lines, row in enumerate(rows):
                if row:
                    return [name.strip(" \t\ufeff") for name in row], blank_lines, not text.read(1)
    except UnicodeError:
        raise FileError(f"the file is not {options.encoding}", where=str(file), hint=_ENCODING_HINT) from None
    except csv.Error:
        raise FileError("the first line is not a line of column names", where=str(file)) from None
    except (OSError, EOFError, pa.ArrowException):
        raise FileError("the file is damaged: it can not be unpacked", where=str(file)) from None
    raise FileError("the file has no line of column names", where=str(file))


def _check_quotes(table: pa.Table, file: Path) -> None:
    """A quote that is opened and never closed takes the rest of the file as one value; Arrow does not mind."""
    if not table.num_rows:
        return
    last = [c[-1].as_py() for c in table.columns if pa.types.is_string(c.type)]
    if any(text is not None and "\n" in text for text in last):
        quotes = 0
        with pa.input_stream(str(file)) as raw:
            while chunk := raw.read(_BLOCK):
                quotes += chunk.count(b'"')
        if quotes % 2:
            raise FileError(
                "a quote is opened and never closed", where=str(file), hint='Write a quote inside a value twice: "".'
            )


def known_types(schema: Schema | None, chosen: list[str], where: str) -> dict[str, pa.DataType]:
    """The types that a schema gives to columns."""
    if schema is None:
        return {}
    convert.check_columns(chosen, schema, where)
    out = {}
    for field in schema:
        if field.type.startswith(("list<", "duration")):
            raise SchemaError(
                f"column '{field.name}' should be {field.type}, which CSV can not hold",
                where=f"{where}, column '{field.name}'",
            )
        out[field.name] = types.to_arrow(field.type)
    return out


def _infer_again(table: pa.Table, layout: _Layout) -> pa.Table:
    """Correct what Arrow infers: codes stay text, instants count microseconds, and bytes mean a wrong encoding."""
    for field in table.schema:
        if pa.types.is_binary(field.type):
            raise FileError(
                f"the file is not {layout.options.encoding}",
                where=f"{layout.file}, column '{field.name}'",
                hint=_ENCODING_HINT,
            )
    numbers = [f.name for f in table.schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]
    codes: set[str] = set()
    whole: dict[str, bool] = {n: pa.types.is_integer(table.schema.field(n).type) for n in numbers}
    if numbers:
        for batch in layout.texts(numbers):
            for name in numbers:
                if name not in codes and _has_codes(batch.column(name), whole[name]):
                    codes.add(name)
    if codes:
        kinds = {f.name: pa.string() if f.name in codes else f.type for f in table.schema}
        table = layout.read(table.column_names, kinds)
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit != "us":
            try:
                column = table.column(i).cast(pa.timestamp("us", field.type.tz))
            except pa.ArrowInvalid:  # nanoseconds that matter, or years out of range: left as they are
                continue
            table = table.set_column(i, field.with_type(column.type), column)
    return table


def _has_codes(texts: pa.Array, whole: bool) -> bool:
    """Whether a column of numbers holds one whose text is more than its value: a leading zero or plus, many digits."""
    if whole:  # an int64 holds all its digits, and Arrow takes none with a plus, so only leading zeros matter
        suspect = pc.and_(pc.starts_with(texts, "0"), pc.greater(pc.binary_length(texts), 1))
    else:
        signed = pc.or_(pc.starts_with(texts, "0"), pc.starts_with(texts, "+"))
        suspect = pc.or_(signed, pc.greater(pc.binary_length(texts), 16))
    if not pc.any(suspect).as_py():
        return False
    return bool(pc.any(pc.match_substring_regex(texts.filter(suspect), _CODE)).as_py())


# --- what went wrong ---
def _explain(error: Exception, layout: _Layout, kinds: dict[str, pa.DataType]) -> NoReturn:
    """Say which column or row is wrong. Arrow's messages quote values, and mostly do not know the row."""
    where = str(layout.file)
    if isinstance(error, UnicodeError) or "UTF8" in str(error) or "codec" in str(error):
        raise FileError(f"the file is not {layout.options.encoding}", where=where, hint=_ENCODING_HINT) from None
    if m := re.search(r"Expected (\d+) columns, got (\d+)", str(error)):
        row = _ragged_row(layout)
        raise FileError(
            f"a row has {m[2]} values, and the header has {m[1]}",
            where=f"{where}, data row {row}" if row else where,
            hint="Is a value with the delimiter in it not quoted, or is the delimiter another one?",
        ) from None
    for name, kind in kinds.items():
        row = _first_misfit(layout, name, kind)
        if row is not None:
            label = types.from_arrow(kind, column=name)
            raise TypeMismatchError(
                f"column '{name}' should be {label}, but a value is not",
                where=f"{where}, column '{name}', data row {row}",
                hint="Correct the value, declare another type in the schema, or add it to null_values.",
            ) from None
    hint = "Is a quote opened and never closed?" if "straddl" in str(error) else None  # a value of more than a block
    raise FileError("the file can not be read as CSV", where=where, hint=hint) from None


def _ragged_row(layout: _Layout) -> int | None:
    """The first row, from 1 after the header, with another number of values than the header has."""
    found: list[int] = []

    def handler(row: Any) -> str:
        if row.number is not None:
            found.append(row.number - 1)  # Arrow counts the header
        return "skip"

    name = layout.header[0]
    try:
        layout.read([name], {name: pa.string()}, use_threads=False, invalid_row_handler=handler)
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    return found[0] if found else None


def _first_misfit(layout: _Layout, name: str, kind: pa.DataType) -> int | None:
    """The first row, from 1 after the header, whose text is not of the type; `None` if all are."""
    done = 0
    try:
        for batch in layout.texts([name]):
            texts = batch.column(0)
            if not _fits(texts, layout, kind):
                low, high = 0, len(texts)  # the first misfit lies in [low, high)
                while high - low > 1:
                    middle = (low + high) // 2
                    if _fits(texts.slice(low, middle - low), layout, kind):
                        low = middle
                    else:
                        high = middle
                return done + low + 1
            done += len(texts)
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    return None


def _fits(texts: pa.Array, layout: _Layout, kind: pa.DataType) -> bool:
    """Whether Arrow's CSV converter takes these texts: written out again, each in quotes, and read."""
    sink = io.BytesIO()
    pcsv.write_csv(pa.table({"x": texts}), sink, pcsv.WriteOptions(quoting_style="all_valid"))
    sink.seek(0)
    plain = Options(",", "utf-8", layout.options.null_values)
    again = _Layout(sink, plain, ["x"], 0, max(_BLOCK, sink.getbuffer().nbytes))
    try:
        again.read(["x"], {"x": kind})
    except pa.ArrowInvalid:
        return False
    return True

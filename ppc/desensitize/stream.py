"""Desensitize a file of any size in bounded memory: read a batch, transform it, write it; the result appears whole.

Reads Parquet, Arrow and CSV/TSV (also compressed CSV); writes Parquet, Arrow and CSV/TSV. The result is written beside
its final name and renamed at the end, so an interrupted run leaves nothing there.
"""

from __future__ import annotations

import contextlib
import csv
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from ppc.core.files import atomic_write
from ppc.dataset import convert
from ppc.dataset.io import NULL_VALUES, read
from ppc.dataset.schema import Schema
from ppc.desensitize.engines.arrow import plan_for, transformed
from ppc.desensitize.keys import Key, KeyRef
from ppc.desensitize.plan import Plan, Tally
from ppc.desensitize.policy import Policy, as_policy
from ppc.desensitize.report import Report, report
from ppc.errors import ConfigError, FileError, PpcError, TypeMismatchError

BATCH_ROWS: Final = 1 << 16
_SAMPLE_BYTES: Final = 8 << 20
_BLOCK_BYTES: Final = 8 << 20
_CSV: Final = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_ZIPPED: Final = {".gz", ".bz2", ".zst"}
_PARQUET: Final = {".parquet", ".pq"}
_ARROW: Final = {".arrow", ".feather", ".ipc"}
_KINDS: Final = "CSV (.csv, .tsv), Parquet (.parquet), Arrow (.arrow, .feather)"

AnyKeys = Key | KeyRef | Mapping[str, Key | KeyRef] | None
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Source:
    """An open input: its Arrow schema (plain types), what describes it, its batches, and the fraction read so far."""

    kinds: Any
    schema: Schema | None
    batches: Iterator[Any]
    fraction: Callable[[], float]


def desensitize_file(
    source: str | Path,
    policy: Policy | str | Path,
    keys: AnyKeys,
    out: str | Path,
    *,
    schema: Schema | str | Path | None = None,
    batch_rows: int = BATCH_ROWS,
    progress: Progress | None = None,
) -> Report:
    """Transform a file into another by a policy; return what was done to each column.

    schema: what the columns mean (else `NAME.schema.toml` beside the input). The types of a CSV file without a schema
    are read off its first 8 MiB; numbers with leading zeros stay text.
    Memory: some batches of `batch_rows` rows, whatever the size of the file.

    Raises:
        PpcError: as `ppc.desensitize.apply`; FileError if a file can not be read or written. Nothing is left at `out`.
    """
    if not batch_rows > 0:
        raise ConfigError("batch_rows must be positive")
    target = Path(out)
    own = as_policy(policy)
    _output_kind(target)
    if target.exists() and target.resolve() == Path(source).resolve():
        raise ConfigError("the output is the input", where=str(target), hint="Give another name for the output.")
    tally = Tally()
    with open_source(source, schema, batch_rows) as opened:
        plan = plan_for(opened.kinds, own, keys, opened.schema, streaming=True)
        with atomic_write(target) as sink, _writer(sink, target, plan) as write:
            for batch in transformed(_watched(opened, str(source)), plan, tally):
                write(batch)
                if progress is not None:
                    progress(min(opened.fraction(), 1.0), f"{tally.rows:,} rows")
    if progress is not None:
        progress(1.0, f"{tally.rows:,} rows")
    return report(plan, tally)


def preview(
    source: str | Path,
    policy: Policy | str | Path,
    keys: AnyKeys,
    *,
    schema: Schema | str | Path | None = None,
    rows: int = 10,
) -> tuple[Any, Any, Report]:
    """The first rows before and after, as two tables, and the report on these rows. Writes nothing."""
    own = as_policy(policy)
    tally = Tally()
    with open_source(source, schema, max(rows, 1)) as opened:
        plan = plan_for(opened.kinds, own, keys, opened.schema)
        table = opened.kinds.empty_table()
        for batch in _watched(opened, str(source)):
            table = pa.concat_tables([table, convert.to_table(pa.Table.from_batches([batch]))])
            if table.num_rows >= rows:
                break
        before = table.slice(0, rows)
        return before, plan.table(before, tally), report(plan, tally)


# --- reading ---
@contextmanager
def open_source(
    source: str | Path, schema: Schema | str | Path | None, batch_rows: int, *, beside: bool = True
) -> Iterator[Source]:
    """Open a file for reading batch by batch. beside: whether a schema that lies beside the file counts."""
    file = Path(source)
    plain = file.with_suffix("") if file.suffix.lower() in _ZIPPED else file
    kind = plain.suffix.lower()
    described = Schema.read(schema) if isinstance(schema, str | Path) else schema
    draft = file.with_name(f"{plain.stem}.schema.toml")
    if described is None and beside and draft.is_file():
        described = Schema.read(draft)
    try:
        with contextlib.ExitStack() as stack:
            if kind in _CSV:
                yield _csv(stack, file, _CSV[kind], described)
            elif plain == file and kind in _PARQUET:
                yield _parquet(stack, file, described, batch_rows)
            elif plain == file and kind in _ARROW:
                yield _arrow(stack, file, described)
            else:
                raise FileError(f"files that end in '{file.suffix}' are of no known kind", where=str(file), hint=_KINDS)
    except OSError as e:
        raise FileError(f"the file can not be read: {e.strerror or 'input error'}", where=str(file)) from None
    except pa.ArrowException:
        raise FileError("the file is damaged, or is not what its ending says", where=str(file)) from None


def _watched(opened: Source, where: str) -> Iterator[Any]:
    """The batches, with the reader's errors turned into ours: Arrow's messages quote values."""
    while True:
        try:
            batch = next(opened.batches, None)
        except pa.ArrowInvalid:
            hint = "Write down the columns' types in a schema file; `ppc.read` says which column and row."
            raise TypeMismatchError("a row does not fit the types of the columns", where=where, hint=hint) from None
        if batch is None:
            return
        yield batch


def _plain(kinds: Any) -> Any:
    """An Arrow schema with the plain types that a dataset has."""
    return convert.to_table(kinds.empty_table()).schema


def _parquet(stack: contextlib.ExitStack, file: Path, schema: Schema | None, batch_rows: int) -> Source:
    opened = stack.enter_context(pq.ParquetFile(str(file)))
    total = max(opened.metadata.num_rows, 1)
    seen = 0

    def batches() -> Iterator[Any]:
        nonlocal seen
        for batch in opened.iter_batches(batch_size=batch_rows):
            seen += batch.num_rows
            yield batch

    return Source(_plain(opened.schema_arrow), schema, batches(), lambda: seen / total)


def _arrow(stack: contextlib.ExitStack, file: Path, schema: Schema | None) -> Source:
    mapped = stack.enter_context(pa.memory_map(str(file)))
    try:
        reader = stack.enter_context(pa.ipc.open_file(mapped))
        total, seen = max(reader.num_record_batches, 1), 0

        def batches() -> Iterator[Any]:
            nonlocal seen
            for i in range(reader.num_record_batches):
                seen = i + 1
                # A file written in one go is one batch.
                whole = reader.get_batch(i)
                for start in range(0, whole.num_rows, BATCH_ROWS):
                    yield whole.slice(start, BATCH_ROWS)

        return Source(_plain(reader.schema), schema, batches(), lambda: seen / total)
    except pa.ArrowInvalid:
        mapped.seek(0)
        stream = stack.enter_context(pa.ipc.open_stream(mapped))
        size = max(file.stat().st_size, 1)
        return Source(_plain(stream.schema), schema, iter(stream), lambda: mapped.tell() / size)


def _csv(stack: contextlib.ExitStack, file: Path, delimiter: str, schema: Schema | None) -> Source:
    if schema is None:
        kinds = _sampled(file)
    else:
        kinds = schema.to_arrow()
    raw = stack.enter_context(file.open("rb"))
    size = max(file.stat().st_size, 1)
    packed = file.suffix.lower().lstrip(".")
    stream = pa.input_stream(raw, {"gz": "gzip", "zst": "zstd"}.get(packed, packed if packed == "bz2" else None))
    nulls = [v for n in NULL_VALUES for v in (n, f" {n}", f"{n} ")]
    reader = stack.enter_context(
        pcsv.open_csv(
            stream,
            pcsv.ReadOptions(block_size=_BLOCK_BYTES),
            pcsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pcsv.ConvertOptions(
                column_types={f.name: f.type for f in kinds},
                null_values=list(dict.fromkeys(nulls)),
                strings_can_be_null=True,
            ),
        )
    )
    convert.check_names(reader.schema.names, str(file))
    if schema is not None:
        convert.check_columns(reader.schema.names, schema, str(file))
    return Source(_plain(reader.schema), schema, iter(reader), lambda: raw.tell() / size)


def _sampled(file: Path) -> Any:
    """The column types of a CSV file without a schema, from its first lines."""
    with pa.input_stream(str(file)) as raw:
        head = raw.read(_SAMPLE_BYTES)
        more = len(raw.read(1)) > 0
    if more:
        head = head[: head.rfind(b"\n") + 1]
    name = file.with_suffix("").name if file.suffix.lower() in _ZIPPED else file.name
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / name
        # Readable by this user only, and gone at the end of the block: it holds clear values.
        with atomic_write(sample, mode=0o600) as f:
            f.write(head)
        try:
            return read(sample).to_arrow().schema
        except PpcError as e:
            if e.where is not None:
                e.where = e.where.replace(str(sample), str(file))
            raise


# --- writing ---
def _output_kind(target: Path) -> str:
    kind = target.suffix.lower()
    if kind not in _CSV and kind not in _PARQUET and kind not in _ARROW:
        raise FileError(f"files that end in '{kind}' can not be written", where=str(target), hint=f"Known: {_KINDS}.")
    return kind


@contextmanager
def _writer(sink: BinaryIO, target: Path, plan: Plan) -> Iterator[Callable[[Any], None]]:
    """A function that appends a record batch to the output."""
    kind = _output_kind(target)
    shape = plan.arrow_schema
    if kind in _PARQUET:
        with pq.ParquetWriter(sink, shape, compression="zstd") as parquet:
            pending: list[Any] = []
            # Row groups of some size, so that the file is as good as one written at once.
            held = 0

            def append(batch: Any) -> None:
                nonlocal held
                pending.append(batch)
                held += batch.num_rows
                if held >= 4 * BATCH_ROWS:
                    flush()

            def flush() -> None:
                nonlocal held
                if pending:
                    parquet.write_table(pa.Table.from_batches(pending, shape), row_group_size=held)
                    pending.clear()
                    held = 0

            yield append
            flush()
        return
    if kind in _ARROW:
        with pa.ipc.new_file(sink, shape) as arrow:
            yield arrow.write_batch
        return
    delimiter = _CSV[kind]
    header = io.StringIO()
    for field in shape:
        if pa.types.is_binary(field.type) or pa.types.is_nested(field.type):
            raise TypeMismatchError(
                f"column '{field.name}' is {field.type}, which CSV can not hold",
                where=str(target),
                hint="Write a .parquet or .arrow file, or drop the column.",
            )
    csv.writer(header, delimiter=delimiter, lineterminator="\n").writerow(shape.names)
    sink.write(header.getvalue().encode())
    with pcsv.CSVWriter(
        sink,
        shape,
        write_options=pcsv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style="needed"),
    ) as text:
        yield text.write_batch


__all__ = ["desensitize_file", "open_source", "preview"]

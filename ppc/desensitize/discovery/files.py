"""Scan a file of any size: read it batch by batch, keep a sample spread over all of it, and judge that."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from ppc.core.rng import Stream
from ppc.dataset.dataset import Dataset
from ppc.dataset.io import read
from ppc.dataset.schema import Schema
from ppc.desensitize.discovery.findings import Scan
from ppc.desensitize.discovery.judge import SAMPLE_ROWS, THRESHOLD, scan
from ppc.desensitize.discovery.sample import chosen_rows
from ppc.desensitize.stream import Source, open_source
from ppc.errors import ConfigError, TypeMismatchError

if TYPE_CHECKING:
    from ppc.desensitize.discovery.detector import Detector
    from ppc.desensitize.grading.pack import Pack

Progress = Callable[[float, str], None]
_BATCH_ROWS: Final = 1 << 16
#: A fixed key, as for a table's sample; a stream of its own.
_KEY: Final = b"ppc scan: thin\0\0"


def scan_file(
    path: str | Path,
    *,
    schema: Schema | None = None,
    rows: int | None = SAMPLE_ROWS,
    detectors: Iterable[Detector] = (),
    packs: Sequence[str | Path | Pack] | None = None,
    threshold: float = THRESHOLD,
    progress: Progress | None = None,
) -> tuple[Scan, Schema]:
    """The findings on a file, and its columns with their types (and what `schema` says of those that it describes).

    `path` is a CSV, Parquet or Arrow file, read in bounded memory, or a `duckdb:` address. A column that `schema` does
    not describe gets the type that its values have; if its values do not agree on one, it is text.
    Other arguments and errors: as `scan` and `ppc.read`.
    """
    if rows is not None and not rows >= 1:
        raise ConfigError("rows should be at least 1", where="rows")
    judge = {"detectors": tuple(detectors), "packs": packs, "threshold": threshold}
    if str(path).startswith("duckdb:"):
        whole = read(path)
        merged = _merged(whole.to_arrow().schema, schema, whole.name)
        return scan(whole.with_schema(merged), rows=rows, progress=progress, **judge), merged  # type: ignore[arg-type]
    with open_source(path, None, _BATCH_ROWS, beside=False) as peek:
        kinds = peek.kinds
    merged = _merged(kinds, schema, _stem(path))
    try:
        sample, total = _sampled(path, merged, rows, progress)
    except TypeMismatchError:
        if schema is not None:
            raise
        # The first lines misled: with no word from a person, such columns are text.
        merged = replace(merged, fields=tuple(replace(f, type="string") for f in merged))
        sample, total = _sampled(path, merged, rows, progress)
    dataset = Dataset.from_arrow(sample, merged, merged.name or _stem(path))
    found = scan(dataset, rows=None, **judge)  # type: ignore[arg-type]
    return replace(found, rows=total), merged


def _stem(path: str | Path) -> str:
    return Path(path).name.split(".")[0] or "data"


def _merged(kinds: Any, schema: Schema | None, name: str) -> Schema:
    found = Schema.from_arrow(kinds, name)
    if schema is None:
        return found
    described = {f.name: f for f in schema}
    return Schema(tuple(described.get(f.name, f) for f in found), schema.name or name)


def _sampled(path: str | Path, schema: Schema, rows: int | None, progress: Progress | None) -> tuple[Any, int]:
    """(sample as a table, rows of the file). Memory: twice the sample, and a batch."""
    total = 0
    kept: list[Any] = []
    held, rate = 0, 1.0
    nonce = 0
    with open_source(path, schema, _BATCH_ROWS) as source:
        for batch in _batches(source, path):
            total += batch.num_rows
            part = pa.Table.from_batches([batch])
            if rate < 1:
                nonce += 1
                part = _thinned(part, _some(part.num_rows * rate, nonce))
            kept.append(part)
            held += part.num_rows
            if rows is not None and held > 2 * rows:
                whole = _thinned(pa.concat_tables(kept), rows)
                kept, rate, held = [whole], rate * rows / held, rows
            if progress is not None:
                progress(0.95 * min(source.fraction(), 1.0), f"{total:,} rows")
        sample = pa.concat_tables(kept) if kept else source.kinds.empty_table()
    return (sample if rows is None else _thinned(sample, rows)), total


def _some(expected: float, nonce: int) -> int:
    """A whole number that is `expected` on average, so that small batches are not always left out."""
    low = math.floor(expected)
    chance = float(Stream(_KEY, nonce).uint64(1)[0]) / 2.0**64
    return low + (chance < expected - low)


def _thinned(table: Any, rows: int) -> Any:
    if rows <= 0:
        return table.slice(0, 0)
    chosen = chosen_rows(table.num_rows, rows)
    return table if chosen is None else table.take(pa.array(chosen))


def _batches(source: Source, path: str | Path) -> Iterator[Any]:
    while True:
        try:
            batch = next(source.batches, None)
        except pa.ArrowInvalid:  # Arrow's message would quote a value
            raise TypeMismatchError(
                "a row does not fit the types of the columns",
                where=str(path),
                hint="Correct the column's type in the schema file; `ppc.read` says which column and row.",
            ) from None
        if batch is None:
            return
        yield batch


__all__ = ["scan_file"]

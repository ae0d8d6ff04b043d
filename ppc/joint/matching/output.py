"""A party's own matching rows, written in the order that both parties share, however large its table is.

The table is read once more. Rows go to files by ranges of their place in the result, and each range is then put into
order in memory; so at most about 2^18 rows are held at a time. The file appears whole or not at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ColumnError
from ppc.joint.matching.run import Matching

if TYPE_CHECKING:
    import pyarrow as pa

    from ppc.dataset.stream import Table

_RANGE_ROWS: Final = 1 << 18
_PLACE: Final = "\0place"


def write_matched(
    table: Table,
    found: Matching,
    out: Path | str,
    *,
    columns: Sequence[str] | None = None,
    number: str | None = None,
    everything: bool = False,
    folder: Path | str | None = None,
) -> int:
    """Write the matching rows of `table` to `out`; the number of rows written.

    Args:
        columns: which of the table's columns, by default all. None of them ([]) with `number` writes row numbers: then
            a column `row` says which row of the table (from 0) it is.
        number: add a column of this name with the number of the match, the same at both parties.
        everything: a left join: the rows without a match follow, in the table's order, with no number.
        folder: for what is set aside meanwhile.
    """
    from ppc.dataset.stream import writing

    chosen = list(table.names if columns is None else columns)
    added = number or ("match" if everything or not chosen else None)
    if added is not None and added in chosen:
        raise ColumnError(
            f"the table has a column '{added}' already", where="--number", hint="choose another name for the number"
        )
    rows = 0
    with tempfile.TemporaryDirectory(prefix="ppc-out-", dir=folder) as scratch:
        schema = _schema(table, chosen, added)
        with writing(out, schema) as write:
            for batch in _ordered(table, chosen, found, Path(scratch), added):
                write(batch)
                rows += batch.num_rows
            if everything:
                for batch in _rest(table, chosen, found, added):
                    write(batch)
                    rows += batch.num_rows
    return rows


def _schema(table: Table, chosen: list[str], added: str | None) -> pa.Schema:
    import pyarrow as pa

    batches = table.batches(chosen or table.names[:1])
    schema = next(batches).select(chosen).schema.remove_metadata()
    batches.close()  # type: ignore[attr-defined]
    if not chosen:
        schema = schema.append(pa.field("row", pa.int64()))
    return schema if added is None else schema.append(pa.field(added, pa.int64()))


def _numbered(table: Table, chosen: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of the chosen columns with the number of their first row."""
    import pyarrow as pa

    at = 0
    for batch in table.batches(chosen or table.names[:1]):
        if not chosen:
            rows = np.arange(at, at + batch.num_rows, dtype=np.int64)
            batch = pa.RecordBatch.from_arrays([pa.array(rows)], ["row"])
        yield at, batch
        at += batch.num_rows


def _ordered(
    table: Table, chosen: list[str], found: Matching, scratch: Path, added: str | None
) -> Iterator[pa.RecordBatch]:
    """The matching rows in the shared order."""
    import pyarrow as pa

    ranges = max(1, -(-len(found.rows) // _RANGE_ROWS))
    by_row = np.argsort(found.rows, kind="stable")
    ranked = found.rows[by_row]
    with _Ranges(ranges, scratch) as parts:
        for at, batch in _numbered(table, chosen):
            low, high = np.searchsorted(ranked, [at, at + batch.num_rows])
            if low == high:
                continue
            taken = batch.take(pa.array(ranked[low:high] - at))
            parts.add(taken, by_row[low:high])
        for i in range(ranges):
            rows, place = parts.part(i)
            if rows is None:
                continue
            order = np.argsort(place)
            columns = rows.take(pa.array(order)).combine_chunks().columns
            arrays = [c.chunk(0) if c.num_chunks else pa.array([], c.type) for c in columns]
            names = list(rows.column_names)
            if added is not None:
                arrays.append(pa.array(found.at[place[order]]))
                names.append(added)
            yield pa.RecordBatch.from_arrays(arrays, names)


def _rest(table: Table, chosen: list[str], found: Matching, added: str | None) -> Iterator[pa.RecordBatch]:
    """The rows without a match, in the table's order."""
    import pyarrow as pa

    used = np.zeros(found.total, np.bool_)
    used[found.rows] = True
    for at, batch in _numbered(table, chosen):
        kept = batch.filter(pa.array(~used[at : at + batch.num_rows]))
        arrays, names = list(kept.columns), list(kept.schema.names)
        if added is not None:
            arrays.append(pa.nulls(kept.num_rows, pa.int64()))
            names.append(added)
        yield pa.RecordBatch.from_arrays(arrays, names)


class _Ranges:
    """Rows by ranges of their place: in memory if there is one range, else in a file each."""

    def __init__(self, count: int, folder: Path) -> None:
        self._count = count
        self._folder = folder
        self._held: list[pa.RecordBatch] = []
        self._writers: dict[int, tuple[Any, Any]] = {}

    def __enter__(self) -> _Ranges:
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()

    def add(self, batch: pa.RecordBatch, place: NDArray[np.int64]) -> None:
        """Add rows and their places in the result."""
        import pyarrow as pa

        batch = batch.append_column(_PLACE, pa.array(place))
        if self._count == 1:
            self._held.append(batch)
            return
        part = place // _RANGE_ROWS
        for i in np.unique(part):
            if int(i) not in self._writers:
                f = (self._folder / f"{i:05}").open("wb")
                self._writers[int(i)] = f, pa.ipc.new_stream(f, batch.schema)
            self._writers[int(i)][1].write_batch(batch.filter(pa.array(part == i)))

    def part(self, i: int) -> tuple[pa.Table | None, NDArray[np.int64]]:
        """The rows of a range, in any order, and their places; forgets them."""
        import pyarrow as pa

        self._finish()
        path = self._folder / f"{i:05}"
        if self._held:
            table = pa.Table.from_batches(self._held)
            self._held = []
        elif path.exists():
            with pa.OSFile(str(path)) as f:
                table = pa.ipc.open_stream(f).read_all()
            path.unlink()
        else:
            return None, np.empty(0, np.int64)
        place: NDArray[np.int64] = table.column(_PLACE).to_numpy()
        return table.drop_columns([_PLACE]), place

    def _finish(self) -> None:
        for f, writer in self._writers.values():
            writer.close()
            f.close()
        self._writers = {}

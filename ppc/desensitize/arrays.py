"""Arrow arrays as raw buffers and back; the canonical text of a value, on which every keyed transformation works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ppc.errors import TypeMismatchError, ValueRangeError

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]

# Rows handed to a kernel at once: large enough to drown call overheads, small enough to stay in cache.
SLICE_ROWS: Final = 1 << 16
_EMPTY: Final = np.zeros(1, np.uint8)


@dataclass(frozen=True)
class Text:
    """The buffers of one string (or binary) array: row i is data[offsets[i]:offsets[i+1]]; a null row is empty."""

    offsets: Offsets
    data: Bytes
    valid: npt.NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        return int(self.offsets[-1]) - int(self.offsets[0])

    def span(self) -> Bytes:
        """The bytes of these rows alone."""
        return self.data[self.offsets[0] : self.offsets[-1]]

    def relative(self) -> Offsets:
        """The offsets, starting at 0."""
        return self.offsets if self.offsets[0] == 0 else self.offsets - self.offsets[0]

    def present(self) -> npt.NDArray[np.bool_]:
        """Which rows are not null, as booleans (n,)."""
        return np.ones(len(self), np.bool_) if self.valid is None else self.valid


def is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_bytes(kind: Any) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def type_class(kind: Any) -> str:
    """The class of an Arrow type that a transformation declares to take: 'string', 'integer', 'float', 'date', …"""
    t = pa.types
    if t.is_dictionary(kind):
        return type_class(kind.value_type)
    for name, test in (
        ("string", is_text),
        ("binary", is_bytes),
        ("integer", t.is_integer),
        ("float", t.is_floating),
        ("decimal", t.is_decimal),
        ("bool", t.is_boolean),
        ("date", t.is_date),
        ("timestamp", t.is_timestamp),
        ("time", t.is_time),
        ("null", t.is_null),
    ):
        if test(kind):
            return name
    return str(kind)


def check_text(table: Any) -> Any:
    """The table, if its text is UTF-8. Arrow does not look, and other writers let lone surrogates through.

    Raises:
        TypeMismatchError: naming the column.
    """
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not is_text(column.type):
            continue
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            raise TypeMismatchError(
                f"column '{name}' holds text that is not UTF-8",
                hint="Is it in another encoding, or has it unpaired surrogates? Convert it, or read it as binary.",
            ) from None
    return table


def text_of(array: Any) -> Text:
    """The buffers of a string or binary array of one chunk, of any of Arrow's layouts."""
    kind = array.type
    if not (pa.types.is_string(kind) or pa.types.is_binary(kind)):
        if pa.types.is_null(kind):
            array = array.cast(pa.string())
        else:
            array = array.cast(pa.binary() if is_bytes(kind) else pa.string())
    valid: npt.NDArray[np.bool_] | None = None
    if array.null_count:
        valid = np.asarray(array.is_valid())
        # A null slot may hold bytes: an empty row is easier to reason about.
        array = array.fill_null(b"" if pa.types.is_binary(array.type) else "")
    _, offsets, data = array.buffers()
    n = len(array)
    off: Offsets = (
        np.frombuffer(offsets, np.int32, n + 1, 4 * array.offset)
        if offsets is not None and n
        else np.zeros(1, np.int32)
    )
    raw: Bytes = np.frombuffer(data, np.uint8) if data is not None and data.size else _EMPTY
    return Text(off, raw, valid)


def bitmap(valid: npt.NDArray[np.bool_] | None) -> Any:
    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))


def build(offsets: Offsets, data: Bytes, valid: npt.NDArray[np.bool_] | None, kind: Any = None) -> Any:
    """A string (or binary) array from its buffers."""
    nulls = 0 if valid is None else int(len(valid) - np.count_nonzero(valid))
    return pa.Array.from_buffers(
        kind if kind is not None else pa.string(),
        len(offsets) - 1,
        [bitmap(valid) if nulls else None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(data)],
        nulls,
    )


def build_fixed(width: int, data: Bytes, n: int, valid: npt.NDArray[np.bool_] | None, kind: Any = None) -> Any:
    """A string array whose rows all have `width` bytes."""
    if n * width > 0x7FFFFFFF:
        raise ValueRangeError("the rows of one slice exceed 2 GiB", hint="Give the data in smaller batches.")
    return build(
        np.arange(0, n * width + 1, width, dtype=np.int32) if width else np.zeros(n + 1, np.int32), data, valid, kind
    )


def canonical(array: Any, what: str = "a keyed transformation") -> Any:
    """The text on which keyed transformations work: equal values of different types and engines give equal text.

    Strings and binary stay; integers and decimals are written in decimal, booleans as true/false, dates, times and
    timestamps in ISO 8601, the latter two with microseconds, and timestamps with a zone in UTC. A whole floating-point
    number (as pandas makes of integers with nulls) is written like the integer; other floats raise TypeMismatchError.
    """
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return array
    group = type_class(kind)
    if group == "binary":
        return array.cast(pa.binary())
    if group == "float":
        whole = array.cast(pa.float64())
        values = whole.drop_null()
        near = pc.all(
            pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**53)), min_count=0
        ).as_py()
        if not near:
            raise TypeMismatchError(
                f"{what} needs a value with one spelling; floating-point numbers have none",
                hint="Round the column to an integer, or cast it to a decimal or a string, first.",
            )
        return whole.cast(pa.int64()).cast(pa.string())
    if group == "timestamp":
        # Without its zone a timestamp is its instant in UTC: one instant, one spelling.
        return pc.strftime(array.cast(pa.timestamp("us"), safe=False), "%Y-%m-%dT%H:%M:%S", locale="C")
    if group == "time":
        return array.cast(pa.time64("us"), safe=False).cast(pa.string())
    if group in ("string", "integer", "decimal", "bool", "date", "null"):
        return array.cast(pa.string())
    raise TypeMismatchError(f"{what} does not take {kind}", hint="Cast the column to a string first.")


def plain(array: Any) -> Any:
    """The array without dictionary encoding."""
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def slices(array: Any, rows: int = SLICE_ROWS) -> Iterator[Any]:
    """The chunks of an Array or ChunkedArray, at most `rows` rows each, dictionaries decoded."""
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    for chunk in chunks:
        for start in range(0, len(chunk), rows):
            yield plain(chunk.slice(start, rows))


def flat(array: Any) -> Any:
    """One contiguous array, dictionaries decoded."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return plain(array)


def scrubbed(array: Any) -> Any:
    """The same string array with nothing left in the bytes behind its nulls."""
    text = text_of(array)
    return build(text.relative(), np.array(text.span()), text.valid, array.type)


def allocate(size: int) -> Bytes:
    """Room for `size` bytes, at least one so that its address is real."""
    return np.empty(max(size, 1), np.uint8)


def paint(
    text: Text, ranges: Callable[..., None], *args: Any, outside: bool = False, char: str, width: int = -1
) -> Any:
    """Mask what `ranges(offsets, data, *args, lo, hi)` finds (or all but that, if `outside`); a string array."""
    from ppc.desensitize._kernels import text as k

    n = len(text)
    lo = np.empty(n, np.int32)
    hi = np.empty(n, np.int32)
    ranges(text.offsets, text.data, *args, lo, hi)
    mark = np.frombuffer(char.encode(), np.uint8)
    off = np.empty(n + 1, np.int32)
    k.paint_size(text.offsets, text.data, lo, hi, outside, len(mark), width, off)
    out = allocate(int(off[-1]))
    k.paint_fill(text.offsets, text.data, lo, hi, outside, mark, width, off, out)
    return build(off, out, text.valid)

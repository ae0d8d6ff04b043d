"""The names of column types: what a schema file says, and the Arrow type that it means.

    bool  int8 … int64  uint8 … uint64  float16 float32 float64  string  binary  date  time  timestamp  null
    timestamp[ns]  timestamp[us, tz=UTC]  time[ms]  duration[us]  decimal128(12, 2)  list<string>

A plain `timestamp` or `time` counts microseconds. Names are checked without loading pyarrow, so that a schema file can
be read by a process that never touches data.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ppc.errors import SchemaError, TypeMismatchError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

INTEGERS: Final = frozenset(f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64))
FLOATS: Final = frozenset({"float16", "float32", "float64"})
PLAIN: Final = INTEGERS | FLOATS | {"bool", "string", "binary", "date", "time", "timestamp", "null"}

_UNIT: Final = r"(s|ms|us|ns)"
_TIMESTAMP: Final = re.compile(rf"timestamp\[{_UNIT}(?:, ?tz=([A-Za-z0-9_+\-/:]+))?\]")
_TIME: Final = re.compile(rf"time\[{_UNIT}\]")
_DURATION: Final = re.compile(rf"duration\[{_UNIT}\]")
_DECIMAL: Final = re.compile(r"decimal(128|256)\((\d{1,2}), ?(-?\d{1,2})\)")
_DIGITS: Final = {"128": 38, "256": 76}  # Arrow columnar format: the most decimal digits of each width
_LIST: Final = re.compile(r"list<(.+)>")
# What people write for a type in other tools, and what they most likely mean here.
_ELSEWHERE: Final = {
    "str": "string", "text": "string", "varchar": "string", "utf8": "string", "object": "string",
    "int": "int64", "integer": "int64", "long": "int64", "bigint": "int64",
    "float": "float64", "double": "float64", "real": "float64", "number": "float64",
    "boolean": "bool", "date32": "date", "datetime": "timestamp", "bytes": "binary", "blob": "binary",
}  # fmt: skip


def canonical(name: str, *, where: str | None = None) -> str:
    """The one spelling of a type's name; `SchemaError` with a suggestion if there is no such type."""
    text = name.strip() if isinstance(name, str) else ""
    if text in PLAIN:
        return text
    if m := _TIMESTAMP.fullmatch(text):
        unit, zone = m.groups()
        if zone is None:
            return "timestamp" if unit == "us" else f"timestamp[{unit}]"
        return f"timestamp[{unit}, tz={zone}]"
    if m := _TIME.fullmatch(text):
        return "time" if m[1] == "us" else text
    if _DURATION.fullmatch(text):
        return text
    if m := _DECIMAL.fullmatch(text):
        width, precision, scale = m[1], int(m[2]), int(m[3])
        if 1 <= precision <= _DIGITS[width]:
            return f"decimal{width}({precision}, {scale})"
    if m := _LIST.fullmatch(text):
        return f"list<{canonical(m[1], where=where)}>"
    meant = _ELSEWHERE.get(text.lower())
    hint = f"Did you mean '{meant}'?" if meant else did_you_mean(text, sorted(PLAIN))
    raise SchemaError(f"there is no column type '{name}'", where=where, hint=hint)


def is_integer(name: str) -> bool:
    """Whether a canonical name is one of the integer types."""
    return name in INTEGERS


def is_numeric(name: str) -> bool:
    """Whether a column of this type can be summed: numbers, `bool` as 0 and 1, and `null` as no values at all."""
    return name in INTEGERS or name in FLOATS or name in ("bool", "null") or name.startswith("decimal")


def to_arrow(name: str) -> pa.DataType:
    """The Arrow type that a name means."""
    import pyarrow as pa

    name = canonical(name)
    if m := _TIMESTAMP.fullmatch(name):
        return pa.timestamp(m[1], tz=m[2])
    if m := _TIME.fullmatch(name):
        return pa.time32(m[1]) if m[1] in ("s", "ms") else pa.time64(m[1])
    if m := _DURATION.fullmatch(name):
        return pa.duration(m[1])
    if m := _DECIMAL.fullmatch(name):
        make = pa.decimal128 if m[1] == "128" else pa.decimal256
        return make(int(m[2]), int(m[3]))
    if m := _LIST.fullmatch(name):
        return pa.list_(to_arrow(m[1]))
    special = {"bool": pa.bool_(), "date": pa.date32(), "time": pa.time64("us"), "timestamp": pa.timestamp("us")}
    return special[name] if name in special else getattr(pa, name)()


def from_arrow(kind: pa.DataType, *, column: str) -> str:
    """The name of an Arrow type. Encodings of one thing (dictionary, large, view) share its name.

    Raises:
        TypeMismatchError: the type has no name here (struct, map, union, an extension without plain storage).
    """
    import pyarrow as pa
    from pyarrow import types as at

    if at.is_dictionary(kind):
        return from_arrow(kind.value_type, column=column)
    if at.is_run_end_encoded(kind):
        return from_arrow(kind.value_type, column=column)
    if isinstance(kind, pa.BaseExtensionType):
        return from_arrow(kind.storage_type, column=column)
    if at.is_string(kind) or at.is_large_string(kind) or at.is_string_view(kind):
        return "string"
    if at.is_binary(kind) or at.is_large_binary(kind) or at.is_fixed_size_binary(kind) or at.is_binary_view(kind):
        return "binary"
    if at.is_date(kind):
        return "date"
    if at.is_time(kind):
        return canonical(f"time[{kind.unit}]")
    if at.is_decimal128(kind) or at.is_decimal256(kind):
        return canonical(f"decimal{kind.bit_width}({kind.precision}, {kind.scale})")
    if at.is_decimal(kind):  # 32 and 64 bits wide: kept as 128
        return canonical(f"decimal128({kind.precision}, {kind.scale})")
    if at.is_list(kind) or at.is_large_list(kind) or at.is_fixed_size_list(kind):
        return f"list<{from_arrow(kind.value_type, column=column)}>"
    plain = {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(kind), str(kind))
    try:
        return canonical(plain)
    except SchemaError:
        family = str(kind).split("<", 1)[0]  # without the names of inner fields
        raise TypeMismatchError(
            f"column '{column}' is of type {family}, which a dataset can not hold",
            where=f"column '{column}'",
            hint="Flatten it into plain columns, or leave it out with columns=[...].",
        ) from None

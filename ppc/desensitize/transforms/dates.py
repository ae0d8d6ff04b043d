"""Dates: shifted alike for one person, truncated, or turned into an age."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field

from ppc.desensitize import arrays as a
from ppc.desensitize._kernels import mac
from ppc.desensitize.blockcipher import Cmac
from ppc.desensitize.keys import Key, needed
from ppc.desensitize.transform import SAME, Invalid, Scope, transform
from ppc.errors import ConfigError, ValueRangeError

DATED = frozenset({"date", "timestamp", "string"})
_DAY_US = 86_400_000_000
Format = Annotated[str, Field(min_length=2, max_length=64)]


def _parsed(array: Any, format: str, invalid: str) -> Any:
    """Texts as timestamp[us]; raises ValueRangeError (or gives null) for those that do not have the format."""
    texts = array.cast(pa.string())
    out = pc.strptime(texts, format=format, unit="us", error_is_null=True)
    # strptime forgives blanks and digits left out; only what it writes the same way again is taken.
    good = pc.fill_null(pc.equal(_written(out, format), texts), False)
    bad = int(pc.sum(pc.and_(pc.invert(good), texts.is_valid())).as_py() or 0)
    if bad and invalid == "error":
        raise ValueRangeError(
            f"{bad} value(s) are not dates of format '{format}'", hint="Set format, or invalid = 'null'."
        )
    return pc.if_else(good, out, pa.scalar(None, out.type))


def _written(stamps: Any, format: str) -> Any:
    # %S of a timestamp with microseconds writes the fraction: cut to seconds what was parsed from seconds.
    return pc.strftime(stamps.cast(pa.timestamp("s"), safe=False), format, locale="C")


def _micros(array: Any, format: str, invalid: str) -> Any:
    """Any dated column as timestamp[us], with its zone if it has one: days and months are those of the zone."""
    group = a.type_class(array.type)
    if group == "string":
        return _parsed(array, format, invalid)
    if group == "timestamp":
        return array.cast(pa.timestamp("us", array.type.tz), safe=False)
    return array.cast(pa.date32()).cast(pa.timestamp("us"))


def _like(stamps: Any, array: Any, format: str) -> Any:
    """Back in the type of `array`."""
    group = a.type_class(array.type)
    if group == "string":
        return _written(stamps, format)
    if group == "timestamp":
        return stamps.cast(array.type, safe=False)
    return stamps.cast(pa.date32(), safe=False).cast(array.type)


@transform(
    "date_shift",
    takes=DATED,
    gives=SAME,
    family="dates",
    keyed="yes",
    columns=("entity",),
    joins=False,
    keeps_format=True,
)
def date_shift(
    array: Any,
    *,
    entity: list[Any],
    days: Annotated[int, Field(ge=1, le=36500)] = 180,
    scope: Scope = "default",
    format: Format = "%Y-%m-%d",
    invalid: Invalid = "error",
    key: Key | None = None,
) -> Any:
    """Shift by a number of days from -days to days, never 0, that depends on the entity column(s) alone.

    All dates of one person move alike, so intervals between them stay; give the columns of a table (and of tables) the
    same scope. A row without an entity becomes null.
    """
    who = entity[0] if len(entity) == 1 else _together(entity)
    text = a.text_of(a.canonical(who, "date_shift"))
    macs = Cmac(needed(key).derive("date_shift", scope, 16)).column(text)
    draw = np.empty(len(text), np.int64)
    mac.pair_reduce(macs, 0, 2 * days, draw)
    shift = np.where(draw < days, draw - days, draw - days + 1)
    missing = ~text.present()
    moved = pc.add(
        _micros(array, format, invalid), pa.array(shift * _DAY_US, pa.int64(), mask=missing).cast(pa.duration("us"))
    )
    return _like(moved, array, format)


def _together(columns: list[Any]) -> Any:
    """One key of several columns; null if one is."""
    parts = [a.canonical(c, "date_shift").cast(pa.string()) for c in columns]
    lengths = [pc.binary_length(p).cast(pa.string()) for p in parts]
    pieces = [piece for pair in zip(lengths, parts, strict=True) for piece in pair]
    return pc.binary_join_element_wise(*pieces, ":")


Unit = Literal["hour", "day", "week", "month", "quarter", "year", "decade"]


@transform("truncate_date", takes=DATED, gives=SAME, family="dates", keeps_format=True)
def truncate_date(array: Any, *, to: Unit = "month", format: Format = "%Y-%m-%d", invalid: Invalid = "error") -> Any:
    """The first instant of the hour, day, week (Monday), month, quarter, year or decade."""
    stamps = _micros(array, format, invalid)
    if to == "decade":
        years = pc.year(stamps)
        first = [None if y is None else dt.datetime(max(y - y % 10, 1), 1, 1) for y in pc.unique(years).to_pylist()]
        decades = pa.array(first, pa.timestamp("us")).take(pc.index_in(years, pc.unique(years)))
        zone = getattr(stamps.type, "tz", None)
        return _like(decades if zone is None else pc.assume_timezone(decades, zone), array, format)
    return _like(pc.floor_temporal(stamps, 1, to), array, format)


def _age_type(kind: Any, params: BaseModel) -> Any:
    return pa.int32()


@transform("age_from_birthdate", takes=DATED, gives=_age_type, family="dates")
def age_from_birthdate(
    array: Any,
    *,
    on: dt.date,
    top: Annotated[int, Field(ge=1)] | None = 90,
    format: Format = "%Y-%m-%d",
    invalid: Invalid = "error",
) -> Any:
    """Completed years of age on a fixed day, at most `top` (HIPAA Safe Harbor lumps ages of 90 and more).

    Born on 29 February: a year is completed on 1 March of other years. Births after that day: an error or null.
    """
    if isinstance(on, dt.datetime):
        raise ConfigError("on should be a date without a time")
    stamps = _micros(array, format, invalid)
    year, month, day = (f(stamps) for f in (pc.year, pc.month, pc.day))
    later = pc.greater(pc.add(pc.multiply(month, 100), day), on.month * 100 + on.day)
    age = pc.subtract(pc.subtract(on.year, year), later.cast(pa.int64()))
    future = pc.less(age, 0)
    bad = int(pc.sum(future).as_py() or 0)
    if bad and invalid == "error":
        raise ValueRangeError(f"{bad} value(s) lie after {on.isoformat()}", hint="Set `on` later, or invalid = 'null'.")
    age = pc.if_else(future, pa.scalar(None, pa.int64()), age)
    if top is not None:
        age = pc.min_element_wise(age, pa.scalar(top, pa.int64()), skip_nulls=False)
    return age.cast(pa.int32())

"""Generalization hierarchies: what a value becomes at each level, from itself (level 0) to '*'.

A table hierarchy lists values: CSV in ARX's form (`value;level 1;level 2;…`, one line a value, comma, semicolon or tab)
or TOML:

    [levels]                      # each level maps a group to what it holds on the level below
    1 = { flu = ["influenza A", "influenza B"], cold = ["rhinitis"] }
    2 = { respiratory = ["flu", "cold"] }

Interval, prefix and date hierarchies are rules, and know every value:

    kind = "interval"             kind = "prefix"            kind = "date"
    widths = [5, 10, 20]          keep = [5, 3, 0]           levels = ["month", "quarter", "year"]
    low = 0
    high = 100
"""

from __future__ import annotations

import csv
import io
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ppc.desensitize.arrays import canonical, type_class
from ppc.errors import ConfigError, FileError, TypeMismatchError, ValueRangeError, did_you_mean

ANYTHING: Final = "*"
_MAX_FILE: Final = 256 << 20
DateLevel = Literal["day", "week", "month", "quarter", "year", "decade"]
_DATE_LEVELS: Final = ("day", "week", "month", "quarter", "year", "decade")


@dataclass(frozen=True, repr=False)
class Hierarchy:
    """One column's hierarchy. `height` is its top level; `apply(array, level)` gives strings; level 0: the value.

    kind 'table': `table` has each value's generalizations (1 … height). 'interval': `widths`, `low`, `high`.
    'prefix': `keep`, the characters kept per level. 'date': `levels`. All but tables have '*' as an extra top level.
    """

    kind: Literal["table", "interval", "prefix", "date"]
    table: Mapping[str, tuple[str, ...]] | None = None
    widths: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    keep: tuple[int, ...] = ()
    char: str = "*"
    levels: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """The highest level."""
        if self.kind == "table":
            return len(next(iter((self.table or {}).values()), ()))
        return len({"interval": self.widths, "prefix": self.keep, "date": self.levels}[self.kind]) + 1

    def __repr__(self) -> str:
        return f"<Hierarchy {self.kind}, height {self.height}>"

    # --- making one ---
    @staticmethod
    def read(path: str | Path) -> Hierarchy:
        """From a CSV or TOML file. FileError if it can not be read; ConfigError, naming the line, if it is not one."""
        file = Path(path)
        try:
            with file.open("rb") as f:
                content = f.read(_MAX_FILE + 1)
        except OSError as e:
            raise FileError(f"the hierarchy can not be read: {e.strerror}", where=str(path)) from None
        if len(content) > _MAX_FILE:
            raise FileError(f"the hierarchy is larger than {_MAX_FILE >> 20} MiB", where=str(path))
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise FileError("the hierarchy is not UTF-8", where=str(path)) from None
        if file.suffix.lower() == ".toml":
            return Hierarchy.from_toml(text, where=str(path))
        return Hierarchy.from_csv(text, where=str(path))

    @staticmethod
    def from_csv(text: str, *, where: str = "hierarchy") -> Hierarchy:
        """From lines of value and generalizations, all of the same number of levels."""
        first = text.split("\n", 1)[0]
        delimiter = max(";,\t", key=first.count)
        table: dict[str, tuple[str, ...]] = {}
        height = None
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), 1):
            if not row:
                continue
            height = len(row) if height is None else height
            if len(row) != height or height < 2:
                raise ConfigError(
                    f"a line of {len(row)} columns, where the first has {height}" if height > 1 else "one column only",
                    where=f"{where}, line {number}",
                    hint="Each line has a value and its generalization at every level.",
                )
            if row[0] in table:
                raise ConfigError("a value has two lines", where=f"{where}, line {number}")
            table[row[0]] = tuple(row[1:])
        if not table:
            raise ConfigError("the hierarchy is empty", where=where)
        _check_nested(table, where)
        return Hierarchy("table", table)

    @staticmethod
    def from_toml(text: str, *, where: str = "hierarchy") -> Hierarchy:
        """From a TOML text as in the module's docstring."""
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as e:
            raise ConfigError(f"not valid TOML: {e}", where=where) from None
        return Hierarchy.of(raw, where=where)

    @staticmethod
    def of(raw: Any, *, where: str = "hierarchy") -> Hierarchy:
        """From a mapping as in a TOML file, a list of rows [value, level 1, …], or a Hierarchy itself."""
        if isinstance(raw, Hierarchy):
            return raw
        if isinstance(raw, Sequence) and not isinstance(raw, str) and raw:
            rows = [
                [str(cell) for cell in row] for row in raw if isinstance(row, Sequence) and not isinstance(row, str)
            ]
            if len(rows) == len(raw):
                sink = io.StringIO()
                csv.writer(sink, delimiter=";", lineterminator="\n").writerows(rows)
                return Hierarchy.from_csv(sink.getvalue(), where=where)
        if not isinstance(raw, Mapping):
            raise ConfigError("a hierarchy is a file's name, a table, or a list of rows", where=where)
        kind = raw.get("kind", "table")
        known = {
            "table": {"kind", "levels"},
            "interval": {"kind", "widths", "low", "high"},
            "prefix": {"kind", "keep", "char"},
            "date": {"kind", "levels"},
        }
        if kind not in known:
            raise ConfigError(f"no hierarchy of kind '{kind}'", where=where, hint=did_you_mean(str(kind), known))
        for key in raw:
            if key not in known[kind]:
                raise ConfigError(f"no such key: '{key}'", where=where, hint=did_you_mean(str(key), known[kind]))
        if kind == "interval":
            return _interval(raw, where)
        if kind == "prefix":
            return _prefix(raw, where)
        if kind == "date":
            levels = raw.get("levels", ["month", "year"])
            order = [_DATE_LEVELS.index(v) for v in levels if v in _DATE_LEVELS]
            if not isinstance(levels, list) or len(order) != len(levels) or sorted(set(order)) != order or not order:
                raise ConfigError(f"levels should rise among {', '.join(_DATE_LEVELS)}", where=where)
            return Hierarchy("date", levels=tuple(levels))
        return _from_levels(raw.get("levels"), where)

    # --- using it ---
    def apply(self, array: Any, level: int) -> Any:
        """The generalizations of an Arrow array at `level`, as strings (n,); nulls stay null.

        Raises:
            ConfigError: the level does not exist. ValueRangeError: values that the hierarchy lacks (how many).
        """
        if not 0 <= level <= self.height:
            raise ConfigError(f"level {level} of a hierarchy whose levels are 0 to {self.height}")
        if level == 0:
            return canonical(array, "generalize").cast(pa.string())
        if self.kind == "table":
            return self._lookup(array, level)
        if level == self.height:
            return pc.if_else(pc.is_valid(array), ANYTHING, pa.scalar(None, pa.string()))
        if self.kind == "interval":
            return self._bins(array, self.widths[level - 1])
        if self.kind == "prefix":
            return _kept(canonical(array, "generalize").cast(pa.string()), self.keep[level - 1], self.char)
        return _dates(array, self.levels[level - 1])

    def _lookup(self, array: Any, level: int) -> Any:
        table = self.table or {}
        texts = canonical(array, "generalize").cast(pa.string())
        index = pc.index_in(texts, value_set=pa.array(list(table), pa.string()))
        missing = int(pc.sum(pc.and_(pc.is_null(index), pc.is_valid(texts))).as_py() or 0)
        if missing:
            raise ValueRangeError(
                f"{missing} value(s) are not in the hierarchy",
                hint="Add them to the hierarchy's file, or clean them first; `missing = '*'` gives them the top.",
            )
        return pa.array([g[level - 1] for g in table.values()], pa.string()).take(index)

    def without_missing(self, array: Any) -> Any:
        """The array with null where the hierarchy lacks the value (tables only)."""
        if self.kind != "table":
            return array
        texts = canonical(array, "generalize").cast(pa.string())
        known = pc.is_in(texts, value_set=pa.array(list(self.table or {}), pa.string()))
        return pc.if_else(known, texts, pa.scalar(None, pa.string()))

    def _bins(self, array: Any, width: float) -> Any:
        if type_class(array.type) not in ("integer", "float", "decimal"):
            raise TypeMismatchError(f"an interval hierarchy takes numbers, not {array.type}")
        values = array.cast(pa.float64())
        low = 0.0 if self.low is None else self.low
        index = pc.floor(pc.divide(pc.subtract(values, low), width))
        outside = int(pc.sum(pc.invert(pc.is_finite(values.drop_null()))).as_py() or 0)
        for bound, beyond in ((self.low, pc.less), (self.high, pc.greater)):
            if bound is not None:
                outside += int(pc.sum(beyond(values, bound)).as_py() or 0)
        if outside:
            raise ValueRangeError(
                f"{outside} value(s) outside the hierarchy's range", hint="Widen low and high, or use top_bottom_code."
            )
        if self.high is not None:
            # The upper bound belongs to the last interval.
            last = max(math.ceil((self.high - low) / width) - 1, 0)
            index = pc.min_element_wise(index, pa.scalar(float(last)), skip_nulls=False)
        distinct = pc.unique(index.drop_null())
        labels = [f"[{_number(low + i * width)}, {_number(low + (i + 1) * width)})" for i in distinct.to_pylist()]
        return pa.array(labels, pa.string()).take(pc.index_in(index, value_set=distinct))


def _number(x: float) -> str:
    return str(int(x)) if x == int(x) else f"{x:.12g}"


def _interval(raw: Mapping[str, Any], where: str) -> Hierarchy:
    widths: Any = raw.get("widths")
    ok = isinstance(widths, list) and widths and all(isinstance(w, int | float) and 0 < w < math.inf for w in widths)
    if not ok:
        raise ConfigError("widths should be a list of positive numbers", where=where)
    for narrow, wide in pairwise(widths):
        if not (wide > narrow and wide / narrow == round(wide / narrow)):
            raise ConfigError("each width should be a multiple of the one before, so that intervals nest", where=where)
    bounds = []
    for key in ("low", "high"):
        value = raw.get(key)
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
            raise ConfigError(f"{key} should be a number", where=where)
        bounds.append(None if value is None else float(value))
    low, high = bounds
    if low is not None and high is not None and not low < high:
        raise ConfigError("low should be less than high", where=where)
    return Hierarchy("interval", widths=tuple(float(w) for w in widths), low=low, high=high)


def _prefix(raw: Mapping[str, Any], where: str) -> Hierarchy:
    keep: Any = raw.get("keep")
    char = raw.get("char", "*")
    ok = isinstance(keep, list) and keep and all(isinstance(k, int) and k >= 0 for k in keep)
    if not ok or any(b >= a for a, b in pairwise(keep)):
        raise ConfigError("keep should be a falling list of numbers of characters", where=where)
    if not isinstance(char, str) or len(char) != 1:
        raise ConfigError("char should be one character", where=where)
    return Hierarchy("prefix", keep=tuple(keep), char=char)


def _from_levels(levels: Any, where: str) -> Hierarchy:
    if not isinstance(levels, Mapping) or not levels:
        raise ConfigError("a table hierarchy needs [levels]", where=where)
    table: dict[str, tuple[str, ...]] = {}
    up: dict[str, str] = {}
    for number in range(1, len(levels) + 1):
        groups = levels.get(str(number))
        if not isinstance(groups, Mapping):
            raise ConfigError(f"levels are numbered from 1 on; level {number} is missing", where=where)
        up = {}
        for group, members in groups.items():
            if not isinstance(members, list):
                raise ConfigError(f"level {number} should map each group to a list", where=where)
            for member in members:
                if str(member) in up:
                    raise ConfigError(f"a value is in two groups of level {number}", where=where)
                up[str(member)] = group
        if number == 1:
            table = {value: (group,) for value, group in up.items()}
            continue
        for value, path in table.items():
            if path[-1] not in up:
                raise ConfigError(
                    f"group '{path[-1]}' of level {number - 1} is in no group of level {number}", where=where
                )
            table[value] = (*path, up[path[-1]])
    return Hierarchy("table", table)


def _check_nested(table: Mapping[str, tuple[str, ...]], where: str) -> None:
    """Two values in one group at a level must be in one group at every higher level."""
    height = len(next(iter(table.values())))
    for level in range(height - 1):
        up: dict[str, str] = {}
        for number, path in enumerate(table.values(), 1):
            if up.setdefault(path[level], path[level + 1]) != path[level + 1]:
                raise ConfigError(
                    f"level {level + 2} splits a group of level {level + 1}",
                    where=f"{where}, line {number}",
                    hint="What is one group on a level must stay one group on all higher levels.",
                )


def _kept(texts: Any, keep: int, char: str) -> Any:
    from ppc.desensitize.transforms.masking import mask_range

    return mask_range(texts, start=keep, char=char)


def _dates(array: Any, level: str) -> Any:
    if type_class(array.type) not in ("date", "timestamp"):
        raise TypeMismatchError(
            f"a date hierarchy takes dates, not {array.type}", hint="Cast the column to a date first."
        )
    days = array.cast(pa.date32(), safe=False)
    if level == "day":
        return days.cast(pa.string())
    year = pc.year(days).cast(pa.string())
    if level == "year":
        return year
    if level == "month":
        return pc.strftime(days, "%Y-%m", locale="C")
    if level == "quarter":
        return pc.binary_join_element_wise(year, pc.quarter(days).cast(pa.string()), "-Q")
    if level == "week":
        parts = pc.iso_calendar(days)
        week = pc.utf8_lpad(pc.struct_field(parts, "iso_week").cast(pa.string()), 2, "0")
        return pc.binary_join_element_wise(pc.struct_field(parts, "iso_year").cast(pa.string()), week, "-W")
    decade = pc.multiply(pc.divide(pc.year(days), 10), 10)
    return pc.binary_join_element_wise(decade.cast(pa.string()), "s", "")


__all__ = ["ANYTHING", "Hierarchy"]

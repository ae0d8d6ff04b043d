"""An inventory of data: which datasets there are, what their columns hold, how grave a disclosure would be.

It is read off schema files, so what people corrected counts; nothing of the data is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ppc.dataset.schema import Field, Grade, Schema
from ppc.desensitize.discovery.schema_file import beside
from ppc.desensitize.grading.pack import Basis, Pack, chosen_packs, grade
from ppc.errors import FileError

_SUFFIX: Final = ".schema.toml"


@dataclass(frozen=True)
class Entry:
    """One column of the inventory; `bases` are the rules that speak of its category and role."""

    field: Field
    bases: tuple[Basis, ...]

    @property
    def grade(self) -> Grade | None:
        """The schema's grade; where it has none, the highest that a rule gives."""
        return self.field.grade or max((b.grade for b in self.bases), default=None)


@dataclass(frozen=True)
class Listed:
    """One dataset of the inventory; its grade is that of its gravest column."""

    name: str
    schema_file: Path
    entries: tuple[Entry, ...]

    @property
    def grade(self) -> Grade | None:
        return max((e.grade for e in self.entries if e.grade is not None), default=None)


@dataclass(frozen=True)
class Inventory:
    """Datasets by falling grade, then by name."""

    datasets: tuple[Listed, ...]
    packs: tuple[str, ...]

    def to_dict(self, least: int = 1) -> dict[str, Any]:
        """Plain values, for JSON; of the columns as `table`."""
        return {
            "packs": list(self.packs),
            "datasets": [
                {
                    "dataset": d.name,
                    "schema": str(d.schema_file),
                    "grade": _number(d.grade),
                    "columns": [
                        {
                            "column": e.field.name,
                            "type": e.field.type,
                            "category": e.field.category,
                            "role": e.field.role.value if e.field.role else None,
                            "grade": _number(e.grade),
                            "description": e.field.description,
                            "bases": [b.to_dict() for b in e.bases],
                        }
                        for e in d.entries
                        if _listed_at(e, least)
                    ],
                }
                for d in self.datasets
            ],
        }

    def table(self, least: int = 1) -> tuple[Sequence[str], list[list[str]]]:
        """Headings and rows for a person: the columns of grade `least` or more (and, at 1, those without a grade)."""
        rows = []
        for d in self.datasets:
            for e in d.entries:
                if _listed_at(e, least):
                    rows.append(_row(d, e))
        return ("dataset", "grade", "column", "type", "category", "role", "rests on"), rows


def _listed_at(e: Entry, least: int) -> bool:
    return least <= 1 or (e.grade or 0) >= least


def _row(d: Listed, e: Entry) -> list[str]:
    f = e.field
    role = f.role.value if f.role else ""
    return [
        d.name,
        str(_number(e.grade) or ""),
        f.name,
        f.type,
        f.category or "",
        role,
        "; ".join(b.text() for b in e.bases),
    ]


def _number(value: Grade | None) -> int | None:
    return None if value is None else int(value)


def inventory(places: Iterable[str | Path], *, packs: Sequence[str | Path | Pack] | None = None) -> Inventory:
    """The inventory of schema files, data files with a schema beside them, and folders with either, searched deeply.

    Raises:
        FileError: a place does not exist, or a data file has no schema beside it. SchemaError: a file is not a schema.
    """
    rules = chosen_packs(packs)
    files: dict[Path, None] = {}
    for place in places:
        for file in _schemas(Path(place)):
            files.setdefault(file)
    found = [_listed(file, rules) for file in files]
    found.sort(key=lambda d: (-(d.grade or 0), d.name))
    return Inventory(tuple(found), tuple(p.label for p in rules))


def _schemas(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(p for p in place.rglob(f"*{_SUFFIX}") if p.is_file())
    if not place.is_file():
        raise FileError("there is no such file or folder", where=str(place))
    if place.suffix == ".toml":
        return [place]
    schema = beside(place)
    if not schema.is_file():
        raise FileError("it has no schema beside it", where=str(place), hint=f"Run `ppc scan {place.name}` first.")
    return [schema]


def _listed(file: Path, packs: Sequence[Pack]) -> Listed:
    schema = Schema.read(file)
    name = schema.name or file.name.removesuffix(_SUFFIX)
    entries = tuple(Entry(f, () if f.category in (None, "none") else grade(packs, f.category, f.role)) for f in schema)
    return Listed(name, file, entries)


__all__ = ["Entry", "Inventory", "Listed", "inventory"]

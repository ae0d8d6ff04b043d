"""Hierarchies for several columns in one TOML file, and the schema of what was made anonymous.

    [age]
    kind = "interval"
    widths = [5, 10, 20]

    [city]
    file = "city.csv"          # beside this file

A table is one column's hierarchy, as in `Hierarchy.read`, or the name of a file that has it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ppc.dataset.schema import Role, Schema
from ppc.desensitize.hierarchy import Hierarchy
from ppc.errors import ConfigError, DisclosureRefused, FileError

_MAX_BYTES: Final = 64 << 20


def read_hierarchies(path: str | Path) -> dict[str, Hierarchy]:
    """The hierarchies of a TOML file by column.

    Raises:
        FileError: it, or a file that it names, can not be read. ConfigError: it is malformed; the key is named.
    """
    place = Path(path)
    try:
        with place.open("rb") as f:
            data = f.read(_MAX_BYTES + 1)
    except OSError as e:
        raise FileError(f"the hierarchies can not be read: {e.strerror}", where=str(path)) from None
    if len(data) > _MAX_BYTES:
        raise FileError(f"the file is larger than {_MAX_BYTES >> 20} MiB", where=str(path))
    try:
        raw = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"not valid TOML: {e}", where=str(path)) from None
    out = {}
    for column, entry in raw.items():
        where = f"{path}, key '{column}'"
        if isinstance(entry, dict) and set(entry) == {"file"}:
            if not isinstance(entry["file"], str):
                raise ConfigError("file should be a name", where=where)
            out[column] = Hierarchy.read(place.parent / entry["file"])
        else:
            out[column] = Hierarchy.of(entry, where=where)
    return out


def refuse_identifiers(schema: Schema) -> None:
    """DisclosureRefused if a column names a person by itself: generalizing the others would then protect nobody."""
    named = [f.name for f in schema.by_role(Role.IDENTIFIER)]
    if named:
        raise DisclosureRefused(
            f"column '{named[0]}' identifies people by itself" + (f", and {len(named) - 1} more" if named[1:] else ""),
            hint="Drop such columns (--drop-identifiers), or give them another role in the schema if they do not.",
        )


def with_roles(schema: Schema, quasi_identifiers: Sequence[str], sensitive: Sequence[str]) -> Schema:
    """The schema with these columns' roles said."""
    said = dict.fromkeys(quasi_identifiers, Role.QUASI_IDENTIFIER) | dict.fromkeys(sensitive, Role.SENSITIVE)
    return replace(schema, fields=tuple(replace(f, role=said.get(f.name, f.role)) for f in schema))

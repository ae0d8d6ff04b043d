"""Write what a scan found into a schema file, and leave what a person wrote there alone.

A value that a scan wrote has a comment that repeats it: `role = "identifier"  # scan identifier`. A later scan may put
another in its place. Any other value, and one whose comment says something else than it, is a person's and stays;
`category = "none"` keeps the scan away from a column. Nothing is ever taken out: a finding that does not come again
leaves its column as protected as before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ppc.core.files import atomic_write
from ppc.dataset.schema import Schema
from ppc.desensitize.discovery.findings import Finding, Scan
from ppc.errors import FileError

if TYPE_CHECKING:
    import tomlkit

_MARK: Final = re.compile(r"#\s*scan (\S+?)(?:[:\s]|$)")
_KEYS: Final = ("role", "category", "grade")


@dataclass
class Draft:
    """What was done to a schema file: columns added, keys filled or changed, and those a person's word kept."""

    path: Path
    added: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "path": str(self.path),
            "added": self.added,
            "filled": self.filled,
            "kept": self.kept,
            "gone": self.gone,
        }


def beside(path: str | Path) -> Path:
    """Where the schema of a data file is looked for: `customers.schema.toml` beside `customers.csv.gz`."""
    file = Path(path)
    plain = file.with_suffix("") if file.suffix.lower() in {".gz", ".bz2", ".zst"} else file
    return file.with_name(f"{plain.stem}.schema.toml")


def write(path: str | Path, scan: Scan, schema: Schema) -> Draft:
    """Write, or bring up to date, the schema file at `path`; whole or not at all.

    Args:
        schema: the columns of the data with their types, in order.

    Raises:
        SchemaError: the file that is there is not a schema. FileError: it can not be read or written.
    """
    import tomlkit

    target = Path(path)
    draft = Draft(target)
    doc = _document(target, schema)
    tables: Any = doc["fields"]
    draft.gone = [name for name in tables if name not in schema]
    for column in schema:
        finding = scan[column.name]
        if column.name not in tables:
            table = tomlkit.table()
            table["type"] = column.type
            for key in ("unit", "description"):
                if getattr(column, key) is not None:
                    table[key] = getattr(column, key)
            tables[column.name] = table
            draft.added.append(column.name)
        _fill(tables[column.name], finding, draft)
    text = tomlkit.dumps(doc)
    Schema.from_toml(text, where=str(target))
    with atomic_write(target) as out:
        out.write(text.encode("utf-8"))
    return draft


def _document(target: Path, schema: Schema) -> tomlkit.TOMLDocument:
    import tomlkit

    if target.is_file():
        Schema.read(target)  # a clear error for what is not a schema
        try:
            doc = tomlkit.parse(target.read_bytes().decode("utf-8-sig"))
        except OSError as e:
            raise FileError(f"the schema file can not be read: {e.strerror}", where=str(target)) from None
    else:
        doc = tomlkit.document()
        doc.add(tomlkit.comment("Drafted by `ppc scan`: read it, correct it. A value without its `# scan` comment, or"))
        doc.add(
            tomlkit.comment('changed beside it, is yours: later scans leave it. category = "none" refuses a finding.')
        )
        if schema.name:
            doc["name"] = schema.name
    if "fields" not in doc:
        doc["fields"] = tomlkit.table(is_super_table=True)
    return doc


def _fill(table: Any, finding: Finding, draft: Draft) -> None:
    if table.get("category") == "none":
        draft.kept.append(f"{finding.column}.category")
        return
    for key, value, why in _wanted(finding):
        if key not in table:
            _put(table, key, value, why)
            draft.filled.append(f"{finding.column}.{key}")
        elif table[key] == value:
            continue
        elif _own(table, key):
            _put(table, key, value, why)
            draft.filled.append(f"{finding.column}.{key}")
        else:
            draft.kept.append(f"{finding.column}.{key}")


def _wanted(finding: Finding) -> list[tuple[str, Any, str]]:
    out: list[tuple[str, Any, str]] = []
    if finding.role is not None:
        out.append(("role", finding.role.value, ""))
    if finding.category is not None:
        out.append(("category", finding.category, "; ".join(finding.reasons)))
    if finding.grade is not None:
        highest = [b for b in finding.bases if b.grade == finding.grade]
        out.append(("grade", int(finding.grade), "; ".join(b.text() for b in highest)))
    return out


def _own(table: Any, key: str) -> bool:
    found = _MARK.match(table[key].trivia.comment or "") if hasattr(table[key], "trivia") else None
    return found is not None and found[1] == str(table[key])


def _put(table: Any, key: str, value: Any, why: str) -> None:
    import tomlkit

    item = tomlkit.item(value)
    # One line, and no control character: TOML allows none in a comment.
    said = "".join(c if c.isprintable() else " " for c in why)
    item.comment(f"scan {value}" + (f": {said}" if said else ""))
    table[key] = item


__all__ = ["Draft", "beside", "write"]

"""Schemas as TOML files.

    name = "customers"

    [fields.customer_id]
    type = "string"
    role = "identifier"
    grade = 4

    [fields.income]
    type = "float64"
    bounds = [0.0, 1e6]
    unit = "EUR"

Every key but `type` may be left out. Reading what was written gives the same schema back.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ppc.dataset.schema import Field, Schema
from ppc.errors import FileError, SchemaError, did_you_mean

if TYPE_CHECKING:
    import tomlkit

_TOP_KEYS: Final = ("name", "fields")
_FIELD_KEYS: Final = ("type", "role", "grade", "category", "bounds", "unit", "domain", "nullable", "description")
MAX_BYTES: Final = 16 << 20  # a schema of 10,000 columns takes about 2 MB


def loads(text: str, *, where: str) -> Schema:
    """The schema in a TOML text; errors name `where`, and the key or the line."""
    try:
        top = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        place = re.search(r"\(at (line \d+, column \d+|end of document)\)", str(e))
        what = str(e).split(" (at ")[0]
        raise SchemaError(
            f"not valid TOML: {what}", where=f"{where}, {place[1]}" if place else where, hint="See https://toml.io."
        ) from None
    except RecursionError:
        raise SchemaError("not valid TOML: nested too deeply", where=where) from None
    _known(top, _TOP_KEYS, where, "")
    name = top.get("name")
    if name is not None and not isinstance(name, str):
        raise SchemaError("name must be text", where=f"{where}, key 'name'")
    tables = top.get("fields", {})
    if not isinstance(tables, dict):
        raise SchemaError("fields must be tables, one for each column", where=f"{where}, key 'fields'")
    return Schema(tuple(_field(n, t, where) for n, t in tables.items()), name)


def _field(name: str, table: Any, where: str) -> Field:
    key = f"fields.{name}"
    if not isinstance(table, dict):
        raise SchemaError(
            f"column '{name}' must be a table", where=f"{where}, key '{key}'", hint=f'Write [{key}] and type = "…".'
        )
    _known(table, _FIELD_KEYS, where, key + ".")
    if "type" not in table:
        raise SchemaError(f"column '{name}' has no type", where=f"{where}, key '{key}.type'")
    try:
        parts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        return Field(name, **parts)
    except SchemaError as e:
        raise SchemaError(e.what, where=f"{where}, {e.where}" if e.where else where, hint=e.hint) from None


def _known(table: dict[str, Any], keys: tuple[str, ...], where: str, prefix: str) -> None:
    for key in table:
        if key not in keys:
            raise SchemaError(
                f"unknown key '{prefix}{key}'", where=f"{where}, key '{prefix}{key}'", hint=did_you_mean(key, keys)
            )


def dumps(schema: Schema, *, onto: str | None = None) -> str:
    """The TOML text of a schema, keeping the comments of `onto` where that is the text of a schema."""
    import tomlkit

    doc = _reusable(onto, schema)
    if doc is None:
        doc = tomlkit.document()
        if schema.name is not None:
            doc["name"] = schema.name
        fields = tomlkit.table(is_super_table=len(schema) > 0)
        for field in schema.fields:
            table = tomlkit.table()
            for key, value in _entries(field).items():
                table[key] = value
            fields[field.name] = table
        doc["fields"] = fields
        return tomlkit.dumps(doc)
    _update(doc, schema)
    text = tomlkit.dumps(doc)
    # Comments are worth less than the schema: an edit that did not take (1 for true) gives way to a fresh text.
    return text if _same(text, schema) else dumps(schema)


def _same(text: str, schema: Schema) -> bool:
    try:
        return loads(text, where="") == schema
    except SchemaError:
        return False


def _reusable(onto: str | None, schema: Schema) -> tomlkit.TOMLDocument | None:
    """The parsed older text, if it has the same columns in the same order: only then does its layout still fit."""
    import tomlkit

    if onto is None:
        return None
    try:
        old = loads(onto, where="")
    except SchemaError:
        return None
    if old.names != schema.names or (old.name is None) != (schema.name is None):
        return None
    return tomlkit.parse(onto)


def _update(doc: tomlkit.TOMLDocument, schema: Schema) -> None:
    if schema.name is not None and doc["name"] != schema.name:
        doc["name"] = schema.name
    tables: Any = doc.get("fields", {})
    for field in schema.fields:
        table, wanted = tables[field.name], _entries(field)
        for key in [k for k in table if k not in wanted and k != "nullable"]:
            del table[key]
        if "nullable" in table and "nullable" not in wanted:
            wanted["nullable"] = True
        for key, value in wanted.items():
            if key not in table or table[key] != value:
                table[key] = value


def _entries(field: Field) -> dict[str, Any]:
    """What there is to write for a field: plain TOML values, defaults left out."""
    out: dict[str, Any] = {"type": field.type}
    if field.role is not None:
        out["role"] = field.role.value
    if field.grade is not None:
        out["grade"] = int(field.grade)
    for key in ("category", "unit", "description"):
        if getattr(field, key) is not None:
            out[key] = getattr(field, key)
    if field.bounds is not None:
        out["bounds"] = list(field.bounds)
    if field.domain is not None:
        out["domain"] = list(field.domain)
    if not field.nullable:
        out["nullable"] = False
    return {k: out[k] for k in _FIELD_KEYS if k in out}


def read(path: Path) -> Schema:
    """The schema in a file."""
    return loads(_read_text(path), where=str(path))


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as f:
            data = f.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise FileError(
            "there is no such schema file",
            where=str(path),
            hint="Draft one from the data: ppc.read(DATA).schema.write(SCHEMA).",
        ) from None
    except OSError as e:
        raise FileError(f"the schema file can not be read: {e.strerror}", where=str(path)) from None
    if len(data) > MAX_BYTES:
        raise FileError(f"the schema file is larger than {MAX_BYTES >> 20} MB", where=str(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileError("the schema file is not UTF-8", where=str(path), hint="Save it as UTF-8.") from None


def write(schema: Schema, path: Path) -> None:
    """Write a schema, keeping the comments of the file that is there."""
    from ppc.core.files import atomic_write

    onto = _read_text(path) if path.is_file() else None
    text = dumps(schema, onto=onto)
    with atomic_write(path) as f:
        f.write(text.encode("utf-8"))

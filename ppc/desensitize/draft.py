"""A first policy for a schema: a rule per column by its category, role and type, for a person to read and change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from ppc.dataset.schema import Field, Grade, Role, Schema

# Category pattern -> transformation and parameters, and why. The first that matches the column's category counts.
_BY_CATEGORY: Final[tuple[tuple[str, str, dict[str, Any], str], ...]] = (
    ("person.name*", "mask_name", {}, "keeps the family name"),
    ("person.phone*", "mask_phone", {}, "hides the middle four digits"),
    ("person.email*", "mask_email", {}, "keeps the first letter and the domain"),
    ("person.address*", "mask_address", {"keep": "city"}, "keeps province and city"),
    ("person.birth*", "truncate_date", {"to": "year"}, "keeps the year"),
    ("person.id*", "token", {"scope": "person"}, "joins survive"),
    ("person.passport*", "token", {"scope": "person"}, "joins survive"),
    ("person.permit*", "token", {"scope": "person"}, "joins survive"),
    ("person.licence*", "token", {"scope": "person"}, "joins survive"),
    ("person.account*", "token", {}, "joins survive"),
    ("person.postcode*", "mask", {"first": 3}, "keeps the first three characters"),
    ("person.age*", "bucket", {"width": 10.0}, "intervals of ten years"),
    ("person.sex*", "keep", {}, "few values; counts as a quasi-identifier in a risk measure"),
    ("person.region*", "keep", {}, "coarse; counts as a quasi-identifier in a risk measure"),
    ("person.*", "redact", {}, "personal: say how it may be shown"),
    ("finance.card*", "mask_card", {}, "keeps BIN and last four digits"),
    ("finance.income*", "bucket", {"width": 1000.0}, "intervals of a thousand: choose the width"),
    ("finance.balance*", "bucket", {"width": 1000.0}, "intervals of a thousand: choose the width"),
    ("finance.transaction*", "bucket", {"width": 1000.0}, "intervals of a thousand: choose the width"),
    ("finance.credit*", "redact", {}, "credit history: `bucket` or `generalize` keep groups"),
    ("finance.*", "token", {}, "joins survive"),
    ("location.*", "round", {"to": 0.1}, "about ten kilometres"),
    ("vehicle.plate*", "mask_plate", {}, "keeps the city and the last character"),
    ("vehicle.*", "token", {}, "joins survive"),
    ("device.*", "token", {}, "joins survive"),
    ("org.*", "token", {}, "joins survive"),
    ("text.*", "free_text", {}, "masks what is found inside the text"),
    ("secret*", "redact", {}, "credentials have no use in a copy"),
    ("network.url*", "redact", {}, "addresses of pages tell what somebody read"),
    ("network.*", "token", {}, "joins survive"),
    ("health.record*", "token", {"scope": "patient"}, "joins survive"),
    ("health.insurance*", "token", {"scope": "patient"}, "joins survive"),
    ("health.provider*", "token", {}, "joins survive"),
    ("health.*", "redact", {}, "health data: `generalize` with a hierarchy keeps groups"),
)
_EXACT: Final = ("string", "int", "uint", "decimal", "date", "timestamp", "bool", "binary")


def suggest(field: Field) -> tuple[str, dict[str, Any], str]:
    """The transformation, its parameters, and the reason, for one column."""
    text = field.type == "string" or field.type.startswith(("int", "uint"))
    number = field.type.startswith(("int", "uint", "float", "decimal"))
    exact = field.type.startswith(_EXACT)
    for pattern, use, parameters, why in _BY_CATEGORY:
        if not fnmatchcase(field.category or "", pattern):
            continue
        if use in ("keep", "redact"):
            return use, parameters, why
        if use == "token":
            return ("token", parameters, why) if exact else ("redact", {}, "the type has no token")
        if use == "truncate_date":
            dated = field.type.startswith(("date", "timestamp"))
            return (use, parameters, why) if dated else ("redact", {}, "a date held as text: parse it to keep the year")
        if use in ("bucket", "round"):
            return (use, parameters, why) if number else ("redact", {}, "a number held as text: parse it to keep more")
        return (use, parameters, why) if text else ("redact", {}, "the type has no such mask")
    if field.role is Role.IDENTIFIER:
        return ("token", {}, "an identifier; joins survive") if exact else ("redact", {}, "an identifier")
    if field.role is Role.QUASI_IDENTIFIER:
        if field.type.startswith(("date", "timestamp")):
            return "truncate_date", {"to": "year"}, "a quasi-identifier; keeps the year"
        if number:
            return "bucket", {"width": 10.0}, "a quasi-identifier; intervals of ten"
        return "mask", {"first": 1}, "a quasi-identifier; a hierarchy and `generalize` say more"
    if field.grade is not None and field.grade >= Grade.SENSITIVE:
        return "redact", {}, f"grade {int(field.grade)}: say how it may be shown"
    if field.role is None and field.category is None and field.grade is None:
        return "redact", {}, "nothing is known of this column: describe it in the schema, or write keep"
    return "keep", {}, "not personal by its description"


def draft(schema: Schema, *, name: str | None = None) -> str:
    """The text of a policy (TOML) with one rule a column, each with the reason as a comment."""
    return "\n".join(_lines(schema, name or schema.name or "draft")) + "\n"


def _lines(schema: Schema, name: str) -> Iterator[str]:
    yield "# A draft: read every rule before you use it. `ppc desensitize --dry-run` shows what it does to ten rows."
    yield "version = 1"
    yield f"name = {_toml(name)}"
    yield 'default = "deny"'
    for field in schema:
        use, parameters, why = suggest(field)
        yield ""
        known = [
            str(v) for v in (field.category, field.role, f"grade {int(field.grade)}" if field.grade else None) if v
        ]
        yield f"# {', '.join([field.type, *known])}: {why}"
        yield "[[rule]]"
        yield f"column = {_toml(_literal(field.name))}"
        yield f"use = {_toml(use)}"
        for key, value in parameters.items():
            yield f"{key} = {_toml(value)}"


def _literal(name: str) -> str:
    """A column's name as a pattern that matches it alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _toml(value: Any) -> str:
    # A JSON string is a TOML basic string, but for the delete character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

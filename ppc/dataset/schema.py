"""What each column means: its type, its role in an analysis, how sensitive it is, its public bounds.

A schema holds no data. It is what a party shows its partners, what a plan is checked against, and what a person edits
as a TOML file beside the data.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ppc.dataset import types
from ppc.errors import ColumnError, SchemaError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

#: A value that a schema file can write down for a public category.
DomainValue: TypeAlias = "str | int | float | bool | dt.date | dt.datetime"


class Role(StrEnum):
    """What a column is for. Identification terms: ISO/IEC 20889:2018, clause 3."""

    IDENTIFIER = "identifier"
    """Names one person or account by itself: an ID card number, a phone number, a customer number."""
    QUASI_IDENTIFIER = "quasi_identifier"
    """Singles a person out together with others: birth date, postcode, sex."""
    SENSITIVE = "sensitive"
    """What must not be learnt about a person: a diagnosis, an income."""
    FEATURE = "feature"
    """An input of a model."""
    LABEL = "label"
    """What a model predicts."""
    WEIGHT = "weight"
    """How much a row counts."""
    TIME = "time"
    """A duration or an instant in an analysis over time."""
    EVENT = "event"
    """Whether the event of a survival analysis happened (1) or the row is censored (0)."""
    GROUP = "group"
    """What rows are grouped by: a site, a treatment arm."""


class Grade(IntEnum):
    """How much harm a disclosure does: 1 (none) to 5 (grave)."""

    PUBLIC = 1
    INTERNAL = 2
    CONFIDENTIAL = 3
    SENSITIVE = 4
    RESTRICTED = 5


@dataclass(frozen=True)
class Field:
    """One column, described.

    Args:
        name: the column's name; not empty.
        type: a type's name (`ppc.dataset.types`): `"int64"`, `"float64"`, `"string"`, `"date"`, …
        role: what the column is for.
        grade: how sensitive it is, 1 to 5.
        category: what kind of thing it holds, as dotted words: `"person.phone"`, `"finance.card"`.
        bounds: the least and the greatest value it can take, both public and finite. Never computed from the data.
        unit: of the numbers: `"EUR"`, `"days"`.
        domain: the public list of the values it can take, in order.
        nullable: whether values may be missing.
        description: for people.

    Raises:
        SchemaError: a part is malformed, or parts contradict each other. The message names the column and the key.
    """

    name: str
    type: str
    role: Role | None = None
    grade: Grade | None = None
    category: str | None = None
    bounds: tuple[float, float] | None = None
    unit: str | None = None
    domain: tuple[DomainValue, ...] | None = None
    nullable: bool = True
    description: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise SchemaError("a column has no name", hint="Every column needs a name that is not empty.")
        _check_text(self.name, f"the name of column {self.name!a}")
        self._put("type", types.canonical(self.type, where=f"column '{self.name}', key 'type'"))
        self._put("role", self._member("role", Role, self.role))
        self._put("grade", self._member("grade", Grade, self.grade))
        for key in ("category", "unit", "description"):
            value = getattr(self, key)
            if value is not None:
                if not isinstance(value, str):
                    raise self._wrong(key, f"must be text, not {type(value).__name__}")
                _check_text(value, self._where(key))
        if not isinstance(self.nullable, bool):
            raise self._wrong("nullable", "must be true or false")
        self._put("bounds", self._checked_bounds())
        self._put("domain", self._checked_domain())

    @property
    def is_numeric(self) -> bool:
        """Whether the column can be summed (numbers, and booleans as 0 and 1)."""
        return types.is_numeric(self.type)

    def _put(self, key: str, value: Any) -> None:
        object.__setattr__(self, key, value)  # frozen from here on

    def _where(self, key: str) -> str:
        return f"column '{self.name}', key '{key}'"

    def _wrong(self, key: str, what: str, hint: str | None = None) -> SchemaError:
        return SchemaError(f"{key} {what}", where=self._where(key), hint=hint)

    def _member(self, key: str, kind: Any, value: Any) -> Any:
        if value is None or isinstance(value, kind):
            return value
        try:
            if isinstance(value, bool):
                raise ValueError
            return kind(value)
        except ValueError:
            if kind is Grade:
                hint: str | None = "A grade is a number from 1 (public) to 5 (restricted)."
            else:
                hint = did_you_mean(str(value), [m.value for m in kind])
            raise self._wrong(key, f"{value!r} is not one of the known ones", hint) from None

    def _checked_bounds(self) -> tuple[float, float] | None:
        if self.bounds is None:
            return None
        if isinstance(self.bounds, str) or not isinstance(self.bounds, Sequence) or len(self.bounds) != 2:
            raise self._wrong("bounds", "must be two numbers, [least, greatest]")
        if not all(isinstance(b, int | float) and not isinstance(b, bool) for b in self.bounds):
            raise self._wrong("bounds", "must be two numbers, [least, greatest]")
        if not types.is_numeric(self.type) or self.type in ("bool", "null"):
            raise self._wrong("bounds", f"do not apply to type {self.type}", "Only columns of numbers have bounds.")
        low, high = (float(b) for b in self.bounds)
        if not -math.inf < low <= high < math.inf:
            raise self._wrong("bounds", "must be finite and in order, [least, greatest]")
        return low, high

    def _checked_domain(self) -> tuple[DomainValue, ...] | None:
        if self.domain is None:
            return None
        if isinstance(self.domain, str) or not isinstance(self.domain, Sequence):
            raise self._wrong("domain", "must be a list of values")
        values = tuple(self._domain_value(v) for v in self.domain)
        if not values:
            raise self._wrong("domain", "is empty", "Leave the key out if there is no public list.")
        if len(set(values)) != len(values):
            raise self._wrong("domain", "lists a value twice")
        return values

    def _domain_value(self, value: Any) -> DomainValue:
        kind = self.type
        plain_int = isinstance(value, int) and not isinstance(value, bool)
        if kind == "string" and isinstance(value, str):
            _check_text(value, self._where("domain"))
            return value
        if kind == "bool" and isinstance(value, bool):
            return value
        if types.is_integer(kind) and plain_int:
            return int(value)
        if kind in types.FLOATS and (plain_int or isinstance(value, float)) and math.isfinite(value):
            return float(value)
        if kind == "date" and isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return value
        if kind.startswith("timestamp") and isinstance(value, dt.datetime):
            offset = value.utcoffset() or dt.timedelta()
            # A fixed offset of whole minutes is all that TOML can write (RFC 3339, section 5.6).
            if (value.tzinfo is not None) == ("tz=" in kind) and not offset % dt.timedelta(minutes=1):
                return value if value.tzinfo is None else value.astimezone(dt.timezone(offset))
        raise self._wrong("domain", f"holds a {type(value).__name__}, which is not a value of type {kind}")


def _check_text(text: str, where: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise SchemaError("text is not valid Unicode", where=where) from None


@dataclass(frozen=True)
class Schema:
    """The fields of a dataset, in order.

    `schema["age"]` is a `Field`; an unknown name raises `ColumnError` with the nearest known one.

    Raises:
        SchemaError: two fields share a name.
    """

    fields: tuple[Field, ...]
    name: str | None = None
    _by_name: Mapping[str, Field] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))
        twice = sorted(n for n, k in Counter(f.name for f in self.fields).items() if k > 1)
        if twice:
            raise SchemaError(f"the schema has column '{twice[0]}' more than once", where=f"column '{twice[0]}'")
        if self.name is not None:
            _check_text(self.name, "key 'name'")
        object.__setattr__(self, "_by_name", {f.name: f for f in self.fields})

    # --- looking up ---
    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return [f.name for f in self.fields]

    def __getitem__(self, name: str) -> Field:
        try:
            return self._by_name[name]
        except KeyError:
            where = f"schema '{self.name}'" if self.name else None
            raise ColumnError(
                f"there is no column '{name}'", where=where, hint=did_you_mean(str(name), self.names)
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def by_role(self, role: Role | str) -> tuple[Field, ...]:
        """The fields that have this role, in order; empty if none has."""
        return tuple(f for f in self.fields if f.role == Role(role))

    # --- making another ---
    def with_field(self, field: Field) -> Schema:
        """This schema with `field` in place of the one of its name, or at the end."""
        if field.name in self:
            return replace(self, fields=tuple(field if f.name == field.name else f for f in self.fields))
        return replace(self, fields=(*self.fields, field))

    def select(self, names: Iterable[str]) -> Schema:
        """The named fields, in the order given; `ColumnError` for an unknown name."""
        return replace(self, fields=tuple(self[n] for n in names))

    # --- Arrow ---
    @staticmethod
    def from_arrow(schema: pa.Schema, name: str | None = None) -> Schema:
        """Names, types and nullability of an Arrow schema; everything else is left open."""
        return Schema(
            tuple(Field(f.name, types.from_arrow(f.type, column=f.name), nullable=f.nullable) for f in schema), name
        )

    def to_arrow(self) -> pa.Schema:
        """The Arrow schema: names, types, nullability."""
        import pyarrow as pa

        return pa.schema([pa.field(f.name, types.to_arrow(f.type), nullable=f.nullable) for f in self.fields])

    # --- TOML ---
    @staticmethod
    def from_toml(text: str, *, where: str = "schema") -> Schema:
        """The schema that a TOML text describes; `where` (a file's name) goes into errors.

        Raises:
            SchemaError: naming the line of a syntax error, or the key that is unknown or wrong.
        """
        from ppc.dataset import schema_toml

        return schema_toml.loads(text, where=where)

    def to_toml(self, onto: str | None = None) -> str:
        """The schema as TOML text. With `onto`, the text of an older version, its comments and layout are kept."""
        from ppc.dataset import schema_toml

        return schema_toml.dumps(self, onto=onto)

    @staticmethod
    def read(path: str | Path) -> Schema:
        """The schema in a TOML file. `FileError` if it can not be read, `SchemaError` if it is not a schema."""
        from ppc.dataset import schema_toml

        return schema_toml.read(Path(path))

    def write(self, path: str | Path) -> None:
        """Write the schema to a TOML file, whole or not at all. Comments of the file that was there stay."""
        from ppc.dataset import schema_toml

        schema_toml.write(self, Path(path))

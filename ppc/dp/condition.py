"""Conditions on one row: a small language in which nothing can fail, whatever the values are.

A condition that stops with an error for some values would tell that those values are there. So there are no casts, no
arithmetic and no functions here: columns are compared with constants (and columns of one kind with each other), and
that is combined by AND, OR, NOT. NaN is a missing value here: it compares as unknown, and IS NULL.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ppc.dataset.schema import Schema
from ppc.dataset.types import is_numeric
from ppc.errors import QueryError

MAX_CHARS: Final = 10_000
_HINT: Final = "For example: age >= 18 AND ward IN ('A', 'B') AND days IS NOT NULL."
_OPS: Final = {"EQ": "=", "NEQ": "<>", "GT": ">", "GTE": ">=", "LT": "<", "LTE": "<="}
_FLIP: Final = {"=": "=", "<>": "<>", ">": "<", ">=": "<=", "<": ">", "<=": ">="}

Constant: TypeAlias = "str | int | float | bool | dt.date | dt.datetime"


@dataclass(frozen=True)
class Compare:
    """`column op constant`, or `column op other column`."""

    column: str
    op: str
    value: Constant | None
    other: str | None = None


@dataclass(frozen=True)
class In:
    """`column IN (…)`."""

    column: str
    values: tuple[Constant, ...]


@dataclass(frozen=True)
class IsNull:
    """`column IS NULL`."""

    column: str


@dataclass(frozen=True)
class Not:
    """The contrary; unknown stays unknown."""

    part: Node


@dataclass(frozen=True)
class Combine:
    """All of the parts, or any of them."""

    op: str
    parts: tuple[Node, ...]


Node: TypeAlias = "Compare | In | IsNull | Not | Combine"


@dataclass(frozen=True)
class Condition:
    """A condition that was checked against a schema."""

    node: Node
    columns: tuple[str, ...]

    def sql(self, quote: Callable[[str], str], literal: Callable[[Any], str]) -> str:
        """The condition as SQL text; `quote` writes a column such that NaN is null."""
        return _sql(self.node, quote, literal)


def parse(text: str, schema: Schema) -> Condition:
    """The condition that a text means for this schema's columns.

    Raises:
        QueryError: it is malformed, compares unlike things, or uses more than the language has.
        ColumnError: it names an unknown column.
    """
    import sqlglot
    from sqlglot import errors

    if not 0 < len(text.strip()) <= MAX_CHARS:
        raise QueryError(f"a condition has 1 to {MAX_CHARS:,} characters", where="where", hint=_HINT)
    try:
        tree = sqlglot.parse_one(f"SELECT 1 WHERE {text}", read="duckdb")
    except (errors.ParseError, errors.TokenError):
        raise QueryError("the condition is not valid SQL", where="where", hint=_HINT) from None
    allowed = {"expressions", "where"}
    if type(tree).__name__ != "Select" or any(v for k, v in tree.args.items() if k not in allowed):
        raise QueryError("a condition is one expression", where="where", hint=_HINT)
    return from_tree(tree.args["where"].this, schema)


def from_tree(tree: Any, schema: Schema) -> Condition:
    """The condition that a parsed expression means. Errors as for `parse`."""
    columns: dict[str, None] = {}
    node = _node(tree, schema, columns)
    return Condition(node, tuple(columns))


def _node(e: Any, schema: Schema, used: dict[str, None]) -> Node:
    kind = type(e).__name__
    if kind == "Paren":
        return _node(e.this, schema, used)
    if kind in ("And", "Or"):
        return Combine(kind.upper(), (_node(e.left, schema, used), _node(e.right, schema, used)))
    if kind == "Not":
        return Not(_node(e.this, schema, used))
    if kind in _OPS:
        return _compare(e.left, _OPS[kind], e.right, schema, used)
    if kind == "Between" and not e.args.get("symmetric"):
        low = _compare(e.this, ">=", e.args["low"], schema, used)
        return Combine("AND", (low, _compare(e.this, "<=", e.args["high"], schema, used)))
    if kind == "In" and e.expressions and not e.args.get("query"):
        column = _column(e.this, schema, used)
        return In(column, tuple(_constant(v, column, schema) for v in e.expressions))
    if kind == "Is" and type(e.expression).__name__ == "Null":
        return IsNull(_column(e.this, schema, used))
    if kind == "Column":
        column = _column(e, schema, used)
        if schema[column].type == "bool":
            return Compare(column, "=", True)
    raise QueryError(
        f"a condition can not use {_readable(e)}",
        where="where",
        hint="Only columns, constants, = <> < <= > >=, BETWEEN, IN, IS NULL, AND, OR, NOT. " + _HINT,
    )


def _readable(e: Any) -> str:
    return type(e).__name__.lower()


def _column(e: Any, schema: Schema, used: dict[str, None]) -> str:
    if type(e).__name__ == "Paren":
        return _column(e.this, schema, used)
    if type(e).__name__ != "Column" or e.args.get("db") or e.args.get("catalog"):
        raise QueryError(f"expected a column, found {_readable(e)}", where="where", hint=_HINT)
    field = schema[e.name]
    used[field.name] = None
    return field.name


def _compare(left: Any, op: str, right: Any, schema: Schema, used: dict[str, None]) -> Node:
    if type(left).__name__ != "Column" and type(right).__name__ == "Column":
        left, right, op = right, left, _FLIP[op]
    column = _column(left, schema, used)
    if type(right).__name__ == "Column":
        other = _column(right, schema, used)
        if _family(schema[column].type) != _family(schema[other].type):
            raise QueryError(f"columns '{column}' and '{other}' are of unlike types", where="where")
        return Compare(column, op, None, other)
    return Compare(column, op, _constant(right, column, schema))


def _family(kind: str) -> str:
    return "number" if is_numeric(kind) and kind != "bool" else kind.split("[")[0]


def _constant(e: Any, column: str, schema: Schema) -> Constant:
    kind = schema[column].type
    wrong = QueryError(f"column '{column}' is {kind}, and is compared with something else", where="where", hint=_HINT)
    sign = 1
    while type(e).__name__ in ("Neg", "Paren"):
        sign = -sign if type(e).__name__ == "Neg" else sign
        e = e.this
    name = type(e).__name__
    if name == "Boolean" and kind == "bool":
        return bool(e.this)
    if name == "Cast" and type(e.this).__name__ == "Literal":  # DATE '2024-01-01'
        e, name = e.this, "Literal"
    if name != "Literal":
        raise wrong
    text = str(e.this)
    if not e.is_string:
        if not is_numeric(kind) or kind == "bool":
            raise wrong
        try:
            number = int(text)
        except ValueError:
            value = float(text)
            if not math.isfinite(value):
                raise QueryError("a number is too large", where="where") from None
            return sign * value
        if abs(number) >= 1 << 63:
            raise QueryError("a number is too large", where="where")
        return sign * number
    if sign < 0:
        raise wrong
    if kind == "string":
        return text
    try:
        if kind == "date":
            return dt.date.fromisoformat(text)
        if kind.startswith("timestamp") and "tz=" not in kind:
            return dt.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        pass
    raise wrong


def _sql(node: Node, quote: Callable[[str], str], literal: Callable[[Any], str]) -> str:
    if isinstance(node, Compare):
        right = quote(node.other) if node.other is not None else literal(node.value)
        return f"({quote(node.column)} {node.op} {right})"
    if isinstance(node, In):
        return f"({quote(node.column)} IN ({', '.join(literal(v) for v in node.values)}))"
    if isinstance(node, IsNull):
        return f"({quote(node.column)} IS NULL)"
    if isinstance(node, Not):
        return f"(NOT {_sql(node.part, quote, literal)})"
    return "(" + f" {node.op} ".join(_sql(p, quote, literal) for p in node.parts) + ")"

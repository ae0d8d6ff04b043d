"""Which rows a SQL expression selects, evaluated by DuckDB in a locked room: no files, other tables or subqueries."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from ppc.errors import QueryError, did_you_mean

MAX_CHARS: Final = 100_000
# DuckDB's own parser says what an expression is made of; whatever is not here is refused.
_ALLOWED: Final = frozenset(
    {
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "OPERATOR",
        "TYPE",
    }
)
_NAMES: Final = {
    "SUBQUERY": "a subquery", "WINDOW": "a window function", "STAR": "a star", "PARAMETER": "a parameter",
    "POSITIONAL_REFERENCE": "a column by position", "LAMBDA": "a lambda", "DEFAULT": "DEFAULT",
}  # fmt: skip
_HINT: Final = "Write a condition on the columns of one row: age >= 18 AND city IS NOT NULL."
# Scalar by DuckDB's list, but they read settings of the process or other tables.
_STATE: Final = frozenset({"current_setting", "getenv", "getvariable", "query", "query_table", "current_query"})


def evaluate(expression: str, table: pa.Table) -> pa.ChunkedArray:
    """A bool array, shape (rows,): for each row whether the expression holds (null where SQL says NULL).

    Raises:
        QueryError: the expression is malformed, unknown columns included; is not boolean; or holds a subquery, an
            aggregate, a second statement or a function that reads anything but its arguments.
    """
    import duckdb

    if not 0 < len(expression.strip()) <= MAX_CHARS:
        raise QueryError(f"the expression must have 1 to {MAX_CHARS:,} characters", hint=_HINT)
    _check_names(table.column_names)
    with _locked_room() as db:
        _check(db, expression, table.column_names)
        # The line break ends a comment that the expression may end with.
        query = f"SELECT ({expression}\n) FROM _rows"
        db.register("_rows", table)
        try:
            relation: Any = db.sql(query)  # names and types only
        except duckdb.CatalogException as e:
            raise QueryError("the expression uses an unknown function", hint=_first_line(e)) from None
        except duckdb.Error as e:
            hint = _first_line(e) if isinstance(e, duckdb.BinderException) else _HINT
            raise QueryError("the expression does not fit the columns' types", hint=hint) from None
        kind = str(relation.types[0])
        if kind != "BOOLEAN":
            raise QueryError(f"the expression gives {kind}, not true or false", hint=_HINT)
        try:
            mask = relation.to_arrow_table().column(0)
        except duckdb.Error:  # DuckDB's message may quote a value
            raise QueryError(
                "the expression failed on a value of some row",
                hint="A cast or a division may not hold for every row: use TRY_CAST or CASE WHEN.",
            ) from None
    if len(mask) != table.num_rows:
        raise QueryError("the expression is an aggregate, not a condition on one row", hint=_HINT)
    return mask


def _locked_room() -> Any:
    """A database in memory that can reach no file, network or extension, and can not be talked out of it."""
    import duckdb

    db = duckdb.connect(":memory:")
    for option in ("enable_external_access", "autoload_known_extensions", "autoinstall_known_extensions"):
        db.execute(f"SET {option} = false")
    db.execute("SET lock_configuration = true")
    return db


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].split(": ", 1)[-1]


def _check_names(columns: list[str]) -> None:
    """SQL does not tell `Age` from `age`: with both there, it would silently take one of them."""
    for lower, times in Counter(c.lower() for c in columns).items():
        if times > 1:
            raise QueryError(
                f"column names that differ in case only ('{lower}') can not be told apart in SQL",
                hint="Rename one, or give a boolean mask.",
            )


def _check(db: Any, expression: str, columns: list[str]) -> None:
    tree = _parse(db, f"SELECT ({expression}\n) FROM _rows")
    frame = _parse(db, "SELECT (true) FROM _rows")
    if tree is None:
        raise QueryError("the expression is not valid SQL", hint=_HINT)
    selected = tree.pop("select_list", [])
    (frame or {}).pop("select_list", None)
    if tree != frame or len(selected) != 1:  # it closed the bracket, and went on behind it
        raise QueryError("the expression must be one condition and nothing else", hint=_HINT)
    known = {c.lower() for c in columns}
    functions = _functions(db)
    for node in _nodes(selected[0]):
        kind = node["class"]
        if kind not in _ALLOWED:
            what = _NAMES.get(kind, kind.lower().replace("_", " "))
            raise QueryError(f"the expression holds {what}, which is not allowed", hint=_HINT)
        if kind == "COLUMN_REF":
            parts = [str(p) for p in node.get("column_names", [])]
            name = parts[-1] if parts[:-1] in ([], ["_rows"]) else ".".join(parts)
            if name.lower() not in known:
                raise QueryError(f"there is no column '{name}'", where="expression", hint=did_you_mean(name, columns))
        if kind == "FUNCTION":
            name = str(node.get("function_name", "")).lower()
            if name in _STATE or not functions.get(name, True):
                raise QueryError(f"{name}() is not allowed: it reads more than the columns of one row", hint=_HINT)


def _parse(db: Any, query: str) -> dict[str, Any] | None:
    """DuckDB's syntax tree of a query that is one SELECT, without positions in the text; `None` if it is not one."""
    import duckdb

    try:
        text = db.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchone()[0]
    except duckdb.Error:
        return None
    tree = json.loads(text)
    if tree.get("error") or len(tree.get("statements", [])) != 1:
        return None
    node = tree["statements"][0]["node"]
    return _without_positions(node) if isinstance(node, dict) else None


def _without_positions(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _without_positions(v) for k, v in node.items() if not k.startswith("query_location")}
    if isinstance(node, list):
        return [_without_positions(v) for v in node]
    return node


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _functions(db: Any) -> dict[str, bool]:
    """DuckDB's functions by name, and whether each gives one answer from its arguments alone: not an aggregate, not a
    table, and not random() or uuid()."""
    rows = db.execute(
        "SELECT lower(function_name), bool_or(function_type IN ('scalar', 'macro'))"
        " AND NOT coalesce(bool_or(stability = 'VOLATILE'), false) FROM duckdb_functions() GROUP BY ALL"
    ).fetchall()
    return {**{str(name): bool(plain) for name, plain in rows}, "unnest": False}

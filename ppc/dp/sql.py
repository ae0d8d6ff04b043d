"""SELECT statements as queries, for the subset that the queries cover. Everything else is refused with the reason."""

from __future__ import annotations

from typing import Any, Final

from ppc.dataset.schema import Schema
from ppc.dp import condition
from ppc.dp import query as q
from ppc.errors import QueryError

_HINT: Final = "SELECT ward, COUNT(*), AVG(days) FROM stays WHERE age >= 18 GROUP BY ward"
_SIMPLE: Final[dict[str, type[Any]]] = {
    "Sum": q.Sum, "Avg": q.Mean, "Variance": q.Variance, "Stddev": q.Stddev, "StddevSamp": q.Stddev,
}  # fmt: skip
_PAIRS: Final[dict[str, type[Any]]] = {"Corr": q.Correlation, "CovarSamp": q.Covariance}
_ALLOWED: Final = {"expressions", "from", "from_", "where", "group", "kind", "hint", "operation_modifiers"}
_REASONS: Final = {
    "joins": "joins: one person's rows could multiply",
    "having": "HAVING: it would drop groups by values that are not released",
    "distinct": "SELECT DISTINCT: it returns rows, not aggregates",
    "order": "ORDER BY: sort the release instead",
    "limit": "LIMIT: use top_k for the most frequent categories",
    "windows": "window functions: they return rows",
    "qualify": "QUALIFY: it returns rows",
    "with": "WITH: one SELECT over the table itself",
    "with_": "WITH: one SELECT over the table itself",
}


def parse(text: str, schema: Schema, table: str) -> q.Query:
    """The query that a SELECT means.

    Args:
        text: one SELECT of aggregates (COUNT, COUNT(DISTINCT …), SUM, AVG, VARIANCE, STDDEV, MEDIAN, QUANTILE_CONT,
            CORR, COVAR_SAMP) from the table, WHERE conditions as in `Query.where`, GROUP BY columns with a domain.
        schema: of the table.
        table: its name: the dataset's.

    Raises:
        QueryError: it is something else; the message says what. ColumnError: an unknown column.
    """
    import sqlglot
    from sqlglot import errors

    if not 0 < len(text.strip()) <= condition.MAX_CHARS:
        raise QueryError(f"a statement has 1 to {condition.MAX_CHARS:,} characters", where="sql", hint=_HINT)
    try:
        trees = sqlglot.parse(text, read="duckdb")
    except (errors.ParseError, errors.TokenError):
        raise QueryError("this is not valid SQL", where="sql", hint=_HINT) from None
    if len(trees) != 1 or type(trees[0]).__name__ != "Select":
        raise _refused("anything but one SELECT")
    select: Any = trees[0]
    for name, value in select.args.items():
        if value and name not in _ALLOWED:
            raise _refused(_REASONS.get(name, name.upper()))
    _check_table(select, table)
    keys = _keys(select, schema)
    aggregates: list[q.Aggregate] = []
    for e in select.expressions:
        e = e.this if type(e).__name__ == "Alias" else e
        if type(e).__name__ == "Column":
            if schema[e.name].name not in {k.column for k in keys}:
                raise _refused(f"the values of column '{e.name}': only aggregates and the columns of GROUP BY leave")
            continue
        aggregates.append(_aggregate(e, schema))
    if not aggregates:
        raise _refused("a SELECT without aggregates")
    where = select.args.get("where")
    if where is not None:
        condition.from_tree(where.this, schema)  # its columns and types
        return q.Query(tuple(aggregates), keys, where.this.sql(dialect="duckdb"))
    return q.Query(tuple(aggregates), keys)


def _refused(what: str) -> QueryError:
    return QueryError(f"private SQL does not answer {what}", where="sql", hint=_HINT)


def _check_table(select: Any, table: str) -> None:
    source = select.args.get("from") or select.args.get("from_")
    if source is None:
        raise _refused("a SELECT without FROM")
    this = source.this
    plain = type(this).__name__ == "Table" and type(this.this).__name__ == "Identifier"
    if not plain or any(v for k, v in this.args.items() if k not in ("this", "alias")):
        raise _refused("subqueries, samples and other sources: only the table itself")
    if this.name.lower() != table.lower():
        raise QueryError(f"there is no table '{this.name}'", where="sql", hint=f"This session's is '{table}'.")


def _keys(select: Any, schema: Schema) -> tuple[q.By, ...]:
    group = select.args.get("group")
    if group is None:
        return ()
    if any(v for k, v in group.args.items() if k != "expressions"):
        raise _refused("GROUP BY ALL, CUBE, ROLLUP and grouping sets: name the columns")
    keys = []
    for e in group.expressions:
        if type(e).__name__ != "Column":
            raise _refused("GROUP BY an expression: only columns with a domain in the schema")
        field = schema[e.name]
        keys.append(q.By(field.name, open=field.domain is None and field.type != "bool"))
    return tuple(keys)


def _aggregate(e: Any, schema: Schema) -> q.Aggregate:
    kind = type(e).__name__
    if kind == "Count":
        inner = e.this
        if type(inner).__name__ == "Distinct" and len(inner.expressions) == 1:
            return q.CountDistinct(_column(inner.expressions[0], schema))
        return q.Count() if inner is None or type(inner).__name__ == "Star" else q.Count(_column(inner, schema))
    if kind in _SIMPLE:
        aggregate: q.Aggregate = _SIMPLE[kind](_column(e.this, schema))
        return aggregate
    if kind in _PAIRS:
        pair: q.Aggregate = _PAIRS[kind](_column(e.this, schema), _column(e.expression, schema))
        return pair
    if kind == "Median":
        return q.Quantiles(_column(e.this, schema), (0.5,))
    if kind in ("PercentileCont", "Quantile", "PercentileDisc"):
        prob = e.args.get("expression") or e.args.get("quantile")
        if type(prob).__name__ == "Literal" and not prob.is_string:
            return q.Quantiles(_column(e.this, schema), (float(prob.this),))
    if kind == "Anonymous" or not hasattr(e, "sql_name"):
        raise _refused("expressions other than plain aggregates")
    raise _refused(
        f"{e.sql_name()} here: only COUNT, SUM, AVG, VARIANCE, STDDEV, MEDIAN, QUANTILE_CONT, CORR, COVAR_SAMP"
    )


def _column(e: Any, schema: Schema) -> str:
    if type(e).__name__ != "Column":
        raise _refused("aggregates of expressions: only of columns")
    return schema[e.name].name

"""Requests answered by Polars: over a frame, a lazy frame, or Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.dataset import types
from ppc.dataset.schema import Schema
from ppc.dp.condition import Compare, Condition, In, IsNull, Node, Not
from ppc.dp.engines.base import Exact, Key, Number, Request, Term, empty, place
from ppc.dp.unit import Unit
from ppc.errors import MissingExtra, QueryError


class PolarsEngine:
    """A source in Polars. Sums are added up in 128-bit integers.

    Args:
        source: a `polars.DataFrame`, a `LazyFrame`, or the path of Parquet files.
        schema: bounds and domains.
    """

    def __init__(self, source: Any, schema: Schema | None = None) -> None:
        try:
            import polars as pl
        except ImportError:
            raise MissingExtra("Polars is not installed", hint="pip install polars") from None
        self._pl = pl
        frame = pl.scan_parquet(source) if isinstance(source, str | Path) else source.lazy()
        self._frame = frame
        found = Schema.from_arrow(frame.head(0).collect().to_arrow().schema)
        self._schema = found if schema is None else _checked(schema, found)
        self.salt = int.from_bytes(rng.random_bytes(7), "big")

    @property
    def schema(self) -> Schema:
        """The source's columns."""
        return self._schema

    def close(self) -> None:
        """Let go of the source."""
        self._frame = self._pl.LazyFrame()

    def check(self, request: Request) -> None:
        """Bind the request, without running it."""
        try:
            self._query(request).collect_schema()
        except self._pl.exceptions.PolarsError as e:
            raise QueryError(f"the query does not fit the columns' types ({type(e).__name__})", where="query") from None

    def sums(self, request: Request) -> Exact:
        """The sums by known cells. See `Engine`."""
        table = self._query(request).collect()
        keys = [_cell(table[f"k{i}"], k) for i, k in enumerate(request.keys)]
        return place(request, keys, [table[f"s{i}"].to_list() for i in range(len(request.terms))])

    def groups(self, request: Request) -> tuple[list[tuple[Any, ...]], Exact]:
        """The groups that occur. See `Engine`."""
        table = self._query(request).collect()
        names = list(zip(*(table[f"k{i}"].to_list() for i in range(len(request.keys))), strict=True))
        out = empty(len(request.terms), len(names))
        for i in range(len(request.terms)):
            out[i] = [int(v or 0) for v in table[f"s{i}"].to_list()]
        return names, out

    def matrix(self, columns: Sequence[str], where: Condition | None, unit: Unit) -> NDArray[np.float64]:
        """Rows of numeric columns. See `Engine`."""
        rows = self._rows(Request((), (), where, unit))
        table = rows.select([self._plain(c).cast(self._pl.Float64).alias(c) for c in columns]).collect()
        return np.asarray(table.to_numpy(), dtype=np.float64)

    # --- the query ---
    def _query(self, request: Request) -> Any:
        pl = self._pl
        rows = self._rows(request)
        numbers: dict[Number, str] = {}
        plain: dict[str, str] = {}
        for t in request.terms:
            for f in t.factors:
                numbers.setdefault(f, f"v{len(numbers)}")
            for c in (*t.present, *([t.distinct] if t.distinct else [])):
                plain.setdefault(c, f"c{len(plain)}")
        columns = [self._key(k).alias(f"k{i}") for i, k in enumerate(request.keys)]
        columns += [self._number(n).alias(name) for n, name in numbers.items()]
        columns += [self._present(c).alias(name) for c, name in plain.items()]
        body = rows.select(columns or [pl.lit(1).alias("one")]) if columns else rows
        sums = [self._sum(t, numbers, plain).alias(f"s{i}") for i, t in enumerate(request.terms)]
        if not request.keys:
            return body.select(sums)
        keys = [f"k{i}" for i in range(len(request.keys))]
        return body.drop_nulls(keys).group_by(keys).agg(sums)

    def _rows(self, request: Request) -> Any:
        pl, unit = self._pl, request.unit
        rows = self._frame
        if unit.by is not None:
            rows = rows.with_row_index("__ppc_row")
        if request.where is not None:
            rows = rows.filter(self._condition(request.where.node))
        if unit.by is None:
            return rows
        # A person's rows are kept in the order of a salted hash of their place: see engines/text.py.
        rows = rows.with_columns(pl.col("__ppc_row").hash(self.salt).alias("__ppc_h"))
        ids = [f"__ppc_g{i}" for i in range(len(request.keys))]
        if ids and (unit.max_rows_per_group is not None or unit.max_groups is not None):
            rows = rows.with_columns([self._key(k).alias(n) for k, n in zip(request.keys, ids, strict=True)])
            rows = rows.drop_nulls(ids)
            if unit.max_rows_per_group is not None:
                rows = rows.filter(pl.col("__ppc_h").rank("ordinal").over([unit.by, *ids]) <= unit.max_rows_per_group)
            if unit.max_groups is not None:
                group = pl.struct([*ids, unit.by]).hash(self.salt)
                rows = rows.with_columns(
                    pl.struct([group.alias("__ppc_gh"), *(pl.col(i) for i in ids)]).alias("__ppc_gs")
                )
                rows = rows.filter(pl.col("__ppc_gs").rank("dense").over(unit.by) <= unit.max_groups)
        return rows.filter(pl.col("__ppc_h").rank("ordinal").over(unit.by) <= unit.max_rows)

    def _plain(self, column: str) -> Any:
        pl = self._pl
        kind = self._schema[column].type
        e = pl.col(column)
        if kind in types.FLOATS:
            return pl.when(e.is_nan()).then(None).otherwise(e)
        return e.cast(pl.Int64) if kind == "bool" else e

    def _present(self, column: str) -> Any:
        return self._plain(column) if self._schema[column].type in types.FLOATS else self._pl.col(column)

    _compared = _present

    def _number(self, n: Number) -> Any:
        pl = self._pl
        e = self._plain(n.column)
        if n.integer:
            value = e.clip(int(n.low), int(n.high)).cast(pl.Int64)
            return (value - int(n.offset)) * int(n.scale)
        x = e.cast(pl.Float64).clip(n.low, n.high)
        return ((x - n.offset) * n.scale).round(0, mode="half_away_from_zero").cast(pl.Int64)

    def _key(self, key: Key) -> Any:
        pl = self._pl
        if key.number is not None:
            return self._number(key.number)
        if key.edges is None:
            return pl.col(key.column)
        x = self._plain(key.column).cast(pl.Float64)
        inside = (x >= key.edges[0]) & (x <= key.edges[-1])
        edges = pl.lit(pl.Series(list(key.edges[1:-1]), dtype=pl.Float64))
        at = edges.search_sorted(x, side="right").cast(pl.Int64) if key.size > 1 else x * 0
        return pl.when(inside).then(at).otherwise(None).cast(pl.Int64)

    def _sum(self, term: Term, numbers: dict[Number, str], plain: dict[str, str]) -> Any:
        pl = self._pl
        if term.distinct is not None:
            return pl.col(plain[term.distinct]).drop_nulls().n_unique()
        if not term.factors and not term.present:
            return pl.len()
        there = pl.all_horizontal([pl.col(plain[c]).is_not_null() for c in term.present])
        if not term.factors:
            return there.sum()
        product = pl.col(numbers[term.factors[0]])
        for f in term.factors[1:]:
            product = product * pl.col(numbers[f])
        return pl.when(there).then(product).otherwise(0).cast(pl.Int128).sum()

    def _condition(self, node: Node) -> Any:
        pl = self._pl
        if isinstance(node, Compare):
            left = self._compared(node.column)
            right = self._compared(node.other) if node.other is not None else pl.lit(node.value)
            ops = {"=": left == right, "<>": left != right, ">": left > right, ">=": left >= right}
            return (ops | {"<": left < right, "<=": left <= right})[node.op]
        if isinstance(node, In):
            out = self._compared(node.column) == pl.lit(node.values[0])
            for v in node.values[1:]:
                out = out | (self._compared(node.column) == pl.lit(v))
            return out
        if isinstance(node, IsNull):
            return self._compared(node.column).is_null()
        if isinstance(node, Not):
            return ~self._condition(node.part)
        left, right = (self._condition(p) for p in node.parts)
        return left & right if node.op == "AND" else left | right


def _checked(schema: Schema, found: Schema) -> Schema:
    for field in schema:
        found[field.name]  # ColumnError if it is not there
    return schema


def _cell(column: Any, key: Key) -> NDArray[np.int64]:
    """The index of each value's cell, −1 if it has none."""
    if key.values is None:
        return np.asarray(column.to_numpy(), dtype=np.int64)
    at = {v: i for i, v in enumerate(key.values)}
    return np.array([at.get(v, -1) for v in column.to_list()], dtype=np.int64)

"""A request as SQL, for engines that speak it. DuckDB and Spark differ in a few words (`Dialect`)."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ppc.dataset import types
from ppc.dataset.schema import Schema
from ppc.dp.condition import Condition
from ppc.dp.engines.base import Key, Number, Request, Term
from ppc.dp.unit import Unit


@dataclass(frozen=True)
class Dialect:
    """How one engine spells things."""

    quote_mark: str
    long: str
    wide: str  # a type that holds sums of longs
    row_hash: str  # an expression: a hash of a row's place in the source
    value_hash: str  # the function that hashes values
    tally: str = ""  # an aggregate, if there is one: how many values lie up to each of a list of edges, as a map

    def quote(self, name: str) -> str:
        """An identifier."""
        return self.quote_mark + name.replace(self.quote_mark, self.quote_mark * 2) + self.quote_mark

    def literal(self, value: Any) -> str:
        """A constant. Texts are the only ones with characters of their own, and these are doubled."""
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, int):
            return str(value)
        if isinstance(value, float | Decimal):
            return self.double(float(value))
        if isinstance(value, dt.datetime):
            return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
        if isinstance(value, dt.date):
            return f"DATE '{value.isoformat()}'"
        return self.text(str(value))

    def text(self, value: str) -> str:
        """A text constant."""
        escaped = value.replace("\\", "\\\\") if self.quote_mark == "`" else value
        mark = "\\'" if self.quote_mark == "`" else "''"
        return "'" + escaped.replace("'", mark) + "'"

    @staticmethod
    def double(value: float) -> str:
        """A double, to the last bit."""
        return f"CAST({value!r} AS DOUBLE)" if "e" not in repr(value) else f"CAST('{value!r}' AS DOUBLE)"


@dataclass(frozen=True)
class Writer:
    """Writes the SQL of requests over one relation.

    Args:
        source: the relation, as it stands after FROM.
        inside: columns of floats whose values are known to lie within these bounds: they need no clamping.
        small: fewer than 2**28 rows, so that sums of integers below 2**24 are exact in doubles.
    """

    dialect: Dialect
    schema: Schema
    source: str
    salt: int
    inside: Mapping[str, tuple[float, float]]
    small: bool

    def query(self, request: Request) -> str:
        """SELECT the keys k0, k1, … and the sums s0, s1, …, one row a cell that occurs."""
        q = self.dialect.quote
        numbers: dict[Number, str] = {}
        for term in request.terms:
            for f in term.factors:
                numbers.setdefault(f, f"v{len(numbers)}")
        columns = {c: q(c) for c in request.columns}
        inner = [f"{self._key(k, columns[k.column], True)} AS k{i}" for i, k in enumerate(request.keys)]
        inner += [f"{self._number(n, columns[n.column])} AS {name}" for n, name in numbers.items()]
        plain: dict[str, str] = {}
        for term in request.terms:
            for c in (*term.present, *([term.distinct] if term.distinct else [])):
                if c not in plain:
                    plain[c] = f"c{len(plain)}"
                    inner.append(f"{self._present(c, columns[c])} AS {plain[c]}")
        rows = self._rows(request, columns)
        body = f"SELECT {', '.join(inner) or '1'} FROM {rows}"
        if self.dialect.tally and _one_histogram(request):
            return self._histogram(request.keys[0], rows)
        keys = [f"k{i}" for i in range(len(request.keys))]
        sums = [f"{self._sum(t, numbers, plain)} AS s{i}" for i, t in enumerate(request.terms)]
        text = f"SELECT {', '.join(keys + sums)} FROM ({body}) AS body"
        if keys:
            text += " WHERE " + " AND ".join(f"{k} IS NOT NULL" for k in keys) + " GROUP BY " + ", ".join(keys)
        return text

    def _histogram(self, key: Key, rows: str) -> str:
        """Counts by the bins of one column, by the engine's own histogram: several times as fast as groups.

        Its bins are closed on the right, ours on the left: x < e just if x is at most the double before e. Rows outside
        the edges are left out before.
        """
        edges = key.edges or ()
        last = [*(math.nextafter(e, -math.inf) for e in edges[1:-1]), edges[-1]]
        ends = f"[{', '.join(self.dialect.double(e) for e in last)}]"
        counted = f"SELECT {self.dialect.tally}({self._as_double(key.column)}, {ends}) AS h FROM {rows}"
        listed = f"SELECT unnest(map_keys(h)) AS e, unnest(map_values(h)) AS s0 FROM ({counted}) AS counted"
        return f"SELECT list_position({ends}, e) - 1 AS k0, s0 FROM ({listed}) AS listed WHERE s0 > 0"

    def _as_double(self, column: str) -> str:
        text = self.dialect.quote(column)
        return text if self.schema[column].type == "float64" else f"CAST({text} AS DOUBLE)"

    def rows(self, columns: tuple[str, ...], where: Condition | None, unit: Unit) -> str:
        """SELECT numeric columns as doubles, one row a row."""
        q = self.dialect.quote
        request = Request(tuple(Term(present=(c,)) for c in columns), (), where, unit)
        taken = ", ".join(f"CAST({self._plain(c, q(c))} AS DOUBLE) AS {q(c)}" for c in columns)
        return f"SELECT {taken} FROM {self._rows(request, {c: q(c) for c in request.columns})}"

    # --- which rows ---
    def _rows(self, request: Request, columns: Mapping[str, str]) -> str:
        conditions = [self._inside_edges(request.keys)]
        if request.where is not None:
            conditions.append(request.where.sql(self._compared, self.dialect.literal))
        where = " AND ".join(c for c in conditions if c)
        where = f" WHERE {where}" if where else ""
        unit = request.unit
        if unit.by is None:
            return f"{self.source}{where}" if not where else f"(SELECT * FROM {self.source}{where}) AS kept"
        by = self.dialect.quote(unit.by)
        names = ", ".join(dict.fromkeys([by, *columns.values()]))
        text = f"(SELECT {names}, {self.dialect.row_hash.format(salt=self.salt)} AS __ppc_h FROM {self.source}{where})"
        if request.keys:
            text = self._limit_groups(text, request, by, names)
        # The rows of one person are ordered by a hash that the salt makes random: which are kept depends on this
        # person's rows alone, in distribution. So what one person changes stays within max_rows rows.
        numbered = (
            f"(SELECT *, row_number() OVER (PARTITION BY {by} ORDER BY __ppc_h) AS __ppc_n FROM {text} AS hashed)"
        )
        return f"(SELECT * FROM {numbered} AS numbered WHERE __ppc_n <= {unit.max_rows}) AS bounded"

    def _limit_groups(self, text: str, request: Request, by: str, names: str) -> str:
        unit = request.unit
        if unit.max_rows_per_group is None and unit.max_groups is None:
            return text
        keys = [self._key(k, self.dialect.quote(k.column)) for k in request.keys]
        group = ", ".join(f"{k} AS __ppc_g{i}" for i, k in enumerate(keys))
        ids = ", ".join(f"__ppc_g{i}" for i in range(len(keys)))
        present = " AND ".join(f"__ppc_g{i} IS NOT NULL" for i in range(len(keys)))
        text = f"(SELECT * FROM (SELECT *, {group} FROM {text} AS hashed) AS keyed WHERE {present})"
        if unit.max_rows_per_group is not None:
            text = (
                f"(SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {by}, {ids} ORDER BY __ppc_h) AS __ppc_r"
                f" FROM {text} AS keyed) AS ranked WHERE __ppc_r <= {unit.max_rows_per_group})"
            )
        if unit.max_groups is not None:
            # Ties of the hash are broken by the group itself: two groups never share a rank.
            order = f"{self.dialect.value_hash}({ids}, {by}, {self.salt}), {ids}"
            text = (
                f"(SELECT * FROM (SELECT *, dense_rank() OVER (PARTITION BY {by} ORDER BY {order}) AS __ppc_d"
                f" FROM {text} AS few) AS ranked WHERE __ppc_d <= {unit.max_groups})"
            )
        return f"(SELECT {names}, __ppc_h FROM {text} AS grouped)"

    # --- what of each row ---
    def _compared(self, column: str) -> str:
        return self._plain(column, self.dialect.quote(column)) if self._floating(column) else self.dialect.quote(column)

    def _floating(self, column: str) -> bool:
        return self.schema[column].type in types.FLOATS

    def _plain(self, column: str, text: str) -> str:
        kind = self.schema[column].type
        if kind in types.FLOATS:
            return f"(CASE WHEN isnan({text}) THEN NULL ELSE {text} END)"
        return f"CAST({text} AS INT)" if kind == "bool" else text

    def _present(self, column: str, text: str) -> str:
        if column in self.inside:  # the sum would have been NaN, see DuckEngine
            return text
        return self._plain(column, text) if self.schema[column].type in types.FLOATS else text

    def _number(self, n: Number, text: str) -> str:
        kind = self.schema[n.column].type
        d = self.dialect
        if n.integer:
            x = f"CAST({text} AS INT)" if kind == "bool" else text
            first, last, offset = int(n.low), int(n.high), int(n.offset)
            if kind != "bool" and n.column not in self.inside:
                x = f"least(greatest({x}, {first}), {last})"
            x = f"CAST({x} AS {d.long})"
            # least and greatest skip nulls, so a null has to be kept one
            x = x if kind == "bool" or n.column in self.inside else f"CASE WHEN {text} IS NULL THEN NULL ELSE {x} END"
            shifted = f"({x} - {offset})" if offset else x
            return f"({shifted} * {int(n.scale)})" if n.scale != 1 else shifted
        x = text if kind == "float64" else f"CAST({text} AS DOUBLE)"
        if n.column not in self.inside:
            least, most = d.double(n.low), d.double(n.high)
            gone = f"{x} IS NULL OR isnan({x})"
            low, high = f"WHEN {x} < {least} THEN {least}", f"WHEN {x} > {most} THEN {most}"
            x = f"CASE WHEN {gone} THEN NULL {low} {high} ELSE {x} END"
        shifted = f"({x} - {d.double(n.offset)})" if n.offset else f"({x})"
        value = f"round({shifted} * {d.double(n.scale)})"
        return value if self.small else f"CAST({value} AS {d.long})"

    def _key(self, key: Key, text: str, checked: bool = False) -> str:
        if key.number is not None:
            return f"CAST({self._number(key.number, text)} AS {self.dialect.long})"
        if key.edges is None:
            return text
        kind = self.schema[key.column].type
        x = f"CAST({text} AS DOUBLE)" if kind != "float64" else text
        d = self.dialect.double
        first, last = d(key.edges[0]), d(key.edges[-1])
        inside = "" if checked else f"{x} >= {first} AND {x} <= {last}"
        bins = self._bisect(key.edges, x, 0, key.size)
        return f"CASE WHEN {inside} THEN {bins} END" if inside else bins

    def _inside_edges(self, keys: tuple[Key, ...]) -> str:
        """The rows that are in some bin. A null compares as unknown; NaN is named, as statistics leave it out."""
        parts = []
        for key in keys:
            if key.edges is not None:
                text, x = self.dialect.quote(key.column), self._as_double(key.column)
                parts.append(
                    f"{x} >= {self.dialect.double(key.edges[0])} AND {x} <= {self.dialect.double(key.edges[-1])}"
                )
                if self._floating(key.column):
                    parts.append(f"NOT isnan({text})")
        return " AND ".join(parts)

    def _bisect(self, edges: tuple[float, ...], x: str, low: int, high: int) -> str:
        """The number of the bin, by halving: a comparison costs one, not one for each edge."""
        if high - low == 1:
            return str(low)
        middle = (low + high) // 2
        left, right = self._bisect(edges, x, low, middle), self._bisect(edges, x, middle, high)
        return f"CASE WHEN {x} < {self.dialect.double(edges[middle])} THEN {left} ELSE {right} END"

    # --- what of each cell ---
    def _sum(self, term: Term, numbers: Mapping[Number, str], plain: Mapping[str, str]) -> str:
        if term.distinct is not None:
            return f"count(DISTINCT {plain[term.distinct]})"
        others = [c for c in term.present if c not in {f.column for f in term.factors}]
        if not term.factors:
            if not term.present:
                return "count(*)"
            if len(others) == 1:
                return f"count({plain[others[0]]})"
            return f"count(CASE WHEN {' AND '.join(f'{plain[c]} IS NOT NULL' for c in others)} THEN 1 END)"
        product = " * ".join(numbers[f] for f in term.factors)
        if others:
            product = f"CASE WHEN {' AND '.join(f'{plain[c]} IS NOT NULL' for c in others)} THEN {product} END"
        return f"sum({self._widened(term, product)})"

    def _widened(self, term: Term, product: str) -> str:
        size = 1
        for f in term.factors:
            size *= max(abs(f.least), abs(f.most))
        if all(f.integer for f in term.factors) or (self.small and size <= 1 << 24):
            # DuckDB adds integers up in 128 bits; in doubles every partial sum is below 2**24 · 2**28 < 2**53
            return product if self.dialect.quote_mark == '"' else f"CAST({product} AS {self.dialect.wide})"
        return f"CAST({product} AS {self.dialect.wide})"


def _one_histogram(request: Request) -> bool:
    """Whether rows are but counted, by the bins of one column."""
    keys = request.keys
    return request.terms == (Term(),) and len(keys) == 1 and keys[0].edges is not None and keys[0].size > 1

"""DuckDB: a relation in, a relation out; and the transformations as SQL functions.

con = duckdb.connect("warehouse.db")
ppc.desensitize.duckdb.apply(con, "customers", "policy.toml", keys).create("customers_safe")

ppc.desensitize.duckdb.register(con, keys)
con.sql("SELECT ppc_mask(phone, 3, 4), ppc_token(id, 'customer') FROM customers")
"""

from __future__ import annotations

import contextlib
from typing import Any

import pyarrow as pa

from ppc.dataset import convert
from ppc.dataset.schema import Schema
from ppc.desensitize.arrays import flat
from ppc.desensitize.engines.arrow import AnyKeys, plan_for, transformed
from ppc.desensitize.engines.sql import FUNCTIONS, Function, constants, with_arity
from ppc.desensitize.keys import Keys
from ppc.desensitize.policy import as_policy
from ppc.errors import PpcError, QueryError

_BATCH_ROWS = 1 << 17


def apply(con: Any, source: Any, policy: Any, keys: AnyKeys = None, *, schema: Schema | None = None) -> Any:
    """A relation of `con` over the transformed rows of `source`: a table's or view's name, a SELECT, or a relation.

    The policy is checked at once. Rows of a name or a SELECT are streamed when the relation is first used, and once
    only: write them with `.create(table)` or `.write_parquet(path)`, or fetch them. Read at once instead: a relation,
    an object that only this connection knows (a temporary table), and whatever a whole-column transformation works on.
    """
    own = as_policy(policy)
    kinds = convert.to_table(_relation(con, source).limit(0).to_arrow_table()).schema
    plan = plan_for(kinds, own, keys, schema)
    whole = any(s.transform.whole for c in plan.columns for s in c.steps)
    reader = None if whole else _reader(con, source)
    if reader is None:
        return con.from_arrow(plan.table(convert.to_table(_relation(con, source).to_arrow_table())))
    return con.from_arrow(pa.RecordBatchReader.from_batches(plan.arrow_schema, transformed(reader, plan)))


def _reader(con: Any, source: Any) -> Any:
    """A stream of record batches, or None if the rows must be read at once.

    A connection runs one query at a time, so the stream comes from a cursor, which does not know temporary objects.
    """
    import duckdb

    if not isinstance(source, str):
        return None
    try:
        return _relation(con.cursor(), source).to_arrow_reader(_BATCH_ROWS)
    except (duckdb.Error, QueryError):
        return None


def _relation(con: Any, source: Any) -> Any:
    import duckdb

    if not isinstance(source, str):
        return source
    try:
        return con.sql(source) if any(ch.isspace() for ch in source.strip()) else con.table(source)
    except duckdb.Error as e:
        raise QueryError(f"DuckDB does not take the source: {str(e).splitlines()[0]}") from None


def register(con: Any, keys: AnyKeys = None) -> list[str]:
    """Make the SQL functions of `ppc.desensitize.engines.sql` known to a connection; return their names.

    Functions that need a key are left out if `keys` is None. Parameters after the column must be constants.
    """
    import duckdb

    own = Keys.of(keys)
    done = []
    for function in FUNCTIONS:
        if function.keyed and "default" not in own:
            continue
        with contextlib.suppress(duckdb.Error):  # it was not there
            con.remove_function(function.name)
        con.create_function(
            function.name,
            _vectorised(function, own),
            [_SQL[t] for t in function.types],
            _SQL[function.gives],
            type="arrow",
            null_handling="special",
        )
        done.append(function.name)
    return done


_SQL = {"text": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "date": "DATE"}


def _vectorised(function: Function, keys: Keys) -> Any:
    def evaluate(columns: tuple[Any, ...]) -> Any:
        arrays = [flat(c) for c in columns]
        try:
            return function.run(arrays[0], constants(function, arrays[1:]), keys)
        except PpcError as e:
            # DuckDB wraps what a function raises and shows its text alone.
            raise type(e)(f"{function.name}: {e}" + (f" {e.hint}" if e.hint else "")) from None

    return with_arity(evaluate, len(function.types))

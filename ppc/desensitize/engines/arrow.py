"""pyarrow: tables, record batches, and streams of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from ppc.dataset import convert
from ppc.dataset.schema import Schema
from ppc.desensitize.arrays import check_text
from ppc.desensitize.keys import Key, KeyRef
from ppc.desensitize.plan import Plan, Tally
from ppc.desensitize.policy import as_policy

AnyKeys = Key | KeyRef | Mapping[str, Key | KeyRef] | None


def apply(table: Any, policy: Any, keys: AnyKeys = None, *, schema: Schema | None = None) -> Any:
    """A pyarrow Table from a Table, RecordBatch, or anything with `__arrow_c_stream__`.

    schema: roles, categories and grades of the columns, for rules that match by these.
    """
    plain = convert.to_table(pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table)
    return plan_for(plain.schema, policy, keys, schema).table(check_text(plain))


def apply_batches(reader: Any, policy: Any, keys: AnyKeys = None, *, schema: Schema | None = None) -> Any:
    """A RecordBatchReader over the transformed batches of a RecordBatchReader; each is read when it is asked for."""
    plan = plan_for(convert.to_table(reader.schema.empty_table()).schema, policy, keys, schema, streaming=True)
    return pa.RecordBatchReader.from_batches(plan.arrow_schema, transformed(reader, plan))


def transformed(
    batches: Any, plan: Plan, tally: Tally | None = None, *, check: Callable[[Any], Any] = check_text
) -> Iterator[Any]:
    """The record batches of a plan run over record batches of any encoding."""
    for batch in batches:
        table = plan.table(check(convert.to_table(pa.Table.from_batches([batch]))), tally)
        yield from (b for b in table.combine_chunks().to_batches() if b.num_rows)


def plan_for(kinds: Any, policy: Any, keys: AnyKeys, schema: Schema | None, *, streaming: bool = False) -> Plan:
    """The plan for data of an Arrow schema (of plain types), described by `schema` if given.

    A schema may describe more columns than there are; each that is there keeps the data's type.
    """
    from dataclasses import replace

    found = Schema.from_arrow(kinds)
    if schema is not None:
        found = Schema(
            tuple(
                replace(schema[f.name], type=f.type, bounds=None, domain=None) if f.name in schema else f for f in found
            ),
            schema.name,
        )
    return Plan.make(as_policy(policy), found, keys, streaming=streaming)

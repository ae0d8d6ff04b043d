"""Polars: a DataFrame gives a DataFrame, a LazyFrame a LazyFrame whose schema is known before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import pyarrow as pa

from ppc.dataset.schema import Schema
from ppc.desensitize.engines.arrow import AnyKeys, plan_for
from ppc.desensitize.plan import ColumnPlan, Plan
from ppc.errors import MissingExtra, TypeMismatchError

if TYPE_CHECKING:
    import polars as pl

    Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
else:
    Frame = TypeVar("Frame")


def apply(frame: Frame, policy: Any, keys: AnyKeys = None, *, schema: Schema | None = None) -> Frame:
    """The frame with every column treated as the policy says.

    Constants and kept columns are native expressions; the other columns go through Arrow. The policy of a LazyFrame is
    checked at once, and the rows are transformed when it is collected: batch by batch where Polars streams, but in one
    piece if a transformation needs the whole column.
    """
    try:
        import polars as pl
    except ImportError:
        raise MissingExtra("Polars is not installed", hint="pip install polars") from None
    subject: Any = frame
    lazy = isinstance(subject, pl.LazyFrame)
    if not lazy and not isinstance(subject, pl.DataFrame):
        raise TypeMismatchError(f"expected a Polars DataFrame or LazyFrame, found {type(frame).__name__}")
    empty = pl.DataFrame(schema=subject.collect_schema() if lazy else subject.schema)
    plan = plan_for(_plain(empty).schema, policy, keys, schema)
    if not lazy:
        return cast(Frame, _eager(subject, plan))
    shape = _eager(empty, plan).schema
    whole = any(s.transform.whole for c in plan.columns for s in c.steps)
    done = subject.map_batches(
        lambda part: _eager(part, plan), schema=shape, streamable=not whole, validate_output_schema=False
    )
    return cast(Frame, done)


def _plain(frame: Any) -> Any:
    from ppc.dataset import convert

    return convert.to_table(frame.to_arrow())


def _viewed(column: Any) -> Any:
    """Text as Arrow's string views, which are what Polars holds: it takes them without a copy."""
    return column.cast(pa.string_view()) if pa.types.is_string(column.type) else column


def _native(c: ColumnPlan, pl: Any) -> Any:
    """The column as a native expression where that gives the same and costs less; else None."""
    if len(c.steps) != 1 or c.steps[0].when is not None:
        return None
    step, column = c.steps[0], pl.col(c.field.name)
    if step.use == "keep":
        return column
    if step.use == "redact":
        text = getattr(step.params, "text", "")
        return pl.when(column.is_not_null()).then(pl.lit(text)).alias(c.field.name)
    return None


def _eager(frame: Any, plan: Plan) -> Any:
    import polars as pl

    native = {c.field.name: e for c in plan.columns if not c.drop and (e := _native(c, pl)) is not None}
    read = {
        name
        for c in plan.columns
        if not c.drop and c.field.name not in native
        for name in (c.field.name, *(n for s in c.steps for columns in s.context.values() for n in columns))
    }
    if any(s.when is not None for c in plan.columns for s in c.steps):
        read = {c.field.name for c in plan.columns}
    rest = Plan(plan.policy, plan.schema, tuple(c for c in plan.columns if c.field.name not in native))
    wanted = [c.field.name for c in plan.columns if c.field.name in read]
    if not any(not c.drop for c in rest.columns):
        return frame.select([native[c.field.name] for c in plan.columns if not c.drop])
    done = rest.table(_plain(frame.select(wanted)))
    made = {name: pl.Series(name, _viewed(done.column(name))) for name in done.column_names}
    kept = frame.select(list(native.values())) if native else None
    columns = [
        made[c.field.name] if c.field.name in made else kept[c.field.name]  # type: ignore[index]
        for c in plan.columns
        if not c.drop
    ]
    return pl.DataFrame(columns)


__all__ = ["apply"]

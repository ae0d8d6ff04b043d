"""A policy bound to a schema and keys: what will be done to each column, checked before a row is read."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from ppc.dataset import types
from ppc.dataset.expression import evaluate
from ppc.dataset.schema import Field, Grade, Schema
from ppc.desensitize.arrays import flat
from ppc.desensitize.keys import Key, Keys
from ppc.desensitize.policy import Policy, check_parameters
from ppc.desensitize.transform import Transform, at_column, get
from ppc.errors import ColumnError, PolicyFileError, PpcError, QueryError, TypeMismatchError, did_you_mean


@dataclass(frozen=True)
class Step:
    """One rule on one column. `label` is how reports call the rule; `rows` are those where `when` holds."""

    label: str
    use: str
    transform: Transform[Any]
    params: BaseModel
    key: Key | None
    context: Mapping[str, list[str]]
    when: str | None
    grade_after: int | None

    def run(self, array: Any, table: Any) -> Any:
        """The column, transformed; the columns it depends on come from `table`."""
        others = {name: [table.column(c) for c in columns] for name, columns in self.context.items()}
        return self.transform.run(array, self.params, self.key, others)

    def describe(self) -> str:
        """The transformation with the parameters that differ from the defaults; no secret is among them."""
        shown = []
        for name, info in type(self.params).model_fields.items():
            value = getattr(self.params, name)
            if value != info.default or info.is_required():
                text = repr(value)
                shown.append(f"{name}={text if len(text) <= 40 else text[:39] + '…'}")
        shown += [f"{name}={'+'.join(columns)}" for name, columns in self.context.items()]
        return f"{self.use}({', '.join(shown)})"


@dataclass(frozen=True)
class ColumnPlan:
    """What becomes of one column: the steps in order, or drop. `kind` is the type that comes out."""

    field: Field
    steps: tuple[Step, ...]
    kind: Any
    drop: bool = False
    label: str = ""

    @property
    def conditional(self) -> bool:
        return any(s.when is not None for s in self.steps)


@dataclass
class Tally:
    """How many rows each step of each column was applied to, and how many nulls came in and out."""

    rows: int = 0
    applied: Counter[tuple[str, str]] = field(default_factory=Counter)
    nulls_in: Counter[str] = field(default_factory=Counter)
    nulls_out: Counter[str] = field(default_factory=Counter)


class Plan:
    """A checked policy. `plan.table(t)` transforms a table or record batch whose columns are those of the schema."""

    def __init__(self, policy: Policy, schema: Schema, columns: tuple[ColumnPlan, ...]) -> None:
        self.policy = policy
        self.schema = schema
        self.columns = columns
        self.output = self._output()

    @staticmethod
    def make(policy: Policy, schema: Schema, keys: Any = None, *, streaming: bool = False) -> Plan:
        """Check a policy against a schema.

        streaming: the data will come in batches, so transformations that need the whole column are refused.

        Raises:
            PolicyFileError: a column is denied, or has rules that contradict each other or do not fit its type.
            ColumnError: a rule names a column that is not there. ConfigError, KeyFileError: a key is not there.
        """
        _check_names(policy, schema)
        own = Keys.of(keys)
        arrow = schema.to_arrow()
        columns = tuple(_column(policy, schema, f, arrow.field(f.name).type, own, streaming) for f in schema)
        return Plan(policy, schema, columns)

    @property
    def arrow_schema(self) -> Any:
        """The Arrow schema of the result."""
        return pa.schema([pa.field(c.field.name, c.kind) for c in self.columns if not c.drop])

    def _output(self) -> Schema:
        fields = []
        for c in self.columns:
            if c.drop:
                continue
            kind = types.from_arrow(c.kind, column=c.field.name)
            kept = all(s.use == "keep" for s in c.steps)
            after = [s.grade_after for s in c.steps if s.grade_after is not None]
            fields.append(
                replace(
                    c.field,
                    type=kind,
                    # Bounds and domain describe the values that went in.
                    bounds=c.field.bounds if kept else None,
                    domain=c.field.domain if kept else None,
                    nullable=True if not kept else c.field.nullable,
                    grade=Grade(max(after)) if after and len(after) == len(c.steps) else c.field.grade,
                )
            )
        return Schema(tuple(fields), self.schema.name)

    def table(self, table: Any, tally: Tally | None = None) -> Any:
        """Transform a table (or record batch); columns and types as `arrow_schema`, rows as they came.

        Raises:
            PpcError: naming the column and the rule; never a value.
        """
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        masks: dict[str, Any] = {}
        done = []
        if tally is not None:
            tally.rows += table.num_rows
        for c in self.columns:
            if c.drop:
                continue
            array = table.column(c.field.name)
            try:
                if c.conditional:
                    result = self._conditional(c, array, table, masks, tally)
                else:
                    result = c.steps[0].run(array, table)
                    if tally is not None:
                        tally.applied[c.field.name, c.steps[0].label] += table.num_rows
            except PpcError as e:
                raise at_column(e, c.field.name) from None
            if tally is not None:
                tally.nulls_in[c.field.name] += array.null_count
                tally.nulls_out[c.field.name] += result.null_count
            done.append(result)
        return pa.Table.from_arrays(done, schema=self.arrow_schema)

    def _conditional(self, c: ColumnPlan, array: Any, table: Any, masks: dict[str, Any], tally: Tally | None) -> Any:
        open_rows = np.ones(len(array), np.bool_)
        parts, places = [], []
        for step in c.steps:
            rows = open_rows
            if step.when is not None:
                if step.when not in masks:
                    masks[step.when] = holds(step.when, table)
                rows = open_rows & masks[step.when]
            index = np.flatnonzero(rows)
            open_rows = open_rows & ~rows
            if tally is not None:
                tally.applied[c.field.name, step.label] += len(index)
            if len(index):
                chosen = pa.array(index)
                names = sorted({n for columns in step.context.values() for n in columns})
                parts.append(flat(step.run(array.take(chosen), table.select(names).take(chosen))).cast(c.kind))
                places.append(index)
        if not parts:
            return pa.chunked_array([], c.kind)
        order = np.empty(len(array), np.int64)
        order[np.concatenate(places)] = np.arange(len(array))
        return pa.chunked_array([pa.concat_arrays(parts).take(pa.array(order))])


def holds(when: str, table: Any) -> Any:
    """For each row whether an SQL condition is true, as booleans (n,); unknown (null) counts as false.

    The condition has passed `ppc.dataset.expression.evaluate` on an empty table of these columns when the plan was
    made, which admits nothing but scalar functions of one row; so the rows need no second check.
    """
    import duckdb

    with _database().cursor() as db:
        try:
            db.register("_rows", table)
            mask = flat(db.sql(f"SELECT ({when}\n) FROM _rows").to_arrow_table().column(0))
        except duckdb.Error:  # its message may quote a value
            raise QueryError(
                "the condition failed on a value of some row",
                where=f"when = {when!r}",
                hint="A cast or a division may not hold for every row: use TRY_CAST or CASE WHEN.",
            ) from None
    return np.asarray(pc.fill_null(mask, False))


@functools.cache
def _database() -> Any:
    """An empty database for conditions, shut off from files and settings."""
    import duckdb

    db = duckdb.connect(":memory:")
    for option in ("enable_external_access", "autoload_known_extensions", "autoinstall_known_extensions"):
        db.execute(f"SET {option} = false")
    db.execute("SET lock_configuration = true")
    return db


def _check_names(policy: Policy, schema: Schema) -> None:
    for i, rule in enumerate(policy.rule):
        check_parameters(rule, i)
        for name in rule.column or ():
            if not any(ch in name for ch in "*?[") and name not in schema:
                raise ColumnError(
                    f"{policy.rule_label(i)} names column '{name}', which is not there",
                    where=f"policy '{policy.name}'",
                    hint=did_you_mean(name, schema.names),
                )


def _column(policy: Policy, schema: Schema, column: Field, kind: Any, keys: Keys, streaming: bool) -> ColumnPlan:
    where = f"policy '{policy.name}', column '{column.name}'"
    steps: list[Step] = []
    kinds: list[Any] = []
    for i, rule in enumerate(policy.rule):
        if not rule.matches(column):
            continue
        label = policy.rule_label(i)
        if rule.use == "drop":
            if steps or rule.when is not None:
                raise PolicyFileError(
                    f"{label} drops the column for some rows only", where=where, hint="Use nullify for those rows."
                )
            return ColumnPlan(column, (), kind, drop=True, label=label)
        step, out = _step(policy, i, schema, column, kind, keys, streaming)
        steps.append(step)
        kinds.append(out)
        if rule.when is None:
            break
    else:
        if not steps and policy.default == "drop":
            return ColumnPlan(column, (), kind, drop=True, label="default")
        if policy.default in ("deny", "drop"):
            some = "only rules with a condition match it" if steps else "no rule matches it"
            raise PolicyFileError(
                f"column '{column.name}' is denied: {some}",
                where=f"policy '{policy.name}'",
                hint="Add a rule for it (use = 'keep' lets it through), or set default in the policy.",
            )
        transform = get(policy.default)
        steps.append(Step("default", policy.default, transform, transform.parse({}), None, {}, None, None))
        kinds.append(transform.gives(kind, steps[-1].params))
    # Nulls take whatever type the other rules give.
    typed = [k for s, k in zip(steps, kinds, strict=True) if s.use != "nullify" and not pa.types.is_null(k)]
    distinct = {str(k): k for k in typed or kinds[:1]}
    if len(distinct) > 1:
        raise PolicyFileError(
            f"its rules give different types: {', '.join(distinct)}",
            where=where,
            hint="Rules on some rows of a column must give the type that the others give.",
        )
    out = next(iter(distinct.values()))
    return ColumnPlan(column, tuple(steps), out)


def _step(
    policy: Policy, index: int, schema: Schema, column: Field, kind: Any, keys: Keys, streaming: bool
) -> tuple[Step, Any]:
    rule = policy.rule[index]
    label = policy.rule_label(index)
    where = f"policy '{policy.name}', {label}, column '{column.name}'"
    transform = get(rule.use)
    given = rule.arguments
    context: dict[str, list[str]] = {}
    for name in transform.columns:
        value = given.pop(name, None)
        if value is not None:
            context[name] = [value] if isinstance(value, str) else list(value)
            for other in context[name]:
                if other not in schema:
                    raise ColumnError(
                        f"'{name}' names column '{other}', which is not there",
                        where=where,
                        hint=did_you_mean(other, schema.names),
                    )
    if "scope" in transform.model.model_fields:
        given.setdefault("scope", column.name)
    params = transform.parse(given)
    try:
        transform.check_type(kind)
        transform.check_columns(context)
        key = keys[rule.key] if transform.wants_key(params) else None
        if rule.when is not None:
            evaluate(rule.when, schema.to_arrow().empty_table())
    except TypeMismatchError as e:
        raise TypeMismatchError(e.what, where=where, hint=e.hint) from None
    except PpcError as e:
        e.where = f"{where}, {e.where}" if e.where else where
        raise e from None
    if transform.whole and streaming:
        raise PolicyFileError(
            f"{rule.use} needs the whole column, and the data come in batches",
            where=where,
            hint="Apply the policy in memory (ppc.desensitize.apply, or --in-memory), or use another transformation.",
        )
    step = Step(label, rule.use, transform, params, key, context, rule.when, rule.grade_after)
    return step, transform.gives(kind, params)

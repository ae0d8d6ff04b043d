"""What a job means, worked out from its text and the catalog: the same plan at every party, and what it asks of one."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ppc.coordinator.jobs import DatasetEntry
from ppc.coordinator.policy import Ask, ColumnUse
from ppc.errors import ConfigError, JobFileError, SchemaError

if TYPE_CHECKING:
    from ppc.dataset.schema import Schema
    from ppc.joint.job import Job
    from ppc.joint.plan import Plan


@dataclass(frozen=True)
class Planned:
    """A job that was read and planned."""

    job: Job
    plan: Plan

    @property
    def members(self) -> tuple[str, ...]:
        """The parties, then the helper if there is one."""
        helper = self.helper
        return (*self.job.parties, *([helper] if helper else []))

    @property
    def helper(self) -> str | None:
        """The helper's name."""
        return None if self.job.helper == "none" else self.job.helper


def load_operators(modules: Iterable[str]) -> None:
    """Imports modules that register operators of their own (`ppc.joint.registry.register`)."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ConfigError(
                f"the module '{module}' cannot be imported ({type(error).__name__})", where="key 'operators'"
            ) from error


def plan_job(job_toml: str, entries: Iterable[DatasetEntry]) -> Planned:
    """Reads a job and plans it on the catalog's entries; raises what is wrong with either."""
    from ppc.joint.job import Job

    return plan_parsed(Job.from_toml(job_toml, where="job file"), entries)


def plan_parsed(job: Job, entries: Iterable[DatasetEntry]) -> Planned:
    """Plans a job on the catalog's entries for its datasets."""
    from ppc.dataset.schema import Schema
    from ppc.errors import did_you_mean
    from ppc.joint.plan import plan

    known = {(e.party, e.name): e for e in entries}
    schemas, rows = {}, {}
    for party in job.parties:
        name = job.datasets.get(party)
        if name is None:
            raise JobFileError(f"names no dataset of '{party}'", where="job file, key 'datasets'")
        entry = known.get((party, name))
        if entry is None:
            names = [n for p, n in known if p == party]
            hint = did_you_mean(name, names) or f"{party} has published no dataset: is its agent running?"
            raise JobFileError(f"{party} has no dataset '{name}'", where="job file, key 'datasets'", hint=hint)
        try:
            schemas[party] = Schema.from_toml(entry.schema_toml)
        except SchemaError as error:
            raise SchemaError(f"its published schema is malformed: {error.what}", party=party) from error
        rows[party] = entry.rows
    return Planned(job, plan(job, schemas, rows))


def public_toml(schema: Schema) -> str:
    """What the catalog shows of a schema: names, types and roles."""
    from ppc.joint.plan import public_schema

    return public_schema(schema).to_toml()


def ask_of(planned: Planned, me: str, schema: Schema, submitter: str) -> Ask:
    """What the plan asks of the party `me`, whose full schema is `schema`."""
    from ppc.joint.operator import EVERYONE

    recipients = dict.fromkeys(
        name
        for d in planned.plan.disclosures
        if d.about in (me, EVERYONE)
        for name in (planned.job.parties if d.to == EVERYONE else (d.to,))
    )
    touched = set(_touched(planned, me, schema))
    return Ask(
        me=me,
        submitter=submitter,
        partners=tuple(p for p in planned.job.parties if p != me),
        helper=planned.helper,
        operators=tuple(dict.fromkeys(s.operator for s in planned.job.steps)),
        dataset=planned.job.datasets.get(me, ""),
        columns=tuple(_use(schema, name) for name in schema.names if name in touched),
        recipients=tuple(recipients),
    )


def _touched(planned: Planned, me: str, schema: Schema) -> Iterator[str]:
    """Every column of `me` that a step discloses something of, computes with, names, or reads by its role.

    Rather one too many than one too few: a policy that lists columns must not be got round by how a step names them.
    """
    from ppc.dataset.schema import Role
    from ppc.joint import registry
    from ppc.joint.credit.features import candidates
    from ppc.joint.operator import EVERYONE

    for part in planned.plan.steps:
        for d in part.disclosures:
            if d.about in (me, EVERYONE):
                yield from d.columns
        yield from part.view.features.get(me, ())
        for text in _texts(part.step.params.model_dump()):
            yield text
            yield text.removeprefix(f"{me}.")
        for role in registry.get(part.step.operator).reads:
            if role is not Role.FEATURE:
                yield from (f.name for f in schema.by_role(role))
            elif not any(part.view.features.values()):
                # Until a step has chosen features by name it may be any: a saved model takes what it was trained on.
                yield from candidates(part.view).get(me, ())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _texts(item)


def _use(schema: Schema, name: str) -> ColumnUse:
    field = schema[name]
    return ColumnUse(name, field.role.value if field.role else None, int(field.grade) if field.grade else None)

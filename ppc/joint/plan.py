"""The plan: what every party will learn and what a job costs, before anything runs.

`plan(job, schemas, rows)` sees schemas and row counts only. Its `hash` covers the job and every disclosure, in words;
it is what parties approve, and what they compare before any data is touched.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ppc.dataset.schema import Field, Schema
from ppc.errors import JobFileError, PpcError, SchemaError
from ppc.joint import registry
from ppc.joint.job import NO_HELPER, Job, Step, digest
from ppc.joint.operator import EVERYONE, Cost, Disclosure, PlanView
from ppc.joint.shares import needs_helper


def opening(job: Job) -> tuple[Disclosure, ...]:
    """What a job begins with: the parties compare it and tell each other what is needed to make the plan."""
    rows = ", and its number of rows" if tells_rows(job) else ""
    what = f"the names, types and roles of every party's columns{rows}"
    return (Disclosure(EVERYONE, what, why="to make this plan and compare it", step="start"),)


def tells_rows(job: Job) -> bool:
    """Whether some step needs to know how many rows each party has."""
    return any(registry.get(s.operator).needs_rows for s in job.steps)


@dataclass(frozen=True)
class PlannedStep:
    """One step of a plan: what it is, what it discloses, what it costs, and the view it starts from."""

    step: Step
    summary: str
    disclosures: tuple[Disclosure, ...]
    cost: Cost
    view: PlanView


@dataclass(frozen=True)
class Plan:
    """What will happen. Equal at every party that holds the same job file and saw the same schemas."""

    job: Job
    steps: tuple[PlannedStep, ...]

    @property
    def disclosures(self) -> tuple[Disclosure, ...]:
        """Every value that any party will learn, in the order of the steps."""
        return (*opening(self.job), *(d for s in self.steps for d in s.disclosures))

    @property
    def cost(self) -> Cost:
        """The sum over the steps."""
        return sum((s.cost for s in self.steps), Cost())

    def to(self, party: str) -> tuple[Disclosure, ...]:
        """What this party will learn."""
        return tuple(d for d in self.disclosures if d.to in (party, EVERYONE))

    def view(self, step: str) -> PlanView:
        """What is known before the step of this name."""
        return next(s.view for s in self.steps if s.step.name == step)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the job and the disclosures, in hex. Row counts and costs are not in it: data may grow."""
        return digest({"job": self.job.to_dict(), "disclosures": [d.to_dict() for d in self.disclosures]})

    @property
    def rests_on(self) -> str | None:
        """What computing without a helper rests on; `None` with one, or if nothing is computed on shares."""
        if self.job.helper != NO_HELPER or not any(
            registry.get(s.step.operator).computes_on_shares(s.step.params) for s in self.steps
        ):
            return None
        from ppc.mpc import replicated
        from ppc.mpc.correlations.pairwise import describe
        from ppc.mpc.lattice import rlwe

        if len(self.job.parties) == 3:
            return replicated.ASSUMPTION
        return f"{describe(self.job.randomness)}; {rlwe.describe()}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a report or an approval."""
        return {
            "hash": self.hash,
            "job": self.job.to_dict(),
            "opening": [d.to_dict() for d in opening(self.job)],
            "steps": [
                {
                    "name": s.step.name,
                    "operator": s.step.operator,
                    "summary": s.summary,
                    "disclosures": [d.to_dict() for d in s.disclosures],
                    "rounds": s.cost.rounds,
                    "bytes": s.cost.bytes,
                }
                for s in self.steps
            ],
            "rounds": self.cost.rounds,
            "bytes": self.cost.bytes,
        }

    def text(self, width: int = 100) -> str:
        """The plan for a terminal."""
        job = self.job
        helper = (
            "none" if job.helper == NO_HELPER else f"{job.helper} (deals randomness, sees no data, must not collude)"
        )
        rests = self.rests_on
        lines = [
            f"Job      {job.name}",
            f"Plan     {self.hash}",
            f"Parties  {', '.join(job.parties)}; result to {job.result}",
            f"Helper   {helper}",
            *([] if rests is None else textwrap.wrap(f"Rests on {rests}", width, subsequent_indent=" " * 9)),
            *(
                [f"Noise    every figure, ε = {job.release.epsilon:g} at δ = {job.release.delta:g} for the whole job"]
                if job.release is not None
                else []
            ),
            "",
            "0. start: compare the job and the plan",
            *(line for d in opening(self.job) for line in self._sentence(d, width)),
        ]
        for number, planned in enumerate(self.steps, 1):
            title = planned.step.name
            if planned.step.operator != title:
                title += f" ({planned.step.operator})"
            lines += ["", f"{number}. {title}: {planned.summary}"]
            for d in planned.disclosures:
                lines += self._sentence(d, width)
            if not planned.disclosures:
                lines.append("   Nobody learns anything.")
            lines.append(
                f"   Cost: about {_count(planned.cost.rounds)} rounds, {_size(planned.cost.bytes)} sent by a party"
            )
        total = self.cost
        lines += ["", f"In all about {_count(total.rounds)} rounds, {_size(total.bytes)} sent by a party."]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _sentence(d: Disclosure, width: int) -> list[str]:
        who = "Every party learns" if d.to == EVERYONE else f"{d.to} learns"
        text = f"{who} {d.what}"
        if d.columns:
            shown = ", ".join(d.columns[:12]) + (f" and {len(d.columns) - 12} more" if len(d.columns) > 12 else "")
            text += f"; columns: {shown}" + (f" of {d.about}" if d.about != EVERYONE else "")
        text += "."
        if d.why:
            text += f" Why: {d.why}."
        return textwrap.wrap(text, width, initial_indent="   - ", subsequent_indent="     ")


def plan(job: Job, schemas: Mapping[str, Schema], rows: Mapping[str, int]) -> Plan:
    """The plan of a job on datasets of these schemas and row counts, one a party.

    Raises:
        SchemaError, ColumnError, LabelError, KeyColumnError, TypeMismatchError: what is wrong, naming the party,
            the column and the step.
    """
    for party in job.parties:
        if party not in schemas or party not in rows:
            raise SchemaError("its schema and row count are not known", party=party)
    view = PlanView(job.parties, job.result, {p: public_schema(schemas[p]) for p in job.parties}, dict(rows))
    if job.release is not None:
        paying = sum(registry.get(s.operator).noise_costs for s in job.steps)
        view = view.with_facts(release=(job.release, paying))
    steps = []
    for step in job.steps:
        operator = registry.get(step.operator)
        view = replace(view, step=step.name)
        try:
            if view.hidden and operator.needs_match:
                raise JobFileError(
                    f"'{operator.name}' cannot run when nobody may know which rows match: {operator.needs_match}",
                    where=f"step '{step.name}', key 'operator'",
                    hint='Leave the step out, or match with reveal = "intersection".',
                )
            alone = operator.computes_on_shares(step.params) and job.helper == NO_HELPER
            if alone and len(job.parties) > 3:
                raise needs_helper(f"'{operator.name}'", f"step '{step.name}', key 'helper'")
            if job.release is not None and not operator.noisy:
                raise JobFileError(
                    f"'{operator.name}' cannot be part of a job with [release]: {operator.no_noise}",
                    where=f"step '{step.name}', key 'operator'",
                    hint="Put it into a job of its own, without [release].",
                )
            operator.check(step.params, view)
            disclosures = operator.disclosures(step.params, view)
            cost = operator.cost(step.params, view)
            if alone:
                cost = without_helper(cost, len(job.parties), job.randomness)
            after = operator.after(step.params, view)
        except PpcError as error:
            error.where = located(error.where, step.name)
            raise
        said = tuple(replace(d, step=step.name) for d in disclosures)
        steps.append(PlannedStep(step, operator.summary, said, cost, view))
        view = after
    return Plan(job, tuple(steps))


def without_helper(cost: Cost, parties: int, randomness: str) -> Cost:
    """About what a step costs without a helper, from what it costs two parties with one.

    Rules of thumb. Two parties make their randomness themselves: scorecard jobs send about 20 times as much, for what
    is an opened word there is a product, a comparison or a part of a ciphertext here. Three hold replicated shares: a
    comparison or a sigmoid takes 3 times the rounds, 4 times the bytes.
    """
    if parties == 3:
        return Cost(3 * cost.rounds, 4 * cost.bytes)
    return Cost(2 * cost.rounds, cost.bytes * (20 if randomness == "ot" else 14))


def located(where: str | None, step: str) -> str:
    """A place with the step's name in front, if it is not there already."""
    here = f"step '{step}'"
    if where is None:
        return here
    return where if here in where else f"{here}, {where}"


def public_schema(schema: Schema) -> Schema:
    """What other parties need to see of a schema: names, types and roles. Bounds, domains and texts stay at home."""
    return Schema(tuple(Field(f.name, f.type, role=f.role, nullable=f.nullable) for f in schema))


def _count(n: int) -> str:
    return f"{n:,}"


def _size(n: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= factor:
            return f"{n / factor:.1f} {unit}"
    return f"{n} B"

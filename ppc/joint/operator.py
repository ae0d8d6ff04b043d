"""What parties compute together: the `Operator`, and what it must say about itself before it runs.

An operator is straight-line code that every party executes (single program, multiple data). Before anything runs it
states, from schemas alone, what each party will learn (`Disclosure`) and what it costs (`Cost`); a plan collects both,
and parties approve that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from ppc.dataset.schema import Field, Role, Schema
from ppc.errors import ColumnError, LabelError, did_you_mean

if TYPE_CHECKING:
    from ppc.joint.context import Context

Summary = Mapping[str, Any]
"""What a step may show in a report: plain JSON values. Each party returns only what it was entitled to learn."""

EVERYONE = "every party"


class Params(BaseModel):
    """Parameters of an operator, as they stand in the step's table of the job file. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NoParams(Params):
    """For an operator that takes no parameters."""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One thing that a party will learn.

    `to`: who learns it (a party, or `EVERYONE`). `what`: the value, in words. `about`: whose data it is about (a party,
    or `EVERYONE`). `columns`: which of that party's columns. `why`: what it is needed for. The plan fills in `step`.
    """

    to: str
    what: str
    about: str = EVERYONE
    columns: tuple[str, ...] = ()
    why: str = ""
    step: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "to": self.to,
            "what": self.what,
            "about": self.about,
            "columns": list(self.columns),
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate: communication rounds, and bytes that the busiest party sends."""

    rounds: int = 0
    bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.rounds + other.rounds, self.bytes + other.bytes)


@dataclass(frozen=True)
class PlanView:
    """What is known about a job at one step before it runs: public facts only, the same at every party.

    Attributes:
        parties: in rank order.
        result: the party that gets the result.
        schemas: each party's columns: names, types and roles (no bounds, no domains: those are not sent).
        rows: each party's number of rows, as announced.
        step: the step's name.
        features: each party's columns that enter a model at this step, as far as that is known.
        aligned: whether rows have been matched; then `max_rows` bounds their number.
        holdout: the fraction of matched rows that is kept for evaluation.
        hidden: whether nobody may know which rows match: steps then see all rows of every party.
        models: names of earlier steps that leave a model.
        facts: anything else that an operator wants to tell later ones (see `Operator.after`).
    """

    parties: tuple[str, ...]
    result: str
    schemas: Mapping[str, Schema]
    rows: Mapping[str, int]
    step: str = ""
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aligned: bool = False
    holdout: float = 0.0
    hidden: bool = False
    models: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def max_rows(self) -> int:
        """No step sees more rows than this: after alignment the smallest party's, or all if the match is hidden."""
        if self.hidden:
            return sum(self.rows.values())
        return min(self.rows.values()) if self.rows else 0

    @property
    def train_rows(self) -> int:
        """About how many rows a model is trained on."""
        return max(1, round(self.max_rows * (1 - self.holdout)))

    def peers(self, party: str) -> tuple[str, ...]:
        """Everyone but `party`."""
        return tuple(p for p in self.parties if p != party)

    def column(self, party: str, name: str) -> Field:
        """The field, or `ColumnError` that names the party and the nearest column."""
        schema = self.schemas[party]
        if name not in schema:
            raise ColumnError(
                f"there is no column '{name}'", party=party, where=self.where, hint=did_you_mean(name, schema.names)
            )
        return schema[name]

    def owner_of(self, name: str, *, error: type[ColumnError] | type[LabelError] = ColumnError) -> str:
        """The one party that has a column of this name; an error if none or several have it."""
        owners = [p for p in self.parties if name in self.schemas[p]]
        if len(owners) == 1:
            return owners[0]
        if owners:
            raise error(
                f"column '{name}' is at {' and '.join(owners)}",
                where=self.where,
                hint=f"Write '{owners[0]}.{name}' to say whose.",
            )
        known = [n for p in self.parties for n in self.schemas[p].names]
        raise error(f"no party has a column '{name}'", where=self.where, hint=did_you_mean(name, known))

    def resolve(self, name: str, *, error: type[ColumnError] | type[LabelError] = ColumnError) -> tuple[str, str]:
        """`(party, column)` of `"column"` or `"party.column"`."""
        party, dot, column = name.partition(".")
        if dot and party in self.parties and column in self.schemas[party]:
            return party, column
        return self.owner_of(name, error=error), name

    def label(self, name: str | None) -> tuple[str, str]:
        """`(party, column)` of the label: the named column, an earlier step's, or the only one of role `label`."""
        if name is not None:
            return self.resolve(name, error=LabelError)
        if "label" in self.facts:
            party, column = self.facts["label"]
            return str(party), str(column)
        found = [(p, f.name) for p in self.parties for f in self.schemas[p].by_role(Role.LABEL)]
        if len(found) != 1:
            what = "no column has the role 'label'" if not found else "more than one column has the role 'label'"
            raise LabelError(what, where=self.where, hint='Name it in the step: label = "column".')
        return found[0]

    @property
    def where(self) -> str | None:
        """How errors name the step."""
        return f"step '{self.step}'" if self.step else None

    def with_features(self, features: Mapping[str, Sequence[str]]) -> PlanView:
        """The view after a step that changes which columns enter a model."""
        return replace(self, features={p: tuple(features.get(p, ())) for p in self.parties})

    def with_facts(self, **facts: Any) -> PlanView:
        """The view with more facts for later steps."""
        return replace(self, facts={**self.facts, **facts})


P = TypeVar("P", bound=Params)


class Operator(ABC, Generic[P]):
    """One thing that parties compute together. Subclasses hold no state: everything is in `params`, `view` and `ctx`.

    Class attributes: `name` (as job files write it), `summary` (one line for people), `Params`, `reads` (roles of the
    columns it reads), `needs_helper` (whether it computes on shares). Register with `@register` (ppc.joint.registry).
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Params: ClassVar[type[Params]]
    reads: ClassVar[tuple[Role, ...]] = ()
    needs_helper: ClassVar[bool] = True
    #: Why it cannot run when nobody may know which rows match (`align` with `reveal = "none"`); empty if it can.
    needs_match: ClassVar[str] = "it works on matched rows that every party sees"
    #: Whether the others must know how many rows each party has. If no step does, the numbers stay at home.
    needs_rows: ClassVar[bool] = True
    #: In a job with `[release]`: whether its figures leave with noise, whether that costs, and if not, why not.
    noisy: ClassVar[bool] = False
    noise_costs: ClassVar[bool] = True
    no_noise: ClassVar[str] = "it has no form with noise"

    # --- before: from schemas alone, the same at every party ---
    def computes_on_shares(self, params: P) -> bool:
        """Whether it needs correlated randomness with these parameters."""
        return self.needs_helper

    def check(self, params: P, view: PlanView) -> None:
        """Refuse what can be refused without data: an unknown column, a wrong type, a step out of order."""

    @abstractmethod
    def disclosures(self, params: P, view: PlanView) -> list[Disclosure]:
        """Every value that any party will learn from this step."""

    @abstractmethod
    def cost(self, params: P, view: PlanView) -> Cost:
        """An estimate of rounds and bytes."""

    def after(self, params: P, view: PlanView) -> PlanView:
        """What later steps will know. By default nothing changes."""
        return view

    # --- during ---
    def inspect(self, ctx: Context[P]) -> None:
        """Check this party's own data, before the first message of the job. No communication here."""

    @abstractmethod
    def run(self, ctx: Context[P]) -> Summary | None:
        """The computation, executed by every party. Leaves artifacts in `ctx.artifacts`; returns a summary."""

    def apply(self, ctx: Context[P]) -> None:
        """Put the step's artifacts into effect for later steps (after `run`, and when a resumed job skips the step)."""

"""What every statistic has in its hands: pooled sums, tests of counts, and one set of sites throughout.

A statistic computes in rounds. If a site is lost between two of them, figures of different rows would mix; so the
statistic begins anew with the sites that are left, and its result says whose rows it is about.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from ppc.dataset import types
from ppc.dataset.dataset import Dataset
from ppc.dataset.schema import Schema
from ppc.errors import ColumnError, ConfigError, FrameError, TypeMismatchError
from ppc.joint.context import Context
from ppc.joint.operator import EVERYONE, Cost, Disclosure, Operator, Params, PlanView, Summary
from ppc.joint.statistics.codes import MISSING, UNKNOWN, codes
from ppc.joint.statistics.limits import BASES, Limits, strictest
from ppc.joint.statistics.rounding import DIGITS, rounded, to_base

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Level = str | int | float | bool


class StudyParams(Params):
    """What every statistic takes.

    where: a SQL condition over a site's own columns; other rows are left out.
    levels: the public list of values of each categorical column, in order; the first is the reference.
    min_cell: no count from 1 to min_cell − 1 opens. dominance, dominance_two: no sum of which one row, or two, make
    more than this share. p_percent: nor one that tells the largest row to within so many percent.
    round_to: counts are told in multiples of it. A site's own limits can only be stricter.
    """

    where: str | None = None
    levels: dict[str, tuple[Level, ...]] = Field(default_factory=dict)
    min_cell: int = Field(default=5, ge=1, le=100)
    dominance: float = Field(default=0.9, ge=0.5, le=1)
    dominance_two: float = Field(default=0.95, ge=0.5, le=1)
    p_percent: float = Field(default=10.0, ge=0, le=100)
    round_to: int = 1

    @field_validator("round_to")
    @classmethod
    def _a_base(cls, value: int) -> int:
        if value not in BASES:
            raise ValueError(f"must be one of {', '.join(map(str, BASES))}")
        return value


class RosterChanged(Exception):
    """A site was lost: what was computed with it is not mixed with what comes."""


class Stopped(Exception):
    """There is no answer, for a reason that every site knows. `kind`: "refused" (too few rows) or "problem"."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


P = TypeVar("P", bound=StudyParams)


class Study(Generic[P]):
    """One attempt of one statistic among a fixed set of sites."""

    def __init__(self, ctx: Context[P], limits: Limits, dataset: Dataset, sites: Sequence[str]) -> None:
        self.ctx = ctx
        self.params = ctx.params
        self.limits = limits
        self.sites = tuple(sites)
        self.data = dataset
        self.statements: list[str] = []

    # --- pooled ---
    def total(self, name: str = "statistic", /, **parts: Any) -> dict[str, Floats]:
        """The pooled sums of arrays, of the same shapes, in one round. What goes in opens."""
        arrays = {k: np.asarray(v) for k, v in parts.items()}
        flat = np.concatenate([a.astype(np.float64).reshape(-1) for a in arrays.values()])
        pooled = self.ctx.pool.sum(flat, within=self.sites, name=f"{self.ctx.where}, {name}")
        if pooled is None:
            raise RosterChanged
        out, at = {}, 0
        for key, a in arrays.items():
            out[key] = pooled.values[at : at + a.size].reshape(a.shape)
            at += a.size
        return out

    def small(self, counts: Any) -> NDArray[np.bool_]:
        """Where a pooled count is from 1 to min_cell − 1; the counts stay closed."""
        mine = np.asarray(counts).astype(np.int64)
        if self.limits.min_cell <= 1:
            return np.zeros(mine.shape, bool)
        bits, sites = self.ctx.pool.small(mine.reshape(-1), self.limits.min_cell)
        if set(sites) != set(self.sites):
            raise RosterChanged
        return bits.reshape(mine.shape)

    def any_small(self, counts: Any) -> list[bool]:
        """For each row of counts (m, kinds): whether one of them is small."""
        mine = np.asarray(counts)
        return [bool(b) for b in np.logical_or.reduce(self.small(mine).reshape(len(mine), -1), axis=1)]

    def counts(self, counts: Any, hide: NDArray[np.bool_] | None = None) -> Floats:
        """Pooled counts, NaN where they are small (or where `hide` says so). What is NaN was never opened."""
        mine = np.asarray(counts).astype(np.int64)
        closed = self.small(mine) if hide is None else hide
        pooled = self.total(counts=np.where(closed, 0, mine))["counts"]
        pooled[closed] = np.nan
        return pooled

    # --- rows ---
    def levels(self, column: str) -> tuple[Level, ...] | None:
        """The levels of a categorical column; `None` for a numeric one."""
        return levels_of(self.params, self.ctx.view, column)

    def codes(self, column: str) -> Counts:
        """The level of each row: −1 missing, −2 not among the levels."""
        return codes(self.data, column, self.levels(column) or ())

    def numeric(self, column: str) -> Floats:
        """A numeric column as float64, NaN where it is missing; infinite values are refused."""
        x = self.data.numpy(column)
        if np.isinf(x).any():
            raise ColumnError("holds infinite values", where=f"column '{column}'")
        return x

    def keep(self, *columns: str) -> None:
        """Leave out rows where one of the columns is missing or of an unknown level; says how many that were."""
        kept = np.ones(len(self.data), bool)
        unknown = []
        for column in dict.fromkeys(columns):
            if self.levels(column) is None:
                kept &= ~np.isnan(self.numeric(column))
            else:
                level = self.codes(column)
                kept &= level >= 0
                unknown.append((column, int((level == UNKNOWN).sum())))
        told = self.counts([int((~kept).sum()), *(n for _, n in unknown)])
        self.say_rows(told[0], "left out: a value is missing or unknown")
        for (column, _), n in zip(unknown, told[1:], strict=True):
            self.say_rows(n, f"have a value of '{column}' outside its levels")
        if not kept.all():
            self.data = self.data.where(kept)

    def rows(self, parameters: int = 1) -> int:
        """The pooled number of rows; refuses an analysis of too few."""
        n = self.counts([len(self.data)])[0]
        least = max(self.limits.min_rows, int(np.ceil(self.limits.rows_per_parameter * parameters)))
        if np.isnan(n) or n < least:
            many = "" if parameters == 1 else f" for {parameters} parameters"
            raise Stopped("refused", f"fewer than {least} rows{many} are left at all sites together")
        return int(n)

    # --- words ---
    def say(self, text: str) -> None:
        """A statement for the report."""
        self.statements.append(text)

    def say_rows(self, n: float, what: str) -> None:
        """So many rows …; a small number is not told."""
        if np.isnan(n):
            self.say(f"fewer than {self.limits.min_cell} rows {what}")
        elif n:
            self.say(f"{self.shown(n)} rows {what}")

    def shown(self, n: float) -> int:
        """A number of rows as it may be told in words."""
        return to_base(n, self.limits.round_to)


class Statistic(Operator[P], Generic[P]):
    """An operator over horizontally split rows: `compute` once, or anew when a site is lost."""

    needs_helper = False
    needs_rows = False
    #: Whether nearly the same rows may be asked about only once; noise protects by itself.
    remembers: ClassVar[bool] = True
    #: Whether its counts may be told in multiples of a base only (a site's or the job's `round_to`).
    rounds_counts: ClassVar[bool] = True
    #: Whether sums of values open, to which the dominance rule applies.
    sums_values: ClassVar[bool] = False
    no_noise = "its tests and models need exact sums"
    #: What opens, in words for the plan.
    opens: ClassVar[str] = ""
    opens_noisy: ClassVar[str] = ""
    rounds: ClassVar[int] = 8

    # --- before ---
    def columns(self, params: P) -> list[str]:
        """The columns that the statistic reads."""
        raise_on = [v for k, v in params.model_dump().items() if k in ("columns", "column") and v]
        return [c for v in raise_on for c in ([v] if isinstance(v, str) else v)]

    def check(self, params: P, view: PlanView) -> None:
        for party in view.parties:
            for column in dict.fromkeys(self.columns(params)):
                field = view.column(party, column)
                numeric = types.is_numeric(field.type)
                if levels_of(params, view, column) is None and not numeric:
                    raise TypeMismatchError(
                        f"column '{column}' is {field.type}, neither a number nor a category with known levels",
                        party=party, where=view.where,
                        hint=f'List its public values: levels = {{ {column} = ["…", "…"] }}.',
                    )  # fmt: skip

    def disclosures(self, params: P, view: PlanView) -> list[Disclosure]:
        from ppc.joint.statistics.release import terms

        columns = self._touched(params, view)
        noise, said = terms(view), self.what(params)
        if noise is not None:
            said = [
                f"with noise, {self.opens_noisy or self.opens}, of all sites' rows together, at a cost of ρ = "
                f"{noise.rho:.3g} from each site's budget; the noise is made by all sites in parts, and no exact "
                "figure opens"
            ]
        found = [Disclosure(EVERYONE, what, columns=columns, why=self.summary) for what in said]
        if len(view.parties) == 2:
            what = "the other site's part of each of these figures, by subtracting its own: there are only two sites"
            found += [Disclosure(p, what, view.peers(p)[0], columns) for p in view.parties]
        return found

    def what(self, params: P) -> list[str]:
        """Each thing that opens, in words."""
        rules = []
        if params.min_cell > 1:
            rules.append(f"counts below {params.min_cell} stay closed, also while computing")
        if self.sums_values and params.dominance < 1:
            rules.append(f"and so do sums of which one row makes more than {params.dominance:.0%}")
        if self.sums_values and params.dominance_two < 1:
            rules.append(f"sums of which two rows make more than {params.dominance_two:.0%} stay closed")
        if self.sums_values and params.p_percent > 0:
            rules.append(f"and those that would tell the largest row to within {params.p_percent:g}%")
        if params.round_to > 1:
            rules.append(f"counts are told in multiples of {params.round_to}")
        return [f"{self.opens}, of all sites' rows together" + (f" ({', '.join(rules)})" if rules else "")]

    def _touched(self, params: P, view: PlanView) -> tuple[str, ...]:
        named = self.columns(params)
        if params.where:
            words = set(re.findall(r"\w+", params.where))
            named = [*named, *(c for c in view.schemas[view.parties[0]].names if c in words)]
        return tuple(dict.fromkeys(named))

    def cost(self, params: P, view: PlanView) -> Cost:
        k, n = max(1, len(self.columns(params))), len(view.parties)
        base = Cost(self.rounds + n, 20_000 * k * n)
        if self.sums_values and _watched(params) and n > 2 and "release" not in view.facts:
            # Three tests of every column, each a comparison on three scales: 250 numbers to every site for each.
            base = base + Cost(45, 3 * 3 * 250 * 8 * k * n)
        return base

    # --- during ---
    def run(self, ctx: Context[P]) -> Summary:
        from ppc.joint.statistics import history
        from ppc.joint.statistics.release import terms

        noise = terms(ctx.view)
        dataset = ctx.dataset if ctx.params.where is None else ctx.dataset.where(ctx.params.where)
        attempts = 0
        while True:
            # Who is there is agreed, not looked up: one site may hear of a loss before another does.
            limits, sites = agree_limits(ctx)
            study: Study[P] = Study(ctx, limits, dataset, sites)
            found: dict[str, Any]
            try:
                if self.remembers and noise is None:
                    history.check(study, dataset, ctx)
                found = dict(self.compute(study) if noise is None else self.release(study))
            except RosterChanged:
                attempts += 1
                ctx.report(0.0, f"beginning anew with {len(ctx.pool.sites)} sites")
                continue
            except Stopped as stop:
                found = {stop.kind: stop.reason}
            if limits.round_to > 1 and self.rounds_counts and noise is None:
                found = rounded(found, limits.round_to)
                study.say(
                    f"counts are told in multiples of {limits.round_to} and other figures to {DIGITS} digits; they "
                    "were computed from the exact counts, and need not add up"
                )
            return {
                **found,
                "statements": study.statements,
                "sites": list(study.sites),
                "lost": {p: ctx.pool.lost.get(p, "lost") for p in ctx.parties if p not in study.sites},
                "begun_anew": attempts,
                "limits": limits.to_dict(),
            }

    @abstractmethod
    def compute(self, study: Study[P]) -> Mapping[str, Any]:
        """The statistic of the sites of `study`: plain values, the same at every site."""

    def release(self, study: Study[P]) -> Mapping[str, Any]:
        """The same with noise, in a job with `[release]`; of statistics that are `noisy`. Opens nothing exact."""
        raise AssertionError  # pragma: no cover


def _watched(params: StudyParams) -> bool:
    return params.dominance < 1 or params.dominance_two < 1 or params.p_percent > 0


def levels_of(params: StudyParams, view: PlanView, column: str) -> tuple[Level, ...] | None:
    """The step's own list of levels, else that of the study's dictionary (`align_schema`)."""
    if column in params.levels:
        return params.levels[column]
    found: tuple[Level, ...] | None = view.facts.get("levels", {}).get(column)
    return found


def agree_limits(ctx: Context[Any]) -> tuple[Limits, tuple[str, ...]]:
    """The strictest of the job's and every site's limits, and who is there, the same at every site."""
    told = ctx.pool.gather(dict(ctx.limits))
    params = ctx.params
    named = ("min_cell", "dominance", "dominance_two", "p_percent", "round_to")
    own = [Limits(extremes=True, **{name: getattr(params, name) for name in named})]
    for party, values in told.items():
        try:
            own.append(Limits.of(values, where=f"limits of {party}"))
        except (ConfigError, TypeError):
            raise FrameError("its limits are malformed", party=party, where="limits") from None
    return strictest(own), tuple(p for p in ctx.parties if p in told)


def public_schema_of(view: PlanView) -> Schema:
    """The first party's columns: all have those that the plan checked."""
    return view.schemas[view.parties[0]]


__all__ = ["MISSING", "UNKNOWN", "Counts", "Floats", "RosterChanged", "Statistic", "Stopped", "Study", "StudyParams"]

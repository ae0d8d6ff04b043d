"""A party's own word on what may run with its data: policy.toml. What no rule allows does not run by itself.

A rule allows a plan only if it covers everything the plan asks: each other party, the helper, each operator, the
dataset, each column of ours that the plan touches, and each party that would learn something from them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ppc.coordinator.borders import Borders
from ppc.coordinator.config import load
from ppc.errors import ConfigError, PolicyFileError


def _rounding(text: str) -> str:
    kind, _, step = text.partition(":")
    if text not in ("exact", "hidden") and not (kind == "round" and step.isdecimal() and 1 <= int(step) <= 10**9):
        raise ValueError('expected "exact", "hidden" or "round:100"')
    return text


def _limits(values: dict[str, bool | int | float]) -> dict[str, bool | int | float]:
    from ppc.joint.statistics.limits import Limits

    try:
        Limits.of(values)
    except (ConfigError, TypeError) as error:
        raise ValueError(str(error)) from None
    return values


class Rule(BaseModel):
    """One thing that is allowed. Texts are patterns (`age*`, `*`); an empty list allows nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "unnamed"
    partners: tuple[str, ...]
    helpers: tuple[str, ...] = ()
    operators: tuple[str, ...]
    datasets: tuple[str, ...]
    columns: tuple[str, ...]
    recipients: tuple[str, ...]
    submitters: tuple[str, ...] = ("*",)
    # Further limits on the columns; a column without a role or grade does not pass a limit on it.
    roles: tuple[str, ...] | None = None
    max_grade: int | None = Field(default=None, ge=1, le=5)


class Policy(BaseModel):
    """policy.toml"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # What happens to a plan that no rule allows: it waits for a person, or it is denied.
    otherwise: Literal["wait", "deny"] = "wait"
    # How the number of rows is published in the catalog.
    rows: Annotated[str, AfterValidator(_rounding)] = "round:100"
    max_jobs: int = Field(default=1, ge=1, le=64)
    # Not even a person's approval lets these be used.
    never_columns: tuple[str, ...] = ()
    never_partners: tuple[str, ...] = ()
    # Where we and the others are, and what may cross the border; without it nobody asks.
    borders: Borders | None = None
    # What statistics over several sites may open at most: min_cell = 10, exact_times = false.
    limits: Annotated[dict[str, bool | int | float], AfterValidator(_limits)] = Field(default_factory=dict)
    # How many keys a peer may bring to a matching: so many, and so much more than the rows that the plan counts with.
    max_peer_rows: int | None = Field(default=None, ge=1)
    peer_rows_above_plan: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    allow: tuple[Rule, ...] = ()

    def published_rows(self, rows: int) -> int:
        """The number of rows as others may see it; 0 when it is hidden."""
        if self.rows == "exact":
            return rows
        if self.rows == "hidden":
            return 0
        step = int(self.rows.partition(":")[2])
        return max(step, (rows + step // 2) // step * step)

    def peer_rows(self, planned: int) -> int | None:
        """How many keys a peer may bring whose dataset has `planned` rows in the catalog (0: hidden); None: any number.

        Published counts are rounded, by "round:N" to N at least, so up to half more than planned is no surprise.
        """
        bounds = [] if self.max_peer_rows is None else [self.max_peer_rows]
        if planned:
            bounds.append(math.floor(planned * (1 + self.peer_rows_above_plan)))
        return min(bounds, default=None)


@dataclass(frozen=True)
class ColumnUse:
    """A column of ours that a plan touches, with what its schema says of it."""

    name: str
    role: str | None = None
    grade: int | None = None


@dataclass(frozen=True)
class Ask:
    """What a plan wants of one party."""

    me: str
    submitter: str
    partners: tuple[str, ...]
    helper: str | None
    operators: tuple[str, ...]
    dataset: str
    columns: tuple[ColumnUse, ...]
    recipients: tuple[str, ...]
    abroad: tuple[tuple[str, str], ...] = ()  # recipients beyond our border, with their country


@dataclass(frozen=True)
class Verdict:
    """`allowed` by `rule`; or `forbidden`, whoever asks; or neither, with the reasons (for the party's own eyes)."""

    allowed: bool
    rule: str | None = None
    forbidden: bool = False
    reasons: tuple[str, ...] = ()


def read(path: Path) -> Policy:
    """The policy in a file; raises `PolicyFileError` naming the key, `FileError` if there is no file."""
    return load(path, Policy, PolicyFileError)


def judge(policy: Policy, ask: Ask) -> Verdict:
    """What the policy says to `ask`."""
    never = [f"column '{c.name}' is never to be used" for c in ask.columns if _any(policy.never_columns, c.name)]
    never += [f"party '{p}' is never to be worked with" for p in ask.partners if _any(policy.never_partners, p)]
    across = _across(policy.borders, ask)
    if across and policy.borders is not None and policy.borders.otherwise == "deny":
        never += across
    if never:
        return Verdict(False, forbidden=True, reasons=tuple(never))
    if across and policy.borders is not None and policy.borders.otherwise == "ask":
        return Verdict(False, reasons=tuple(across))
    reasons: list[str] = []
    for rule in policy.allow:
        lacks = list(_lacks(rule, ask))
        if not lacks:
            return Verdict(True, rule=rule.name)
        reasons.append(f"rule '{rule.name}' does not cover {', '.join(lacks)}")
    return Verdict(False, reasons=tuple(reasons) or ("the policy has no rules",))


def _across(borders: Borders | None, ask: Ask) -> list[str]:
    if borders is None:
        return []
    return [
        f"'{party}' in {country} would learn something of our data, and [borders] does not allow that country"
        for party, country in ask.abroad
        if country not in borders.allow
    ]


def _lacks(rule: Rule, ask: Ask) -> Iterable[str]:
    lists: Mapping[str, tuple[tuple[str, ...], Iterable[str]]] = {
        "party": (rule.partners, ask.partners),
        "helper": (rule.helpers, [ask.helper] if ask.helper else []),
        "operator": (rule.operators, ask.operators),
        "dataset": (rule.datasets, [ask.dataset]),
        "column": (rule.columns, [c.name for c in ask.columns]),
        # What a party learns of its own columns is no disclosure.
        "recipient": (rule.recipients, [r for r in ask.recipients if r != ask.me]),
        "submitter": (rule.submitters, [ask.submitter]),
    }
    for kind, (patterns, names) in lists.items():
        for name in dict.fromkeys(names):
            if not _any(patterns, name):
                yield f"{kind} '{name}'"
    for column in ask.columns:
        if rule.roles is not None and (column.role is None or not _any(rule.roles, column.role)):
            yield f"role '{column.role or 'none'}' of column '{column.name}'"
        if rule.max_grade is not None and (column.grade is None or column.grade > rule.max_grade):
            yield f"grade {column.grade or 'none'} of column '{column.name}'"


def _any(patterns: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)

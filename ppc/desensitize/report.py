"""What was done to each column, for a person and for a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ppc.desensitize.plan import Plan, Tally


@dataclass(frozen=True)
class Action:
    """One rule on one column: which, what, with which key (its id), on how many rows."""

    rule: str
    what: str
    key: str | None
    when: str | None
    rows: int


@dataclass(frozen=True)
class ColumnReport:
    """One column: its types before and after (after is None if it was dropped), nulls, and the actions."""

    column: str
    before: str
    after: str | None
    category: str | None
    grade: int | None
    nulls_before: int
    nulls_after: int
    reversible: bool
    actions: tuple[Action, ...]

    @property
    def summary(self) -> str:
        """One line of what was done."""
        if self.after is None:
            return "drop"
        return "; ".join(a.what + (f" when {a.when}" if a.when else "") for a in self.actions)


@dataclass(frozen=True)
class Report:
    """What a policy did: rows and columns. Holds no value of the data and no key."""

    policy: str
    rows: int
    columns: tuple[ColumnReport, ...]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    def text(self) -> str:
        """A table of plain text."""
        rows = [("column", "type", "what was done", "rows", "nulls")]
        for c in self.columns:
            kind = c.before if c.after in (None, c.before) else f"{c.before} → {c.after}"
            nulls = str(c.nulls_before) if c.nulls_before == c.nulls_after else f"{c.nulls_before} → {c.nulls_after}"
            if c.after is None:
                rows.append((c.column, kind, "drop", f"{self.rows:,}", ""))
            for i, a in enumerate(c.actions):
                what = a.what + (f" when {a.when}" if a.when else "") + (f" key {a.key}" if a.key else "")
                rows.append(
                    (c.column if i == 0 else "", kind if i == 0 else "", what, f"{a.rows:,}", nulls if i == 0 else "")
                )
        widths = [max(len(r[i]) for r in rows) for i in range(5)]
        lines = ["  ".join(v.ljust(w) for v, w in zip(r, widths, strict=True)).rstrip() for r in rows]
        remarks = [f"warning: {w}" for w in self.warnings]
        return "\n".join([f"policy '{self.policy}', {self.rows:,} rows", "", *lines, *remarks])


def report(plan: Plan, tally: Tally) -> Report:
    """The report of a plan that was run."""
    columns = []
    warnings = []
    for c in plan.columns:
        name = c.field.name
        warnings += [
            f"column '{name}' is hashed without a key: whoever can list the possible values can undo it"
            for s in c.steps
            if s.use == "hash" and s.key is None
        ]
        actions = tuple(
            Action(s.label, s.describe(), s.key.id if s.key is not None else None, s.when, tally.applied[name, s.label])
            for s in c.steps
        )
        columns.append(
            ColumnReport(
                column=name,
                before=c.field.type,
                after=None if c.drop else plan.output[name].type,
                category=c.field.category,
                grade=int(c.field.grade) if c.field.grade is not None else None,
                nulls_before=tally.nulls_in[name],
                nulls_after=tally.nulls_out[name],
                reversible=any(s.transform.reverse is not None for s in c.steps),
                actions=actions,
            )
        )
    return Report(plan.policy.name, tally.rows, tuple(columns), tuple(warnings))

"""The report of a finished job at one party: what came out, what was approved, and what it cost.

It is built from the party's own record of the job (`record`), so it holds nothing that the party was not entitled to.
Each operator's part comes from a function in `_SECTIONS`; an operator without one shows its plan and cost only.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ppc.joint.operator import EVERYONE
from ppc.report import html
from ppc.report.document import Figure, Report, Section, Table, Text

if TYPE_CHECKING:
    from ppc.joint.party import PartyResult

Record = Mapping[str, Any]
"""`record(result)`, or the same read back from a result file."""

Part = tuple[Sequence[Figure], Sequence[Section]]

_SECTIONS: Final[tuple[str, ...]] = ("ppc.joint.credit.report", "ppc.joint.statistics.report")
"""Modules whose `PARTS` maps an operator's name to the function that shows its summary."""


def record(result: PartyResult) -> dict[str, Any]:
    """What a party holds after a job, as plain values: plan, steps with their summaries, cost."""
    return {
        "job": result.job.name,
        "party": result.party,
        "plan": result.plan.to_dict(),
        "models": str(result.models),
        "seconds": result.seconds,
        "lost": dict(result.lost),
        "cost": {"rounds": result.cost.rounds, "sent": result.cost.sent, "received": result.cost.received},
        "steps": [
            {
                "name": s.name,
                "operator": s.operator,
                "summary": s.summary,
                "seconds": s.seconds,
                "rounds": s.rounds,
                "sent": s.sent,
                "received": s.received,
                "resumed": s.resumed,
            }
            for s in result.steps
        ],
    }


def build(
    record: Record, *, title: str | None = None, figures: Sequence[Figure] = (), sections: Sequence[Section] = ()
) -> Report:
    """The report of a record. `figures` and `sections` of the caller's own come first."""
    parts = _parts()
    heads: list[Figure] = list(figures)
    bodies: list[Section] = list(sections)
    # What came out last is what a training was for: it is shown first. A study is read in its own order.
    study = any("sites" in step["summary"] for step in record["steps"])
    for step in record["steps"] if study else reversed(record["steps"]):
        show = parts.get(step["operator"])
        if show is not None:
            more_heads, more_bodies = show(record, step["summary"])
            heads += more_heads
            bodies += more_bodies
    plan = record["plan"]
    bodies += [_learned(plan), _cost(record)]
    return Report(
        title=title or f"Report of job {record['job']}",
        subtitle=f"as {record['party']} sees it; parties: {', '.join(plan['job']['parties'])}",
        figures=heads,
        sections=bodies,
        footer=f"Plan {plan['hash']}. This file shows what {record['party']} is entitled to know: keep it inside.",
    )


def write(record: Record, path: str | Path, *, mode: int = 0o644) -> Path:
    """Build the report and write it to `path`."""
    return html.write(build(record), path, mode=mode)


def _parts() -> dict[str, Callable[[Record, Mapping[str, Any]], Part]]:
    found: dict[str, Callable[[Record, Mapping[str, Any]], Part]] = {}
    for name in _SECTIONS:
        found.update(importlib.import_module(name).PARTS)
    return found


def _learned(plan: Mapping[str, Any]) -> Section:
    rows = [
        [d["step"], d["to"], d["what"], "" if d["about"] == EVERYONE else d["about"], ", ".join(d["columns"]), d["why"]]
        for d in (*plan.get("opening", ()), *(d for step in plan["steps"] for d in step["disclosures"]))
    ]
    helper = plan["job"]["helper"]
    words = "No helper took part." if helper == "none" else f"{helper} dealt randomness; it saw no data."
    return Section(
        "What each party learned",
        [
            Table(["step", "who", "learned", "about", "columns", "why"], rows),
            Text(f"Approved as plan {plan['hash']}", "code"),
        ],
        intro=f"The plan that every party approved before anything ran. Nothing else was opened. {words}",
    )


def _cost(record: Record) -> Section:
    rows: list[list[Any]] = [
        [s["name"], s["operator"], s["seconds"], s["rounds"], s["sent"] / 1e6, s["received"] / 1e6]
        for s in record["steps"]
    ]
    rows.append(["in all", "", *(sum(r[i] for r in rows) for i in range(2, 6))])
    return Section(
        "What it cost",
        [Table(["step", "operator", "seconds", "rounds", "sent (MB)", "received (MB)"], rows, digits=3)],
        intro=f"Measured at {record['party']}, with the helper's messages.",
    )

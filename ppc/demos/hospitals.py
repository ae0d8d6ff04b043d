"""Four hospitals compute a study: five processes on this machine, one of which is killed in the middle.

The hospitals run exactly as they would in four houses. Only this demonstration, which owns all files, can compute the
same figures on pooled rows and set them beside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ppc.coordinator.jobs import Event
from ppc.coordinator.local import LocalCluster
from ppc.core.files import atomic_write
from ppc.dataset import read
from ppc.demos import clear, clinics
from ppc.demos.clinics import Study
from ppc.errors import JobError
from ppc.joint import report as reports
from ppc.joint.job import Job
from ppc.joint.plan import plan
from ppc.joint.statistics.report import lost_in_words
from ppc.report import html
from ppc.report.document import Block, Figure, Report, Section, Table, Text


@dataclass(frozen=True)
class Outcome:
    """What the demonstration measured.

    `figures`: name, joint, pooled, relative difference. `max_difference`: the largest of them. `sites`: whose rows the
    last step is about. `lost`: who was lost on the way, and why. `bytes`: sent by the busiest hospital.
    """

    figures: list[dict[str, Any]]
    max_difference: float
    sites: list[str]
    lost: dict[str, str]
    killed: str | None
    steps: list[dict[str, Any]]
    processes: int
    seconds: float
    job_seconds: float
    rounds: int
    bytes: int
    report: str
    refused: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def inputs(folder: Path, data: Path | None = None) -> Study:
    """The bundled trial, or the heart-disease study's hospitals in `data`."""
    return clinics.bundled(folder) if data is None else clinics.heart(data, folder)


def run(
    study: Study,
    out: Path,
    *,
    kill: bool = True,
    on_event: Callable[[Event], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Outcome:
    """Start the processes, run the study, kill the last hospital when the first model begins, compare, and report.

    Raises:
        the job's own error, if it fails.
    """
    began = time.monotonic()

    def stage(text: str) -> None:
        if on_stage is not None:
            on_stage(text)

    sites = list(study.files)
    first, victim = sites[0], sites[-1]
    _check(study)
    stage("starting the processes")
    sources = {site: {"patients": path} for site, path in study.files.items()}
    settings = {"lease_s": 4.0}  # a busy machine may keep a living process waiting for seconds
    killed = None
    with LocalCluster(sources, helper=None, folder=out / "cluster", coordinator_settings=settings) as cluster:
        stage("running the study")
        record = cluster.submit(study.job, first)
        for event in cluster.watch(record.id, first):
            if on_event is not None:
                on_event(event)
            if kill and killed is None and event.kind == "progress" and event.step == "glm":
                killed = victim
                cluster.processes[victim].kill()
                stage(f"{victim} was killed; the others go on")
        record = cluster.wait(record.id, party=first)
        if record.fault is not None:
            raise record.fault.to_error()
        if record.state != "done":
            raise JobError(f"the job is {record.state}", where=f"job {record.id}")
        result = cluster.result(record.id, first)
        processes = len(cluster.processes)
    stage("comparing with pooled rows")
    summaries = {s["operator"]: s["summary"] for s in result["steps"]}
    pairs = clear.compare(study, summaries)
    last = result["steps"][-1]["summary"]
    costs = [p.cost for p in record.participants.values() if p.cost is not None]
    outcome = Outcome(
        figures=[{**asdict(p), "difference": p.difference} for p in pairs],
        max_difference=clear.worst(pairs),
        sites=list(last["sites"]),
        lost=dict(result["lost"]),
        killed=killed,
        steps=[
            {"step": s["name"], "sites": len(s["summary"]["sites"]), "seconds": round(s["seconds"], 3)}
            for s in result["steps"]
        ],
        processes=processes,
        seconds=round(time.monotonic() - began, 2),
        job_seconds=round(max(c.seconds for c in costs), 2),
        rounds=max(c.rounds for c in costs),
        bytes=max(c.bytes_sent for c in costs),
        report=str(out / "report.html"),
        refused={s["operator"]: s["summary"]["refused"] for s in result["steps"] if "refused" in s["summary"]},
    )
    html.write(_report(result, outcome), Path(outcome.report))
    with atomic_write(out / "job.toml") as file:
        file.write(study.job.encode())
    return outcome


def _check(study: Study) -> None:
    """Refuse what the plan refuses before any process is started."""
    datasets = {site: read(path) for site, path in study.files.items()}
    plan(
        Job.from_toml(study.job),
        {s: d.schema for s, d in datasets.items()},
        {s: d.num_rows for s, d in datasets.items()},
    )


def _report(result: Mapping[str, Any], outcome: Outcome) -> Report:
    rows = [
        [p["step"], p["figure"], p["joint"], p["pooled"], float(f"{p['difference']:.0e}"), p["by"]]
        for p in outcome.figures
    ]
    gone = lost_in_words(outcome.lost)
    blocks: list[Block] = [
        Table(["step", "figure", "jointly", "pooled", "relative difference", "pooled by"], rows, digits=7),
        Text(
            "The pooled figures are of the same hospitals' rows, in the clear. Only this demonstration can make the "
            "comparison, since it owns all files.",
            "note",
        ),
    ]
    return reports.build(
        result,
        title="A study of four hospitals",
        figures=[
            Figure("largest difference", f"{outcome.max_difference:.0e}", f"of {len(rows)} figures from pooled ones"),
            Figure("hospitals", str(len(outcome.sites)), f"lost on the way: {gone}" if gone else "none was lost"),
            Figure("time", f"{outcome.seconds:.1f} s", f"{outcome.processes} processes, {outcome.rounds:,} rounds"),
        ],
        sections=[Section("Jointly and pooled", blocks)],
    )

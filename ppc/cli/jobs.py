"""`ppc submit`, `ppc jobs`, `ppc watch`, `ppc catalog`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppc.cli._common import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    ago,
    client,
    err,
    print_json,
    read_text,
    size,
    table,
)

if TYPE_CHECKING:
    from ppc.coordinator.client import Client
    from ppc.coordinator.jobs import Event, JobRecord


def submit(
    job: Annotated[Path, typer.Argument(metavar="JOB.toml", help="The job file.")],
    config: ConfigOption = DEFAULT_CONFIG,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job until it ends.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Propose a job, signed as the party of --config. Prints the job's id.

    The plan is computed here first; `ppc plan JOB` shows it.
    """
    from ppc.coordinator import proposals

    text = read_text(job)
    with client(config, plans=True) as connection:
        record, planned = proposals.submit(connection, text)
        if not as_json:
            print(record.id)
            cost = planned.plan.cost
            err().print(
                f"plan {planned.plan.hash[:12]}: about {cost.rounds:,} rounds and {size(cost.bytes)} a party; "
                f"waiting for {', '.join(p for p in planned.members)}",
                markup=False,
            )
        elif not watch:
            print_json(describe(record))
        if watch:
            follow(connection, record.id, as_json=as_json)


def jobs(
    job_id: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Show this job in full.")] = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", "-s", help="Only jobs in this state; may be repeated.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1000, help="At most so many, the newest first.")
    ] = 20,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List the jobs that this party takes part in, the newest first; or show one in full."""
    from ppc.coordinator.jobs import JobState
    from ppc.errors import ConfigError, did_you_mean

    names = [str(s) for s in JobState]
    for given in state or []:
        if given not in names:
            raise ConfigError(f"'{given}' is not a state", where="--state", hint=did_you_mean(given, names))
    with client(config) as connection:
        if job_id is not None:
            _show(connection.job(job_id), as_json=as_json)
            return
        found = connection.jobs([JobState(s) for s in state or []], limit)
    if as_json:
        print_json([describe(j) for j in found])
        return
    now = time.time()
    table(
        ["JOB", "STATE", "PARTIES", "PROPOSED BY", "AGE", "WAITS FOR"],
        [[j.id, str(j.state), ", ".join(j.participants), j.submitter, ago(now - j.created), _waits(j)] for j in found],
    )


def watch(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Follow a job until it ends: what happens on stderr, what came of it on stdout.

    With --json each event is one line on stdout. The exit status is 0 if the job is done, else that of its error.
    Ctrl-C stops watching; the job goes on.
    """
    with client(config) as connection:
        follow(connection, job_id, as_json=as_json)


def catalog(
    places: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders or files here: the same as ppc inventory, from what ppc scan wrote."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List the datasets that this party may name in a job, with their columns; or those in folders here."""
    if places:
        from ppc.cli.scan import inventory

        inventory(places, as_json=as_json)
        return
    from ppc.dataset.schema import Schema

    with client(config) as connection:
        entries, online = connection.catalog()
    schemas = [Schema.from_toml(e.schema_toml) for e in entries]
    if as_json:
        print_json(
            [
                {
                    "party": e.party,
                    "dataset": e.name,
                    "rows": e.rows,
                    "online": e.party in online,
                    "columns": [
                        {"name": f.name, "type": f.type, "role": f.role.value if f.role else None} for f in schema
                    ],
                }
                for e, schema in zip(entries, schemas, strict=True)
            ]
        )
        return
    table(
        ["PARTY", "DATASET", "ROWS", "CONNECTED", "COLUMNS"],
        [
            [e.party, e.name, f"about {e.rows:,}", "yes" if e.party in online else "no", ", ".join(schema.names)]
            for e, schema in zip(entries, schemas, strict=True)
        ],
    )


# ---- one job ----
def describe(job: JobRecord) -> dict[str, Any]:
    """A job for JSON output."""
    return {
        "id": job.id,
        "name": job.name,
        "state": str(job.state),
        "attempt": job.attempt,
        "submitter": job.submitter,
        "plan_hash": job.plan_hash,
        "job_hash": job.job_hash,
        "created": job.created,
        "updated": job.updated,
        "error": job.fault.to_dict() if job.fault else None,
        "participants": [
            {
                "party": p.party,
                "role": str(p.role),
                "phase": str(p.phase),
                "online": p.online,
                "plan_hash": p.plan_hash,
                "step": p.step,
                "fraction": p.fraction,
                "cost": vars(p.cost) if p.cost else None,
            }
            for p in job.participants.values()
        ],
    }


def _waits(job: JobRecord) -> str:
    """Whom the job waits for, in the list."""
    from ppc.coordinator.jobs import JobState, Phase

    if job.state is JobState.PROPOSED:
        return ", ".join(
            p.party + ("" if p.phase is Phase.WAITING or p.online else " (not connected)")
            for p in job.participants.values()
            if p.phase is not Phase.APPROVED
        )
    if job.state is JobState.APPROVED:
        away = [p.party for p in job.participants.values() if not p.online]
        return f"{', '.join(away)} to connect" if away else "a free place"
    return ""


def _show(job: JobRecord, *, as_json: bool) -> None:
    if as_json:
        print_json({**describe(job), "job_toml": job.job_toml})
        return
    print(f"job       {job.id}")
    print(f"state     {job.state} (attempt {job.attempt})")
    print(f"proposed  {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(job.created))} by {job.submitter}")
    print(f"plan      {job.plan_hash}")
    if job.fault:
        print(f"error     {job.fault.to_error()} [{job.fault.code}]")
    rows = []
    for p in job.participants.values():
        cost = p.cost
        spent = f"{cost.rounds:,} rounds, {size(cost.bytes_sent)} sent, {cost.seconds:.1f} s" if cost else ""
        rows.append([p.party, str(p.role), str(p.phase), "yes" if p.online else "no", p.step, spent])
    print()
    table(["PARTY", "ROLE", "PHASE", "CONNECTED", "STEP", "COST"], rows)


def follow(connection: Client, job_id: str, *, as_json: bool) -> None:
    """Shows events until the job ends; raises its error if it failed."""
    from ppc.coordinator.jobs import JobState
    from ppc.errors import JobError

    if as_json:
        for event in connection.watch(job_id):
            print_json(event_dict(event))
    else:
        _follow_live(connection, job_id)
    job = connection.job(job_id)
    if job.state is JobState.DONE:
        if not as_json:
            _show(job, as_json=False)
        return
    if job.fault is not None:
        raise job.fault.to_error()
    raise JobError(f"the job is {job.state}", where=f"job {job_id}")


def event_dict(event: Event) -> dict[str, Any]:
    """An event for JSON output; only what is set."""
    parts: dict[str, Any] = {
        "seq": event.seq or None,
        "time": event.time,
        "kind": str(event.kind),
        "attempt": event.attempt,
        "party": event.party or None,
        "step": event.step or None,
        "fraction": event.fraction if event.kind == "progress" else None,
        "text": event.text or None,
        "state": str(event.state) if event.state else None,
        "phase": str(event.phase) if event.phase else None,
        "error": event.fault.to_dict() if event.fault else None,
    }
    return {k: v for k, v in parts.items() if v is not None}


def _follow_live(connection: Client, job_id: str) -> None:
    """A bar for each party, and a line for everything else."""
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    from ppc.coordinator.jobs import EventKind, without_head

    console = err()
    bars: dict[str, TaskID] = {}
    columns = (
        TextColumn("{task.fields[party]:<12}"),
        BarColumn(24),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        for event in connection.watch(job_id):
            clock = time.strftime("%H:%M:%S", time.localtime(event.time))
            if event.kind is EventKind.PROGRESS:
                label = escape(f"{event.step}: {event.text}" if event.text else event.step)
                if event.party not in bars:
                    bars[event.party] = progress.add_task(label, total=1.0, party=event.party)
                progress.update(bars[event.party], completed=event.fraction, description=label)
            elif event.kind is EventKind.STATE:
                note = f": {event.text}" if event.text and not event.fault else ""
                console.print(f"{clock} {event.state}{note}", markup=False)
            elif event.kind is EventKind.PARTY:
                text = without_head(event.text)
                console.print(f"{clock}   {event.party} {event.phase}{': ' + text if text else ''}", markup=False)
            elif event.kind is EventKind.LOG:
                console.print(f"{clock}   {event.party}: {event.text}", markup=False)

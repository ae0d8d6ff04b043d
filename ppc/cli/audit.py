"""`ppc audit show`, `verify`, `transfers` and `anomalies`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ppc.cli._common import DEFAULT_CONFIG, ConfigOption, JsonOption, client, print_json, table

app = typer.Typer(help="Show, verify and examine a party's audit log.", no_args_is_help=True)

FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="The log itself, if not the one of --config.")]


@app.command()
def show(
    config: ConfigOption = DEFAULT_CONFIG,
    file: FileOption = None,
    job: Annotated[str | None, typer.Option("--job", help="Only what concerns this job.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the records of the log, the oldest first."""
    from ppc.coordinator import audit

    records = [r for r in audit.read(_log(config, file)) if job is None or r.job == job]
    if as_json:
        for record in records:
            print_json(vars(record))
        return
    rows = []
    for r in records:
        when = _when(r.time)
        detail = "; ".join(f"{k}: {', '.join(map(str, v)) if isinstance(v, list) else v}" for k, v in r.detail.items())
        rows.append([str(r.seq), when, r.event, r.job, detail])
    table(["#", "TIME", "EVENT", "JOB", "DETAIL"], rows)


@app.command()
def verify(
    config: ConfigOption = DEFAULT_CONFIG,
    file: FileOption = None,
    coordinator: Annotated[
        bool, typer.Option("--coordinator", help="Also compare with the heads that the coordinator was told.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that no record was changed, moved, removed or cut off.

    A log that was rewritten as a whole, with its head, passes this check; with --coordinator it does not, as far as its
    records were made before a report to the coordinator.
    """
    from ppc.coordinator import audit
    from ppc.coordinator.jobs import told_heads
    from ppc.errors import FileError

    path = _log(config, file)
    records = audit.verify(path)
    compared = 0
    if coordinator:
        hashes = {r.hash for r in records}
        with client(config) as connection:
            for job in connection.jobs(limit=1000):
                events = connection.watch(job.id) if job.state.ended else ()
                for head in told_heads(events, connection.me):
                    compared += 1
                    if head not in hashes:
                        what = "the coordinator was told of a record that the log does not have"
                        raise FileError(what, where=f"{path}, job {job.id}", hint="the log was rewritten")
    if as_json:
        print_json({"records": len(records), "head": records[-1].hash if records else None, "compared": compared})
    else:
        print(
            f"{path}: {len(records)} records, the chain is whole"
            + (f"; {compared} heads compared" if coordinator else "")
        )


@app.command()
def transfers(
    config: ConfigOption = DEFAULT_CONFIG,
    file: FileOption = None,
    country: Annotated[str | None, typer.Option("--country", help="Only to this country.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what was told across the border: when, to whom and where, at whose request, what, at which risk and ground.

    The chain of the log is checked first.
    """
    from ppc.coordinator import audit

    records = audit.verify(_log(config, file))
    allowed = {r.job: r for r in records if r.event in ("approved by rule", "approved by a person")}
    found = [r for r in records if r.event == "transfer" and country in (None, r.detail.get("country"))]
    lines = []
    for r in found:
        by = allowed.get(r.job)
        who = "" if by is None else f"rule {by.detail.get('rule')}" if "rule" in by.detail else "a person"
        lines.append({"time": r.time, "job": r.job, "allowed_by": who, **r.detail})
    if as_json:
        for line in lines:
            print_json(line)
        return
    rows = [
        [_when(x["time"]), x["job"], f"{x['to']} ({x['country']})", x.get("submitter", ""), x["step"],
         ", ".join(x.get("columns", [])), x["risk"], x.get("basis", "none"), x["allowed_by"]]
        for x in lines
    ]  # fmt: skip
    table(["TIME", "JOB", "TO", "ASKED BY", "STEP", "COLUMNS", "RISK", "GROUND", "ALLOWED BY"], rows)


@app.command()
def anomalies(config: ConfigOption = DEFAULT_CONFIG, file: FileOption = None, as_json: JsonOption = False) -> None:
    """Show what is out of the ordinary: volumes, bursts of requests, refusals, differencing, countries, signatures.

    The chain of the log is checked first. The exit status is 0 whether or not something is found.
    """
    from ppc.coordinator import audit
    from ppc.coordinator.anomalies import find

    found = find(audit.verify(_log(config, file)))
    if as_json:
        for a in found:
            print_json(a.to_dict())
    elif found:
        table(
            ["TIME", "KIND", "PARTY", "JOB", "WHAT"], [[_when(a.time), a.kind, a.party, a.job, a.what] for a in found]
        )
    else:
        print("nothing is out of the ordinary")


def _when(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _log(config: Path, file: Path | None) -> Path:
    if file is not None:
        return file
    from ppc.coordinator.config import MemberConfig, beside, load

    return beside(config, load(config, MemberConfig).workdir) / "audit.jsonl"

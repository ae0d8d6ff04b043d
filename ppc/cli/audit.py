"""`ppc audit show` and `ppc audit verify`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ppc.cli._common import DEFAULT_CONFIG, ConfigOption, JsonOption, client, print_json, table

app = typer.Typer(help="Show and verify a party's audit log.", no_args_is_help=True)

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
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(r.time))
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


def _log(config: Path, file: Path | None) -> Path:
    if file is not None:
        return file
    from ppc.coordinator.config import MemberConfig, beside, load

    return beside(config, load(config, MemberConfig).workdir) / "audit.jsonl"

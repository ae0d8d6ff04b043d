"""`ppc plan` and `ppc simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppc.cli._common import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    client,
    err,
    pairs,
    print_json,
    read_text,
    size,
    table,
)

if TYPE_CHECKING:
    from ppc.coordinator.borders import Borders, Flow
    from ppc.dataset.dataset import Dataset
    from ppc.joint.context import Event
    from ppc.joint.plan import Plan

JobArgument = Annotated[Path, typer.Argument(metavar="JOB.toml", help="The job file.")]
SchemaOption = Annotated[
    list[str] | None, typer.Option("--schema", help="PARTY=FILE: a party's schema; may be repeated.")
]
DataOption = Annotated[list[str] | None, typer.Option("--data", help="PARTY=FILE: a party's data; may be repeated.")]
OperatorOption = Annotated[list[str] | None, typer.Option("--operators", help="A module with operators of your own.")]


def plan(
    job: JobArgument,
    schema: SchemaOption = None,
    data: DataOption = None,
    rows: Annotated[list[str] | None, typer.Option("--rows", help="PARTY=COUNT, for the cost (default 10000).")] = None,
    operators: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show, before anything runs, every value that each party would learn from a job, and what it costs.

    By default on the coordinator's catalog, as the party of --config; with --schema or --data on files here.
    """
    from ppc.coordinator.planning import load_operators

    load_operators(operators or ())
    text = read_text(job)
    if schema or data:
        planned = _plan_here(text, job, pairs(schema or [], "--schema"), pairs(data or [], "--data"), rows or [])
    else:
        from ppc.coordinator import proposals

        with client(config, plans=True) as connection:
            planned = proposals.plan_at(connection, text).plan
    crossing, borders = across(planned, config) if not (schema or data) else ((), None)
    if as_json:
        print_json({**planned.to_dict(), **({"across": [f.to_dict() for f in crossing]} if borders else {})})
    else:
        from ppc.coordinator.borders import text as border_text

        print(planned.text(), end="")
        if shown := border_text(crossing, borders):
            print("\n" + shown, end="")


def across(planned: Plan, config: Path) -> tuple[tuple[Flow, ...], Borders | None]:
    """What would cross our border, by the policy beside --config (a helper has none)."""
    from ppc.coordinator import policy
    from ppc.coordinator.borders import flows
    from ppc.coordinator.config import PartyConfig, beside, load
    from ppc.coordinator.planning import Planned
    from ppc.dataset.schema import Schema
    from ppc.errors import PpcError

    try:
        member = load(config, PartyConfig)
    except PpcError:  # a helper's settings
        return (), None
    if member.name not in planned.job.parties:
        return (), None
    rules = policy.read(beside(config, member.policy))
    settings = member.datasets.get(planned.job.datasets.get(member.name, ""))
    schema = settings.schema_file if settings else None
    own = Schema.read(beside(config, schema)) if schema else None
    return flows(Planned(planned.job, planned), member.name, own, rules.borders), rules.borders


def _plan_here(text: str, path: Path, schemas: dict[str, str], data: dict[str, str], counts: list[str]) -> Plan:
    from ppc.dataset import Schema, read
    from ppc.errors import ConfigError
    from ppc.joint.job import Job
    from ppc.joint.plan import plan

    job = Job.from_toml(text, where=str(path))
    rows = {}
    for party, count in pairs(counts, "--rows").items():
        if not count.isdecimal():
            raise ConfigError(f"'{count}' is not a number of rows", where="--rows")
        rows[party] = int(count)
    found: dict[str, Schema] = {}
    for party in job.parties:
        if party in data:
            dataset = read(data[party], schemas.get(party))
            found[party] = dataset.schema
            rows.setdefault(party, dataset.num_rows)
        elif party in schemas:
            found[party] = Schema.read(schemas[party])
        rows.setdefault(party, 10_000)
    _known({**schemas, **data}, job.parties)
    return plan(job, found, rows)


def simulate(
    job: JobArgument,
    data: DataOption = None,
    schema: SchemaOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Keep each party's artifacts and models there.")
    ] = None,
    latency_ms: Annotated[float, typer.Option("--latency-ms", min=0, help="Of every line, one way.")] = 0.0,
    bandwidth_mbps: Annotated[float | None, typer.Option("--bandwidth-mbps", help="Of every line.")] = None,
    operators: OperatorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a job with all parties in this one process, to try it out: the same protocols, without the network.

    Prints what each step showed to each party. Nothing here is protected from whoever runs the command.
    """
    from ppc.coordinator.planning import load_operators
    from ppc.dataset import read
    from ppc.errors import ConfigError
    from ppc.joint.job import Job
    from ppc.joint.simulate import simulate as run

    if bandwidth_mbps is not None and not bandwidth_mbps > 0:
        raise ConfigError("must be more than 0", where="--bandwidth-mbps")
    load_operators(operators or ())
    parsed = Job.from_toml(read_text(job), where=str(job))
    sources, schemas = pairs(data or [], "--data"), pairs(schema or [], "--schema")
    _known({**sources, **schemas}, parsed.parties)
    for party in parsed.parties:
        if party not in sources:
            raise ConfigError(f"no data of {party}", where="--data", hint=f"add --data {party}=FILE")
    datasets: dict[str, Dataset] = {p: read(sources[p], schemas.get(p)) for p in parsed.parties}
    with _bars() as progress:
        results = run(
            parsed,
            datasets,
            out,
            progress=progress,
            latency_s=latency_ms / 1000,
            bandwidth_bps=bandwidth_mbps * 1e6 if bandwidth_mbps else None,
        )
    if as_json:
        from ppc.joint.artifacts import _plain

        answer = {
            party: {
                "seconds": r.seconds,
                "rounds": r.cost.rounds,
                "bytes": r.cost.sent,
                "steps": [{"name": s.name, "operator": s.operator, "summary": _plain(s.summary)} for s in r.steps],
            }
            for party, r in results.items()
        }
        print_json(answer)
        return
    for party, result in results.items():
        print(f"{party}: {result.seconds:.1f} s, {result.cost.rounds:,} rounds, {size(result.cost.sent)} sent")
        rows = [
            [s.name, f"{s.seconds:.2f} s", f"{s.rounds:,}", size(s.sent), _summary(s.summary)] for s in result.steps
        ]
        table(["STEP", "TIME", "ROUNDS", "SENT", "SHOWS"], rows)
        print()


def _known(given: dict[str, str], parties: tuple[str, ...]) -> None:
    from ppc.errors import ConfigError, did_you_mean

    for party in given:
        if party not in parties:
            raise ConfigError(f"'{party}' is not a party of this job", hint=did_you_mean(party, parties))


def _summary(summary: Any, limit: int = 100) -> str:
    """The plain values of a step's summary, on one line."""
    parts = []
    for name, value in summary.items():
        if isinstance(value, bool | int | str):
            parts.append(f"{name}={value}")
        elif isinstance(value, float):
            parts.append(f"{name}={value:.4g}")
    line = ", ".join(parts)
    return line if len(line) <= limit else line[: limit - 1] + "…"


class _bars:
    """A bar for each party on stderr, fed from the parties' threads."""

    def __enter__(self) -> Any:
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.fields[party]:<12}"),
            BarColumn(24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=err(), transient=True)
        self._progress.start()
        tasks: dict[str, TaskID] = {}

        def show(event: Event) -> None:
            if event.party not in tasks:
                tasks[event.party] = self._progress.add_task("", total=1.0, party=event.party)
            label = f"{event.step}: {event.text}".replace("[", r"\[")
            self._progress.update(tasks[event.party], completed=event.fraction, description=label)

        return show

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

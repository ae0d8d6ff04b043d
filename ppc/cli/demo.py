"""`ppc demo credit` and `ppc demo hospitals`: the main jobs, on real data, before one's eyes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppc.cli._common import JsonOption, err, print_json

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ppc.coordinator.jobs import Event
    from ppc.demos.credit import Outcome
    from ppc.demos.hospitals import Outcome as StudyOutcome

app = typer.Typer(help="See ppc at work on this machine.", no_args_is_help=True, add_completion=False)


@app.callback()
def _root() -> None:
    """See ppc at work on this machine."""


@app.command()
def credit(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the report and everything else; default: ppc-demo.")
    ] = None,
    left: Annotated[Path | None, typer.Option(help="bank-a's file (CSV, Parquet, …); default: German credit.")] = None,
    right: Annotated[Path | None, typer.Option(help="bank-b's file.")] = None,
    key: Annotated[str | None, typer.Option(help="The column that joins the two files.")] = None,
    label: Annotated[str | None, typer.Option(help="The column to predict: 0 and 1, or see --positive.")] = None,
    positive: Annotated[str | None, typer.Option(help="The label's value that means bad, if it is not 1.")] = None,
    helper: Annotated[
        bool, typer.Option("--helper/--no-helper", help="Let a helper deal randomness, or do without one.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Two banks, a coordinator and a helper train a joint scorecard.

    Four processes with mutual TLS on this machine (three without a helper) match their customers, train, and write a
    report; then the same is done in the clear, for comparison.
    """
    from ppc.demos import credit as demo

    fresh = _fresh(out)
    data = demo.inputs(fresh, left=left, right=right, key=key, label=label, positive=positive)
    with _Display() as display:
        outcome = demo.run(data, fresh, helper=helper, on_event=display.event, on_stage=display.stage)
    if as_json:
        print_json(outcome.to_dict())
    else:
        _show(outcome, data.holder)


@app.command()
def hospitals(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the report and everything else; default: ppc-demo.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="A directory with the UCI heart-disease files; default: the bundled breast cancer trial."),
    ] = None,
    kill: Annotated[bool, typer.Option(help="Kill one hospital in the middle.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Four hospitals compute a study: nobody shows a row, and one is killed in the middle.

    Five processes with mutual TLS on this machine: table one, a logistic model, survival curves, log-rank and Cox; then
    the same by SciPy, statsmodels and lifelines on pooled rows, for comparison.
    """
    from ppc.demos import hospitals as demo

    fresh = _fresh(out)
    study = demo.inputs(fresh, data)
    with _Display() as display:
        outcome = demo.run(study, fresh, kill=kill, on_event=display.event, on_stage=display.stage)
    if as_json:
        print_json(outcome.to_dict())
    else:
        _show_study(outcome)


def _fresh(out: Path | None) -> Path:
    """A new folder of this run."""
    from ppc.errors import FileError

    folder = (out or Path("ppc-demo")).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / time.strftime("%Y%m%d-%H%M%S")
        fresh.mkdir()
    except OSError as error:
        raise FileError(
            f"cannot make the folder: {error.strerror}", where=str(folder), hint="choose another one with --out"
        ) from None
    return fresh


class _Display:
    """A line for each stage and a bar for each party, on stderr; plain lines where stderr is no terminal."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = err()
        self._progress = Progress(
            TextColumn("{task.fields[party]:<12}"),
            BarColumn(24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._bars: dict[str, TaskID] = {}
        self._steps: set[str] = set()

    def __enter__(self) -> _Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage(self, text: str) -> None:
        self._console.print(f"• {text}", markup=False)

    def event(self, event: Event) -> None:
        from rich.markup import escape

        if event.kind != "progress":
            return
        label = escape(f"{event.step}: {event.text}" if event.text else event.step)
        if event.party not in self._bars:
            self._bars[event.party] = self._progress.add_task(label, total=1.0, party=event.party)
        self._progress.update(self._bars[event.party], completed=event.fraction, description=label)
        if event.step and event.step not in self._steps:
            self._steps.add(event.step)
            self._console.print(f"  {event.step}", markup=False)


def _show(outcome: Outcome, holder: str) -> None:
    from rich.table import Table

    from ppc.cli._common import out as console

    def figure(value: float | None) -> str:
        return "n/a" if value is None else f"{value:.4f}"

    grid = Table(box=None, header_style="bold", pad_edge=False, title_justify="left")
    for name, justify in (("", "left"), ("AUC", "right"), ("KS", "right")):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]
    rows: list[tuple[str, Any, Any]] = [
        ("both banks, jointly", outcome.auc_joint, outcome.ks_joint),
        ("the same in the clear, on pooled rows", outcome.auc_pooled, outcome.ks_pooled),
        (f"{holder} alone", outcome.auc_alone, outcome.ks_alone),
    ]
    for name, auc, ks in rows:
        grid.add_row(name, figure(auc), figure(ks))
    target = console()
    target.print(grid)
    target.print(
        f"\n{outcome.rows_matched:,} customers matched, {outcome.features} features, {outcome.rounds:,} rounds, "
        f"{outcome.bytes / 1e6:.1f} MB sent in all, {outcome.seconds:.1f} s "
        f"({outcome.job_seconds:.1f} s for the job itself).\n"
        f"Coefficients differ from the pooled ones by at most {outcome.max_coefficient_difference:.1e}.\n"
        f"Report: {outcome.report}",
        markup=False,
    )


def _show_study(outcome: StudyOutcome) -> None:
    from rich.table import Table

    from ppc.cli._common import out as console

    grid = Table(box=None, header_style="bold", pad_edge=False)
    for name, justify in (
        ("", "left"),
        ("", "left"),
        ("jointly", "right"),
        ("pooled", "right"),
        ("difference", "right"),
    ):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]
    last = ""
    for f in outcome.figures:
        step = "" if f["step"] == last else f["step"]
        last = f["step"]
        grid.add_row(step, f["figure"], f"{f['joint']:.6g}", f"{f['pooled']:.6g}", f"{f['difference']:.0e}")
    target = console()
    target.print(grid)
    lost = "".join(
        f"\n{site} was lost: {why.removeprefix(f'{site} ')}. The later figures are of the others."
        for site, why in outcome.lost.items()
    )
    target.print(
        f"{lost}\n{len(outcome.figures)} figures, the largest relative difference {outcome.max_difference:.0e}. "
        f"{outcome.processes} processes, {outcome.rounds:,} rounds, {outcome.bytes / 1e6:.1f} MB sent by the busiest "
        f"hospital, {outcome.seconds:.1f} s ({outcome.job_seconds:.1f} s for the study itself).\n"
        f"Report: {outcome.report}",
        markup=False,
    )

"""Two banks train a scorecard: four processes on this machine, then the same in the clear, side by side.

The parties run exactly as they would in two houses. Only this demonstration, which owns both files, can compare the
joint model with one trained on pooled rows, and with what the label holder reaches alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ppc.coordinator.jobs import Event, JobRecord
from ppc.coordinator.local import LocalCluster
from ppc.core.files import atomic_write
from ppc.dataset import Dataset, read
from ppc.demos import german
from ppc.errors import ColumnError, ConfigError, JobError, KeyColumnError, LabelError, did_you_mean
from ppc.joint import report as reports
from ppc.joint.artifacts import Store
from ppc.joint.credit import pooled
from ppc.joint.credit.features import HOLDOUT, ROWS
from ppc.joint.job import Job
from ppc.joint.plan import plan
from ppc.report import html, plots
from ppc.report.document import Block, Figure, Report, Section, Table, Text

PARTIES: Final = ("bank-a", "bank-b")

_JOB: Final = """\
name = "joint-scorecard"
parties = ["bank-a", "bank-b"]
helper = "{helper}"
result = "{holder}"

[datasets]
bank-a = "customers"
bank-b = "customers"

[[step]]
operator = "align"
keys = ["{key}"]
holdout = 0.3

[[step]]
operator = "woe"
label = "{label}"{positive}
on_constant = "drop"

[[step]]
operator = "select"

[[step]]
operator = "logistic_regression"
solver = "newton"
l2 = 0.001
label = "{label}"{positive}
save_as = "scorecard"

[[step]]
operator = "scorecard"

[[step]]
operator = "evaluate"
label = "{label}"{positive}
share_metrics = true
"""


@dataclass(frozen=True)
class Inputs:
    """The two banks' files and what joins them. `holder` is the bank that has the label."""

    left: Path
    right: Path
    key: str
    label: str
    positive: str | None
    holder: str

    @property
    def files(self) -> dict[str, Path]:
        return dict(zip(PARTIES, (self.left, self.right), strict=True))

    def job(self, *, helper: bool = True) -> str:
        """The job file's text."""
        positive = "" if self.positive is None else f"\npositive = {_quoted(self.positive)}"
        return _JOB.format(
            holder=self.holder,
            helper="helper" if helper else "none",
            key=_escaped(self.key),
            label=_escaped(self.label),
            positive=positive,
        )


@dataclass(frozen=True)
class Outcome:
    """What the demonstration measured. AUC and KS are on customers that no model was trained on.

    `*_joint`: the model of both banks; `*_pooled`: the same training in the clear on pooled rows; `*_alone`: the label
    holder's own features only (`None` if it has none). `rounds`: of the busiest party; `bytes`: sent by all processes.
    `seconds`: from the first process's start to the report.
    """

    auc_joint: float
    auc_pooled: float
    auc_alone: float | None
    ks_joint: float
    ks_pooled: float
    ks_alone: float | None
    max_coefficient_difference: float
    rows_matched: int
    features: int
    processes: int
    seconds: float
    job_seconds: float
    rounds: int
    bytes: int
    peak_memory_bytes: int
    report: str
    reports: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def inputs(
    folder: Path,
    *,
    left: Path | None = None,
    right: Path | None = None,
    key: str | None = None,
    label: str | None = None,
    positive: str | None = None,
) -> Inputs:
    """German credit if no file is named, else the person's own two files, checked.

    Raises:
        ConfigError: some but not all of left, right, key and label. KeyColumnError, LabelError: not in the files.
    """
    if left is None and right is None and key is None and label is None:
        a, b = german.split(folder)
        return Inputs(a, b, german.KEY, german.LABEL, german.POSITIVE, PARTIES[0])
    if left is None or right is None or key is None or label is None:
        raise ConfigError(
            "your own data need two files, the key that joins them, and the label",
            hint="ppc demo credit --left a.csv --right b.csv --key id --label default",
        )
    found = {party: read(path) for party, path in zip(PARTIES, (left, right), strict=True)}
    for party, dataset in found.items():
        if key not in dataset.columns:
            raise KeyColumnError(
                f"there is no key column '{key}'",
                where=str({PARTIES[0]: left, PARTIES[1]: right}[party]),
                hint=did_you_mean(key, dataset.columns),
            )
    holders = [party for party, dataset in found.items() if label in dataset.columns]
    if len(holders) != 1:
        known = [c for d in found.values() for c in d.columns if c != key]
        what = f"neither file has a column '{label}'" if not holders else f"both files have a column '{label}'"
        raise LabelError(what, where="--label", hint=did_you_mean(label, known) if not holders else None)
    return Inputs(Path(left).resolve(), Path(right).resolve(), key, label, positive, holders[0])


def run(
    data: Inputs,
    out: Path,
    *,
    helper: bool = True,
    on_event: Callable[[Event], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Outcome:
    """Start the processes, run the job, compare, and write the report to `out/report.html`.

    Without `helper` the two banks make their randomness themselves: a process fewer, more bytes and more work.

    Everything that the processes leave (logs, artifacts, models) stays in `out/cluster`.

    Raises:
        the job's own error, if it fails at any party.
    """
    began = time.monotonic()

    def stage(text: str) -> None:
        if on_stage is not None:
            on_stage(text)

    job_text = data.job(helper=helper)
    _check(data, job_text)
    stage("starting the processes")
    sources = {party: {"customers": path} for party, path in data.files.items()}
    with LocalCluster(sources, helper="helper" if helper else None, folder=out / "cluster") as cluster:
        stage("running the job")
        record = cluster.submit(job_text, data.holder)
        for event in cluster.watch(record.id, data.holder):
            if on_event is not None:
                on_event(event)
        record = cluster.wait(record.id, party=data.holder)
        if record.fault is not None:
            raise record.fault.to_error()
        if record.state != "done":
            raise JobError(f"the job is {record.state}", where=f"job {record.id}")
        results = {party: cluster.result(record.id, party) for party in PARTIES}
        folders = {party: cluster.job_folder(record.id, party) for party in PARTIES}
        processes = len(cluster.processes)
    stage("comparing with pooled data")
    return _finish(data, out, job_text, record, results, folders, processes, began)


def _check(data: Inputs, job_text: str) -> None:
    """Refuse what the plan refuses before any process is started."""
    datasets = {party: read(path) for party, path in data.files.items()}
    plan(
        Job.from_toml(job_text),
        {party: d.schema for party, d in datasets.items()},
        {party: d.num_rows for party, d in datasets.items()},
    )


def _finish(
    data: Inputs,
    out: Path,
    job_text: str,
    record: JobRecord,
    results: Mapping[str, Mapping[str, Any]],
    folders: Mapping[str, Path],
    processes: int,
    began: float,
) -> Outcome:
    job = Job.from_toml(job_text)
    steps = {party: {s["operator"]: s["summary"] for s in result["steps"]} for party, result in results.items()}
    datasets, holdout = {}, None
    for party, path in data.files.items():
        left = Store.of_finished(folders[party]).of("align")
        datasets[party] = read(path).take(left.array(ROWS))
        holdout = left.array(HOLDOUT)
    if holdout is None:
        raise ColumnError("no party left a holdout")
    planned = plan(job, {p: d.schema for p, d in datasets.items()}, {p: d.num_rows for p, d in datasets.items()})
    clear = pooled.train(planned, datasets, holdout)
    alone = _alone(planned, datasets, holdout, data.holder)
    joint = steps[data.holder]["evaluate"]
    best = joint["holdout"] or joint["train"]
    coef = {
        (party, c["feature"]): c["coef"]
        for party in PARTIES
        for c in steps[party]["logistic_regression"]["coefficients"]
    }
    difference = max(
        (abs(coef.get(name, 0.0) - clear.coef.get(name, 0.0)) for name in {*coef, *clear.coef}), default=0.0
    )
    costs = [p.cost for p in record.participants.values() if p.cost is not None]
    seconds = time.monotonic() - began
    paths = {}
    for party, result in results.items():
        paths[party] = str(html.write(reports.build(result), out / f"report-{party}.html"))
    outcome = Outcome(
        auc_joint=best["auc"],
        auc_pooled=clear.best["auc"],
        auc_alone=alone.best["auc"] if alone else None,
        ks_joint=best["ks"],
        ks_pooled=clear.best["ks"],
        ks_alone=alone.best["ks"] if alone else None,
        max_coefficient_difference=difference,
        rows_matched=steps[data.holder]["align"]["matched"],
        features=len(coef),
        processes=processes,
        seconds=round(seconds, 2),
        job_seconds=round(max(c.seconds for c in costs), 2),
        rounds=max(c.rounds for c in costs),
        bytes=sum(c.bytes_sent for c in costs),
        peak_memory_bytes=max(c.peak_memory_bytes for c in costs),
        report=str(out / "report.html"),
        reports=paths,
    )
    html.write(_report(data, outcome, results, best, clear, alone), Path(outcome.report))
    with atomic_write(out / "job.toml") as file:
        file.write(job_text.encode())
    return outcome


def _alone(planned: Any, datasets: Mapping[str, Dataset], holdout: Any, holder: str) -> pooled.Pooled | None:
    try:
        return pooled.train(planned, datasets, holdout, [holder])
    except (ColumnError, ValueError):
        return None  # the label holder has no feature that tells anything


def _report(
    data: Inputs,
    outcome: Outcome,
    results: Mapping[str, Mapping[str, Any]],
    best: Mapping[str, Any],
    clear: pooled.Pooled,
    alone: pooled.Pooled | None,
) -> Report:
    """The label holder's report, with the comparison first and both halves of the scorecard."""
    rows: list[list[Any]] = [
        ["both banks, jointly", outcome.auc_joint, outcome.ks_joint, outcome.features],
        ["the same training in the clear, on pooled rows", outcome.auc_pooled, outcome.ks_pooled, len(clear.coef)],
    ]
    curves = {"jointly": best["curve"], "pooled": clear.best["curve"]}
    if alone is not None:
        rows.append([f"{data.holder} alone", outcome.auc_alone, outcome.ks_alone, len(alone.coef)])
        curves[f"{data.holder} alone"] = alone.best["curve"]
    blocks: list[Block] = [
        Table(["model", "AUC", "KS", "features"], rows, caption="On customers that no model was trained on"),
        plots.roc({name: (c["good"], c["bad"]) for name, c in curves.items()}),
        Text(
            f"The coefficients differ by at most {outcome.max_coefficient_difference:.1e}: rounding of fixed-point "
            "numbers. Only this demonstration can make the comparison, since it owns both files.",
            "note",
        ),
    ]
    points = [
        [party, p["variable"], p["bin"], p.get("woe"), p["points"]]
        for party in PARTIES
        for step in results[party]["steps"]
        if step["operator"] == "scorecard"
        for p in step["summary"]["points"]
    ]
    both = Section(
        "Both halves of the scorecard",
        [Table(["bank", "feature", "bin", "WOE", "points"], points)],
        intro="Each bank holds its own half; the demonstration puts them side by side.",
    )
    built = reports.build(
        results[data.holder],
        title="A joint credit scorecard",
        figures=[
            Figure("AUC, jointly", f"{outcome.auc_joint:.3f}", f"pooled {outcome.auc_pooled:.3f}"),
            Figure(
                f"AUC, {data.holder} alone",
                "n/a" if outcome.auc_alone is None else f"{outcome.auc_alone:.3f}",
                "without the other bank",
            ),
            Figure("time", f"{outcome.seconds:.1f} s", f"{outcome.processes} processes, {outcome.rounds:,} rounds"),
        ],
        sections=[Section("Joint, pooled, alone", blocks)],
    )
    kept = [f for f in built.figures if f.label not in ("AUC",)]
    sections = [both if s.title == "Scorecard" else s for s in built.sections]
    return Report(built.title, built.subtitle, kept, sections, built.footer)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'

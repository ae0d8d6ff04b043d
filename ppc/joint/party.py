"""One party's run of a job: agree on what will happen, then execute the steps; on a failure tell everyone."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppc.core.rng import random_bytes
from ppc.dataset.schema import Field, Role, Schema
from ppc.errors import (
    FrameError,
    InternalError,
    JobCancelled,
    JobFileError,
    PlanMismatch,
    PpcError,
    RemoteFailure,
)
from ppc.joint import registry
from ppc.joint.artifacts import Store
from ppc.joint.context import Context, Event, Runtime
from ppc.joint.job import NO_HELPER, PROTOCOL, Job, digest
from ppc.joint.plan import Plan, PlannedStep, located, plan, public_schema, tells_rows
from ppc.net.channel import Channel, MeterReading

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset

SUMMARY = "summary"


@dataclass(frozen=True)
class StepResult:
    """What a step was and cost at this party. `summary`: what it may show; `resumed`: taken from disk."""

    name: str
    operator: str
    summary: Mapping[str, Any]
    seconds: float
    rounds: int
    sent: int
    received: int
    resumed: bool = False


@dataclass(frozen=True)
class PartyResult:
    """What a party holds after a job. `lost`: parties that it went on without, and why."""

    party: str
    job: Job
    plan: Plan
    steps: tuple[StepResult, ...]
    artifacts: Store
    models: Path
    seconds: float
    cost: MeterReading
    lost: Mapping[str, str] = field(default_factory=dict)
    keep: object = field(default=None, repr=False, compare=False)

    def step(self, name: str) -> StepResult:
        """The result of a step."""
        for step in self.steps:
            if step.name == name:
                return step
        raise JobFileError(f"there is no step '{name}'")

    def summary(self, name: str) -> Mapping[str, Any]:
        """What a step may show at this party."""
        return self.step(name).summary


def run_party(
    job: Job,
    *,
    me: str,
    dataset: Dataset,
    channels: Mapping[str, Channel],
    dealer: Channel | None = None,
    workdir: str | Path,
    models: str | Path | None = None,
    progress: Callable[[Event], None] | None = None,
    log: Callable[[str], None] | None = None,
    plan_hash: str | None = None,
    cancelled: threading.Event | None = None,
    limits: Mapping[str, Any] | None = None,
    peer_rows: Mapping[str, int] | None = None,
) -> PartyResult:
    """Run `job` as the party `me` on its own `dataset`. Every other party does the same at the other end of `channels`.

    Args:
        channels: one to every other party, by name. They are closed when this returns or raises.
        dealer: the channel to the helper; `None` if the job has none.
        workdir: the job's own folder: artifacts lie there, and a later run resumes from them.
        models: the party's folder of saved models (default: `workdir/models`).
        plan_hash: what was approved; the run stops (`PlanMismatch`) if the plan is now another.
        cancelled: set it, and call `cancel` on the channels, to stop the run.
        limits: what this party allows at most, where operators know such limits; the strictest party's hold.
        peer_rows: how many keys each of the others may bring to a matching here, by name.

    Raises:
        PlanMismatch: the parties hold different jobs, or the plan is not the approved one. No data was touched.
        RemoteFailure: another party failed; names it and the step.
        PpcError: this party failed; the error names the party and the step, and the others have been told.
    """
    runtime = None
    try:
        if me not in job.parties:
            raise JobFileError(f"'{me}' is not a party of job '{job.name}'", where="key 'parties'")
        runtime = Runtime(
            job, me, dataset, channels, dealer, Store(workdir), Path(models or Path(workdir) / "models"), progress, log,
            cancelled or threading.Event(), limits=dict(limits or {}), peer_rows=dict(peer_rows or {}),
        )  # fmt: skip
        result = _run(runtime, plan_hash)
    except BaseException as error:
        told = _stop(error, me, runtime, channels, dealer)
        if told is error:
            raise
        raise told from error
    runtime.close_session()
    for channel in _all(channels, dealer):
        channel.close()
    return result


def _run(runtime: Runtime, plan_hash: str | None) -> PartyResult:
    job, store = runtime.job, runtime.store
    if job.helper != NO_HELPER and runtime.dealer is None:
        raise JobFileError(f"the job has a helper, '{job.helper}', but there is no channel to it", where="key 'helper'")
    planned = _negotiate(runtime, plan_hash)
    contexts = {}
    for part in planned.steps:
        with _located(runtime, part):
            # What can be refused before the first message about data is refused now.
            contexts[part.step.name] = ctx = Context(runtime, part.step.name, part.step.params, part.view, None)
            registry.get(part.step.operator).inspect(ctx)
    runtime.step = ""
    keys = _keys(runtime)
    nonces = runtime.gather("run", random_bytes(16).hex())
    runtime.run_id = digest(nonces)[:32]
    skip = _finished_everywhere(runtime, keys)
    results = []
    for index, part in enumerate(planned.steps):
        with _located(runtime, part):
            results.append(_step(runtime, index, part, keys[index], resumed=index < skip))
    runtime.step = ""
    # Nobody reports success before everyone has it: a failure in the last step still reaches all.
    runtime.end()
    seconds = time.monotonic() - runtime.started
    return PartyResult(
        runtime.me, job, planned, tuple(results), store, runtime.models, seconds, runtime.reading(), dict(runtime.lost)
    )


def _negotiate(runtime: Runtime, plan_hash: str | None) -> Plan:
    """Every party compares the job, learns the others' schemas and row counts, makes the plan and compares that."""
    job = runtime.job
    runtime.agree(
        "job",
        {"protocol": PROTOCOL, "job": job.hash},
        PlanMismatch,
        "Every party must use the same job file; compare them.",
    )
    schema = public_schema(runtime.source.schema)
    fields = [[f.name, f.type, f.role.value if f.role else None, f.nullable] for f in schema]
    told = runtime.gather("schema", {"fields": fields, "rows": runtime.source.num_rows if tells_rows(job) else 0})
    schemas, rows = {}, {}
    for party, note in told.items():
        try:
            schemas[party] = Schema(
                tuple(Field(n, t, role=Role(r) if r else None, nullable=bool(null)) for n, t, r, null in note["fields"])
            )
            rows[party] = int(note["rows"])
        except (PpcError, ValueError, KeyError, TypeError):
            raise FrameError("a schema note is malformed", party=party) from None
    planned = plan(job, schemas, rows)
    if plan_hash is not None and planned.hash != plan_hash:
        raise PlanMismatch(
            "the plan is not the one that was approved",
            party=runtime.me,
            hint="A dataset's schema changed since. Submit the job again.",
        )
    runtime.agree("plan", planned.hash, PlanMismatch)
    return planned


def _step(runtime: Runtime, index: int, part: PlannedStep, key: str, *, resumed: bool) -> StepResult:
    step, store = part.step, runtime.store
    operator = registry.get(step.operator)
    if resumed:
        artifacts = store.of(step.name)
        operator.apply(Context(runtime, step.name, step.params, part.view, artifacts))
        runtime.report(1.0, "taken from an earlier run")
        return StepResult(
            step.name, step.operator, artifacts.json(SUMMARY), store.seconds(index, step.name), 0, 0, 0, resumed=True
        )
    began, before = time.monotonic(), runtime.reading()
    artifacts = store.begin(index, step.name)
    ctx = Context(runtime, step.name, step.params, part.view, artifacts)
    runtime.report(0.0, operator.summary)
    summary = dict(operator.run(ctx) or {})
    artifacts.put_json(SUMMARY, summary)
    seconds, cost = time.monotonic() - began, runtime.reading() - before
    store.finish(index, step.name, key=key, run=runtime.run_id, seconds=seconds)
    operator.apply(ctx)
    runtime.report(1.0, "done")
    return StepResult(step.name, step.operator, summary, seconds, cost.rounds, cost.sent, cost.received)


# --- resuming ---
def _keys(runtime: Runtime) -> list[str]:
    """For each step what its artifacts depend on: the job up to it, and this party's data."""
    job = runtime.job.to_dict()
    steps = job.pop("steps")
    key, keys = digest({**job, "me": runtime.me, "data": fingerprint(runtime.source)}), []
    for step in steps:
        key = digest([key, step])
        keys.append(key)
    return keys


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 over a dataset's rows and types, in hex. It stays at the party."""
    import pyarrow as pa

    hasher = hashlib.sha256()

    class Sink:
        closed = False

        def write(self, data: Any) -> int:
            hasher.update(data)
            return len(data)

        def flush(self) -> None: ...

        def close(self) -> None: ...

    table = dataset.to_arrow()
    with pa.ipc.new_stream(pa.PythonFile(Sink(), mode="w"), table.schema) as out:
        out.write_table(table)
    return hasher.hexdigest()


def _finished_everywhere(runtime: Runtime, keys: list[str]) -> int:
    """How many first steps every party has finished in the same run; artifacts of any later ones are forgotten."""
    mine: list[str] = []
    for index, step in enumerate(runtime.job.steps):
        run = runtime.store.finished(index, step.name, key=keys[index])
        if run is None:
            break
        mine.append(run)
    told = runtime.gather("finished", mine)
    for party, runs in told.items():
        if not isinstance(runs, list) or not all(isinstance(r, str) for r in runs):
            raise FrameError("a note is malformed", party=party, where="note 'finished'")
    common = 0
    for runs in zip(*told.values(), strict=False):
        if len(set(runs)) != 1:
            break
        common += 1
    runtime.store.forget([s.name for s in runtime.job.steps[common:]])
    return common


# --- failures ---
@contextmanager
def _located(runtime: Runtime, part: PlannedStep) -> Iterator[None]:
    """Errors that leave this block name the step, and the party if they name none."""
    runtime.step = part.step.name
    try:
        yield
    except PpcError as error:
        error.where = located(error.where, part.step.name)
        error.party = error.party or runtime.me
        raise


def _stop(
    error: BaseException,
    me: str,
    runtime: Runtime | None,
    channels: Mapping[str, Channel],
    dealer: Channel | None,
) -> BaseException:
    """Tell every peer why this party stops; the error to raise here."""
    where = f"step '{runtime.step}'" if runtime is not None and runtime.step else None
    cancelled = runtime is not None and runtime.cancelled.is_set()
    told: PpcError
    if isinstance(error, PpcError):
        told = error
        told.party = told.party or me
    elif isinstance(error, KeyboardInterrupt | SystemExit):
        told = JobCancelled("stopped by a person", where=where, party=me)
    elif isinstance(error, MemoryError):
        told = InternalError("out of memory", where=where, party=me)
    else:
        told = InternalError(f"a defect of ppc: {type(error).__name__}", where=where, party=me)
    if cancelled and not isinstance(told, JobCancelled):
        told = JobCancelled("the job was cancelled", where=where, party=me)
    for channel in _all(channels, dealer):
        channel.abort(told)
    return error if isinstance(error, KeyboardInterrupt | SystemExit) else told


def _all(channels: Mapping[str, Channel], dealer: Channel | None) -> list[Channel]:
    return [*channels.values(), *([dealer] if dealer is not None else [])]


__all__ = ["PartyResult", "RemoteFailure", "StepResult", "fingerprint", "run_party"]

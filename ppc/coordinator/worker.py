"""The child process that works on one job: `python -m ppc.coordinator.worker`, started by an agent alone.

Its first line of input is the task; its memory goes back to the system when it ends, and nothing that happens in it can
harm the agent. It ends when its input ends: an agent that dies takes its children with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ppc.errors import InternalError, JobCancelled, PeerUnavailable, PortInUse, PpcError, SchemaError

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset
    from ppc.joint.context import Event
    from ppc.joint.party import PartyResult
    from ppc.net.channel import Channel
    from ppc.net.identity import Identity
    from ppc.net.tls import Listener

CONNECT_S: Final = 30.0
PROGRESS_S: Final = 0.1  # at most so often, but every step's begin and end


class Agent:
    """The other end of the pipes."""

    def __init__(self) -> None:
        # Our own copy of stdout; whatever else writes there lands in the log.
        self._out: BinaryIO = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._orders: queue.Queue[dict[str, Any]] = queue.Queue()
        self.cancelled = threading.Event()
        self.channels: list[Channel] = []

    def tell(self, event: str, **parts: Any) -> None:
        """A line to the agent."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._out.write(json.dumps({"event": event, **parts}).encode() + b"\n")
            self._out.flush()

    def listen(self) -> None:
        """Takes the agent's orders from now on, in a thread."""
        threading.Thread(target=self._read, name="ppc-orders", daemon=True).start()

    def next_order(self, name: str) -> dict[str, Any]:
        """Waits for one kind of order; raises `JobCancelled` if the job is cancelled first."""
        while not self.cancelled.is_set():
            with contextlib.suppress(queue.Empty):
                order = self._orders.get(timeout=0.2)
                if order.get("do") == name:
                    return order
        raise JobCancelled("the job was cancelled")

    def cancel(self) -> None:
        """Stops the job at the next message or report."""
        self.cancelled.set()
        for channel in list(self.channels):
            channel.cancel()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            order = json.loads(line)
            if order.get("do") == "cancel":
                self.cancel()
            else:
                self._orders.put(order)
        os._exit(3)  # the agent is gone


@dataclass(frozen=True)
class Task:
    """One party's (or the helper's) part in one attempt of a job."""

    me: str
    job_id: str
    attempt: int
    parties: tuple[str, ...]
    helper: str | None
    identity: Identity
    listen: tuple[str, list[int]]
    idle_timeout_s: float
    folder: Path
    job_toml: str = ""
    plan_hash: str = ""
    dataset: Mapping[str, Any] | None = None
    models: Path | None = None
    limits: Mapping[str, Any] | None = None
    peer_rows: Mapping[str, int] | None = None

    @property
    def session(self) -> str:
        """The name of this attempt on the data plane."""
        return f"{self.job_id}.{self.attempt}"

    @property
    def callers(self) -> tuple[str, ...]:
        """Who connects to us: the lower rank listens, and the helper listens to all."""
        if self.me == self.helper:
            return self.parties
        return self.parties[self.parties.index(self.me) + 1 :]

    @property
    def called(self) -> tuple[str, ...]:
        """Whom we connect to."""
        if self.me == self.helper:
            return ()
        return (*self.parties[: self.parties.index(self.me)], *([self.helper] if self.helper else []))

    @staticmethod
    def of(parts: Mapping[str, Any]) -> Task:
        """From the agent's line."""
        from ppc.net.identity import Identity

        host, ports = parts["listen"]
        return Task(
            me=parts["me"],
            job_id=parts["job_id"],
            attempt=parts["attempt"],
            parties=tuple(parts["parties"]),
            helper=parts["helper"],
            identity=Identity(*parts["identity"]),
            listen=(host, list(ports)),
            idle_timeout_s=parts["idle_timeout_s"],
            folder=Path(parts["folder"]),
            job_toml=parts["job_toml"],
            plan_hash=parts["plan_hash"],
            dataset=parts["dataset"],
            models=Path(parts["models"]) if parts["models"] else None,
            limits=parts.get("limits"),
            peer_rows=parts.get("peer_rows"),
        )


def main() -> int:
    """One task, from the line that describes it to its end."""
    agent = Agent()
    _die_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    parts = json.loads(sys.stdin.buffer.readline() or b"{}")
    signal.signal(signal.SIGTERM, lambda *_: agent.cancel())
    agent.listen()
    step = [""]
    me = str(parts.get("me", "?"))
    try:
        from ppc.coordinator.planning import load_operators

        load_operators(parts.get("operators", ()))
        if parts["task"] == "inspect":
            agent.tell("inspected", datasets=inspect(parts["datasets"]))
        elif parts["task"] == "run":
            run(agent, Task.of(parts), step)
        else:
            deal(agent, Task.of(parts))
        return 0
    except BaseException as error:
        from ppc.coordinator.redact import fault_of

        traceback.print_exc()
        cause = JobCancelled("the job was cancelled", party=me) if agent.cancelled.is_set() else error
        own = error.to_dict() if isinstance(error, PpcError) else {"what": type(error).__name__}
        agent.tell("failed", fault=fault_of(cause, party=me, step=step[0] or None).to_dict(), own=own)
        return 1


def inspect(datasets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """For each dataset its full schema (for the party), the public one (for the catalog), and the number of rows."""
    from ppc.coordinator.planning import public_toml

    found = {}
    for name, settings in datasets.items():
        try:
            dataset = load(name, settings)
        except PpcError as error:
            error.where = ", ".join(p for p in (f"dataset '{name}'", error.where) if p)
            raise
        found[name] = {
            "schema": dataset.schema.to_toml(),
            "public": public_toml(dataset.schema),
            "rows": dataset.num_rows,
        }
    return found


def load(name: str, settings: Mapping[str, Any]) -> Dataset:
    """A dataset as the configuration describes it, without its hidden columns."""
    from fnmatch import fnmatchcase

    from ppc.dataset import read

    dataset = read(settings["path"], settings["schema"], name=name)
    hidden = [c for c in dataset.columns if any(fnmatchcase(c, p) for p in settings["hide"])]
    return dataset.drop(hidden) if hidden else dataset


def run(agent: Agent, task: Task, step: list[str]) -> None:
    """A party's part: load the data, meet the others, compute."""
    from ppc.coordinator.planning import public_toml
    from ppc.joint.job import Job
    from ppc.joint.party import run_party

    job = Job.from_toml(task.job_toml, where="job file")
    settings = task.dataset or {}
    dataset = load(settings["name"], settings)
    if public_toml(dataset.schema) != settings["public"]:
        raise SchemaError(
            "the dataset's columns changed since they were published",
            where=f"dataset '{settings['name']}'",
            hint="restart the agent and submit the job again",
            party=task.me,
        )
    began = time.monotonic()
    told_at = [0.0]

    def progress(event: Event) -> None:
        now = time.monotonic()
        if event.step != step[0] or event.fraction >= 1.0 or now - told_at[0] >= PROGRESS_S:
            step[0], told_at[0] = event.step, now
            agent.tell("progress", step=event.step, fraction=event.fraction, text=event.text)

    with _listener(task) as listener:
        channels = _meet(agent, task, listener)
        result = run_party(
            job,
            me=task.me,
            dataset=dataset,
            channels={p: channels[p] for p in task.parties if p != task.me},
            dealer=channels[task.helper] if task.helper else None,
            workdir=task.folder,
            models=task.models,
            progress=progress,
            log=lambda text: agent.tell("log", text=text),
            plan_hash=task.plan_hash,
            cancelled=agent.cancelled,
            limits=task.limits,
            peer_rows=task.peer_rows,
        )
    seconds = time.monotonic() - began
    write_result(task, result, seconds)
    cost = result.cost
    refused = [f"{s.name}: {s.summary['refused']}" for s in result.steps if "refused" in s.summary]
    agent.tell("done", cost=_cost(cost.rounds, cost.sent, cost.received, seconds), refused=refused)


def write_result(task: Task, result: PartyResult, seconds: float) -> None:
    """What the party holds after the job: jobs/ID/result.json for programs, report.html for people."""
    from ppc.core.files import atomic_write
    from ppc.joint import report
    from ppc.joint.artifacts import dumps

    parts = report.record(result)
    parts |= {
        "job_id": task.job_id,
        "attempt": task.attempt,
        "cost": _cost(result.cost.rounds, result.cost.sent, result.cost.received, seconds),
    }
    with atomic_write(task.folder / "result.json", mode=0o600) as file:
        file.write(dumps(parts).encode())
    report.write(parts, task.folder / "report.html", mode=0o600)


def deal(agent: Agent, task: Task) -> None:
    """The helper's part: correlated randomness for every party, until they have finished."""
    from ppc.mpc.correlations import dealer

    began = time.monotonic()
    with _listener(task) as listener:
        channels = _meet(agent, task, listener)
        try:
            dealer.serve(channels, cancelled=agent.cancelled.is_set)
        except PeerUnavailable:
            # The job asked for no randomness at all: its parties said goodbye before a greeting.
            if not any(c.closed_by_peer for c in channels.values()):
                raise
        finally:
            for channel in channels.values():
                channel.close()
    if agent.cancelled.is_set():
        raise JobCancelled("the job was cancelled", party=task.me)
    readings = [c.meter.snapshot() for c in channels.values()]
    agent.tell(
        "done",
        cost=_cost(
            sum(r.rounds for r in readings),
            sum(r.sent for r in readings),
            sum(r.received for r in readings),
            time.monotonic() - began,
        ),
    )


def _listener(task: Task) -> contextlib.AbstractContextManager[Listener | None]:
    """A listener on the first free port of ours, if anybody will connect to us."""
    if not task.callers:
        return contextlib.nullcontext()
    from ppc.net.tls import Listener

    host, ports = task.listen
    for port in ports:
        try:
            return Listener(task.identity, host, port, idle_timeout_s=task.idle_timeout_s)
        except PortInUse:
            continue
    where = f"{host}:{ports[0]}" + (f"-{ports[-1]}" if len(ports) > 1 else "")
    hint = 'widen the range in data_plane.listen, or lower "max_jobs"'
    raise PortInUse("no port for the data plane is free", where=where, hint=hint, party=task.me)


def _meet(agent: Agent, task: Task, listener: Listener | None) -> dict[str, Channel]:
    """Says that we are ready, waits until all are, and connects to every one at once."""
    from ppc.coordinator.config import split_address
    from ppc.net.tls import connect

    agent.tell("ready", host=listener.address[0] if listener else "", port=listener.address[1] if listener else 0)
    addresses = agent.next_order("start")["addresses"]
    places = {}
    for name in task.called:
        try:
            places[name] = split_address(addresses[name])
        except (KeyError, ValueError):
            raise InternalError("the coordinator gave no address of this party", party=name) from None
    count = len(task.callers) + len(places)
    with ThreadPoolExecutor(max(1, count), thread_name_prefix="ppc-meet") as pool:
        waiting = {
            name: pool.submit(
                connect, task.identity, name, *place, task.session, CONNECT_S, idle_timeout_s=task.idle_timeout_s
            )
            for name, place in places.items()
        }
        if listener is not None:
            for name in task.callers:
                waiting[name] = pool.submit(listener.accept, task.session, name, CONNECT_S)
        channels: dict[str, Channel] = {}
        failure: PpcError | None = None
        for name, future in waiting.items():
            try:
                channels[name] = future.result()
                agent.channels.append(channels[name])
            except PpcError as error:
                failure = failure or error
    if failure is not None:
        for channel in channels.values():
            channel.abort(failure)
        raise failure
    if agent.cancelled.is_set():
        agent.cancel()
    return channels


def _cost(rounds: int, sent: int, received: int, seconds: float) -> dict[str, Any]:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "rounds": rounds,
        "bytes_sent": sent,
        "bytes_received": received,
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak,
    }


def _die_with_parent() -> None:
    """On Linux the kernel ends us with the agent, even while a library call holds every thread of ours."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # No waiting for threads of libraries: everything that matters is on disk.
    os._exit(code)

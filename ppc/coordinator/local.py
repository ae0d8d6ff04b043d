"""A whole cluster on this machine: coordinator, parties and helper as separate processes with mutual TLS on loopback.

```python
with LocalCluster({"bank-a": {"customers": "a.csv"}, "bank-b": {"behaviour": "b.csv"}}) as cluster:
    job = cluster.submit(job_toml, party="bank-a")
    for event in cluster.watch(job.id, party="bank-a"):
        print(event.party, event.step, event.fraction)
    result = cluster.result(job.id, "bank-a")
```

For demonstrations and tests. The processes are the ones that real institutions run; only the authority (fresh, in the
cluster's folder) and the addresses (free ports of 127.0.0.1) are made up.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ppc.coordinator.client import Client
from ppc.coordinator.jobs import Event, JobRecord
from ppc.core.files import atomic_write
from ppc.errors import ConfigError, InternalError, PeerTimeout, PpcError
from ppc.net import identity as certificates
from ppc.net.identity import Identity

READY_S: Final = 60.0
STOP_S: Final = 6.0

#: Lets the other parties of this cluster do everything. For demonstrations on one's own machine.
ALLOW_ALL: Final = """\
rows = "exact"
max_jobs = 4

[[allow]]
name = "everything, on this machine only"
partners = ["*"]
helpers = ["*"]
operators = ["*"]
datasets = ["*"]
columns = ["*"]
recipients = ["*"]
"""

Source = str | Path | tuple[str | Path, str | Path | None]


class LocalCluster:
    """A context manager. Inside the block every process is up and connected; after it none is left."""

    def __init__(
        self,
        parties: Mapping[str, Mapping[str, Source]],
        *,
        helper: str | None = "helper",
        folder: str | Path | None = None,
        policies: Mapping[str, str] | None = None,
        operators: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        coordinator_settings: Mapping[str, Any] | None = None,
        party_settings: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            parties: for each party its datasets: a file, or a file and its schema's file.
            helper: the helper's name; `None` for no helper.
            folder: where keys, settings, logs and results lie; kept. By default a temporary one, removed at the end.
            policies: a party's policy.toml, where it is not `ALLOW_ALL`.
            operators: modules that register operators of one's own.
            environment: further variables for the processes.
            coordinator_settings, party_settings: further top-level keys of coordinator.toml, and of each party.toml.
        """
        self.parties = {name: dict(sources) for name, sources in parties.items()}
        self.helper = helper
        self._keep = folder is not None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="ppc-cluster-")).resolve()
        self._policies = dict(policies or {})
        self._operators = list(operators)
        self._environment = {**os.environ, **(environment or {})}
        self._coordinator_settings = dict(coordinator_settings or {})
        self._party_settings = dict(party_settings or {})
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._clients: dict[str, Client] = {}
        self._identities: dict[str, Identity] = {}
        self.address = ""

    # ---- life ----
    def __enter__(self) -> LocalCluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Makes keys and settings and starts every process; returns when all are connected."""
        members = [*self.parties, *([self.helper] if self.helper else [])]
        keys = self.folder / "keys"
        keys.mkdir(parents=True, exist_ok=True)
        if not (keys / "ca.pem").exists():
            certificates.create_ca(keys)
        for name in ["coordinator", *members]:
            if (keys / f"{name}.pem").exists():
                self._identities[name] = certificates.load(keys, name)
            else:
                self._identities[name] = certificates.issue(keys, name, ["127.0.0.1"] if name in members else ())
        self._write_coordinator()
        self.start_process("coordinator")
        self.address = self.wait_ready("coordinator")["address"]
        # The port that it found stays its own when it is started again.
        self._coordinator_settings["listen"] = self.address
        self._write_coordinator()
        for name in members:
            self._write_member(name)
            self.start_process(name)
        for name in members:
            self.wait_ready(name)

    def stop(self) -> None:
        """Ends every process, and removes the folder if it was a temporary one."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        # Agents first, so that they can say goodbye.
        order = [n for n in self.processes if n != "coordinator"]
        for group in (order, ["coordinator"]):
            self._end([self.processes[n] for n in group if n in self.processes])
        self.processes.clear()
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
        """Asks the processes to end, and kills those that do not."""
        for process in processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin:
                with contextlib.suppress(OSError):
                    process.stdin.close()

    def start_process(self, name: str) -> subprocess.Popen[bytes]:
        """Starts (again) one process by its name; `wait_ready` waits until it is up."""
        kind = "coordinator" if name == "coordinator" else "helper" if name == self.helper else "party"
        ready = self._ready_file(name)
        ready.unlink(missing_ok=True)
        if name in self.processes:
            self._end([self.processes[name]])
        arguments = [sys.executable, "-P", "-m", "ppc.cli", kind]
        # The processes end when our end of their input closes: also when this process is killed.
        arguments += ["--config", str(self.config(name)), "--ready-file", str(ready), "--until-eof"]
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )
        return self.processes[name]

    def wait_ready(self, name: str, timeout_s: float = READY_S) -> dict[str, Any]:
        """What the process wrote when it was up; raises what stopped it otherwise."""
        deadline = time.monotonic() + timeout_s
        process, ready = self.processes[name], self._ready_file(name)
        while time.monotonic() < deadline:
            if ready.exists():
                found: dict[str, Any] = json.loads(ready.read_text("utf-8"))
                return found
            if process.poll() is not None:
                raise _error_in(self.log(name), name, process.returncode)
            time.sleep(0.02)
        raise PeerTimeout(f"{name} was not up within {timeout_s:g} s", where=str(self.log(name)), party=name)

    # ---- places ----
    def config(self, name: str) -> Path:
        """The settings of one process."""
        return self.folder / name / ("coordinator.toml" if name == "coordinator" else "party.toml")

    def log(self, name: str) -> Path:
        """What the process wrote to its terminal."""
        return self.folder / name / "log.txt"

    def workdir(self, name: str) -> Path:
        """The working folder of a party or helper: `jobs/ID`, `models`, `audit.jsonl`."""
        return self.folder / name / "work"

    def job_folder(self, job_id: str, party: str) -> Path:
        """What a job left at a party."""
        return self.workdir(party) / "jobs" / job_id

    def _ready_file(self, name: str) -> Path:
        return self.folder / name / "ready.json"

    # ---- jobs ----
    def client(self, party: str) -> Client:
        """A connection as that party."""
        if party not in self._clients:
            self._clients[party] = Client(self._identities[party], self.address)
        return self._clients[party]

    def submit(self, job_toml: str, party: str | None = None) -> JobRecord:
        """Proposes a job, as the first party if none is named."""
        from ppc.coordinator import proposals

        job, _planned = proposals.submit(self.client(party or next(iter(self.parties))), job_toml)
        return job

    def watch(self, job_id: str, party: str | None = None) -> Iterator[Event]:
        """What happens to the job, until it has ended."""
        return self.client(party or next(iter(self.parties))).watch(job_id)

    def wait(self, job_id: str, timeout_s: float = 300.0, party: str | None = None) -> JobRecord:
        """The job after it has ended; raises `PeerTimeout` if it has not in time. Its failure is in `.fault`."""
        client = self.client(party or next(iter(self.parties)))
        deadline = time.monotonic() + timeout_s
        while True:
            job = client.job(job_id)
            if job.state.ended:
                return job
            if time.monotonic() > deadline:
                raise PeerTimeout(f"the job is {job.state} after {timeout_s:g} s", where=f"job {job_id}")
            time.sleep(0.05)

    def result(self, job_id: str, party: str) -> dict[str, Any]:
        """The party's own result.json: plan, steps, summaries, cost."""
        from ppc.joint.artifacts import loads

        found: dict[str, Any] = loads((self.job_folder(job_id, party) / "result.json").read_text("utf-8"))
        return found

    # ---- settings ----
    def _write_coordinator(self) -> None:
        roster = {"parties": list(self.parties), "helpers": [self.helper] if self.helper else []}
        settings = {"listen": "127.0.0.1:0", **self._coordinator_settings}
        self._write(self.config("coordinator"), settings, {"identity": self._identity("coordinator"), "roster": roster})

    def _write_member(self, name: str) -> None:
        settings: dict[str, Any] = {"name": name, "workdir": "work"}
        if self._operators:
            settings["operators"] = self._operators
        tables: dict[str, dict[str, Any]] = {
            "coordinator": {"address": self.address},
            "identity": self._identity(name),
        }
        if name == self.helper:
            settings["serve"] = list(self.parties)
            settings["max_jobs"] = 4
        else:
            settings.update(self._party_settings)
            for dataset, source in self.parties[name].items():
                path, schema = source if isinstance(source, tuple) else (source, None)
                shown = str(path) if str(path).startswith("duckdb:") else str(Path(path).resolve())
                entry = {"path": shown}
                if schema is not None:
                    entry["schema"] = str(Path(schema).resolve())
                tables[f"datasets.{_quoted(dataset)}"] = entry
            self._write_text(self.folder / name / "policy.toml", self._policies.get(name, ALLOW_ALL))
        self._write(self.config(name), settings, tables)

    def _identity(self, name: str) -> dict[str, str]:
        found = self._identities[name]
        return {"certificate": str(found.cert_path), "key": str(found.key_path), "ca": str(found.ca_path)}

    def _write(self, path: Path, settings: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> None:
        lines = [f"{key} = {_toml(value)}" for key, value in settings.items()]
        for title, table in tables.items():
            lines += ["", f"[{title}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
        self._write_text(path, "\n".join(lines) + "\n")

    @staticmethod
    def _write_text(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_write(path) as file:
            file.write(text.encode())


def _quoted(text: str) -> str:
    # JSON strings are TOML basic strings, but for a character that neither file names nor dataset names have.
    return json.dumps(text)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    raise ConfigError(f"a setting cannot be a {type(value).__name__}")


def _error_in(log: Path, name: str, code: int) -> PpcError:
    """The error that a process printed before it ended."""
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    for line in reversed(lines):
        if line.startswith("error[PPC-E"):
            return PpcError.from_dict(
                {"code": line[6:14], "what": line.partition("]: ")[2], "party": name, "where": str(log)}
            )
    return InternalError(f"{name} ended with status {code} before it was up", where=str(log), party=name)

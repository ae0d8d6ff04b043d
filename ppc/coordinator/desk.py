"""What an agent has at hand: configuration, policy, folders, and at a party (not at a helper) the data."""

from __future__ import annotations

import fcntl
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import ppc
from ppc.coordinator import policy as policies
from ppc.coordinator.borders import Borders, Flow, flows
from ppc.coordinator.config import (
    CoordinatorAddress,
    HelperConfig,
    PartyConfig,
    beside,
    join_address,
    load,
    split_ports,
)
from ppc.coordinator.identity import identity_of, read_pem
from ppc.coordinator.jobs import DatasetEntry, Role
from ppc.coordinator.planning import Planned, ask_of, load_operators, plan_job
from ppc.coordinator.policy import Verdict
from ppc.coordinator.runner import ask
from ppc.core.files import atomic_write
from ppc.core.rng import random_bytes
from ppc.errors import ConfigError, FileError, JobStateError, PlanMismatch, PpcError

INSPECT_S: Final = 600.0


class Desk(ABC):
    """One agent's own side of everything."""

    role: Role
    max_jobs: int
    denies: bool

    def __init__(self, path: Path, config: PartyConfig | HelperConfig) -> None:
        self.path, self.config = path, config
        self.me: str = config.name
        self.identity = identity_of(config.name, config.identity, path)
        self.ca = read_pem(self.identity.ca_path)
        self.coordinator: CoordinatorAddress = config.coordinator
        self.workdir = beside(path, config.workdir)
        self.orphan_s = config.orphan_s
        self.version = ppc.__version__
        self.instance = random_bytes(8).hex()
        self._lock_file: int | None = None
        load_operators(config.operators)
        self._make(self.workdir)

    def open(self) -> None:
        """Takes the working folder for this process alone."""
        try:
            self._lock_file = os.open(self.workdir / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileError(
                f"another agent of {self.me} works in this folder", where=str(self.workdir), hint="stop it first"
            ) from None
        except OSError as error:
            raise FileError(f"cannot lock the folder: {error.strerror}", where=str(self.workdir)) from error

    def close(self) -> None:
        """Gives the working folder back."""
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def datasets(self) -> list[str]:
        """The names of our datasets."""
        return []

    def entries(self) -> tuple[DatasetEntry, ...]:
        """What the catalog may say of them."""
        return ()

    def plan(self, job_toml: str, entries: Iterable[DatasetEntry]) -> Planned:
        """The plan as this agent computes it."""
        return plan_job(job_toml, entries)

    @abstractmethod
    def judge(self, planned: Planned, submitter: str) -> Verdict:
        """What our policy says."""

    def flows(self, planned: Planned) -> tuple[Flow, ...]:
        """What of our data would cross a border."""
        return ()

    @property
    def borders(self) -> Borders | None:
        """What our policy says of borders."""
        return None

    # ---- folders ----
    def folder(self, job_id: str) -> Path:
        """Where everything about a job lies."""
        return self.workdir / "jobs" / job_id

    def claim(self, job_id: str, attempt: int) -> None:
        """Marks an attempt as run; raises `JobStateError` if it, or a later one, was run before."""
        file = self._make(self.folder(job_id)) / "attempt.json"
        try:
            last = int(json.loads(file.read_text("utf-8"))["attempt"])
        except FileNotFoundError:
            last = 0
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileError("cannot read which attempt of the job ran last", where=str(file)) from error
        if attempt <= last:
            raise JobStateError(f"attempt {attempt} of job {job_id} ran before", party=self.me)
        with atomic_write(file, mode=0o600) as out:
            out.write(json.dumps({"attempt": attempt}).encode())

    @staticmethod
    def _make(folder: Path) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise FileError(
                f"cannot make the folder: {error.strerror}",
                where=str(folder),
                hint="name another one in the settings: workdir",
            ) from error
        return folder

    # ---- jobs ----
    def advertise(self, host: str, port: int) -> str:
        """What the others connect to; empty if we do not listen."""
        if not port:
            return ""
        shown = self.config.data_plane.advertise
        if shown is None:
            return join_address(host, port)
        return shown if ":" in shown and not shown.endswith("]") else f"{shown}:{port}"

    def task(self, job_id: str, attempt: int, planned: Planned, job_toml: str) -> dict[str, Any]:
        """The first line of a child's input."""
        host, ports = split_ports(self.config.data_plane.listen)
        return {
            "task": "deal",
            "me": self.me,
            "job_id": job_id,
            "attempt": attempt,
            "parties": list(planned.job.parties),
            "helper": planned.helper,
            "identity": [
                self.me,
                *(str(p.resolve()) for p in (self.identity.cert_path, self.identity.key_path, self.identity.ca_path)),
            ],
            "listen": [host, list(ports)],
            "idle_timeout_s": self.config.idle_timeout_s,
            "folder": str(self.folder(job_id)),
            "job_toml": job_toml,
            "plan_hash": planned.plan.hash,
            "operators": list(self.config.operators),
            "dataset": None,
            "models": None,
        }


class PartyDesk(Desk):
    """A party: data, and a policy."""

    role = Role.PARTY
    config: PartyConfig

    def __init__(self, path: Path) -> None:
        super().__init__(path, load(path, PartyConfig))
        self.policy = policies.read(beside(path, self.config.policy))
        self.max_jobs = self.policy.max_jobs
        self.denies = self.policy.otherwise == "deny"
        self._found: dict[str, dict[str, Any]] = {}

    def open(self) -> None:
        """Looks at every dataset, in a child process: the agent itself stays small."""
        super().open()
        if not self.config.datasets:
            return
        task = {
            "task": "inspect",
            "me": self.me,
            "operators": list(self.config.operators),
            "datasets": {name: self._settings(name) for name in self.config.datasets},
        }
        answer = ask(task, self.workdir / "inspect.log", INSPECT_S)
        if answer.get("event") != "inspected":
            raise PpcError.from_dict(answer.get("own", {}))
        self._found = answer["datasets"]

    def datasets(self) -> list[str]:
        """The names of our datasets."""
        return list(self.config.datasets)

    def entries(self) -> tuple[DatasetEntry, ...]:
        """Names, types and roles of the columns, and the number of rows as the policy lets it be known."""
        return tuple(
            DatasetEntry(
                self.me,
                name,
                found["public"],
                self.policy.published_rows(found["rows"]),
                self.config.datasets[name].visible_to,
            )
            for name, found in self._found.items()
        )

    def plan(self, job_toml: str, entries: Iterable[DatasetEntry]) -> Planned:
        """The plan; raises `PlanMismatch` if the coordinator says other things of our data than we do."""
        entries = list(entries)
        planned = super().plan(job_toml, entries)
        mine = {e.name: e for e in self.entries()}
        for entry in entries:
            own = mine.get(entry.name)
            if entry.party == self.me and (own is None or own.schema_toml != entry.schema_toml):
                raise PlanMismatch(
                    f"the job was planned with another schema than {self.me} has now",
                    where=f"dataset '{entry.name}'",
                    hint="submit the job again",
                    party=self.me,
                )
        return planned

    def judge(self, planned: Planned, submitter: str) -> Verdict:
        """What policy.toml says."""
        from ppc.dataset.schema import Schema

        name = planned.job.datasets.get(self.me, "")
        if name not in self._found:
            raise ConfigError(f"there is no dataset '{name}'", where="party.toml")
        schema = Schema.from_toml(self._found[name]["schema"])
        asked = ask_of(planned, self.me, schema, submitter)
        abroad = tuple(dict.fromkeys((f.to, f.country) for f in self.flows(planned)))
        return policies.judge(self.policy, replace(asked, abroad=abroad))

    def flows(self, planned: Planned) -> tuple[Flow, ...]:
        """What of our data would cross a border, with the grades of our own schema."""
        from ppc.dataset.schema import Schema

        found = self._found.get(planned.job.datasets.get(self.me, ""))
        return flows(planned, self.me, Schema.from_toml(found["schema"]) if found else None, self.borders)

    @property
    def borders(self) -> Borders | None:
        """What policy.toml says of borders."""
        return self.policy.borders

    def task(self, job_id: str, attempt: int, planned: Planned, job_toml: str) -> dict[str, Any]:
        """The child's task, with the dataset to load."""
        name = planned.job.datasets[self.me]
        return {
            **super().task(job_id, attempt, planned, job_toml),
            "task": "run",
            "dataset": {**self._settings(name), "public": self._found[name]["public"]},
            "models": str(self._make(self.workdir / "models")),
            "limits": dict(self.policy.limits),
            "peer_rows": {
                p: most
                for p, rows in planned.plan.steps[0].view.rows.items()
                if p != self.me and (most := self.policy.peer_rows(rows)) is not None
            },
        }

    def _settings(self, name: str) -> dict[str, Any]:
        settings = self.config.datasets[name]
        path = settings.path
        if not path.startswith("duckdb:"):
            path = str(beside(self.path, path))
        elif path.startswith("duckdb:///") and not path.startswith("duckdb:////"):
            path = "duckdb:////" + str(beside(self.path, path.removeprefix("duckdb:///"))).lstrip("/")
        schema = str(beside(self.path, settings.schema_file)) if settings.schema_file else None
        return {"name": name, "path": path, "schema": schema, "hide": list(settings.hide)}


class HelperDesk(Desk):
    """A helper: no data, and a list of whom it serves."""

    role = Role.HELPER
    denies = True
    config: HelperConfig

    def __init__(self, path: Path) -> None:
        super().__init__(path, load(path, HelperConfig))
        self.max_jobs = self.config.max_jobs

    def judge(self, planned: Planned, submitter: str) -> Verdict:
        """Allowed if every party is one that it serves."""
        from fnmatch import fnmatchcase

        strangers = [p for p in planned.job.parties if not any(fnmatchcase(p, s) for s in self.config.serve)]
        if planned.helper != self.me or strangers:
            return Verdict(False, reasons=tuple(f"it does not serve {p}" for p in strangers))
        return Verdict(True, rule="serve")

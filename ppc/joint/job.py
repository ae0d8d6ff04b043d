"""The job file: who computes what together, on which data, in which steps.

```toml
name = "joint-scorecard"
parties = ["bank-a", "bank-b"]     # a party's index here is its rank
helper = "none"                    # or the name of one that deals correlated randomness
result = "bank-a"

[datasets]
bank-a = "customers"               # a name in that party's catalog
bank-b = "behaviour"

[[step]]
operator = "align"
keys = ["customer_id"]
holdout = 0.3
```

Every other key of a step is a parameter of its operator. Two files that mean the same have the same `hash`, whatever
their layout.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ppc.core.rng import Stream
from ppc.errors import FileError, JobFileError, did_you_mean
from ppc.joint.operator import Params
from ppc.joint.release import Release

if TYPE_CHECKING:
    from ppc.mpc.correlations.pairwise import Randomness

#: Goes into every job's hash: parties that run different versions of the protocol hold different jobs.
PROTOCOL: str = "ppc.joint/1"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_KEYS = ("name", "parties", "helper", "result", "seed", "quorum", "randomness", "datasets", "release", "step")
NO_HELPER = "none"
_WAYS = ("ot", "silent")


@dataclass(frozen=True)
class Step:
    """One step: its name (by default its operator's), the operator's name, and the checked parameters."""

    name: str
    operator: str
    params: Params

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "operator": self.operator, "params": self.params.model_dump(mode="json")}


@dataclass(frozen=True)
class Job:
    """A checked job. `parties` are in rank order; `helper` is a name or `"none"`; `seed` is public.

    `randomness`: how two parties without a helper make what they compute with: `"ot"` rests on base transfers and a
    cipher alone, `"silent"` also on LPN, and sends less.
    `quorum`: how many parties must stay for steps that survive the loss of a party; `None`: two thirds, rounded up.
    `release`: every figure leaves with noise, at this cost for the whole job.
    """

    name: str
    parties: tuple[str, ...]
    steps: tuple[Step, ...]
    result: str
    helper: str = NO_HELPER
    seed: int = 0
    datasets: Mapping[str, str] = field(default_factory=dict)
    quorum: int | None = None
    release: Release | None = None
    randomness: Randomness = "ot"

    @staticmethod
    def from_toml(text: str, *, where: str = "job") -> Job:
        """The job that a TOML text describes; `where` (a file's name) goes into errors.

        Raises:
            JobFileError: naming the line, or the step and the key.
        """
        try:
            doc = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise JobFileError(f"not valid TOML: {error}", where=where) from None
        return _Reader(text, where).job(doc)

    @staticmethod
    def read(path: str | Path) -> Job:
        """The job in a TOML file. `FileError` if it cannot be read, `JobFileError` if it is not a job."""
        try:
            text = Path(path).read_text("utf-8")
        except OSError as error:
            raise FileError(f"cannot read the job file: {error.strerror}", where=str(path)) from None
        except UnicodeDecodeError:
            raise JobFileError("not valid UTF-8", where=str(path)) from None
        return Job.from_toml(text, where=str(path))

    @staticmethod
    def from_dict(doc: Mapping[str, Any], *, where: str = "job") -> Job:
        """The job that plain values describe: the keys of the TOML file."""
        return _Reader("", where).job(dict(doc))

    def to_dict(self) -> dict[str, Any]:
        """Every value, defaults included: what the hash covers."""
        return {
            "protocol": PROTOCOL,
            "name": self.name,
            "parties": list(self.parties),
            "helper": self.helper,
            "result": self.result,
            "seed": self.seed,
            "datasets": dict(sorted(self.datasets.items())),
            "steps": [s.to_dict() for s in self.steps],
            **({} if self.quorum is None else {"quorum": self.quorum}),
            **({} if self.release is None else {"release": self.release.model_dump(mode="json")}),
            **({} if self.randomness == "ot" else {"randomness": self.randomness}),
        }

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the canonical form, in hex: equal at two parties if and only if their files mean the same."""
        return digest(self.to_dict())

    def rank(self, party: str) -> int:
        """The party's index."""
        return self.parties.index(party)

    def step(self, name: str) -> Step:
        """The step of this name."""
        for step in self.steps:
            if step.name == name:
                return step
        raise JobFileError(f"there is no step '{name}'", hint=did_you_mean(name, [s.name for s in self.steps]))

    def public_stream(self, label: str) -> Stream:
        """Randomness that all parties have the same of and that protects nothing (the order of batches)."""
        return Stream(hashlib.sha256(f"ppc public stream\0{self.seed}\0{label}".encode()).digest()[:16])


def canonical(value: Any) -> bytes:
    """JSON of plain values with sorted keys and no spaces: one spelling for one meaning."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of `canonical(value)`, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


class _Reader:
    """Turns the parsed document into a `Job`, and a fault into an error that says where it stands."""

    def __init__(self, text: str, where: str) -> None:
        self.lines = text.splitlines()
        self.file = where

    def job(self, doc: dict[str, Any]) -> Job:
        for key in doc:
            if key not in _KEYS:
                raise self.fault(f"unknown key '{key}'", key=key, hint=did_you_mean(key, _KEYS))
        parties = self.parties(doc.get("parties"))
        helper = self.text(doc, "helper", default=NO_HELPER)
        if helper in parties:
            raise self.fault("the helper must not be one of the parties", key="helper")
        if not _NAME.fullmatch(helper):
            raise self.fault(f"'{helper}' is not a party's name", key="helper")
        result = self.text(doc, "result", default=parties[0])
        if result not in parties:
            raise self.fault(f"'{result}' is not a party of this job", key="result", hint=did_you_mean(result, parties))
        seed = doc.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise self.fault("must be a whole number, 0 or more", key="seed")
        quorum = doc.get("quorum")
        if quorum is not None and (
            isinstance(quorum, bool) or not isinstance(quorum, int) or not len(parties) < 2 * quorum <= 2 * len(parties)
        ):
            raise self.fault("must be more than half of the parties, and at most all of them", key="quorum")
        randomness = doc.get("randomness", "ot")
        if randomness not in ("ot", "silent"):
            raise self.fault("must be 'ot' or 'silent'", key="randomness", hint=did_you_mean(str(randomness), _WAYS))
        if "randomness" in doc and helper != NO_HELPER:
            raise self.fault(
                f"is for two parties without a helper, and the job has one, '{helper}'", key="randomness",
                hint="Leave out one of the two keys.",
            )  # fmt: skip
        return Job(
            name=self.named(self.text(doc, "name"), "name"),
            parties=parties,
            helper=helper,
            result=result,
            seed=seed,
            datasets=self.datasets(doc.get("datasets", {}), parties),
            steps=self.steps(doc.get("step")),
            quorum=quorum,
            release=self.release(doc.get("release")),
            randomness=randomness,
        )

    def release(self, value: Any) -> Release | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.fault("must be a table: [release] epsilon = 1.0", key="release")
        try:
            return Release.model_validate_json(json.dumps(value, default=str))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            key = ".".join(map(str, first["loc"]))
            hint = did_you_mean(key, Release.model_fields) if first["type"] == "extra_forbidden" else None
            what = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                what = f"unknown key '{key}'"
            raise self.fault(what[:1].lower() + what[1:], key=f"release.{key}", hint=hint) from None

    def text(self, doc: dict[str, Any], key: str, default: str | None = None) -> str:
        value = doc.get(key, default)
        if value is None:
            raise self.fault(f"the key '{key}' is missing", key=key)
        if not isinstance(value, str) or not value:
            raise self.fault("must be text, not empty", key=key)
        return value

    def named(self, name: str, key: str, step: int | None = None) -> str:
        if not _NAME.fullmatch(name):
            hint = "Use letters, digits, '-', '_' and '.', at most 64, beginning and ending with a letter or digit."
            raise self.fault(f"'{name}' cannot be a name", key=key, step=step, hint=hint)
        return name

    def parties(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(p, str) for p in value) or len(value) < 2:
            raise self.fault("must be a list of two or more parties' names", key="parties")
        for party in value:
            self.named(party, "parties")
            if party == NO_HELPER:
                raise self.fault(f"no party can be called '{NO_HELPER}'", key="parties")
        if len(set(value)) != len(value):
            raise self.fault("lists a party twice", key="parties")
        return tuple(value)

    def datasets(self, value: Any, parties: tuple[str, ...]) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(v, str) and v for v in value.values()):
            raise self.fault("must map each party to the name of a dataset in its catalog", key="datasets")
        for party in value:
            if party not in parties:
                raise self.fault(f"'{party}' is not a party of this job", key=party, hint=did_you_mean(party, parties))
        if value and len(value) != len(parties):
            missing = next(p for p in parties if p not in value)
            raise self.fault(f"names no dataset of '{missing}'", key="datasets")
        return value

    def steps(self, value: Any) -> tuple[Step, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(s, dict) for s in value):
            raise self.fault("a job needs one or more [[step]] tables", key="step")
        steps: list[Step] = []
        for i, table in enumerate(value):
            step = self.step(i, table)
            if any(s.name == step.name for s in steps):
                hint = 'Give the second one another name: name = "…".'
                raise self.fault(f"two steps are called '{step.name}'", key="name", step=i, hint=hint)
            steps.append(step)
        return tuple(steps)

    def step(self, i: int, table: dict[str, Any]) -> Step:
        from ppc.joint import registry

        params = {k: v for k, v in table.items() if k not in ("name", "operator")}
        operator = table.get("operator")
        if not isinstance(operator, str) or not operator:
            raise self.fault("the key 'operator' is missing", key="operator", step=i)
        try:
            model = registry.get(operator).Params
        except JobFileError as error:
            raise self.fault(error.what, key="operator", step=i, hint=error.hint) from None
        name = table.get("name", operator)
        if not isinstance(name, str):
            raise self.fault("must be text", key="name", step=i)
        self.named(name, "name", step=i)
        try:
            # Through JSON, so that types are strict ("3" is no number) while lists may still become tuples.
            checked = model.model_validate_json(json.dumps(params, default=str))
        except ValidationError as error:
            raise self.invalid(error, i, name, model) from None
        return Step(name, operator, checked)

    def invalid(self, error: ValidationError, i: int, name: str, model: type[Params]) -> JobFileError:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        # A misspelt key gives two errors: the one that names it helps more than the one that misses the right one.
        first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
        path = [str(p) for p in first["loc"]]
        key = path[0] if path else None
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(path[-1], model.model_fields) if len(path) == 1 else None
            what = f"unknown key '{'.'.join(path)}'"
            return self.fault(what, key=key, step=i, name=name, hint=hint or "It has no parameters.")
        what = first["msg"].removeprefix("Value error, ")
        return self.fault(what[:1].lower() + what[1:], key=".".join(path) or None, step=i, name=name)

    # --- places ---
    def fault(
        self,
        what: str,
        *,
        key: str | None = None,
        step: int | None = None,
        name: str | None = None,
        hint: str | None = None,
    ) -> JobFileError:
        line = self.line(key.split(".")[0] if key else None, step)
        parts = [self.file]
        if line:
            parts.append(f"line {line}")
        if step is not None:
            parts.append(f"step '{name}'" if name else f"step {step + 1}")
        if key and f"'{key}'" not in what:
            parts.append(f"key '{key}'")
        return JobFileError(what, where=", ".join(parts), hint=hint)

    def line(self, key: str | None, step: int | None) -> int | None:
        """The line of a key, at the top or in the step of that index; the step's first line if the key is absent."""
        seen, header, place = -1, None, None
        for number, line in enumerate(self.lines, 1):
            bare = line.strip()
            if re.match(r"\[\[\s*step\s*\]\]", bare):
                seen += 1
                if seen == step or (key == "step" and header is None):
                    header = number
            elif re.match(r"\[\s*datasets\s*\]", bare) and key == "datasets":
                header = number
            elif key and re.match(rf"[\"']?{re.escape(key)}[\"']?\s*[.=]", bare) and (step is None or seen == step):
                place = place or number
        return place or header

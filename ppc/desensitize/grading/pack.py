"""Rule packs: TOML files that map categories to a grade, each rule with the clause of the standard or law it rests on.

    name = "pipl"
    title = "…"
    version = "2025.1"
    date = 2025-11-23
    general = true                     # holds for every trade: used unless packs are named
    scale = "…"                        # how the standard's own levels became grades 1 to 5

    [[rule]]
    category = ["health.*", "person.biometric"]
    role = ["sensitive"]               # optional: only columns of these roles
    grade = 4
    label = "sensitive personal information"
    clause = "PIPL Art. 28"
    verified = true                    # the clause was checked against a source, `source`
    source = "…"

A rule that is not `verified` is shown as such wherever it is used.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ppc.dataset.schema import Grade, Role
from ppc.errors import ConfigError, FileError, did_you_mean

_Text = Annotated[str, Field(min_length=1)]
_MAX_BYTES: Final = 4 << 20


class Rule(BaseModel):
    """One rule of a pack: which categories and roles, what grade, on what ground."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: Annotated[list[_Text], Field(min_length=1)]
    role: list[Role] | None = None
    grade: Annotated[int, Field(ge=1, le=5)]
    label: _Text
    clause: _Text
    verified: bool = False
    source: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        if self.verified and not self.source:
            raise ValueError("a verified rule names its source")
        return self

    def holds(self, category: str, role: Role | None) -> bool:
        """Whether the rule speaks of a column of this category and role."""
        return (self.role is None or role in self.role) and any(fnmatchcase(category, c) for c in self.category)


class Pack(BaseModel):
    """A versioned, dated set of rules for one law or standard."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Text
    title: _Text
    version: _Text
    date: dt.date
    general: bool = False
    scale: _Text
    rule: Annotated[list[Rule], Field(min_length=1)]

    @property
    def label(self) -> str:
        """Name and version, for a record of what was applied."""
        return f"{self.name} {self.version}"

    @staticmethod
    def from_toml(text: str, *, where: str) -> Pack:
        """A pack from TOML; ConfigError names the place and the key."""
        try:
            return Pack.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as e:
            raise ConfigError(f"not valid TOML: {e}", where=where) from None
        except ValidationError as e:
            first = e.errors()[0]
            key = ".".join(str(p) for p in first["loc"])
            raise ConfigError(first["msg"].removeprefix("Value error, "), where=f"{where}, key '{key}'") from None

    @staticmethod
    def read(path: str | Path) -> Pack:
        """A pack from a file. FileError if it can not be read, ConfigError if it is no pack."""
        try:
            with Path(path).open("rb") as f:
                data = f.read(_MAX_BYTES + 1)
            text = data.decode("utf-8-sig")
        except OSError as e:
            raise FileError(f"the rule pack can not be read: {e.strerror}", where=str(path)) from None
        except UnicodeDecodeError:
            raise FileError("the rule pack is not UTF-8", where=str(path)) from None
        if len(data) > _MAX_BYTES:
            raise FileError(f"the rule pack is larger than {_MAX_BYTES >> 20} MiB", where=str(path))
        return Pack.from_toml(text, where=str(path))


@dataclass(frozen=True)
class Basis:
    """Why a column has a grade: the rule of a pack that gave it."""

    pack: str
    version: str
    grade: Grade
    label: str
    clause: str
    verified: bool

    def text(self) -> str:
        """One line for a person."""
        return f"{self.label} ({self.clause}{'' if self.verified else ', unverified'})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "pack": self.pack,
            "version": self.version,
            "grade": int(self.grade),
            "label": self.label,
            "clause": self.clause,
            "verified": self.verified,
        }


@cache
def available() -> dict[str, Pack]:
    """The packs that come with ppc, by name."""
    folder = resources.files(__name__.rpartition(".")[0]).joinpath("packs")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    packs = [Pack.from_toml(f.read_text("utf-8"), where=f.name) for f in files]
    return {p.name: p for p in packs}


def chosen_packs(names: Sequence[str | Path | Pack] | None) -> tuple[Pack, ...]:
    """The packs of these names or files; those that hold for every trade if None; ConfigError for an unknown name."""
    known = available()
    if names is None:
        return tuple(p for p in known.values() if p.general)
    out = []
    for name in names:
        if isinstance(name, Pack):
            out.append(name)
        elif isinstance(name, Path) or str(name).endswith(".toml"):
            out.append(Pack.read(name))
        elif name in known:
            out.append(known[name])
        else:
            raise ConfigError(f"no rule pack named '{name}'", where="packs", hint=did_you_mean(name, known))
    return tuple(out)


def grade(packs: Sequence[Pack], category: str, role: Role | None) -> tuple[Basis, ...]:
    """The rules that speak of a category, the first that holds of each pack, highest grade first."""
    found = []
    for pack in packs:
        rule = next((r for r in pack.rule if r.holds(category, role)), None)
        if rule is not None:
            found.append(Basis(pack.name, pack.version, Grade(rule.grade), rule.label, rule.clause, rule.verified))
    return tuple(sorted(found, key=lambda b: -b.grade))

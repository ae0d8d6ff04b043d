"""Detectors that people write, in TOML:

[[detector]]
name = "staff_number"
category = "person.account"
title = "Staff number"               # shown with a finding
role = "identifier"
pattern = 'E\\d{6}'                   # RE2, the whole value
shape = '[A-Z]\\d{6}'                 # what a made-up value could look like, and
chance = 0.04                        # how often such a value would pass by chance
check = "luhn"                       # one of ppc's checks
words = ["north", "south"]           # instead of a pattern: a list of values
names = ["staff_no", "工号"]          # words of column names
power = 0.9                          # how telling the values are alone, 0 to 1
named = 0.6                          # how telling the name is, 0 to 1
text = true                          # find it inside longer text too (`free_text`, `ppc scan`)
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ppc.dataset.schema import Role
from ppc.desensitize.detectors import PatternDetector, register
from ppc.desensitize.discovery.checks import NAMED, Check
from ppc.desensitize.discovery.detector import Detector
from ppc.errors import ConfigError, FileError, did_you_mean

_MAX_BYTES: Final = 4 << 20
_Text = Annotated[str, Field(min_length=1, max_length=4096)]
_Share = Annotated[float, Field(ge=0, le=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: _Text
    category: _Text
    title: _Text | None = None
    role: str | None = None
    pattern: _Text | None = None
    shape: _Text | None = None
    chance: Annotated[float, Field(ge=0, lt=1)] = 0.0
    check: str | None = None
    words: list[_Text] | None = None
    names: list[_Text] = []
    power: _Share = 0.9
    named: _Share = 0.6
    text: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.pattern is None and self.words is None and not self.names:
            raise ValueError("a detector needs a pattern, words or names")
        if self.role is not None and self.role not in [r.value for r in Role]:
            raise ValueError(f"no role '{self.role}'. {did_you_mean(self.role, [r.value for r in Role])}")
        if self.check is not None and self.check not in NAMED:
            raise ValueError(f"no check '{self.check}'. {did_you_mean(self.check, NAMED)}")
        if self.text and self.pattern is None:
            raise ValueError("text = true needs a pattern")
        for key in ("pattern", "shape"):
            _check_pattern(key, getattr(self, key))
        return self


def _check_pattern(key: str, pattern: str | None) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pattern is None:
        return
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
        re.compile(pattern)
    except (pa.ArrowInvalid, re.error):
        raise ValueError(f"{key} is not a regular expression (RE2)") from None


def load_detectors(path: str | Path) -> tuple[Detector, ...]:
    """The detectors of a TOML file; those with text = true are registered for text at once.

    Raises:
        FileError: the file can not be read. ConfigError: it is no such file; file and key are named.
    """
    try:
        with Path(path).open("rb") as f:
            data = f.read(_MAX_BYTES + 1)
    except OSError as e:
        raise FileError(f"the detectors can not be read: {e.strerror}", where=str(path)) from None
    if len(data) > _MAX_BYTES:
        raise FileError(f"the file is larger than {_MAX_BYTES >> 20} MiB", where=str(path))
    try:
        raw = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"not valid TOML: {e}", where=str(path)) from None
    return parse(raw, where=str(path))


def parse(raw: Any, *, where: str = "detectors") -> tuple[Detector, ...]:
    """As `load_detectors`, of what a TOML file holds."""
    for key in raw:
        if key != "detector":
            raise ConfigError(f"no such key: '{key}'", where=where, hint=did_you_mean(key, ["detector"]))
    entries = raw.get("detector", [])
    if not isinstance(entries, list):
        raise ConfigError("detectors are written as [[detector]]", where=f"{where}, key 'detector'")
    made = []
    for number, entry in enumerate(entries, 1):
        try:
            made.append(_Entry.model_validate(entry))
        except ValidationError as e:
            first = e.errors()[0]
            key = ".".join(str(p) for p in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise ConfigError(
                message, where=f"{where}, detector {number}" + (f", key '{key}'" if key else "")
            ) from None
    _register_text(made)
    return tuple(_detector(e) for e in made)


def _register_text(entries: Iterable[_Entry]) -> None:
    for e in entries:
        if e.text and e.pattern is not None:
            pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{e.pattern})(?![A-Za-z0-9])")
            register(PatternDetector(e.name, e.category, pattern, _single(e.check)))


def _single(name: str | None) -> Any:
    if name is None:
        return None
    import pyarrow as pa

    check: Check = NAMED[name]
    return lambda text: bool(check(pa.array([text], pa.string()))[0])


def _detector(e: _Entry) -> Detector:
    return Detector(
        name=e.name,
        category=e.category,
        title=e.title or e.name,
        role=None if e.role is None else Role(e.role),
        pattern=e.pattern,
        shape=e.shape,
        check=None if e.check is None else NAMED[e.check],
        words=None if e.words is None else frozenset(w.lower() for w in e.words),
        chance=e.chance,
        power=e.power,
        names=tuple(n.lower() for n in e.names),
        named=e.named,
    )

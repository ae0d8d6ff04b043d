"""Detectors: what finds personal data inside text. `free_text` uses those registered here, and a policy's own patterns.

A detector has a name, a category (as a schema's: `person.phone`) and `find(text)`, which gives the spans it recognises.
`register` adds one for this process; discovery registers its own when it is imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ppc.desensitize import checksums
from ppc.errors import ConfigError, did_you_mean


@runtime_checkable
class Detector(Protocol):
    """Something that finds values of one category in a text."""

    @property
    def name(self) -> str: ...

    @property
    def category(self) -> str: ...

    def find(self, text: str) -> Iterable[tuple[int, int]]:
        """Spans (start, end) in characters."""
        ...


@dataclass(frozen=True)
class PatternDetector:
    """A regular expression, and a check (a checksum, a date) that its match must pass.

    cue: an RE2 pattern that every text with a match has; whole columns are sifted by it before `find` is called.
    """

    name: str
    category: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool] | None = None
    cue: str | None = None

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        for match in self.pattern.finditer(text):
            if match.end() > match.start() and (self.check is None or self.check(match.group())):
                yield match.span()


def _digits(text: str) -> list[int]:
    return [int(c) for c in text if c.isdigit() and c.isascii()]


def luhn(text: str) -> bool:
    """Whether the digits of a text pass Luhn's check."""
    digits = _digits(text)
    return len(digits) > 1 and int(checksums.luhn_digit(np.array([digits[:-1]]))[0]) == digits[-1]


def resident_id(text: str) -> bool:
    """Whether 17 digits and a check character pass GB 11643's check."""
    body = np.array([[int(c) for c in text[:17]]])
    return chr(checksums.resident_check(body)[0]) == text[17].upper()


_BASIC: Final = (
    PatternDetector(
        "email",
        "person.email",
        re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}", re.ASCII),
        cue="@[A-Za-z0-9-]",
    ),
    PatternDetector(
        "cn_resident_id", "person.id", re.compile(r"(?<!\d)[1-9]\d{16}[\dXx](?!\d)", re.ASCII), resident_id, r"\d{17}"
    ),
    PatternDetector(
        "card",
        "finance.card",
        re.compile(r"(?<!\d)[2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?!\d)", re.ASCII),
        luhn,
        r"\d{4}[ -]?\d{4}[ -]?\d{4}",
    ),
    PatternDetector(
        "cn_mobile",
        "person.phone",
        re.compile(r"(?<!\d)(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)", re.ASCII),
        cue=r"1[3-9]\d[ -]?\d{4}[ -]?\d{4}",
    ),
    PatternDetector(
        "ipv4",
        "network.ip",
        re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\.?\d)", re.ASCII),
        cue=r"\d\.\d{1,3}\.\d{1,3}\.\d",
    ),
)
_REGISTERED: Final[dict[str, Detector]] = {d.name: d for d in _BASIC}


def register(detector: Detector) -> None:
    """Add a detector, in place of one of the same name."""
    if not isinstance(detector, Detector):
        raise ConfigError("a detector has name, category and find(text)")
    _REGISTERED[detector.name] = detector


def registered() -> dict[str, Detector]:
    """All detectors, by name."""
    if importlib.util.find_spec("ppc.desensitize.discovery") is not None:
        importlib.import_module("ppc.desensitize.discovery")
    return dict(_REGISTERED)


def chosen(names: Iterable[str] | None) -> list[Detector]:
    """The detectors of these names or categories (all if None); raises ConfigError with the near name."""
    known = registered()
    if names is None:
        return list(known.values())
    out: list[Detector] = []
    for name in names:
        found = [d for d in known.values() if name in (d.name, d.category)]
        if not found:
            every = [*known, *(d.category for d in known.values())]
            raise ConfigError(f"no detector named '{name}'", hint=did_you_mean(name, every))
        out += [d for d in found if d not in out]
    return out


def sifted(array: Any, detectors: Sequence[Detector]) -> list[list[int]]:
    """For each row of an Arrow array of strings, the detectors (by index) that may find something in it.

    One pass over the column with all cues at once tells most rows apart; only the rest is sifted cue by cue.
    """
    cues = [getattr(d, "cue", None) for d in detectors]
    rows: list[list[int]] = [[] for _ in range(len(array))]
    known = [c for c in cues if c is not None]
    always = [i for i, c in enumerate(cues) if c is None]
    if always:
        for row in np.flatnonzero(np.asarray(array.is_valid())):
            rows[row] += always
    if not known:
        return rows
    able = np.flatnonzero(_has(array, "|".join(f"(?:{c})" for c in dict.fromkeys(known))))
    part = array.take(pa.array(able))
    for i, cue in enumerate(cues):
        if cue is not None:
            for row in able[_has(part, cue)]:
                rows[row].append(i)
    return rows


def _has(array: Any, cue: str) -> Any:
    found = pc.fill_null(pc.match_substring_regex(array, cue), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)

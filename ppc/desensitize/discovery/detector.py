"""A detector of one kind of column, and the evidence that it finds in a column's values and name.

What random values would pass is subtracted. Of the values that have a detector's `shape` (16 digits, say), let f be the
share of all values, m the share that also passes its pattern and check, and c the `chance` that a value of that shape
made by anyone passes (Luhn: 1 in 10). If a share p of the column is real and the other f − p are not, then
m = p + c·(f − p), so p = (m − c·f) / (1 − c). For random digits p is 0, whatever the number of rows.
All shares are of distinct values: a number that stands in a thousand rows is one piece of evidence, not a thousand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ppc.dataset.schema import Role
from ppc.desensitize.discovery.checks import Check

Mask = npt.NDArray[np.bool_]

# Classes of bytes, so that a value that can not match is not tried.
DIGIT: Final = 1
LOWER: Final = 2
UPPER: Final = 4
BLANK: Final = 8
HYPHEN: Final = 16
DOT: Final = 32
COLON: Final = 64
SLASH: Final = 128
AT: Final = 256
MARK: Final = 512  # other ASCII
WIDE: Final = 1024  # beyond ASCII
LETTER: Final = LOWER | UPPER
ALNUM: Final = DIGIT | LETTER
ANY: Final = 2047


def _classes() -> npt.NDArray[np.uint16]:
    table = np.full(256, MARK, np.uint16)
    table[48:58], table[97:123], table[65:91], table[128:] = DIGIT, LOWER, UPPER, WIDE
    for character, bit in ((" ", BLANK), ("-", HYPHEN), (".", DOT), (":", COLON), ("/", SLASH), ("@", AT)):
        table[ord(character)] = bit
    return table


CLASSES: Final = _classes()
#: 1 − 10**-6: how sure the values alone must make us for full marks.
_SURE: Final = 6.0


@dataclass(frozen=True, eq=False)
class Values:
    """Distinct values of a column's sample: as texts, or as numbers (float64) or nothing but a type (dates)."""

    kind: str  # "text", "number", "date", "bool"
    texts: Any  # Arrow strings (n,); of numbers that are whole: in decimal; else None
    numbers: npt.NDArray[np.float64] | None
    length: npt.NDArray[np.int32]
    seen: npt.NDArray[np.uint16]
    rows: npt.NDArray[np.int64]  # how many rows of the sample have each value

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def folded(self) -> Any:
        """The texts in small letters, for dictionaries."""
        import pyarrow.compute as pc

        return pc.utf8_lower(self.texts)


@dataclass(frozen=True)
class Detector:
    """What one kind of value looks like, and what columns of it are called.

    Args:
        name, category, title: for a schema and for people; `title` names the standard.
        role: what such a column is in an analysis.
        pattern: RE2, the whole value. shape: the wider pattern for which `chance` holds; None: any value.
        check: what a match must pass besides. words: values (small letters) instead of a pattern.
        number: a test of numbers (float64 array), for columns of numbers that are not whole.
        chance: how probable it is that a made-up value of the shape passes pattern and check.
        power: how telling matching values are when the column's name says nothing, 0 (not at all) to 1.
        coverage: the share of real values that pattern or words know.
        names: words of column names: English in small letters, with '_' between words; others as they are.
        named: how telling the name is, 0 to 1.
        length, chars: lengths in characters and classes of bytes that a value can have.
        kinds: the kinds of columns it looks at.
        distinct: at most so many distinct values (sex has few).
    """

    name: str
    category: str
    title: str
    role: Role | None = None
    pattern: str | None = None
    shape: str | None = None
    check: Check | None = None
    words: frozenset[str] | None = None
    number: Callable[[npt.NDArray[np.float64]], Mask] | None = None
    chance: float = 0.0
    power: float = 1.0
    coverage: float = 1.0
    names: tuple[str, ...] = ()
    named: float = 0.6
    length: tuple[int, int] = (1, 1 << 20)
    chars: int = ANY
    kinds: tuple[str, ...] = ("text", "number")
    distinct: int | None = None

    @property
    def by_name_only(self) -> bool:
        """Whether values can not speak: nothing is known of their look."""
        return self.pattern is None and self.words is None and self.number is None and self.check is None


@dataclass(frozen=True)
class Evidence:
    """What a detector found in a column. `score` in [0, 1]; shares are of distinct values."""

    detector: Detector
    score: float
    shaped: float  # f: of the detector's shape
    matched: float  # m: passed pattern and check
    real: float  # p: what is left when chance is taken off
    sure: float  # how sure it is that this is no chance, 0 to 1
    name: str | None  # the word of the column's name that agrees
    example: str | None  # the outline of a typical match, never a value


def assess(detector: Detector, values: Values, name: str) -> Evidence | None:
    """The evidence for one detector; None if there is none."""
    word = agreeing(detector.names, name)
    if values.kind not in detector.kinds or not len(values):
        return None
    if detector.distinct is not None and len(values) > detector.distinct:
        return None
    if detector.by_name_only:
        return None if word is None else Evidence(detector, detector.named, 0, 0, 0, 0, word, None)
    if word is None and detector.power == 0:
        return None
    shaped, passed = _match(detector, values)
    n, of_shape, hits = len(values), int(shaped.sum()), int(passed.sum())
    if not hits:
        return None
    f, m, c = of_shape / n, hits / n, detector.chance
    real = max(0.0, (m - c * f) / (1 - c)) / detector.coverage
    real = min(real, 1.0)
    sure = min(1.0, -log10_tail(of_shape, hits, c) / _SURE)
    by_value = detector.power * real * sure
    by_name = detector.named if word is not None and m >= 0.5 * detector.coverage else 0.0
    score = 1 - (1 - by_value) * (1 - by_name)
    return Evidence(detector, score, f, m, real, sure, word, _outline(values, passed))


def _match(detector: Detector, values: Values) -> tuple[Mask, Mask]:
    """(of the shape, passed) for each value."""
    import pyarrow.compute as pc

    n = len(values)
    if values.texts is None:
        if detector.number is None or values.numbers is None:
            return np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        return np.ones(n, np.bool_), np.asarray(detector.number(values.numbers))
    low, high = detector.length
    able = (values.length >= low) & (values.length <= high) & ((values.seen & ~np.uint16(detector.chars)) == 0)
    base = able.copy() if detector.shape is not None else np.ones(n, np.bool_)
    passed = able.copy()
    if detector.number is not None and values.numbers is not None:
        return base, passed & np.asarray(detector.number(values.numbers))
    some = np.flatnonzero(able)
    if not len(some):
        return base, passed
    whole = len(some) == n
    part = values.texts if whole else values.texts.take(_index(some))
    if detector.shape is not None:
        base[some] = _matches(part, detector.shape)
        passed &= base
    if detector.pattern is not None and detector.pattern != detector.shape:
        passed[some] &= _matches(part, detector.pattern)
    if detector.words is not None:
        import pyarrow as pa

        folded = values.folded if whole else values.folded.take(_index(some))
        known = pc.is_in(folded, value_set=pa.array(sorted(detector.words), pa.string()))
        passed[some] &= known.to_numpy(zero_copy_only=False)
    if detector.check is not None:
        left = np.flatnonzero(passed)
        if len(left):
            passed[left] = detector.check(values.texts.take(_index(left)))
    return base, passed


def _matches(texts: Any, pattern: str) -> Mask:
    import pyarrow.compute as pc

    found = pc.match_substring_regex(texts, f"^(?:{pattern})$")
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def _index(rows: npt.NDArray[np.int64]) -> Any:
    import pyarrow as pa

    return pa.array(rows)


def log10_tail(n: int, hits: int, c: float) -> float:
    """log₁₀ of a bound on P(X >= hits) for X ~ Binomial(n, c): Chernoff's, exp(−n·D(hits/n ‖ c))."""
    share = hits / n
    if c <= 0:
        c = 1e-9
    if share <= c:
        return 0.0
    divergence = share * math.log(share / c)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - c))
    return -n * divergence / math.log(10)


# --- names ---
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OTHER: Final = re.compile(r"[^0-9a-z\u0080-\U0010ffff]+")
_NUMBERED: Final = re.compile(r"(?<=[a-z])\d+(?=_|$)")


def normal(name: str) -> str:
    """A column's name as words in small letters: `homePhone2` → `_home_phone_`."""
    words = _OTHER.sub("_", _CAMEL.sub("_", name).lower()).strip("_")
    return f"_{_NUMBERED.sub('', words)}_"


def agreeing(names: tuple[str, ...], name: str) -> str | None:
    """The first of `names` that the (normal) name holds: whole words if ASCII (also run together), a part otherwise."""
    for word in names:
        if not word.isascii():
            if word in name:
                return word
        elif f"_{word}_" in name or f"_{word.replace('_', '')}_" in name:
            return word
    return None


# --- outlines ---
_OUTLINE: Final = ((re.compile(r"[0-9]"), "9"), (re.compile(r"[A-Z]"), "A"), (re.compile(r"[a-z]"), "a"))
_FAR: Final = re.compile(r"[^\x00-\x7f]")


def outline(text: str) -> str:
    """What a value looks like, and nothing of what it says: `Ab-12` → `Aa-99`, beyond ASCII `○`; at most 24 long."""
    for pattern, mark in _OUTLINE:
        text = pattern.sub(mark, text)
    text = _FAR.sub("○", text)
    text = "".join(c if c.isprintable() else "·" for c in text)
    return text if len(text) <= 24 else text[:23] + "…"


def _outline(values: Values, passed: Mask) -> str | None:
    if values.texts is None:
        return None
    first = np.flatnonzero(passed)[:64]
    made = [outline(t) for t in values.texts.take(_index(first)).to_pylist()]
    return max(set(made), key=lambda o: (made.count(o), o)) if made else None

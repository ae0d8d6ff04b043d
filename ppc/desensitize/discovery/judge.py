"""Find out what each column of a dataset holds: sample, judge by every detector, grade by the rule packs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ppc.dataset.schema import Field, Grade, Role
from ppc.desensitize.discovery import text
from ppc.desensitize.discovery.catalogue import builtin
from ppc.desensitize.discovery.detector import BLANK, WIDE, Detector, Evidence, Values, assess, normal
from ppc.desensitize.discovery.findings import Candidate, Finding, Inside, Scan
from ppc.desensitize.discovery.sample import chosen_rows, distinct_values, taken
from ppc.desensitize.grading.pack import Pack, chosen_packs, grade
from ppc.errors import ConfigError

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset

Progress = Callable[[float, str], None]

#: Rows that a scan reads by default: a share of values is then known to within one point in a hundred.
SAMPLE_ROWS: Final = 10_000
#: A column is said to hold a category from this score on.
THRESHOLD: Final = 0.5
#: Texts of so many characters, with blanks or beyond ASCII, are searched for personal data within them (at most so many
#: of them) if at least such a share of the column is of that kind.
_WORDS: Final = 10
_SEARCHED: Final = 500
_WORDED_SHARE: Final = 0.02
_INSIDE_SHARE: Final = 0.01


def scan(
    dataset: Dataset,
    *,
    rows: int | None = SAMPLE_ROWS,
    detectors: Iterable[Detector] = (),
    packs: Sequence[str | Path | Pack] | None = None,
    threshold: float = THRESHOLD,
    progress: Progress | None = None,
) -> Scan:
    """What each column seems to hold: category, role, grade, and the reasons.

    Args:
        rows: how many rows to look at, spread over the table; None: all.
        detectors: further ones (`load_detectors` reads them from TOML); they win over those of ppc when scores tie.
        packs: rule packs for grades, by name or file; default: those that hold for every trade (`general`).
        threshold: the score from which a column is said to hold a category.

    Raises:
        ConfigError: rows or threshold are out of range, or there is no such pack.
    """
    if rows is not None and not rows >= 1:
        raise ConfigError("rows should be at least 1", where="rows")
    if not 0 < threshold <= 1:
        raise ConfigError("threshold should be above 0 and at most 1", where="threshold")
    rules = chosen_packs(packs)
    known = (*detectors, *builtin())
    chosen = chosen_rows(dataset.num_rows, rows)
    found = []
    for number, field in enumerate(dataset.schema):
        if progress is not None:
            progress(number / len(dataset.schema), f"column {field.name}")
        found.append(_column(field, taken(dataset.column(field.name), chosen), known, rules, threshold))
    if progress is not None:
        progress(1.0, f"{len(found)} columns")
    looked_at = dataset.num_rows if chosen is None else len(chosen)
    return Scan(dataset.name, dataset.num_rows, looked_at, tuple(found), tuple(p.label for p in rules))


def _column(field: Field, array: Any, known: Sequence[Detector], packs: Sequence[Pack], threshold: float) -> Finding:
    nulls = array.null_count / len(array) if len(array) else 0.0
    values = distinct_values(array)
    if values is None or not len(values):
        return Finding(field.name, field.type, nulls=nulls, reasons=("nothing to look at",))
    name = normal(field.name)
    evidence = [e for d in known if (e := assess(d, values, name)) is not None and e.score >= 0.05]
    evidence.sort(key=lambda e: -e.score)
    best = evidence[0] if evidence and evidence[0].score >= threshold else None
    candidates = tuple(Candidate(e.detector.name, e.detector.category, e.score) for e in evidence[:4])
    if best is None:
        return _unrecognised(field, values, nulls, _inside(values), candidates, packs)
    bases = grade(packs, best.detector.category, best.detector.role)
    return Finding(
        field.name,
        field.type,
        best.detector.category,
        best.detector.role,
        best.detector.name,
        best.detector.title,
        best.score,
        best.matched,
        best.real,
        _reasons(best, len(values)),
        best.example,
        _inside(values) if best.detector.by_name_only else (),
        candidates,
        _highest(bases),
        bases,
        nulls,
        len(values),
    )


def _unrecognised(
    field: Field,
    values: Values,
    nulls: float,
    inside: tuple[Inside, ...],
    candidates: tuple[Candidate, ...],
    packs: Sequence[Pack],
) -> Finding:
    if not inside:
        why = "no detector recognises it"
        if candidates:
            why += f" (nearest: {candidates[0].category}, {candidates[0].score:.2f})"
        return Finding(field.name, field.type, reasons=(why,), candidates=candidates, nulls=nulls, distinct=len(values))
    # Text that holds personal data is as grave as the gravest thing in it.
    bases = tuple(b for i in inside for b in grade(packs, i.category, None))
    held = ", ".join(f"{i.category} in {i.share:.0%}" for i in inside)
    return Finding(
        field.name,
        field.type,
        "text.free",
        Role.SENSITIVE,
        "free_text",
        "Text with personal data in it",
        max(_telling(i.share) for i in inside),
        max(i.share for i in inside),
        max(i.share for i in inside),
        (f"texts hold {held} of them",),
        None,
        inside,
        candidates,
        _highest(bases),
        bases,
        nulls,
        len(values),
    )


def _telling(share: float) -> float:
    """A score for text of which a share holds personal data: one text in a hundred is enough to matter."""
    return min(1.0, 0.5 + share / 2)


def _highest(bases: Sequence[Any]) -> Grade | None:
    return max((b.grade for b in bases), default=None)


def _inside(values: Values) -> tuple[Inside, ...]:
    """What stands within texts of several words; the texts looked at are the first distinct ones."""
    if values.kind != "text":
        return ()
    # Words are parted by blanks, or by nothing at all where the script has none.
    worded = ((values.seen & (BLANK | WIDE)) != 0) & (values.length >= _WORDS)
    if float(worded.mean()) < _WORDED_SHARE:
        return ()
    chosen = np.flatnonzero(worded)[:_SEARCHED]
    texts = values.texts.take(_rows(chosen)).to_pylist()
    scale = float(worded.mean())
    found = [Inside(c, share * scale) for c, share in text.shares(texts).items() if share * scale >= _INSIDE_SHARE]
    return tuple(sorted(found, key=lambda i: (-i.share, i.category)))


def _rows(chosen: Any) -> Any:
    import pyarrow as pa

    return pa.array(chosen)


def _reasons(e: Evidence, n: int) -> tuple[str, ...]:
    detector, out = e.detector, []
    if not detector.by_name_only:
        values = "value" if n == 1 else "distinct values"
        what = "have the look of" if detector.check is None and detector.words is None else "pass the check of"
        out.append(f"{e.matched:.0%} of {n} {values} {what} {detector.title}")
        if detector.chance >= 0.01 and detector.shape is not None:
            out.append(
                f"by chance {detector.chance:.0%} of the {e.shaped:.0%} of that shape would; {e.real:.0%} remain"
            )
    if e.name is not None:
        out.append(f"the name says '{e.name}'")
    return tuple(out)

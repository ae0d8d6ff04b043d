"""What a scan found, for people and programs. Nothing in here holds a value of the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ppc.dataset.schema import Field, Grade, Role, Schema
from ppc.desensitize.grading.pack import Basis


@dataclass(frozen=True)
class Candidate:
    """A detector that had something to say about a column, and how much."""

    detector: str
    category: str
    score: float


@dataclass(frozen=True)
class Inside:
    """Personal data found within longer texts: a category, and the share of the texts looked at that hold some."""

    category: str
    share: float


@dataclass(frozen=True)
class Finding:
    """What a column seems to hold, and why.

    score: 0 to 1. matched: share of the distinct values looked at that the detector took; real: the same with what
    chance explains taken off. example: the outline of a typical match (9 a digit, a and A letters, ○ other characters).
    grade: the highest that a rule gives; `bases` are those rules.
    """

    column: str
    type: str
    category: str | None = None
    role: Role | None = None
    detector: str | None = None
    title: str | None = None
    score: float = 0.0
    matched: float = 0.0
    real: float = 0.0
    reasons: tuple[str, ...] = ()
    example: str | None = None
    inside: tuple[Inside, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    grade: Grade | None = None
    bases: tuple[Basis, ...] = ()
    nulls: float = 0.0
    distinct: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "column": self.column,
            "type": self.type,
            "category": self.category,
            "role": self.role.value if self.role else None,
            "grade": int(self.grade) if self.grade else None,
            "score": round(self.score, 4),
            "detector": self.detector,
            "title": self.title,
            "matched": round(self.matched, 4),
            "real": round(self.real, 4),
            "reasons": list(self.reasons),
            "example": self.example,
            "inside": [{"category": i.category, "share": round(i.share, 4)} for i in self.inside],
            "candidates": [
                {"detector": c.detector, "category": c.category, "score": round(c.score, 4)} for c in self.candidates
            ],
            "bases": [b.to_dict() for b in self.bases],
            "nulls": round(self.nulls, 4),
            "distinct": self.distinct,
        }


@dataclass(frozen=True)
class Scan:
    """The findings on one dataset. `rows` it has, `looked_at` of them were read."""

    dataset: str
    rows: int
    looked_at: int
    findings: tuple[Finding, ...]
    packs: tuple[str, ...]

    def __getitem__(self, column: str) -> Finding:
        for finding in self.findings:
            if finding.column == column:
                return finding
        raise KeyError(column)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def schema(self, base: Schema) -> Schema:
        """`base` with category, role and grade filled in where it leaves them open. 'none' as a category stays."""
        return replace(base, fields=tuple(self._filled(f) for f in base))

    def _filled(self, field: Field) -> Field:
        found = next((f for f in self.findings if f.column == field.name), None)
        if found is None or field.category == "none":
            return field
        return replace(
            field,
            category=field.category or found.category,
            role=field.role or found.role,
            grade=field.grade or found.grade,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "dataset": self.dataset,
            "rows": self.rows,
            "looked_at": self.looked_at,
            "packs": list(self.packs),
            "columns": [f.to_dict() for f in self.findings],
        }

    def table(self) -> tuple[Sequence[str], list[list[str]]]:
        """Headings and rows for a person."""
        head = ("column", "type", "category", "role", "grade", "score", "why")
        return head, [
            [
                f.column,
                f.type,
                f.category or "",
                f.role.value if f.role else "",
                str(int(f.grade)) if f.grade else "",
                f"{f.score:.2f}" if f.category else "",
                "; ".join(f.reasons),
            ]
            for f in self.findings
        ]

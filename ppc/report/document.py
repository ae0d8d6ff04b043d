"""What a report says, as plain values: a title, key figures, and sections made of text, tables and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Cell: TypeAlias = "str | int | float | bool | None"


@dataclass(frozen=True)
class Figure:
    """One number that a reader should see first; `note` says what it is compared with."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Text:
    """One paragraph. `kind` is "plain", "note" (set apart) or "code" (kept as typed)."""

    body: str
    kind: str = "plain"


@dataclass(frozen=True)
class Table:
    """Rows of cells. Numbers are set right and shown with `digits` significant places; `None` is an empty cell."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    digits: int = 4


@dataclass(frozen=True)
class Plot:
    """One drawing as SVG text (see `ppc.report.plots`), with words for those who cannot see it."""

    svg: str
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """Several plots side by side where the page is wide enough."""

    plots: Sequence[Plot]


Block: TypeAlias = Text | Table | Plot | Gallery


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]
    intro: str = ""


@dataclass(frozen=True)
class Report:
    """A whole report. `footer` says who made it, when, and from which job."""

    title: str
    subtitle: str = ""
    figures: Sequence[Figure] = ()
    sections: Sequence[Section] = field(default_factory=tuple)
    footer: str = ""

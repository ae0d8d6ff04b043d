"""Render a `Report` as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ppc.core.files import atomic_write
from ppc.report.document import Block, Cell, Gallery, Plot, Report, Table, Text

if TYPE_CHECKING:
    from jinja2 import Template


def render(report: Report) -> str:
    """The report as HTML text. Every string of the report is escaped; only the SVG of plots goes in as it is."""
    return _template().render(report=report)


def write(report: Report, path: str | Path, *, mode: int = 0o644) -> Path:
    """Write the report to `path`, whole or not at all, and give the path back."""
    target = Path(path)
    with atomic_write(target, mode=mode) as out:
        out.write(render(report).encode())
    return target


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ppc.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _cell
    environment.filters["slug"] = _slug
    environment.tests["number"] = _is_number
    environment.globals["kind"] = _kind
    return environment.get_template("report.html")


_KINDS: dict[type, str] = {Text: "text", Table: "table", Plot: "plot", Gallery: "gallery"}


def _kind(block: Block) -> str:
    return _KINDS[type(block)]


def _slug(title: str) -> str:
    return re.sub(r"[^\w]+", "-", title.lower()).strip("-")


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _cell(value: Cell, digits: int = 4) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return "n/a"
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        return f"{value:.{digits}g}".replace("-", "−")
    return value

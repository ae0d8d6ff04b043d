"""Whose privacy is kept: what one unit may change in the data, and in the cells of a table.

Neighbouring datasets: one is the other without one unit ("add or remove"; the number of units is private too).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ppc.errors import ConfigError


@dataclass(frozen=True)
class Unit:
    """One row, or all rows of one person.

    Args:
        by: the column that names the person; `None`: each row is a unit of its own.
        max_rows: the most rows of one person that a query uses. Which ones is drawn at random; it depends on this
            person's rows only.
        max_groups: for grouped queries, the most groups that one person's rows may lie in.
        max_rows_per_group: for grouped queries, the most rows of one person in one group.

    Raises:
        ConfigError: a limit is missing, or is not a whole number of 1 or more.
    """

    by: str | None = None
    max_rows: int = 1
    max_groups: int | None = None
    max_rows_per_group: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_rows", "max_groups", "max_rows_per_group"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000_000
            if not whole and not (value is None and name != "max_rows"):
                raise ConfigError(f"{name} must be a whole number from 1 to 1,000,000", where="unit")
        if self.by is None and (self.max_rows, self.max_groups, self.max_rows_per_group) != (1, None, None):
            raise ConfigError(
                "limits per person need the column that names the person", where="unit", hint='person("patient_id", …)'
            )

    def __str__(self) -> str:
        if self.by is None:
            return "one row"
        text = f"one person (all rows of one {self.by}, at most {self.max_rows} of them used"
        if self.max_groups is not None:
            text += f", in at most {self.max_groups} groups"
        if self.max_rows_per_group is not None:
            text += f", at most {self.max_rows_per_group} in one group"
        return text + ")"

    def to_dict(self) -> dict[str, Any]:
        """The unit as plain values."""
        parts = {k: getattr(self, k) for k in ("by", "max_rows", "max_groups", "max_rows_per_group")}
        return {k: v for k, v in parts.items() if v is not None} if self.by else {"by": None}

    def reach(self, grouped: bool) -> Reach:
        """How many rows of one unit a query sees, and how they may be spread over its cells."""
        if self.by is None:
            return Reach(cells=1, rows_in_cell=1, rows=1)
        if not grouped:
            return Reach(cells=self.max_rows, rows_in_cell=self.max_rows, rows=self.max_rows)
        cells = min(self.max_groups or self.max_rows, self.max_rows)
        in_cell = min(self.max_rows_per_group or self.max_rows, self.max_rows)
        return Reach(cells=cells, rows_in_cell=in_cell, rows=min(self.max_rows, cells * in_cell))


@dataclass(frozen=True)
class Reach:
    """What adding or removing one unit changes: at most `rows` rows, in at most `cells` cells, `rows_in_cell` in each.

    If one row changes one cell by a vector of ‖·‖₁ <= a and ‖·‖₂ <= b, then one unit changes the whole table by at most
    `rows·a` in L1 and `l2·b` in L2: the norm of the row counts (c₁, c₂, …) is largest when as many cells as possible
    are full, as the sum of squares is convex.
    """

    cells: int
    rows_in_cell: int
    rows: int

    @property
    def l2(self) -> float:
        """The largest L2 norm of (rows of the unit in each cell)."""
        full, rest = divmod(self.rows, self.rows_in_cell)
        return math.sqrt(full * self.rows_in_cell**2 + rest**2)


ROW = Unit()


def person(by: str, *, max_rows: int, max_groups: int | None = None, max_rows_per_group: int | None = None) -> Unit:
    """All rows of one person are the unit. See `Unit`."""
    if not isinstance(by, str) or not by:
        raise ConfigError("by is the name of the column that names the person", where="unit")
    return Unit(by, max_rows, max_groups, max_rows_per_group)

"""Which cells of a table stay closed: the small ones, and others that would give them away by subtraction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.joint.statistics.study import Counts, Study

Mask = NDArray[np.bool_]


def hide_line(study: Study[Any], counts: Counts) -> Mask:
    """Cells (m,) of one line whose total is known."""
    return np.asarray(hide_table(study, counts.reshape(1, -1), columns=False)[0])


def hide_table(study: Study[Any], counts: Counts, *, columns: bool = True) -> Mask:
    """Cells (r, c) of a table whose row totals (and column totals) are known.

    A line's hidden cells together are told by its total, so a line has two of them or more, and their sum must not be
    small either; until then one more cell of the line is hidden. Candidates are the cells whose other line has hidden
    ones already, then in order. Which sums are small is tested without opening them.
    """
    hidden = study.small(counts)
    while True:
        lines = [(i, slice(None)) for i in range(counts.shape[0]) if hidden[i].any()]
        if columns:
            lines += [(slice(None), j) for j in range(counts.shape[1]) if hidden[:, j].any()]  # type: ignore[misc]
        if not lines:
            return hidden
        sums = np.array([int(counts[line][hidden[line]].sum()) for line in lines])
        small = study.any_small(sums)
        grew = False
        for line, bad in zip(lines, small, strict=True):
            row = isinstance(line[0], int)
            free = np.flatnonzero(~hidden[line])
            if (bad or int(hidden[line].sum()) == 1) and len(free):
                crossing = (
                    np.logical_or.reduce(hidden, axis=0 if row else 1)[free] if columns else np.zeros(len(free), bool)
                )
                pick = int(free[np.argsort(~crossing, kind="stable")[0]])
                hidden[(line[0], pick) if row else (pick, line[1])] = True
                grew = True
        if not grew:
            return hidden

"""Survival data of all sites as one table: at each time, how many had the event, were censored, and were at risk.

Two ways, named in the plan. `exact`: every time on the public grid is shown with its counts, as in the appendix of a
paper; a single event is then visible as a step of the curve. Otherwise (the default) neighbouring times are put
together until no count of events or censored rows from 1 to min_cell − 1 is left, and every time in a group counts as
the group's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ppc.errors import ColumnError
from ppc.joint.statistics.partition import cut
from ppc.joint.statistics.study import Counts, Floats, Stopped, Study, StudyParams


class SurvivalParams(StudyParams):
    """time: numeric, not negative. event: 1 (or true) if it happened, 0 if the row is censored.

    interval: the unit of the public grid of times; times are rounded up to it. horizon: the last time on the grid
    (later rows count as censored there). exact: show every time of the grid, also those of few events.
    """

    time: str
    event: str
    interval: float = Field(default=1.0, gt=0)
    horizon: float = Field(gt=0)
    exact: bool = False


@dataclass(frozen=True)
class Times:
    """The pooled table. times (T,): ends of the groups; events, censored, at_risk (T, groups); `at`: each of this
    site's rows' position in `times`, `event` whether it happened."""

    times: Floats
    events: Floats
    censored: Floats
    at_risk: Floats
    at: NDArray[np.int64]
    event: NDArray[np.bool_]
    group: Counts


def read(study: Study[Any], params: SurvivalParams) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Grid cell (0 … cells − 1) of each row, and whether it had the event. A wrong value stops this site."""
    t, e = study.numeric(params.time), study.numeric(params.event)
    if not (t >= 0).all():
        raise ColumnError("holds negative times", where=f"column '{params.time}'", party=study.ctx.me)
    if not np.isin(e, (0, 1)).all():
        raise ColumnError("must be 0 or 1", where=f"column '{params.event}'", party=study.ctx.me)
    cells = int(np.ceil(params.horizon / params.interval - 1e-9)) + 1
    at = np.ceil(t / params.interval - 1e-9).astype(np.int64)
    late = at >= cells
    return np.where(late, cells - 1, at), (e == 1) & ~late


def table(study: Study[Any], params: SurvivalParams, by: str | None) -> Times:
    """The pooled table of events, by group if `by` is given."""
    exact = params.exact
    if exact and not study.limits.exact_times:
        raise Stopped("refused", "a site's policy forbids exact event times: leave out exact = true")
    study.keep(params.time, params.event, *([by] if by else []))
    study.rows()
    at, event = read(study, params)
    group = study.codes(by) if by else np.zeros(len(at), np.int64)
    g = len(study.levels(by) or ()) if by else 1
    cells = int(np.ceil(params.horizon / params.interval - 1e-9)) + 1
    mine = np.zeros((cells, 2 * g), np.int64)
    np.add.at(mine, (at, 2 * group + ~event), 1)
    check_groups(study, mine, by, exact=exact)
    if exact:
        pooled = study.total(counts=mine)["counts"]
        some = np.flatnonzero(pooled.sum(1) > 0)
        ends, counts = some, pooled[some]
        place = np.cumsum(pooled.sum(1) > 0) - 1
    else:
        intervals, counts = cut(study, mine)
        ends = np.array([b - 1 for _, b in intervals])
        place = np.searchsorted(ends, np.arange(cells))
        study.say(
            f"times are put together in {len(intervals)} groups, so that no count of fewer than "
            f"{study.limits.min_cell} events or censored rows is shown"
        )
    events, censored = counts[:, 0::2], counts[:, 1::2]
    leaving = events + censored
    at_risk = leaving[::-1].cumsum(0)[::-1]
    return Times(np.asarray(ends * params.interval, np.float64), events, censored, at_risk, place[at], event, group)


def check_groups(study: Study[Any], mine: Counts, by: str | None, *, exact: bool) -> None:
    """Refuse groups with few rows; and with few events or censored rows in all, unless each is shown anyway."""
    sums = mine.sum(0)
    shown = np.zeros_like(sums) if exact else sums
    small = study.small(np.concatenate([shown, sums[0::2] + sums[1::2]]))
    if small.any():
        names = list(study.levels(by) or ()) if by else ["all"]
        k = len(names)
        bad = [f"'{names[j]}'" for j in range(k) if small[2 * j] or small[2 * j + 1] or small[2 * k + j]]
        few = study.limits.min_cell
        raise Stopped("refused", f"fewer than {few} rows, events or censored rows in group {' and '.join(bad)}")
    any_event = study.total(any=float(sums[0::2].sum()))["any"]
    if not any_event > 0:
        raise Stopped("problem", "no row had the event: there is nothing to estimate")

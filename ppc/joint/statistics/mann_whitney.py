"""`mann_whitney`: the rank-sum test of two groups, from pooled counts on a public grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from ppc.joint.operator import PlanView
from ppc.joint.registry import register
from ppc.joint.statistics.crosstab import need_levels
from ppc.joint.statistics.partition import cut, grid_size, on_grid
from ppc.joint.statistics.study import Statistic, Stopped, Study, StudyParams


class MannWhitneyParams(StudyParams):
    """column: numeric. by: a column of two levels. low, high, resolution: the public grid; values of one
    cell are tied."""

    column: str
    by: str
    low: float
    high: float
    resolution: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _sane(self) -> MannWhitneyParams:
        if not self.low < self.high or grid_size(self.low, self.high, self.resolution) > 4096:
            raise ValueError("low must be less than high, with at most 4096 cells of the resolution between them")
        return self


@register
class MannWhitney(Statistic[MannWhitneyParams]):
    """U of the first level, with the normal approximation, ties and continuity corrected.

    Exact at the resolution where no cell has few rows; else cells are put together, which the result says.
    """

    name = "mann_whitney"
    summary = "compare two groups by ranks"
    Params = MannWhitneyParams
    opens = "the number of values of each group in each interval, no interval with few rows"
    rounds = 30

    def columns(self, params: MannWhitneyParams) -> list[str]:
        return [params.column, params.by]

    def check(self, params: MannWhitneyParams, view: PlanView) -> None:
        super().check(params, view)
        need_levels([params.by], params, view)

    def compute(self, study: Study[MannWhitneyParams]) -> Mapping[str, Any]:
        from scipy import stats

        params = study.params
        study.keep(params.column, params.by)
        study.rows(2)
        groups = study.levels(params.by) or ()
        if len(groups) != 2:
            raise Stopped("problem", f"'{params.by}' has {len(groups)} levels, and two are compared")
        cells = grid_size(params.low, params.high, params.resolution)
        x = study.numeric(params.column)
        at = on_grid(x, params.low, params.high, params.resolution).clip(0, cells - 1)
        mine = np.zeros((cells, 2), np.int64)
        np.add.at(mine, (at, study.codes(params.by)), 1)
        if study.small(mine.sum(0)).any():
            raise Stopped("refused", f"a group has fewer than {study.limits.min_cell} rows")
        intervals, counts = cut(study, mine)
        n1, n2 = counts.sum(0)
        if min(n1, n2) == 0:
            raise Stopped("problem", "one group has no rows")
        ties = counts.sum(1)
        rank = np.concatenate([[0.0], np.cumsum(ties)])[:-1] + (ties + 1) / 2
        u = float((counts[:, 0] * rank).sum() - n1 * (n1 + 1) / 2)
        n = n1 + n2
        variance = n1 * n2 / 12 * (n + 1 - (ties**3 - ties).sum() / (n * (n - 1)))
        if not variance > 0:
            raise Stopped("problem", "all values are tied: there is nothing to compare")
        z = max(0.0, abs(u - n1 * n2 / 2) - 0.5) / math.sqrt(variance)
        wide = sum(1 for a, b in intervals if b - a > 1)
        if wide:
            study.say(
                f"values are ranked by {len(intervals)} intervals, {wide} of them wider than {params.resolution:g}"
            )
        return {
            "column": params.column,
            "by": params.by,
            "n": [int(n1), int(n2)],
            "u": u,
            "z": math.copysign(z, u - n1 * n2 / 2),
            "p": min(1.0, 2 * float(stats.norm.sf(z))),
            "superiority": u / (n1 * n2),
            "intervals": len(intervals),
            "at_resolution": wide == 0,
        }

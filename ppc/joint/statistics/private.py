"""`private_release`: counts and means with differential privacy, whose noise no site knows.

Every site adds its own discrete Gaussian noise to its sums, in whole units, before they are masked: only the noisy
total ever opens. Each site spends the cost from its own ledger first, and refuses when its budget is gone. Nothing
exact is opened beside it: no number of rows, no test of counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from ppc.joint.operator import PlanView
from ppc.joint.registry import register
from ppc.joint.statistics.crosstab import need_levels
from ppc.joint.statistics.release import Noisy, counted, mean_of, powers
from ppc.joint.statistics.study import Statistic, Study, StudyParams


class PrivateReleaseParams(StudyParams):
    """counts: categorical columns; the number of rows of each level is released. means: `{ age = [18, 110] }`, numeric
    columns with public bounds; values outside are set to the bound. rho: the cost, in zero-concentrated differential
    privacy, of the whole step; one row is one person. delta: at which the report says it as an ε."""

    counts: tuple[str, ...] = ()
    means: dict[str, tuple[float, float]] = Field(default_factory=dict)
    rho: float = Field(gt=0, le=100)
    delta: float = Field(default=1e-6, gt=0, lt=1)

    @model_validator(mode="after")
    def _sane(self) -> PrivateReleaseParams:
        if not self.counts and not self.means:
            raise ValueError("name columns in counts or means")
        if not all(low < high for low, high in self.means.values()):
            raise ValueError("means: low must be less than high")
        return self


@register
class PrivateRelease(Statistic[PrivateReleaseParams]):
    """Noisy counts and means under ρ-zCDP."""

    name = "private_release"
    summary = "release counts and means with differential privacy"
    Params = PrivateReleaseParams
    remembers = False
    rounds_counts = False
    no_noise = "it states its own cost; leave [release] out, or use describe and crosstab"

    def columns(self, params: PrivateReleaseParams) -> list[str]:
        return [*params.counts, *params.means]

    def check(self, params: PrivateReleaseParams, view: PlanView) -> None:
        super().check(params, view)
        need_levels(list(params.counts), params, view)

    def what(self, params: PrivateReleaseParams) -> list[str]:
        return [
            f"noisy counts and means of all sites' rows together, at a cost of ρ = {params.rho:g} from each site's "
            "budget; the noise is made by all sites in parts, and no exact figure opens"
        ]

    def compute(self, study: Study[PrivateReleaseParams]) -> Mapping[str, Any]:
        from ppc.dp.accountant import zcdp_epsilon

        params = study.params
        # One row is in one level of each category, and adds at most (1, ±1) to a mean's count and sum.
        blocks = [counted(study.codes(c), len(study.levels(c) or ())) for c in params.counts]
        everyone = np.zeros(len(study.data), np.int64)
        blocks += [powers(study.numeric(c), b, everyone, 1, 1) for c, b in params.means.items()]
        noisy = Noisy(study, params.rho)
        told = noisy.draw(blocks, len(params.counts) + 2 * len(params.means))
        counts = [
            {"column": column, "level": level, "count": float(value)}
            for column, values in zip(params.counts, told, strict=False)
            for level, value in zip(study.levels(column) or (), values, strict=True)
        ]
        means = []
        for (column, bounds), sums in zip(params.means.items(), told[len(params.counts) :], strict=True):
            found = mean_of(sums[0], bounds, noisy.sd)
            if found["mean"] is None:
                study.say(
                    f"the mean of '{column}' is not told: the noise (sd {noisy.sd:.1f} rows) is too large for its rows"
                )
                continue
            means.append(
                {"column": column, "n": float(sums[0][0]), "mean": found["mean"], "noise_sd": found["noise_sd"]}
            )
        epsilon = zcdp_epsilon(params.rho, params.delta)
        return {"counts": counts, "means": means, "count_noise_sd": noisy.sd, "rho": params.rho, "epsilon": epsilon,
                "delta": params.delta, "parts_of_noise": len(study.sites)}  # fmt: skip

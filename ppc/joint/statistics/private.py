"""`private_release`: counts and means with differential privacy, whose noise no site knows.

Every site adds its own discrete Gaussian noise to its sums, in whole units, before they are masked: only the noisy
total ever opens. Each site spends the cost from its own ledger first, and refuses when its budget is gone. Nothing
exact is opened beside it: no number of rows, no test of counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from ppc.errors import BudgetExceeded, FrameError
from ppc.joint.context import Context
from ppc.joint.operator import PlanView
from ppc.joint.registry import register
from ppc.joint.statistics.crosstab import need_levels
from ppc.joint.statistics.limits import Limits
from ppc.joint.statistics.study import Counts, Statistic, Stopped, Study, StudyParams
from ppc.mpc.aggregate import default_quorum

SCALE = 1 << 20  # units of one patient's largest contribution


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
        from ppc.dp.distributed import DistributedNoise

        params, sites = study.params, len(study.sites)
        sizes = {c: len(study.levels(c) or ()) for c in params.counts}
        size = sum(sizes.values()) + 2 * len(params.means)
        # One patient is in one level of each category, and adds at most (1, ±1) to a mean's count and sum.
        sensitivity = SCALE * math.sqrt(len(params.counts) + 2 * len(params.means))
        # As many may be lost on the way, or know their own part, as the quorum allows, and one more.
        missing = min(sites - 1, sites - min(sites, study.ctx.job.quorum or default_quorum(len(study.ctx.parties))) + 1)
        noise = DistributedNoise(sites, missing, sensitivity, size, Decimal(repr(params.rho)))
        self._spend(study, noise.charge)
        mine = _vector(study, sizes) + noise.share()
        pooled = study.total("private", release=mine)["release"] / SCALE
        sd = noise.share_sigma * math.sqrt(sites) / SCALE
        at, counts, means = 0, [], []
        for column, k in sizes.items():
            for level, value in zip(study.levels(column) or (), pooled[at : at + k], strict=True):
                counts.append({"column": column, "level": level, "count": float(value)})
            at += k
        for column, (low, high) in params.means.items():
            n, total = float(pooled[at]), float(pooled[at + 1])
            at += 2
            if not n > 10 * sd:
                study.say(f"the mean of '{column}' is not told: the noise (sd {sd:.1f} rows) is too large for its rows")
                continue
            half = (high - low) / 2
            error = half * sd * math.sqrt(1 + (total / n) ** 2) / n
            mean = min(max(low + half + half * total / n, low), high)
            means.append({"column": column, "n": n, "mean": mean, "noise_sd": error})
        epsilon = zcdp_epsilon(params.rho, params.delta)
        return {"counts": counts, "means": means, "count_noise_sd": sd, "rho": params.rho, "epsilon": epsilon,
                "delta": params.delta, "parts_of_noise": sites}  # fmt: skip

    @staticmethod
    def _spend(study: Study[PrivateReleaseParams], charge: Any) -> None:
        """Each site reserves the cost in its own ledger; if one cannot, nobody's rows are touched."""
        told = study.ctx.pool.gather(_reserve(study.ctx, charge))
        for party, answer in told.items():
            if not isinstance(answer, bool):
                raise FrameError("its answer about its budget is malformed", party=party, where="private_release")
        empty = [p for p, answer in told.items() if not answer]
        if empty:
            raise Stopped("refused", f"the privacy budget of {' and '.join(empty)} does not allow this release")


def _reserve(ctx: Context[Any], charge: Any) -> bool:
    """Whether this site's own ledger allows the cost; it is spent then."""
    from ppc.dp.budget import Budget
    from ppc.dp.ledger import Ledger

    ledger = Ledger(ctx.models.with_name(f"{ctx.models.name}-ledger.db"))
    try:
        name = ctx.job.datasets.get(ctx.me, ctx.source.name)
        known = [a for a in ledger.accounts() if (a.dataset, a.owner) == (name, ctx.me)]
        own = Budget(rho=Decimal(repr(float(ctx.limits.get("rho", Limits().rho)))))
        account = known[0] if known else ledger.account(name, ctx.me, own)
        params = ctx.params.model_dump(mode="json")
        try:
            account.commit(account.reserve([charge], params, f"{ctx.job.name}, {ctx.step}", ctx.job.name))
        except BudgetExceeded:
            return False
        return True
    finally:
        ledger.close()


def _vector(study: Study[PrivateReleaseParams], sizes: Mapping[str, int]) -> Counts:
    """This site's sums in whole units; a patient adds at most SCALE to each coordinate."""
    parts = []
    for column, k in sizes.items():
        code = study.codes(column)
        parts.append(SCALE * np.bincount(code[code >= 0], minlength=k))
    for column, (low, high) in study.params.means.items():
        x = study.numeric(column)
        x = np.clip(x[~np.isnan(x)], low, high)
        unit = np.trunc((x - (low + high) / 2) / ((high - low) / 2) * SCALE)  # toward 0: never more than SCALE
        parts.append(np.array([SCALE * len(x), int(unit.clip(-SCALE, SCALE).sum())]))
    return np.concatenate(parts).astype(np.int64)

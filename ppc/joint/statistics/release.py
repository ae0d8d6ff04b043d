"""Pooled sums with noise that no site knows, paid from every site's own ledger.

Each site adds its own discrete Gaussian noise, in whole units, before its sums are masked: only the noisy total ever
opens. Nothing exact is opened beside it: no number of rows, no test of counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.errors import BudgetExceeded, FrameError, JobFileError
from ppc.joint.context import Context
from ppc.joint.operator import PlanView
from ppc.joint.statistics.limits import Limits
from ppc.joint.statistics.study import Counts, Floats, RosterChanged, Stopped, Study
from ppc.mpc.aggregate import default_quorum

SCALE = 1 << 20  # units of one row's largest contribution to a coordinate


@dataclass(frozen=True)
class Terms:
    """What a step costs, of a job with `[release]`: ρ-zCDP for each step; ε and δ are the whole job's."""

    rho: float
    epsilon: float
    delta: float
    bounds: dict[str, tuple[float, float]]


def terms(view: PlanView) -> Terms | None:
    """The step's share of the job's `[release]`; `None` if the job has none."""
    found = view.facts.get("release")
    if found is None:
        return None
    release, steps = found
    return Terms(total_rho(release.epsilon, release.delta) / max(1, steps), release.epsilon, release.delta,
                 dict(release.bounds))  # fmt: skip


@lru_cache
def total_rho(epsilon: float, delta: float) -> float:
    """The largest ρ whose (ε, δ) is within these."""
    from ppc.dp.accountant import zcdp_epsilon

    low, high = 0.0, epsilon
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if zcdp_epsilon(middle, delta) <= epsilon else (low, middle)
    return low


def bounds_of(view: PlanView, column: str) -> tuple[float, float]:
    """The public bounds of a number: of `[release]`, else of the study's dictionary."""
    found = terms(view)
    if found is not None and column in found.bounds:
        return found.bounds[column]
    known = view.facts.get("ranges", {}).get(column)
    if known is None:
        raise JobFileError(
            f"'{column}' needs public bounds to be averaged with noise", where=view.where,
            hint=f"[release] bounds = {{ {column} = [low, high] }}, or low and high in align_schema.",
        )  # fmt: skip
    return float(known[0]), float(known[1])


class Noisy:
    """One step's noisy sums. Making it spends `rho` at every site, or stops the step (`Stopped`)."""

    def __init__(self, study: Study[Any], rho: float) -> None:
        from ppc.dp.accountant import Charge

        self.study, self.rho = study, rho
        self._left = 1.0
        self.sd = 0.0  # of the last draw, in rows
        _spend(study, Charge.gaussian(Decimal(repr(rho)), mechanism="distributed gaussian"))

    def draw(self, blocks: Sequence[Counts], touched: int, share: float = 1.0) -> list[Floats]:
        """Pooled blocks with noise, in units of one row.

        Args:
            blocks: this site's whole numbers in units of 1 / `SCALE`.
            touched: how many coordinates, of all blocks together, one row changes, each by `SCALE` at most.
            share: of the step's cost. Sites may be lost before a step's only draw without weakening the noise.
        """
        from ppc.dp.distributed import DistributedNoise

        study, n = self.study, len(self.study.sites)
        only = share == 1.0
        self._left -= share
        if self._left < -1e-9:
            raise RosterChanged  # pragma: no cover
        # As many may be lost on the way, or know their own part, as the quorum allows, and one more.
        missing = min(n - 1, n - min(n, study.ctx.job.quorum or default_quorum(len(study.ctx.parties))) + 1)
        mine = np.concatenate([b.reshape(-1) for b in blocks]).astype(np.int64)
        noise = DistributedNoise(n, missing, SCALE * math.sqrt(touched), len(mine), Decimal(repr(self.rho * share)))
        pooled = study.ctx.pool.sum(
            mine + noise.share(), within=None if only else study.sites, name=f"{study.ctx.where}, release"
        )
        if pooled is None or not set(pooled.sites) <= set(study.sites):
            raise RosterChanged
        study.sites = tuple(p for p in study.sites if p in pooled.sites)
        self.sd = noise.share_sigma * math.sqrt(len(pooled.sites)) / SCALE
        values, at, out = pooled.values / SCALE, 0, []
        for block in blocks:
            out.append(values[at : at + block.size].reshape(block.shape))
            at += block.size
        return out

    def note(self, found: Terms | None) -> dict[str, Any]:
        """What the result says of its noise."""
        note = {"rho": self.rho, "noise_sd": self.sd, "parts_of_noise": len(self.study.sites)}
        return note | ({"epsilon": found.epsilon, "delta": found.delta} if found is not None else {})


def _spend(study: Study[Any], charge: Any) -> None:
    """Each site reserves the cost in its own ledger; if one cannot, nobody's rows are touched."""
    told = study.ctx.pool.gather(_reserve(study.ctx, charge))
    for party, answer in told.items():
        if not isinstance(answer, bool):
            raise FrameError("its answer about its budget is malformed", party=party, where="release")
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


# --- one site's whole numbers ---
def counted(code: NDArray[np.int64], size: int) -> Counts:
    """Rows of each code 0 … size − 1, in units: one row touches one coordinate at most."""
    return np.asarray(SCALE * np.bincount(code[code >= 0], minlength=size), np.int64)


def powers(x: Floats, bounds: tuple[float, float], group: NDArray[np.int64], groups: int, order: int) -> Counts:
    """Sums (groups, order + 1) of u⁰ … u^order for u = x within its bounds, brought to −1 … 1."""
    low, high = bounds
    there = ~np.isnan(x) & (group >= 0)
    u = np.clip((np.clip(x[there], low, high) - (low + high) / 2) / ((high - low) / 2), -1, 1)
    out = np.zeros((groups, order + 1), np.int64)
    for k in range(order + 1):
        np.add.at(out[:, k], group[there], np.trunc(u**k * SCALE).astype(np.int64))  # toward 0: never more than SCALE
    return out


def shown(count: float) -> int:
    """A noisy count as a number of rows."""
    return max(0, round(float(count)))


def mean_of(sums: Floats, bounds: tuple[float, float], sd: float) -> dict[str, Any]:
    """n, mean and spread of noisy (n, Σu, Σu²); no mean where the noise is large beside the rows."""
    low, high = bounds
    n, half = float(sums[0]), (high - low) / 2
    found: dict[str, Any] = {"n": shown(n), "mean": None, "variance": None, "sd": None}
    if not n > 10 * sd:
        return found
    share = float(sums[1]) / n
    found["mean"] = min(max(low + half + half * share, low), high)
    found["noise_sd"] = half * sd * math.sqrt(1 + share**2) / n
    if len(sums) > 2:
        variance = min(max(float(sums[2]) / n - share**2, 0.0), 1.0) * half**2 * n / (n - 1)
        found |= {"variance": variance, "sd": math.sqrt(variance)}
    return found

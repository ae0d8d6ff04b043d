"""Harrell's C: of pairs of rows of which one had the event first, how often it also had the higher risk.

Within a site the pairs are counted as they are. Between sites they are an inner product of pooled counts: at each time
and for each bin of the risk score, the events times the rows that last longer and lie in a lower bin. It is computed on
shared counts, so that of all of them only two numbers of pairs open. Pairs in one bin count as ties (one half), so the
result lies within half the share of tied pairs of the exact one; the result says how much that is.

Source: Harrell, Lee, Mark, Statistics in Medicine 1996. Rows censored at the time of an event last longer.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.joint.statistics.study import Counts, Floats, RosterChanged, Study

#: Times, bins and sites together; what a site sends is 32 bytes times this.
CELLS: Final = 1 << 19
MOST_BINS: Final = 1024


def between_sites(
    study: Study[Any], at: Counts, event: NDArray[np.bool_], score: Floats, times: int
) -> dict[str, Any] | None:
    """C of all pairs, by bins of the score; `None` below three sites, said in words."""
    if len(study.sites) < 3:
        study.say("concordance is not told: it needs three sites")
        return None
    from scipy import stats

    told = study.total("cox", n=len(score), squares=(score**2).sum())
    spread = float(np.sqrt(told["squares"] / told["n"]))
    bins = int(min(MOST_BINS, max(16, CELLS // (max(1, times) * len(study.sites)))))
    share = stats.norm.cdf(score / spread) if spread > 0 else np.full(len(score), 0.5)
    place = np.minimum((share * bins).astype(np.int64), bins - 1)
    events, left = np.zeros((times, bins), np.int64), np.zeros((times, bins), np.int64)
    np.add.at(events, (at[event], place[event]), 1)
    np.add.at(left, (at, place), 1)
    later = left[::-1].cumsum(0)[::-1] - events
    lower = later.cumsum(1) - later
    pairs = study.ctx.pool.inner(np.stack([np.stack([events.ravel(), x.ravel()]) for x in (lower, later)]))
    if pairs is None or set(pairs[1]) != set(study.sites):
        raise RosterChanged
    concordant, tied = (float(v) for v in pairs[0])
    pooled = study.total("cox", events=events.sum(1), later=later.sum(1))  # at these times both are known already
    return _c(concordant, tied, float(pooled["events"] @ pooled["later"]), bins)


def within_sites(study: Study[Any], at: Counts, event: NDArray[np.bool_], score: Floats) -> dict[str, Any] | None:
    """C of the pairs of each site, put together: three pooled numbers of pairs."""
    from ppc.joint.statistics import _kernels

    order = np.argsort(-at, kind="stable")
    _, rank = np.unique(score, return_inverse=True)
    pairs = _kernels.concordance(at[order], event[order], rank[order].astype(np.int64))
    told = study.total("cox", pairs=np.array(pairs))["pairs"]
    return _c(float(told[0]), float(told[1]), float(told[2]), None)


def _c(concordant: float, tied: float, comparable: float, bins: int | None) -> dict[str, Any] | None:
    if not comparable > 0:
        return None
    found: dict[str, Any] = {"c": (concordant + tied / 2) / comparable, "tied": tied / comparable}
    return found | (
        {"exact": True} if bins is None else {"exact": False, "within": tied / 2 / comparable, "bins": bins}
    )

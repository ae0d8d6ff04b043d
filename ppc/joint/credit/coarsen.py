"""Merging fine bins by the labels counted in them: chi-merge and optimal binning with a monotone trend.

Everything here works on counts of goods and bads by fine bin, never on rows, so the same code serves counts made in
the clear and counts made jointly, where nobody sees both the values and the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ConfigError
from ppc.joint.credit.binning import Binning
from ppc.joint.credit.counts import Counts

Trend = Literal["auto", "ascending", "descending", "peak", "valley", "none"]
MergeMethod = Literal["optimal", "chi_merge", "keep"]

# A trend is a sequence of phases; in each the bad rate goes one way: +1 up, -1 down, 0 as it likes.
_PHASES: Final[dict[str, tuple[int, ...]]] = {
    "ascending": (1,),
    "descending": (-1,),
    "peak": (1, -1),
    "valley": (-1, 1),
    "none": (0,),
}


@dataclass(frozen=True)
class MergeRule:
    """How fine bins become final bins.

    Attributes:
        method: `optimal`, `chi_merge`, or `keep` for the fine bins as they are.
        max_bins: most regular bins in the result.
        min_share: least share of all rows in a regular bin.
        trend: the course of the bad rate over the bins of a number (`optimal` only). `auto` takes the better of
            ascending and descending. Categories are always ordered by their bad rate.
        significance: chi-merge joins neighbours whose bad rates do not differ at this level.
    """

    method: MergeMethod = "optimal"
    max_bins: int = 8
    min_share: float = 0.05
    trend: Trend = "auto"
    significance: float = 0.05

    def __post_init__(self) -> None:
        if not self.max_bins >= 1:
            raise ConfigError("max_bins must be at least 1")
        if not 0 <= self.min_share < 1:
            raise ConfigError("min_share must be in [0, 1)")
        if not 0 < self.significance < 1:
            raise ConfigError("significance must be in (0, 1)")
        if self.trend != "auto" and self.trend not in _PHASES:
            raise ConfigError(f"unknown trend '{self.trend}'")


def coarsen(fine: Binning, counts: Counts, rule: MergeRule) -> tuple[Binning, Counts]:
    """Merge the regular bins of `fine` by `rule`; special, missing and other bins stay.

    Args:
        fine: fine bins, as `prebin` makes them.
        counts: rows, goods and bads of each bin of `fine`.

    Returns:
        The final binning and its counts.
    """
    k = fine.n_regular
    order = list(range(k))
    trend = rule.trend
    if fine.kind == "categorical":
        weight = counts.good[:k] + counts.bad[:k]
        rate = np.divide(counts.bad[:k], weight, out=np.zeros(k), where=weight > 0)
        order.sort(key=lambda i: (rate[i], i))
        trend = "ascending"
    if rule.method == "keep" or k == 1:
        return fine, counts
    ordered = Counts(counts.rows[order], counts.good[order], counts.bad[order])
    least = rule.min_share * float(counts.rows.sum())
    totals = (float(counts.good.sum()), float(counts.bad.sum()))
    if rule.method == "chi_merge":
        runs = chi_merge(ordered, rule.max_bins, least, rule.significance)
    elif rule.method == "optimal":
        runs = optimal_runs(ordered, totals, rule.max_bins, least, trend)
    else:
        raise ConfigError(f"unknown method '{rule.method}'")
    groups = [[order[i] for i in range(start, stop)] for start, stop in runs]
    return fine.merge(groups), counts.group(groups, k)


def chi_merge(counts: Counts, max_bins: int, min_rows: float, significance: float) -> list[tuple[int, int]]:
    """Runs `[start, stop)` of neighbouring fine bins by ChiMerge.

    Bins that are too small, or hold one class only, are joined first, to the neighbour that is more alike. Then the
    most alike neighbours are joined, until all differ at the level `significance` and there are at most `max_bins`.

    Source: Kerber, ChiMerge: Discretization of Numeric Attributes, AAAI 1992. Pearson's chi-square of a 2 × 2 table,
    one degree of freedom, no correction.
    """
    from scipy.special import chdtri

    threshold = float(chdtri(1, significance))
    stops = list(range(1, len(counts) + 1))
    rows, good, bad = (v.astype(np.float64).tolist() for v in (counts.rows, counts.good, counts.bad))
    while len(stops) > 1:
        chi = _chi_square(np.asarray(good), np.asarray(bad))
        unfit = [i for i in range(len(stops)) if rows[i] < min_rows or good[i] <= 0 or bad[i] <= 0]
        if unfit:
            i = min(unfit, key=lambda j: (rows[j], j))
            left = chi[i - 1] if i > 0 else np.inf
            right = chi[i] if i < len(chi) else np.inf
            at = i - 1 if left <= right else i
        elif len(stops) > max_bins or chi.min() < threshold:
            at = int(np.argmin(chi))
        else:
            break
        for v in (rows, good, bad):
            v[at : at + 2] = [v[at] + v[at + 1]]
        del stops[at]
    return list(zip([0, *stops[:-1]], stops, strict=True))


def _chi_square(good: NDArray[np.float64], bad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chi-square of each pair of neighbours; 0 where a row or column of the table is empty."""
    a, b, c, d = good[:-1], bad[:-1], good[1:], bad[1:]
    scale = (a + b) * (c + d) * (a + c) * (b + d)
    return np.divide((a + b + c + d) * (a * d - b * c) ** 2, scale, out=np.zeros(len(a)), where=scale > 0)


def optimal_runs(
    counts: Counts, totals: tuple[float, float], max_bins: int, min_rows: float, trend: Trend
) -> list[tuple[int, int]]:
    """Runs `[start, stop)` of neighbouring fine bins with the highest information value.

    Every run has at least `min_rows` rows, a good and a bad; there are at most `max_bins` runs, and the bad rate
    follows `trend` strictly from run to run. If nothing fits, everything is one run. Among equals the fewest runs win.

    The problem is that of Navas-Palencia, Optimal binning: mathematical programming formulation, arXiv:2001.08025
    (2020). Since the information value is a sum over runs and the trend a condition between neighbours, dynamic
    programming over (last run, phase of the trend, number of runs) solves it exactly in O(max_bins · m³) steps for m
    fine bins.
    """
    if trend == "auto":
        courses = ["ascending", "descending"]
    elif trend in _PHASES:
        courses = [trend]
    else:
        raise ConfigError(f"unknown trend '{trend}'")
    table = _Intervals(counts, totals, min_rows)
    found = [table.best(_PHASES[c], max_bins) for c in courses]
    value, runs = max(found, key=lambda f: f[0])  # the first of equals
    return runs if np.isfinite(value) else [(0, len(counts))]


class _Intervals:
    """Every interval `[i, j)` of fine bins: its goods, bads and information value (-inf where it is not allowed)."""

    def __init__(self, counts: Counts, totals: tuple[float, float], min_rows: float) -> None:
        self.m = len(counts)

        def between(v: NDArray[np.float64]) -> NDArray[np.float64]:
            cumulative = np.concatenate([[0.0], np.cumsum(v, dtype=np.float64)])
            sums: NDArray[np.float64] = cumulative[None, :] - cumulative[:, None]
            return sums

        self.good, self.bad = between(counts.good), between(counts.bad)
        good_total, bad_total = totals
        self.allowed = (self.good > 0) & (self.bad > 0) & (between(counts.rows.astype(np.float64)) >= min_rows)
        share_good = np.where(self.allowed, self.good, 1.0) / max(good_total, 1e-300)
        share_bad = np.where(self.allowed, self.bad, 1.0) / max(bad_total, 1e-300)
        iv = (share_bad - share_good) * np.log(share_bad / share_good)
        self.iv = np.where(self.allowed, iv, -np.inf)

    def steps(self, at: int, way: int) -> NDArray[np.bool_]:
        """May the run `[h, at)` be followed by `[at, j)`? A mask over (h, j) for a bad rate that goes `way`."""
        if way == 0:
            return np.ones((self.m + 1, self.m + 1), dtype=np.bool_)
        # Rates are compared as cross products, which are exact for counts.
        before = self.bad[:, at][:, None] * self.good[at][None, :]
        after = self.bad[at][None, :] * self.good[:, at][:, None]
        mask: NDArray[np.bool_] = before < after if way > 0 else before > after
        return mask

    def best(self, phases: tuple[int, ...], max_bins: int) -> tuple[float, list[tuple[int, int]]]:
        """The highest total and its runs; -inf and no runs if nothing is allowed."""
        m = self.m
        masks = {way: [self.steps(at, way) for at in range(m + 1)] for way in set(phases)}
        first = np.full((len(phases), m + 1, m + 1), -np.inf)
        first[0, 0, :] = self.iv[0, :]
        layers = [first]
        came: list[NDArray[np.int64]] = [np.full((len(phases), m + 1, m + 1), -1, dtype=np.int64)]
        for _ in range(1, max_bins):
            last, new = layers[-1], np.full_like(first, -np.inf)
            back = np.full(first.shape, -1, dtype=np.int64)
            for p, way in enumerate(phases):
                earlier = range(max(p - 1, 0), p + 1)  # phase p follows itself or the phase before it
                for at in range(1, m):
                    origin = np.concatenate([last[q, :at, at] for q in earlier])
                    mask = np.concatenate([masks[way][at][:at] for _ in earlier])
                    total = np.where(mask, origin[:, None], -np.inf)
                    pick = np.argmax(total, axis=0)
                    new[p, at] = total[pick, np.arange(m + 1)] + self.iv[at]
                    back[p, at] = pick + earlier.start * at  # the phase times `at`, plus the start of the run before
            layers.append(new)
            came.append(back)
        return self._trace(layers, came)

    def _trace(
        self, layers: list[NDArray[np.float64]], came: list[NDArray[np.int64]]
    ) -> tuple[float, list[tuple[int, int]]]:
        m = self.m
        best, where = -np.inf, (0, 0, 0)
        for count, layer in enumerate(layers):
            ends = layer[:, :, m]
            phase, start = divmod(int(np.argmax(ends)), m + 1)
            if ends[phase, start] > best + 1e-12:  # one more run must be better by more than rounding
                best, where = float(ends[phase, start]), (count, phase, start)
        if not np.isfinite(best):
            return -np.inf, []
        count, phase, start = where
        runs, stop = [(start, m)], m
        while count > 0:
            code = int(came[count][phase, start, stop])
            stop, count = start, count - 1
            phase, start = divmod(code, stop)
            runs.append((start, stop))
        return best, runs[::-1]

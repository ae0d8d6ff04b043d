"""The dominance rules: no sum opens of which one or two rows make the greater part.

Who knows roughly the sum of a cell in which one patient's cost is nine tenths of it, knows that cost. So before a sum
of values opens it is tested, without being opened, by the three rules of official statistics, with x₁ ≥ x₂ the two
largest |value| of all sites' rows and S the sum of all |values|:

- (1, k), `dominance`: closed if x₁ > k·S;
- (2, k), `dominance_two`: closed if x₁ + x₂ > k·S;
- p %, `p_percent`: closed if S − x₁ − x₂ < p % of x₁; else whoever has x₂ could tell x₁ to within p %.

The two largest can only be so large if the two largest rows of every site, all taken together, are. So each cell is
tested for this first; only where it is so, the sites' largest are compared with each other, on shared numbers. Of two
sites each knows its own part of a sum, and so the other's: there each site's own part must satisfy the rules.

A sum of zeros and a few ones is a small count in disguise. So a sum stays closed as well where from 1 to min_cell − 1
rows have another value than 0, or another than 1.

Source: Hundepool et al., Statistical Disclosure Control, 2012, §4.2.2.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.joint.statistics.limits import Limits
from ppc.joint.statistics.study import Counts, Floats, RosterChanged, Study

#: Sums are compared in units of these sizes: a sum is told well on one of them at least, whatever the column's unit.
UNITS: Final = (2.0**-50, 2.0**-20, 2.0**10)
#: More than this many units of a site's part are not counted; 50 sites' stay within the field.
CAP: Final = float(2**46)


def watched(limits: Limits) -> bool:
    """Whether any of the rules holds."""
    return limits.dominance < 1 or limits.dominance_two < 1 or limits.p_percent > 0


def largest_two(values: Floats) -> tuple[float, float]:
    """The two largest of non-negative values, 0 where there are none. `values` is spoiled."""
    if not len(values):
        return 0.0, 0.0
    at = int(values.argmax())
    first, values[at] = float(values[at]), 0.0
    return first, float(values.max())


def dominated(study: Study[Any], largest: Floats, totals: Floats, few: Counts | None = None) -> NDArray[np.bool_]:
    """Which cells have one or two rows of more than the allowed part of the pooled sum, or too few contributors.

    Args:
        largest: this site's two largest |value| in each cell, (2, *shape). totals: the sum of its |values|, of `shape`.
        few: this site's counts (kinds, *shape), of which no pooled one may be small.

    Leaks: the bits; and of a cell whose first test fails, that the sites' largest two, all together, are more than the
    share of the whole.
    """
    shape, counts = totals.shape, np.zeros((0, totals.size), np.int64) if few is None else few.reshape(len(few), -1)
    tops, s, limits = largest.reshape(2, -1), totals.reshape(-1), study.limits
    if len(study.sites) == 2:
        bad = np.logical_or.reduce(study.small(counts), axis=0, initial=False) | np.zeros(len(s), bool)
        if watched(limits):
            bits, sites = study.ctx.pool.small(alone(limits, tops, s).astype(np.int64), 3)
            if set(sites) != set(study.sites):
                raise RosterChanged
            bad |= bits
        return np.asarray(bad.reshape(shape))
    least = limits.min_cell if study.ctx.me == study.sites[0] else 0
    between = np.stack([counts - least, -counts, np.full_like(counts, -1)])  # 0 < count < min_cell
    told = _negative(study, np.concatenate([_screen(study, tops.sum(0), s), between.reshape(3, -1)], axis=1))
    bad, small = told[: len(s)], told[len(s) :].reshape(counts.shape).any(0)
    flagged = np.flatnonzero(bad & ~small)
    if len(flagged):
        bad[flagged] = _exactly(study, tops[:, flagged], s[flagged])
    return np.asarray((bad | small).reshape(shape))


def alone(limits: Limits, tops: Floats, s: Floats) -> NDArray[np.bool_]:
    """The rules, of plain numbers."""
    first, second = tops
    bad = (limits.dominance < 1) & (first > limits.dominance * s)
    bad |= (limits.dominance_two < 1) & (first + second > limits.dominance_two * s)
    return np.asarray(bad | ((limits.p_percent > 0) & (s - first - second < limits.p_percent / 100 * first)))


def _screen(study: Study[Any], part: Floats, whole: Floats) -> Counts:
    """share · whole − part on every scale, rounded so that the sum over the sites errs on the careful side."""
    limits = study.limits
    if not watched(limits):
        return np.zeros((len(UNITS), len(part)), np.int64)
    share = min(limits.dominance, limits.dominance_two, 1 / (1 + limits.p_percent / 100))
    left = np.stack([np.floor((share * whole - part) / unit) for unit in UNITS])
    return np.where(left < -CAP, -CAP * len(study.ctx.parties), np.minimum(left, CAP)).astype(np.int64)


def _exactly(study: Study[Any], tops: Floats, whole: Floats) -> NDArray[np.bool_]:
    """The rules, of the two largest rows of all sites."""
    limits = study.limits
    first, second = tops
    scaled = (1 + limits.p_percent / 100) * first
    parts, beyond = _taken(np.stack([first, scaled, second]))
    rules = (
        (limits.dominance, limits.dominance < 1),
        (limits.dominance_two, limits.dominance_two < 1),
        (1.0, limits.p_percent > 0),
    )
    none, lost = 4 * CAP, -CAP * len(study.ctx.parties)
    bounds = [np.where(beyond.any(0), lost, _kept(k * whole)) if on else np.full(parts[0].shape, none)
              for k, on in rules]  # fmt: skip
    told = study.ctx.pool.dominant(parts.astype(np.int64), np.stack(bounds).astype(np.int64))
    if told is None or set(told[1]) != set(study.sites):
        raise RosterChanged
    return told[0]


def _kept(x: Floats) -> Floats:
    """x (m,) in units of each scale (scales, m), rounded down."""
    return np.stack([np.minimum(np.floor(x / unit), CAP) for unit in UNITS])


def _taken(x: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """x (…, m) in units of each scale (…, scales, m), rounded up; and where it is more than fits."""
    units = np.stack([np.ceil(x / unit) for unit in UNITS], axis=-2)
    return np.minimum(units, CAP), units > CAP


def _negative(study: Study[Any], words: Counts) -> NDArray[np.bool_]:
    told = study.ctx.pool.negative(words)
    if told is None or set(told[1]) != set(study.sites):
        raise RosterChanged
    return told[0]

"""The dominance rule: no sum opens of which a single row makes the greater part.

Who knows roughly the sum of a cell in which one patient's cost is nine tenths of it, knows that cost. So before a sum
of values opens it is tested, without being opened, whether some row's |value| is more than a share k of the sum of all
|values| in it (the (1, k) rule of official statistics).

A row can only be so large if it is more than k of its own site's part. So each cell is tested once, with those rows of
all sites taken together; only a cell that fails this is tested site by site. Of two sites each knows its own part of a
sum, and so the other's: there each site's own part must satisfy the rule.

A sum of zeros and a few ones is a small count in disguise. So a sum stays closed as well where from 1 to min_cell − 1
rows have another value than 0, or another than 1.

Source: Hundepool et al., Statistical Disclosure Control, 2012, §4.2.2.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.joint.statistics.study import Counts, Floats, RosterChanged, Study

#: Sums are compared in units of these sizes: a sum is told well on one of them at least, whatever the column's unit.
UNITS: Final = (2.0**-50, 2.0**-20, 2.0**10)
#: More than this many units of a site's part are not counted; 50 sites' stay within the field.
CAP: Final = float(2**46)


def dominated(study: Study[Any], largest: Floats, totals: Floats, few: Counts | None = None) -> NDArray[np.bool_]:
    """Which cells have a row of more than the allowed share of the pooled sum, or too few contributors.

    Args:
        largest, totals: this site's largest |value| in each cell and the sum of its |values|, of one shape.
        few: this site's counts (kinds, *shape), of which no pooled one may be small.

    Leaks: the bits; and of a cell whose first test fails, that the rows which are the greater part of their own site's
    part are together more than the share of the whole.
    """
    shape, counts = largest.shape, (np.zeros((0, largest.size), np.int64) if few is None else few.reshape(len(few), -1))
    m, s, share = largest.reshape(-1), totals.reshape(-1), study.limits.dominance
    if len(study.sites) == 2:
        bad = np.logical_or.reduce(study.small(counts), axis=0, initial=False) | np.zeros(len(m), bool)
        if share < 1:
            bits, sites = study.ctx.pool.small((m > share * s).astype(np.int64), 3)
            if set(sites) != set(study.sites):
                raise RosterChanged
            bad |= bits
        return np.asarray(bad.reshape(shape))
    mine = np.where(m > share * s, m, 0.0)
    least = study.limits.min_cell if study.ctx.me == study.sites[0] else 0
    between = np.stack([counts - least, -counts, np.full_like(counts, -1)])  # 0 < count < min_cell
    told = _negative(study, np.concatenate([_words(study, mine, s), between.reshape(3, -1)], axis=1))
    bad, small = told[: len(m)], told[len(m) :].reshape(counts.shape).any(0)
    flagged = np.flatnonzero(bad & ~small)
    if len(flagged):
        own = np.zeros((len(study.sites), len(flagged)))
        own[study.sites.index(study.ctx.me)] = m[flagged]
        each = _negative(study, _words(study, own.reshape(-1), np.tile(s[flagged], len(study.sites))))
        bad[flagged] = each.reshape(own.shape).any(0)
    return np.asarray((bad | small).reshape(shape))


def _words(study: Study[Any], part: Floats, whole: Floats) -> Counts:
    """share · whole − part on every scale, rounded so that the sum over the sites errs on the careful side."""
    if study.limits.dominance >= 1:
        return np.zeros((len(UNITS), len(part)), np.int64)
    rows = []
    for unit in UNITS:
        kept = np.minimum(np.floor(study.limits.dominance * whole / unit), CAP)
        taken = np.ceil(part / unit)
        rows.append(np.where(taken > CAP, -CAP * len(study.ctx.parties), kept - taken).astype(np.int64))
    return np.stack(rows)


def _negative(study: Study[Any], words: Counts) -> NDArray[np.bool_]:
    told = study.ctx.pool.negative(words)
    if told is None or set(told[1]) != set(study.sites):
        raise RosterChanged
    return told[0]

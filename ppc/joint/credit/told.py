"""How many counts of labels a partner may be told, so that they do not give the labels away.

Each count is a linear equation over the labels of the partner's own rows. Enough equations have one solution, whatever
`min_rows` says, and linear programming finds it: on 1,000 rows of which 5 % are bad, 10 features with 20 bins each (190
counts) give every label; 5 features do not. So a partner is told at most one count for every few rows of the rarer
class, all features together; where fine bins are more, they are made wider.

Source: Dinur & Nissim, Revealing information while preserving privacy, PODS 2003; for 0/1 labels and exact counts,
Donoho & Tanner, Discrete Comput. Geom. 43 (2010).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ColumnError, DisclosureRefused
from ppc.joint.credit.binning import Binning, FeatureValues
from ppc.joint.credit.fit import BinningRule

FEWEST_BINS = 2


def limit(label: NDArray[np.float64], cases_per_count: float) -> int | None:
    """The most counts that labels (rows,) of 0 and 1 allow; `None` for no limit."""
    if not cases_per_count > 0:
        return None
    bad = int(np.count_nonzero(label))
    return int(min(bad, len(label) - bad) / cases_per_count)


def hidden_limit(bad: int, matched: int, own: int, cases_per_count: float) -> int | None:
    """The most bins of an owner that may be counted if nobody may know which rows match; `None` for no limit.

    Every bin then tells two numbers, and what they are about are three kinds of the owner's `own` rows: bad, good, and
    not matched. If all are matched, there is nothing of the last kind to be found out.
    """
    if not cases_per_count > 0:
        return None
    kinds = [bad, matched - bad, *([own - matched] if own > matched else [])]
    return int(min(kinds) / cases_per_count / 2)


def fine_rows(min_rows: int, overlap: float) -> int:
    """Of how many rows a fine bin is made, if only the fraction `overlap` of them count and `min_rows` must.

    So many that the mean less two standard deviations of a binomial count is `min_rows`; beyond that a bin is withheld.
    """
    if overlap >= 1:
        return min_rows
    spread = np.sqrt(overlap * (1 - overlap))
    root = (spread + np.sqrt(spread**2 + overlap * min_rows)) / overlap
    return int(np.ceil(root**2))


def counts(fine: Mapping[str, Binning], values: Mapping[str, FeatureValues]) -> int:
    """Independent counts: of every feature all bins that have rows but one, since the total is the same for all."""
    return sum(int(np.count_nonzero(np.bincount(b.apply(values[n])))) - 1 for n, b in fine.items()) + bool(fine)


def fine_bins(
    values: Mapping[str, FeatureValues], rules: Mapping[str, BinningRule], most: int | None, *, drop: bool
) -> tuple[dict[str, Binning], dict[str, BinningRule]]:
    """Fine bins of a party's features with at most `most` counts in all, and the rules that make them.

    Args:
        values: the party's features on the training rows.
        rules: by feature, as the job says; bins are made fewer if the counts are too many.
        most: `None` for no limit.
        drop: leave out features that no binning can tell apart; otherwise they are a `ColumnError`.

    Raises:
        DisclosureRefused: two bins a feature are too many.
    """
    used = dict(rules)
    fine = _make(values, used, drop)
    bins = max((r.prebins if r.supervised else r.max_bins for r in rules.values()), default=0)
    while most is not None and fine and (told := counts(fine, values)) > most:
        if bins <= FEWEST_BINS:
            raise DisclosureRefused(
                f"{told} counts for {len(fine)} features could give labels away: {most} may be told",
                hint="Match more customers, or leave features out with drop = […]; see cases_per_count.",
            )
        bins = max(FEWEST_BINS, min(bins - 1, bins * most // told))
        used = {n: _narrowed(r, bins) for n, r in rules.items()}
        fine = _make(values, used, drop)
    return fine, used


def _make(values: Mapping[str, FeatureValues], rules: Mapping[str, BinningRule], drop: bool) -> dict[str, Binning]:
    made = {}
    for name, column in values.items():
        try:
            made[name] = rules[name].fine(column, name)
        except ColumnError:
            if not drop:
                raise
    return made


def _narrowed(rule: BinningRule, bins: int) -> BinningRule:
    if rule.supervised:
        return replace(rule, prebins=min(rule.prebins, bins))
    return replace(rule, max_bins=min(rule.max_bins, bins))

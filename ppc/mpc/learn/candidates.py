"""What secure boosting and the same boosting in the clear have in common: candidate splits, which rows grow a tree.

Everything public here is a pure function of the parameters and a public stream, so that both do the same steps on the
same rows.

The model: logit(x) = b + Σ_t w_t(leaf of x), b the logit of the training rows' base rate. A tree is grown level by
level on g_i = p_i - y_i and h_i = p_i (1 - p_i). With G, H the sums over a node, a split into L and R scores
G_L² / (H_L + l2) + G_R² / (H_R + l2); it is made if that exceeds G² / (H + l2) + 2 gamma and both sides have
H >= min_child_weight. A leaf's weight is -learning_rate · G / (H + l2) (0 if H < min_child_weight).

Source: Chen, Guestrin, "XGBoost" (KDD 2016) §2.2, eqs. 5-7, and §3.2 (quantile candidates).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ppc.core.rng import Stream

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Boosting(Protocol):
    """The parameters of a training.

    trees, depth: how many trees, and levels of splits in each. learning_rate: of the leaf weights. l2: the penalty of
    leaf weights (XGBoost's lambda). gamma: what a split must gain. min_child_weight: the least sum of p (1 - p) on both
    sides of a split. subsample: the fraction of the rows that grows a tree; which rows is public. bins: each feature is
    cut at up to bins - 1 quantiles. min_rows: the fewest training rows on a side of a cut.
    """

    @property
    def trees(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def l2(self) -> float: ...
    @property
    def gamma(self) -> float: ...
    @property
    def min_child_weight(self) -> float: ...
    @property
    def subsample(self) -> float: ...
    @property
    def bins(self) -> int: ...
    @property
    def min_rows(self) -> int: ...


@dataclass(frozen=True, repr=False, eq=False)
class Candidates:
    """A party's candidate splits, feature after feature: `feature` (its number) and `threshold`, each (candidates,).

    A row goes left if its value is below the threshold.
    """

    feature: Ints
    threshold: Floats

    def __len__(self) -> int:
        return len(self.feature)

    def __repr__(self) -> str:
        return f"<Candidates n={len(self)}>"

    @staticmethod
    def of(x: Floats, params: Boosting) -> Candidates:
        """Candidates at the quantiles of each column of x (rows, features); at every value of one with few values.

        None has fewer than `min_rows` rows on a side: one that sets a customer apart would tell its label.
        """
        edges = [_edges(column, params.bins, params.min_rows) for column in x.T]
        feature = np.repeat(np.arange(len(edges)), [len(e) for e in edges])
        return Candidates(feature.astype(np.int64), np.concatenate([np.empty(0), *edges]))

    def left(self, x: Floats) -> NDArray[np.bool_]:
        """(rows, candidates): where a row goes left."""
        return np.asarray(x[:, self.feature] < self.threshold)


def _edges(x: Floats, bins: int, min_rows: int) -> Floats:
    ordered = np.sort(x)
    cuts = np.unique(ordered)
    if len(cuts) > bins:
        cuts = np.unique(np.quantile(ordered, np.arange(1, bins) / bins, method="higher"))
    below = np.searchsorted(ordered, cuts)
    return np.compress((below >= min_rows) & (len(x) - below >= min_rows), cuts)


def samples(params: Boosting, rows: int, stream: Stream) -> Iterator[Ints | None]:
    """For each tree the rows it is grown on, as ones in (rows,); `None` for all."""
    for tree in range(params.trees):
        if params.subsample == 1.0:
            yield None
            continue
        taken = np.zeros(rows, np.int64)
        order = stream.derive(f"tree {tree}").permutation(rows)
        taken[order[: max(1, round(params.subsample * rows))]] = 1
        yield taken


def base_logit(y: Floats) -> float:
    """The logit of the rate of ones."""
    rate = float(np.clip(y.mean(), 1e-3, 1 - 1e-3))
    return float(np.log(rate / (1 - rate)))

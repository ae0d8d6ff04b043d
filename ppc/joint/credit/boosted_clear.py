"""The same boosting in the clear, in float64: what the secure one is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppc.core.rng import Stream
from ppc.joint.credit.clear import sigmoid
from ppc.mpc.learn.candidates import Boosting, Candidates, Floats, base_logit, samples
from ppc.mpc.learn.splits import NOBODY, Splits


@dataclass(frozen=True, repr=False, eq=False)
class ClearTrees:
    """Boosted trees with every split known. `splits.owner` is 0 for a node that is split.

    Attributes:
        base: the first logit.
        splits: of all trees; features are numbered over the pooled columns.
        leaves: (trees, 2**depth).
    """

    base: float
    splits: Splits
    leaves: Floats

    def logits(self, x: Floats) -> Floats:
        """(rows,) for x (rows, features)."""
        value = np.broadcast_to(self.leaves, (len(x), *self.leaves.shape))
        for level in reversed(range(self.splits.depth)):
            m = 1 << level
            value = np.where(self.splits.left(x, 0, level) == 1, value[..., :m], value[..., m:])
        return np.asarray(self.base + value[..., 0].sum(axis=1))


def fit(blocks: Sequence[Floats], y: Floats, params: Boosting, stream: Stream) -> ClearTrees:
    """Train on pooled data.

    Args:
        blocks: each party's features (rows, features), in rank order: candidates are tried in this order.
        y: (rows,) zeros and ones.
        stream: the public stream of the step, which says what rows a tree is grown on.
    """
    x = np.hstack(list(blocks))
    candidates = Candidates.of(x, params)
    left = candidates.left(x)
    indicator = left.astype(np.float64)
    base = base_logit(y)
    z = np.full(len(y), base)
    shape = (params.trees, (1 << params.depth) - 1)
    splits = Splits(np.full(shape, NOBODY), np.full(shape, -1), np.full(shape, np.nan))
    leaves = np.zeros((params.trees, 1 << params.depth))
    for tree, taken in enumerate(samples(params, len(y), stream)):
        p = sigmoid(z)
        gh = np.stack([p - y, p * (1 - p)], axis=1)
        if taken is not None:
            gh = gh * taken[:, None]
        node = np.zeros(len(y), np.int64)
        for level in range(params.depth):
            m = 1 << level
            for j in range(m):
                rows = node == j
                best = _best(indicator[rows].T @ gh[rows], gh[rows].sum(axis=0), params)
                if best is None:
                    continue
                at = m - 1 + j
                splits.owner[tree, at] = 0
                splits.feature[tree, at] = candidates.feature[best]
                splits.threshold[tree, at] = candidates.threshold[best]
                node[rows & ~left[:, best]] += m
        for leaf in range(1 << params.depth):
            g, h = gh[node == leaf].sum(axis=0)
            if h >= params.min_child_weight:
                leaves[tree, leaf] = -params.learning_rate * g / (h + params.l2)
        z = z + leaves[tree, node]
    return ClearTrees(base, splits, leaves)


def _best(sums: Floats, total: Floats, params: Boosting) -> int | None:
    """The candidate of the highest score, the first of equals; `None` if no split is worth it."""
    least, l2 = params.min_child_weight, params.l2
    sides = np.stack([sums, total - sums])
    fits = (sides[..., 1] >= least).all(axis=0)
    if not fits.any():
        return None
    g, h = sides[..., 0] * fits, np.where(fits, sides[..., 1], 1.0)
    score = (g * g / (h + l2)).sum(axis=0)
    best = int(np.argmax(score))
    return best if score[best] > total[0] ** 2 / (total[1] + l2) + 2 * params.gamma else None

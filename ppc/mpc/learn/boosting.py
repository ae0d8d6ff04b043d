"""Growing boosted trees on shares: gradients, sums, scores and rows' ways through a tree are shares throughout.

Source: Fang, Zhao, Tan, Chen, Yu, Wang, Wang, Zhou, Zheng, "Large-scale secure XGB for vertical federated learning"
(CIKM 2021): shared gradients, a private matrix of bins at the features' owner, shares of the node's rows, argmax on
shares. Here the matrix is masked once for all nodes and trees, and the right child's sums are the parent's less the
left one's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.core.rng import Stream
from ppc.mpc import ops
from ppc.mpc.fixed import FixedMatrix
from ppc.mpc.learn.candidates import Boosting, Candidates, Floats, Ints, base_logit, samples
from ppc.mpc.learn.splits import NOBODY, Splits, route, share_bits_of
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

#: A block of rows times candidates that is masked at once: 16 MB.
CHUNK_WORDS: Final = 1 << 21
#: Masked blocks that are kept, 256 MB; what is beyond is masked anew at each level.
KEEP_WORDS: Final = 1 << 25
#: Logits are cut here: probabilities 3e-4 and 1 - 3e-4.
_FAR: Final = 8.0


def number_bits(rows: int) -> int:
    """Fraction bits of gradients and their sums: a score, at most 128 · rows with twice as many, stays below 2**61."""
    return min(18, (54 - math.ceil(math.log2(max(rows, 2)))) // 2)


@dataclass(frozen=True)
class Grown:
    """A training's outcome at one party: the splits as it knows them, its shares of the base logit (1,) and of all
    leaves (trees, 2**depth)."""

    splits: Splits
    base: AShare
    leaves: AShare


@dataclass
class Indicators:
    """Every party's private matrix (rows, candidates) of ones where a row goes left, in masked blocks of rows.

    `left` makes rows of my own. At most `keep` words stay masked and are used again.
    """

    counts: tuple[int, ...]
    rows: int
    left: Callable[[slice], NDArray[np.bool_]]
    keep: int = KEEP_WORDS
    chunk: int = CHUNK_WORDS
    _kept: dict[int, list[FixedMatrix]] = field(default_factory=dict)

    def sums(self, s: Session, *columns: AShare) -> list[AShare]:
        """For each of the columns (rows, k) the sums over the rows that go left: (all candidates, k).

        Cost: for each block of rows one round, and 8 bytes for every element of the columns; 8 · rows · candidates from
        each owner for blocks that are not kept.
        """
        step = max(1, self.chunk // sum(self.counts))
        total: list[AShare] = []
        for start in range(0, self.rows, step):
            run = slice(start, min(start + step, self.rows))
            blocks = self._blocks(s, run)
            whole = run == slice(0, self.rows)  # then the very objects, whose openings later products use again
            rows = [c if whole else c[run] for c in columns]
            found = ops.matmul_fixed_t_many(s, [(block, c) for c in rows for block in blocks])
            k = len(blocks)
            parts = [ops.concatenate(found[i * k : (i + 1) * k]) for i in range(len(rows))]
            total = [a + b for a, b in zip(total, parts, strict=True)] if total else parts
        return total

    def _blocks(self, s: Session, run: slice) -> list[FixedMatrix]:
        if run.start in self._kept:
            return self._kept[run.start]
        size = run.stop - run.start
        blocks = []
        for owner, count in enumerate(self.counts):
            if count:
                own = self.left(run).astype(np.int64) if owner == s.rank else None
                blocks.append(ops.fixed_matrix(s, own, owner, (size, count), frac_bits=0, name="candidate splits"))
        if run.stop * sum(self.counts) <= self.keep:
            self._kept[run.start] = blocks
        return blocks


@dataclass(frozen=True)
class Rules:
    """The parameters that decide on splits and leaves, and public bounds of a divisor."""

    params: Boosting
    rows: int

    @property
    def divisor(self) -> tuple[float, float]:
        """What H + l2 lies within, where it is not replaced by 1. The secure p (1 - p) is below 0.2511."""
        least, l2 = self.params.min_child_weight, self.params.l2
        return 0.99 * min(1.0, least + l2), max(1.0, 0.2511 * self.rows + l2) + 1.0

    def weight(self, s: Session, g: AShare, h: AShare) -> AShare:
        """g / (h + l2), where h is either at least min_child_weight, or (with g = 0) 1 - l2."""
        low, high = self.divisor
        return ops.divide(s, g, h + self.params.l2, low=low, high=high)


@dataclass(frozen=True)
class Table:
    """All parties' candidates. `counts`: how many each party has, in rank order; `mine`: my own."""

    counts: tuple[int, ...]
    mine: Candidates

    def public(self) -> tuple[Ints, Ints]:
        """For "not split" and then every candidate: its owner's rank (the number of parties for none) and its number
        there."""
        owner = np.concatenate([[len(self.counts)], np.repeat(np.arange(len(self.counts)), self.counts)])
        return owner, np.concatenate([[0], *(np.arange(n) for n in self.counts)]).astype(np.int64)


@dataclass(frozen=True)
class Winners:
    """Of each node of a level: owner and own candidate (as `Splits`), and the left side's sums (nodes,)."""

    owner: Ints
    index: Ints
    g: AShare
    h: AShare


def train(
    s: Session,
    x: Floats,
    table: Table,
    y: Floats | None,
    holder: int,
    params: Boosting,
    stream: Stream,
    report: Callable[[float, str], None],
) -> Grown:
    """Grow all trees on labels that one party knows.

    Args:
        x: my features (rows, features). y: at the label holder (rank `holder`).

    Cost, threat, leaks: as `grow`.
    """
    bits = number_bits(len(x))
    label = ops.share(s, y, holder, (len(x),), frac_bits=bits, name="label")
    first = None if y is None else np.asarray([base_logit(y)])
    base = ops.share(s, first, holder, 1, frac_bits=bits, name="base rate")
    return grow(s, x, table, label, base, params, stream, report)


def grow(
    s: Session,
    x: Floats,
    table: Table,
    label: AShare,
    base: AShare,
    params: Boosting,
    stream: Stream,
    report: Callable[[float, str], None],
    member: AShare | None = None,
) -> Grown:
    """Grow all trees.

    Args:
        x: my features (rows, features). label: (rows,) zeros and ones, base: (1,) the first logit; both with
        `number_bits(rows)` fraction bits. stream: public, says which rows grow a tree.
        member: (rows,) integers, 1 for rows that count and 0 for others, if nobody may know which do.

    Cost: for each level at most 32 rounds, 4 for each halving of the candidates and one for each further block of rows;
    for each tree 68, and one a level;
    a party sends about 50 bytes for each row and node, 680 for each row and tree, and 800 for each node and candidate;
    before that once 8 · rows · its candidates.
    Threat: semi-honest. Leaks: shapes; to all, of each node whose feature splits it, or that it is not split; to that
    party which feature and threshold.
    """
    n = len(x)
    indicators = Indicators(table.counts, n, lambda run: table.mine.left(x[run]))
    rules = Rules(params, n)
    shape = (params.trees, (1 << params.depth) - 1)
    splits = Splits(np.full(shape, NOBODY), np.full(shape, -1), np.full(shape, np.nan))
    leaves: list[AShare] = []
    z = base.broadcast_to((n,))
    for tree, taken in enumerate(samples(params, n, stream)):
        report(tree / params.trees, f"tree {tree + 1} of {params.trees}")
        p = _probability(s, z)
        g, h = p - label, p - ops.square(s, p)
        if member is not None:
            both = ops.mul(s, member.reshape(-1, 1), ops.stack([g, h], axis=1))
            g, h = both[:, 0], both[:, 1]
        if taken is not None:
            g, h = g * taken, h * taken
        weights, ways = _grow(s, x, table, indicators, g, h, splits, tree, rules)
        leaves.append(weights)
        if tree + 1 < params.trees:
            z = z + route(s, ways, weights.reshape(1, -1))[:, 0]
    return Grown(splits, base, ops.stack(leaves))


def _probability(s: Session, z: AShare) -> AShare:
    """1 / (1 + exp(-z)) for z within ±8, else that of ±8; error 2e-5. Scores that are close need it so exact.

    Cost: 38 rounds, about 600 bytes an element.
    """
    odds = ops.exp(s, -ops.clip(s, z, -_FAR, _FAR), low=-_FAR - 1, high=_FAR + 1)
    return ops.reciprocal(s, odds + 1.0, low=1.0, high=1.01 + math.exp(_FAR))


def _grow(
    s: Session,
    x: Floats,
    table: Table,
    indicators: Indicators,
    g: AShare,
    h: AShare,
    splits: Splits,
    tree: int,
    rules: Rules,
) -> tuple[AShare, list[AShare]]:
    """One tree: fills its row of `splits`; gives the leaf weights (2**depth,) and each level's bits for `route`."""
    n = len(x)
    g, h = g.reshape(n, 1), h.reshape(n, 1)
    total_g, total_h = g.sum(axis=0), h.sum(axis=0)
    sums: tuple[AShare, AShare] | None = None
    ways: list[AShare] = []
    for level in range(rules.params.depth):
        m = 1 << level
        sums = _sums(s, indicators, g, h, sums)
        found = _winners(s, table, *sums, total_g, total_h, rules)
        _note(splits, tree, m, found, table.mine, s.rank)
        way = share_bits_of(s, splits.left(x, s.rank, level)[:, tree])
        ways.append(way.reshape(n, 1, m))
        total_g, total_h = (ops.concatenate([a, t - a]) for a, t in ((found.g, total_g), (found.h, total_h)))
        if level + 1 < rules.params.depth:
            left_g, left_h = ops.mul(s, way, g), ops.mul(s, way, h)
            g = ops.concatenate([left_g, g - left_g], axis=1)
            h = ops.concatenate([left_h, h - left_h], axis=1)
    return _leaf_weights(s, total_g, total_h, rules), ways


def _sums(
    s: Session, indicators: Indicators, g: AShare, h: AShare, before: tuple[AShare, AShare] | None
) -> tuple[AShare, AShare]:
    """G and H left of every candidate in every node, (candidates, nodes): counted for left children only."""
    if before is not None:
        half = g.shape[1] // 2
        g, h = g[:, :half], h[:, :half]
    counted = indicators.sums(s, g, h)
    if before is None:
        return counted[0], counted[1]
    both = [ops.concatenate([left, parent - left], axis=1) for left, parent in zip(counted, before, strict=True)]
    return both[0], both[1]


def _winners(s: Session, table: Table, g: AShare, h: AShare, total_g: AShare, total_h: AShare, rules: Rules) -> Winners:
    """The best split of each node, of all parties' candidates (candidates, nodes).

    Opened: to all the winner's owner; to that owner which of its candidates it is.
    """
    c, m = g.shape
    nodes_g, nodes_h = total_g.reshape(1, m), total_h.reshape(1, m)
    # Rows: left sides, right sides, the node itself.
    all_g = ops.concatenate([g, nodes_g - g, nodes_g])
    all_h = ops.concatenate([h, nodes_h - h, nodes_h])
    scores = _scores(s, all_g, all_h, rules)
    gain = ops.concatenate([scores[2 * c :] + 2 * rules.params.gamma, scores[:c] + scores[c : 2 * c]])
    # Not splitting is the first candidate: its left side is the whole node, and it wins among equals.
    owner, index = table.public()
    columns = [
        gain.reinterpret(0),
        ops.constant(s, np.broadcast_to(owner[:, None], (c + 1, m)), frac_bits=0),
        ops.constant(s, np.broadcast_to(index[:, None], (c + 1, m)), frac_bits=0),
        ops.concatenate([nodes_g, g]).reinterpret(0),
        ops.concatenate([nodes_h, h]).reinterpret(0),
    ]
    best = _tournament(s, ops.stack(columns, axis=1))
    told = ops.open(s, best[1]).astype(np.int64)
    own = np.full(m, -1, np.int64)
    for rank in range(len(table.counts)):
        nodes = np.flatnonzero(told == rank)
        if len(nodes):
            mine = ops.reveal(s, best[2][nodes], rank)
            if mine is not None:
                own[nodes] = mine.astype(np.int64)
    told[told == len(table.counts)] = NOBODY
    return Winners(told, own, best[3].reinterpret(g.frac_bits), best[4].reinterpret(h.frac_bits))


def _scores(s: Session, g: AShare, h: AShare, rules: Rules) -> AShare:
    """G² / (H + l2), (2 candidates + 1, nodes), twice the fraction bits; 0 where a side of a split is too light."""
    sides, _ = g.shape
    c = sides // 2
    enough = ~ops.less_than(s, h, rules.params.min_child_weight)
    other = np.concatenate([np.arange(c, 2 * c), np.arange(c), [2 * c]])
    kept_g, kept_h = _kept(s, ops.and_(s, enough, enough[other]), g, h, rules)
    return ops.mul(s, kept_g, rules.weight(s, kept_g, kept_h), truncated=False)


def _kept(s: Session, fits: BShare, g: AShare, h: AShare, rules: Rules) -> tuple[AShare, AShare]:
    """G and H where `fits`, else 0 and 1 - l2. One round."""
    neutral = 1.0 - rules.params.l2
    kept = ops.bit_mul(s, fits.reshape((1, *g.shape)), ops.stack([g, h - neutral]))
    return kept[0], kept[1] + neutral


def _tournament(s: Session, x: AShare) -> AShare:
    """The row (columns, nodes) of x (candidates, columns, nodes) whose column 0 is largest, the first of equals."""
    while len(x) > 1:
        pairs = len(x) // 2
        left, right = x[0 : 2 * pairs : 2], x[1 : 2 * pairs : 2]
        beats = ops.less_than(s, left[:, 0], right[:, 0])
        wide = beats.reshape((pairs, 1, x.shape[2])).broadcast_to(left.shape)
        x = ops.concatenate([ops.select(s, wide, right, left), x[2 * pairs :]])
    return x[0]


def _note(splits: Splits, tree: int, m: int, found: Winners, mine: Candidates, rank: int) -> None:
    """Write down a level's splits as this party knows them."""
    nodes = slice(m - 1, 2 * m - 1)
    splits.owner[tree, nodes] = found.owner
    own = found.owner == rank
    splits.feature[tree, nodes][own] = mine.feature[found.index[own]]
    splits.threshold[tree, nodes][own] = mine.threshold[found.index[own]]


def _leaf_weights(s: Session, g: AShare, h: AShare, rules: Rules) -> AShare:
    """-learning_rate · G / (H + l2), 0 where H is too small: (leaves,)."""
    fits = ~ops.less_than(s, h, rules.params.min_child_weight)
    return ops.mul_public(s, rules.weight(s, *_kept(s, fits, g, h, rules)), -rules.params.learning_rate)

"""Full-domain recoding: one level of its hierarchy for each column, the best of all combinations.

The combinations form a lattice. Going up generalizes, so a combination whose k or l fails on too many rows rules out
everything below it, in one stroke; a chain from the cheapest open combination to the top is searched by bisection for
such failures (Kohlmayer et al., "Flash", PASSAT 2012). What remains is visited in the order of a bound on its loss
until no bound is below the best found, so the result is the optimum, not a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ppc.desensitize.anonymity.classes import Codes, Floats, combine
from ppc.desensitize.anonymity.requirement import Mask, Requirement
from ppc.desensitize.anonymity.tuples import Tuples
from ppc.errors import DisclosureRefused

MAX_NODES = 500_000
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Recoding:
    """The combination found: `levels` a column, `kept` (tuples,) which tuples are released, and what it loses."""

    levels: tuple[int, ...]
    kept: Mask
    index: Codes
    loss: float
    checked: int
    nodes: int


def search(
    tuples: Tuples,
    maps: Sequence[Sequence[Codes]],
    losses: Sequence[Floats],
    requirement: Requirement,
    suppression: float,
    progress: Progress | None = None,
) -> Recoding:
    """The levels of least loss that satisfy the requirement with at most a share `suppression` of rows left out.

    Args:
        maps: for each column and level, the group of each of the column's codes.
        losses: for each column, the loss at each level, in [0, 1], rising. A released row loses the mean over the
            columns, a row left out loses 1.

    Raises:
        DisclosureRefused: not even the top of the lattice satisfies it.
    """
    shape = tuple(len(m) for m in maps)
    bound = np.zeros(shape)
    for axis, column in enumerate(losses):
        bound += column.reshape([-1 if a == axis else 1 for a in range(len(shape))]) / len(shape)
    base = [[m[level][tuples.codes[:, j]] for level in range(shape[j])] for j, m in enumerate(maps)]
    sizes = [[int(m.max()) + 1 for m in column] for column in maps]
    order = np.argsort(bound, axis=None, kind="stable")
    open_nodes = np.ones(shape, np.bool_)
    limit = suppression * tuples.rows
    best: Recoding | None = None
    checked = 0

    def check(node: tuple[int, ...]) -> bool:
        """Evaluate a node; True if k and l hold on enough rows (so nothing is ruled out by it)."""
        nonlocal best, checked
        checked += 1
        open_nodes[node] = False
        key, size = combine([base[j][l] for j, l in enumerate(node)], [sizes[j][l] for j, l in enumerate(node)])
        index, classes = _compact(key, size)
        kept, rising = requirement.satisfied(index, classes, tuples.counts, tuples.sensitive)
        if tuples.counts[~rising[index]].sum() > limit:
            open_nodes[tuple(slice(0, l + 1) for l in node)] = False
            return False
        left_out = int(tuples.counts[~kept[index]].sum())
        if left_out <= limit and left_out < tuples.rows:
            share = left_out / tuples.rows
            loss = (1 - share) * float(bound[node]) + share
            if best is None or loss < best.loss:
                best = Recoding(node, kept[index], index, loss, 0, bound.size)
        return True

    for place, flat in enumerate(order):
        node = tuple(int(i) for i in np.unravel_index(flat, shape))
        if best is not None and bound[node] >= best.loss:
            break
        if not open_nodes[node]:
            continue
        if progress is not None:
            progress(place / bound.size, f"{checked} of {bound.size} combinations checked")
        low, high = 0, len(chain := _chain(node, shape, bound, open_nodes)) - 1
        while low <= high:
            middle = (low + high) // 2
            if not open_nodes[chain[middle]] or check(chain[middle]):
                high = middle - 1
            else:
                low = middle + 1
        if open_nodes[node]:
            check(node)
    if best is None:
        raise DisclosureRefused(
            "no generalization of these columns satisfies the requirement",
            hint="Allow more suppression, ask for a smaller k or l or a larger t, or name fewer quasi-identifiers.",
        )
    return Recoding(best.levels, best.kept, best.index, best.loss, checked, bound.size)


def _chain(node: tuple[int, ...], shape: tuple[int, ...], bound: Floats, open_nodes: Mask) -> list[tuple[int, ...]]:
    """A path upward from a node: at each step to the open successor of least loss, to any if none is open."""
    chain = [node]
    while True:
        above = [(*node[:j], node[j] + 1, *node[j + 1 :]) for j in range(len(shape)) if node[j] + 1 < shape[j]]
        if not above:
            return chain
        node = min(above, key=lambda n: (not open_nodes[n], bound[n]))
        chain.append(node)


def _compact(key: Codes, size: int) -> tuple[Codes, int]:
    """Class numbers that fit an array: as they are when there are few, else renumbered."""
    if size <= max(1 << 20, 4 * len(key)):
        return key, size
    distinct, index = np.unique(key, return_inverse=True)
    return index.astype(np.int64, copy=False), len(distinct)

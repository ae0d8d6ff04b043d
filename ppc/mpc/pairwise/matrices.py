"""Matrix products of what one party knows with what the other knows, several at once and in both directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.mpc.pairwise import lattices, products
from ppc.mpc.pairwise.products import Shape
from ppc.mpc.session import Session

Words: TypeAlias = NDArray[np.uint64]
Job: TypeAlias = tuple[Words, Words, tuple[bool, bool]]

SMALL: Final = 1 << 12  # products of numbers, in both directions together, up to which transfers take fewer bytes


def cross(s: Session, operation: str, jobs: Sequence[Job]) -> list[Words]:
    """Shares of x_0 @ y_1 + x_1 @ y_0 for each job (my x, my y, which of the two terms there are).

    Whoever holds the smaller operand chooses, so that the other's rows are as long as they can be.

    Cost, threat, source: as `ppc.mpc.pairwise.products.columns` up to SMALL products, then as
    `ppc.mpc.pairwise.lattices`.
    """
    ways: tuple[list[tuple[int, bool, Shape]], list[tuple[int, bool, Shape]]] = ([], [])  # by the sender's rank
    out: list[Words] = []
    for i, (x, y, terms) in enumerate(jobs):
        n, d, k = x.shape[0], x.shape[1], y.shape[1]
        out.append(np.zeros((n, k), np.uint64))
        flipped = k * d > n * d  # then (x @ y).T = y.T @ x.T, and the holder of x chooses
        shape = Shape(k, d, n) if flipped else Shape(n, d, k)
        for left, there in enumerate(terms):  # x of party `left`, y of the other one
            if there:
                ways[1 - left if flipped else left].append((i, flipped, shape))
    sending, choosing = ways[s.rank], ways[1 - s.rank]
    for step in range(max(len(sending), len(choosing))):
        mine = sending[step] if step < len(sending) else None
        theirs = choosing[step] if step < len(choosing) else None
        sent, chosen = Shape() if mine is None else mine[2], Shape() if theirs is None else theirs[2]
        a, b = _way(sent, chosen)(
            s,
            operation,
            None if mine is None else _sent(jobs[mine[0]], mine[1]),
            None if theirs is None else _chosen(jobs[theirs[0]], theirs[1]),
            sent,
            chosen,
        )
        if mine is not None:
            out[mine[0]] += a.T if mine[1] else a
        if theirs is not None:
            out[theirs[0]] += b.T if theirs[1] else b
    return out


def _way(*shapes: Shape) -> Callable[..., tuple[Words, Words]]:
    """Transfers for small products, encryption for large ones."""
    return lattices.columns if sum(w.n * w.d * w.k for w in shapes) > SMALL else products.columns


def _sent(job: Job, flipped: bool) -> Words:
    return job[1].T if flipped else job[0]


def _chosen(job: Job, flipped: bool) -> Words:
    return job[0].T if flipped else job[1]

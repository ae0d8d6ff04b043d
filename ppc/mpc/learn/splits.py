"""Trees that no party holds whole: the splits at their owners, the leaves as shares.

A tree of depth D is complete. Level k has m = 2**k nodes; the children of node j are node j (left) and node m + j
(right) of the next level, so a level is a slice of the one below. A node that is not split sends every row left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: In `Splits.owner`: the node is not split.
NOBODY: Final = -1
#: Rows times nodes that are scored at once: 32 MB of bits.
CHUNK_WORDS: Final = 1 << 22


@dataclass(frozen=True, repr=False, eq=False)
class Splits:
    """What one party knows of the splits of all trees; each array is (trees, 2**depth - 1), level after level.

    Attributes:
        owner: the rank of the party whose feature splits the node, or `NOBODY`. The same at every party.
        feature: the number of the feature if it is mine, else -1.
        threshold: rows whose value is below it go left; NaN if the feature is not mine.
    """

    owner: Ints
    feature: Ints
    threshold: Floats

    def __repr__(self) -> str:
        return f"<Splits trees={len(self.owner)} depth={self.depth}>"

    @property
    def depth(self) -> int:
        """Levels of splits."""
        return int(self.owner.shape[1]).bit_length()

    def left(self, x: Floats, rank: int, level: int) -> Ints:
        """(rows, trees, 2**level) ones where a row goes left at a node of mine, zeros at the others' nodes.

        Nodes that are not split are counted with rank 0, where all rows go left.
        """
        nodes = slice((1 << level) - 1, (2 << level) - 1)
        owner, feature, threshold = self.owner[:, nodes], self.feature[:, nodes], self.threshold[:, nodes]
        bits = np.zeros((len(x), *owner.shape), np.int64)
        if rank == 0:
            bits[:, owner == NOBODY] = 1
        mine = owner == rank
        bits[:, mine] = x[:, feature[mine]] < threshold[mine]
        return bits


def route(s: Session, bits: Sequence[AShare], leaves: AShare) -> AShare:
    """The value of the leaf that each row reaches: (rows, trees).

    Args:
        bits: for each level (rows, trees, 2**level) integers: 1 where a row goes left.
        leaves: (trees, 2**depth).

    From the leaves up, value = right + bit · (left - right). Exact.

    Cost: a round a level; 8 bytes for each row and inner node, twice that if the bits were not multiplied before.
    Leaks: shapes.
    """
    value = leaves
    for bit in reversed(bits):
        m = bit.shape[-1]
        value = value[..., m:] + ops.mul(s, bit, value[..., :m] - value[..., m:])
    return value[..., 0]


def share_bits_of(s: Session, own: Ints) -> AShare:
    """Every party's bits, of which each node has one party's, as one share of integers. Cost: none."""
    parts = [
        ops.share(s, own if rank == s.rank else None, rank, own.shape, frac_bits=0, name="split")
        for rank in range(len(s.parties))
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def predict(s: Session, splits: Splits, base: AShare, leaves: AShare, x: Floats) -> AShare:
    """The sum of `base` (1,) and of the leaves (trees, 2**depth) that each row reaches: (rows,).

    Args: x: my features (rows, features), which my own splits read.

    Cost: for each block of rows one round a level; 16 bytes for each row and inner node. Nobody learns anything.
    """
    trees, nodes = splits.owner.shape
    step = max(1, CHUNK_WORDS // (trees * nodes))
    found = []
    for start in range(0, len(x), step):
        rows = x[start : start + step]
        bits = [share_bits_of(s, splits.left(rows, s.rank, k)) for k in range(splits.depth)]
        found.append(route(s, bits, leaves).sum(axis=1) + base)
    return ops.concatenate(found) if found else ops.constant(s, np.zeros(0), frac_bits=leaves.frac_bits)

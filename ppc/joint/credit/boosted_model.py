"""Boosted trees that no party holds whole: the splits at their owners, the leaves as shares.

A tree of depth D is complete. Level k has m = 2**k nodes; the children of node j are node j (left) and node m + j
(right) of the next level, so a level is a slice of the one below. A node that is not split sends every row left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from ppc.joint import shares
from ppc.joint.credit.half import LOGIT_BITS, Half, common
from ppc.joint.credit.training import Floats
from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Ints = NDArray[np.int64]

#: In `Splits.owner`: the node is not split.
NOBODY: Final = -1
#: Rows times nodes that are scored at once: 32 MB of bits.
_CHUNK_WORDS: Final = 1 << 22


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


@dataclass(frozen=True, repr=False, eq=False)
class TreesHalf(Half):
    """What one party keeps of joint boosted trees.

    Attributes (beside those of every half):
        splits: all splits, in as far as the party knows them.
        words: the party's share of the first logit and then of every leaf, (parts, 1 + trees · 2**depth).
        frac_bits: of these numbers.
    """

    kind: ClassVar[str] = "trees"

    splits: Splits
    words: NDArray[np.uint64]
    frac_bits: int

    def logits(self, s: Session, dataset: Any) -> AShare:
        """The logit of every row as a share: (rows,), `LOGIT_BITS`. Nobody learns anything.

        Cost: for each block of rows one round a level; 16 bytes for each row and inner node.
        """
        x = self.features(dataset).matrix
        numbers = shares.restore(s, self.words, self.frac_bits)
        trees, nodes = self.splits.owner.shape
        leaves = numbers[1:].reshape(trees, nodes + 1)
        step = max(1, _CHUNK_WORDS // (trees * nodes))
        found = []
        for start in range(0, len(x), step):
            rows = x[start : start + step]
            bits = [share_bits_of(s, self.splits.left(rows, self.rank, k)) for k in range(self.splits.depth)]
            found.append(route(s, bits, leaves).sum(axis=1) + numbers[:1])
        z = ops.concatenate(found) if found else ops.constant(s, np.zeros(0), frac_bits=self.frac_bits)
        return ops.rescale(s, z, LOGIT_BITS)

    def table(self) -> list[dict[str, Any]]:
        """How often each of the party's own features splits a node: what the party may show."""
        mine = self.splits.feature[self.splits.owner == self.rank]
        counts = np.bincount(mine, minlength=len(self.names))
        return [{"feature": name, "splits": int(n)} for name, n in zip(self.names, counts, strict=True)]

    # --- on disk ---
    def to_dict(self) -> dict[str, Any]:
        """Plain values; `from_dict` gives back the same bits."""
        return {
            **self._common(),
            "owner": self.splits.owner.tolist(),
            "feature": self.splits.feature.tolist(),
            "threshold": self.splits.threshold.tolist(),
            "words": self.words.tolist(),
            "frac_bits": self.frac_bits,
        }

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Self:
        """The half that `to_dict` described; `KeyError`, `TypeError` or `ValueError` if it is not one."""
        splits = Splits(
            np.asarray(body["owner"], np.int64),
            np.asarray(body["feature"], np.int64),
            np.asarray(body["threshold"], np.float64),
        )
        half = cls(
            **common(body),
            splits=splits,
            words=np.asarray(body["words"], np.uint64),
            frac_bits=int(body["frac_bits"]),
        )
        shape = splits.owner.shape
        if not (len(shape) == 2 and shape[1] and shape == splits.feature.shape == splits.threshold.shape):
            raise ValueError("splits of different shapes")
        mine = splits.feature[splits.owner == half.rank]
        fits = shape[1] + 1 == 1 << splits.depth and half.words.shape[1:] == (1 + shape[0] * (shape[1] + 1),)
        if not (fits and (mine >= 0).all() and (mine < len(half.names)).all()):
            raise ValueError("splits and leaves do not fit")
        return half

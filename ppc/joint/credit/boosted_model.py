"""A party's half of joint boosted trees: what it keeps between training and scoring, in memory and on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ppc.joint import shares
from ppc.joint.credit.frame import Rows
from ppc.joint.credit.half import LOGIT_BITS, Half, common
from ppc.mpc import ops
from ppc.mpc.learn.splits import Splits, predict
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare


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

    def logits(self, s: Session, dataset: Any, rows: Rows | None = None) -> AShare:
        """As `Half.logits`.

        Cost: for each block of rows one round a level; 16 bytes for each row and inner node.
        """
        x = self.features(dataset).matrix
        x = x if rows is None else rows.spread(x)
        numbers = shares.restore(s, self.words, self.frac_bits)
        trees, nodes = self.splits.owner.shape
        z = predict(s, self.splits, numbers[:1], numbers[1:].reshape(trees, nodes + 1), x)
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

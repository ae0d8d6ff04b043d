"""One party's half of a joint logistic regression: how its features are scaled, and their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ModelFileError
from ppc.joint import shares
from ppc.joint.credit.frame import Rows
from ppc.joint.credit.half import LOGIT_BITS, Half, common
from ppc.joint.credit.sgd import logits as shared_logits
from ppc.joint.credit.training import X_BITS, Floats, Scale
from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare


@dataclass(frozen=True, repr=False, eq=False)
class ModelHalf(Half):
    """What one party keeps of a joint logistic regression.

    Attributes (beside those of every half):
        label_party: who holds the intercept.
        scale: how the features are standardised.
        intercept: at the label holder, unless the weights are secret.
        coef: (features,) float64, unless the weights are secret.
        se, z, p: standard error, z and p-value of each coefficient (Newton only); `intercept_se` beside the intercept.
        share, share_bits: with secret weights this party's share of all of them, the intercept's first.
    """

    kind: ClassVar[str] = "logistic"

    scale: Scale
    intercept: float | None = None
    intercept_se: float | None = None
    coef: Floats | None = None
    se: Floats | None = None
    z: Floats | None = None
    p: Floats | None = None
    share: NDArray[np.uint64] | None = None
    share_bits: int = 0

    @property
    def secret(self) -> bool:
        """Whether the weights are known to nobody."""
        return self.share is not None

    def standardised(self, dataset: Any) -> Floats:
        """The features as the model takes them: (rows, features)."""
        return self.scale.apply(self.features(dataset).matrix)

    def partial(self, dataset: Any) -> Floats:
        """This party's part of every row's logit, (rows,): its weighted features, and the intercept if it holds it."""
        if self.coef is None:
            raise ModelFileError("the weights of this model are secret: no party can score alone", party=self.party)
        return np.asarray(self.standardised(dataset) @ self.coef + (self.intercept or 0.0))

    def table(self) -> list[dict[str, Any]]:
        """Feature, coefficient, and with Newton its standard error, z and p-value: what the party may show."""
        if self.coef is None:
            return []
        rows = []
        for j, name in enumerate(self.names):
            row: dict[str, Any] = {"feature": name, "coef": float(self.coef[j])}
            for key, column in (("se", self.se), ("z", self.z), ("p", self.p)):
                if column is not None:
                    row[key] = float(column[j])
            rows.append(row)
        return rows

    def logits(self, s: Session, dataset: Any, rows: Rows | None = None) -> AShare:
        """As `Half.logits`.

        Cost: with weights at their owners none; with secret weights one round, and 8 bytes for each of a party's
        features and rows.
        """
        n = dataset.num_rows if rows is None else rows.n
        if not self.secret:
            own = self.partial(dataset)
            own = own if rows is None else rows.spread(own)
            total = ops.constant(s, np.zeros(n), frac_bits=LOGIT_BITS)
            for rank in range(len(self.parties)):
                mine = own if rank == self.rank else None
                total = total + ops.share(s, mine, rank, (n,), frac_bits=LOGIT_BITS, name="part of the score")
            return total
        x = self.standardised(dataset)
        x = x if rows is None else rows.spread(x)
        blocks = [
            ops.fixed_matrix(s, x if rank == self.rank else None, rank, (n, size), frac_bits=X_BITS, name="features")
            for rank, size in enumerate(self.sizes)
            if size
        ]
        if self.share is None:
            raise ModelFileError("the model has no weights", party=self.party)
        z = shared_logits(s, blocks, shares.restore(s, self.share, self.share_bits))
        return ops.rescale(s, z, LOGIT_BITS)

    # --- on disk ---
    def to_dict(self) -> dict[str, Any]:
        """Plain values; `from_dict` gives back the same bits."""

        def listed(x: NDArray[Any] | None) -> list[Any] | None:
            return None if x is None else x.tolist()

        return {
            **self._common(),
            "mean": listed(self.scale.mean),
            "scale": listed(self.scale.scale),
            "intercept": self.intercept,
            "intercept_se": self.intercept_se,
            "coef": listed(self.coef),
            "se": listed(self.se),
            "z": listed(self.z),
            "p": listed(self.p),
            "share": listed(self.share),
            "share_bits": self.share_bits,
        }

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Self:
        """The half that `to_dict` described; `KeyError`, `TypeError` or `ValueError` if it is not one."""

        def floats(key: str) -> Floats | None:
            return None if body[key] is None else np.asarray(body[key], np.float64)

        half = cls(
            **common(body),
            scale=Scale(np.asarray(body["mean"], np.float64), np.asarray(body["scale"], np.float64)),
            intercept=body["intercept"],
            intercept_se=body["intercept_se"],
            coef=floats("coef"),
            se=floats("se"),
            z=floats("z"),
            p=floats("p"),
            share=None if body["share"] is None else np.asarray(body["share"], np.uint64),
            share_bits=int(body["share_bits"]),
        )
        for column in (half.scale.mean, half.scale.scale, half.coef, half.se):
            if column is not None and column.shape != (len(half.names),):
                raise ValueError("columns of different lengths")
        return half

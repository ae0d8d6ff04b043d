"""The rows that a step computes on, when all of them match and when nobody may know which do.

After `align` with `reveal = "intersection"` every party's dataset has the matched rows in one order. With
`reveal = "none"` the common rows are those of the union of all keys. A party's dataset has its own of these, in the
order of the union; `places` says where they stand, and shares say of every common row whether it is matched (`member`).
What a party has no row for counts as zero, and what is not matched is multiplied by a zero that nobody sees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.joint.context import Context
from ppc.joint.credit.features import FRAME, HOLDOUT, PLACES
from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

MEMBER: Final = "member"


@dataclass(frozen=True, repr=False, eq=False)
class Rows:
    """Some of the common rows, as one party has them.

    Attributes:
        n: how many there are, the same at every party.
        matched: how many of them are matched; `n` if all are.
        own: the rows of the party's dataset that are among them (int64), in order.
        at: where those stand among the n.
        member: (n,) integers 0 and 1 as shares, 1 for matched rows; `None` if all are.
    """

    n: int
    matched: int
    own: NDArray[np.int64]
    at: NDArray[np.int64]
    member: AShare | None

    def __repr__(self) -> str:
        return f"<Rows {len(self.own)} of {self.n}>"

    @staticmethod
    def whole(n: int) -> Rows:
        """n rows that every party has, all matched."""
        return Rows(n, n, np.arange(n), np.arange(n), None)

    def spread(self, values: NDArray[Any], axis: int = 0) -> NDArray[Any]:
        """Values of my own rows, along `axis`, as values of all n: 0 where I have no row."""
        if self.member is None:
            return values
        shape = list(values.shape)
        shape[axis] = self.n
        out = np.zeros(shape, values.dtype)
        index: list[Any] = [slice(None)] * values.ndim
        index[axis] = self.at
        out[tuple(index)] = values
        return out

    def only(self, s: Session, x: AShare) -> AShare:
        """x (n,) or (n, k), zero in the rows that are not matched. Cost: 1 round, 8 bytes an element, if any is not."""
        if self.member is None:
            return x
        member = self.member if x.ndim == 1 else self.member.reshape(-1, 1)
        return ops.mul(s, member, x)

    @property
    def overlap(self) -> float:
        """The fraction of my own rows that is matched."""
        return self.matched / max(len(self.own), 1)


def train(ctx: Context[Any]) -> Rows:
    """The rows to learn from."""
    return _part(ctx, held=False)


def holdout(ctx: Context[Any]) -> Rows:
    """The rows that `align` set apart."""
    return _part(ctx, held=True)


def _part(ctx: Context[Any], *, held: bool) -> Rows:
    left = ctx.find(HOLDOUT)
    apart = left.array(HOLDOUT) if left is not None else np.zeros(ctx.dataset.num_rows, np.bool_)
    here = np.flatnonzero(apart == held)
    if left is None or PLACES not in left:
        return replace(Rows.whole(len(here)), own=here)
    places = left.array(PLACES)
    number = np.cumsum(apart == held) - 1
    own = np.flatnonzero(apart[places] == held)
    matched = int(left.json(FRAME)["holdout" if held else "train"])
    return Rows(len(here), matched, own, number[places[own]], left.share(ctx.session, MEMBER)[here])

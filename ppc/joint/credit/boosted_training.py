"""The parameters of `boosted_trees`. The model itself: `ppc.mpc.learn.candidates`."""

from __future__ import annotations

from pydantic import Field

from ppc.joint.operator import Params


class TreesParams(Params):
    """Parameters of `boosted_trees`.

    label: the label's column, `"column"` or `"party.column"`; default: the only one whose role is `label`.
    positive: the label's value (as text) that counts as 1, if it is not 0/1.
    drop: columns to leave out, `"column"` or `"party.column"`.
    trees, depth: how many trees, and levels of splits in each.
    learning_rate: of the leaf weights.
    l2: the penalty of leaf weights (XGBoost's lambda). gamma: what a split must gain.
    min_child_weight: the least sum of p (1 - p) on both sides of a split.
    subsample: the fraction of the training rows that grows a tree; which rows is public.
    bins: each feature is cut at up to bins - 1 quantiles. min_rows: the fewest training rows on a side of a cut.
    save_as: a name under which each party saves its half of the model.
    """

    label: str | None = None
    positive: str | None = None
    drop: tuple[str, ...] = ()
    trees: int = Field(default=20, ge=1, le=500)
    depth: int = Field(default=3, ge=1, le=6)
    learning_rate: float = Field(default=0.3, gt=0, le=1)
    l2: float = Field(default=1.0, ge=0, le=1000)
    gamma: float = Field(default=0.0, ge=0, le=1000)
    min_child_weight: float = Field(default=1.0, ge=0.1, le=10_000)
    subsample: float = Field(default=1.0, gt=0, le=1)
    bins: int = Field(default=32, ge=2, le=256)
    min_rows: int = Field(default=20, ge=1)
    save_as: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")

"""Scores of joint models: each party adds its part, as shares; who may learn the sum is the caller's choice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.errors import JobFileError, ModelFileError, did_you_mean
from ppc.joint import shares
from ppc.joint.context import Context
from ppc.joint.credit.model import ModelHalf
from ppc.joint.credit.sgd import logits as shared_logits
from ppc.joint.credit.training import X_BITS
from ppc.joint.operator import PlanView
from ppc.mpc import ops
from ppc.mpc.shares import AShare

MODEL = "model"
SUFFIX = ".model.json"
#: Fraction bits of a logit.
LOGIT_BITS = 22


def check(view: PlanView, name: str | None) -> None:
    """Refuse a model that nobody makes. A name that is no step's is looked for among the saved ones later."""
    if name is None and not view.models:
        raise JobFileError(
            "no earlier step makes a model", where=view.where, hint='Name a saved one: model = "…", or add a step.'
        )


def find(ctx: Context[Any], name: str | None) -> ModelHalf:
    """My half of the model of an earlier step (default: the last one), or of a saved one. All halves must fit."""
    if name is None or name in ctx.view.models:
        step = name or ctx.view.models[-1]
        half = ModelHalf.from_dict(ctx.artifacts_of(step).json(MODEL))
    else:
        path = ctx.models / f"{name}{SUFFIX}"
        if not path.exists():
            saved = [p.name.removesuffix(SUFFIX) for p in ctx.models.glob(f"*{SUFFIX}")]
            raise ModelFileError(
                f"there is no saved model '{name}'",
                where=str(path),
                hint=did_you_mean(name, [*saved, *ctx.view.models]),
            )
        half = ModelHalf.load(path)
    if half.party != ctx.me or half.parties != ctx.parties:
        raise ModelFileError(
            f"the model is {half.party}'s half of one of {', '.join(half.parties)}", where=f"model '{name}'"
        )
    ctx.agree("model (its identity)", half.model_id)
    return half


def logits(ctx: Context[Any], half: ModelHalf, rows: NDArray[np.int64] | None = None) -> AShare:
    """The logit of every row of the dataset (or of `rows`), as a share: (rows,), `LOGIT_BITS`. Nobody learns anything.

    Cost: with weights at their owners none; with secret weights one round, and 8 bytes for each of a party's features
    and rows.
    """
    s = ctx.session
    dataset = ctx.dataset if rows is None else ctx.dataset.take(rows)
    n = dataset.num_rows
    if not half.secret:
        own = half.partial(dataset)
        total = ops.constant(s, np.zeros(n), frac_bits=LOGIT_BITS)
        for rank in range(len(ctx.parties)):
            mine = own if rank == ctx.rank else None
            total = total + ops.share(s, mine, rank, (n,), frac_bits=LOGIT_BITS, name="part of the score")
        return total
    x = half.standardised(dataset)
    blocks = [
        ops.fixed_matrix(s, x if rank == ctx.rank else None, rank, (n, size), frac_bits=X_BITS, name="features")
        for rank, size in enumerate(half.sizes)
        if size
    ]
    if half.share is None:
        raise ModelFileError("the model has no weights", party=ctx.me)
    z = shared_logits(s, blocks, shares.restore(s, half.share, half.share_bits))
    return ops.rescale(s, z, LOGIT_BITS)

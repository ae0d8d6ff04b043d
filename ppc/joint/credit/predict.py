"""Models by name, and their scores as shares; who may learn a score is the caller's choice."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ppc.errors import JobFileError, ModelFileError, did_you_mean
from ppc.joint.context import Context
from ppc.joint.credit import half as halves
from ppc.joint.credit.boosted_model import TreesHalf
from ppc.joint.credit.frame import Rows
from ppc.joint.credit.half import LOGIT_BITS, Half
from ppc.joint.credit.model import ModelHalf
from ppc.joint.operator import Cost, PlanView
from ppc.mpc.shares import AShare

MODEL = "model"
SUFFIX = ".model.json"
_KINDS: Final[dict[str, type[Half]]] = {cls.kind: cls for cls in (ModelHalf, TreesHalf)}

H = TypeVar("H", bound=Half)


def check(view: PlanView, name: str | None) -> None:
    """Refuse a model that nobody makes. A name that is no step's is looked for among the saved ones later."""
    if name is None and not view.models:
        raise JobFileError(
            "no earlier step makes a model", where=view.where, hint='Name a saved one: model = "…", or add a step.'
        )


def cost(view: PlanView, name: str | None, rows: float) -> Cost:
    """What the scores of so many rows cost: what the step that trains says, or else one number a row."""
    step = name or (view.models[-1] if view.models else "")
    rounds, row = view.facts.get("cost_of_scores", {}).get(step, (1, 8))
    return Cost(rounds + 1, round((row + 8) * rows))


def find(ctx: Context[Any], name: str | None) -> Half:
    """My half of the model of an earlier step (default: the last one), or of a saved one. All halves must fit."""
    if name is None or name in ctx.view.models:
        step = name or ctx.view.models[-1]
        body, where = ctx.artifacts_of(step).json(MODEL), f"step '{step}'"
    else:
        path = ctx.models / f"{name}{SUFFIX}"
        if not path.exists():
            saved = [p.name.removesuffix(SUFFIX) for p in ctx.models.glob(f"*{SUFFIX}")]
            raise ModelFileError(
                f"there is no saved model '{name}'",
                where=str(path),
                hint=did_you_mean(name, [*saved, *ctx.view.models]),
            )
        body, where = halves.read(path), str(path)
    if body.get("kind") not in _KINDS:
        raise ModelFileError("a model of a kind that this ppc does not know", where=where)
    half = _KINDS[body["kind"]].parse(body, where=where)
    if half.party != ctx.me or half.parties != ctx.parties:
        raise ModelFileError(
            f"the model is {half.party}'s half of one of {', '.join(half.parties)}", where=f"model '{name}'"
        )
    ctx.agree("model (its identity)", half.model_id)
    return half


def find_kind(ctx: Context[Any], name: str | None, kind: type[H]) -> H:
    """As `find`, for a step that works with one kind of model only."""
    half = find(ctx, name)
    if not isinstance(half, kind):
        raise JobFileError(
            f"the model is of the kind '{half.kind}', and this step takes '{kind.kind}'",
            where=ctx.where,
            hint='Name another: model = "…".',
        )
    return half


def logits(ctx: Context[Any], half: Half, rows: NDArray[np.int64] | Rows | None = None) -> AShare:
    """The logit of every row of the dataset (or of `rows`), as a share: (rows,), `LOGIT_BITS`."""
    if isinstance(rows, Rows):
        return half.logits(ctx.session, ctx.dataset.take(rows.own), rows)
    return half.logits(ctx.session, ctx.dataset if rows is None else ctx.dataset.take(rows))


__all__ = ["LOGIT_BITS", "MODEL", "SUFFIX", "check", "cost", "find", "find_kind", "logits"]

"""`scorecard`: the joint model as points that add up; each party holds the points of its own features.

The model's coefficients are of standardised WOE features. Each party turns its own back: with mean m and scale s of a
feature, w · (woe - m) / s is (w / s) · woe minus a constant. The points are of (w / s) · woe; the constants of all
parties go into the base points, which the label holder has.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ppc.errors import DisclosureRefused, InternalError, JobFileError
from ppc.joint.context import Context
from ppc.joint.credit import predict
from ppc.joint.credit.counts import WoeTable
from ppc.joint.credit.model import ModelHalf
from ppc.joint.credit.points import Scaling, Scorecard
from ppc.joint.credit.predict import LOGIT_BITS
from ppc.joint.operator import Cost, Disclosure, Operator, Params, PlanView, Summary
from ppc.joint.registry import register
from ppc.mpc import ops

CARD = "scorecard"


class ScorecardParams(Params):
    """Parameters of `scorecard`.

    model: the step that trained it (default: the last one).
    base_score: the score of a customer whose odds are `base_odds`.
    base_odds: good : bad, so 50 means 50 : 1.
    pdo: how many points more double the odds.
    digits: decimals of points; 0 for whole points.
    """

    model: str | None = None
    base_score: float = Field(default=600.0, ge=-1e6, le=1e6)
    base_odds: float = Field(default=50.0, gt=0, le=1e9)
    pdo: float = Field(default=20.0, gt=0, le=1e6)
    digits: int = Field(default=0, ge=0, le=12)

    def scaling(self) -> Scaling:
        return Scaling(self.base_score, self.base_odds, self.pdo, self.digits)


@register
class ScorecardOperator(Operator[ScorecardParams]):
    """Points for every bin of every feature."""

    name = "scorecard"
    summary = "turn the joint model into scorecard points; each party holds those of its own features"
    Params = ScorecardParams
    needs_match = ""

    def check(self, params: ScorecardParams, view: PlanView) -> None:
        """An earlier step trained a model on WOE features."""
        if not view.models or (params.model is not None and params.model not in view.models):
            raise JobFileError(
                "no earlier step makes this model", where=view.where, hint="Put a 'logistic_regression' step before."
            )
        if "woe" not in view.facts:
            raise JobFileError(
                "points are for bins, and the features have none", where=view.where, hint="Begin with a 'woe' step."
            )

    def disclosures(self, params: ScorecardParams, view: PlanView) -> list[Disclosure]:
        holder = view.facts["label"][0]
        others = [p for p in view.peers(holder) if view.features.get(p)]
        if not others:
            return []
        about = others[0] if len(others) == 1 else "the other parties"
        return [
            Disclosure(
                holder,
                f"the constant part of the score of {about}: one number, a weighted sum of the means of its features",
                about,
                why="to put it into the base points",
            )
        ]

    def cost(self, params: ScorecardParams, view: PlanView) -> Cost:
        return Cost(4, 200)

    def run(self, ctx: Context[ScorecardParams]) -> Summary:
        half = predict.find_kind(ctx, ctx.params.model, ModelHalf)
        if half.coef is None:
            raise DisclosureRefused(
                "the coefficients are secret, so nobody can hold points",
                hint='Train with weights = "owner".',
            )
        tables = woe_tables(half)
        coefficients = half.coef / half.scale.scale
        constant = -float(coefficients @ half.scale.mean)
        intercept = _at_holder(ctx, half, constant)
        card = Scorecard.of(
            tables,
            dict(zip(half.names, coefficients.tolist(), strict=True)),
            intercept,
            ctx.params.scaling(),
        )
        ctx.artifacts.put_json(CARD, card.to_dict())
        return {
            "model_id": half.model_id,
            "base_points": card.base_points,
            "factor": card.scaling.factor,
            "offset": card.scaling.offset,
            "points": card.rows(),
        }


def _at_holder(ctx: Context[ScorecardParams], half: ModelHalf, constant: float) -> float | None:
    """The intercept for raw WOE features, at the label holder: its own, plus everyone's constant."""
    s, total = ctx.session, None
    for rank in range(len(ctx.parties)):
        mine = np.asarray([constant + (half.intercept or 0.0)]) if rank == ctx.rank else None
        share = ops.share(s, mine, rank, 1, frac_bits=LOGIT_BITS, name="constant part of the score")
        total = share if total is None else total + share
    if total is None:
        raise InternalError("a job without parties")
    value = ops.reveal(s, total, ctx.job.rank(half.label_party))
    return None if value is None else float(value[0])


def woe_tables(half: ModelHalf) -> dict[str, WoeTable]:
    """The WOE tables in a model's pipeline, by feature; empty for a party without features.

    Raises:
        JobFileError: the features were not made by a `woe` step.
    """
    if not half.pipeline:
        return {}
    if half.pipeline[0].get("kind") != "woe":
        raise JobFileError("the model was trained on other features than bins", hint="Begin with a 'woe' step.")
    found = (WoeTable.from_dict(t) for t in half.pipeline[0]["tables"])
    return {t.name: t for t in found if t.name in half.names}

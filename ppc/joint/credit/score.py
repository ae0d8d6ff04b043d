"""The operator `score`: the joint model on many rows at once; only the result party learns the scores."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ppc.dataset.schema import Role
from ppc.errors import InternalError
from ppc.joint.context import Context
from ppc.joint.credit import features, predict
from ppc.joint.credit.clear import sigmoid
from ppc.joint.operator import Cost, Disclosure, Operator, Params, PlanView, Summary
from ppc.joint.registry import register
from ppc.mpc import ops

SCORES = "scores"


class ScoreParams(Params):
    """Parameters of `score`.

    model: the step that trained it (default: the last one), or a saved model's name.
    rows: `"all"` matched rows, those of the `"holdout"`, or those of the `"train"`ing.
    """

    model: str | None = None
    rows: Literal["all", "train", "holdout"] = "all"


@register
class Score(Operator[ScoreParams]):
    """Batch scoring."""

    name = "score"
    summary = "score the matched rows with the joint model"
    Params = ScoreParams
    reads = (Role.FEATURE,)
    needs_match = "a list of scores would say who matches"

    def check(self, params: ScoreParams, view: PlanView) -> None:
        predict.check(view, params.model)

    def disclosures(self, params: ScoreParams, view: PlanView) -> list[Disclosure]:
        rows = {"all": "every matched row", "train": "every training row", "holdout": "every row of the holdout"}
        return [
            Disclosure(
                view.result,
                f"the score of {rows[params.rows]}, and so what the others' features add (a weighted sum, or leaves)",
                why="the result of the job",
            )
        ]

    def cost(self, params: ScoreParams, view: PlanView) -> Cost:
        share = {"all": 1.0, "train": 1 - view.holdout, "holdout": view.holdout}[params.rows]
        return predict.cost(view, params.model, view.max_rows * share)

    def run(self, ctx: Context[ScoreParams]) -> Summary:
        import pyarrow as pa

        half = predict.find(ctx, ctx.params.model)
        split = features.split(ctx)
        rows = {"all": np.arange(ctx.dataset.num_rows), "train": split.train, "holdout": split.test}[ctx.params.rows]
        ctx.agree("number of rows to score", len(rows))
        ctx.report(0.1, f"scoring {len(rows)} rows")
        logits = ops.reveal(ctx.session, predict.logits(ctx, half, rows), ctx.job.rank(ctx.job.result))
        if ctx.me != ctx.job.result:
            return {"rows": len(rows), "model_id": half.model_id}
        if logits is None:
            raise InternalError("the result party was told no scores")
        keys = dict(ctx.view.facts.get("keys_of", {})).get(ctx.me, ())
        own = ctx.dataset.take(rows).to_arrow()
        columns = {name: own.column(name) for name in keys}
        table = pa.table({**columns, "logit": logits, "probability": sigmoid(logits)})
        ctx.artifacts.put_table(SCORES, table)
        return {
            "rows": len(rows),
            "model_id": half.model_id,
            "file": str(ctx.artifacts.path(SCORES).name),
            "mean_probability": float(sigmoid(logits).mean()) if len(rows) else None,
        }

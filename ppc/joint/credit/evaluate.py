"""`evaluate`: how good the joint model is, on the rows it was trained on and on those it has not seen.

The scores are told to the result party alone, which must hold the label; it computes every figure by itself. The others
learn the aggregated figures if `share_metrics` says so, and else nothing. Where nobody may know which rows match, no
score is told, but goods and bads by intervals of the score (`graded`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ppc.dataset.schema import Role
from ppc.errors import FrameError, InternalError, JobFileError, LabelError
from ppc.joint.context import Context
from ppc.joint.credit import features, frame, graded, label, metrics, predict
from ppc.joint.credit.assess import AGGREGATES, assess
from ppc.joint.credit.clear import sigmoid
from ppc.joint.credit.half import Half
from ppc.joint.operator import EVERYONE, Cost, Disclosure, Operator, Params, PlanView, Summary
from ppc.joint.registry import register
from ppc.mpc import ops

EVALUATION = "evaluation"


class EvaluateParams(Params):
    """Parameters of `evaluate`.

    model: the step that trained it (default: the last one), or a saved model's name.
    label, positive: as in training; the label must be at the result party.
    weight: a column of positive row weights at the result party.
    cutoff: customers with at least this probability of bad are called bad; default: where KS is reached in training.
    groups: of lift, calibration and the stability index.
    share_metrics: tell the other parties the aggregated figures (AUC, KS, …), of both samples.
    """

    model: str | None = None
    label: str | None = None
    positive: str | None = None
    weight: str | None = None
    cutoff: float | None = Field(default=None, ge=0, le=1)
    groups: int = Field(default=10, ge=2, le=100)
    share_metrics: bool = False


@register
class Evaluate(Operator[EvaluateParams]):
    """AUC, KS, lift, calibration, stability and confusion of the joint model."""

    name = "evaluate"
    summary = "evaluate the joint model on training rows and holdout"
    Params = EvaluateParams
    reads = (Role.FEATURE, Role.LABEL, Role.WEIGHT)
    needs_match = ""

    def check(self, params: EvaluateParams, view: PlanView) -> None:
        """There is a model, and the result party holds the label (and the weight)."""
        predict.check(view, params.model)
        party, name = view.label(params.label)
        if party != view.result:
            raise LabelError(
                f"label '{name}' is at {party}, but the result goes to {view.result}",
                where=view.where,
                hint=f'Scores are evaluated by who has the label: result = "{party}".',
            )
        label.check_type(view.column(party, name), party=party, where=view.where, positive=params.positive)
        if params.weight is not None and view.resolve(params.weight)[0] != party:
            raise JobFileError(f"the weight must be at {party}, who has the label", where=view.where)

    def disclosures(self, params: EvaluateParams, view: PlanView) -> list[Disclosure]:
        found = (
            self._hidden_disclosures(view)
            if view.hidden
            else [
                Disclosure(
                    view.result,
                    "the score of every matched row, and so what the others' features add (a weighted sum, or leaves)",
                    why="to evaluate the model",
                )
            ]
        )
        if params.share_metrics:
            figures = ", ".join(AGGREGATES)
            what = f"aggregated figures of the model on training rows and holdout: {figures}, stability index"
            found += [
                Disclosure(p, what, view.result, (view.label(params.label)[1],), "to judge the model")
                for p in view.peers(view.result)
            ]
        return found

    @staticmethod
    def _hidden_disclosures(view: PlanView) -> list[Disclosure]:
        samples = "training rows and holdout" if view.holdout else "training rows"
        intervals, least = graded.INTERVALS, graded.LEAST_ROWS
        return [
            Disclosure(
                EVERYONE,
                "mean and standard deviation of the matched training rows' scores, and which of "
                f"{intervals} intervals of the score hold fewer than {least} matched rows, of {samples}",
                why="to join intervals of few rows before anything is told",
            ),
            Disclosure(
                view.result,
                f"how many matched rows are good and how many bad in each of at most {intervals} intervals of the "
                f"score (of all evaluations in the job together), of {samples}; none has fewer than {least} rows; no "
                "single score",
                why="to evaluate the model",
            ),
        ]

    def cost(self, params: EvaluateParams, view: PlanView) -> Cost:
        if view.hidden:
            scores = predict.cost(view, params.model, view.max_rows)
            return scores + Cost(100, (100 + 14 * graded.INTERVALS) * view.max_rows + 2000 * params.share_metrics)
        return predict.cost(view, params.model, view.max_rows) + Cost(2, 2000 * params.share_metrics)

    def inspect(self, ctx: Context[EvaluateParams]) -> None:
        if ctx.me == ctx.job.result:
            label.binary(ctx.source, ctx.view.label(ctx.params.label)[1], positive=ctx.params.positive)
            self._weights(ctx, ctx.source)

    def run(self, ctx: Context[EvaluateParams]) -> Summary:
        params, result = ctx.params, ctx.job.result
        half = predict.find(ctx, params.model)
        if ctx.view.hidden:
            return self._run_hidden(ctx, half)
        ctx.agree("number of rows to evaluate", ctx.dataset.num_rows)
        ctx.report(0.1, f"scoring {ctx.dataset.num_rows} rows")
        told = ops.reveal(ctx.session, predict.logits(ctx, half), ctx.job.rank(result))
        if ctx.me != result:
            shared = ctx.publish("figures", None, result) if params.share_metrics else None
            return {"model_id": half.model_id, "shared": _checked(shared, result)}
        if told is None:
            raise InternalError("the result party was told no scores")
        ctx.report(0.5, "computing figures")
        y = label.binary(ctx.dataset, ctx.view.label(params.label)[1], positive=params.positive)
        figures = evaluate(
            y, told, features.split(ctx), weight=self._weights(ctx, ctx.dataset), groups=params.groups,
            cutoff=params.cutoff,
        )  # fmt: skip
        return self._keep(ctx, half, figures)

    @staticmethod
    def _keep(ctx: Context[EvaluateParams], half: Half, figures: dict[str, Any]) -> Summary:
        ctx.artifacts.put_json(EVALUATION, figures)
        if ctx.params.share_metrics:
            ctx.publish("figures", aggregates(figures), ctx.job.result)
        return {"model_id": half.model_id, **figures}

    def _run_hidden(self, ctx: Context[EvaluateParams], half: Half) -> Summary:
        params, result, s = ctx.params, ctx.job.result, ctx.session
        samples = [r for r in (frame.train(ctx), frame.holdout(ctx)) if r.n]
        ctx.agree("number of rows to evaluate", [[r.n, r.matched] for r in samples])
        intervals = graded.share_of(sum(step.operator == self.name for step in ctx.job.steps))
        columns = None
        if ctx.me == result:
            y = label.binary(ctx.dataset, ctx.view.label(params.label)[1], positive=params.positive)
            w = self._weights(ctx, ctx.dataset)
            w = np.ones(len(y)) if w is None else w
            columns = np.column_stack([w * y, w * (1 - y)])
        at: NDArray[np.float64] | None = None
        found: list[graded.Grades] = []
        for k, rows in enumerate(samples):
            ctx.report(k / len(samples), f"scoring {rows.n} rows")
            scores = predict.logits(ctx, half, rows)
            at = graded.thresholds(s, scores, rows, intervals) if at is None else at
            mine = None if columns is None else columns[rows.own]
            rank = ctx.job.rank(result)
            grades = graded.grade(s, scores, rows, mine, rank, at, rank)
            found += [grades] if grades is not None else []
        if ctx.me != result:
            shared = ctx.publish("figures", None, result) if params.share_metrics else None
            return {"model_id": half.model_id, "shared": _checked(shared, result)}
        return self._keep(ctx, half, from_grades(found, groups=params.groups, cutoff=params.cutoff))

    @staticmethod
    def _weights(ctx: Context[EvaluateParams], dataset: Any) -> NDArray[np.float64] | None:
        if ctx.params.weight is None:
            return None
        name = ctx.view.resolve(ctx.params.weight)[1]
        return metrics.check_weight(dataset.numpy(name), dataset.num_rows, where=f"column '{name}'")


def evaluate(
    y: NDArray[np.float64],
    logits: NDArray[np.float64],
    split: features.Split,
    *,
    weight: NDArray[np.float64] | None = None,
    groups: int = 10,
    cutoff: float | None = None,
) -> dict[str, Any]:
    """All figures of both samples: `train`, `holdout` (`None` if nothing is held out) and `stability` between them.

    Args:
        y, logits, weight: (n,) each; the score is the logit of bad.
        split: which rows are which.
        cutoff: a probability; default: where the KS distance is reached in training, for both samples.

    Raises:
        LabelError: one of the samples holds one class only; it is named.
    """
    p = sigmoid(logits)

    def sample(rows: NDArray[np.int64], name: str, at: float | None) -> dict[str, Any]:
        if y[rows].min() == y[rows].max():
            raise LabelError(
                f"the {name} rows hold one class of the label only", where=name, hint="Hold out more rows."
            )
        return assess(y[rows], p[rows], None if weight is None else weight[rows], groups=groups, cutoff=at)

    train = sample(split.train, "train", cutoff)
    if not len(split.test):
        return {"train": train, "holdout": None, "stability": None}
    holdout = sample(split.test, "holdout", train["confusion"]["cutoff"])
    moved = metrics.stability(
        p[split.train], p[split.test], groups=groups,
        weight_expected=None if weight is None else weight[split.train],
        weight_actual=None if weight is None else weight[split.test],
    )  # fmt: skip
    return {
        "train": train,
        "holdout": holdout,
        "stability": {
            "psi": moved.psi,
            "edges": moved.edges.tolist(),
            "expected": moved.expected.tolist(),
            "actual": moved.actual.tolist(),
        },
    }


def from_grades(found: list[graded.Grades], *, groups: int = 10, cutoff: float | None = None) -> dict[str, Any]:
    """As `evaluate`, from the intervals of the training rows and, if there is one, of the holdout."""
    parts = [g.pseudo() for g in found]
    y, score, weight = (np.concatenate([p[i] for p in parts]) for i in range(3))
    n, first = len(y), len(parts[0][0])
    rows = features.Split(np.arange(first), np.arange(first, n))
    figures = evaluate(y, score, rows, weight=weight, groups=groups, cutoff=cutoff)
    for name, grades in zip(("train", "holdout"), found, strict=False):
        figures[name]["rows"] = int(grades.rows.sum())
    return figures


def aggregates(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures that may be told to who does not see the scores."""
    short = {
        name: {k: figures[name][k] for k in AGGREGATES} for name in ("train", "holdout") if figures[name] is not None
    }
    return {**short, "psi": None if figures["stability"] is None else figures["stability"]["psi"]}


def _checked(shared: Any, party: str) -> dict[str, Any] | None:
    if shared is None:
        return None
    good = isinstance(shared, dict) and set(shared) <= {"train", "holdout", "psi"}
    samples = [shared[k] for k in ("train", "holdout") if k in shared] if good else []
    good = good and all(isinstance(s, dict) and set(s) == set(AGGREGATES) for s in samples)
    values = [v for s in samples for v in s.values()] + [shared.get("psi")] if good else []
    if not good or not all(v is None or isinstance(v, int | float) for v in values):
        raise FrameError("the aggregated figures are malformed", party=party, where="note 'figures'")
    return dict(shared)

"""The operator `boosted_trees`: gradient-boosted trees over every party's features, the label at one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppc.dataset.schema import Role
from ppc.errors import ColumnError, FrameError, TypeMismatchError
from ppc.joint.context import Context
from ppc.joint.credit import features, frame, label, told
from ppc.joint.credit.boosted_model import TreesHalf
from ppc.joint.credit.boosted_training import TreesParams
from ppc.joint.credit.predict import MODEL, SUFFIX
from ppc.joint.job import digest
from ppc.joint.operator import EVERYONE, Cost, Disclosure, Operator, PlanView, Summary
from ppc.joint.registry import register
from ppc.joint.shares import words
from ppc.mpc import ops
from ppc.mpc.learn import boosting
from ppc.mpc.learn.candidates import Candidates, base_logit


@dataclass(frozen=True)
class _Columns:
    """What a step reads, from schemas: `(party, column)` of the label, and each party's features."""

    label: tuple[str, str]
    features: dict[str, tuple[str, ...]]

    @staticmethod
    def of(params: TreesParams, view: PlanView) -> _Columns:
        target = view.label(params.label)
        return _Columns(target, features.expected(view, apart=[target], drop=params.drop))


@register
class BoostedTrees(Operator[TreesParams]):
    """Gradient-boosted trees over vertically split features."""

    name = "boosted_trees"
    summary = "train gradient-boosted trees on all parties' features without showing them"
    Params = TreesParams
    reads = (Role.FEATURE, Role.LABEL)
    needs_match = ""

    # --- before ---
    def check(self, params: TreesParams, view: PlanView) -> None:
        columns = _Columns.of(params, view)
        party, name = columns.label
        label.check_type(view.column(party, name), party=party, where=view.where, positive=params.positive)
        if not any(view.features.values()):
            self._refuse_text(params, view, columns)
        if not any(columns.features.values()):
            raise ColumnError("no party has a feature", where=view.where, hint="Give columns the role 'feature'.")

    @staticmethod
    def _refuse_text(params: TreesParams, view: PlanView, columns: _Columns) -> None:
        for party, names in features.candidates(view, apart=[columns.label], drop=params.drop).items():
            for name in names:
                if not view.schemas[party][name].is_numeric:
                    raise TypeMismatchError(
                        f"column '{name}' is text, and trees take numbers",
                        party=party,
                        where=f"column '{name}'",
                        hint=f"Put a 'woe' step before this one, or leave it out: drop = [\"{party}.{name}\"].",
                    )

    def disclosures(self, params: TreesParams, view: PlanView) -> list[Disclosure]:
        columns = _Columns.of(params, view)
        nodes = f"{params.trees} trees of {(1 << params.depth) - 1} nodes"
        found = [
            Disclosure(
                EVERYONE,
                "how many features and candidate splits of each party enter the model, and the number of training rows",
            ),
            Disclosure(
                EVERYONE,
                f"of each node of {nodes} which party's feature splits it, or that it is not split",
                why="the owner of the feature says which way its rows go",
            ),
        ]
        for party in view.parties:
            if columns.features[party]:
                what = f"of each node of {nodes} that a feature of its own splits: which feature, at which threshold"
                why = f"to send rows left or right; it tells what separates the label of {columns.label[0]}"
                why += " among matched rows" * view.hidden
                found.append(Disclosure(party, what, party, columns.features[party], why))
        return found

    def cost(self, params: TreesParams, view: PlanView) -> Cost:
        n, widths = view.train_rows, [len(c) for c in _Columns.of(params, view).features.values()]
        candidates, nodes = (params.bins - 1) * sum(widths), (1 << params.depth) - 1
        blocks = -(-n * candidates // boosting.CHUNK_WORDS)
        level = 31 + 4 * int(candidates).bit_length() + blocks
        row = params.trees * (50 * nodes + 680)
        once = 8 * n * (params.bins - 1) * max(widths)
        if n * candidates > boosting.KEEP_WORDS:
            once *= params.trees * params.depth
        rounds = params.trees * (params.depth * (level + 1) + 68)
        return Cost(rounds, n * row + once + params.trees * nodes * candidates * 1000)

    def after(self, params: TreesParams, view: PlanView) -> PlanView:
        nodes = params.trees * ((1 << params.depth) - 1)
        per_row = {**view.facts.get("cost_of_scores", {}), view.step: (params.depth + 1, 16 * nodes + 8)}
        target = _Columns.of(params, view).label
        return replace(view, models=(*view.models, view.step)).with_facts(label=target, cost_of_scores=per_row)

    # --- during ---
    def inspect(self, ctx: Context[TreesParams]) -> None:
        columns = _Columns.of(ctx.params, ctx.view)
        if columns.label[0] == ctx.me:
            label.binary(ctx.source, columns.label[1], positive=ctx.params.positive)
        if not any(ctx.view.features.values()):
            features.check_columns(ctx, columns.features[ctx.me])

    def run(self, ctx: Context[TreesParams]) -> Summary:
        params = ctx.params
        columns = _Columns.of(params, ctx.view)
        rows = frame.train(ctx)
        train = ctx.dataset.take(rows.own)
        y = label.binary(train, columns.label[1], positive=params.positive) if columns.label[0] == ctx.me else None
        pipeline, own = self._own(ctx, columns, train)
        ctx.agree("number of training rows", [rows.n, rows.matched])
        # Of my own rows so many lie on a side of a cut that enough of them are likely to match.
        enough = told.fine_rows(params.min_rows, rows.overlap)
        mine = Candidates.of(own.matrix, params.model_copy(update={"min_rows": enough}))
        sizes, counts = _told(ctx, columns, len(own.names), len(mine))
        s, holder = ctx.session, ctx.job.rank(columns.label[0])
        bits = boosting.number_bits(rows.n)
        labels = None if y is None else rows.spread(y)
        first = None if y is None else np.asarray([base_logit(y)])
        grown = boosting.grow(
            s,
            rows.spread(own.matrix),
            boosting.Table(counts, mine),
            ops.share(s, labels, holder, (rows.n,), frac_bits=bits, name="label"),
            ops.share(s, first, holder, 1, frac_bits=bits, name="base rate"),
            params,
            ctx.public_stream(),
            ctx.report,
            rows.member,
        )
        stacked, frac_bits = words(ops.concatenate([grown.base, grown.leaves.reshape(-1)]))
        half = TreesHalf(
            model_id=digest([ctx.run_id, ctx.step])[:32],
            party=ctx.me,
            parties=ctx.parties,
            label_party=columns.label[0],
            pipeline=pipeline,
            names=own.names,
            sizes=sizes,
            splits=grown.splits,
            words=stacked,
            frac_bits=frac_bits,
        )
        ctx.artifacts.put_json(MODEL, half.to_dict())
        owners = grown.splits.owner
        return {
            "model_id": half.model_id,
            "rows": rows.matched,
            "trees": params.trees,
            "depth": params.depth,
            "features": dict(zip(ctx.parties, sizes, strict=True)),
            "splits": {p: int((owners == rank).sum()) for rank, p in enumerate(ctx.parties)},
            "not_split": int((owners < 0).sum()),
            "own_splits": half.table(),
        }

    def apply(self, ctx: Context[TreesParams]) -> None:
        if ctx.params.save_as:
            half = TreesHalf.from_dict(ctx.artifacts.json(MODEL))
            half.save(ctx.models / f"{ctx.params.save_as}{SUFFIX}")

    @staticmethod
    def _own(ctx: Context[TreesParams], columns: _Columns, train: Any) -> tuple[features.Pipeline, features.FeatureSet]:
        """This party's pipeline, and its features on the training rows."""
        if not columns.features[ctx.me]:
            return [], features.FeatureSet((), np.empty((train.num_rows, 0)))
        pipeline = features.pipeline(ctx, apart=[columns.label], drop=ctx.params.drop)
        return pipeline, features.apply(pipeline, train)


def _told(
    ctx: Context[TreesParams], columns: _Columns, features_: int, candidates: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How many features and candidate splits each party has, in rank order; never more than the plan allows."""
    told = ctx.gather("sizes", [features_, candidates])
    for party, pair in told.items():
        good = isinstance(pair, list) and len(pair) == 2 and all(type(v) is int and v >= 0 for v in pair)
        most = len(columns.features[party])
        if not (good and pair[0] <= most and pair[1] <= pair[0] * (ctx.params.bins - 1)):
            raise FrameError("numbers of features that the plan does not allow", party=party, where="note 'sizes'")
    if not any(pair[1] for pair in told.values()):
        raise ColumnError("no party has a feature that tells anything", where=ctx.where)
    return tuple(told[p][0] for p in ctx.parties), tuple(told[p][1] for p in ctx.parties)

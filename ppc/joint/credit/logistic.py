"""The operator `logistic_regression`: features of every party, the label at one of them, nobody shows a column."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppc.dataset.schema import Role
from ppc.errors import ColumnError, DisclosureRefused, FrameError, TypeMismatchError, ValueRangeError
from ppc.joint.context import Context
from ppc.joint.credit import carriers, clear, features, frame, label, newton, sgd
from ppc.joint.credit.model import ModelHalf
from ppc.joint.credit.predict import MODEL, SUFFIX
from ppc.joint.credit.training import P_BITS, X_BITS, Floats, LogisticParams, Scale, Schedule, row_weights
from ppc.joint.job import digest
from ppc.joint.operator import EVERYONE, Cost, Disclosure, Operator, PlanView, Summary
from ppc.joint.registry import register
from ppc.joint.shares import words
from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare


@dataclass(frozen=True)
class _Columns:
    """What a step reads, from schemas: `(party, column)` of label and weight, and each party's features."""

    label: tuple[str, str]
    weight: tuple[str, str] | None
    features: dict[str, tuple[str, ...]]

    @staticmethod
    def of(params: LogisticParams, view: PlanView) -> _Columns:
        target = view.label(params.label)
        weight = view.resolve(params.sample_weight) if params.sample_weight else None
        apart = [target, *([weight] if weight else [])]
        found = features.expected(view, apart=apart, drop=params.drop)
        if params.features == "label_holder":
            found = {p: names if p == target[0] else () for p, names in found.items()}
        return _Columns(target, weight, found)


@register
class LogisticRegression(Operator[LogisticParams]):
    """Logistic regression over vertically split features."""

    name = "logistic_regression"
    summary = "train a logistic regression on all parties' features without showing them"
    Params = LogisticParams
    reads = (Role.FEATURE, Role.LABEL, Role.WEIGHT)
    needs_match = ""

    # --- before ---
    def check(self, params: LogisticParams, view: PlanView) -> None:
        columns = _Columns.of(params, view)
        party, name = columns.label
        label.check_type(view.column(party, name), party=party, where=view.where, positive=params.positive)
        if columns.weight and not view.column(*columns.weight).is_numeric:
            raise TypeMismatchError(
                f"weight '{columns.weight[1]}' is not a number", party=columns.weight[0], where=view.where
            )
        if not any(view.features.values()):
            self._refuse_text(params, view, columns)
        if not any(columns.features.values()):
            raise ColumnError("no party has a feature", where=view.where, hint="Give columns the role 'feature'.")

    @staticmethod
    def _refuse_text(params: LogisticParams, view: PlanView, columns: _Columns) -> None:
        apart = [columns.label, *([columns.weight] if columns.weight else [])]
        for party, names in features.candidates(view, apart=apart, drop=params.drop).items():
            if params.features == "label_holder" and party != columns.label[0]:
                continue
            for name in names:
                if not view.schemas[party][name].is_numeric:
                    raise TypeMismatchError(
                        f"column '{name}' is text, and a regression takes numbers",
                        party=party,
                        where=f"column '{name}'",
                        hint=f"Put a 'woe' step before this one, or leave it out: drop = [\"{party}.{name}\"].",
                    )

    def disclosures(self, params: LogisticParams, view: PlanView) -> list[Disclosure]:
        columns = _Columns.of(params, view)
        found = [
            Disclosure(EVERYONE, "how many of each party's features enter the model, and the number of training rows")
        ]
        if params.stops == "change":
            found.append(
                Disclosure(EVERYONE, "after each pass one bit: whether any weight still moved", why="to stop early")
            )
        elif params.stops == "loss":
            found.append(
                Disclosure(EVERYONE, "after each pass the mean squared error of the model", why="to stop early")
            )
        if params.weights == "secret":
            return found
        if view.hidden:
            what = (
                f"of each feature one bit: whether at least {LEAST_CARRIERS:g} matched rows carry it, and one whether "
                f"the rarer class has at least {CASES_PER_WEIGHT} matched rows for each coefficient; else nothing more"
            )
            found.append(Disclosure(EVERYONE, what, why="a coefficient of few rows would tell who matches, and labels"))
        what = "the coefficients of its own features"
        if params.solver == "newton":
            what += ", with their standard errors"
        for party in view.parties:
            if columns.features[party]:
                found.append(Disclosure(party, what, party, columns.features[party], "to explain and to use the model"))
        found.append(Disclosure(columns.label[0], "the intercept", why="to use the model"))
        return found

    def cost(self, params: LogisticParams, view: PlanView) -> Cost:
        n, d = view.train_rows, 1 + sum(len(names) for names in _Columns.of(params, view).features.values())
        weighted = params.class_weight is not None or params.sample_weight is not None or view.hidden
        if params.solver == "newton":
            chunks = -(-n * (d + 1) // newton.CHUNK_WORDS)
            # With `change` it stops after about six passes; one more is for the standard errors.
            passes = 1 + (min(params.max_iterations, 6) if params.stops == "change" else params.max_iterations)
            return Cost(passes * (40 + 8 * chunks) + 80, passes * n * (24 * d + 80))
        batches = max(1, round(n / params.batch_size)) * params.epochs
        rounds = batches * (7 + 2 * weighted + 4 * bool(params.l1))
        return Cost(rounds, n * 8 * d + params.epochs * n * (70 + 16 * weighted) + batches * 24 * d)

    def after(self, params: LogisticParams, view: PlanView) -> PlanView:
        return replace(view, models=(*view.models, view.step)).with_facts(label=_Columns.of(params, view).label)

    # --- during ---
    def inspect(self, ctx: Context[LogisticParams]) -> None:
        columns = _Columns.of(ctx.params, ctx.view)
        if columns.label[0] == ctx.me:
            label.binary(ctx.source, columns.label[1], positive=ctx.params.positive)
        if columns.weight and columns.weight[0] == ctx.me:
            _positive(ctx, columns.weight[1], features.finite(ctx.source, columns.weight[1]))
        if not any(ctx.view.features.values()):
            features.check_columns(ctx, columns.features[ctx.me])

    def run(self, ctx: Context[LogisticParams]) -> Summary:
        params, s = ctx.params, ctx.session
        columns = _Columns.of(params, ctx.view)
        pipeline, own, y, weight = self._own(ctx, columns)
        rows = frame.train(ctx)
        n = rows.n
        sizes = _sizes(ctx, columns, own.matrix.shape[1])
        ctx.agree("number of training rows", [n, rows.matched])
        if params.weights == "owner":
            if rows.member is not None:
                _refuse_telling_hidden(ctx, columns, sizes, own, y, rows)
            else:
                _refuse_telling(ctx, columns, sizes, own, y)
        schedule = Schedule(params, n, ctx.public_stream(), None if rows.member is None else rows.matched)
        order = schedule.order if params.solver == "sgd" else np.arange(n)
        scale = Scale.of(own.matrix)
        x = rows.spread(scale.apply(own.matrix))[order]
        ctx.report(0.0, "masking the features")
        inputs = _share(ctx, columns, sizes, x, y, weight, order, rows)
        if params.solver == "newton":
            trained = newton.train(s, inputs, params, ctx.report)
        else:
            trained = sgd.train(s, inputs, params, schedule, ctx.report)
        half = ModelHalf(
            model_id=digest([ctx.run_id, ctx.step])[:32],
            party=ctx.me,
            parties=ctx.parties,
            label_party=columns.label[0],
            pipeline=pipeline,
            names=own.names,
            scale=scale,
            sizes=sizes,
        )
        half = _hidden(half, trained) if params.weights == "secret" else _revealed(ctx, half, trained)
        ctx.artifacts.put_json(MODEL, half.to_dict())
        return {
            "model_id": half.model_id,
            "solver": params.solver,
            "rows": rows.matched,
            "features": dict(zip(ctx.parties, sizes, strict=True)),
            "left_out": [n for n in columns.features[ctx.me] if n not in own.names],
            "iterations": trained.iterations,
            "losses": list(trained.losses),
            "intercept": half.intercept,
            "intercept_se": half.intercept_se,
            "coefficients": half.table(),
        }

    def apply(self, ctx: Context[LogisticParams]) -> None:
        if ctx.params.save_as:
            half = ModelHalf.from_dict(ctx.artifacts.json(MODEL))
            half.save(ctx.models / f"{ctx.params.save_as}{SUFFIX}")

    def _own(
        self, ctx: Context[LogisticParams], columns: _Columns
    ) -> tuple[features.Pipeline, features.FeatureSet, Floats | None, Floats | None]:
        """This party's pipeline, and its features, label and weight on the training rows."""
        params = ctx.params
        apart = [columns.label, *([columns.weight] if columns.weight else [])]
        train = ctx.dataset.take(features.split(ctx).train)
        y = weight = None
        if columns.label[0] == ctx.me:
            y = label.binary(train, columns.label[1], positive=params.positive)
        if columns.weight and columns.weight[0] == ctx.me:
            weight = features.finite(train, columns.weight[1])
            weight = _positive(ctx, columns.weight[1], weight) / weight.mean()
            if params.weights == "owner":
                _refuse_lopsided(ctx, columns.weight[1], weight)
        if not columns.features[ctx.me]:
            return [], features.FeatureSet((), np.empty((train.num_rows, 0))), y, weight
        pipeline = features.pipeline(ctx, apart=apart, drop=params.drop)
        own = features.apply(pipeline, train)
        if any(ctx.view.features.values()):
            # A feature whose bins were all merged tells nothing. It is left out; nobody made a mistake.
            varying = [n for n, x in zip(own.names, own.matrix.T, strict=True) if x.min() != x.max()]
            if len(varying) < len(own.names):
                ctx.log(f"{len(own.names) - len(varying)} features are left out: they are constant")
                pipeline = [*pipeline, {"kind": "keep", "names": varying}]
                own = features.apply(pipeline, train)
        features.varied(own.matrix, own.names, ctx)
        return pipeline, own, y, weight


def _sizes(ctx: Context[Any], columns: _Columns, own: int) -> tuple[int, ...]:
    """How many features each party has, in rank order; never more than the plan allows."""
    told = ctx.gather("sizes", own)
    for party, size in told.items():
        if type(size) is not int or not 0 <= size <= len(columns.features[party]):
            raise FrameError("a number of features that the plan does not allow", party=party, where="note 'sizes'")
    if not any(told.values()):
        raise ColumnError("no party has a feature that tells anything", where=ctx.where)
    return tuple(told[p] for p in ctx.parties)


#: A coefficient is told only if so many rows carry its feature, and so many of the rarer class stand behind each.
LEAST_CARRIERS = 5.0
CASES_PER_WEIGHT = 2
#: The least share of rows that row weights come to: then no row weighs more than about 3 / sqrt(rows) of all.
LEAST_WEIGHING = 0.1


def _refuse_telling(
    ctx: Context[Any], columns: _Columns, sizes: tuple[int, ...], own: features.FeatureSet, y: Floats | None
) -> None:
    """Refuse coefficients that would tell labels: of a feature that a handful of rows carry, or too many over few rows.

    The sign of the coefficient of a column that is 1 for one customer and 0 for all others is that customer's label.
    How many rows carry a feature is the participation ratio of its deviations, (Σ z²)² / Σ z⁴: k if k rows differ from
    all the others.
    """
    holder = columns.label[0]
    told = sum(size for party, size in zip(ctx.parties, sizes, strict=True) if party != holder)
    if y is None:
        z2 = (own.matrix - own.matrix.mean(axis=0)) ** 2
        carriers = z2.sum(axis=0) ** 2 / (z2**2).sum(axis=0)
        for name, rows in zip(own.names, carriers, strict=True):
            if not rows >= LEAST_CARRIERS:
                raise DisclosureRefused(
                    f"few rows carry column '{name}' (under {LEAST_CARRIERS:g}): a coefficient would tell their labels",
                    where=f"dataset '{ctx.dataset.name}', column '{name}'",
                    hint=f"Cap its extremes, put a 'woe' step before, or leave it out: drop = [\"{ctx.me}.{name}\"].",
                )
    elif told and min(y.sum(), len(y) - y.sum()) < CASES_PER_WEIGHT * told:
        raise DisclosureRefused(
            f"the rarer class has under {CASES_PER_WEIGHT} rows for each of the {told} coefficients told to others",
            where=f"label '{columns.label[1]}'",
            hint='They could tell labels. Match more customers, select fewer features, or set weights = "secret".',
        )


def _refuse_telling_hidden(
    ctx: Context[Any],
    columns: _Columns,
    sizes: tuple[int, ...],
    own: features.FeatureSet,
    y: Floats | None,
    rows: frame.Rows,
) -> None:
    """As `_refuse_telling`, counting matched rows only; who matches is not to be told to the label holder either."""
    s = ctx.session
    # Before anything is told of a feature: each such bit is about a group of its owner's choice.
    mine = None if y is None else rows.spread(y)
    labels = ops.share(s, mine, ctx.job.rank(columns.label[0]), rows.n, frac_bits=0, name="label")
    bads = rows.only(s, labels).sum().reshape(1)
    rare = ops.less_than(s, ops.concatenate([bads, rows.matched - bads]), CASES_PER_WEIGHT * sum(sizes))
    if ops.open_bits(s, ops.or_(s, rare[:1], rare[1:])).any():
        raise DisclosureRefused(
            f"the rarer class has under {CASES_PER_WEIGHT} matched rows for each of the {sum(sizes)} coefficients",
            where=f"label '{columns.label[1]}'",
            hint='They could tell labels. Match more customers, select fewer features, or set weights = "secret".',
        )
    few = carriers.too_few(s, sizes, own.matrix, rows, LEAST_CARRIERS)
    at = 0
    for party, size in zip(ctx.parties, sizes, strict=True):
        bad = np.flatnonzero(few[at : at + size])
        at += size
        if len(bad):
            # Names are told to nobody but their owner.
            name = f"column '{own.names[bad[0]]}'" if party == ctx.me else f"a feature of {party}"
            raise DisclosureRefused(
                f"few matched rows carry {name} (under {LEAST_CARRIERS:g}): a coefficient would tell about them",
                party=party,
                where=f"step '{ctx.step}'",
                hint="Cap its extremes, put a 'woe' step before, leave it out, or set weights = \"secret\".",
            )


def _refuse_lopsided(ctx: Context[Any], name: str, weight: Floats) -> None:
    """Refuse row weights that make a model of a few rows: its coefficients would be those rows' labels.

    (Σ w)² / Σ w² is k if k rows weigh alike and the others nothing.
    """
    rows = weight.sum() ** 2 / (weight**2).sum()
    if not rows >= LEAST_WEIGHING * len(weight):
        raise DisclosureRefused(
            f"weight '{name}' rests on a few rows (under {LEAST_WEIGHING:.0%} of them): coefficients would tell labels",
            where=f"dataset '{ctx.dataset.name}', column '{name}'",
            hint='Cap the weights, or set weights = "secret".',
        )


def _positive(ctx: Context[Any], name: str, weight: Floats) -> Floats:
    if not (weight > 0).all():
        raise ValueRangeError(
            f"weight '{name}' has values that are not positive", where=f"column '{name}'", party=ctx.me
        )
    return weight


def _share(
    ctx: Context[Any],
    columns: _Columns,
    sizes: tuple[int, ...],
    x: Floats,
    y: Floats | None,
    weight: Floats | None,
    order: np.ndarray[Any, Any],
    part: frame.Rows,
) -> sgd.Inputs:
    """Everyone's inputs as shares and masked matrices, rows in `order`."""
    s, n = ctx.session, len(order)

    def mine(rank: int, value: Any) -> Any:
        return value if rank == ctx.rank else None

    def column(party: str, value: Floats | None, name: str) -> AShare:
        rank = ctx.job.rank(party)
        mine = None if value is None else part.spread(value)[order]
        return ops.share(s, mine, rank, (n,), frac_bits=P_BITS, name=name)

    blocks = tuple(
        ops.fixed_matrix(s, mine(rank, x), rank, (n, size), frac_bits=X_BITS, name="features")
        for rank, size in enumerate(sizes)
        if size
    )
    weights = None
    holder = columns.label[0]
    if ctx.params.class_weight is not None:
        by_class = None if y is None else row_weights(y, ctx.params.class_weight)
        if columns.weight and columns.weight[0] == holder and by_class is not None and weight is not None:
            by_class = by_class * weight
        weights = column(holder, by_class, "class weight")
    if columns.weight and (weights is None or columns.weight[0] != holder):
        given = column(columns.weight[0], weight, columns.weight[1])
        weights = given if weights is None else ops.mul(s, weights, given)
    member = None if part.member is None else part.member[order]
    if member is not None:
        weights = member if weights is None else ops.mul(s, member, weights)

    def shared(run: slice) -> AShare:
        rows = run.stop - run.start
        return ops.concatenate(
            [
                ops.share(s, mine(rank, x[run]), rank, (rows, size), frac_bits=X_BITS, name="features")
                for rank, size in enumerate(sizes)
                if size
            ],
            axis=1,
        )

    counted = None if member is None else part.matched
    return sgd.Inputs(blocks, column(holder, y, "label"), weights, shared, member, counted)


def _hidden(half: ModelHalf, trained: sgd.Trained) -> ModelHalf:
    share, bits = words(trained.w)
    return replace(half, share=share, share_bits=bits)


def _revealed(ctx: Context[Any], half: ModelHalf, trained: sgd.Trained) -> ModelHalf:
    """Tell each coefficient (and its variance) to its feature's owner, the intercept to the label holder."""
    s = ctx.session
    coef = _to_owners(s, trained.w, half)
    variance = None if trained.variance is None else _to_owners(s, trained.variance, half)
    holder = half.parties.index(half.label_party) == ctx.rank
    half = replace(half, coef=coef[1:], intercept=float(coef[0]) if holder else None)
    if variance is None:
        return half
    se = np.sqrt(np.maximum(variance * trained.unit, 0.0))
    z, p = clear.wald(coef[1:], se[1:])
    return replace(half, se=se[1:], z=z, p=p, intercept_se=float(se[0]) if holder else None)


def _to_owners(s: Session, values: AShare, half: ModelHalf) -> Floats:
    """My own of the weights, after the intercept (NaN if it is not mine)."""
    mine: list[Floats] = []
    at = 1
    intercept = ops.reveal(s, values[:1], half.parties.index(half.label_party))
    for rank, size in enumerate(half.sizes):
        if size:
            told = ops.reveal(s, values[at : at + size], rank)
            at += size
            if told is not None:
                mine.append(told)
    return np.concatenate([intercept if intercept is not None else np.full(1, np.nan), *mine])

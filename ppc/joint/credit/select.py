"""`select`: keep features that inform and do not repeat each other, whoever has them.

Information values are known to all after `woe`. A party computes the correlations of its own features; those across
parties are computed on shares of the standardised columns. Of two features that are too much alike, the more
informative one stays.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ppc.dataset.schema import Role
from ppc.errors import ColumnError, FrameError, InternalError, JobFileError
from ppc.joint.context import Context
from ppc.joint.credit import carriers, features, frame
from ppc.joint.credit.collinear import inflation, not_inflated, uncorrelated
from ppc.joint.credit.joint_counts import chunk_rows
from ppc.joint.credit.woe import IV
from ppc.joint.operator import EVERYONE, Cost, Disclosure, Operator, Params, PlanView, Summary
from ppc.joint.registry import register
from ppc.mpc import ops
from ppc.mpc.shares import AShare, BShare

Name: TypeAlias = tuple[str, str]  # (party, feature)

LEAST_CARRIERS = 5.0  # matched rows, of a feature whose correlations are told, as of coefficients
LEAST_VARIANCE = 1e-3  # of the matched rows beside all of the owner's
NO_INFORMATION = 1e-9  # a feature with less is one bin, or bins of equal rates: nothing to standardise


class SelectParams(Params):
    """Parameters of `select`. A column is written `"column"`, or `"party.column"` where two parties have the name."""

    iv_min: float = Field(default=0.02, ge=0)
    """Features with less information leave. Below 0.02 one is usually called unpredictive (Siddiqi 2006)."""
    iv_max: float | None = Field(default=None, gt=0)
    """Features with more leave: suspiciously good ones often know the label."""
    max_correlation: float = Field(default=0.7, gt=0, le=1)
    """Largest correlation (absolute) of two features; 1 for no limit."""
    max_vif: float | None = Field(default=None, gt=1)
    """Largest variance inflation factor; needs `disclose = "correlations"`."""
    keep: tuple[str, ...] = ()
    """Features that stay whatever comes."""
    disclose: Literal["decisions", "correlations"] = "decisions"
    """What is told of correlations: whether two features exceed the limit, or the correlation matrix."""

    @model_validator(mode="after")
    def _consistent(self) -> SelectParams:
        if self.iv_max is not None and not self.iv_max > self.iv_min:
            raise ValueError("iv_max must be greater than iv_min")
        if self.max_vif is not None and self.disclose != "correlations":
            raise ValueError('max_vif needs the correlation matrix: set disclose = "correlations"')
        return self


@register
class Select(Operator[SelectParams]):
    name = "select"
    summary = "keep informative features that do not repeat each other"
    Params = SelectParams
    reads = (Role.FEATURE,)
    needs_match = ""

    def check(self, params: SelectParams, view: PlanView) -> None:
        """A `woe` step came before, and the features to keep exist."""
        if "woe" not in view.facts:
            raise JobFileError(
                "information values are not known yet", where=view.where, hint="Put a 'woe' step before."
            )
        for name in params.keep:
            party, column = view.resolve(name)
            if column not in view.features.get(party, ()):
                raise ColumnError(f"'{name}' is not a feature", party=party, where=f"{view.where}, key 'keep'")

    def disclosures(self, params: SelectParams, view: PlanView) -> list[Disclosure]:
        told = "which features are kept, and why the others are not"
        whose = "; within a party of all its training rows, across parties of matched ones" * view.hidden
        if params.disclose == "correlations" and view.hidden:
            whose += f", 0 where fewer than {LEAST_CARRIERS:g} matched rows carry a feature"
        if params.disclose == "correlations":
            what = f"the correlation matrix of all features whose information value is at least {params.iv_min:g}"
        else:
            what = f"of every two features whether their correlation exceeds {params.max_correlation:g}"
        return [
            Disclosure(
                to=EVERYONE,
                what=what + whose if i == 0 else told,
                about=EVERYONE,
                columns=tuple(f"{p}.{n}" for p in view.parties for n in view.features.get(p, ())),
                why="to leave out features that repeat others",
            )
            for i in range(2)
        ]

    def cost(self, params: SelectParams, view: PlanView) -> Cost:
        n, total = view.train_rows, Cost(2 * (len(view.parties) - 1), 0)
        for p, q in _pairs(view.parties):
            a, b = len(view.features.get(p, ())), len(view.features.get(q, ()))
            if a and b and view.hidden:
                total += Cost(4 * -(-n // chunk_rows(2 * (a + b))) + 80, 8 * n * (2 * a + 3 * b) + 1000 * (a + b))
            elif a and b:
                total += Cost(2 * -(-n // chunk_rows(a + b)) + 4, 8 * n * max(a, b) + 40 * a * b)
        return total

    def run(self, ctx: Context[SelectParams]) -> Summary:
        params = ctx.params
        left = ctx.find(IV)
        if left is None:
            raise JobFileError("information values are not known yet", hint="Put a 'woe' step before.")
        iv: dict[Name, float] = {(p, n): v for p, own in left.json(IV).items() for n, v in own.items()}
        forced = {ctx.view.resolve(name) for name in params.keep}
        removed = {name: why_by_iv(v, params) for name, v in iv.items() if name not in forced or v <= NO_INFORMATION}
        removed = {name: why for name, why in removed.items() if why}
        names = [name for name in iv if name not in removed]
        values, keep = [iv[name] for name in names], [name in forced for name in names]
        summary: dict[str, Any] = {}
        if names:
            related, matrix = _alike(ctx, names)
            chosen = uncorrelated(related, values, keep)
            removed |= {n: "correlation" for i, n in enumerate(names) if i not in chosen}
            if matrix is not None:
                summary["correlations"] = {"names": [f"{p}.{n}" for p, n in names], "matrix": matrix.tolist()}
                if params.max_vif is not None:
                    at = np.ix_(chosen, chosen)
                    stay = not_inflated(
                        matrix[at], [values[i] for i in chosen], [keep[i] for i in chosen], params.max_vif
                    )
                    removed |= {names[i]: "vif" for k, i in enumerate(chosen) if k not in stay}
                    chosen = [chosen[k] for k in stay]
                factors = inflation(matrix[np.ix_(chosen, chosen)])
                summary["vif"] = {
                    f"{p}.{n}": float(f) for (p, n), f in zip([names[i] for i in chosen], factors, strict=True)
                }
            names = [names[i] for i in chosen]
        if not names:
            raise ColumnError(
                "no feature is left after the selection",
                hint="Lower iv_min, or look at the information values of the 'woe' step.",
            )
        ctx.agree("selected features", [list(n) for n in names])
        kept = {p: [n for q, n in names if q == p] for p in ctx.parties}
        chain = features.pipeline(ctx)
        features.hand_on(ctx, [*chain, {"kind": "keep", "names": kept[ctx.me]}])
        ctx.artifacts.put_json("selected", kept)
        return {"kept": kept, "removed": {f"{p}.{n}": why for (p, n), why in removed.items()}, **summary}


def _pairs(parties: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(p, q) for i, p in enumerate(parties) for q in parties[i + 1 :]]


def why_by_iv(iv: float, params: SelectParams) -> str:
    """Why a feature of this information value leaves; empty if it stays."""
    if iv < max(params.iv_min, NO_INFORMATION):
        return "information value too low"
    if params.iv_max is not None and iv > params.iv_max:
        return "information value too high"
    return ""


def _alike(ctx: Context[SelectParams], names: list[Name]) -> tuple[NDArray[np.bool_], NDArray[np.float64] | None]:
    """Which features are correlated beyond the limit, (d, d), and the correlation matrix if it is to be known."""
    own = {p: [i for i, (q, _) in enumerate(names) if q == p] for p in ctx.parties}
    limit, open_matrix = ctx.params.max_correlation, ctx.params.disclose == "correlations"
    z = standardised(ctx, [names[i][1] for i in own[ctx.me]])
    rows = frame.train(ctx)
    within = z.T @ z / max(len(z), 1)
    blocks = ctx.gather("correlations", (within if open_matrix else np.abs(within) > limit).tolist())
    matrix = np.eye(len(names))
    for party, block in blocks.items():
        matrix[np.ix_(own[party], own[party])] = _block(block, len(own[party]), party)
    few = None
    if rows.member is not None and open_matrix:
        few = carriers.few(ctx.session, tuple(len(own[p]) for p in ctx.parties), z, rows, LEAST_CARRIERS)
    for k, (p, q) in enumerate(pairs := [(p, q) for p, q in _pairs(ctx.parties) if own[p] and own[q]]):
        ctx.report(0.1 + 0.9 * k / len(pairs), f"correlations of {p} and {q}")
        if rows.member is None:
            cross = _cross(ctx, p, q, z, len(own[p]), len(own[q]))
            n = float(len(z))
        else:
            cross, n = _hidden_cross(ctx, rows, p, q, z, len(own[p]), len(own[q])), 1.0
            if few is not None:
                cross = _carried(ctx, few, p, q, cross, {party: len(i) for party, i in own.items()})
        shown = ops.open(ctx.session, cross) / n if open_matrix else _exceeds(ctx, cross, limit * n)
        matrix[np.ix_(own[p], own[q])] = shown
        matrix[np.ix_(own[q], own[p])] = shown.T
    if open_matrix:
        matrix = np.clip(matrix, -1, 1)
        return np.abs(matrix) > limit, matrix
    return matrix > 0, None


def standardised(ctx: Context[Any], names: list[str]) -> NDArray[np.float64]:
    """This party's features of these names on the training rows, with mean 0 and mean square 1: (rows, len(names))."""
    made = features.apply(features.pipeline(ctx), ctx.dataset)
    x = made.matrix[features.split(ctx).train][:, [made.names.index(n) for n in names]]
    x = x - x.mean(axis=0)
    scale: NDArray[np.float64] = np.sqrt(np.mean(x * x, axis=0))
    if not (scale > 0).all():
        flat = [n for n, v in zip(names, scale, strict=True) if not v > 0]
        raise ColumnError("a feature is constant on the training rows", where=f"column '{flat[0]}'", party=ctx.me)
    z: NDArray[np.float64] = x / scale
    return z


def _cross(ctx: Context[SelectParams], p: str, q: str, z: NDArray[np.float64], a: int, b: int) -> AShare:
    """Z_pᵀ Z_q as shares, (a, b), with twice the session's fraction bits.

    Cost: 2 rounds for each block of rows, 8 · rows · a bytes from p and 8 · rows · b from q. By Cauchy and Schwarz no
    entry exceeds `rows`, so up to 2**26 rows stay within the ring.
    """
    s, step, rows = ctx.session, chunk_rows(a + b), len(z)
    total: AShare | None = None
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        mine = z[start:stop] if ctx.me in (p, q) else None
        left = ops.fixed_matrix(s, mine if ctx.me == p else None, ctx.job.rank(p), (stop - start, a), name="features")
        right = ops.share(s, mine if ctx.me == q else None, ctx.job.rank(q), (stop - start, b), name="features")
        part = ops.matmul_fixed_t(s, left, right, truncated=False)
        total = part if total is None else total + part
    if total is None:
        raise ColumnError("there are no training rows")
    return total


def _hidden_cross(
    ctx: Context[SelectParams], rows: frame.Rows, p: str, q: str, z: NDArray[np.float64], a: int, b: int
) -> AShare:
    """The correlations of p's features with q's over the matched rows, (a, b), as shares.

    Means and variances are those of the matched rows, which nobody knows. A feature that hardly varies among them (a
    variance below 1e-3 of that of its owner's rows) has small correlations.

    Cost: 4 rounds for each block of rows, and about 60; 16 bytes for each row and feature of p, 24 for each of q.
    """
    s, step = ctx.session, chunk_rows(2 * (a + b))
    sums: list[AShare] = []
    for start in range(0, rows.n, step):
        stop = min(start + step, rows.n)
        mine = rows.spread(z)[start:stop] if ctx.me in (p, q) else None
        wide = None if mine is None else np.concatenate([mine, mine * mine], axis=1)
        member = rows.member[start:stop] if rows.member is not None else None
        if member is None:
            raise InternalError("the match is not hidden")
        left = ops.fixed_matrix(
            s, wide if ctx.me == p else None, ctx.job.rank(p), (stop - start, 2 * a), name="features"
        )
        right = ops.share(s, wide if ctx.me == q else None, ctx.job.rank(q), (stop - start, 2 * b), name="features")
        right = ops.mul(s, member.reshape(-1, 1), right)
        one = member.reshape(-1, 1).shift_left(right.frac_bits)
        part = [
            ops.matmul_fixed_t(s, left, ops.concatenate([one, right[:, :b]], axis=1), truncated=False),
            right.sum(axis=0).shift_left(right.frac_bits).reshape(1, -1),
        ]
        sums = [x + y for x, y in zip(sums, part, strict=True)] if sums else part
    if not sums:
        raise ColumnError("there are no training rows")
    with_p, of_q = (ops.mul_public(s, ops.truncate(s, x, s.fx.frac_bits), 1 / rows.matched) for x in sums)
    mean_p, mean_q = with_p[:a, 0], of_q[0, :b]
    means = ops.concatenate([mean_p, mean_q])
    variance = ops.concatenate([with_p[a:, 0], of_q[0, b:]]) - ops.square(s, means)
    low, high = LEAST_VARIANCE, 1 / LEAST_VARIANCE
    scale = ops.inverse_sqrt(s, ops.clip(s, variance, low, high), low=low, high=high)
    covariance = with_p[:a, 1:] - ops.mul(s, mean_p.reshape(a, 1), mean_q.reshape(1, b))
    return ops.mul(s, ops.mul(s, covariance, scale[:a].reshape(a, 1)), scale[a:].reshape(1, b))


def _carried(ctx: Context[Any], few: BShare, p: str, q: str, cross: AShare, sizes: dict[str, int]) -> AShare:
    """Zero where a handful of matched rows carry one of the two features: it would tell of the other on these rows."""
    starts = dict(zip(ctx.parties, np.cumsum([0, *sizes.values()]), strict=False))
    of_p, of_q = (few[starts[x] : starts[x] + sizes[x]] for x in (p, q))
    shape = cross.shape
    bad = ops.or_(ctx.session, of_p.reshape(-1, 1).broadcast_to(shape), of_q.reshape(1, -1).broadcast_to(shape))
    return ops.bit_mul(ctx.session, ~bad, cross)


def _exceeds(ctx: Context[SelectParams], cross: AShare, bound: float) -> NDArray[np.float64]:
    """1.0 where |cross| > bound, told to all."""
    s = ctx.session
    both = ops.concatenate([cross, -cross])
    flags = ops.open_bits(s, ops.less_than_zero(s, bound - both))
    high, low = np.split(flags, 2)
    return (high | low).astype(np.float64)


def _block(block: Any, size: int, party: str) -> NDArray[np.float64]:
    try:
        value = np.asarray(block, dtype=np.float64).reshape(size, size)
    except (TypeError, ValueError):
        value = np.full((1, 1), np.nan)
    if not np.isfinite(value).all():
        raise FrameError("a block of correlations is malformed", party=party)
    return value

"""`woe`: bins for every feature, with weight of evidence and information value.

The label holder bins its own features by itself. The partner cuts each of its features into fine bins without labels;
then the number of bads in every fine bin is computed on shares and told to the partner alone (`joint_counts`), and the
partner merges its bins by these counts. So the label holder learns neither values nor edges, and the partner learns no
label, only the bad rates of groups of its own customers, each of at least `min_bin_rows`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from ppc.dataset.schema import Role
from ppc.errors import (
    ColumnError,
    DisclosureRefused,
    FrameError,
    JobFileError,
    LabelError,
    TypeMismatchError,
    did_you_mean,
)
from ppc.joint.context import Context
from ppc.joint.credit import features, frame, label, told
from ppc.joint.credit.binning import Binning, FeatureValues
from ppc.joint.credit.coarsen import Trend
from ppc.joint.credit.counts import Counts, WoeTable, tally
from ppc.joint.credit.features import FeatureSet
from ppc.joint.credit.fit import BinningRule, Method, feature_values, take
from ppc.joint.credit.joint_counts import chunk_rows, count_jointly
from ppc.joint.credit.metrics import check_weight
from ppc.joint.operator import EVERYONE, Cost, Disclosure, Operator, Params, PlanView, Summary
from ppc.joint.registry import register
from ppc.mpc import ops

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset

TABLES = "woe"
IV = "iv"
#: What others are told of an information value. All its bits would give away the counts in the bins of small features.
IV_DIGITS = 4


class WoeParams(Params):
    """Parameters of `woe`. A column is written `"column"`, or `"party.column"` where two parties have the name."""

    label: str | None = None
    """The label; by default the only column of that role."""
    positive: str | None = None
    """The value of the label that means bad, if it is not 1."""
    weight: str | None = None
    """A column of row weights, at the label holder."""
    drop: tuple[str, ...] = ()
    """Columns to leave out."""
    categorical: tuple[str, ...] = ()
    """Columns of numbers that are codes, to be binned as categories."""
    specials: dict[str, tuple[float | str, ...]] = Field(default_factory=dict)
    """By column: values with a meaning of their own (-999), which get a bin each."""
    method: Method = "optimal"
    prebins: int = Field(default=20, ge=2, le=200)
    """Most fine bins in which labels are counted (optimal, chi_merge)."""
    max_bins: int = Field(default=8, ge=2, le=100)
    """Most bins of a feature, besides missing and special values."""
    min_share: float = Field(default=0.05, ge=0, lt=1)
    """Least share of rows in a bin (optimal, chi_merge)."""
    min_bin_rows: int = Field(default=20, ge=5)
    """No count is told of fewer rows than this."""
    cases_per_count: float = Field(default=2.0, ge=0, le=1e6)
    """A partner is told at most one count for so many rows of the rarer class; bins are made wider to fit. 0: no
    limit, and then labels can be worked out from many features over few rows."""
    trend: Trend = "auto"
    """The course of the bad rate over the bins of a number (optimal)."""
    trends: dict[str, Trend] = Field(default_factory=dict)
    """By column, where it differs from `trend`."""
    significance: float = Field(default=0.05, gt=0, lt=1)
    """Neighbours whose bad rates do not differ at this level are merged (chi_merge)."""
    on_constant: Literal["error", "drop"] = "error"
    """What to do with a feature that is constant, all null, or has no two groups of `min_bin_rows` rows."""

    @field_validator("specials")
    @classmethod
    def _distinct(cls, value: dict[str, tuple[float | str, ...]]) -> dict[str, tuple[float | str, ...]]:
        for name, specials in value.items():
            if len(set(specials)) != len(specials) or len(specials) > 20:
                raise ValueError(f"special values of '{name}' must be distinct, at most 20")
        return value


@register
class Woe(Operator[WoeParams]):
    name = "woe"
    summary = "bin every feature, with weight of evidence and information value"
    Params = WoeParams
    reads = (Role.FEATURE, Role.LABEL, Role.WEIGHT)
    needs_match = ""

    # --- before ---
    def check(self, params: WoeParams, view: PlanView) -> None:
        """Columns exist, are of the right kind and at the right party; rows have been matched."""
        if not view.aligned:
            raise JobFileError("rows have not been matched yet", where=view.where, hint="Put an 'align' step before.")
        if any(view.features.values()):
            raise JobFileError("features were made by an earlier step already", where=view.where)
        holder, column = view.label(params.label)
        label.check_type(view.column(holder, column), party=holder, where=view.where, positive=params.positive)
        weight = _weight(params, view)
        if weight is not None and weight[0] != holder:
            raise JobFileError(f"the weight must be at {holder}, who has the label", where=view.where)
        if weight is not None and not view.column(*weight).is_numeric:
            raise TypeMismatchError(f"weight '{weight[1]}' is not a number", party=weight[0], where=view.where)
        known = columns(params, view)
        if not any(known.values()):
            raise ColumnError("no party has a feature to bin", where=view.where)
        for key, names in (
            ("categorical", params.categorical), ("specials", params.specials), ("trends", params.trends)
        ):  # fmt: skip
            for name in names:
                party, found = view.resolve(name)
                if found not in known[party]:
                    hint = did_you_mean(found, known[party])
                    raise ColumnError(f"'{name}' is not a feature", where=f"{view.where}, key '{key}'", hint=hint)

    def disclosures(self, params: WoeParams, view: PlanView) -> list[Disclosure]:
        holder, column = view.label(params.label)
        found = columns(params, view)
        weighted = "" if params.weight is None else ", weighted,"
        hidden = view.hidden
        told = []
        if hidden and any(found[p] for p in view.peers(holder)):
            what = "how many matched training rows are bad; nothing, if bad or good ones are fewer than "
            told.append(
                Disclosure(
                    EVERYONE, f"{what}{params.min_bin_rows}", holder, (column,), "to limit how many counts are told"
                )
            )
        for party in view.parties:
            if not found[party]:
                continue
            if party != holder:
                told.append(
                    Disclosure(
                        to=party,
                        what=(
                            f"how many matched training rows{weighted} are bad and how many are good in each of up to "
                            f"{_padded(params, view, party)} groups of rows by each of its own features"
                            f"{' (so how many of a group match, but not which)' if hidden else ''}; no group "
                            f"has fewer than {params.min_bin_rows} {'matched ' * hidden}rows, and {_told(params)}"
                        ),
                        about=holder,
                        columns=(column,) if params.weight is None else (column, _weight(params, view)[1]),  # type: ignore[index]
                        why="to bin its own features; it sees bad rates of groups, and from groups that differ in few "
                        "rows it could conclude more",
                    )
                )
            told.append(
                Disclosure(
                    to=EVERYONE,
                    what=f"the information value of each feature, to {IV_DIGITS} decimals"
                    + (", and which are constant" if params.on_constant == "drop" else ""),
                    about=party,
                    columns=found[party],
                    why="to compare and select features"
                    + (f"; {holder}'s are of all its training rows" if hidden and party == holder else ""),
                )
            )
        return told

    def cost(self, params: WoeParams, view: PlanView) -> Cost:
        holder, _ = view.label(params.label)
        found = columns(params, view)
        n, width = view.train_rows, 2 if params.weight is None else 3
        width += view.hidden
        total = Cost(2 * (len(view.parties) - 1), 200 * sum(map(len, found.values())))
        for party in view.peers(holder):
            if found[party]:
                wide = len(found[party]) * _padded(params, view, party)
                total += Cost(-(-n // chunk_rows(wide)) + 20, 8 * n * wide + 8 * n * width + 60 * wide)
        return total

    def after(self, params: WoeParams, view: PlanView) -> PlanView:
        holder, column = view.label(params.label)
        return view.with_features(columns(params, view)).with_facts(woe=view.step, label=(holder, column))

    # --- during ---
    def inspect(self, ctx: Context[WoeParams]) -> None:
        """The label is binary, weights are positive, and (unless they are dropped) features are not constant."""
        params, view = ctx.params, ctx.view
        holder, column = view.label(params.label)
        if ctx.me == holder:
            label.binary(ctx.source, column, positive=params.positive)
            _weights(ctx, ctx.source)
        for name in columns(params, view)[ctx.me]:
            values = feature_values(ctx.source, name, categorical=is_categorical(params, view, ctx.me, name))
            try:
                BinningRule("equal_frequency", max_bins=2, min_rows=1).fine(values, name)
            except ColumnError:
                if params.on_constant == "error":
                    raise

    def run(self, ctx: Context[WoeParams]) -> Summary:
        params, view = ctx.params, ctx.view
        holder, column = view.label(params.label)
        rows = frame.train(ctx)
        train = rows.own
        y = w = None
        if ctx.me == holder:
            y = label.binary(ctx.dataset.take(train), column, positive=params.positive)
            w = _weights(ctx, ctx.dataset)
            w = None if w is None else w[train]
        most = None
        if not any(columns(params, view)[p] for p in view.peers(holder)):
            pass
        elif view.hidden:
            most = _hidden_limit(ctx, rows, y, holder)
        elif params.cases_per_count:
            most = ctx.publish("most counts", None if y is None else told.limit(y, params.cases_per_count), holder)
            if type(most) is not int or most < 0:
                raise FrameError("the number of counts is malformed", party=holder, where="note 'most counts'")
        fine, rules, index = _prebin(ctx, rows, None if ctx.me == holder else most, own=ctx.me == holder)
        usable = _usable(ctx.gather("usable", list(fine)), columns(params, view))
        ctx.agree("number of rows", [rows.n, rows.matched])
        ctx.report(0.1, "fine bins made")
        counted: dict[str, Counts] = {}
        owners = [p for p in ctx.parties if p != holder and usable[p]]
        for k, owner in enumerate(owners):
            got = _count(ctx, owner, holder, index if ctx.me == owner else None, len(usable[owner]), y, w, rows,
                          (0.1 + 0.8 * k / len(owners), 0.8 / len(owners)))  # fmt: skip
            if got is not None:
                hidden = rows.member is not None
                counted = {name: _counts(index[i], got[i], fine[name].n_bins, hidden) for i, name in enumerate(fine)}
        if y is not None:
            counted = {name: tally(index[i], fine[name].n_bins, y, w) for i, name in enumerate(fine)}
        tables = {name: _final(rules[name], name, b, counted[name]) for name, b in fine.items()}
        iv = ctx.gather("information values", {name: round(t.iv, IV_DIGITS) for name, t in tables.items()})
        _check_iv(iv, usable)
        ctx.artifacts.put_json(TABLES, {name: t.to_dict() for name, t in tables.items()})
        ctx.artifacts.put_json(IV, iv)
        features.hand_on(ctx, [{"kind": "woe", "tables": [t.to_dict() for t in tables.values()]}])
        dropped = {p: [n for n in names if n not in usable[p]] for p, names in columns(params, view).items()}
        return {
            "iv": iv,
            "dropped": dropped,
            "rows": rows.matched,
            "tables": {name: t.rows() for name, t in tables.items()},
        }


# --- a step's parameters, read ---
def _weight(params: WoeParams, view: PlanView) -> tuple[str, str] | None:
    return None if params.weight is None else view.resolve(params.weight)


def columns(params: WoeParams, view: PlanView) -> dict[str, tuple[str, ...]]:
    """Each party's columns that the step bins."""
    weight = _weight(params, view)
    apart = [view.label(params.label), *([weight] if weight else [])]
    return features.candidates(view, apart=apart, drop=params.drop)


def _told(params: WoeParams) -> str:
    if not params.cases_per_count:
        return "there is no limit to the number of counts: many features over few rows give labels away"
    return f"there is at most one count for {params.cases_per_count:g} rows of the rarer class"


def _of(view: PlanView, party: str, by_name: Mapping[str, Any], name: str) -> Any:
    """The entry of `by_name` for a party's column; its keys may be `"column"` or `"party.column"`."""
    return next((v for key, v in by_name.items() if view.resolve(key) == (party, name)), None)


def is_categorical(params: WoeParams, view: PlanView, party: str, name: str) -> bool:
    """Whether a column of numbers is to be binned as categories."""
    return (party, name) in {view.resolve(c) for c in params.categorical}


def rule(params: WoeParams, view: PlanView, party: str, name: str) -> BinningRule:
    """How a party's column is binned."""
    return BinningRule(
        method=params.method,
        prebins=params.prebins,
        max_bins=params.max_bins,
        min_share=params.min_share,
        min_rows=params.min_bin_rows,
        trend=_of(view, party, params.trends, name) or params.trend,
        significance=params.significance,
        specials=_of(view, party, params.specials, name) or (),
    )


def _padded(params: WoeParams, view: PlanView, party: str) -> int:
    """Bins of every feature of a party in the joint count: as many as any can have, so that it says nothing."""
    return max(rule(params, view, party, n).most_fine_bins for n in columns(params, view)[party])


def _weights(ctx: Context[WoeParams], dataset: Dataset) -> NDArray[np.float64] | None:
    weight = _weight(ctx.params, ctx.view)
    if weight is None:
        return None
    return check_weight(dataset.numpy(weight[1]), dataset.num_rows, where=f"column '{weight[1]}'")


# --- the steps of a run ---
def _prebin(
    ctx: Context[WoeParams], rows: frame.Rows, most: int | None, *, own: bool
) -> tuple[dict[str, Binning], dict[str, BinningRule], NDArray[np.int64]]:
    """This party's usable features with fine bins, the rules of those, and (features, rows) each training row's bin.

    `own`: this party counts its own labels in them, all of its rows.
    """
    params, view, train = ctx.params, ctx.view, rows.own
    values: dict[str, FeatureValues] = {}
    for name in columns(params, view)[ctx.me]:
        read = feature_values(ctx.dataset, name, categorical=is_categorical(params, view, ctx.me, name))
        values[name] = take(read, train)
    asked = {name: rule(params, view, ctx.me, name) for name in values}
    if rows.member is not None and not own:
        enough = told.fine_rows(params.min_bin_rows, rows.overlap)
        asked = {name: replace(r, min_rows=enough) for name, r in asked.items()}
    fine, used = told.fine_bins(values, asked, most, drop=params.on_constant == "drop")
    for name in (n for n in values if n not in fine):
        ctx.log(f"column '{name}' is left out: it is constant on the matched rows")
    if used != asked:
        ctx.log(f"bins are wider than asked for: {most} counts may be told of all features")
    index = [b.apply(values[name]) for name, b in fine.items()]
    return fine, used, np.stack(index) if index else np.empty((0, len(train)), dtype=np.int64)


def _count(
    ctx: Context[WoeParams],
    owner: str,
    holder: str,
    index: NDArray[np.int64] | None,
    count: int,
    y: NDArray[np.float64] | None,
    w: NDArray[np.float64] | None,
    rows: frame.Rows,
    span: tuple[float, float],
) -> NDArray[np.float64] | None:
    """Bads, with weights also all weights, and if the match is hidden also rows, by fine bin, at the owner.

    Shape (features, bins, columns); `None` at the others.
    """
    weighted, hidden = ctx.params.weight is not None, rows.member is not None
    labels = None
    if y is not None:
        ones = np.ones(len(y))
        found = [y, ones] if w is None else [y * w, w, ones]
        labels = rows.spread(np.column_stack([*found, ones] if hidden else found))
    s = ctx.session
    index = None if index is None else rows.spread(index, axis=1)
    return count_jointly(
        s,
        owner=ctx.job.rank(owner),
        holder=ctx.job.rank(holder),
        index=index,
        features=count,
        bins=_padded(ctx.params, ctx.view, owner),
        columns=labels,
        width=2 + weighted + hidden,
        rows=rows.n,
        frac_bits=s.fx.frac_bits if weighted else 0,
        min_rows=ctx.params.min_bin_rows,
        member=rows.member,
        progress=lambda done: ctx.report(span[0] + span[1] * done, f"labels counted in the bins of {owner}"),
    )


def _hidden_limit(ctx: Context[WoeParams], rows: frame.Rows, y: NDArray[np.float64] | None, holder: str) -> int | None:
    """How many bins of mine may be counted. All learn how many matched rows are bad, if neither class is too small.

    Cost: 6 rounds, 8 bytes a row.
    """
    s, least = ctx.session, ctx.params.min_bin_rows
    mine = None if y is None else rows.spread(y)
    labels = ops.share(s, mine, ctx.job.rank(holder), rows.n, frac_bits=0, name="label")
    bad = rows.only(s, labels).sum().reshape(1)
    few = ops.open_bits(s, ops.less_than(s, ops.concatenate([bad, rows.matched - bad]), least))
    if few.any():
        raise DisclosureRefused(
            f"one class of the label has fewer than {least} matched training rows: no count may be told of them",
            where="label",
            hint="Match more customers.",
        )
    told_bad = int(ops.open(s, bad)[0])
    return told.hidden_limit(told_bad, rows.matched, len(rows.own), ctx.params.cases_per_count)


def _counts(index: NDArray[np.int64], told: NDArray[np.float64], n_bins: int, hidden: bool) -> Counts:
    """What was told of a feature's fine bins. If the match is hidden, so is how many of my own rows count."""
    rows = told[:n_bins, -1].round() if hidden else np.bincount(index, minlength=n_bins)
    rows = rows.astype(np.int64)
    bad = told[:n_bins, 0]
    weight = told[:n_bins, 1] if told.shape[1] > 1 else rows.astype(np.float64)
    return Counts(rows, weight - bad, bad)


def _final(rule: BinningRule, name: str, fine: Any, counts: Counts) -> WoeTable:
    if not (counts.good.any() or counts.bad.any()):
        raise ColumnError(
            f"column '{name}' has no group with enough matched rows, so no count of it may be told",
            where=f"column '{name}'",
            hint="Leave it out with drop = […], or match more customers.",
        )
    try:
        return rule.final(fine, counts)
    except LabelError as error:
        raise LabelError(
            "the matched training rows hold one class of the label only", where=f"column '{name}'"
        ) from error


def _usable(told: Mapping[str, Any], known: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """What each party says it can bin, which must be some of its features, in order."""
    for party, names in told.items():
        if not isinstance(names, list) or names != [n for n in known[party] if n in names]:
            raise FrameError("the names of usable features do not fit the plan", party=party)
    return {party: list(names) for party, names in told.items()}


def _check_iv(iv: Mapping[str, Any], usable: Mapping[str, list[str]]) -> None:
    for party, values in iv.items():
        fits = isinstance(values, dict) and list(values) == usable[party]
        if not (fits and all(isinstance(v, float) and 0 <= v < np.inf for v in values.values())):
            raise FrameError("information values do not fit the features", party=party)


@features.transform("woe")
def _transform(spec: dict[str, Any], dataset: Dataset, before: FeatureSet | None) -> FeatureSet:
    """Each column replaced by the WOE of its bins."""
    tables = [WoeTable.from_dict(t) for t in spec["tables"]]
    matrix = np.empty((dataset.num_rows, len(tables)))
    for j, table in enumerate(tables):
        values = feature_values(dataset, table.name, categorical=table.binning.kind == "categorical")
        matrix[:, j] = table.transform(values)
    return FeatureSet(tuple(t.name for t in tables), matrix)

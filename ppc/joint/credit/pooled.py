"""The same job in the clear, on pooled rows, in float64: what the joint model is held against.

For comparison only: a demonstration or a test that owns every party's data can say what the joint model would be if the
parties could show each other everything, and what one party would reach alone. Binning, selection and training take the
parameters of the job's own steps; only the arithmetic and the secrecy differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ColumnError, JobFileError
from ppc.joint.credit import clear, label, told, woe
from ppc.joint.credit.collinear import inflation, not_inflated, uncorrelated
from ppc.joint.credit.evaluate import EvaluateParams, evaluate
from ppc.joint.credit.features import Split, candidates, finite
from ppc.joint.credit.fit import feature_values, take
from ppc.joint.credit.select import SelectParams, why_by_iv
from ppc.joint.credit.training import Floats, LogisticParams
from ppc.joint.credit.woe import WoeParams
from ppc.joint.plan import Plan, PlannedStep

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset

Name = tuple[str, str]  # (party, feature)
P = TypeVar("P")


@dataclass(frozen=True)
class Pooled:
    """A model in the clear: its `coef` by (party, feature), of standardised features, and the figures of `evaluate`."""

    coef: dict[Name, float]
    intercept: float
    figures: dict[str, Any]

    @property
    def best(self) -> dict[str, Any]:
        """The figures on the holdout, or on the training rows if nothing is held out."""
        return dict(self.figures["holdout"] or self.figures["train"])


def train(
    plan: Plan, datasets: Mapping[str, Dataset], holdout: NDArray[np.bool_], parties: Sequence[str] | None = None
) -> Pooled:
    """Train and evaluate as the job would.

    Args:
        plan: of a job with the steps woe, select (both optional), logistic_regression and evaluate.
        datasets: each party's matched rows, in one order.
        holdout: (rows,) which of them the job set apart.
        parties: whose features take part; default: everyone's.

    Raises:
        JobFileError: the job has no such steps. LabelError, ColumnError: as the steps do.
    """
    logistic = _step(plan, "logistic_regression")
    params: LogisticParams = logistic.step.params  # type: ignore[assignment]
    view = logistic.view
    holder, column = view.label(params.label)
    y = label.binary(datasets[holder], column, positive=params.positive)
    rows = Split(np.flatnonzero(~holdout), np.flatnonzero(holdout))
    chosen = [p for p in view.parties if parties is None or p in parties]
    columns = _woe(plan, datasets, y, rows, chosen) or _numbers(plan, datasets, chosen)
    matrix = np.column_stack(list(columns.values()))
    weight = None
    if params.sample_weight is not None:
        party, name = view.resolve(params.sample_weight)
        weight = datasets[party].numpy(name)[rows.train]
    stream = plan.job.public_stream(f"{logistic.step.name}\0")
    model = clear.fit(matrix[rows.train], y[rows.train], params, stream, sample_weight=weight)
    graded: EvaluateParams = _step(plan, "evaluate").step.params  # type: ignore[assignment]
    figures = evaluate(y, model.logits(matrix), rows, groups=graded.groups, cutoff=graded.cutoff)
    return Pooled(dict(zip(columns, model.coef.tolist(), strict=True)), model.intercept, figures)


def _woe(
    plan: Plan, datasets: Mapping[str, Dataset], y: Floats, rows: Split, parties: Sequence[str]
) -> dict[Name, Floats] | None:
    """Every chosen feature as the WOE of its bins, (rows,) each; `None` if the job has no `woe` step."""
    planned = _find(plan, "woe")
    if planned is None:
        return None
    params: WoeParams = planned.step.params  # type: ignore[assignment]
    weight = None
    if params.weight is not None:
        party, name = planned.view.resolve(params.weight)
        weight = datasets[party].numpy(name)[rows.train]
    holder, _ = planned.view.label(params.label)
    columns: dict[Name, Floats] = {}
    iv: dict[Name, float] = {}
    for party, names in woe.columns(params, planned.view).items():
        values = {
            name: feature_values(
                datasets[party], name, categorical=woe.is_categorical(params, planned.view, party, name)
            )
            for name in names
            if party in parties
        }
        # Bins as wide as the joint job makes them, where the number of counts is limited.
        _, rules = told.fine_bins(
            {name: take(v, rows.train) for name, v in values.items()},
            {name: woe.rule(params, planned.view, party, name) for name in values},
            None if party == holder else told.limit(y[rows.train], params.cases_per_count),
            drop=params.on_constant == "drop",
        )
        for name, column in values.items():
            try:
                table = rules[name].fit(take(column, rows.train), y[rows.train], name, weight)
            except ColumnError:
                if params.on_constant == "error":
                    raise
                continue
            columns[party, name], iv[party, name] = table.transform(column), table.iv
    return {name: columns[name] for name in _select(plan, columns, iv, rows)}


def _select(plan: Plan, columns: Mapping[Name, Floats], iv: Mapping[Name, float], rows: Split) -> list[Name]:
    planned = _find(plan, "select")
    if planned is None:
        return list(columns)
    params: SelectParams = planned.step.params  # type: ignore[assignment]
    forced = {planned.view.resolve(name) for name in params.keep}
    names = [n for n in columns if n in forced or not why_by_iv(iv[n], params)]
    if not names:
        raise ColumnError("no feature is informative enough")
    matrix = np.atleast_2d(np.corrcoef(np.stack([columns[n][rows.train] for n in names])))
    values, keep = [iv[n] for n in names], [n in forced for n in names]
    stay = uncorrelated(np.abs(matrix) > params.max_correlation, values, keep)
    if params.max_vif is not None and inflation(matrix[np.ix_(stay, stay)]).max() > params.max_vif:
        inner = not_inflated(
            matrix[np.ix_(stay, stay)], [values[i] for i in stay], [keep[i] for i in stay], params.max_vif
        )
        stay = [stay[i] for i in inner]
    return [names[i] for i in stay]


def _numbers(plan: Plan, datasets: Mapping[str, Dataset], parties: Sequence[str]) -> dict[Name, Floats]:
    planned = _step(plan, "logistic_regression")
    params: LogisticParams = planned.step.params  # type: ignore[assignment]
    apart = [planned.view.label(params.label)]
    if params.sample_weight is not None:
        apart.append(planned.view.resolve(params.sample_weight))
    names = candidates(planned.view, apart=apart, drop=params.drop, numeric=True)
    return {(p, n): finite(datasets[p], n) for p in parties for n in names[p]}


def _find(plan: Plan, operator: str) -> PlannedStep | None:
    return next((s for s in plan.steps if s.step.operator == operator), None)


def _step(plan: Plan, operator: str) -> PlannedStep:
    found = _find(plan, operator)
    if found is None:
        raise JobFileError(f"the job has no step '{operator}'", hint="The comparison needs it.")
    return found

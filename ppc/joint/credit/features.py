"""Which numbers enter a model at one party, and how they come from its columns: a pipeline that new rows can follow.

A pipeline is a list of plain JSON specs, one a transform: `{"kind": "columns", "names": […]}` first, then whatever
steps such as `woe` and `select` append. It is a party's own: it may hold edges and categories. A step hands it on as
the artifact `features`; a model keeps it, so that scoring runs the very same code as training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.dataset.schema import Field, Role
from ppc.errors import ColumnError, ModelFileError, TypeMismatchError, ValueRangeError
from ppc.joint.context import Context
from ppc.joint.operator import PlanView

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset

Pipeline: TypeAlias = list[dict[str, Any]]
ARTIFACT = "features"
HOLDOUT = "holdout"
#: Which rows of a party's source the dataset has, in order.
ROWS = "rows"
#: Left by `align` if nobody may know which rows match (see `frame`): where my rows stand, and counts.
PLACES = "places"
FRAME = "frame"

#: Columns of these roles never enter a model.
NOT_FEATURES = frozenset({Role.IDENTIFIER, Role.LABEL, Role.WEIGHT, Role.TIME, Role.EVENT, Role.GROUP})


@dataclass(frozen=True, repr=False, eq=False)
class FeatureSet:
    """Named model inputs: `matrix` is float64, shape (rows, len(names))."""

    names: tuple[str, ...]
    matrix: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"<FeatureSet shape={self.matrix.shape}>"


Transform: TypeAlias = "Callable[[dict[str, Any], Dataset, FeatureSet | None], FeatureSet]"
_TRANSFORMS: dict[str, Transform] = {}


def transform(kind: str) -> Callable[[Transform], Transform]:
    """Decorator: make a transform known. It gets its spec, the dataset, and what the transforms before it made."""

    def register(function: Transform) -> Transform:
        _TRANSFORMS[kind] = function
        return function

    return register


def apply(pipeline: Sequence[Mapping[str, Any]], dataset: Dataset) -> FeatureSet:
    """The features of a dataset's rows. A pure function of both: equal input gives equal bits."""
    from ppc.joint import registry

    registry.operators()  # whoever registers an operator may register its transform beside it
    features: FeatureSet | None = None
    for spec in pipeline:
        kind = str(spec.get("kind"))
        if kind not in _TRANSFORMS:
            raise ModelFileError(f"unknown feature transform '{kind}'", hint="The model is of a newer version of ppc.")
        features = _TRANSFORMS[kind](dict(spec), dataset, features)
    return features or FeatureSet((), np.empty((dataset.num_rows, 0)))


@transform("columns")
def _columns(spec: dict[str, Any], dataset: Dataset, before: FeatureSet | None) -> FeatureSet:
    """Numeric columns as they are. Missing, NaN and infinite values are errors that name the column."""
    names = tuple(spec["names"])
    return FeatureSet(names, np.column_stack([finite(dataset, n) for n in names]) if names else _empty(dataset))


@transform("keep")
def _keep(spec: dict[str, Any], dataset: Dataset, before: FeatureSet | None) -> FeatureSet:
    """Some of the features so far, by name, in the order given."""
    if before is None:
        raise ModelFileError("a pipeline cannot begin with 'keep'")
    names = tuple(spec["names"])
    return FeatureSet(names, np.ascontiguousarray(before.matrix[:, [before.names.index(n) for n in names]]))


def _empty(dataset: Dataset) -> NDArray[np.float64]:
    return np.empty((dataset.num_rows, 0))


def finite(dataset: Dataset, name: str) -> NDArray[np.float64]:
    """A numeric column as float64; nulls, NaN and infinities are errors that name the column and say which it is."""
    x = dataset.numpy(name)
    nulls = dataset.column(name).null_count
    what = None
    if nulls:
        what = f"column '{name}' has {nulls} missing values"
    elif np.isnan(x).any():
        what = f"column '{name}' has NaN values"
    elif np.isinf(x).any():
        what = f"column '{name}' has infinite values"
    if what:
        raise ValueRangeError(
            what,
            where=f"dataset '{dataset.name}', column '{name}'",
            hint="Fill them in, drop the column (drop = […]), or bin the features first with a 'woe' step.",
        )
    return x


# --- which columns ---
def candidates(
    view: PlanView, *, apart: Sequence[tuple[str, str]] = (), drop: Sequence[str] = (), numeric: bool = False
) -> dict[str, tuple[str, ...]]:
    """Each party's columns that may enter a model, from schemas alone.

    If a party's schema gives any column the role `feature`, those are its candidates; otherwise every number, boolean
    and text column that is no identifier, key, label, weight, time, event or group. `apart`: `(party, column)` that
    are not features (the label, the weight). `drop`: names, `"column"` or `"party.column"`, to leave out. `numeric`:
    no text.
    """
    gone = {view.resolve(name) for name in drop} | set(apart)
    keys = set(view.facts.get("keys", ()))
    found: dict[str, tuple[str, ...]] = {}
    for party in view.parties:
        fields = view.schemas[party].by_role(Role.FEATURE) or tuple(view.schemas[party])
        found[party] = tuple(
            f.name
            for f in fields
            if f.role not in NOT_FEATURES
            and f.name not in keys
            and (party, f.name) not in gone
            and (f.is_numeric or (not numeric and f.type == "string"))
        )
    return found


def expected(
    view: PlanView, *, apart: Sequence[tuple[str, str]] = (), drop: Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Each party's features at this step: what earlier steps made, or else its numeric columns."""
    if any(view.features.values()):
        gone = {view.resolve(name) for name in drop} | set(apart)
        return {p: tuple(n for n in view.features.get(p, ()) if (p, n) not in gone) for p in view.parties}
    return candidates(view, apart=apart, drop=drop, numeric=True)


def pipeline(ctx: Context[Any], *, apart: Sequence[tuple[str, str]] = (), drop: Sequence[str] = ()) -> Pipeline:
    """This party's pipeline at this step: the last one that a step handed on, or its numeric columns."""
    left = ctx.find(ARTIFACT)
    wanted = expected(ctx.view, apart=apart, drop=drop)[ctx.me]
    if left is None:
        return [{"kind": "columns", "names": list(wanted)}]
    found: Pipeline = list(left.json(ARTIFACT))
    if drop:
        names = [n for n in apply(found, ctx.dataset.take(np.arange(0))).names if n in wanted]
        found.append({"kind": "keep", "names": names})
    return found


def hand_on(ctx: Context[Any], pipeline: Pipeline) -> None:
    """Leave the pipeline for later steps, as this step's artifact `features`."""
    ctx.artifacts.put_json(ARTIFACT, pipeline)


# --- which rows ---
@dataclass(frozen=True)
class Split:
    """Row numbers of the dataset, int64: what a model is trained on, and the customers that it has not seen."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def split(ctx: Context[Any]) -> Split:
    """The rows of the holdout that `align` set apart (`test`, possibly empty) and the others."""
    left = ctx.find(HOLDOUT)
    n = ctx.dataset.num_rows
    held = left.array(HOLDOUT) if left is not None else np.zeros(n, np.bool_)
    if left is not None and PLACES in left:
        held = held[left.array(PLACES)]
    return Split(np.flatnonzero(~held), np.flatnonzero(held))


def varied(matrix: NDArray[np.float64], names: Sequence[str], ctx: Context[Any]) -> None:
    """Refuse constant features, by name: they have no weight and no scale."""
    flat = [n for n, x in zip(names, matrix.T, strict=True) if len(x) == 0 or x.min() == x.max()]
    if flat:
        shown = ", ".join(f"'{n}'" for n in flat[:5]) + (" …" if len(flat) > 5 else "")
        raise ColumnError(
            f"column {shown} is constant on the matched rows",
            where=f"dataset '{ctx.dataset.name}', column '{flat[0]}'",
            party=ctx.me,
            hint=f'Leave it out: drop = ["{ctx.me}.{flat[0]}"].',
        )


def check_columns(ctx: Context[Any], names: Sequence[str]) -> None:
    """Before anything runs: the party's own columns are numbers, and not all null or constant."""
    for name in names:
        field: Field = ctx.source.schema[name]
        if not field.is_numeric:
            raise TypeMismatchError(f"column '{name}' is of type {field.type}, not a number", where=f"column '{name}'")
        column = ctx.source.column(name)
        if len(column) and column.null_count == len(column):
            raise ColumnError(
                f"column '{name}' has no value: every row is null", where=_at(ctx, name), hint=_drop(ctx, name)
            )
        x = finite(ctx.source, name)
        if len(x) and x.min() == x.max():
            raise ColumnError(f"column '{name}' is constant", where=_at(ctx, name), hint=_drop(ctx, name))


def _at(ctx: Context[Any], name: str) -> str:
    return f"dataset '{ctx.source.name}', column '{name}'"


def _drop(ctx: Context[Any], name: str) -> str:
    return f'Leave it out: drop = ["{ctx.me}.{name}"].'


__all__ = [
    "ARTIFACT",
    "FRAME",
    "HOLDOUT",
    "PLACES",
    "ROWS",
    "FeatureSet",
    "Pipeline",
    "Split",
    "apply",
    "candidates",
    "check_columns",
    "expected",
    "finite",
    "hand_on",
    "pipeline",
    "split",
    "transform",
    "varied",
]

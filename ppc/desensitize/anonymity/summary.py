"""All that is worth knowing of a table before it is released: measures, risk, utility, and which column drives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ppc.dataset.schema import Role, Schema
from ppc.desensitize.anonymity import measures as m
from ppc.desensitize.anonymity.classes import Classes
from ppc.desensitize.anonymity.risk import Risk, risk
from ppc.desensitize.anonymity.utility import class_utility, model_score
from ppc.errors import ColumnError, ConfigError

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset


@dataclass(frozen=True)
class SensitiveMeasures:
    """What the classes tell of one sensitive column; t with `distance` as the earth mover's ground distance."""

    column: str
    alpha: float
    distinct_l: int
    entropy_l: float
    recursive_c: float
    t: float
    distance: str
    basic_beta: float
    enhanced_beta: float
    delta_disclosure: float


@dataclass(frozen=True)
class Without:
    """The table's figures if one quasi-identifier were taken out: how much of the risk is that column's."""

    column: str
    k: int
    unique: float
    average: float


@dataclass(frozen=True)
class Summary:
    """A table's anonymity.

    presence: (δ_min, δ_max) against a population; k_map: the least number of people that a row could be; both None
    without a population. discernibility and average_class compare with the original, or with the table itself.
    scores: accuracy of a model on the original and on this table, if a label was named.
    """

    dataset: str
    quasi_identifiers: tuple[str, ...]
    risk: Risk
    sensitive: tuple[SensitiveMeasures, ...]
    without: tuple[Without, ...]
    discernibility: float
    average_class: float
    suppressed: float
    k_map: int | None = None
    presence: tuple[float, float] | None = None
    scores: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; what is infinite is None."""
        out = asdict(self)
        out["risk"] = self.risk.to_dict()
        for row in out["sensitive"]:
            row.update({k: None for k, v in row.items() if isinstance(v, float) and not np.isfinite(v)})
        return out


def roles(
    schema: Schema, quasi_identifiers: Sequence[str] | None, sensitive: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns named, or those whose role in the schema says so; ConfigError if there is no quasi-identifier."""
    names = tuple(quasi_identifiers or (f.name for f in schema.by_role(Role.QUASI_IDENTIFIER)))
    if not names:
        raise ConfigError(
            "no quasi-identifiers are named",
            hint="Name them, or give columns the role quasi_identifier in the schema (ppc scan drafts one).",
        )
    if sensitive is None:
        secret = tuple(f.name for f in schema.by_role(Role.SENSITIVE) if f.name not in names)
    else:
        secret = tuple(sensitive)
    for name in (*names, *secret):
        _ = schema[name]
    for name in secret:
        if name in names:
            raise ConfigError(f"column '{name}' is both sensitive and a quasi-identifier")
    return names, secret


def summarize(
    dataset: Dataset,
    quasi_identifiers: Sequence[str] | None = None,
    sensitive: Sequence[str] | None = None,
    *,
    population: Dataset | None = None,
    original: Dataset | None = None,
    label: str | None = None,
    threshold: float = 0.2,
    l: int = 2,
    distance: m.Distance = "auto",
) -> Summary:
    """Measure a table, in one pass a figure.

    Args:
        quasi_identifiers, sensitive: columns; default: by their roles in the schema.
        population: who could be in the data, with the same columns. original: the table before it was generalized.
        label: a column to predict from the quasi-identifiers, before and after (needs `original`, and scikit-learn).
        threshold: a row is at risk above this probability. l: of recursive (c, l)-diversity. distance: for t.
    """
    names, secret = roles(dataset.schema, quasi_identifiers, sensitive)
    if label is not None and original is None:
        raise ConfigError("a model is scored before and after: the original is missing", where="label")
    whole = risk(dataset, names, population=population, threshold=threshold)
    before = dataset if original is None else original
    discernibility, average_class = class_utility(before, dataset, names, max(whole.k, 1))
    return Summary(
        dataset.name,
        names,
        whole,
        tuple(_sensitive(dataset, names, s, l, distance) for s in secret),
        tuple(_without(dataset, names, n) for n in names) if len(names) > 1 else (),
        discernibility,
        average_class,
        max(0.0, 1 - dataset.num_rows / before.num_rows),
        None if population is None else m.k_map(dataset, names, population),
        None if population is None else m.delta_presence(dataset, names, population),
        None if label is None or original is None else _scores(original, dataset, label, names),
    )


def _scores(original: Dataset, dataset: Dataset, label: str, names: Sequence[str]) -> tuple[float, float]:
    if label in names:
        raise ColumnError("the label is a quasi-identifier", where=f"column '{label}'")
    return model_score(original, dataset, label, names)


def _sensitive(dataset: Dataset, names: Sequence[str], column: str, l: int, distance: m.Distance) -> SensitiveMeasures:
    if distance == "hierarchical":
        raise ConfigError("the hierarchical distance needs a hierarchy: call t_closeness", where="distance")
    if distance == "auto":
        kind = dataset.column(column)
        distance = "ordered" if m.has_order(kind.type) and not kind.null_count else "equal"
    return SensitiveMeasures(
        column,
        m.alpha_k_anonymity(dataset, names, column)[0],
        m.distinct_l_diversity(dataset, names, column),
        m.entropy_l_diversity(dataset, names, column),
        m.recursive_l_diversity(dataset, names, column, l=l),
        m.t_closeness(dataset, names, column, distance=distance),
        distance,
        m.basic_beta_likeness(dataset, names, column),
        m.enhanced_beta_likeness(dataset, names, column),
        m.delta_disclosure(dataset, names, column),
    )


def _without(dataset: Dataset, names: Sequence[str], left_out: str) -> Without:
    classes = Classes.of(dataset, [n for n in names if n != left_out])
    unique = float((classes.sizes == 1).sum() / classes.rows)
    return Without(left_out, int(classes.sizes.min()), unique, classes.count / classes.rows)

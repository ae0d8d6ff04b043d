"""How probable it is that a row of a release is linked to a person.

Prosecutor: the attacker knows that the person is in the data. Journalist: only that the person is in a population.
Marketer: wants to link as many rows as possible. Source: El Emam, "Guide to the De-Identification of Personal Health
Information", 2013, ch. 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ppc.desensitize.anonymity.classes import Classes
from ppc.desensitize.anonymity.measures import population_sizes
from ppc.errors import ConfigError

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset


@dataclass(frozen=True)
class Risk:
    """Re-identification risk of a table; each figure is a probability or a share of rows.

    `highest`, `average`: of linking a row (the prosecutor's; the average is also the marketer's). `at_risk`: share of
    rows whose risk passes `threshold`. `unique`: share of rows alone in their class. `journalist_*`: against a
    population, `None` without one.
    """

    rows: int
    classes: int
    k: int
    highest: float
    average: float
    threshold: float
    at_risk: float
    unique: float
    journalist_highest: float | None = None
    journalist_average: float | None = None
    journalist_at_risk: float | None = None
    class_sizes: tuple[tuple[int, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "class_sizes": [list(pair) for pair in self.class_sizes]}


def risk(
    dataset: Dataset,
    quasi_identifiers: Sequence[str],
    *,
    population: Dataset | None = None,
    threshold: float = 0.2,
) -> Risk:
    """The risk of a dataset released as it is.

    Args:
        population: who could be in the data, with the same columns; gives the journalist's risk.
        threshold: a row is at risk if the probability of linking it is above this (0.2: classes of fewer than 5).
    """
    if not 0 < threshold <= 1:
        raise ConfigError("threshold should be a probability above 0 and at most 1", where="threshold")
    classes = Classes.of(dataset, quasi_identifiers)
    each = 1.0 / classes.sizes
    sizes, counts = np.unique(classes.sizes, return_counts=True)
    journalist: dict[str, float] = {}
    if population is not None:
        people = population_sizes(dataset, quasi_identifiers, population)
        if not (people > 0).all():
            raise ConfigError(
                f"{int((people == 0).sum())} rows have values that nobody in the population has",
                where=f"population '{population.name}'",
                hint="The population must hold everyone who can be in the data, with the same generalizations.",
            )
        chance = 1.0 / people
        journalist = {
            "journalist_highest": float(chance.max()),
            "journalist_average": float(chance.mean()),
            "journalist_at_risk": float((chance > threshold).mean()),
        }
    return Risk(
        rows=classes.rows,
        classes=classes.count,
        k=int(sizes[0]),
        highest=float(each.max()),
        average=classes.count / classes.rows,
        threshold=threshold,
        at_risk=float(classes.sizes[each > threshold].sum() / classes.rows),
        unique=float((classes.sizes == 1).sum() / classes.rows),
        class_sizes=tuple((int(s), int(c)) for s, c in zip(sizes, counts, strict=True)),
        **journalist,
    )

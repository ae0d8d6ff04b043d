"""What a release still tells: losses between 0 (nothing lost) and 1 (all lost), and the literature's usual figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from ppc.desensitize.anonymity.classes import Classes, Codes, Floats, encode
from ppc.errors import ColumnError, MissingExtra

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset


@dataclass(frozen=True)
class Utility:
    """How much a release lost. `granularity`, `entropy` (non-uniform) and `suppressed` are shares in [0, 1].

    discernibility: Σ over classes of size², plus all rows for each row left out (Bayardo, Agrawal, ICDE 2005), divided
    by rows². average_class: rows / (classes · k) (LeFevre et al., ICDE 2006). kl: Kullback–Leibler divergence in nats
    from the original's distribution to the release's, its classes spread evenly over the tuples they cover.
    """

    granularity: float
    entropy: float
    suppressed: float
    discernibility: float
    average_class: float
    kl: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def level_losses(maps: Sequence[Codes], counts: Floats, kind: str) -> Floats:
    """One column's loss at each level, in [0, 1], rising. maps: the group of each code by level; counts: rows a code.

    granularity: the share of the other values of the domain that a row could be instead (Iyengar, KDD 2002).
    entropy: −log of the row's share in its group, over its greatest possible (non-uniform entropy; De Waal, Willenborg
    1999; Gionis, Tassa 2009).
    """
    values, rows = len(counts), counts.sum()
    if values < 2:
        return np.zeros(len(maps))
    out = []
    for group in maps:
        if kind == "granularity":
            size = np.bincount(group)[group]
            out.append(float((counts * (size - 1)).sum() / (rows * (values - 1))))
        else:
            inside = np.bincount(group, weights=counts)[group]
            seen = counts > 0
            nats = -(counts[seen] * np.log(counts[seen] / inside[seen])).sum()
            most = -(counts[seen] * np.log(counts[seen] / rows)).sum()
            out.append(float(nats / most) if most > 0 else 0.0)
    return np.maximum.accumulate(np.array(out))


def table_figures(index: Codes, counts: Codes, kept: np.ndarray, k: int) -> tuple[float, float, float]:
    """(discernibility, average class size, KL divergence) of tuples put into classes, some of them left out."""
    rows = int(counts.sum())
    sizes = np.bincount(index[kept], weights=counts[kept])
    members = np.bincount(index[kept])
    present = sizes > 0
    released = float(sizes.sum())
    left_out = rows - released
    discernibility = (float((sizes**2).sum()) + left_out * rows) / rows**2
    average = released / (int(present.sum()) * k) if released else float("inf")
    p = counts[kept] / released
    q = (sizes / np.maximum(members, 1))[index[kept]] / released
    return discernibility, average, float((p * np.log(p / q)).sum()) if released else float("inf")


def model_score(
    before: Dataset, after: Dataset, label: str, features: Sequence[str], *, folds: int = 5
) -> tuple[float, float]:
    """Cross-validated accuracy of the same classifier on both tables: what an analyst loses. Needs scikit-learn.

    A decision tree on ordinal codes of the features (a generalized value is a category of its own).
    """
    try:
        from sklearn.model_selection import cross_val_score
        from sklearn.tree import DecisionTreeClassifier
    except ImportError:
        raise MissingExtra("scikit-learn is not installed", hint="pip install scikit-learn") from None
    scores = []
    for table in (before, after):
        if not table.num_rows >= 2 * folds:
            raise ColumnError(f"{table.num_rows} rows are too few for {folds} folds", where=f"dataset '{table.name}'")
        x = np.stack([encode(table, f).codes for f in features], axis=1)
        model = DecisionTreeClassifier(min_samples_leaf=5, random_state=0)
        scores.append(float(cross_val_score(model, x, encode(table, label).codes, cv=folds).mean()))
    return scores[0], scores[1]


def class_utility(
    original: Dataset, released: Dataset, quasi_identifiers: Sequence[str], k: int
) -> tuple[float, float]:
    """(discernibility, average class size) of a release of `original`, whoever made it."""
    sizes = Classes.of(released, quasi_identifiers).sizes.astype(np.float64)
    n = original.num_rows
    return float(((sizes**2).sum() + (n - sizes.sum()) * n) / n**2), float(sizes.sum() / (len(sizes) * k))

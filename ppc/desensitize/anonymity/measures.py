"""How anonymous a table is: k-anonymity and its descendants, each a plain number.

Every function takes a dataset, its quasi-identifiers and, where the measure has one, a sensitive column. A null counts
as a value. The numbers are those of the definitions, without rounding; the table satisfies a requirement if its number
is at least (k, l) or at most (α, t, β, δ) what was required.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from ppc.desensitize.anonymity.classes import Classes, Codes, Encoded, Floats, Histogram, encode
from ppc.errors import ColumnError, ConfigError

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset
    from ppc.desensitize.hierarchy import Hierarchy

Distance = Literal["auto", "equal", "ordered", "hierarchical"]


def k_anonymity(dataset: Dataset, quasi_identifiers: Sequence[str]) -> int:
    """The size of the smallest class. Source: Sweeney, "k-Anonymity", IJUFKS 2002."""
    return int(Classes.of(dataset, quasi_identifiers).sizes.min())


def alpha_k_anonymity(dataset: Dataset, quasi_identifiers: Sequence[str], sensitive: str) -> tuple[float, int]:
    """(α, k): the greatest share that one sensitive value has of a class, and k. Source: Wong et al., KDD 2006."""
    h = _histogram(dataset, quasi_identifiers, sensitive)
    return float(h.shares.max()), int(h.sizes.min())


def k_map(dataset: Dataset, quasi_identifiers: Sequence[str], population: Dataset) -> int:
    """The least number of people of `population` that any row could be: k against a known population.

    A row whose values no one in the population has gives 0. Source: Sweeney, "Computational Disclosure Control", 2001.
    """
    return int(population_sizes(dataset, quasi_identifiers, population).min())


def distinct_l_diversity(dataset: Dataset, quasi_identifiers: Sequence[str], sensitive: str) -> int:
    """The least number of different sensitive values in a class. Source: Machanavajjhala et al., ICDE 2006."""
    h = _histogram(dataset, quasi_identifiers, sensitive)
    return int(np.bincount(h.group).min())


def entropy_l_diversity(dataset: Dataset, quasi_identifiers: Sequence[str], sensitive: str) -> float:
    """e to the least entropy of the sensitive values in a class. Source: Machanavajjhala et al., ICDE 2006."""
    h = _histogram(dataset, quasi_identifiers, sensitive)
    return float(np.exp(h.total(-h.shares * np.log(h.shares)).min()))


def recursive_l_diversity(dataset: Dataset, quasi_identifiers: Sequence[str], sensitive: str, *, l: int) -> float:
    """The c of recursive (c, l)-diversity: the least c with r₁ <= c·(r_l + … + r_m) in every class.

    r₁ >= r₂ >= … are the counts of the sensitive values in a class. Infinite if a class has fewer than l values.
    (The definition asks for r₁ < c·(…): any larger c satisfies it.) Source: Machanavajjhala et al., ICDE 2006.
    """
    if not l >= 2:
        raise ConfigError(f"l should be at least 2, not {l}")
    h = _histogram(dataset, quasi_identifiers, sensitive)
    order = np.lexsort((-h.counts, h.group))
    counts = h.counts[order].astype(np.float64)
    rank = np.arange(len(counts)) - h.starts[h.group]
    tail = np.bincount(h.group, weights=np.where(rank >= l - 1, counts, 0.0), minlength=len(h.sizes))
    with np.errstate(divide="ignore"):
        return float((counts[h.starts] / tail).max())


def t_closeness(
    dataset: Dataset,
    quasi_identifiers: Sequence[str],
    sensitive: str,
    *,
    distance: Distance = "auto",
    hierarchy: Hierarchy | None = None,
) -> float:
    """The greatest earth mover's distance between a class's sensitive values and those of the whole table, in [0, 1].

    distance: 'equal' (all values are equally far apart), 'ordered' (by rank; numbers and dates), 'hierarchical' (by the
    level at which two values meet in `hierarchy`); 'auto' is 'ordered' for numbers and dates and 'equal' for the rest.
    Source: Li, Li, Venkatasubramanian, "t-Closeness", ICDE 2007, §3.
    """
    h, column = _coded(dataset, quasi_identifiers, sensitive)
    if distance == "auto":
        distance = "hierarchical" if hierarchy is not None else "ordered" if has_order(column.values.type) else "equal"
    if distance == "equal":
        return float(equal_distance(h).max())
    if distance == "ordered":
        if column.values.null_count:
            raise ColumnError(
                "an ordered distance has no place for missing values",
                where=f"column '{sensitive}'",
                hint="Drop the rows with missing values, or use distance='equal'.",
            )
        return float(ordered_distance(h).max())
    if distance != "hierarchical" or hierarchy is None:
        raise ConfigError("distance='hierarchical' needs the sensitive column's hierarchy", where="hierarchy")
    groups = [encode_labels(hierarchy.apply(column.values, level)) for level in range(1, hierarchy.height + 1)]
    return float(hierarchical_distance(h, groups).max())


def equal_distance(h: Histogram) -> Floats:
    """Each class's total variation distance from the whole table (classes,)."""
    p = h.overall[h.code]
    # Codes that a class lacks add their p; written as all of p less those that are there.
    missing: Floats = np.maximum(h.total(np.abs(h.shares - p) - p) + 1.0, 0.0)
    return 0.5 * missing


def ordered_distance(h: Histogram) -> Floats:
    """Each class's Σ|Q(i) − P(i)| / (m − 1) over the cumulative shares (classes,).

    Between two codes that a class has, its Q stands still while P rises, so |Q − P| summed over that stretch follows
    from prefix sums of P and the place where P passes Q: time and memory grow with the histogram, not classes × codes.
    """
    m = h.cardinality
    if m < 2:
        return np.zeros(len(h.sizes))
    cumulative = np.cumsum(h.overall)
    prefix = np.concatenate([[0.0], np.cumsum(cumulative)])
    running = np.cumsum(h.shares)
    before = np.concatenate([[0.0], running])[h.starts]
    q = running - before[h.group]
    last = np.empty(len(h.group), np.bool_)
    last[:-1] = h.group[1:] != h.group[:-1]
    last[-1] = True
    end = np.where(last, m, np.roll(h.code, -1))
    meet = np.clip(np.searchsorted(cumulative, q), h.code, end)
    stretch = q * (2 * meet - h.code - end) + prefix[end] + prefix[h.code] - 2 * prefix[meet]
    head = prefix[h.code[h.starts]]  # below a class's first code its Q is 0
    distance: Floats = np.maximum(h.total(stretch) + head, 0.0) / (m - 1)
    return distance


def hierarchical_distance(h: Histogram, groups: Sequence[Codes]) -> Floats:
    """Each class's distance where moving between two values costs the height at which they meet (classes,).

    groups: for each level from 1 to the top, the group of each code (cardinality,). Source: Li et al. 2007, §3.3.
    """
    height = len(groups)
    count = len(h.sizes)
    distance = np.zeros(count)
    step = max(1, (1 << 22) // max(h.cardinality, 1))
    p = h.overall
    for first in range(0, count, step):
        block = slice(*np.searchsorted(h.group, [first, min(first + step, count)]))
        extra = np.tile(-p, (min(step, count - first), 1))
        extra[h.group[block] - first, h.code[block]] += h.shares[block]
        members = np.arange(h.cardinality)
        for level, group in enumerate(groups, 1):
            # `members[i]`: a value in the i-th node of the level below; its parent is that value's group.
            parent = group[members]
            nodes, members_of = np.unique(parent, return_index=True)
            place = np.searchsorted(nodes, parent)
            positive, negative = np.zeros((len(extra), len(nodes))), np.zeros((len(extra), len(nodes)))
            np.add.at(positive.T, place, np.maximum(extra, 0).T)
            np.add.at(negative.T, place, np.maximum(-extra, 0).T)
            distance[first : first + len(extra)] += level / height * np.minimum(positive, negative).sum(axis=1)
            extra, members = positive - negative, members[members_of]
    return distance


def basic_beta_likeness(dataset: Dataset, quasi_identifiers: Sequence[str], sensitive: str) -> float:
    """The greatest relative gain (q − p)/p of a sensitive value's share in a class. Source: Cao, Karras, VLDB 2012."""
    h = _histogram(dataset, quasi_identifiers, sensitive)
    p = h.overall[h.code]
    return max(float(((h.shares - p) / p).max()), 0.0)


def enhanced_beta_likeness(dataset: Dataset, quasi_identifiers: Sequence[str], sensitive: str) -> float:
    """The β of enhanced β-likeness, where no value's gain may pass min(β, −ln p): max over values of min(β, −ln p).

    β here is that of `basic_beta_likeness`. Source: Cao, Karras, VLDB 2012, definition 3.
    """
    h = _histogram(dataset, quasi_identifiers, sensitive)
    p = h.overall
    gain = (h.shares - p[h.code]) / p[h.code]
    return float(np.minimum(max(float(gain.max()), 0.0), -np.log(p[p > 0])).max())


def delta_disclosure(dataset: Dataset, quasi_identifiers: Sequence[str], sensitive: str) -> float:
    """The greatest |ln(q/p)| over the sensitive values that a class has. Source: Brickell, Shmatikov, KDD 2008."""
    h = _histogram(dataset, quasi_identifiers, sensitive)
    return float(np.abs(np.log(h.shares / h.overall[h.code])).max())


def delta_presence(dataset: Dataset, quasi_identifiers: Sequence[str], population: Dataset) -> tuple[float, float]:
    """(δ_min, δ_max): bounds on how probable it is that a person of `population` is in the dataset.

    Source: Nergiz, Atzori, Clifton, SIGMOD 2007. A class of rows larger than its class in the population is an error.
    """
    index, rows = _join(dataset, quasi_identifiers, population)
    inside = np.bincount(index[: dataset.num_rows], minlength=rows)
    people = np.bincount(index[dataset.num_rows :], minlength=rows)
    if not (inside <= people).all():
        raise ConfigError(
            f"{int((inside > people).sum())} classes have more rows than the population has people",
            where=f"population '{population.name}'",
            hint="The dataset should be a part of the population, with the same generalizations.",
        )
    share = inside[people > 0] / people[people > 0]
    return float(share.min()), float(share.max())


def population_sizes(dataset: Dataset, quasi_identifiers: Sequence[str], population: Dataset) -> Codes:
    """For each row of the dataset, how many rows of the population have its values (rows,)."""
    index, rows = _join(dataset, quasi_identifiers, population)
    people = np.bincount(index[dataset.num_rows :], minlength=rows)
    return people[index[: dataset.num_rows]].astype(np.int64)


def _join(dataset: Dataset, names: Sequence[str], population: Dataset) -> tuple[Codes, int]:
    """The classes of both tables together, dataset first."""
    import pyarrow as pa

    from ppc.dataset.dataset import Dataset as Table

    parts = [d.select(list(names)).to_arrow() for d in (dataset, population)]
    for name in names:
        a, b = (p.schema.field(name).type for p in parts)
        if a != b:
            raise ColumnError(f"it is {a} in the dataset and {b} in the population", where=f"column '{name}'")
    both = Table.from_arrow(pa.concat_tables([p.replace_schema_metadata(None) for p in parts]))
    classes = Classes.of(both, names)
    return classes.index, classes.count


def _histogram(dataset: Dataset, quasi_identifiers: Sequence[str], sensitive: str) -> Histogram:
    return _coded(dataset, quasi_identifiers, sensitive)[0]


def _coded(dataset: Dataset, quasi_identifiers: Sequence[str], sensitive: str) -> tuple[Histogram, Encoded]:
    if sensitive in quasi_identifiers:
        raise ConfigError("the sensitive column is also a quasi-identifier", where=f"column '{sensitive}'")
    column = encode(dataset, sensitive)
    return Classes.of(dataset, quasi_identifiers).histogram(column.codes, column.cardinality), column


def encode_labels(labels: object) -> Codes:
    """Codes of an Arrow array of strings in order of appearance; null is a label of its own."""
    import pyarrow.compute as pc

    encoded = pc.dictionary_encode(labels, null_encoding="encode")
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def has_order(kind: object) -> bool:
    import pyarrow as pa

    t = pa.types
    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind) or t.is_temporal(kind))

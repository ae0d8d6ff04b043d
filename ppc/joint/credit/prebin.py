"""Fine bins of one feature, made without a label.

The owner of a feature cuts it into fine bins by its own values alone. Labels are then counted bin by bin, in the
clear or jointly, and `coarsen` merges the fine bins by those counts.

No regular bin gets fewer than `min_rows` rows: small intervals join a neighbour, rare categories are pooled, and
special or missing values that are too few join the largest regular bin. A count over a handful of rows would tell
the label of each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ColumnError, ConfigError, DisclosureRefused
from ppc.joint.credit.binning import Binning, Codes, FeatureValues, as_numbers

CutMethod = Literal["equal_frequency", "equal_width"]


def prebin(
    values: FeatureValues,
    *,
    name: str,
    method: CutMethod = "equal_frequency",
    bins: int = 20,
    min_rows: int = 1,
    specials: Sequence[float | str] = (),
) -> Binning:
    """Fine bins of one feature: at most `bins` regular ones, each with at least `min_rows` rows.

    Equal-frequency bins are cut at quantiles, equal-width bins at even steps between minimum and maximum. A feature
    with no more than `bins` distinct values gets one bin a value (equal frequency only). Of a categorical feature the
    `bins - 1` largest categories stand alone and the rest are pooled as `other`; `method` is then not used.

    Raises:
        ColumnError: no value at all, or one value only, so that no binning could tell rows apart.
        DisclosureRefused: fewer than `min_rows` rows in all.
        ValueRangeError: infinite values.
    """
    where = f"column '{name}'"
    if not bins >= 1:
        raise ConfigError("the number of bins must be at least 1", where=where)
    if not min_rows >= 1:
        raise ConfigError("min_rows must be at least 1", where=where)
    if len(set(specials)) != len(specials):
        raise ConfigError("special values must be distinct", where=where)
    if len(values) < min_rows:
        raise DisclosureRefused(f"a column of {len(values)} rows is below the smallest bin of {min_rows}", where=where)
    if isinstance(values, Codes):
        wide = _categories(values, name, bins, min_rows, tuple(str(v) for v in specials))
    else:
        wide = _intervals(values, name, method, bins, min_rows, tuple(_special(v, where) for v in specials))
    rows = np.bincount(wide.apply(values), minlength=wide.n_bins)
    pooled = _pool_small(wide, rows, min_rows)
    if np.count_nonzero(np.bincount(pooled.apply(values))) < 2:
        raise ColumnError(f"a feature {_why_one_bin(values, min_rows)}", where=where, hint=_LEAVE_OUT)
    return pooled


_LEAVE_OUT = 'leave the column out of the features, or set on_constant = "drop"'


def _why_one_bin(values: FeatureValues, min_rows: int) -> str:
    seen = np.unique(values.codes) if isinstance(values, Codes) else np.unique(values)
    missing = seen < 0 if isinstance(values, Codes) else np.isnan(seen)
    if missing.all():
        return "is all null"
    if len(seen) == 1:
        return "has one value only"
    return f"has no two groups of at least {min_rows} rows"


def _special(value: float | str, where: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigError("a special value of a numeric column must be a number", where=where) from None


def _intervals(
    values: NDArray[Any], name: str, method: CutMethod, bins: int, min_rows: int, specials: tuple[float, ...]
) -> Binning:
    x = as_numbers(values, name)
    x = np.sort(x[~(np.isnan(x) | np.isin(x, specials))])
    if method == "equal_width":
        edges = _width_edges(x, bins)
    elif method == "equal_frequency":
        edges = _quantile_edges(x, bins)
    else:
        raise ConfigError(f"unknown way to cut: '{method}'", where=f"column '{name}'")
    cuts = np.concatenate([[0], np.searchsorted(x, edges, side="left"), [len(x)]])
    edges = edges[_wide_enough(cuts, min_rows)]
    k = len(edges) + 1
    return Binning(
        name=name,
        kind="numeric",
        edges=tuple(float(e) for e in edges),
        groups=(),
        specials=specials,
        special_bins=tuple(range(k, k + len(specials))),
        missing_bin=k + len(specials),
        other_bin=None,
        n_bins=k + len(specials) + 1,
    )


def _quantile_edges(x: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    if len(x) == 0:
        return np.empty(0)
    distinct = np.unique(x)
    if len(distinct) <= bins:
        return distinct[1:]
    # Edges are values of the column, so that ties stay together; the minimum is not an edge.
    edges: NDArray[np.float64] = np.unique(np.quantile(x, np.arange(1, bins) / bins, method="higher"))
    edges = np.compress(edges > x[0], edges)
    # Where one value, the least, fills every quantile, the rest still is a group of its own.
    return edges if len(edges) or bins == 1 else distinct[1:2]


def _width_edges(x: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    if len(x) == 0 or x[0] == x[-1]:
        return np.empty(0)
    t = np.arange(1, bins) / bins
    edges = np.unique(x[0] * (1 - t) + x[-1] * t)  # not min + t · range: the range may exceed the largest float
    return np.compress((edges > x[0]) & (edges <= x[-1]), edges)


def _wide_enough(cuts: NDArray[np.intp], min_rows: int) -> NDArray[np.intp]:
    """Which inner cuts to keep so that every piece has `min_rows`; what is left at the end joins its left neighbour."""
    keep: list[int] = []
    start = 0
    for i in range(1, len(cuts) - 1):
        if cuts[i] - start >= min_rows:
            keep.append(i - 1)
            start = int(cuts[i])
    if keep and cuts[-1] - start < min_rows:
        keep.pop()
    return np.asarray(keep, dtype=np.intp)


def _categories(values: Codes, name: str, bins: int, min_rows: int, specials: tuple[str, ...]) -> Binning:
    rows = np.bincount(values.codes[values.codes >= 0], minlength=len(values.labels))
    present = [
        (-int(n), label) for n, label in zip(rows, values.labels, strict=True) if n > 0 and label not in specials
    ]
    present.sort()  # most frequent first, ties by name, so that the order does not depend on the rows
    alone = [label for n, label in present if -n >= min_rows]
    if len(alone) < len(present) or len(alone) > bins:
        alone = alone[: max(bins - 1, 0)]
    kept = set(alone)
    pooled = sum(-n for n, label in present if label not in kept)
    while 0 < pooled < min_rows and alone:
        last = alone.pop()
        pooled += int(rows[values.labels.index(last)])
    groups: list[tuple[str, ...]] = [(label,) for label in sorted(alone)]
    has_pool = pooled > 0 or not groups
    if has_pool:
        groups.append(())  # the pool: categories that are listed nowhere
    extra = len(groups)
    missing = extra + len(specials)
    other = extra - 1 if has_pool else missing + 1
    return Binning(
        name=name,
        kind="categorical",
        edges=(),
        groups=tuple(groups),
        specials=specials,
        special_bins=tuple(range(extra, extra + len(specials))),
        missing_bin=missing,
        other_bin=other,
        n_bins=max(missing, other) + 1,
    )


def _pool_small(wide: Binning, rows: NDArray[np.int64], min_rows: int) -> Binning:
    """Send special and missing values that are fewer than `min_rows` (but not none) to the largest regular bin."""
    k = wide.n_regular
    extras = [b for b in range(k, wide.n_bins) if rows[b] > 0]
    target = int(np.argmax(rows[:k]))
    moved = [b for b in extras if rows[b] < min_rows]
    here = int(rows[target]) + int(sum(rows[b] for b in moved))
    if 0 < here < min_rows:
        # The regular values are themselves too few: they share the bin of the smallest large extra.
        large = [b for b in extras if b not in moved]
        moved.append(min(large, key=lambda b: (int(rows[b]), b)))
    stay = [b for b in range(k, wide.n_bins) if b not in moved]
    new = {b: b for b in range(k)} | dict.fromkeys(moved, target) | {b: k + i for i, b in enumerate(stay)}
    return Binning(
        name=wide.name,
        kind=wide.kind,
        edges=wide.edges,
        groups=wide.groups,
        specials=wide.specials,
        special_bins=tuple(new[b] for b in wide.special_bins),
        missing_bin=new[wide.missing_bin],
        other_bin=None if wide.other_bin is None else new[wide.other_bin],
        n_bins=k + len(stay),
    )

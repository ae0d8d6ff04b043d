"""Synthetic rows from noisy marginals along a maximum spanning tree.

1. The counts of each column are measured.
2. A tree of pairs is chosen, each pair by a private selection, by how far its columns are from independent.
3. The counts of these pairs are measured.
4. Rows are drawn from the tree: the root from its counts, each child from its counts given its parent.
5. The distance between real and synthetic counts is measured too, so that the report is honest, and private.

Source: McKenna, Miklau, Sheldon, "Winning the NIST contest: a scalable and general approach to differentially private
synthetic data", Journal of Privacy and Confidentiality 11 (2021), section 3 (MST). OpenDP's own needs packages that are
not in its plain wheel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.dataset import types
from ppc.dataset.dataset import Dataset
from ppc.dataset.schema import Schema
from ppc.dp import ask, measuring
from ppc.dp import recipe as recipes
from ppc.dp.accountant import Charge
from ppc.dp.budget import Price
from ppc.dp.engines.base import Engine, Key
from ppc.dp.noise import Selection, selection, split
from ppc.dp.parts import bounds_of
from ppc.dp.query import By
from ppc.dp.recipe import Measured, Recipe
from ppc.dp.unit import Reach, Unit
from ppc.errors import QueryError

if TYPE_CHECKING:
    from ppc.dp.session import Session

_BINS: Final = 16
_SCORE: Final = 1000  # units of a score in one row
_CELLS: Final = 1 << 20  # of one pair


@dataclass(frozen=True, eq=False)
class Synthetic:
    """Synthetic rows, and how near they are to the real ones.

    Args:
        dataset: the rows; bins of numeric columns are filled evenly.
        tree: the pairs of columns whose dependence was kept, in the order of drawing (parent, child).
        marginal_error: total variation distance, averaged over all columns; measured with noise.
        pair_error: the same over all pairs of columns.
        error: half the width of the 95% interval of these two.
        correlations: for pairs of the tree whose columns are both numeric or bool: (measured with noise, synthetic).
        price: what it cost.
    """

    dataset: Dataset
    tree: tuple[tuple[str, str], ...]
    marginal_error: float
    pair_error: float
    error: float
    correlations: dict[tuple[str, str], tuple[float, float]]
    price: Price

    def __repr__(self) -> str:
        lines = [
            f"{len(self.dataset):,} synthetic rows, {len(self.dataset.columns)} columns. Spent {self.price}.",
            f"distance of columns {self.marginal_error:.3f}, of pairs {self.pair_error:.3f}, each ± {self.error:.3f}"
            " (0: the same, 1: nothing in common)",
        ]
        for (a, b), (measured, made) in self.correlations.items():
            lines.append(f"correlation of {a} and {b}: {measured:.2f} measured, {made:.2f} synthetic")
        return "\n".join(lines)


def synthesize(
    session: Session,
    columns: Sequence[str | By],
    *,
    epsilon: float | None = None,
    rho: float | None = None,
    price: Price | None = None,
    rows: int | None = None,
) -> Synthetic:
    """Synthetic rows with the marginals of these columns, and of the pairs that depend most on each other.

    Args:
        session: whose data and budget.
        columns: two or more: names (with a domain, or bounds, which are cut into 16 bins), `bin(…)` or `known(…)`.
        epsilon, rho, price: what to pay. ρ does better with many columns.
        rows: how many to make; else about as many as there are.

    Raises:
        BudgetExceeded: it would overspend. QueryError: a column has neither domain nor bounds, or pairs are too large.
    """
    if rows is not None and not 1 <= rows <= 1 << 28:
        raise QueryError("rows must be from 1 to 2**28", where="synthesize")
    made = prepare(columns, session.schema, session.unit, session.price_of(epsilon, rho, price), rows)
    with session.pay(made.charges, made.label, {"synthesize": [k.to_dict() for k in made.keys]}) as engine:
        found = measure(made, exact(made, engine))
    dataset = _dataset(session, [r.keys[0] for r in made.single], found.codes)
    correlations = _correlations(session, found.tree, found.tables, found.codes, made.single)
    named = tuple((made.keys[a].column, made.keys[b].column) for a, b in found.order)
    first, second = (min(1.0, max(0.0, v / found.total)) for v in found.distances)
    error = recipes.S95 * made.reports[0].sd / found.total
    return Synthetic(dataset, named, first, second, error, correlations, made.price)


@dataclass(frozen=True)
class Prepared:
    """What is measured for synthetic rows, priced: everything but the data."""

    keys: tuple[By, ...]
    single: tuple[Recipe, ...]
    double: dict[tuple[int, int], Recipe]
    ones: tuple[Measured, ...]
    twos: tuple[Measured, ...]
    choices: tuple[Selection, ...]
    reports: tuple[Measured, ...]
    rows: int | None
    price: Price

    @property
    def charges(self) -> list[Charge]:
        """One for every measurement and choice."""
        measured = (*self.ones, *self.twos, *self.reports)
        return [*(m.noise.charge for m in measured), *(c.charge for c in self.choices)]

    @property
    def label(self) -> str:
        """The question in one line."""
        return f"synthesize({', '.join(k.column for k in self.keys)})"


def prepare(
    columns: Sequence[str | By], schema: Schema, unit: Unit, price: Price, rows: int | None = None
) -> Prepared:  # fmt: skip
    """Check the columns and scale the noise. Touches no data."""
    keys = tuple(_key(schema, c) for c in columns)
    d = len(keys)
    if d < 2:
        raise QueryError("two or more columns are needed", where="synthesize")
    pairs = list(combinations(range(d), 2))
    # a third each for columns, choice and pairs, less a tenth of the whole for the report
    ones_price, choice_price, pairs_price, report_price = split(price, [3, 3, 3, 1])
    single = tuple(_count(schema, unit, [k]) for k in keys)
    double = {p: _count(schema, unit, [keys[i] for i in p]) for p in pairs}
    if max(r.cells for r in double.values()) > _CELLS:
        raise QueryError("two columns have too many categories together", where="synthesize", hint="Use fewer bins.")
    reach = unit.reach(True)
    part = single[0].linear[0]
    ones = tuple(
        recipes.measure(r.linear[0], p, reach) for r, p in zip(single, split(ones_price, [1] * d), strict=True)
    )
    twos = tuple(recipes.measure(part, p, reach) for p in split(pairs_price, [1] * (d - 1)))
    # one row moves the distance of a pair's counts from the product of noisy ones by 1, and rounding by one unit
    choices = tuple(selection(p, (_SCORE + 1) * reach.rows) for p in split(choice_price, [1] * (d - 1)))
    # A distance is one number: all rows of a unit may move it the same way, however they are spread over cells.
    whole = Reach(cells=1, rows_in_cell=reach.rows, rows=reach.rows)
    reports = tuple(recipes.measure(part, p, whole) for p in split(report_price, [1, 1]))
    return Prepared(keys, single, double, ones, twos, choices, reports, rows, price)


@dataclass(frozen=True, eq=False)
class Exact:
    """The counts that are read of the data."""

    one: list[NDArray[np.float64]]
    two: dict[tuple[int, int], NDArray[np.float64]]


def exact(made: Prepared, engine: Engine) -> Exact:
    """Count by each column and by each pair."""
    one = [_counts(engine, r).reshape(-1) for r in made.single]
    two = {p: _counts(engine, r).reshape(one[p[0]].size, one[p[1]].size) for p, r in made.double.items()}
    return Exact(one, two)


@dataclass(frozen=True, eq=False)
class Found:
    """What is told of the data (`ones`, `tree`, `tables`, `distances`, each with noise), and the rows drawn from it."""

    ones: list[NDArray[np.float64]]
    tree: list[tuple[int, int]]
    tables: dict[tuple[int, int], NDArray[np.float64]]
    distances: tuple[float, float]
    total: float
    codes: list[NDArray[np.int64]]
    order: list[tuple[int, int]]


def measure(made: Prepared, counts: Exact) -> Found:
    """Each measurement is made once, as often as it is charged."""
    ones = [_noisy(m, x) for m, x in zip(made.ones, counts.one, strict=True)]
    shares, total = [_shares(x) for x in ones], max(1.0, float(ones[0].sum()))
    tree = _tree(counts.two, shares, total, made.choices, len(ones))
    tables = {
        e: _noisy(m, counts.two[e].reshape(-1)).reshape(counts.two[e].shape)
        for e, m in zip(tree, made.twos, strict=True)
    }
    codes, order = _draw(tree, tables, shares, made.rows or max(1, round(total)))
    distances = _distances(codes, counts.one, counts.two, total)
    first, second = (float(_noisy(m, np.array([x]))[0]) for m, x in zip(made.reports, distances, strict=True))
    return Found(ones, tree, tables, (first, second), total, codes, order)


def _key(schema: Schema, column: str | By) -> By:
    by = column if isinstance(column, By) else By(column)
    field = schema[by.column]
    if by.open:
        raise QueryError("categories must be known", where=f"synthesize, column '{by.column}'")
    if by.edges is None and by.values is None and field.domain is None and field.type != "bool":
        low, high = bounds_of(schema, by.column, None, "synthesize")
        whole = types.is_integer(field.type)
        n = min(_BINS, int(high - low) + 1) if whole else _BINS
        top = high + 1 if whole else high
        edges = sorted({float(math.ceil(e)) if whole else float(e) for e in np.linspace(low, top, n + 1)})
        return ask.bin(by.column, edges)
    return by


def _count(schema: Schema, unit: Unit, keys: list[By]) -> Recipe:
    return recipes.compile(ask.group_by(*keys).agg(ask.count()), schema, unit)


def _counts(engine: Engine, r: Recipe) -> NDArray[np.float64]:
    return np.array(engine.sums(r.request())[0], dtype=np.float64)


def _noisy(m: Measured, exact: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = np.array([round(float(x)) for x in exact], dtype=np.object_)[None, :]
    out: NDArray[np.float64] = measuring.noisy_vector(m, whole)[0]
    return out


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    positive = np.maximum(counts, 0)
    return positive / positive.sum() if positive.sum() > 0 else np.full(counts.size, 1 / counts.size)


def _tree(
    exact: dict[tuple[int, int], NDArray[np.float64]], shares: list[NDArray[np.float64]], total: float,
    choices: Sequence[Selection], d: int,
) -> list[tuple[int, int]]:  # fmt: skip
    """A spanning tree, pair by pair: among those that join two parts, one that is far from independent."""
    scores = {
        (i, j): math.floor(_SCORE * float(np.abs(table - total * np.outer(shares[i], shares[j])).sum()))
        for (i, j), table in exact.items()
    }
    part = list(range(d))
    tree = []
    for choice in choices:
        open_pairs = [p for p in scores if part[p[0]] != part[p[1]]]
        i, j = open_pairs[choice.choose(np.array([scores[p] for p in open_pairs], dtype=np.int64))]
        tree.append((i, j))
        gone = part[j]
        part = [part[i] if x == gone else x for x in part]
    return tree


def _draw(
    tree: list[tuple[int, int]], tables: dict[tuple[int, int], NDArray[np.float64]],
    shares: list[NDArray[np.float64]], rows: int,
) -> tuple[list[NDArray[np.int64]], list[tuple[int, int]]]:  # fmt: skip
    """Codes of each column, and the tree from the root on (parent, child)."""
    stream = rng.os_stream()
    codes: dict[int, NDArray[np.int64]] = {0: _sample(shares[0][None, :], np.zeros(rows, dtype=np.int64), stream)}
    order: list[tuple[int, int]] = []
    while len(order) < len(tree):
        for i, j in tree:
            if (i in codes) == (j in codes):
                continue
            table = tables[(i, j)] if i in codes else tables[(i, j)].T
            parent, child = (i, j) if i in codes else (j, i)
            given = np.array([_shares(r) if (r > 0).any() else shares[child] for r in table])
            codes[child] = _sample(given, codes[parent], stream)
            order.append((parent, child))
    return [codes[i] for i in range(len(shares))], order


def _sample(given: NDArray[np.float64], parent: NDArray[np.int64], stream: rng.Stream) -> NDArray[np.int64]:
    """One draw a row from `given[parent]`, by the inverse of the distribution function."""
    u = _uniform(stream, len(parent))
    out = np.empty(len(parent), dtype=np.int64)
    for value in np.unique(parent):
        at = parent == value
        edges = np.cumsum(given[value])
        out[at] = np.minimum(np.searchsorted(edges / edges[-1], u[at], side="right"), given.shape[1] - 1)
    return out


def _uniform(stream: rng.Stream, n: int) -> NDArray[np.float64]:
    return (stream.uint64(n) >> np.uint64(11)).astype(np.float64) / 2.0**53


def _distances(
    codes: list[NDArray[np.int64]], ones: list[NDArray[np.float64]], twos: dict[tuple[int, int], NDArray[np.float64]],
    total: float,
) -> tuple[int, int]:  # fmt: skip
    """Half the L1 distance of counts, averaged over columns and over pairs, in rows. One row moves each by at most ½ of
    a row; it is rounded to rows, which moves by at most one."""
    n = len(codes[0])
    one = [
        0.5 * np.abs(x - np.bincount(c, minlength=x.size) * (total / n)).sum() for x, c in zip(ones, codes, strict=True)
    ]
    two = []
    for (i, j), x in twos.items():
        made = np.bincount(codes[i] * x.shape[1] + codes[j], minlength=x.size).reshape(x.shape) * (total / n)
        two.append(0.5 * np.abs(x - made).sum())
    return round(float(np.mean(one))), round(float(np.mean(two)))


def _dataset(session: Session, keys: list[Key], codes: list[NDArray[np.int64]]) -> Dataset:
    import pyarrow as pa

    stream = rng.os_stream()
    columns: dict[str, Any] = {}
    for key, code in zip(keys, codes, strict=True):
        kind = types.to_arrow(session.schema[key.column].type)
        if key.edges is not None:
            edges = np.array(key.edges)
            low, high = edges[code], edges[code + 1]
            values = low + _uniform(stream, len(code)) * (high - low)
            if types.is_integer(session.schema[key.column].type):
                values = np.minimum(np.floor(values), np.ceil(high) - 1).astype(np.int64)
            columns[key.column] = pa.array(values).cast(kind)
        else:
            columns[key.column] = pa.array([key.values[i] for i in code]).cast(kind)  # type: ignore[index]
    return Dataset.from_arrow(pa.table(columns), name=f"synthetic {session.account.dataset}")


def _correlations(
    session: Session, tree: list[tuple[int, int]], tables: dict[tuple[int, int], NDArray[np.float64]],
    codes: list[NDArray[np.int64]], single: Sequence[Recipe],
) -> dict[tuple[str, str], tuple[float, float]]:  # fmt: skip
    """Correlations of codes along the tree: of the noisy tables, and of the synthetic rows. Data are not read again."""
    out = {}
    for i, j in tree:
        keys = single[i].keys[0], single[j].keys[0]
        if not all(types.is_numeric(session.schema[k.column].type) for k in keys):
            continue
        table = np.maximum(tables[(i, j)], 0)
        made = np.zeros_like(table)
        np.add.at(made, (codes[i], codes[j]), 1)
        out[(keys[0].column, keys[1].column)] = (_correlation(table), _correlation(made))
    return out


def _correlation(table: NDArray[np.float64]) -> float:
    p = table / max(float(table.sum()), 1e-9)
    a, b = np.arange(p.shape[0]), np.arange(p.shape[1])
    ma, mb = p.sum(axis=1) @ a, p.sum(axis=0) @ b
    va, vb = p.sum(axis=1) @ (a - ma) ** 2, p.sum(axis=0) @ (b - mb) ** 2
    return float((a - ma) @ p @ (b - mb) / math.sqrt(max(va * vb, 1e-12)))

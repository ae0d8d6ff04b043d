"""One-hot vectors, lookup tables and histograms: a secret number among public ones.

All begin in the same way: x is compared with all public thresholds in one masked opening, so that J thresholds cost 5 J
+ 8 bytes an element and 3 rounds, and the bits become the integers [x >= t]. What follows is sums with public factors,
or one product. The costs below are for two parties and the additive engine; up to 4 million comparisons share their
rounds.

Threat: the engine's. Leaks: shapes, and the public thresholds.
Source: a step function as a sum of shared comparison bits, as in the splines of SecureML (Mohassel, Zhang, IEEE S&P
2017) §4.2; the comparison is the engine's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.core.fixedpoint import FixedPoint
from ppc.errors import TypeMismatchError, ValueRangeError
from ppc.mpc.ops.arithmetic import concatenate, matmul
from ppc.mpc.ops.compare import b2a, stack_bits
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]

_BLOCK: Final = 1 << 22  # comparisons at once: about 75 MB of correlations


def at_least(s: Session, x: AShare, units: Sequence[int]) -> AShare:
    """[x >= t] for each public threshold t in ring units, as integers (J, n) for x raveled.

    Cost: 4 rounds, 8 n + 5.125 J n bytes.
    """
    flat = x.ravel()
    if not units:
        return flat[:0].reinterpret(0).reshape(0, 1)[:, np.zeros(flat.size, np.int64)]
    size = max(1, _BLOCK // len(units))
    blocks = [flat[i : i + size] for i in range(0, flat.size, size)] or [flat]
    return concatenate(
        [1 - b2a(s, stack_bits(s.engine.less_than_zero(s, block, list(units)))) for block in blocks], axis=1
    )


def to_units(x: AShare, values: ArrayLike, name: str) -> list[int]:
    """Public numbers in x's ring units; for integers, the next integer, so that x < t keeps its meaning."""
    array = np.asarray(values)
    if x.frac_bits == 0 and array.dtype.kind == "f":
        array = np.ceil(array)
    words = FixedPoint(x.frac_bits, x.ring.bits).encode(array, name)
    return [int(v) for v in x.ring.to_integers(words).reshape(-1)]


def one_hot(s: Session, x: AShare, categories: int | Sequence[float] | NDArray[np.generic]) -> AShare:
    """[x == c] for each public category c, as integers 0 and 1 of x's shape and one more axis (…, k).

    Args:
        categories: how many (0, 1, … k - 1), or the k distinct values. A row of x that is none of them is all zeros.

    Cost: 4 rounds, 8 n + 5.125 (k + 1) n bytes if the categories are neighbours in ring units (integers 0 … k - 1), up
    to 8 n + 10.25 k n bytes if not.
    """
    units = category_units(x, categories)
    wanted = sorted({u + d for u in units for d in (0, 1)})
    place = {u: i for i, u in enumerate(wanted)}
    steps = at_least(s, x, wanted)
    hot = steps[[place[u] for u in units]] - steps[[place[u + 1] for u in units]]
    return hot.T.reshape((*x.shape, len(units)))


def category_units(x: AShare, categories: int | Sequence[float] | NDArray[np.generic]) -> list[int]:
    """Categories in x's ring units; they must be distinct there."""
    values = np.arange(categories) if isinstance(categories, int | np.integer) else np.asarray(categories)
    if values.ndim != 1 or not len(values):
        raise ValueRangeError(f"categories are a positive number or a list, not {values.shape}", where="categories")
    if x.frac_bits == 0 and values.dtype.kind == "f" and not bool((values == np.rint(values)).all()):
        raise TypeMismatchError("categories of integers are integers", where="categories")
    units = to_units(x, values, "categories")
    if len(set(units)) != len(units):
        raise ValueRangeError(
            "categories are distinct", where="categories", hint=f"x has {x.frac_bits} fraction bits: closer ones merge"
        )
    return units


def lookup(s: Session, table: AShare | ArrayLike, index: AShare, *, frac_bits: int | None = None) -> AShare:
    """table[index] for a secret index and a public or secret table (k,) or (k, …).

    The result has shape index.shape + table.shape[1:]. An index below 0 counts as 0, one beyond k - 1 as k - 1 (never
    an error, which would tell).

    Args:
        index: integers (frac_bits 0).
        frac_bits: of a public table; by default 0 if it holds integers, else the session's.

    Cost: public table: 4 rounds, 8 n + 5.125 (k - 1) n bytes. Secret table, c words a row: 1 round and 8 (k - 1) (n +
    c) bytes more. Both grow with k n: for large tables use `gather`.
    """
    if index.frac_bits:
        raise TypeMismatchError(f"an index has 0 fraction bits, not {index.frac_bits}", hint="use ops.floor")
    if isinstance(table, AShare):
        shape, f = table.shape, table.frac_bits
    else:
        table = np.asarray(table)
        shape = table.shape
        f = (0 if table.dtype.kind in "iub" else s.fx.frac_bits) if frac_bits is None else frac_bits
    if not (shape and shape[0]):
        raise TypeMismatchError(f"a table has one or more rows; this one has shape {shape}")
    steps = at_least(s, index, range(1, shape[0])).T  # (n, k - 1)
    out = (*index.shape, *shape[1:])
    if isinstance(table, AShare):
        rows = table.reshape(shape[0], -1)
        found = rows[:1].broadcast_to((index.size, rows.shape[1]))
        if shape[0] > 1:
            found = found + matmul(s, steps, rows[1:] - rows[:-1])
        return found.reshape(out)
    words = s.fx.of(f).encode(table, "table").reshape(shape[0], -1)
    found = s.engine.constant(s, np.repeat(words[:1], index.size, axis=0), f)
    if shape[0] > 1:
        found = found + _times(steps, words[1:] - words[:-1], f)
    return found.reshape(out)


def _times(x: AShare, words: Words, frac_bits: int) -> AShare:
    """x @ words for public ring elements that carry `frac_bits` fraction bits. Cost: none."""
    return x.matmul_words(words, frac_bits)


def histogram(
    s: Session, x: AShare, edges: Sequence[float] | NDArray[np.float64], *, weights: AShare | None = None
) -> AShare:
    """How many of x lie in each bin, as `numpy.histogram`: integers (k,) for k + 1 rising edges.

    Bins are closed on the left, the last one on both sides. With `weights` of x's shape, the sum of the weights in
    each bin, with their fraction bits.

    Cost: 4 rounds, 8 n + 5.125 (k + 1) n bytes. With weights 1 round and 8 (k + 2) n bytes more.
    """
    values = np.asarray(edges, np.float64)
    if not (values.ndim == 1 and len(values) > 1 and bool((np.diff(values) > 0).all())):
        raise ValueRangeError("edges are two or more rising numbers", where="edges")
    if x.frac_bits == 0:  # the last bin is closed: x <= e is x < floor(e) + 1
        units = [*to_units(x, values[:-1], "edges"), *to_units(x, np.floor(values[-1:]), "edges")]
    else:
        units = to_units(x, values, "edges")
    units[-1] += 1
    steps = at_least(s, x, units)
    if weights is None:
        reached = steps.sum(axis=1)
    else:
        if weights.shape != x.shape:
            raise TypeMismatchError(f"weights of shape {weights.shape} for values of shape {x.shape}", where="weights")
        reached = matmul(s, steps, weights.ravel())
    return reached[:-1] - reached[1:]

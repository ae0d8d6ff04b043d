"""Tables, groups and random numbers of `SecureArray`s: what a database or a generator has rather than an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.errors import TypeMismatchError
from ppc.mpc import ops
from ppc.mpc.secure_array import SecureArray
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Shape = tuple[int, ...] | int
Categories = int | Sequence[float] | NDArray[np.generic]


def _whole(x: SecureArray, what: str) -> AShare:
    number = x.as_number()
    if number.frac_bits:
        raise TypeMismatchError(f"{what} are whole numbers", hint="share them with `integers`, or use x.astype(int)")
    return number


# --- tables ---
def one_hot(x: SecureArray, categories: Categories) -> SecureArray:
    """x == c for each public category, 0 and 1, along a new last axis. See `ppc.mpc.ops.one_hot`."""
    return x.wrap(ops.one_hot(x.session, x.as_number(), categories))


def lookup(table: SecureArray | ArrayLike, index: SecureArray, *, by_sorting: bool = False) -> SecureArray:
    """table[index] for a secret index and a public or secret table; indices out of range are clamped.

    By comparing with every row, or `by_sorting` for large secret tables and many indices (n,). See `ppc.mpc.ops.lookup`
    and `ppc.mpc.ops.gather`.
    """
    s, at = index.session, _whole(index, "indices")
    if not isinstance(table, SecureArray):
        return index.wrap(ops.lookup(s, table, at))
    rows = table.as_number()
    return index.wrap(ops.gather(s, rows, at) if by_sorting else ops.lookup(s, rows, at))


def histogram(
    x: SecureArray, edges: Sequence[float] | NDArray[np.float64], weights: SecureArray | None = None
) -> SecureArray:
    """How many of x lie in each bin of public edges, as `numpy.histogram`. See `ppc.mpc.ops.histogram`."""
    w = None if weights is None else weights.as_number()
    return x.wrap(ops.histogram(x.session, x.as_number(), edges, weights=w))


# --- groups and joins ---
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SecureGroups:
    """One row a group: keys, counts and sums, and 1 in `present` where there is a group. See `ppc.mpc.ops.Groups`."""

    keys: SecureArray
    counts: SecureArray
    sums: tuple[SecureArray, ...]
    present: SecureArray

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"<SecureGroups rows={len(self)} columns={len(self.sums)}>"

    def first(self, m: int) -> SecureGroups:
        """The first m rows: all of them if it is public that there are at most m groups."""
        return SecureGroups(self.keys[:m], self.counts[:m], tuple(x[:m] for x in self.sums), self.present[:m])


def group_by(key: SecureArray, *values: SecureArray, categories: Categories | None = None) -> SecureGroups:
    """Counts and sums by a secret key, with or without a public domain. See `ppc.mpc.ops.group_by`."""
    columns = [v.as_number() for v in values]
    g = ops.group_by(key.session, key.as_number(), *columns, categories=categories)
    wrap = key.wrap
    return SecureGroups(wrap(g.keys), wrap(g.counts), tuple(wrap(x) for x in g.sums), wrap(g.present))


def inner_join_count(left: SecureArray, right: SecureArray) -> SecureArray:
    """The number of pairs of rows with equal secret keys. See `ppc.mpc.ops.inner_join_count`."""
    return left.wrap(ops.inner_join_count(left.session, left.as_number(), right.as_number()))


def inner_join_sum(
    left: SecureArray, values: SecureArray, right: SecureArray, other: SecureArray | None = None
) -> SecureArray:
    """The sum of values (or of values * other) over those pairs. See `ppc.mpc.ops.inner_join_sum`."""
    more = None if other is None else other.as_number()
    keys = left.as_number(), right.as_number()
    return left.wrap(ops.inner_join_sum(left.session, keys[0], values.as_number(), keys[1], more))


# --- random numbers that nobody knows ---
def random_uniform(session: Session, shape: Shape) -> SecureArray:
    """Uniform in [0, 1). See `ppc.mpc.ops.random_uniform`."""
    return SecureArray(session, ops.random_uniform(session, shape))


def random_integers(session: Session, low: int, high: int, shape: Shape) -> SecureArray:
    """Uniform whole numbers low … high - 1. See `ppc.mpc.ops.random_integers`."""
    return SecureArray(session, ops.random_integers(session, low, high, shape))


def bernoulli(session: Session, p: ArrayLike, shape: Shape | None = None) -> SecureArray:
    """Secret booleans, each true with its public probability. See `ppc.mpc.ops.bernoulli`."""
    return SecureArray(session, ops.bernoulli(session, p, shape))


def discrete_gaussian(session: Session, sigma: float, shape: Shape) -> SecureArray:
    """Whole numbers of a discrete Gaussian. See `ppc.mpc.ops.discrete_gaussian`."""
    return SecureArray(session, ops.discrete_gaussian(session, sigma, shape))


def discrete_laplace(session: Session, scale: float, shape: Shape) -> SecureArray:
    """Whole numbers of a discrete Laplace distribution. See `ppc.mpc.ops.discrete_laplace`."""
    return SecureArray(session, ops.discrete_laplace(session, scale, shape))


__all__ = [
    "SecureGroups", "bernoulli", "discrete_gaussian", "discrete_laplace", "group_by", "histogram", "inner_join_count",
    "inner_join_sum", "lookup", "one_hot", "random_integers", "random_uniform",
]  # fmt: skip

"""Secret permutations, and what they give: rows moved by a secret bit, group-by over a secret key, joins.

A secret permutation is applied by shuffling its places together with the rows and opening the places: they are then a
uniformly random order, whatever the permutation was. Groups are found by sorting and comparing neighbours; the last row
of each group holds the running sums up to there, is brought to the front, and differences of neighbours are the totals.
So the result has as many rows as the input, the groups first, zeros behind; how many groups there are stays secret.

Threat: the engine's. Leaks: the number of rows. Costs are for two parties and the additive engine.
Source: applying a shared permutation: Hamada, Kikuchi, Ikarashi, Chida, Takahashi (ICISC 2012) §4.3; group-by by
sorting, boundary bits and compaction: Asharov, Hamada, Ikarashi, Kikuchi, Nof, Pinkas, Takahashi, Tomida, "Efficient
secure three-party sorting with applications to data analysis and heavy hitters" (CCS 2022) §5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ProtocolAbort, TypeMismatchError
from ppc.mpc.ops.arithmetic import concatenate, dot, matmul, mul, rescale
from ppc.mpc.ops.compare import b2a, bit_mul
from ppc.mpc.ops.extrema import equal
from ppc.mpc.ops.sorting import sort
from ppc.mpc.ops.tables import category_units, one_hot
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare


def prefix_sum(x: AShare, axis: int = 0, *, exclusive: bool = False) -> AShare:
    """Running sums along `axis`; with `exclusive`, each without its own element. Exact in the ring. Cost: none."""
    if not (x.ndim and -x.ndim <= axis < x.ndim):
        raise TypeMismatchError(f"running sums along axis {axis} of shape {x.shape}")
    total = x.cumsum(axis=axis)
    return total - x if exclusive else total


# --- permutations ---
def permute(s: Session, places: AShare, *columns: AShare) -> list[AShare]:
    """Row i of every column (n,) or (n, …) moves to place places[i]; `places` is a secret permutation of 0 … n - 1.

    Raises:
        ProtocolAbort: `places` is no permutation, at every party.

    Cost: a shuffle of all columns and of `places`, and 1 round, 8 n bytes. Leaks: n.
    """
    n = _rows("permute", places, *columns)
    if places.ndim != 1 or places.frac_bits:
        raise TypeMismatchError(f"places are integers (n,), not {places.shape} with {places.frac_bits} fraction bits")
    if not columns or not n:
        return list(columns)
    shuffled = s.engine.shuffle(s, _joined([places, *columns]))
    opened = s.ring.to_integers(s.engine.open(s, [shuffled[:, 0]])[0]).astype(np.int64)
    if s.tracing:
        opened = np.arange(n)
    if not np.array_equal(np.sort(opened), np.arange(n)):
        raise ProtocolAbort("the secret places are no permutation", where="permute")
    order = np.empty(n, np.int64)
    order[opened] = np.arange(n)
    return _split(shuffled[order], 1, columns)


def inverse_permutation(s: Session, places: AShare) -> AShare:
    """The permutation that undoes `places`: `permute(s, inverse, *permute(s, places, x))` is x. Cost: as `permute`."""
    numbers = s.engine.constant(s, s.ring.of_integers(np.arange(len(places))), 0)
    return permute(s, places, numbers)[0]


def partition(s: Session, bit: BShare | AShare, *columns: AShare) -> list[AShare]:
    """The rows whose secret bit is 1 first, then the others; both keep their order.

    One step of a radix sort: sorting small keys bit by bit is this, from the lowest bit on.

    Cost: as `permute`, and for a BShare 2 rounds, 8.25 n bytes more (an AShare of 0 and 1: 1 round, 16 n).
    """
    return permute(s, _front(s, bit), *columns)


def _front(s: Session, bit: BShare | AShare) -> AShare:
    """For each row its place when rows with bit 1 come first."""
    if bit.ndim != 1:
        raise TypeMismatchError(f"one bit a row is needed, not shape {bit.shape}")
    n = len(bit)
    number = b2a(s, bit) if isinstance(bit, BShare) else bit
    ones = number.cumsum()
    total = ones[n - 1] if n else number.sum()
    behind = total - ones + np.arange(n)  # where a row with bit 0 goes
    jump = ones - 1 - behind
    return behind + (bit_mul(s, bit, jump) if isinstance(bit, BShare) else mul(s, bit, jump))


def gather(s: Session, table: AShare, index: AShare) -> AShare:
    """table[index] by sorting, for a secret table (k,) or (k, …) and many secret indices (n,): large k and n.

    As `lookup`, an index below 0 counts as 0 and one beyond k - 1 as k - 1. The rows of the table and the indices are
    sorted together; the running sum of the table's differences is then the row that an index asks for.

    Cost: a sort of n + k rows with c + 1 words each, for c words a row of the table, and a `permute` of them; `lookup`
    is cheaper for k below about 20. Leaks: n and k. Source: ours; sorting requests with the table as in oblivious RAM
    by sorting, Goldreich, Ostrovsky (J. ACM 1996) §4.
    """
    if not (table.ndim and len(table)) or index.ndim != 1 or index.frac_bits:
        raise TypeMismatchError(
            f"a table (k, …) of one or more rows and integer indices (n,) are needed, not {table.shape} and "
            f"{index.shape} with {index.frac_bits} fraction bits"
        )
    k, n = len(table), len(index)
    numbers = s.engine.constant(s, s.ring.of_integers(np.arange(n + k)), 0)
    rows = _joined([table])
    jumps = concatenate([rows[:1] - rows[:1], rows[1:] - rows[:-1]])
    nothing = s.engine.constant(s, s.ring.zeros((n, rows.shape[1])), 0)
    # Ties keep their order, so a row of the table comes before the indices that ask for it.
    _, places, steps = sort(s, concatenate([numbers[:k], index]), numbers, concatenate([jumps, nothing]))
    (found,) = permute(s, places, steps.cumsum(axis=0))
    return (found[k:] + rows[0]).reshape(n, *table.shape[1:]).reinterpret(table.frac_bits)


# --- groups ---
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Groups:
    """What `group_by` found, one row a group.

    Attributes:
        keys: (m,) each group's key, rising; 0 behind the last group.
        counts: (m,) integers: rows of each group; 0 behind the last group.
        sums: for each column of values its sums (m,) or (m, …).
        present: (m,) integers: 1 where there is a group. Their sum is the number of groups.
    """

    keys: AShare
    counts: AShare
    sums: tuple[AShare, ...]
    present: AShare

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"<Groups rows={len(self)} columns={len(self.sums)}>"

    def first(self, m: int) -> Groups:
        """The first m rows: all of them if it is public that there are at most m groups. Cost: none."""
        return Groups(self.keys[:m], self.counts[:m], tuple(x[:m] for x in self.sums), self.present[:m])


def group_by(
    s: Session,
    key: AShare,
    *values: AShare,
    categories: int | Sequence[float] | NDArray[np.generic] | None = None,
) -> Groups:
    """Count rows and sum columns by a secret key (n,); every column of values is (n,) or (n, c).

    Args:
        categories: the key's public domain, as in `one_hot`, if it is known: then there is one row for each category,
            in the order given, `present` is 1 where it has rows, and rows of other keys are left out. Cheaper up to
            about 25 categories. Without it, n rows, the groups first.

    The key must stay below 2**(62 - log2 n) in the ring (see `sort`); sums stay exact in the ring.

    Cost: without categories a sort with the values, a shuffle of all columns, and 6 rounds: (106.125 + 24 c) n bytes
    beside the sort for c words of values a row. With k categories 9 rounds, 8 n + 5.125 (k + 1) n + 8 (k + c) n bytes.
    """
    n = _rows("group_by", key, *values)
    if key.ndim != 1:
        raise TypeMismatchError(f"a key is (n,), not {key.shape}")
    if categories is not None:
        return _known_groups(s, key, values, categories)
    if not n:
        empty = key[:0].reinterpret(0)
        return Groups(key, empty, values, empty)
    key, *ordered = sort(s, key, *values)
    is_last = _last_of_group(s, key)
    place = s.engine.constant(s, s.ring.of_integers(np.arange(1, n + 1)), 0)  # running count
    running = [key, place, *(x.cumsum(axis=0) for x in ordered)]
    present, key, *totals = partition(s, is_last, is_last, *running)
    # In front stand the running sums at the ends of the groups: neighbours' differences, masked behind the last one.
    differences = [concatenate([x[:1], x[1:] - x[:-1]]) for x in totals]
    flat = _joined([key, *differences])
    masked = mul(s, present.reshape(-1, 1).broadcast_to(flat.shape), flat)
    keys, counts, *sums = _split(masked, 0, [key, *differences])
    return Groups(keys, counts, tuple(sums), present)


def _last_of_group(s: Session, key: AShare) -> AShare:
    """1 where the next row has another key, as integers. 4 rounds, 18.125 n bytes."""
    differs = b2a(s, ~equal(s, key[1:], key[:-1]))
    return concatenate([differs, s.engine.constant(s, s.ring.words([1]), 0)])


def _known_groups(
    s: Session,
    key: AShare,
    values: Sequence[AShare],
    categories: int | Sequence[float] | NDArray[np.generic],
) -> Groups:
    units = category_units(key, categories)
    keys = s.engine.constant(s, s.ring.words(units), key.frac_bits)
    hot = one_hot(s, key, categories)
    counts = hot.sum(axis=0)
    present = b2a(s, ~equal(s, counts, 0))
    sums = _split(matmul(s, hot.T, _joined(values)), 0, values) if values else []
    return Groups(keys, counts, tuple(sums), present)


# --- joins ---
def inner_join_count(s: Session, left: AShare, right: AShare) -> AShare:
    """The number of pairs of rows with equal keys, of two tables' secret keys (n,) and (m,), as an integer.

    Keys may repeat. Both in one format (shorter ones are rescaled); bounds as in `group_by` for n + m rows.

    Cost: a `group_by` of n + m rows with two words of values, and 1 round, 16 (n + m) bytes. Leaks: n and m.
    """
    return _join(s, left, right, (), ())


def inner_join_sum(s: Session, left: AShare, values: AShare, right: AShare, other: AShare | None = None) -> AShare:
    """The sum of the left table's values over all pairs of rows with equal keys; of values * other if both are given.

    `values` (n,) belongs to `left`, `other` (m,) to `right`. The result has the fraction bits of `values`, and with
    `other` the larger of both; products of groups' sums stay below 2**62 in the ring.

    Cost: as `inner_join_count`, and a truncation of one number. Leaks: n and m.
    """
    return _join(s, left, right, (values,), () if other is None else (other,))


def _join(s: Session, left: AShare, right: AShare, x: tuple[AShare, ...], y: tuple[AShare, ...]) -> AShare:
    n, m = _rows("a join", left, *x), _rows("a join", right, *y)
    if left.ndim != 1 or right.ndim != 1 or any(v.ndim != 1 for v in (*x, *y)):
        raise TypeMismatchError("keys and values of a join have one dimension")
    f = max(left.frac_bits, right.frac_bits)
    keys = concatenate([rescale(s, left, f), rescale(s, right, f)])
    ones = s.engine.constant(s, s.ring.words([1] * max(n, m)), 0)
    mine, theirs = (x[0] if x else ones[:n]), (y[0] if y else ones[:m])
    a = concatenate([mine, ones[:m].scale(s.ring.word(0)).reinterpret(mine.frac_bits)])
    b = concatenate([ones[:n].scale(s.ring.word(0)).reinterpret(theirs.frac_bits), theirs])
    if not n + m:
        return ones.sum().reinterpret(max(a.frac_bits, b.frac_bits))
    groups = group_by(s, keys, a, b)
    return dot(s, groups.sums[0], groups.sums[1])


# --- rows of several columns as one matrix ---
def _rows(what: str, *columns: AShare) -> int:
    if any(not x.ndim or len(x) != len(columns[0]) for x in columns):
        raise TypeMismatchError(f"{what} takes columns of as many rows, not {[x.shape for x in columns]}")
    return len(columns[0])


def _joined(columns: Sequence[AShare]) -> AShare:
    """All columns side by side as ring elements (n, c)."""
    return concatenate([x.reinterpret(0).reshape(len(x), _width(x)) for x in columns], axis=1)


def _width(x: AShare) -> int:
    return math.prod(x.shape[1:])


def _split(rows: AShare, at: int, like: Sequence[AShare]) -> list[AShare]:
    """Columns from `at` on, with the trailing shapes and formats of `like`."""
    out = []
    for x in like:
        width = _width(x)
        out.append(rows[:, at : at + width].reshape(len(rows), *x.shape[1:]).reinterpret(x.frac_bits))
        at += width
    return out


__all__ = [
    "Groups", "gather", "group_by", "inner_join_count", "inner_join_sum", "inverse_permutation", "partition", "permute",
    "prefix_sum",
]  # fmt: skip

"""How a column of a dataset is encrypted: packed sums, optionally squares and one-hot bins, batch by batch.

A batch of rows is put in the order of its groups first (if there are any), so that every group's numbers lie in
ciphertexts of their own. What stays clear of an encrypted column: its schema, and per batch and group how many of its
values are missing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ppc.dataset import Schema
from ppc.dataset.types import is_integer, is_numeric
from ppc.errors import ColumnError, ConfigError, TypeMismatchError, ValueRangeError, did_you_mean
from ppc.he.keys import Json
from ppc.he.paillier.keys import PaillierPrivateKey, PaillierPublicKey
from ppc.he.paillier.modular import Words
from ppc.he.paillier.packing import Integers, Packing, encode_fixed

MOST_ROWS: Final = 1 << 30  # the head-room of every sum
BATCH_ROWS: Final = 1 << 16
_FRAC_BITS: Final = 20
_VALUE_BITS: Final = 24
_INTEGER_BITS: Final = 40


@dataclass(frozen=True)
class ColumnPlan:
    """One encrypted column.

    Args:
        name: of the column.
        integer: its values are integers or booleans, carried exactly.
        frac_bits, value_bits: its fixed-point format, |x| <= 2**value_bits.
        squares: with the squares, for the variance.
        edges: with one-hot bins between these edges, for the histogram.
    """

    name: str
    integer: bool
    frac_bits: int
    value_bits: int
    squares: bool = False
    edges: tuple[float, ...] | None = None

    @property
    def packing(self) -> Packing:
        return Packing.for_sums(MOST_ROWS, self.frac_bits, self.value_bits)

    @property
    def squares_packing(self) -> Packing:
        """Wide slots for integers of twice the bits; they are encoded by hand, with the point at 2 * frac_bits."""
        base = self.packing
        return Packing(0, 1, -(-((base.slot_bits or 0) + base.fresh_bits) // 8) * 8, 2 * self.frac_bits)

    @property
    def bins_packing(self) -> Packing:
        return Packing.for_sums(MOST_ROWS, 0, 1)

    def streams(self) -> list[tuple[str, Packing, int]]:
        """Name, format and slot bound of every list of ciphertexts that the column is kept in."""
        out = [("value", self.packing, 1 << self.packing.fresh_bits)]
        if self.squares:
            out.append(("square", self.squares_packing, 1 << (2 * self.packing.fresh_bits)))
        out += [(f"bin {i}", self.bins_packing, 1) for i in range(len(self.edges or ()) - 1)]
        return out

    def to_json(self) -> Json:
        return {
            "name": self.name,
            "integer": self.integer,
            "frac_bits": self.frac_bits,
            "value_bits": self.value_bits,
            "squares": self.squares,
            "edges": None if self.edges is None else list(self.edges),
        }

    @staticmethod
    def from_json(parts: Any) -> ColumnPlan:
        """The plan of `to_json`; ValueError, TypeError or KeyError if it is none."""
        edges = parts["edges"]
        plan = ColumnPlan(
            str(parts["name"]),
            bool(parts["integer"]),
            int(parts["frac_bits"]),
            int(parts["value_bits"]),
            bool(parts["squares"]),
            None if edges is None else tuple(float(e) for e in edges),
        )
        plan.streams()
        return plan


@dataclass
class Run:
    """Rows of one batch and one group: the group's values, how many rows, and per column count and ciphertexts."""

    group: tuple[Any, ...]
    rows: int
    counts: dict[str, int]
    streams: dict[str, list[Words]]


@dataclass(eq=False)
class Batch:
    """Rows that were encrypted together: their clear columns, in the order of the runs, and the runs."""

    clear: pa.RecordBatch
    runs: list[Run]

    @property
    def rows(self) -> int:
        return sum(run.rows for run in self.runs)


def plan_columns(
    schema: Schema,
    columns: Iterable[str],
    *,
    squares: bool,
    histograms: dict[str, Any],
    frac_bits: int | None,
    value_bits: int | None,
) -> list[ColumnPlan]:
    """The plans of columns, from their types and bounds.

    Raises:
        ColumnError: an unknown column, or one named twice.
        TypeMismatchError: a column that is not numeric.
        ValueRangeError: edges that do not rise.
    """
    names = list(columns)
    if not names:
        raise ConfigError("no column is named to be encrypted")
    for name in [*names, *histograms]:
        if name not in schema:
            raise ColumnError(f"there is no column '{name}'", hint=did_you_mean(name, schema.names))
        if not is_numeric(schema[name].type):
            raise TypeMismatchError(f"column '{name}' is {schema[name].type}, and numbers are encrypted")
        if names.count(name) != 1:
            raise ColumnError(f"column '{name}' has a histogram but is not encrypted, or is named twice")
    plans = []
    for name in names:
        field = schema[name]
        whole = is_integer(field.type) or field.type == "bool"
        f = frac_bits if frac_bits is not None else (0 if whole else _FRAC_BITS)
        integer = whole and f == 0
        v = value_bits
        if v is None and field.type == "bool":
            v = 1
        if v is None and field.bounds is not None and all(math.isfinite(b) for b in field.bounds):
            v = max(1, math.ceil(math.log2(max(abs(b) for b in field.bounds) + 1)))
        if v is None:
            v = _INTEGER_BITS if integer else _VALUE_BITS
        edges = histograms.get(name)
        if edges is not None:
            edges = tuple(float(e) for e in edges)
            if len(edges) < 2 or not all(a < b for a, b in itertools.pairwise(edges)):
                raise ValueRangeError("edges are at least two numbers that rise", where=f"histogram of '{name}'")
        plans.append(ColumnPlan(name, integer, f, v, squares, edges))
    return plans


def encrypt_batches(
    tables: Iterable[pa.RecordBatch],
    plans: list[ColumnPlan],
    by: tuple[str, ...],
    key: PaillierPublicKey | PaillierPrivateKey,
    *,
    threads: int | None = None,
) -> Iterator[Batch]:
    """Encrypt record batches one after the other, in pieces of at most 65,536 rows."""
    hidden = {p.name for p in plans}
    for table in tables:
        for start in range(0, table.num_rows, BATCH_ROWS):
            piece = table.slice(start, BATCH_ROWS)
            piece, ends, groups = _in_groups(piece, by)
            numbers = {p.name: _numbers(piece.column(p.name), p) for p in plans}
            runs, first = [], 0
            for end, group in zip(ends, groups, strict=True):
                counts, streams = {}, {}
                for p in plans:
                    values, present = numbers[p.name]
                    part, there = values[first:end], present[first:end]
                    counts[p.name] = int(there.sum())
                    streams[p.name] = _encrypt(p, part, there, key, threads)
                runs.append(Run(group, end - first, counts, streams))
                first = end
            kept = [n for n in piece.schema.names if n not in hidden]
            yield Batch(piece.select(kept), runs)


def _in_groups(piece: pa.RecordBatch, by: tuple[str, ...]) -> tuple[pa.RecordBatch, list[int], list[tuple[Any, ...]]]:
    """The rows in the order of their groups, where each group ends, and its values."""
    if not by:
        return piece, [piece.num_rows], [()]
    order = pc.sort_indices(piece, sort_keys=[(name, "ascending") for name in by])
    piece = piece.take(order)
    keys = list(zip(*(piece.column(name).to_pylist() for name in by), strict=True))
    ends = [i for i in range(1, len(keys)) if keys[i] != keys[i - 1]] + [len(keys)]
    return piece, ends, [keys[end - 1] for end in ends]


def _numbers(array: pa.Array, plan: ColumnPlan) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The values, 0 where they are missing, and where they are not."""
    present = np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False), bool)
    kind = pa.int64() if plan.integer else pa.float64()
    try:
        filled = pc.fill_null(array.cast(kind), 0)
    except pa.ArrowInvalid as error:
        raise ValueRangeError("a value is beyond 64 bits", where=f"column '{plan.name}'") from error
    return np.asarray(filled.to_numpy(zero_copy_only=False)), present


def _encrypt(
    plan: ColumnPlan,
    values: NDArray[Any],
    present: NDArray[np.bool_],
    key: PaillierPublicKey | PaillierPrivateKey,
    threads: int | None,
) -> list[Words]:
    bits = key.public.bits
    encoded = encode_fixed(values, plan.frac_bits, plan.value_bits, f"column '{plan.name}'")
    plaintexts = [plan.packing.pack(encoded, bits)]
    if plan.squares:
        squares: Integers = encoded * encoded if plan.packing.fresh_bits <= 31 else encoded.astype(object) ** 2
        plaintexts.append(plan.squares_packing.pack(squares, bits))
    if plan.edges is not None:
        last = len(plan.edges) - 2
        at = np.searchsorted(np.array(plan.edges), values, side="right") - 1
        at[values == plan.edges[-1]] = last
        at[~present] = -1
        plaintexts += [plan.bins_packing.pack((at == i).astype(np.int64), bits) for i in range(last + 1)]
    flat = key.encrypt_residues([m for part in plaintexts for m in part], threads=threads)
    return np.split(flat, np.cumsum([len(p) for p in plaintexts])[:-1])

"""`SharedDataset`: one party's table as shares at all of them, asked the same questions as clear data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.dataset import Dataset, Field, Schema
from ppc.dataset.aggregates import check_edges
from ppc.errors import (
    ColumnError,
    ConfigError,
    ProtectionError,
    SchemaError,
    TypeMismatchError,
    ValueRangeError,
    did_you_mean,
)
from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare
from ppc.net.channel import Spec

Floats: TypeAlias = NDArray[np.float64]

_UNIT_BITS: Final = 26  # a value is shared as a fraction of its column's bound, with so many fraction bits
_MAX_ROWS: Final = 1 << 28
_MAX_SCHEMA_BYTES: Final = 1 << 24
_OUTSIDE: Final = 4.0  # where a missing value stands in a histogram: beyond every edge


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SharedValue:
    """An aggregate in shares; `SharedDataset.release` opens it. A mean of nothing opens as NaN."""

    share: AShare
    scale: float = 1.0
    empty: BShare | None = None
    integer: bool = False

    def __repr__(self) -> str:
        return f"<SharedValue shape={self.share.shape}>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Column:
    """`values` (n,) as fractions of `scale`, missing ones 0; `present` (n,) 0 or 1, `None` if there are no nulls."""

    values: AShare | None
    present: AShare | None
    scale: float


class SharedDataset:
    """A dataset whose values nobody holds: an `Analysable` on shares. Make it with `share`.

    The schema and the number of rows are public to all parties. Sums and means are exact to 2**-26 of the column's
    public bound; see docs/mpc.md. A numeric column without bounds in the schema is counted, but not summed.
    """

    def __init__(
        self, session: Session, schema: Schema, rows: int, columns: dict[str, _Column], name: str, to: int | None
    ) -> None:
        self._session = session
        self._schema = schema
        self._rows = rows
        self._columns = columns
        self._name = name
        self._to = to

    def __repr__(self) -> str:
        return f"<SharedDataset '{self._name}' rows={self._rows} columns={len(self._schema)}>"

    def __len__(self) -> int:
        return self._rows

    @property
    def schema(self) -> Schema:
        """The columns and what they mean, public to all parties."""
        return self._schema

    @property
    def num_rows(self) -> int:
        """The number of rows, public to all parties."""
        return self._rows

    # --- the questions ---
    def count(self, col: str | None = None) -> SharedValue:
        """How many rows, or how many values that are not null. Cost: none."""
        s = self._session
        if col is None:
            return SharedValue(ops.constant(s, self._rows, frac_bits=0), integer=True)
        self._field(col)
        return SharedValue(self._count(self._columns[col]), integer=True)

    def sum(self, col: str) -> SharedValue:
        """The sum of the values that are not null. Cost: none."""
        column, values = self._numeric(col)
        return SharedValue(values.sum(), column.scale)

    def mean(self, col: str) -> SharedValue:
        """The mean of the values that are not null. Cost: 2 rounds; about 40 if the column may have nulls."""
        column, values = self._numeric(col)
        if self._rows == 0:
            return self._nothing()
        mean, empty = self._mean(column, values)
        return SharedValue(mean, column.scale, empty)

    def variance(self, col: str) -> SharedValue:
        """The sample variance (divisor n − 1). Cost: 16 n bytes, 8 rounds; 24 n, about 60 if there may be nulls."""
        s, n = self._session, self._rows
        column, values = self._numeric(col)
        if n < 2:
            return self._nothing()
        mean, _ = self._mean(column, values)
        centred = values - (mean if column.present is None else _times(s, column.present, mean))
        squared_bits = min(_UNIT_BITS, (60 - _log2(n)) // 2)
        d = ops.rescale(s, centred, squared_bits).reshape(-1, 1)
        squares = ops.matmul_t(s, d, d, truncated=False).reshape(())
        over_n = _over(s, squares, n)
        if column.present is None:
            return SharedValue(ops.mul_public(s, over_n, n / (n - 1)), column.scale**2)
        below_two = self._count(column) - 1
        ratio, empty = self._rows_over(below_two)
        return SharedValue(_scaled_by(s, over_n, ratio), column.scale**2, empty)

    def histogram(self, col: str, edges: Sequence[float] | NDArray[np.float64]) -> SharedValue:
        """How many values lie in each bin, as `numpy.histogram`. Cost: 4 rounds, (8 + 5.125 J) n bytes for J edges.

        A value within 2**-27 of its column's bound of an edge counts as equal to it.
        """
        bins = check_edges(edges, name=col)
        s = self._session
        column, values = self._numeric(col)
        if column.present is not None:
            values = values + (1 - column.present).shift_left(_UNIT_BITS) * int(_OUTSIDE)
        units = np.rint(np.clip(bins / column.scale, -2.0, 2.0) * 2.0**_UNIT_BITS).astype(np.int64)
        units[-1] += 1  # the last bin is closed on the right
        below = s.engine.less_than_zero(s, values, units.tolist())
        under = ops.b2a(s, ops.stack_bits(below)).sum(axis=1)
        return SharedValue(under[1:] - under[:-1], integer=True)

    def release(self, value: SharedValue) -> Any:
        """The number, told to all parties, or only to the one that `share` named (`None` elsewhere). 1–3 rounds."""
        if not isinstance(value, SharedValue):
            raise TypeMismatchError(
                f"expected what an aggregate of this dataset returned, found {type(value).__name__}",
                where="release",
                hint="A value is released by the dataset that it came from.",
            )
        s = self._session
        number = ops.open(s, value.share) if self._to is None else ops.reveal(s, value.share, self._to)
        empty = None
        if value.empty is not None:
            flag = ops.b2a(s, value.empty)
            empty = ops.open(s, flag) if self._to is None else ops.reveal(s, flag, self._to)
        if number is None:
            return None
        if empty is not None and float(empty):
            return math.nan
        if value.integer:
            counts = np.rint(number).astype(np.int64)
            return int(counts) if counts.ndim == 0 else counts
        return float(number * value.scale)

    # --- helpers ---
    def _field(self, name: str) -> Field:
        if name not in self._schema:
            raise ColumnError(
                f"there is no column '{name}'",
                where=f"dataset '{self._name}'",
                hint=did_you_mean(str(name), self._schema.names),
            )
        return self._schema[name]

    def _numeric(self, name: str) -> tuple[_Column, AShare]:
        field = self._field(name)
        if not field.is_numeric:
            raise TypeMismatchError(
                f"column '{name}' is {field.type}, and numbers are needed",
                where=f"dataset '{self._name}', column '{name}'",
                hint="Read it under a schema that says it is a number, or choose another column.",
            )
        column = self._columns[name]
        if column.values is None:
            raise ProtectionError(
                f"column '{name}' has no public bounds, so its format in shares is not known",
                where=f"dataset '{self._name}', column '{name}'",
                hint="Set bounds in the schema before it is shared, or ask ppc.he, which needs none for sums.",
            )
        return column, column.values

    def _count(self, column: _Column) -> AShare:
        if column.present is None:
            return ops.constant(self._session, self._rows, frac_bits=0)
        return column.present.sum()

    def _nothing(self) -> SharedValue:
        s = self._session
        return SharedValue(ops.constant(s, 0.0), empty=s.engine.constant_bits(s, np.ones((), bool)))

    def _mean(self, column: _Column, values: AShare) -> tuple[AShare, BShare | None]:
        s = self._session
        mean = _over(s, values.sum(), self._rows)
        if column.present is None:
            return mean, None
        ratio, empty = self._rows_over(column.present.sum())
        return _scaled_by(s, mean, ratio), empty

    def _rows_over(self, count: AShare) -> tuple[AShare, BShare]:
        """rows / count with 30 fraction bits for a secret integer count, and whether it is below 1."""
        s, n = self._session, self._rows
        empty = s.engine.less_than_zero(s, count, [1])[0]
        share = ops.rescale(s, _over(s, count, n), 30)
        ratio = ops.reciprocal(s, share, low=0.5 / n, high=1.0)
        # One Newton step: from 3e-5 to 1e-6 of the ratio.
        error = 1.0 - ops.mul(s, share, ratio)
        return ratio + ops.mul(s, ratio, ops.rescale(s, error, 20)), empty


def _log2(n: int) -> int:
    return max(1, (n - 1).bit_length())


def _over(s: Session, total: AShare, n: int) -> AShare:
    """A sum of at most n numbers within ±1, divided by the public n, with 26 fraction bits. 1–2 rounds."""
    bits = _log2(n)
    part = ops.rescale(s, total.reinterpret(total.frac_bits + bits), 36)  # the sum over 2**bits, within ±1
    return ops.rescale(s, ops.mul_public(s, part, 2**bits / n, frac_bits=20, truncated=False), _UNIT_BITS)


def _scaled_by(s: Session, x: AShare, ratio: AShare) -> AShare:
    """x * ratio with x's format. 2 rounds."""
    return ops.rescale(s, ops.mul(s, x, ratio, truncated=False), x.frac_bits)


def _times(s: Session, flags: AShare, x: AShare) -> AShare:
    """One secret number times many secret flags, as a product of matrices. 1 round, 8 n bytes."""
    return ops.matmul(s, flags.reshape(-1, 1), x.reshape(1, 1), truncated=False).reshape(-1)


def share(
    session: Session,
    ds: Dataset | None,
    owner: int | str,
    *,
    columns: Sequence[str] | None = None,
    to: int | str | None = None,
    name: str = "shared",
) -> SharedDataset:
    """The owner's dataset as shares at every party.

    Args:
        ds: at the owner, the dataset; `None` elsewhere.
        owner: its rank or name.
        columns: at the owner, which columns; all by default.
        to: the rank or name of the only party that may see released values; all by default.

    Raises:
        SchemaError: a column's values leave the bounds of the schema; at the owner, before anything is sent.

    Cost: one message one way with the schema; the values cost nothing (the others draw their shares from a common key).
    Leaks: to all parties the schema (with bounds, domains and descriptions) and the number of rows.
    """
    owner, seen_by = _rank(session, owner), None if to is None else _rank(session, to)
    public = b""
    rows = 0
    if session.rank == owner:
        if ds is None:
            raise ConfigError("the owner must give its dataset", where="share", party=session.me)
        ds = ds if columns is None else ds.select(list(columns))
        _check(ds)
        public, rows = ds.schema.to_toml().encode(), ds.num_rows
    sizes = session.publish("share/sizes", owner, np.array([rows, len(public)], np.uint64), Spec(np.uint64, 2))
    rows, length = int(sizes[0]), int(sizes[1])
    if rows > _MAX_ROWS or length > _MAX_SCHEMA_BYTES:
        raise SchemaError(f"a dataset of {rows} rows with a schema of {length} bytes is too large to be shared")
    text = session.publish("share/schema", owner, np.frombuffer(public, np.uint8), Spec(np.uint8, length))
    schema = Schema.from_toml(text.tobytes().decode(), where=f"schema of party {session.parties[owner]}")
    shared = {f.name: _share_column(session, ds if session.rank == owner else None, f, owner, rows) for f in schema}
    return SharedDataset(session, schema, rows, shared, name, seen_by)


def _rank(session: Session, party: int | str) -> int:
    if isinstance(party, str):
        if party not in session.parties:
            raise ConfigError(f"no party is called '{party}'", hint=did_you_mean(party, session.parties))
        return session.parties.index(party)
    if not 0 <= party < len(session.parties):
        raise ConfigError(f"{party} is no rank of a session of {len(session.parties)} parties")
    return party


def _scale(field: Field) -> float | None:
    """The power of 2 that a column's values are divided by, `None` if the schema gives no bounds."""
    bounds = (0.0, 1.0) if field.type == "bool" else field.bounds
    if not field.is_numeric or bounds is None:
        return None
    largest = max(abs(bounds[0]), abs(bounds[1]))
    return 2.0 ** math.ceil(math.log2(largest)) if largest > 0 else 1.0


def _check(ds: Dataset) -> None:
    """Values within the bounds that everyone will believe."""
    for field in ds.schema:
        if _scale(field) is None or field.bounds is None:
            continue
        low, high = field.bounds
        x = ds.numpy(field.name)
        x = x[~np.isnan(x)]
        if not bool(((x >= low) & (x <= high)).all()):
            raise ValueRangeError(
                f"column '{field.name}' has values outside of its bounds {low:g} … {high:g}",
                where=f"column '{field.name}'",
                hint="Clip them, or widen the bounds in the schema.",
            )


def _share_column(s: Session, ds: Dataset | None, field: Field, owner: int, rows: int) -> _Column:
    scale = _scale(field)
    missing = values = None
    if ds is not None:
        missing = ds.column(field.name).is_null().to_numpy()
        if scale is not None:
            x = ds.numpy(field.name)
            missing = missing | np.isnan(x)
            values = np.where(missing, 0.0, x) / scale
    present = None
    if field.nullable:
        flags = None if missing is None else ~missing
        present = ops.share(s, flags, owner, rows, frac_bits=0, name=field.name)
    elif missing is not None and bool(missing.any()):
        raise SchemaError(f"column '{field.name}' has missing values, and its schema says it has none")
    shared = None
    if scale is not None:
        shared = ops.share(s, values, owner, rows, frac_bits=_UNIT_BITS, name=field.name)
    return _Column(shared, present, scale or 1.0)


__all__ = ["SharedDataset", "SharedValue", "share"]

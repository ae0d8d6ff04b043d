"""A keyed mark in a released copy, so that a leaked file is traced to the recipient it was given to.

    copy = embed(ds, "partner-7", key, columns=["amount", "balance"], anchors=["customer"])
    trace(leaked, key, ["partner-1", …, "partner-7"], columns=["amount", "balance"], anchors=["customer"])

How. A mark is the parity of a numeric value in its smallest unit (cents of an amount): about one cell in `gap` of
each column is chosen by a keyed function, and its parity is set to a keyed function of the recipient, which moves half
of the chosen cells by one unit. Both depend on an *anchor*: the text of another column in that row, and, once more, the
value's own higher digits. So marks are found again after rows were shuffled or sampled and columns were dropped.

Evidence. `trace` counts, over distinct (anchor, column) pairs, how often the parity agrees with a recipient's. For a
recipient whose copy did not leak, each agrees with probability 1/2, independently, whatever the data: the keyed
function is a PRF (AES-CMAC) that the data do not depend on. So the count is Binomial(m, 1/2), and accusing at
p <= false_accusation / recipients bounds the chance to accuse any innocent recipient by `false_accusation`.

Needs. With m usable marks of which a fraction e was destroyed, the accused agrees on m(1 - e/2). For 1,000 recipients
and a rate of 1e-6, 45 marks are enough even if an eighth was destroyed: 45 * gap / columns rows must survive (900 rows
for gap 20 and one column; a 10% sample of 9,000). Alteration: for each anchor (the value's own digits are one) a cell
in 2 * gap moves by one unit: 2.5% of the cells for gap 20, 5% with one named anchor.

Limits. The mark is lost if values are rounded to a coarser unit, or perturbed by more than it. Recipients who compare
their copies see the cells in which they differ; several copies mixed evenly weaken every mark. Source of the idea:
Agrawal, Kiernan, VLDB 2002; Li, Swarup, Jajodia, IEEE TDSC 2005.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ppc.dataset.dataset import Dataset
from ppc.desensitize import arrays as a
from ppc.desensitize.blockcipher import Cmac
from ppc.desensitize.keys import Key, KeyRef
from ppc.errors import ColumnError, ConfigError, TypeMismatchError, ValueRangeError, did_you_mean

GAP: Final = 20
#: The mark of a value lies in its unit's lowest bit; the value's own anchor is what is left above these bits.
_SELF_BITS: Final = 3
#: A column of fewer different anchors is not marked by its own digits: whole ranges of values would lose a parity.
_SELF_VALUES: Final = 500
_MAX_DECIMALS: Final = 6

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Suspicion:
    """The evidence against one recipient: `agreeing` of `marks` found, and the chance of that if innocent."""

    recipient: str
    marks: int
    agreeing: int
    p_value: float
    accused: bool


@dataclass(frozen=True)
class _Marks:
    """The chosen cells of one column under one anchor (None: the value's own digits): rows, and the anchor's texts."""

    rows: Ints
    texts: a.Text
    anchor: str | None


def embed(
    ds: Dataset,
    recipient: str,
    key: Key | KeyRef,
    *,
    columns: Sequence[str] | None = None,
    anchors: Sequence[str] = (),
    gap: int = GAP,
) -> Dataset:
    """A copy of the dataset with the recipient's mark.

    columns: the numeric columns to mark (all numeric ones but the anchors by default); integers move by 1, floats and
    decimals by one unit of their last decimal. anchors: columns that name a row, such as an identifier or its token.
    gap: one cell in `gap` of each column carries a mark per anchor.

    Raises ConfigError, ColumnError or TypeMismatchError if there is nothing to mark, ValueRangeError for values whose
    unit can not be seen (more than 6 decimals).
    """
    master = key.load() if isinstance(key, KeyRef) else key
    if not recipient:
        raise ConfigError("a recipient needs a name")
    table = ds.to_arrow()
    out = ds
    for name in _columns(ds, columns, anchors, gap):
        column = a.flat(table.column(name))
        units, scale = _units(column, name)
        wanted = np.full(len(units), -1, np.int64)
        # Later anchors give way to earlier ones where both choose a cell.
        for marks in reversed(list(_chosen(master, table, name, units, anchors, gap))):
            if marks.anchor is None and len(np.unique(units >> _SELF_BITS)) < _SELF_VALUES:
                continue
            wanted[marks.rows] = _bits(master, recipient, name, marks)
        move = (wanted >= 0) & ((units & 1) != wanted)
        # Flipping the lowest bit leaves all higher bits, and so the value's own anchor, as they are.
        marked = np.where(move, units ^ 1, units)
        out = out.with_column(name, _values(marked, scale, column), ds.schema[name])
    return out


def trace(
    leaked: Dataset,
    key: Key | KeyRef,
    recipients: Iterable[str],
    *,
    columns: Sequence[str] | None = None,
    anchors: Sequence[str] = (),
    gap: int = GAP,
    false_accusation: float = 1e-6,
) -> list[Suspicion]:
    """The recipients in order of suspicion. `accused` ones are guilty but for a chance of `false_accusation` in all.

    columns, anchors, gap: as for `embed`; those that the leaked file lacks are left out of account.
    """
    master = key.load() if isinstance(key, KeyRef) else key
    names = list(dict.fromkeys(recipients))
    if not names:
        raise ConfigError("there are no recipients to trace")
    if not 0 < false_accusation < 1:
        raise ConfigError("false_accusation should be between 0 and 1")
    table = leaked.to_arrow()
    present = [c for c in (columns if columns is not None else leaked.columns) if c in leaked.schema]
    left = [n for n in anchors if n in leaked.schema]
    found: list[tuple[str, _Marks, Ints]] = []
    for name in _columns(leaked, present if columns is not None else None, left, gap):
        column = a.flat(table.column(name))
        units, _ = _units(column, name)
        taken = np.zeros(len(units), np.bool_)
        for marks in _chosen(master, table, name, units, left, gap):
            # A cell speaks for its first anchor only: so it was marked.
            fresh = ~taken[marks.rows]
            taken[marks.rows] = True
            found.append((name, *_distinct(marks, units, fresh)))
    out = []
    for recipient in names:
        total = agreeing = 0
        for name, marks, parity in found:
            bits = _bits(master, recipient, name, marks)
            total += len(parity)
            agreeing += int(np.count_nonzero(bits == parity))
        p = _tail(total, agreeing)
        out.append(Suspicion(recipient, total, agreeing, p, p <= false_accusation / len(names)))
    return sorted(out, key=lambda s: (s.p_value, s.recipient))


def _columns(ds: Dataset, columns: Sequence[str] | None, anchors: Sequence[str], gap: int) -> list[str]:
    if not isinstance(gap, int) or not 1 <= gap <= 1 << 20:
        raise ConfigError("gap should be a number of cells from 1 on")
    for name in [*(columns or ()), *anchors]:
        if name not in ds.schema:
            raise ColumnError(f"there is no column '{name}'", hint=did_you_mean(name, ds.columns))
    if columns is None:
        columns = [f.name for f in ds.schema if _markable(f.type) and f.name not in anchors]
        if not columns:
            raise ConfigError("there is no numeric column to mark", hint="Name integer, float or decimal columns.")
    for name in columns:
        if not _markable(ds.schema[name].type):
            raise TypeMismatchError(f"column '{name}' is {ds.schema[name].type}: only numbers can be marked")
        if name in anchors:
            raise ConfigError(f"column '{name}' is an anchor, so its values must not change")
    return list(columns)


def _markable(kind: str) -> bool:
    return kind.startswith(("int", "uint", "float", "decimal"))


def _units(column: Any, name: str) -> tuple[Ints, int]:
    """The values as whole units of 10**-scale, int64 (n,), null as 0; the scale of a float is what its values show."""
    kind = column.type
    if pa.types.is_integer(kind):
        return np.asarray(column.fill_null(0).cast(pa.int64())), 0
    if pa.types.is_decimal(kind):
        values = np.array([0 if v is None else int(v.scaleb(kind.scale)) for v in column.to_pylist()], np.int64)
        return values, int(kind.scale)
    x = np.asarray(column.fill_null(0).cast(pa.float64()), np.float64)
    if not np.isfinite(x).all() or (np.abs(x) >= 1e12).any():
        raise ValueRangeError("values are NaN, infinite or above 1e12", where=f"column '{name}'")
    for scale in range(_MAX_DECIMALS + 1):
        scaled = np.rint(x * 10.0**scale)
        # A few odd values in a leaked file must not hide the unit of all others.
        if np.count_nonzero(np.abs(scaled / 10.0**scale - x) > 1e-9 * np.maximum(np.abs(x), 1)) <= len(x) // 100:
            return scaled.astype(np.int64), scale
    raise ValueRangeError(
        f"values have more than {_MAX_DECIMALS} decimals, so no unit can be moved unseen",
        where=f"column '{name}'",
        hint="Round the column first.",
    )


def _values(units: Ints, scale: int, like: Any) -> Any:
    missing = ~np.asarray(like.is_valid())
    if pa.types.is_integer(like.type):
        return pa.array(units, pa.int64(), mask=missing).cast(like.type)
    if pa.types.is_decimal(like.type):
        from decimal import Decimal

        values = [None if m else Decimal(int(u)).scaleb(-scale) for u, m in zip(units, missing, strict=True)]
        return pa.array(values, like.type)
    return pa.array(units / 10.0**scale, pa.float64(), mask=missing).cast(like.type)


def _chosen(master: Key, table: Any, name: str, units: Ints, anchors: Sequence[str], gap: int) -> Iterable[_Marks]:
    """The cells that a keyed function of the anchor chooses, anchor by anchor; the value's own digits come last."""
    present = np.asarray(a.flat(table.column(name)).is_valid())
    for anchor in [*anchors, None]:
        if anchor is None:
            texts = pa.array(units >> _SELF_BITS).cast(pa.string())
            there = present
        else:
            own = a.flat(table.column(anchor))
            texts = a.canonical(own, f"anchor '{anchor}'")
            there = present & np.asarray(own.is_valid())
        label = f"{name}\0{anchor or ''}"
        macs = Cmac(master.derive("fingerprint/choose", label, 16)).column(a.text_of(texts))
        words = np.ascontiguousarray(macs).view(np.uint64)[:, 0]
        rows = np.flatnonzero(there & (words % np.uint64(gap) == 0))
        yield _Marks(rows, a.text_of(texts.take(pa.array(rows))), anchor)


def _bits(master: Key, recipient: str, name: str, marks: _Marks) -> Ints:
    """The recipient's bit of each mark."""
    key = master.derive("fingerprint/bit", f"{recipient}\0{name}\0{marks.anchor or ''}", 16)
    return np.asarray(Cmac(key).column(marks.texts)[:, 0] & 1, np.int64)


def _distinct(marks: _Marks, units: Ints, fresh: npt.NDArray[np.bool_]) -> tuple[_Marks, Ints]:
    """One vote for each distinct anchor text: the parity of most of its cells (of ties, of the first)."""
    texts = a.build(marks.texts.relative(), np.array(marks.texts.span()), None)
    kept = np.flatnonzero(fresh)
    texts = texts.take(pa.array(kept))
    parity = units[marks.rows[kept]] & 1
    coded = texts.dictionary_encode()
    index = np.asarray(coded.indices, np.int64)
    count = len(coded.dictionary)
    if count == 0:
        return _Marks(np.zeros(0, np.int64), a.text_of(pa.array([], pa.string())), marks.anchor), parity
    ones = np.bincount(index, parity, count)
    every = np.bincount(index, minlength=count)
    first = np.zeros(count, np.int64)
    first[index[::-1]] = parity[::-1]
    votes = np.where(2 * ones == every, first, (2 * ones > every).astype(np.int64))
    return _Marks(np.zeros(count, np.int64), a.text_of(coded.dictionary), marks.anchor), votes


def _tail(n: int, k: int) -> float:
    """P(Binomial(n, 1/2) >= k)."""
    from scipy.special import betainc

    return 1.0 if k <= 0 else float(betainc(k, n - k + 1, 0.5))


__all__ = ["GAP", "Suspicion", "embed", "trace"]

"""Asking for the correlations of a loop ahead of time, so that a step does not wait for the dealer.

The first two passes of a loop are watched: which correlations they take, under which numbers. If the second differs
from the first only by its numbers, and by the rows of fixed matrices moving with the batch, then every later pass is
predictable and its correlations are asked for beforehand, as many passes as fit into a window. All parties do the
same bookkeeping; only the last one talks to the dealer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from ppc.mpc.correlations.kinds import Permuted, Product
from ppc.mpc.correlations.source import Correlation, MaskRef

if TYPE_CHECKING:
    from ppc.mpc.session import Session

T = TypeVar("T")
Taken: TypeAlias = list[tuple[int, Correlation]]

WINDOW_BYTES: Final = 32 << 20  # what may be asked for and not yet used


@dataclass(frozen=True, slots=True)
class _Pattern:
    """What one pass takes: its correlations, numbered above `first`, and which masks move with the batch `rows`."""

    first: int
    rows: tuple[int, int]
    stride: int
    taken: tuple[tuple[int, Correlation], ...]
    moving: frozenset[tuple[int, int]]  # (position in taken, 0 for x or 1 for y)

    def at(self, first: int, rows: tuple[int, int]) -> Taken:
        """What the pass that begins with number `first` and works on `rows` will take."""
        shift, move = first - self.first, rows[0] - self.rows[0]
        out = []
        for i, (number, correlation) in enumerate(self.taken):
            if isinstance(correlation, Product):
                correlation = replace(
                    correlation,
                    x=self._moved(correlation.x, shift, move if (i, 0) in self.moving else 0),
                    y=self._moved(correlation.y, shift, move if (i, 1) in self.moving else 0),
                )
            elif isinstance(correlation, Permuted):
                order = correlation.order + shift
                correlation = replace(correlation, order=order, mask=self._moved(correlation.mask, shift, 0))
            out.append((number + shift, correlation))
        return out

    def _moved(self, ref: MaskRef, shift: int, move: int) -> MaskRef:
        number = ref.number + shift if ref.number > self.first else ref.number
        return replace(ref, number=number, start=ref.start + move, stop=ref.stop + move)

    @property
    def nbytes(self) -> int:
        """Bytes that the dealer sends for one pass."""
        return 8 * sum(f.size for _, c in self.taken for f in c.derived)


def _rows(item: object) -> tuple[int, int]:
    if isinstance(item, slice) and isinstance(item.start, int) and isinstance(item.stop, int):
        return item.start, item.stop
    return 0, 0


def _pattern(
    one: Taken, two: Taken, first: tuple[int, int], stride: int, rows: list[tuple[int, int]]
) -> _Pattern | None:
    """The pattern of two passes, `None` if they are not alike."""
    moving = set()
    for i, ((_, a), (_, b)) in enumerate(zip(one, two, strict=False)):
        if isinstance(a, Product) and isinstance(b, Product):
            moving |= {(i, k) for k, (p, q) in enumerate(((a.x, b.x), (a.y, b.y))) if p.start != q.start}
    pattern = _Pattern(first[0], rows[0], stride, tuple(one), frozenset(moving))
    return pattern if pattern.at(first[1], rows[1]) == two else None


def repeat(s: Session, items: Sequence[T]) -> Iterator[T]:
    """Yield the items; see `Session.repeat`."""
    begin = s.last_id
    if not s.asks_ahead or len(items) < 3:
        yield from items
        return
    passes: list[Taken] = []
    firsts: list[int] = []
    pattern: _Pattern | None = None
    asked = 0  # passes before this index are asked for or over
    end = begin
    try:
        for i, item in enumerate(items):
            if len(passes) == 2 and pattern is None and asked == 0:
                stride = firsts[1] - firsts[0]
                rows = [_rows(items[i - 2]), _rows(items[i - 1])]
                if stride == s.last_id - firsts[1] and _alike(rows[0], rows[1]):
                    pattern = _pattern(passes[0], passes[1], (firsts[0], firsts[1]), stride, rows)
                asked = i if pattern is not None else len(items)
                end = s.last_id + stride * (len(items) - i) if pattern is not None else begin
            if pattern is not None:
                asked = _ask(s, pattern, items, i, asked)
            if len(passes) < 2:
                firsts.append(s.last_id)
                with s.watched() as taken:
                    yield item
                passes.append(taken)
            else:
                yield item
    finally:
        if pattern is not None:
            s.skip_to(max(end, s.last_id))


def _alike(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[1] - a[0] == b[1] - b[0]


def _ask(s: Session, pattern: _Pattern, items: Sequence[object], now: int, asked: int) -> int:
    """Ask for passes from `asked` on, up to the window or the next batch of another size; the new `asked`."""
    asked = max(asked, now)
    batch: Taken = []
    room = max(1, WINDOW_BYTES // max(1, pattern.nbytes))
    # A batch of another size is taken on demand, so nothing behind it may be asked for before it is over.
    while asked < min(len(items), now + room):
        rows = _rows(items[asked])
        if not _alike(rows, pattern.rows):
            break
        batch += pattern.at(s.last_id + (asked - now) * pattern.stride, rows)
        asked += 1
    if batch:
        s.ask_ahead(batch)
    return asked

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


class _Watch:
    """What is known of the passes of one length: one pass, or the pattern that two of them agreed on."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, tuple[int, int], int, Taken]] = []  # first, rows, stride, taken
        self.pattern: _Pattern | None = None
        self.alike = True  # until two passes differ

    @property
    def wanted(self) -> bool:
        """Whether another pass has to be watched."""
        return self.alike and self.pattern is None

    def add(self, first: int, rows: tuple[int, int], stride: int, taken: Taken) -> None:
        """A pass that was watched."""
        self.seen.append((first, rows, stride, taken))
        if len(self.seen) == 2:
            (one, two), same = self.seen, self.seen[0][2] == self.seen[1][2]
            self.pattern = _pattern(one[3], two[3], (one[0], two[0]), stride, [one[1], two[1]]) if same else None
            self.alike = self.pattern is not None


def repeat(s: Session, items: Sequence[T]) -> Iterator[T]:
    """Yield the items; see `Session.repeat`.

    Batches of each length are a kind of their own: after two passes of one, its later ones are predictable, so an
    epoch that ends with a shorter batch is asked for ahead as a whole from the third epoch on.
    """
    if not s.asks_ahead or len(items) < 3:
        yield from items
        return
    kinds: dict[int, _Watch] = {}
    asked = 0  # passes before this index are asked for or over
    end = s.last_id
    try:
        for i, item in enumerate(items):
            rows = _rows(item)
            kind = kinds.setdefault(_length(rows), _Watch())
            if kind.pattern is not None:
                asked, last = _ask(s, kinds, items, i, asked)
                end = max(end, last)
            if kind.wanted:
                first = s.last_id
                with s.watched() as taken:
                    yield item
                kind.add(first, rows, s.last_id - first, taken)
            else:
                yield item
    finally:
        if any(kind.pattern is not None for kind in kinds.values()):
            s.skip_to(max(end, s.last_id))


def _length(rows: tuple[int, int]) -> int:
    return rows[1] - rows[0]


def _ask(s: Session, kinds: dict[int, _Watch], items: Sequence[object], now: int, asked: int) -> tuple[int, int]:
    """Ask for passes from `asked` on, up to the window or the first batch that is not predictable.

    Returns the new `asked`, and the last number that was asked for.
    """
    batch: Taken = []
    first, room = s.last_id, WINDOW_BYTES
    for i in range(now, len(items)):
        rows = _rows(items[i])
        kind = kinds.get(_length(rows))
        # What is not predictable is taken on demand, so nothing behind it may be asked for before it is over.
        if kind is None or kind.pattern is None:
            break
        if i >= asked:
            if room <= 0:
                break
            batch += kind.pattern.at(first, rows)
            asked = i + 1
        room -= kind.pattern.nbytes
        first += kind.pattern.stride
    if batch:
        s.ask_ahead(batch)
    return max(asked, now), first

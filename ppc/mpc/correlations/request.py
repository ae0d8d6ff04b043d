"""What the last party asks of the dealer: numbered correlations, a small JSON frame whose every number is checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from ppc.core.ring import RINGS
from ppc.errors import FrameError
from ppc.mpc.correlations.comparison import Comparison
from ppc.mpc.correlations.kinds import MATMUL_TRANSPOSED, BitTriple, DaBit, Injection, Permuted, Product, Truncation
from ppc.mpc.correlations.sigmoid import SigmoidSeries
from ppc.mpc.correlations.source import EVERYONE, Correlation, MaskRef

Item: TypeAlias = tuple[int, Correlation]

MAX_ITEMS: Final = 4096  # correlations a request
MAX_REQUEST_BYTES: Final = 1 << 20
MAX_WORDS: Final = 1 << 28  # 2 GiB: the largest correlation that a dealer makes
MAX_PARTIES: Final = 64
MAX_BRANCHES: Final = 4096  # thresholds of one comparison; MAX_WORDS bounds their memory


def encode(items: Sequence[Item]) -> bytes:
    """A request frame."""
    return json.dumps([[number, c.kind, *c.numbers()] for number, c in items], separators=(",", ":")).encode()


def decode(data: bytes, *, peer: str, parties: int) -> list[Item]:
    """The items of a request frame.

    Raises:
        FrameError: anything but what `encode` writes, sizes beyond the caps, or ranks that do not exist.
    """
    try:
        rows = json.loads(data)
    except ValueError:
        raise _bad("not JSON", peer) from None
    if not (isinstance(rows, list) and 0 < len(rows) <= MAX_ITEMS):
        raise _bad(f"not a list of 1 to {MAX_ITEMS} items", peer)
    return items(rows, peer=peer, parties=parties)


def items(rows: Sequence[object], *, peer: str, parties: int) -> list[Item]:
    """The items of a list, every number checked. Raises `FrameError`."""
    return [_item(row, peer, parties) for row in rows]


def _item(row: object, peer: str, parties: int) -> Item:
    if not (isinstance(row, list) and len(row) >= 3 and isinstance(row[1], str)):
        raise _bad("an item is [number, kind, sizes…]", peer)
    number, kind, *sizes = row
    if not all(type(v) is int and -1 <= v < 1 << 62 for v in (number, *sizes)) or number < 1:
        raise _bad("numbers are integers from -1 to 2**62", peer)
    reader = _READERS.get(kind)
    if reader is None:
        raise _bad(f"unknown kind {kind[:20]!r}", peer)
    try:
        correlation = reader(sizes, parties)
    except (ValueError, TypeError):
        raise _bad(f"sizes that no {kind} has", peer) from None
    if not sum(f.size for f in (*correlation.uniform, *correlation.derived)) <= MAX_WORDS:
        raise _bad(f"a {kind} beyond {MAX_WORDS} words", peer)
    return number, correlation


def _bad(what: str, peer: str) -> FrameError:
    return FrameError(f"{peer} asked the dealer for something else than correlations: {what}", party=peer)


def _within(value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ValueError
    return value


def _mask(sizes: Sequence[int], parties: int) -> MaskRef:
    number, owner, width, start, stop, ring_bits = sizes
    _ring(ring_bits)
    _within(number, 1, 1 << 62)
    _within(owner, EVERYONE, parties - 1)
    _within(width, 1, MAX_WORDS)
    _within(start, 0, stop)
    _within(stop, 1, 1 << 40)
    _within((stop - start) * width, 1, MAX_WORDS)
    return MaskRef(number, owner, width, start, stop, ring_bits)


def _product(sizes: Sequence[int], parties: int) -> Product:
    if len(sizes) != 13:
        raise ValueError
    op = _within(sizes[0], 0, MATMUL_TRANSPOSED)
    x, y = _mask(sizes[1:7], parties), _mask(sizes[7:], parties)
    fits = {0: x.shape == y.shape, 1: x.width == y.rows, 2: x.rows == y.rows}[op]
    if not fits or x.ring_bits != y.ring_bits:
        raise ValueError
    return Product(op, x, y)


def _permuted(sizes: Sequence[int], parties: int) -> Permuted:
    owner, order, *mask = sizes
    _within(owner, 0, parties - 1)
    _within(order, 1, 1 << 62)
    return Permuted(owner, order, _mask(mask, parties))


def _count(value: int) -> int:
    return _within(value, 1, MAX_WORDS)


_READERS: Final[dict[str, Callable[[Sequence[int], int], Correlation]]] = {
    Product.kind: _product,
    Permuted.kind: _permuted,
    Truncation.kind: lambda v, _: Truncation(*_three(v, v[-1] - 3)),
    BitTriple.kind: lambda v, _: BitTriple(*_one(v)),
    DaBit.kind: lambda v, _: DaBit(*_two(v)),
    Injection.kind: lambda v, _: Injection(*_two(v)),
    Comparison.kind: lambda v, _: Comparison(*_three(v, MAX_BRANCHES)),
    SigmoidSeries.kind: lambda v, _: SigmoidSeries(*_three(v, 40 if v[-1] == 64 else 96)),
}


def _ring(ring_bits: int) -> int:
    if ring_bits not in RINGS:
        raise ValueError
    return ring_bits


def _one(sizes: Sequence[int]) -> tuple[int]:
    (n,) = sizes
    return (_count(n),)


def _two(sizes: Sequence[int]) -> tuple[int, int]:
    n, ring_bits = sizes
    return _count(n), _ring(ring_bits)


def _three(sizes: Sequence[int], high: int) -> tuple[int, int, int]:
    n, k, ring_bits = sizes
    return _count(n), _within(k, 1, high), _ring(ring_bits)

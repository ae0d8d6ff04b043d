"""A source that spends a file made ahead of time: no dealer is there while the program runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits
from ppc.core.fixedpoint import FixedPoint
from ppc.errors import CorrelationError, ProtocolAbort
from ppc.mpc.correlations.cachefile import CacheFile
from ppc.mpc.correlations.dealer import Expander
from ppc.mpc.correlations.needs import Item, PoolKey, chunk, pool_name, pooled, round_up
from ppc.mpc.correlations.source import Correlation, MaskRef
from ppc.net.channel import Channel, MeterReading

Words: TypeAlias = NDArray[np.uint64]


class FileSource:
    """One run of a cache. Make it with `begin`, or through `Session.from_cache`."""

    def __init__(self, file: CacheFile, run: int, seed: bytes) -> None:
        header = file.header
        self._file = file
        self._run = run
        self._expander = Expander(seed, header.rank)
        self._stored = header.rank == len(header.parties) - 1
        self._last = 0
        self._single: dict[int, tuple[Correlation, int]] = {}
        self._pools: dict[PoolKey, deque[tuple[int, Correlation, int]]] = {}
        at = 0
        for number, correlation in header.needs.items():
            pool = pooled(correlation)
            if pool is None:
                self._single[number] = (correlation, at)
            else:
                self._pools.setdefault(pool[0], deque()).append((number, correlation, at))
            at += sum(f.size for f in correlation.derived)
        self._open: dict[PoolKey, tuple[tuple[Words, ...], int, int]] = {}  # a chunk, elements used, elements in it

    @property
    def meter(self) -> MeterReading:
        """Nothing is sent."""
        return MeterReading()

    def mask(self, ref: MaskRef) -> Words:
        """This party's words of a mask."""
        return self._expander.mask(ref)

    def permutation(self, number: int, n: int) -> NDArray[np.int64]:
        """This party's permutation of n rows."""
        return self._expander.permutation(number, n)

    def take(self, number: int, correlation: Correlation) -> tuple[Words, ...]:
        """This party's shares of the correlation `number`, which must be larger than any before.

        Raises:
            CorrelationError: a number that was used; one that the program did not take when the cache was made; or the
                pool is exhausted: asked, left, and what to do are named.
        """
        if not number > self._last:
            raise CorrelationError(f"correlation {number} was spent before", where=correlation.kind)
        self._last = number
        pool = pooled(correlation)
        if pool is not None:
            return self._from_pool(correlation, *pool)
        kept, at = self._single.pop(number, (None, 0))
        if kept != correlation:
            raise CorrelationError(
                f"the cache has no such {correlation.kind} at this point: it was made for another program or shapes",
                where=str(self._file.path),
                hint="make one for this program with `ppc offline make`",
            )
        return self._shares(number, correlation, at)

    def _shares(self, number: int, correlation: Correlation, at: int) -> tuple[Words, ...]:
        if not self._stored:
            return tuple(self._expander.shares(number, (*correlation.uniform, *correlation.derived)))
        out = self._expander.shares(number, correlation.uniform)
        for field in correlation.derived:
            out.append(field.read(self._file.words(self._run, at, field.wire)))
            at += field.size
        return tuple(out)

    def _from_pool(self, correlation: Correlation, key: PoolKey, n: int) -> tuple[Words, ...]:
        left = self._left(key)
        if round_up(n) > left:
            raise CorrelationError(
                f"out of correlations: {n} {pool_name(key)} were asked, {left} are left in this run",
                where=str(self._file.path),
                hint="make a cache for this program and these shapes with `ppc offline make`, with more --spare",
            )
        pieces = []
        while n > 0:
            if key not in self._open:
                number, whole, at = self._pools[key].popleft()
                (_, size) = pooled(whole) or (key, 0)
                self._open[key] = (self._shares(number, whole, at), 0, size)
            arrays, used, size = self._open[key]
            part = min(n, size - used)
            pieces.append(_cut(arrays, key, used, part, size))
            used += round_up(part)
            if used < size:
                self._open[key] = (arrays, used, size)
            else:
                del self._open[key]
            n -= part
        if len(pieces) == 1:
            return pieces[0]
        return tuple(np.concatenate(columns, axis=-1) for columns in zip(*pieces, strict=True))

    def _left(self, key: PoolKey) -> int:
        closed = sum((pooled(c) or (key, 0))[1] for _, c, _ in self._pools.get(key, ()))
        _, used, size = self._open.get(key, ((), 0, 0))
        return closed + size - used

    @property
    def asks_ahead(self) -> bool:
        """As the dealer's source, so that loops number their correlations in the same way."""
        return True

    def ask(self, items: Sequence[Item]) -> None:
        """All of it is here."""

    def fetch_ahead(self) -> None:
        """All of it is here."""

    def drop_ahead(self) -> None:
        """Nothing was fetched."""

    def close(self) -> None:
        """Release the file. What was not used of the run is lost."""
        self._file.close()

    def __repr__(self) -> str:
        return f"<FileSource {self._file.path.name} run={self._run}>"


def _cut(arrays: tuple[Words, ...], key: PoolKey, used: int, n: int, size: int) -> tuple[Words, ...]:
    """n elements of a chunk from `used` on, which is a multiple of 64: numbers by element, packed bits by word."""
    probe = chunk(key, size)
    out = []
    for array, field in zip(arrays, (*probe.uniform, *probe.derived), strict=True):
        packed = field.shape[-1] == bits.words_for(size) and field.xor
        start, count = (used // 64, bits.words_for(n)) if packed else (used, n)
        out.append(np.asanyarray(array[..., start : start + count], order="C"))
    return tuple(out)


def begin(path: str, me: str, parties: Sequence[str], channels: Mapping[str, Channel], fx: FixedPoint) -> FileSource:
    """Agree with the other parties on a run that none of them has spent, and claim it.

    Raises:
        CorrelationError: the file is another party's, of other parties or formats, or spent; or the others hold
            another cache.
    """
    file = CacheFile(path)
    try:
        header = file.header
        theirs_fx = FixedPoint(header.frac_bits, header.ring_bits)
        if (me, tuple(parties), fx) != (header.party, header.parties, theirs_fx):
            raise CorrelationError(
                f"this cache is {header.party}'s, of {', '.join(header.parties)}, {header.frac_bits} fraction bits of "
                f"{header.ring_bits}; the session is {me}'s, of {', '.join(parties)}, {fx.frac_bits} of {fx.ring_bits}",
                where=str(path),
            )
        mine = np.frombuffer(bytes.fromhex(header.cache), np.uint64)
        run = file.spent
        for name in parties:
            if name == me:
                continue
            theirs, spent = channels[name].exchange("offline", mine, np.array([file.spent], np.uint64))
            if not np.array_equal(theirs, mine):
                raise ProtocolAbort(
                    f"{name} holds another cache than {me}",
                    where="offline",
                    party=name,
                    hint="all parties use the files of one `ppc offline make`",
                )
            run = max(run, min(int(spent[0]), header.runs))
        return FileSource(file, run, file.claim(run))
    except BaseException:
        file.close()
        raise

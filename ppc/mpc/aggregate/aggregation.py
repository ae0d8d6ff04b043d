"""`Aggregation`: what statistics use of this package, one object a site for a whole job."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.errors import FrameError, ProtocolAbort
from ppc.mpc.aggregate import limbs, masks
from ppc.mpc.aggregate.compare import Dominant, Inner, Negative
from ppc.mpc.aggregate.machine import Shared
from ppc.mpc.aggregate.small import SmallCells
from ppc.mpc.aggregate.star import DEADLINE_S, Arrays, Operation, Outcome, Star
from ppc.mpc.aggregate.sums import MaskedSum
from ppc.net.channel import Channel


class KeyRing:
    """The keys of the sums to come."""

    def __init__(self, me: str, parties: Sequence[str], threshold: int) -> None:
        self.me = me
        self.parties = tuple(parties)
        self.threshold = threshold
        self.keys: masks.Keys | None = None
        self.term = -1

    def fresh(self, term: int) -> masks.Keys:
        """New keys in place of the old, agreed under the leader of `term`."""
        self.term = term
        self.keys = masks.Keys(self.me, self.threshold)
        return self.keys


@dataclass(frozen=True)
class Sum:
    """A pooled vector and whose parts are in it."""

    values: NDArray[np.float64]
    sites: tuple[str, ...]


class Aggregation:
    """Secure sums among 2 to 50 sites that need no helper and survive the loss of sites down to `quorum`.

    Every site calls the same methods in the same order. All sites learn each result.

    ```python
    pool = Aggregation("north", ["north", "south", "west"], channels)
    pool.sum([len(ages), sum(ages)]).values
    ```

    Raises (every method):
        ProtocolAbort: fewer than `quorum` sites are left, naming the lost; or this site was excluded, saying why.
    """

    def __init__(
        self,
        me: str,
        parties: Sequence[str],
        channels: Mapping[str, Channel],
        *,
        quorum: int | None = None,
        deadline_s: float = DEADLINE_S,
        on_lost: Callable[[str, str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._star = Star(
            me, parties, channels, quorum=quorum, deadline_s=deadline_s, on_lost=on_lost, cancelled=cancelled
        )
        self._ring = KeyRing(me, parties, self._star.quorum)

    def __repr__(self) -> str:
        return f"<Aggregation {self._star.me} of {len(self.sites)} sites, quorum {self.quorum}>"

    @property
    def sites(self) -> tuple[str, ...]:
        """Who takes part, the leader first."""
        return self._star.alive

    @property
    def lost(self) -> Mapping[str, str]:
        """Who was lost, and why."""
        return dict(self._star.lost)

    @property
    def quorum(self) -> int:
        """The least number of sites whose sum opens."""
        return self._star.quorum

    def sum(self, values: ArrayLike, *, within: Sequence[str] | None = None, name: str = "statistic") -> Sum | None:
        """The sum over the sites that stay of a vector (m,) each.

        Args:
            values: numbers within ±2**56, carried with 64 fraction bits; whole numbers are exact.
            within: open it only if exactly these sites took part; else `None`, at every site.
            name: for errors.
        """
        words = limbs.encode(values, name)
        outcome = self._star.run(MaskedSum(self._ring, words, None if within is None else frozenset(within)))
        if outcome.note.get("void"):
            return None
        if len(outcome.arrays) != 1 or outcome.arrays[0].shape != words.shape:
            raise FrameError("a sum has another length", where="aggregation", party=self.sites[0])
        return Sum(limbs.decode(outcome.arrays[0]), outcome.sites)

    def small(self, counts: ArrayLike, minimum: int) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        """Which pooled counts lie between 1 and minimum − 1, bool (m,), and whose they are. Nothing else opens."""
        mine = np.asarray(counts).astype(np.int64).reshape(-1)
        outcome = self._star.run(SmallCells(mine, minimum, self._star.parties))
        if len(outcome.arrays) != 1 or outcome.arrays[0].shape != mine.shape:
            raise FrameError("a test of counts has another length", where="small cells", party=self.sites[0])
        return outcome.arrays[0].astype(bool), outcome.sites

    def negative(self, values: ArrayLike) -> tuple[NDArray[np.bool_], tuple[str, ...]] | None:
        """Which pooled integers (scales, m) are negative on every scale, bool (m,), and whose they are.

        Nothing else opens. `None` if fewer than three sites are there, who could not hide a number from each other.
        """
        mine = np.asarray(values, np.int64)
        bits = self._shared(Negative(self._star.me, self._star.parties, mine), mine.shape[1:])
        return None if bits is None else (bits[0] == 1, bits[1])

    def dominant(self, tops: ArrayLike, bounds: ArrayLike) -> tuple[NDArray[np.bool_], tuple[str, ...]] | None:
        """Where the one or two largest rows of all sites exceed pooled bounds (see `Dominant`), bool (m,), and whose
        they are; `None` below three sites."""
        mine, own = np.asarray(tops, np.int64), np.asarray(bounds, np.int64)
        bits = self._shared(Dominant(self._star.me, self._star.parties, mine, own), mine.shape[2:])
        return None if bits is None else (bits[0] == 1, bits[1])

    def inner(self, vectors: ArrayLike) -> tuple[NDArray[np.uint64], tuple[str, ...]] | None:
        """Inner products of pooled counts (pairs, 2, m): (pairs,), and whose they are; `None` below three sites."""
        mine = np.asarray(vectors, np.int64)
        return self._shared(Inner(self._star.me, self._star.parties, mine), mine.shape[:1])

    def _shared(self, operation: Shared, shape: tuple[int, ...]) -> tuple[NDArray[np.uint64], tuple[str, ...]] | None:
        outcome = self._star.run(operation)
        if outcome.note.get("few"):
            return None
        if len(outcome.arrays) != 1 or outcome.arrays[0].shape != shape or outcome.arrays[0].dtype != np.uint64:
            raise FrameError("a comparison has another length", where="shared numbers", party=self.sites[0])
        return outcome.arrays[0], outcome.sites

    def gather(self, value: Any) -> dict[str, Any]:
        """Every site tells all a public JSON value: `{site: value}` of those who are there."""
        outcome = self._star.run(_Gather(value))
        return dict(outcome.note["told"])

    def finish(self) -> None:
        """Wait until every living site has every result. Call it before the channels are closed.

        A site that left earlier could not hand its last result to those whom a dying leader did not reach.
        """
        with contextlib.suppress(ProtocolAbort):  # I have every result, whoever is gone
            self.gather(None)


class _Gather(Operation):
    """Public notes, through the leader. Leaks: each note, to every site. Cost: 1 round."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def lead(self, star: Star) -> Outcome:
        told = star.ask("note", {}, specs=None)
        values = {star.me: json.loads(json.dumps(self._value))}
        for party, arrays in told.items():
            try:
                values[party] = json.loads(arrays[0].tobytes())
            except (ValueError, RecursionError, IndexError):
                raise FrameError("a note is not valid JSON", party=party, where="aggregation") from None
        sites = tuple(p for p in star.parties if p in values)
        return Outcome({"told": {p: values[p] for p in sites}}, (), sites)

    def answer(self, verb: str, note: Mapping[str, Any], arrays: Arrays) -> Arrays:
        if verb != "note":
            raise FrameError("an unknown question; do all sites run the same step?", where="aggregation")
        return (np.frombuffer(json.dumps(self._value).encode(), np.uint8),)

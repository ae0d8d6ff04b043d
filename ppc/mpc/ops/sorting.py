"""Secret shuffles, and sorting by comparisons on shuffled rows.

After a secret shuffle, the outcome of a comparison between two places is that of a random pair, so it may be opened:
as long as no two keys are equal, all outcomes together say only how a random permutation is sorted. Equal keys are
told apart by their first place, which makes the sort stable and keeps the outcomes independent of the keys.

Source: Hamada, Kikuchi, Ikarashi, Chida, Takahashi (ICISC 2012); the parallel sample sort is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.errors import TypeMismatchError, ValueRangeError
from ppc.mpc.ops.arithmetic import concatenate, mul_public
from ppc.mpc.ops.compare import less_than, open_bits
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Index: TypeAlias = NDArray[np.int64]

_NUMBERS = 1 << 12  # correlations of one sort at most; 10 million rows take about 40
_SMALL = 12  # groups up to this size are sorted by comparing all pairs


def shuffle(s: Session, x: AShare) -> AShare:
    """The rows of x (n,) or (n, …) in a uniformly random order that nobody knows.

    Cost: one message each way, 8 bytes an element. Leaks: the shape.
    """
    if not x.ndim:
        raise TypeMismatchError("a share without dimensions has no rows to shuffle")
    columns = x.size // len(x) if len(x) else 0
    return s.engine.shuffle(s, x.reshape(len(x), columns)).reshape(x.shape)


def sort(s: Session, x: AShare, *payload: AShare) -> list[AShare]:
    """x (n,) in rising order, and every payload (n,) or (n, …) in the same order; equals keep their order.

    |x| must stay below 2**(62 - log2 n) in the ring: 1.6e7 for a million numbers with 18 fraction bits.

    Cost: a shuffle; then about 1.1 n log2 n comparisons and openings of 13.1 bytes, in about 4 log2 n rounds (n =
    10,000: 70 rounds, 2.6 MB). Leaks: n.
    """
    return _sorted(s, x, payload, None)


def _sorted(s: Session, x: AShare, payload: Sequence[AShare], wanted: Index | None) -> list[AShare]:
    """The rows of rank `wanted` of x and of the payloads; all of them if it is `None`."""
    if x.ndim != 1 or any(not p.ndim or len(p) != len(x) for p in payload):
        raise TypeMismatchError(f"sort takes a key (n,) and payloads of n rows, not {[y.shape for y in (x, *payload)]}")
    n = len(x)
    if n < 2:
        return [y if wanted is None else y[wanted] for y in (x, *payload)]
    tie_bits = (n - 1).bit_length()
    if tie_bits > 40:
        raise ValueRangeError(f"{n} rows are too many to be sorted")
    places = s.engine.constant(s, s.ring.of_integers(np.arange(n).reshape(-1, 1)), 0)
    columns = [x.reinterpret(0).reshape(-1, 1), places, *(p.reinterpret(0).reshape(n, -1) for p in payload)]
    rows = s.engine.shuffle(s, concatenate(columns, axis=1))
    keys = rows[:, 0].shift_left(tie_bits).reinterpret(0) + rows[:, 1]
    with s.reserved(_NUMBERS):  # how many comparisons it takes depends on the shuffle
        order = _order(s, keys) if wanted is None else _order(s, keys, wanted)[wanted]
    rows = rows[order]
    out, at = [rows[:, 0].reinterpret(x.frac_bits)], 2
    for p in payload:
        width = p.size // n
        out.append(rows[:, at : at + width].reshape(len(rows), *p.shape[1:]).reinterpret(p.frac_bits))
        at += width
    return out


def quantile(s: Session, x: AShare, q: float | Sequence[float]) -> AShare:
    """Quantiles of x (n,), linearly interpolated as `numpy.quantile` does; q is public. Bounds of x as in `sort`.

    Only the groups in which a wanted rank lies are sorted further, between two pivots of a sample beside each.

    Cost: a shuffle; about 2.5 n comparisons for one quantile (n = 1e6), in about 60 rounds; a sort if there are many.
    Leaks: n. Source: selection between two pivots of a sample, Floyd, Rivest (CACM 1975), on shuffled rows as `sort`.
    """
    if x.ndim != 1 or not len(x):
        raise TypeMismatchError(f"quantiles of shape {x.shape}")
    at = np.asarray(q, np.float64) * (len(x) - 1)
    if not bool(((at >= 0) & (at <= len(x) - 1)).all()):
        raise ValueRangeError("a quantile lies between 0 and 1", where="q")
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, len(x) - 1)
    wanted = np.unique(np.concatenate([low.ravel(), high.ravel()]))
    (ordered,) = _sorted(s, x, (), wanted)
    below, above = ordered[np.searchsorted(wanted, low)], ordered[np.searchsorted(wanted, high)]
    return below + mul_public(s, above - below, at - low)


def median(s: Session, x: AShare) -> AShare:
    """The median of x (n,). Cost: as `quantile`."""
    return quantile(s, x, 0.5)


def top_k(s: Session, x: AShare, k: int, *payload: AShare) -> list[AShare]:
    """The k largest of x (n,), largest first, and their payloads.

    Cost: as a `quantile` that finds the k-th largest, and a sort of k. Leaks: n, k.
    """
    n = len(x)
    if not 0 < k <= n:
        raise ValueRangeError(f"the {k} largest of {n}", where="k")
    return [y[::-1] for y in _sorted(s, x, payload, np.arange(n - k, n))]


# --- which place comes first: a sample sort on public outcomes ---
def _order(s: Session, keys: AShare, wanted: Index | None = None) -> Index:
    """The places of distinct keys in rising order. Public: it is a random permutation.

    With `wanted` (rising ranks) only these are in their place: groups without one stay as they are. Which groups these
    are follows from the outcomes, so no more is opened than for a whole sort.
    """
    n = len(keys)
    order = np.arange(n)  # groups of places, one after the other, each group's keys below the next one's
    starts, sizes = np.zeros(1, np.int64), np.array([n])
    while (active := (sizes > 1) & _holds(starts, sizes, wanted)).any():
        # Of few groups all pairs are cheap: n / 4 comparisons, and no more rounds after them.
        limit = _SMALL if wanted is None else max(_SMALL, math.isqrt(n // (2 * int(active.sum()))))
        small = sizes <= limit
        samples = np.where(small, sizes, np.ceil(np.sqrt(sizes)).astype(np.int64)) * active
        first = np.concatenate([[0], np.cumsum(samples)[:-1]])  # where each group's sample begins, in a list of all
        chosen = order[_runs(starts, samples)]
        ranked = chosen[_rank(s, keys, chosen, first, samples)]  # every sample in rising order
        if wanted is not None:
            pivots = _pivots(starts, sizes, samples, wanted)
            ranked, samples = ranked[pivots], np.add.reduceat(np.append(pivots, 0), first) * (samples > 0)
            first = np.concatenate([[0], np.cumsum(samples)[:-1]])
        group = np.repeat(np.arange(len(sizes)), sizes)
        # Small groups are done: their sample was the whole group. In the others every place finds its interval.
        bucket = np.zeros(n, np.int64)
        inside = np.empty(n, np.int64)
        inside[ranked] = np.arange(len(ranked)) - np.repeat(first, samples)
        is_sample = np.zeros(n, bool)
        is_sample[ranked] = True
        open_ones = np.flatnonzero(~is_sample[order])
        bucket[order[open_ones]] = _search(s, keys, order[open_ones], group[open_ones], ranked, first, samples)
        # In a group: interval 0, sample 0, interval 1, sample 1, …
        place = np.where(is_sample, 2 * inside + 1, 2 * bucket)
        key = group * (2 * samples.max() + 2) + place[order]
        by = np.argsort(key, kind="stable")
        order, key = order[by], key[by]
        starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
        sizes = np.diff(np.append(starts, n))
    return order


def _holds(starts: Index, sizes: Index, wanted: Index | None) -> NDArray[np.bool_]:
    """Which groups hold a wanted rank."""
    if wanted is None:
        return np.ones(len(starts), bool)
    held: NDArray[np.bool_] = np.searchsorted(wanted, starts) < np.searchsorted(wanted, starts + sizes)
    return held


def _pivots(starts: Index, sizes: Index, samples: Index, wanted: Index) -> NDArray[np.bool_]:
    """Which members of all groups' ranked samples become pivots: around each wanted rank one below and one above.

    A rank r of a group is expected at r (samples / size) of its sample, within about sqrt(samples) / 2.
    """
    pivots = np.zeros(int(samples.sum()), bool)
    first = np.concatenate([[0], np.cumsum(samples)[:-1]])
    for g in np.flatnonzero(samples):
        here = slice(first[g], first[g] + samples[g])
        if samples[g] == sizes[g]:
            pivots[here] = True
            continue
        inside = wanted[(wanted >= starts[g]) & (wanted < starts[g] + sizes[g])] - starts[g]
        expected = inside * (samples[g] / sizes[g])
        slack = math.sqrt(samples[g])
        for at in (np.floor(expected - slack), np.ceil(expected + slack)):
            found = at[(at >= 0) & (at < samples[g])].astype(np.int64)
            pivots[first[g] + found] = True
        if not pivots[here].any():
            pivots[first[g] + samples[g] // 2] = True
    return pivots


def _runs(starts: Index, sizes: Index) -> Index:
    """start, start + 1, … for each start, `size` numbers, one run after the other."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1]) - np.repeat(ends - sizes, sizes) + np.repeat(starts, sizes)


def _rank(s: Session, keys: AShare, places: Index, first: Index, sizes: Index) -> Index:
    """For each group of `places`, the positions of its members in rising order, by comparing all pairs."""
    left = np.repeat(np.arange(len(places)), np.repeat(sizes, sizes))
    right = _runs(np.repeat(first, sizes), np.repeat(sizes, sizes))
    left, right = left[left < right], right[left < right]
    wins = np.zeros(len(places), np.int64)
    if len(left):
        below = _outcomes(s, keys, places[left], places[right])
        np.add.at(wins, np.where(below, right, left), 1)
    out = np.empty(len(places), np.int64)
    out[np.repeat(first, sizes) + wins] = np.arange(len(places))
    return out


def _search(
    s: Session, keys: AShare, places: Index, group: Index, ranked: Index, first: Index, samples: Index
) -> Index:
    """How many of its group's sample lie below each place, by binary search, all places at once."""
    low, high = np.zeros(len(places), np.int64), samples[group]
    while (active := np.flatnonzero(low < high)).size:
        middle = (low[active] + high[active]) // 2
        pivot = ranked[first[group[active]] + middle]
        below = _outcomes(s, keys, places[active], pivot)
        high[active] = np.where(below, middle, high[active])
        low[active] = np.where(below, low[active], middle + 1)
    return low


def _outcomes(s: Session, keys: AShare, left: Index, right: Index) -> NDArray[np.bool_]:
    below = open_bits(s, less_than(s, keys[left], keys[right]))
    if s.tracing:  # nothing was opened: the outcomes for an order that looks random
        order = np.arange(len(keys), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return np.asarray(order[left] < order[right])
    return below

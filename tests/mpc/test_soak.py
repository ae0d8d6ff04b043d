"""Truncation on many random values: never grossly wrong, and rounded up exactly as often as is stated.

`truncate` gives the floor of x / 2**f or one more, the latter with odds of the fraction dropped. Over n values the
number of those rounded up has mean sum p and variance sum p (1 - p); it is tested in 16 bins of p and in all, within 6
standard deviations: a right engine fails once in 3e7 runs. PPC_HEAVY=1 takes 1e8 values an engine, else 1e6.
"""

import os

import numpy as np
import pytest

from ppc.core import rng
from ppc.mpc import ops, run

HEAVY = os.environ.get("PPC_HEAVY") == "1"
BATCH = 1_000_000 if HEAVY else 250_000
BATCHES = 100 if HEAVY else 4
BINS = 16
SIGMAS = 6.0


class Tally:
    """Rounded up, how many were expected, and how much that varies, by the fraction dropped."""

    def __init__(self, drop):
        self.drop = drop
        self.up, self.mean, self.variance = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)
        self.gross = self.values = 0

    def add(self, x, got):
        """Integers x, and what they became."""
        floor = x >> self.drop
        up = got - floor
        self.gross += int(((up != 0) & (up != 1)).sum())
        self.values += x.size
        p = (x & ((1 << self.drop) - 1)) / 2.0**self.drop
        place = (p * BINS).astype(np.int64)
        self.up += np.bincount(place, up == 1, BINS)
        self.mean += np.bincount(place, p, BINS)
        self.variance += np.bincount(place, p * (1 - p), BINS)

    def fits(self):
        """Whether the odds are those that are stated."""
        bins = np.abs(self.up - self.mean) <= SIGMAS * np.sqrt(self.variance) + 1e-9
        return bool(bins.all()) and abs(self.up.sum() - self.mean.sum()) <= SIGMAS * np.sqrt(self.variance.sum())


def values(seed, n):
    """Small and large ones of both signs, up to the edges of the range."""
    stream = rng.Stream(bytes(16), seed)
    x = stream.integers(-(2**62) + 1, 2**62, n)
    return x >> stream.integers(0, 62, n)


@pytest.mark.heavy
@pytest.mark.parametrize("drop", [18, 40])
@pytest.mark.parametrize(("engine", "parties"), [("additive", 2), ("replicated", 3)])
def test_truncations_follow_their_stated_odds(engine, parties, drop):
    tallies = [Tally(drop) for _ in range(parties)]

    def program(s):
        for batch in range(BATCHES):
            x = values(batch, BATCH)
            words = s.engine.input(s, x.view(np.uint64) if s.rank == 0 else None, 0, (BATCH,), drop)
            got = s.engine.open(s, [ops.truncate(s, words + 0, drop)])[0].view(np.int64)
            tallies[s.rank].add(x, got)

    run(program, engine=engine, parties=parties)
    for tally in tallies:
        assert tally.values == BATCH * BATCHES
        assert tally.gross == 0
        assert tally.fits()


@pytest.mark.parametrize("wrong", ["floor", "nearest", "one in a thousand"])
def test_other_odds_would_be_seen(wrong):
    drop, x = 18, values(1, 250_000)
    p = (x & (2**drop - 1)) / 2.0**drop
    coin = np.random.default_rng(2).random(x.size)
    up = {"floor": np.zeros(x.size, bool), "nearest": p >= 0.5, "one in a thousand": coin < p * 0.97}[wrong]
    tally = Tally(drop)
    tally.add(x, (x >> drop) + up)
    assert not tally.fits()
    right = Tally(drop)
    right.add(x, (x >> drop) + (coin < p))
    assert right.fits()
    assert right.gross == 0


def test_truncation_on_the_shares_alone_would_be_seen():
    """SecureML's local truncation is grossly wrong with odds |x| / 2**63."""
    drop, x = 18, values(1, 250_000)
    r = rng.Stream(bytes(16), 9).uint64(x.size)
    other = (r - x.view(np.uint64)).view(np.uint64)
    got = (r >> np.uint64(drop)) - (other >> np.uint64(drop))
    tally = Tally(drop)
    tally.add(x, got.view(np.int64))
    assert tally.gross > 0

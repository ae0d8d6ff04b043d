"""Quantiles: near the truth, intervals that hold it, and no worse than a plain exponential mechanism."""

import math

import numpy as np
import pyarrow as pa
import pytest

from ppc import dp
from ppc.dataset import Dataset, Field, Schema
from ppc.dp import quantile
from ppc.dp.unit import ROW

SCHEMA = Schema((Field("x", "float64", bounds=(0, 100)), Field("k", "int64", bounds=(0, 50))))


def test_with_enough_budget_they_are_exact_to_the_grid():
    rng = np.random.default_rng(2)
    x = rng.gamma(3, 8, 5001)
    ds = Dataset.from_arrow(pa.table({"x": x, "k": rng.integers(0, 51, 5001)}), SCHEMA)
    with dp.Session(ds, dp.Budget(1e9), ledger=":memory:") as s:
        found = s.release(dp.quantiles("x", [0.01, 0.25, 0.5, 0.9, 0.99]), epsilon=1e5)
        right = np.quantile(x.clip(0, 100), [0.01, 0.25, 0.5, 0.9, 0.99])
        assert [f.values[0] for f in found.figures] == pytest.approx(right, abs=0.3)
        assert [f.name for f in found.figures][2] == "median(x)"
        for f in found.figures:
            assert f.low[0] <= f.values[0] <= f.high[0]


def test_integers_are_their_own_candidates():
    part = quantile.build(dp.median("k").aggregates[0], SCHEMA)
    assert part.candidates.tolist() == list(range(51))
    assert quantile.build(dp.median("x", candidates=11).aggregates[0], SCHEMA).candidates.tolist() == list(
        range(0, 101, 10)
    )


@pytest.mark.parametrize("prob", [0.1, 0.5, 0.75])
def test_one_row_moves_a_score_by_no_more_than_is_said(prob):
    part = quantile.build(dp.quantiles("k", [prob]).aggregates[0], SCHEMA)
    choice = part.choices(dp.Price(1), ROW.reach(False))[0]
    rng = np.random.default_rng(1)
    a, b = choice.prob.numerator, choice.prob.denominator

    def scores(counts):
        below = np.cumsum(counts) - counts
        above = counts.sum() - counts - below
        return -np.abs((b - a) * below - a * above - b * choice.shift)

    for _ in range(200):
        counts = rng.integers(0, 5, 51)
        more = counts.copy()
        more[rng.integers(51)] += 1
        assert np.abs(scores(more) - scores(counts)).max() <= choice.sensitivity


def test_the_rank_error_holds_as_often_as_is_said():
    """400 choices with a 5% bound on the rank: more than 44 misses have a chance below 10⁻⁶."""
    part = quantile.build(dp.median("x", interval=False).aggregates[0], SCHEMA)
    (choice,) = part.choices(dp.Price(0.5), ROW.reach(False))
    counts = np.bincount(np.random.default_rng(5).integers(0, 4096, 3000), minlength=4096)
    bound = choice.rank_error(0.05)
    below = np.cumsum(counts) - counts
    above = counts.sum() - counts - below
    misses = sum(abs(below[choice.pick(below, above)] - 1500) > bound + counts.max() for _ in range(400))
    assert misses <= 44
    assert bound == math.ceil(choice.selection.scale * math.log(4096 / 0.05) / 2)

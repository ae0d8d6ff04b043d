"""The noise has the scale that it says: the right one passes, and 0.8 and 1.25 times it are rejected.

Each test compares 20,000 draws with the exact distribution by a chi-square test over 40 bins. It fails by chance once
in 10**6 runs (the p-value it asks for); wrong scales have p-values below 10**-30, so they are rejected all but surely.
"""

import math

import numpy as np
import pytest
from scipy.stats import chisquare

from ppc import dp
from ppc.dp import noise
from ppc.dp.distributed import DistributedNoise

DRAWS = 20_000
FALSE_ALARM = 1e-6


def distribution(kind, scale):
    """Exact probabilities of the integers around 0."""
    wide = math.ceil(40 * scale) + 40
    k = np.arange(-wide, wide + 1)
    p = np.exp(-np.abs(k) / scale) if kind == "laplace" else np.exp(-(k**2) / (2 * scale**2))
    return k, p / p.sum()


def p_value(draws, kind, scale):
    """Of the draws, if they had this scale."""
    k, p = distribution(kind, scale)
    total = np.cumsum(p)
    # bins of about equal probability
    edges = np.unique(k[np.searchsorted(total, np.linspace(0, 1, 41)[1:-1])]) + 0.5
    at = np.searchsorted(edges, k)
    expected = np.bincount(at, p, minlength=len(edges) + 1) * len(draws)
    seen = np.bincount(np.searchsorted(edges, draws), minlength=len(edges) + 1)
    return chisquare(seen, expected * seen.sum() / expected.sum()).pvalue


CASES = [
    (dp.Price(0.5), 3),
    (dp.Price(0.01), 1),
    (dp.Price(1), 1024),
    (dp.Price(rho=0.5), 5),
    (dp.Price(rho=0.001), 100),
]


@pytest.mark.parametrize(("price", "sensitivity"), CASES, ids=str)
def test_the_right_scale_passes_and_wrong_ones_are_rejected(price, sensitivity):
    found = noise.scaled(price, sensitivity, float(sensitivity))
    draws = np.array(found.draw(DRAWS), dtype=float)
    assert p_value(draws, found.kind, found.scale) > FALSE_ALARM
    for wrong in (0.8, 1.25):
        assert p_value(draws, found.kind, found.scale * wrong) < 1e-30


def test_a_release_has_that_noise(make_counts):
    """From end to end: a count, at the price of one release, over and over."""
    draws = make_counts(3000)
    # the count is on a grid of 1/1024: within ±1/2 it is rounded to whole rows
    scale = 1 / 0.2
    k, p = distribution("laplace", scale * 64)
    whole = np.rint(k / 64).astype(int)
    values, at = np.unique(whole, return_inverse=True)
    exact = np.bincount(at, p)

    def fit(probabilities):
        inside = np.abs(values) <= 12
        seen = np.array([np.count_nonzero(draws == v) for v in values[inside]] + [np.count_nonzero(np.abs(draws) > 12)])
        expected = np.append(probabilities[inside], probabilities[~inside].sum()) * len(draws)
        return chisquare(seen, expected * seen.sum() / expected.sum()).pvalue

    assert fit(exact) > FALSE_ALARM
    for wrong in (0.8, 1.25):
        _, q = distribution("laplace", scale * 64 * wrong)
        k2, _ = distribution("laplace", scale * 64 * wrong)
        other = np.zeros(len(values))
        w = np.rint(k2 / 64).astype(int)
        keep = np.abs(w) <= values.max()
        np.add.at(other, w[keep] - values.min(), q[keep])
        assert fit(other) < FALSE_ALARM


@pytest.fixture
def make_counts():
    import pyarrow as pa

    from ppc.dataset import Dataset
    from ppc.dp import measuring, recipe
    from ppc.dp.engines.duck import DuckEngine
    from ppc.dp.unit import ROW

    def make(n):
        ds = Dataset.from_arrow(pa.table({"x": [1.0] * 500}))
        engine = DuckEngine(ds.to_arrow())
        priced = recipe.price(recipe.compile(dp.count(), ds.schema, ROW), dp.Price(0.2))
        vector = priced.steps[0].part.vector(engine.sums(priced.recipe.request()))
        engine.close()
        return np.array([measuring.noisy(priced.steps[0], vector)[0].values[0] - 500 for _ in range(n)])

    return make


def test_the_sum_of_the_parties_parts_is_the_noise_that_was_asked_for():
    """Five parties, one of whom drops out: the rest still have the whole variance."""
    made = DistributedNoise(5, 1, 30.0, DRAWS, rho=0.05)
    parts = [made.share() for _ in range(4)]
    draws = np.sum(parts, axis=0).astype(float)
    assert made.sigma == pytest.approx(30 / math.sqrt(0.1), rel=1e-6)
    assert p_value(draws, "gaussian", made.sigma) > FALSE_ALARM
    for wrong in (0.8, 1.25):
        assert p_value(draws, "gaussian", made.sigma * wrong) < 1e-30

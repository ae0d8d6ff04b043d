"""Random numbers in shares follow the distribution that they state; the exact error is computed, not sampled.

Each statistical test rejects a right sampler with odds of 1e-6, and is shown to reject a wrong one.
"""

from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from ppc.core.fixedpoint import FixedPoint
from ppc.errors import PpcError
from ppc.mpc import Session, ops, run
from ppc.mpc.ops import sampling

FALSE_ALARM = 1e-6
WIDE = FixedPoint(18, 128)
ENGINES = [{"engine": "plain"}, {"parties": 2}, {"parties": 3}, {"engine": "replicated", "parties": 3}, {"fx": WIDE}]
N = 20_000


def opened(operation, **engine):
    """The numbers, the same at every party; and a second draw, which must differ."""

    def program(s):
        show = lambda x: ops.open_bits(s, x) if x.__class__.__name__ == "BShare" else ops.open(s, x)  # noqa: E731
        return show(operation(s)), show(operation(s))

    results = run(program, **engine)
    for first, second in results:
        np.testing.assert_array_equal(first, results[0][0])
        assert first.size < 2 or not np.array_equal(first, second)
    return results[0][0]


def p_value(x, pmf, low, high):
    """Chi-square of integers against probabilities of low … high; both tails are pooled."""
    expected = np.array([pmf(k) for k in range(low, high + 1)]) * len(x)
    counts = np.array([(x == k).sum() for k in range(low, high + 1)], float)
    rest = len(x) - counts.sum(), max(len(x) - expected.sum(), 1e-9)
    keep = expected >= 5
    observed = np.append(counts[keep], counts[~keep].sum() + rest[0])
    wanted = np.append(expected[keep], expected[~keep].sum() + rest[1])
    return stats.chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue


def gaussian_pmf(sigma):
    weights = {k: np.exp(-0.5 * (k / sigma) ** 2) for k in range(-int(12 * sigma) - 2, int(12 * sigma) + 3)}
    total = sum(weights.values())
    return lambda k: weights.get(k, 0.0) / total


@pytest.mark.parametrize("engine", ENGINES)
def test_uniform_bits_numbers_and_coins(engine):
    bits = opened(lambda s: ops.random_bits(s, (64, N // 64)), **engine)
    assert stats.binomtest(int(bits.sum()), bits.size).pvalue > FALSE_ALARM
    x = opened(lambda s: ops.random_uniform(s, N), **engine)
    assert 0 <= x.min() <= x.max() < 1
    assert stats.kstest(x, "uniform").pvalue > FALSE_ALARM
    assert stats.kstest(x * 0.97, "uniform").pvalue < FALSE_ALARM
    words = opened(lambda s: s.engine.random(s, (N,)), **engine)
    assert (
        stats.kstest(words / 2.0 ** (engine.get("fx", FixedPoint()).ring_bits - 1), stats.uniform(-1, 2).cdf).pvalue
        > FALSE_ALARM
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("low", "high"), [(0, 8), (-3, 8), (5, 6)])
def test_uniform_integers(engine, low, high):
    x = opened(lambda s: ops.random_integers(s, low, high, (2, 3000)), **engine) if high - low > 1 else None
    if x is None:
        assert (run(lambda s: ops.open(s, ops.random_integers(s, low, high, 5)), **engine)[0] == low).all()
        return
    assert x.shape == (2, 3000)
    assert low <= x.min() <= x.max() < high
    flat = 1 / (high - low)
    assert p_value(x.ravel(), lambda k: flat, low, high - 1) > FALSE_ALARM
    assert p_value(x.ravel(), lambda k: flat * (1.5 if k == low else 1), low, high - 1) < FALSE_ALARM


def test_rejected_candidates_are_drawn_again(monkeypatch):
    monkeypatch.setattr(sampling, "_enough", lambda n, rate: max(1, n // 2))
    x = run(lambda s: ops.open(s, ops.random_integers(s, 0, 10, 300)))[0]
    assert len(x) == 300
    assert set(x) <= set(range(10))


@pytest.mark.parametrize("rate", [0.51, 0.8, 1.0])
@pytest.mark.parametrize("n", [1, 10, 1000, 10**6])
def test_candidates_suffice(n, rate):
    assert stats.binom.cdf(n - 1, sampling._enough(n, rate), rate) < 2.0**-40
    assert sampling._enough(n, rate) < 2.1 * n + 10 * np.sqrt(n) + 120


@pytest.mark.parametrize("engine", ENGINES)
def test_coins(engine):
    p = np.array([0.0, 1.0, 0.5, 0.25, 0.75, 1e-3, 0.999])
    flags = opened(lambda s: ops.bernoulli(s, p[:, None], (len(p), N)), **engine)
    for each, row in zip(p, flags, strict=True):
        assert stats.binomtest(int(row.sum()), N, each).pvalue > FALSE_ALARM
    flags = opened(lambda s: ops.bernoulli(s, 0.3, N), **engine)
    assert stats.binomtest(int(flags.sum()), N, 0.3).pvalue > FALSE_ALARM
    assert stats.binomtest(int(flags.sum()), N, 0.33).pvalue < FALSE_ALARM
    assert not run(lambda s: ops.open_bits(s, ops.bernoulli(s, 0.0, 100)), **engine)[0].any()
    assert run(lambda s: ops.open_bits(s, ops.bernoulli(s, 1.0, 100)), **engine)[0].all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("sigma", [0.4, 3.0, 40.0])
def test_discrete_gaussians(engine, sigma):
    n = 4000 if sigma > 10 else N
    x = opened(lambda s: ops.discrete_gaussian(s, sigma, n), **engine)
    span = int(6 * sigma) + 1
    if sigma < 10:
        assert p_value(x, gaussian_pmf(sigma), -span, span) > FALSE_ALARM
        assert p_value(x, gaussian_pmf(sigma * 1.06), -span, span) < FALSE_ALARM
    else:
        assert stats.kstest(x, stats.norm(0, sigma).cdf).pvalue > FALSE_ALARM
        assert stats.kstest(x, stats.norm(0, sigma * 1.4).cdf).pvalue < FALSE_ALARM
        assert stats.kstest(x + sigma / 4, stats.norm(0, sigma).cdf).pvalue < FALSE_ALARM


@pytest.mark.parametrize("engine", ENGINES)
def test_geometric_and_laplace(engine):
    scale = 4.0
    a = np.exp(-1 / scale)
    g = opened(lambda s: ops.geometric(s, scale, N), **engine)
    assert p_value(g, lambda k: (1 - a) * a**k, 0, 40) > FALSE_ALARM
    x = opened(lambda s: ops.discrete_laplace(s, scale, N), **engine)
    assert p_value(x, lambda k: (1 - a) / (1 + a) * a ** abs(k), -30, 30) > FALSE_ALARM
    b = np.exp(-1 / (1.2 * scale))
    assert p_value(x, lambda k: (1 - b) / (1 + b) * b ** abs(k), -30, 30) < FALSE_ALARM


# --- the error itself, by exact arithmetic ---
def exact(log_weights):
    """Probabilities of exp(w) normalised, to 50 digits."""
    with localcontext() as context:
        context.prec = 60
        powers = {k: Fraction((Decimal(w.numerator) / Decimal(w.denominator)).exp()) for k, w in log_weights.items()}
    total = sum(powers.values())
    return {k: v / total for k, v in powers.items()}


def distance(p, q):
    return float(sum(abs(p.get(k, 0) - q.get(k, 0)) for k in p.keys() | q.keys()) / 2)


def gaussian(sigma, span):
    return exact({k: -Fraction(k * k) / (2 * Fraction(sigma) ** 2) for k in range(-span, span + 1)})


def from_table(sigma):
    """The distribution that the thresholds give, as fractions."""
    ends = [0, *sampling.table(sigma), 1 << 63]
    out = {}
    for j, (a, b) in enumerate(pairwise(ends)):
        share = Fraction(b - a, 1 << 63)
        for k in {j, -j}:
            out[k] = out.get(k, 0) + share / (1 if j == 0 else 2)
    return out


@pytest.mark.parametrize("sigma", [0.05, 0.7, 3.0, 16.0])
def test_the_table_is_exact_to_its_stated_distance(sigma):
    found = from_table(sigma)
    assert sum(found.values()) == 1
    assert distance(found, gaussian(sigma, int(12 * sigma) + 3)) < 2.0**-55


def combined(sigma):
    narrow, (k, *more) = sampling.split_sigma(sigma)
    assert not more
    y = from_table(narrow)
    out = {}
    for a, p in y.items():
        for b, q in y.items():
            out[a + k * b] = out.get(a + k * b, 0) + p * q
    return out


@pytest.mark.parametrize("sigma", [16.5, 24.0])
def test_the_sum_of_two_narrow_numbers_is_a_discrete_gaussian(sigma):
    assert distance(combined(sigma), gaussian(sigma, int(12 * sigma))) < 2.0**-50


def test_the_bound_of_the_convolution_is_needed(monkeypatch):
    """With a factor twice as large the sum is not smooth, and the same test sees it."""
    monkeypatch.setattr(sampling, "_SMOOTH", 0.5)
    assert distance(combined(17.0), gaussian(17.0, 204)) > 2.0**-50


@pytest.mark.parametrize("sigma", [16.1, 100.0, 1e3, 1e6, 2.0**40])
def test_wide_deviations_are_made_of_narrow_ones_within_the_bound(sigma):
    narrow, factors = sampling.split_sigma(sigma)
    assert 2 < narrow <= 16
    assert len(factors) <= 5
    deviation = narrow
    for k in factors:
        assert deviation >= sampling._SMOOTH * k
        deviation *= np.sqrt(1 + k * k)
    assert abs(deviation - sigma) <= 1e-12 * sigma


def test_the_bits_of_a_geometric_number():
    scale = 3.0
    exact_bits = [Fraction(sampling._coin_units(sampling._bit_of_geometric(i, scale)), 1 << 63) for i in range(9)]
    found = {}
    for k in range(200):
        p = Fraction(1)
        for i, bit in enumerate(exact_bits):
            p *= bit if k >> i & 1 else 1 - bit
        found[k] = p
    wanted = exact({k: -Fraction(k) / Fraction(scale) for k in range(200)})
    assert distance(found, wanted) < 2.0**-57


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s: ops.random_bits(s, -1),
        lambda s: ops.random_uniform(s, 3, frac_bits=0),
        lambda s: ops.random_integers(s, 3, 3, 2),
        lambda s: ops.random_integers(s, 0, 2**61, 2),
        lambda s: ops.bernoulli(s, 1.5, 2),
        lambda s: ops.bernoulli(s, float("nan"), 2),
        lambda s: ops.bernoulli(s, [0.5, 0.5], 3),
        lambda s: ops.discrete_gaussian(s, 0.0, 2),
        lambda s: ops.discrete_gaussian(s, float("inf"), 2),
        lambda s: ops.discrete_gaussian(s, float("nan"), 2),
        lambda s: ops.discrete_laplace(s, -1.0, 2),
        lambda s: ops.geometric(s, 2.0**50, 2),
    ],
)
def test_bad_input(wrong):
    with pytest.raises(PpcError):
        wrong(Session.plain())


@pytest.mark.parametrize("engine", ENGINES)
def test_no_numbers_at_all(engine):
    def program(s):
        return [
            x.shape
            for x in (
                ops.random_bits(s, 0), ops.random_uniform(s, (0, 3)), ops.random_integers(s, 0, 5, 0),
                ops.bernoulli(s, 0.5, 0), ops.geometric(s, 2.0, 0), ops.discrete_gaussian(s, 20.0, (0, 2)),
            )
        ]  # fmt: skip

    assert run(program, **engine)[0] == [(0,), (0, 3), (0,), (0,), (0,), (0, 2)]

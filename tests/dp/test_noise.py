"""Scales of the noise: never below what the price asks, and agreed with OpenDP's own maps."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc import dp
from ppc.dp import noise
from ppc.errors import ConfigError


@given(st.floats(1e-3, 100), st.integers(1, 2**30))
@settings(max_examples=60, deadline=None)
def test_laplace_noise_costs_no_more_than_its_price_exactly(epsilon, l1):
    found = noise.scaled(dp.Price(epsilon), l1, float(l1))
    assert Fraction(l1) / Fraction(found.scale) <= Fraction(Decimal(repr(epsilon)))
    assert found.scale == pytest.approx(l1 / epsilon, rel=1e-12)
    assert noise._measurement("laplace", found.scale).map(l1) <= epsilon * (1 + 1e-15)


@given(st.floats(1e-3, 100), st.floats(1, 2**30))
@settings(max_examples=60, deadline=None)
def test_gaussian_noise_costs_no_more_than_its_price_exactly(rho, l2):
    found = noise.scaled(dp.Price(rho=rho), 10**12, l2)
    assert (Fraction(l2) / Fraction(found.scale)) ** 2 / 2 <= Fraction(Decimal(repr(rho)))
    assert found.scale == pytest.approx(l2 / (2 * rho) ** 0.5, rel=1e-9)


def test_selections_cost_what_opendp_says():
    one = noise.selection(dp.Price(0.5), 3)
    assert one.scale == pytest.approx(12)
    assert one.charge.epsilon == Decimal("0.5")
    other = noise.selection(dp.Price(rho=0.5), 3)
    assert noise._chooser("rho", other.scale).map(3) <= 0.5
    assert other.charge.epsilon is None
    scores = np.array([0, 100, 0])
    assert [noise.selection(dp.Price(100), 1).choose(scores) for _ in range(20)] == [1] * 20


def test_measurements_are_built_once():
    first = noise.scaled(dp.Price(0.123), 7, 7.0)
    assert noise.scaled(dp.Price(0.123), 7, 7.0) is first
    before = noise._measurement.cache_info().misses
    first.draw(3)
    first.draw(5)
    assert noise._measurement.cache_info().misses == before


def test_noise_that_does_not_fit_is_refused():
    for price in (dp.Price(1e-9), dp.Price(rho=1e-18)):
        with pytest.raises(ConfigError, match="price is too small"):
            noise.scaled(price, 2**40, 2.0**40)
    with pytest.raises(ConfigError):
        noise.selection(dp.Price(1e-9), 2**40)


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
@pytest.mark.parametrize("scale", [0.7, 3.0, 50.0])
@pytest.mark.parametrize("delta", [0.3, 1e-3, 1e-9])
def test_tails_hold_by_enumeration(kind, scale, delta):
    k = np.arange(-4000, 4001)
    p = np.exp(-np.abs(k) / scale) if kind == "laplace" else np.exp(-(k**2) / (2 * scale**2))
    p /= p.sum()
    tail = noise.Noise(kind, scale, None).tail(Fraction(delta))
    assert p[k >= tail].sum() <= delta
    assert p[k >= tail - 5].sum() > delta / 100 or tail <= 5


def test_the_spread_is_known():
    for price in (dp.Price(0.1), dp.Price(rho=0.005)):
        found = noise.scaled(price, 10, 10.0)
        drawn = np.array(found.draw(4000), dtype=float)
        assert drawn.std() == pytest.approx(found.sd, rel=0.12)
    assert found.draw(0).shape == (0,)


def test_no_public_call_takes_a_seed():
    import inspect

    for name in dp.__all__:
        thing = getattr(dp, name)
        members = [thing] if callable(thing) else []
        if inspect.isclass(thing):
            members += [m for n, m in inspect.getmembers(thing, callable) if not n.startswith("__")]
        for m in members:
            try:
                parameters = inspect.signature(m).parameters
            except (TypeError, ValueError):
                continue
            assert not {p for p in parameters if "seed" in p.lower() or p in ("rng", "random_state", "generator")}, name

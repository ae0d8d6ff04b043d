"""Adding up costs: held against dp-accounting, OpenDP, and closed forms."""

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc import dp
from ppc.dp import accountant
from ppc.dp.accountant import Charge, Totals
from ppc.errors import ConfigError


def laplace(epsilon, times=1):
    return [Charge.laplace(Decimal(repr(epsilon)), 1024)] * times


def test_a_hundred_laplace_releases_at_a_tenth():
    """The figure that this is built for: 10 by basic composition, 4.7 by privacy loss distributions."""
    found = accountant.compare(laplace(0.1, 100), 1e-6)
    assert found.basic == 10
    assert 5.1 < found.zcdp < 5.3
    assert 4.6 < found.pld <= 4.7
    assert found.best == found.pld
    assert "PLD" in str(found)


def test_a_fine_grid_costs_what_continuous_noise_costs():
    from dp_accounting.pld import privacy_loss_distribution as pld

    for epsilon, times in ((0.1, 100), (0.5, 30), (1.0, 8)):
        right = pld.from_laplace_mechanism(1 / epsilon).self_compose(times).get_epsilon_for_delta(1e-6)
        found = accountant.compare(laplace(epsilon, times), 1e-6).pld
        assert found == pytest.approx(right, rel=2e-3)


def delta_of(shifts, scale, epsilon, wide=400):
    """δ(ε) of independent discrete Laplace noise on coordinates that move by these shifts: by enumeration."""
    k = np.arange(-wide, wide + 1)
    a = math.exp(-1 / scale)
    p = (1 - a) / (1 + a) * a ** np.abs(k)
    losses = np.zeros(1)
    weights = np.ones(1)
    for s in shifts:
        loss = (np.abs(k - s) - np.abs(k)) / scale
        values, at = np.unique(np.round(loss, 12), return_inverse=True)
        mass = np.bincount(at, p)
        grid = np.add.outer(losses, values).ravel()
        losses, at = np.unique(np.round(grid, 12), return_inverse=True)
        weights = np.bincount(at, np.outer(weights, mass).ravel())
    return float((weights * np.maximum(0, 1 - np.exp(epsilon - losses))).sum())


@pytest.mark.parametrize("parts", [(3, 1), (2, 2), (2, 1, 1), (1, 1, 1, 1)])
def test_a_vector_is_no_worse_than_one_coordinate_that_takes_the_whole_change(parts):
    """The argument in Charge.laplace, by enumeration; and that a fine grid is no worse than a coarse one."""
    for scale in (2.0, 8.0):
        for epsilon in np.linspace(0, 4 / scale, 9):
            whole = delta_of((4,), scale, epsilon)
            assert delta_of(parts, scale, epsilon) <= whole + 1e-12
            assert delta_of((16,), 4 * scale, epsilon, 1600) <= whole + 1e-12


@given(st.floats(1e-4, 20), st.floats(1e-12, 0.1))
@settings(max_examples=60, deadline=None)
def test_the_conversion_from_zcdp_is_sound_and_the_best_over_orders(rho, delta):
    found = accountant.zcdp_epsilon(rho, delta)
    alphas = 1 + np.logspace(-6, 6, 4000)
    best = (alphas * rho + np.log1p(-1 / alphas) - (math.log(delta) + np.log(alphas)) / (alphas - 1)).min()
    assert found == pytest.approx(max(0.0, best), rel=1e-3, abs=1e-6)
    assert found <= rho + 2 * math.sqrt(rho * math.log(1 / delta)) + 1e-9  # Bun, Steinke 2016, proposition 1.3


def test_the_conversion_is_no_smaller_than_the_exact_one_of_gaussian_noise():
    from scipy.stats import norm

    for rho in (0.01, 0.1, 1.0, 5.0):
        for delta in (1e-3, 1e-6, 1e-9):
            epsilon, mu = accountant.zcdp_epsilon(rho, delta), math.sqrt(2 * rho)
            exact = norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
            assert exact <= delta


@given(st.lists(st.tuples(st.sampled_from([0.01, 0.1, 0.5]), st.booleans()), min_size=1, max_size=6))
@settings(max_examples=15, deadline=None)
def test_more_releases_never_cost_less(kinds):
    charges = [laplace(e)[0] if pure else Charge.gaussian(Decimal(repr(e))) for e, pure in kinds]
    last = accountant.compare([], 1e-6)
    for n in range(1, len(charges) + 1):
        now = accountant.compare(charges[:n], 1e-6)
        assert now.zcdp >= last.zcdp
        assert now.basic >= last.basic
        assert now.pld >= last.pld - 1e-3
        last = now


def test_what_may_be_composed_how():
    """Prices chosen with answers in view: no PLD. Pure budgets take no Gaussian noise, nor δ."""
    many = Totals().plus(laplace(0.1, 100))
    counted = {laplace(0.1)[0]: 100}
    assert accountant.fits(dp.Budget(4.7, 1e-6, adaptive=False), many, counted)
    assert not accountant.fits(dp.Budget(4.7, 1e-6), many, counted)
    assert accountant.fits(dp.Budget(5.3, 1e-6), many, counted)
    assert not accountant.fits(dp.Budget(9.9), many, counted)
    assert accountant.fits(dp.Budget(10), many, counted)
    assert accountant.fits(dp.Budget(rho=0.5), many)
    assert not accountant.fits(dp.Budget(rho=0.4999), many)
    gaussian = Totals().plus([Charge.gaussian(Decimal("0.01"))])
    assert not accountant.fits(dp.Budget(1000), gaussian)
    assert accountant.fits(dp.Budget(1, 1e-6), gaussian)
    failing = Totals().plus([laplace(0.1)[0].with_delta(Decimal("1e-6"))])
    assert not accountant.fits(dp.Budget(1), failing)
    assert not accountant.fits(dp.Budget(rho=1), failing)
    assert not accountant.fits(dp.Budget(0.2, 1e-7), failing)
    assert accountant.fits(dp.Budget(0.2, 2e-6), failing)


def test_large_costs_and_bad_deltas():
    huge = [Charge.pure(Decimal(1000)), Charge.gaussian(Decimal(3))]
    assert math.isfinite(accountant.compare(huge, 1e-6).pld)
    for delta in (0, 1, -1, math.nan):
        with pytest.raises(ConfigError):
            accountant.compare(huge, delta)
    with pytest.raises(ConfigError):
        accountant.zcdp_epsilon(math.nan, 1e-6)


@given(st.floats(1e-6, 100), st.integers(1, 2**50))
def test_a_charge_survives_its_plain_form(epsilon, sensitivity):
    for charge in (Charge.laplace(Decimal(repr(epsilon)), sensitivity), Charge.gaussian(Decimal(repr(epsilon)))):
        assert Charge.from_dict(charge.to_dict()) == charge
        assert Charge.from_dict(charge.with_delta(Decimal("1e-9")).to_dict()).delta == Decimal("1e-9")

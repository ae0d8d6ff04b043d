"""Budgets and prices: exact decimals, and nothing that is not positive and finite."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc import dp
from ppc.dp.budget import shown
from ppc.dp.noise import split
from ppc.errors import ConfigError

BAD = [0, -1, 0.0, -0.0, math.nan, math.inf, -math.inf, "0", "x", None, True, 1e10, [1], "NaN", "Infinity"]


@pytest.mark.parametrize("value", BAD)
def test_budgets_and_prices_refuse_what_is_not_a_positive_number(value):
    for make in (dp.Budget, dp.Price):
        with pytest.raises(ConfigError):
            make(epsilon=value)
        with pytest.raises(ConfigError):
            make(rho=value)


@pytest.mark.parametrize("delta", [-0.1, 1, 1.5, math.nan, math.inf, "x"])
def test_delta_lies_between_0_and_1(delta):
    for make in (dp.Budget, dp.Price):
        with pytest.raises(ConfigError):
            make(epsilon=1, delta=delta)


def test_a_budget_is_in_epsilon_or_in_rho():
    with pytest.raises(ConfigError):
        dp.Budget(epsilon=1, rho=1)
    with pytest.raises(ConfigError):
        dp.Budget(delta=1e-6, rho=1)
    assert [dp.Budget(1).kind, dp.Budget(1, 1e-6).kind, dp.Budget(rho=1).kind] == ["pure", "approximate", "zcdp"]


@given(st.floats(1e-6, 1e6), st.floats(1e-12, 0.5), st.booleans())
def test_a_budget_survives_its_plain_form(epsilon, delta, adaptive):
    for budget in (dp.Budget(epsilon, delta, adaptive=adaptive), dp.Budget(rho=epsilon), dp.Budget(epsilon)):
        assert dp.Budget.from_dict(budget.to_dict()) == budget


def test_a_tenth_ten_times_is_one():
    assert sum((dp.Price(0.1).epsilon for _ in range(10)), Decimal(0)) == dp.Budget(1).epsilon


@given(st.floats(1e-6, 1e3), st.lists(st.integers(1, 50), min_size=1, max_size=12), st.booleans())
def test_parts_of_a_price_never_exceed_it(value, weights, zcdp):
    price = dp.Price(rho=value) if zcdp else dp.Price(value)
    parts = [p.measure for p in split(price, weights)]
    assert sum(parts) <= price.measure
    assert float(sum(parts)) == pytest.approx(float(price.measure), rel=1e-12)


def test_costs_are_shown_rounded_up():
    assert shown(Decimal("0.100001")) == "0.1001"
    assert shown(math.inf) == "∞"

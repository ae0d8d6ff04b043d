"""Noise in parts: the parameters are those of the paper, and small parts are refused."""

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc import dp
from ppc.dp.distributed import DistributedNoise
from ppc.errors import ConfigError


@given(st.integers(1, 50), st.floats(0.001, 5), st.floats(100, 1e6), st.integers(1, 10**6), st.data())
@settings(max_examples=80, deadline=None)
def test_the_loss_is_within_the_price_whoever_drops_out(parties, rho, sensitivity, size, data):
    missing = data.draw(st.integers(0, parties - 1))
    try:
        made = DistributedNoise(parties, missing, sensitivity, size, rho)
    except ConfigError:
        assert sensitivity / math.sqrt(2 * rho * (parties - missing)) < 2.1
        return
    assert made.loss() <= rho * (1 + 1e-12)
    assert made.share_sigma >= 2
    assert made.share_sigma**2 == pytest.approx(made.sigma**2 / (parties - missing))
    assert made.sigma == pytest.approx(sensitivity / math.sqrt(2 * rho), rel=0.05)
    assert made.charge.rho == Decimal(repr(rho))


def test_the_correction_is_the_one_of_the_paper():
    """τ for σᵢ = 0.5 and two parties, by hand: 10·exp(−π²·0.25) with k/(k+1) = 1/2 and 2π²σ² = π²/2."""
    from ppc.dp.distributed import _epsilon, _tau

    assert _tau(0.5, 2) == pytest.approx(10 * math.exp(-(math.pi**2) / 4))
    assert _tau(0.5, 1) == 0
    assert _epsilon(0.5, 2, 3.0, 16) == pytest.approx(3 / (math.sqrt(2) * 0.5) + 4 * _tau(0.5, 2))
    assert _tau(2.0, 100) < 1e-14


@pytest.mark.parametrize(
    "bad",
    [
        (0, 0, 100, 1, 0.1), (3, 3, 100, 1, 0.1), (3, -1, 100, 1, 0.1), (3, 0, 0, 1, 0.1), (3, 0, math.nan, 1, 0.1),
        (3, 0, math.inf, 1, 0.1), (3, 0, 100, 0, 0.1), (3, 0, 100, 1, 0), (3, 0, 100, 1, math.nan), (3, 0, 1, 1, 1),
        (2.5, 0, 100, 1, 0.1), (3, 0, 1e30, 1, 0.1),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ConfigError):
        DistributedNoise(*bad)


def test_parts_are_arrays_of_integers():
    made = dp.DistributedNoise(3, 1, 200.0, 50, 0.1)
    parts = [made.share() for _ in range(3)]
    assert all(p.dtype == np.int64 and p.shape == (50,) for p in parts)
    assert not (parts[0] == parts[1]).all()

"""The network of switches puts rows in any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.mpc.pairwise import network


@settings(deadline=None)
@given(m=st.integers(1, 7), seed=st.integers(0, 2**32))
def test_any_order(m, seed):
    order = np.random.default_rng(seed).permutation(1 << m)
    switches = network.route(order)
    assert switches.shape == (2 * m - 1, 1 << (m - 1))
    rows = np.arange(2 << m, dtype=np.uint64).reshape(-1, 2)
    assert (network.apply(rows, switches) == rows[order]).all()


@pytest.mark.parametrize("m", [1, 2, 5])
def test_ahead_and_behind_are_neighbours(m):
    """What comes out of one layer uncrossed, over all layers, is the identity."""
    rows = np.arange(1 << m, dtype=np.uint64).reshape(-1, 1)
    assert (network.apply(rows, np.zeros((2 * m - 1, 1 << (m - 1)), bool)) == rows).all()

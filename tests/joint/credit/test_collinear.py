from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.joint.credit.collinear import inflation, not_inflated, uncorrelated


def test_inflation_agrees_with_statsmodels() -> None:
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 5))
    x[:, 4] += x[:, 0] + 0.5 * x[:, 1]
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    ours = inflation(np.corrcoef(x.T))
    theirs = [variance_inflation_factor(z, j) for j in range(5)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_inflation_of_uncorrelated_and_of_equal_features() -> None:
    assert inflation(np.eye(3)).tolist() == [1, 1, 1]
    equal = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    factors = inflation(equal)
    assert (factors[:2] > 1e5).all()
    assert factors[2] == pytest.approx(1)


def test_the_more_informative_of_two_stays() -> None:
    related = np.array([[False, True, False], [True, False, True], [False, True, False]])
    assert uncorrelated(related, [0.1, 0.3, 0.2], [False] * 3) == [1]
    assert uncorrelated(related, [0.4, 0.3, 0.2], [False] * 3) == [0, 2]
    assert uncorrelated(related, [0.1, 0.3, 0.2], [True, False, False]) == [0, 2]
    assert uncorrelated(related, [0.1, 0.3, 0.2], [True, True, True]) == [0, 1, 2]


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_no_two_that_stay_are_related_and_none_is_left_out_without_a_reason(d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    related = rng.random((d, d)) < 0.4
    related |= related.T
    iv = rng.random(d).tolist()
    stay = uncorrelated(related, iv, [False] * d)
    assert not any(related[i, j] for i in stay for j in stay if i < j)
    for i in set(range(d)) - set(stay):
        assert any(related[i, j] and iv[j] >= iv[i] for j in stay)


def test_collinear_features_leave_until_none_is_inflated() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 4))
    x[:, 3] = x[:, 0] + x[:, 1] + x[:, 2] + 0.1 * rng.normal(size=2000)
    r = np.corrcoef(x.T)
    assert not_inflated(r, [0.4, 0.1, 0.3, 0.2], [False] * 4, 10) == [0, 2, 3]
    assert not_inflated(r, [0.4, 0.1, 0.3, 0.2], [False, True, False, False], 10) == [0, 1, 2]
    assert not_inflated(r, [0.4, 0.1, 0.3, 0.2], [True] * 4, 10) == [0, 1, 2, 3]
    assert not_inflated(np.eye(4), [0.1] * 4, [False] * 4, 1.5) == [0, 1, 2, 3]


def test_the_last_feature_always_stays() -> None:
    assert not_inflated(np.ones((3, 3)), [0.1, 0.2, 0.3], [False] * 3, 2) == [2]

"""Secret sharing: any threshold of shares give the secret, fewer are independent of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.errors import ConfigError, ProtocolAbort
from ppc.mpc.aggregate import shamir


@settings(max_examples=40, deadline=None)
@given(st.integers(0, shamir.PRIME - 1), st.integers(2, 12), st.data())
def test_any_threshold_of_shares_gives_the_secret(secret: int, n: int, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(1, n))
    shares = dict(zip(range(1, n + 1), shamir.split(secret, range(1, n + 1), threshold), strict=True))
    chosen = data.draw(st.permutations(list(shares)))[:threshold]
    assert shamir.join({p: shares[p] for p in chosen}, threshold) == secret


def test_too_few_shares_give_nothing() -> None:
    shares = shamir.split(7, [1, 2, 3], 3)
    with pytest.raises(ProtocolAbort, match="2 shares"):
        shamir.join({1: shares[0], 2: shares[1]}, 3)
    with pytest.raises(ConfigError):
        shamir.split(7, [1, 2], 3)


def test_a_share_of_a_fixed_secret_is_uniform() -> None:
    """Chi-square over 16 classes of 4,000 shares; the false-alarm rate is 1e-6 (15 degrees: 57.3)."""

    def statistic(values: list[int]) -> float:
        counts = np.bincount(np.array(values), minlength=16)
        return float(((counts - len(values) / 16) ** 2 / (len(values) / 16)).sum())

    shares = [shamir.split(1, [1, 2], 2)[0] for _ in range(4000)]
    assert statistic([s[5] & 15 for s in shares]) < 57.3
    assert statistic([s[5] & 14 for s in shares]) > 57.3

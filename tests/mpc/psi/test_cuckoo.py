"""Cuckoo tables: every key in one of its bins; the failure bound, evaluated and measured."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.errors import ProtocolAbort
from ppc.mpc.psi import cuckoo

HEAVY = os.environ.get("PPC_HEAVY") == "1"


def rows_for(n: int, bins: int, seed: int) -> np.ndarray:
    return cuckoo.candidates(np.random.default_rng(seed).integers(0, 2**64, (n, 2), np.uint64), bins)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 2**32))
def test_every_key_lies_in_one_of_its_bins(n: int, seed: int) -> None:
    bins = cuckoo.bins_for(n)
    rows = rows_for(n, bins, seed)
    assert all(len(set(r)) == 3 for r in rows.tolist())
    table, choice = cuckoo.place(rows, bins)
    assert sorted(table[table >= 0]) == list(range(n))
    assert (table[rows[np.arange(n), choice]] == np.arange(n)).all()


def test_a_table_is_found_whenever_there_is_one() -> None:
    """At a load where many draws have no table: the answer agrees with a maximum matching of SciPy."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    found = []
    for seed in range(60):
        n, bins = 40, 43
        rows = rows_for(n, bins, seed)
        graph = csr_matrix((np.ones(3 * n), (np.repeat(np.arange(n), 3), rows.ravel())), shape=(n, bins))
        whole = bool((maximum_bipartite_matching(graph, perm_type="column") >= 0).all())
        try:
            cuckoo.place(rows, bins)
            found.append(True)
        except ProtocolAbort:
            found.append(False)
        assert found[-1] == whole
    assert 5 < sum(found) < 55


def log2_bound(n: int, bins: int) -> float:
    """log2 of the bound in the module's docstring."""
    from scipy.special import gammaln

    k = np.arange(4, n + 1, dtype=np.float64)
    if not len(k):
        return -np.inf
    x = np.linspace(-6, 2.2, 300)
    log_f = np.log(np.expm1(np.exp(x)) - np.exp(x))
    least = np.full(len(k), np.inf)
    for at, value in zip(x, log_f, strict=True):
        least = np.minimum(least, (k - 1) * value - 3 * k * at)
    inside = np.minimum(gammaln(3 * k + 1) + least, k * np.log((k - 1) * (k - 2) * (k - 3)))

    def choose(a: float, b: np.ndarray) -> np.ndarray:
        return gammaln(a + 1) - gammaln(b + 1) - gammaln(a - b + 1)

    terms = choose(n, k) + choose(bins, k - 1) + inside - k * np.log(bins * (bins - 1.0) * (bins - 2.0))
    top = terms.max()
    return float((top + np.log(np.exp(terms - top).sum())) / np.log(2))


def test_failure_is_below_2_to_the_minus_40() -> None:
    sizes = [*range(4, 120, 5), *(round(2**e) for e in np.arange(7, 15.1, 0.5))]
    sizes += [1 << 16, 1 << 18, 1 << 20, 1 << 22] if HEAVY else [1 << 16]
    for n in sizes:
        assert log2_bound(n, cuckoo.bins_for(n)) < -40, n


def test_the_bound_notices_too_few_bins() -> None:
    assert log2_bound(1000, 1150) > -40
    assert log2_bound(8, 20) > -40


@pytest.mark.parametrize(("n", "bins"), [(4, 5), (6, 9), (12, 16)])
def test_failures_stay_below_the_bound(n: int, bins: int) -> None:
    """Measured where failures are frequent enough to be counted; the bound is on their probability."""
    runs = 40_000 if HEAVY else 2_000
    hashes = np.random.default_rng(n).integers(0, 2**64, (runs * n, 2), np.uint64)
    rows = cuckoo.candidates(hashes, bins).reshape(runs, n, 3)
    failed = 0
    for r in rows:
        try:
            cuckoo.place(r, bins)
        except ProtocolAbort:
            failed += 1
    limit = min(1.0, 2 ** log2_bound(n, bins))
    # Five standard deviations of a binomial count at the bound: a false alarm below 1e-6.
    assert failed / runs <= limit + 5 * (limit / runs) ** 0.5
    assert failed / runs > limit / 2000, "the bound would be of no use, or nothing was measured"


def test_all_keys_find_a_place_at_the_size_in_use() -> None:
    for seed in range(300 if HEAVY else 20):
        bins = cuckoo.bins_for(1 << 12)
        cuckoo.place(rows_for(1 << 12, bins, seed), bins)


def test_a_full_table_is_an_error() -> None:
    with pytest.raises(ProtocolAbort, match="do not fit"):
        cuckoo.place(np.array([[0, 1, 2]] * 4, np.uint32), 10)

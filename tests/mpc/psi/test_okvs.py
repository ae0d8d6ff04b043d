"""The key-value store: it gives back every value, gap rows included; how often it fails, against the bound."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.core import cpu, gf128
from ppc.core.rng import Stream
from ppc.errors import ProtocolAbort
from ppc.mpc.psi import _kernels, okvs

HEAVY = os.environ.get("PPC_HEAVY") == "1"


def blocks(rng, n):
    return rng.integers(0, 2**64, (n, 2), np.uint64)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 2000), st.integers(0, 2**32))
def test_every_key_gives_its_value(n, seed):
    rng = np.random.default_rng(seed)
    place, r, values = (blocks(rng, n) for _ in range(3))
    sizes = okvs.layout(n)
    store = okvs.encode(place, r, values, sizes, Stream(bytes(16)))
    assert store.shape == (sizes.blocks, 2)
    assert (okvs.decode(place, r, store, sizes) == values).all()
    other = okvs.decode(blocks(rng, 50), blocks(rng, 50), store, sizes)
    assert len({x.tobytes() for x in other}) == 50


def test_several_clusters_and_the_portable_path(monkeypatch):
    rng = np.random.default_rng(1)
    n = 60_000
    place, r, values = (blocks(rng, n) for _ in range(3))
    sizes = okvs.layout(n)
    assert sizes.clusters == 4
    store = okvs.encode(place, r, values, sizes, Stream(bytes(16)))
    assert (okvs.decode(place, r, store, sizes) == values).all()
    monkeypatch.setenv(cpu.PORTABLE, "1")
    assert (okvs.encode(place, r, values, sizes, Stream(bytes(16))) == store).all()
    assert (okvs.decode(place, r, store, sizes) == values).all()


def test_decoding_is_linear():
    """What RR22 needs: Decode(B + Δ·P) = Decode(B) + Δ·Decode(P)."""
    rng = np.random.default_rng(2)
    sizes = okvs.layout(300)
    b, p, place, r = blocks(rng, sizes.blocks), blocks(rng, sizes.blocks), blocks(rng, 40), blocks(rng, 40)
    delta = blocks(rng, 1)[0]
    mixed = b.copy()
    gf128.add_scaled(mixed, p, delta)
    expected = okvs.decode(place, r, b, sizes)
    gf128.add_scaled(expected, okvs.decode(place, r, p, sizes), delta)
    assert (okvs.decode(place, r, mixed, sizes) == expected).all()


@pytest.mark.parametrize("gaps", [1, 2, 5, okvs.DENSE])
def test_gap_rows_are_solved_exactly(gaps):
    """Keys at the same three positions: all but one of them must come from the dense part."""
    rng = np.random.default_rng(gaps)
    place, r, values = (blocks(rng, 100) for _ in range(3))
    place[: gaps + 1] = place[0]
    sizes = okvs.layout(100)
    store = okvs.encode(place, r, values, sizes, Stream(bytes(16)))
    assert (okvs.decode(place, r, store, sizes) == values).all()


def test_more_gap_rows_than_the_dense_part_has_blocks_are_an_error():
    rng = np.random.default_rng(3)
    place, r, values = (blocks(rng, 100) for _ in range(3))
    place[: okvs.DENSE + 2] = place[0]
    with pytest.raises(ProtocolAbort, match="left over"):
        okvs.encode(place, r, values, okvs.layout(100), Stream(bytes(16)))
    place[1] = place[0] + np.uint64(1)
    place[2:] = blocks(rng, 98)
    r[:2] = r[1]
    place[:2] = place[0]
    values[0] = values[1] ^ np.uint64(1)
    with pytest.raises(ProtocolAbort, match="depend"):  # the same key with two values
        okvs.encode(place, r, values, okvs.layout(100), Stream(bytes(16)))


def test_a_cluster_with_too_many_keys_is_an_error():
    rng = np.random.default_rng(4)
    place, r, values = (blocks(rng, 40_000) for _ in range(3))
    place[:, 0] = 5
    with pytest.raises(ProtocolAbort, match="room"):
        okvs.encode(place, r, values, okvs.layout(40_000), Stream(bytes(16)))


# --- failure rates ---
def gap_rows(rng, n, sparse, runs):
    """How many rows peeling leaves over, for each of `runs` random sets of n keys in `sparse` positions."""
    found = np.empty(runs, np.int64)
    order = np.arange(n)
    rows = np.empty((n, 3), np.uint32)
    for i in range(runs):
        _kernels.triples(blocks(rng, n), order, sparse, rows)
        scratch = [np.empty(n, np.int64) for _ in range(3)]
        found[i] = _kernels.peel(rows, sparse, *scratch)[1]
    return found


def test_positions_are_distinct_and_uniform():
    rng = np.random.default_rng(5)
    n, sparse = 60_000, 20
    rows = np.empty((n, 3), np.uint32)
    _kernels.triples(blocks(rng, n), np.arange(n), sparse, rows)
    assert (np.sort(rows, axis=1)[:, 1:] != np.sort(rows, axis=1)[:, :-1]).all()
    for z in range(3):
        counts = np.bincount(rows[:, z], minlength=sparse)
        # chi-squared with 19 degrees of freedom: above 70 with probability below 1e-7
        assert ((counts - n / sparse) ** 2).sum() / (n / sparse) < 70


@pytest.mark.parametrize(("n", "runs"), [(128, 60_000), (512, 20_000), (2048, 5_000)])
def test_small_encodings_fail_within_the_bound(n, runs):
    """Few gap rows at the layout that is used; each further one is rarer by a large factor, as the bound says.

    Pairs of rows at the same three positions are what remains at this size: about (n²/2) / C(sparse, 3) a run.
    """
    runs = runs * 20 if HEAVY else runs
    found = gap_rows(np.random.default_rng(n), n, okvs.layout(n).sparse, runs)
    assert found.max() <= 3 < okvs.DENSE
    pairs = n * n / 2 / math.comb(okvs.layout(n).sparse, 3)
    expected = runs * pairs
    # a Poisson count: six standard deviations above (and some) has probability below 1e-6; larger cores are rarer
    assert (found > 0).sum() <= 1.5 * expected + 6 * math.sqrt(1.5 * expected) + 6


@pytest.mark.heavy
@pytest.mark.parametrize(("n", "bits"), [(64, 8), (128, 6), (128, 10), (256, 8), (256, 12), (512, 10)])
def test_failure_rates_are_within_the_fit_where_failures_can_be_seen(n, bits):
    """At 2^-6 … 2^-12 in place of 2^-40: more gap rows than ⌊bits / log2(positions)⌋ + 1 are rarer than 2^-bits.

    10^5 sets each with PPC_HEAVY. Without a dense part (any gap row counts) the bound is broken: the count would tell.
    """
    runs = 100_000 if HEAVY else 4_000
    sparse = math.ceil(n * okvs.expansion(n, bits))
    found = gap_rows(np.random.default_rng(n + bits), n, sparse, runs)
    dense = int(bits / math.log2(sparse)) + 1
    expected = runs * 2.0**-bits
    # a count with mean below `expected`: six standard deviations (and some) above has probability below 1e-6
    assert (found > dense).sum() <= expected + 6 * math.sqrt(expected) + 6
    if bits >= 8:
        assert (found > 0).mean() > 1.5 * 2.0**-bits
    assert dense < okvs.DENSE


@pytest.mark.heavy
def test_small_sets_are_encoded_every_time():
    """10^5 whole encodings with PPC_HEAVY, read back; failure has probability below 2^-40 each, gap rows are common."""
    runs = 100_000 if HEAVY else 1_500
    rng, solved = np.random.default_rng(9), 0
    solve = okvs._solve_dense
    sizes = okvs.layout(100)
    stream = Stream(bytes(16))

    def counted(*arguments):
        nonlocal solved
        solved += 1
        return solve(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(okvs, "_solve_dense", counted)
        for _ in range(runs):
            place, r, values = rng.integers(0, 2**64, (3, 100, 2), np.uint64)
            store = okvs.encode(place, r, values, sizes, stream)
            assert (okvs.decode(place, r, store, sizes) == values).all()
    pairs = runs * 100 * 99 / 2 / math.comb(sizes.sparse, 3)  # two keys at the same positions
    assert solved <= 1.5 * pairs + 6 * math.sqrt(1.5 * pairs) + 6


def test_the_count_would_notice_a_store_that_is_too_small():
    n = 2048
    found = gap_rows(np.random.default_rng(6), n, math.ceil(1.2 * n), 200)  # below the threshold 1.222 of peeling
    assert (found > okvs.DENSE).mean() > 0.5


def test_layouts():
    for n in (1, 128, 5000, 2**14, 2**16, 2**20, 2**24):
        sizes = okvs.layout(n)
        assert sizes.room * sizes.clusters >= n
        assert sizes.sparse > 1.223 * sizes.room
    assert okvs.layout(2**20).blocks < 1.36 * 2**20
    # The Chernoff bound holds for the exact tail at a size where that can be added up.
    n, c = 2**16, 4
    k = okvs.layout(n).room
    tail = sum(
        math.exp(
            math.lgamma(n + 1)
            - math.lgamma(j + 1)
            - math.lgamma(n - j + 1)
            - j * math.log(c)
            + (n - j) * math.log1p(-1 / c)
        )
        for j in range(k + 1, k + 4000)
    )
    assert c * tail < 2**-42

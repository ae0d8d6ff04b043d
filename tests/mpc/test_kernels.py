import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.core import bits
from ppc.mpc.additive import _kernels, twins
from ppc.mpc.correlations.comparison import LAST_MERGE_PRODUCTS, MERGE_PRODUCTS, merge_products, nibble_products

SEEDS = st.integers(0, 2**32)


def words(seed, shape):
    return np.random.default_rng(seed).integers(0, 2**64, shape, dtype=np.uint64)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(1, 5), st.sampled_from([0, 1]))
def test_nibbles_equals_its_twin(seed, m, mine):
    c, r, products = words(seed, (64, m)), words(seed + 1, (64, m)), words(seed + 2, (11, 16, m))
    out = np.empty((2, 16, m), np.uint64)
    _kernels.nibbles(c, r, products, mine, out)
    np.testing.assert_array_equal(out, twins.nibbles(c, r, products, mine))


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(1, 5), st.sampled_from([1, 4]), st.sampled_from([0, 1]), st.booleans())
def test_merge_equals_its_twin(seed, m, groups, mine, last):
    count = LAST_MERGE_PRODUCTS if last else len(MERGE_PRODUCTS)
    opened, masks = words(seed, (2, 4 * groups, m)), words(seed + 1, (2, 4 * groups, m))
    products = words(seed + 2, (count, groups, m))
    out = np.zeros((2, groups, m), np.uint64)
    _kernels.merge(opened, masks, products, mine, last, out)
    np.testing.assert_array_equal(out, twins.merge(opened, masks, products, mine, last))


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(0, 50), st.integers(1, 61), st.sampled_from([0, 1]))
def test_truncate_equals_its_twin(seed, n, drop, mine):
    c, hi, top = words(seed, n), words(seed + 1, n), words(seed + 2, n)
    out = np.empty(n, np.uint64)
    _kernels.truncate(c, hi, top, drop, mine, out)
    np.testing.assert_array_equal(out, twins.truncate(c, hi, top, drop, mine))


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 130), st.sampled_from(["random", "close", "equal", "edges"]))
def test_nibbles_and_merges_compare_63_bits(seed, n, kind):
    c = words(seed, n)
    edges = np.array([0, 1, 2**63 - 1, 2**63, 2**64 - 1, 2**32], np.uint64)
    r = {
        "random": words(seed + 1, n),
        "close": c + (words(seed + 1, n) % np.uint64(3)) - np.uint64(1),
        "equal": c.copy(),
        "edges": np.random.default_rng(seed).choice(edges, n),
    }[kind]
    if kind == "edges":
        c = np.random.default_rng(seed + 1).choice(edges, n)
    rows = bits.slice_bits(r)
    low = rows.copy()
    low[63] = 0
    m = rows.shape[1]
    level = np.empty((2, 16, m), np.uint64)
    _kernels.nibbles(bits.slice_bits(c), rows, nibble_products(low), 1, level)
    for last in (False, True):
        mask = words(seed + 3 + last, level.shape)
        count = LAST_MERGE_PRODUCTS if last else len(MERGE_PRODUCTS)
        out = np.zeros((2, level.shape[1] // 4, m), np.uint64)
        _kernels.merge(level ^ mask, mask, merge_products(mask, count), 1, last, out)
        level = out
    greater = bits.unpack(level[0, 0], n).astype(bool)
    half = np.uint64(2**63 - 1)
    np.testing.assert_array_equal(greater, (r & half) > (c & half))


@pytest.mark.parametrize("drop", [1, 18, 40, 61])
def test_truncation_is_off_by_less_than_one_unit_at_the_edges(drop):
    x = np.array([0, 1, -1, 2**62 - 1, -(2**62), 2**drop, -(2**drop), 2**61], np.int64)
    r = words(drop, (2000, 1))
    c = x.view(np.uint64) + np.uint64(2**62) + r
    hi, top = (r & np.uint64(2**63 - 1)) >> np.uint64(drop), r >> np.uint64(63)
    shape = c.shape
    out = np.empty(c.size, np.uint64)
    _kernels.truncate(c.ravel(), np.broadcast_to(hi, shape).ravel(), np.broadcast_to(top, shape).ravel(), drop, 1, out)
    got = out.view(np.int64).reshape(shape)
    floor = x >> drop
    assert ((got == floor) | (got == floor + 1)).all()
    exact = (x & ((1 << drop) - 1)) == 0
    assert (got[:, exact] == floor[exact]).all()

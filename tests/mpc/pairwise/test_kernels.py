"""Both sides of each kernel against what they are to add up to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.core import bits
from ppc.mpc.pairwise import _kernels, products


def words(seed, shape):
    return np.random.default_rng(seed).integers(0, 2**64, shape, dtype=np.uint64)


def chosen_pads(seed, choices):
    """The sender's two pads for each packed choice (rows, n / 64), and the chooser's one."""
    rows, m = choices.shape
    h0, h1 = words(seed, (2, rows, 64 * m))
    flags = np.stack([bits.unpack(row, 64 * m) for row in choices]).astype(bool)
    return h0, h1, np.where(flags, h1, h0)


@settings(deadline=None, max_examples=30)
@given(m=st.integers(1, 12), width=st.sampled_from([1, 7, 16, 63, 64]), signed=st.booleans(), seed=st.integers(0, 999))
def test_a_number_times_a_number(m, width, signed, seed):
    n = 64 * m
    x, y = words(seed, n), words(seed + 1, n)
    choices = bits.slice_bits(y)[:width]
    h0, h1, h = chosen_pads(seed + 2, choices)
    octets = np.empty(products.planes(width) * n, np.uint8)
    kept, got = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    _kernels.product_send(x, h0, h1, signed, octets, kept)
    _kernels.product_choose(choices, h, octets, got)
    low = y & np.uint64(2**width - 1)
    if signed:
        low -= (low >> np.uint64(width - 1)) * (np.uint64(1) << np.uint64(width - 1)) * np.uint64(2)
    assert (kept + got == x * low).all()


@pytest.mark.parametrize("bit", [0, 7, 8, 63])
def test_a_column_times_a_bit(bit):
    d, k, n = 5, 3, 20
    xt, y = words(1, (d, n)), words(2, d * k)
    choices = bits.slice_bits(y)[bit]
    flags = bits.unpack(choices, d * k).astype(bool)
    h0, h1 = words(3, (2, d * k, n))
    octets = np.empty(((71 - bit) // 8, d * k, n), np.uint8)
    kept, got = np.zeros((k, n), np.uint64), np.zeros((k, n), np.uint64)
    _kernels.column_send(xt, h0, h1, k, bit, octets, kept)
    _kernels.column_choose(choices, np.where(flags[:, None], h1, h0), k, bit, octets, got)
    want = np.zeros((k, n), np.uint64)
    for p in range(d * k):
        want[p % k] += xt[p // k] * np.uint64(flags[p]) << np.uint64(bit)
    assert (kept + got == want).all()


@pytest.mark.parametrize("count", [1, 2])
def test_nibbles_are_compared(count):
    """All 256 pairs of nibbles stand in each place."""
    pairs = np.arange(256, dtype=np.uint64)
    repeated = np.uint64(0x1111111111111111)
    u = np.stack([(pairs >> np.uint64(4)) * repeated, words(9, 256)][:count])
    v = (pairs & np.uint64(15)) * repeated
    h0, h1, h = chosen_pads(4, bits.slice_bits(v))
    masks = words(5, (count, 2, 16, 4))
    out, got = np.empty((count, 16, 256), np.uint32), np.empty((count, 2, 16, 4), np.uint64)
    _kernels.leaves_send(u, h0, h1, masks, out)
    _kernels.leaves_choose(v, h, out, got)
    for t in range(count):
        for j in range(16):
            a, b = (u[t] >> np.uint64(4 * j)) & np.uint64(15), (v >> np.uint64(4 * j)) & np.uint64(15)
            assert (bits.unpack((masks ^ got)[t, 0, j], 256) == (a < b)).all()
            assert (bits.unpack((masks ^ got)[t, 1, j], 256) == (a == b)).all()


def test_bits_and_shifts():
    x = words(7, 128)
    out = np.empty((3, 2), np.uint64)
    _kernels.low_bits(x, out)
    assert all((bits.unpack(out[b], 128) == ((x >> np.uint64(b)) & np.uint64(1))).all() for b in range(3))
    rows, delta, flags = words(8, (128, 2)), words(9, 2), words(10, 2)
    moved = rows.copy()
    _kernels.shift(moved, flags, delta)
    assert (moved == np.where(bits.unpack(flags, 128)[:, None] == 1, rows ^ delta, rows)).all()

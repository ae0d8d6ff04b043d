import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.core import bits


@given(st.lists(st.booleans(), max_size=300))
def test_pack_and_unpack(flags):
    words = bits.pack(np.array(flags, bool))
    assert words.size == bits.words_for(len(flags))
    assert bits.unpack(words, len(flags)).astype(bool).tolist() == flags


def test_the_first_bit_is_the_lowest():
    flags = np.zeros(70, bool)
    flags[[0, 3, 64]] = True
    assert bits.pack(flags).tolist() == [0b1001, 1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 300), st.integers(0, 2**32))
def test_slices_equal_their_numpy_twin_and_come_back(n, seed):
    values = np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)
    rows = bits.slice_bits(values)
    np.testing.assert_array_equal(rows, bits.slice_bits_numpy(values))
    np.testing.assert_array_equal(bits.unslice_bits(rows, n), values)

"""Slots, their edges, and what is refused before it is encrypted."""

from __future__ import annotations

import numpy as np
import pytest
from gmpy2 import mpz
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.errors import ConfigError, HeadroomExceeded, TypeMismatchError, ValueRangeError
from ppc.he.paillier.packing import Packing, encode_fixed, narrow

BITS = 2048


@settings(max_examples=60, deadline=None)
@given(slot_bits=st.sampled_from([16, 24, 56, 64, 72, 128, 256]), data=st.data())
def test_packing_and_unpacking_are_inverse(slot_bits, data):
    packing = Packing(0, min(14, slot_bits - 2), slot_bits)
    top = 1 << (slot_bits - 1)
    integers = data.draw(st.lists(st.integers(-top, top - 1), min_size=1, max_size=300))
    array = narrow(integers)
    plaintexts = packing.pack(array, BITS)
    assert len(plaintexts) == -(-len(integers) // packing.slots(BITS))
    assert all(abs(m) < 1 << (BITS - 2) for m in plaintexts)
    assert [int(m) for m in packing.unpack(plaintexts, len(integers), BITS).tolist()] == integers


def test_slots_add_without_touching_each_other():
    packing = Packing(0, 10, 16)
    a = packing.pack(np.array([-5, 7, -1024, 1024]), BITS)[0]
    b = packing.pack(np.array([-6, -9, -1024, 1024]), BITS)[0]
    assert packing.unpack([a + b], 4, BITS).tolist() == [-11, -2, -2048, 2048]
    assert packing.unpack([a * -31], 4, BITS).tolist() == [155, -217, 31744, -31744]


def test_a_plaintext_beyond_the_slots_is_an_error():
    packing = Packing(0, 10, 16)
    with pytest.raises(HeadroomExceeded, match="more than its slots"):
        packing.unpack([mpz(1) << (BITS - 1)], 1, BITS)


def test_slots_fit_below_half_the_modulus():
    assert Packing(slot_bits=64).slots(3072) == 47
    assert Packing.single().slots(3072) == 1
    assert Packing(24, 24, 64).limit(1 << 100) == (1 << 63) - 1
    assert Packing.single().limit(101) == 50


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_number_is_encoded_that_is_none(bad):
    with pytest.raises(ValueRangeError, match="position 1") as caught:
        encode_fixed([0.5, bad], 10, 4, name="income")
    assert caught.value.where == "income"


def test_the_range_ends_exactly_at_its_power_of_two():
    assert encode_fixed([16.0, -16.0], 3, 4).tolist() == [128, -128]
    with pytest.raises(ValueRangeError, match=r"beyond ±2\*\*4"):
        encode_fixed([np.nextafter(16.0, 17.0)], 3, 4)
    assert encode_fixed([1 << 40, -(1 << 40)], 0, 40).tolist() == [1 << 40, -(1 << 40)]
    for bad in ((1 << 40) + 1, -(1 << 40) - 1):
        with pytest.raises(ValueRangeError):
            encode_fixed([bad], 0, 40)
    with pytest.raises(ValueRangeError):
        encode_fixed(np.array([1 << 63], np.uint64), 0, 40)


def test_an_error_never_shows_the_value():
    with pytest.raises(ValueRangeError) as caught:
        encode_fixed([123456.789], 3, 4, name="income")
    assert "123456" not in str(caught.value) + str(caught.value.hint)


@pytest.mark.parametrize(
    "bad", [["a", "b"], [[1.0], [1.0, 2.0]], [None], [1 + 2j], np.array(["2020"], "datetime64[Y]")]
)
def test_other_types_and_ragged_lists_are_refused(bad):
    with pytest.raises(TypeMismatchError):
        encode_fixed(bad, 3, 4)


def test_integers_do_not_lose_fractions_silently():
    with pytest.raises(TypeMismatchError, match="fractions"):
        encode_fixed([1.5], 0, 10)
    assert encode_fixed([2.0], 0, 10).tolist() == [2]


@pytest.mark.parametrize(
    "arguments", [(40, 40, 128), (-1, 3, 64), (3, 0, 64), (24, 24, 48), (24, 24, 65), (8, 8, 2048), (61, 1, None)]
)
def test_impossible_formats_are_refused(arguments):
    with pytest.raises(ConfigError):
        Packing(*arguments)


def test_decoding_rounds_once():
    packing = Packing.single(20, 20)
    wide = np.array([(1 << 80) + 1, -(1 << 80)], object)
    assert packing.decode(wide, "float64").tolist() == [2.0**60, -(2.0**60)]
    assert packing.decode(np.array([1 << 20]), "float64").tolist() == [1.0]
    assert Packing(0, 20).decode(wide, "int64").tolist() == wide.tolist()

"""Two-limb numbers against Python's integers and fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.errors import TypeMismatchError, ValueRangeError
from ppc.mpc.aggregate import limbs

REALS = st.floats(-limbs.MAX_ABS, limbs.MAX_ABS, allow_subnormal=False)


def whole(words: np.ndarray, i: int) -> int:
    value = int(words[i, 0]) + (int(words[i, 1]) << 64)
    return value - (1 << 128) if value >> 127 else value


@given(st.lists(REALS, min_size=1, max_size=8))
def test_encoding_rounds_to_the_step(values: list[float]) -> None:
    words = limbs.encode(np.array(values))
    for i, x in enumerate(values):
        assert abs(Fraction(whole(words, i), 1 << 64) - Fraction(x)) <= Fraction(1, 1 << 65)
    back = limbs.decode(words)
    np.testing.assert_allclose(back, values, rtol=3e-16, atol=limbs.STEP)


@given(st.lists(st.integers(-(2**55), 2**55), min_size=1, max_size=60))
def test_sums_of_integers_are_exact(values: list[int]) -> None:
    total = np.zeros((1, 2), np.uint64)
    for v in values[: limbs.MAX_PARTIES]:
        limbs.add(total, limbs.encode(np.array([v])))
    assert whole(total, 0) == sum(values[: limbs.MAX_PARTIES]) << 64


@given(st.binary(min_size=64, max_size=64))
def test_kernels_are_their_numpy_twins_and_inverse(data: bytes) -> None:
    a = np.frombuffer(data[:32], np.uint64).reshape(2, 2).copy()
    b = np.frombuffer(data[32:], np.uint64).reshape(2, 2).copy()
    kernel, twin = a.copy(), a.copy()
    limbs.add(kernel, b)
    limbs.add_numpy(twin, b)
    assert (kernel == twin).all()
    assert all(
        (int(kernel[i, 0]) | int(kernel[i, 1]) << 64)
        == ((int(a[i, 0]) | int(a[i, 1]) << 64) + (int(b[i, 0]) | int(b[i, 1]) << 64)) % (1 << 128)
        for i in (0, 1)
    )
    limbs.subtract(kernel, b)
    limbs.subtract_numpy(twin, b)
    assert (kernel == a).all()
    assert (twin == a).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0**57, -(2.0**57)])
def test_what_does_not_fit_is_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueRangeError) as raised:
        limbs.encode(np.array([1.0, bad]), "column 'age'")
    assert raised.value.where == "column 'age'"
    assert "57" not in str(raised.value)


def test_integers_beyond_the_bound_and_text_are_refused() -> None:
    with pytest.raises(ValueRangeError):
        limbs.encode(np.array([2**60]))
    with pytest.raises(TypeMismatchError):
        limbs.encode(np.array(["a"]))


def test_fifty_sites_at_the_bound_do_not_wrap() -> None:
    total = np.zeros((2, 2), np.uint64)
    for _ in range(limbs.MAX_PARTIES):
        limbs.add(total, limbs.encode(np.array([limbs.MAX_ABS, -limbs.MAX_ABS])))
    assert limbs.decode(total).tolist() == [50 * 2.0**56, -50 * 2.0**56]


@given(st.lists(st.floats(-(2.0**56), 2.0**56), min_size=1, max_size=20))
def test_encoding_and_decoding_are_their_numpy_twins(values: list[float]) -> None:
    x = np.array([*values, 0.0, -0.0, 2.0**-64, -(2.0**-64), -1.0, 1 - 2.0**-53, -(1 - 2.0**-53), 2.0**56, -(2.0**56)])
    words = limbs.encode(x)
    assert (words == limbs.encode_numpy(x)).all()
    assert (limbs.decode(words) == limbs.decode_numpy(words)).all()
    np.testing.assert_allclose(limbs.decode(words), x, rtol=1e-15, atol=2.0**-65)

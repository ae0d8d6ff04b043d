import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.core.fixedpoint import FixedPoint
from ppc.errors import ConfigError, TypeMismatchError, ValueRangeError


@given(st.integers(0, 60), st.floats(-1, 1))
def test_what_is_encoded_comes_back_within_half_a_step(frac_bits, unit):
    fx = FixedPoint(frac_bits)
    x = unit * fx.max_abs
    back = fx.decode(fx.encode(np.array([x])))[0]
    assert abs(back - x) <= 0.5 * fx.step + abs(x) * 2.0**-52


def test_the_range_ends_where_the_docs_say():
    fx = FixedPoint(18)
    assert fx.max_abs == 2.0**44
    assert fx.max_product == 2.0**26
    assert fx.decode(fx.encode([fx.max_abs, -fx.max_abs])).tolist() == [fx.max_abs, -fx.max_abs]
    for bad in (np.nextafter(fx.max_abs, np.inf), -1e300):
        with pytest.raises(ValueRangeError, match="income") as e:
            fx.encode([1.0, bad], "income")
        assert "rescale" in (e.value.hint or "")


@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_what_is_no_number_is_refused_by_name_and_without_the_value(bad, word):
    with pytest.raises(ValueRangeError, match=word) as e:
        FixedPoint().encode([1.0, bad], "age")
    assert e.value.where == "age"


def test_text_is_refused():
    with pytest.raises(TypeMismatchError):
        FixedPoint().encode(np.array(["a"]), "name")


def test_integers_are_exact_without_fraction_bits():
    big = np.array([2**53 + 1, -(2**61) - 1], np.int64)
    assert FixedPoint(0).encode(big).view(np.int64).tolist() == big.tolist()
    assert FixedPoint(0).encode(np.array([True, False])).tolist() == [1, 0]


@pytest.mark.parametrize("frac_bits", [-1, 61])
def test_formats_out_of_range(frac_bits):
    with pytest.raises(ConfigError):
        FixedPoint(frac_bits)

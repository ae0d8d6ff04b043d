"""What comes in: every kind of array that is fine, and every kind that is refused with the reason."""

import numpy as np
import pytest

from ppc.core.fixedpoint import FixedPoint
from ppc.errors import ConfigError, TypeMismatchError, ValueRangeError
from ppc.mpc import ops, run

ENGINES = [
    {"engine": "plain"},
    {"engine": "additive", "parties": 2},
    {"engine": "replicated", "parties": 3},
    {"engine": "additive", "parties": 2, "fx": FixedPoint(30, 128)},
    {"engine": "replicated", "parties": 3, "fx": FixedPoint(30, 128)},
]
on_every_engine = pytest.mark.parametrize(
    "how", ENGINES, ids=["plain", "additive", "replicated", "additive-128", "replicated-128"]
)
BLOCK = np.arange(24.0).reshape(4, 6)


def given(s, x, shape=None):
    return ops.share(s, x if s.rank == 0 else None, 0, np.shape(x) if shape is None else shape)


@on_every_engine
@pytest.mark.parametrize(
    "x",
    [
        BLOCK[::2, ::-1], BLOCK.T, np.asfortranarray(BLOCK), np.broadcast_to(1.5, (3, 2)), np.float64(2.0), 7, True,
        np.float32([0.5, -2]), np.float16([0.25]), np.int8([-128, 127]), np.uint8([255]), np.uint64([500]),
        np.array([True, False]), np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(0), [[1, 2], [3, 4]],
        np.array([1.0, 2.0], ">f8"), np.array([[[[1.5]]]]),
    ],
    ids=lambda x: f"{np.asarray(x).dtype}{np.shape(x)}",
)  # fmt: skip
def test_arrays_of_any_layout_and_number_type(how, x):
    def program(s):
        y = given(s, x)
        return (
            ops.open(s, y), ops.open(s, ops.mul(s, y, y)), ops.open_bits(s, ops.less_than(s, y, 1.0)),
            ops.open(s, ops.select(s, ops.less_than_zero(s, y), 0.0, y)), ops.open(s, y.sum()),
        )  # fmt: skip

    exact = np.asarray(x).astype(float)
    for opened, squared, below, chosen, total in run(program, **how):
        np.testing.assert_array_equal(opened, exact)
        assert squared.shape == exact.shape
        assert (np.abs(squared - exact**2) <= 2.0**-18).all()
        np.testing.assert_array_equal(below, exact < 1)
        np.testing.assert_array_equal(chosen, np.maximum(exact, 0))
        assert float(total) == exact.sum()


@on_every_engine
@pytest.mark.parametrize(
    ("x", "error", "reason"),
    [
        (np.array([1.0, np.nan]), ValueRangeError, "NaN"),
        (np.array([1.0, -np.inf]), ValueRangeError, "infinite"),
        (np.array([1e30]), ValueRangeError, "lies outside"),
        (np.array([-(2**63)]) * 2.0**70, ValueRangeError, "lies outside"),
        (np.array(["a", "b"]), TypeMismatchError, "numbers are needed"),
        (np.array([1 + 2j]), TypeMismatchError, "numbers are needed"),
        (np.array([None, 1.0], object), TypeMismatchError, "numbers are needed"),
        (np.array(["2024-01-01"], "M8[D]"), TypeMismatchError, "numbers are needed"),
        (np.ma.masked_array([1.0, 2.0], [False, True]), ValueRangeError, "missing"),
    ],
    ids=["nan", "inf", "large", "larger", "text", "complex", "objects", "dates", "masked"],
)
def test_what_is_no_number_of_the_range_is_refused_by_name(how, x, error, reason):
    with pytest.raises(error, match=reason) as e:
        run(lambda s: ops.share(s, x if s.rank == 0 else None, 0, np.shape(x), name="income"), **how)
    assert e.value.where == "income"
    assert "1e+30" not in str(e.value)


@on_every_engine
def test_shapes_that_do_not_fit(how):
    def raises(program, kind, reason):
        with pytest.raises(kind, match=reason):
            run(program, **how)

    raises(lambda s: given(s, np.ones(3), 4), TypeMismatchError, "shape")
    raises(lambda s: given(s, np.ones(3)) + given(s, np.ones(4)), ValueError, "broadcast")
    raises(lambda s: ops.mul(s, given(s, np.ones((2, 3))), given(s, np.ones(2))), ValueError, "broadcast")
    raises(lambda s: ops.matmul(s, given(s, np.ones((2, 3))), given(s, np.ones((2, 3)))), TypeMismatchError, "shapes")
    raises(lambda s: ops.matmul_t(s, given(s, np.ones((2, 3))), given(s, np.ones((3, 1)))), TypeMismatchError, "shapes")
    raises(lambda s: ops.concatenate([]), TypeMismatchError, "nothing")
    raises(lambda s: ops.truncate(s, given(s, np.ones(3)), -1), ConfigError, "drops")
    raises(lambda s: ops.truncate(s, given(s, np.ones(3)), 126), ConfigError, "drops")


@on_every_engine
@pytest.mark.parametrize("shape", [(2**40,), (2**20, 2**20), (2**70,)])
def test_what_is_too_large_is_refused_before_anything_is_drawn(how, shape):
    for program in (
        lambda s: ops.share(s, None, len(s.parties) - 1, shape),
        lambda s: ops.share_bits(s, None, len(s.parties) - 1, shape),
    ):
        with pytest.raises(ValueRangeError, match="more than 2147483648 elements") as e:
            run(program, **how)
        assert "in parts" in (e.value.hint or "")

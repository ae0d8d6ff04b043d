import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.core import ring
from ppc.errors import TypeMismatchError

EDGES = np.array([0, 1, 2, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1], np.uint64)
SIZES = st.integers(0, 12)


def words(seed, shape):
    r = np.random.default_rng(seed)
    out = r.integers(0, 2**64, shape, dtype=np.uint64)
    return np.where(r.random(shape) < 0.3, r.choice(EDGES, shape), out)


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, SIZES, st.integers(0, 2**32))
def test_matmul_equals_its_numpy_twin(n, d, k, seed):
    a, b = words(seed, (n, d)), words(seed + 1, (d, k))
    np.testing.assert_array_equal(ring.matmul(a, b), ring.matmul_numpy(a, b))


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, SIZES, st.integers(0, 2**32))
def test_matmul_transposed_equals_its_numpy_twin(n, d, k, seed):
    a, g = words(seed, (n, d)), words(seed + 1, (n, k))
    np.testing.assert_array_equal(ring.matmul_transposed(a, g), ring.matmul_numpy(a.T, g))


def test_vectors_follow_numpy():
    a, b = words(1, (7, 5)), words(2, (5,))
    np.testing.assert_array_equal(ring.matmul(a, b), a @ b)
    np.testing.assert_array_equal(ring.matmul(b, a.T), b @ a.T)
    assert ring.matmul(b, b).shape == ()
    assert ring.dot(b, b) == np.dot(b, b)
    np.testing.assert_array_equal(ring.matmul_transposed(a, words(3, (7,))), a.T @ words(3, (7,)))


def test_views_that_are_not_contiguous():
    a = words(1, (20, 30))
    np.testing.assert_array_equal(ring.matmul(a[::2, ::3], a[:10, 5:9]), a[::2, ::3] @ a[:10, 5:9])
    np.testing.assert_array_equal(ring.matmul_transposed(a[::2].T, a.T[:, :2]), a[::2] @ a.T[:, :2])


@pytest.mark.parametrize(("left", "right"), [((2, 3), (2, 3)), ((2, 3), (4,)), ((2, 3, 4), (4, 2)), ((), (3,))])
def test_shapes_that_do_not_fit(left, right):
    with pytest.raises(TypeMismatchError, match="shapes"):
        ring.matmul(np.zeros(left, np.uint64), np.zeros(right, np.uint64))


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_signed_numbers_survive(values):
    array = np.array(values, np.int64)
    assert ring.as_signed(ring.as_ring(array)).tolist() == values


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 63))
def test_shift_right_is_the_floor(value, bits):
    out = ring.shift_right(np.array([value], np.int64).view(np.uint64), bits)
    assert int(out.view(np.int64)[0]) == value >> bits


def test_floats_are_no_ring_elements():
    with pytest.raises(TypeMismatchError, match="float64"):
        ring.as_ring(np.ones(2))


def test_headroom():
    assert [ring.headroom_bits(n) for n in (0, 1, 2, 3, 4, 5, 1024, 1025)] == [0, 0, 1, 2, 2, 3, 10, 11]

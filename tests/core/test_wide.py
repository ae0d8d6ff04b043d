import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.core import ring
from ppc.core.ring import Z64, Z128
from ppc.core.rng import Stream
from ppc.core.wide import Wide, as_wide, from_limbs, word
from ppc.errors import ConfigError, TypeMismatchError

MODULUS = 1 << 128
EDGES = [0, 1, (1 << 64) - 1, 1 << 64, (1 << 127) - 1, 1 << 127, MODULUS - 1, MODULUS - (1 << 64)]
SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)


def draw(seed, shape):
    r = np.random.default_rng(seed)
    limbs = r.integers(0, 2**64, (*shape, 2), dtype=np.uint64)
    words = from_limbs(np.where(r.random((*shape, 2)) < 0.2, np.uint64(2**64 - 1), limbs))
    if shape and words.size:
        words[(0,) * len(shape)] = word(EDGES[seed % len(EDGES)])
    return words


def exact(words):
    """Python integers."""
    limbs = as_wide(words).limbs.astype(object)
    return np.asarray(limbs[..., 0] + limbs[..., 1] * (1 << 64), object)


def same(got, expected):
    assert isinstance(got, Wide)
    assert got.shape == np.shape(expected)
    assert (exact(got) == np.asarray(expected, object) % MODULUS).all()


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(0, 2**32))
def test_arithmetic_is_that_of_python(shape, seed):
    a, b = draw(seed, shape), draw(seed + 1, shape)
    x, y = exact(a), exact(b)
    for f in (np.add, np.subtract, np.multiply, np.bitwise_and, np.bitwise_or, np.bitwise_xor):
        same(f(a, b), f(x, y))
    same(-a, -x)
    same(~a, -x - 1)
    same(a + 5, x + 5)
    same(5 - a, 5 - x)
    same(a.sum(), np.sum(x) if x.size else 0)
    c = a.copy()
    c += b
    c -= a
    same(c, y)
    if shape:
        same(a * b[..., :1], x * y[..., :1])
        for axis in range(len(shape)):
            same(a.sum(axis=axis, keepdims=True), x.sum(axis=axis, keepdims=True))
            same(np.cumsum(a, axis=axis, dtype=np.uint64), np.cumsum(x, axis=axis))
    if len(shape) > 1:
        same(a.sum(axis=(0, -1)), x.sum(axis=(0, len(shape) - 1)))


@given(st.integers(0, 127), st.integers(0, 2**32))
def test_shifts(bits, seed):
    a = draw(seed, (5,))
    same(a << np.uint64(bits), exact(a) << bits)
    same(a >> np.uint64(bits), exact(a) >> bits)
    signed = [v - MODULUS if v >> 127 else v for v in exact(a)]
    same(ring.shift_right(a, bits), [v >> bits for v in signed])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 7), st.integers(0, 7), st.integers(0, 7), st.integers(0, 2**32))
def test_matrix_products(n, d, k, seed):
    a, b, g = draw(seed, (n, d)), draw(seed + 1, (d, k)), draw(seed + 2, (n, k))
    same(ring.matmul(a, b), exact(a) @ exact(b) if d else np.zeros((n, k), object))
    same(ring.matmul_transposed(a, g), exact(a).T @ exact(g) if n else np.zeros((d, k), object))


def test_what_moves_elements_keeps_the_type():
    a = draw(3, (3, 4))
    for f in (
        lambda x: np.concatenate([x, x]), lambda x: np.stack([x, x]), lambda x: x.T, lambda x: x.reshape(4, 3),
        lambda x: np.broadcast_to(x, (2, 3, 4), subok=True), lambda x: x[::-1, [1, 2]], lambda x: x[1, 2],
        lambda x: x[:, None], lambda x: np.asanyarray(x.T, order="C"), lambda x: x.copy(), lambda x: x.ravel(),
    ):  # fmt: skip
        same(f(a), f(exact(a)))


@pytest.mark.parametrize(
    "mixed",
    [
        lambda a: a + np.uint64(3), lambda a: a * np.ones(3), lambda a: a / a, lambda a: a + True, lambda a: a < a,
        lambda a: a == a, lambda a: np.sqrt(a), lambda a: a.astype(np.int64), lambda a: a.view(np.int64),
        lambda a: np.asarray(a) + np.asarray(a), lambda a: a << np.uint64(128), lambda a: np.max(a),
        lambda a: Z128.matmul(np.ones((1, 1), np.uint64), a.reshape(-1, 1)), lambda a: np.add.accumulate(a),
    ],
)  # fmt: skip
def test_anything_else_is_refused(mixed):
    with pytest.raises((TypeError, TypeMismatchError)):
        mixed(draw(1, (3,)))


@given(st.lists(st.integers(-(2**127), 2**127 - 1), max_size=5))
def test_integers_and_bits_come_back(values):
    words = Z128.words(values)
    assert Z128.to_integers(words).tolist() == values
    assert Z128.is_negative(words).tolist() == [v < 0 for v in values]
    assert Z128.to_integers(Z128.unslice_bits(Z128.slice_bits(words), len(values))).tolist() == values
    np.testing.assert_allclose(Z128.to_floats(words), [float(v) for v in values], rtol=4e-16)
    assert Z128.to_integers(Z128.from_limbs(Z128.limbs(words))).tolist() == values


@given(st.lists(st.floats(-1.7e38, 1.7e38).map(np.rint), max_size=5))
def test_whole_floats_are_exact(values):
    assert Z128.to_integers(Z128.of_floats(np.array(values, float))).tolist() == [int(v) for v in values]


def test_numbers_of_every_integer_type():
    for dtype in (np.int8, np.int64, np.uint8, np.uint64, np.bool_):
        numbers = np.array([0, 1], dtype) if dtype == np.bool_ else np.array([np.iinfo(dtype).min, 5], dtype)
        for r in (Z64, Z128):
            assert [int(v) for v in r.to_integers(r.of_integers(numbers))] == [int(v) for v in numbers]
    with pytest.raises(TypeMismatchError, match="float64"):
        Z128.of_integers(np.ones(2))
    with pytest.raises(ConfigError, match="64 or 128"):
        ring.by_bits(96)


def test_drawn_words_use_the_whole_ring():
    words = Z128.draw(Stream(bytes(16)), (4096,))
    for half in (words.lo, words.hi):
        assert abs(np.mean(half.astype(float)) / 2.0**63 - 1) < 0.05

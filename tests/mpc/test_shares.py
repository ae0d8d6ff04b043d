import copy
import io
import pickle

import numpy as np
import pytest

from ppc.errors import PpcError, SecretMisuse, TypeMismatchError, ValueRangeError
from ppc.mpc import AShare, BShare, Session, ops


@pytest.fixture
def s():
    return Session.plain()


@pytest.fixture
def a(s):
    return ops.share(s, np.arange(6.0).reshape(2, 3) + 12345, 0, (2, 3))


@pytest.fixture
def b(s, a):
    return ops.less_than_zero(s, a)


MISUSES = {
    "if x": bool,
    "float": float,
    "int": int,
    "complex": complex,
    "index": lambda x: [1, 2, 3][x],
    "iterate": lambda x: list(x),
    "in": lambda x: 3 in x,
    "asarray": np.asarray,
    "array": lambda x: np.array([x]),
    "ufunc": lambda x: np.exp(x),
    "==": lambda x: x == x,
    "!=": lambda x: x != x,
    "<": lambda x: x < 0,
    "<=": lambda x: x <= 0,
    ">": lambda x: x > 0,
    ">=": lambda x: x >= 0,
    "hash": hash,
    "pickle": lambda x: pickle.dumps(x),
    "save": lambda x: np.save(io.BytesIO(), x),
    "share as index": lambda x: np.arange(3)[x],
}


@pytest.mark.parametrize("name", MISUSES)
def test_secrets_never_become_plain_by_accident(a, b, name):
    for secret in (a, b, a.sum()):
        with pytest.raises(TypeError):
            MISUSES[name](secret)


def test_numbers_and_bits_do_not_mix(a, b):
    for wrong in (
        lambda: a + b,
        lambda: b + a,
        lambda: a * b,
        lambda: b * a,
        lambda: b ^ a,
        lambda: a - b,
        lambda: b - 1,
    ):
        with pytest.raises(TypeError):
            wrong()


def test_products_need_a_session(a, b):
    with pytest.raises(SecretMisuse, match="message") as e:
        a * a
    assert "ops.mul" in (e.value.hint or "")
    with pytest.raises(SecretMisuse, match="truncation") as e:
        a * 0.5
    assert "mul_public" in (e.value.hint or "")
    with pytest.raises(SecretMisuse):
        b & b
    with pytest.raises(SecretMisuse):
        b | b
    with pytest.raises(TypeError):
        a @ a.T
    with pytest.raises(TypeError):
        a / 2


def test_formats_do_not_mix_silently(s, a):
    with pytest.raises(SecretMisuse, match="18 and 0 fraction bits"):
        a + ops.share(s, np.ones((2, 3)), 0, (2, 3), frac_bits=0)


def test_a_secret_index_is_refused(a, b):
    for secret in (a, b):
        with pytest.raises(SecretMisuse):
            a[secret]
        with pytest.raises(SecretMisuse):
            b[secret]


def test_the_repr_shows_the_shape_only(a, b):
    assert repr(a) == "<AShare shape=(2, 3) frac_bits=18>"
    assert repr(b) == "<BShare shape=(2, 3)>"
    assert "12345" not in f"{a} {a.__dict__ if hasattr(a, '__dict__') else ''}"


def test_numpy_on_the_left(s, a):
    plain = np.arange(6.0).reshape(2, 3) + 12345
    assert isinstance(np.ones(3) + a, AShare)
    np.testing.assert_array_equal(ops.open(s, np.full(3, 0.5) - a), 0.5 - plain)
    np.testing.assert_array_equal(ops.open(s, np.arange(3) * a), np.arange(3) * plain)
    np.testing.assert_array_equal(ops.open(s, np.float64(2) + a + np.int64(1)), plain + 3)


def test_copies_are_the_same_immutable_object(a):
    assert copy.copy(a) is a
    assert copy.deepcopy(a) is a


def test_lengths_and_shapes(a, b):
    assert (len(a), a.ndim, a.size, a.T.shape, a.ravel().shape, a[..., None].shape) == (
        2,
        2,
        6,
        (3, 2),
        (6,),
        (2, 3, 1),
    )
    assert (len(b), b.ndim, b.size, b.T.shape, b.ravel().shape) == (2, 2, 6, (3, 2), (6,))
    assert a.transpose(1, 0).shape == (3, 2)
    assert a.broadcast_to((4, 2, 3)).shape == (4, 2, 3)
    assert isinstance(b[0], BShare)


def test_inputs_are_checked(s):
    with pytest.raises(ValueRangeError, match="income"):
        ops.share(s, [np.nan], 0, 1, name="income")
    with pytest.raises(ValueRangeError, match="public operand"):
        ops.share(s, [1.0], 0, 1) + np.inf
    with pytest.raises(TypeMismatchError, match=r"\(3,\).*\(4,\)"):
        ops.share(s, np.ones(3), 0, 4)
    with pytest.raises(PpcError, match="owner"):
        ops.share(s, None, 0, 4)
    with pytest.raises(PpcError, match="rank"):
        ops.share(s, np.ones(4), 3, 4)
    with pytest.raises(TypeMismatchError, match="booleans"):
        ops.share_bits(s, np.ones(4), 0, 4)


def test_shapes_that_do_not_fit(s, a):
    for wrong in (lambda: ops.matmul(s, a, a), lambda: ops.matmul_t(s, a, a.T), lambda: ops.dot(s, a, a),
                  lambda: ops.concatenate([]), lambda: ops.concatenate([a, a.reinterpret(3)]),
                  lambda: ops.solve(s, a, a), lambda: ops.inverse(s, a), lambda: ops.select(s, a, 1, 2)):  # fmt: skip
        with pytest.raises(TypeMismatchError):
            wrong()
    f = ops.fixed_matrix(s, np.ones((4, 2)), 0, (4, 2))
    with pytest.raises(TypeMismatchError, match=r"\(4, 2\)"):
        ops.matmul_fixed(s, f, a.T)
    with pytest.raises(TypeMismatchError, match="step"):
        f.rows(slice(0, 4, 2))
    with pytest.raises(SecretMisuse):
        np.asarray(f)
    assert f.rows(slice(1, 3)).rows(slice(1, 9)).shape == (1, 2)

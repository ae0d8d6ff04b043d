import pickle

import numpy as np
import pytest

from ppc.errors import PpcError, SecretMisuse, TypeMismatchError
from ppc.mpc import SecureArray, Session, array, run, where
from ppc.mpc import secure_functions as sa

A = np.round(np.random.default_rng(1).normal(size=(6, 4)) * 2**18) / 2**16
B = np.round(np.random.default_rng(2).normal(size=(6, 4)) * 2**18) / 2**17
B[0], B[1, 1] = A[0], 0.0
V = np.array([0.5, -1.25, 2.0, 3.0])
POSITIVE = np.abs(A) + 0.25

# Written once; `x`, `y`, `v`, `p` are NumPy arrays in the clear and SecureArrays in secret.
EXPRESSIONS = {
    "x + y": lambda x, y, v, p: x + y,
    "x - 1.5": lambda x, y, v, p: x - 1.5,
    "2 - x": lambda x, y, v, p: 2 - x,
    "public array + x": lambda x, y, v, p: np.arange(4) + x,
    "public array * x": lambda x, y, v, p: np.arange(4) * x,
    "floats * x": lambda x, y, v, p: np.array([0.5, -2, 0, 3]) * x,
    "-x + +y": lambda x, y, v, p: -x + +y,
    "x * y": lambda x, y, v, p: x * y,
    "x * v": lambda x, y, v, p: x * v,
    "x * 0.3": lambda x, y, v, p: x * 0.25,
    "x / 4": lambda x, y, v, p: x / 4,
    "x / p": lambda x, y, v, p: x / p,
    "x / -p": lambda x, y, v, p: x / -p,
    "1 / p": lambda x, y, v, p: 1 / p,
    "x @ v": lambda x, y, v, p: x @ v,
    "x @ y.T": lambda x, y, v, p: x @ y.T,
    "x @ public": lambda x, y, v, p: x @ V,
    "public @ x": lambda x, y, v, p: B.T @ x,
    "x.dot(v)": lambda x, y, v, p: x.dot(v),
    "np.dot": lambda x, y, v, p: np.dot(x, v),
    "x ** 2": lambda x, y, v, p: x**2,
    "x ** 3": lambda x, y, v, p: (x / 4) ** 3,
    "x ** 0": lambda x, y, v, p: x**0,
    "p ** 0.5": lambda x, y, v, p: p**0.5,
    "p ** -0.5": lambda x, y, v, p: p**-0.5,
    "p ** -1": lambda x, y, v, p: p**-1.0,
    "abs": lambda x, y, v, p: abs(x) + np.abs(y),
    "x < y": lambda x, y, v, p: x < y,
    "x <= y": lambda x, y, v, p: x <= y,
    "x > 0": lambda x, y, v, p: x > 0,
    "x >= public": lambda x, y, v, p: x >= B,
    "public < x": lambda x, y, v, p: np.less(B, x),
    "x == y": lambda x, y, v, p: x == y,
    "x != 0": lambda x, y, v, p: y != 0,
    "bool == bool": lambda x, y, v, p: (x > 0) == (y > 0),
    "and or xor not": lambda x, y, v, p: ((x > 0) & (y > 0)) | ~((x > 1) ^ (y > 1)),
    "bool with public": lambda x, y, v, p: (x > 0) & (B > 0),
    "bool * x": lambda x, y, v, p: (x > 0) * y + y * (x < 0),
    "bool + bool": lambda x, y, v, p: (x > 0) * 1 + (y > 0),
    "count": lambda x, y, v, p: (x > y).sum(),
    "count by axis": lambda x, y, v, p: (x > y).sum(axis=0),
    "share": lambda x, y, v, p: (x > y).mean(),
    "any all": lambda x, y, v, p: (x > 100).any() | (x > -100).all(),
    "where": lambda x, y, v, p: (where if isinstance(x, SecureArray) else np.where)(x > y, x, y),
    "np.where": lambda x, y, v, p: np.where(x > 0, 1.5, y),
    "np.where of constants": lambda x, y, v, p: np.where(x > 0, 1.5, -2.0),
    "sum": lambda x, y, v, p: x.sum() + np.sum(x, axis=1).sum(),
    "sum keepdims": lambda x, y, v, p: x - x.sum(axis=1, keepdims=True),
    "cumsum": lambda x, y, v, p: np.cumsum(x, axis=0),
    "mean": lambda x, y, v, p: np.mean(x, axis=0) + x.mean(),
    "var": lambda x, y, v, p: np.var(x, axis=1) + x.var(ddof=1),
    "std": lambda x, y, v, p: np.std(x, axis=0),
    "min max": lambda x, y, v, p: x.max(axis=0) - np.min(x, axis=0) + x.max(),
    "argmin argmax": lambda x, y, v, p: x.argmax(axis=1) * 10 + np.argmin(y, axis=1),
    "maximum minimum": lambda x, y, v, p: np.maximum(x, y) - np.minimum(x, 0.5),
    "clip": lambda x, y, v, p: np.clip(x, -1, 2),
    "slice": lambda x, y, v, p: x[1:4, ::2],
    "index": lambda x, y, v, p: x[[4, 0]][:, 1],
    "mask": lambda x, y, v, p: x[np.array([True, False] * 3)],
    "new axis": lambda x, y, v, p: v[:, None] * v,
    "transpose reshape": lambda x, y, v, p: x.T.reshape(3, 8) + np.reshape(y, (3, 8)),
    "ravel": lambda x, y, v, p: np.ravel(x) + y.flatten(),
    "rows": lambda x, y, v, p: sum(row * 2 for row in x),
    "concatenate": lambda x, y, v, p: np.concatenate([x, B, y]),
    "stack": lambda x, y, v, p: np.stack([x, y], axis=1),
    "exp": lambda x, y, v, p: np.exp(v),
    "log": lambda x, y, v, p: np.log(p),
    "sqrt": lambda x, y, v, p: np.sqrt(p),
    "tanh": lambda x, y, v, p: np.tanh(v) * 100,
    "sign": lambda x, y, v, p: np.sign(y),
    "sort": lambda x, y, v, p: np.sort(x[:, 0]),
    "median": lambda x, y, v, p: np.median(x[:, 1]),
    "quantile": lambda x, y, v, p: np.quantile(x[:, 1], [0.25, 0.9]),
    "standardised": lambda x, y, v, p: (x - x.mean(axis=0)) / x.std(axis=0),
}

TOLERANCE = {"tanh": 0.2, "x / p": 2e-3, "x / -p": 2e-3, "standardised": 2e-3}


def secrets(s):
    last = len(s.parties) - 1
    give = lambda x, owner: array(s, x if s.rank == owner else None, owner, x.shape)  # noqa: E731
    return give(A, 0), give(B, last), give(V, 0), give(POSITIVE, last)


@pytest.mark.parametrize("engine", ["plain", "additive"])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_it_reads_like_numpy(engine, name):
    expression = EXPRESSIONS[name]
    expected = np.asarray(expression(A, B, V, POSITIVE))

    def program(s):
        result = expression(*secrets(s))
        assert isinstance(result, SecureArray)
        assert result.shape == expected.shape
        return result.reveal()

    for got in run(program, engine=engine):
        got = np.asarray(got)
        if expected.dtype.kind == "b":
            assert got.dtype == bool
        np.testing.assert_allclose(got, expected, atol=TOLERANCE.get(name, 3e-4), rtol=1e-4)


def test_sigmoid_and_softmax():
    def program(s):
        x, *_ = secrets(s)
        return sa.sigmoid(x).reveal(), sa.softmax(x).reveal()

    powers = np.exp(A - A.max(axis=1, keepdims=True))
    for sigmoid, softmax in run(program):
        assert np.abs(sigmoid - 1 / (1 + np.exp(-A))).max() < 1e-3
        assert np.abs(softmax - powers / powers.sum(axis=1, keepdims=True)).max() < 1e-4


def test_assignment_by_public_index():
    def program(s):
        x, y, v, _ = secrets(s)
        kept = x.copy()
        x[0] = 7.5
        x[1:3, [0, 3]] = y[1:3, :2]
        x[5] = v
        flags = y > 0
        flags[2:4] = True
        flags[0] = x[0] > 0
        return x.reveal(), kept.reveal(), flags.reveal()

    expected, flags = A.copy(), B > 0
    expected[0], expected[1:3, [0, 3]], expected[5] = 7.5, B[1:3, :2], V
    flags[2:4], flags[0] = True, True
    for got, kept, got_flags in run(program):
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(kept, A)
        np.testing.assert_array_equal(got_flags, flags)


def test_reveal_to_one_party():
    def program(s):
        x, y, *_ = secrets(s)
        return x.reveal(to=1), (x > y).reveal(to="party-0"), (x > y).sum().reveal(to=0)

    (none, flags, count), (plain, no_flags, no_count) = run(program)
    assert none is no_flags is no_count is None
    np.testing.assert_array_equal(plain, A)
    np.testing.assert_array_equal(flags, A > B)
    assert count == (A > B).sum()
    assert count.dtype == np.int64


def test_booleans_are_shared_as_bits():
    def program(s):
        x = sa.booleans(s, A > 0 if s.rank == 0 else None, 0, A.shape)
        return x.is_boolean, len(x), x.ndim, x.size, x.T.shape, x.reveal()

    for *facts, plain in run(program):
        assert facts == [True, 6, 2, 24, (4, 6)]
        np.testing.assert_array_equal(plain, A > 0)


MISUSES = {
    "if": bool,
    "float": float,
    "int": int,
    "range": lambda x: range(x),
    "asarray": np.asarray,
    "pickle": pickle.dumps,
    "hash": hash,
    "in": lambda x: 3 in x,
    "secret index": lambda x: np.arange(3)[x],
    "index by secret": lambda x: x[x],
    "unknown function": lambda x: np.linalg.norm(x),
    "unknown ufunc": lambda x: np.sin(x),
    "reduce": lambda x: np.add.reduce(x),
    "in place sort": lambda x: x.sort(),
}


@pytest.mark.parametrize("name", MISUSES)
def test_what_needs_the_plain_value_is_refused(name):
    s = Session.plain()
    x = array(s, [1.0, 2.0], 0, 2)
    for secret in (x, x.sum(), x > 1):
        with pytest.raises(TypeError):
            MISUSES[name](secret)


def test_refusals_say_what_to_use():
    x = array(Session.plain(), [1.0], 0, 1)
    with pytest.raises(SecretMisuse) as e:
        bool(x > 0)
    assert "where" in (e.value.hint or "")
    with pytest.raises(SecretMisuse) as e:
        float(x)
    assert "reveal" in (e.value.hint or "")


def test_wrong_mixes():
    x = array(Session.plain(), [1.0, 2.0], 0, 2)
    other = array(Session.plain(), [1.0, 2.0], 0, 2)
    with pytest.raises(SecretMisuse, match="two sessions"):
        x + other
    for wrong in (lambda: x & x, lambda: ~x, lambda: (x > 0) & 1.5, lambda: where(x, x, x), lambda: x**0.3,
                  lambda: (x > 0).any() & "a"):  # fmt: skip
        with pytest.raises(TypeMismatchError):
            wrong()
    with pytest.raises(PpcError):
        x + np.nan


def test_the_repr_shows_no_values():
    x = array(Session.plain(), [1234.5], 0, 1)
    assert repr(x) == "<SecureArray numbers shape=(1,)>"
    assert repr(x > 0) == "<SecureArray booleans shape=(1,)>"

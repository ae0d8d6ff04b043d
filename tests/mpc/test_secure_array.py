import pickle

import numpy as np
import pytest

from ppc.errors import ConfigError, PpcError, SecretMisuse, TypeMismatchError
from ppc.mpc import SecureArray, Session, array, run, where
from ppc.mpc import secure_functions as sa
from ppc.mpc import secure_tables as tables

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
    "sum of axes": lambda x, y, v, p: (x.reshape(2, 3, 4)).sum(axis=(0, 2)),
    "mean of axes": lambda x, y, v, p: np.mean(x.reshape(2, 3, 4), axis=(0, 2), keepdims=True),
    "var keepdims": lambda x, y, v, p: x - np.var(x, axis=1, keepdims=True),
    "std of axes": lambda x, y, v, p: x.reshape(2, 3, 4).std(axis=(0, 1)),
    "max keepdims": lambda x, y, v, p: x - x.max(axis=-1, keepdims=True),
    "min of axes": lambda x, y, v, p: np.min(x.reshape(2, 3, 4), axis=(2, 0)),
    "argmax in three dimensions": lambda x, y, v, p: x.reshape(2, 3, 4).argmax(axis=1),
    "any by axis": lambda x, y, v, p: (x > 1).any(axis=0) | np.all(x > -1, axis=0),
    "all keepdims": lambda x, y, v, p: np.all(x > -1, axis=1, keepdims=True),
    "any of axes": lambda x, y, v, p: (x.reshape(2, 3, 4) > 1).any(axis=(0, 1)),
    "count_nonzero": lambda x, y, v, p: np.count_nonzero(y, axis=0) + np.count_nonzero(x > 0, axis=0),
    "ptp": lambda x, y, v, p: np.ptp(x, axis=0),
    "average": lambda x, y, v, p: np.average(x, axis=0, weights=np.arange(1, 7)[:, None] + 0 * A),
    "weighted by secret": lambda x, y, v, p: np.average(x, weights=p),
    "integers stay exact": lambda x, y, v, p: (x > 0).sum(axis=0) @ np.arange(4),
    "integer matrix": lambda x, y, v, p: x @ np.arange(8).reshape(4, 2),
    "flip roll": lambda x, y, v, p: np.flip(x, 0) + np.roll(y, 2, axis=1) + np.fliplr(x) + np.flipud(y),
    "swap move": lambda x, y, v, p: np.swapaxes(x, 0, 1) + np.moveaxis(y, 0, 1) + x.swapaxes(1, 0),
    "transpose of three": lambda x, y, v, p: (
        np.transpose(x.reshape(2, 3, 4), (2, 0, 1)) + y.reshape(2, 3, 4).transpose(2, 0, 1)
    ),
    "transpose of booleans": lambda x, y, v, p: np.transpose(x > 0) & np.flip(y > 0).T,
    "squeeze expand": lambda x, y, v, p: np.squeeze(np.expand_dims(x, 1)) + x[None].squeeze(0),
    "broadcast_to": lambda x, y, v, p: np.broadcast_to(v, (3, 4)),
    "repeat tile": lambda x, y, v, p: np.repeat(v, 2) + np.tile(v, 2) + v.repeat(2),
    "delete diagonal": lambda x, y, v, p: np.diagonal(np.delete(x, 1, axis=0)[:4]),
    "trace rot90": lambda x, y, v, p: np.trace(x) + np.trace(np.rot90(y)),
    "split": lambda x, y, v, p: np.split(x, 3)[1] + np.array_split(y, 3)[2],
    "stacks": lambda x, y, v, p: np.vstack([x, v]) + np.vstack([v, y]),
    "hstack": lambda x, y, v, p: np.hstack([x, B]) - np.hstack([y, x]),
    "column_stack": lambda x, y, v, p: np.column_stack([x[:, 0], y]),
    "concatenate of booleans": lambda x, y, v, p: np.concatenate([x > 0, y > 0, B > 1]),
    "stack of booleans": lambda x, y, v, p: np.stack([x > 0, y > 0], axis=1),
    "diff": lambda x, y, v, p: np.diff(x, axis=0)[:, 1:] + np.diff(x, n=1)[1:],
    "zeros and ones": lambda x, y, v, p: np.zeros_like(x) + np.ones_like(y),
    "outer": lambda x, y, v, p: np.outer(v, p[0]),
    "outer public": lambda x, y, v, p: np.outer(v, V) + np.outer(V, v),
    "inner": lambda x, y, v, p: np.inner(x, v) + np.inner(x, y)[:, 0],
    "vdot": lambda x, y, v, p: np.vdot(x, y),
    "cov": lambda x, y, v, p: np.cov(x, rowvar=False) + np.cov(x.T),
    "cov of one": lambda x, y, v, p: np.cov(v),
    "floor ceil": lambda x, y, v, p: np.floor(x) * 100 + np.ceil(y),
    "as integers": lambda x, y, v, p: x.astype(int),
    "as booleans and floats": lambda x, y, v, p: y.astype(bool) & ((x > 0).astype(float).astype(bool)),
    "fabs": lambda x, y, v, p: np.fabs(x),
    "logarithms": lambda x, y, v, p: np.log2(p) + np.log10(p) + np.log1p(p),
    "expm1": lambda x, y, v, p: np.expm1(v),
    "take": lambda x, y, v, p: np.take(x, [3, 0], axis=0) + np.take(y, [0, 1], axis=0),
    "take at secret places": lambda x, y, v, p: np.take(v, np.argmax(x, axis=1)),
    "take rows at secret places": lambda x, y, v, p: np.take(y, np.argmax(x, axis=0), axis=0),
    "argsort": lambda x, y, v, p: np.argsort(v),
    "take in order": lambda x, y, v, p: np.take(v, np.argsort(v)),
    "percentile": lambda x, y, v, p: np.percentile(x[:, 0], [10, 50]),
    "histogram": lambda x, y, v, p: np.histogram(x, [-4, -1, 0, 2.5, 4])[0],
    "histogram of weights": lambda x, y, v, p: np.histogram(x, np.array([-4, -1, 4]), weights=y)[0],
    "inverse": lambda x, y, v, p: np.linalg.inv(x.T @ x / 8 + np.eye(4)),
    "where public": lambda x, y, v, p: np.where(B > 0, x, y) + np.where(A > 0, x, 2.0),
    "where of booleans": lambda x, y, v, p: np.where(x > 0, y > 0, x > 1) ^ np.where(A > 0, y > 0, A > 1),
    "bool or public": lambda x, y, v, p: ((x > 0) | (B > 0)) & (np.arange(4) > 1) | np.True_,
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


def test_integers_are_keys_and_indices():
    place = np.array([2, 0, 5, -3])
    table = np.array([10.0, 20.5, -30.25])

    def program(s):
        i = sa.integers(s, place if s.rank == 1 else None, "party-1", 4)
        t = array(s, table if s.rank == 0 else None, 0, 3)
        assert (i.dtype, t.dtype, (t > 0).dtype) == (np.int64, np.float64, bool)
        found = [tables.lookup(table, i), tables.lookup(t, i), tables.lookup(t, i, by_sorting=True)]
        return i.reveal(), [x.reveal() for x in found], tables.one_hot(i, [2, -3]).reveal()

    for plain, found, hot in run(program):
        assert plain.dtype == np.int64
        np.testing.assert_array_equal(plain, place)
        for x in found:
            np.testing.assert_array_equal(x, table[[2, 0, 2, 0]])
        np.testing.assert_array_equal(hot, [[1, 0], [0, 0], [0, 0], [0, 1]])


def test_groups_and_joins():
    key, spent = np.array([3, 1, 3, 3, 2]), np.array([1.5, 2.0, 0.25, 4.0, 8.0])
    other, price = np.array([3, 3, 2]), np.array([1.0, 2.0, 10.0])

    def program(s):
        k = sa.integers(s, key if s.rank == 0 else None, 0, 5)
        x = array(s, spent if s.rank == 0 else None, 0, 5)
        o = sa.integers(s, other if s.rank == 1 else None, 1, 3)
        w = array(s, price if s.rank == 1 else None, 1, 3)
        g, h = tables.group_by(k, x).first(4), tables.group_by(k, x, categories=[1, 9])
        assert "rows=4" in repr(g)
        assert len(h) == 2
        joined = tables.inner_join_count(k, o), tables.inner_join_sum(k, x, o), tables.inner_join_sum(k, x, o, w)
        groups = [[v.reveal().tolist() for v in (a.keys, a.counts, *a.sums, a.present)] for a in (g, h)]
        return groups, [float(v.reveal()) for v in joined]

    for (by_key, known), joined in run(program):
        assert by_key == [[1, 2, 3, 0], [1, 1, 3, 0], [2, 8, 5.75, 0], [1, 1, 1, 0]]
        assert known == [[1, 9], [1, 0], [2, 0], [1, 0]]
        assert joined == [7, 19.5, 5.75 * 3 + 80]


def test_random_arrays():
    def program(s):
        return [
            x.reveal()
            for x in (
                tables.random_uniform(s, 200), tables.random_integers(s, 5, 8, (10, 20)), tables.bernoulli(s, 0.5, 200),
                tables.discrete_gaussian(s, 2.0, 200), tables.discrete_laplace(s, 2.0, 200),
                sa.shuffle(array(s, np.arange(50.0) if s.rank == 0 else None, 0, 50)),
            )
        ]  # fmt: skip

    (uniform, whole, coins, gauss, laplace, shuffled), _ = run(program)
    assert 0 <= uniform.min() <= uniform.max() < 1
    assert set(whole.ravel()) == {5, 6, 7}
    assert coins.dtype == bool
    assert 0 < coins.sum() < 200
    assert gauss.dtype == laplace.dtype == np.int64
    assert 0.5 < gauss.std() < 4 < 10 > laplace.std() > 0.5
    assert not np.array_equal(shuffled, np.arange(50))
    np.testing.assert_array_equal(np.sort(shuffled), np.arange(50))


def test_the_largest_and_their_rows():
    def program(s):
        x, y, *_ = secrets(s)
        return [v.reveal() for v in sa.top_k(x[:, 0], 2, y)]

    order = np.argsort(-A[:, 0])[:2]
    for values, rows in run(program):
        np.testing.assert_array_equal(values, A[order, 0])
        np.testing.assert_array_equal(rows, B[order])


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
    "item": lambda x: x.item(),
    "tolist": lambda x: x.tolist(),
    "arguments that are not taken": lambda x: np.sum(x, where=[True, False]),
    "round": lambda x: np.round(x),
    "unique": lambda x: np.unique(x),
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
                  lambda: (x > 0).any() & "a", lambda: x.mean(axis=1), lambda: x.max(axis=(0, 0)),
                  lambda: tables.lookup([1.0], x), lambda: (x > 0) | 1, lambda: x.astype("U5")):  # fmt: skip
        with pytest.raises(TypeMismatchError):
            wrong()
    with pytest.raises(PpcError):
        x + np.nan
    for nobody in ("bank-z", 7, -1):
        with pytest.raises(ConfigError):
            x.reveal(to=nobody)
        with pytest.raises(ConfigError):
            array(x.session, [1.0], nobody, 1)


def test_the_repr_shows_no_values():
    x = array(Session.plain(), [1234.5], 0, 1)
    assert repr(x) == "<SecureArray numbers shape=(1,)>"
    assert repr(x > 0) == "<SecureArray booleans shape=(1,)>"

"""What only Z_2^128 can do: 40 fraction bits, wide ranges, sums that are exact beyond 2**63; on every engine.

The cases of `test_engines.py` run in both rings; here the references are Python's integers and fractions.
"""

import threading
from fractions import Fraction

import numpy as np
import pytest

from ppc.core.fixedpoint import FixedPoint
from ppc.errors import ConfigError, ProtocolAbort, ValueRangeError
from ppc.mpc import ops, run
from ppc.mpc.session import Session
from ppc.net import memory

WIDE = FixedPoint(40, ring_bits=128)
STEP = Fraction(1, 2**40)
ENGINES = {
    "plain": {"engine": "plain"},
    "additive": {"engine": "additive", "parties": 2},
    "replicated": {"engine": "replicated", "parties": 3},
}
on_every_engine = pytest.mark.parametrize("engine", ENGINES)


def numbers(seed, n, scale):
    return np.round(np.random.default_rng(seed).uniform(-1, 1, n) * scale * 2.0**20) / 2.0**20


def shares(s, *arrays):
    last = len(s.parties) - 1
    return [
        ops.share(s, x if s.rank == min(i, last) else None, min(i, last), np.shape(x)) for i, x in enumerate(arrays)
    ]


def exact(words):
    """The opened ring elements as fractions."""
    return [Fraction(int(v), 2**40) for v in np.ravel(WIDE.ring.to_integers(words))]


def words_of(s, x):
    return s.engine.open(s, [x])[0]


@on_every_engine
def test_products_and_truncations_to_forty_bits(engine):
    x, y = numbers(1, 200, 2.0**20), numbers(2, 200, 2.0**20)

    def program(s):
        a, b = shares(s, x, y)
        matrix, other = a.reshape(10, 20), b.reshape(20, 10)
        return [
            words_of(s, z)
            for z in (ops.mul(s, a, b), ops.square(s, a + 1), ops.matmul(s, matrix, other), ops.truncate(s, a, 22))
        ]

    fx, fy = [Fraction(v) for v in x], [Fraction(v) for v in y]
    wanted = [
        [a * b for a, b in zip(fx, fy, strict=True)],
        [(a + 1) ** 2 for a in fx],
        [sum(fx[20 * i + k] * fy[10 * k + j] for k in range(20)) for i in range(10) for j in range(10)],
    ]
    for product, squared, matrix, cut in run(program, fx=WIDE, **ENGINES[engine]):
        for got, expected in zip((product, squared, matrix), wanted, strict=True):
            assert all(abs(g - e) < STEP for g, e in zip(exact(got), expected, strict=True))
        assert all(abs(Fraction(int(v), 2**18) - e) < Fraction(1, 2**18)
                   for v, e in zip(WIDE.ring.to_integers(cut), fx, strict=True))  # fmt: skip


@on_every_engine
def test_sums_means_and_variances_beyond_the_small_ring(engine):
    x = numbers(3, 1000, 2.0**40)  # squares reach 2**80, which 64 bits cannot hold

    def program(s):
        (a,) = shares(s, x)
        return words_of(s, a.sum()), ops.open(s, ops.mean(s, a)), ops.open(s, ops.variance(s, a))

    total = sum(Fraction(v) for v in x)
    for words, mean, variance in run(program, fx=FixedPoint(16, 128), **ENGINES[engine]):
        assert Fraction(int(WIDE.ring.to_integers(words)), 2**16) == sum(
            Fraction(round(Fraction(v) * 2**16), 2**16) for v in x
        )
        assert abs(mean - float(total) / 1000) < 1e-4 * abs(mean) + 1
        np.testing.assert_allclose(variance, x.var(ddof=1), rtol=1e-6)


@on_every_engine
def test_integers_stay_exact(engine):
    x = np.array([2**62, -(2**62), 12345678901234567, 3], np.int64)

    def program(s):
        (a,) = shares(s, x)
        return words_of(s, a * 1000 + a.sum())

    for words in run(program, fx=FixedPoint(0, 128), **ENGINES[engine]):
        assert WIDE.ring.to_integers(words).tolist() == [int(v) * 1000 + int(x.sum()) for v in x]


@on_every_engine
def test_comparisons_at_the_edges(engine):
    top = 2.0**85
    x = np.array([0.0, 2.0**-40, -(2.0**-40), top, -top, 1.5, -1.5, 2.0**24, -(2.0**24)])
    y = np.array([0.0, 0.0, 0.0, -top, top, 1.5 - 2.0**-40, -1.5, 2.0**24 + 2.0**-20, -(2.0**24)])

    def program(s):
        a, b = shares(s, x, y)
        below = ops.less_than(s, a, b)
        each = ops.less_than_each(s, a, [-1.0, 2.0**-40, 2.0**30])
        return (
            ops.open_bits(s, below), [ops.open_bits(s, bit) for bit in each], ops.open_bits(s, ops.equal(s, a, b)),
            ops.open(s, ops.b2a(s, below)), ops.open(s, ops.select(s, below, a, b)), ops.open(s, ops.absolute(s, a)),
            ops.open(s, ops.sort(s, a[5:])[0]),
        )  # fmt: skip

    for below, each, equal, number, chosen, magnitude, ordered in run(program, fx=WIDE, **ENGINES[engine]):
        np.testing.assert_array_equal(below, x < y)
        for bit, t in zip(each, [-1.0, 2.0**-40, 2.0**30], strict=True):
            np.testing.assert_array_equal(bit, x < t)
        np.testing.assert_array_equal(equal, x == y)
        np.testing.assert_array_equal(number, x < y)
        np.testing.assert_array_equal(chosen, np.minimum(x, y))
        np.testing.assert_array_equal(magnitude, np.abs(x))
        np.testing.assert_array_equal(ordered, np.sort(x[5:]))


@on_every_engine
def test_sigmoid_of_a_product_of_eighty_bits(engine):
    x, y = numbers(5, 500, 3.0), numbers(6, 500, 3.0)

    def program(s):
        a, b = shares(s, x, y)
        return ops.open(s, ops.sigmoid(s, a)), ops.open(s, ops.sigmoid(s, ops.mul(s, a, b, truncated=False)))

    for one, two in run(program, fx=WIDE, **ENGINES[engine]):
        assert np.abs(one - 1 / (1 + np.exp(-x))).max() < 7.2e-4
        assert np.abs(two - 1 / (1 + np.exp(-x * y))).max() < 7.2e-4


def test_the_range_and_the_formats_are_checked():
    assert WIDE.max_abs == 2.0**86
    assert WIDE.max_product == 2.0**46
    with pytest.raises(ValueRangeError, match="40 fraction bits in 128"):
        WIDE.encode([1e26])
    with pytest.raises(ConfigError, match="between 0 and 124"):
        FixedPoint(125, 128)
    with pytest.raises(ConfigError, match="64 or 128"):
        FixedPoint(18, 100)


def test_parties_of_different_rings_do_not_start():
    ends = memory.network(["a", "b", "c"])

    def open_session(name, ring_bits):
        own = dict(ends[name])
        return Session.replicated(name, ["a", "b", "c"], own, FixedPoint(18, ring_bits))

    failures = []

    def start(name, ring_bits):
        try:
            open_session(name, ring_bits)
        except Exception as error:
            failures.append(error)
            for channel in ends[name].values():
                channel.close()

    threads = [threading.Thread(target=start, args=a) for a in (("a", 64), ("b", 128), ("c", 64))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert any(isinstance(e, ProtocolAbort) and "ring" in str(e) for e in failures)


COSTS = {  # rounds and bytes an element, by party
    ("additive", "open"): (lambda s, x: ops.open(s, x), 1, (16, 16)),
    ("additive", "mul"): (lambda s, x: ops.mul(s, x, x + 1), 2, (48, 48)),
    ("additive", "less than"): (lambda s, x: ops.less_than_zero(s, x), 4, (26.5, 26.5)),
    ("additive", "sigmoid"): (lambda s, x: ops.sigmoid(s, x), 5, (69.25, 69.25)),
    ("replicated", "mul"): (lambda s, x: ops.mul(s, x, x + 1), 2, (24, 24, 24)),
    ("replicated", "less than"): (lambda s, x: ops.less_than_zero(s, x), 9, (46.5, 46.625, 46.5)),
}


@pytest.mark.parametrize(("engine", "name"), COSTS)
def test_the_stated_cost(engine, name):
    operation, rounds, each = COSTS[engine, name]

    def price(n):
        def program(s):
            (x,) = shares(s, np.ones(n))
            x = x + 0
            before = s.meter
            operation(s, x)
            return s.meter - before

        return run(program, fx=WIDE, **ENGINES[engine])

    for a, b, wanted in zip(price(1024), price(2048), each, strict=True):
        assert a.rounds == b.rounds == rounds
        assert (b.sent - a.sent) / 1024 == wanted


def test_rounds_are_paid_anew_for_many_comparisons():
    values = np.linspace(-1, 1, 600_000)

    def program(s):
        x = ops.share(s, values if s.rank == 0 else None, 0, values.size) + 0
        before = s.meter
        bit = ops.less_than_zero(s, x)
        return (s.meter - before).rounds, int(ops.open_bits(s, bit).sum())

    for engine, rounds in (("additive", 6), ("replicated", 16)):
        assert run(program, **ENGINES[engine])[0] == (rounds, int((np.round(values * 2**18) < 0).sum()))

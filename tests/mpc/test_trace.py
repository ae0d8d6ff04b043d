"""What `trace` counts from shapes is what `profile` measures, line by line and to the byte."""

import numpy as np
import pytest

from ppc.core.fixedpoint import FixedPoint
from ppc.errors import ConfigError
from ppc.mpc import SecureArray, ops, run, trace

ENGINES = [("additive", 2), ("additive", 3), ("replicated", 3)]


def values(s, owner, shape, of=np.ones):
    return None if s.tracing or s.rank != owner else of(shape)


def arithmetic(s):
    x = ops.share(s, values(s, 0, (40, 5)), 0, (40, 5))
    y = ops.share(s, values(s, 1, (40, 5)), 1, (40, 5))
    z = ops.mul(s, x, y)
    z = ops.mul(s, z, z + 1)
    w = ops.matmul_t(s, z, x)
    f = ops.fixed_matrix(s, values(s, 1, (40, 5)), 1, (40, 5))
    for rows in s.repeat([slice(i, i + 10) for i in range(0, 40, 10)]):
        w = w + ops.matmul_fixed_t(s, f.rows(rows), z[rows])
    ops.reveal(s, w, 1)
    return ops.open(s, w)


def comparisons(s):
    x = ops.share(s, values(s, 0, 300), 0, 300)
    bit = ops.less_than(s, x, 0.5)
    other = ops.share_bits(s, values(s, 1, 300, lambda n: np.ones(n, bool)), 1, 300)
    y = ops.select(s, ops.and_(s, bit, other), x, 1.0)
    y = ops.clip(s, y, -1.0, 1.0)
    ops.open_bits(s, ops.equal(s, y, 1.0))
    return ops.open(s, ops.argmax(s, ops.sigmoid(s, y)))


def functions(s):
    x = ops.share(s, values(s, 0, 50), 0, 50)
    ops.divide(s, x, x, low=0.5, high=4.0)
    ops.softmax(s, ops.exp(s, ops.log(s, x, low=0.5, high=2.0)).reshape(5, 10))
    return ops.open(s, ops.shuffle(s, ops.sqrt(s, x, low=0.5, high=2.0)))


def arrays(s):
    x = SecureArray(s, ops.share(s, values(s, 0, (20, 3)), 0, (20, 3)))
    mean = x.mean(axis=0)
    return (x - mean > 0.5).sum().reveal()


@pytest.mark.parametrize(("engine", "parties"), ENGINES)
@pytest.mark.parametrize("program", [arithmetic, comparisons, functions, arrays], ids=lambda p: p.__name__)
@pytest.mark.parametrize("fx", [FixedPoint(18), FixedPoint(18, 128)], ids=["64", "128"])
def test_trace_equals_what_is_measured(engine, parties, program, fx):
    def measured(s):
        with s.profile() as p:
            program(s)
        return p.lines, s.offline.received

    traced = trace(program, engine=engine, parties=parties, fx=fx)
    for (lines, _), counted in zip(run(measured, engine=engine, parties=parties, fx=fx), traced.parties, strict=True):
        assert {at: (c.messages, c.rounds, c.sent) for at, c in lines.items()} == {
            at: (c.messages, c.rounds, c.sent) for at, c in counted.items()
        }
    assert traced.dealt > 0 if engine == "additive" else traced.dealt == 0


def test_a_million_rows_cost_no_message_and_no_data():
    def program(s):
        x = ops.share(s, None, 0, 1_000_000)
        return ops.open(s, ops.mul(s, x, x + 1).sum())

    traced = trace(program)
    assert traced.rounds == 3
    assert 16e6 < traced.sent[0] < 24.1e6
    table = str(traced)
    assert "ops.mul(s, x, x + 1)" in table
    assert table.splitlines()[-1].split()[0] == "3"


def test_sorting_is_followed_for_a_random_order():
    def program(s):
        x = ops.share(s, values(s, 0, 500, lambda n: np.random.default_rng(1).normal(size=n)), 0, 500)
        return ops.sort(s, x)[0]

    def measured(s):
        before = s.meter
        program(s)
        return (s.meter - before).sent

    counted = trace(program).sent[0]
    assert abs(counted / run(measured)[0] - 1) < 0.25


def test_what_cannot_be_traced_says_so():
    with pytest.raises(ConfigError, match="no engine to trace"):
        trace(lambda s: None, engine="plain")
    with pytest.raises(ConfigError, match="three parties"):
        trace(lambda s: None, engine="replicated")

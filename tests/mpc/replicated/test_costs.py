"""The stated price of every operation: rounds, and bytes an element that parties 0, 1 and 2 send."""

import numpy as np
import pytest

from ppc.mpc import ops


def given(s, shape, owner=0):
    return ops.share(s, np.ones(shape) if s.rank == owner else None, owner, shape)


def bit(s, n):
    return ops.share_bits(s, np.ones(n, bool) if s.rank == 0 else None, 0, n)


def fixed(s, n):
    return ops.fixed_matrix(s, np.ones((n, 8)) if s.rank == 0 else None, 0, (n, 8))


COSTS = {
    "share": (lambda s, n: (), lambda s, n: given(s, n, 1), 1, (0, 8, 0)),
    "constant": (lambda s, n: (), lambda s, n: ops.constant(s, np.ones(n)), 0, (0, 0, 0)),
    "linear": (lambda s, n: (given(s, n),), lambda s, n, x: (x + x - 1.5) * 3, 0, (0, 0, 0)),
    "open": (lambda s, n: (given(s, n),), lambda s, n, x: ops.open(s, x), 1, (8, 8, 8)),
    "open many": (lambda s, n: (given(s, n),), lambda s, n, x: ops.open_many(s, x, x), 1, (16, 16, 16)),
    "reveal": (lambda s, n: (given(s, n),), lambda s, n, x: ops.reveal(s, x, 2), 1, (0, 8, 0)),
    "mul untruncated": (
        lambda s, n: (given(s, n),), lambda s, n, x: ops.mul(s, x, x, truncated=False), 1, (8, 8, 8)
    ),
    "mul": (lambda s, n: (given(s, n),), lambda s, n, x: ops.mul(s, x, x), 2, (12, 12, 12)),
    "truncate": (lambda s, n: (given(s, n),), lambda s, n, x: ops.truncate(s, x, 5), 2, (4, 12, 4)),
    "truncate by much": (
        lambda s, n: (given(s, n),), lambda s, n, x: ops.truncate(s, x.shift_left(25), 33), 2, (8, 16, 8)
    ),
    "matmul": (
        lambda s, n: (given(s, (n, 8)), given(s, (8, 2), 2)),
        lambda s, n, x, y: ops.matmul(s, x, y, truncated=False), 1, (16, 16, 16),
    ),
    "matmul fixed": (
        lambda s, n: (fixed(s, n), given(s, (8, 2))),
        lambda s, n, f, w: ops.matmul_fixed(s, f, w, truncated=False), 1, (16, 16, 16),
    ),
    "matmul fixed transposed": (
        lambda s, n: (fixed(s, n), given(s, n)),
        lambda s, n, f, g: ops.matmul_fixed_t(s, f, g, truncated=False), 1, (0, 0, 0),
    ),
    "less than zero": (
        lambda s, n: (given(s, n),), lambda s, n, x: ops.less_than_zero(s, x), 8, (22.625, 22.75, 22.625)
    ),
    "less than each of 3": (
        lambda s, n: (given(s, n),), lambda s, n, x: ops.less_than_each(s, x, [0, 1, 2]), 8, (67.875, 52.25, 67.875)
    ),
    "and": (lambda s, n: (bit(s, n),), lambda s, n, x: ops.and_(s, x, ~x), 1, (0.125, 0.125, 0.125)),
    "open bits": (lambda s, n: (bit(s, n),), lambda s, n, x: ops.open_bits(s, x), 1, (0.125, 0.125, 0.125)),
    "share bits": (lambda s, n: (), bit, 1, (0.125, 0, 0)),
    "b2a": (lambda s, n: (bit(s, n),), lambda s, n, x: ops.b2a(s, x), 2, (8, 8, 8)),
    "select": (
        lambda s, n: (bit(s, n), given(s, n)), lambda s, n, b, x: ops.select(s, b, x, 1.0), 3, (16, 16, 16)
    ),
    "sigmoid": (lambda s, n: (given(s, n),), lambda s, n, x: ops.sigmoid(s, x), 15, (81.25, 137.5, 81.25)),
    "random": (
        lambda s, n: (), lambda s, n: (ops.random_bits(s, n), s.engine.random(s, (n,))), 0, (0, 0, 0)
    ),
    "bernoulli": (lambda s, n: (), lambda s, n: ops.bernoulli(s, 0.3, n), 8, (45.25, 37.5, 45.25)),
    "floor": (lambda s, n: (given(s, n),), lambda s, n, x: ops.floor(s, x), 12, (34.625, 42.75, 34.625)),
    "one hot of 8": (
        lambda s, n: (given(s, n).reinterpret(0),), lambda s, n, x: ops.one_hot(s, x, 8), 10, (275.625, 212.75, 275.625)
    ),
    "partition": (
        lambda s, n: (bit(s, n), given(s, n)), lambda s, n, b, x: ops.partition(s, b, x), 9, (64, 64, 64)
    ),
    "discrete gaussian": (
        lambda s, n: (), lambda s, n: ops.discrete_gaussian(s, 3.0, n), 13, (896.125, 675.75, 896.125)
    ),
    "shuffle": (lambda s, n: (given(s, n),), lambda s, n, x: ops.shuffle(s, x), 3, (16, 16, 16)),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTS)
def test_the_stated_cost(run3, name):
    prepare, operation, rounds, per_element = COSTS[name]

    def price(n):
        def program(s):
            operands = prepare(s, n)
            before = s.meter
            operation(s, n, *operands)
            return s.meter - before

        return run3(program)

    for a, b, each in zip(price(1024), price(2048), per_element, strict=True):
        assert a.rounds == b.rounds == rounds  # the same at every party, whoever takes part
        assert a.messages == b.messages <= rounds
        assert (b.sent - a.sent) / 1024 == each
        assert a.sent - 1024 * each <= 100 * a.messages + 8 * 8 * 2


def test_time_follows_the_rounds_on_a_slow_network(run3):
    import time

    def program(s):
        x = given(s, 100)
        start = time.perf_counter()
        ops.less_than_zero(s, x)
        return time.perf_counter() - start

    assert max(run3(program, latency_s=0.02)) < 8 * 0.02 * 1.6

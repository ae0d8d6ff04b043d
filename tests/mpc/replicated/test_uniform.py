"""Every message that a party receives is uniform, whatever the secrets are: chi-square over each byte position.

A party holds two of three components, so what it receives must also be uniform given those: differences of messages of
one shape at one party, and of messages and the party's own components, are tested as well. A good protocol is rejected
with odds of 1e-10 a test and about 1e4 tests: 1e-6 a run.
"""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from ppc.mpc import ops
from ppc.mpc.session import Session

FALSE_ALARM = 1e-10
N = 4096


def p_value(array):
    octets = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize)
    if len(octets) < 1024:
        return 1.0
    counts = np.stack([np.bincount(column, minlength=256) for column in octets.T])
    return float(stats.chisquare(counts, axis=1).pvalue.min())


def verdict(recorder):
    bad = [name for name, array in recorder.received.items() if p_value(array) < FALSE_ALARM]
    for rank in range(3):
        seen = {k: v for k, v in recorder.received.items() if k.endswith(f"to {rank}")}
        for (a, x), (b, y) in combinations(seen.items(), 2):
            if x.shape == y.shape and x.dtype == y.dtype:
                bad += [f"{a} - {b}"] if min(p_value(x - y), p_value(x ^ y)) < FALSE_ALARM else []
    return bad


def number(s, value, owner=0):
    return ops.share(s, np.full(N, value) if s.rank == owner else None, owner, N)


def flags(s, value):
    return ops.share_bits(s, np.full(64 * N, value > 0) if s.rank == 1 else None, 1, 64 * N)


OPERATIONS = {
    "mul": lambda s, v: ops.mul(s, number(s, v), number(s, v, 1)),
    "square twice": lambda s, v: [ops.square(s, number(s, v, 2)) for _ in range(2)],
    "matmul": lambda s, v: ops.matmul(s, number(s, v).reshape(64, 64), number(s, v, 2).reshape(64, 64)),
    "fixed": lambda s, v: ops.matmul_fixed(
        s, ops.fixed_matrix(s, np.full((N, 4), v) if s.rank == 1 else None, 1, (N, 4)), number(s, v)[:4]
    ),
    "truncate": lambda s, v: ops.truncate(s, number(s, v), 18),
    "truncate by much": lambda s, v: ops.truncate(s, number(s, v), 40),
    "truncate a constant": lambda s, v: ops.truncate(s, ops.constant(s, np.full(N, v)), 18),
    "less than": lambda s, v: ops.less_than(s, number(s, v), number(s, v, 1)),
    "less than each": lambda s, v: ops.less_than_each(s, number(s, v), [v, v, 100.0]),
    "and": lambda s, v: ops.and_(s, flags(s, v), flags(s, v)),
    "b2a": lambda s, v: ops.b2a(s, flags(s, v)[:N]),
    "select": lambda s, v: ops.select(s, flags(s, v)[:N], number(s, v), 1.0),
    "sigmoid": lambda s, v: ops.sigmoid(s, number(s, v)),
    "shuffle": lambda s, v: ops.shuffle(s, number(s, v)),
}


@pytest.mark.parametrize("value", [0.0, -5.5])
@pytest.mark.parametrize("name", OPERATIONS)
def test_everything_received_is_uniform(run3, recorder, name, value):
    run3(lambda s: [OPERATIONS[name](s, value)])
    assert any(array.size >= 1024 for array in recorder.received.values())
    assert verdict(recorder) == []


def test_results_opened_to_one_party_tell_it_nothing_more(run3):
    """The component that a party lacks is the result less its own two: these must be uniform, and their sum as well."""

    def program(s):
        x, y = number(s, 2.0), number(s, 3.0, 1)
        bit = ops.less_than(s, x, y)
        shares = [
            ops.mul(s, x, y), ops.truncate(s, x, 4), ops.b2a(s, bit), ops.select(s, bit, x, y), ops.sigmoid(s, x),
            ops.shuffle(s, x),
        ]  # fmt: skip
        return [z.parts for z in shares]

    for results in run3(program):
        for a, b in results:
            assert min(p_value(a), p_value(b), p_value(a + b)) > FALSE_ALARM


def test_the_suite_sees_a_missing_mask_and_a_mask_used_twice(run3, recorder, monkeypatch):
    zero = Session.shared_stream
    run3(lambda s: ops.open(s, ops.constant(s, np.full(N, 3.0))) is None)
    assert verdict(recorder)  # components of a constant are no noise
    recorder.received.clear()
    monkeypatch.setattr(Session, "shared_stream", lambda s, peer, number: zero(s, peer, 1))
    run3(lambda s: [ops.mul(s, number(s, 1.0), number(s, 1.0)) for _ in range(2)])
    assert any(" - " in name for name in verdict(recorder))

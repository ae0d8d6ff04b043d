"""What a party receives looks like noise, whatever the secrets are.

Every operation runs on constant secrets, and everything that crosses a channel is recorded. Each message, each value
that was opened (the sum or XOR of what all parties sent), and the difference of any two messages of one shape must be
uniform: the last catches a mask that is used twice. Each byte position is tested by chi-square over 256 bins.

A good protocol is rejected with odds of 1e-10 a test and about 2e4 tests: 2e-6 a run.
"""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from ppc.mpc import ops, run
from ppc.mpc.session import Session

FALSE_ALARM = 1e-10
N = 4096


def p_value(array):
    """The smallest p-value over the byte positions of an array of words."""
    octets = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, 8)
    if len(octets) < 1024:
        return 1.0
    counts = np.stack([np.bincount(column, minlength=256) for column in octets.T])
    return float(stats.chisquare(counts, axis=1).pvalue.min())


def words(seed, n=N):
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


def test_the_test_passes_noise_and_sees_bias():
    assert p_value(words(1)) > FALSE_ALARM
    assert p_value(words(1) >> np.uint64(1)) < FALSE_ALARM  # the top bit is missing
    assert p_value(words(1) & ~np.uint64(1)) < FALSE_ALARM  # the lowest bit is missing
    biased = np.where(np.random.default_rng(2).random(N) < 0.1, np.uint64(0), words(1))  # one in ten unmasked
    assert p_value(biased) < FALSE_ALARM
    assert p_value(np.full(N, 3, np.uint64)) < FALSE_ALARM


class Recorder:
    """All arrays that the parties sent, by message number and sender."""

    def __init__(self, monkeypatch):
        self.sent = {}
        exchange, publish, collect = Session.exchange, Session.publish, Session.collect

        def record(s, operation, arrays):
            self.sent.setdefault((s._step + 1, operation), {})[s.rank] = [np.array(a) for a in arrays]

        def on_exchange(s, operation, *arrays):
            record(s, operation, arrays)
            return exchange(s, operation, *arrays)

        def on_publish(s, operation, owner, array, spec):
            if s.rank == owner:
                record(s, operation, [array])
            return publish(s, operation, owner, array, spec)

        def on_collect(s, operation, to, array):
            if s.rank != to:
                record(s, operation, [array])
            return collect(s, operation, to, array)

        monkeypatch.setattr(Session, "exchange", on_exchange)
        monkeypatch.setattr(Session, "publish", on_publish)
        monkeypatch.setattr(Session, "collect", on_collect)

    def messages(self):
        """(name, array) of each message and of each opened value."""
        for (step, operation), by_rank in sorted(self.sent.items()):
            for rank, arrays in by_rank.items():
                for i, array in enumerate(arrays):
                    yield f"{operation}#{step}.{i} from {rank}", array
            if len(by_rank) > 1:
                for i, parts in enumerate(zip(*by_rank.values(), strict=True)):
                    yield f"{operation}#{step}.{i} added", sum(parts[1:], parts[0])
                    yield f"{operation}#{step}.{i} xored", np.bitwise_xor.reduce(parts)

    def verdict(self):
        """The names of what is not uniform."""
        messages = list(self.messages())
        bad = [name for name, array in messages if p_value(array) < FALSE_ALARM]
        for (a, x), (b, y) in combinations([m for m in messages if m[1].size >= N // 4], 2):
            if x.shape == y.shape and not self._same_opening(a, b):
                bad += [f"{a} - {b}"] if p_value(x - y) < FALSE_ALARM or p_value(x ^ y) < FALSE_ALARM else []
        return bad

    @staticmethod
    def _same_opening(a, b):
        """The sum and the XOR of one message are not independent of each other."""
        return a.split(" ")[0] == b.split(" ")[0]


def constant_share(s, value, owner=0):
    return ops.share(s, np.full(N, value) if s.rank == owner else None, owner, N) + 0


def steps(s, value):
    """Products with a fixed matrix over two steps, as in training."""
    x = ops.fixed_matrix(s, np.full((N, 4), value) if s.rank == 0 else None, 0, (N, 4))
    g = constant_share(s, value)
    for _ in range(2):
        w = ops.matmul_fixed_t(s, x, g)
        g = ops.matmul_fixed(s, x, w)


OPERATIONS = {
    "mul": lambda s, v: ops.mul(s, constant_share(s, v), constant_share(s, v)),
    "mul of inputs": lambda s, v: ops.mul(
        s, *(ops.share(s, np.full(N, v) if s.rank == r else None, r, N) for r in (0, 1))
    ),
    "square twice": lambda s, v: [ops.square(s, x) for x in [constant_share(s, v)] * 2],
    "matmul": lambda s, v: ops.matmul(s, constant_share(s, v).reshape(64, 64), constant_share(s, v).reshape(64, 64)),
    "fixed": steps,
    "truncate": lambda s, v: ops.truncate(s, constant_share(s, v), 18),
    "less than": lambda s, v: ops.less_than(s, constant_share(s, v), constant_share(s, v)),
    "less than each": lambda s, v: ops.less_than_each(s, constant_share(s, v), [v, v, 0.0, 100.0]),
    "and": lambda s, v: ops.and_(s, *[wide_bits(s, v)] * 2),
    "b2a": lambda s, v: ops.b2a(s, wide_bits(s, v)),
    "select": lambda s, v: ops.select(s, wide_bits(s, v)[:N], constant_share(s, v), 1.0),
    "sigmoid": lambda s, v: ops.sigmoid(s, constant_share(s, v)),
    "clip": lambda s, v: ops.clip(s, constant_share(s, v), -1.0, 1.0),
    "floor": lambda s, v: ops.floor(s, constant_share(s, v)),
    "lookup": lambda s, v: ops.lookup(s, np.arange(4.0), ops.floor(s, constant_share(s, v))),
    "bernoulli of each": lambda s, v: ops.bernoulli(s, np.full(N, abs(v) / 6)),
    "random uniform": lambda s, v: ops.random_uniform(s, 8 * N),
    "reciprocal": lambda s, v: ops.reciprocal(s, constant_share(s, abs(v) + 1), low=0.5, high=100.0),
}


def wide_bits(s, value):
    n = 64 * N
    return ops.share_bits(s, np.full(n, value > 0) if s.rank == 0 else None, 0, n)


@pytest.mark.parametrize("value", [0.0, -5.5])
@pytest.mark.parametrize("name", OPERATIONS)
def test_everything_received_is_uniform(monkeypatch, name, value):
    recorder = Recorder(monkeypatch)
    run(lambda s: [OPERATIONS[name](s, value)])
    assert any(array.size >= 1024 for _, array in recorder.messages())
    assert recorder.verdict() == []


def test_three_parties(monkeypatch):
    recorder = Recorder(monkeypatch)
    run(lambda s: ops.sigmoid(s, ops.mul(s, constant_share(s, 1.0), constant_share(s, 2.0, 2))), parties=3)
    assert recorder.verdict() == []


def test_the_suite_sees_an_unmasked_value_and_a_mask_used_twice(monkeypatch):
    recorder = Recorder(monkeypatch)
    run(lambda s: ops.open(s, constant_share(s, 3.0)) is None)
    assert any("open" in name and "added" in name for name in recorder.verdict())

    recorder.sent.clear()

    def reuses(s):
        x = constant_share(s, 3.0)
        ops.square(s, x)
        y = constant_share(s, 4.0)
        record = x.mask
        s.open_sum("again", y.parts[0].reshape(-1, 1) + record.mine)

    run(reuses)
    assert any("again" in name and "-" in name for name in recorder.verdict())


@pytest.mark.parametrize("parties", [2, 3])
def test_shares_of_a_constant_are_uniform(parties):
    results = run(
        lambda s: (constant_share(s, 7.0).parts[0], ops.share_bits(
            s, np.zeros(64 * N, bool) if s.rank == 1 else None, 1, 64 * N).parts[0]),
        parties=parties,
    )  # fmt: skip
    for numbers, bits in results:
        assert p_value(numbers) > FALSE_ALARM
        assert p_value(bits) > FALSE_ALARM
    for a, b in combinations(results, 2):
        if parties > 2:  # any two of three shares together are still uniform
            assert p_value(a[0] + b[0]) > FALSE_ALARM
            assert p_value(a[1] ^ b[1]) > FALSE_ALARM


def test_what_the_dealer_sends_is_uniform():
    def program(s):
        taken = []
        take = s.correlations.take
        s.correlations.take = lambda number, c: taken.append(take(number, c)) or taken[-1]
        x = constant_share(s, 1.0)
        ops.sigmoid(s, ops.mul(s, x, x))
        return [a for arrays in taken for a in arrays]

    for arrays in run(program):
        assert all(p_value(a) > FALSE_ALARM for a in arrays)


def test_results_are_shared_uniformly():
    """A result opened to one party reaches it through the other's share, which must tell nothing more."""

    def program(s):
        x, y = constant_share(s, 2.0), constant_share(s, 3.0, 1)
        bit = ops.less_than(s, x, y)
        f = ops.fixed_matrix(s, np.ones((N, 2)) if s.rank == 1 else None, 1, (N, 2))
        w = constant_share(s, 1.0)[:2]
        return [
            ops.mul(s, x, y).parts[0], bit.parts[0], ops.b2a(s, bit).parts[0], ops.select(s, bit, x, y).parts[0],
            ops.sigmoid(s, x).parts[0], ops.matmul_fixed(s, f, w, truncated=False).parts[0],
            ops.truncate(s, x, 4).parts[0],
        ]  # fmt: skip

    for arrays in run(program):
        assert all(p_value(a) > FALSE_ALARM for a in arrays)

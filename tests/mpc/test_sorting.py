import numpy as np
import pytest
from scipy import stats

from ppc.errors import PpcError
from ppc.mpc import Session, ops, run
from ppc.mpc.ops import sorting


@pytest.mark.parametrize("n", [2, 12, 13, 144, 145, 3000])
@pytest.mark.parametrize("kind", ["random", "sorted", "reversed", "equal", "few"])
def test_sizes_around_the_group_size_and_hard_inputs(n, kind):
    r = np.random.default_rng(n)
    x = {
        "random": r.normal(size=n), "sorted": np.arange(n) * 1.0, "reversed": -np.arange(n) * 1.0,
        "equal": np.zeros(n), "few": r.integers(0, 3, n) * 1.0,
    }[kind]  # fmt: skip
    x = np.round(x * 2**18) / 2**18
    place = np.arange(n)

    def program(s):
        key = ops.share(s, x if s.rank == 0 else None, 0, n)
        rows = ops.share(s, place if s.rank == 1 else None, 1, n, frac_bits=0)
        out = ops.sort(s, key, rows)
        return ops.open(s, out[0]), ops.open(s, out[1])

    by = np.argsort(x, kind="stable")
    for keys, rows in run(program):
        np.testing.assert_array_equal(keys, x[by])
        np.testing.assert_array_equal(rows, by)


@pytest.mark.parametrize("x", [np.zeros(3), np.array([3.0, 1.0, 2.0])])
def test_what_is_opened_is_a_uniform_permutation_whatever_the_keys(monkeypatch, x):
    """Rejected by chance once in 1e6 runs."""
    seen = []
    order = sorting._order

    def watched(s, keys):
        found = order(s, keys)
        if s.rank == 0:
            seen.append(tuple(found.tolist()))
        return found

    monkeypatch.setattr(sorting, "_order", watched)

    def program(s):
        key = ops.share(s, x if s.rank == 0 else None, 0, 3)
        for _ in range(600):
            ops.sort(s, key)

    run(program)
    counts = [seen.count(p) for p in sorted(set(seen))]
    assert len(seen) == 600
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-6


@pytest.mark.parametrize("n", [1, 2, 13, 145, 3000])
@pytest.mark.parametrize("kind", ["random", "reversed", "equal", "few"])
def test_selection_of_hard_inputs(n, kind):
    r = np.random.default_rng(n)
    x = {
        "random": r.normal(size=n), "reversed": -np.arange(n) * 1.0, "equal": np.zeros(n),
        "few": r.integers(0, 3, n) * 1.0,
    }[kind]  # fmt: skip
    x = np.round(x * 2**18) / 2**18
    q, k = [0.0, 0.1, 0.5, 0.99, 1.0], min(n, 9)

    def program(s):
        key = ops.share(s, x if s.rank == 0 else None, 0, n)
        rows = ops.share(s, np.stack([x, np.arange(n)], axis=1) if s.rank == 1 else None, 1, (n, 2))
        return ops.open(s, ops.quantile(s, key, q)), *(ops.open(s, v) for v in ops.top_k(s, key, k, rows))

    by = np.argsort(x, kind="stable")[::-1][:k]
    for quantiles, largest, rows in run(program):
        assert np.abs(quantiles - np.quantile(x, q)).max() <= 2.0**-17
        np.testing.assert_array_equal(largest, x[by])
        np.testing.assert_array_equal(rows, np.stack([x[by], by], axis=1))


@pytest.mark.parametrize("x", [np.zeros(20), np.arange(20.0)])
def test_where_a_selection_finds_its_row_is_uniform_whatever_the_keys(monkeypatch, x):
    """Rejected by chance once in 1e6 runs."""
    seen = []
    order = sorting._order
    monkeypatch.setattr(sorting, "_order", lambda s, k, w: seen.append(order(s, k, w)[w[0]]) or order(s, k, w))
    s = Session.plain()
    for _ in range(1000):
        ops.top_k(s, ops.constant(s, x), 1)
    assert stats.chisquare(np.bincount(seen, minlength=20)).pvalue > 1e-6


def test_a_quantile_is_cheaper_than_a_sort():
    n = 20_000

    def program(s):
        x = ops.share(s, np.random.default_rng(1).normal(size=n) if s.rank == 0 else None, 0, n)
        before = s.meter
        ops.median(s, x)
        return s.meter - before

    for cost in run(program):
        assert cost.rounds <= 120
        assert cost.sent <= 80 * n  # a sort takes 220


def test_no_party_alone_knows_the_order_of_a_shuffle():
    n = 64

    def program(s):
        orders = []
        take = s.correlations.permutation
        s.correlations.permutation = lambda number, n: orders.append(take(number, n)) or orders[-1]
        x = ops.share(s, np.arange(n) if s.rank == 0 else None, 0, n, frac_bits=0)
        return ops.open(s, ops.shuffle(s, x)).astype(int), orders

    (result, first), (again, second) = run(program)
    np.testing.assert_array_equal(result, again)
    assert len(first) == len(second) == 1
    np.testing.assert_array_equal(result, np.arange(n)[first[0]][second[0]])  # both permutations, one after the other
    assert not (result == first[0]).all()


def test_the_price_of_sorting():
    def program(s):
        x = ops.share(s, np.random.default_rng(1).normal(size=10_000) if s.rank == 0 else None, 0, 10_000)
        before = s.meter
        ops.sort(s, x)
        return s.meter - before

    for cost in run(program):
        assert cost.rounds <= 120
        assert cost.sent <= 2.6e6


def test_bad_input():
    s = Session.plain()
    x = ops.share(s, np.ones(4), 0, 4)
    for wrong in (
        lambda: ops.sort(s, x.reshape(2, 2)),
        lambda: ops.sort(s, x, x[:2]),
        lambda: ops.shuffle(s, x.sum()),
        lambda: ops.quantile(s, x, 1.5),
        lambda: ops.quantile(s, x, float("nan")),
        lambda: ops.quantile(s, x[:0], 0.5),
        lambda: ops.top_k(s, x, 0),
        lambda: ops.top_k(s, x, 5),
        lambda: ops.argmax(s, x[:0]),
    ):
        with pytest.raises(PpcError):
            wrong()

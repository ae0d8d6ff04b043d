import numpy as np
import pytest
from scipy import stats

from ppc.errors import PpcError, ProtocolAbort
from ppc.mpc import Session, ops, run

ENGINES = [{"engine": "plain"}, {"parties": 2}, {"engine": "replicated", "parties": 3}]


def shared(s, x, owner=0, frac_bits=0):
    x = np.asarray(x)
    return ops.share(s, x if s.rank == owner else None, owner, x.shape, frac_bits=frac_bits)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["one group", "all apart", "few", "one row"])
def test_groups_of_hard_inputs(engine, kind):
    n = 1 if kind == "one row" else 400
    r = np.random.default_rng(3)
    key = {"one group": [-7] * n, "all apart": r.permutation(n), "few": r.integers(-2, 3, n), "one row": [5]}[kind]
    key = np.asarray(key)
    values = np.round(r.normal(size=(n, 2)) * 2**18) / 2**18

    def program(s):
        g = ops.group_by(s, shared(s, key), shared(s, values, 0, 18), shared(s, np.ones(n, int)))
        return [ops.open(s, x) for x in (g.keys, g.counts, *g.sums, g.present)]

    wanted = np.unique(key)
    for keys, counts, sums, ones, present in run(program, **engine):
        assert present.sum() == len(wanted)
        np.testing.assert_array_equal(present, np.arange(n) < len(wanted))
        np.testing.assert_array_equal(keys[: len(wanted)], wanted)
        np.testing.assert_array_equal(counts[: len(wanted)], [(key == k).sum() for k in wanted])
        np.testing.assert_array_equal(counts, ones)
        np.testing.assert_allclose(sums[: len(wanted)], [values[key == k].sum(axis=0) for k in wanted], atol=1e-12)
        for x in (keys, counts, sums, ones):
            assert not x[len(wanted) :].any()


def test_sums_stay_exact_where_running_sums_wrap():
    """Every group's sum fits the ring, all of them together do not."""
    n = 64
    key, values = np.arange(n) % 16, np.full(n, 2**60)
    sums = run(lambda s: ops.open(s, ops.group_by(s, shared(s, key), shared(s, values)).sums[0]))[0]
    assert (sums[:16] == 2.0**62).all()
    assert not sums[16:].any()


def test_the_first_rows_hold_all_groups_when_their_number_is_public():
    key = np.arange(50) % 4
    g = run(lambda s: ops.open(s, ops.group_by(s, shared(s, key)).first(4).counts))[0]
    np.testing.assert_array_equal(g, [13, 13, 12, 12])


def places_opened(monkeypatch, program):
    seen = []

    def watched(s, xs, engine_open):
        words = engine_open(s, xs)
        if s.rank == 0 and xs[0].ndim == 1:
            seen.append(tuple(words[0].tolist()))
        return words

    from ppc.mpc.additive import AdditiveEngine

    kept = AdditiveEngine.open
    monkeypatch.setattr(AdditiveEngine, "open", staticmethod(lambda s, xs: watched(s, xs, kept)))
    run(program)
    return seen


@pytest.mark.parametrize("bits", [[True, True, True], [True, False, True]])
def test_what_a_partition_opens_is_a_uniform_permutation_whatever_the_bits(monkeypatch, bits):
    """Rejected by chance once in 1e6 runs. A group-by opens this, and what its sort opens (test_sorting)."""

    def program(s):
        bit = ops.share_bits(s, np.array(bits) if s.rank == 0 else None, 0, 3)
        x = shared(s, [1, 2, 3])
        for _ in range(500):
            ops.partition(s, bit, x)

    seen = places_opened(monkeypatch, program)
    counts = [seen.count(p) for p in sorted(set(seen))]
    assert len(seen) == 500
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-6


def test_places_that_are_no_permutation_are_refused():
    for wrong in ([0, 0, 2], [0, 1, 3], [-1, 0, 1]):
        with pytest.raises(ProtocolAbort, match="no permutation"):
            run(lambda s, w=wrong: ops.permute(s, shared(s, w), shared(s, [1, 2, 3])))


def test_small_keys_sorted_bit_by_bit():
    """Partition is a step of a radix sort: stable, lowest bit first."""
    key = np.random.default_rng(2).integers(0, 8, 40)

    def program(s):
        rows = shared(s, np.stack([key, np.arange(40)], axis=1))
        for i in range(3):
            high = ops.one_hot(s, rows[:, 0], 8)[:, [k for k in range(8) if not k >> i & 1]].sum(axis=1)
            (rows,) = ops.partition(s, high, rows)
        return ops.open(s, rows)

    by = np.argsort(key, kind="stable")
    np.testing.assert_array_equal(run(program)[0], np.stack([key[by], by], axis=1))


def test_a_join_of_empty_and_of_disjoint_tables():
    def program(s):
        a, none, b = shared(s, [1, 2, 3]), shared(s, np.zeros(0, int)), shared(s, [7, 8], 1)
        x = shared(s, [1.5, 2.5, 3.5], 0, 18)
        return [
            float(ops.open(s, v))
            for v in (
                ops.inner_join_count(s, a, none), ops.inner_join_count(s, none, none), ops.inner_join_count(s, a, b),
                ops.inner_join_sum(s, a, x, b), ops.inner_join_sum(s, a, x, a),
            )
        ]  # fmt: skip

    assert run(program)[0] == [0, 0, 0, 0, 7.5]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s, x: ops.group_by(s, x.reshape(2, 2)),
        lambda s, x: ops.group_by(s, x, x[:2]),
        lambda s, x: ops.group_by(s, x, categories=[]),
        lambda s, x: ops.group_by(s, x, categories=[1, 1]),
        lambda s, x: ops.group_by(s, x, categories=[1.5, 2]),
        lambda s, x: ops.group_by(s, x, categories=[float("nan")]),
        lambda s, x: ops.permute(s, x.reshape(2, 2), x[:2]),
        lambda s, x: ops.permute(s, x, x[:2]),
        lambda s, x: ops.partition(s, ops.less_than_zero(s, x.reshape(2, 2)), x[:2]),
        lambda s, x: ops.inner_join_sum(s, x, x[:2], x),
        lambda s, x: ops.inner_join_count(s, x, x.reshape(2, 2)),
        lambda s, x: ops.lookup(s, np.zeros(0), x),
        lambda s, x: ops.lookup(s, 3.0, x),
        lambda s, x: ops.lookup(s, [1.0, float("nan")], x),
        lambda s, x: ops.lookup(s, [1.0], x.shift_left(3)),
        lambda s, x: ops.gather(s, x[:0], x),
        lambda s, x: ops.gather(s, x, x.shift_left(3)),
        lambda s, x: ops.histogram(s, x, [1.0]),
        lambda s, x: ops.histogram(s, x, [2.0, 1.0]),
        lambda s, x: ops.histogram(s, x, [0.0, float("nan")]),
        lambda s, x: ops.histogram(s, x, [0.0, 1.0], weights=x[:2]),
        lambda s, x: ops.one_hot(s, x, 0),
        lambda s, x: ops.one_hot(s, x.shift_left(2), [0.0, 0.1]),
        lambda s, x: ops.outer(s, x.reshape(2, 2), x),
        lambda s, x: ops.prefix_sum(x, 1),
        lambda s, x: ops.truncate_exact(s, x, 62),
    ],
)
def test_bad_input(wrong):
    s = Session.plain()
    with pytest.raises(PpcError):
        wrong(s, shared(s, [3, 1, 2, 1]))

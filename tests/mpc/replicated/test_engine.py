"""Edges, faults and invariants of the replicated engine."""

import threading

import numpy as np
import pytest

from ppc.core import rng
from ppc.errors import ConfigError, PpcError, ProtocolAbort
from ppc.mpc import Session, ops, run
from ppc.mpc.replicated import _kernels, twins
from ppc.net import identity, memory, tls


def number(s, x, owner=0, **options):
    x = np.asarray(x)
    return ops.share(s, x if s.rank == owner else None, owner, x.shape, **options)


def test_neighbours_hold_the_same_component(run3):
    def program(s):
        x, y = number(s, np.linspace(-3, 3, 65)), number(s, np.linspace(1, 2, 65), 2)
        bit = ops.less_than(s, x, y)
        shares = [
            x, y, ops.constant(s, np.ones(65)), x - 2.5, ops.mul(s, x, y), ops.truncate(s, x, 3), ops.b2a(s, bit),
            ops.sigmoid(s, x), ops.shuffle(s, x), bit, ~bit, ops.and_(s, bit, bit),
        ]  # fmt: skip
        return [share.parts for share in shares]

    results = run3(program)
    for per_party in zip(*results, strict=True):
        for rank in range(3):
            np.testing.assert_array_equal(per_party[rank][1], per_party[(rank + 1) % 3][0])


@pytest.mark.parametrize("drop", [1, 18, 32, 33, 61])
def test_truncation_is_never_grossly_wrong(run3, drop):
    """Edges of the range, and many random values: off by less than one unit, whatever the components are."""
    n = 200_000
    x = rng.Stream(bytes(16)).integers(-(2**62), 2**62, n)
    x[:6] = [-(2**62), 2**62 - 1, 0, -1, 1, 2**61]
    x[6:1000] = np.arange(994) - 500

    def program(s):
        y = ops.truncate_many(s, [number(s, x, 1, frac_bits=0).reinterpret(62)], drop)[0]
        (words,) = s.engine.open(s, [y])
        return words.view(np.int64)

    below = x >> drop
    for got in run3(program):
        up = got - below
        assert set(np.unique(up)) <= {0, 1}
        assert not up[(x & ((1 << drop) - 1)) == 0].any()  # multiples are exact


def test_comparison_over_the_whole_ring(run3):
    x = np.array([-(2**63), 2**63 - 1, 0, -1, 1, -(2**62), 2**62, -(2**63) + 1] * 9, np.int64)

    def program(s):
        words = s.engine.input(s, x.view(np.uint64) if s.rank == 2 else None, 2, x.shape, 0)
        return ops.open_bits(s, s.engine.less_than_zero(s, words, [0])[0])

    for got in run3(program):
        np.testing.assert_array_equal(got, x < 0)


@pytest.mark.parametrize("owner", [0, 1, 2])
def test_every_owner_and_every_receiver(run3, owner):
    def program(s):
        x = number(s, [[1.5, -2.0]], owner)
        bits = ops.share_bits(s, np.array([True, False]) if s.rank == owner else None, owner, 2)
        return ops.reveal(s, x, (owner + 1) % 3), ops.open_bits(s, bits).tolist()

    for rank, (seen, flags) in enumerate(run3(program)):
        assert flags == [True, False]
        assert seen is None if rank != (owner + 1) % 3 else seen.tolist() == [[1.5, -2.0]]


def test_a_shuffle_is_unknown_to_each_party_and_uniform(run3):
    def program(s):
        return ops.open(s, ops.shuffle(s, number(s, np.arange(64.0))))

    one, two = run3(program)[0], run3(program)[0]
    assert sorted(one) == sorted(two) == list(range(64))
    assert (one != two).any()
    assert (one != np.arange(64)).any()


def test_kernels_agree_with_their_twins():
    stream = rng.os_stream()
    for kernel, twin in ((_kernels.mul, twins.mul), (_kernels.and_, twins.and_)):
        arrays = list(stream.uint64((6, 1000)))
        expected = twin(*arrays)
        kernel(*arrays)
        np.testing.assert_array_equal(arrays[4], expected)


@pytest.mark.parametrize(
    ("drop", "narrow"), [(1, np.uint32), (18, np.uint32), (32, np.uint32), (33, np.uint64), (61, np.uint64)]
)
def test_kernels_of_the_truncation_agree_with_their_twins(drop, narrow):
    stream = rng.os_stream()
    a, q = stream.uint64((2, 1000))
    a[:4] = [0, 2**62, 2**63, 2**64 - 1]
    y, top = np.empty(1000, np.uint64), np.empty(1000, narrow)
    _kernels.alone(a, drop, y, top)
    for got, expected in zip((y, top), twins.alone(a, drop), strict=True):
        np.testing.assert_array_equal(got, expected)
    known, product = np.empty(1000, np.uint64), np.empty(1000, narrow)
    _kernels.together(a, q.astype(narrow), drop, known, product)
    expected, top_bit = twins.together(a, drop)
    np.testing.assert_array_equal(known, expected)
    np.testing.assert_array_equal(product, q.astype(narrow) * top_bit.astype(narrow))
    lifted = y.copy()
    _kernels.lift(lifted, product, 64 - drop)
    np.testing.assert_array_equal(lifted, y + (product.astype(np.uint64) << np.uint64(64 - drop)))


PROGRAMS = {
    "mul": lambda s, x: ops.mul(s, x, x),
    "open": ops.open,
    "truncate": lambda s, x: ops.truncate(s, x, 4),
    "compare": ops.less_than_zero,
    "sigmoid": ops.sigmoid,
    "shuffle": ops.shuffle,
}


@pytest.mark.parametrize("odd", [0, 1, 2])
@pytest.mark.parametrize("name", PROGRAMS)
def test_another_program_is_noticed_by_name(run3, name, odd):
    others = "open" if name == "mul" else "mul"

    def program(s):
        PROGRAMS[name if s.rank == odd else others](s, number(s, np.ones(8)))
        ops.open(s, number(s, np.ones(8)))

    with pytest.raises(ProtocolAbort, match=rf"{name}|{others}"):
        run3(program, timeout_s=20)


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_a_skipped_round_is_noticed_by_name(run3, odd):
    told = {}

    def program(s):
        x = number(s, np.ones(8))
        try:
            if s.rank != odd:
                ops.less_than(s, x, 0.5)
            ops.mul(s, x, x)
            ops.open(s, x)
        except PpcError as error:
            told[s.rank] = str(error)
            raise

    with pytest.raises(PpcError):
        run3(program)
    assert len(told) == 3
    assert any("compare" in text or "mul" in text for text in told.values())


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_a_wrong_frame_is_told_to_all_and_names_the_operation(run3, odd):
    told = {}

    def program(s):
        x = number(s, np.ones(8))
        try:
            if s.rank == odd:  # right name and number, other contents
                for channel in s._channels.values():
                    channel.send(s._tag("open"), np.ones(3, np.float32))
            ops.open(s, x)
            ops.open(s, x)
        except PpcError as error:
            told[s.rank] = str(error)
            raise

    with pytest.raises(PpcError):
        run3(program)
    assert len(told) == 3
    assert any("'open' cannot go on" in text for text in told.values())


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_another_shape_is_noticed_by_name(run3, odd):
    def program(s):
        x = number(s, np.ones(8))
        return ops.mul(s, x[:4], x[:4]) if s.rank == odd else ops.mul(s, x, x)

    with pytest.raises(ProtocolAbort, match="mul") as error:
        run3(program)
    assert error.value.party is not None


@pytest.mark.parametrize("n", [8, 100_000])  # small frames go at once, large ones from a thread
def test_all_parties_hear_of_a_failure(run3, n):
    heard = []

    def program(s):
        try:
            if s.rank == 1:
                raise PpcError("something is wrong with my data", party=s.me)
            ops.mul(s, number(s, np.ones(n)), number(s, np.ones(n), 1))
        except PpcError:
            heard.append(s.rank)
            raise

    with pytest.raises(PpcError):
        run3(program)
    assert sorted(heard) == [0, 1, 2]


def test_three_parties_are_needed_and_engines_do_not_mix(run3):
    with pytest.raises(ConfigError, match="three parties"):
        Session.replicated("a", ["a", "b"], {})
    with pytest.raises(ConfigError, match="'d'"):
        Session.replicated("d", ["a", "b", "c"], {})
    with pytest.raises(ConfigError, match="three parties"):
        run(lambda s: None, parties=4, engine="replicated")

    def program(s):
        f = ops.fixed_matrix(Session.plain(), np.ones((2, 2)), 0, (2, 2))
        with pytest.raises(ProtocolAbort, match="another engine"):
            ops.matmul_fixed(s, f, number(s, np.ones(2)))
        with pytest.raises(ConfigError, match="owner"):
            ops.share(s, None, s.rank, 3)
        return repr(s)

    assert run3(program)[1] == "<Session replicated me=party-1 parties=party-0,party-1,party-2>"


def test_parties_that_mean_another_engine_do_not_start():
    lines = memory.network(["a", "b", "c", "helper"])
    errors = []

    def meet(name, make):
        try:
            make(name, {k: v for k, v in lines[name].items() if k != "helper"})
        except PpcError as error:
            errors.append(error)
            for channel in lines[name].values():
                channel.abort(error)

    names = ["a", "b", "c"]
    makers = [lambda me, ch: Session.replicated(me, names, ch)] * 2
    makers.append(lambda me, ch: Session.additive(me, names, ch, lines[me]["helper"]))
    threads = [threading.Thread(target=meet, args=x) for x in zip(names, makers, strict=True)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
    assert any(isinstance(e, ProtocolAbort) and "same session" in str(e) for e in errors)


def test_over_mutual_tls_with_frames_that_fill_the_buffers(tmp_path):
    names = ["a", "b", "c"]
    identity.create_ca(tmp_path)
    for name in names:
        identity.issue(tmp_path, name, ["127.0.0.1"])
    me = {n: identity.load(tmp_path, n) for n in names}
    n = 400_000
    x = np.random.default_rng(1).normal(size=n)
    results = {}
    with tls.Listener(me["a"]) as at_a, tls.Listener(me["b"]) as at_b:
        listeners = {"a": at_a, "b": at_b}

        def compute(rank):
            name = names[rank]
            channels = {p: tls.connect(me[name], p, *listeners[p].address, "s", 10) for p in names[:rank]}
            channels |= {p: listeners[name].accept("s", p, 10) for p in names[rank + 1 :]}
            with Session.replicated(name, names, channels) as s:
                share = number(s, x)
                y = ops.mul(s, share, share)
                results[rank] = ops.open(s, ops.select(s, ops.less_than(s, y, 1.0), y, 0.0))

        threads = [threading.Thread(target=compute, args=(r,)) for r in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
    exact = x * x
    far = np.abs(exact - 1) > 1e-4
    for rank in range(3):
        assert np.abs(results[rank] - np.where(exact < 1, exact, 0))[far].max() < 2e-5

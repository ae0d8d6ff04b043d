"""RR22: right on every kind of set, at its stated cost, telling no more than it says."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.core import cpu
from ppc.errors import ConfigError, DisclosureRefused, FrameError, ProtocolAbort, RemoteFailure, TypeMismatchError
from ppc.mpc.ot import vole
from ppc.mpc.psi import okvs, protocols, rr22
from ppc.mpc.psi.greeting import greet
from ppc.mpc.psi.keys import Normalise, prepare
from ppc.net import memory, wire
from ppc.net.channel import Spec

HEAVY = os.environ.get("PPC_HEAVY") == "1"


def ids(values) -> dict:
    return {"id": pa.array([f"customer {v}" for v in values], pa.string())}


def match(both, left, right, channels=None, run=rr22.intersect, **options):
    """The two results, after checking that they are right."""
    a, b = both(lambda c: run(c, ids(left), **options), lambda c: run(c, ids(right), **options), channels)
    for result in (a, b):
        if isinstance(result, Exception):
            raise result
        assert result.dtype == np.int64
    left_keys, right_keys = [left[i] for i in a], [right[i] for i in b]
    assert left_keys == right_keys, "the order is not shared"
    assert len(left_keys) == len(set(left_keys))
    assert set(left_keys) == set(left) & set(right)
    return a, b


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
def test_agrees_with_python_sets(both, left, right):
    match(both, list(left), list(right)[::-1])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([], []),
        ([], [1]),
        ([1], []),
        ([1], [1]),
        ([1], [2]),
        (range(700), range(700)),
        (range(700), range(700, 1400)),
        ([5], range(1100)),
        (range(1100), [5, 5000]),
    ],
)
def test_sizes_and_overlaps(both, left, right):
    match(both, list(left), list(right))


@pytest.mark.parametrize("randomness", ["silent", "ot"])
def test_many_rows(both, randomness):
    n = 200_000 if HEAVY and randomness == "silent" else 12_000
    universe = np.random.default_rng(7).permutation(2 * n)
    a, _ = match(both, universe[:n].tolist(), universe[n // 2 : n + n // 2].tolist(), randomness=randomness)
    assert len(a) == n - n // 2


def test_several_clusters_and_unequal_sizes(both):
    universe = np.random.default_rng(8).permutation(80_000)
    match(both, universe[:40_000].tolist(), universe[39_000:80_000].tolist())


def test_without_special_instructions(both, monkeypatch):
    monkeypatch.setenv(cpu.PORTABLE, "1")
    match(both, list(range(8_000)), list(range(7_990, 15_000)))


def test_several_columns_nulls_and_duplicates(both):
    left = prepare(
        {"name": pa.array(["Ann", "Bob", None, "Cid", "ANN "]), "born": pa.array([1, 2, 3, 4, 1])},
        normalise=Normalise(case=True, spaces="trim"),
        duplicates="first",
    )
    right = prepare(
        {"n": pa.array(["cid", "ann", None, "bob"]), "b": pa.array([4, 1, 3, 9], pa.int16())},
        normalise=Normalise(case=True, spaces="trim"),
    )
    a, b = both(lambda c: rr22.intersect(c, left), lambda c: rr22.intersect(c, right))
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == [(0, 1), (3, 0)]


# --- cost ---
def header(tag, *specs):
    return len(wire.encode_header(wire.Kind.ARRAYS, tag, list(specs), sum(s.nbytes for s in specs)))


@pytest.mark.parametrize("randomness", ["silent", "ot"])
def test_cost(both, randomness):
    n, m = 8_000, 9_000  # bank-a receives: it has fewer
    ends = memory.pair("bank-a", "bank-b")
    match(both, list(range(n)), list(range(100, 100 + m)), ends, randomness=randomness)
    blocks = okvs.layout(n).blocks
    width = rr22.tag_width(m)
    receiver, sender = (end.meter for end in ends)
    store = 16 * blocks + header("psi store", Spec(np.uint64, (blocks, 2)))
    tags = width * m + header("psi tags", Spec(np.uint8, (m, width)))
    matches = 8 * (m // 64 + 1) + header("psi matches", Spec(np.uint64, (m // 64 + 1,)))
    if randomness == "ot":
        assert 0 <= receiver.sent - (store + matches + 2048 * blocks) < 10_000
        assert 0 <= sender.sent - tags < 256 * 64 + 1000
    else:
        assert 0 <= receiver.sent - (store + matches) < 700_000
        assert 0 <= sender.sent - tags < 140_000
    assert receiver.rounds == 3
    assert sender.rounds == (3 if randomness == "ot" else 4)


def test_bytes_a_key_at_a_million():
    n = 1 << 20
    sent = 16 * okvs.layout(n).blocks + rr22.tag_width(n) * n + n // 8 + 840_000
    assert sent / n <= 36
    assert protocols.sent_bytes("rr22", "silent", n, n) <= 25 * n


def test_large_sets_travel_in_frames_of_bounded_size(both, monkeypatch):
    monkeypatch.setattr(rr22, "_ROWS_A_FRAME", 1000)
    ends = memory.pair("bank-a", "bank-b")
    match(both, list(range(8_000)), list(range(4_000, 13_500)), ends)
    assert ends[1].meter.messages == 3 + 10  # greeting, base points, trees; tags


# --- what travels ---
def recorded(channels):
    frames: list[bytes] = []
    for end in channels:
        put = end._out.put
        end._out.put = lambda frame, put=put: (frames.append(bytes(frame)), put(frame))[1]
    return frames


def test_what_travels_is_uniform_and_differs_from_run_to_run(both):
    stores = []
    for _ in range(2):
        ends = memory.pair("bank-a", "bank-b")
        frames = recorded(ends)
        match(both, list(range(8_000)), list(range(8_000)), ends)
        (store,) = [f for f in frames if b"psi store" in f[:80]]
        (tags,) = [f for f in frames if b"psi tags" in f[:80]]
        for name, frame in (("store", store), ("tags", tags)):
            payload = np.frombuffer(frame[-60_000:] if name == "store" else frame[-16_000:], np.uint8)
            counts = np.bincount(payload, minlength=256)
            if name == "store":
                # chi-squared with 255 degrees of freedom: above 400 with probability below 1e-7
                assert ((counts - len(payload) / 256) ** 2).sum() / (len(payload) / 256) < 400
        stores.append(store[-60_000:])
        for value in (0, 1, 7_999):
            assert not any(f"customer {value}".encode() in f for f in frames)
    assert stores[0] != stores[1]


def test_the_tags_of_other_keys_look_random_to_the_receiver(both):
    """Keys that only the sender has: their tags agree with none that the receiver could compute without Δ."""
    a, b = both(
        lambda c: rr22.intersect(c, ids(range(500))), lambda c: rr22.intersect(c, ids(range(1000, 2000)))
    )  # fmt: skip
    assert len(a) == len(b) == 0


def test_the_order_of_matches_is_not_that_of_the_rows(both):
    a, _ = match(both, list(range(1000)), list(range(1000)))
    assert not (np.diff(a) > 0).all()
    again, _ = match(both, list(range(1000)), list(range(1000)))
    assert (a != again).any()


# --- disagreement and hostile peers ---
def test_other_settings_are_errors(both):
    a, b = both(lambda c: rr22.intersect(c, ids([1])), lambda c: rr22.intersect(c, ids([1]), randomness="ot"))
    assert isinstance(a, ProtocolAbort)
    assert isinstance(b, ProtocolAbort)
    a, b = both(lambda c: rr22.intersect(c, {"id": pa.array([12])}), lambda c: rr22.intersect(c, ids([12])))
    assert isinstance(a, TypeMismatchError)
    a, b = both(lambda c: rr22.intersect(c, ids([1]), max_peer_rows=3), lambda c: rr22.intersect(c, ids(range(4))))
    assert isinstance(a, DisclosureRefused)
    assert isinstance(b, RemoteFailure)


@pytest.mark.parametrize("order", ["descending", "all equal"])
def test_tags_out_of_order_are_refused(both, order):
    def mallory(channel):
        keys = prepare(ids(range(20)))
        theirs, salt = greet(channel, keys, rr22.protocol_name("silent"), 100)
        sizes = okvs.layout(theirs)
        vole.Sender(channel, salt).random(sizes.blocks, "ot")
        channel.recv("psi store", Spec(np.uint64, (sizes.blocks, 2)))
        width = rr22.tag_width(20)
        tags = np.zeros((20, width), np.uint8)
        if order == "descending":
            tags[:, 3] = np.arange(20)[::-1]
        channel.send("psi tags", tags)
        return channel.recv("psi matches", Spec(np.uint64, (1,)))

    honest, _ = both(lambda c: rr22.intersect(c, ids(range(10))), mallory)
    assert isinstance(honest, FrameError), honest
    assert "ascending" in honest.what
    assert honest.party == "bank-b"


@pytest.mark.parametrize("size", [5, 50])
def test_a_peer_that_leaves_in_between(both, size):
    def leave(channel):
        greet(channel, prepare(ids(range(size))), rr22.protocol_name("silent"), 100)
        channel.close()

    honest, _ = both(lambda c: rr22.intersect(c, ids(range(20))), leave)
    assert honest.party == "bank-b"


# --- the choice of a protocol ---
def test_auto_takes_the_larger_set(both, monkeypatch):
    ran = []
    for module in (protocols.ecdh, protocols.rr22):
        run = module.match

        def spy(*args, run=run, name=module.__name__, **options):
            ran.append(name.rpartition(".")[2])
            return run(*args, **options)

        monkeypatch.setattr(module, "match", spy)
    monkeypatch.setattr(protocols, "RR22_ROWS", 50)
    match(both, list(range(49)), list(range(20)), run=protocols.intersect)
    assert set(ran) == {"ecdh"}
    ran.clear()
    match(both, list(range(10)), list(range(50)), run=protocols.intersect)
    assert set(ran) == {"rr22"}
    ran.clear()
    match(both, list(range(10)), list(range(50)), run=protocols.intersect, protocol="ecdh")
    match(both, list(range(10)), list(range(5)), run=protocols.intersect, protocol="rr22", randomness="ot")
    assert ran == ["ecdh", "ecdh", "rr22", "rr22"]


def test_unknown_settings():
    ends = memory.pair("bank-a", "bank-b")
    with pytest.raises(ConfigError, match="auto, ecdh, kkrt, rr22"):
        protocols.intersect(ends[0], ids([1]), protocol="psi")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="silent, ot"):
        protocols.intersect(ends[0], ids([1]), randomness="dealer")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="semi-honest, malicious"):
        protocols.intersect(ends[0], ids([1]), security="covert")  # type: ignore[arg-type]
    for protocol in ("ecdh", "kkrt"):
        with pytest.raises(ConfigError, match="deviates"):
            protocols.intersect(ends[0], ids([1]), protocol=protocol, security="malicious")


def test_progress_rises_to_one(both):
    seen: list[float] = []
    match(both, list(range(100)), list(range(100)), progress=lambda f, what: seen.append(f))
    assert max(seen) == 1.0

"""Diffie-Hellman PSI: right on every kind of set, at its stated cost, telling no more than it says."""

from __future__ import annotations

import json
import os

import nacl.bindings as sodium
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.core import cpu
from ppc.errors import (
    DisclosureRefused,
    FrameError,
    PpcError,
    ProtocolAbort,
    RemoteFailure,
    TypeMismatchError,
)
from ppc.mpc.psi import ecdh, group
from ppc.mpc.psi.keys import Normalise, prepare
from ppc.net import memory, wire
from ppc.net.channel import Spec

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493


def ids(values) -> dict:
    return {"id": pa.array([f"customer {v}" for v in values], pa.string())}


def match(both, left, right, channels=None, **options):
    """The two results, after checking that they are right."""
    a, b = both(
        lambda c: ecdh.intersect(c, ids(left), **options), lambda c: ecdh.intersect(c, ids(right), **options), channels
    )
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
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
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


def test_many_rows(both):
    n = 100_000 if os.environ.get("PPC_HEAVY") == "1" else 3_000
    rng = np.random.default_rng(7)
    universe = rng.permutation(2 * n)
    a, _ = match(both, universe[:n].tolist(), universe[n // 2 : n + n // 2].tolist())
    assert len(a) == n - n // 2


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
    a, b = both(lambda c: ecdh.intersect(c, left), lambda c: ecdh.intersect(c, right))
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == [(0, 1), (3, 0)]


def test_cost(both):
    n, m = 300, 500
    ends = memory.pair("bank-a", "bank-b")
    match(both, list(range(n)), list(range(100, 100 + m)), ends)
    width = ecdh.tag_bytes(n, m)
    assert width == 8

    def header(tag, rows, width):
        return len(wire.encode_header(wire.Kind.ARRAYS, tag, [Spec(np.uint8, (rows, width))], rows * width))

    for end, own, other in ((ends[0], n, m), (ends[1], m, n)):
        greeting = end.meter.sent - (
            32 * own + header("psi points", own, 32) + width * other + header("psi tags", other, width)
        )
        assert 100 < greeting < 250
        assert end.meter.rounds == 3
        assert end.meter.messages == 3


def test_large_sets_travel_in_frames_of_bounded_size(both, monkeypatch):
    monkeypatch.setattr(group, "POINTS_A_FRAME", 100)
    ends = memory.pair("bank-a", "bank-b", max_frame_bytes=6000)
    match(both, list(range(250)), list(range(200, 260)), ends)
    assert ends[0].meter.rounds == 1 + 1 + 1  # the smaller set ends after its first frame
    assert ends[0].meter.messages == 1 + 3 + 1


@pytest.mark.parametrize(
    ("mine", "theirs", "width"), [(1, 1, 5), (2**16, 2**16, 9), (2**20, 2**20, 10), (2**28, 2**28, 12)]
)
def test_tags_are_wide_enough(mine, theirs, width):
    assert ecdh.tag_bytes(mine, theirs) == width
    assert 8 * width - np.log2(mine) - np.log2(theirs) >= 40


# --- what travels ---
def recorded(channels):
    """Every byte that the two ends put on the line from now on."""
    frames: list[bytes] = []
    for end in channels:
        put = end._out.put
        end._out.put = lambda frame, put=put: (frames.append(bytes(frame)), put(frame))[1]
    return frames


def test_no_key_and_no_hash_of_a_key_travels(both, monkeypatch):
    salts: list[bytes] = []
    salted = ecdh.Keys.salted

    def spy(self, salt):
        salts.append(salt)
        return salted(self, salt)

    monkeypatch.setattr(ecdh.Keys, "salted", spy)
    ends = memory.pair("bank-a", "bank-b")
    frames = recorded(ends)
    left, right = list(range(40)), list(range(20, 60))
    match(both, left, right, ends)
    traffic = b"".join(frames)
    assert len(traffic) > 40 * 2 * 32
    assert salts[0] == salts[1]
    keys = [prepare(ids(side)) for side in (left, right)]
    secrets = [f"customer {v}".encode() for v in range(60)]
    for k in keys:
        secrets += [d.tobytes() for d in k._digests]
        hashes = k.salted(salts[0])
        secrets += hashes
        secrets += [group._hash(h) for h in hashes]
    for secret in secrets:
        assert secret not in traffic
        assert secret[:8] not in traffic or secret.startswith(b"customer")


def test_points_are_fresh_in_every_session_and_shuffled(both, monkeypatch):
    """Undoing the blinding shows each key once, in an order that is not the rows'. False alarm: 4 in 64!."""
    scalars: list[bytes] = []
    salts: list[bytes] = []
    secret_scalar, salted = group.secret_scalar, ecdh.Keys.salted
    monkeypatch.setattr(group, "secret_scalar", lambda: (scalars.append(secret_scalar()), scalars[-1])[1])
    monkeypatch.setattr(ecdh.Keys, "salted", lambda self, salt: (salts.append(salt), salted(self, salt))[1])
    seen: list[set[bytes]] = []
    n = 64
    for _ in range(2):
        scalars.clear()
        ends = memory.pair("bank-a", "bank-b")
        frames = recorded(ends)
        match(both, list(range(n)), list(range(n)), ends)
        hashed = [group._hash(h) for h in prepare(ids(range(n))).salted(salts[-1])]
        for frame in (f for f in frames if b"psi points" in f[:64]):
            body = frame[-32 * n :]
            points = [body[i : i + 32] for i in range(0, len(body), 32)]
            assert all(sodium.crypto_core_ed25519_is_valid_point(p) for p in points)
            seen.append(set(points))
            bare = [[group._multiply(sodium.crypto_core_ed25519_scalar_invert(s), p) for p in points] for s in scalars]
            (found,) = [b for b in bare if set(b) == set(hashed)]
            assert found != hashed
    assert len(set().union(*seen)) == 4 * n


def test_the_shared_order_tells_nothing_of_the_rows(both):
    """The order of the result is pseudo-random: over runs, a row's place varies. False alarm: 2 in 16! runs."""
    orders = set()
    for _ in range(3):
        a, _ = match(both, list(range(16)), list(range(16)))
        orders.add(tuple(a))
    assert len(orders) == 3
    assert tuple(range(16)) not in orders


# --- the group ---
def test_hash_to_group_is_elligator_2_of_rfc_9380():
    """Against RFC 9380, sections 6.7.1 and 6.8.2, in Python integers, times the cofactor; up to the sign of x."""
    d = -121665 * pow(121666, -1, P) % P
    a = 486662

    def add(p, q):
        (x1, y1), (x2, y2) = p, q
        t = d * x1 * x2 * y1 * y2
        return (
            (x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P,
            (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P,
        )

    def sqrt(v):
        r = pow(v, (P + 3) // 8, P)
        if (r * r - v) % P:
            r = r * pow(2, (P - 1) // 4, P) % P
        return r if (r * r - v) % P == 0 else None

    for i in range(20):
        raw = bytearray(os.urandom(32) if i else bytes(31) + b"\x00")
        raw[31] &= 0x7F
        u = int.from_bytes(raw, "little") % P
        x = -a * pow(1 + 2 * u * u, -1, P) % P
        if pow(x**3 + a * x * x + x, (P - 1) // 2, P) not in (0, 1):
            x = (-x - a) % P
        y = (x - 1) * pow(x + 1, -1, P) % P  # to Edwards form, birational map of RFC 7748
        ex = sqrt((y * y - 1) * pow(d * y * y + 1, -1, P) % P)
        point = (ex, y)
        for _ in range(3):
            point = add(point, point)
        ours = int.from_bytes(group._hash(bytes(raw)), "little") & (2**255 - 1)
        assert ours == point[1]


def test_every_hash_is_in_the_prime_order_group():
    for _ in range(50):
        assert sodium.crypto_core_ed25519_is_valid_point(group._hash(os.urandom(32)))


def test_secret_scalars_are_reduced_and_distinct():
    scalars = {group.secret_scalar() for _ in range(50)}
    assert len(scalars) == 50
    assert all(0 < int.from_bytes(s, "little") < ORDER for s in scalars)


TORSION = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")  # order 8


def hostile_points() -> dict[str, bytes]:
    good = group._hash(os.urandom(32))
    return {
        "zero bytes": bytes(32),
        "the neutral element": (1).to_bytes(32, "little"),
        "order 2": (P - 1).to_bytes(32, "little"),
        "order 8": TORSION,
        "not canonical": (P + 1).to_bytes(32, "little"),
        "not on the curve": (2).to_bytes(32, "little"),
        "all ones": b"\xff" * 32,
        "outside the prime-order group": sodium.crypto_core_ed25519_add(good, TORSION),
    }


@pytest.mark.parametrize("name", list(hostile_points()))
def test_points_outside_the_group_are_refused(both, name):
    bad = hostile_points()[name]

    def mallory(channel):
        channel.send_bytes("psi hello", greeting())
        channel.recv_bytes("psi hello", 4096)
        points = np.frombuffer(bad * 3, np.uint8).reshape(3, 32)
        channel.recv("psi points", Spec(np.uint8, (3, 32)))
        channel.send("psi points", points)
        return channel.recv("psi tags", Spec(np.uint8, (3, ecdh.tag_bytes(3, 3))))

    honest, dishonest = both(lambda c: ecdh.intersect(c, ids(range(3))), mallory)
    assert isinstance(honest, FrameError), honest
    assert honest.party == "bank-b"
    assert "prime-order group" in honest.what
    assert isinstance(dishonest, RemoteFailure)


def test_the_portable_path_gives_the_same(monkeypatch):
    """On a processor with AVX-512 IFMA points are multiplied in lanes, elsewhere by libsodium: the bytes are equal."""
    scalar, hashes = group.secret_scalar(), [os.urandom(32) for _ in range(1100)]
    here = group.hash_and_multiply(hashes, scalar)
    doubled = group.multiply(here, scalar)
    monkeypatch.setenv(cpu.PORTABLE, "1")
    assert (group.hash_and_multiply(hashes[:40], scalar) == here[:40]).all()
    assert (group.multiply(here[-40:], scalar) == doubled[-40:]).all()
    here[1077] = np.frombuffer((2).to_bytes(32, "little"), np.uint8)  # not on the curve
    for portable in ("1", "0"):
        monkeypatch.setenv(cpu.PORTABLE, portable)
        with pytest.raises(group.NotInGroup):
            group.multiply(here[1000:], scalar)


# --- disagreement ---
def test_numbers_against_texts_is_an_error_that_says_so(both):
    a, b = both(
        lambda c: ecdh.intersect(c, {"id": pa.array([12])}), lambda c: ecdh.intersect(c, {"id": pa.array(["12"])})
    )
    for error, mine, theirs in ((a, "integer at bank-a", "text at bank-b"), (b, "text at bank-b", "integer at bank-a")):
        assert isinstance(error, TypeMismatchError)
        assert mine in error.what
        assert theirs in error.what
        assert error.where == "key column 1"
        assert "one type" in str(error.hint)


def test_another_number_of_key_columns(both):
    one, two = {"a": pa.array([1])}, {"a": pa.array([1]), "b": pa.array([1])}
    a, b = both(lambda c: ecdh.intersect(c, one), lambda c: ecdh.intersect(c, two))
    for error in (a, b):
        assert isinstance(error, TypeMismatchError)
    assert "1 columns at bank-a and 2 at bank-b" in a.what


def test_another_normalisation(both):
    a, b = both(
        lambda c: ecdh.intersect(c, prepare(ids([1]), normalise=Normalise(case=True))),
        lambda c: ecdh.intersect(c, prepare(ids([1]))),
    )
    for error in (a, b):
        assert isinstance(error, ProtocolAbort)
        assert "normalise" in error.what


def test_a_set_larger_than_announced_is_refused_before_anything_is_sent(both):
    ends = memory.pair("bank-a", "bank-b")
    frames = recorded(ends)
    a, b = both(
        lambda c: ecdh.intersect(c, ids([1, 2]), max_peer_rows=99), lambda c: ecdh.intersect(c, ids(range(100))), ends
    )
    assert isinstance(a, DisclosureRefused)
    assert "announces 100 keys; at most 99" in a.what
    assert isinstance(b, RemoteFailure)
    assert sum(b"psi points" in f[:64] for f in frames) <= 1  # only the other party's
    assert ends[0].meter.messages == 1


def greeting(**changes) -> bytes:
    good = {
        "protocol": ecdh._PROTOCOL,
        "types": ["text"],
        "normalise": Normalise().describe(),
        "rows": 3,
        "nonce": os.urandom(16).hex(),
    }
    return json.dumps({k: v for k, v in (good | changes).items() if v is not ...}).encode()


@pytest.mark.parametrize(
    "hello",
    [
        b"",
        b"not json",
        b"[]",
        b"[" * 4000,
        greeting(rows=-1),
        greeting(rows=2**40),
        greeting(rows=True),
        greeting(rows=3.0),
        greeting(rows="3"),
        greeting(rows=...),
        greeting(nonce="00"),
        greeting(nonce="zz" * 16),
        greeting(nonce=7),
        greeting(types="text"),
        greeting(types=["x" * 40]),
        greeting(types=["\x1b[31m"]),
        greeting(normalise=None),
        greeting(protocol=7),
    ],
)
def test_hostile_greetings(both, hello):
    def mallory(channel):
        channel.send_bytes("psi hello", hello)
        channel.recv_bytes("psi hello", 4096)
        channel.recv_bytes("x", 1)

    honest, _ = both(lambda c: ecdh.intersect(c, ids(range(3))), mallory)
    assert isinstance(honest, FrameError), honest
    assert honest.party == "bank-b"
    assert "greeting" in honest.what


def test_a_peer_with_another_protocol_or_my_own_nonce(both):
    def other(channel):
        channel.send_bytes("psi hello", greeting(protocol="rr22 v1"))
        channel.recv_bytes("x", 1)

    honest, _ = both(lambda c: ecdh.intersect(c, ids(range(3))), other)
    assert isinstance(honest, ProtocolAbort)

    def mirror(channel):
        channel.send_bytes("psi hello", channel.recv_bytes("psi hello", 4096))
        channel.recv_bytes("x", 1)

    honest, _ = both(lambda c: ecdh.intersect(c, ids(range(3))), mirror)
    assert isinstance(honest, FrameError)
    assert "nonce" in honest.what


def test_a_peer_that_leaves_in_between(both):
    def leave(channel):
        channel.send_bytes("psi hello", greeting())
        channel.recv_bytes("psi hello", 4096)
        channel.close()

    honest, _ = both(lambda c: ecdh.intersect(c, ids(range(3))), leave)
    assert isinstance(honest, PpcError)
    assert honest.party == "bank-b"


# --- progress ---
def test_progress_rises_to_one_and_can_stop_the_work(both):
    seen: list[tuple[float, str]] = []
    match(both, list(range(1200)), list(range(1200)), progress=lambda f, what: seen.append((f, what)))
    assert max(f for f, _ in seen) == 1.0
    assert {"blinding my keys", "blinding the keys of bank-b"} <= {what for _, what in seen}

    class Stop(Exception):
        pass

    def stop(fraction, what):
        raise Stop

    a, b = both(
        lambda c: ecdh.intersect(c, ids(range(600)), progress=stop), lambda c: ecdh.intersect(c, ids(range(600)))
    )
    assert isinstance(a, Stop)
    assert isinstance(b, PpcError)


def test_any_number_of_workers_gives_the_same(both):
    for workers in (1, 3):
        match(both, list(range(50)), list(range(25, 75)), workers=workers)

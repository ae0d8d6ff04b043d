"""Counts of common keys, and sums over them: right, and nothing that points to single keys."""

from __future__ import annotations

import nacl.bindings as sodium
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.errors import ConfigError, DisclosureRefused, FrameError, ProtocolAbort, RemoteFailure, ValueRangeError
from ppc.he.keys import public_from_bytes
from ppc.he.paillier.keys import PaillierPublicKey
from ppc.joint.totals import PaillierAdder, PaillierSealer
from ppc.mpc.psi import cardinality, group
from ppc.mpc.psi.cardinality import Total, count, own_total, peer_total
from ppc.net import memory
from ppc.net.channel import Spec

QUICK = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
BITS = 2048  # the shortest keys that are allowed: tests are quicker


def ids(values) -> dict:
    return {"id": pa.array([f"customer {v}" for v in values], pa.string())}


@pytest.fixture(scope="module")
def sealer():
    return PaillierSealer(BITS)


@QUICK
@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_counts_agree_with_python_sets(both, left, right):
    assert both(lambda c: count(c, ids(left)), lambda c: count(c, ids(right))) == (len(left & right),) * 2


@QUICK
@given(
    st.dictionaries(st.integers(0, 20), st.integers(-(2**61), 2**61), max_size=12), st.sets(st.integers(0, 20)),
    st.booleans(),
)  # fmt: skip
def test_sums_agree_with_python(both, sealer, owned, other, owner_first):
    common = set(owned) & other
    values = np.array([[v, 1] for v in owned.values()], np.int64).reshape(-1, 2)
    sides = [
        lambda c: own_total(c, ids(owned), values, sealer),
        lambda c: peer_total(c, ids(other), PaillierAdder(), columns=2, min_rows=1),
    ]
    found = both(*(sides if owner_first else sides[::-1]))
    mine, theirs = found if owner_first else found[::-1]
    assert mine == Total(len(common), (sum(owned[k] for k in common), len(common)))
    assert theirs == Total(len(common), None)


def test_a_sum_over_few_keys_is_not_returned(both, sealer):
    values = np.arange(30, dtype=np.int64)[:, None]
    for common, refused in ((4, True), (5, False)):
        mine, theirs = both(
            lambda c: own_total(c, ids(range(30)), values, sealer),
            lambda c, n=common: peer_total(c, ids(range(30 - n, 60)), PaillierAdder(), columns=1, min_rows=5),
        )
        if refused:
            assert isinstance(mine, DisclosureRefused)
            assert isinstance(theirs, DisclosureRefused)
            assert "fewer than 5" in str(theirs)
        else:
            assert mine == Total(5, (sum(range(25, 30)),))


def test_who_made_the_ciphertexts_cannot_tell_which_were_added(sealer):
    """A base of order 2 in a curious owner's key: each choice of its ciphertexts would have a product of its own."""
    honest = public_from_bytes(sealer.public_bytes())
    key = PaillierPublicKey(honest.n, honest.n2 - 1)
    sealed = sealer.seal(np.array([[5], [7], [9]]), 3)
    numbers = [int.from_bytes(row.tobytes(), "little") for row in sealed]
    products = {sign * a * b % int(key.n2) for i, a in enumerate(numbers) for b in numbers[:i] for sign in (1, -1)}
    answers = {PaillierAdder().add(key.to_bytes(), sealed[[0, 2]], 1, 3) for _ in range(4)}
    assert len(answers) == 4
    assert not products & {int.from_bytes(a, "little") for a in answers}
    assert all(sealer.unseal(a, 1) == [14] for a in answers)


def test_rows_without_a_key_do_not_count_and_values_follow_their_rows(both, sealer):
    keys = {"id": pa.array(["a", None, "b", "c"])}
    mine, _ = both(
        lambda c: own_total(c, keys, np.array([[1], [10], [100], [1000]]), sealer),
        lambda c: peer_total(c, {"id": pa.array(["c", "a", "z"])}, PaillierAdder(), columns=1, min_rows=1),
    )
    assert mine == Total(2, (1001,))


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (np.zeros(3, np.int64), "shape"),
        (np.zeros((3, 1)), "int64"),
        (np.zeros((2, 1), np.int64), "shape"),
        (np.zeros((3, 65), np.int64), "columns"),
    ],
)
def test_values_of_another_kind_are_refused_before_anything_travels(sealer, values, what):
    with pytest.raises(ValueRangeError, match=what):
        own_total(memory.pair("a", "b")[0], ids(range(3)), values, sealer)


def test_numbers_that_are_too_large_stop_both(both, sealer):
    mine, theirs = both(
        lambda c: own_total(c, ids([1]), np.array([[2**62]]), sealer),
        lambda c: peer_total(c, ids([1]), PaillierAdder(), columns=1, min_rows=1),
    )
    assert isinstance(mine, ValueRangeError)
    assert "62 bits" in str(mine)
    assert isinstance(theirs, RemoteFailure)
    assert str(2**62) not in str(mine) + str(theirs)


def test_other_settings_are_named(both, sealer):
    found = both(
        lambda c: own_total(c, ids([1]), np.array([[1]]), sealer),
        lambda c: peer_total(c, ids([1]), PaillierAdder(), columns=2),
    )
    assert all(isinstance(e, ProtocolAbort) for e in found)
    for wrong in ({"columns": 0}, {"columns": 1, "min_rows": 0}):
        with pytest.raises(ConfigError):
            peer_total(memory.pair("a", "b")[0], ids([1]), PaillierAdder(), **wrong)


def test_points_outside_the_group_are_refused(both):
    def bad(c):
        cardinality.greet(c, cardinality.as_keys(ids([1])), "count ecdh edwards25519 v1", 10)
        (_,) = c.recv("psi points", Spec(np.uint8, (1, 32)))
        c.send("psi tags", np.zeros((1, 5), np.uint8))
        c.send("psi points", np.zeros((1, 32), np.uint8))
        c.recv("psi count", Spec(np.uint64, 1))

    found, _ = both(lambda c: count(c, ids([1])), bad)
    assert isinstance(found, FrameError)
    assert "prime-order group" in str(found)


def test_ciphertexts_that_are_none_are_refused(sealer):
    adder = PaillierAdder()
    width = sealer.seal(np.array([[1]]), 1).shape[1]
    for bad in (np.zeros((1, width), np.uint8), np.full((1, width), 255, np.uint8), np.zeros((1, 5), np.uint8)):
        with pytest.raises(Exception, match="ciphertext"):
            adder.add(sealer.public_bytes(), bad, 1, 1)


def test_the_counting_party_cannot_tell_which_of_its_keys_matched(both, monkeypatch):
    """The tags that come back are those of its points in a fresh order: the place of a match in the list that the
    counting party sent and in the one it got agree no more often than by chance.

    64 keys, 32 common, 20 runs: a common key stays in place with chance 1/64, so 10 of 640 are expected; more than 40
    has probability below 1e-12. With the shuffle left out all 640 stay, which the second half shows.
    """

    def stays(shuffled):
        kept = 0
        for _ in range(20):
            ends = memory.pair("bank-a", "bank-b")
            sent, got, secrets = [], [], []
            real_send, real_secret = group.send, group.secret_scalar

            def send(channel, tag, rows, sent=sent, got=got, real=real_send):
                (got if tag == "psi tags" else sent).append((channel.me, rows.copy()))
                real(channel, tag, rows)

            def secret(secrets=secrets, real=real_secret):
                secrets.append(real())
                return secrets[-1]

            with monkeypatch.context() as patch:
                patch.setattr(group, "send", send)
                patch.setattr(group, "secret_scalar", secret)
                if not shuffled:
                    patch.setattr(cardinality.rng, "os_stream", _Still)
                assert both(lambda c: count(c, ids(range(64))), lambda c: count(c, ids(range(32, 96))), ends) == (
                    32,
                    32,
                )
            ((_, points),) = [(m, r) for m, r in sent if m == "bank-a"]
            ((_, tags),) = got
            for scalar in secrets:
                doubled = [sodium.crypto_scalarmult_ed25519_noclamp(scalar, p.tobytes()) for p in points]
                kept += sum(d[: tags.shape[1]] == t.tobytes() for d, t in zip(doubled, tags, strict=True))
        return kept

    class _Still:
        def permutation(self, n):
            return np.arange(n)

    assert stays(True) <= 40 * 2
    assert stays(False) == 20 * 64


def test_cost(both):
    n, m = 300, 200
    ends = memory.pair("bank-a", "bank-b")
    both(lambda c: count(c, ids(range(n))), lambda c: count(c, ids(range(m))), ends)
    width = cardinality.tag_bytes(n, m)
    assert 0 < ends[0].meter.sent - 32 * n - 8 < 700
    assert 0 < ends[1].meter.sent - 32 * m - width * n < 700
    assert [e.meter.rounds for e in ends] == [2, 2]

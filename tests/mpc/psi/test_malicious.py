"""RR22 against a party that deviates at each of its messages: caught, or what some honest choice of its set gives."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pytest

from ppc.errors import FrameError, PpcError, ProtocolAbort
from ppc.mpc.ot import lpn
from ppc.mpc.psi import okvs, protocols, rr22, rr22_malicious
from ppc.mpc.psi.keys import prepare
from ppc.net import memory, wire
from ppc.net.channel import Spec

HEAVY = os.environ.get("PPC_HEAVY") == "1"
SMALL, LARGE = range(60), range(30, 110)  # bank-a has fewer keys, so it receives
COMMON = set(SMALL) & set(LARGE)


@pytest.fixture
def silent(monkeypatch):
    """Trees and LPN for few keys too."""
    monkeypatch.setattr(lpn, "MIN_OUTPUTS", 1)


def ids(values) -> dict:
    return {"id": pa.array([f"customer {v}" for v in values], pa.string())}


def run(both, ends=None, **options):
    """What each party got: the keys of its matching rows in order, or its error."""
    results = both(
        lambda c: rr22.intersect(c, ids(SMALL), security="malicious", **options),
        lambda c: rr22.intersect(c, ids(LARGE), security="malicious", **options),
        ends,
    )
    return [
        r if isinstance(r, Exception) else [keys[i] for i in r] for r, keys in zip(results, (SMALL, LARGE), strict=True)
    ]


def tampered(party, change, **options):
    """Channels on which each message of `party` goes through `change(number, tag, arrays or bytes)`."""
    ends = memory.pair("bank-a", "bank-b", **options)
    end, count = ends[party == "bank-b"], [0]
    send, send_bytes = end.send, end.send_bytes

    def arrays(tag, *values):
        new = change(count[0], tag, [v.copy() for v in values])
        count[0] += 1
        send(tag, *new)

    def octets(tag, data):
        new = change(count[0], tag, data)
        count[0] += 1
        send_bytes(tag, new)

    end.send, end.send_bytes = arrays, octets
    return ends


def messages(both, party) -> list[str]:
    seen: list[str] = []
    run(both, tampered(party, lambda number, tag, value: (seen.append(tag), value)[1]))
    return seen


def damaged(value, how, rng):
    """One bit of a message flipped, all of it replaced by random bytes, or by zeros."""
    if isinstance(value, bytes):
        raw = np.frombuffer(value, np.uint8).copy()
    else:
        which = int(rng.integers(len(value)))
        raw = np.ascontiguousarray(value[which]).view(np.uint8).reshape(-1).copy()
    if how == "flip":
        raw[rng.integers(len(raw))] ^= np.uint8(1 << rng.integers(8))
    else:
        raw[:] = rng.integers(0, 256, len(raw)) if how == "random" else 0
    if isinstance(value, bytes):
        return raw.tobytes()
    shape, dtype = value[which].shape, value[which].dtype
    return [*value[:which], raw.view(dtype).reshape(shape), *value[which + 1 :]]


@pytest.mark.parametrize("party", ["bank-a", "bank-b"])
def test_any_damage_to_any_message_is_caught_or_is_some_honest_run(both, silent, party):
    """In turn each message is damaged. The honest party stops with an error that names the other, or its result is
    right for some set of the other's: a part of the true match, in an order that fits the other's result."""
    rng = np.random.default_rng(len(party))
    tags = messages(both, party)
    expected = {
        "bank-a": ["psi hello", "base ot reply", "vole columns", "vole check", "ot columns", "ot check",
                   "vole tree challenge", "psi seed", "psi store", "psi matches"],
        "bank-b": ["psi hello", "psi commitment", "base ot points", "vole challenge", "ot challenge", "vole trees",
                   "vole tree answer", "psi opening", "psi tags"],
    }  # fmt: skip
    assert tags == expected[party]
    for at, name in enumerate(tags):
        for how in ("flip", "random", "zeros")[: 3 if HEAVY else 2]:

            def change(number, tag, value, at=at, how=how):
                return damaged(value, how, rng) if number == at else value

            a, b = run(both, tampered(party, change))
            honest, other = (b, a) if party == "bank-a" else (a, b)
            if isinstance(honest, Exception):
                assert isinstance(honest, PpcError), (name, how, honest)
                assert honest.party == party, (name, how)
            else:
                assert set(honest) <= COMMON, (name, how)
                assert len(set(honest)) == len(honest)
                if not isinstance(other, Exception):
                    assert honest == other, (name, how)


def outcome(both, party, tag, change):
    """The honest party's result, and the other's, when `change` is applied to the messages with `tag`."""
    a, b = run(both, tampered(party, lambda number, name, value: change(value) if name == tag else value))
    return (b, a) if party == "bank-a" else (a, b)


# --- what exactly each deviation after the checks gives ---
def test_a_receiver_that_tells_another_seed_holds_the_empty_set(both):
    honest, other = outcome(both, "bank-a", "psi seed", lambda value: [value[0] ^ np.uint64(1), value[1]])
    assert honest == other == []


def test_a_receiver_that_tells_another_block_w_cannot_prove_anything(both):
    honest, _ = outcome(both, "bank-a", "psi seed", lambda value: [value[0], value[1] ^ np.uint64(1)])
    assert isinstance(honest, ProtocolAbort)


def test_a_receiver_that_changes_its_store_holds_the_keys_that_still_decode(both, monkeypatch):
    """Exactly those: a key is lost if one of its three places is the changed block."""
    places = []
    spied = rr22_malicious.places
    monkeypatch.setattr(
        rr22_malicious, "places", lambda k, s, r: (places.append((len(k), spied(k, s, r))), spied(k, s, r))[1]
    )

    def change(value):
        value[0][5:60, 0] ^= np.uint64(1)
        return value

    honest, other = outcome(both, "bank-a", "psi store", change)
    assert honest == other
    place, r = next(p for n, p in places if n == len(SMALL))
    sizes = okvs.layout(len(SMALL))
    error = np.zeros((sizes.blocks, 2), np.uint64)
    error[5:60, 0] = 1
    kept = ~okvs.decode(place, r, error, sizes).any(axis=1)
    assert set(honest) == {k for k, keep in zip(SMALL, kept, strict=True) if keep} & COMMON
    assert 0 < len(honest) < len(COMMON)


def test_a_receiver_cannot_claim_a_match_that_it_does_not_hold(both):
    def change(value):
        flags, digest = value
        flags[0] |= ~flags[0] & (~flags[0] + np.uint64(1))  # the first tag that is not marked
        return [flags, digest]

    honest, _ = outcome(both, "bank-a", "psi matches", change)
    assert isinstance(honest, ProtocolAbort)
    assert "cannot prove" in honest.what
    assert honest.party == "bank-a"


def test_a_receiver_may_withhold_matches_and_the_sender_gets_the_rest(both, monkeypatch):
    """The one freedom that the docstring grants it, since it learns first; with a proof of the rest it is accepted."""
    find = rr22.find

    def forgets(channel, theirs, mine):
        found = find(channel, theirs, mine)
        found[np.flatnonzero(found >= 0)[:4]] = -1
        return found

    monkeypatch.setattr(rr22, "find", forgets)
    a, b = run(both)
    assert a == b
    assert set(b) < COMMON
    assert len(b) == len(COMMON) - 4


def test_a_receiver_that_withholds_without_the_right_proof_is_caught(both):
    def change(value):
        flags, digest = value
        flags[0] &= flags[0] - np.uint64(1)
        return [flags, digest]

    honest, _ = outcome(both, "bank-a", "psi matches", change)
    assert isinstance(honest, ProtocolAbort)


@pytest.mark.parametrize("tag", ["psi commitment", "psi opening"])
def test_a_sender_that_opens_something_else_is_caught(both, tag):
    def change(value):
        if isinstance(value, bytes):
            return bytes([value[0] ^ 1]) + value[1:]
        value[0][1] ^= np.uint64(1)
        return value

    honest, _ = outcome(both, "bank-b", tag, change)
    assert isinstance(honest, ProtocolAbort)
    assert honest.party == "bank-b"
    assert "opening" in str(honest.where)


def test_a_sender_that_replaces_tags_has_fewer_keys(both):
    def change(value):
        rows = value[0]
        for i in range(0, len(rows), 2):  # ascending in the words that are compared: the low bytes come first
            rows[i, 0] ^= 1
        return [rows]

    honest, _ = outcome(both, "bank-b", "psi tags", change)
    if not isinstance(honest, FrameError):  # neighbours may change places, with probability below 2^-30
        assert set(honest) < COMMON


@pytest.mark.parametrize("order", ["descending", "one twice"])
def test_tags_that_do_not_ascend_are_refused(both, order):
    def change(value):
        rows = value[0]
        return [rows[::-1] if order == "descending" else np.concatenate([rows[:1], rows[:1], rows[2:]])]

    honest, _ = outcome(both, "bank-b", "psi tags", change)
    assert isinstance(honest, FrameError)
    assert "ascending" in honest.what


@pytest.mark.parametrize("rows", [5, 79])
def test_a_store_is_alike_for_up_to_128_keys_whatever_was_announced(both, rows):
    honest, _ = outcome(both, "bank-a", "psi hello", lambda value: value.replace(b'"rows": 60', b'"rows": %d' % rows))
    assert set(honest) == COMMON


def test_a_party_that_announces_another_size_and_so_takes_another_role_times_out(both):
    def change(number, tag, value):
        return value.replace(b'"rows": 60', b'"rows": 600') if tag == "psi hello" else value

    _, honest = run(both, tampered("bank-a", change, idle_timeout_s=1.0))
    assert isinstance(honest, PpcError)


@pytest.mark.parametrize("announced", [1, 128, 250, 300, 1000, 5000, 1 << 14, 1 << 16, 1 << 20])
def test_how_many_keys_a_store_may_hold(announced):
    """The docstring's inequality at 2^40 hashes, and the figures that plans give."""
    m = okvs.layout(announced).blocks
    n = m
    while n * (128 - 40 + np.log2(n) - 1.45) <= 128 * (m + 1) + 40:
        n += max(1, m // 1000)
    assert n <= max(protocols.MALICIOUS_EXPANSION * announced, protocols.MALICIOUS_LEAST)


# --- cost, and what travels ---
def header(tag, *specs):
    return len(wire.encode_header(wire.Kind.ARRAYS, tag, list(specs), sum(s.nbytes for s in specs)))


@pytest.mark.parametrize("randomness", ["silent", "ot"])
def test_cost(both, randomness):
    n, m = 8_000, 9_000
    ends = memory.pair("bank-a", "bank-b")
    a, b = both(
        lambda c: rr22.intersect(c, ids(range(n)), security="malicious", randomness=randomness),
        lambda c: rr22.intersect(c, ids(range(100, 100 + m)), security="malicious", randomness=randomness),
        ends,
    )
    assert (a + 0 == b + 100).all()
    assert len(a) == n - 100
    blocks = okvs.layout(n).blocks
    receiver, sender = (end.meter for end in ends)
    store = 16 * blocks + header("psi store", Spec(np.uint64, (blocks, 2)))
    matches = 8 * (m // 64 + 1) + 32 + header("psi matches", Spec(np.uint64, (m // 64 + 1,)), Spec(np.uint8, (32,)))
    tags = 16 * m + header("psi tags", Spec(np.uint8, (m, 16)))
    if randomness == "ot":
        assert 0 <= receiver.sent - (store + matches + 2048 * blocks) < 15_000
        assert 0 <= sender.sent - tags < 256 * 64 + 2000
        assert (receiver.rounds, sender.rounds) == (4, 4)
    else:
        assert 0 <= receiver.sent - (store + matches) < 1_300_000
        assert 0 <= sender.sent - tags < 400_000
        assert (receiver.rounds, sender.rounds) == (7, 7)


def test_both_halves_of_a_digest_count():
    """Places, v and the output depend on all 256 bits: half a collision is none."""

    def everything(keys):
        zero = np.zeros(2, np.uint64)
        places = rr22_malicious.places(keys, b"salt", zero)
        return (
            rr22_malicious.value(keys, b"salt"),
            *places,
            *rr22_malicious.outputs(keys, np.zeros((4, 2), np.uint64), zero),
        )

    before = everything(prepare(ids(range(4))))
    for byte in (3, 15, 16, 31):
        changed = prepare(ids(range(4)))
        changed._digests[2, byte] ^= 1
        after = everything(changed)
        for x, y in zip(before, after, strict=True):
            assert (x != y).any(axis=1).tolist() == [False, False, True, False]


def test_outputs_are_sha256_of_the_block_and_the_key():
    import hashlib

    keys = prepare(ids(range(3)))
    blocks = np.arange(6, dtype=np.uint64).reshape(3, 2)
    w = np.array([7, 9], np.uint64)
    tags, proofs = rr22_malicious.outputs(keys, blocks, w)
    for i in range(3):
        message = b"ppc rr1" + (blocks[i] ^ w).astype("<u8").tobytes() + keys._digests[i].tobytes()
        digest = hashlib.sha256(message).digest()
        assert tags[i].tobytes() + proofs[i].tobytes() == digest

"""What the checks of vector OLE and extension catch, exactly: a wrong guess of a secret bit, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ppc.core import bits, gf128
from ppc.errors import PpcError, ProtocolAbort
from ppc.mpc.ot import extension, ggm, vole
from ppc.net import memory

KEY = bytes(range(16))


def tampered(change, party, tag, which=0):
    """Channels on which the message `which` of `party` with that tag is changed: arrays to arrays."""
    ends = memory.pair("bank-a", "bank-b")
    end, seen = ends[party == "bank-b"], [0]
    send = end.send

    def wrapped(name, *arrays):
        if name == tag:
            if seen[0] == which:
                arrays = change(*(a.copy() for a in arrays))
            seen[0] += 1
        send(name, *arrays)

    end.send = wrapped
    return ends


def run(both, ends, n=600, how="silent", checked=True):
    """Sender is bank-a. Returns Δ, and what each party got: B, (A, C) or an error."""
    deltas = []

    def send(channel):
        party = vole.Sender(channel, b"salt", checked=checked)
        deltas.append(party.delta)
        return party.random(n, how)

    b, ac = both(send, lambda ch: vole.Receiver(ch, b"salt", checked=checked).random(n, how), ends)
    return (deltas or [None])[0], b, ac


def holds(delta, b, ac):
    expected = b.copy()
    gf128.add_scaled(expected, ac[0], delta)
    return (expected == ac[1]).all()


def flip(array, *index):
    array[index] ^= np.uint64(1)
    return array


# --- a receiver that deviates ---
@pytest.mark.parametrize("how", ["ot", "silent"])
@pytest.mark.parametrize("column", [0, 64, 127])
def test_a_changed_column_is_caught_if_the_bit_of_delta_is_one(both, how, column):
    """For the other value the change has no effect at all: the party guessed right, and the correlation holds."""
    delta, b, ac = run(both, tampered(lambda u: (flip(u, column, 3, 1),), "bank-b", "vole columns"), how=how)
    if bits.unpack(delta, 128)[column]:
        assert isinstance(b, ProtocolAbort)
        assert b.party == "bank-b"
        assert "vole" in str(b.where)
        # Who deviates hears of it in a later message; with "ot" there is none that it must wait for.
        assert how == "ot" or isinstance(ac, PpcError)
    else:
        assert holds(delta, b, ac)


@pytest.mark.parametrize("how", ["ot", "silent"])
def test_many_changed_columns_are_always_caught(both, how):
    """64 columns that differ: passed with probability 2^-64. Without the check nobody notices."""

    def change(u):
        u[:64, 2] ^= np.uint64(5)
        return (u,)

    _, b, _ = run(both, tampered(change, "bank-b", "vole columns"), how=how)
    assert isinstance(b, ProtocolAbort)
    delta, b, ac = run(both, tampered(change, "bank-b", "vole columns"), how=how, checked=False)
    assert not isinstance(b, PpcError)
    assert not holds(delta, b, ac)


@pytest.mark.parametrize(
    ("tag", "change"),
    [
        ("vole check", lambda x, t: (flip(x, 0), t)),
        ("vole check", lambda x, t: (x, flip(t, 100, 1))),
        ("ot check", lambda x, t: (flip(x, 1), t)),
        ("ot check", lambda x, t: (x, flip(t, 0, 0))),
        ("base ot reply", lambda points: (np.concatenate([points[1:], points[:1]]),)),
    ],
)
def test_wrong_answers_of_the_receiver(both, tag, change):
    _, b, ac = run(both, tampered(change, "bank-b", tag))
    assert isinstance(b, ProtocolAbort)
    assert isinstance(ac, PpcError)


@pytest.mark.parametrize("column", [0, 5, 127])
def test_inconsistent_choices_of_extension(both, column):
    rng = np.random.default_rng(column)
    secret, pairs = rng.integers(0, 2**64, 2, np.uint64), rng.integers(0, 2**64, (128, 2, 2), np.uint64)
    chosen = pairs[np.arange(128), bits.unpack(secret, 128)]
    choices = rng.integers(0, 2, 300).astype(np.uint8)
    caught = 0
    for bit in range(2):
        own = secret.copy()
        own[column // 64] &= ~(np.uint64(1) << np.uint64(column % 64))
        own[column // 64] |= np.uint64(bit) << np.uint64(column % 64)
        chosen = pairs[np.arange(128), bits.unpack(own, 128)]
        ends = tampered(lambda u: (flip(u, column, 1),), "bank-b", "ot columns")
        sent, received = both(
            lambda c, s=own, k=chosen: extension.send(c, k, s, 300, KEY, checked=True),
            lambda c: extension.receive(c, pairs, choices, KEY, checked=True),
            ends,
        )
        if bit:
            caught += isinstance(sent, ProtocolAbort)
        else:
            assert (sent[np.arange(300), choices] == received).all()
    assert caught == 1


# --- a sender that deviates ---
@pytest.mark.parametrize("side", [0, 1])
def test_a_changed_sum_is_caught_if_the_path_needs_it(both, monkeypatch, side):
    """Tree 7, level 1: the receiver reads the sum on the side where its path does not go."""
    paths = []
    path_sides = ggm.path_sides
    monkeypatch.setattr(ggm, "path_sides", lambda *a: (paths.append(path_sides(*a)), paths[-1])[1])
    change = lambda sums, last: (flip(sums, 7, 1, side, 0), last)  # noqa: E731
    delta, b, ac = run(both, tampered(change, "bank-a", "vole trees"), n=2000)
    if paths[0][7, 1] == side:
        assert holds(delta, b, ac)
    else:
        assert isinstance(ac, ProtocolAbort)
        assert ac.party == "bank-a"
        assert "vole trees" in str(ac.where)


def test_changed_trees_are_always_caught(both):
    def all_sums(sums, last):
        sums[:, 0] ^= np.uint64(1)
        return sums, last

    for change in (all_sums, lambda sums, last: (sums, flip(last, 3, 0))):
        _, _, ac = run(both, tampered(change, "bank-a", "vole trees"))
        assert isinstance(ac, ProtocolAbort)
        delta, b, ac = run(both, tampered(change, "bank-a", "vole trees"), checked=False)
        assert not holds(delta, b, ac)


def test_a_wrong_answer_of_the_sender(both):
    ends = memory.pair("bank-a", "bank-b")
    send_bytes = ends[0].send_bytes
    ends[0].send_bytes = lambda tag, data: send_bytes(tag, bytes(32) if tag == "vole tree answer" else data)
    _, _, ac = run(both, ends)
    assert isinstance(ac, ProtocolAbort)
    assert "vole trees" in str(ac.where)


@pytest.mark.parametrize("tag", ["vole challenge", "ot challenge", "base ot points"])
def test_other_messages_that_differ_from_what_was_used_end_the_run(both, tag):
    _, b, ac = run(both, tampered(lambda x: (np.roll(x, 1, axis=0),), "bank-a", tag))
    assert isinstance(b, PpcError)
    assert isinstance(ac, PpcError)


def test_a_changed_challenge_of_the_trees_gives_the_receiver_an_answer_that_it_cannot_use(both):
    """The sender answers anything with a hash: it shows nothing of Δ, and B stays what it was."""
    _, b, ac = run(both, tampered(lambda seed, x: (seed, flip(x, 0)), "bank-b", "vole tree challenge"))
    assert b.shape == (600, 2)
    assert isinstance(ac, ProtocolAbort)

"""Base transfers, their extension and punctured trees: right, at their cost, and the other half stays hidden."""

from __future__ import annotations

import nacl.bindings as sodium
import numpy as np
import pytest

from ppc.core import bits, gf128
from ppc.errors import FrameError
from ppc.mpc.ot import base, extension, ggm
from ppc.net import memory
from ppc.net.channel import Spec

TORSION = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")  # order 8
KEY = bytes(range(16))


def test_base_transfers(both):
    choices = np.random.default_rng(1).integers(0, 2, 40).astype(np.uint8)
    ends = memory.pair("bank-a", "bank-b")
    pairs, chosen = both(lambda c: base.send(c, 40), lambda c: base.receive(c, choices), ends)
    rows = np.arange(40)
    assert (pairs[rows, choices] == chosen).all()
    assert (pairs[rows, 1 - choices] != chosen).all()
    assert len({k.tobytes() for k in pairs.reshape(-1, 2)}) == 80
    assert ends[0].meter.rounds == ends[1].meter.rounds == 1
    assert 0 < ends[0].meter.sent - 40 * 32 < 100
    assert 0 < ends[1].meter.sent - 40 * 64 < 100


def test_points_do_not_show_the_choice():
    """Both points are in the prime-order group, and their bytes are balanced for either choice."""
    ends = memory.pair("bank-a", "bank-b")
    seen = []
    for choice in (0, 1):
        ends[0].send("base ot reply", np.zeros((60, 32), np.uint8))
        with pytest.raises(FrameError, match="prime-order"):
            base.receive(ends[1], np.full(60, choice, np.uint8))
        (points,) = ends[0].recv("base ot points", Spec(np.uint8, (60, 2, 32)))
        assert all(sodium.crypto_core_ed25519_is_valid_point(bytes(p)) for p in points.reshape(-1, 32))
        seen.append(np.unpackbits(points[:, :, :31], axis=2).mean(axis=(0, 2)))
    # 60 * 248 fair bits: six standard deviations are 0.025, passed by chance with probability below 1e-8
    assert np.abs(np.array(seen) - 0.5).max() < 0.025


@pytest.mark.parametrize(
    "bad", [bytes(32), (1).to_bytes(32, "little"), TORSION, (2).to_bytes(32, "little"), b"\xff" * 32]
)
@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_points_outside_the_group_are_refused(both, bad, side):
    def mallory(channel):
        shape = (3, 2, 32) if side == "sender" else (3, 32)
        tag = "base ot points" if side == "sender" else "base ot reply"
        channel.send(tag, np.frombuffer(bad * (6 if side == "sender" else 3), np.uint8).reshape(shape))
        channel.recv_bytes("x", 1)

    run = (lambda c: base.send(c, 3)) if side == "sender" else (lambda c: base.receive(c, np.zeros(3, np.uint8)))
    honest, _ = both(run, mallory)
    assert isinstance(honest, FrameError), honest
    assert honest.party == "bank-b"


def base_keys(rng):
    secret = rng.integers(0, 2**64, 2, np.uint64)
    pairs = rng.integers(0, 2**64, (128, 2, 2), np.uint64)
    return secret, pairs, pairs[np.arange(128), bits.unpack(secret, 128)]


@pytest.mark.parametrize("n", [1, 64, 1000])
def test_extension(both, n):
    rng = np.random.default_rng(n)
    secret, pairs, chosen = base_keys(rng)
    choices = rng.integers(0, 2, n).astype(np.uint8)
    ends = memory.pair("bank-a", "bank-b")
    sent, received = both(
        lambda c: extension.send(c, chosen, secret, n, KEY),
        lambda c: extension.receive(c, pairs, choices, KEY),
        ends,
    )
    rows = np.arange(n)
    assert (sent[rows, choices] == received).all()
    assert (sent[rows, 1 - choices] != received).any(axis=1).all()
    assert 0 < ends[1].meter.sent - 128 * 8 * bits.words_for(n) < 100
    assert ends[0].meter.messages == 0


def test_batches_of_the_same_base_keys_have_nothing_in_common(both):
    """With a number for each batch, what travels does not show how the choices of two batches differ."""
    rng = np.random.default_rng(6)
    _, pairs, _ = base_keys(rng)
    choices = rng.integers(0, 2, 128).astype(np.uint8)
    seen, messages = [], []
    for batch, flipped in ((0, choices), (1, choices), (0, 1 - choices)):
        columns, received = both(
            lambda c: c.recv("ot columns", Spec(np.uint64, (128, 2)))[0],
            lambda c, b=batch, r=flipped: extension.receive(c, pairs, r, KEY, batch=b),
        )
        seen.append(columns)
        messages.append(received)
    assert ((seen[0] ^ seen[2]) == np.uint64(2**64 - 1)).all()  # one number twice: the difference is in the open
    assert abs(np.unpackbits((seen[0] ^ seen[1]).view(np.uint8)).mean() - 0.5) < 0.03  # 16384 bits: 7 sigma
    assert (messages[0] != messages[1]).any(axis=1).all()


def test_extended_messages_are_balanced_bits(both):
    rng = np.random.default_rng(5)
    secret, pairs, chosen = base_keys(rng)
    n = 4000
    sent, _ = both(
        lambda c: extension.send(c, chosen, secret, n, KEY),
        lambda c: extension.receive(c, pairs, np.zeros(n, np.uint8), KEY),
    )
    ones = np.unpackbits(np.ascontiguousarray(sent).view(np.uint8).reshape(n, 2, 16), axis=2).mean(axis=0)
    # 256 positions of 4000 fair bits: a deviation of 6 sigma = 0.047 anywhere has probability below 1e-6
    assert np.abs(ones - 0.5).max() < 0.047
    differing = np.unpackbits((sent[:, 0] ^ sent[:, 1]).view(np.uint8)).mean()
    assert abs(differing - 0.5) < 0.005


@pytest.mark.parametrize("leaves", [2, 3, 5, 8, 13, 64, 100])
def test_punctured_trees(leaves):
    rng = np.random.default_rng(leaves)
    trees = 3 * leaves
    positions = np.tile(np.arange(leaves), 3)
    keys = (bytes(16), KEY)
    full, sums = ggm.grow(rng.integers(0, 2**64, (trees, 2), np.uint64), leaves, keys)
    assert full.shape == (trees, leaves, 2)
    assert len({x.tobytes() for x in full.reshape(-1, 2)}) == trees * leaves
    sides = ggm.path_sides(positions, leaves)
    assert sums.shape == (trees, sides.shape[1], 2, 2)
    away = np.take_along_axis(sums, (1 - sides).astype(np.int64)[:, :, None, None], axis=2)[:, :, 0]
    known = ggm.grow_punctured(positions, away, leaves, keys)
    rows = np.arange(trees)
    assert (known[rows, positions] == 0).all()
    known[rows, positions] = full[rows, positions]
    assert (known == full).all()


def test_multiplication_of_a_shared_vector_is_linear():
    """The weights x^i that turn 128 one-bit correlations into one over GF(2^128)."""
    from ppc.core._kernels_gf128 import shift_add

    rng = np.random.default_rng(3)
    delta = rng.integers(0, 2**64, 2, np.uint64)
    a = rng.integers(0, 2**64, (20, 2), np.uint64)
    out = np.zeros_like(a)
    chosen = bits.unpack(delta, 128)
    for i in reversed(range(128)):
        shift_add(out, a * np.uint64(chosen[i]))
    gf128.add_scaled(out, a, delta)
    assert not out.any()

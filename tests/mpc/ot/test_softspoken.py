"""Correlated transfers: right for every field and both ways of making them, balanced, at their stated cost."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ppc.core import bits
from ppc.errors import ConfigError, CorrelationError, FrameError
from ppc.mpc.correlations.pairwise import PairwiseSource, describe
from ppc.mpc.ot import softspoken
from ppc.net import memory

TREES = (bytes(16), bytes(range(16)))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 8])
def test_rows_are_correlated_by_the_choices(both, k):
    choices = np.random.default_rng(k).integers(0, 2**64, 70, dtype=np.uint64)
    ends = memory.pair("bank-a", "bank-b")
    sender, receiver = both(
        lambda c: softspoken.Sender(c, TREES, k), lambda c: softspoken.Receiver(c, TREES, k), ends
    )  # fmt: skip
    for part in (choices, choices[:1]):
        t, u = receiver.extend(part)
        assert u.shape == sender.spec(len(part)).shape == (-(-128 // k), len(part))
        q = sender.extend(u)
        chosen = bits.unpack(part, 64 * len(part)).astype(bool)
        assert (t ^ q == np.where(chosen[:, None], sender.delta, np.uint64(0))).all()
        assert len(np.unique(q, axis=0)) == len(q)
    assert sender.delta[0] & np.uint64(1) == 1


def test_bad_sizes_of_fields():
    for k in (0, 9):
        with pytest.raises(ConfigError, match="1 to 8"):
            softspoken.groups(k)


def sources(both, randomness, use, ends=None):
    def party(rank):
        return lambda c: use(PairwiseSource(c, rank, randomness))

    return both(party(0), party(1), ends or memory.pair("bank-a", "bank-b"))


@pytest.mark.parametrize("randomness", ["ot", "silent"])
def test_a_source_gives_fresh_rows_both_ways(both, randomness):
    def use(source):
        asked = [(3, 5), (1, 1), (0, 2), (400, 400)]
        mine = [source.rows(*(pair if source._rank == 0 else pair[::-1])) for pair in asked]
        return mine, source.delta, source.meter

    (a, delta_a, cost), (b, delta_b, _) = sources(both, randomness, use)
    every = []
    for (q_a, r_a, t_a), (q_b, r_b, t_b) in zip(a, b, strict=True):
        for q, delta, r, t in ((q_a, delta_a, r_b, t_b), (q_b, delta_b, r_a, t_a)):
            assert len(q) == len(t) == 64 * len(r)
            flags = bits.unpack(r, len(q)).astype(bool)
            assert (q ^ t == np.where(flags[:, None], delta, np.uint64(0))).all()
            every.append(q)
    rows = np.concatenate(every)
    assert len(np.unique(rows, axis=0)) == len(rows)  # nothing is handed out twice
    assert cost.sent > 0


@pytest.mark.parametrize("randomness", ["ot", "silent"])
def test_transfers_are_balanced(both, randomness):
    """Choices, rows and their differences against fair bits; a wrong version with one bias in 64 is rejected.

    Each of about 400 counts of 2**16 bits is off by six deviations with odds of 2e-9: a false alarm once in 1e6 runs.
    """

    def use(source):
        return source.rows(*((1 << 10, 0) if source._rank == 0 else (0, 1 << 10)))

    (q, _, _), (_, r, t) = sources(both, randomness, use)
    n = len(q)

    def fair(flags):
        return abs(flags.sum() - n / 2) < 3 * np.sqrt(n)

    choices = bits.unpack(r, n)
    assert fair(choices)
    assert not fair(choices | (np.arange(n) % 64 == 0) | (np.arange(n) % 64 == 1))
    low = 1 if randomness == "silent" else 0  # there the lowest bit of a row is the choice
    for rows in (q, t, t[1:] ^ np.roll(t, 7, axis=0)[1:]):
        columns = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little")
        assert all(fair(column) for column in columns.T[low:])
    # Neighbouring choices are independent: pairs are spread over their four values.
    pairs = np.bincount(2 * choices[:-1:2] + choices[1::2], minlength=4)
    assert stats.chisquare(pairs).pvalue > 1e-9
    assert stats.chisquare(np.bincount(3 * choices[::2].astype(int), minlength=4)).pvalue < 1e-9


def test_what_transfers_cost(both):
    def use(count):
        def inner(source):
            source.rows(*((4, 0) if source._rank == 0 else (0, 4)))
            before = source.meter
            source.rows(*((count, 0) if source._rank == 0 else (0, count)))
            return source.meter - before

        return inner

    for randomness, most in (("ot", 4.01), ("silent", 0.5)):
        made = {}
        for count in (1 << 13, 1 << 14):
            made[count] = sum(p.sent for p in sources(both, randomness, use(count)))
        each = made[1 << 14] / (64 << 14)
        assert each < most
        if randomness == "ot":
            assert (made[1 << 14] - made[1 << 13]) / (64 << 13) == pytest.approx(4, abs=0.01)


def test_a_source_says_what_it_rests_on_and_hides_what_it_holds():
    channel = memory.pair("bank-a", "bank-b")[0]
    source = PairwiseSource(channel, 0)
    assert repr(source) == "<PairwiseSource ot with bank-b>"
    assert "no LPN" in describe("ot")
    assert "expand-convolute" in describe("silent")
    with pytest.raises(ConfigError, match="silver"):
        PairwiseSource(channel, 0, "silver")
    with pytest.raises(CorrelationError, match="dealer"):
        source.take(1, type("C", (), {"kind": "bits"})())


def test_columns_of_another_size_are_refused(both):
    def honest(channel):
        return PairwiseSource(channel, 0).rows(4, 0)

    def mallory(channel):
        source = PairwiseSource(channel, 1)
        source._begin()
        channel.send("ot columns", np.zeros((32, 3), np.uint64))
        channel.recv_bytes("x", 1)

    told, _ = both(honest, mallory)
    assert isinstance(told, FrameError), told

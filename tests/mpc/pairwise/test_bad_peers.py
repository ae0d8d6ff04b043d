"""A peer that means another session, sends what is no ciphertext, or stops: named, and nobody waits for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ppc.core.fixedpoint import FixedPoint
from ppc.errors import ConfigError, CorrelationError, PpcError, ProtocolAbort, RemoteFailure
from ppc.mpc import Session, ops, run
from ppc.mpc.correlations.kinds import BitTriple
from ppc.mpc.pairwise import lattices
from ppc.mpc.session import Session as AnySession
from ppc.net import memory


def numbers(s, shape, owner):
    return ops.share(s, np.ones(shape) if s.rank == owner else None, owner, shape)


def test_both_must_mean_the_same_randomness():
    ends = memory.pair("a", "b")

    def party(rank, randomness):
        try:
            Session.two_party("ab"[rank], ["a", "b"], {"ba"[rank]: ends[rank]}, randomness=randomness)
        except PpcError as error:
            ends[rank].abort(error)
            return error
        return None

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(party, (0, 1), ("ot", "silent")))
    assert any(isinstance(t, ProtocolAbort) and "same session" in t.what for t in told), told


def test_what_a_two_party_session_refuses():
    channel = memory.pair("a", "b")[0]
    with pytest.raises(ConfigError, match="two parties"):
        Session.two_party("a", ["a", "b", "c"], {"b": channel})
    with pytest.raises(ConfigError, match="ring of 64 bits"):
        Session.two_party("a", ["a", "b"], {"b": channel}, FixedPoint(18, 128))
    with pytest.raises(ConfigError, match="no channel"):
        Session.two_party("a", ["a", "b"], {})


def test_dealt_correlations_are_not_to_be_had():
    with pytest.raises(CorrelationError, match="come from a dealer"):
        run(lambda s: s.take(BitTriple(1)), helper=False)


def test_a_party_that_stops_in_the_middle_is_heard_of():
    def program(s):
        x = numbers(s, 100, 0)
        ops.less_than_zero(s, x)
        if s.rank == 1:
            raise ProtocolAbort("enough", party="party-1")
        return ops.open(s, ops.sigmoid(s, x))

    with pytest.raises((ProtocolAbort, RemoteFailure)) as caught:
        run(program, helper=False, timeout_s=60)
    assert caught.value.party == "party-1"


@pytest.mark.parametrize("message", ["key", "encrypted", "answers", "results"])
def test_words_that_are_no_residues_are_refused(monkeypatch, message):
    """At each message of a product by encryption."""
    exchange = AnySession.exchange

    def careless(s, operation, *arrays):
        if s.rank == 1 and operation.endswith(message):
            arrays = (*arrays[:-1], np.full_like(arrays[-1], np.uint64(2**64 - 1)))
        return exchange(s, operation, *arrays)

    monkeypatch.setattr(AnySession, "exchange", careless)
    with pytest.raises(PpcError) as caught:
        run(lambda s: ops.matmul(s, numbers(s, (90, 90), 0) + 0, numbers(s, (90, 3), 1) + 0), helper=False)
    assert "not of this ring" in str(caught.value)
    assert caught.value.party == "party-1"


def test_another_shape_is_noticed():
    def program(s):
        return ops.mul(s, numbers(s, 200 + 64 * s.rank, 0) + 0, numbers(s, 200 + 64 * s.rank, 1) + 0)

    with pytest.raises(PpcError, match="cannot go on"):
        run(program, helper=False, timeout_s=60)


def test_blocks_cover_every_shape():
    for n, d, k in ((1, 1, 1), (1000, 1000, 100), (1, 9000, 1), (3, 4096, 7), (50_000, 2, 1), (17, 8192, 1)):
        plan = lattices.layout(n, min(d, 4096), k)
        assert plan.nw * plan.dw * plan.kw <= 8192
        assert plan.places.max() < 8192
        assert len(set(plan.places.tolist())) == plan.nw * plan.kw

"""What only the in-memory transport has: a virtual line, and whole networks."""

from __future__ import annotations

import time

import numpy as np
import pytest

from ppc.errors import ConfigError, PeerUnavailable
from ppc.net import memory
from ppc.net.channel import Spec

X = np.zeros(125_000, np.uint8)  # 1 Mbit


def test_latency_is_paid_once_a_round(together):
    a, b = memory.pair("a", "b", latency_s=0.05)

    def party(channel):
        since = time.monotonic()
        for _ in range(4):
            channel.exchange("x", np.zeros(1, np.uint8))
        return time.monotonic() - since

    for seconds in together(lambda: party(a), lambda: party(b)):
        assert 0.2 <= seconds < 1.5


def test_latency_does_not_add_up_for_messages_on_the_way():
    a, b = memory.pair("a", "b", latency_s=0.1)
    since = time.monotonic()
    for _ in range(10):
        a.send("x", X)
    for _ in range(10):
        b.recv("x", Spec.of(X))
    assert 0.1 <= time.monotonic() - since < 0.8


def test_bandwidth_is_shared_by_the_frames_of_one_direction():
    a, b = memory.pair("a", "b", bandwidth_bps=10e6)
    since = time.monotonic()
    for _ in range(3):
        a.send("x", X)
    assert time.monotonic() - since < 0.25  # sending does not wait
    for _ in range(3):
        b.recv("x", Spec.of(X))
    assert 0.3 <= time.monotonic() - since < 1.5


def test_network_joins_every_two_parties():
    net = memory.network(["bank-a", "bank-b", "helper"])
    assert {p: set(peers) for p, peers in net.items()} == {
        "bank-a": {"bank-b", "helper"},
        "bank-b": {"bank-a", "helper"},
        "helper": {"bank-a", "bank-b"},
    }
    net["helper"]["bank-b"].send("seed", X)
    assert net["bank-b"]["helper"].recv("seed", Spec.of(X))[0].shape == X.shape
    assert net["bank-a"]["helper"].peer == "helper"


def test_sending_to_a_peer_that_left():
    a, b = memory.pair("a", "b")
    b.close()
    with pytest.raises(PeerUnavailable, match="b closed"):
        a.send("x", X)


def test_bad_settings():
    for bad in ({"latency_s": -1}, {"latency_s": float("nan")}, {"bandwidth_bps": 0}, {"bandwidth_bps": float("nan")}):
        with pytest.raises(ConfigError):
            memory.pair("a", "b", **bad)
    with pytest.raises(ConfigError, match="same name"):
        memory.network(["a", "a"])

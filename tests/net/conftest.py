"""Pairs of channels over every transport, and a throw-away authority."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ppc.net import identity, memory, tls
from ppc.net.base import FrameChannel

Pair = tuple[FrameChannel, FrameChannel]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority and the identities of bank-a, bank-b and helper."""
    folder = tmp_path_factory.mktemp("authority")
    identity.create_ca(folder)
    for party in ("bank-a", "bank-b", "helper"):
        identity.issue(folder, party, ["localhost", "127.0.0.1"])
    return folder


@pytest.fixture
def tls_pair(authority: Path) -> Iterator[Callable[..., Pair]]:
    """Makes pairs of channels over TLS on loopback; the first party listens."""
    listeners: list[tls.Listener] = []
    ends: list[FrameChannel] = []

    def make(a: str = "bank-a", b: str = "bank-b", **options: Any) -> Pair:
        listener = tls.Listener(identity.load(authority, a), **options)
        listeners.append(listener)
        there = tls.connect(identity.load(authority, b), a, *listener.address, "session", 10, **options)
        here = listener.accept("session", b, 10)
        ends.extend((here, there))
        return here, there

    yield make
    for end in ends:
        end.close()
    for listener in listeners:
        listener.close()


@pytest.fixture(params=["memory", "tls"])
def make_pair(request: pytest.FixtureRequest) -> Callable[..., Pair]:
    """Makes pairs of channels between bank-a and bank-b; each test runs over every transport."""
    if request.param == "tls":
        return request.getfixturevalue("tls_pair")

    def make(a: str = "bank-a", b: str = "bank-b", **options: Any) -> Pair:
        return memory.pair(a, b, **options)

    return make


@pytest.fixture
def together() -> Callable[..., list[Any]]:
    """Runs functions at the same time, one thread each; returns what each returned or raised."""

    def run(*functions: Callable[[], Any], timeout_s: float = 60) -> list[Any]:
        results: list[Any] = [None] * len(functions)

        def call(i: int) -> None:
            try:
                results[i] = functions[i]()
            except Exception as e:
                results[i] = e

        threads = [threading.Thread(target=call, args=(i,), daemon=True) for i in range(len(functions))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(timeout_s)
            assert not t.is_alive(), "a party hangs"
        return results

    return run

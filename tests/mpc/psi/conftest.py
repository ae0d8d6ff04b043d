"""Two parties that match keys, each a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ppc.errors import PpcError
from ppc.mpc.psi import protocols
from ppc.net import memory


@pytest.fixture
def both() -> Callable[..., tuple[Any, Any]]:
    """Runs a function of a channel for each party; returns what each returned or raised."""

    def run(
        a: Callable[[Any], Any], b: Callable[[Any], Any], channels: tuple[Any, Any] | None = None
    ) -> tuple[Any, Any]:
        ends = channels or memory.pair("bank-a", "bank-b")
        results: list[Any] = [None, None]

        def call(i: int, function: Callable[[Any], Any]) -> None:
            try:
                results[i] = function(ends[i])
            except PpcError as e:
                results[i] = e
                ends[i].abort(e)
            except Exception as e:
                results[i] = e
                ends[i].close()

        threads = [threading.Thread(target=call, args=(i, f), daemon=True) for i, f in enumerate((a, b))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
            assert not t.is_alive(), "a party hangs"
        return results[0], results[1]

    return run


PROTOCOLS: dict[str, Callable[..., Any]] = {
    "auto": protocols.intersect,
    "ecdh": partial(protocols.intersect, protocol="ecdh"),
    "kkrt": partial(protocols.intersect, protocol="kkrt"),
    "rr22": partial(protocols.intersect, protocol="rr22"),
    "rr22-ot": partial(protocols.intersect, protocol="rr22", randomness="ot"),
    "rr22-malicious": partial(protocols.intersect, protocol="rr22", security="malicious"),
}
"""Every way to match two parties' keys. A new protocol joins the tests of `test_all.py` by a line here: a function of
channel, keys and options (`max_peer_rows`) that returns the rows of the match, as `protocols.intersect` does."""


@pytest.fixture
def registry() -> dict[str, Callable[..., Any]]:
    """All of `PROTOCOLS`."""
    return PROTOCOLS


@pytest.fixture(params=list(PROTOCOLS))
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Each of `PROTOCOLS` in turn."""
    return PROTOCOLS[request.param]

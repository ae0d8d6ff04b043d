"""Two parties on a channel in memory, each a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ppc.errors import PpcError
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

        threads = [threading.Thread(target=call, args=(i, f), daemon=True) for i, f in enumerate((a, b))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
            assert not t.is_alive(), "a party hangs"
        return results[0], results[1]

    return run

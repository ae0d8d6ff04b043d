"""Sites as threads, and sites that die at a chosen moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ppc.mpc.aggregate import Aggregation
from ppc.net import memory


class Killed(BaseException):
    """The process of a site ended here."""


class Mortal:
    """A channel whose party dies, on all its channels at once, when its life is used up."""

    def __init__(self, channel: Any, life: list[int], all_of_it: list[Any]) -> None:
        self._channel = channel
        self._life = life
        self._all = all_of_it

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._channel, name)
        if name not in ("send", "recv", "send_bytes", "recv_bytes", "recv_arrays", "exchange"):
            return found

        def call(*args: Any) -> Any:
            self._life[0] -= 1
            if self._life[0] == 0:
                for channel in self._all:
                    channel._shut(None, patient=False)
                raise Killed
            return found(*args)

        return call


@pytest.fixture
def run_sites() -> Callable[..., dict[str, Any]]:
    """`run_sites(n, work, lives={rank: calls}, change=…)`: what `work(pool, rank)` gave or raised, by site."""

    def run(
        n: int,
        work: Callable[[Aggregation, int], Any],
        *,
        lives: Mapping[int, int] | None = None,
        change: Callable[[int, dict[str, Any]], None] | None = None,
        **settings: Any,
    ) -> dict[str, Any]:
        names = [f"site-{i}" for i in range(n)]
        lines: dict[str, dict[str, Any]] = {p: dict(c) for p, c in memory.network(names).items()}
        for rank, life in (lives or {}).items():
            own = lines[names[rank]]
            whole, left = list(own.values()), [life]
            lines[names[rank]] = {p: Mortal(c, left, whole) for p, c in own.items()}
        for rank in range(n):
            if change is not None:
                change(rank, lines[names[rank]])
        found: dict[str, Any] = {}

        def site(rank: int) -> None:
            me = names[rank]
            try:
                found[me] = work(Aggregation(me, names, lines[me], **settings), rank)
            except BaseException as error:
                found[me] = error
            for channel in lines[me].values():
                channel.close()

        threads = [threading.Thread(target=site, args=(r,), daemon=True) for r in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a site hangs"
        return found

    return run

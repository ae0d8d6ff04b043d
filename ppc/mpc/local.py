"""All parties of a computation in one process, each a thread: for notebooks, tests and trying out a network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from ppc.core.fixedpoint import FixedPoint
from ppc.errors import ConfigError, PpcError, ProtocolAbort
from ppc.mpc.correlations import dealer
from ppc.mpc.session import Session
from ppc.net import memory
from ppc.net.channel import Channel

T = TypeVar("T")

HELPER = "helper"


def run(
    program: Callable[[Session], T],
    *,
    parties: int | Sequence[str] = 2,
    engine: str = "additive",
    fx: FixedPoint | None = None,
    latency_s: float = 0.0,
    bandwidth_bps: float | None = None,
    timeout_s: float = 600.0,
) -> list[T]:
    """Run `program(session)` once for each party, and return what each returned, in rank order.

    Args:
        program: the same function at every party; it looks at `session.rank` for what only one party has.
        parties: how many, or their names.
        engine: "plain" (one party, no protection) or "additive" (with a dealer in a thread of its own).
        latency_s, bandwidth_bps: of the channels, one way and each way; see `ppc.net.memory.network`.

    Raises:
        the error of the party that failed first.

    >>> import numpy as np
    >>> from ppc.mpc import ops
    >>> run(lambda s: float(ops.open(s, ops.share(s, 20 + s.rank, 0, ()) + ops.share(s, 20 + s.rank, 1, ()))))
    [41.0, 41.0]
    """
    if engine == "plain":
        with Session.plain(fx) as s:
            return [program(s)]
    if engine != "additive":
        raise ConfigError(f"no engine is called '{engine}'", hint="plain or additive")
    names = [f"party-{i}" for i in range(parties)] if isinstance(parties, int) else list(parties)
    lines = memory.network([*names, HELPER], latency_s=latency_s, bandwidth_bps=bandwidth_bps, idle_timeout_s=timeout_s)
    results: dict[int, T] = {}
    failures: list[tuple[str, BaseException]] = []

    def fail(name: str, error: BaseException) -> None:
        failures.append((name, error))
        reason = error if isinstance(error, PpcError) else ProtocolAbort(f"{name} failed", party=name)
        for channel in lines[name].values():
            channel.abort(reason)

    def deal() -> None:
        try:
            dealer.serve(lines[HELPER])
        except BaseException as error:  # whatever it is, the parties must hear of it
            fail(HELPER, error)

    def compute(rank: int) -> None:
        try:
            own: dict[str, Channel] = {name: lines[names[rank]][name] for name in names if name != names[rank]}
            with Session.additive(names[rank], names, own, lines[names[rank]][HELPER], fx) as s:
                results[rank] = program(s)
        except BaseException as error:
            fail(names[rank], error)

    threads = [threading.Thread(target=compute, args=(r,), name=n, daemon=True) for r, n in enumerate(names)]
    threads.append(threading.Thread(target=deal, name=HELPER, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0][1]
    return [results[r] for r in range(len(names))]

"""All parties of a computation in one process, each a thread: for notebooks, tests and trying out a network."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ppc.core.fixedpoint import FixedPoint
from ppc.errors import ConfigError, PpcError, ProtocolAbort
from ppc.mpc.correlations import dealer
from ppc.mpc.session import Session
from ppc.net import memory
from ppc.net.channel import Channel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ppc.dataset import Dataset, Schema
    from ppc.mpc.correlations.pairwise import Randomness
    from ppc.mpc.dataset import SharedDataset

T = TypeVar("T")

HELPER = "helper"

_Task: TypeAlias = "Callable[[SharedDataset, Any], Any]"
_Answer: TypeAlias = "tuple[Any, Exception | None]"


def run(
    program: Callable[[Session], T],
    *,
    parties: int | Sequence[str] = 2,
    engine: str = "additive",
    helper: bool = True,
    randomness: Randomness = "ot",
    fx: FixedPoint | None = None,
    latency_s: float = 0.0,
    bandwidth_bps: float | None = None,
    timeout_s: float = 600.0,
    cache: str | Path | None = None,
    check: bool = False,
) -> list[T]:
    """Run `program(session)` once for each party, and return what each returned, in rank order.

    Args:
        program: the same function at every party; it looks at `session.rank` for what only one party has.
        parties: how many, or their names.
        engine: "plain" (one party, no protection), "additive" (with a dealer in a thread of its own), "pairwise" (two
            parties without a helper) or "replicated" (three parties).
        helper: `False` is another word for engine="pairwise".
        randomness: of two parties without a helper; see `Session.two_party`.
        latency_s, bandwidth_bps: of the channels, one way and each way; see `ppc.net.memory.network`.
        check: debug mode: put the parties' shares together at every operation and hold them against the same operation
            in the clear (see `ppc.mpc.checked`). Slow, and it protects nothing.
        cache: a folder of `ppc offline make` with a file for each party; instead of the dealer. Spends one run.

    Raises:
        CheckFailed: in debug mode, at the first operation whose value left the range or is off by more than its stated
            error; it names the operation and the line of the program.
        Otherwise the error of the party that failed first.

    >>> import numpy as np
    >>> from ppc.mpc import ops
    >>> run(lambda s: float(ops.open(s, ops.share(s, 20 + s.rank, 0, ()) + ops.share(s, 20 + s.rank, 1, ()))))
    [41.0, 41.0]
    """
    from ppc.mpc import checked

    if engine == "plain":
        with Session.plain(fx) as s:
            if check:
                checked.check(s, checked.Referee(1))
            return [program(s)]
    if not helper and engine == "additive":
        engine = "pairwise"
    if engine not in ("additive", "pairwise", "replicated"):
        raise ConfigError(f"no engine is called '{engine}'", hint="plain, additive, pairwise or replicated")
    names = [f"party-{i}" for i in range(parties)] if isinstance(parties, int) else list(parties)
    lines = memory.network([*names, HELPER], latency_s=latency_s, bandwidth_bps=bandwidth_bps, idle_timeout_s=timeout_s)
    results: dict[int, T] = {}
    failures: list[tuple[str, BaseException]] = []

    referee = checked.Referee(len(names)) if check else None

    def fail(name: str, error: BaseException) -> None:
        failures.append((name, error))
        if referee is not None:
            referee.end()
        reason = error if isinstance(error, PpcError) else ProtocolAbort(f"{name} failed", party=name)
        for channel in lines[name].values():
            channel.abort(reason)

    def open_session(rank: int, channels: dict[str, Channel]) -> Session:
        if engine == "replicated":
            return Session.replicated(names[rank], names, channels, fx)
        if cache is not None:
            return Session.from_cache(names[rank], names, channels, Path(cache) / f"{names[rank]}.ppcoff", fx)
        if engine == "pairwise":
            return Session.two_party(names[rank], names, channels, fx, randomness=randomness)
        return Session.additive(names[rank], names, channels, lines[names[rank]][HELPER], fx)

    def deal() -> None:
        try:
            dealer.serve(lines[HELPER])
        except BaseException as error:  # whatever it is, the parties must hear of it
            fail(HELPER, error)

    def compute(rank: int) -> None:
        try:
            own: dict[str, Channel] = {name: lines[names[rank]][name] for name in names if name != names[rank]}
            with open_session(rank, own) as s:
                if referee is not None:
                    checked.check(s, referee)
                results[rank] = program(s)
        except BaseException as error:
            fail(names[rank], error)

    threads = [threading.Thread(target=compute, args=(r,), name=n, daemon=True) for r, n in enumerate(names)]
    if engine == "additive" and cache is None:
        threads.append(threading.Thread(target=deal, name=HELPER, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0][1]
    return [results[r] for r in range(len(names))]


class LocalSharedDataset:
    """A `SharedDataset` all of whose parties are threads of this process, behind one object: an `Analysable`.

    For notebooks and tests of an analysis before it runs between institutions. Close it, or use it in a `with` block.
    """

    def __init__(self, ds: Dataset, *, parties: int = 2, fx: FixedPoint | None = None) -> None:
        self._tasks: list[queue.SimpleQueue[tuple[_Task, Any] | None]] = [queue.SimpleQueue() for _ in range(parties)]
        self._answers: list[queue.SimpleQueue[_Answer]] = [queue.SimpleQueue() for _ in range(parties)]
        self._thread = threading.Thread(target=self._run, args=(ds, parties, fx), daemon=True)
        self._thread.start()
        self._ask(lambda d, _: None)

    def _run(self, ds: Dataset, parties: int, fx: FixedPoint | None) -> None:
        try:
            run(lambda s: self._serve(s, ds), parties=parties, fx=fx)
        except Exception as error:  # the parties' threads are gone: tell whoever waits
            for answers in self._answers:
                answers.put((None, error))

    def _serve(self, s: Session, ds: Dataset) -> None:
        from ppc.mpc.dataset import share

        shared = share(s, ds if s.rank == 0 else None, owner=0, name=ds.name)
        while (task := self._tasks[s.rank].get()) is not None:
            try:
                self._answers[s.rank].put((task[0](shared, task[1]), None))
            except PpcError as error:  # a refusal is an answer; all parties give the same
                self._answers[s.rank].put((None, error))

    def _ask(self, question: _Task, values: Sequence[Any] | None = None) -> list[Any]:
        """The question to every party at the same time, each with its own one of `values`."""
        for rank, tasks in enumerate(self._tasks):
            tasks.put((question, None if values is None else values[rank]))
        outcomes = [answers.get() for answers in self._answers]
        for _, error in outcomes:
            if error is not None:
                raise error
        return [value for value, _ in outcomes]

    @property
    def schema(self) -> Schema:
        """The columns and what they mean."""
        schema: Schema = self._ask(lambda d, _: d.schema)[0]
        return schema

    def count(self, col: str | None = None) -> list[Any]:
        """See `SharedDataset.count`."""
        return self._ask(lambda d, _: d.count(col))

    def sum(self, col: str) -> list[Any]:
        """See `SharedDataset.sum`."""
        return self._ask(lambda d, _: d.sum(col))

    def mean(self, col: str) -> list[Any]:
        """See `SharedDataset.mean`."""
        return self._ask(lambda d, _: d.mean(col))

    def variance(self, col: str) -> list[Any]:
        """See `SharedDataset.variance`."""
        return self._ask(lambda d, _: d.variance(col))

    def histogram(self, col: str, edges: Sequence[float] | NDArray[np.float64]) -> list[Any]:
        """See `SharedDataset.histogram`."""
        return self._ask(lambda d, _: d.histogram(col, edges))

    def release(self, value: list[Any]) -> Any:
        """See `SharedDataset.release`."""
        if not (isinstance(value, list) and len(value) == len(self._tasks)):
            value = [value] * len(self._tasks)
        return self._ask(lambda d, v: d.release(v), value)[0]

    def close(self) -> None:
        """End the parties."""
        for tasks in self._tasks:
            tasks.put(None)
        self._thread.join()

    def __repr__(self) -> str:
        return f"<LocalSharedDataset parties={len(self._tasks)}>"

    def __enter__(self) -> LocalSharedDataset:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

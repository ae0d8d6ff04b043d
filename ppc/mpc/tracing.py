"""`trace`: what a program costs, line by line, from shapes alone: no other party, no message, no data.

The program runs once for each party, against channels that only count and answer with zeros. So the figures are those
that `Session.profile` measures, to the byte; local work is done on zeros and is not timed.
"""

from __future__ import annotations

import linecache
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.core.fixedpoint import FixedPoint
from ppc.errors import ConfigError, PpcError, TypeMismatchError
from ppc.mpc.profile import LineCost
from ppc.mpc.session import Session
from ppc.net import wire
from ppc.net.channel import Meter, MeterReading, Spec

if TYPE_CHECKING:
    from ppc.mpc.correlations.source import Correlation, MaskRef
    from ppc.mpc.engine import Engine

Array: TypeAlias = NDArray[Any]
Words: TypeAlias = NDArray[np.uint64]
Line: TypeAlias = tuple[str, int]


@dataclass(frozen=True)
class Trace:
    """What every party's lines cost. Print it, or read `parties`.

    Attributes:
        parties: for each party, in rank order, its costs by (file, line number).
        dealt: bytes of correlated randomness that the dealer sends.
    """

    parties: tuple[dict[Line, LineCost], ...]
    dealt: int

    @property
    def rounds(self) -> int:
        """Rounds in all."""
        return max(sum(c.rounds for c in lines.values()) for lines in self.parties)

    @property
    def sent(self) -> tuple[int, ...]:
        """Bytes that each party sends in all."""
        return tuple(sum(c.sent for c in lines.values()) for lines in self.parties)

    def __str__(self) -> str:
        lines: dict[Line, None] = {}
        for costs in self.parties:
            lines.update(dict.fromkeys(costs))
        head = " ".join(f"{f'sent by {r}':>14}" for r in range(len(self.parties)))
        rows = [f"{'rounds':>7} {head}  line"]
        for file, number in sorted(lines, key=lambda at: -max(_sent(costs, at) for costs in self.parties)):
            rounds = max(costs[file, number].rounds if (file, number) in costs else 0 for costs in self.parties)
            sent = " ".join(f"{_sent(costs, (file, number)):14,d}" for costs in self.parties)
            text = linecache.getline(file, number).strip()
            rows.append(f"{rounds:7d} {sent}  {Path(file).name}:{number}  {text}")
        rows.append(f"{self.rounds:7d} {' '.join(f'{n:14,d}' for n in self.sent)}  in all; {self.dealt:,d} bytes dealt")
        return "\n".join(rows)


def _sent(costs: dict[Line, LineCost], at: Line) -> int:
    return costs[at].sent if at in costs else 0


def trace(
    program: Callable[[Session], Any],
    *,
    parties: int | Sequence[str] = 2,
    engine: str = "additive",
    fx: FixedPoint | None = None,
) -> Trace:
    """What `run(program, …)` would send, by line of the caller's code, without running it.

    Args:
        program: as for `run`; an owner may give `None` for its values, since only shapes matter.
        parties, engine, fx: as for `run`.

    What is opened or received is zero, so a program that goes on by what it opened (a loop until a loss is small) is
    followed as if it were zero. Sorting is followed for a random order: its cost varies by some per cent from run to
    run. Everything else is exact.

    >>> import numpy as np
    >>> from ppc.mpc import ops
    >>> trace(lambda s: ops.open(s, ops.share(s, None, 0, 1000))).rounds
    1
    """
    names = [f"party-{i}" for i in range(parties)] if isinstance(parties, int) else list(parties)
    profiles, dealt = [], 0
    for rank in range(len(names)):
        s = session(engine, names, rank, fx)
        with s.profile() as profile:
            program(s)
        profiles.append(profile.lines)
        dealt = s.offline.received
    return Trace(tuple(profiles), dealt)


def session(engine: str, names: Sequence[str], rank: int, fx: FixedPoint | None) -> Session:
    """A session of one party that is alone, to follow a program from shapes."""
    if engine == "additive":
        from ppc.mpc.additive import AdditiveEngine

        return _TraceSession(AdditiveEngine(), names, rank, fx, _CountingSource(rank == len(names) - 1))
    if engine == "replicated":
        from ppc.mpc.replicated import ReplicatedEngine

        if len(names) != 3:
            raise ConfigError(f"the replicated engine needs three parties, not {len(names)}")
        return _TraceSession(ReplicatedEngine(), names, rank, fx, None)
    raise ConfigError(f"no engine to trace is called '{engine}'", hint="additive or replicated")


class _TraceSession(Session):
    """A session of one party that is alone."""

    tracing = True

    def __init__(
        self, engine: Engine, names: Sequence[str], rank: int, fx: FixedPoint | None, source: _CountingSource | None
    ) -> None:
        channels = {n: _CountingChannel(names[rank], n) for r, n in enumerate(names) if r != rank}
        super().__init__(engine, names, rank, channels=channels, correlations=source, fx=fx)
        self._stream = _Zeros()

    def _greet(self) -> None:
        """Nobody to greet."""

    def shared_stream(self, peer: int, number: int) -> rng.Stream:
        """Zeros."""
        return _Zeros()


class _Zeros(rng.Stream):
    """A stream of zeros: the values do not matter."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(bytes(rng.KEY_BYTES))

    def uint64(self, shape: int | tuple[int, ...]) -> Words:
        return np.zeros(shape, np.uint64)

    def permutation(self, n: int) -> NDArray[np.int64]:
        return np.arange(n)


class _CountingSource:
    """Correlated randomness of zeros; counts what a dealer would send to the last party."""

    asks_ahead = False

    def __init__(self, receives: bool) -> None:
        self._receives = receives
        self._bytes = 0

    @property
    def meter(self) -> MeterReading:
        return MeterReading(received=self._bytes)

    def mask(self, ref: MaskRef) -> Words:
        return ref.ring.zeros(ref.shape)

    def permutation(self, number: int, n: int) -> NDArray[np.int64]:
        return np.arange(n)

    def take(self, number: int, correlation: Correlation) -> tuple[Words, ...]:
        if self._receives:
            self._bytes += 8 * sum(f.size for f in correlation.derived)
        return tuple(f.read(np.zeros(f.size, np.uint64)) for f in (*correlation.uniform, *correlation.derived))

    def ask(self, items: Sequence[tuple[int, Correlation]]) -> None:
        """Nothing to ask for."""

    def fetch_ahead(self) -> None:
        """Nothing to wait for."""

    def drop_ahead(self) -> None:
        """Nothing was asked for."""

    def close(self) -> None:
        """Nothing to end."""


class _CountingChannel:
    """A channel to nobody: counts frames as a real one does, and answers with zeros."""

    closed_by_peer = False

    def __init__(self, me: str, peer: str) -> None:
        self.me, self.peer, self.meter = me, peer, Meter()

    def send(self, tag: str, *arrays: Array) -> None:
        self.meter.on_send(_frame_bytes(tag, [Spec.of(a) for a in arrays]))

    def recv(self, tag: str, *specs: Spec) -> tuple[Array, ...]:
        self.meter.on_receive(_frame_bytes(tag, specs))
        return tuple(np.zeros(spec.shape, spec.dtype) for spec in specs)

    def exchange(self, tag: str, *arrays: Array) -> tuple[Array, ...]:
        self.send(tag, *arrays)
        return self.recv(tag, *(Spec.of(a) for a in arrays))

    def send_bytes(self, tag: str, data: bytes) -> None:
        self.meter.on_send(len(wire.encode_header(wire.Kind.BYTES, tag, (), len(data))) + len(data))

    def recv_bytes(self, tag: str, max_bytes: int) -> bytes:
        raise TypeMismatchError("what comes as bytes cannot be traced: its size is not known", where=tag)

    def recv_arrays(self, tag: str, max_bytes: int) -> tuple[Array, ...]:
        raise TypeMismatchError("arrays of the sender's choice cannot be traced: their shapes are not known", where=tag)

    def abort(self, reason: PpcError) -> None:
        """Nobody to tell."""

    def cancel(self) -> None:
        """Nothing blocks."""

    def close(self) -> None:
        """Nothing to close."""


def _frame_bytes(tag: str, specs: Sequence[Spec]) -> int:
    payload = sum(spec.dtype.itemsize * math.prod(spec.shape) for spec in specs)
    return len(wire.encode_header(wire.Kind.ARRAYS, tag, specs, payload)) + payload

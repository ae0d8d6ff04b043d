"""Channels between parties that are threads of one process, with a latency and a bandwidth that can be chosen.

Frames are encoded and checked as they are on TLS, so the bytes counted are the same. With `latency_s` (one way) and
`bandwidth_bps` (bits a second, each way) a frame becomes readable only when a line of that kind would have delivered
it: a virtual WAN, in real time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from ppc.errors import ConfigError, PeerTimeout, PeerUnavailable
from ppc.net import wire
from ppc.net.base import Buffer, FrameChannel


class _Line:
    """One direction of a virtual line: frames in order, each with the moment at which it arrives."""

    def __init__(self, latency_s: float, bandwidth_bps: float | None) -> None:
        self.changed = threading.Condition()
        self.ended = False  # the sender will add nothing more
        self.deaf = False  # the receiver is gone
        self._frames: deque[tuple[float, bytes]] = deque()
        self._latency_s = latency_s
        self._bandwidth_bps = bandwidth_bps
        self._free_at = 0.0

    def put(self, frame: bytes) -> None:
        with self.changed:
            now = time.monotonic()
            gone = now
            if self._bandwidth_bps is not None:
                gone = self._free_at = max(now, self._free_at) + 8 * len(frame) / self._bandwidth_bps
            self._frames.append((gone + self._latency_s, frame))
            self.changed.notify_all()

    def due_in(self) -> float | None:
        """Seconds until the next frame arrives (<= 0: it is there); `None` if none is under way.

        Call it with the lock.
        """
        return self._frames[0][0] - time.monotonic() if self._frames else None

    def pop(self) -> bytes:
        return self._frames.popleft()[1]


class MemoryChannel(FrameChannel):
    """One end of an in-process channel; see `pair` and `network`."""

    def __init__(
        self, me: str, peer: str, out: _Line, into: _Line, *, idle_timeout_s: float | None, max_frame_bytes: int
    ) -> None:
        super().__init__(me, peer, max_frame_bytes=max_frame_bytes)
        self._out = out
        self._into = into
        self._idle_timeout_s = idle_timeout_s
        self._inbox = memoryview(b"")

    def _queue(self, parts: Sequence[Buffer]) -> None:
        if self._out.deaf:
            self._drain()
        self._out.put(b"".join(parts))

    def _flush(self) -> None:
        """Nothing to wait for: a line holds any number of frames."""

    def _fill(self, view: memoryview) -> None:
        at = 0
        while at < len(view):
            if not self._inbox:
                self._inbox = memoryview(self._next_frame())
            n = min(len(self._inbox), len(view) - at)
            view[at : at + n] = self._inbox[:n]
            self._inbox = self._inbox[n:]
            at += n

    def _next_frame(self) -> bytes:
        line = self._into
        silent_at = None if self._idle_timeout_s is None else time.monotonic() + self._idle_timeout_s
        with line.changed:
            while True:
                if self._cancelled:
                    raise self._cancellation()
                wait_s = line.due_in()
                if wait_s is None:
                    if line.ended:
                        raise PeerUnavailable(f"{self.peer} has gone", party=self.peer)
                    if silent_at is not None:
                        wait_s = silent_at - time.monotonic()
                        if wait_s <= 0:
                            raise PeerTimeout(
                                f"{self.peer} sent nothing for {self._idle_timeout_s:g} s", party=self.peer
                            )
                elif wait_s <= 0:
                    return line.pop()
                line.changed.wait(wait_s)

    def _drain(self) -> None:
        """The peer is gone: raise the reason that it left, if it left one."""
        while True:
            self._next_header_only()

    def _next_header_only(self) -> None:
        header = self._next_header()
        self._take(header.payload_bytes)

    def _shut(self, farewell: bytes | None, *, patient: bool) -> None:
        if farewell is not None:
            self._out.put(farewell)
        with self._out.changed:
            self._out.ended = True
            self._out.changed.notify_all()
        self._into.deaf = True

    def _wake(self) -> None:
        with self._into.changed:
            self._into.changed.notify_all()


def pair(
    a: str,
    b: str,
    *,
    latency_s: float = 0.0,
    bandwidth_bps: float | None = None,
    idle_timeout_s: float | None = None,
    max_frame_bytes: int = wire.DEFAULT_MAX_FRAME_BYTES,
) -> tuple[MemoryChannel, MemoryChannel]:
    """The two ends of a channel between party `a` and party `b`.

    `latency_s` is the one-way delay in seconds, `bandwidth_bps` the bits a second of each direction, `idle_timeout_s`
    how long an end waits for a frame before `PeerTimeout` (by default for ever).
    """
    if not latency_s >= 0:
        raise ConfigError(f"latency_s must not be negative, not {latency_s}")
    if bandwidth_bps is not None and not bandwidth_bps > 0:
        raise ConfigError(f"bandwidth_bps must be positive, not {bandwidth_bps}")
    there, back = _Line(latency_s, bandwidth_bps), _Line(latency_s, bandwidth_bps)
    return (
        MemoryChannel(a, b, there, back, idle_timeout_s=idle_timeout_s, max_frame_bytes=max_frame_bytes),
        MemoryChannel(b, a, back, there, idle_timeout_s=idle_timeout_s, max_frame_bytes=max_frame_bytes),
    )


def network(
    parties: Sequence[str],
    *,
    latency_s: float = 0.0,
    bandwidth_bps: float | None = None,
    idle_timeout_s: float | None = None,
    max_frame_bytes: int = wire.DEFAULT_MAX_FRAME_BYTES,
) -> dict[str, dict[str, MemoryChannel]]:
    """A channel between every two parties: `network(…)["bank-a"]["bank-b"]` is bank-a's end of the one to bank-b."""
    if len(set(parties)) != len(parties):
        raise ConfigError("two parties have the same name")
    ends: dict[str, dict[str, MemoryChannel]] = {party: {} for party in parties}
    for i, a in enumerate(parties):
        for b in parties[i + 1 :]:
            ends[a][b], ends[b][a] = pair(
                a, b, latency_s=latency_s, bandwidth_bps=bandwidth_bps,
                idle_timeout_s=idle_timeout_s, max_frame_bytes=max_frame_bytes,
            )  # fmt: skip
    return ends

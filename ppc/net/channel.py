"""What protocols see of the network: a `Channel` to one peer, the `Spec` of an expected array, and the `Meter` of its
cost.

A channel carries tagged frames of whole arrays between two named parties, in order. It belongs to one computation and
is used by one thread at a time; only `cancel` may be called from another thread.

**What a round is.** The meter counts one round when something is received after something was sent on that channel. So
`exchange` is one round, a question and its answer are one round for who asks, and messages that all flow one way are
none. Summed over sequential steps this is the number of times that latency must be paid by a party that waits for its
peer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ppc.errors import PpcError

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, init=False)
class Spec:
    """The dtype and the exact shape of an array that is to come.

    >>> Spec("uint64", (3, 2)).nbytes
    48
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __init__(self, dtype: DTypeLike, shape: tuple[int, ...] | int) -> None:
        object.__setattr__(self, "dtype", np.dtype(dtype))
        object.__setattr__(self, "shape", (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape))

    @property
    def nbytes(self) -> int:
        """Bytes of the array's payload."""
        return int(self.dtype.itemsize) * math.prod(self.shape)

    @classmethod
    def of(cls, array: Array) -> Spec:
        """The spec of an array like this one."""
        return cls(array.dtype, array.shape)


@dataclass(frozen=True, slots=True)
class MeterReading:
    """A meter's figures at one moment, or the difference (or the sum) of two such readings."""

    rounds: int = 0
    sent: int = 0
    received: int = 0
    messages: int = 0

    def __sub__(self, other: MeterReading) -> MeterReading:
        return MeterReading(
            self.rounds - other.rounds,
            self.sent - other.sent,
            self.received - other.received,
            self.messages - other.messages,
        )

    def __add__(self, other: MeterReading) -> MeterReading:
        return MeterReading(
            self.rounds + other.rounds,
            self.sent + other.sent,
            self.received + other.received,
            self.messages + other.messages,
        )


class Meter:
    """Counts what a channel costs: rounds, bytes each way (payload and frame header), and messages sent.

    Several arrays that travel in one frame are one message. Heartbeats and what TLS adds (about 0.1 %) are not
    counted, so that a protocol's cost is the same on every transport and can be asserted to the byte.
    """

    __slots__ = ("_owed", "messages", "received", "rounds", "sent")

    def __init__(self) -> None:
        self.rounds = 0
        self.sent = 0
        self.received = 0
        self.messages = 0
        self._owed = False

    def on_send(self, nbytes: int) -> None:
        """A frame of `nbytes` went out."""
        self.sent += nbytes
        self.messages += 1
        self._owed = True

    def on_receive(self, nbytes: int) -> None:
        """A frame of `nbytes` came in; it ends a round if something was sent since the last one that did."""
        self.received += nbytes
        if self._owed:
            self.rounds += 1
            self._owed = False

    def snapshot(self) -> MeterReading:
        """The figures now; subtract two of them to get the cost of what lies between."""
        return MeterReading(self.rounds, self.sent, self.received, self.messages)

    def __repr__(self) -> str:
        return f"<Meter rounds={self.rounds} sent={self.sent} received={self.received}>"


@runtime_checkable
class Channel(Protocol):
    """A connection of the party `me` to the party `peer`.

    Every method that waits raises `PeerUnavailable` if the peer vanished or closed the channel, `PeerTimeout` if it
    is silent for too long, `FrameError` if it sent something else than expected, `RemoteFailure` if it stopped with
    an error of its own, and `JobCancelled` after `cancel`. After any of these the channel is of no more use, except
    for `abort` and `close`.
    """

    me: str
    peer: str
    meter: Meter

    def send(self, tag: str, *arrays: Array) -> None:
        """Send the arrays in one frame. They may be changed as soon as this returns."""

    def recv(self, tag: str, *specs: Spec) -> tuple[Array, ...]:
        """Receive one frame of this tag with arrays of exactly these dtypes and shapes."""

    def exchange(self, tag: str, *arrays: Array) -> tuple[Array, ...]:
        """Send my arrays and receive the peer's, of the same dtypes and shapes.

        One round; no size of frame can deadlock.
        """

    def send_bytes(self, tag: str, data: bytes) -> None:
        """Send one frame of bytes."""

    def recv_bytes(self, tag: str, max_bytes: int) -> bytes:
        """Receive one frame of at most `max_bytes` bytes."""

    def recv_arrays(self, tag: str, max_bytes: int) -> tuple[Array, ...]:
        """Receive one frame of arrays whose dtypes and shapes are the sender's choice, of at most `max_bytes`
        together."""

    def abort(self, reason: PpcError) -> None:
        """Tell the peer why this party stops, and close. The peer raises it as `RemoteFailure`. Never raises."""

    def cancel(self) -> None:
        """Make the call that is blocked in this channel, and all later ones, raise `JobCancelled`.

        Any thread may call it.
        """

    def close(self) -> None:
        """Say goodbye and close. Frames that were sent before still reach the peer. Never raises; twice is harmless."""

    @property
    def closed_by_peer(self) -> bool:
        """True once the peer said goodbye: it closed the channel in good order, rather than vanish."""

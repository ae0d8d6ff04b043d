"""What every channel does alike: frames over a stream of bytes. A transport adds only how bytes get in and out.

So the in-memory channel and the TLS channel check the same things, count the same bytes and fail with the same errors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import numpy as np

from ppc.errors import FrameError, JobCancelled, NetError, PeerUnavailable, PpcError, RemoteFailure
from ppc.net import wire
from ppc.net.channel import Array, Meter, Spec
from ppc.net.wire import Header, Kind

_JOIN_BELOW: Final = 1 << 15  # smaller frames are copied into one buffer: one TLS record, one system call

Buffer = bytes | memoryview


class FrameChannel(ABC):
    """A `Channel` over a reliable stream of bytes."""

    def __init__(self, me: str, peer: str, *, max_frame_bytes: int = wire.DEFAULT_MAX_FRAME_BYTES) -> None:
        self.me = me
        self.peer = peer
        self.meter = Meter()
        self.max_frame_bytes = max_frame_bytes
        self._broken: PpcError | None = None
        self._cancelled = False
        self._closed = False
        self._closed_by_peer = False

    # --- what a transport provides ---
    @abstractmethod
    def _queue(self, parts: Sequence[Buffer]) -> None:
        """Take a whole frame for sending, without waiting.

        The memory is not copied; `_flush` or a failure ends its use.
        """

    @abstractmethod
    def _flush(self) -> None:
        """Wait until everything queued is on its way."""

    @abstractmethod
    def _fill(self, view: memoryview) -> None:
        """Fill `view` with the next bytes of the stream, sending what is queued meanwhile.

        Returns only when it is full.
        """

    @abstractmethod
    def _shut(self, farewell: bytes | None, *, patient: bool) -> None:
        """Send the farewell frame if it can still be sent, and give up the transport.

        Never raises, never waits for long.
        """

    @abstractmethod
    def _wake(self) -> None:
        """Make a call that waits in another thread look again at `_cancelled`."""

    # --- Channel ---
    def send(self, tag: str, *arrays: Array) -> None:
        size, parts = self._frame(tag, arrays)
        self._check()
        self._guarded_write(parts)
        self.meter.on_send(size)

    def recv(self, tag: str, *specs: Spec) -> tuple[Array, ...]:
        self._check()
        return self._receive(tag, specs)

    def exchange(self, tag: str, *arrays: Array) -> tuple[Array, ...]:
        size, parts = self._frame(tag, arrays)
        self._check()
        self._queue(parts)
        self.meter.on_send(size)
        came = self._receive(tag, [Spec.of(a) for a in arrays])
        self._guarded_write(())
        return came

    def send_bytes(self, tag: str, data: bytes) -> None:
        header = wire.encode_header(Kind.BYTES, tag, (), len(data))
        self._check_size(tag, len(data))
        self._check()
        self._guarded_write((header + data,) if len(data) < _JOIN_BELOW else (header, data))
        self.meter.on_send(len(header) + len(data))

    def recv_bytes(self, tag: str, max_bytes: int) -> bytes:
        self._check()
        try:
            header = self._next_header()
            wire.expect(header, Kind.BYTES, tag, peer=self.peer)
            wire.expect_at_most(header, max_bytes, peer=self.peer)
            data = self._take(header.payload_bytes)
        except PpcError as e:
            raise self._break(e) from None
        self.meter.on_receive(header.nbytes)
        return bytes(data)

    def recv_arrays(self, tag: str, max_bytes: int) -> tuple[Array, ...]:
        self._check()
        try:
            header = self._next_header()
            wire.expect(header, Kind.ARRAYS, tag, peer=self.peer)
            wire.expect_at_most(header, max_bytes, peer=self.peer)
            return self._payload(header)
        except PpcError as e:
            raise self._break(e) from None

    def abort(self, reason: PpcError) -> None:
        if self._closed:
            return
        self._closed = True
        # A peer that failed first needs no echo of its own failure.
        told = isinstance(reason, RemoteFailure) and reason.party == self.peer
        self._shut(wire.encode_goodbye() if told else wire.encode_failure(reason, me=self.me), patient=False)

    def cancel(self) -> None:
        self._cancelled = True
        self._wake()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            orderly = not self._closed_by_peer and self._broken is None
            self._shut(None if self._closed_by_peer else wire.encode_goodbye(), patient=orderly)

    @property
    def closed_by_peer(self) -> bool:
        return self._closed_by_peer

    def __enter__(self) -> FrameChannel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PpcError):
            self.abort(error)
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.me} -> {self.peer}>"

    # --- frames ---
    def _frame(self, tag: str, arrays: Sequence[Array]) -> tuple[int, list[Buffer]]:
        """A frame of arrays as buffers to send, and its size."""
        payload = [wire.as_payload(a) for a in arrays]
        size = sum(a.nbytes for a in payload)
        self._check_size(tag, size)
        header = wire.encode_header(Kind.ARRAYS, tag, [Spec.of(a) for a in payload], size)
        if size < _JOIN_BELOW:
            return len(header) + size, [header + b"".join([a.tobytes() for a in payload])]
        return len(header) + size, [header, *(wire.octets(a) for a in payload if a.nbytes)]

    def _check_size(self, tag: str, size: int) -> None:
        if not size <= self.max_frame_bytes:
            raise FrameError(
                f"a frame of {size} bytes is more than the cap of {self.max_frame_bytes}",
                where=f"tag {tag!r}",
                hint="send it in parts, or raise max_frame_bytes at every party",
            )

    def _receive(self, tag: str, specs: Sequence[Spec]) -> tuple[Array, ...]:
        try:
            header = self._next_header()
            wire.expect(header, Kind.ARRAYS, tag, peer=self.peer)
            wire.expect_specs(header, specs, peer=self.peer)
            return self._payload(header)
        except PpcError as e:
            raise self._break(e) from None

    def _payload(self, header: Header) -> tuple[Array, ...]:
        """The arrays of a frame whose header is checked. Only here is memory for a payload allocated."""
        arrays: list[Array]
        if header.payload_bytes < _JOIN_BELOW:
            data = self._take(header.payload_bytes)
            arrays, at = [], 0
            for spec in header.specs:
                arrays.append(np.frombuffer(data, np.uint8, spec.nbytes, at).view(spec.dtype).reshape(spec.shape))
                at += spec.nbytes
        else:
            arrays = [np.empty(spec.shape, spec.dtype) for spec in header.specs]
            for array in arrays:
                if array.nbytes:
                    self._fill(wire.octets(array))
        came = wire.check_payload(arrays, peer=self.peer, tag=header.tag)
        self.meter.on_receive(header.nbytes)
        return came

    def _next_header(self) -> Header:
        """The header of the next frame that carries data; the others are dealt with here."""
        while True:
            header = wire.read_header(self._take, peer=self.peer, max_frame_bytes=self.max_frame_bytes)
            if header.kind in (Kind.ARRAYS, Kind.BYTES):
                return header
            data = bytes(self._take(header.payload_bytes))
            if header.kind == Kind.FAILURE:
                raise wire.parse_failure(data, peer=self.peer)
            if header.kind == Kind.GOODBYE:
                self._closed_by_peer = True
                raise PeerUnavailable(f"{self.peer} closed the channel", party=self.peer)
            if header.kind != Kind.HEARTBEAT:
                raise wire.bad_frame("a greeting in mid-session", peer=self.peer, field="kind")

    def _take(self, n: int) -> bytearray:
        data = bytearray(n)
        if n:
            self._fill(memoryview(data))
        return data

    # --- failures ---
    def _guarded_write(self, parts: Sequence[Buffer]) -> None:
        try:
            if parts:
                self._queue(parts)
            self._flush()
        except PpcError as e:
            raise self._break(e) from None

    def _check(self) -> None:
        """Raise what ended this channel, if something did."""
        if self._cancelled:
            raise self._cancellation()
        if self._broken is not None:
            raise PpcError.from_dict(self._broken.to_dict())
        if self._closed:
            raise NetError(f"the channel to {self.peer} is closed", party=self.peer)

    def _break(self, error: PpcError) -> PpcError:
        """Remember the first failure: the stream cannot be trusted to be in step after it."""
        if self._cancelled:
            return self._cancellation()
        if self._broken is None:
            self._broken = error
        return error

    def _cancellation(self) -> JobCancelled:
        return JobCancelled(f"cancelled while {self.me} was talking to {self.peer}")

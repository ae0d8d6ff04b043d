"""A channel over one TLS socket: a full-duplex pump, and heartbeats that tell a busy peer from a dead one.

**Pump.** The socket does not block. Whoever waits, to read or to write, moves bytes in both directions meanwhile, so
two parties that send each other frames larger than every buffer in between cannot deadlock. There is no thread per
channel: a small round trip costs two system calls and no hand-over.

**Life signs.** One thread a process sends a heartbeat frame on every channel that was silent for `heartbeat_s`. A
peer that computes for an hour goes on beating; one that was stopped (SIGSTOP), or whose process hangs as a whole,
falls silent and gives `PeerTimeout` after `idle_timeout_s`. A process that dies resets its connections, seen at once.
A host that disappears without a word leaves heartbeats unacknowledged, seen by TCP within `UNREACHABLE_S`:
`PeerUnavailable`.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
import struct
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Final

from ppc.errors import PeerTimeout, PeerUnavailable, PpcError
from ppc.net import wire
from ppc.net.base import Buffer, FrameChannel

UNREACHABLE_S: Final = 8.0  # data unacknowledged for so long: the peer's host is gone
HEARTBEAT_S: Final = 2.0
IDLE_TIMEOUT_S: Final = 60.0  # long enough for a peer whose every thread waits for one long library call

_RECORD: Final = 1 << 14  # a TLS record
_READS_A_WRITE: Final = 16  # a write to a full socket is not free, so do not try it between any two records
_BACKLOG: Final = 1 << 28  # bytes of the peer's that are kept while this party is still sending
_LINGER_S: Final = 2.0  # for a reason to stop; a goodbye waits longer, see `_shut`
_TICK_S: Final = 1.0
_HEARTBEAT: Final = wire.encode(wire.Kind.HEARTBEAT, "heartbeat", b"")
_VANISHED: Final = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN, errno.EBADF})


class StreamChannel(FrameChannel):
    """A channel over a TLS socket whose handshake is done; see `ppc.net.tls`."""

    def __init__(
        self,
        me: str,
        peer: str,
        sock: ssl.SSLSocket,
        *,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        heartbeat_s: float = HEARTBEAT_S,
        max_frame_bytes: int = wire.DEFAULT_MAX_FRAME_BYTES,
    ) -> None:
        super().__init__(me, peer, max_frame_bytes=max_frame_bytes)
        sock.setblocking(False)
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._tls = threading.Lock()  # an SSL object takes one call at a time; also guards `_unsent`
        self._unsent: deque[memoryview] = deque()
        self._write_error: OSError | None = None
        self._inbox: deque[memoryview] = deque()  # read before it was asked for
        self._inbox_bytes = 0
        self._idle_timeout_s = idle_timeout_s
        self._heartbeat_s = heartbeat_s
        self._wrote_at = self._heard_at = time.monotonic()
        _KEEPER.add(self)

    # --- writing ---
    def _queue(self, parts: Sequence[Buffer]) -> None:
        with self._tls:
            self._unsent.extend(memoryview(p) for p in parts)

    def _write_some(self) -> bool:
        """Write until nothing is left (True) or the socket takes no more (False)."""
        with self._tls:
            return self._write_locked()

    def _write_locked(self) -> bool:
        unsent = self._unsent
        while unsent and self._write_error is None:
            try:
                n = self._sock.send(unsent[0])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
                return False
            except OSError as e:
                self._write_error = e
                break
            self._wrote_at = time.monotonic()
            if n == len(unsent[0]):
                unsent.popleft()
            else:
                unsent[0] = unsent[0][n:]
        if self._write_error is not None:
            unsent.clear()
        return not unsent

    def _flush(self) -> None:
        since = time.monotonic()
        while not self._write_some():
            ready = self._wait(since, writing=True)
            if ready & ~select.POLLOUT and self._inbox_bytes < _BACKLOG:
                self._read_ahead()
        if self._write_error is not None:
            self._leave(self._write_error)

    def _leave(self, error: OSError | None) -> None:
        """The connection is gone. If the peer said why before it went, raise that; else that it vanished."""
        while True:
            try:
                header = self._next_header()
            except PeerUnavailable:
                if error is None or self._closed_by_peer:
                    raise
                raise self._vanished(error) from None
            left = header.payload_bytes
            while left:
                left -= len(self._take(min(left, 1 << 20)))

    # --- reading ---
    def _read_ahead(self) -> None:
        """Take what has arrived into the inbox, while something else is waited for."""
        while self._inbox_bytes < _BACKLOG:
            with self._tls:
                try:
                    data = self._sock.recv(_RECORD)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                    return
                except OSError as e:
                    self._write_error = self._write_error or e
                    return
            if not data:
                if self._cancelled:
                    return
                self._write_error = self._write_error or ConnectionResetError(errno.ECONNRESET, "closed")
                return
            self._heard_at = time.monotonic()
            self._inbox.append(memoryview(data))
            self._inbox_bytes += len(data)

    def _fill(self, view: memoryview) -> None:
        since = time.monotonic()
        at, size = self._from_inbox(view), len(view)
        reads = 0
        while at < size:
            if self._unsent and reads % _READS_A_WRITE == 0:
                self._write_some()
            reads += 1
            try:
                if size - at >= _RECORD:
                    with self._tls:
                        n = self._sock.recv_into(view[at:])
                    at += n
                else:
                    with self._tls:
                        data = self._sock.recv(_RECORD)
                    n = len(data)
                    if n:
                        self._inbox.append(memoryview(data))
                        self._inbox_bytes += n
                        at += self._from_inbox(view[at:])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                self._wait(since, writing=bool(self._unsent))
                reads = 0
                continue
            except OSError as e:
                raise self._vanished(e) from None
            if n == 0:
                if self._cancelled:
                    raise self._cancellation()
                raise self._vanished(self._write_error)
            self._heard_at = time.monotonic()

    def _from_inbox(self, view: memoryview) -> int:
        at, size = 0, len(view)
        while self._inbox and at < size:
            head = self._inbox[0]
            n = min(len(head), size - at)
            view[at : at + n] = head[:n]
            at += n
            if n == len(head):
                self._inbox.popleft()
            else:
                self._inbox[0] = head[n:]
        self._inbox_bytes -= at
        return at

    # --- waiting ---
    def _wait(self, since: float, *, writing: bool) -> int:
        """Wait until the socket can be read (or written), and judge the peer's silence."""
        self._poll.modify(self._sock, select.POLLIN | (select.POLLOUT if writing else 0))
        ready = self._poll.poll(1000 * min(_TICK_S, self._idle_timeout_s / 4))
        if self._cancelled:
            raise self._cancellation()
        if ready:
            return ready[0][1]
        if _unacknowledged_s(self._sock) > UNREACHABLE_S:
            raise PeerUnavailable(f"the host of {self.peer} cannot be reached any more", party=self.peer)
        if time.monotonic() - max(since, self._heard_at) > self._idle_timeout_s:
            raise PeerTimeout(
                f"{self.peer} is connected but gave no sign of life for {self._idle_timeout_s:g} s",
                hint=f"is the process of {self.peer} stopped or overloaded?",
                party=self.peer,
            )
        return 0

    def _vanished(self, error: OSError | None) -> PpcError:
        if error is None or error.errno in _VANISHED or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            what = f"{self.peer} vanished: it ended the connection without a word"
        elif isinstance(error, ssl.SSLError):
            what = f"the TLS connection to {self.peer} broke: {(error.reason or 'error').replace('_', ' ').lower()}"
        else:
            what = f"the connection to {self.peer} broke: {error.strerror or type(error).__name__}"
        return PeerUnavailable(what, hint=f"look at the log of {self.peer}", party=self.peer)

    # --- the end ---
    def _wake(self) -> None:
        # The reading half only: a blocked poll wakes up, and `abort` can still tell the peer.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RD)

    def _shut(self, farewell: bytes | None, *, patient: bool) -> None:
        _KEEPER.remove(self)
        # Closing a socket that holds unread bytes resets the connection, and takes with it what is still on its way.
        # So this waits until the peer's host has everything: in good order for as long as it would wait for the peer.
        deadline = time.monotonic() + (self._idle_timeout_s if patient and not self._cancelled else _LINGER_S)
        with contextlib.suppress(OSError, ValueError), self._tls:
            if farewell is not None:
                self._unsent.append(memoryview(farewell))
            # An unfinished frame must be finished, or the farewell would be taken for a part of it.
            while not self._write_locked() and time.monotonic() < deadline:
                self._poll.modify(self._sock, select.POLLOUT | (0 if self._cancelled else select.POLLIN))
                if any(event & select.POLLIN for _, event in self._poll.poll(100)):
                    self._discard_locked()
            self._unsent.clear()
            socket.socket.shutdown(self._sock, socket.SHUT_WR)
            # Closing a socket that holds unread bytes resets the connection, and takes with it what is still on its
            # way.
            while time.monotonic() < deadline and _unacknowledged_bytes(self._sock):
                if not self._discard_locked() and not self._cancelled:
                    break
                time.sleep(0.001)
        with contextlib.suppress(OSError):
            self._sock.close()

    def _discard_locked(self) -> bool:
        """Read and forget; False at the end of the stream."""
        try:
            for _ in range(64):
                if not self._sock.recv(_RECORD):
                    return False
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return True
        except OSError:
            return False
        return True

    def _beat(self, now: float) -> None:
        """Send a heartbeat if nothing else was sent lately. Never waits."""
        if now - self._wrote_at < self._heartbeat_s or not self._tls.acquire(blocking=False):
            return
        try:
            if not self._unsent and not self._closed and not self._cancelled:
                self._unsent.append(memoryview(_HEARTBEAT))
                self._write_locked()
        finally:
            self._tls.release()


class _Keeper:
    """The thread that keeps all channels of this process alive while their owners compute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: weakref.WeakSet[StreamChannel] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._added = threading.Event()

    def add(self, channel: StreamChannel) -> None:
        with self._lock:
            self._channels.add(channel)
            self._added.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="ppc-heartbeat", daemon=True)
                self._thread.start()

    def remove(self, channel: StreamChannel) -> None:
        with self._lock:
            self._channels.discard(channel)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._added.clear()
                channels = list(self._channels)
                if not channels:
                    self._thread = None
                    return
            pause = min(_TICK_S, *(c._heartbeat_s / 2 for c in channels))
            now = time.monotonic()
            for channel in channels:
                channel._beat(now)
            del channels, channel  # hold no channel that its owner has dropped
            self._added.wait(pause)


_KEEPER: Final = _Keeper()


def _unacknowledged_s(sock: socket.socket) -> float:
    """Seconds since the peer's host last acknowledged anything while it owes an acknowledgement; 0 where unknown."""
    if not sys.platform.startswith("linux"):
        return 0.0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    except OSError:
        return 0.0
    # struct tcp_info of linux/tcp.h: 8 bytes, then u32 fields; [4] is unacked (segments), [12] is last_ack_recv (ms).
    fields = struct.unpack_from("=24I", info, 8)
    return fields[12] / 1000 if fields[4] else 0.0


def _unacknowledged_bytes(sock: socket.socket) -> int:
    """Bytes that the peer's host has not acknowledged yet; 0 where unknown."""
    if not sys.platform.startswith("linux"):
        return 0
    import fcntl
    import termios

    try:
        answer: bytes = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):
        return 0
    return int(struct.unpack("=i", answer)[0])

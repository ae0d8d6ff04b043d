"""Channels over mutual TLS 1.3 sockets: `Listener` on one side, `connect` on the other.

Both sides show a certificate of the pinned authority that names a party (see `ppc.net.identity`). After the TLS
handshake the connecting party sends a greeting (protocol version, session, who it is and whom it means); the
listening party checks it against the certificate and answers in kind, or says why it refuses. Only then does a
channel exist. One listener serves many sessions and peers at once; a connection that stays silent is dropped after
`handshake_timeout_s` and holds up nobody.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final

from ppc.errors import (
    ConfigError,
    FrameError,
    IdentityError,
    NetError,
    PeerTimeout,
    PeerUnavailable,
    PortInUse,
    PpcError,
)
from ppc.net import wire
from ppc.net.greeting import (
    check_hello,
    check_session,
    heartbeat_s,
    os_reason,
    read_greeting,
    refusal,
    show_address,
    ssl_reason,
    write_greeting,
)
from ppc.net.identity import Identity, check_party_name, party_of
from ppc.net.stream import IDLE_TIMEOUT_S, StreamChannel

__all__ = ["Identity", "Listener", "connect"]

HANDSHAKE_TIMEOUT_S: Final = 10.0
PENDING_TIMEOUT_S: Final = 120.0  # how long a connection waits for its session to be accepted
_RECENT_S: Final = 10.0  # a party that was refused shortly before it was waited for does not come again
_MAX_HANDSHAKES: Final = 128
_MAX_PENDING: Final = 1024
_BUFFER_BYTES: Final = 1 << 22

Address = tuple[str, int]


class Listener:
    """Accepts connections at `host`:`port` (0: any free port) and hands them out by session and peer."""

    def __init__(
        self,
        identity: Identity,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S,
        pending_timeout_s: float = PENDING_TIMEOUT_S,
        max_frame_bytes: int = wire.DEFAULT_MAX_FRAME_BYTES,
        on_refused: Callable[[IdentityError], None] | None = None,
    ) -> None:
        self.identity = identity
        self._context = identity.context(server=True)
        self._idle_timeout_s = idle_timeout_s
        self._handshake_timeout_s = handshake_timeout_s
        self._pending_timeout_s = pending_timeout_s
        self._max_frame_bytes = max_frame_bytes
        self._on_refused = on_refused
        self._changed = threading.Condition()
        self._pending: OrderedDict[tuple[str, str], tuple[float, StreamChannel]] = OrderedDict()
        self._refusals: deque[tuple[float, IdentityError]] = deque(maxlen=64)
        self._greeting: OrderedDict[int, socket.socket] = OrderedDict()  # connections that are not yet channels
        self._closed = False
        self._server = bind(host, port)
        name = self._server.getsockname()
        self._address: Address = str(name[0]), int(name[1])
        self._stop_read, self._stop_write = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="ppc-listener", daemon=True)
        self._thread.start()

    @property
    def address(self) -> Address:
        """The host and the port that it listens on."""
        return self._address

    def accept(self, session_id: str, peer: str, timeout_s: float) -> StreamChannel:
        """The channel to `peer` for this session, once it has connected.

        `PeerUnavailable` if it does not within `timeout_s` seconds, or `IdentityError` if somebody was refused
        meanwhile.
        """
        check_session(session_id)
        since = time.monotonic()
        key = (session_id, peer)
        with self._changed:
            while True:
                if self._closed:
                    raise NetError("the listener is closed", party=self.identity.name)
                if key in self._pending:
                    return self._pending.pop(key)[1]
                left = since + timeout_s - time.monotonic()
                if not left > 0:
                    break
                self._changed.wait(left)
            refused = [error for at, error in self._refusals if at >= since - _RECENT_S]
        if refused:
            raise IdentityError(
                f"{peer} did not connect within {timeout_s:g} s, and a connection was refused: {refused[-1].what}",
                where=refused[-1].where,
                hint=refused[-1].hint,
                party=peer,
            )
        raise PeerUnavailable(
            f"{peer} did not connect within {timeout_s:g} s",
            where=f"listening on {show_address(self.address)}",
            hint=f"is the process of {peer} running, and does it know this address?",
            party=peer,
        )

    def close(self) -> None:
        """Stop listening. Channels that were accepted live on; connections that wait are told and closed."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            waiting = [channel for _, channel in self._pending.values()]
            self._pending.clear()
            greeting = list(self._greeting.values())
            self._changed.notify_all()
        self._stop_write.send(b"x")
        self._thread.join(5)
        self._server.close()
        self._stop_read.close()
        self._stop_write.close()
        for sock in greeting:
            _cut(sock)
        for channel in waiting:
            channel.abort(NetError(f"{self.identity.name} stopped listening"))

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the accepting thread ---
    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._server, select.POLLIN)
        poll.register(self._stop_read, select.POLLIN)
        while True:
            poll.poll(1000)
            if self._closed:
                return
            self._expire()
            try:
                sock, address = self._server.accept()
            except (BlockingIOError, InterruptedError):
                continue
            except OSError:  # out of file descriptors, or the client has gone already
                time.sleep(0.05)
                continue
            with self._changed:
                self._greeting[id(sock)] = sock
                # A crowd of silent connections must not lock out a party: the oldest makes room.
                crowd = self._greeting.popitem(last=False)[1] if len(self._greeting) > _MAX_HANDSHAKES else None
            if crowd is not None:
                _cut(crowd)
            threading.Thread(target=self._greet, args=(sock, address), name="ppc-handshake", daemon=True).start()

    def _expire(self) -> None:
        """Drop connections whose session nobody asked for."""
        now = time.monotonic()
        with self._changed:
            late = [key for key, (at, _) in self._pending.items() if now - at > self._pending_timeout_s]
            late += list(self._pending)[: max(0, len(self._pending) - _MAX_PENDING)]
            channels = [(key[0], self._pending.pop(key)[1]) for key in dict.fromkeys(late)]
        for session_id, channel in channels:
            unknown = NetError(f"{self.identity.name} does not run the session", where=f"session {session_id}")
            threading.Thread(target=channel.abort, args=(unknown,), daemon=True).start()

    # --- one connection ---
    def _greet(self, sock: socket.socket, address: Any) -> None:
        origin = f"connection from {show_address(address)}"
        deadline = time.monotonic() + self._handshake_timeout_s
        me = self.identity.name
        tls: ssl.SSLSocket | None = None
        try:
            _tune(sock)
            sock.settimeout(self._handshake_timeout_s)
            tls = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            with self._changed:
                if self._greeting.pop(id(sock), None) is not None:
                    self._greeting[id(sock)] = tls
            tls.do_handshake()
            peer = party_of(tls.getpeercert())
            if peer is None:
                raise refusal(f"a certificate that names no party was shown to {me}", where=origin)
            hello = read_greeting(tls, "hello", peer, deadline)
            session_id = check_hello(hello, me=me, peer=peer, origin=origin)
            write_greeting(tls, "welcome", session_id, me, peer, self._idle_timeout_s, deadline)
            channel = StreamChannel(
                me, peer, tls,
                idle_timeout_s=self._idle_timeout_s,
                heartbeat_s=heartbeat_s(self._idle_timeout_s, hello),
                max_frame_bytes=self._max_frame_bytes,
            )  # fmt: skip
        except Exception as e:
            self._refuse(tls or sock, e, origin)
            return
        finally:
            with self._changed:
                self._greeting.pop(id(sock), None)
        with self._changed:
            closed = self._closed
            older = self._pending.pop((session_id, peer), None)  # the peer tried again: the new connection counts
            if not closed:
                self._pending[session_id, peer] = time.monotonic(), channel
            self._changed.notify_all()
        if closed:
            channel.abort(NetError(f"{me} stopped listening"))
        if older is not None:
            older[1].close()

    def _refuse(self, sock: socket.socket, error: Exception, origin: str) -> None:
        me = self.identity.name
        if isinstance(error, IdentityError):
            reason = error
        elif isinstance(error, PpcError):
            reason = IdentityError(error.what, where=origin, hint=error.hint, party=error.party)
        elif isinstance(error, ssl.SSLError):
            reason = refusal(ssl_reason(error, other="the connecting party", me=me), where=origin)
        elif isinstance(error, TimeoutError):
            reason = refusal("a connection was silent during the handshake", where=origin)
        else:
            reason = refusal("a connection was dropped during the handshake", where=origin)
        if self._closed:
            _cut(sock)
            return
        with self._changed:
            self._refusals.append((time.monotonic(), reason))
        if isinstance(sock, ssl.SSLSocket) and isinstance(error, PpcError):
            with contextlib.suppress(OSError, ValueError):
                sock.settimeout(1.0)
                sock.sendall(wire.encode_failure(reason, me=me))
        _part(sock)
        if self._on_refused is not None:
            self._on_refused(reason)


def connect(
    identity: Identity,
    peer: str,
    host: str,
    port: int,
    session_id: str,
    timeout_s: float,
    *,
    idle_timeout_s: float = IDLE_TIMEOUT_S,
    max_frame_bytes: int = wire.DEFAULT_MAX_FRAME_BYTES,
) -> StreamChannel:
    """Connect to the party `peer` that listens at `host`:`port`, for one session.

    Tries again until `timeout_s` seconds are over, then raises `PeerUnavailable` (nobody there) or `PeerTimeout`
    (somebody there, but silent). Does not wait until the peer accepts the session. `IdentityError` at once if who
    answers is not `peer`, or refuses this party.
    """
    check_party_name(peer)
    check_session(session_id)
    context = identity.context(server=False)
    deadline = time.monotonic() + timeout_s
    pause = 0.02
    where = f"at {show_address((host, port))}"
    while True:
        try:
            return _try(context, identity.name, peer, host, port, session_id, deadline, idle_timeout_s, max_frame_bytes)
        except (OSError, PeerUnavailable) as e:
            failure: Exception = e
        if time.monotonic() + pause >= deadline:
            break
        time.sleep(pause)
        pause = min(2 * pause, 0.5)
    if isinstance(failure, TimeoutError):
        raise PeerTimeout(f"{peer} did not answer within {timeout_s:g} s", where=where, party=peer)
    reason = failure.what if isinstance(failure, PpcError) else os_reason(failure)
    raise PeerUnavailable(
        f"{peer} cannot be reached: {reason}", where=where, hint=f"is the process of {peer} running there?", party=peer
    )


def _try(
    context: ssl.SSLContext,
    me: str,
    peer: str,
    host: str,
    port: int,
    session_id: str,
    deadline: float,
    idle_timeout_s: float,
    max_frame_bytes: int,
) -> StreamChannel:
    where = f"at {show_address((host, port))}"
    sock = socket.create_connection((host, port), timeout=max(0.05, min(5.0, deadline - time.monotonic())))
    try:
        _tune(sock)
        sock.settimeout(max(0.05, deadline - time.monotonic()))
        try:
            sock = tls = context.wrap_socket(sock, do_handshake_on_connect=False)
            tls.do_handshake()
            found = party_of(tls.getpeercert())
            if found != peer:
                error = IdentityError(
                    f"{found or 'somebody without a party name'} answers where {peer} was expected",
                    where=where,
                    hint="check the addresses of the parties",
                    party=peer,
                )
                with contextlib.suppress(OSError):
                    tls.sendall(wire.encode_failure(error, me=me))
                    _part(tls)
                raise error
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer says why
                write_greeting(tls, "hello", session_id, me, peer, idle_timeout_s, deadline)
            welcome = read_greeting(tls, "welcome", peer, deadline)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise PeerUnavailable("it ends the connection during the handshake", party=peer) from None
        except ssl.SSLError as e:
            raise refusal(ssl_reason(e, other=peer, me=me), where=where, party=peer) from None
        if welcome.get("from") != peer or welcome.get("session") != session_id:
            raise FrameError(f"{peer} answered for another session", where=where, party=peer)
        return StreamChannel(
            me, peer, tls,
            idle_timeout_s=idle_timeout_s,
            heartbeat_s=heartbeat_s(idle_timeout_s, welcome),
            max_frame_bytes=max_frame_bytes,
        )  # fmt: skip
    except BaseException:
        sock.close()
        raise


# --- sockets ---
def bind(host: str, port: int) -> socket.socket:
    """A socket that listens at `host`:`port` and does not block; errors that name the address."""
    where = f"address {show_address((host, port))}"
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, OverflowError) as e:
        raise ConfigError(f"not an address to listen on: {os_reason(e)}", where=where) from None
    server = socket.socket(family, kind, proto)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen(128)
        server.setblocking(False)
    except (OSError, OverflowError) as e:
        server.close()
        taken = isinstance(e, OSError) and e.errno == errno.EADDRINUSE
        raise PortInUse(
            "another process listens there" if taken else f"cannot listen there: {os_reason(e)}",
            where=where,
            hint="choose another port, or 0 for any free one",
        ) from None
    return server


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _cut(sock: socket.socket) -> None:
    """End a connection that another thread may be waiting in."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _part(sock: socket.socket) -> None:
    """Close so that what was sent, an alert or a reason, still arrives: not before the other side has read it."""
    with contextlib.suppress(OSError, ValueError):
        socket.socket.shutdown(sock, socket.SHUT_WR)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            sock.settimeout(max(0.01, until - time.monotonic()))
            if not socket.socket.recv(sock, 4096):
                break
    sock.close()

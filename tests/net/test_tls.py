"""Identities on the wire, many sessions at once, and peers that misbehave, stop or die."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ppc.errors import ConfigError, IdentityError, NetError, PeerTimeout, PeerUnavailable, PortInUse, RemoteFailure
from ppc.net import identity, stream, tls, wire
from ppc.net.channel import Spec
from ppc.net.greeting import read_greeting

X = np.arange(5, dtype=np.uint64)


@pytest.fixture
def listener(authority: Path):
    with tls.Listener(identity.load(authority, "bank-a"), handshake_timeout_s=1.0) as found:
        yield found


@pytest.fixture
def other_authority(tmp_path: Path) -> Path:
    identity.create_ca(tmp_path)
    for party in ("bank-a", "bank-b"):
        identity.issue(tmp_path, party)
    return tmp_path


def dial(listener: tls.Listener, me: identity.Identity, peer: str = "bank-a", session: str = "s", timeout_s: float = 5):
    return tls.connect(me, peer, *listener.address, session, timeout_s)


# --- identities ---
def test_both_sides_know_whom_they_talk_to(listener, authority):
    with dial(listener, identity.load(authority, "bank-b")) as b, listener.accept("s", "bank-b", 5) as a:
        assert (a.me, a.peer, b.me, b.peer) == ("bank-a", "bank-b", "bank-b", "bank-a")
        assert a._sock.version() == b._sock.version() == "TLSv1.3"
        b.send("x", X)
        np.testing.assert_array_equal(a.recv("x", Spec.of(X))[0], X)


def test_another_authority_is_refused_by_both(listener, other_authority, together):
    """The connecting party trusts another authority, so it refuses first."""
    dialled, accepted = together(
        lambda: dial(listener, identity.load(other_authority, "bank-b")),
        lambda: listener.accept("s", "bank-b", 1),
    )
    assert isinstance(dialled, IdentityError)
    assert dialled.party == "bank-a"
    assert "certificate of bank-a is not acceptable to bank-b" in dialled.what
    assert isinstance(accepted, IdentityError)
    assert accepted.party == "bank-b"
    assert "refused the certificate of bank-a: unknown ca" in accepted.what


def test_a_forged_certificate_is_refused_by_the_listener(listener, authority, other_authority, together):
    """The connecting party trusts the right authority, but its own certificate is from another."""
    theirs = identity.load(other_authority, "bank-b")
    forged = identity.Identity("bank-b", theirs.cert_path, theirs.key_path, authority / "ca.pem")
    dialled, accepted = together(lambda: dial(listener, forged), lambda: listener.accept("s", "bank-b", 1))
    assert isinstance(dialled, IdentityError)
    assert dialled.party == "bank-a"
    assert "bank-a refused the certificate of bank-b" in dialled.what
    assert isinstance(accepted, IdentityError)
    assert accepted.party == "bank-b"
    assert "not acceptable to bank-a" in accepted.what


@pytest.mark.parametrize("side", ["listener", "connecting party"])
def test_an_expired_certificate_is_refused(authority, tmp_path, together, monkeypatch, side):
    from datetime import UTC, datetime, timedelta

    class Past(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(UTC) - timedelta(days=30)

    old = "bank-a" if side == "listener" else "bank-b"
    with monkeypatch.context() as m:
        m.setattr(identity, "datetime", Past)
        expired = identity.issue(authority, old, valid_days=1, out=tmp_path)
    with pytest.raises(IdentityError, match="expired"):
        expired.context(server=True)
    monkeypatch.setattr(identity.Identity, "check", lambda self: None)  # as if its own check were skipped
    ids = {p: identity.Identity(p, *[authority / f"{p}.{e}" for e in ("pem", "key")], authority / "ca.pem")
           for p in ("bank-a", "bank-b")} | {old: expired}  # fmt: skip
    with tls.Listener(ids["bank-a"]) as listener:
        dialled, accepted = together(lambda: dial(listener, ids["bank-b"]), lambda: listener.accept("s", "bank-b", 1))
    for error, peer in ((dialled, "bank-a"), (accepted, "bank-b")):
        assert isinstance(error, IdentityError), error
        assert error.party == peer
        assert "expired" in error.what


def test_another_party_than_expected(listener, authority, together):
    """The address book is wrong: bank-a answers where helper was expected."""
    dialled, accepted = together(
        lambda: dial(listener, identity.load(authority, "bank-b"), peer="helper"),
        lambda: listener.accept("s", "bank-b", 1),
    )
    assert isinstance(dialled, IdentityError)
    assert dialled.what == "bank-a answers where helper was expected"
    assert dialled.party == "helper"
    assert isinstance(accepted, IdentityError)
    assert "bank-a answers where helper was expected" in accepted.what


def raw_client(listener: tls.Listener, me: identity.Identity) -> ssl.SSLSocket:
    return me.context(server=False).wrap_socket(socket.create_connection(listener.address, timeout=5))


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        ({"protocol": 9, "session": "s", "from": "bank-b", "to": "bank-a"}, "speaks version 9"),
        ({"protocol": 1, "session": "s", "from": "helper", "to": "bank-a"}, "under another name"),
        ({"protocol": 1, "session": "s", "from": "bank-b", "to": "helper"}, "looks for another party than bank-a"),
        ({"protocol": 1, "session": 7, "from": "bank-b", "to": "bank-a"}, "named no session"),
        ({"protocol": 1, "session": "", "from": "bank-b", "to": "bank-a"}, "session's name"),
        ([], "JSON object"),
        (None, "wrong kind"),
    ],
)
def test_greetings_that_do_not_fit_are_refused_with_the_reason(listener, authority, greeting, reason):
    import json

    kind = wire.Kind.BYTES if greeting is None else wire.Kind.HELLO
    with raw_client(listener, identity.load(authority, "bank-b")) as client:
        client.sendall(wire.encode(kind, "hello", json.dumps(greeting).encode()))
        with pytest.raises(IdentityError) as e:
            read_greeting(client, "welcome", "bank-a", time.monotonic() + 5)
    assert reason in e.value.what
    assert e.value.party == "bank-a"


def test_without_a_certificate(listener, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority / "ca.pem")
    with (
        socket.create_connection(listener.address, timeout=5) as raw,
        context.wrap_socket(raw) as client,
        pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"),
    ):
        client.recv(1)
    with pytest.raises(IdentityError, match="showed no certificate to bank-a"):
        refusal(listener)


def test_older_tls_is_refused(listener, authority):
    me = identity.load(authority, "bank-b")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(me.ca_path)
    context.load_cert_chain(me.cert_path, me.key_path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(listener.address, timeout=5) as raw, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(raw)
    with pytest.raises(IdentityError, match=r"does not speak TLS 1\.3"):
        refusal(listener)


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 2000, os.urandom(500)])
def test_a_plain_tcp_client_is_refused(listener, noise):
    with socket.create_connection(listener.address, timeout=5) as client:
        client.sendall(noise)
        with contextlib.suppress(OSError):
            while client.recv(1000):
                pass
    with pytest.raises(IdentityError, match=r"does not speak TLS|dropped"):
        refusal(listener)


def refusal(listener: tls.Listener) -> None:
    """Raise what the listener refused last."""
    until = time.monotonic() + 3
    while not listener._refusals and time.monotonic() < until:
        time.sleep(0.01)
    raise listener._refusals[-1][1]


def test_refusals_are_reported(authority):
    seen: list[IdentityError] = []
    with tls.Listener(identity.load(authority, "bank-a"), on_refused=seen.append) as listener:
        with socket.create_connection(listener.address) as client:
            client.sendall(b"hello, this is not TLS")
            client.recv(100)
        with pytest.raises(IdentityError):
            refusal(listener)
        time.sleep(0.1)
    assert "127.0.0.1" in str(seen[0].where)


def test_a_server_that_is_not_tls(authority, together):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(b"220 mail.example ESMTP\r\n" * 10)
                client.recv(1000)

        error, _ = together(
            lambda: tls.connect(identity.load(authority, "bank-b"), "bank-a", *server.getsockname(), "s", 3), answer
        )
    assert isinstance(error, IdentityError)
    assert "bank-a does not speak TLS" in error.what
    assert error.party == "bank-a"


# --- reaching a peer ---
def test_nobody_listens(authority):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    since = time.monotonic()
    with pytest.raises(PeerUnavailable, match="bank-a cannot be reached") as e:
        tls.connect(identity.load(authority, "bank-b"), "bank-a", "127.0.0.1", port, "s", 0.5)
    assert time.monotonic() - since < 2
    assert e.value.party == "bank-a"
    assert str(port) in str(e.value.where)


def test_a_host_that_does_not_exist(authority):
    with pytest.raises(PeerUnavailable, match="bank-a"):
        tls.connect(identity.load(authority, "bank-b"), "bank-a", "nowhere.invalid", 9, "s", 0.3)


def test_a_server_that_says_nothing(authority):
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(PeerTimeout, match="did not answer") as e:
        tls.connect(identity.load(authority, "bank-b"), "bank-a", *server.getsockname(), "s", 0.5)
    assert e.value.party == "bank-a"


def test_connect_waits_for_a_peer_that_starts_late(authority, together):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]

    def late():
        time.sleep(0.5)
        with tls.Listener(identity.load(authority, "bank-a"), port=port) as listener:
            listener.accept("s", "bank-b", 5).close()

    channel, _ = together(
        lambda: tls.connect(identity.load(authority, "bank-b"), "bank-a", "127.0.0.1", port, "s", 10), late
    )
    assert channel.peer == "bank-a"
    channel.close()


def test_port_in_use(listener, authority):
    with pytest.raises(PortInUse, match="another process listens") as e:
        tls.Listener(identity.load(authority, "bank-a"), *listener.address)
    assert str(listener.address[1]) in str(e.value.where)
    with pytest.raises(PortInUse, match="cannot listen"):
        tls.Listener(identity.load(authority, "bank-a"), "192.0.2.1", 0)
    with pytest.raises(ConfigError):
        tls.Listener(identity.load(authority, "bank-a"), "nowhere.invalid", 0)


def test_who_never_comes(listener):
    with pytest.raises(PeerUnavailable, match="bank-b did not connect") as e:
        listener.accept("s", "bank-b", 0.2)
    assert e.value.party == "bank-b"


# --- many at once ---
def test_many_sessions_and_peers(listener, authority, together):
    keys = [(f"job {i}", party) for i in range(6) for party in ("bank-b", "helper")]

    def client(session, party):
        with dial(listener, identity.load(authority, party), session=session) as channel:
            channel.send_bytes("who", f"{session} {party}".encode())
            return channel.recv_bytes("you", 100)

    def serve():
        for session, party in reversed(keys):  # in another order than they come
            with listener.accept(session, party, 10) as channel:
                assert channel.recv_bytes("who", 100) == f"{session} {party}".encode()
                channel.send_bytes("you", f"{session} {party}".encode())

    *answers, served = together(*[lambda k=k: client(*k) for k in keys], serve)
    assert served is None
    assert answers == [f"{s} {p}".encode() for s, p in keys]


def test_silent_connections_hold_up_nobody(authority):
    with tls.Listener(identity.load(authority, "bank-a"), handshake_timeout_s=4.0) as listener:
        crowd = [socket.create_connection(listener.address) for _ in range(150)]  # more than may greet at once
        try:
            since = time.monotonic()
            with dial(listener, identity.load(authority, "bank-b")), listener.accept("s", "bank-b", 5):
                assert time.monotonic() - since < 3.0  # before the handshake's time is over
            crowd[-1].settimeout(10)
            assert crowd[-1].recv(1) == b""  # dropped after that time
        finally:
            for s in crowd:
                s.close()


def test_a_session_that_nobody_asks_for_is_ended(authority):
    with tls.Listener(identity.load(authority, "bank-a"), pending_timeout_s=0.3) as listener:
        channel = dial(listener, identity.load(authority, "bank-b"), session="job 9")
        with pytest.raises(RemoteFailure, match="does not run the session") as e:
            channel.recv("x", Spec.of(X))
        assert e.value.where == "session job 9"
        channel.close()


def test_a_second_attempt_replaces_the_first(listener, authority):
    me = identity.load(authority, "bank-b")
    first = dial(listener, me)
    second = dial(listener, me)
    with pytest.raises(PeerUnavailable):
        first.recv("x", Spec.of(X))
    with listener.accept("s", "bank-b", 5) as a, second:
        second.send("x", X)
        a.recv("x", Spec.of(X))
    first.close()


def test_close_tells_who_waits(authority):
    listener = tls.Listener(identity.load(authority, "bank-a"))
    channel = dial(listener, identity.load(authority, "bank-b"))
    until = time.monotonic() + 5
    while not listener._pending and time.monotonic() < until:  # the answer to the greeting comes a moment before
        time.sleep(0.01)
    listener.close()
    listener.close()
    with pytest.raises(RemoteFailure, match="stopped listening"):
        channel.recv("x", Spec.of(X))
    channel.close()
    with pytest.raises(NetError, match="closed"):
        listener.accept("s", "bank-b", 1)
    with pytest.raises(PeerUnavailable):
        dial(listener, identity.load(authority, "bank-b"), timeout_s=0.2)


# --- life and death ---
CHILD = """
import sys, time
import numpy as np
from ppc.net import identity, tls
folder, port, what = sys.argv[1:]
channel = tls.connect(identity.load(folder, "bank-b"), "bank-a", "127.0.0.1", int(port), "s", 30, idle_timeout_s=2.0)
channel.send("ready", np.zeros(1, np.uint64))
if what == "sleep":
    time.sleep(600)
elif what == "leave":
    sys.exit(3)
elif what == "compute":
    until = time.monotonic() + 4.0
    while time.monotonic() < until:
        sum(range(100_000))
    channel.send("done", np.zeros(1, np.uint64))
    channel.close()
"""


@contextlib.contextmanager
def child(authority: Path, what: str):
    """A process that plays bank-b, and the channel to it."""
    with tls.Listener(identity.load(authority, "bank-a"), idle_timeout_s=2.0) as listener:
        process = subprocess.Popen([sys.executable, "-c", CHILD, str(authority), str(listener.address[1]), what])
        try:
            with listener.accept("s", "bank-b", 60) as channel:
                channel.recv("ready", Spec("uint64", 1))
                yield process, channel
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("blocked", ["recv", "send", "exchange"])
def test_a_peer_killed_is_named_at_once(authority, blocked):
    big = np.zeros(8 << 20, np.uint64)
    with child(authority, "sleep") as (process, channel):
        threading.Timer(0.3, lambda: process.send_signal(signal.SIGKILL)).start()
        since = time.monotonic()
        with pytest.raises(PeerUnavailable, match="bank-b vanished") as e:
            if blocked == "recv":
                channel.recv("x", Spec.of(X))
            elif blocked == "send":
                channel.send("x", big)
            else:
                channel.exchange("x", big)
        assert time.monotonic() - since < 10
        assert e.value.party == "bank-b"
        assert not channel.closed_by_peer


def test_a_peer_that_exits_without_goodbye(authority):
    with child(authority, "leave") as (_, channel), pytest.raises(PeerUnavailable, match="bank-b vanished"):
        channel.recv("x", Spec.of(X))


@pytest.mark.parametrize("blocked", ["recv", "send"])
def test_a_stopped_peer_is_a_timeout(authority, blocked):
    big = np.zeros(8 << 20, np.uint64)
    with child(authority, "sleep") as (process, channel):
        process.send_signal(signal.SIGSTOP)
        since = time.monotonic()
        with pytest.raises(PeerTimeout, match="no sign of life for 2 s") as e:
            if blocked == "recv":
                channel.recv("x", Spec.of(X))
            else:
                channel.send("x", big)
        assert 1.5 < time.monotonic() - since < 10
        assert e.value.party == "bank-b"


def test_a_peer_that_computes_is_not_taken_for_dead(authority):
    """It computes for twice the idle time-out; so does this side meanwhile, without reading."""
    with child(authority, "compute") as (_, channel):
        channel.recv("done", Spec("uint64", 1))


@pytest.mark.parametrize("words", [1 << 10, 1 << 18])
def test_what_was_sent_arrives_though_unread_heartbeats_reset_the_connection(tls_pair, words):
    """Closing a socket with unread bytes makes TCP reset the connection; that must not cost its last frames."""
    a, b = tls_pair(idle_timeout_s=8.0)
    for end in (a, b):
        end._heartbeat_s = 0.1
    x = np.arange(words, dtype=np.uint64)
    time.sleep(0.5)  # heartbeats of b are now waiting at a, unread

    def leave():
        a.send("last", x)
        a.close()

    leaving = threading.Thread(target=leave)
    leaving.start()
    time.sleep(2.5)  # b goes on beating, and does not read
    np.testing.assert_array_equal(b.recv("last", Spec.of(x))[0], x)
    with pytest.raises(PeerUnavailable, match="bank-a closed"):
        b.recv("more", Spec.of(x))
    leaving.join()


def test_a_host_that_disappears(tls_pair, monkeypatch):
    """TCP's own account of the line is asked; here it is made to say that nothing is acknowledged any more."""
    a, _ = tls_pair()
    assert stream._unacknowledged_s(a._sock) < 1
    monkeypatch.setattr(stream, "_unacknowledged_s", lambda sock: 9.0)
    with pytest.raises(PeerUnavailable, match="host of bank-b cannot be reached"):
        a.recv("x", Spec.of(X))


def test_unacknowledged_bytes_are_seen():
    """A socket whose peer takes nothing has bytes that are not acknowledged (they wait in its own buffer)."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                client.send(bytes(1 << 16))
        assert stream._unacknowledged_bytes(client) > 0


def test_channels_leave_no_thread_and_no_socket_behind(authority):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    with tls.Listener(identity.load(authority, "bank-a")) as listener:
        for i in range(5):
            with (
                dial(listener, identity.load(authority, "bank-b"), session=f"{i}"),
                listener.accept(f"{i}", "bank-b", 5),
            ):
                pass
    until = time.monotonic() + 5
    while time.monotonic() < until and any(t.name.startswith("ppc-") for t in threading.enumerate()):
        time.sleep(0.05)
    assert [t.name for t in threading.enumerate() if t.name.startswith("ppc-")] == []
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) <= before


def test_garbage_inside_an_authenticated_channel(tls_pair):
    from ppc.errors import FrameError

    a, b = tls_pair()
    a._queue([b"this is not a frame of ppc at all"])
    a._flush()
    with pytest.raises(FrameError, match="bank-a sent a frame with a wrong magic") as e:
        b.recv("x", Spec.of(X))
    b.abort(e.value)
    with pytest.raises(RemoteFailure, match="bank-b stopped"):
        a.recv("x", Spec.of(X))

"""A one-time code lets in who knows it, once, and nobody else."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.errors import ConfigError, IdentityError, NetError, PeerTimeout, PeerUnavailable, PortInUse, PpcError
from ppc.net import pairing
from ppc.net.pairing import accept, connect, new_code, read_code


class Listening:
    """`accept` in a thread."""

    def __init__(self, code, me="host-a", timeout_s=20.0):
        self.ready = threading.Event()
        self.result = None
        self.thread = threading.Thread(target=self._run, args=(code, me, timeout_s), daemon=True)
        self.thread.start()

    def _run(self, code, me, timeout_s):
        try:
            self.result = accept(code, me, "127.0.0.1", 0, timeout_s, on_listening=self._listening)
        except PpcError as e:
            self.result = e
            self.ready.set()

    def _listening(self, address):
        self.port = address[1]
        self.ready.set()

    def end(self):
        self.thread.join(40)
        assert not self.thread.is_alive(), "it hangs"
        return self.result


@pytest.fixture
def listening():
    def start(code, **options):
        found = Listening(code, **options)
        assert found.ready.wait(10)
        return found

    return start


def test_two_who_share_a_code_meet(listening):
    code = new_code()
    there = listening(code)
    here = connect(code.lower().replace("-", " "), "host-b", "127.0.0.1", there.port, 10)
    other = there.end()
    assert (here.me, here.peer, other.me, other.peer) == ("host-b", "host-a", "host-a", "host-b")
    here.send("x", np.arange(3))
    from ppc.net.channel import Spec

    assert list(other.recv("x", Spec(np.int64, 3))[0]) == [0, 1, 2]
    here.close()
    other.close()


def test_a_wrong_code_ends_it_for_both(listening):
    there = listening(new_code())
    with pytest.raises(IdentityError, match="used up"):
        connect(new_code(), "host-b", "127.0.0.1", there.port, 10)
    assert isinstance(there.end(), IdentityError)
    assert "somebody else tried" in there.end().hint
    with pytest.raises(PeerUnavailable):  # no second guess
        connect(new_code(), "host-b", "127.0.0.1", there.port, 1)


def test_strangers_do_not_use_up_the_code(listening):
    code = new_code()
    there = listening(code)
    wrong_point = b"\x00\x0fppc pairing v1x\x00\x21" + b"A" + b"\xff" * 32
    for talk in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\0\x05hello", b"\xff\xff", wrong_point):
        with socket.create_connection(("127.0.0.1", there.port)) as s:
            s.settimeout(10)
            with contextlib.suppress(OSError):  # it may hang up before the last byte is written
                s.sendall(talk)
                s.shutdown(socket.SHUT_WR)
                while s.recv(4096):
                    pass
    connect(code, "host-b", "127.0.0.1", there.port, 10).close()
    there.end().close()


def test_who_stops_before_its_proof_learns_nothing_and_costs_nothing(listening):
    """Without a MAC under the key, the listener says nothing that could be tried against codes."""
    code = new_code()
    there = listening(code)
    exchange = pairing._exchange("SPAKE2_A", read_code(new_code()))
    with socket.create_connection(("127.0.0.1", there.port)) as s:
        line = pairing._Line(s, time.monotonic() + 5)
        line.give(pairing._VERSION + b"host-x")
        line.give(exchange.start())
        assert line.take() == pairing._VERSION + b"host-a"
        assert len(line.take()) == 33
        s.settimeout(0.3)
        with pytest.raises(TimeoutError):
            s.recv(1)
    connect(code, "host-b", "127.0.0.1", there.port, 10).close()
    there.end().close()


def test_what_is_said_is_bound_to_the_code(listening):
    """A man in the middle who swaps the certificate is noticed: here, a listener that shows one under another MAC."""
    server = socket.create_server(("127.0.0.1", 0))
    code = new_code()

    def middle():
        sock, _ = server.accept()
        with sock:
            line = pairing._Line(sock, time.monotonic() + 10)
            exchange = pairing._exchange("SPAKE2_B", read_code(code))
            hello, theirs = line.take(), line.take()
            mine = exchange.start()
            key = exchange.finish(theirs)
            line.give(pairing._VERSION + b"host-a")
            line.give(mine)
            cert, _ = line.take(), line.take()
            said = pairing._join(hello, theirs, pairing._VERSION + b"host-a", mine)
            line.give(b"\x01")
            line.give(b"another certificate")
            line.give(pairing._mac(key, "listen", said, cert, b"the certificate"))

    thread = threading.Thread(target=middle, daemon=True)
    thread.start()
    with pytest.raises(IdentityError):
        connect(code, "host-b", "127.0.0.1", server.getsockname()[1], 10)
    thread.join(10)
    server.close()


def test_a_side_cannot_be_its_own_mirror():
    """What a party sends, sent back to it, is refused."""
    server = socket.create_server(("127.0.0.1", 0))

    def mirror():
        sock, _ = server.accept()
        with sock:
            while data := sock.recv(4096):
                sock.sendall(data)

    threading.Thread(target=mirror, daemon=True).start()
    with pytest.raises(PpcError):
        connect(new_code(), "host-b", "127.0.0.1", server.getsockname()[1], 5)
    server.close()


def test_nobody_comes_and_nobody_is_there(listening):
    there = listening(new_code(), timeout_s=0.5)
    assert isinstance(there.end(), PeerUnavailable)
    with pytest.raises(PeerUnavailable, match="nobody can be reached"):
        connect(new_code(), "host-b", "127.0.0.1", there.port, 0.5)


def test_a_silent_listener_does_not_hold_up_for_ever(monkeypatch):
    monkeypatch.setattr(pairing, "_STEP_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(PeerTimeout):
        connect(new_code(), "host-b", "127.0.0.1", server.getsockname()[1], 0.5)


def test_names_must_differ(listening):
    code = new_code()
    there = listening(code, me="bank")
    with pytest.raises(ConfigError, match="both parties are called bank"):
        connect(code, "bank", "127.0.0.1", there.port, 10)
    assert isinstance(there.end(), ConfigError)


def test_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(PortInUse):
        accept(new_code(), "a", "127.0.0.1", server.getsockname()[1], 1)


def test_a_listener_with_certificates_is_no_pairing_one(tmp_path):
    from ppc.net import identity, tls

    identity.create_ca(tmp_path)
    with (
        tls.Listener(identity.issue(tmp_path, "a"), handshake_timeout_s=2) as listener,
        pytest.raises(NetError),
    ):
        connect(new_code(), "b", *listener.address, 3)


# --- codes ---
def test_codes_differ_and_read_as_written():
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    for code in codes:
        assert read_code(code) == code.replace("-", "")


@given(st.integers(0, (1 << 40) - 1), st.integers(0, 8), st.sampled_from(pairing._ALPHABET))
def test_most_mistyped_characters_are_noticed(number, place, other):
    body = "".join(pairing._ALPHABET[number >> 5 * i & 31] for i in range(8))
    plain = body + pairing._guard(body)
    typed = plain[:place] + other + plain[place + 1 :]
    if pairing._guard(typed[:-1]) == typed[-1]:  # the same, or one in 32
        assert read_code(typed) == typed
    else:
        with pytest.raises(ConfigError, match="mistyped") as caught:
            read_code(typed)
        assert "still good" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "7KQ", "7KQ-M2D-90V-1", "UUU-UUU-UUU", "é" * 9])
def test_what_is_no_code(text):
    with pytest.raises(ConfigError):
        read_code(text)


def test_every_character_of_a_code_is_used():
    """Each of the eight characters takes all 32 values (in 2000 codes a value is missing with chance below 2^-80)."""
    codes = [read_code(new_code()) for _ in range(2000)]
    for place in range(8):
        assert {c[place] for c in codes} == set(pairing._ALPHABET)

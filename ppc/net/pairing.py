"""Two people who share a one-time code connect their machines: no authority, no certificates made beforehand.

The listening side makes a code, its user tells it to the other by telephone, and both type it. From it the machines
agree on a key by SPAKE2 (in the group of edwards25519, by the package `spake2`); under that key each confirms the
certificate of an authority that it made for this one connection, and then both open a channel of
mutual TLS 1.3 (`ppc.net.tls`) that trusts nothing but the other's authority. All keys are forgotten afterwards.

1. the connecting party sends its name and its SPAKE2 element; the listening one answers with its own
2. the connecting party sends its authority's certificate and a MAC of it and of all that was said before
3. the listening party checks the MAC, and only then sends its own certificate and MAC; or that the code was wrong
4. both hang up, and meet again at the same address over TLS

Threat: active attackers on the line. SPAKE2 tells who talks to a party nothing that would let it try codes by itself
    (under CDH in the group, random-oracle model), so each attempt tries one code. A party that gets one wrong MAC
    stops, and the code is used up: an attacker succeeds with probability 2^-40 at each of the two sides. That counts
    one call of each: who stands in for the listening side can try a code on what the connecting one sends in step 2 and
    break off, so a user who connects again and again with one code allows a guess each time. Whoever hears the code
    before it is used can take the other's place.
Leaks: the parties' names, to whoever listens on the line.
Cost: 2 rounds and about 1.5 kB, before the TLS handshake.
Source: Abdalla, Pointcheval, CT-RSA 2005 (the package's transcript is not byte for byte that of RFC 9382); confirmation
    MACs by HMAC-SHA-256 under keys of HKDF (RFC 5869), as RFC 9382 asks for.

The package computes in plain Python and not in constant time. A code is used once, for one exchange, so there is
nothing to average over.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ppc.core import rng
from ppc.errors import ConfigError, IdentityError, MissingExtra, PeerTimeout, PeerUnavailable
from ppc.net import tls
from ppc.net.greeting import os_reason, show_address
from ppc.net.identity import Identity, check_party_name, create_ca, issue
from ppc.net.stream import IDLE_TIMEOUT_S, StreamChannel

CODE_BITS: Final = 40
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_CODE_CHARS: Final = CODE_BITS // 5  # and one that guards against typing errors

_VERSION: Final = b"ppc pairing v1"
_MAX_MESSAGE: Final = 8192
_STEP_S: Final = 10.0  # for one message of a party that is connected
_SESSION: Final = "ppc pairing"
_ACCEPTED, _REFUSED = b"\x01", b"\x00"


# --- codes ---
def new_code() -> str:
    """A fresh code such as `7KQ-M2D-90V`: 40 random bits, and a character that guards against typing errors."""
    number = int.from_bytes(rng.random_bytes(CODE_BITS // 8), "big")
    chars = "".join(_ALPHABET[number >> 5 * i & 31] for i in range(_CODE_CHARS))
    chars += _guard(chars)
    return "-".join(chars[i : i + 3] for i in range(0, len(chars), 3))


def read_code(text: str) -> str:
    """The code that a person typed, in one spelling: case, dashes and blanks do not matter, O is 0, I and L are 1.

    Raises: ConfigError: it is no code, for instance for a mistyped character. Nothing has been sent then.
    """
    chars = "".join(text.upper().split()).replace("-", "").translate(str.maketrans("OIL", "011"))
    if len(chars) != _CODE_CHARS + 1 or set(chars) - set(_ALPHABET) or _guard(chars[:-1]) != chars[-1]:
        raise ConfigError(
            "this is not a code of `ppc psi listen`, or a character of it is mistyped",
            where="code",
            hint="it has nine letters and digits, such as 7KQ-M2D-90V; nothing was sent, so the code is still good",
        )
    return chars


def _guard(chars: str) -> str:
    return _ALPHABET[hashlib.sha256(b"ppc code guard" + chars.encode()).digest()[0] & 31]


# --- the two sides ---
def accept(
    code: str,
    me: str,
    host: str,
    port: int,
    timeout_s: float,
    *,
    on_listening: Callable[[tls.Address], None] | None = None,
    idle_timeout_s: float = IDLE_TIMEOUT_S,
) -> StreamChannel:
    """Wait at `host`:`port` (0: any free port) for the party that knows `code`; the channel to it.

    Who connects and does not speak this protocol is turned away, and the wait goes on. `on_listening` is told the
    address.

    Raises:
        IdentityError: somebody used a wrong code. The code is used up: make a new one.
        PeerUnavailable: nobody came within `timeout_s`. PortInUse, ConfigError: of the address.
    """
    code = read_code(code)
    check_party_name(me)
    deadline = time.monotonic() + timeout_s
    with tempfile.TemporaryDirectory(prefix="ppc-pairing-") as folder:
        mine = _Authority(Path(folder), me)
        server = tls.bind(host, port)
        try:
            address: tls.Address = server.getsockname()[:2]
            if on_listening is not None:
                on_listening(address)
            peer = _first_that_knows(server, code, mine, deadline)
            if peer is None:
                raise PeerUnavailable(
                    f"nobody connected within {timeout_s:g} s",
                    where=f"listening on {show_address(address)}",
                    hint="start `ppc psi connect` at the other party, with this address",
                )
        finally:
            server.close()
        left = max(_STEP_S, deadline - time.monotonic())
        with tls.Listener(mine.trusting(peer), host, address[1], idle_timeout_s=idle_timeout_s) as listener:
            return listener.accept(_SESSION, peer.name, min(left, 3 * _STEP_S))


def connect(
    code: str, me: str, host: str, port: int, timeout_s: float, *, idle_timeout_s: float = IDLE_TIMEOUT_S
) -> StreamChannel:
    """The channel to the party that listens at `host`:`port` with the same `code`. Tries until `timeout_s` is over.

    Raises:
        IdentityError: the codes differ, so the other's is used up; or who answers is not the other party.
        PeerUnavailable: nobody listens there. PeerTimeout: somebody listens, but is silent.
    """
    code = read_code(code)
    check_party_name(me)
    deadline = time.monotonic() + timeout_s
    with tempfile.TemporaryDirectory(prefix="ppc-pairing-") as folder:
        mine = _Authority(Path(folder), me)
        with _reach(host, port, deadline, timeout_s) as sock:
            try:
                peer = _ask(_Line(sock, max(deadline, time.monotonic() + _STEP_S)), code, mine)
            except TimeoutError:
                raise PeerTimeout("the other party did not answer", where=f"at {show_address((host, port))}") from None
            except OSError as e:
                raise PeerUnavailable(
                    f"the other party broke off: {os_reason(e)}", where=f"at {show_address((host, port))}"
                ) from None
        return tls.connect(
            mine.trusting(peer), peer.name, host, port, _SESSION, 2 * _STEP_S, idle_timeout_s=idle_timeout_s
        )


@dataclass(frozen=True)
class _Peer:
    name: str
    authority: bytes  # PEM


class _Authority:
    """The authority that a party makes for one connection; its key and the party's never leave `folder`."""

    def __init__(self, folder: Path, me: str) -> None:
        self.me = me
        self._folder = folder
        create_ca(folder, me)
        self._own = issue(folder, me)

    @property
    def certificate(self) -> bytes:
        return self._own.ca_path.read_bytes()

    def trusting(self, peer: _Peer) -> Identity:
        path = self._folder / "peer.pem.txt"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
            f.write(peer.authority)
        return Identity(self.me, self._own.cert_path, self._own.key_path, path)


def _first_that_knows(server: socket.socket, code: str, mine: _Authority, deadline: float) -> _Peer | None:
    """The first party that proves that it knows the code; None if none comes in time."""
    server.settimeout(0.25)  # so that Ctrl-C is heard
    while time.monotonic() < deadline:
        try:
            sock, address = server.accept()
        except OSError:
            continue
        with contextlib.closing(sock), contextlib.suppress(OSError, _Nonsense):
            return _answer(_Line(sock, time.monotonic() + _STEP_S), code, mine, show_address(address))
    return None


def _answer(line: _Line, code: str, mine: _Authority, origin: str) -> _Peer:
    hello = line.take()
    name = _name(hello)
    theirs = line.take()
    exchange = _exchange("SPAKE2_B", code)
    my_hello, element = _VERSION + mine.me.encode(), exchange.start()
    key = _finish(exchange, theirs)
    line.give(my_hello)
    line.give(element)
    said = _join(hello, theirs, my_hello, element)
    authority, proof = line.take(), line.take()
    if name == mine.me:
        line.give(_REFUSED)
        raise _same_name(name)
    if not hmac.compare_digest(proof, _mac(key, "connect", said, authority)):
        line.give(_REFUSED)
        raise _wrong_code(origin, name)
    line.give(_ACCEPTED)
    line.give(mine.certificate)
    line.give(_mac(key, "listen", said, authority, mine.certificate))
    return _Peer(name, authority)


def _ask(line: _Line, code: str, mine: _Authority) -> _Peer:
    exchange = _exchange("SPAKE2_A", code)
    my_hello, element = _VERSION + mine.me.encode(), exchange.start()
    line.give(my_hello)
    line.give(element)
    try:
        hello = line.take()
        name = _name(hello)
        theirs = line.take()
        key = _finish(exchange, theirs)
        said = _join(my_hello, element, hello, theirs)
        line.give(mine.certificate)
        line.give(_mac(key, "connect", said, mine.certificate))
        verdict = line.take()
        if name == mine.me:
            raise _same_name(name)
        if verdict != _ACCEPTED:
            raise _wrong_code("here", name)
        authority = line.take()
        if not hmac.compare_digest(line.take(), _mac(key, "listen", said, mine.certificate, authority)):
            raise _wrong_code("here", name)
    except _Nonsense:
        raise IdentityError(
            "who answers is not waiting for a code",
            hint="is it `ppc psi listen`, without --identity, that listens there?",
        ) from None
    return _Peer(name, authority)


def _wrong_code(where: str, party: str) -> IdentityError:
    return IdentityError(
        f"the code that was typed is not the one of this connection ({where}); it is used up",
        hint="start `ppc psi listen` again for a new code. If nobody mistyped it, somebody else tried to get in",
        party=party,
    )


def _same_name(name: str) -> ConfigError:
    return ConfigError(f"both parties are called {name}", where="--name", hint="give them different names")


# --- messages ---
class _Nonsense(Exception):
    """Bytes that are no message of this protocol."""


class _Line:
    """Messages of at most 8 kB, each with its length before it, until a deadline."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def give(self, data: bytes) -> None:
        self._sock.settimeout(max(0.05, self._deadline - time.monotonic()))
        self._sock.sendall(len(data).to_bytes(2, "big") + data)

    def take(self) -> bytes:
        size = int.from_bytes(self._read(2), "big")
        if size > _MAX_MESSAGE:
            raise _Nonsense
        return self._read(size)

    def _read(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
            more = self._sock.recv(n - len(data))
            if not more:
                raise ConnectionResetError("it ended the connection")
            data += more
        return data


def _name(hello: bytes) -> str:
    if not hello.startswith(_VERSION):
        raise _Nonsense
    try:
        return check_party_name(hello[len(_VERSION) :].decode("ascii"))
    except (UnicodeDecodeError, ConfigError):
        raise _Nonsense from None


def _exchange(side: str, code: str) -> Any:
    try:
        import spake2
    except ModuleNotFoundError:
        raise MissingExtra("one-time codes need the package 'spake2'", hint="pip install spake2") from None
    return getattr(spake2, side)(code.encode(), idA=_VERSION + b" connect", idB=_VERSION + b" listen")


def _finish(exchange: Any, theirs: bytes) -> bytes:
    """The key of a SPAKE2 exchange; `_Nonsense` for what is not an element of the group."""
    try:
        key: bytes = exchange.finish(theirs)
    except Exception:  # the package raises ValueError, AssertionError and exceptions of its own
        raise _Nonsense from None
    return key


def _join(*parts: bytes) -> bytes:
    return b"".join(len(p).to_bytes(4, "big") + p for p in parts)


def _mac(key: bytes, label: str, *parts: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    mac_key = HKDF(hashes.SHA256(), 32, salt=None, info=_VERSION + label.encode()).derive(key)
    return hmac.new(mac_key, _join(*parts), "sha256").digest()


def _reach(host: str, port: int, deadline: float, timeout_s: float) -> socket.socket:
    """A connection; tries again while nobody listens."""
    while True:
        try:
            return socket.create_connection((host, port), timeout=max(0.05, min(5.0, deadline - time.monotonic())))
        except (OSError, OverflowError) as e:
            reason = e
        if time.monotonic() + 0.2 >= deadline:
            break
        time.sleep(0.2)
    raise PeerUnavailable(
        f"nobody can be reached there within {timeout_s:g} s: {os_reason(reason)}",
        where=f"at {show_address((host, port))}",
        hint="is `ppc psi listen` running there, and does the firewall let this port through?",
    )

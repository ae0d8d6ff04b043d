"""The greeting that precedes a channel, and what a failed one means in words.

After the TLS handshake the connecting party says who it is, whom it means and which session; the listening party checks
it against the certificate, and answers in kind or says why it refuses.
"""

from __future__ import annotations

import json
import ssl
import time
from typing import Any, Final

from ppc.errors import ConfigError, IdentityError, PeerUnavailable
from ppc.net import wire
from ppc.net.stream import HEARTBEAT_S

PROTOCOL_VERSION: Final = 1
_MAX_SESSION_CHARS: Final = 200


def write_greeting(
    tls: ssl.SSLSocket, tag: str, session_id: str, me: str, peer: str, idle_timeout_s: float, deadline: float
) -> None:
    """Send my greeting, or my answer to one."""
    greeting = {
        "protocol": PROTOCOL_VERSION,
        "session": session_id,
        "from": me,
        "to": peer,
        "idle_timeout_s": idle_timeout_s,
    }
    tls.settimeout(max(0.05, deadline - time.monotonic()))
    tls.sendall(wire.encode(wire.Kind.HELLO, tag, json.dumps(greeting).encode()))


def read_greeting(tls: ssl.SSLSocket, tag: str, peer: str, deadline: float) -> dict[str, Any]:
    """The peer's greeting, or the reason why it gives none."""

    def take(n: int) -> bytes:
        data = b""
        while len(data) < n:
            tls.settimeout(max(0.01, deadline - time.monotonic()))
            more = tls.recv(n - len(data))
            if not more:
                raise PeerUnavailable(f"{peer} ended the connection during the handshake", party=peer)
            data += more
        return data

    header = wire.read_header(take, peer=peer, max_frame_bytes=wire.MAX_CONTROL_BYTES)
    data = take(header.payload_bytes)
    if header.kind == wire.Kind.FAILURE:
        reason = wire.parse_failure(data, peer=peer)
        raise IdentityError(f"{peer} refused the connection: {reason.what}", where=reason.where, party=peer)
    wire.expect(header, wire.Kind.HELLO, tag, peer=peer)
    return wire.parse_json(data, peer=peer, tag=tag)


def check_hello(hello: dict[str, Any], *, me: str, peer: str, origin: str) -> str:
    """The session of a greeting that fits the certificate it came with."""
    version, session_id = hello.get("protocol"), hello.get("session")
    if version != PROTOCOL_VERSION:
        raise refusal(
            f"{peer} speaks version {str(version)[:20]} of the protocol, {me} version {PROTOCOL_VERSION}",
            where=origin,
            hint="install the same version of ppc at every party",
            party=peer,
        )
    if hello.get("from") != peer:
        raise refusal(f"{peer} greeted under another name", where=origin, party=peer)
    if hello.get("to") != me:
        raise refusal(f"{peer} looks for another party than {me}", where=origin, party=peer)
    if not isinstance(session_id, str):
        raise refusal(f"{peer} named no session", where=origin, party=peer)
    return check_session(session_id)


def check_session(session_id: str) -> str:
    """`session_id`, if it can name a session."""
    if not (0 < len(session_id) <= _MAX_SESSION_CHARS and session_id.isprintable()):
        raise ConfigError(f"a session's name is 1 to {_MAX_SESSION_CHARS} printable characters")
    return session_id


def heartbeat_s(idle_timeout_s: float, greeting: dict[str, Any]) -> float:
    """Seconds between heartbeats that satisfy the less patient of both sides."""
    theirs = greeting.get("idle_timeout_s")
    patience = min(idle_timeout_s, theirs) if isinstance(theirs, int | float) and theirs > 0 else idle_timeout_s
    return float(min(HEARTBEAT_S, max(0.05, patience / 4)))


# --- reasons ---
def refusal(what: str, *, where: str, hint: str | None = None, party: str | None = None) -> IdentityError:
    """The error for a connection that is not let in."""
    return IdentityError(what, where=where, hint=hint, party=party)


def ssl_reason(error: ssl.SSLError, *, other: str, me: str) -> str:
    """What a failed handshake means, in terms of whose certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {other} is not acceptable to {me}: {error.verify_message}"
    reason = error.reason or ""
    if "ALERT" in reason:
        alert = reason.replace("TLSV1_ALERT_", "").replace("TLSV13_ALERT_", "").replace("SSLV3_ALERT_", "")
        return f"{other} refused the certificate of {me}: {alert.replace('_', ' ').lower()}"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return f"{other} showed no certificate to {me}"
    if reason == "UNSUPPORTED_PROTOCOL":
        return f"{other} does not speak TLS 1.3"
    return f"{other} does not speak TLS with {me}: {reason.replace('_', ' ').lower() or 'handshake failed'}"


def os_reason(error: Exception) -> str:
    """The system's words for what failed."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def show_address(address: Any) -> str:
    """An address as people write it."""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"

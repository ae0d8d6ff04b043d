"""One call for all protocols of private set intersection, and which of them suits how many rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ConfigError
from ppc.mpc.ot import lpn, vole
from ppc.mpc.psi import cuckoo, ecdh, kkrt, okvs, rr22, rr22_malicious
from ppc.mpc.psi.greeting import MAX_ROWS, greet
from ppc.mpc.psi.keys import Keys, as_keys
from ppc.net.channel import Channel

Protocol = Literal["auto", "ecdh", "kkrt", "rr22"]
Chosen = Literal["ecdh", "kkrt", "rr22"]
Security = rr22.Security

RR22_ROWS: Final = 4096  # below, Diffie-Hellman takes under a second and rests on less


def chosen(protocol: Protocol, rows: int, security: Security = "semi-honest") -> Chosen:
    """The protocol that runs if the larger set has `rows` keys."""
    if protocol == "auto":
        return "rr22" if security == "malicious" or rows >= RR22_ROWS else "ecdh"
    return protocol


def check_settings(protocol: str, randomness: str, security: str) -> None:
    """Raises ConfigError for a setting that does not exist, or a security that a protocol does not have."""
    for name, value, possible in (
        ("protocol", protocol, get_args(Protocol)),
        ("randomness", randomness, get_args(vole.Randomness)),
        ("security", security, get_args(Security)),
    ):
        if value not in possible:
            raise ConfigError(f"{name} is one of {', '.join(possible)}, not {value!r}")
    if security == "malicious" and protocol not in ("auto", "rr22"):
        raise ConfigError(
            f"protocol {protocol} is not secure against a party that deviates",
            where="security",
            hint='use protocol = "rr22" (or "auto") with security = "malicious"',
        )


def intersect(
    channel: Channel,
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    *,
    protocol: Protocol = "auto",
    randomness: vole.Randomness = "silent",
    security: Security = "semi-honest",
    max_peer_rows: int = MAX_ROWS,
    progress: ecdh.Progress | None = None,
) -> NDArray[np.int64]:
    """My rows whose keys the peer has too (int64), in an order that both parties share.

    With `auto` the sizes that both announce decide; with security `malicious` it is `rr22` for any size. See
    `ppc.mpc.psi.ecdh`, `kkrt`, `rr22` and `rr22_malicious` for what each leaks (the same), rests on and costs, and for
    the errors. All settings must be the same at both parties, except `max_peer_rows` and `progress`.
    """
    check_settings(protocol, randomness, security)
    keys = as_keys(keys)
    setting = f"{protocol} {randomness}" + (" malicious" if security == "malicious" else "")
    theirs, salt = greet(channel, keys, f"{setting} v1", max_peer_rows)
    which = chosen(protocol, max(len(keys), theirs), security)
    if which == "rr22":
        return rr22.match(channel, keys, theirs, salt, randomness=randomness, security=security, progress=progress)
    if which == "kkrt":
        return kkrt.match(channel, keys, theirs, salt, progress=progress)
    return ecdh.match(channel, keys, theirs, salt, progress=progress)


def assumptions(protocol: Protocol, randomness: vole.Randomness, security: Security = "semi-honest") -> str:
    """What a protocol's security rests on, for plans."""
    if protocol == "auto" and security == "semi-honest":
        few, many = assumptions("ecdh", randomness), assumptions("rr22", randomness)
        return f"below {RR22_ROWS} rows {few}; from then on {many}"
    honest = "parties that follow the protocol"
    if protocol == "ecdh":
        return f"protocol ecdh (decisional Diffie-Hellman on edwards25519; {honest})"
    if protocol == "kkrt":
        return f"protocol kkrt (Diffie-Hellman on edwards25519, AES, SHA-256, no LPN; {honest})"
    hard = lpn.describe() if randomness == "silent" else "no LPN"
    if security == "malicious":
        return (
            f"protocol rr22, malicious (Diffie-Hellman on edwards25519, fixed-key AES, SHA-256, {hard}; a party that "
            f"deviates learns what some set of its own would give, of up to about {MALICIOUS_EXPANSION} times the keys "
            f"that it announced or {MALICIOUS_LEAST}, or is caught)"
        )
    return f"protocol rr22 (Diffie-Hellman on edwards25519, fixed-key AES, {hard}; {honest})"


# Keys that a store may hold for each announced, or for any small set: see `rr22_malicious`, for 2^40 hashes tried.
MALICIOUS_EXPANSION: Final = 2
MALICIOUS_LEAST: Final = 1400


def sent_bytes(
    protocol: Chosen, randomness: vole.Randomness, mine: int, theirs: int, security: Security = "semi-honest"
) -> int:
    """About how many bytes the party that sends more sends."""
    if protocol == "ecdh":
        width = ecdh.tag_bytes(mine, theirs)
        return max(32 * mine + width * theirs, 32 * theirs + width * mine)
    small, large = sorted((max(mine, 1), max(theirs, 1)))
    if protocol == "kkrt":
        tags = 3 * (ecdh.tag_bytes(mine, theirs) + kkrt.PLACE_BYTES) * large
        return max(64 * cuckoo.bins_for(small) + 16_000, tags + 33_000)
    blocks = okvs.layout(small).blocks
    extra = 2048 * blocks if rr22.how(blocks, randomness) == "ot" else 700_000
    width = rr22.tag_width(large)
    if security == "malicious":
        extra, width = extra + 600_000, rr22_malicious.TAG_BYTES
    return max(16 * blocks + extra, width * large + 140_000)

"""One call for all protocols of private set intersection, and which of them suits how many rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ConfigError
from ppc.mpc.ot import lpn, vole
from ppc.mpc.psi import ecdh, rr22
from ppc.mpc.psi.greeting import MAX_ROWS, greet
from ppc.mpc.psi.keys import Keys, as_keys
from ppc.net.channel import Channel

Protocol = Literal["auto", "ecdh", "rr22"]

RR22_ROWS: Final = 4096  # below, Diffie-Hellman takes under a second and rests on less


def chosen(protocol: Protocol, rows: int) -> Literal["ecdh", "rr22"]:
    """The protocol that runs if the larger set has `rows` keys."""
    if protocol == "auto":
        return "rr22" if rows >= RR22_ROWS else "ecdh"
    return protocol


def intersect(
    channel: Channel,
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    *,
    protocol: Protocol = "auto",
    randomness: vole.Randomness = "silent",
    max_peer_rows: int = MAX_ROWS,
    progress: ecdh.Progress | None = None,
) -> NDArray[np.int64]:
    """My rows whose keys the peer has too (int64), in an order that both parties share.

    With `auto` the sizes that both announce decide. See `ppc.mpc.psi.ecdh` and `ppc.mpc.psi.rr22` for what each leaks
    (the same), rests on and costs, and for the errors.
    """
    if protocol not in ("auto", "ecdh", "rr22"):
        raise ConfigError(f"protocol is one of auto, ecdh, rr22, not {protocol!r}")
    if randomness not in ("silent", "ot"):
        raise ConfigError(f"randomness is one of silent, ot, not {randomness!r}")
    keys = as_keys(keys)
    theirs, salt = greet(channel, keys, f"{protocol} {randomness} v1", max_peer_rows)
    if chosen(protocol, max(len(keys), theirs)) == "rr22":
        return rr22.match(channel, keys, theirs, salt, randomness=randomness, progress=progress)
    return ecdh.match(channel, keys, theirs, salt, progress=progress)


def assumptions(protocol: Protocol, randomness: vole.Randomness) -> str:
    """What a protocol's security rests on, for plans."""
    if protocol == "auto":
        few, many = assumptions("ecdh", randomness), assumptions("rr22", randomness)
        return f"below {RR22_ROWS} rows {few}; from then on {many}"
    if protocol == "ecdh":
        return "protocol ecdh (decisional Diffie-Hellman on edwards25519)"
    hard = lpn.describe() if randomness == "silent" else "no LPN"
    return f"protocol rr22 (Diffie-Hellman on edwards25519, fixed-key AES, {hard})"


def sent_bytes(protocol: Literal["ecdh", "rr22"], randomness: vole.Randomness, mine: int, theirs: int) -> int:
    """About how many bytes the party that sends more sends."""
    if protocol == "ecdh":
        width = ecdh.tag_bytes(mine, theirs)
        return max(32 * mine + width * theirs, 32 * theirs + width * mine)
    from ppc.mpc.psi import okvs

    small, large = sorted((max(mine, 1), max(theirs, 1)))
    blocks = okvs.layout(small).blocks
    extra = 2048 * blocks if rr22.how(blocks, randomness) == "ot" else 700_000
    return max(16 * blocks + extra, rr22.tag_width(large) * large + 140_000)

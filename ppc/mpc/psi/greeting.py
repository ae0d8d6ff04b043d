"""What two parties tell each other before they match keys: protocol, kinds and number of keys, settings, a nonce."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final, Protocol

from ppc.core import rng
from ppc.errors import DisclosureRefused, FrameError, ProtocolAbort, TypeMismatchError
from ppc.mpc.psi.keys import Normalise
from ppc.net.channel import Channel

MAX_ROWS: Final = 1 << 28

_NONCE_BYTES: Final = 16
_MAX_GREETING: Final = 4096


class Announced(Protocol):
    """What is told of a set of keys before anything else."""

    @property
    def types(self) -> tuple[str, ...]:
        """The kind of each key column."""

    @property
    def normalise(self) -> Normalise:
        """How text keys were brought to one form."""

    def __len__(self) -> int: ...


def greet(channel: Channel, keys: Announced, protocol: str, max_peer_rows: int) -> tuple[int, bytes]:
    """Announce my keys' number and kind; check the peer's. Returns the peer's number and the session's salt.

    The salt is fixed after both parties have chosen their keys, and neither chooses it alone.
    """
    nonce = rng.random_bytes(_NONCE_BYTES)
    mine = {
        "protocol": protocol,
        "types": list(keys.types),
        "normalise": keys.normalise.describe(),
        "rows": len(keys),
        "nonce": nonce.hex(),
    }
    channel.send_bytes("psi hello", json.dumps(mine).encode())
    theirs = _parse(channel.recv_bytes("psi hello", _MAX_GREETING), channel.peer)
    if theirs["protocol"] != protocol:
        raise ProtocolAbort(
            f"{channel.peer} matches keys by another protocol than {protocol}",
            hint="install the same version of ppc at every party",
            party=channel.peer,
        )
    _compare_types(keys.types, theirs["types"], channel)
    if theirs["normalise"] != mine["normalise"]:
        raise ProtocolAbort(
            f"{channel.me} and {channel.peer} normalise their keys differently",
            where="key settings case, width, spaces, diacritics",
            hint="use the same settings at both parties",
            party=channel.peer,
        )
    if not theirs["rows"] <= max_peer_rows:
        raise DisclosureRefused(
            f"{channel.peer} announces {theirs['rows']} keys; at most {max_peer_rows} are accepted here",
            where="the peer's number of keys",
            hint="a large set of guessed keys would find out who is in this one; if the number is right, allow it: "
            "max_peer_rows and peer_rows_above_plan in policy.toml, or the argument max_peer_rows",
            party=channel.peer,
        )
    if theirs["nonce"] == nonce:
        raise FrameError(f"{channel.peer} sent my own nonce back", where="tag 'psi hello'", party=channel.peer)
    both = sorted([(channel.me, nonce), (channel.peer, theirs["nonce"])])
    salt = hashlib.sha256(b"ppc psi salt v1")
    for name, part in both:
        salt.update(len(name).to_bytes(2, "little") + name.encode() + part)
    return theirs["rows"], salt.digest()


def _parse(data: bytes, peer: str) -> dict[str, Any]:
    """The peer's greeting, every field of the right type."""
    try:
        found = json.loads(data)
        nonce = bytes.fromhex(found["nonce"])
        rows, types = found["rows"], found["types"]
        good = (
            isinstance(found["protocol"], str)
            and isinstance(rows, int)
            and not isinstance(rows, bool)
            and 0 <= rows <= MAX_ROWS
            and isinstance(types, list)
            and all(isinstance(t, str) and len(t) <= 32 and t.isprintable() for t in types)
            and isinstance(found["normalise"], dict)
            and len(nonce) == _NONCE_BYTES
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        good = False
    if not good:
        raise FrameError(f"{peer} sent a greeting that cannot be read", where="tag 'psi hello'", party=peer)
    return {**found, "nonce": nonce}


def _compare_types(mine: Sequence[str], theirs: Sequence[str], channel: Channel) -> None:
    if len(mine) != len(theirs):
        raise TypeMismatchError(
            f"the key has {len(mine)} columns at {channel.me} and {len(theirs)} at {channel.peer}",
            where="key columns",
            party=channel.peer,
        )
    for i, (a, b) in enumerate(zip(mine, theirs, strict=True), start=1):
        if a != b:
            raise TypeMismatchError(
                f"key column {i} is {a} at {channel.me} and {b} at {channel.peer}, so no key could match",
                where=f"key column {i}",
                hint="give the column one type at both parties, for instance text",
                party=channel.peer,
            )

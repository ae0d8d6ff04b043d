"""Private set intersection of three or more parties: everyone learns the keys that all have, and nothing of the rest.

The party with the fewest keys leads (at a tie, the one whose name comes first).

1. every two parties i, j announce sizes, key types and a nonce, and agree on a secret K_ij over their own channel
2. with a pseudo-random function G, party i gives each of its keys x the block S_i(x) = ⊕_j G(K_ij, x). For a key that
   all have these add up to zero, as each G(K_ij, x) occurs twice; if one is missing, what the others give looks random
3. each other party runs with the leader a programmable pseudo-random function (`ppc.mpc.psi.oprf`), so that the leader
   reads S_i(x) at those of its keys x that party i has, and random blocks at the others
4. a key of the leader at which all blocks, with its own, add up to zero is one that all have. The leader draws a fresh
   secret K and tells the others K and G'(K, x) of these keys, sorted; each finds its rows by them, in that order

Threat: semi-honest. Nobody learns more than the result from its own view, nor does a coalition without the leader. A
    coalition of the leader and others learns for each of the leader's keys whether all parties outside have it, which
    it could have learned anyway by putting the leader's keys into all its sets (the augmented semi-honest model of the
    source). With one party outside, that is the leader's intersection with it alone.
Leaks: to all the number of each party's keys, and which of its own rows all the others have too.
Cost: party i sends the leader a store of 16 bytes a block (1.35 blocks a key at 2^20) and receives one for the leader's
    keys, and the correlations of `oprf`; the leader does this once with each. The leader sends 16 bytes a common key to
    each. A wrong match has probability below n·2^-128.
Source: Kolesnikov, Matania, Pinkas, Rosulek, Trieu, "Practical multi-party private set intersection from symmetric-key
    techniques", CCS 2017, section 5 (zero sharing from common keys, augmented semi-honest model); stores by
    Garimella et al., CRYPTO 2021.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.errors import ConfigError, FrameError
from ppc.mpc.ot import lpn, vole
from ppc.mpc.psi import okvs, oprf, rr22
from ppc.mpc.psi.ecdh import Progress, match_rows
from ppc.mpc.psi.greeting import MAX_ROWS, greet
from ppc.mpc.psi.keys import Keys, as_keys
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]

_PROTOCOL: Final = "multiparty v1"
_SECRET_BYTES: Final = 32


def intersect(
    channels: Mapping[str, Channel],
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    *,
    randomness: vole.Randomness = "silent",
    max_peer_rows: int | Mapping[str, int] = MAX_ROWS,
    progress: Progress | None = None,
) -> NDArray[np.int64]:
    """My rows whose keys all parties have: their indices (int64), in an order that all parties share.

    Args: channels: to each of the other parties, by name; at least two. max_peer_rows: for all, or by name. The others
        as in `ppc.mpc.psi.rr22.intersect`.

    Raises: as `ppc.mpc.psi.rr22.intersect`.
    """
    if len(channels) < 2:
        raise ConfigError("this protocol is for three or more parties; two use ppc.mpc.psi.protocols.intersect")
    keys = as_keys(keys)
    told = progress or _ignore
    (me,) = {c.me for c in channels.values()}
    peers = [channels[name] for name in sorted(channels)]
    told(0.0, "greeting the other parties")
    rows, salts, secrets = {me: len(keys)}, {}, {}
    everyone = " ".join(sorted([me, *channels]))
    for channel in peers:
        most = max_peer_rows if isinstance(max_peer_rows, int) else max_peer_rows.get(channel.peer, MAX_ROWS)
        spoken = f"{_PROTOCOL} {randomness} among {everyone}"
        rows[channel.peer], salts[channel.peer] = greet(channel, keys, spoken, most)
        secrets[channel.peer] = _agree(channel)
    if not all(rows.values()):
        return np.empty(0, np.int64)
    leader = min(rows, key=lambda name: (rows[name], name))
    zero = np.zeros((len(keys), 2), np.uint64)
    for secret in secrets.values():
        zero ^= keys.hashed(secret, "zero")
    if me == leader:
        for done, channel in enumerate(peers):
            told(0.05 + 0.9 * done / len(peers), f"comparing with {channel.peer}")
            salt = salts[channel.peer]
            mine = oprf.receive(channel, keys, salt, randomness)
            zero ^= oprf.query(channel, keys, mine, rows[channel.peer], salt)
        common = np.flatnonzero((zero == 0).all(axis=1))
        naming = rng.random_bytes(_SECRET_BYTES)
        names = _names(keys, naming)[common]
        order = match_rows(names, names)
        for channel in peers:
            channel.send("psi common", np.frombuffer(naming, np.uint8), np.array([len(common)], np.uint64))
            channel.send("psi names", names[order])
        common = common[order]
    else:
        channel = channels[leader]
        told(0.05, f"comparing with {leader}")
        function = oprf.send(channel, rows[leader], salts[leader], randomness)
        oprf.program(channel, function, keys, zero, salts[leader])
        told(0.5, f"waiting for {leader}")
        common = _told(channel, keys, min(rows.values()))
    told(1.0, "matched")
    return keys.rows[common]


def assumptions(randomness: vole.Randomness) -> str:
    """What its security rests on, for plans."""
    hard = lpn.describe() if randomness == "silent" else "no LPN"
    return f"protocol of many parties (Diffie-Hellman on edwards25519, fixed-key AES, {hard}; parties that follow it)"


def sent_bytes(randomness: vole.Randomness, rows: Sequence[int]) -> int:
    """About how many bytes the leader sends, which sends most if sets are alike."""
    blocks = okvs.layout(max(min(rows), 1)).blocks
    extra = 2048 * blocks if rr22.how(blocks, randomness) == "ot" else 700_000
    return (len(rows) - 1) * (16 * blocks + extra + 16 * min(rows))


def _agree(channel: Channel) -> bytes:
    """A secret of this party and the peer, to which both contribute."""
    mine = rng.random_bytes(_SECRET_BYTES)
    channel.send_bytes("psi secret", mine)
    theirs = channel.recv_bytes("psi secret", _SECRET_BYTES)
    if len(theirs) != _SECRET_BYTES:
        raise FrameError(f"{channel.peer} sent a secret of {len(theirs)} bytes, not {_SECRET_BYTES}",
                         where="tag 'psi secret'", party=channel.peer)  # fmt: skip
    parts = sorted([(channel.me, mine), (channel.peer, theirs)])
    return hashlib.sha256(b"ppc psi secret v1" + parts[0][1] + parts[1][1]).digest()


def _names(keys: Keys, naming: bytes) -> NDArray[np.uint8]:
    """What each key is called in the leader's answer; (n, 16) bytes."""
    return keys.hashed(naming, "name").view(np.uint8).reshape(len(keys), 16)


def _told(channel: Channel, keys: Keys, limit: int) -> NDArray[np.int64]:
    """Which of my keys the leader names as common, in the order of the names."""
    naming, count = channel.recv("psi common", Spec(np.uint8, _SECRET_BYTES), Spec(np.uint64, 1))
    where = "tag 'psi common'"
    if not int(count[0]) <= limit:
        raise FrameError(f"{channel.peer} announces more common keys than a party has", where=where, party=channel.peer)
    (told,) = channel.recv("psi names", Spec(np.uint8, (int(count[0]), 16)))
    found = match_rows(_names(keys, naming.tobytes()), told)
    if len(found) != len(told):
        raise FrameError(f"{channel.peer} named a key that is not mine", where="tag 'psi names'", party=channel.peer)
    return found


def _ignore(fraction: float, what: str) -> None:
    """Progress that nobody asked for."""

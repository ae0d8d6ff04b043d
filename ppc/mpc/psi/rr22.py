"""Private set intersection from vector OLE and an oblivious key-value store: a million keys in seconds.

The party with fewer keys is the receiver (at a tie, the one whose name comes first). All hashes of a key below depend
on the session's salt, which is fixed after both sets are.

1. both announce their sizes, key types and a nonce; then they make random C = A·Δ + B, as long as the store:
   A, C at the receiver, Δ, B at the sender (`ppc.mpc.ot.vole`). The receiver has A before C, and goes on meanwhile
2. the receiver encodes its set in a store P (`okvs`) with Decode(P, x) = v(x), and sends P ⊕ A
3. the sender computes K = B ⊕ Δ·(P ⊕ A) = C ⊕ Δ·P. So Decode(K, y) ⊕ Δ·v(y) = Decode(C, y) ⊕ Δ·(Decode(P, y) ⊕ v(y)),
   which for a key y of the receiver is Decode(C, y). It sends H of this for each of its keys, sorted and cut to
   40 + 2·log2(m) bits for its m keys
4. the receiver computes H(Decode(C, x)) for its keys, finds them among the sender's, and tells the sender with one bit
   for each tag which of them matched. Both bring the matching rows into the order of the tags

Threat: semi-honest, two parties; `rr22_malicious` is the variant against a party that deviates. In the model where
    AES is an ideal cipher and the keys' hash a random oracle; base transfers under CDH; with randomness
    `silent` also LPN with the parameters of `ppc.mpc.ot.lpn`, with `ot` not.
Leaks: to both the number of the other's keys, and which of its own rows matched. The sender's tags are sorted by value,
    which is pseudo-random, so the bits of step 4 tell the receiver nothing new, and the sender which of its rows
    matched, which it is to learn.
Cost: 3 rounds at the receiver, 4 at the sender (3 with `ot`). The receiver sends 16 bytes a block of the store (1.35
    blocks a key at 2^20), the sender `tag_width` (10 at 2^20) a key; making the correlations takes 0.8 MB (`silent`)
    or 2 KB a block (`ot`).

Why nothing else leaks. *The sender* sees P ⊕ A with A pseudo-random: a simulator sends uniform blocks. *The receiver*
sees H(z_y) for keys y it does not have, with z_y = Decode(C, y) ⊕ Δ·δ_y, δ_y = Decode(P, y) ⊕ v(y). v(y) is a fresh
random block, so δ_y ≠ 0 except with probability 2^-128 a key; then z_y is uniform over the choice of Δ, and with H
the Matyas–Meyer–Oseas hash of an ideal permutation the tags look random to who makes fewer than about 2^128 / |Y|
trials (correlation robustness, Guo et al. 2020). A simulator sends random tags instead. Encoding fails with
probability 2^-40 whatever the keys are, because the salt is fixed after them.

Source: Raghuraman, Rindal, "Blazing fast PSI from improved OKVS and subfield VOLE", CCS 2022, section 4; the OPRF
    goes back to Rindal, Schoppmann, EUROCRYPT 2021.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ppc.core import aes, bits, gf128, rng
from ppc.errors import FrameError
from ppc.mpc.ot import lpn, vole
from ppc.mpc.psi import okvs
from ppc.mpc.psi.ecdh import Progress, tag_bytes
from ppc.mpc.psi.greeting import MAX_ROWS, greet
from ppc.mpc.psi.keys import Keys, as_keys
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]

Security = Literal["semi-honest", "malicious"]

_PROTOCOL: Final = "rr22 v1"
_ROWS_A_FRAME: Final = 1 << 20  # 16 MB of the store


def intersect(
    channel: Channel,
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    *,
    randomness: vole.Randomness = "silent",
    security: Security = "semi-honest",
    max_peer_rows: int = MAX_ROWS,
    progress: Progress | None = None,
) -> NDArray[np.int64]:
    """My rows whose keys the peer has too: their indices (int64), in an order that both parties share.

    Row i of the result here and row i of the result at the peer have the same key. Both parties call this at the same
    time. Threat model, leakage, cost and sources are those of the module.

    Args: channel: to the peer. keys: from `ppc.mpc.psi.keys.prepare`, or key columns, which are prepared with the
        defaults. randomness: `silent` (LPN; small sets use `ot` all the same) or `ot` (conservative), the same at both
        parties. security: `malicious` for `rr22_malicious`, the same at both. max_peer_rows: refuse a peer that
        announces more keys. progress: called with the fraction done and what is being done; may raise to stop.

    Raises: as `ppc.mpc.psi.ecdh.intersect`; FrameError also for a base transfer outside the group; with `malicious`
        ProtocolAbort if a check finds that the peer deviates.
    """
    keys = as_keys(keys)
    theirs, salt = greet(channel, keys, protocol_name(randomness, security), max_peer_rows)
    return match(channel, keys, theirs, salt, randomness=randomness, security=security, progress=progress)


def tag_width(sender_rows: int) -> int:
    """Bytes of a tag: no two of the sender's keys, nor one of either party, share a tag except with 2^-40 a run."""
    return tag_bytes(sender_rows, sender_rows)  # the receiver has no more


def protocol_name(randomness: vole.Randomness, security: Security = "semi-honest") -> str:
    """What is announced, so that parties with different settings notice."""
    return f"{_PROTOCOL} {randomness}" + (" malicious" if security == "malicious" else "")


def match(
    channel: Channel,
    keys: Keys,
    theirs: int,
    salt: bytes,
    *,
    randomness: vole.Randomness = "silent",
    security: Security = "semi-honest",
    progress: Progress | None = None,
) -> NDArray[np.int64]:
    """`intersect` after the greeting: `theirs` is the number of the peer's keys, `salt` the session's."""
    if not len(keys) or not theirs:
        return np.empty(0, np.int64)
    receiving = (len(keys), channel.me) < (theirs, channel.peer)
    if security == "malicious":
        from ppc.mpc.psi import rr22_malicious as checked

        side = checked.receive if receiving else checked.send
        return keys.rows[side(channel, keys, salt, theirs, randomness, progress or _ignore)]
    run = _receive if receiving else _send
    return keys.rows[run(channel, _Hashes(keys, salt), theirs, randomness, progress or _ignore)]


class _Hashes:
    """A party's keys as blocks: where they go in the store, what they are mapped to; and the session's public keys."""

    def __init__(self, keys: Keys, salt: bytes) -> None:
        self.rows = len(keys)
        self.place = keys.hashed(salt, "place")
        self.r = keys.hashed(salt, "r")
        self.value = keys.hashed(salt, "value")
        self.salt = salt
        self.tag_key = hashlib.sha256(b"ppc rr22 tag v1" + salt).digest()[:16]

    def tags(self, decoded: Words, width: int) -> Words:
        """H of each block, cut to `width` bytes (at least 5, at most 16) and padded with zeros again; uint64 (n, 2)."""
        out = aes.mmo(self.tag_key, decoded)
        if width <= 8:
            out[:, 0] &= np.uint64((1 << 8 * width) - 1)
            out[:, 1] = 0
        else:
            out[:, 1] &= np.uint64((1 << 8 * (width - 8)) - 1)
        return out


def _receive(
    channel: Channel, mine: _Hashes, theirs: int, randomness: vole.Randomness, progress: Progress
) -> NDArray[np.int64]:
    progress(0.0, "making correlated randomness" + first_use())
    sizes = okvs.layout(mine.rows)
    party = vole.Receiver(channel, mine.salt)
    a = party.start(sizes.blocks, how(sizes.blocks, randomness))
    progress(0.4, "encoding my keys")
    store = okvs.encode(mine.place, mine.r, mine.value, sizes, rng.os_stream())
    store ^= a
    del a
    send_rows(channel, "psi store", store)
    del store
    c = party.finish()
    progress(0.7, "computing the tags of my keys")
    width = tag_width(theirs)
    tags = mine.tags(okvs.decode(mine.place, mine.r, c, sizes), width)
    del c
    progress(0.8, f"waiting for the tags of {channel.peer}")
    raw = recv_tags(channel, theirs, width)
    order = ordered(tags)
    found = find(channel, raw, tags[order])
    matched = found >= 0
    flags = np.zeros(theirs, np.bool_)
    flags[found[matched]] = True
    channel.send("psi matches", bits.pack(flags))
    progress(1.0, "matched")
    return order[matched]


def _send(
    channel: Channel, mine: _Hashes, theirs: int, randomness: vole.Randomness, progress: Progress
) -> NDArray[np.int64]:
    progress(0.0, "making correlated randomness" + first_use())
    sizes = okvs.layout(theirs)
    party = vole.Sender(channel, mine.salt)
    k = party.random(sizes.blocks, how(sizes.blocks, randomness))
    progress(0.4, f"waiting for the store of {channel.peer}")
    add_store(channel, k, party.delta)
    progress(0.7, "computing the tags of my keys")
    decoded = okvs.decode(mine.place, mine.r, k, sizes)
    del k
    gf128.add_scaled(decoded, mine.value, party.delta)
    width = tag_width(mine.rows)
    tags = mine.tags(decoded, width)
    order = ordered(tags)
    send_rows(channel, "psi tags", tags[order].view(np.uint8)[:, :width])
    progress(0.9, f"waiting for the matches of {channel.peer}")
    (packed,) = channel.recv("psi matches", Spec(np.uint64, (bits.words_for(mine.rows),)))
    progress(1.0, "matched")
    return order[bits.unpack(packed, mine.rows).astype(np.bool_)]


def how(blocks: int, randomness: vole.Randomness) -> vole.Randomness:
    """How correlations for a store of so many blocks are made: few ones directly, whatever was asked for."""
    return "ot" if blocks < lpn.MIN_OUTPUTS else randomness


def send_rows(channel: Channel, tag: str, rows: NDArray[Any]) -> None:
    """Send rows in frames of bounded size."""
    for start in range(0, len(rows), _ROWS_A_FRAME):
        channel.send(tag, np.ascontiguousarray(rows[start : start + _ROWS_A_FRAME]))


def add_store(channel: Channel, k: Words, delta: Words) -> None:
    """Receive the store and add Δ times it to k (blocks, 2)."""
    for start in range(0, len(k), _ROWS_A_FRAME):
        part = k[start : start + _ROWS_A_FRAME]
        (masked,) = channel.recv("psi store", Spec(np.uint64, part.shape))
        gf128.add_scaled(part, masked, delta)


def recv_tags(channel: Channel, n: int, width: int) -> Words:
    """Receive n tags of `width` bytes, widened to two words each."""
    out = np.zeros((n, 16), np.uint8)
    for start in range(0, n, _ROWS_A_FRAME):
        part = out[start : start + _ROWS_A_FRAME, :width]
        (part[:],) = channel.recv("psi tags", Spec(np.uint8, part.shape))
    return out.view("<u8").astype(np.uint64, copy=False)


def find(channel: Channel, theirs: Words, mine: Words) -> NDArray[np.int64]:
    """For each of my ascending tags its index among the peer's, or -1."""
    from ppc.mpc.psi import _kernels

    found = np.empty(len(mine), np.int64)
    if not _kernels.merge(theirs, mine, found):
        raise FrameError(
            f"{channel.peer} sent tags that are not in ascending order",
            where="frame field 'payload' of 'psi tags'",
            party=channel.peer,
        )
    return found


def ordered(tags: Words) -> NDArray[np.int64]:
    """The order of distinct tags (n, 2) by first, then second word."""
    order = np.argsort(tags[:, 0]).astype(np.int64, copy=False)
    first = tags[order, 0]
    if (first[1:] == first[:-1]).any():
        order = np.lexsort((tags[:, 1], tags[:, 0])).astype(np.int64, copy=False)
    return order


def first_use() -> str:
    """A word of explanation for who waits: the first run after installation compiles, later ones load from disk."""
    from ppc.mpc.psi import _kernels

    return "" if _kernels.triples.signatures else " (the first time, kernels are compiled)"


def _ignore(fraction: float, what: str) -> None:
    """Progress that nobody asked for."""

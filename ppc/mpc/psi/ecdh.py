"""Private set intersection from Diffie-Hellman: each party blinds both sets, and equal keys meet under both blindings.

Protocol, in the group of prime order ℓ ≈ 2^252 of edwards25519 (RFC 7748, RFC 8032), H hashing a key into the group:

1. both announce their sizes, key types and a nonce; the nonces make the salt of H for this session
2. with a fresh secret a, party A sends the points a·H(x) of its keys x, shuffled; B sends b·H(y), shuffled
3. each multiplies what it got by its own secret, and sends the first bytes of the points b·a·H(x) back in the order it
   got them. Now A knows the tag of each of its own keys, and the set of tags of B's keys, and B likewise
4. a row matches if its tag is among the other's; both sort their matching rows by tag, an order that both share

Threat: semi-honest, two parties. Secure in the random-oracle model if decisional Diffie-Hellman is hard in the group.
Leaks: to both the number of the other's keys (rows that have one, duplicates left out), and which of its own rows
    matched. Not where the other's matching rows stand (the points are shuffled, and the shared order is pseudo-random),
    and nothing about keys without a match.
Cost: 3 rounds for up to 2^20 keys a party (2 more for each further 2^20); each party sends 32 bytes for each of its
    keys and `tag_bytes` (9 for 2^16 keys on each side) for each of the other's. Two multiplications and one hash into
    the group a key.

Every point is in the prime-order group (`ppc.mpc.psi.group`), so what travels tells nothing of a key; hash bytes taken
as X25519 coordinates would tell whether they lie on the curve or on its twist, a bit a key.

Source: Meadows, IEEE S&P 1986; Huberman, Franklin, Hogg, EC 1999 (the protocol); Agrawal, Evfimievski, Srikant, SIGMOD
2003 (proof under DDH).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.mpc.psi import group
from ppc.mpc.psi.greeting import MAX_ROWS, greet
from ppc.mpc.psi.keys import Keys, as_keys
from ppc.net.channel import Channel

STATISTICAL_BITS: Final = 40  # a row is matched wrongly in any run with probability below 2^-40

_PROTOCOL: Final = "ecdh edwards25519 v1"

Progress = Callable[[float, str], None]


def tag_bytes(mine: int, theirs: int) -> int:
    """Bytes of a tag: 40 bits, and one for each doubling of the number of pairs, so a false match has chance 2^-40."""
    return math.ceil((STATISTICAL_BITS + math.log2(max(mine, 1)) + math.log2(max(theirs, 1))) / 8)


def intersect(
    channel: Channel,
    keys: Keys | Mapping[str, Any] | Sequence[Any],
    *,
    max_peer_rows: int = MAX_ROWS,
    workers: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.int64]:
    """My rows whose keys the peer has too: their indices (int64), in an order that both parties share.

    Row i of the result here and row i of the result at the peer have the same key. Both parties call this at the same
    time. Threat model, leakage, cost and sources are those of the module.

    Args: channel: to the peer. keys: from `ppc.mpc.psi.keys.prepare`, or key columns (by name or in order), which are
        prepared with the defaults. max_peer_rows: refuse a peer that announces more keys. workers: threads to compute
        with; by default one for each processor that this process may use. progress: called with the fraction done and
        what is being done; may raise to stop.

    Raises:
        TypeMismatchError: the parties' key columns differ in number or kind.
        ProtocolAbort: they normalise differently, or the peer runs another protocol.
        DisclosureRefused: the peer announces more than `max_peer_rows` keys.
        FrameError: the peer sent something that is not a point of the group. And the errors of the channel.
    """
    keys = as_keys(keys)
    theirs, salt = greet(channel, keys, _PROTOCOL, max_peer_rows)
    return match(channel, keys, theirs, salt, workers=workers, progress=progress)


def match(
    channel: Channel,
    keys: Keys,
    theirs: int,
    salt: bytes,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.int64]:
    """`intersect` after the greeting: `theirs` is the number of the peer's keys, `salt` the session's."""
    mine = len(keys)
    if not mine or not theirs:
        return np.empty(0, np.int64)
    secret = group.secret_scalar()
    order = rng.os_stream().permutation(mine)
    hashes = keys.salted(salt)
    total = mine + theirs
    points = group.hash_and_multiply(
        [hashes[i] for i in order], secret, workers, part_of(progress, 0.0, mine / total, "blinding my keys")
    )
    del hashes
    peer_points = group.swap(channel, "psi points", points, theirs, group.POINT_BYTES)
    doubled = group.multiply_received(
        channel, peer_points, secret, workers,
        part_of(progress, mine / total, 1.0, f"blinding the keys of {channel.peer}"),
    )  # fmt: skip
    width = tag_bytes(mine, theirs)
    peer_tags = np.ascontiguousarray(doubled[:, :width])
    my_tags = group.swap(channel, "psi tags", peer_tags, mine, width)
    return keys.rows[order[match_rows(my_tags, peer_tags)]]


def part_of(progress: Progress | None, start: float, end: float, what: str) -> Callable[[float], None]:
    """Progress from `start` to `end` of the whole."""
    if progress is None:
        return lambda fraction: None
    return lambda fraction: progress(start + fraction * (end - start), what)


def match_rows(mine: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The rows of `mine` that are in `theirs` too, sorted by their bytes. Rows are at most 16 bytes wide."""
    both = np.zeros((len(mine) + len(theirs), 16), np.uint8)
    both[: len(mine), : mine.shape[1]] = mine
    both[len(mine) :, : theirs.shape[1]] = theirs
    words: NDArray[np.uint64] = both.view(">u8").astype(np.uint64)
    order = np.lexsort((words[:, 1], words[:, 0]))  # stable: mine stands before theirs
    ranked = words[order]
    same = (ranked[1:] == ranked[:-1]).all(axis=1)
    same &= (order[:-1] < len(mine)) & (order[1:] >= len(mine))
    found: NDArray[np.int64] = order[:-1][same].astype(np.int64, copy=False)
    return found

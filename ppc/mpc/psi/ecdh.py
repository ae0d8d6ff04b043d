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

H(x) is libsodium's `crypto_core_ed25519_from_uniform` of a 32-byte hash: Elligator 2, then multiplication by the
cofactor, in kind the non-uniform encoding `encode_to_curve` of RFC 9380 (section 3). It reaches about half of the
group. That is enough here: the proof needs a simulator that lets H yield a given random group element for a key of
its choice, and rejection sampling with the map's inverse does that. Every point is in the prime-order group, so what
travels tells nothing of a key; hash bytes taken as X25519 coordinates would tell whether they lie on the curve or on
its twist, a bit a key. Points from the peer are multiplied by `crypto_scalarmult_ed25519_noclamp`, which refuses
those that are not canonical, not on the curve, of small order, or outside the prime-order group.

Source: Meadows, IEEE S&P 1986; Huberman, Franklin, Hogg, EC 1999 (the protocol); Agrawal, Evfimievski, Srikant, SIGMOD
2003 (proof under DDH); Bernstein, Hamburg, Krasnova, Lange, CCS 2013 (Elligator).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import rng
from ppc.errors import FrameError
from ppc.mpc.psi.greeting import MAX_ROWS, greet
from ppc.mpc.psi.keys import Keys, as_keys
from ppc.net.channel import Channel, Spec

POINT_BYTES: Final = 32
STATISTICAL_BITS: Final = 40  # a row is matched wrongly in any run with probability below 2^-40
POINTS_A_FRAME: Final = 1 << 20

_PROTOCOL: Final = "ecdh edwards25519 v1"
_BATCH: Final = 512  # points a task: about 30 ms, so that progress is smooth and a cancellation prompt

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
    secret = _secret_scalar()
    stream = rng.os_stream()
    order = stream.permutation(mine)
    total = mine + theirs
    with _Pool(workers) as pool:
        hashes = keys.salted(salt)
        points = pool.map(
            [hashes[i] for i in order], lambda h: _blind(secret, _hash_to_group(h)),
            _part(progress, 0.0, mine / total, "blinding my keys"),
        )  # fmt: skip
        del hashes
        peer_points = _swap(channel, "psi points", points, (mine, theirs), POINT_BYTES)
        try:
            doubled = pool.map(
                [bytes(p) for p in peer_points], lambda p: _blind(secret, p),
                _part(progress, mine / total, 1.0, f"blinding the keys of {channel.peer}"),
            )  # fmt: skip
        except _NotInGroup:
            raise FrameError(
                f"{channel.peer} sent a point that is not in the prime-order group of edwards25519",
                where="frame field 'payload' of 'psi points'",
                party=channel.peer,
            ) from None
    width = tag_bytes(mine, theirs)
    peer_tags = np.ascontiguousarray(doubled[:, :width])
    my_tags = _swap(channel, "psi tags", peer_tags, (theirs, mine), width)
    return keys.rows[order[_match(my_tags, peer_tags)]]


# --- the group ---
class _NotInGroup(Exception):
    """Bytes that are no point of the prime-order group."""


def _secret_scalar() -> bytes:
    """A uniform non-zero scalar modulo ℓ: 64 bytes reduced, so the bias is below 2^-256."""
    import nacl.bindings as sodium

    while True:
        scalar: bytes = sodium.crypto_core_ed25519_scalar_reduce(rng.random_bytes(64))
        if any(scalar):
            return scalar


def _hash_to_group(uniform: bytes) -> bytes:
    import nacl.bindings as sodium

    point: bytes = sodium.crypto_core_ed25519_from_uniform(uniform)
    return point


def _blind(scalar: bytes, point: bytes) -> bytes:
    """scalar · point; `_NotInGroup` unless the point is canonical and in the prime-order group."""
    import nacl.bindings as sodium
    import nacl.exceptions

    try:
        product: bytes = sodium.crypto_scalarmult_ed25519_noclamp(scalar, point)
    except nacl.exceptions.RuntimeError:
        raise _NotInGroup from None
    return product


class _Pool:
    """Threads that multiply points: libsodium is called without the interpreter's lock, so they run on all cores."""

    def __init__(self, workers: int | None) -> None:
        self._threads = ThreadPoolExecutor(workers or _processors(), thread_name_prefix="ppc-psi")

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def map(
        self, items: Sequence[bytes], function: Callable[[bytes], bytes], progress: Callable[[float], None]
    ) -> NDArray[np.uint8]:
        """`function` of each item, as rows of 32 bytes."""
        starts = range(0, len(items), _BATCH)
        tasks = self._threads.map(lambda at: b"".join([function(i) for i in items[at : at + _BATCH]]), starts)
        out = bytearray()
        for done in tasks:
            out += done
            progress(len(out) / POINT_BYTES / len(items))
        return np.frombuffer(out, np.uint8).reshape(len(items), POINT_BYTES)


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _part(progress: Progress | None, start: float, end: float, what: str) -> Callable[[float], None]:
    """Progress from `start` to `end` of the whole."""
    if progress is None:
        return lambda fraction: None
    return lambda fraction: progress(start + fraction * (end - start), what)


# --- messages ---
def _swap(channel: Channel, tag: str, array: NDArray[np.uint8], rows: tuple[int, int], width: int) -> NDArray[np.uint8]:
    """Send my `rows[0]` rows and receive the peer's `rows[1]`, all `width` bytes wide, in frames of bounded size."""
    sent, coming = rows
    received = np.empty((coming, width), np.uint8)
    for at in range(0, max(sent, coming), POINTS_A_FRAME):
        if at < sent:
            channel.send(tag, array[at : at + POINTS_A_FRAME])
        if at < coming:
            n = min(POINTS_A_FRAME, coming - at)
            (received[at : at + n],) = channel.recv(tag, Spec(np.uint8, (n, width)))
    return received


def _match(mine: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> NDArray[np.int64]:
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

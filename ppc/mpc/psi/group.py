"""The group of prime order ℓ ≈ 2^252 of edwards25519 on whole arrays of points, and how points travel.

Points are rows of 32 bytes in the encoding of RFC 8032. H hashes into the group: libsodium's
`crypto_core_ed25519_from_uniform` of a 32-byte hash, which is Elligator 2, then multiplication by the cofactor; in kind
the non-uniform encoding `encode_to_curve` of RFC 9380 (section 3). It reaches about half of the group, which is enough
where the proof needs a simulator that lets H yield a given random group element for a key of its choice: rejection
sampling with the map's inverse does that. Points from a peer are multiplied by `crypto_scalarmult_ed25519_noclamp`,
which refuses those that are not canonical, not on the curve, of small order, or outside the prime-order group.

Where the processor has AVX-512 IFMA, `ppc.core.edwards25519` computes the same eight at a time, with the same refusals.

Source: Bernstein, Hamburg, Krasnova, Lange, CCS 2013 (Elligator); RFC 8032; RFC 9380.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import edwards25519, rng
from ppc.errors import FrameError
from ppc.net.channel import Channel, Spec

Points = NDArray[np.uint8]
Fraction = Callable[[float], None]

POINT_BYTES: Final = 32
POINTS_A_FRAME: Final = 1 << 20
_FRAME_BYTES: Final = 1 << 26
_BATCH: Final = 512  # points a task: about 30 ms, so that progress is smooth and a cancellation prompt


class NotInGroup(Exception):
    """Bytes that are no point of the prime-order group."""


def secret_scalar() -> bytes:
    """A uniform non-zero scalar modulo ℓ: 64 bytes reduced, so the bias is below 2^-256."""
    import nacl.bindings as sodium

    while True:
        scalar: bytes = sodium.crypto_core_ed25519_scalar_reduce(rng.random_bytes(64))
        if any(scalar):
            return scalar


def inverse(scalar: bytes) -> bytes:
    """The scalar's inverse modulo ℓ."""
    import nacl.bindings as sodium

    found: bytes = sodium.crypto_core_ed25519_scalar_invert(scalar)
    return found


def hash_and_multiply(
    hashes: Sequence[bytes], scalar: bytes, workers: int | None = None, progress: Fraction | None = None
) -> Points:
    """scalar · H(h) for each 32-byte hash; (n, 32)."""
    if edwards25519.available():
        uniform = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)
        return _in_lanes(uniform, lambda part: edwards25519.hash_and_multiply(part, scalar), workers, progress)
    return _map(hashes, lambda h: _multiply(scalar, _hash(h)), workers, progress)


def multiply(points: Points, scalar: bytes, workers: int | None = None, progress: Fraction | None = None) -> Points:
    """scalar · P for each point (n, 32). Raises NotInGroup unless all are canonical and in the prime-order group."""
    if edwards25519.available():
        return _in_lanes(points, lambda part: edwards25519.multiply(part, scalar), workers, progress)
    return _map([bytes(p) for p in points], lambda p: _multiply(scalar, p), workers, progress)


def multiply_received(
    channel: Channel, points: Points, scalar: bytes, workers: int | None = None, progress: Fraction | None = None
) -> Points:
    """`multiply` of points that the peer sent: a FrameError names it if one is not in the group."""
    try:
        return multiply(points, scalar, workers, progress)
    except NotInGroup:
        raise FrameError(
            f"{channel.peer} sent a point that is not in the prime-order group of edwards25519",
            where="frame field 'payload' of 'psi points'",
            party=channel.peer,
        ) from None


def _hash(uniform: bytes) -> bytes:
    import nacl.bindings as sodium

    point: bytes = sodium.crypto_core_ed25519_from_uniform(uniform)
    return point


def _multiply(scalar: bytes, point: bytes) -> bytes:
    import nacl.bindings as sodium
    import nacl.exceptions

    try:
        product: bytes = sodium.crypto_scalarmult_ed25519_noclamp(scalar, point)
    except nacl.exceptions.RuntimeError:
        raise NotInGroup from None
    return product


def _in_lanes(
    rows: NDArray[np.uint8], function: Callable[[Points], Points | None], workers: int | None, progress: Fraction | None
) -> Points:
    """`function` of the rows, a call's worth at a time, in threads: the kernels run without the interpreter's lock."""
    if len(rows):
        function(rows[:1])  # what is compiled or loaded at first use, in one thread
    threads = ThreadPoolExecutor(workers or _processors(), thread_name_prefix="ppc-psi")
    try:
        starts = range(0, len(rows), edwards25519.CALL)
        out = np.empty((len(rows), POINT_BYTES), np.uint8)
        done = threads.map(lambda at: function(rows[at : at + edwards25519.CALL]), starts)
        for at, part in zip(starts, done, strict=True):
            if part is None:
                raise NotInGroup
            out[at : at + len(part)] = part
            if progress is not None:
                progress((at + len(part)) / len(rows))
        return out
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


def _map(
    items: Sequence[bytes], function: Callable[[bytes], bytes], workers: int | None, progress: Fraction | None
) -> Points:
    """`function` of each item as rows of 32 bytes, in threads: libsodium is called without the interpreter's lock."""
    threads = ThreadPoolExecutor(workers or _processors(), thread_name_prefix="ppc-psi")
    try:
        starts = range(0, len(items), _BATCH)
        out = bytearray()
        for done in threads.map(lambda at: b"".join([function(i) for i in items[at : at + _BATCH]]), starts):
            out += done
            if progress is not None:
                progress(len(out) / POINT_BYTES / len(items))
        return np.frombuffer(out, np.uint8).reshape(len(items), POINT_BYTES)
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


# --- messages ---
def _frames(count: int, width: int) -> list[slice]:
    """Rows that travel together: at most POINTS_A_FRAME of them, and 64 MB."""
    step = max(1, min(POINTS_A_FRAME, _FRAME_BYTES // max(width, 1)))
    return [slice(at, min(at + step, count)) for at in range(0, count, step)]


def send(channel: Channel, tag: str, rows: NDArray[np.uint8]) -> None:
    """Send rows of bytes in frames of bounded size."""
    for part in _frames(*rows.shape):
        channel.send(tag, np.ascontiguousarray(rows[part]))


def receive(channel: Channel, tag: str, count: int, width: int = POINT_BYTES) -> NDArray[np.uint8]:
    """What the peer gave to `send`: (count, width)."""
    received = np.empty((count, width), np.uint8)
    for part in _frames(count, width):
        (received[part],) = channel.recv(tag, Spec(np.uint8, (part.stop - part.start, width)))
    return received


def swap(channel: Channel, tag: str, mine: NDArray[np.uint8], coming: int, width: int) -> NDArray[np.uint8]:
    """Send my rows and receive the peer's (coming, width), in turns, so that neither side's frames pile up."""
    received = np.empty((coming, width), np.uint8)
    for at in range(0, max(len(mine), coming), POINTS_A_FRAME):
        if at < len(mine):
            channel.send(tag, mine[at : at + POINTS_A_FRAME])
        if at < coming:
            n = min(POINTS_A_FRAME, coming - at)
            (received[at : at + n],) = channel.recv(tag, Spec(np.uint8, (n, width)))
    return received

"""Base oblivious transfers: a few, with public-key cryptography; `extension` and `vole` make as many as needed of them.

For each i the sender gets two random keys and the receiver the one of its choice. Endemic OT from Diffie-Hellman in
the prime-order group of edwards25519, written additively with generator G; H hashes a point into the group, and is
a new function for every i and side:

    receiver with choice c: draws b and a random point R_{1−c}; R_c = b·G − H(c, R_{1−c});  sends R_0, R_1
    sender:                 draws a; sends A = a·G;  key_j = KDF(a·(R_j + H(j, R_{1−j})))
    receiver:               key_c = KDF(b·A)

R_0 and R_1 are uniform whatever c is, so the sender learns nothing of it. Unless it solves Diffie-Hellman, the
receiver knows the discrete logarithm of one of the two points at most, because each is bound to the other by H. The
sender draws a new `a` for every transfer: reuse across a batch is where McQuoid, Rosulek and Roy found faults.

Threat: malicious. Simulatable as endemic OT (a party that deviates may choose its own keys: the receiver the one that
    it gets, the sender both), in the random-oracle model under CDH; Masny and Rindal, theorem for the one-round
    protocol. Extension, vector OLE and punctured trees rest on no more than that: what a party may choose here are
    seeds that it knows in any case. Points outside the prime-order group are refused.
Leaks: the number of transfers.
Cost: 1 round; the receiver sends 64 bytes a transfer, the sender 32.
Source: Masny, Rindal, "Endemic oblivious transfer", CCS 2019, section 5 (their figure of the one-round protocol);
    McQuoid, Rosulek, Roy, "Batching base oblivious transfers", ASIACRYPT 2021. H adds two Elligator maps, which is
    indifferentiable from a random oracle into the group (Brier et al., CRYPTO 2010; RFC 9380 section 3).
    "Simplest OT" (Chou, Orlandi 2015) is not used: it is not simulatable as published.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from ppc.core import edwards25519, rng
from ppc.errors import FrameError
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]

_DOMAIN = b"ppc base ot v2"
_ONE = (1).to_bytes(32, "little")
_TAG_POINTS = "base ot points"
_TAG_REPLY = "base ot reply"


def send(channel: Channel, n: int, *, context: bytes = b"") -> Words:
    """Run as sender: n pairs of random keys, uint64 (n, 2, 2): [transfer, choice, word].

    context: what tells this session from all others, the same at both parties.
    """
    import nacl.bindings as sodium

    secrets = [_scalar() for _ in range(n)]
    mine = [sodium.crypto_scalarmult_ed25519_base_noclamp(a) for a in secrets]
    channel.send(_TAG_REPLY, np.frombuffer(b"".join(mine), np.uint8).reshape(n, 32))
    (points,) = channel.recv(_TAG_POINTS, Spec(np.uint8, (n, 2, 32)))
    pairs = [[bytes(points[i, 0]), bytes(points[i, 1])] for i in range(n)]
    flat = [p for pair in pairs for p in pair]
    _multiply(channel, _TAG_POINTS, flat, [_ONE] * (2 * n))  # refuses what is not in the group
    hashes = _hash(context, [(i, side, pairs[i][1 - side]) for i in range(n) for side in range(2)])
    bases = [sodium.crypto_core_ed25519_add(p, h) for p, h in zip(flat, hashes, strict=True)]
    shared = _multiply(channel, _TAG_POINTS, bases, [a for a in secrets for _ in range(2)])
    keys = [_key(context, k // 2, mine[k // 2], pairs[k // 2], shared[k]) for k in range(2 * n)]
    return np.frombuffer(b"".join(keys), np.uint64).reshape(n, 2, 2).copy()


def receive(channel: Channel, choices: NDArray[np.uint8], *, context: bytes = b"") -> Words:
    """Run as receiver with `choices` (n,) of 0 and 1: the chosen keys, uint64 (n, 2)."""
    import nacl.bindings as sodium

    n = len(choices)
    secrets = [_scalar() for _ in range(n)]
    others = _uniform_points([rng.random_bytes(64) for _ in range(n)])
    hashes = _hash(context, [(i, choice, others[i]) for i, choice in enumerate(choices.tolist())])
    pairs = []
    for choice, b, other, h in zip(choices.tolist(), secrets, others, hashes, strict=True):
        own = sodium.crypto_core_ed25519_sub(sodium.crypto_scalarmult_ed25519_base_noclamp(b), h)
        pairs.append([other, own] if choice else [own, other])
    channel.send(_TAG_POINTS, np.frombuffer(b"".join(p for pair in pairs for p in pair), np.uint8).reshape(n, 2, 32))
    (replies,) = channel.recv(_TAG_REPLY, Spec(np.uint8, (n, 32)))
    told = [bytes(r) for r in replies]
    shared = _multiply(channel, _TAG_REPLY, told, secrets)
    keys = [_key(context, i, told[i], pairs[i], shared[i]) for i in range(n)]
    return np.frombuffer(b"".join(keys), np.uint64).reshape(n, 2).copy()


def _scalar() -> bytes:
    """A uniform scalar modulo the group's order, not zero: 64 bytes reduced, so the bias is below 2^-256."""
    import nacl.bindings as sodium

    while True:
        scalar: bytes = sodium.crypto_core_ed25519_scalar_reduce(rng.random_bytes(64))
        if any(scalar):
            return scalar


def _uniform_points(uniform: list[bytes]) -> list[bytes]:
    """64 uniform bytes each to uniform points of the prime-order group: the sums of two Elligator maps."""
    import nacl.bindings as sodium

    halves = [half for u in uniform for half in (u[:32], u[32:])]
    if edwards25519.available():
        points = [
            bytes(p)
            for part in _calls(halves)
            for p in edwards25519.hash_and_multiply(np.frombuffer(b"".join(part), np.uint8).reshape(-1, 32), _ONE)
        ]
    else:
        points = [sodium.crypto_core_ed25519_from_uniform(h) for h in halves]
    return [sodium.crypto_core_ed25519_add(p, q) for p, q in zip(points[::2], points[1::2], strict=True)]


def _hash(context: bytes, inputs: list[tuple[int, int, bytes]]) -> list[bytes]:
    """H of index, side and point, for each."""
    label = _DOMAIN + b" point" + hashlib.sha256(context).digest()
    return _uniform_points(
        [hashlib.sha512(label + i.to_bytes(4, "little") + bytes([side]) + point).digest() for i, side, point in inputs]
    )


def _multiply(channel: Channel, tag: str, points: list[bytes], scalars: list[bytes]) -> list[bytes]:
    """scalar · point for each; all points must be in the prime-order group."""
    if edwards25519.available():
        out: list[bytes] = []
        for part, own in zip(_calls(points), _calls(scalars), strict=True):
            rows = [np.frombuffer(b"".join(x), np.uint8).reshape(-1, 32) for x in (part, own)]
            found = edwards25519.multiply(*rows)
            if found is None:
                raise _refused(channel, tag)
            out += [bytes(p) for p in found]
        return out
    return [_times(channel, tag, s, p) for s, p in zip(scalars, points, strict=True)]


def _calls(items: list[bytes]) -> list[list[bytes]]:
    return [items[at : at + edwards25519.CALL] for at in range(0, len(items), edwards25519.CALL)]


def _times(channel: Channel, tag: str, scalar: bytes, point: bytes) -> bytes:
    """scalar · point by libsodium."""
    import nacl.bindings as sodium
    import nacl.exceptions

    try:
        product: bytes = sodium.crypto_scalarmult_ed25519_noclamp(scalar, point)
    except nacl.exceptions.RuntimeError:
        raise _refused(channel, tag) from None
    return product


def _refused(channel: Channel, tag: str) -> FrameError:
    return FrameError(
        f"{channel.peer} sent a point that is not in the prime-order group of edwards25519",
        where=f"frame field 'payload' of '{tag}'",
        party=channel.peer,
    )


def _key(context: bytes, index: int, reply: bytes, pair: list[bytes], shared: bytes) -> bytes:
    label = _DOMAIN + b" key" + hashlib.sha256(context).digest() + index.to_bytes(4, "little")
    return hashlib.sha256(label + reply + pair[0] + pair[1] + shared).digest()[:16]

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

from ppc.core import rng
from ppc.errors import FrameError
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]

_DOMAIN = b"ppc base ot v2"
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
    keys = bytearray()
    for i, (a, reply) in enumerate(zip(secrets, mine, strict=True)):
        pair = [bytes(points[i, 0]), bytes(points[i, 1])]
        for side in range(2):
            if not sodium.crypto_core_ed25519_is_valid_point(pair[side]):
                raise _refused(channel, _TAG_POINTS)
        for side in range(2):
            base = sodium.crypto_core_ed25519_add(pair[side], _hash(context, i, side, pair[1 - side]))
            keys += _key(context, i, reply, pair, _times(channel, _TAG_POINTS, a, base))
    return np.frombuffer(bytes(keys), np.uint64).reshape(n, 2, 2).copy()


def receive(channel: Channel, choices: NDArray[np.uint8], *, context: bytes = b"") -> Words:
    """Run as receiver with `choices` (n,) of 0 and 1: the chosen keys, uint64 (n, 2)."""
    import nacl.bindings as sodium

    n = len(choices)
    secrets, pairs = [], []
    for i, choice in enumerate(choices.tolist()):
        b = _scalar()
        other = _uniform_point(rng.random_bytes(64))
        own = sodium.crypto_core_ed25519_sub(
            sodium.crypto_scalarmult_ed25519_base_noclamp(b), _hash(context, i, choice, other)
        )  # fmt: skip
        secrets.append(b)
        pairs.append([other, own] if choice else [own, other])
    channel.send(_TAG_POINTS, np.frombuffer(b"".join(p for pair in pairs for p in pair), np.uint8).reshape(n, 2, 32))
    (replies,) = channel.recv(_TAG_REPLY, Spec(np.uint8, (n, 32)))
    keys = bytearray()
    for i in range(n):
        reply = bytes(replies[i])
        keys += _key(context, i, reply, pairs[i], _times(channel, _TAG_REPLY, secrets[i], reply))
    return np.frombuffer(bytes(keys), np.uint64).reshape(n, 2).copy()


def _scalar() -> bytes:
    """A uniform scalar modulo the group's order, not zero: 64 bytes reduced, so the bias is below 2^-256."""
    import nacl.bindings as sodium

    while True:
        scalar: bytes = sodium.crypto_core_ed25519_scalar_reduce(rng.random_bytes(64))
        if any(scalar):
            return scalar


def _uniform_point(uniform: bytes) -> bytes:
    """64 uniform bytes to a uniform point of the prime-order group: the sum of two Elligator maps."""
    import nacl.bindings as sodium

    point: bytes = sodium.crypto_core_ed25519_add(
        sodium.crypto_core_ed25519_from_uniform(uniform[:32]), sodium.crypto_core_ed25519_from_uniform(uniform[32:])
    )
    return point


def _hash(context: bytes, index: int, side: int, point: bytes) -> bytes:
    label = _DOMAIN + b" point" + hashlib.sha256(context).digest() + index.to_bytes(4, "little") + bytes([side])
    return _uniform_point(hashlib.sha512(label + point).digest())


def _times(channel: Channel, tag: str, scalar: bytes, point: bytes) -> bytes:
    """scalar · point, which must be in the prime-order group."""
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

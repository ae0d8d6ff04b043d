"""The keys of masked sums: fresh ones for every sum, agreed and Shamir-shared in batches, and the masks they give.

Source: Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017, §4 (the
semi-honest protocol with double masking). Each sum has its own X25519 key pair and its own self mask, so that opening
one sum's keys tells nothing of another's; `BATCH` sums' keys are exchanged at once to save rounds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ppc.core.rng import Stream, random_bytes
from ppc.errors import FrameError, ProtocolAbort
from ppc.mpc.aggregate import limbs, shamir
from ppc.net.channel import Array

BATCH: Final = 16
PUBLIC_BYTES: Final = 32
SEALED_BYTES: Final = BATCH * 2 * shamir.SHARE_BYTES + 16  # shares of self mask and key for each sum, and a tag
_CHUNK: Final = 1 << 14  # rows of a mask at a time: 256 kB, within the second-level cache


def private_key(secret: int) -> X25519PrivateKey:
    """The X25519 key that belongs to a shared secret."""
    return X25519PrivateKey.from_private_bytes(_hash(b"key", secret.to_bytes(32, "little")))


def public_bytes(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def pair_key(mine: X25519PrivateKey, theirs: bytes, label: bytes) -> bytes:
    """The AES key of the mask that two sites share in one sum; the same from either side."""
    return _hash(b"pair", _shared(mine, theirs), label)[:16]


def self_key(secret: int) -> bytes:
    """The AES key of a site's own mask."""
    return _hash(b"self", secret.to_bytes(32, "little"))[:16]


def apply(words: limbs.Words, masks: Sequence[tuple[bytes, bool]]) -> None:
    """Add the mask of each key to the numbers (m, 2), or take it away (False), in place: a piece of them stays in
    the cache for all masks."""
    streams = [(Stream(key), limbs.add if plus else limbs.subtract) for key, plus in masks]
    for start in range(0, len(words), _CHUNK):
        part = words[start : start + _CHUNK]
        for stream, put in streams:
            put(part, stream.uint64((len(part), 2)))


def _shared(mine: X25519PrivateKey, theirs: bytes) -> bytes:
    try:
        return mine.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError:
        raise FrameError("a public key is not valid", where="aggregation") from None


def _hash(purpose: bytes, *parts: bytes) -> bytes:
    return hashlib.sha256(b"\0".join([b"ppc/mpc/aggregate", purpose, *parts])).digest()


@dataclass
class Keys:
    """One site's keys of one batch. `members` are those who share keys; the order gives each its point."""

    me: str
    threshold: int
    secrets: list[int] = field(default_factory=lambda: [shamir.random_element() for _ in range(BATCH)], repr=False)
    selves: list[int] = field(default_factory=lambda: [shamir.random_element() for _ in range(BATCH)], repr=False)
    members: tuple[str, ...] = ()
    dealt: frozenset[str] = frozenset()
    used: int = 0
    _seal: X25519PrivateKey = field(
        default_factory=lambda: X25519PrivateKey.from_private_bytes(random_bytes(32)), repr=False
    )
    _publics: dict[str, Array] = field(default_factory=dict, repr=False)
    _held: dict[str, bytes] = field(default_factory=dict, repr=False)
    _answered: dict[int, str] = field(default_factory=dict)

    # --- agreement ---
    def publics(self) -> Array:
        """My public keys: for sealing, then one a sum; uint8 (1 + BATCH, 32)."""
        keys = [self._seal, *(private_key(s) for s in self.secrets)]
        return np.frombuffer(b"".join(public_bytes(k) for k in keys), np.uint8).reshape(-1, PUBLIC_BYTES)

    def deal(self, members: Sequence[str], publics: Array) -> Array:
        """Shares of all my secrets for every member, sealed for it: uint8 (members, SEALED_BYTES), my row empty."""
        self.members = tuple(members)
        self._publics = {p: publics[i] for i, p in enumerate(members)}
        points = range(1, len(members) + 1)
        cut = [
            shamir.split(s, points, self.threshold)
            for pair in zip(self.selves, self.secrets, strict=True)
            for s in pair
        ]
        out = np.zeros((len(members), SEALED_BYTES), np.uint8)
        for i, party in enumerate(members):
            plain = b"".join(shares[i] for shares in cut)
            if party == self.me:
                self._held[party] = plain
                continue
            box = ChaCha20Poly1305(self._box_key(party, self.me, party))
            out[i] = np.frombuffer(box.encrypt(bytes(12), plain, None), np.uint8)
        return out

    def take(self, senders: Sequence[str], sealed: Array) -> None:
        """Keep the shares that `senders` dealt me: row i from sender i."""
        for i, party in enumerate(senders):
            if party != self.me:
                box = ChaCha20Poly1305(self._box_key(party, party, self.me))
                try:
                    self._held[party] = box.decrypt(bytes(12), sealed[i].tobytes(), None)
                except InvalidTag:
                    raise FrameError("the shares of a key do not open", party=party, where="aggregation") from None
        self.dealt = frozenset((*senders, self.me))

    def _box_key(self, peer: str, sender: str, receiver: str) -> bytes:
        # Each direction of each batch has its own key, and it seals one message: the nonce may be constant.
        return _hash(b"seal", _shared(self._seal, self._publics[peer][0].tobytes()), sender.encode(), receiver.encode())

    # --- one sum ---
    def mask(self, index: int, roster: Sequence[str], words: limbs.Words) -> limbs.Words:
        """My numbers under all my masks of sum `index` among `roster`."""
        if index in self._answered or not 0 <= index < BATCH or not set(roster) <= self.dealt or self.me not in roster:
            raise ProtocolAbort("a sum's keys were asked for twice, or for other sites", where="aggregation")
        self._answered[index] = "masked"
        out = words.copy()
        key = private_key(self.secrets[index])
        pairs = [(self._pair(key, index, peer), self.me < peer) for peer in roster if peer != self.me]
        apply(out, [(self_key(self.selves[index]), True), *pairs])
        return out

    def _pair(self, key: X25519PrivateKey, index: int, peer: str) -> bytes:
        return pair_key(key, self._publics[peer][1 + index].tobytes(), str(index).encode())

    def reveal(self, index: int, kept: Sequence[str], dropped: Sequence[str]) -> Array:
        """My shares of the self masks of who stayed and of the keys of who left: uint8 (kept + dropped, 32).

        Never both of one site: that would open its numbers.
        """
        if self._answered.get(index) != "masked" or self.me not in kept or set(kept) & set(dropped):
            raise ProtocolAbort("shares of a sum's keys were asked for out of turn", where="aggregation")
        if len(kept) < self.threshold:
            raise ProtocolAbort(f"a sum of {len(kept)} sites is not opened: {self.threshold} are needed")
        self._answered[index] = "revealed"
        rows = [self._share(p, 2 * index) for p in kept] + [self._share(p, 2 * index + 1) for p in dropped]
        return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, shamir.SHARE_BYTES)

    def _share(self, party: str, number: int) -> bytes:
        if party not in self._held:
            raise ProtocolAbort("no share of this site's keys is here", party=party, where="aggregation")
        return self._held[party][number * shamir.SHARE_BYTES : (number + 1) * shamir.SHARE_BYTES]

    # --- the leader ---
    def unmask(
        self, index: int, total: limbs.Words, kept: Sequence[str], dropped: Sequence[str], shares: Mapping[str, Array]
    ) -> None:
        """Take every mask off the sum of what `kept` sent, in place, with the shares that some of them revealed."""
        point = {p: i + 1 for i, p in enumerate(self.members)}
        off: list[tuple[bytes, bool]] = []
        givers = sorted(shares, key=point.__getitem__)[: self.threshold]
        for row, party in enumerate((*kept, *dropped)):
            secret = shamir.join({point[g]: shares[g][row].tobytes() for g in givers}, self.threshold)
            if party in kept:
                off.append((self_key(secret), False))
                continue
            key = private_key(secret)
            if public_bytes(key) != self._publics[party][1 + index].tobytes():
                raise ProtocolAbort("the shares of a lost site's key do not fit", party=party, where="aggregation")
            # What `peer` added for its pair with the lost site has nobody to cancel it.
            off += [(self._pair(key, index, peer), not peer < party) for peer in kept]
        apply(total, off)

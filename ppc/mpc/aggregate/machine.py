"""Computing on shared numbers among three or more sites of a star, most of whom do not collude.

Each site holds one value of a random polynomial of degree t = (n − 1) // 2 whose value at 0 is the number: t sites
together learn nothing of it. Sums are local; a product is multiplied locally and shared anew. A protocol is written
once, as a generator that every site runs (`Script`): it yields what it deals or opens, and is given what came back. The
leader carries what is dealt, sealed for its receiver, and adds up what is opened.

Source: Ben-Or, Goldwasser, Wigderson, STOC '88; the product's degree is brought down as in Gennaro, Rabin, Rabin,
PODC '98. Semi-honest.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ppc.core.rng import random_bytes
from ppc.errors import FrameError
from ppc.mpc.aggregate import field
from ppc.mpc.aggregate.field import Elements
from ppc.mpc.aggregate.star import Arrays, Operation, Outcome, Star, names
from ppc.net.channel import Array, Spec

TAG: Final = 16
PUBLIC: Final = 32


@dataclass(frozen=True)
class Deal:
    """Row i of `shares` (sites, m) goes to site i; what comes back is a row from every site."""

    shares: Elements


@dataclass(frozen=True)
class Open:
    """My shares (m,) of numbers that all sites are to learn; what comes back are the numbers."""

    share: Elements


Script = Generator[Deal | Open, Elements, Elements]


class Machine:
    """What a script computes with: `n` sites, of whom this one is number `rank`."""

    def __init__(self, n: int, rank: int) -> None:
        self.n, self.rank = n, rank
        self.t = (n - 1) // 2
        self._weights = field.weights(2 * self.t + 1)

    def share(self, mine: Elements) -> Script:
        """[Σ of what each site puts in]. Cost: 1 round."""
        got = yield Deal(field.split(mine.reshape(-1), self.n, self.t))
        return field.combine(got, [1] * self.n).reshape(mine.shape)

    def multiply(self, a: Elements, b: Elements) -> Script:
        """[a·b]. Cost: 1 round, 8 n bytes an element."""
        got = yield Deal(field.split(field.multiply(a, b).reshape(-1), self.n, self.t))
        return field.combine(got, self._weights).reshape(a.shape)

    def zeros(self, shape: tuple[int, ...]) -> Script:
        """[0] under polynomials of degree 2t: what hides a product's shares when it is opened. Cost: 1 round."""
        empty = np.zeros(int(np.prod(shape)), np.uint64)
        got = yield Deal(field.split(empty, self.n, 2 * self.t))
        return field.combine(got, [1] * self.n).reshape(shape)

    def open(self, a: Elements) -> Script:
        """The numbers, from shares of any degree up to 2t. Cost: 1 round."""
        got = yield Open(a.reshape(-1))
        return got.reshape(a.shape)


class Shared(Operation):
    """A script among the sites that are there; begun anew if one is lost, as its shares are gone then."""

    #: Fewer sites cannot hide a number from each other.
    least: Final = 3

    def __init__(self, me: str, parties: tuple[str, ...]) -> None:
        self._me = me
        self._parties = parties
        self._sites: tuple[str, ...] = ()
        self._rank = 0
        self._key: X25519PrivateKey | None = None
        self._script: Script | None = None
        self._boxes: list[tuple[ChaCha20Poly1305, ChaCha20Poly1305] | None] = []
        self._turn = 0
        self._pending: Deal | Open | None = None
        self._found: Elements | None = None

    @abstractmethod
    def script(self, machine: Machine) -> Script:
        """What every site does; returns public numbers, the same at every site."""

    # --- the leader ---
    def lead(self, star: Star) -> Outcome:
        while True:
            sites = star.alive
            if len(sites) < self.least:
                return Outcome({"few": True}, (), sites)
            found = self._attempt(star, sites)
            if found is not None and star.alive == sites:
                return Outcome({"few": False}, (found,), sites)

    def _attempt(self, star: Star, sites: tuple[str, ...]) -> Elements | None:
        """One run among `sites`; `None` as soon as one is lost: its shares are gone."""
        n = len(sites)
        keys = star.ask("key", {}, to=sites, specs=(Spec("uint8", PUBLIC),))
        if star.alive != sites:
            return None
        publics = np.stack([self._fresh(), *(keys[p][0] for p in sites[1:])])
        note: dict[str, Any] = {"sites": sites, "turn": 0}
        mine = self._begin(sites, star.me, publics)
        incoming: Arrays | dict[str, Arrays] = (publics,)
        while True:
            pending = self._pending
            if pending is None:
                return self._found
            spec = self._spec(pending, n)
            told = star.ask("turn", note, incoming, to=sites, specs=(spec,))
            if star.alive != sites:
                return None
            rows = [mine, *(told[p][0] for p in sites[1:])]
            note = {"sites": sites, "turn": self._turn + 1}
            if isinstance(pending, Open):
                for party, row in zip(sites, rows, strict=True):
                    _check(row, party)
                opened = field.combine(rows, field.weights(2 * ((n - 1) // 2) + 1))
                incoming = (opened,)
                mine = self._advance((opened,))
            else:
                dealt = {p: (np.stack([row[i] for row in rows]),) for i, p in enumerate(sites)}
                incoming = {p: dealt[p] for p in sites[1:]}
                mine = self._advance(dealt[star.me])

    # --- the others ---
    def answer(self, verb: str, note: Mapping[str, Any], arrays: Arrays) -> Arrays:
        if verb == "key":
            return (self._fresh(),)
        if verb != "turn" or len(arrays) != 1:
            raise FrameError("an unknown question; do all sites run the same step?", where="shared numbers")
        if note.get("turn") == 0:
            sites = names(note, "sites", self._parties)
            if arrays[0].dtype != np.uint8 or arrays[0].shape != (len(sites), PUBLIC) or self._me not in sites:
                raise FrameError("the sites' keys are malformed", where="shared numbers")
            return (self._begin(sites, self._me, arrays[0]),)
        if self._script is None or note.get("turn") != self._turn + 1:
            raise FrameError("a question came out of turn", where="shared numbers")
        return (self._advance(arrays),)

    # --- one site ---
    def _fresh(self) -> Array:
        self._key = X25519PrivateKey.from_private_bytes(random_bytes(32))
        self._script = None
        return np.frombuffer(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), np.uint8)

    def _begin(self, sites: tuple[str, ...], me: str, publics: Array) -> Array:
        if self._key is None or len(sites) < self.least:
            raise FrameError("shared numbers are asked for before keys, or among too few", where="shared numbers")
        rank = sites.index(me)
        self._boxes = []
        for i, peer in enumerate(sites):
            if i == rank:
                self._boxes.append(None)
                continue
            try:
                secret = self._key.exchange(X25519PublicKey.from_public_bytes(publics[i].tobytes()))
            except ValueError:
                raise FrameError("a public key is not valid", party=peer, where="shared numbers") from None
            self._boxes.append((_box(secret, me, peer), _box(secret, peer, me)))
        self._key = None
        self._rank, self._sites, self._turn = rank, sites, 0
        self._script = self.script(Machine(len(sites), rank))
        self._pending = next(self._script)
        return self._out()

    def _advance(self, arrays: Arrays) -> Array:
        """Give the script what came; what it sends next (nothing when it has ended)."""
        pending, script, n = self._pending, self._script, len(self._sites)
        if pending is None or script is None:
            raise FrameError("a question came after the end", where="shared numbers")
        if isinstance(pending, Open):
            if len(arrays) != 1 or Spec.of(arrays[0]) != Spec("uint64", pending.share.shape):
                raise FrameError("opened numbers have another shape", where="shared numbers")
            came = arrays[0]
        else:
            if len(arrays) != 1 or Spec.of(arrays[0]) != Spec("uint8", (n, 8 * pending.shares.shape[1] + TAG)):
                raise FrameError("shares have another shape", where="shared numbers")
            came = np.stack([self._unseal(i, arrays[0][i], pending) for i in range(n)])
        _check(came, self._sites[0])
        self._turn += 1
        try:
            self._pending = script.send(came)
        except StopIteration as end:
            self._found, self._pending, self._script = end.value, None, None
            return np.zeros(0, np.uint8)
        return self._out()

    def _out(self) -> Array:
        """What the script sends now: opened shares, or a sealed row for every site (an empty one for this site)."""
        pending = self._pending
        if not isinstance(pending, Deal):
            return pending.share if pending is not None else np.zeros(0, np.uint64)
        out = np.zeros((len(self._sites), 8 * pending.shares.shape[1] + TAG), np.uint8)
        for i, pair in enumerate(self._boxes):
            if pair is not None:
                plain = np.ascontiguousarray(pending.shares[i]).tobytes()
                out[i] = np.frombuffer(pair[0].encrypt(self._nonce(), plain, None), np.uint8)
        return out

    def _unseal(self, i: int, sealed: Array, pending: Deal) -> Elements:
        pair = self._boxes[i]
        if pair is None:
            return np.asarray(pending.shares[self._rank])
        try:
            plain = pair[1].decrypt(self._nonce(), sealed.tobytes(), None)
        except InvalidTag:
            raise FrameError("shares do not open", party=self._sites[i], where="shared numbers") from None
        return np.frombuffer(plain, np.uint64)

    def _nonce(self) -> bytes:
        return self._turn.to_bytes(12, "little")  # each direction of each attempt has a key of its own

    @staticmethod
    def _spec(pending: Deal | Open, n: int) -> Spec:
        if isinstance(pending, Open):
            return Spec("uint64", pending.share.shape)
        return Spec("uint8", (n, 8 * pending.shares.shape[1] + TAG))


def _box(secret: bytes, sender: str, receiver: str) -> ChaCha20Poly1305:
    label = b"\0".join([b"ppc/mpc/aggregate/machine", secret, sender.encode(), receiver.encode()])
    return ChaCha20Poly1305(hashlib.sha256(label).digest())


def _check(values: Elements, party: str) -> None:
    if values.size and int(values.max()) >= field.PRIME:
        raise FrameError("a share is no residue", party=party, where="shared numbers")

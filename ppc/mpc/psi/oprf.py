"""A pseudo-random function of one party's keys that another party may compute for its own set only.

`receive` gives F(x) for each key x of the receiver; `send` gives the sender F itself, to evaluate on any keys. It is
RR22's function (steps 1–3 of `ppc.mpc.psi.rr22`): with C = A·Δ + B from vector OLE and the receiver's set packed in a
store P with Decode(P, x) = v(x), the receiver sends P ⊕ A, and

    F(y) = H(Decode(B ⊕ Δ·(P ⊕ A), y) ⊕ Δ·v(y)),   which for a key of the receiver is H(Decode(C, y)).

What protocols build on it: values that only a common key opens (`program`, `query`: an oblivious *programmable*
pseudo-random function). The sender packs y → z(y) ⊕ F(y) into a second store; the receiver reads z(x) at its keys that
the sender programmed, and something that looks random at all others.

Threat: semi-honest, two parties; assumptions as in `ppc.mpc.psi.rr22`.
Leaks: to both the number of the other's keys.
Cost: `receive`: 16 bytes a block of a store for its keys (1.35 a key at 2^20), and the correlations (0.8 MB with
    `silent`, 2 KB a block with `ot`). `program`: 16 bytes a block of a store for the sender's keys.
Source: Rindal, Schoppmann, EUROCRYPT 2021 (the function); Kolesnikov, Matania, Pinkas, Rosulek, Trieu, CCS 2017
    (programmable functions); Garimella, Pinkas, Rosulek, Trieu, Yanai, CRYPTO 2021 (stores in their place).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.core import aes, gf128, rng
from ppc.mpc.ot import vole
from ppc.mpc.psi import okvs, rr22
from ppc.mpc.psi.keys import Keys
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]
Function = Callable[[Keys], Words]

_ROWS_A_FRAME: Final = 1 << 20  # 16 MB of a store


@dataclass(frozen=True, repr=False, eq=False)
class Inputs:
    """What the function is taken at, each (n, 2): where it lies in a store, and what it is mapped to."""

    place: Words
    r: Words
    value: Words

    def __len__(self) -> int:
        return len(self.place)

    def __repr__(self) -> str:
        return f"<Inputs {len(self)}>"

    @staticmethod
    def of(keys: Keys, salt: bytes, label: str) -> Inputs:
        """A party's keys. Another label gives other, independent inputs for the same keys."""
        return Inputs(*(keys.hashed(salt, f"{label} {part}") for part in ("place", "r", "value")))


class Key:
    """The function, at the party that holds it."""

    def __init__(self, store: Words, delta: Words, sizes: okvs.Layout) -> None:
        self._store = store
        self._delta = delta
        self._sizes = sizes

    def __repr__(self) -> str:
        return f"<oprf.Key for {self._sizes.rows} keys>"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("the key of a pseudo-random function is not pickled")

    def evaluate(self, inputs: Inputs) -> Words:
        """F at any inputs, to be hashed by `finish`; uint64 (n, 2)."""
        found = okvs.decode(inputs.place, inputs.r, self._store, self._sizes)
        gf128.add_scaled(found, inputs.value, self._delta)
        return found


def learn(channel: Channel, inputs: Inputs, salt: bytes, randomness: vole.Randomness = "silent") -> Words:
    """F at my inputs, to be hashed by `finish`; uint64 (n, 2). At least one input, all distinct."""
    sizes = okvs.layout(len(inputs))
    party = vole.Receiver(channel, salt)
    a = party.start(sizes.blocks, rr22.how(sizes.blocks, randomness))
    store = okvs.encode(inputs.place, inputs.r, inputs.value, sizes, rng.os_stream())
    store ^= a
    del a
    send_store(channel, "oprf store", store)
    del store
    return okvs.decode(inputs.place, inputs.r, party.finish(), sizes)


def hold(channel: Channel, theirs: int, salt: bytes, randomness: vole.Randomness = "silent") -> Key:
    """Take part as the holder of the function, for a peer with `theirs` inputs (at least one)."""
    sizes = okvs.layout(theirs)
    party = vole.Sender(channel, salt)
    k = party.random(sizes.blocks, rr22.how(sizes.blocks, randomness))
    for part in _parts(k):
        (masked,) = channel.recv("oprf store", Spec(np.uint64, part.shape))
        gf128.add_scaled(part, masked, party.delta)
    return Key(k, party.delta, sizes)


def finish(blocks: Words, salt: bytes, label: str = "") -> Words:
    """The hash that ends F: one block under each label, independent ones under different labels; uint64 (n, 2)."""
    return aes.mmo(hashlib.sha256(b"ppc oprf output v1" + label.encode() + salt).digest()[:16], blocks)


def receive(channel: Channel, keys: Keys, salt: bytes, randomness: vole.Randomness = "silent") -> Words:
    """F of each of my keys; uint64 (n, 2). `salt` is fixed after both parties' keys are. At least one key."""
    return finish(learn(channel, Inputs.of(keys, salt, "oprf"), salt, randomness), salt)


def send(channel: Channel, theirs: int, salt: bytes, randomness: vole.Randomness = "silent") -> Function:
    """F, for a receiver with `theirs` keys (at least one)."""
    key = hold(channel, theirs, salt, randomness)
    return lambda keys: finish(key.evaluate(Inputs.of(keys, salt, "oprf")), salt)


def program(channel: Channel, function: Function, keys: Keys, values: Words, salt: bytes) -> None:
    """Send a store by which the receiver of `function` reads `values` (n, 2) at my `keys`, and noise elsewhere.

    Which keys were programmed stays hidden, as the masked values are pseudo-random and the store's free blocks random.
    """
    sizes = okvs.layout(len(keys))
    masked = function(keys) ^ values
    place, r = keys.hashed(salt, "opprf place"), keys.hashed(salt, "opprf r")
    send_store(channel, "opprf store", okvs.encode(place, r, masked, sizes, rng.os_stream()))


def query(channel: Channel, keys: Keys, mine: Words, programmed: int, salt: bytes) -> Words:
    """What the peer programmed, read at my `keys`, for which F is `mine`; uint64 (n, 2). It programmed `programmed`."""
    sizes = okvs.layout(programmed)
    store = receive_store(channel, "opprf store", sizes)
    return okvs.decode(keys.hashed(salt, "opprf place"), keys.hashed(salt, "opprf r"), store, sizes) ^ mine


def salted(salt: bytes, label: str) -> bytes:
    """A salt of its own for a part of a session."""
    return hashlib.sha256(b"ppc psi part v1 " + label.encode() + b"\0" + salt).digest()


def _parts(store: Words) -> list[Words]:
    return [store[at : at + _ROWS_A_FRAME] for at in range(0, len(store), _ROWS_A_FRAME)]


def send_store(channel: Channel, tag: str, store: Words) -> None:
    """A store in frames of bounded size."""
    for part in _parts(store):
        channel.send(tag, part)


def receive_store(channel: Channel, tag: str, sizes: okvs.Layout) -> Words:
    """What `send_store` sent; (blocks, 2)."""
    store = np.empty((sizes.blocks, 2), np.uint64)
    for part in _parts(store):
        (part[:],) = channel.recv(tag, Spec(np.uint64, part.shape))
    return store

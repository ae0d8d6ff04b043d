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


def receive(channel: Channel, keys: Keys, salt: bytes, randomness: vole.Randomness = "silent") -> Words:
    """F of each of my keys; uint64 (n, 2). `salt` is fixed after both parties' keys are. At least one key."""
    sizes = okvs.layout(len(keys))
    place, r, value = (keys.hashed(salt, label) for label in ("oprf place", "oprf r", "oprf value"))
    party = vole.Receiver(channel, salt)
    a = party.start(sizes.blocks, rr22.how(sizes.blocks, randomness))
    store = okvs.encode(place, r, value, sizes, rng.os_stream())
    store ^= a
    _send_store(channel, "oprf store", store)
    return _hash(salt, okvs.decode(place, r, party.finish(), sizes))


def send(channel: Channel, theirs: int, salt: bytes, randomness: vole.Randomness = "silent") -> Function:
    """F, for a receiver with `theirs` keys (at least one)."""
    sizes = okvs.layout(theirs)
    party = vole.Sender(channel, salt)
    k = party.random(sizes.blocks, rr22.how(sizes.blocks, randomness))
    for part in _parts(k):
        (masked,) = channel.recv("oprf store", Spec(np.uint64, part.shape))
        gf128.add_scaled(part, masked, party.delta)

    def evaluate(keys: Keys) -> Words:
        found = okvs.decode(keys.hashed(salt, "oprf place"), keys.hashed(salt, "oprf r"), k, sizes)
        gf128.add_scaled(found, keys.hashed(salt, "oprf value"), party.delta)
        return _hash(salt, found)

    return evaluate


def program(channel: Channel, function: Function, keys: Keys, values: Words, salt: bytes) -> None:
    """Send a store by which the receiver of `function` reads `values` (n, 2) at my `keys`, and noise elsewhere.

    Which keys were programmed stays hidden, as the masked values are pseudo-random and the store's free blocks random.
    """
    sizes = okvs.layout(len(keys))
    masked = function(keys) ^ values
    place, r = keys.hashed(salt, "opprf place"), keys.hashed(salt, "opprf r")
    _send_store(channel, "opprf store", okvs.encode(place, r, masked, sizes, rng.os_stream()))


def query(channel: Channel, keys: Keys, mine: Words, programmed: int, salt: bytes) -> Words:
    """What the peer programmed, read at my `keys`, for which F is `mine`; uint64 (n, 2). It programmed `programmed`."""
    sizes = okvs.layout(programmed)
    store = np.empty((sizes.blocks, 2), np.uint64)
    for part in _parts(store):
        (part[:],) = channel.recv("opprf store", Spec(np.uint64, part.shape))
    return okvs.decode(keys.hashed(salt, "opprf place"), keys.hashed(salt, "opprf r"), store, sizes) ^ mine


def _hash(salt: bytes, blocks: Words) -> Words:
    return aes.mmo(hashlib.sha256(b"ppc oprf output v1" + salt).digest()[:16], blocks)


def _parts(store: Words) -> list[Words]:
    return [store[at : at + _ROWS_A_FRAME] for at in range(0, len(store), _ROWS_A_FRAME)]


def _send_store(channel: Channel, tag: str, store: Words) -> None:
    for part in _parts(store):
        channel.send(tag, part)

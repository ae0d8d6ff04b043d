"""Silent correlated transfers: a few that are made with messages stretch to a million with a public code.

Δ is that of the extension beneath (`softspoken`), its lowest bit is 1. The receiver chooses one place in each of the t
blocks of a sparse vector e; by punctured trees (`ggm`) the parties get rows with q = t everywhere but there, where the
transfer's own Δ is put in: t ⊕ q = e·Δ. A public code G compresses both sides (`lpn`): G·t ⊕ G·q = (G·e)·Δ, and G·e
looks random. The lowest bit of a row tells the choice: the sender clears it in its rows, the receiver in all but its
places, so it adds up to G·e without a second pass.

Threat: semi-honest, LPN as described in `lpn`; fixed-key AES as an ideal permutation. Rows keep 127 bits.
Leaks: the number of transfers.
Cost: for each batch ⌈log2(leaves)⌉ transfers and 32 bytes a level and block, 16 bytes a block; 1 round. For 2^20
transfers that is 0.15 bytes each.
Source: Boyle, Couteau, Gilboa, Ishai, Kohl, Scholl, CRYPTO 2019; Boyle et al., CCS 2019; the choice in the lowest bit:
Yang, Weng, Lan, Zhang, Wang, "Ferret", CCS 2020, §3.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import aes, bits, rng
from ppc.mpc.ot import ggm, lpn, softspoken
from ppc.net.channel import Channel, Spec

Words: TypeAlias = NDArray[np.uint64]

_ALL_BUT_LOWEST = np.uint64(2**64 - 2)


class Sender:
    """The party with Δ."""

    def __init__(
        self, channel: Channel, extension: softspoken.Sender, trees: ggm.Keys, code: bytes, hash_key: bytes
    ) -> None:
        self._channel = channel
        self._extension = extension
        self._trees = trees
        self._code = code
        self._hash = hash_key

    def extend(self, words: int) -> Words:
        """Rows q, uint64 (64 · words, 2)."""
        sizes = lpn.code(64 * words)
        t, depth = sizes.trees, ggm.depth_of(sizes.leaves)
        leaves, sums = ggm.grow(rng.os_stream().uint64((t, 2)), sizes.leaves, self._trees)
        leaves[:, :, 0] &= _ALL_BUT_LOWEST
        m = bits.words_for(t * depth + t)
        (u,) = self._channel.recv("ot columns", self._extension.spec(m))
        q = self._extension.extend(u)
        paths, places = q[: t * depth], q[t * depth : t * depth + t]
        pads = np.stack([aes.mmo(self._hash, paths), aes.mmo(self._hash, paths ^ self._extension.delta)], axis=1)
        last = np.bitwise_xor.reduce(leaves, axis=1) ^ places
        self._channel.send("ot silent", sums ^ pads.reshape(sums.shape), last)
        return lpn.compress(leaves.reshape(-1, 2), sizes, self._code)


class Receiver:
    """The party that chooses."""

    def __init__(
        self, channel: Channel, extension: softspoken.Receiver, trees: ggm.Keys, code: bytes, hash_key: bytes
    ) -> None:
        self._channel = channel
        self._extension = extension
        self._trees = trees
        self._code = code
        self._hash = hash_key

    def extend(self, words: int) -> tuple[Words, Words]:
        """Choices r, packed (words,), and rows t, uint64 (64 · words, 2)."""
        sizes = lpn.code(64 * words)
        t, depth = sizes.trees, ggm.depth_of(sizes.leaves)
        positions = rng.os_stream().integers(0, sizes.leaves, t)
        sides = ggm.path_sides(positions, sizes.leaves)
        choices = bits.pack(np.concatenate([1 - sides.reshape(-1), np.ones(t, np.uint8)]).astype(np.bool_))
        rows, u = self._extension.extend(choices)
        self._channel.send("ot columns", u)
        pads = aes.mmo(self._hash, rows[: t * depth]).reshape(t, depth, 2)
        masked, last = self._channel.recv("ot silent", Spec(np.uint64, (t, depth, 2, 2)), Spec(np.uint64, (t, 2)))
        away = np.take_along_axis(masked, (1 - sides).astype(np.int64)[:, :, None, None], axis=2)[:, :, 0]
        leaves = ggm.grow_punctured(positions, away ^ pads, sizes.leaves, self._trees)
        leaves[:, :, 0] &= _ALL_BUT_LOWEST
        known = np.bitwise_xor.reduce(leaves, axis=1)
        # last ⊕ known is the missing leaf ⊕ q of the place; with t = q ⊕ Δ the leaf becomes leaf ⊕ Δ, lowest bit 1.
        leaves[np.arange(t), positions] = last ^ known ^ rows[t * depth : t * depth + t]
        out = lpn.compress(leaves.reshape(-1, 2), sizes, self._code)
        return bits.pack((out[:, 0] & np.uint64(1)).astype(np.bool_)), out

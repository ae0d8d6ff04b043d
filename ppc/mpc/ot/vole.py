"""Random vector oblivious linear evaluation over GF(2^128): C = A·Δ + B, A and C at one party, Δ and B at the other.

The two parties call `Sender` and `Receiver`, which run the base transfers, then `random` for as many places as
needed. Two ways to make them:

- `ot` (conservative, nothing but base transfers and a stream cipher): for each bit Δ_i the holder of A has two streams
  and the other party one of them. U_i = T_i ⊕ PRG(key_i,1) ⊕ A turns T_i = PRG(key_i,0) into Q_i = T_i ⊕ Δ_i·A at the
  other side; weighted by x^i they add up to C and B. 2 KB a place.
- `silent`: t places are made that way, and become the noisy places of t punctured trees (`ggm`) whose other leaves
  both parties know; a public code compresses them (`lpn`). A few hundred KB in all, for any number of places.

The holder of Δ is called the sender, as in RR22.

Threat: semi-honest. `silent` rests on LPN as described in `lpn`, both on fixed-key AES as an ideal permutation.
Leaks: the number of places.
Source: Gilboa, CRYPTO '99 and IKNP 2003 (`ot`, with a vector in place of a bit); Boyle, Couteau, Gilboa, Ishai, CCS
    2018; Boyle et al., CCS 2019; Schoppmann, Gascón, Reichert, Raykova, CCS 2019 (`silent`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits, rng
from ppc.core.rng import Stream
from ppc.errors import InternalError
from ppc.mpc.ot import base, extension, ggm, lpn
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]
Randomness = Literal["silent", "ot"]

BITS: Final = 128  # of Δ
_PLACES_A_MESSAGE: Final = 1 << 12  # 8 MB
_NONCE: Final = 0x766F  # not that of `extension`


class _Public:
    """Public keys of a session, from a salt that both parties contributed to."""

    def __init__(self, salt: bytes) -> None:
        def key(label: bytes) -> bytes:
            return hashlib.sha256(b"ppc vole v1 " + label + salt).digest()[:16]

        self.tree = (key(b"left"), key(b"right"))
        self.transfer = key(b"transfer")
        self.code = key(b"code")


class Sender:
    """The party with Δ (`delta`, uint64 (2,), random)."""

    def __init__(self, channel: Channel, salt: bytes) -> None:
        self._channel = channel
        self._public = _Public(salt)
        secrets = np.frombuffer(rng.random_bytes(32), np.uint64).copy()
        self.delta, self._secret = secrets[:2], secrets[2:]  # for the places, and for OT extension
        keys = base.receive(channel, bits.unpack(secrets, 2 * BITS))
        self._delta_keys, self._secret_keys = keys[:BITS], keys[BITS:]
        self._batch = 0
        self._streams = [Stream(k.tobytes(), _NONCE) for k in self._delta_keys]

    def __repr__(self) -> str:
        return f"<vole.Sender to {self._channel.peer}>"

    def random(self, n: int, how: Randomness = "silent") -> Words:
        """B for n random places; uint64 (n, 2)."""
        return self._silent(n) if how == "silent" else self._direct(n)

    def _direct(self, n: int) -> Words:
        from ppc.core._kernels_gf128 import shift_add

        masks = np.uint64(0) - bits.unpack(self.delta, BITS).astype(np.uint64)
        out = np.zeros((n, 2), np.uint64)
        for start in range(0, n, _PLACES_A_MESSAGE):
            width = min(_PLACES_A_MESSAGE, n - start)
            (u,) = self._channel.recv("vole columns", Spec(np.uint64, (BITS, width, 2)))
            part = out[start : start + width]
            for i in reversed(range(BITS)):
                q = self._streams[i].uint64((width, 2))
                q ^= u[i] & masks[i]
                shift_add(part, q)
        return out

    def _silent(self, n: int) -> Words:
        sizes = lpn.code(n)
        roots = rng.os_stream().uint64((sizes.trees, 2))
        leaves, sums = ggm.grow(roots, sizes.leaves, self._public.tree)  # while the other party compresses its noise
        b = self._direct(sizes.trees)
        pads = extension.send(
            self._channel, self._secret_keys, self._secret, sums.shape[0] * sums.shape[1], self._public.transfer,
            batch=self._batch,
        )  # fmt: skip
        self._batch += 1
        last = np.bitwise_xor.reduce(leaves, axis=1) ^ b
        self._channel.send("vole trees", sums ^ pads.reshape(sums.shape), last)
        return lpn.compress(leaves.reshape(-1, 2), sizes, self._public.code)


class Receiver:
    """The party with A and C."""

    def __init__(self, channel: Channel, salt: bytes) -> None:
        self._channel = channel
        self._public = _Public(salt)
        keys = base.send(channel, 2 * BITS)
        self._secret_keys = keys[BITS:]
        self._batch = 0
        self._streams = [tuple(Stream(k.tobytes(), _NONCE) for k in pair) for pair in keys[:BITS]]
        self._rest: Callable[[], Words] = _nothing_started

    def __repr__(self) -> str:
        return f"<vole.Receiver from {self._channel.peer}>"

    def random(self, n: int, how: Randomness = "silent") -> tuple[Words, Words]:
        """(A, C) for n random places; uint64 (n, 2) each."""
        a = self.start(n, how)
        return a, self.finish()

    def start(self, n: int, how: Randomness = "silent") -> Words:
        """Send what the sender needs, and compute A (n, 2), which depends on this party alone. Then call `finish`."""
        stream = rng.os_stream()
        if how == "ot":
            a = stream.uint64((n, 2))
            c = self._direct(a)
            self._rest = lambda: c
            return a
        sizes = lpn.code(n)
        noise = stream.uint64((sizes.trees, 2))
        positions = stream.integers(0, sizes.leaves, sizes.trees)
        c = self._direct(noise)
        sides = ggm.path_sides(positions, sizes.leaves)
        pads = extension.receive(
            self._channel, self._secret_keys, 1 - sides.reshape(-1), self._public.transfer, batch=self._batch
        )
        self._batch += 1
        self._rest = lambda: self._silent(sizes, positions, sides, c, pads)
        sparse = np.zeros((sizes.trees, sizes.leaves, 2), np.uint64)
        sparse[np.arange(sizes.trees), positions] = noise
        return lpn.compress(sparse.reshape(-1, 2), sizes, self._public.code)

    def finish(self) -> Words:
        """C (n, 2) for the A of `start`."""
        rest, self._rest = self._rest, _nothing_started
        return rest()

    def _direct(self, a: Words) -> Words:
        from ppc.core._kernels_gf128 import shift_add

        out = np.zeros_like(a)
        for start in range(0, len(a), _PLACES_A_MESSAGE):
            piece, part = a[start : start + _PLACES_A_MESSAGE], out[start : start + _PLACES_A_MESSAGE]
            u = np.empty((BITS, *piece.shape), np.uint64)
            for i in reversed(range(BITS)):
                zero, one = self._streams[i]
                t = zero.uint64(piece.shape)
                u[i] = t ^ one.uint64(piece.shape) ^ piece
                shift_add(part, t)
            self._channel.send("vole columns", u)
        return out

    def _silent(
        self, sizes: lpn.Code, positions: NDArray[np.int64], sides: NDArray[np.uint8], c: Words, pads: Words
    ) -> Words:
        shape = (*sides.shape, 2)
        masked, last = self._channel.recv(
            "vole trees", Spec(np.uint64, (*shape[:2], 2, 2)), Spec(np.uint64, (sizes.trees, 2))
        )
        away = np.take_along_axis(masked, (1 - sides).astype(np.int64)[:, :, None, None], axis=2)[:, :, 0]
        sums: Words = np.bitwise_xor(away, pads.reshape(shape))
        leaves = ggm.grow_punctured(positions, sums, sizes.leaves, self._public.tree)
        trees = np.arange(sizes.trees)
        leaves[trees, positions] = last ^ c ^ np.bitwise_xor.reduce(leaves, axis=1)
        return lpn.compress(leaves.reshape(-1, 2), sizes, self._public.code)


def _nothing_started() -> Words:
    raise InternalError("finish follows start", where="vole.Receiver")

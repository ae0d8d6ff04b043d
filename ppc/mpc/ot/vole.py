"""Random vector oblivious linear evaluation over GF(2^128): C = A·Δ + B, A and C at one party, Δ and B at the other.

The two parties call `Sender` and `Receiver`, which run the base transfers, then `random` for as many places as
needed. Two ways to make them:

- `ot` (conservative, nothing but base transfers and a stream cipher): for each bit Δ_i the holder of A has two streams
  and the other party one of them. U_i = T_i ⊕ PRG(key_i,1) ⊕ A turns T_i = PRG(key_i,0) into Q_i = T_i ⊕ Δ_i·A at the
  other side; weighted by x^i they add up to C and B. 2 KB a place.
- `silent`: t places are made that way, and become the noisy places of t punctured trees (`ggm`) whose other leaves
  both parties know; a public code compresses them (`lpn`). A few hundred KB in all, for any number of places.

The holder of Δ is called the sender, as in RR22.

Threat: semi-honest; malicious with `checked`, see below. `silent` rests on LPN as described in `lpn`, both on fixed-key
    AES as an ideal permutation.
Leaks: the number of places.

With `checked`, four things are different.

1. The columns of both ways are checked (`checks`): whoever sends them guesses bits of Δ, or is caught.
2. Trees are complete. In a tree cut on the right, a receiver could ask for a path that leads to no leaf, learn all
   leaves, and with them Δ.
3. The sender of the trees may have put anything in them. The receiver tells random χ for all places, and
   x = Σ χ_j·(A's sparse form)_j + a* for one more random correlation C* = a*·Δ + B*; the sender answers with a hash of
   Y = Σ χ_j·(B's sparse form)_j + B* + x·Δ, which must be that of Σ χ_j·(C's sparse form)_j + C*. What the receiver
   takes for B depends on its noisy places α; call it d(α). If the answer fits, then α is in the set where h(d(α)) is
   one value y. Let p be the probability of that over α, and P that of the likeliest d. As h is universal,
   p² <= P·p + (the chance that two different d collide), so p <= P + 2^-44 except with probability 2^-40 over χ. But
   d(α) is a value for each tree, so the likeliest d is "α_j lies in the set S_j for every tree j": the sender guessed
   that, was right, and is caught otherwise. LPN is assumed to bear such guesses (k bits of α, with probability
   2^-k); Boyle et al. 2019 and Weng et al. state it as LPN with static leakage.
4. The code is one for all sessions: nobody can look for a salt that gives a bad one.

A sender that deviates gets Δ and B of its choice, a receiver A and C, as in the ideal functionality.

Source: Gilboa, CRYPTO '99 and IKNP 2003 (`ot`, with a vector in place of a bit); Boyle, Couteau, Gilboa, Ishai, CCS
    2018; Boyle et al., CCS 2019; Schoppmann, Gascón, Reichert, Raykova, CCS 2019 (`silent`); Weng, Yang, Katz, Wang,
    "Wolverine", IEEE S&P 2021, figure 7, and Yang et al., "Ferret", CCS 2020 (the check of the trees).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ppc.core import bits, gf128, rng
from ppc.core.rng import Stream
from ppc.errors import InternalError
from ppc.mpc.ot import base, checks, extension, ggm, lpn
from ppc.net.channel import Channel, Spec

Words = NDArray[np.uint64]
Randomness = Literal["silent", "ot"]

BITS: Final = 128  # of Δ
_PLACES_A_MESSAGE: Final = 1 << 12  # 8 MB
_NONCE: Final = 0x766F  # not that of `extension`
_FIXED_CODE: Final = hashlib.sha256(b"ppc vole v1 the code of all checked sessions").digest()[:16]
_ANSWER_BYTES: Final = 32
_WEIGHTS_A_PIECE: Final = 1 << 14  # stays in the second-level cache


class _Public:
    """Public keys of a session, from a salt that both parties contributed to."""

    def __init__(self, salt: bytes, checked: bool) -> None:
        def key(label: bytes) -> bytes:
            return hashlib.sha256(b"ppc vole v1 " + label + salt).digest()[:16]

        self.tree = (key(b"left"), key(b"right"))
        self.transfer = key(b"transfer")
        self.code = _FIXED_CODE if checked else key(b"code")
        self.salt = salt

    def answer(self, total: Words) -> bytes:
        """What the holder of Δ answers to the check of the trees."""
        return hashlib.sha256(b"ppc vole v1 answer" + self.salt + total.tobytes()).digest()


class Sender:
    """The party with Δ (`delta`, uint64 (2,), random). `checked`: against a receiver that deviates."""

    def __init__(self, channel: Channel, salt: bytes, *, checked: bool = False) -> None:
        self._channel = channel
        self._public = _Public(salt, checked)
        self._checked = checked
        secrets = np.frombuffer(rng.random_bytes(32), np.uint64).copy()
        self.delta, self._secret = secrets[:2], secrets[2:]  # for the places, and for OT extension
        keys = base.receive(channel, bits.unpack(secrets, 2 * BITS), context=salt)
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
        total = n + self._checked  # the last place is for the check
        verifier = checks.Verifier(total) if self._checked else None
        out = np.zeros((total, 2), np.uint64)
        for start in range(0, total, _PLACES_A_MESSAGE):
            width = min(_PLACES_A_MESSAGE, total - start)
            if verifier:
                verifier.advance(width)
            (u,) = self._channel.recv("vole columns", Spec(np.uint64, (BITS, width, 2)))
            part = out[start : start + width]
            for i in reversed(range(BITS)):
                q = self._streams[i].uint64((width, 2))
                q ^= u[i] & masks[i]
                if verifier:
                    verifier.add(i, q)
                shift_add(part, q)
        if verifier:
            verifier.conclude(self._channel, "vole", self.delta)
        return out[:n]

    def _silent(self, n: int) -> Words:
        sizes = lpn.code(n, whole=self._checked)
        roots = rng.os_stream().uint64((sizes.trees, 2))
        leaves, sums = ggm.grow(roots, sizes.leaves, self._public.tree)  # while the other party compresses its noise
        b = self._direct(sizes.trees + self._checked)
        pads = extension.send(
            self._channel, self._secret_keys, self._secret, sums.shape[0] * sums.shape[1], self._public.transfer,
            batch=self._batch, checked=self._checked,
        )  # fmt: skip
        self._batch += 1
        last = np.bitwise_xor.reduce(leaves, axis=1) ^ b[: sizes.trees]
        self._channel.send("vole trees", sums ^ pads.reshape(sums.shape), last)
        if self._checked:
            seed, x = self._channel.recv("vole tree challenge", checks.CHALLENGE, checks.CHALLENGE)
            total = b[-1:].copy()
            gf128.add_scaled(total, x.reshape(1, 2), self.delta)
            _add_weighted(total[0], leaves.reshape(-1, 2), seed)
            self._channel.send_bytes("vole tree answer", self._public.answer(total))
        return lpn.compress(leaves.reshape(-1, 2), sizes, self._public.code)


class Receiver:
    """The party with A and C. `checked`: against a sender that deviates; the same at both."""

    def __init__(self, channel: Channel, salt: bytes, *, checked: bool = False) -> None:
        self._channel = channel
        self._public = _Public(salt, checked)
        self._checked = checked
        keys = base.send(channel, 2 * BITS, context=salt)
        self._secret_keys = keys[BITS:]
        self._batch = 0
        self._streams = [tuple(Stream(k.tobytes(), _NONCE) for k in pair) for pair in keys[:BITS]]
        self._zero_keys, self._words = keys[:BITS, 0], 0  # where the streams stand
        self._rest: Callable[[], Words] = _nothing_started

    def __repr__(self) -> str:
        return f"<vole.Receiver from {self._channel.peer}>"

    def random(self, n: int, how: Randomness = "silent") -> tuple[Words, Words]:
        """(A, C) for n random places; uint64 (n, 2) each."""
        a = self.start(n, how)
        return a, self.finish()

    def start(self, n: int, how: Randomness = "silent") -> Words:
        """Send what the sender needs, and compute A (n, 2), which depends on this party alone. Then call `finish`.

        If checked, all checks are over when this returns: A may be used, and `finish` only computes.
        """
        stream = rng.os_stream()
        if how == "ot":
            a = stream.uint64((n, 2))
            c = self._direct(a)
            self._rest = lambda: c
            return a
        sizes = lpn.code(n, whole=self._checked)
        noise = stream.uint64((sizes.trees + self._checked, 2))
        positions = stream.integers(0, sizes.leaves, sizes.trees)
        c = self._direct(noise)
        sides = ggm.path_sides(positions, sizes.leaves)
        pads = extension.receive(
            self._channel, self._secret_keys, 1 - sides.reshape(-1), self._public.transfer,
            batch=self._batch, checked=self._checked,
        )  # fmt: skip
        self._batch += 1
        if self._checked:
            leaves = self._leaves(sizes, positions, sides, c, pads)
            self._check_trees(leaves, positions, noise, c)
            self._rest = lambda: lpn.compress(leaves.reshape(-1, 2), sizes, self._public.code)
        else:
            self._rest = lambda: lpn.compress(
                self._leaves(sizes, positions, sides, c, pads).reshape(-1, 2), sizes, self._public.code
            )
        sparse = np.zeros((sizes.trees, sizes.leaves, 2), np.uint64)
        sparse[np.arange(sizes.trees), positions] = noise[: sizes.trees]
        return lpn.compress(sparse.reshape(-1, 2), sizes, self._public.code)

    def finish(self) -> Words:
        """C (n, 2) for the A of `start`."""
        rest, self._rest = self._rest, _nothing_started
        return rest()

    def _direct(self, a: Words) -> Words:
        from ppc.core._kernels_gf128 import shift_add

        n = len(a)
        if self._checked:
            a = np.concatenate([a, rng.os_stream().uint64((1, 2))])
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
        if self._checked:
            checks.answer(self._channel, "vole", len(a), lambda: self._again(a))
        self._words += 2 * len(a)
        return out[:n]

    def _again(self, a: Words) -> Iterator[tuple[Words, Callable[[int], Words]]]:
        """The columns T_i of the last message once more: a million places would be too many to keep."""
        streams = [Stream(k.tobytes(), _NONCE).seek_words(self._words) for k in self._zero_keys]
        for start in range(0, len(a), _PLACES_A_MESSAGE):
            piece = a[start : start + _PLACES_A_MESSAGE]
            yield piece, lambda i, shape=piece.shape: streams[i].uint64(shape)  # type: ignore[misc]

    def _check_trees(self, leaves: Words, positions: NDArray[np.int64], noise: Words, c: Words) -> None:
        """Have the sender prove that the leaves of all trees are its own, up to the noise; one round."""
        trees, width = leaves.shape[:2]
        seed = np.frombuffer(rng.random_key(), np.uint64)
        stream = Stream(seed.tobytes())
        places = width * np.arange(trees) + positions
        own = np.concatenate([stream.seek_words(2 * int(place)).uint64((1, 2)) for place in places])
        x, total = noise[-1].copy(), c[-1:].copy()
        gf128.add_dot(x, noise[:trees], own)
        self._channel.send("vole tree challenge", seed, x)
        _add_weighted(total[0], leaves.reshape(-1, 2), seed)
        answer = self._channel.recv_bytes("vole tree answer", _ANSWER_BYTES)
        if not hmac.compare_digest(answer, self._public.answer(total)):
            raise checks.inconsistent(self._channel, "vole trees")

    def _leaves(
        self, sizes: lpn.Code, positions: NDArray[np.int64], sides: NDArray[np.uint8], c: Words, pads: Words
    ) -> Words:
        """The sparse form of C; uint64 (trees, leaves, 2)."""
        shape = (*sides.shape, 2)
        masked, last = self._channel.recv(
            "vole trees", Spec(np.uint64, (*shape[:2], 2, 2)), Spec(np.uint64, (sizes.trees, 2))
        )
        away = np.take_along_axis(masked, (1 - sides).astype(np.int64)[:, :, None, None], axis=2)[:, :, 0]
        sums: Words = np.bitwise_xor(away, pads.reshape(shape))
        leaves = ggm.grow_punctured(positions, sums, sizes.leaves, self._public.tree)
        trees = np.arange(sizes.trees)
        leaves[trees, positions] = last ^ c[: sizes.trees] ^ np.bitwise_xor.reduce(leaves, axis=1)
        return leaves


def _add_weighted(out: Words, leaves: Words, seed: Words) -> None:
    """out (2,) ^= Σ χ_j · leaves[j] for the χ of a seed, some at a time."""
    stream = Stream(seed.tobytes())
    for start in range(0, len(leaves), _WEIGHTS_A_PIECE):
        part = leaves[start : start + _WEIGHTS_A_PIECE]
        gf128.add_dot(out, part, stream.uint64(part.shape))


def _nothing_started() -> Words:
    raise InternalError("finish follows start", where="vole.Receiver")

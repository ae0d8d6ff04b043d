"""Which pooled counts are small, and nothing else: the test that comes before a count may be opened.

For every cell the sites hold counts c_i; told is only whether 1 <= Σ c_i < minimum. Neither the sum nor, for a small
one, which small number it is, opens to anybody.

The sites encrypt their counts to a key that they hold jointly, as multiples of the group's base (exponential ElGamal).
The ciphertexts are added up; for each small value v one copy has v subtracted. Then every site in turn multiplies each
copy by a secret number and shuffles a cell's copies. A copy of a matching v decrypts to the neutral element, every
other one to a random element, and after the shuffles nobody knows which v it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import nacl.bindings as sodium
import numpy as np
from numpy.typing import NDArray

from ppc.core.rng import os_stream, random_bytes
from ppc.errors import ConfigError, FrameError, ProtocolAbort
from ppc.mpc.aggregate.star import Arrays, Operation, Outcome, Star, names
from ppc.net.channel import Array, Spec

POINT: Final = 32
MAX_MINIMUM: Final = 100

Counts = NDArray[np.int64]


class SmallCells(Operation):
    """Bits (m,): 1 where the pooled count is between 1 and minimum − 1.

    Cost: 3 rounds and one more for each site in turn; about 64 m · minimum bytes sent by a site, four times that by the
    leader for each site; two scalar multiplications (0.15 ms each) a cell, value and site.
    Threat: semi-honest; all sites but one may pool what they saw. Rests on decisional Diffie–Hellman in edwards25519.
    Leaks: the bits, to every site.
    Source: exponential ElGamal (Cramer, Gennaro, Schoenmakers, EUROCRYPT '97); the blinded, shuffled comparison is the
    plaintext equality test of Jakobsson and Juels, ASIACRYPT 2000.
    """

    def __init__(self, counts: Counts, minimum: int, parties: tuple[str, ...]) -> None:
        if not 1 <= minimum <= MAX_MINIMUM:
            raise ConfigError(f"the minimum cell count is between 1 and {MAX_MINIMUM}, not {minimum}")
        if counts.size and int(counts.min()) < 0:
            raise ConfigError("a count is negative")
        self._counts = counts.reshape(-1)
        self._values = range(1, minimum)
        self._parties = parties
        self._secret = b""
        self._blinded = False

    def lead(self, star: Star) -> Outcome:
        while True:
            sites = star.alive
            bits = self._attempt(star, sites)
            if bits is not None and star.alive == sites:
                return Outcome({}, (bits,), sites)

    def _attempt(self, star: Star, sites: tuple[str, ...]) -> NDArray[np.uint8] | None:
        """One run among `sites`; `None` as soon as one is lost: its part of the key is gone."""
        m, k = self._counts.size, len(self._values)
        keys = star.ask("key", {}, to=sites, specs=(Spec("uint8", POINT),))
        if star.alive != sites:
            return None
        points = np.stack([self._fresh(), *(keys[p][0] for p in sites[1:])])
        told = star.ask("encrypt", {}, (points,), to=sites, specs=(Spec("uint8", (m, 2, POINT)),))
        if star.alive != sites:
            return None
        pooled = self._encrypt(points)
        for part in told.values():
            for cell in range(m):
                for half in (0, 1):
                    pooled[cell, half] = _row(_add(pooled[cell, half], part[0][cell, half]))
        copies = self._copies(pooled)
        shape = Spec("uint8", (m, k, 2, POINT))
        copies = self._blind(copies)
        for party in sites[1:]:
            back = star.ask("blind", {}, (copies,), to=(party,), specs=(shape,))
            if party not in back:
                return None
            copies = back[party][0]
        heads = np.ascontiguousarray(copies[:, :, 0])
        parts = star.ask("open", {}, (heads,), to=sites, specs=(Spec("uint8", (m, k, POINT)),))
        if star.alive != sites:
            return None
        return self._decrypt(copies, [self._partial(heads), *(p[0] for p in parts.values())])

    def answer(self, verb: str, note: Mapping[str, Any], arrays: Arrays) -> Arrays:
        m, k = self._counts.size, len(self._values)
        if verb == "key":
            return (self._fresh(),)
        if verb == "encrypt":
            if len(arrays) != 1 or arrays[0].dtype != np.uint8 or arrays[0].shape[1:] != (POINT,):
                raise FrameError("the joint key is malformed", where="small cells")
            return (self._encrypt(arrays[0]),)
        shape = {"blind": (m, k, 2, POINT), "open": (m, k, POINT)}.get(verb)
        if shape is None or len(arrays) != 1 or Spec.of(arrays[0]) != Spec("uint8", shape):
            raise FrameError("an unknown question; do all sites run the same step?", where="small cells")
        if verb == "blind":
            return (self._blind(arrays[0]),)
        if not self._blinded:
            raise ProtocolAbort("a count would be opened before it was blinded", where="small cells")
        return (self._partial(arrays[0]),)

    # --- one site's part ---
    def _fresh(self) -> Array:
        """A new part of the joint key; its public half."""
        self._secret = _scalar()
        self._blinded = False
        return _row(sodium.crypto_scalarmult_ed25519_base_noclamp(self._secret))

    def _encrypt(self, points: Array) -> Array:
        joint = points[0].tobytes()
        for point in points[1:]:
            joint = _add(joint, point)
        out = np.empty((self._counts.size, 2, POINT), np.uint8)
        for cell, count in enumerate(self._counts.tolist()):
            r = _scalar()
            tail = _multiply(r, joint)
            if count:
                tail = sodium.crypto_core_ed25519_add(tail, _multiple(count))
            out[cell, 0] = _row(sodium.crypto_scalarmult_ed25519_base_noclamp(r))
            out[cell, 1] = _row(tail)
        return out

    def _copies(self, pooled: Array) -> Array:
        """For each cell and small value v: an encryption of (count − v)."""
        out = np.empty((len(pooled), len(self._values), 2, POINT), np.uint8)
        for j, v in enumerate(self._values):
            less = _multiple(v)
            for cell in range(len(pooled)):
                out[cell, j, 0] = pooled[cell, 0]
                out[cell, j, 1] = _row(sodium.crypto_core_ed25519_sub(pooled[cell, 1].tobytes(), less))
        return out

    def _blind(self, copies: Array) -> Array:
        """Multiply every copy by its own secret number, and shuffle each cell's copies."""
        self._blinded = True
        stream = os_stream()
        out = np.empty_like(copies)
        for cell in range(copies.shape[0]):
            for to, j in enumerate(stream.permutation(copies.shape[1]).tolist()):
                r = _scalar()
                for half in (0, 1):
                    out[cell, to, half] = _row(_multiply(r, copies[cell, j, half].tobytes()))
        return out

    def _partial(self, heads: Array) -> Array:
        out = np.empty_like(heads)
        for cell in range(heads.shape[0]):
            for j in range(heads.shape[1]):
                out[cell, j] = _row(_multiply(self._secret, heads[cell, j].tobytes()))
        return out

    @staticmethod
    def _decrypt(copies: Array, parts: list[Array]) -> NDArray[np.uint8]:
        bits = np.zeros(copies.shape[0], np.uint8)
        for cell in range(copies.shape[0]):
            for j in range(copies.shape[1]):
                mask = parts[0][cell, j].tobytes()
                for part in parts[1:]:
                    mask = _add(mask, part[cell, j])
                if mask == copies[cell, j, 1].tobytes():
                    bits[cell] = 1
        return bits


# --- the group: the subgroup of prime order of edwards25519, points as 32 bytes ---
def _scalar() -> bytes:
    """A uniform number modulo the group's order."""
    return sodium.crypto_core_ed25519_scalar_reduce(random_bytes(64))


def _multiple(count: int) -> bytes:
    return sodium.crypto_scalarmult_ed25519_base_noclamp(int(count).to_bytes(32, "little"))


def _multiply(scalar: bytes, point: bytes) -> bytes:
    try:
        return sodium.crypto_scalarmult_ed25519_noclamp(scalar, point)
    except Exception:
        raise FrameError("a point of the group is not valid", where="small cells") from None


def _add(a: bytes | Array, b: bytes | Array) -> bytes:
    left, right = (x if isinstance(x, bytes) else x.tobytes() for x in (a, b))
    try:
        return sodium.crypto_core_ed25519_add(left, right)
    except Exception:
        raise FrameError("a point of the group is not valid", where="small cells") from None


def _row(point: bytes) -> Array:
    return np.frombuffer(point, np.uint8)


__all__ = ["MAX_MINIMUM", "SmallCells", "names"]

"""Arrays for training across companies: a gradient computed blind, sums of vectors, and the way back to shares.

Vertical logistic regression, two parties. The label holder encrypts the residuals d (one a row) under its own key; the
partner computes X.T @ d on its features without reading d; masks the result; the label holder decrypts something
uniformly random; the partner takes its mask off. Neither learns more than the partner's own gradient.

    d_enc = encrypt_residuals(key, d)                       # label holder -> partner
    g_enc, unmask = masked_gradient(X, d_enc)               # partner -> label holder
    answer = open_masked(key, g_enc)                        # label holder -> partner
    gradient = unmask(answer)                               # partner
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gmpy2 import mpz
from numpy.typing import ArrayLike, NDArray

from ppc.core import rng
from ppc.errors import HeadroomExceeded, ParameterMismatch
from ppc.he.keys import need_private
from ppc.he.paillier.keys import PaillierPrivateKey, PaillierPublicKey, signed
from ppc.he.paillier.matrix import matmul
from ppc.he.paillier.modular import Words, to_ints, to_words
from ppc.he.paillier.packing import MASK_BITS, Packing, narrow
from ppc.he.paillier.vector import PaillierVector, aggregate

__all__ = [
    "Unmask",
    "aggregate",
    "encrypt_residuals",
    "encrypted_gradient",
    "masked",
    "masked_gradient",
    "open_masked",
    "share_of",
    "to_additive_shares",
]


def encrypt_residuals(
    key: PaillierPublicKey | PaillierPrivateKey,
    d: ArrayLike,
    *,
    frac_bits: int = 20,
    value_bits: int = 4,
    threads: int | None = None,
) -> PaillierVector:
    """Residuals (n,), |d| <= 2**value_bits, one a ciphertext."""
    return PaillierVector.encrypt(
        key, np.asarray(d, np.float64), packing=Packing.single(frac_bits, value_bits), threads=threads, name="residuals"
    )


def encrypted_gradient(
    features: ArrayLike,
    residuals: PaillierVector,
    *,
    frac_bits: int = 20,
    value_bits: int = 11,
    threads: int | None = None,
) -> PaillierVector:
    """features.T @ residuals, for plain features (n, d) and encrypted residuals (n,): (d,)."""
    x = np.asarray(features)
    if x.ndim != 2 or len(x) != len(residuals):
        raise ParameterMismatch(f"features of shape {x.shape} for residuals of shape {residuals.shape}")
    return matmul(x.T, residuals, frac_bits=frac_bits, value_bits=value_bits, threads=threads)


@dataclass(frozen=True, repr=False)
class Unmask:
    """What the masking party keeps: it takes the masks off an answer of `open_masked`."""

    public: PaillierPublicKey
    masks: list[Any]
    packing: Packing

    def __call__(self, answer: Words) -> NDArray[np.float64]:
        """The numbers (count,) behind an answer (count, words of n)."""
        if answer.shape != (len(self.masks), -(-self.public.bits // 64)):
            raise ParameterMismatch(f"an answer of shape {answer.shape} for {len(self.masks)} masks")
        n = self.public.n
        exact = [int(signed((v - r) % n, n)) for v, r in zip(to_ints(answer), self.masks, strict=True)]
        return np.asarray(self.packing.decode(narrow(exact), "float64"), np.float64)

    def __repr__(self) -> str:
        return f"<Unmask shape=({len(self.masks)},) key={self.public.key_id[:12]}>"


def masked(vector: PaillierVector) -> tuple[PaillierVector, Unmask]:
    """Add a mask, uniform modulo n, to every number: whoever decrypts sees nothing but the mask's randomness."""
    vector._need_single("masking")
    public = vector.public
    masks = [mpz.from_bytes(rng.random_bytes(public.bits // 8 + 16), "little") % public.n for _ in vector.ciphertexts]
    # Fresh encryptions of the masks: they re-randomise the product too.
    rows = public.ring.multiply(vector.ciphertexts, public.encrypt_residues(masks))
    return vector._with(rows, vector.bound, fresh=True), Unmask(public, masks, vector.packing)


def masked_gradient(features: ArrayLike, residuals: PaillierVector, **options: Any) -> tuple[PaillierVector, Unmask]:
    """`encrypted_gradient`, masked, ready to be sent to the label holder."""
    return masked(encrypted_gradient(features, residuals, **options))


def open_masked(key: PaillierPrivateKey, vector: PaillierVector, *, threads: int | None = None) -> Words:
    """The masked numbers as residues modulo n: (count, words of n). Only `Unmask` can read them."""
    need_private(key)
    vector.public.check(key.key_id, "the key")
    return to_words(key.decrypt_residues(vector.ciphertexts, threads=threads), -(-key.public.bits // 64))


def to_additive_shares(vector: PaillierVector) -> tuple[PaillierVector, NDArray[np.uint64]]:
    """Turn ciphertexts into additive shares modulo 2**64, for the secret-sharing engine.

    The caller keeps the returned words (n,) as its share and sends the returned vector; whoever decrypts it takes
    `decrypt_encoded(key)` modulo 2**64 as the other share (`share_of`). The masks are 40 bits longer than the numbers.
    """
    vector._need_single("a conversion to shares")
    public = vector.public
    bits = max(64, vector.bound.bit_length()) + MASK_BITS
    if (1 << (bits + 1)) > vector.packing.limit(public.n):
        raise HeadroomExceeded("there is no room for masks 40 bits longer than the numbers")
    masks = [mpz.from_bytes(rng.random_bytes(-(-bits // 8)), "little") >> (-bits % 8) for _ in vector.ciphertexts]
    rows = public.ring.multiply(vector.ciphertexts, public.encrypt_residues(masks))
    mine = np.array([int(-r % (1 << 64)) for r in masks], np.uint64)
    return vector._with(rows, vector.bound + (1 << bits), fresh=True), mine


def share_of(key: PaillierPrivateKey, vector: PaillierVector) -> NDArray[np.uint64]:
    """The decrypting party's share (n,) of `to_additive_shares`."""
    return np.array([int(m) % (1 << 64) for m in vector.decrypt_encoded(key).tolist()], np.uint64)

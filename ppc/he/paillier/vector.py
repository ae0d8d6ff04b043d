"""Encrypted vectors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ppc.errors import ConfigError, HeadroomExceeded, ParameterMismatch, TypeMismatchError
from ppc.he.paillier.array import PaillierArray
from ppc.he.paillier.keys import PaillierPublicKey
from ppc.he.paillier.matrix import joint_products
from ppc.he.paillier.modular import to_words
from ppc.he.paillier.packing import Packing, narrow


class PaillierVector(PaillierArray):
    """An encrypted vector of shape (n,), or the encrypted sum of one, of shape ().

    It adds and subtracts (vectors, plain vectors), and multiplies by a plain number. With one number a ciphertext
    (`Packing.single`) it also multiplies by plain vectors and matrices.
    """

    kind: ClassVar[str] = "vector"
    __slots__ = ()

    @classmethod
    def _check_shape(cls, shape: tuple[int, ...], name: str) -> None:
        if len(shape) > 1:
            raise TypeMismatchError(f"a vector is needed, not an array of shape {shape}", where=name)
        if shape == (0,):
            raise ConfigError("an empty vector is not encrypted", where=name)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a single encrypted number has no length")
        return self.shape[0]

    def sum(self, *, show_partial_sums: bool = False, threads: int | None = None) -> PaillierVector:
        """The sum of all numbers, of shape ().

        The numbers of one slot add up to a partial sum in that slot. Whoever decrypts must not see those (of a short
        vector each is one number), so random masks that sum to zero are added to them.

        Args:
            show_partial_sums: leave the masks out, where whoever decrypts may see them. It needs no head-room.

        Raises:
            HeadroomExceeded: the sum, or the masks, need wider slots: `Packing.for_sums(rows)` gives them.
        """
        if self.folded or not self.shape:
            return self
        total = self.public.ring.product(self.ciphertexts, threads)
        bound = self.bound * len(self.ciphertexts)
        return fold(self.public, total, self.packing, bound, self.dtype, show_partial_sums=show_partial_sums)

    def dot(self, plain: ArrayLike, **options: Any) -> PaillierVector:
        """The inner product with a plain vector, of shape (); see `matmul` for the options."""
        weights = np.asarray(plain)
        if weights.shape != self.shape:
            raise ParameterMismatch(f"the inner product of shapes {weights.shape} and {self.shape}")
        return joint_products(self, weights[:, None], (), **options)

    def __getitem__(self, index: slice) -> PaillierVector:
        """A stretch of the vector; one number a ciphertext."""
        if not isinstance(index, slice):
            raise TypeMismatchError("an encrypted vector is cut with a slice", hint="x[i:i+1] is one number.")
        self._need_single("a slice")
        rows = self.ciphertexts[index]
        return self._with(rows, self.bound, shape=(len(rows),), fresh=self.fresh)


def fold(
    public: PaillierPublicKey, total: Any, packing: Packing, bound: int, dtype: str, *, show_partial_sums: bool = False
) -> PaillierVector:
    """The sum of all slots of one ciphertext, whose slots reach `bound`; see `PaillierVector.sum`."""
    single = packing.slot_bits is None
    rows = to_words([total], public.ring.words)
    partial = PaillierVector(public, rows, (), packing, bound, dtype, folded=True)
    if single or show_partial_sums:
        return partial
    bound += 1 << partial._mask_bits()
    if bound > packing.limit(public.n):
        raise HeadroomExceeded(
            "the slots have no room for the masks that hide the partial sums",
            hint="Encrypt with packing=Packing.for_sums(rows), or pass show_partial_sums=True.",
        )
    mask = packing.pack(narrow(partial._masks()), public.bits)[0]
    rows = to_words([total * (1 + public.n * (mask % public.n)) % public.n2], public.ring.words)
    return partial._with(rows, bound)


def aggregate(vectors: list[PaillierVector]) -> PaillierVector:
    """The sum of vectors that several parties encrypted under one key in one format.

    Raises:
        KeyMismatch: two keys.
        ParameterMismatch: two formats or shapes.
        HeadroomExceeded: too many for the slots; nothing is added then.
    """
    if not vectors:
        raise ConfigError("there is nothing to add")
    first, bound = vectors[0], sum(v.bound for v in vectors)
    for other in vectors[1:]:
        first._check_pair(other)
    empty = first._with(first.ciphertexts[:0], bound)
    rows = first.ciphertexts
    for other in vectors[1:]:
        rows = first.public.ring.multiply(rows, other.ciphertexts)
    return empty._with(rows, bound, fresh=len(vectors) == 1 and first.fresh)

"""Encrypted matrices, and products of plain matrices with encrypted vectors."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import gmpy2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.errors import ConfigError, ParameterMismatch, TypeMismatchError
from ppc.he.paillier.array import PaillierArray
from ppc.he.paillier.packing import Packing, as_numbers

Encrypted = TypeVar("Encrypted", bound=PaillierArray)


class PaillierMatrix(PaillierArray):
    """An encrypted matrix of shape (r, c), row after row."""

    kind: ClassVar[str] = "matrix"
    __slots__ = ()

    @classmethod
    def _check_shape(cls, shape: tuple[int, ...], name: str) -> None:
        if len(shape) != 2:
            raise TypeMismatchError(f"a matrix is needed, not an array of shape {shape}", where=name)
        if 0 in shape:
            raise ConfigError("an empty matrix is not encrypted", where=name)

    @property
    def T(self) -> PaillierMatrix:
        """The transpose; one number a ciphertext."""
        self._need_single("a transpose")
        r, c = self.shape
        order = np.arange(r * c).reshape(r, c).T.ravel()
        return self._with(self.ciphertexts[order], self.bound, shape=(c, r), fresh=self.fresh)


def matmul(
    plain: ArrayLike,
    encrypted: Encrypted,
    *,
    frac_bits: int = 20,
    value_bits: int = 11,
    threads: int | None = None,
) -> Encrypted:
    """plain @ encrypted, computed without reading `encrypted`; what `plain` is, the result alone tells.

    Args:
        plain: (m, n).
        encrypted: a vector (n,), giving (m,), or a matrix (n, c), giving (m, c); one number a ciphertext.
        frac_bits: of the plain numbers; the result has so many more.
        value_bits: |plain| <= 2**value_bits.

    Cost and head-room depend on the shape, `frac_bits` and `value_bits`, never on the plain numbers, zeros included.
    The result is exact in those formats. Re-randomise it before it is sent (`to_bytes` does). Whoever decrypts learns
    the exact product: mask it first (`mask`) if that is too much.
    """
    a = as_numbers(plain, "plain matrix")
    if a.ndim != 2 or a.shape[1] != encrypted.shape[0]:
        raise ParameterMismatch(f"the product of shapes {a.shape} and {encrypted.shape}")
    options: dict[str, Any] = {"frac_bits": frac_bits, "value_bits": value_bits, "threads": threads}
    if len(encrypted.shape) == 1:
        return joint_products(encrypted, a.T, (a.shape[0],), **options)
    columns = encrypted.shape[1]
    parts = []
    for j in range(columns):
        column = encrypted._with(encrypted.ciphertexts[j::columns], encrypted.bound)
        parts.append(joint_products(column, a.T, (a.shape[0], 1), **options))
    rows = np.stack([p.ciphertexts for p in parts], axis=1).reshape(-1, parts[0].ciphertexts.shape[1])
    return parts[0]._with(rows, parts[0].bound, shape=(a.shape[0], columns))


def joint_products(
    encrypted: Encrypted,
    weights: NDArray[Any],
    shape: tuple[int, ...],
    *,
    frac_bits: int = 20,
    value_bits: int = 11,
    threads: int | None = None,
) -> Encrypted:
    """out[j] = sum over i of weights[i, j] * encrypted[i]; weights (n, d), the result has the given shape.

    Exponents are made positive by adding 2**(bits) to all of them: the ciphertext of the sum of all numbers, raised to
    that power, is divided out again. So negative numbers cost no inversions, and every digit takes the same path.
    """
    encrypted._need_single("a product with a plain matrix")
    scale = Packing.single(frac_bits, value_bits)
    encoded = scale.encode(weights, "plain matrix")
    bits = scale.fresh_bits
    bound = (encrypted.bound << bits) * len(weights)
    dtype = "float64" if frac_bits else encrypted.dtype
    packing = encrypted.packing.shifted(frac_bits)
    empty = type(encrypted)(encrypted.public, encrypted.ciphertexts[:0], (0,), packing, bound, dtype)  # the head-room
    ring, n2 = encrypted.public.ring, encrypted.public.n2
    offset = 1 << bits
    rows = ring.joint_powers(encrypted.ciphertexts, encoded.astype(np.uint64) + np.uint64(offset), bits + 2, threads)
    everything = gmpy2.powmod(ring.product(encrypted.ciphertexts, threads), offset, n2)
    rows = ring.multiply(rows, ring.rows([gmpy2.invert(everything, n2)]), threads)
    return empty._with(rows, bound, shape=shape)

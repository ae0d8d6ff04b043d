"""Encrypted matrices of real numbers, column by column: rows lie in the slots, so a score needs no rotation.

Column j of (n, d) is a `CkksVector` of length n. A product with plain weights multiplies whole columns and adds them:
one ciphertext product for every column and every chunk of rows, and no Galois keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.errors import ConfigError, EnvelopeError, ParameterMismatch, SecretMisuse, TypeMismatchError, ValueRangeError
from ppc.he.chunks import open_envelope
from ppc.he.ckks import DEFAULT_MAX_ABS, CkksVector
from ppc.he.envelope import Envelope
from ppc.he.keys import PrivateKey, PublicKey
from ppc.he.lattice import CkksPrivateKey, CkksPublicKey
from ppc.he.paillier.packing import as_numbers

_MAX_COLUMNS = 1 << 16
_LENGTH_BYTES = 8


class CkksMatrix:
    """An encrypted matrix (n, d) of float64."""

    __slots__ = ("columns",)
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, columns: Sequence[CkksVector]) -> None:
        if not columns:
            raise ConfigError("a matrix has at least one column")
        for column in columns[1:]:
            columns[0].check_pair(column)
        self.columns = list(columns)

    @classmethod
    def encrypt(
        cls,
        key: CkksPublicKey | CkksPrivateKey,
        values: ArrayLike,
        *,
        max_abs: float | Sequence[float] = DEFAULT_MAX_ABS,
        names: Sequence[str] | None = None,
        progress: Callable[[float, str], None] | None = None,
    ) -> Self:
        """Encrypt numbers (n, d), |x| <= max_abs (one bound, or one a column). Errors as in `CkksVector.encrypt`."""
        x = as_numbers(values, "matrix")
        if x.ndim != 2:
            raise TypeMismatchError(f"a matrix is needed, not an array of shape {x.shape}", where="matrix")
        if 0 in x.shape:
            raise ConfigError("an empty matrix is not encrypted")
        bounds = np.broadcast_to(np.asarray(max_abs, np.float64), x.shape[1:]).tolist()
        columns = []
        for j, bound in enumerate(bounds):
            name = names[j] if names is not None else f"column {j}"
            columns.append(CkksVector.encrypt(key, x[:, j], max_abs=bound, name=name))
            if progress is not None:
                progress((j + 1) / len(bounds), "encrypting")
        return cls(columns)

    def decrypt(self, key: CkksPrivateKey) -> NDArray[np.float64]:
        """The numbers (n, d)."""
        return np.stack([c.decrypt(key) for c in self.columns], axis=1)

    @property
    def public(self) -> CkksPublicKey:
        key: CkksPublicKey = self.columns[0].public
        return key

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.columns[0]), len(self.columns)

    @property
    def level(self) -> int:
        """Products that may still follow."""
        return min(c.level for c in self.columns)

    @property
    def error(self) -> float:
        """An estimate of the largest absolute error."""
        return max(c.error for c in self.columns)

    def __add__(self, other: object) -> CkksMatrix:
        return CkksMatrix([a + b for a, b in zip(self.columns, self._operands(other), strict=True)])

    __radd__ = __add__

    def __sub__(self, other: object) -> CkksMatrix:
        return CkksMatrix([a - b for a, b in zip(self.columns, self._operands(other), strict=True)])

    def __mul__(self, other: object) -> CkksMatrix:
        return CkksMatrix([a * b for a, b in zip(self.columns, self._operands(other), strict=True)])

    __rmul__ = __mul__

    def __matmul__(self, plain: ArrayLike) -> Any:
        """self @ plain: weights (d,) give a `CkksVector` (n,), weights (d, k) a `CkksMatrix` (n, k)."""
        w = as_numbers(plain, "weights").astype(np.float64)
        if w.ndim not in (1, 2) or w.shape[0] != self.shape[1] or 0 in w.shape:
            raise ParameterMismatch(f"the product of shapes {self.shape} and {w.shape}")
        if not np.isfinite(w).all():
            raise ValueRangeError("NaN or infinite", where="weights")
        if w.ndim == 1:
            return self._combine(w)
        return CkksMatrix([self._combine(column) for column in w.T])

    def inner(self, other: CkksMatrix) -> CkksVector:
        """Row by row inner products with another encrypted matrix: (n,). `spread` makes one of encrypted weights."""
        products = (self * other).columns
        total = products[0]
        for column in products[1:]:
            total = total + column
        return total

    @classmethod
    def spread(
        cls,
        key: CkksPublicKey | CkksPrivateKey,
        weights: ArrayLike,
        rows: int,
        *,
        max_abs: float = DEFAULT_MAX_ABS,
    ) -> Self:
        """Encrypted weights (d,), the same in each of `rows` rows, for `inner`."""
        return cls.encrypt(key, np.tile(np.asarray(weights, np.float64), (rows, 1)), max_abs=max_abs)

    def _combine(self, weights: NDArray[np.float64]) -> CkksVector:
        # A weight of zero adds an encryption of zero, so the sum does not tell which weights are zero.
        total: CkksVector | None = None
        for column, weight in zip(self.columns, weights.tolist(), strict=True):
            part = column * weight
            total = part if total is None else total + part
        if total is None:
            raise ConfigError("a matrix has at least one column")
        return total

    def _operands(self, other: object) -> list[Any]:
        if isinstance(other, CkksMatrix):
            if other.shape != self.shape:
                raise ParameterMismatch(f"matrices of shapes {self.shape} and {other.shape} do not combine")
            return list(other.columns)
        x = as_numbers(other, "operand").astype(np.float64)  # type: ignore[arg-type]
        if x.ndim == 0:
            return [float(x)] * self.shape[1]
        if x.shape != self.shape:
            raise ParameterMismatch(f"a plain array of shape {x.shape} for an encrypted matrix of shape {self.shape}")
        return list(x.T)

    def to_bytes(self) -> bytes:
        """The matrix in an envelope, a vector a column."""
        parts = []
        for column in self.columns:
            data = column.to_bytes()
            parts += [len(data).to_bytes(_LENGTH_BYTES, "big"), data]
        public = self.public
        envelope = Envelope(
            "ckks", "matrix", public.key_id, public.parameter_hash, self.shape, "float64", {}, b"".join(parts)
        )
        return envelope.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, key: PublicKey | PrivateKey) -> Self:
        """The matrix of `to_bytes`. Errors as in `CkksVector.from_bytes`."""
        envelope = Envelope.from_bytes(data)
        public = open_envelope(envelope, "ckks", "matrix", key)
        if len(envelope.shape) != 2 or not 1 <= envelope.shape[1] <= _MAX_COLUMNS:
            raise EnvelopeError("the ciphertext's shape is not that of a matrix")
        columns, at, payload = [], 0, envelope.payload
        for _ in range(envelope.shape[1]):
            size = int.from_bytes(payload[at : at + _LENGTH_BYTES], "big")
            at += _LENGTH_BYTES
            if size == 0 or at + size > len(payload):
                raise EnvelopeError("a column of the ciphertext is cut off")
            columns.append(CkksVector.from_bytes(payload[at : at + size], public))
            at += size
        if at != len(payload) or any(c.shape != (envelope.shape[0],) for c in columns):
            raise EnvelopeError("the columns of the ciphertext are not what the header says")
        return cls(columns)

    def __repr__(self) -> str:
        return f"<CkksMatrix ckks shape={self.shape} key={self.public.key_id[:12]}>"

    def __bool__(self) -> bool:
        raise SecretMisuse("an encrypted matrix has no truth value", hint="Decrypt it first.")

    def __eq__(self, other: object) -> bool:
        raise SecretMisuse("ciphertexts are not compared", hint="Decrypt them first.")

    def __array__(self, *args: object, **kwargs: object) -> Any:
        raise SecretMisuse("an encrypted matrix is no NumPy array", hint="Decrypt it first.")

    def __reduce__(self) -> Any:
        raise SecretMisuse("an encrypted matrix is not pickled", hint="Use to_bytes().")

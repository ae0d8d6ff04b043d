"""A CKKS vector times a plain matrix, whatever the sizes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.errors import ParameterMismatch, ValueRangeError
from ppc.he.ckks_chunks import added, rotation_error, zeros
from ppc.he.paillier.packing import as_numbers

if TYPE_CHECKING:
    from ppc.he.ckks import CkksVector


def vector_times_matrix(vector: CkksVector, plain: ArrayLike) -> CkksVector:
    """vector @ plain, plain (n, m) -> (m,). See `CkksVector.matmul`."""
    m = as_numbers(plain, "matrix").astype(np.float64)
    if m.ndim != 2 or m.shape[0] != len(vector) or m.shape[1] < 1:
        raise ParameterMismatch(f"the product of shapes {vector.shape} and {m.shape}")
    if not np.isfinite(m).all():
        raise ValueRangeError("NaN or infinite", where="matrix")
    vector.need_keys("a product with a matrix", rotations=True)
    vector.need_level(1, "a product with a matrix")
    public = vector.public
    weight = float(np.abs(m).sum(axis=0).max())
    bound = vector._fits(vector.bound * max(weight, 1e-300), vector.level - 1, "the product")
    longest = max(vector.sizes)
    # TenSEAL's diagonals need rows + columns <= slots + 1, so wide matrices are cut into blocks of columns. They take a
    # rotation a row in every block; inner products take log2(rows) a column.
    width = min(public.slots + 1 - longest, m.shape[1])
    out = None
    if width >= 1 and longest * -(-m.shape[1] // width) <= m.shape[1] * math.ceil(math.log2(longest + 1)):
        out = _by_diagonals(vector, m, width)
    if out is not None:
        sizes = tuple(min(width, m.shape[1] - start) for start in range(0, m.shape[1], width))
        rotated = rotation_error(public, 2) * weight
    else:
        out, sizes = _by_columns(vector, m), (1,) * m.shape[1]
        rotated = rotation_error(public, longest) * len(vector.sizes)
    encoding = vector.bound * len(vector) * 2.0 * math.sqrt(public.degree) / public.scale
    return vector._with(out, bound, vector.error * weight + rotated + encoding, level=vector.level - 1, sizes=sizes)


def _by_diagonals(vector: CkksVector, m: NDArray[np.float64], width: int) -> list[Any] | None:
    """TenSEAL's matmul, chunk by chunk and block by block; None if a diagonal is zero, which TenSEAL refuses."""
    correction = vector.public.primes[vector.level] / vector.public.scale
    rows = np.split(m * correction, np.cumsum(vector.sizes)[:-1])
    out = []
    for start in range(0, m.shape[1], width):
        total = None
        for chunk, part in zip(vector.chunks, rows, strict=True):
            try:
                product = chunk.matmul(part[:, start : start + width].tolist())
            except RuntimeError as error:
                if "transparent" not in str(error):
                    raise
                return None
            total = product if total is None else added(total, product)
        out.append(total)
    return out


def _by_columns(vector: CkksVector, m: NDArray[np.float64]) -> list[Any]:
    """One inner product a column."""
    out = []
    for column in m.T:
        if column.any():
            product = vector * column
            parts = [c if n == 1 else c.sum() for c, n in zip(product.chunks, product.sizes, strict=True)]
            total = parts[0]
            for part in parts[1:]:
                total = added(total, part)
        else:
            total = zeros(vector.public, 1, vector.level - 1)
        out.append(total)
    return out

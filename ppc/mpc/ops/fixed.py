"""Products with a matrix that one party knows and that stays the same: a training set.

The owner opens it once under a mask; after that, a product costs only the other factor. In vertical federated
training with batches this is what is sent: X once, then a vector a step.

Source: operands kept open under a mask over many Beaver products: Turbospeedz (Ben-Efraim, Nielsen, Omri, ACNS 2019);
compiler", §5.1, "Turbospeedz": Ben-Efraim, Nielsen, Omri, ACNS 2019); with one party knowing the operand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ppc.errors import ConfigError, TypeMismatchError
from ppc.mpc.fixed import FixedMatrix
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare


def fixed_matrix(
    s: Session,
    x: ArrayLike | None,
    owner: int,
    shape: tuple[int, int],
    *,
    frac_bits: int | None = None,
    name: str = "matrix",
) -> FixedMatrix:
    """The owner's matrix (n, d), opened once under a mask that the owner alone knows.

    Cost: one message one way, 8 n d bytes from the owner. Memory: 16 n d bytes at the owner, 8 n d elsewhere.
    Leaks: the shape.
    """
    f = s.fx.frac_bits if frac_bits is None else frac_bits
    words = None
    if s.tracing:
        words = s.ring.zeros(shape) if s.rank == owner else None
    elif s.rank == owner:
        if x is None:
            raise ConfigError("the owner must give its matrix", where=name, party=s.me)
        values = np.asarray(x)
        if values.shape != tuple(shape):
            raise TypeMismatchError(f"the owner's matrix has shape {values.shape}, announced was {shape}", where=name)
        words = s.fx.of(f).encode(values, name)
    return s.engine.fixed_matrix(s, words, owner, (int(shape[0]), int(shape[1])), f)


def rows(f: FixedMatrix, batch: slice) -> FixedMatrix:
    """A run of consecutive rows of a fixed matrix. Cost: none."""
    return f.rows(batch)


def matmul_fixed(s: Session, f: FixedMatrix, w: AShare, *, truncated: bool = True) -> AShare:
    """f @ w for w (d, k) or (d,).

    Cost: 2 rounds; 8 bytes for every element of w and of the result (1 round and only w if not `truncated`).
    """
    return matmul_fixed_many(s, [(f, w)], truncated=truncated)[0]


def matmul_fixed_t(s: Session, f: FixedMatrix, g: AShare, *, truncated: bool = True) -> AShare:
    """f.T @ g for g (n, k) or (n,). Cost: as `matmul_fixed`, with g for w."""
    return matmul_fixed_t_many(s, [(f, g)], truncated=truncated)[0]


def matmul_fixed_many(
    s: Session, pairs: Sequence[tuple[FixedMatrix, AShare]], *, truncated: bool = True
) -> list[AShare]:
    """f @ w for several pairs at once, in as many rounds as one."""
    return _products(s, pairs, False, truncated)


def matmul_fixed_t_many(
    s: Session, pairs: Sequence[tuple[FixedMatrix, AShare]], *, truncated: bool = True
) -> list[AShare]:
    """f.T @ g for several pairs at once, in as many rounds as one; a g that occurs twice is opened once."""
    return _products(s, pairs, True, truncated)


def _products(
    s: Session, pairs: Sequence[tuple[FixedMatrix, AShare]], transposed: bool, truncated: bool
) -> list[AShare]:
    columns: dict[int, AShare] = {}  # one object for one operand, so that it is opened once
    ready = []
    for f, y in pairs:
        inner = f.shape[0] if transposed else f.shape[1]
        if not (y.ndim in (1, 2) and y.shape[0] == inner):
            raise TypeMismatchError(
                f"product of a fixed matrix {f.shape}{' transposed' if transposed else ''} and a share {y.shape}"
            )
        ready.append((f, columns.setdefault(id(y), y if y.ndim == 2 else y.reshape(-1, 1))))
    drops = {min(f.frac_bits, y.frac_bits) for f, y in pairs} if truncated else {0}
    if len(drops) > 1:
        raise TypeMismatchError("products of different formats are not truncated together", hint="use truncated=False")
    products = s.engine.matmul_fixed(s, ready, transposed, *drops)
    return [z.reshape(z.shape[:1] + y.shape[1:]) for z, (_, y) in zip(products, pairs, strict=True)]

"""Numbers in the clear: the ring's own operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import ring
from ppc.errors import ProtocolAbort
from ppc.mpc.fixed import FixedMatrix
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]


def _share(words: Words, frac_bits: int) -> AShare:
    return AShare((words,), frac_bits, 0)


def input(s: Session, x: Words | None, owner: int, shape: tuple[int, ...], frac_bits: int) -> AShare:
    """The value itself. Cost: none."""
    if x is None:
        raise ProtocolAbort("the owner gave no value", where="share")
    return _share(x.reshape(shape), frac_bits)


def constant(s: Session, x: Words, frac_bits: int) -> AShare:
    """The value itself. Cost: none."""
    return _share(x, frac_bits)


def random(s: Session, shape: tuple[int, ...]) -> AShare:
    """Uniform words. Cost: none."""
    return _share(s.ring.draw(s.private_stream, shape), 0)


def open(s: Session, xs: Sequence[AShare]) -> list[Words]:
    """The values themselves. Cost: none."""
    return [x.parts[0] for x in xs]


def reveal(s: Session, x: AShare, to: int) -> Words | None:
    """The value itself. Cost: none."""
    return x.parts[0] if to == s.rank else None


def _product(words: Words, x: AShare | FixedMatrix, y: AShare, drop: int) -> AShare:
    return _share(ring.shift_right(words, drop), x.frac_bits + y.frac_bits - drop)


def mul(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """x * y. Cost: none."""
    return _product(x.parts[0] * y.parts[0], x, y, drop)


def matmul(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """x @ y. Cost: none."""
    return _product(ring.matmul(x.parts[0], y.parts[0]), x, y, drop)


def matmul_transposed(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """x.T @ y. Cost: none."""
    return _product(ring.matmul_transposed(x.parts[0], y.parts[0]), x, y, drop)


def truncate(s: Session, xs: Sequence[AShare], drop: int) -> list[AShare]:
    """floor(x / 2**drop). Cost: none."""
    return [_share(ring.shift_right(x.parts[0], drop), x.frac_bits - drop) for x in xs]


@dataclass(frozen=True, slots=True, repr=False)
class _Store:
    words: Words


def fixed_matrix(s: Session, x: Words | None, owner: int, shape: tuple[int, int], frac_bits: int) -> FixedMatrix:
    """The matrix itself. Cost: none."""
    if x is None:
        raise ProtocolAbort("the owner gave no matrix", where="fixed_matrix")
    return FixedMatrix(_Store(x.reshape(shape)), owner, frac_bits, shape[1], 0, shape[0])


def matmul_fixed(
    s: Session, pairs: Sequence[tuple[FixedMatrix, AShare]], transposed: bool, drop: int = 0
) -> list[AShare]:
    """f @ y or f.T @ y. Cost: none."""
    product = ring.matmul_transposed if transposed else ring.matmul
    out = []
    for f, y in pairs:
        if not isinstance(f.store, _Store):
            raise ProtocolAbort("a fixed matrix of another engine", where="matmul_fixed")
        out.append(_product(product(f.store.words[f.start : f.stop], y.parts[0]), f, y, drop))
    return out


def shuffle(s: Session, x: AShare) -> AShare:
    """Rows in a random order. Cost: none."""
    return x[s.private_stream.permutation(len(x))]

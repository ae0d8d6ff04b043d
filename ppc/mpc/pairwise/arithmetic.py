"""Products between two parties: what a party knows in the clear it multiplies alone, the rest are products across."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import ring
from ppc.errors import ProtocolAbort
from ppc.mpc.additive.arithmetic import wrap
from ppc.mpc.additive.masked import Masked, mask_input
from ppc.mpc.correlations.kinds import BINARY, MATMUL, MATMUL_TRANSPOSED
from ppc.mpc.fixed import FixedMatrix
from ppc.mpc.pairwise import matrices, products
from ppc.mpc.pairwise.truncation import truncate
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]


def owner_of(x: AShare) -> int | None:
    """The party that gave the value and knows it, `None` if it is a result."""
    return x.mask.owner if isinstance(x.mask, Masked) and x.mask.owner >= 0 else None


def known(s: Session, x: AShare, owner: int) -> Words:
    """What this party multiplies for `x`: the whole value at its owner, nothing at the other party."""
    record = x.mask
    if s.rank != owner:
        return np.zeros(x.shape, np.uint64)
    if not isinstance(record, Masked) or record.plain is None:
        raise ProtocolAbort("the owner of an input has lost it", where="mul")
    return record.plain.reshape(x.shape)


def mul(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """[z] = [x * y] elementwise.

    x_0 y_0 and x_1 y_1 are local; x_0 y_1 and x_1 y_0 cross. A value that one party gave has one summand only, and a
    square one cross term.

    Cost: 2 rounds for 2**14 elements; 300 n bytes and 64 n transfers each way, half of it for an input or a square,
    none for two inputs of one party.
    Threat: semi-honest. Leaks: the shape. Source: see `ppc.mpc.pairwise.products`.
    """
    frac_bits = x.frac_bits + y.frac_bits
    if not x.size:
        return wrap(s, np.zeros(x.shape, np.uint64), frac_bits - drop)
    a, b = owner_of(x), owner_of(y)
    xs = x.parts[0] if a is None else known(s, x, a)
    ys = y.parts[0] if b is None else known(s, y, b)
    z = xs * ys
    if a is not None and a == b:
        return _cut(s, [wrap(s, z, frac_bits)], drop)[0]
    if a is not None or b is not None:
        x_is_mine = s.rank == a or (a is None and s.rank != b)
        crossed = products.across(s, "mul", xs if x_is_mine else ys)
    elif x is y:
        crossed = products.across(s, "mul", xs) << np.uint64(1)
    else:
        crossed = products.both_ways(s, "mul", xs, ys)
    return _cut(s, [wrap(s, z + crossed.reshape(x.shape), frac_bits)], drop)[0]


def _cut(s: Session, xs: list[AShare], drop: int) -> list[AShare]:
    return truncate(s, xs, drop) if drop else xs


def _matrix_product(s: Session, op: int, name: str, x: AShare, y: AShare, drop: int) -> AShare:
    frac_bits = x.frac_bits + y.frac_bits
    rows = x.shape[1] if op == MATMUL_TRANSPOSED else x.shape[0]
    if not (x.size and y.size):
        return wrap(s, np.zeros((rows, y.shape[1]), np.uint64), frac_bits - drop)
    a, b = owner_of(x), owner_of(y)
    xs = x.parts[0] if a is None else known(s, x, a)
    ys = y.parts[0] if b is None else known(s, y, b)
    z = BINARY[op](np.ascontiguousarray(xs), np.ascontiguousarray(ys))
    left = xs.T if op == MATMUL_TRANSPOSED else xs
    if not (a == b and a is not None):
        z += matrices.cross(s, name, [(left, ys, _crossing(a, b))])[0]
    return _cut(s, [wrap(s, z, frac_bits)], drop)[0]


def _crossing(a: int | None, b: int | None) -> tuple[bool, bool]:
    """Which cross products there are: x_0 y_1, and x_1 y_0."""
    return a != 1 and b != 0, a != 0 and b != 1


def matmul(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """[z] = [x @ y] for matrices (n, d) and (d, k).

    Cost, threat, source: see `ppc.mpc.pairwise.matrices`; both directions, one if a party gave an operand.
    """
    return _matrix_product(s, MATMUL, "matmul", x, y, drop)


def matmul_transposed(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """[z] = [x.T @ y] for matrices (n, d) and (n, k). Cost, threat, source: as `matmul`."""
    return _matrix_product(s, MATMUL_TRANSPOSED, "matmul_t", x, y, drop)


def fixed_matrix(s: Session, x: Words | None, owner: int, shape: tuple[int, int], frac_bits: int) -> FixedMatrix:
    """The owner keeps its matrix in the clear. Cost: none. Leaks: the shape."""
    record = mask_input(s, None if x is None else x.reshape(shape), owner, shape)
    return FixedMatrix(record, owner, frac_bits, shape[1], 0, shape[0])


def matmul_fixed(
    s: Session, pairs: Sequence[tuple[FixedMatrix, AShare]], transposed: bool, drop: int = 0
) -> list[AShare]:
    """[f @ y] or [f.T @ y] for every pair: the owner does its own summand alone, the other party's crosses.

    Cost: one direction for each pair; pairs of different owners cross at the same time.
    Threat: semi-honest. Leaks: the shapes. Source: see `ppc.mpc.pairwise.matrices`.
    """
    jobs: list[tuple[Words, Words, tuple[bool, bool]]] = []
    local: list[Words | None] = []
    out: list[AShare] = []
    multiply = ring.matmul_transposed if transposed else ring.matmul
    for f, y in pairs:
        if not isinstance(f.store, Masked):
            raise ProtocolAbort("a fixed matrix of another engine", where="matmul_fixed")
        shape = (f.columns if transposed else f.shape[0], y.shape[1])
        frac_bits = f.frac_bits + y.frac_bits
        out.append(wrap(s, np.zeros(shape, np.uint64), frac_bits))
        local.append(None)
        if not (y.size and f.shape[0] and f.columns):
            continue
        plain = np.zeros(f.shape, np.uint64) if f.store.plain is None else f.store.plain[f.start : f.stop]
        owner = owner_of(y)
        ys = y.parts[0] if owner is None else known(s, y, owner)
        local[-1] = np.zeros(shape, np.uint64)
        if s.rank == f.owner:
            local[-1] = multiply(np.ascontiguousarray(plain), np.ascontiguousarray(ys))
        jobs.append((plain.T if transposed else plain, ys, _crossing(f.owner, owner)))
    crossed = iter(matrices.cross(s, "matmul_fixed_t" if transposed else "matmul_fixed", jobs))
    made = [
        share if z is None else wrap(s, z + next(crossed), share.frac_bits) for share, z in zip(out, local, strict=True)
    ]
    return _cut(s, made, drop)

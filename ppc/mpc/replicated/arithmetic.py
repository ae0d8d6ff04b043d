"""Numbers in replicated shares. Costs are what each party sends in all, for n elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import ring
from ppc.errors import ProtocolAbort
from ppc.mpc.fixed import FixedMatrix
from ppc.mpc.replicated import _kernels, twins
from ppc.mpc.replicated.sharing import after, before, give, pass_back, public, wrap, zeros_shared
from ppc.mpc.replicated.truncation import truncate_summands
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]


def input(s: Session, x: Words | None, owner: int, shape: tuple[int, ...], frac_bits: int) -> AShare:
    """The owner draws one component with the next party and tells the other to the previous one; the third is 0.

    Cost: one message one way, 8 n bytes from the owner. Threat: semi-honest. Leaks: the shape.
    """
    if s.rank == owner and x is None:
        raise ProtocolAbort("the owner gave no value", where="share")
    words = s.ring.zeros(shape) if x is None else x.reshape(shape)
    return wrap(s, give(s, "share", owner, [words])[0], frac_bits)


def constant(s: Session, x: Words, frac_bits: int) -> AShare:
    """Component 0 is the value, the others are zero. Cost: none."""
    return wrap(s, public(s, x), frac_bits)


def random(s: Session, shape: tuple[int, ...]) -> AShare:
    """Both components are drawn from keys in common, so each party lacks one. Cost: none. Leaks: nothing.

    Source: Araki and others (CCS 2016), §2.2; Cramer, Damgård, Ishai (TCC 2005).
    """
    return wrap(s, zeros_shared(s, s.ring.zeros(shape)), 0)


def open(s: Session, xs: Sequence[AShare]) -> list[Words]:
    """Each party tells the previous one the component that it lacks. Cost: 1 round, 8 n bytes. Leaks: the values.

    The direction is that of a product, so that parties which run different programs notice at once.
    """
    mine = [np.asanyarray(x.parts[1], order="C") for x in xs]
    came = s.transfer("open", {before(s.rank): mine}, {after(s.rank): mine})[after(s.rank)]
    return [x.parts[0] + x.parts[1] + c for x, c in zip(xs, came, strict=True)]


def reveal(s: Session, x: AShare, to: int) -> Words | None:
    """One party tells the component that `to` lacks. Cost: one message one way, 8 n bytes. Leaks: the value, to it."""
    mine = np.asanyarray(x.parts[0], order="C")
    sends = {to: [mine]} if s.rank == before(to) else {}
    came = s.transfer("reveal", sends, {before(to): [mine]} if s.rank == to else {})
    return x.parts[0] + x.parts[1] + came[before(to)][0] if s.rank == to else None


def mul(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """[z] = [x * y] elementwise: x_i y_i + x_i y_(i+1) + x_(i+1) y_i and a share of zero is component i.

    Cost: 1 round, 8 n bytes; with `drop` 2 rounds, 12 n bytes (see `truncate_summands`). Threat: semi-honest. Leaks:
    the shape. Source: Araki, Furukawa, Lindell, Nof, Ohara (CCS 2016), §2.2 and §3.
    """
    frac_bits = x.frac_bits + y.frac_bits - drop
    if not x.size:
        return wrap(s, public(s, s.ring.zeros(x.shape)), frac_bits)
    ours, theirs = zeros_shared(s, x.parts[0].reshape(-1))
    flat = [np.asanyarray(p, order="C").reshape(-1) for p in (*x.parts, *y.parts)]
    if s.ring.bits == 64:
        _kernels.mul(flat[0], flat[1], flat[2], flat[3], ours, theirs)
    else:
        ours = twins.mul(flat[0], flat[1], flat[2], flat[3], ours, theirs)
    a, b = _shared(s, "mul", ours, drop)
    return wrap(s, (a.reshape(x.shape), b.reshape(x.shape)), frac_bits)


def _shared(s: Session, name: str, summand: Words, drop: int) -> tuple[Words, Words]:
    """The components of a sum of masked summands, truncated if bits are to be dropped."""
    return truncate_summands(s, name, summand, drop) if drop else pass_back(s, name, summand)


def _products(
    s: Session,
    name: str,
    pairs: Sequence[tuple[Sequence[Words], Sequence[Words]]],
    f: Callable[[Words, Words], Words],
    drop: int,
) -> list[tuple[Words, Words]]:
    """A bilinear product for every pair of operands, all in one round (two with `drop`)."""
    local = []
    for (x0, x1), (y0, y1) in pairs:
        z = f(x0, y0 + y1)
        z += f(x1, y0)
        local.append(z)
    flat = np.concatenate([z.reshape(-1) for z in local]) if local else s.ring.zeros(0)
    if flat.size:
        ours, theirs = zeros_shared(s, flat)
        flat += ours
        flat -= theirs
        a, b = _shared(s, name, flat, drop)
    else:
        a = b = flat
    out, at = [], 0
    for z in local:
        out.append((a[at : at + z.size].reshape(z.shape), b[at : at + z.size].reshape(z.shape)))
        at += z.size
    return out


def matmul(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """[z] = [x @ y] for matrices (n, d) and (d, k): local products, summed before anything is sent.

    Cost: 1 round, 8 n k bytes, whatever d; with `drop` as `mul`. Threat: semi-honest. Leaks: the shapes. Source: as
    `mul`.
    """
    (z,) = _products(s, "matmul", [(x.parts, y.parts)], ring.matmul, drop)
    return wrap(s, z, x.frac_bits + y.frac_bits - drop)


def matmul_transposed(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """[z] = [x.T @ y] for matrices (n, d) and (n, k). Cost, threat, source: as `matmul`."""
    (z,) = _products(s, "matmul_t", [(x.parts, y.parts)], ring.matmul_transposed, drop)
    return wrap(s, z, x.frac_bits + y.frac_bits - drop)


@dataclass(frozen=True, slots=True, repr=False)
class _Store:
    parts: tuple[Words, Words]


def fixed_matrix(s: Session, x: Words | None, owner: int, shape: tuple[int, int], frac_bits: int) -> FixedMatrix:
    """An ordinary share: products cost the size of their result only. Cost: as `input`."""
    a, b = input(s, x, owner, shape, frac_bits).parts
    return FixedMatrix(_Store((a, b)), owner, frac_bits, shape[1], 0, shape[0])


def matmul_fixed(
    s: Session, pairs: Sequence[tuple[FixedMatrix, AShare]], transposed: bool, drop: int = 0
) -> list[AShare]:
    """[f @ y] or [f.T @ y] for every pair. Cost: as `matmul`, for all results together. Otherwise as `matmul`."""
    operands = []
    for f, y in pairs:
        if not isinstance(f.store, _Store):
            raise ProtocolAbort("a fixed matrix of another engine", where="matmul_fixed")
        operands.append(([p[f.start : f.stop] for p in f.store.parts], y.parts))
    name, product = ("matmul_fixed_t", ring.matmul_transposed) if transposed else ("matmul_fixed", ring.matmul)
    results = _products(s, name, operands, product, drop)
    return [wrap(s, z, f.frac_bits + y.frac_bits - drop) for z, (f, y) in zip(results, pairs, strict=True)]

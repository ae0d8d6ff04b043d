"""Numbers in additive shares.

Costs are what each party sends to each other party, for n elements; correlated randomness comes from the dealer
beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ProtocolAbort
from ppc.mpc.additive import _kernels, twins
from ppc.mpc.additive.masked import (
    MATMUL,
    MATMUL_TRANSPOSED,
    MUL,
    Masked,
    mask_input,
    open_input,
    open_masked,
    product,
)
from ppc.mpc.correlations.kinds import Permuted, Truncation
from ppc.mpc.correlations.source import EVERYONE, MaskRef
from ppc.mpc.fixed import FixedMatrix
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Words: TypeAlias = NDArray[np.uint64]


def wrap(s: Session, words: Words, frac_bits: int) -> AShare:
    """This party's words as a share."""
    return AShare((words,), frac_bits, 0 if s.rank == 0 else None)


def input(s: Session, x: Words | None, owner: int, shape: tuple[int, ...], frac_bits: int) -> AShare:
    """The others draw their share from the key they have in common with the owner; the owner keeps the rest.

    Cost: none. Threat: semi-honest. Leaks: the shape.
    Source: pseudo-random secret sharing of an input, Cramer, Damgård, Ishai (TCC 2005) §3, for n-out-of-n.
    """
    record = mask_input(s, x, owner, shape)
    number = s.next_id()
    if s.rank != owner:
        words = s.ring.draw(s.shared_stream(owner, number), shape)
    else:
        if x is None:
            raise ProtocolAbort("the owner gave no value", where="share")
        words = x.reshape(shape).copy()
        for peer in s.peers:
            words -= s.ring.draw(s.shared_stream(peer, number), shape)
    share = wrap(s, words, frac_bits)
    share.mask = record
    return share


def _added(shares: Sequence[Words]) -> Words:
    """The sum of what the parties hold."""
    total = shares[0] + shares[1]
    for share in shares[2:]:
        total += share
    return total


def constant(s: Session, x: Words, frac_bits: int) -> AShare:
    """Party 0 holds the value, the others zero. Cost: none."""
    return wrap(s, x if s.rank == 0 else np.zeros_like(x), frac_bits)


def random(s: Session, shape: tuple[int, ...]) -> AShare:
    """Each party draws its own share: the sum is uniform if one party is honest. Cost: none. Leaks: nothing."""
    return wrap(s, s.ring.draw(s.private_stream, shape), 0)


def open(s: Session, xs: Sequence[AShare]) -> list[Words]:
    """Everyone sends its share to everyone. Cost: 1 round, 8 n bytes. Leaks: the values, on purpose."""
    return s.open_sum("open", *(np.asanyarray(x.parts[0], order="C") for x in xs))


def reveal(s: Session, x: AShare, to: int) -> Words | None:
    """Everyone sends its share to one party. Cost: one message one way, 8 n bytes. Leaks: the value, to that party."""
    received = s.collect("reveal", to, np.asanyarray(x.parts[0], order="C"))
    return None if received is None else _added(received)


def mul(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """[z] = [x * y] elementwise.

    Cost: 1 round, 8 n bytes for each of x and y that is not open under a mask yet; none if both are. With `drop` a
    truncation more.
    Threat: semi-honest. Leaks: the shape. Source: see `ppc.mpc.additive.masked`.
    """
    if not x.size:
        return wrap(s, s.ring.zeros(x.shape), x.frac_bits + y.frac_bits - drop)
    a, b = open_masked(s, "mul", [x, y])
    if (a.rows, a.width) != (b.rows, b.width):
        raise ProtocolAbort("masked operands of different shapes", where="mul")
    z = product(s, MUL, a.view(), b.view())
    return _cut(s, [wrap(s, z.reshape(x.shape), x.frac_bits + y.frac_bits)], drop)[0]


def _cut(s: Session, xs: list[AShare], drop: int) -> list[AShare]:
    return truncate(s, xs, drop) if drop else xs


def _matrix_product(s: Session, op: int, name: str, x: AShare, y: AShare, shape: tuple[int, int], drop: int) -> AShare:
    if not (x.size and y.size):
        return wrap(s, s.ring.zeros(shape), x.frac_bits + y.frac_bits - drop)
    a, b = open_masked(s, name, [x, y])
    return _cut(s, [wrap(s, product(s, op, a.view(), b.view()), x.frac_bits + y.frac_bits)], drop)[0]


def matmul(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """[z] = [x @ y] for matrices (n, d) and (d, k).

    Cost: 1 round, 8 (n d + d k) bytes, less what is open under a mask already. Threat: semi-honest. Leaks: the shapes.
    Source: matrix triples, Mohassel, Zhang (SecureML, IEEE S&P 2017) §4.1.
    """
    return _matrix_product(s, MATMUL, "matmul", x, y, (x.shape[0], y.shape[1]), drop)


def matmul_transposed(s: Session, x: AShare, y: AShare, drop: int = 0) -> AShare:
    """[z] = [x.T @ y] for matrices (n, d) and (n, k). Cost, threat, source: as `matmul`."""
    return _matrix_product(s, MATMUL_TRANSPOSED, "matmul_t", x, y, (x.shape[1], y.shape[1]), drop)


def truncate(s: Session, xs: Sequence[AShare], drop: int) -> list[AShare]:
    """[x / 2**drop], rounded down or up (up with the odds of the fraction dropped): off by less than one unit.

    x + 2**62 + r is opened; its shifted low 63 bits, less those of r, are the result once the carry into bit 63 is
    repaired, which the shared top bit of r allows. So there is no gross error, for every x within ±2**62.

    Cost: 1 round, 8 n bytes. Threat: semi-honest. Leaks: the shape.
    Source: Dalskov, Escudero, Keller, "Secure evaluation of quantized neural networks" (PETS 2020) §4; Escudero, Ghosh,
    Keller, Rachuri, Scholl (CRYPTO 2020) §5.
    """
    n = sum(x.size for x in xs)
    if not n:
        return [wrap(s, x.parts[0], x.frac_bits - drop) for x in xs]
    r, hi, top = s.take(Truncation(n, drop, s.ring.bits))
    masked = mask_for_truncation(s, xs, r)
    (c,) = s.open_sum("truncate", masked)
    return after_truncation(s, xs, c, hi, top, drop)


def mask_for_truncation(s: Session, xs: Sequence[AShare], r: Words) -> Words:
    """This party's share of x + 2**62 + r, flat."""
    masked = np.concatenate([x.parts[0].reshape(-1) for x in xs]) if len(xs) > 1 else xs[0].parts[0].reshape(-1)
    masked = masked + r
    if s.rank == 0:
        masked += s.ring.word(1 << (s.ring.bits - 2))
    return masked


def after_truncation(s: Session, xs: Sequence[AShare], c: Words, hi: Words, top: Words, drop: int) -> list[AShare]:
    """The truncated shares, from the public c and the correlation."""
    if s.ring.bits == 64:
        words = np.empty(c.shape, np.uint64)
        _kernels.truncate(c, hi, top, drop, int(s.rank == 0), words)
    else:
        words = twins.truncate(c, hi, top, drop, int(s.rank == 0))
    out, at = [], 0
    for x in xs:
        out.append(wrap(s, words[at : at + x.size].reshape(x.shape), x.frac_bits - drop))
        at += x.size
    return out


def fixed_matrix(s: Session, x: Words | None, owner: int, shape: tuple[int, int], frac_bits: int) -> FixedMatrix:
    """The owner's matrix, opened under a mask that the owner alone knows.

    Cost: one message one way, 8 n d bytes from the owner. Threat: semi-honest. Leaks: the shape.
    """
    record = mask_input(s, None if x is None else x.reshape(shape), owner, shape)
    if shape[0] and shape[1]:
        open_input(s, "fixed_matrix", record)
    return FixedMatrix(record, owner, frac_bits, shape[1], 0, shape[0])


def matmul_fixed(
    s: Session, pairs: Sequence[tuple[FixedMatrix, AShare]], transposed: bool, drop: int = 0
) -> list[AShare]:
    """[f @ y] or [f.T @ y] for every pair.

    Cost: 1 round, 8 bytes an element of each y that is not open under a mask yet; nothing for f.
    Threat: semi-honest. Leaks: the shapes. Source: see `ppc.mpc.additive.masked`.
    """
    op = MATMUL_TRANSPOSED if transposed else MATMUL
    for f, _ in pairs:
        if not isinstance(f.store, Masked):
            raise ProtocolAbort("a fixed matrix of another engine", where="matmul_fixed")
    distinct = {id(y): y for _, y in pairs if y.size}
    name = "matmul_fixed_t" if transposed else "matmul_fixed"
    opened = dict(zip(distinct, open_masked(s, name, list(distinct.values())), strict=True)) if distinct else {}
    out = []
    for f, y in pairs:
        frac_bits = f.frac_bits + y.frac_bits
        if not (y.size and f.shape[0] and f.columns):
            shape = (f.columns if transposed else f.shape[0], y.shape[1])
            out.append(wrap(s, s.ring.zeros(shape), frac_bits))
            continue
        store = f.store
        if not isinstance(store, Masked):
            raise ProtocolAbort("a fixed matrix of another engine", where="matmul_fixed")
        out.append(wrap(s, product(s, op, store.view(f.start, f.stop), opened[id(y)].view()), frac_bits))
    return _cut(s, out, drop)


def shuffle(s: Session, x: AShare) -> AShare:
    """The rows of [x] (n, k) in an order that is random as long as one party is honest: each party permutes in its
    turn.

    The others send their shares under masks to the one whose turn it is; it permutes the sum, and the dealer gives
    shares of the masks in the same order.

    Cost: for each party in turn one message one way, 8 n k bytes from every other one. Threat: semi-honest. Leaks: n,
    k.
    Source: permute and share, Chase, Ghosh, Poburinnaya (ASIACRYPT 2020), with a dealer for the permutation's
    correlation.
    """
    n, k = x.shape
    if not (n and k):
        return x
    for turn in range(len(s.parties)):
        mask = MaskRef(s.next_id(), EVERYONE, k, 0, n, s.ring.bits)
        order = s.next_id()
        (z,) = s.take(Permuted(turn, order, mask))
        hidden = x.parts[0] if s.rank == turn else x.parts[0] - s.correlations.mask(mask)
        received = s.collect("shuffle", turn, np.asanyarray(hidden, order="C"))
        if received is not None:
            z += _added(received)[s.correlations.permutation(order, n)]
        x = wrap(s, z, x.frac_bits)
    return x

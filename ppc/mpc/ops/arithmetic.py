"""Sharing, opening, products and sums.

Costs are for two parties with the additive engine; n is the number of elements. A value that was shared by one party
and is multiplied for the first time is opened under a mask by that party alone; one that was computed, by all. Either
way the opening is kept with the share, so the next product with the same share object does not pay for it again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.core import ring
from ppc.errors import ConfigError, TypeMismatchError, ValueRangeError
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

Floats: TypeAlias = NDArray[np.float64]

MAX_ELEMENTS: Final = 1 << 31  # of one share: 16 GiB in Z_2^64


def share(
    s: Session,
    x: ArrayLike | None,
    owner: int,
    shape: tuple[int, ...] | int,
    *,
    frac_bits: int | None = None,
    name: str = "value",
) -> AShare:
    """The owner's numbers as a share.

    Args:
        x: at the owner, an array of `shape` (float, integer or boolean); `None` elsewhere.
        owner: the rank of the party whose numbers they are.
        frac_bits: fraction bits; the session's by default, 0 for integers.
        name: the column, for error messages.

    Raises:
        ValueRangeError: NaN, infinite or out of range, at the owner.

    Cost: 0 rounds, 0 bytes (the others draw their share from a key that each has in common with the owner).
    """
    wanted = (shape,) if isinstance(shape, int) else tuple(shape)
    check_size(wanted, name)
    f = s.fx.frac_bits if frac_bits is None else frac_bits
    _check_owner(s, owner)
    words = None
    if s.tracing:
        words = s.ring.zeros(wanted) if s.rank == owner else None
    elif s.rank == owner:
        if x is None:
            raise ConfigError("the owner must give its values", where=name, party=s.me)
        values = np.asanyarray(x)  # a masked array says what is missing
        if values.shape != wanted:
            raise TypeMismatchError(f"the owner's values have shape {values.shape}, announced was {wanted}", where=name)
        words = s.fx.of(f).encode(values, name)
    return s.engine.input(s, words, owner, wanted, f)


def check_size(shape: Sequence[int], name: str) -> None:
    """Refuse what no party could hold, before memory is asked for."""
    if not math.prod(shape) <= MAX_ELEMENTS:
        raise ValueRangeError(
            f"shape {tuple(shape)} has more than {MAX_ELEMENTS} elements",
            where=name,
            hint="share it in parts, or as fewer columns",
        )


def _check_owner(s: Session, owner: int) -> None:
    if not 0 <= owner < len(s.parties):
        raise ConfigError(f"owner {owner} is no rank of a session of {len(s.parties)} parties")


def constant(s: Session, x: ArrayLike, *, frac_bits: int | None = None) -> AShare:
    """A public value, the same at every party, as a share. Cost: none."""
    f = s.fx.frac_bits if frac_bits is None else frac_bits
    return s.engine.constant(s, s.fx.of(f).encode(x, "constant"), f)


def decode(words: NDArray[np.uint64], frac_bits: int) -> Floats:
    """Ring elements with `frac_bits` fraction bits as float64."""
    return ring.of(words).to_floats(words) / 2.0**frac_bits


def open(s: Session, x: AShare) -> Floats:
    """The values, told to every party. float64 of x's shape.

    Cost: 1 round, 8 n bytes sent by each party to each other. Leaks: the values, on purpose.
    """
    return decode(s.engine.open(s, [x])[0], x.frac_bits)


def open_many(s: Session, *xs: AShare) -> list[Floats]:
    """Several values in one round. Cost: 1 round, 8 bytes an element."""
    return [decode(words, x.frac_bits) for words, x in zip(s.engine.open(s, xs), xs, strict=True)]


def reveal(s: Session, x: AShare, to: int) -> Floats | None:
    """The values, told to party `to` only; `None` elsewhere.

    Cost: one message one way, 8 n bytes from each other party.
    """
    _check_owner(s, to)
    words = s.engine.reveal(s, x, to)
    return None if words is None else decode(words, x.frac_bits)


# --- products ---
def _drop(x: AShare, y: AShare) -> int:
    """Fraction bits to drop from a product so that the longer of its factors' formats remains."""
    return min(x.frac_bits, y.frac_bits)


def _rescaled(s: Session, x: AShare, drop: int) -> AShare:
    return s.engine.truncate(s, [x], drop)[0] if drop else x


def mul(s: Session, x: AShare, y: AShare, *, truncated: bool = True) -> AShare:
    """x * y elementwise, with broadcasting.

    The result has the larger of the two numbers of fraction bits (their sum if not `truncated`); its error is below one
    step. |x * y| must stay below 2**62 in the ring before the truncation: ±6.7e7 with 18 bits.

    Cost: 2 rounds and 24 n bytes for computed values; 16 n when one of each party's is an input, 8 n and 1 round when
    both were multiplied before. Products with integers are not truncated: 1 round and 8 n bytes less.
    """
    shape = np.broadcast_shapes(x.shape, y.shape)
    return s.engine.mul(s, x.broadcast_to(shape), y.broadcast_to(shape), _drop(x, y) if truncated else 0)


def square(s: Session, x: AShare, *, truncated: bool = True) -> AShare:
    """x * x elementwise. Cost: 2 rounds, 16 n bytes (8 n for integers, in 1 round)."""
    return s.engine.mul(s, x, x, x.frac_bits if truncated else 0)


def matmul(s: Session, x: AShare, y: AShare, *, truncated: bool = True) -> AShare:
    """x @ y with NumPy's rules for one and two dimensions; error below one step.

    Cost: 2 rounds; 8 bytes for every element of x, of y and of the result.
    """
    left = x.reshape(1, -1) if x.ndim == 1 else x
    right = y.reshape(-1, 1) if y.ndim == 1 else y
    if not (left.ndim == 2 and right.ndim == 2 and left.shape[1] == right.shape[0]):
        raise TypeMismatchError(f"matrix product of shapes {x.shape} and {y.shape}")
    z = s.engine.matmul(s, left, right, _drop(x, y) if truncated else 0)
    return z.reshape((x.shape[:1] if x.ndim == 2 else ()) + (y.shape[1:] if y.ndim == 2 else ()))


def matmul_t(s: Session, x: AShare, y: AShare, *, truncated: bool = True) -> AShare:
    """x.T @ y for x (n, d) and y (n, k) or (n,); error below one step. Cost: as `matmul`."""
    right = y.reshape(-1, 1) if y.ndim == 1 else y
    if not (x.ndim == 2 and right.ndim == 2 and x.shape[0] == right.shape[0]):
        raise TypeMismatchError(f"transposed matrix product of shapes {x.shape} and {y.shape}")
    z = s.engine.matmul_transposed(s, x, right, _drop(x, y) if truncated else 0)
    return z.reshape((x.shape[1], *y.shape[1:]))


def dot(s: Session, x: AShare, y: AShare) -> AShare:
    """The inner product of two vectors. Cost: as `matmul`: 2 rounds, 16 n + 8 bytes."""
    if not (x.ndim == 1 and y.ndim == 1):
        raise TypeMismatchError(f"dot takes two vectors, not shapes {x.shape} and {y.shape}")
    return matmul(s, x, y)


def outer(s: Session, x: AShare, y: AShare) -> AShare:
    """All products x_i y_j of two vectors, (n, k); error below one step. Cost: 2 rounds, 8 (n + k + n k) bytes."""
    if not (x.ndim == 1 and y.ndim == 1):
        raise TypeMismatchError(f"outer takes two vectors, not shapes {x.shape} and {y.shape}")
    return matmul(s, x.reshape(-1, 1), y.reshape(1, -1))


def mul_public(
    s: Session, x: AShare, factor: ArrayLike, *, frac_bits: int | None = None, truncated: bool = True
) -> AShare:
    """x times public real numbers, which broadcast.

    Args:
        frac_bits: fraction bits of the encoded factor. By default the session's, and so many more that the largest
            factor keeps that relative precision if it is below 1 (a mean over 1e6 rows divides by 1e6 exactly enough).
            The product must stay within 2**62 in the ring before its truncation: |x| below ±3e7 with 18 bits.

    Cost: 1 round, 8 n bytes (none if not `truncated`).
    """
    f = _factor_bits(s, factor) if frac_bits is None else frac_bits
    words = s.fx.of(f).encode(factor, "a public factor")
    z = x.broadcast_to(np.broadcast_shapes(x.shape, words.shape)).scale(words, f)
    return _rescaled(s, z, f) if truncated else z


def matmul_public(s: Session, x: AShare, y: ArrayLike, *, left: bool = False, truncated: bool = True) -> AShare:
    """x @ y for a public matrix or vector y, or y @ x with `left`. NumPy's rules for one and two dimensions.

    Cost: 1 round, 8 bytes for each element of the result (none if not `truncated`, or if y holds integers).
    """
    f = 0 if np.asarray(y).dtype.kind in "iub" else s.fx.frac_bits
    words = s.fx.of(f).encode(y, "a public factor")
    z = x.matmul_words(words, f, left)
    return _rescaled(s, z, f) if truncated else z


def _factor_bits(s: Session, factor: ArrayLike) -> int:
    largest = float(np.max(np.abs(np.asarray(factor, np.float64)), initial=0.0))
    extra = max(0, -math.frexp(largest)[1]) if 0 < largest < math.inf else 0
    return min(s.fx.frac_bits + extra, 50 if s.ring.bits == 64 else 80)


def truncate(s: Session, x: AShare, drop: int) -> AShare:
    """x with `drop` fraction bits fewer: the same number, off by less than one unit in the last place it keeps.

    The ring element must lie within ±2**62 (2**126 in Z_2^128). Never a gross error. Cost: 1 round, 8 n bytes.
    """
    return truncate_many(s, [x], drop)[0]


def truncate_many(s: Session, xs: Sequence[AShare], drop: int) -> list[AShare]:
    """Several truncations by the same number of bits in one round."""
    most = s.ring.bits - 3
    if not 0 <= drop <= most:
        raise ConfigError(f"a truncation drops 0 to {most} bits, not {drop}")
    return s.engine.truncate(s, list(xs), drop) if drop else list(xs)


def rescale(s: Session, x: AShare, frac_bits: int) -> AShare:
    """x with `frac_bits` fraction bits. Cost: none upwards, a truncation downwards."""
    if x.frac_bits > frac_bits:
        return truncate(s, x, x.frac_bits - frac_bits)
    return x.shift_left(frac_bits - x.frac_bits) if x.frac_bits < frac_bits else x


# --- joining ---
def _join(xs: Sequence[AShare], how: Any, axis: int) -> AShare:
    if not xs:
        raise TypeMismatchError("nothing to join")
    if len({x.frac_bits for x in xs}) != 1:
        raise TypeMismatchError("shares of different fraction bits do not join", hint="use ops.rescale")
    return xs[0].joined(list(xs[1:]), how, axis)


def concatenate(xs: Sequence[AShare], axis: int = 0) -> AShare:
    """As `numpy.concatenate`. Cost: none."""
    return _join(xs, np.concatenate, axis)


def stack(xs: Sequence[AShare], axis: int = 0) -> AShare:
    """As `numpy.stack`. Cost: none."""
    return _join(xs, np.stack, axis)

"""Making and combining `SecureArray`s, and functions of them: what NumPy has as functions rather than methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ppc.mpc import ops
from ppc.mpc.secure_array import Operand, SecureArray, as_real
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare


def array(
    session: Session, x: ArrayLike | None, owner: int | str, shape: tuple[int, ...] | int, *, name: str = "array"
) -> SecureArray:
    """The owner's numbers or booleans as a SecureArray; the others give `None`.

    Booleans become numbers 0 and 1 unless shared with `booleans`. Cost: none.
    """
    rank = session.parties.index(owner) if isinstance(owner, str) else owner
    return SecureArray(session, ops.share(session, x, rank, shape, name=name))


def booleans(session: Session, x: ArrayLike | None, owner: int | str, shape: tuple[int, ...] | int) -> SecureArray:
    """The owner's booleans as a SecureArray. Cost: none."""
    rank = session.parties.index(owner) if isinstance(owner, str) else owner
    return SecureArray(session, ops.share_bits(session, x, rank, shape))


def where(condition: SecureArray, x: Operand, y: Operand) -> SecureArray:
    """x where the secret condition holds, else y. Cost: 1 round, 8.125 bytes an element."""
    bit, s = condition.as_boolean(), condition.session
    if isinstance(x, SecureArray):
        a, b = x.paired(y)
    elif isinstance(y, SecureArray):
        b, a = y.paired(x)
    else:
        zero = condition.wrap(ops.constant(s, np.zeros(())))
        a, b = (zero + x).paired(zero + y)
    return condition.wrap(ops.select(s, bit, a, b))


def _first(arrays: Sequence[Any]) -> SecureArray:
    return next(a for a in arrays if isinstance(a, SecureArray))


def _joined(arrays: Sequence[Operand], axis: int, join: Callable[..., AShare]) -> SecureArray:
    one = _first(arrays)
    numbers = [(a if isinstance(a, SecureArray) else one.wrap(ops.constant(one.session, a))) for a in arrays]
    shares = [a.as_number() for a in numbers]
    f = max(x.frac_bits for x in shares)
    return one.wrap(join([ops.rescale(one.session, x, f) for x in shares], axis=axis))


def concatenate(arrays: Sequence[Operand], axis: int = 0) -> SecureArray:
    """As `numpy.concatenate`; public arrays may be among them."""
    return _joined(arrays, axis, ops.concatenate)


def stack(arrays: Sequence[Operand], axis: int = 0) -> SecureArray:
    """As `numpy.stack`; public arrays may be among them."""
    return _joined(arrays, axis, ops.stack)


def _smooth(f: Callable[..., AShare]) -> Callable[[SecureArray], SecureArray]:
    def apply(x: SecureArray) -> SecureArray:
        return SecureArray(x.session, f(x.session, as_real(x.session, x.as_number())))

    apply.__name__ = f.__name__
    apply.__doc__ = f"See `ppc.mpc.ops.{f.__name__}`."
    return apply


exp = _smooth(ops.exp)
log = _smooth(ops.log)
sqrt = _smooth(ops.sqrt)
sigmoid = _smooth(ops.sigmoid)
tanh = _smooth(ops.tanh)
softmax = _smooth(ops.softmax)
sign = _smooth(ops.sign)
median = _smooth(ops.median)


def maximum(x: Operand, y: Operand) -> SecureArray:
    """The larger of the two, elementwise."""
    one = _first([x, y])
    a, b = one.paired(y if one is x else x)
    return one.wrap(ops.maximum(one.session, a, b))


def minimum(x: Operand, y: Operand) -> SecureArray:
    """The smaller of the two, elementwise."""
    one = _first([x, y])
    a, b = one.paired(y if one is x else x)
    return one.wrap(ops.minimum(one.session, a, b))


def sort(x: SecureArray) -> SecureArray:
    """x (n,) in rising order."""
    return x.wrap(ops.sort(x.session, x.as_number())[0])


def quantile(x: SecureArray, q: float | Sequence[float]) -> SecureArray:
    """Quantiles of x (n,) at public q."""
    return x.wrap(ops.quantile(x.session, as_real(x.session, x.as_number()), q))


__all__ = [
    "array", "booleans", "concatenate", "exp", "log", "maximum", "median", "minimum", "quantile",
    "sigmoid", "sign", "softmax", "sort", "sqrt", "stack", "tanh", "where",
]  # fmt: skip

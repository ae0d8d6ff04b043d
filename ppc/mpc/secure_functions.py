"""Making and combining `SecureArray`s, and functions of them: what NumPy has as functions rather than methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ppc.mpc import ops
from ppc.mpc.secret_array import rank_of
from ppc.mpc.secure_array import Operand, SecureArray, as_real
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare


def array(
    session: Session, x: ArrayLike | None, owner: int | str, shape: tuple[int, ...] | int, *, name: str = "array"
) -> SecureArray:
    """The owner's numbers or booleans as a SecureArray of fixed-point numbers; the others give `None`.

    Booleans become numbers 0 and 1 unless shared with `booleans`; keys and indices are shared with `integers`. Cost:
    none.
    """
    return SecureArray(session, ops.share(session, x, rank_of(session, owner), shape, name=name))


def integers(
    session: Session, x: ArrayLike | None, owner: int | str, shape: tuple[int, ...] | int, *, name: str = "integers"
) -> SecureArray:
    """The owner's whole numbers (within ±2**62) as a SecureArray: keys, indices, counts. Cost: none."""
    return SecureArray(session, ops.share(session, x, rank_of(session, owner), shape, frac_bits=0, name=name))


def booleans(session: Session, x: ArrayLike | None, owner: int | str, shape: tuple[int, ...] | int) -> SecureArray:
    """The owner's booleans as a SecureArray. Cost: none."""
    return SecureArray(session, ops.share_bits(session, x, rank_of(session, owner), shape))


def where(condition: SecureArray | ArrayLike, x: Operand, y: Operand) -> SecureArray:
    """x where the condition holds, else y; any of the three may be public.

    Cost: 1 round, 8.125 bytes an element (0.25 for booleans); none if the condition is public.
    """
    one = _first([condition, x, y])
    s = one.session
    if all(_is_boolean(v) for v in (x, y)):
        a, b = _boolean(one, x), _boolean(one, y)
        return ((a ^ b) & condition) ^ b
    if isinstance(x, SecureArray):
        left, right = x.paired(y)
    elif isinstance(y, SecureArray):
        right, left = y.paired(x)
    else:
        zero = one.wrap(ops.constant(s, np.zeros(())))
        left, right = (zero + x).paired(zero + y)
    if isinstance(condition, SecureArray):
        return one.wrap(ops.select(s, condition.as_boolean(), left, right))
    shape = np.broadcast_shapes(np.shape(condition), left.shape, right.shape)
    flags = np.broadcast_to(np.asarray(condition, bool), shape)
    parts = []
    for p, q in zip(left.broadcast_to(shape).parts, right.broadcast_to(shape).parts, strict=True):
        chosen = q.copy()
        chosen[flags] = p[flags]
        parts.append(chosen)
    return one.wrap(AShare(tuple(parts), left.frac_bits, left.holder))


def _is_boolean(x: Operand) -> bool:
    return x.is_boolean if isinstance(x, SecureArray) else np.asarray(x).dtype.kind == "b"


def _boolean(like: SecureArray, x: Operand) -> SecureArray:
    if isinstance(x, SecureArray):
        return x
    return like.wrap(like.session.engine.constant_bits(like.session, np.asarray(x)))


def _first(arrays: Sequence[Any]) -> SecureArray:
    return next(a for a in arrays if isinstance(a, SecureArray))


def _joined(
    arrays: Sequence[Operand], axis: int, join: Callable[..., Any], shares: Callable[..., AShare]
) -> SecureArray:
    one = _first(arrays)
    if all(_is_boolean(a) for a in arrays):  # through their positions: bits are packed
        secrets = [_boolean(one, a) for a in arrays]
        starts = np.cumsum([0, *(a.size for a in secrets)])
        index = join([np.arange(a.size).reshape(a.shape) + i for a, i in zip(secrets, starts, strict=False)], axis=axis)
        return one.wrap(ops.concatenate_bits([a.as_boolean().ravel() for a in secrets])[index])
    numbers = [(a if isinstance(a, SecureArray) else one.wrap(ops.constant(one.session, a))) for a in arrays]
    parts = [a.as_number() for a in numbers]
    f = max(x.frac_bits for x in parts)
    return one.wrap(shares([ops.rescale(one.session, x, f) for x in parts], axis=axis))


def concatenate(arrays: Sequence[Operand], axis: int = 0) -> SecureArray:
    """As `numpy.concatenate`; public arrays may be among them."""
    return _joined(arrays, axis, np.concatenate, ops.concatenate)


def stack(arrays: Sequence[Operand], axis: int = 0) -> SecureArray:
    """As `numpy.stack`; public arrays may be among them."""
    return _joined(arrays, axis, np.stack, ops.stack)


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
sign = _smooth(ops.sign)
median = _smooth(ops.median)
floor = _smooth(ops.floor)
ceil = _smooth(ops.ceil)
round_half_up = _smooth(ops.round_half_up)


def softmax(x: SecureArray, axis: int = -1) -> SecureArray:
    """See `ppc.mpc.ops.softmax`."""
    return x.wrap(ops.softmax(x.session, as_real(x.session, x.as_number()), axis))


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


def argsort(x: SecureArray) -> SecureArray:
    """The secret places of x (n,) in rising order, equals in theirs; `lookup` takes elements at them."""
    s = x.session
    places = s.engine.constant(s, s.ring.of_integers(np.arange(len(x))), 0)
    return x.wrap(ops.sort(s, x.as_number(), places)[1])


def top_k(x: SecureArray, k: int, *payload: SecureArray) -> list[SecureArray]:
    """The k largest of x (n,), largest first, and the rows of every payload (n,) or (n, …) that belong to them."""
    return [x.wrap(v) for v in ops.top_k(x.session, x.as_number(), k, *(p.as_number() for p in payload))]


def shuffle(x: SecureArray) -> SecureArray:
    """The rows of x in a uniformly random order that nobody knows."""
    return x.wrap(ops.shuffle(x.session, x.as_number()))


def quantile(x: SecureArray, q: float | Sequence[float]) -> SecureArray:
    """Quantiles of x (n,) at public q."""
    return x.wrap(ops.quantile(x.session, as_real(x.session, x.as_number()), q))


def outer(x: Operand, y: Operand) -> SecureArray:
    """All products x_i y_j of two arrays, flattened; one may be public."""
    if isinstance(x, SecureArray) and isinstance(y, SecureArray):
        return x.wrap(ops.outer(x.session, x.as_number().ravel(), y.as_number().ravel()))
    if isinstance(x, SecureArray):
        return x.reshape(-1, 1) * np.asarray(y).reshape(1, -1)
    return _first([y]).reshape(1, -1) * np.asarray(x).reshape(-1, 1)


def cov(x: SecureArray, rowvar: bool = True, ddof: int = 1) -> SecureArray:
    """As `numpy.cov` of one array: a row is a variable unless `rowvar` is false."""
    if x.ndim == 1:
        return x.var(ddof=ddof)
    columns = x.T if rowvar else x
    return x.wrap(ops.covariance(x.session, as_real(x.session, columns.as_number()), ddof))


__all__ = [
    "argsort", "array", "booleans", "ceil", "concatenate", "cov", "exp", "floor", "integers", "log", "maximum",
    "median", "minimum", "outer", "quantile", "round_half_up", "shuffle", "sigmoid", "sign", "softmax", "sort", "sqrt",
    "stack", "tanh", "top_k", "where",
]  # fmt: skip

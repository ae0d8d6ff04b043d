"""Largest and smallest along an axis, by a tournament of comparisons."""

from __future__ import annotations

import numpy as np

from ppc.errors import TypeMismatchError
from ppc.mpc.ops.arithmetic import concatenate, stack
from ppc.mpc.ops.compare import less_than, select
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare


def equal(s: Session, x: AShare, y: AShare | float | np.ndarray) -> BShare:
    """x == y, with broadcasting; y may be public. Cost: 3 rounds, 18 n bytes."""
    below, at_most = s.engine.less_than_zero(s, x - y, [0, 1])  # d < 0 and d < one unit
    return below ^ at_most


def maximum_along(s: Session, x: AShare, axis: int = 0) -> AShare:
    """The largest along `axis`. Cost: 4 rounds for each halving, 21.125 bytes for each of n - 1 comparisons."""
    return _tournament(s, _first_axis(x, axis), largest=True)


def minimum_along(s: Session, x: AShare, axis: int = 0) -> AShare:
    """The smallest along `axis`. Cost: as `maximum_along`."""
    return _tournament(s, _first_axis(x, axis), largest=False)


def argmax(s: Session, x: AShare, axis: int = 0) -> AShare:
    """The index of the largest along `axis`, the first of equals, as integers (frac_bits 0).

    Cost: 4 rounds for each halving, 29.125 bytes for each of n - 1 comparisons.
    """
    return _arg(s, _first_axis(x, axis), largest=True)


def argmin(s: Session, x: AShare, axis: int = 0) -> AShare:
    """The index of the smallest along `axis`, the first of equals, as integers. Cost: as `argmax`."""
    return _arg(s, _first_axis(x, axis), largest=False)


def _first_axis(x: AShare, axis: int) -> AShare:
    if not (x.ndim and -x.ndim <= axis < x.ndim and x.shape[axis]):
        raise TypeMismatchError(f"an extremum along axis {axis} of shape {x.shape}")
    axes = [axis % x.ndim, *(i for i in range(x.ndim) if i != axis % x.ndim)]
    return x.transpose(*axes)


def _beats(s: Session, left: AShare, right: AShare, largest: bool) -> BShare:
    """Where the right one wins; equals go to the left, which comes first."""
    return less_than(s, left, right) if largest else less_than(s, right, left)


def _tournament(s: Session, x: AShare, largest: bool) -> AShare:
    while len(x) > 1:
        pairs = len(x) // 2
        left, right = x[0 : 2 * pairs : 2], x[1 : 2 * pairs : 2]
        winners = select(s, _beats(s, left, right, largest), right, left)
        x = concatenate([winners, x[2 * pairs :]])
    return x[0]


def _arg(s: Session, x: AShare, largest: bool) -> AShare:
    n = len(x)
    numbers = np.broadcast_to(np.arange(n).reshape(-1, *[1] * (x.ndim - 1)), x.shape)
    index = s.engine.constant(s, s.ring.of_integers(numbers), x.frac_bits)
    both = stack([x, index], axis=1)  # value and index travel together
    while len(both) > 1:
        pairs = len(both) // 2
        left, right = both[0 : 2 * pairs : 2], both[1 : 2 * pairs : 2]
        bit = _beats(s, left[:, 0], right[:, 0], largest)
        wide = bit.reshape((pairs, 1, *x.shape[1:])).broadcast_to(left.shape)
        both = concatenate([select(s, wide, right, left), both[2 * pairs :]])
    return both[0, 1].reinterpret(0)

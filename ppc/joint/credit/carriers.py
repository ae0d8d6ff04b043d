"""How many matched rows carry a feature, when nobody may know which rows match: decided on shares."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.errors import InternalError
from ppc.joint.credit.frame import Rows
from ppc.joint.credit.joint_counts import chunk_rows
from ppc.joint.credit.training import Floats
from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

_BITS: Final = 30
#: Below this variance, relative to the largest squared deviation of the owner's rows, a feature does not vary.
_NO_VARIANCE: Final = 2.0**-24
#: More than truncations leave of Σ d² where there is nothing.
_ROUNDING: Final = 16 * 2.0**-_BITS
_SLACK: Final = 0.99


def too_few(s: Session, sizes: tuple[int, ...], own: Floats, rows: Rows, least: float) -> NDArray[np.bool_]:
    """`few`, told to all."""
    return ops.open_bits(s, few(s, sizes, own, rows, least))


def few(s: Session, sizes: tuple[int, ...], own: Floats, rows: Rows, least: float) -> BShare:
    """Of every party's features, in rank order, whether fewer than `least` matched rows carry it.

    Carriers are the participation ratio of squared deviations d from the mean over the matched rows, (Σ d)² / Σ d²: k
    if k of them differ from the mean alike and the others not at all. It follows from the sums of the first four
    powers, which the owner computes of deviations from the mean of all its rows, the largest as 1. A feature that does
    not vary among the matched rows is carried by none.

    Args:
        sizes: features of each party. own: this party's (own rows, features).

    Cost: 1 round for each block of rows, and 16; each owner sends 32 bytes for each of its features and rows.
    Threat: semi-honest. Leaks: nothing.
    """
    sums = ops.concatenate([_sums(s, rank, size, own, rows) for rank, size in enumerate(sizes) if size], axis=1)
    # Divided by the number of rows up to rounding of the factor, which `exact` undoes where it matters.
    factor = round(2**_BITS / rows.matched) / 2**_BITS
    exact = 1 / (factor * rows.matched)
    m = ops.truncate(s, sums.scale(np.uint64(round(factor * 2**_BITS)), _BITS), _BITS)
    mean = ops.mul_public(s, m[0], exact, frac_bits=_BITS)
    squared = ops.square(s, mean)
    fourth, mixed, inner = (
        ops.mul(s, ops.stack([squared, mean, squared]), ops.stack([squared, m[2], m[1]]))[i] for i in range(3)
    )
    spread = m[1] - ops.mul_public(s, squared, 1 / exact, frac_bits=_BITS)
    peaks = m[3] - mixed * 4 + inner * 6 - ops.mul_public(s, fourth, 3 / exact, frac_bits=_BITS)
    # (Σ d)² against least · Σ d², both times the factor's square.
    peaks = peaks + _ROUNDING
    margin = ops.square(s, spread, truncated=False) - _NO_VARIANCE**2
    bound = np.uint64(round(_SLACK * least * factor * 2**_BITS))
    return ops.less_than_zero(s, margin - peaks.scale(bound, _BITS))


def _sums(s: Session, rank: int, size: int, own: Floats, rows: Rows) -> AShare:
    """Sums over the matched rows of the first four powers of one party's features: (4, size), `_BITS`."""
    wide: Floats | None = None
    if s.rank == rank:
        d = own - own.mean(axis=0)
        d = d / np.maximum(np.abs(d).max(axis=0), np.finfo(np.float64).tiny)
        wide = rows.spread(np.concatenate([d, d**2, d**3, d**4], axis=1))
    if rows.member is None:
        raise InternalError("the match is not hidden")
    total: AShare | None = None
    step = chunk_rows(4 * size)
    for start in range(0, rows.n, step):
        stop = min(start + step, rows.n)
        mine = None if wide is None else wide[start:stop]
        block = ops.fixed_matrix(s, mine, rank, (stop - start, 4 * size), frac_bits=_BITS, name="features")
        part = ops.matmul_fixed_t(s, block, rows.member[start:stop], truncated=False)
        total = part if total is None else total + part
    if total is None:
        raise InternalError("training on no rows")
    return total.reshape(4, size)

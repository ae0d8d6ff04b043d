"""Goods and bads by bin when one party has the bins and another has the labels.

With O the owner's private one-hot matrix (rows × bins) and y the label holder's private columns, the counts are Oᵀ y.
They are computed on shares and told to the owner of the bins only; bins of few rows are set to zero before that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

CHUNK_WORDS: Final = 1 << 21  # a one-hot block of 16 MB: memory does not grow with rows × bins


def chunk_rows(width: int) -> int:
    """How many rows of a one-hot matrix of `width` columns are processed at once."""
    return max(1, CHUNK_WORDS // max(width, 1))


def count_jointly(
    s: Session,
    *,
    owner: int,
    holder: int,
    index: NDArray[np.int64] | None,
    features: int,
    bins: int,
    columns: NDArray[np.float64] | None,
    width: int,
    rows: int,
    frac_bits: int,
    min_rows: int,
    member: AShare | None = None,
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.float64] | None:
    """Sums of the holder's columns over the rows of each of the owner's bins; told to the owner.

    Args:
        owner, holder: ranks of the party with the bins and of the one with the labels.
        index: at the owner, (features, rows) bins 0 … bins - 1; `None` elsewhere.
        bins: bins of every feature. Pad it, so that it says nothing about a feature.
        columns: at the holder, (rows, width); `None` elsewhere. The last column must be ones: it counts the rows.
        frac_bits: fraction bits of `columns`: 0 for counts, more for weights.
        min_rows: a bin with fewer rows than this shows zeros. If the rows so withheld of one feature are themselves
            fewer (but not none), every bin of the feature shows zeros: their sum would follow from the total.
        member: (rows,) 1 for rows that count and 0 for others, if nobody may know which do.

    Returns:
        (features, bins, width - 1) float64 at the owner, `None` elsewhere.

    Cost: 1 round for each block of rows (2 with `member`), and 11 at the end; the owner sends 8 · rows · features ·
    bins bytes, the holder 8 · rows · width; with `member` each 8 · rows · width more.
    Threat: semi-honest. The owner could still learn more by choosing bins of two features that differ in few rows.
    Leaks: to the owner the sums by bin; to the holder nothing (shapes are public).
    """
    wide = features * bins
    step = chunk_rows(wide)
    total: AShare | None = None
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        hot = None if index is None else one_hot(index[:, start:stop], bins)
        block = ops.fixed_matrix(s, hot, owner, (stop - start, wide), frac_bits=0, name="bins")
        part = None if columns is None else columns[start:stop]
        y = ops.share(s, part, holder, (stop - start, width), frac_bits=frac_bits, name="labels")
        if member is not None:
            y = ops.mul(s, member[start:stop].reshape(-1, 1), y)
        counts = ops.matmul_fixed_t(s, block, y)
        total = counts if total is None else total + counts
        if progress is not None:
            progress(stop / rows)
    if total is None:
        return np.zeros((features, bins, width - 1)) if s.rank == owner else None
    shown = withhold(s, total.reshape(features, bins, width), min_rows)
    return ops.reveal(s, shown, owner)


def one_hot(index: NDArray[np.int64], bins: int) -> NDArray[np.int64]:
    """(features, rows) bins as a (rows, features · bins) matrix with a one for each feature in each row."""
    features, rows = index.shape
    hot = np.zeros((rows, features * bins), dtype=np.int64)
    hot[np.arange(rows)[:, None], index.T + bins * np.arange(features)] = 1
    return hot


def withhold(s: Session, counts: AShare, min_rows: int) -> AShare:
    """`counts` (features, bins, width) without the last column, which counts rows; zero where rows are too few.

    Cost: 10 rounds: two comparisons, two multiplications by bits, one and. Leaks: nothing.
    """
    features, bins, width = counts.shape
    rows = counts[:, :, width - 1]
    small: BShare = ops.less_than(s, rows, min_rows)
    withheld = ops.bit_mul(s, small, rows).sum(axis=1)
    none, few = ops.less_than_each(s, withheld, [1, min_rows])
    leaks = ops.and_(s, few, ~none)  # some rows are withheld, but so few that the total would tell
    keep = ops.and_(s, ~small, (~leaks).reshape(features, 1).broadcast_to((features, bins)))
    return ops.bit_mul(s, keep.reshape(features, bins, 1), counts[:, :, : width - 1])

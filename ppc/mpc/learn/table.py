"""What models read: a table of features, either the parties' own columns side by side, or a secret array.

Columns that a party knows are masked once and multiplied many times (`ops.fixed_matrix`), so that a batch of rows costs
a vector, not the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ppc.errors import ConfigError, TypeMismatchError
from ppc.mpc import ops
from ppc.mpc.fixed import FixedMatrix
from ppc.mpc.secure_array import SecureArray, as_real
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare


class Table:
    """Features (rows, columns) of one session. Make it with `vertical`, or from a `SecureArray` with `Table.of`."""

    __slots__ = ("_blocks", "_own", "_whole", "frac_bits", "session", "shape")

    def __init__(
        self,
        session: Session,
        shape: tuple[int, int],
        frac_bits: int,
        *,
        blocks: Sequence[FixedMatrix] = (),
        own: np.ndarray | None = None,
        whole: AShare | None = None,
    ) -> None:
        self.session, self.shape, self.frac_bits = session, shape, frac_bits
        self._blocks, self._own, self._whole = tuple(blocks), own, whole

    @classmethod
    def of(cls, x: Table | SecureArray) -> Table:
        """`x` itself, or a secret array of shape (rows, columns) as a table."""
        if isinstance(x, Table):
            return x
        if not isinstance(x, SecureArray):
            raise TypeMismatchError(
                f"features are a Table or a SecureArray, not {type(x).__name__}", hint="see ppc.mpc.learn.vertical"
            )
        share = as_real(x.session, x.as_number())
        if share.ndim != 2:
            raise TypeMismatchError(f"features have shape (rows, columns), not {share.shape}")
        return cls(x.session, (share.shape[0], share.shape[1]), share.frac_bits, whole=share)

    def __repr__(self) -> str:
        return f"<Table shape={self.shape}>"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def own(self) -> np.ndarray:
        """This party's columns (rows, columns it has), which only it knows.

        Raises:
            TypeMismatchError: the table is a secret array, of which nobody knows a column.
        """
        if self._own is None:
            raise TypeMismatchError(
                "this model reads columns that parties know, not a secret array", hint="make the table with vertical"
            )
        return self._own

    def matmul(self, w: AShare, rows: slice) -> AShare:
        """X[rows] @ w for w (columns,) or (columns, k), not truncated: the fraction bits of both. One round."""
        s = self.session
        if self._whole is not None:
            return ops.matmul(s, self._rows(rows), w, truncated=False)
        pairs, at = [], 0
        for block in self._blocks:
            pairs.append((block.rows(rows), w[at : at + block.shape[1]]))
            at += block.shape[1]
        first, *others = ops.matmul_fixed_many(s, pairs, truncated=False)
        return sum(others, first)

    def matmul_t(self, r: AShare, rows: slice) -> AShare:
        """X[rows].T @ r for r (n,) or (n, k), not truncated. One round."""
        s = self.session
        if self._whole is not None:
            return ops.matmul_t(s, self._rows(rows), r, truncated=False)
        parts = ops.matmul_fixed_t_many(s, [(b.rows(rows), r) for b in self._blocks], truncated=False)
        return ops.concatenate(parts)

    def columns(self, rows: slice) -> AShare:
        """X[rows] as a share. Cost: none."""
        if self._whole is not None:
            return self._rows(rows)
        s = self.session
        n = len(range(*rows.indices(len(self))))
        parts = []
        for block in self._blocks:
            mine = self._own[rows] if self._own is not None and block.owner == s.rank else None
            parts.append(
                ops.share(s, mine, block.owner, (n, block.shape[1]), frac_bits=self.frac_bits, name="features")
            )
        return ops.concatenate(parts, axis=1)

    def _rows(self, rows: slice) -> AShare:
        whole = self._whole
        if whole is None:
            raise TypeMismatchError("a table of blocks has no single share")
        return whole if rows == slice(0, len(self)) else whole[rows]  # the very object keeps its masked opening


def vertical(s: Session, mine: ArrayLike | None, *, widths: Sequence[int], rows: int) -> Table:
    """The parties' own columns side by side, rows in an order that all share.

    Args:
        mine: this party's columns, float64 (rows, widths[rank]); `None` if it has none. Standardise them (mean 0,
            variance 1) for models that are trained by steps.
        widths: how many columns each party has, in rank order; the same at every party, as is `rows`.

    Cost: 8 bytes an element, once, from its owner.
    """
    if len(widths) != len(s.parties) or not all(w >= 0 for w in widths) or not sum(widths):
        raise ConfigError(f"widths gives a number of columns for each of {len(s.parties)} parties, not {list(widths)}")
    own = np.empty((rows, 0)) if mine is None else np.asarray(mine, np.float64)
    if own.shape != (rows, widths[s.rank]):
        raise TypeMismatchError(
            f"my columns have shape {own.shape}, announced was {(rows, widths[s.rank])}", where="features", party=s.me
        )
    blocks = [
        ops.fixed_matrix(s, own if rank == s.rank else None, rank, (rows, width), name="features")
        for rank, width in enumerate(widths)
        if width
    ]
    return Table(s, (rows, sum(widths)), s.fx.frac_bits, blocks=blocks, own=own)


#: What targets, weights and offsets are given as.
Column: TypeAlias = SecureArray


def column(x: Table, values: SecureArray | None, what: str) -> AShare | None:
    """A secret vector with one number for each row of x."""
    if values is None:
        return None
    if not isinstance(values, SecureArray) or values.session is not x.session:
        raise TypeMismatchError(f"{what} is a SecureArray of the same session")
    share = as_real(x.session, values.as_number())
    if share.shape[:1] != (len(x),):
        raise TypeMismatchError(f"{what} has shape {share.shape} for {len(x)} rows")
    return ops.rescale(x.session, share, x.session.fx.frac_bits)

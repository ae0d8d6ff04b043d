"""A matrix that one party knows and that stays the same through many products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from ppc.errors import SecretMisuse, TypeMismatchError
from ppc.mpc.shares import Mask


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FixedMatrix:
    """Rows `start` … `stop` of the owner's matrix, as the engine keeps it in `store`. Its shape and owner are public.

    Make it with `ops.fixed_matrix`, take batches with `rows`, and multiply with `ops.matmul_fixed` and
    `ops.matmul_fixed_t`.
    """

    store: Mask
    owner: int
    frac_bits: int
    columns: int
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.stop - self.start, self.columns

    def rows(self, batch: slice) -> FixedMatrix:
        """A run of consecutive rows, without a copy or a message.

        Raises:
            TypeMismatchError: a slice with a step; shuffle the rows before the matrix is made.
        """
        start, stop, step = batch.indices(self.stop - self.start)
        if step != 1:
            raise TypeMismatchError(
                "rows of a fixed matrix are taken in runs (step 1)", hint="shuffle the rows beforehand"
            )
        return FixedMatrix(
            self.store, self.owner, self.frac_bits, self.columns, self.start + start, self.start + max(start, stop)
        )

    def __repr__(self) -> str:
        return f"<FixedMatrix shape={self.shape} owner={self.owner}>"

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        raise SecretMisuse("conversion of a FixedMatrix to an array", hint="its owner has the plain matrix")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SecretMisuse("pickling of a FixedMatrix", hint="its owner has the plain matrix")

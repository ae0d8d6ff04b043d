"""The label: what a model predicts, 1 for the event (a default) and 0 for its absence, at the party that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ppc.dataset.schema import Field
from ppc.errors import LabelError

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset


def check_type(field: Field, *, party: str, where: str | None, positive: str | None) -> None:
    """Refuse a label column that cannot be binary, from its schema."""
    if not field.is_numeric and field.type != "string":
        raise LabelError(f"label '{field.name}' is of type {field.type}, not 0/1", party=party, where=where)
    if field.type == "string" and positive is None:
        raise LabelError(
            f"label '{field.name}' is text",
            party=party,
            where=where,
            hint='Say which value is the event: positive = "bad".',
        )


def binary(dataset: Dataset, name: str, *, positive: str | None = None) -> NDArray[np.float64]:
    """The label column as 0.0 and 1.0, shape (rows,).

    Args:
        dataset: the label holder's rows.
        name: the column: numbers 0 and 1, booleans, or any two values with `positive`.
        positive: the value (as text) that counts as 1.

    Raises:
        LabelError: nulls, more than two values, values other than 0 and 1, or one class only. Never shows a value.
    """
    where = f"dataset '{dataset.name}', column '{name}'"
    column = dataset.column(name)
    if column.null_count:
        raise LabelError(f"label '{name}' has {column.null_count} missing values", where=where)
    if positive is not None:
        import pyarrow as pa

        text = np.asarray(column.cast(pa.string()).to_pylist(), dtype=object)
        distinct = len(set(text.tolist()))
        if distinct > 2:
            raise LabelError(f"label '{name}' has {distinct} distinct values, not 2", where=where)
        y = np.asarray(text == positive, dtype=np.float64)
    else:
        if not dataset.schema[name].is_numeric:
            hint = 'Say which value is the event: positive = "bad".'
            raise LabelError(f"label '{name}' is not 0/1", where=where, hint=hint)
        y = dataset.numpy(name)
        if not np.isin(y, (0.0, 1.0)).all():
            distinct = len(np.unique(y))
            what = f"label '{name}' is not binary: it has {distinct} distinct values"
            if distinct == 2:
                what = f"label '{name}' has two values, but not 0 and 1"
            raise LabelError(what, where=where, hint='Use 0 and 1, or say which value is the event: positive = "…".')
    if len(y) and (y == y[0]).all():
        raise LabelError(
            f"label '{name}' holds one class only", where=where, hint="A model needs rows of both classes."
        )
    return y

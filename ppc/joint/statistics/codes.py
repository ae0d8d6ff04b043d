"""Categories as numbers: position in a public list of levels, −1 where the value is missing, −2 where it is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.dataset.dataset import Dataset

MISSING, UNKNOWN = -1, -2


def text(value: Any) -> str:
    """One spelling for one level: 1, 1.0 and "1" are the same, and so are true and 1."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def codes(dataset: Dataset, column: str, levels: Sequence[Any]) -> NDArray[np.int64]:
    """The level of every row, int64 (n,)."""
    encoded = dataset.column(column).combine_chunks().dictionary_encode()
    place = {text(level): i for i, level in enumerate(levels)}
    of_value = np.array(
        [MISSING if v is None or v != v else place.get(text(v), UNKNOWN) for v in encoded.dictionary.to_pylist()]
        + [MISSING],
        np.int64,
    )
    index = encoded.indices.fill_null(len(of_value) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(of_value[index.astype(np.int64)])

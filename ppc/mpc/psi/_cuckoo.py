"""Machine-code loop of the cuckoo table. Memory is accessed by positions from a party's own keyed hashes."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def place(rows: NDArray[np.uint32], table: Ints) -> bool:
    """Fill `table` (bins,), -1 at first, with keys 0 … n - 1 by shortest augmenting paths; False if that cannot be."""
    bins = table.shape[0]
    seen = np.full(bins, -1, np.int64)  # the key for which a bin was last reached
    before = np.empty(bins, np.int64)  # the bin whose key would move here
    queue = np.empty(bins, np.int64)
    for i in range(rows.shape[0]):
        head = tail = 0
        free = -1
        for z in range(3):
            b = int(rows[i, z])
            seen[b] = i
            before[b] = -1
            queue[tail] = b
            tail += 1
            if table[b] < 0:
                free = b
                break
        while free < 0 and head < tail:
            b = queue[head]
            head += 1
            for z in range(3):
                c = int(rows[table[b], z])
                if seen[c] != i:
                    seen[c] = i
                    before[c] = b
                    queue[tail] = c
                    tail += 1
                    if table[c] < 0:
                        free = c
                        break
        if free < 0:
            return False
        while before[free] >= 0:
            table[free] = table[before[free]]
            free = before[free]
        table[free] = i
    return True

"""Machine-code loops of the oblivious key-value store and of matching tags. Blocks are rows of two words.

Memory is accessed by positions that come from a party's own keyed hashes, as in any hash table.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def clusters_of(place: Words, clusters: int, order: Ints, starts: Ints) -> None:
    """Rows grouped by cluster (counting sort): `order` (n,), cluster c being order[starts[c]:starts[c + 1]]."""
    count = uint64(clusters)
    starts[:] = 0
    for i in range(place.shape[0]):
        starts[((place[i, 0] & uint64(0xFFFFFFFF)) * count >> uint64(32)) + uint64(1)] += 1
    for c in range(clusters):
        starts[c + 1] += starts[c]
    fill = starts.copy()
    for i in range(place.shape[0]):
        c = (place[i, 0] & uint64(0xFFFFFFFF)) * count >> uint64(32)
        order[fill[c]] = i
        fill[c] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def triples(place: Words, order: Ints, size: int, out: NDArray[np.uint32]) -> None:
    """Three distinct positions below `size` for each row of a cluster, uniform over all ordered triples; out (n, 3)."""
    low = uint64(0xFFFFFFFF)
    s = uint64(size)
    for i in range(order.shape[0]):
        p0, p1 = place[order[i], 0], place[order[i], 1]
        a = (p0 >> uint64(32)) * s >> uint64(32)
        b = (p1 & low) * (s - uint64(1)) >> uint64(32)
        c = (p1 >> uint64(32)) * (s - uint64(2)) >> uint64(32)
        if b >= a:
            b += uint64(1)
        first = min(a, b)
        second = max(a, b)
        if c >= first:
            c += uint64(1)
        if c >= second:
            c += uint64(1)
        out[i, 0] = a
        out[i, 1] = b
        out[i, 2] = c


@njit(cache=True, nogil=True, error_model="numpy")
def peel(rows: NDArray[np.uint32], size: int, peeled: Ints, pivots: Ints, gaps: Ints) -> tuple[int, int]:
    """Order rows so that each has a position (its pivot) that no later one uses; the rest are gap rows.

    Returns how many were peeled (`peeled` and `pivots` filled so far) and how many gap rows there are (`gaps`).
    """
    n = rows.shape[0]
    degree = np.zeros(size, np.int64)
    sums = np.zeros(size, np.int64)  # the sum of row numbers at a position: the row itself once only one is left
    left = np.ones(n, np.bool_)
    stack = np.empty(size + 3 * n + 1, np.int64)
    for i in range(n):
        for z in range(3):
            x = rows[i, z]
            degree[x] += 1
            sums[x] ^= i
    top = 0
    for x in range(size):
        if degree[x] == 1:
            stack[top] = x
            top += 1
    done, missing, scan = 0, 0, 0
    while True:
        while top > 0:
            top -= 1
            x = stack[top]
            if degree[x] != 1:
                continue
            i = sums[x]
            peeled[done] = i
            pivots[done] = x
            done += 1
            left[i] = False
            for z in range(3):
                y = rows[i, z]
                degree[y] -= 1
                sums[y] ^= i
                if degree[y] == 1:
                    stack[top] = y
                    top += 1
        while scan < n and not left[scan]:
            scan += 1
        if scan == n:
            break
        gaps[missing] = scan
        missing += 1
        left[scan] = False
        for z in range(3):
            y = rows[scan, z]
            degree[y] -= 1
            sums[y] ^= scan
            if degree[y] == 1:
                stack[top] = y
                top += 1
    return done, missing


@njit(cache=True, nogil=True, error_model="numpy")
def substitute(rows: NDArray[np.uint32], values: Words, peeled: Ints, pivots: Ints, store: Words) -> None:
    """Backwards through the peeled rows: store[pivot] so that the row's three positions add up to its value.

    values (n, k) and store (size, k) for any k; positions that are no pivot keep what they have.
    """
    for s in range(peeled.shape[0] - 1, -1, -1):
        i, x = peeled[s], pivots[s]
        a, b, c = rows[i, 0], rows[i, 1], rows[i, 2]
        for w in range(store.shape[1]):
            own = store[x, w]
            store[x, w] = values[i, w] ^ store[a, w] ^ store[b, w] ^ store[c, w] ^ own


@njit(cache=True, nogil=True, error_model="numpy")
def gather(rows: NDArray[np.uint32], order: Ints, store: Words, out: Words) -> None:
    """out[order[i]] = the sum of the three positions of row i."""
    for i in range(rows.shape[0]):
        a, b, c = rows[i, 0], rows[i, 1], rows[i, 2]
        out[order[i], 0] = store[a, 0] ^ store[b, 0] ^ store[c, 0]
        out[order[i], 1] = store[a, 1] ^ store[b, 1] ^ store[c, 1]


@njit(cache=True, nogil=True, error_model="numpy")
def merge(theirs: Words, mine: Words, out: Ints) -> bool:
    """out[j] = the index in `theirs` of the row equal to mine[j], or -1; both ascending by (word 0, word 1).

    False if `theirs` is not strictly ascending, so that `out` means nothing.
    """
    n = theirs.shape[0]
    for i in range(1, n):
        a, b = theirs[i - 1, 0], theirs[i, 0]
        if a > b or (a == b and theirs[i - 1, 1] >= theirs[i, 1]):
            return False
    i = 0
    for j in range(mine.shape[0]):
        x, y = mine[j, 0], mine[j, 1]
        while i < n and (theirs[i, 0] < x or (theirs[i, 0] == x and theirs[i, 1] < y)):
            i += 1
        out[j] = i if i < n and theirs[i, 0] == x and theirs[i, 1] == y else -1
    return True

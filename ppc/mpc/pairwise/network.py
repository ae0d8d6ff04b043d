"""A network of switches that puts 2**m rows in any order: 2 m - 1 layers of 2**(m - 1) switches.

Layers l and 2 m - 2 - l belong to blocks of 2**(m - l) rows: the first sends one row of each pair to the upper half and
one to the lower half, both halves are networks themselves, the last joins them.

Source: Beneš (1964); the setting by loops: Waksman (JACM 1968), Opferman, Tsao-Wu (1971).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.uint64]
Flags: TypeAlias = NDArray[np.bool_]


def layers(size: int) -> int:
    """Layers for `size` rows, a power of two from 2 on."""
    return 2 * (size.bit_length() - 1) - 1


def _block(layer: int, count: int, size: int) -> int:
    return size >> min(layer, count - 1 - layer)


def ahead(x: Rows, layer: int, count: int) -> Rows:
    """Rows (size, k) as the pairs (size / 2, 2, k) that meet in the switches of a layer."""
    size, k = x.shape
    n = _block(layer, count, size)
    if layer <= count // 2:
        return x.reshape(size // 2, 2, k)
    return x.reshape(size // n, 2, n // 2, k).swapaxes(1, 2).reshape(size // 2, 2, k)


def behind(pairs: Rows, layer: int, count: int) -> Rows:
    """The inverse of `ahead` for what comes out of the switches: rows (size, k) as the next layer finds them."""
    size, k = 2 * len(pairs), pairs.shape[2]
    n = _block(layer, count, size)
    if layer >= count // 2:
        return pairs.reshape(size, k)
    return pairs.reshape(size // n, n // 2, 2, k).swapaxes(1, 2).reshape(size, k)


def apply(x: Rows, switches: Flags) -> Rows:
    """The rows after all layers, in the clear."""
    for i, crossed in enumerate(switches):
        pairs = ahead(x, i, len(switches))
        x = behind(np.where(crossed[:, None, None], pairs[:, ::-1], pairs), i, len(switches))
    return x


def route(order: NDArray[np.int64]) -> Flags:
    """Switches (layers, size / 2), true where crossed, so that row order[i] comes to place i.

    Runs at the party that knows the order, and takes the same steps whatever it is, but for memory addresses.
    """
    size = len(order)
    count = layers(size)
    out = np.zeros((count, size // 2), np.bool_)
    source = order.astype(np.int64)
    for level in range(count // 2):
        after = np.empty_like(source)
        _split(source, size >> level, out[level], out[count - 1 - level], after)
        source = after
    out[count // 2] = (source.reshape(-1, 2)[:, 0] & 1).astype(np.bool_)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _split(source: NDArray[np.int64], n: int, first: Flags, last: Flags, after: NDArray[np.int64]) -> None:
    """Set the first and the last layer of each block of n, and give the orders of both halves; all relative to blocks.

    Output i takes its row from the upper half, so its switch is crossed if i is odd; that row's input pair sends its
    other row through the lower half, to output j, whose pair j ^ 1 takes from the upper half: on until the loop closes.
    """
    half = n // 2
    inverse = np.empty(n, np.int64)
    for start in range(0, len(source), n):
        done = np.zeros(half, np.bool_)
        for i in range(n):
            inverse[source[start + i]] = i
        for begin in range(0, n, 2):
            i = begin
            while not done[i >> 1]:
                done[i >> 1] = True
                s = source[start + i]
                last[(start >> 1) + (i >> 1)] = (i & 1) == 1
                first[(start >> 1) + (s >> 1)] = (s & 1) == 1
                after[start + (i >> 1)] = s >> 1
                j = inverse[s ^ 1]
                after[start + half + (j >> 1)] = s >> 1
                i = j ^ 1

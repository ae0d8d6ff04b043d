"""Kernels for microaggregation and rank swapping."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any


@njit(cache=True, nogil=True)
def _farthest(x: Array, rows: Array, n: int, point: Array) -> int:
    best, at = -1.0, 0
    for i in range(n):
        d = 0.0
        for j in range(x.shape[1]):
            t = x[rows[i], j] - point[j]
            d += t * t
        if d > best:
            best, at = d, i
    return at


@njit(cache=True, nogil=True)
def _take_nearest(x: Array, rows: Array, n: int, point: Array, k: int, number: int, group: Array, d: Array) -> int:
    """Give group `number` to the k of rows[:n] nearest to point, remove them, and return how many rows are left."""
    for i in range(n):
        total = 0.0
        for j in range(x.shape[1]):
            t = x[rows[i], j] - point[j]
            total += t * t
        d[i] = total
    bound = np.partition(d[:n], k - 1)[k - 1]
    taken = 0
    for i in range(n):
        taken += d[i] < bound
    ties = k - taken
    left = 0
    for i in range(n):
        if d[i] < bound:
            group[rows[i]] = number
        elif d[i] == bound and ties > 0:
            group[rows[i]] = number
            ties -= 1
        else:
            rows[left] = rows[i]
            left += 1
    return left


@njit(cache=True, nogil=True)
def mdav(x: Array, k: int, group: Array) -> int:
    """MDAV on the rows of x (n, d): group[i] = number of the group; return the number of groups.

    While 3k rows are left: r is farthest from their mean, s farthest from r; the k nearest to each form a group. Then,
    with 2k or more left, one more group around the farthest; the rest is the last group.
    """
    n = x.shape[0]
    rows = np.arange(n)
    d = np.empty(n, np.float64)
    point = np.empty(x.shape[1], np.float64)
    groups = 0
    while n >= 3 * k:
        for j in range(x.shape[1]):
            total = 0.0
            for i in range(n):
                total += x[rows[i], j]
            point[j] = total / n
        r = rows[_farthest(x, rows, n, point)]
        s = rows[_farthest(x, rows, n, x[r])]
        n = _take_nearest(x, rows, n, x[r].copy(), k, groups, group, d)
        n = _take_nearest(x, rows, n, x[s].copy(), k, groups + 1, group, d)
        groups += 2
    if n >= 2 * k:
        for j in range(x.shape[1]):
            total = 0.0
            for i in range(n):
                total += x[rows[i], j]
            point[j] = total / n
        r = rows[_farthest(x, rows, n, point)]
        n = _take_nearest(x, rows, n, x[r].copy(), k, groups, group, d)
        groups += 1
    for i in range(n):
        group[rows[i]] = groups
    return groups + (1 if n > 0 else 0)


@njit(cache=True, nogil=True)
def line(order: Array, x: Array, k: int, group: Array) -> int:
    """MDAV in one dimension: on a line, the farthest points are the two ends. order sorts x; as `mdav` otherwise."""
    low, high = 0, order.shape[0]
    total = x.sum()
    groups = 0
    while high - low >= 2 * k:
        n = high - low
        mean = total / n
        right_first = x[order[high - 1]] - mean > mean - x[order[low]]
        rounds = 2 if n >= 3 * k else 1
        for turn in range(rounds):
            right = right_first if turn == 0 else not right_first
            for _ in range(k):
                if right:
                    high -= 1
                    i = order[high]
                else:
                    i = order[low]
                    low += 1
                total -= x[i]
                group[i] = groups
            groups += 1
        if rounds == 1:
            break
    for p in range(low, high):
        group[order[p]] = groups
    return groups + (1 if high > low else 0)


@njit(cache=True, nogil=True)
def swap_within(order: Array, window: int, words: Array, source: Array) -> None:
    """For rows in rank order, swap each not yet swapped with a random not yet swapped one at most `window` ranks up."""
    n = order.shape[0]
    done = np.zeros(n, np.bool_)
    for i in range(n):
        if done[i]:
            continue
        done[i] = True
        span = min(n - 1, i + window) - i
        if span == 0:
            continue
        # Draw ranks until one is free; after some tries take the first free one above the last draw, wrapping around.
        word = words[i]
        at = i
        for _ in range(32):
            at = i + 1 + int((word >> np.uint64(33)) % np.uint64(span))
            if not done[at]:
                break
            word = word * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        for _ in range(min(span, 4096)):
            if not done[at]:
                break
            at = i + 1 + (at - i) % span
        if not done[at]:
            done[at] = True
            source[order[i]] = order[at]
            source[order[at]] = order[i]

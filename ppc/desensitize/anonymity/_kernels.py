"""Mondrian's inner loop: one pass over a part of the rows for each cut. Arrays in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def far(counts: Any, rows: int, overall: Any, ordered: bool) -> float:
    """Distance of a part's sensitive counts (values,) from the shares of the whole table."""
    total, running = 0.0, 0.0
    for v in range(len(counts)):
        gap = counts[v] / rows - overall[v]
        if ordered:
            running += gap
            total += abs(running)
        else:
            total += 0.5 * abs(gap)
    if ordered:
        return total / max(len(counts) - 1, 1)
    return total


@njit(cache=True, nogil=True)
def diverse(counts: Any, rows: int, overall: Any, l: float, t: float, ordered: bool) -> bool:
    """Whether a part has at least l distinct sensitive values and is within t of the table (t < 0: not asked)."""
    distinct = 0
    for v in range(len(counts)):
        if counts[v] > 0:
            distinct += 1
    if distinct < l:
        return False
    return t < 0 or far(counts, rows, overall, ordered) <= t + 1e-12


@njit(cache=True, nogil=True)
def mondrian(
    codes: Any, weights: Any, spans: Any, k: int, secret: Any, overall: Any, l: float, t: float, ordered: bool
) -> Any:
    """Strict Mondrian on coded tuples.

    codes: (n, d) int32. weights: (n,) rows each tuple stands for. spans: (d,) each column's number of codes.
    secret: (n, s) int64 counts of sensitive values by tuple; (n, 0) if there are none. Gives (part of each tuple (n,),
    number of parts). A part is cut at the value nearest its weighted median, in its relatively widest column first.
    """
    n, d = codes.shape
    values = secret.shape[1]
    order = np.arange(n)
    part = np.empty(n, np.int64)
    parts = 0
    widest_code = 0
    for j in range(d):
        widest_code = max(widest_code, spans[j])
    bins = np.zeros(widest_code, np.int64)
    low, high = np.empty(d, np.int64), np.empty(d, np.int64)
    stack = [(0, n)]
    while len(stack) > 0:
        start, stop = stack.pop()
        rows = 0
        for j in range(d):
            low[j], high[j] = spans[j], -1
        for i in range(start, stop):
            at = order[i]
            rows += weights[at]
            for j in range(d):
                c = codes[at, j]
                if c < low[j]:
                    low[j] = c
                if c > high[j]:
                    high[j] = c
        cut = False
        if rows >= 2 * k:
            width = np.empty(d)
            for j in range(d):
                width[j] = (high[j] - low[j]) / max(spans[j] - 1, 1)
            for j in np.argsort(-width):
                if high[j] <= low[j]:
                    break
                for i in range(start, stop):
                    bins[codes[order[i], j]] += weights[order[i]]
                below, best, border = 0, rows, -1
                for c in range(low[j], high[j]):
                    below += bins[c]
                    if below >= k and rows - below >= k and abs(2 * below - rows) < best:
                        best, border = abs(2 * below - rows), c
                for c in range(low[j], high[j] + 1):
                    bins[c] = 0
                if border < 0:
                    continue
                a, b = start, stop - 1
                while a <= b:
                    if codes[order[a], j] <= border:
                        a += 1
                    else:
                        order[a], order[b] = order[b], order[a]
                        b -= 1
                if values > 0:
                    ok = True
                    for side in range(2):
                        first, last = (start, a) if side == 0 else (a, stop)
                        counts = np.zeros(values, np.int64)
                        size = 0
                        for i in range(first, last):
                            size += weights[order[i]]
                            for v in range(values):
                                counts[v] += secret[order[i], v]
                        if not diverse(counts, size, overall, l, t, ordered):
                            ok = False
                            break
                    if not ok:
                        continue
                stack.append((start, a))
                stack.append((a, stop))
                cut = True
                break
        if not cut:
            for i in range(start, stop):
                part[order[i]] = parts
            parts += 1
    return part, parts

"""Kernels on UTF-8 text: finding the part of each row that is to be masked, and painting it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# An array of any shape; numba specialises on the dtype.
Array = Any


@njit(cache=True, nogil=True)
def is_ascii(data: Array, start: int, stop: int) -> bool:
    """Whether no byte of data[start:stop] has its high bit set."""
    seen = np.uint8(0)
    for j in range(start, stop):
        seen |= data[j]
    return bool(seen < 0x80)


@njit(cache=True, nogil=True)
def forward(data: Array, pos: int, stop: int, chars: int) -> int:
    """The byte position `chars` code points after `pos`, at most `stop`."""
    while chars > 0 and pos < stop:
        pos += 1
        while pos < stop and (data[pos] & 0xC0) == 0x80:
            pos += 1
        chars -= 1
    return pos


@njit(cache=True, nogil=True)
def backward(data: Array, start: int, pos: int, chars: int) -> int:
    """The byte position `chars` code points before `pos`, at least `start`."""
    while chars > 0 and pos > start:
        pos -= 1
        while pos > start and (data[pos] & 0xC0) == 0x80:
            pos -= 1
        chars -= 1
    return pos


@njit(cache=True, nogil=True)
def keep_ends_ascii(off: Array, first: int, last: int, char: int, out: Array) -> None:
    """Overwrite, in `out` (a copy of ASCII rows that starts at off[0]), all but the first and last characters."""
    base = off[0]
    ch = np.uint8(char)
    for i in range(off.shape[0] - 1):
        start = off[i] - base
        stop = off[i + 1] - base
        if stop - start > first + last:
            start += first
            stop -= last
        for j in range(start, stop):
            out[j] = ch


@njit(cache=True, nogil=True)
def range_keep_ends(off: Array, data: Array, first: int, last: int, lo: Array, hi: Array) -> None:
    """[lo, hi): all but the first and last characters; the whole row if it has no more than those."""
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        a = forward(data, start, stop, first)
        b = backward(data, start, stop, last)
        if a >= b:
            a, b = start, stop
        lo[i] = a
        hi[i] = b


@njit(cache=True, nogil=True)
def range_middle(off: Array, data: Array, first: int, last: int, lo: Array, hi: Array) -> None:
    """[lo, hi): the part that stays when the ends are masked; empty if the ends meet."""
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        a = forward(data, start, stop, first)
        b = backward(data, start, stop, last)
        lo[i] = a
        hi[i] = max(a, b)


@njit(cache=True, nogil=True)
def range_positions(off: Array, data: Array, begin: int, end: int, lo: Array, hi: Array) -> None:
    """[lo, hi): characters begin..end (0-based, end exclusive); end < 0 means to the end of the row."""
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        a = forward(data, start, stop, begin)
        lo[i] = a
        hi[i] = stop if end < 0 else forward(data, a, stop, end - begin)


@njit(cache=True, nogil=True)
def find(data: Array, start: int, stop: int, mark: Array, from_right: bool) -> int:
    """The byte position of `mark` in data[start:stop], the last one if `from_right`; -1 if there is none."""
    m = mark.shape[0]
    steps = stop - start - m + 1
    for k in range(steps):
        p = stop - m - k if from_right else start + k
        hit = True
        for j in range(m):
            if data[p + j] != mark[j]:
                hit = False
                break
        if hit:
            return p
    return -1


@njit(cache=True, nogil=True)
def range_around(
    off: Array, data: Array, mark: Array, before: bool, from_right: bool, keep: int, lo: Array, hi: Array
) -> None:
    """[lo, hi): what stands before (after) `mark`, less the `keep` characters farthest from it.

    A row without the mark, or with no more than `keep` characters on that side, loses the whole side (row).
    """
    m = mark.shape[0]
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        p = find(data, start, stop, mark, from_right)
        if p < 0:
            lo[i], hi[i] = start, stop
        elif before:
            a = forward(data, start, p, keep)
            lo[i], hi[i] = (a if a < p else start), p
        else:
            b = backward(data, p + m, stop, keep)
            lo[i], hi[i] = p + m, (b if b > p + m else stop)


@njit(cache=True, nogil=True)
def email_ascii_size(off: Array, data: Array, keep: int, width: int, out_off: Array, at: Array) -> None:
    """Sizes of masked ASCII e-mail addresses; at[i] is the last '@' relative to the row, -1 if none."""
    total = 0
    out_off[0] = 0
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        p = stop - 1
        while p >= start and data[p] != 64:
            p -= 1
        at[i] = p - start if p >= start else -1
        size = stop - start
        if width >= 0 and size > 0:
            if p < start:
                size = width
            else:
                kept = keep if p - start > keep else 0
                size = kept + (width if p > start else 0) + (stop - p)
        total += size
        out_off[i + 1] = total


@njit(cache=True, nogil=True)
def email_ascii_fill(
    off: Array, data: Array, keep: int, width: int, char: int, out_off: Array, at: Array, out: Array
) -> None:
    """Write what `email_ascii_size` measured."""
    ch = np.uint8(char)
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        q = out_off[i]
        local = at[i]
        if local < 0:
            for j in range(q, out_off[i + 1]):
                out[j] = ch
            continue
        kept = keep if local > keep else 0
        for j in range(kept):
            out[q + j] = data[start + j]
        q += kept
        run = local - kept
        if width >= 0 and local > 0:
            run = width
        for j in range(run):
            out[q + j] = ch
        q += run
        for j in range(start + local, stop):
            out[q] = data[j]
            q += 1


@njit(cache=True, nogil=True)
def mask_symbols(
    off: Array, data: Array, first: int, last: int, hidden: int, digits_only: bool, char: int, out: Array
) -> None:
    """Overwrite, in `out` (a copy that starts at off[0]), letters and digits; punctuation and blanks stay.

    Keeps the first `first` and last `last` of them; with hidden > 0 keeps all but the `hidden` ones before the last
    `last`. A row with too few symbols for that keeps at most its last two, and none if it has fewer than six.
    """
    base = off[0]
    ch = np.uint8(char)
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        n = 0
        for j in range(start, stop):
            c = data[j]
            if (48 <= c <= 57) or (not digits_only and ((65 <= c <= 90) or (97 <= c <= 122) or c >= 128)):
                n += 1
        a = n - last - hidden if hidden > 0 else first
        b = n - last
        if a < 0 or a >= b:
            a = 0
            b = n if n < 6 else n - 2
        k = 0
        for j in range(start, stop):
            c = data[j]
            if (48 <= c <= 57) or (not digits_only and ((65 <= c <= 90) or (97 <= c <= 122) or c >= 128)):
                if a <= k < b:
                    out[j - base] = ch
                k += 1


@njit(cache=True, nogil=True)
def code_point(data: Array, pos: int, stop: int) -> int:
    """The code point at `pos` (0 where the bytes are cut short)."""
    c = np.int64(data[pos])
    if c < 0x80:
        return int(c)
    if c < 0xE0:
        extra, value = 1, c & 0x1F
    elif c < 0xF0:
        extra, value = 2, c & 0x0F
    else:
        extra, value = 3, c & 0x07
    if pos + extra >= stop:
        return 0
    for j in range(1, extra + 1):
        value = (value << 6) | (np.int64(data[pos + j]) & 0x3F)
    return int(value)


@njit(cache=True, nogil=True)
def range_person(off: Array, data: Array, compound: Array, keep_family: bool, lo: Array, hi: Array) -> None:
    """[lo, hi): a name less its family name (Chinese) or, for a name in letters, less its first letter.

    compound: sorted int64 array of two-character Chinese family names, each as (first << 32) | second.
    A name of one character is masked whole. `keep_family=False` masks the family name and keeps the rest (Chinese).
    """
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        lo[i], hi[i] = start, stop
        if stop == start:
            continue
        c0 = code_point(data, start, stop)
        a = forward(data, start, stop, 1)
        if a >= stop:
            continue
        chinese = 0x3400 <= c0 <= 0x9FFF or 0x20000 <= c0 <= 0x323AF
        if chinese:
            b = forward(data, a, stop, 1)
            if b < stop:
                pair = (np.int64(c0) << 32) | np.int64(code_point(data, a, stop))
                k = np.searchsorted(compound, pair)
                if k < compound.shape[0] and compound[k] == pair:
                    a = b
        if chinese and not keep_family:
            lo[i], hi[i] = start, a
        else:
            lo[i] = a


@njit(cache=True, nogil=True)
def range_address(off: Array, data: Array, level: int, lo: Array, hi: Array) -> None:
    """[lo, hi): a Chinese address beyond its province (1), city (2) or district (3); the whole row if none is named.

    An address with a comma and no Chinese unit loses what stands before the first comma (street and number).
    """
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        cut = start
        found = 0
        p = start
        before = 0
        while p < stop and found < level:
            c = code_point(data, p, stop)
            q = forward(data, p, stop, 1)
            # 省 | 区 after 治 (自治区) | 市 | 州, 盟 | 区, 县, 旗
            if c == 0x7701 or (c == 0x533A and before == 0x6CBB):
                if level >= 1:
                    found, cut = max(found, 1), q
            elif c == 0x5E02 or ((c == 0x5DDE or c == 0x76DF) and found == 1):
                if found < 2:
                    # A municipality (北京市) is province and city at once.
                    found, cut = 2, q
                elif level >= 3:
                    found, cut = 3, q
            elif (c == 0x533A or c == 0x53BF or c == 0x65D7) and found >= 1 and level >= 3:
                found, cut = 3, q
            before = c
            p = q
        lo[i], hi[i] = cut, stop
        if found == 0:
            for j in range(start, stop):
                if data[j] == 44:
                    hi[i] = j
                    break


@njit(cache=True, nogil=True)
def paint_size(
    off: Array, data: Array, lo: Array, hi: Array, outside: bool, char_len: int, width: int, out_off: Array
) -> None:
    """Offsets of the painted rows: each masked code point becomes one mask character, or the whole part `width`."""
    total = 0
    out_off[0] = 0
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        inside = 0
        for j in range(lo[i], hi[i]):
            inside += (data[j] & 0xC0) != 0x80
        if outside:
            chars = 0
            for j in range(start, stop):
                chars += (data[j] & 0xC0) != 0x80
            total += (hi[i] - lo[i]) + (chars - inside) * char_len
        elif width >= 0:
            run = width if hi[i] > lo[i] else 0
            total += (stop - start) - (hi[i] - lo[i]) + run * char_len
        else:
            total += (stop - start) - (hi[i] - lo[i]) + inside * char_len
        out_off[i + 1] = total


@njit(cache=True, nogil=True)
def paint_fill(
    off: Array, data: Array, lo: Array, hi: Array, outside: bool, char: Array, width: int, out_off: Array, out: Array
) -> None:
    """Write what `paint_size` measured."""
    m = char.shape[0]
    for i in range(off.shape[0] - 1):
        q = out_off[i]
        for j in range(off[i], off[i + 1]):
            hidden = (lo[i] <= j < hi[i]) != outside
            if not hidden:
                out[q] = data[j]
                q += 1
            elif width < 0 or outside:
                if (data[j] & 0xC0) != 0x80:
                    for k in range(m):
                        out[q + k] = char[k]
                    q += m
            elif j == lo[i]:
                for _ in range(width):
                    for k in range(m):
                        out[q + k] = char[k]
                    q += m


@njit(cache=True, nogil=True)
def count_code_points(off: Array, data: Array, out_off: Array) -> None:
    """out_off: the offsets of each row in code points."""
    total = 0
    out_off[0] = 0
    for i in range(off.shape[0] - 1):
        for j in range(off[i], off[i + 1]):
            total += (data[j] & 0xC0) != 0x80
        out_off[i + 1] = total


@njit(cache=True, nogil=True)
def decode(off: Array, data: Array, out: Array) -> None:
    """Every row's code points, one after the other."""
    q = 0
    for i in range(off.shape[0] - 1):
        stop = off[i + 1]
        p = off[i]
        while p < stop:
            out[q] = code_point(data, p, stop)
            q += 1
            p = forward(data, p, stop, 1)


@njit(cache=True, nogil=True)
def encoded_size(cp_off: Array, cps: Array, out_off: Array) -> None:
    """Byte offsets of rows of code points, in UTF-8."""
    total = 0
    out_off[0] = 0
    for i in range(cp_off.shape[0] - 1):
        for j in range(cp_off[i], cp_off[i + 1]):
            c = cps[j]
            total += 1 if c < 0x80 else 2 if c < 0x800 else 3 if c < 0x10000 else 4
        out_off[i + 1] = total


@njit(cache=True, nogil=True)
def encode(cps: Array, count: int, out: Array) -> None:
    """Code points to UTF-8."""
    q = 0
    for j in range(count):
        c = cps[j]
        if c < 0x80:
            out[q] = c
            q += 1
        elif c < 0x800:
            out[q] = 0xC0 | (c >> 6)
            out[q + 1] = 0x80 | (c & 0x3F)
            q += 2
        elif c < 0x10000:
            out[q] = 0xE0 | (c >> 12)
            out[q + 1] = 0x80 | ((c >> 6) & 0x3F)
            out[q + 2] = 0x80 | (c & 0x3F)
            q += 3
        else:
            out[q] = 0xF0 | (c >> 18)
            out[q + 1] = 0x80 | ((c >> 12) & 0x3F)
            out[q + 2] = 0x80 | ((c >> 6) & 0x3F)
            out[q + 3] = 0x80 | (c & 0x3F)
            q += 4

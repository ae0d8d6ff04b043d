"""Check digits and shapes over the rows of a string array (offsets and bytes), one pass each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# An array of any shape; numba specialises on the dtype.
Array = Any


@njit(cache=True, nogil=True)
def resident_id(off: Array, data: Array, provinces: Array, weights: Array, days: Array, out: Array) -> None:
    """out[i]: whether row i is an 18-character resident identity number: province, date and check character fit."""
    for i in range(off.shape[0] - 1):
        start = off[i]
        if off[i + 1] - start != 18:
            out[i] = False
            continue
        total = 0
        worst = np.uint8(0)
        for j in range(17):
            digit = np.uint8(data[start + j] - np.uint8(48))
            worst = max(worst, digit)
            total += np.int64(digit) * weights[j]
        last = data[start + 17]
        expect = (12 - total % 11) % 11
        value = 10 if last == 88 or last == 120 else np.int64(last) - 48
        if worst > 9 or value != expect:
            out[i] = False
            continue
        province = (data[start] - 48) * 10 + (data[start + 1] - 48)
        year = 0
        for j in range(6, 10):
            year = year * 10 + (data[start + j] - 48)
        month = (data[start + 10] - 48) * 10 + (data[start + 11] - 48)
        day = (data[start + 12] - 48) * 10 + (data[start + 13] - 48)
        good = provinces[province] and 1800 <= year < 2100 and 1 <= month <= 12 and 1 <= day <= days[month]
        if good and month == 2 and day == 29:
            good = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
        out[i] = good


@njit(cache=True, nogil=True)
def table_sum(off: Array, data: Array, table: Array, skip: Array, modulus: int, out: Array) -> None:
    """out[i]: Σ table[position, character] mod `modulus`, positions counted without the characters to skip.

    −1 if a row has not as many characters as the table has rows, or one that the table marks with a negative entry.
    """
    length = table.shape[0]
    for i in range(off.shape[0] - 1):
        total = 0
        at = 0
        for j in range(off[i], off[i + 1]):
            c = data[j]
            if skip[c]:
                continue
            if at == length or table[at, c] < 0:
                at = -1
                break
            total += table[at, c]
            at += 1
        out[i] = total % modulus if at == length else -1


@njit(cache=True, nogil=True)
def luhn(off: Array, data: Array, least: int, most: int, out: Array) -> None:
    """out[i]: whether the digits of row i (blanks and hyphens skipped) are `least` to `most` and pass Luhn's check."""
    for i in range(off.shape[0] - 1):
        total = 0
        count = 0
        good = True
        for j in range(off[i + 1] - 1, off[i] - 1, -1):
            c = data[j]
            if c == 32 or c == 45:
                continue
            digit: Any = np.int64(c) - 48
            if digit < 0 or digit > 9:
                good = False
                break
            if count & 1:
                digit *= 2
                if digit > 9:
                    digit -= 9
            total += digit
            count += 1
        out[i] = good and least <= count <= most and total % 10 == 0


@njit(cache=True, nogil=True)
def mod_97(off: Array, data: Array, values: Array, rotate: int, lengths: Array, out: Array) -> None:
    """out[i]: whether row i is 1 modulo 97 (ISO/IEC 7064, MOD 97-10), its first `rotate` characters moved to the end.

    values: of each character, 0 to 35, −1 for a blank, −2 for what may not be there. lengths: allowed length by the
    values of the first two characters (36, 36); 0 for none.
    """
    for i in range(off.shape[0] - 1):
        start, stop = off[i], off[i + 1]
        count = 0
        first = -1
        second = -1
        rest = 0
        head = 0
        shift = 1
        good = True
        for j in range(start, stop):
            v = values[data[j]]
            if v == -1:
                continue
            if v < 0:
                good = False
                break
            if count == 0:
                first = v
            elif count == 1:
                second = v
            step = 100 if v > 9 else 10
            if count < rotate:
                head = (head * step + v) % 97
                shift = (shift * step) % 97
            else:
                rest = (rest * step + v) % 97
            count += 1
        if not good or second < 0 or lengths[first, second] != count:
            out[i] = False
            continue
        out[i] = (rest * shift + head) % 97 == 1


@njit(cache=True, nogil=True)
def shapes(off: Array, data: Array, classes: Array, length: Array, seen: Array) -> None:
    """The number of characters of each row, and the union (bits) of the classes of its bytes."""
    for i in range(off.shape[0] - 1):
        bits = np.uint16(0)
        count = 0
        for j in range(off[i], off[i + 1]):
            c = data[j]
            bits |= classes[c]
            if (c & 0xC0) != 0x80:
                count += 1
        length[i] = count
        seen[i] = bits

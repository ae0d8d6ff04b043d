"""Check digits: Luhn (ISO/IEC 7812-1), MOD 11-2 (GB 11643-1999) and MOD 31 (GB 32100-2015), on columns of digits."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Digits = npt.NDArray[np.int64]

#: GB 11643-1999: W_i = 2**(i-1) mod 11 for i = 18 … 2.
RESIDENT_WEIGHTS: Final = np.array([pow(2, i, 11) for i in range(17, 0, -1)], np.int64)
_RESIDENT_CHECK: Final = np.frombuffer(b"10X98765432", np.uint8)
#: GB 32100-2015: letters I, O, S, V and Z are not used.
CREDIT_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
CREDIT_WEIGHTS: Final = np.array([pow(3, i, 31) for i in range(17)], np.int64)


def luhn_digit(body: Digits) -> Digits:
    """The check digit of each row of digits (n, length without it)."""
    weighted = body.copy()
    doubled = weighted[:, ::-1][:, ::2] * 2
    weighted[:, ::-1][:, ::2] = doubled - 9 * (doubled > 9)
    return np.asarray(-weighted.sum(axis=1) % 10, np.int64)


def resident_check(body: Digits) -> Any:
    """The check character (ASCII codes, uint8) of each row of 17 digits of a resident identity number."""
    return _RESIDENT_CHECK[(body @ RESIDENT_WEIGHTS) % 11]


def credit_check(body: Digits) -> Digits:
    """The index into CREDIT_ALPHABET of the check character of each row of 17 indices."""
    return np.asarray((31 - (body @ CREDIT_WEIGHTS) % 31) % 31, np.int64)

"""Check digits and the like, on whole columns: each takes an Arrow array of strings and gives booleans (n,).

A null is False. Blanks and hyphens between groups are skipped where people write them; letters may be small.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ppc.desensitize import arrays as a
from ppc.desensitize.checksums import CREDIT_ALPHABET, CREDIT_WEIGHTS, RESIDENT_WEIGHTS
from ppc.desensitize.discovery import _kernels as k

Mask = npt.NDArray[np.bool_]
Check = Callable[[Any], Mask]

#: GB/T 2260: the first two digits of a division code. 81 to 83: residence permits for Hong Kong, Macau and Taiwan.
PROVINCES: Final = (
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54,
    61, 62, 63, 64, 65, 71, 81, 82, 83, 91,
)  # fmt: skip
_PROVINCE: Final = np.isin(np.arange(100), PROVINCES)
_DAYS: Final = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)
#: SWIFT IBAN registry: the length of a country's numbers.
IBAN_LENGTHS: Final[Mapping[str, int]] = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
    "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
_NO_SKIP: Final = np.zeros(256, np.bool_)
_GROUPED: Final = np.isin(np.arange(256), [ord(" "), ord("-")])
_DIGITS: Final = "0123456789"
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _codes(values: Mapping[str, int], factor: int = 1) -> npt.NDArray[np.int64]:
    """A row of a table: what each byte counts, −1 for those not allowed; letters in both cases."""
    row = np.full(256, -1, np.int64)
    for character, value in values.items():
        row[[ord(character), ord(character.lower())]] = value * factor
    return row


def _weighted(values: Mapping[str, int], weights: list[int]) -> npt.NDArray[np.int64]:
    return np.stack([_codes(values, w) for w in weights])


def _rows(array: Any) -> a.Text:
    return a.text_of(a.flat(array))


def _zero(table: npt.NDArray[np.int64], modulus: int, *, grouped: bool = False) -> Check:
    def check(array: Any) -> Mask:
        text = _rows(array)
        out = np.empty(len(text), np.int64)
        k.table_sum(text.offsets, text.data, table, _GROUPED if grouped else _NO_SKIP, modulus, out)
        return np.asarray(out == 0)

    return check


def _luhn(least: int, most: int) -> Check:
    def check(array: Any) -> Mask:
        text = _rows(array)
        out = np.empty(len(text), np.bool_)
        k.luhn(text.offsets, text.data, least, most, out)
        return out

    return check


def resident_id(array: Any) -> Mask:
    """Chinese resident identity number of 18 characters: province, date of birth, MOD 11-2. GB 11643-1999."""
    text = _rows(array)
    out = np.empty(len(text), np.bool_)
    k.resident_id(text.offsets, text.data, _PROVINCE, RESIDENT_WEIGHTS, _DAYS, out)
    return out


def resident_id_15(array: Any) -> Mask:
    """Chinese resident identity number of 15 digits: province and date; it has no check digit. GB 11643-1989."""
    text = _rows(array)
    out = np.zeros(len(text), np.bool_)
    wide = np.flatnonzero(np.diff(text.offsets) == 15)
    if not len(wide):
        return out
    d = text.data[text.offsets[:-1][wide][:, None] + np.arange(15)].astype(np.int64) - 48
    digits = ((d >= 0) & (d <= 9)).all(axis=1)
    d[~digits] = 0
    month, day = d[:, 8] * 10 + d[:, 9], d[:, 10] * 10 + d[:, 11]
    known = (month >= 1) & (month <= 12)
    year = 1900 + d[:, 6] * 10 + d[:, 7]
    most = _DAYS[np.where(known, month, 0)] - ((month == 2) & ((year % 4 != 0) | (year == 1900)))
    out[wide] = digits & known & _PROVINCE[d[:, 0] * 10 + d[:, 1]] & (day >= 1) & (day <= most)
    return out


def iban(array: Any) -> Mask:
    """International bank account number: length by country, MOD 97-10. ISO 13616-1, SWIFT IBAN registry."""
    return _mod_97(array, 4, _IBAN)


def lei(array: Any) -> Mask:
    """Legal entity identifier: 20 characters, MOD 97-10. ISO 17442-1."""
    return _mod_97(array, 0, _LEI)


def _mod_97(array: Any, rotate: int, lengths: npt.NDArray[np.int64]) -> Mask:
    text = _rows(array)
    out = np.empty(len(text), np.bool_)
    k.mod_97(text.offsets, text.data, _BASE_36, rotate, lengths, out)
    return out


def _base_36() -> npt.NDArray[np.int64]:
    row = _codes({c: i for i, c in enumerate(_DIGITS + _LETTERS)})
    row[row < 0] = -2
    row[ord(" ")] = -1
    return row


def _iban_lengths() -> npt.NDArray[np.int64]:
    out = np.zeros((36, 36), np.int64)
    for country, length in IBAN_LENGTHS.items():
        out[10 + _LETTERS.index(country[0]), 10 + _LETTERS.index(country[1])] = length
    return out


_BASE_36: Final = _base_36()
_IBAN: Final = _iban_lengths()
_LEI: Final = np.full((36, 36), 20, np.int64)
_DIGIT: Final = {c: i for i, c in enumerate(_DIGITS)}
_ANY: Final = {c: i for i, c in enumerate(_DIGITS + _LETTERS)}


def _vin_table() -> npt.NDArray[np.int64]:
    """49 CFR 565.15: letters count 1 to 9 by their column; the ninth character is the sum modulo 11, X for 10."""
    values = {**_DIGIT}
    for group, first in (("ABCDEFGH", 1), ("JKLMN", 1), ("P", 7), ("R", 9), ("STUVWXYZ", 2)):
        values |= {c: first + i for i, c in enumerate(group)}
    table = _weighted(values, [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2])
    # The check character stands on the other side of the equation: 11 − value.
    table[8] = _codes({**{c: 11 - i for c, i in _DIGIT.items()}, "X": 1})
    return table


def _codice_table() -> npt.NDArray[np.int64]:
    """Decreto ministeriale 23 December 1976: odd places count by a table, even ones plainly, modulo 26."""
    odd = dict(zip(_LETTERS, [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
                              23], strict=True))  # fmt: skip
    even = {c: i for i, c in enumerate(_LETTERS)}
    odd |= {d: odd[_LETTERS[i]] for i, d in enumerate(_DIGITS)}
    even |= _DIGIT
    rows = [_codes(odd if i % 2 == 0 else even) for i in range(15)]
    return np.stack([*rows, _codes({c: 26 - i for i, c in enumerate(_LETTERS)})])


def _npi_table() -> npt.NDArray[np.int64]:
    """Luhn over 80840 and ten digits: the prefix adds 24 (CMS, Requirements for NPI and NPI Check Digit)."""
    double = {c: 2 * i - 9 * (i > 4) for c, i in _DIGIT.items()}
    rows = [_codes(double if i % 2 == 0 else _DIGIT) for i in range(10)]
    rows[0] = np.where(rows[0] >= 0, rows[0] + 24, -1)
    return np.stack(rows)


def _organisation_table() -> npt.NDArray[np.int64]:
    """GB 11714-1997: weights 3, 7, 9, 10, 5, 8, 4, 2; the check character makes the sum a multiple of 11, X for 10."""
    table = _weighted(_ANY, [3, 7, 9, 10, 5, 8, 4, 2])
    return np.vstack([table, _codes({**_DIGIT, "X": 10})])


def _credit_table() -> npt.NDArray[np.int64]:
    alphabet = {c: i for i, c in enumerate(CREDIT_ALPHABET)}
    return _weighted(alphabet, [*(int(w) for w in CREDIT_WEIGHTS), 1])


credit_code: Final = _zero(_credit_table(), 31)
organisation_code: Final = _zero(_organisation_table(), 11, grouped=True)
card: Final = _luhn(12, 19)
imei: Final = _luhn(15, 15)
npi: Final = _zero(_npi_table(), 10)
aba: Final = _zero(_weighted(_DIGIT, [3, 7, 1] * 3), 10)
vin: Final = _zero(_vin_table(), 11)
nhs: Final = _zero(_weighted(_DIGIT, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]), 11, grouped=True)
pesel_digit: Final = _zero(_weighted(_DIGIT, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]), 10)
codice_fiscale: Final = _zero(_codice_table(), 26)


def ip(array: Any) -> Mask:
    """An IPv6 address, in any of its forms. RFC 4291, section 2.2."""

    def good(text: str | None) -> bool:
        try:
            return text is not None and bool(ipaddress.IPv6Address(text.split("%")[0]))
        except ValueError:
            return False

    return np.fromiter((good(t) for t in array.to_pylist()), np.bool_, len(array))


#: Checks by name, for detectors that people write.
NAMED: Final[Mapping[str, Check]] = {
    "luhn": _luhn(2, 64),
    "resident_id": resident_id,
    "resident_id_15": resident_id_15,
    "credit_code": credit_code,
    "organisation_code": organisation_code,
    "iban": iban,
    "lei": lei,
    "imei": imei,
    "npi": npi,
    "aba": aba,
    "vin": vin,
    "nhs": nhs,
    "pesel": pesel_digit,
    "codice_fiscale": codice_fiscale,
}

"""Consistent fakes: a made-up value that looks real, the same for the same input, key and scope; no table is kept.

A fake is drawn from 128 bits of AES-CMAC of the value. Two values may get the same fake: a fake is not a join key (use
`token` or `fpe_encrypt`), and none says anything about the input but what `keep` lets through.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ppc.desensitize import arrays as a
from ppc.desensitize import checksums
from ppc.desensitize._kernels import text as k
from ppc.desensitize.blockcipher import Cmac
from ppc.desensitize.data import words
from ppc.desensitize.keys import Key, needed
from ppc.desensitize.transform import EXACT, STRING, TEXT, Invalid, Scope, transform
from ppc.desensitize.transforms.masking import _COMPOUND
from ppc.errors import ValueRangeError

Ints = npt.NDArray[np.int64]
# Mobile prefixes of the three operators, out of use or data-only ranges left out.
_PREFIXES: Final = [134, 135, 136, 137, 138, 139, 150, 151, 152, 157, 158, 159, 178, 182, 183, 187, 188, 198] + [
    130, 131, 132, 155, 156, 166, 176, 185, 186, 133, 153, 173, 177, 180, 181, 189, 191, 199
]  # fmt: skip
_EPOCH: Final = dt.date(1970, 1, 1)


class _Draws:
    """Random numbers for each row, from its 128 bits: mixed-radix digits of two 64-bit words (bias below 2**-14)."""

    def __init__(self, array: Any, key: Key | None, scope: str, what: str) -> None:
        self.text = a.text_of(a.canonical(array, what))
        macs = Cmac(needed(key).derive(what, scope, 16)).column(self.text)
        bits = np.ascontiguousarray(macs).view(np.uint64)
        self._words = [bits[:, 0].copy(), bits[:, 1].copy()]
        self._used = 1

    def below(self, bound: int) -> Ints:
        """Integers in [0, bound), one a row."""
        if self._used * bound > 1 << 50:
            self._words.pop(0)
            self._used = 1
        word = self._words[0]
        out = (word % np.uint64(bound)).astype(np.int64)
        self._words[0] = word // np.uint64(bound)
        self._used *= bound
        return out

    def choose(self, options: tuple[str, ...] | list[str]) -> Any:
        return pa.array(options, pa.string()).take(pa.array(self.below(len(options))))

    def finish(self, column: Any) -> Any:
        """The column with the input's nulls."""
        if self.text.valid is None:
            return column
        return pc.if_else(pa.array(self.text.valid), column, pa.scalar(None, pa.string()))


def _join(*parts: Any) -> Any:
    return pc.binary_join_element_wise(*parts, "")


def _digits(draws: _Draws, count: int) -> Ints:
    """(n, count) decimal digits."""
    out = np.empty((len(draws.text), count), np.int64)
    for start in range(0, count, 6):
        width = min(6, count - start)
        value = draws.below(10**width)
        for j in range(width - 1, -1, -1):
            out[:, start + j] = value % 10
            value //= 10
    return out


def _spell(codes: npt.NDArray[Any]) -> Any:
    """A string array from ASCII codes (n, width)."""
    n, width = codes.shape
    return a.build_fixed(width, np.ascontiguousarray(codes, np.uint8).reshape(-1), n, None)


def _matrix(text: a.Text, width: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """The bytes (n, width) of the rows of that many bytes, and which rows those are; zeros for the others."""
    fits = np.diff(text.offsets) == width
    out = np.zeros((len(text), width), np.uint8)
    out[fits] = text.data[text.offsets[:-1][fits, None] + np.arange(width)]
    return out, fits


def _refuse(bad: npt.NDArray[np.bool_], invalid: str, what: str, column: Any) -> Any:
    count = int(np.count_nonzero(bad))
    if not count:
        return column
    if invalid == "error":
        raise ValueRangeError(
            f"{count} value(s) are not {what}, so nothing of them can be kept", hint="invalid = 'null'"
        )
    return pc.if_else(pa.array(~bad), column, pa.scalar(None, pa.string()))


@transform("fake_name", takes=TEXT, gives=STRING, family="fakes", keyed="yes", keeps_format=True)
def fake_name(
    array: Any,
    *,
    language: Literal["zh", "en"] = "zh",
    keep: list[Literal["family"]] = [],  # noqa: B006  (pydantic copies it)
    scope: Scope = "default",
    key: Key | None = None,
) -> Any:
    """A name, Chinese (family name, one or two characters) or English. keep=["family"] keeps a Chinese family name."""
    draws = _Draws(array, key, scope, f"fake_name/{language}")
    if language == "en":
        return draws.finish(
            pc.binary_join_element_wise(
                draws.choose(words("first_names_en")), draws.choose(words("last_names_en")), " "
            )
        )
    family = draws.choose(words("family_names_zh"))
    given = words("given_characters_zh")
    first, second = draws.choose(given), draws.choose(("", *given, *given))
    if "family" in keep:
        n = len(draws.text)
        lo, hi = np.empty(n, np.int32), np.empty(n, np.int32)
        k.range_person(draws.text.offsets, draws.text.data, _COMPOUND, True, lo, hi)
        off = np.zeros(n + 1, np.int32)
        width = lo - draws.text.offsets[:-1]
        np.cumsum(width, out=off[1:])
        out = a.allocate(int(off[-1]))
        from ppc.desensitize._kernels import mac

        mac.copy_rows(draws.text.data, draws.text.offsets[:-1], off, out)
        own = a.build(off, out, None)
        family = pc.if_else(pa.array(width > 0), own, family)
    return draws.finish(_join(family, first, second))


@transform("fake_resident_id", takes=TEXT, gives=STRING, family="fakes", keyed="yes", keeps_format=True)
def fake_resident_id(
    array: Any,
    *,
    keep: list[Literal["region", "birth_year", "sex"]] = [],  # noqa: B006
    scope: Scope = "default",
    invalid: Invalid = "error",
    key: Key | None = None,
) -> Any:
    """A resident identity number of 18 characters with a valid date and check character (GB 11643-1999).

    keep: the region code, the year of birth, the sex of the input, which must then have 18 characters (or 15 digits).
    """
    draws = _Draws(array, key, scope, "fake_resident_id")
    n = len(draws.text)
    regions = np.array([[int(c) for c in line[:6]] for line in words("regions_cn")], np.int64)
    body = np.empty((n, 17), np.int64)
    body[:, :6] = regions[draws.below(len(regions))]
    year = 1940 + draws.below(66)
    body[:, 14:] = _digits(draws, 3)
    day = draws.below(365)
    bad = np.zeros(n, np.bool_)
    if keep:
        own, bad, sequence = _resident_parts(draws.text)
        if "region" in keep:
            body[:, :6] = own[:, :6]
        if "birth_year" in keep:
            year = own[:, 6:10] @ np.array([1000, 100, 10, 1])
        if "sex" in keep:
            body[:, 16] = body[:, 16] - body[:, 16] % 2 + sequence % 2
    months = np.array([(_EPOCH.replace(year=2001) + dt.timedelta(i)).month for i in range(365)])
    days = np.array([(_EPOCH.replace(year=2001) + dt.timedelta(i)).day for i in range(365)])
    for j, part in enumerate((year // 1000, year // 100 % 10, year // 10 % 10, year % 10)):
        body[:, 6 + j] = part
    for j, part in enumerate((months[day] // 10, months[day] % 10, days[day] // 10, days[day] % 10)):
        body[:, 10 + j] = part
    codes = np.empty((n, 18), np.uint8)
    codes[:, :17] = body + 48
    codes[:, 17] = checksums.resident_check(body)
    return draws.finish(_refuse(bad, invalid, "resident identity numbers", _spell(codes)))


def _resident_parts(text: a.Text) -> tuple[Ints, npt.NDArray[np.bool_], Ints]:
    """Digits 1-10 (region, year) and the sex digit of 18- and 15-character numbers; which rows are neither."""
    new, is_new = _matrix(text, 18)
    old, is_old = _matrix(text, 15)
    own = np.zeros((len(text), 10), np.int64)
    own[is_new] = new[is_new, :10].astype(np.int64) - 48
    own[is_old, :6] = old[is_old, :6].astype(np.int64) - 48
    own[is_old, 6:8] = [1, 9]
    own[is_old, 8:10] = old[is_old, 6:8].astype(np.int64) - 48
    sex = np.where(is_new, new[:, 16], old[:, 14]).astype(np.int64) - 48
    ok = (is_new | is_old) & np.all((own >= 0) & (own <= 9), axis=1) & (sex >= 0) & (sex <= 9)
    return np.where(ok[:, None], own, 0), text.present() & ~ok, np.where(ok, sex, 0)


@transform("fake_phone", takes=EXACT, gives=STRING, family="fakes", keyed="yes", keeps_format=True)
def fake_phone(
    array: Any,
    *,
    keep: list[Literal["prefix"]] = [],  # noqa: B006
    scope: Scope = "default",
    invalid: Invalid = "error",
    key: Key | None = None,
) -> Any:
    """A mainland Chinese mobile number of 11 digits. keep=["prefix"] keeps the first three digits (the operator)."""
    draws = _Draws(array, key, scope, "fake_phone")
    prefix = np.array([[int(c) for c in str(p)] for p in _PREFIXES])[draws.below(len(_PREFIXES))]
    codes = np.empty((len(draws.text), 11), np.int64)
    codes[:, 3:] = _digits(draws, 8)
    bad = np.zeros(len(draws.text), np.bool_)
    if keep:
        own, fits = _matrix(draws.text, 11)
        digits = own.astype(np.int64) - 48
        ok = fits & np.all((digits >= 0) & (digits <= 9), axis=1)
        prefix = np.where(ok[:, None], digits[:, :3], 0)
        bad = draws.text.present() & ~ok
    codes[:, :3] = prefix
    return draws.finish(_refuse(bad, invalid, "mobile numbers of 11 digits", _spell(codes + 48)))


@transform("fake_card", takes=EXACT, gives=STRING, family="fakes", keyed="yes", keeps_format=True)
def fake_card(
    array: Any,
    *,
    keep: list[Literal["bin"]] = [],  # noqa: B006
    length: Annotated[int, Field(ge=13, le=19)] = 16,
    scope: Scope = "default",
    invalid: Invalid = "error",
    key: Key | None = None,
) -> Any:
    """A bank card number with a valid Luhn digit, beginning with 62. keep=["bin"] keeps the first six digits.

    length: of the fake; with keep, the input must have digits only, and from 13 to 19 of them.
    """
    draws = _Draws(array, key, scope, "fake_card")
    n = len(draws.text)
    body = np.empty((n, length - 1), np.int64)
    body[:, :2] = [6, 2]
    body[:, 2:] = _digits(draws, length - 3)
    bad = np.zeros(n, np.bool_)
    if keep:
        sizes = np.diff(draws.text.offsets)
        fits = (sizes >= 13) & (sizes <= 19)
        own = np.zeros((n, 6), np.int64)
        own[fits] = draws.text.data[draws.text.offsets[:-1][fits, None] + np.arange(6)].astype(np.int64) - 48
        ok = fits & np.all((own >= 0) & (own <= 9), axis=1)
        body[:, :6] = np.where(ok[:, None], own, 0)
        bad = draws.text.present() & ~ok
    codes = np.column_stack([body, checksums.luhn_digit(body)]) + 48
    return draws.finish(_refuse(bad, invalid, "card numbers of 13 to 19 digits", _spell(codes)))


@transform("fake_email", takes=TEXT, gives=STRING, family="fakes", keyed="yes", keeps_format=True)
def fake_email(
    array: Any,
    *,
    keep: list[Literal["domain"]] = [],  # noqa: B006
    scope: Scope = "default",
    key: Key | None = None,
) -> Any:
    """An e-mail address at example.com, .net or .org (RFC 2606). keep=["domain"] keeps what follows the last '@'."""
    draws = _Draws(array, key, scope, "fake_email")
    first = pc.utf8_lower(draws.choose(words("first_names_en")))
    last = pc.utf8_lower(draws.choose(words("last_names_en")))
    number = pa.array(draws.below(10**6)).cast(pa.string())
    domain = draws.choose(["example.com", "example.net", "example.org"])
    if keep:
        found = pc.extract_regex(array.cast(pa.string()), r"@(?P<d>[^@\s]+)$")
        own = pc.struct_field(found, "d")
        domain = pc.if_else(pc.fill_null(pc.greater(pc.binary_length(own), 0), False), own, domain)
    return draws.finish(_join(first, ".", last, number, "@", domain))


@transform("fake_address", takes=TEXT, gives=STRING, family="fakes", keyed="yes")
def fake_address(
    array: Any,
    *,
    language: Literal["zh", "en"] = "zh",
    keep: list[Literal["region"]] = [],  # noqa: B006
    scope: Scope = "default",
    key: Key | None = None,
) -> Any:
    """An address. keep=["region"] keeps a Chinese address down to its city."""
    draws = _Draws(array, key, scope, f"fake_address/{language}")
    number = pa.array(1 + draws.below(999)).cast(pa.string())
    if language == "en":
        zip_code = pc.utf8_lpad(pa.array(draws.below(10**5)).cast(pa.string()), 5, "0")
        street = pc.binary_join_element_wise(number, draws.choose(words("streets_en")), " ")
        return draws.finish(pc.binary_join_element_wise(street, draws.choose(words("towns_en")), zip_code, ", "))
    region = draws.choose([line[7:] for line in words("regions_cn")])
    if keep:
        n = len(draws.text)
        lo, hi = np.empty(n, np.int32), np.empty(n, np.int32)
        k.range_address(draws.text.offsets, draws.text.data, 2, lo, hi)
        off = np.zeros(n + 1, np.int32)
        np.cumsum(lo - draws.text.offsets[:-1], out=off[1:])
        out = a.allocate(int(off[-1]))
        from ppc.desensitize._kernels import mac

        mac.copy_rows(draws.text.data, draws.text.offsets[:-1], off, out)
        region = pc.if_else(pa.array(np.diff(off) > 0), a.build(off, out, None), region)
    road = draws.choose(words("roads_zh"))
    room = pa.array(101 + draws.below(1900)).cast(pa.string())
    return draws.finish(_join(region, road, number, "号", room, "室"))


@transform("fake_company", takes=TEXT, gives=STRING, family="fakes", keyed="yes")
def fake_company(
    array: Any, *, language: Literal["zh", "en"] = "zh", scope: Scope = "default", key: Key | None = None
) -> Any:
    """A company's name, Chinese or English."""
    draws = _Draws(array, key, scope, f"fake_company/{language}")
    if language == "en":
        parts = [draws.choose(words("company_words_en")), draws.choose(words("company_trades_en"))]
        return draws.finish(pc.binary_join_element_wise(*parts, draws.choose(["Inc.", "Ltd.", "LLC", "GmbH"]), " "))
    # The city's name without 市, as company names begin.
    places = [line[7:].split("省")[-1].split("自治区")[-1].split("市")[0] for line in words("regions_cn")]
    mark = draws.choose([p + q for p in words("company_words_zh") for q in ("", "兴", "隆", "源", "通", "泰")])
    return draws.finish(
        _join(
            draws.choose(places),
            mark,
            draws.choose(words("company_trades_zh")),
            draws.choose(["有限公司", "股份有限公司"]),
        )
    )


@transform("fake_credit_code", takes=TEXT, gives=STRING, family="fakes", keyed="yes", keeps_format=True)
def fake_credit_code(
    array: Any,
    *,
    keep: list[Literal["region"]] = [],  # noqa: B006
    scope: Scope = "default",
    invalid: Invalid = "error",
    key: Key | None = None,
) -> Any:
    """A unified social credit code of 18 characters with a valid check character (GB 32100-2015), of an enterprise.

    keep=["region"] keeps characters 3 to 8. Its organisation code (9 to 17) has a valid check too (GB 11714-1997).
    """
    draws = _Draws(array, key, scope, "fake_credit_code")
    n = len(draws.text)
    regions = np.array([[int(c) for c in line[:6]] for line in words("regions_cn")], np.int64)
    body = np.empty((n, 17), np.int64)
    body[:, :2] = [9, 1]
    body[:, 2:8] = regions[draws.below(len(regions))]
    body[:, 8:16] = _digits(draws, 8)
    weights = np.array([3, 7, 9, 10, 5, 8, 4, 2])
    check = (11 - (body[:, 8:16] @ weights) % 11) % 11
    # GB 11714: 10 is written X, which stands at place 29 of the credit code's alphabet.
    body[:, 16] = np.where(check == 10, checksums.CREDIT_ALPHABET.index("X"), check)
    bad = np.zeros(n, np.bool_)
    if keep:
        own, fits = _matrix(draws.text, 18)
        digits = own[:, 2:8].astype(np.int64) - 48
        ok = fits & np.all((digits >= 0) & (digits <= 9), axis=1)
        body[:, 2:8] = np.where(ok[:, None], digits, 0)
        bad = draws.text.present() & ~ok
    full = np.column_stack([body, checksums.credit_check(body)])
    letters = np.frombuffer(checksums.CREDIT_ALPHABET.encode(), np.uint8)
    return draws.finish(_refuse(bad, invalid, "credit codes of 18 characters", _spell(letters[full])))

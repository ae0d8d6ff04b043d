"""How text keys are brought to one form, so that two parties who write the same thing differently still meet.

`Normalise` has settings for all text (case, width, spaces, diacritics) and a form for single key columns, which knows
what the column holds:

- `phone:DE`: telephone numbers as people write them, those without a country code in the given region, to E.164. What
  is no valid number gives no key.
- `email`: to lower case, without blanks. What has no local part or no domain gives no key.
- `cn_id`: resident identity numbers of 15 or 18 characters, to 18, the check character in upper case. A wrong length,
  date or check character gives no key.
- `name`: names of persons and firms, to lower case without diacritics, letters and digits only.
- `digits`: numbers with any separators, to their digits.

A form takes integers too (a CSV file's telephone numbers are such). Parties may give `phone` different regions: what
they compare is E.164.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from ppc.errors import ConfigError, MissingExtra, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

Spaces = Literal["keep", "trim", "collapse", "remove"]
FORMS: Final = ("text", "phone", "email", "cn_id", "name", "digits")

_MARKS: Final = (
    r"[\x{0300}-\x{036F}]+"  # combining diacritics of Latin, Greek, Cyrillic; not the vowels of other scripts
)
_ID_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # 2^(17−i) mod 11
_ID_CHECKS: Final = "10X98765432"


@dataclass(frozen=True)
class Normalise:
    """How text keys are brought to one form. Both parties must use the same; the protocol checks it.

    `case`: upper and lower case are the same (Unicode simple case mapping: É is é, but ß is not SS). `width`: Unicode
    NFKC (UAX #15), so full-width letters and digits equal the usual ones. `spaces`: `trim` those at both ends,
    `collapse` runs inside too, or `remove` all. `diacritics`: letters are the same with and without (é is e; ø stays).
    `forms`: for each key column, one of the forms of the module, such as `phone:DE`; `text` for none. The settings
    above are for columns of form `text`.
    """

    case: bool = False
    width: bool = False
    spaces: Spaces = "keep"
    diacritics: bool = False
    forms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.spaces not in get_args(Spaces):
            raise ConfigError(f"spaces is one of {', '.join(get_args(Spaces))}, not {self.spaces!r}")
        for form in self.forms:
            kind, _, region = form.partition(":")
            if kind not in FORMS or (region and kind != "phone"):
                raise ConfigError(f"there is no form {form!r} of keys", hint=did_you_mean(kind, FORMS))
            if kind == "phone":
                _check_region(region)

    def describe(self) -> dict[str, bool | str]:
        """The settings that must be the same at both parties, as plain values. Forms are part of the columns' kinds."""
        return {"case": self.case, "width": self.width, "spaces": self.spaces, "diacritics": self.diacritics}

    def form(self, column: int) -> str:
        """The form of key column number `column`."""
        return self.forms[column] if column < len(self.forms) else "text"


def text(values: pa.Array, settings: Normalise) -> pa.Array:
    """large_string values by the settings for all text."""
    import pyarrow.compute as pc

    if settings.width:
        values = pc.utf8_normalize(values, form="NFKC")
    if settings.diacritics:
        values = _unmarked(values)
    if settings.case:
        values = _folded(values)
    if settings.spaces in ("trim", "collapse"):
        values = pc.utf8_trim_whitespace(values)
    if settings.spaces in ("collapse", "remove"):
        values = pc.replace_substring_regex(
            values, pattern=r"[\s\p{Z}]+", replacement=" " if settings.spaces == "collapse" else ""
        )
    return values


def by_form(values: pa.Array, form: str) -> pa.Array:
    """large_string values in a form; null for those that have none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, _, region = form.partition(":")
    values = pc.utf8_trim_whitespace(pc.utf8_normalize(values, form="NFKC"))
    if kind == "digits":
        return pc.replace_substring_regex(values, pattern=r"[^0-9]+", replacement="")
    if kind == "name":
        values = pc.replace_substring(_folded(_unmarked(values)), pattern="ß", replacement="ss")
        return pc.replace_substring_regex(values, pattern=r"[^\p{L}\p{N}\p{M}]+", replacement="")
    if kind == "email":
        values = pc.replace_substring_regex(_folded(values), pattern=r"[\s\p{Z}]+", replacement="")
        good = pc.match_substring_regex(values, r"^[^@]+@[^@.]+(\.[^@.]+)*$")
        return pc.if_else(good, values, pa.scalar(None, pa.large_string()))
    one: Callable[[str], str | None] = resident_id if kind == "cn_id" else _e164(region)
    return pa.array([None if v is None else one(v) for v in values.to_pylist()], pa.large_string())


def resident_id(value: str) -> str | None:
    """A Chinese resident identity number as 18 characters (GB 11643-1999); None if it cannot be one.

    Numbers of 15 digits, issued until 1999, get the century 19 and the check character of ISO 7064 MOD 11-2.
    """
    value = value.replace(" ", "").upper()
    if not (value.isascii() and value[:-1].isdecimal()):
        return None
    if len(value) == 15 and value.isdecimal():
        body, check = f"{value[:6]}19{value[6:]}", None
    elif len(value) == 18:
        body, check = value[:17], value[17]
    else:
        return None
    try:
        dt.date(int(body[6:10]), int(body[10:12]), int(body[12:14]))
    except ValueError:
        return None
    right = _ID_CHECKS[sum(w * int(c) for w, c in zip(_ID_WEIGHTS, body, strict=True)) % 11]
    return body + right if check in (None, right) else None


def _e164(region: str) -> Callable[[str], str | None]:
    phonenumbers = _phonenumbers()

    def one(value: str) -> str | None:
        try:
            number = phonenumbers.parse(value, region or None)
        except phonenumbers.NumberParseException:
            return None
        if not phonenumbers.is_valid_number(number):
            return None
        out: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        return out

    return one


def _check_region(region: str) -> None:
    if region and region not in _phonenumbers().SUPPORTED_REGIONS:
        raise ConfigError(
            f"{region[:20]!r} is not a region of telephone numbers",
            hint="give two letters of ISO 3166, such as phone:DE",
        )


def _phonenumbers() -> Any:
    try:
        import phonenumbers
    except ModuleNotFoundError:
        raise MissingExtra(
            "the form 'phone' needs the package 'phonenumbers'", hint="pip install phonenumbers"
        ) from None
    return phonenumbers


def _unmarked(values: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    apart = pc.replace_substring_regex(pc.utf8_normalize(values, form="NFD"), pattern=_MARKS, replacement="")
    return pc.utf8_normalize(apart, form="NFC")


def _folded(values: pa.Array) -> pa.Array:
    """Lower, upper, lower: letters with more than one form (such as the Greek sigma) meet."""
    import pyarrow.compute as pc

    return pc.utf8_lower(pc.utf8_upper(pc.utf8_lower(values)))

"""Masks: hide part of a value, keyless and irreversible. Characters are Unicode code points.

A mask never shows more than it was asked to: a value with no more characters than would be kept is masked whole.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from ppc.desensitize import arrays as a
from ppc.desensitize._kernels import text as k
from ppc.desensitize.data import words
from ppc.desensitize.transform import ANY, SAME, STRING, TEXT, Char, Count, transform
from ppc.errors import ConfigError


@transform("mask", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask(array: Any, *, first: Count = 0, last: Count = 0, char: Char = "*", width: Count | None = None) -> Any:
    """Keep the first `first` and last `last` characters; the rest becomes `char`, or `width` of them."""
    text = a.text_of(array)
    if width is None and ord(char) < 128 and k.is_ascii(text.data, text.offsets[0], text.offsets[-1]):
        out = a.allocate(text.nbytes)
        out[: text.nbytes] = text.span()
        k.keep_ends_ascii(text.offsets, first, last, ord(char), out)
        return a.build(text.relative(), out, text.valid)
    return a.paint(text, k.range_keep_ends, first, last, char=char, width=-1 if width is None else width)


@transform("mask_ends", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask_ends(array: Any, *, first: Count = 0, last: Count = 0, char: Char = "*") -> Any:
    """Mask the first `first` and last `last` characters and keep what stands between."""
    return a.paint(a.text_of(array), k.range_middle, first, last, outside=True, char=char)


@transform("mask_range", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask_range(array: Any, *, start: Count = 0, stop: Count | None = None, char: Char = "*") -> Any:
    """Mask the characters from position `start` (0 is the first) up to `stop`, exclusive; to the end without `stop`."""
    return a.paint(a.text_of(array), k.range_positions, start, -1 if stop is None else max(start, stop), char=char)


Mark = Annotated[str, Field(min_length=1, max_length=64)]


def _around(array: Any, mark: str, before: bool, keep: int, which: str, char: str, width: int | None) -> Any:
    needle = np.frombuffer(mark.encode(), np.uint8)
    return a.paint(
        a.text_of(array),
        k.range_around,
        needle,
        before,
        which == "last",
        keep,
        char=char,
        width=-1 if width is None else width,
    )


@transform("mask_before", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask_before(
    array: Any,
    *,
    mark: Mark,
    keep: Count = 0,
    which: Literal["first", "last"] = "first",
    char: Char = "*",
    width: Count | None = None,
) -> Any:
    """Mask what stands before the first (or last) `mark`, less its first `keep` characters; all without a mark."""
    return _around(array, mark, True, keep, which, char, width)


@transform("mask_after", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask_after(
    array: Any,
    *,
    mark: Mark,
    keep: Count = 0,
    which: Literal["first", "last"] = "first",
    char: Char = "*",
    width: Count | None = None,
) -> Any:
    """Mask what stands after the first (or last) `mark`, less its last `keep` characters; all without a mark."""
    return _around(array, mark, False, keep, which, char, width)


@transform("mask_email", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask_email(array: Any, *, keep: Count = 1, char: Char = "*", width: Count | None = 3) -> Any:
    """Keep the first `keep` characters and the domain: a***@example.com. A value without '@' is masked whole."""
    text = a.text_of(array)
    if ord(char) < 128 and k.is_ascii(text.data, text.offsets[0], text.offsets[-1]):
        run = -1 if width is None else width
        off = np.empty(len(text) + 1, np.int32)
        at = np.empty(len(text), np.int32)
        k.email_ascii_size(text.offsets, text.data, keep, run, off, at)
        out = a.allocate(int(off[-1]))
        k.email_ascii_fill(text.offsets, text.data, keep, run, ord(char), off, at, out)
        return a.build(off, out, text.valid)
    return _around(array, "@", True, keep, "last", char, width)


def _symbols(array: Any, first: int, last: int, hidden: int, digits_only: bool, char: str) -> Any:
    if ord(char) >= 128:
        raise ConfigError("this mask takes an ASCII mask character", hint="Use '*', '#' or 'X'.")
    text = a.text_of(array)
    if k.is_ascii(text.data, text.offsets[0], text.offsets[-1]):
        return _ascii_symbols(text, first, last, hidden, digits_only, char)
    # Rows with digits of other scripts and the like: hide every character but the ends.
    plain = pc.string_is_ascii(array.cast(pa.string()))
    rows = a.text_of(pc.if_else(plain, array, pa.scalar("", array.type)))
    own = _ascii_symbols(rows, first, last, hidden, digits_only, char)
    return pc.if_else(plain, own, a.paint(text, k.range_keep_ends, 0 if hidden else first, last, char=char))


def _ascii_symbols(text: a.Text, first: int, last: int, hidden: int, digits_only: bool, char: str) -> Any:
    out = a.allocate(text.nbytes)
    out[: text.nbytes] = text.span()
    k.mask_symbols(text.offsets, text.data, first, last, hidden, digits_only, ord(char), out)
    return a.build(text.relative(), out, text.valid)


@transform("mask_phone", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask_phone(array: Any, *, last: Count = 4, hidden: Annotated[int, Field(ge=1)] = 4, char: Char = "*") -> Any:
    """Hide the `hidden` digits before the last `last`: 138****5678, +86 138-****-5678; separators stay."""
    return _symbols(array, 0, last, hidden, True, char)


@transform("mask_card", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask_card(array: Any, *, first: Count = 6, last: Count = 4, char: Char = "*") -> Any:
    """Keep the first `first` and last `last` digits of a card or account number; separators stay.

    PCI DSS 3.4.1 lets at most the BIN and the last four be shown.
    """
    return _symbols(array, first, last, 0, True, char)


@transform("mask_id", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask_id(array: Any, *, first: Count = 1, last: Count = 1, char: Char = "*") -> Any:
    """Keep the first and last letters or digits of a document number; separators stay."""
    return _symbols(array, first, last, 0, False, char)


@transform("mask_plate", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask_plate(array: Any, *, first: Count = 2, last: Count = 1, char: Char = "*") -> Any:
    """Keep the first two characters (province and city of a Chinese plate) and the last: 京A****6."""
    return a.paint(a.text_of(array), k.range_keep_ends, first, last, char=char)


_COMPOUND: Final = np.sort(np.array([(ord(n[0]) << 32) | ord(n[1]) for n in words("compound_family_names")], np.int64))


@transform("mask_name", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask_name(
    array: Any, *, keep: Literal["family", "given"] = "family", char: Char = "*", width: Count | None = None
) -> Any:
    """Keep a Chinese family name (欧阳**), or with keep="given" the rest; of other names the first letter."""
    return a.paint(
        a.text_of(array),
        k.range_person,
        _COMPOUND,
        keep == "family",
        char=char,
        width=-1 if width is None else width,
    )


@transform("mask_address", takes=TEXT, gives=STRING, family="masking", keeps_format=True)
def mask_address(
    array: Any,
    *,
    keep: Literal["province", "city", "district"] = "city",
    char: Char = "*",
    width: Count | None = None,
) -> Any:
    """Keep a Chinese address down to its province, city or district; of others what follows the first comma."""
    level = {"province": 1, "city": 2, "district": 3}[keep]
    return a.paint(a.text_of(array), k.range_address, level, char=char, width=-1 if width is None else width)


def _compiles(pattern: str) -> str:
    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except pa.ArrowInvalid:
        raise ValueError("is not a regular expression that RE2 takes (no look-around, no back-references)") from None
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_compiles)]


@transform("mask_pattern", takes=TEXT, gives=STRING, family="masking")
def mask_pattern(array: Any, *, pattern: Pattern, replacement: str = "***") -> Any:
    r"""Replace every match of a regular expression (RE2 syntax); `\1` in the replacement is the first group."""
    return pc.replace_substring_regex(array.cast(pa.string()), pattern=pattern, replacement=replacement)


@transform("redact", takes=ANY, gives=STRING, family="masking")
def redact(array: Any, *, text: str = "***") -> Any:
    """Replace every value by the same text; nulls stay null."""
    return _constant(array, pa.scalar(text, pa.string()))


@transform("nullify", takes=ANY, gives=SAME, family="masking")
def nullify(array: Any) -> Any:
    """Replace every value by null."""
    return pa.nulls(len(array), array.type)


def _replaced(kind: Any, params: BaseModel) -> Any:
    return pa.scalar(params.value).type  # type: ignore[attr-defined]


Value = StrictBool | StrictInt | StrictFloat | StrictStr | datetime.datetime | datetime.date


@transform("replace", takes=ANY, gives=_replaced, family="masking")
def replace(array: Any, *, value: Value) -> Any:
    """Replace every value by a constant; the column takes the constant's type; nulls stay null."""
    return _constant(array, pa.scalar(value))


def _constant(array: Any, value: Any) -> Any:
    filled = pa.repeat(value, len(array))
    if not array.null_count:
        return filled
    return pc.if_else(pc.is_valid(array), filled, pa.scalar(None, value.type))


@transform("keep", takes=ANY, gives=SAME, family="masking", joins=True, keeps_format=True)
def keep(array: Any) -> Any:
    """Leave the column as it is: an explicit decision in a policy that denies by default."""
    return array

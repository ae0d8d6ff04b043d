"""Masks against plain Python."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.desensitize import transforms as t
from ppc.errors import ConfigError

# No surrogates: Arrow's text is UTF-8.
texts = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=12)
ascii_texts = st.lists(st.none() | st.text(st.characters(max_codepoint=127), max_size=12), max_size=12)
counts = st.integers(0, 6)


def mask(v: str, first: int, last: int, char: str = "*") -> str:
    n = len(v)
    if n <= first + last:
        return char * n
    return v[:first] + char * (n - first - last) + v[n - last :]


@settings(max_examples=150, deadline=None)
@given(texts | ascii_texts, counts, counts, st.sampled_from(["*", "●", "😀"]))
def test_mask(values: list[str | None], first: int, last: int, char: str) -> None:
    out = t.mask(pa.array(values, pa.string()), first=first, last=last, char=char).to_pylist()
    assert out == [None if v is None else mask(v, first, last, char) for v in values]


@settings(max_examples=60, deadline=None)
@given(texts, counts, counts)
def test_mask_ends_and_range(values: list[str | None], a: int, b: int) -> None:
    array = pa.array(values, pa.string())

    def ends(v: str) -> str:
        n = len(v)
        return "".join("*" if i < a or i >= n - b else c for i, c in enumerate(v))

    def middle(v: str) -> str:
        return "".join("*" if a <= i < max(a, b) else c for i, c in enumerate(v))

    assert t.mask_ends(array, first=a, last=b).to_pylist() == [None if v is None else ends(v) for v in values]
    assert t.mask_range(array, start=a, stop=b).to_pylist() == [None if v is None else middle(v) for v in values]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab@é", max_size=9), max_size=9), st.sampled_from(["@", "é", "a@"]), counts, st.booleans())
def test_before_and_after(values: list[str], mark: str, keep: int, last: bool) -> None:
    which = "last" if last else "first"

    def before(v: str) -> str:
        p = v.rfind(mark) if last else v.find(mark)
        if p < 0:
            return "*" * len(v)
        k = keep if p > keep else 0
        return v[:k] + "*" * (p - k) + v[p:]

    def after(v: str) -> str:
        p = v.rfind(mark) if last else v.find(mark)
        if p < 0:
            return "*" * len(v)
        q = p + len(mark)
        k = keep if len(v) - q > keep else 0
        return v[:q] + "*" * (len(v) - q - k) + v[len(v) - k :]

    array = pa.array(values, pa.string())
    assert t.mask_before(array, mark=mark, keep=keep, which=which).to_pylist() == [before(v) for v in values]
    assert t.mask_after(array, mark=mark, keep=keep, which=which).to_pylist() == [after(v) for v in values]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab@é.", max_size=9), max_size=9), counts, st.none() | counts)
def test_email(values: list[str], keep: int, width: int | None) -> None:
    def expected(v: str) -> str:
        p = v.rfind("@")
        if p < 0:
            return "*" * (len(v) if width is None else width if v else 0)
        k = keep if p > keep else 0
        run = p - k if width is None else width if p > k else 0
        return v[:k] + "*" * run + v[p:]

    # Together the column has a non-ASCII row; alone each ASCII row takes the fast path. Both must agree.
    def fast(v: str) -> str | None:
        return t.mask_email(pa.array([v]), keep=keep, width=width).to_pylist()[0]

    out = t.mask_email(pa.array([*values, "é"], pa.string()), keep=keep, width=width).to_pylist()[:-1]
    assert out == [expected(v) for v in values]
    assert [fast(v) for v in values] == out


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("13812345678", "138****5678"),
        ("+86 138-1234-5678", "+86 138-****-5678"),
        ("010-12345678", "010-****5678"),
        ("(212) 555-0123", "(21*) ***-0123"),
        ("1234567", "*****67"),
        ("12345", "*****"),
        ("", ""),
    ],
)
def test_phone(value: str, expected: str) -> None:
    assert t.mask_phone(pa.array([value])).to_pylist() == [expected]


def test_numbers_are_masked_by_their_digits() -> None:
    assert t.mask_phone(pa.array([13812345678, None])).to_pylist() == ["138****5678", None]


def test_card_id_and_plate() -> None:
    assert t.mask_card(pa.array(["6222 0212 3456 7890 123"])).to_pylist() == ["6222 02** **** ***0 123"]
    assert t.mask_card(pa.array(["123456"])).to_pylist() == ["****56"]
    assert t.mask_id(pa.array(["AB-123456-C"])).to_pylist() == ["A*-******-C"]
    assert t.mask_plate(pa.array(["京A12346", "粤B·12345D"])).to_pylist() == ["京A****6", "粤B******D"]


@pytest.mark.parametrize(
    ("value", "family", "given_"),
    [
        ("王小明", "王**", "*小明"),
        ("欧阳修", "欧阳*", "**修"),
        ("欧阳", "欧*", "*阳"),
        ("李", "*", "*"),
        ("John Smith", "J*********", "J*********"),
        ("", "", ""),
    ],
)
def test_name(value: str, family: str, given_: str) -> None:
    assert t.mask_name(pa.array([value])).to_pylist() == [family]
    assert t.mask_name(pa.array([value]), keep="given").to_pylist() == [given_]


@pytest.mark.parametrize(
    ("value", "province", "city", "district"),
    [
        ("广东省深圳市南山区科技园1号", "广东省***********", "广东省深圳市********", "广东省深圳市南山区*****"),
        ("北京市海淀区中关村", "北京市******", "北京市******", "北京市海淀区***"),
        ("广西壮族自治区南宁市青秀区", "广西壮族自治区******", "广西壮族自治区南宁市***", "广西壮族自治区南宁市青秀区"),
        ("12 Main St, Springfield", "**********, Springfield", "**********, Springfield", "**********, Springfield"),
        ("somewhere", "*********", "*********", "*********"),
    ],
)
def test_address(value: str, province: str, city: str, district: str) -> None:
    for keep, expected in (("province", province), ("city", city), ("district", district)):
        assert t.mask_address(pa.array([value]), keep=keep).to_pylist() == [expected]


def test_pattern_constants_and_null() -> None:
    array = pa.array(["a1b22", None])
    assert t.mask_pattern(array, pattern="[0-9]+", replacement="#").to_pylist() == ["a#b#", None]
    with pytest.raises(ConfigError, match="RE2"):
        t.mask_pattern(array, pattern="(?=a)")
    assert t.redact(pa.array([1, None])).to_pylist() == ["***", None]
    assert t.replace(array, value=1.5).to_pylist() == [1.5, None]
    assert t.nullify(array).to_pylist() == [None, None]
    assert t.keep(array).equals(array)


def test_parameters_out_of_range() -> None:
    for bad in ({"first": -1}, {"char": "ab"}, {"char": ""}, {"first": 1.5}, {"width": True}):
        with pytest.raises(ConfigError):
            t.mask(pa.array(["a"]), **bad)
    with pytest.raises(ConfigError, match="ASCII"):
        t.mask_phone(pa.array(["13812345678"]), char="●")

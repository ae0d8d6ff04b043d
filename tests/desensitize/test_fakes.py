"""Fakes: well-formed, consistent, keyed, and keeping what they are told to."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import pyarrow as pa
import pytest

from ppc.desensitize import checksums
from ppc.desensitize import transforms as t
from ppc.desensitize.data import words
from ppc.desensitize.detectors import luhn, resident_id
from ppc.desensitize.keys import Key
from ppc.errors import ConfigError, ValueRangeError

N = 3000
INPUT = pa.array([f"person {i % 1000}" for i in range(N)])
REGIONS = {line[:6] for line in words("regions_cn")}
FAKES = [
    "fake_name",
    "fake_resident_id",
    "fake_phone",
    "fake_card",
    "fake_email",
    "fake_address",
    "fake_company",
    "fake_credit_code",
]


@pytest.mark.parametrize("name", FAKES)
def test_consistent_and_keyed(name: str, key: Key) -> None:
    fake = getattr(t, name)
    out = fake(INPUT, key=key).to_pylist()
    assert out[:1000] == out[1000:2000] == out[2000:]
    # Many inputs spread over many fakes, whatever family they are of.
    assert len(set(out)) > 900
    assert fake(INPUT, key=Key(bytes(32))).to_pylist() != out
    assert fake(INPUT, scope="x", key=key).to_pylist() != out
    assert fake(pa.array([None, "a"]), key=key).to_pylist()[0] is None


def test_resident_ids(key: Key) -> None:
    for number in t.fake_resident_id(INPUT, key=key).to_pylist():
        assert resident_id(number)
        assert number[:6] in REGIONS
        assert 1940 <= dt.date(int(number[6:10]), int(number[10:12]), int(number[12:14])).year <= 2005
    real = pa.array(["11010519491231002X", "440524188001010014", "110105491231002", None])
    out = t.fake_resident_id(real, keep=["region", "birth_year", "sex"], key=key).to_pylist()
    assert [o[:10] for o in out[:3]] == ["1101051949", "4405241880", "1101051949"]
    assert [int(o[16]) % 2 for o in out[:3]] == [0, 1, 0]
    assert all(resident_id(o) for o in out[:3])
    assert all(o[10:14] + o[14:16] != r[10:14] + r[14:16] for o, r in zip(out[:2], real.to_pylist()[:2], strict=True))
    with pytest.raises(ValueRangeError, match="2 value"):
        t.fake_resident_id(pa.array(["topsecret", "1" * 17 + "Y", "x" * 18]), keep=["region"], key=key)
    assert t.fake_resident_id(pa.array(["x"]), keep=["sex"], invalid="null", key=key).to_pylist() == [None]


def test_cards(key: Key) -> None:
    out = t.fake_card(INPUT, key=key).to_pylist()
    assert all(re.fullmatch(r"62\d{14}", c) and luhn(c) for c in out)
    kept = t.fake_card(pa.array(["4111111111111111"]), keep=["bin"], length=19, key=key).to_pylist()[0]
    assert kept.startswith("411111")
    assert len(kept) == 19
    assert luhn(kept)


def test_phones(key: Key) -> None:
    assert all(re.fullmatch(r"1[3-9]\d{9}", p) for p in t.fake_phone(INPUT, key=key).to_pylist())
    assert t.fake_phone(pa.array(["13812345678"]), keep=["prefix"], key=key).to_pylist()[0][:3] == "138"
    # The number of a text and of an integer column is one number.
    assert t.fake_phone(pa.array([13812345678]), key=key).equals(t.fake_phone(pa.array(["13812345678"]), key=key))


def test_credit_codes(key: Key) -> None:
    out = t.fake_credit_code(pa.array(["91350100M000100Y43"] * 2 + [None]), keep=["region"], key=key).to_pylist()
    assert out[0] == out[1]
    assert out[0][2:8] == "350100"
    for code in t.fake_credit_code(INPUT, key=key).to_pylist():
        values = [checksums.CREDIT_ALPHABET.index(c) for c in code]
        assert checksums.credit_check(np.array([values[:17]]))[0] == values[17]
        weights = (3, 7, 9, 10, 5, 8, 4, 2)
        check = (11 - sum(int(c) * w for c, w in zip(code[8:16], weights, strict=True)) % 11) % 11
        assert code[16] == ("X" if check == 10 else str(check))


def test_names_mails_and_addresses(key: Key) -> None:
    assert all(re.fullmatch(r"[\u4e00-\u9fff]{2,3}", n) for n in t.fake_name(INPUT, key=key).to_pylist())
    kept = t.fake_name(pa.array(["欧阳修", "王小明", ""]), keep=["family"], key=key).to_pylist()
    assert kept[0].startswith("欧阳")
    assert kept[1].startswith("王")
    assert len(kept[2]) in (2, 3)
    assert all(re.fullmatch(r"[A-Z]\w+ [A-Z]\w+", n) for n in t.fake_name(INPUT, language="en", key=key).to_pylist())
    mails = t.fake_email(INPUT, key=key).to_pylist()
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+\d+@example\.(com|net|org)", m) for m in mails)
    assert t.fake_email(pa.array(["a@b.cn"]), keep=["domain"], key=key).to_pylist()[0].endswith("@b.cn")
    assert (
        t.fake_address(pa.array(["广东省深圳市南山区1号"]), keep=["region"], key=key)[0]
        .as_py()
        .startswith("广东省深圳市")
    )
    assert all(re.search(r"\d{5}$", x) for x in t.fake_address(INPUT, language="en", key=key).to_pylist())
    assert all(x.endswith("有限公司") for x in t.fake_company(INPUT, key=key).to_pylist())


def test_uniform_enough(key: Key) -> None:
    """Chi-squared of the digits of 3,000 fakes; the bound's false-alarm rate is 1e-6."""
    digits = "".join(c[3:15] for c in t.fake_card(pa.array([str(i) for i in range(N)]), key=key).to_pylist())
    counts = np.bincount(np.frombuffer(digits.encode(), np.uint8) - 48, minlength=10)
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 46.0


def test_unknown_parts(key: Key) -> None:
    with pytest.raises(ConfigError):
        t.fake_phone(INPUT, keep=["suffix"], key=key)  # type: ignore[list-item]

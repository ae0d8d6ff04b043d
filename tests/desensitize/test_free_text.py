"""Personal data inside text."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
import pytest

from ppc.desensitize import detectors
from ppc.desensitize import transforms as t
from ppc.desensitize.detectors import PatternDetector
from ppc.desensitize.keys import Key
from ppc.errors import ConfigError

TEXT = "ring 13812345678, write to a.b@c.com, id 11010519491231002X, card 4111 1111 1111 1111, host 10.0.0.1."


def test_labels() -> None:
    out = t.free_text(pa.array([TEXT, None, "nothing here", ""])).to_pylist()
    assert out[0] == (
        "ring [person.phone], write to [person.email], id [person.id], card [finance.card], host [network.ip]."
    )
    assert out[1:] == [None, "nothing here", ""]


@pytest.mark.parametrize(
    "text",
    [
        "id 110105194912310021",  # wrong check character
        "card 4111 1111 1111 1112",  # fails Luhn
        "phone 12812345678",  # no such prefix
        "order 99138123456789",  # a longer number
        "version 1.2.3.4.5 and 300.1.1.1",
        "mail a@b",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    found = t.free_text(pa.array([text]), find=["email", "cn_resident_id", "card", "cn_mobile", "ipv4"])
    assert found.to_pylist() == [text]


def test_with_a_transformation(key: Key) -> None:
    array = pa.array([TEXT, "again 13812345678"])
    masked = t.free_text(array, find=["person.phone"], replace_with="mask_phone").to_pylist()
    assert masked[1] == "again 138****5678"
    assert "a.b@c.com" in masked[0]
    tokens = t.free_text(
        array, find=["cn_mobile"], replace_with="token", keyed=True, scope="phone", key=key
    ).to_pylist()
    expected = t.token(pa.array(["13812345678"]), scope="phone", key=key).to_pylist()[0]
    assert expected in tokens[0]
    assert tokens[1] == f"again {expected}"
    out = t.free_text(array, find=["cn_mobile"], replace_with="mask", options={"last": 2}).to_pylist()
    assert out[1] == "again *********78"


def test_own_patterns_win_and_overlaps_are_one(key: Key) -> None:
    array = pa.array(["case MRN-13812345678 of a@b.com"])
    out = t.free_text(array, patterns={"health.record": r"MRN-\d+"}, find=["email", "cn_mobile"]).to_pylist()
    assert out == ["case [health.record] of [person.email]"]
    # Patterns alone leave the detectors out.
    assert t.free_text(array, patterns={"health.record": r"MRN-\d+"}).to_pylist() == ["case [health.record] of a@b.com"]


def test_a_registered_detector() -> None:
    class Word:
        name, category = "test_word", "test.word"

        def find(self, text: str) -> Iterator[tuple[int, int]]:
            return (m.span() for m in re.finditer("😀+", text))

    detectors.register(Word())
    try:
        assert t.free_text(pa.array(["a😀😀b"]), find=["test_word"]).to_pylist() == ["a[test.word]b"]
    finally:
        detectors._REGISTERED.pop("test_word")
    with pytest.raises(ConfigError, match="name, category"):
        detectors.register(object())  # type: ignore[arg-type]
    assert isinstance(PatternDetector("a", "b", re.compile("x")), detectors.Detector)


def test_settings_that_make_no_sense(key: Key) -> None:
    array = pa.array([TEXT])
    with pytest.raises(ConfigError, match="emial"):
        t.free_text(array, find=["emial"])
    with pytest.raises(ConfigError, match="regular expression"):
        t.free_text(array, patterns={"x": "("})
    for name in ("free_text", "shuffle", "nope", "date_shift"):
        with pytest.raises(ConfigError):
            t.free_text(array, replace_with=name)
    with pytest.raises(ConfigError, match="needs a key"):
        t.free_text(array, replace_with="token")
    with pytest.raises(ConfigError, match="frist"):
        t.free_text(array, replace_with="mask", options={"frist": 1})

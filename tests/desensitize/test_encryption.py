"""Authenticated encryption of values."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.desensitize import transforms as t
from ppc.desensitize.arrays import text_of
from ppc.desensitize.keys import Key
from ppc.desensitize.siv import Siv
from ppc.errors import ConfigError, EnvelopeError, TypeMismatchError

KEY = Key(bytes(range(32)))
MODES = ["aes-siv", "aes-gcm", "sm4-gcm"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=70), max_size=8),
    st.sampled_from(MODES),
    st.sampled_from(["base64url", "binary"]),
)
def test_undone_by_the_key(values: list[str | None], mode: Any, encoding: Any) -> None:
    array = pa.array(values, pa.string())
    sealed = t.encrypt(array, mode=mode, encoding=encoding, key=KEY)
    assert t.decrypt(sealed, mode=mode, key=KEY).equals(array)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=8), st.sampled_from([32, 48, 64]))
def test_siv_equals_openssl(values: list[bytes], size: int) -> None:
    key = bytes(range(size))
    off, data = Siv(key, [b"ad"]).seal(text_of(pa.array(values, pa.binary())))
    for i, v in enumerate(values):
        assert data[off[i] : off[i + 1]].tobytes() == AESSIV(key).encrypt(v, [b"ad"])


@pytest.mark.parametrize(
    ("values", "kind", "name"),
    [
        ([1, None, -(2**63), 2**63 - 1], pa.int64(), "int64"),
        ([dt.date(2020, 1, 2), None], pa.date32(), "date"),
        ([dt.datetime(2020, 1, 2, 3, 4, 5, 678901), None], pa.timestamp("us"), "timestamp"),
        ([dt.datetime(2020, 1, 2, 3, 4, 5), None], pa.timestamp("us", "UTC"), "timestamp[us, tz=UTC]"),
        (
            [dt.datetime(2020, 10, 25, 0, 30), None],
            pa.timestamp("ms", "Europe/Berlin"),
            "timestamp[ms, tz=Europe/Berlin]",
        ),
        ([True, False, None], pa.bool_(), "bool"),
        ([b"\xff\x00", b"", None], pa.binary(), "binary"),
        ([Decimal("1.50"), None], pa.decimal128(5, 2), "decimal128(5, 2)"),
    ],
)
def test_types_come_back(values: list[Any], kind: Any, name: str) -> None:
    array = pa.array(values, kind)
    assert t.decrypt(t.encrypt(array, key=KEY), type=name, key=KEY).equals(array)


def test_what_shows_in_a_ciphertext() -> None:
    array = pa.array(["a", "a"])
    siv = t.encrypt(array, key=KEY)
    assert siv[0] == siv[1]
    for mode in MODES[1:]:
        gcm = t.encrypt(array, mode=mode, key=KEY)
        assert gcm[0] != gcm[1]
    assert t.encrypt(array, scope="other", key=KEY)[0] != siv[0]


@pytest.mark.parametrize("mode", MODES)
def test_altered_or_foreign_ciphertexts_are_refused(mode: Any) -> None:
    sealed = t.encrypt(pa.array(["topsecret", None]), mode=mode, encoding="binary", key=KEY)
    raw = sealed[0].as_py()
    for position in (0, 13, len(raw) - 1):
        altered = bytearray(raw)
        altered[position] ^= 1
        with pytest.raises(EnvelopeError, match="1 value"):
            t.decrypt(pa.array([raw, bytes(altered)]), mode=mode, key=KEY)
    for bad in (raw[:10], b"", raw + b"x"):
        with pytest.raises(EnvelopeError):
            t.decrypt(pa.array([bad]), mode=mode, key=KEY)
    with pytest.raises(EnvelopeError):
        t.decrypt(sealed, mode=mode, key=Key(bytes(32)))
    with pytest.raises(EnvelopeError):
        t.decrypt(sealed, mode=mode, scope="other", key=KEY)


def test_what_is_no_ciphertext() -> None:
    for bad in ("not base64!", "a", "éé", "AAA_="):
        with pytest.raises(EnvelopeError):
            t.decrypt(pa.array([bad]), key=KEY)
    sealed = t.encrypt(pa.array(["abc"]), key=KEY)
    with pytest.raises(TypeMismatchError, match="not of type int64"):
        t.decrypt(sealed, type="int64", key=KEY)
    with pytest.raises(ConfigError):
        t.decrypt(sealed, type="float64", key=KEY)
    with pytest.raises(TypeMismatchError):
        t.decrypt(t.encrypt(pa.array([b"\xff"]), key=KEY), key=KEY)


def test_raw_keys() -> None:
    sealed = t.encrypt(pa.array(["abc"]), raw_key=True, encoding="binary", key=Key(bytes(64)))
    assert sealed[0].as_py() == AESSIV(bytes(64)).encrypt(b"abc", None)

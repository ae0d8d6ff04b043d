"""Tokens and hashes: deterministic, apart by scope, and joined across types."""

from __future__ import annotations

import datetime as dt
import hmac

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.desensitize import transforms as t
from ppc.desensitize.keys import Key
from ppc.errors import ConfigError, TypeMismatchError


def base32(mac: bytes, length: int) -> str:
    number = int.from_bytes(mac, "big")
    return "".join("abcdefghijklmnopqrstuvwxyz234567"[(number >> (123 - 5 * i)) & 31] for i in range(length))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=8),
    st.integers(13, 25),
)
def test_token_is_cmac_in_base32(values: list[str | None], length: int) -> None:
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.cmac import CMAC

    key = Key(bytes(32))

    def expected(v: str) -> str:
        mac = CMAC(AES(key.derive("token", "s", 16)))
        mac.update(v.encode())
        return base32(mac.finalize(), length)

    out = t.token(pa.array(values, pa.string()), scope="s", length=length, key=key).to_pylist()
    assert out == [None if v is None else expected(v) for v in values]


def test_no_token_repeats_within_or_across_scopes(key: Key) -> None:
    array = pa.array([str(i) for i in range(100_000)])
    seen = [t.token(array, scope=s, length=13, key=key) for s in ("a", "b", "c")]
    every = pa.concat_arrays(seen)
    # 3e5 tokens of 65 bits: a collision has a chance of 1e-9.
    assert len(every.unique()) == len(every)


def test_joins_across_types_and_engines(key: Key) -> None:
    def one(array: pa.Array) -> list[str | None]:
        return t.token(array, scope="id", key=key).to_pylist()

    assert one(pa.array([42, None])) == one(pa.array(["42", None])) == one(pa.array([42.0, None]))
    assert one(pa.array([42], pa.uint8())) == one(pa.array([42], pa.int64()))
    assert (
        one(pa.array(["42"]).dictionary_encode()) == one(pa.array(["42"], pa.large_string())) == one(pa.array(["42"]))
    )
    stamp = dt.datetime(2020, 1, 2, 3, 4, 5, 600)
    assert one(pa.array([stamp], pa.timestamp("ns"))) == one(pa.array([stamp], pa.timestamp("us")))
    time = dt.time(3, 4, 5)
    assert (
        one(pa.array([time], pa.time32("s")))
        == one(pa.array([time], pa.time64("us")))
        == one(pa.array(["03:04:05.000000"]))
    )
    assert one(pa.array([dt.date(2020, 1, 2)])) == one(pa.array(["2020-01-02"]))
    assert one(pa.array([True])) == one(pa.array(["true"]))
    assert one(pa.array([b"42"])) == one(pa.array(["42"]))


def test_floats_have_no_token(key: Key) -> None:
    for bad in ([0.5], [1e300], [float("nan")], [float("inf")]):
        with pytest.raises(TypeMismatchError, match="one spelling"):
            t.token(pa.array(bad), key=key)


def test_tokens_stay_the_same_across_releases() -> None:
    """Tables tokenized years apart must still join: these values may never change."""
    key = Key(bytes(range(32)))
    assert t.token(pa.array(["13812345678"]), scope="phone", key=key).to_pylist() == [PINNED["token"]]
    assert t.fpe_encrypt(pa.array(["6222021234567890"]), scope="card", key=key).to_pylist() == [PINNED["fpe"]]
    assert t.encrypt(pa.array(["a@b.com"]), scope="email", key=key).to_pylist() == [PINNED["siv"]]
    assert t.hash_(pa.array(["x"]), scope="h", length=16, key=key).to_pylist() == [PINNED["hash"]]
    assert t.fake_name(pa.array(["王小明"]), scope="n", key=key).to_pylist() == [PINNED["name"]]


PINNED = {
    "token": "frdmw5fksfuozy4pfbpf",
    "fpe": "1837784523033607",
    "siv": "kMPFwAuu5_mGDaLcUW_I85eU5Rd0hD0",
    "hash": "f46558f9756c91c6",
    "name": "任艳波",
}


def test_hash_is_hmac_under_the_scope_key(key: Key) -> None:
    for algorithm in ("sha256", "sha512", "sm3"):
        secret = key.derive("hash", f"{algorithm}/s", 32)
        out = t.hash_(pa.array(["é", None, ""]), algorithm=algorithm, scope="s", key=key).to_pylist()
        assert out == [
            hmac.new(secret, "é".encode(), algorithm).hexdigest(),
            None,
            hmac.new(secret, b"", algorithm).hexdigest(),
        ]


def test_a_hash_without_key_warns() -> None:
    with pytest.warns(t.UnkeyedHashWarning, match="hashing every possible value"):
        out = t.hash_(pa.array(["abc"]), keyed=False)
    assert out.to_pylist() == ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]
    with pytest.raises(ConfigError, match="needs a key"):
        t.hash_(pa.array(["abc"]))


def test_lengths(key: Key) -> None:
    for bad in (12, 26):
        with pytest.raises(ConfigError):
            t.token(pa.array(["a"]), length=bad, key=key)
    with pytest.raises(ConfigError):
        t.hash_(pa.array(["a"]), length=8, key=key)
    assert len(t.hash_(pa.array(["a"]), length=40, key=key).to_pylist()[0]) == 40

"""Format-preserving encryption: one to one, undone by the key, and refused where it is weak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.desensitize import transforms as t
from ppc.desensitize.ff1 import FF1
from ppc.desensitize.keys import Key
from ppc.desensitize.transforms.fpe import ALPHABETS
from ppc.errors import ConfigError, KeyFileError, ValueRangeError

KEY = Key(bytes(range(32)))
HAN = "零一二三四五六七八九甲乙丙丁"
ALPHABET = st.sampled_from(["digits", "hex", "base36", "base62", HAN, "01"])


@st.composite
def columns(draw: st.DrawFn) -> tuple[str, list[str | None]]:
    name = draw(ALPHABET)
    letters = ALPHABETS.get(name, name)
    least = 20 if len(letters) == 2 else 6
    word = st.text(letters, min_size=least, max_size=60)
    split = st.tuples(word, st.integers(0, 6)).map(lambda p: p[0][: p[1]] + "- "[p[1] % 2] + p[0][p[1] :])
    return name, draw(st.lists(st.none() | word | split, max_size=8))


@settings(max_examples=80, deadline=None)
@given(columns(), st.sampled_from(["aes-128", "aes-192", "aes-256"]), st.sampled_from(["", "00", "ab" * 20]))
def test_undone_by_the_key(column: tuple[str, list[str | None]], cipher: Any, tweak_hex: str) -> None:
    name, values = column
    array = pa.array(values, pa.string())
    given_ = {"alphabet": name, "tweak_hex": tweak_hex, "key": KEY}
    sealed = t.fpe_encrypt(array, cipher=cipher, **given_)
    assert t.fpe_decrypt(sealed, cipher=cipher, **given_).equals(array)
    letters = ALPHABETS.get(name, name)
    reference = FF1(
        KEY.derive(f"ff1/{cipher}", "default", {"aes-128": 16, "aes-192": 24, "aes-256": 32}[cipher]), len(letters)
    )
    for before, after in zip(values, sealed.to_pylist(), strict=True):
        if before is None:
            assert after is None
            continue
        # Separators stay where they are, and the numerals are those of the general path.
        assert [c if c in " -" else "x" for c in before] == [c if c in " -" else "x" for c in after]
        numerals = [letters.index(c) for c in before if c not in " -"]
        out = reference.numerals(numerals, bytes.fromhex(tweak_hex))
        assert [letters[i] for i in out] == [c for c in after if c not in " -"]
    sm4 = t.fpe_sm4_encrypt(array, **given_)
    assert t.fpe_sm4_decrypt(sm4, **given_).equals(array)


def test_one_to_one_on_the_whole_domain() -> None:
    every = pa.array([f"{i:06d}" for i in range(10**6)])
    sealed = t.fpe_encrypt(every, key=KEY)
    numbers = np.sort(np.array(sealed.cast(pa.int64())))
    assert np.array_equal(numbers, np.arange(10**6))
    # A random permutation has one fixed point on average; 20 or more have a chance below 1e-18.
    assert np.count_nonzero(np.array(sealed) == np.array(every)) < 20


def test_a_tweak_from_other_columns(key: Key) -> None:
    card = pa.array(["6222021234567890"] * 4)
    branch = pa.array(["a", "b", "a", None])
    day = pa.array([1, 1, 2, 3])
    one = t.fpe_encrypt(card, tweak=branch, key=key)
    assert one[0] == one[2]
    assert len(one.unique()) == 3
    assert t.fpe_decrypt(one, tweak=branch, key=key).equals(card)
    two = t.fpe_encrypt(card, tweak=[branch, day], key=key)
    assert len(two.unique()) == 4
    assert t.fpe_decrypt(two, tweak=[branch, day], key=key).equals(card)
    # ("ab", "c") and ("a", "bc") are different tweaks.
    x, y = pa.array(["ab", "a"]), pa.array(["c", "bc"])
    assert len(t.fpe_encrypt(card.slice(0, 2), tweak=[x, y], key=key).unique()) == 2
    # One column is the tweak's very bytes, as other systems take it.
    alone = t.fpe_encrypt(card.slice(0, 1), tweak=pa.array(["ab"]), key=key)
    assert alone.equals(t.fpe_encrypt(card.slice(0, 1), tweak_hex="6162", key=key))


def test_scopes_keys_and_ciphers_differ(key: Key) -> None:
    card = pa.array(["6222021234567890"])
    made = [
        t.fpe_encrypt(card, key=key),
        t.fpe_encrypt(card, scope="other", key=key),
        t.fpe_encrypt(card, cipher="aes-128", key=key),
        t.fpe_encrypt(card, key=Key(bytes(32))),
        t.fpe_sm4_encrypt(card, key=key),
    ]
    assert len({m[0].as_py() for m in made}) == len(made)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("12345", "fewer than 6 symbols"),
        ("", "fewer than 6 symbols"),
        ("1-2-3", "fewer than 6 symbols"),
        ("12345678x", "outside the alphabet"),
        ("１２３４５６７", "outside the alphabet"),
        ("1234567😀", "outside the alphabet"),
        ("123.456.789", "outside the alphabet"),
    ],
)
def test_values_outside_the_domain(value: str, what: str, key: Key) -> None:
    array = pa.array(["123456789", None, value])
    with pytest.raises(ValueRangeError, match=f"1 value.*{what}") as e:
        t.fpe_encrypt(array, key=key)
    assert not value or value not in str(e.value.to_dict())
    out = t.fpe_encrypt(array, invalid="null", key=key)
    assert out.null_count == 2
    assert out[0].equals(t.fpe_encrypt(array.slice(0, 1), key=key)[0])


def test_the_smallest_domains() -> None:
    """SP 800-38G Rev. 1: radix**length >= 1,000,000."""
    for alphabet, least in (("digits", 6), ("base62", 4), ("hex", 5), ("01", 20)):
        letters = ALPHABETS.get(alphabet, alphabet)
        t.fpe_encrypt(pa.array([letters[0] * least]), alphabet=alphabet, key=KEY)
        with pytest.raises(ValueRangeError, match=f"fewer than {least}"):
            t.fpe_encrypt(pa.array([letters[0] * (least - 1)]), alphabet=alphabet, key=KEY)


def test_settings_that_make_no_sense(key: Key) -> None:
    array = pa.array(["123456789"])
    for bad in ({"alphabet": "0"}, {"alphabet": "0120"}, {"tweak_hex": "abc"}, {"cipher": "des"}, {"invalid": "skip"}):
        with pytest.raises(ConfigError):
            t.fpe_encrypt(array, key=key, **bad)
    with pytest.raises(ConfigError, match="both"):
        t.fpe_encrypt(array, separators="0", key=key)
    with pytest.raises(KeyFileError, match="aes-256 takes a key of 32 bytes, this one has 16"):
        t.fpe_encrypt(array, raw_key=True, key=Key(bytes(16)))
    with pytest.raises(ConfigError):
        t.ff3_1_decrypt_(array, tweak_hex="00" * 8, key=key)
    with pytest.raises(ValueRangeError, match="more than 56 symbols"):
        t.ff3_1_decrypt_(pa.array(["1" * 57]), tweak_hex="00" * 7, key=key)

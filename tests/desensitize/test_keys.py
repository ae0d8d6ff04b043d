"""Keys: where they come from, and that they never show."""

from __future__ import annotations

import base64
import copy
import os
import pickle
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from ppc.desensitize.keys import Key, KeyRef, Keys
from ppc.errors import ConfigError, KeyFileError, SecretMisuse

SECRET = bytes(range(200, 232))


@pytest.mark.parametrize("length", [16, 24, 32, 48, 64])
def test_lengths(length: int) -> None:
    assert Key(bytes(length)).derive("p", "s", 5)


@pytest.mark.parametrize("length", [0, 1, 15, 17, 31, 33, 65])
def test_other_lengths_are_refused(length: int) -> None:
    with pytest.raises(KeyFileError, match=f"{length} bytes"):
        Key(bytes(length))


@pytest.mark.parametrize(
    "content",
    [SECRET, SECRET.hex().encode() + b"\n", base64.b64encode(SECRET), base64.urlsafe_b64encode(SECRET).rstrip(b"=")],
    ids=["raw", "hex", "base64", "base64url"],
)
def test_file_forms(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k"
    path.write_bytes(content)
    assert Key.from_file(path).id == Key(SECRET).id


def test_save_is_for_the_owner_alone(tmp_path: Path) -> None:
    key = Key.generate()
    key.save(tmp_path / "k")
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert Key.from_file(tmp_path / "k").id == key.id
    assert Key.generate().id != key.id


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
def test_pkcs8(
    tmp_path: Path, encrypted: bool, encoding: serialization.Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    how = serialization.BestAvailableEncryption(b"pass") if encrypted else serialization.NoEncryption()
    (tmp_path / "k").write_bytes(private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, how))
    passphrase = b"pass" if encrypted else None
    key = Key.from_file(tmp_path / "k", passphrase=passphrase)
    # However the file wraps it, the private key gives one key; another gives another.
    (tmp_path / "same").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    assert Key.from_file(tmp_path / "same").id == key.id
    other = x25519.X25519PrivateKey.generate()
    (tmp_path / "other").write_bytes(
        other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    assert Key.from_file(tmp_path / "other").id != key.id
    if encrypted:
        monkeypatch.setenv("KEY_PASS", "pass")
        assert KeyRef.file(tmp_path / "k", passphrase_env="KEY_PASS").load().id == key.id
        with pytest.raises(KeyFileError, match="passphrase"):
            Key.from_file(tmp_path / "k")
        if encoding is serialization.Encoding.PEM:
            with pytest.raises(KeyFileError, match="passphrase"):
                Key.from_file(tmp_path / "k", passphrase=b"wrong")


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33, b"two words here and more of them", b"\xff" * 7])
def test_unusable_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(KeyFileError) as e:
        Key.from_file(tmp_path / "k")
    assert str(tmp_path / "k") in str(e.value)
    assert not content or content.decode("latin-1") not in e.value.what


def test_missing_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        Key.from_file(tmp_path / "none")
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(KeyFileError, match="not set"):
        Key.from_env("NO_KEY")
    monkeypatch.setenv("BAD_KEY", "topsecret")
    with pytest.raises(KeyFileError) as e:
        Key.from_env("BAD_KEY")
    assert "topsecret" not in str(e.value)
    monkeypatch.setenv("GOOD_KEY", SECRET.hex())
    assert KeyRef.parse("env:GOOD_KEY").load().id == Key(SECRET).id


def test_never_shown_and_never_pickled(tmp_path: Path) -> None:
    key = Key(SECRET)
    for text in (repr(key), str(key), f"{key}", repr(Keys.of(key)), key.id):
        assert SECRET.hex() not in text
        assert repr(SECRET) not in text
    for attempt in (lambda: pickle.dumps(key), lambda: copy.deepcopy(key), lambda: pickle.dumps(Keys.of(key))):
        with pytest.raises(SecretMisuse, match="pickled"):
            attempt()


def test_a_reference_is_pickled_as_a_reference(tmp_path: Path) -> None:
    Key(SECRET).save(tmp_path / "k")
    keys = Keys.of(KeyRef.file(tmp_path / "k"))
    assert keys["default"].id == Key(SECRET).id  # read, and yet:
    data = pickle.dumps(keys)
    assert SECRET not in data
    assert SECRET.hex().encode() not in data
    assert pickle.loads(data)["default"].id == Key(SECRET).id  # noqa: S301
    assert keys.shareable
    assert not Keys.of(Key(SECRET)).shareable


def test_relative_references_stay_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Key(SECRET).save("k")
    ref = KeyRef.parse("k")
    monkeypatch.chdir(os.sep)
    assert ref.load().id == Key(SECRET).id


def test_derived_keys_differ_by_purpose_and_scope() -> None:
    key = Key(SECRET)
    derived = {key.derive(p, s, 16) for p in ("token", "hash") for s in ("", "a", "b", "ab")}
    assert len(derived) == 8
    # The separator keeps (purpose, scope) pairs apart that run together.
    assert key.derive("a", "bc", 16) != key.derive("ab", "c", 16)
    assert key.derive("token", "a", 16) != Key(SECRET[::-1]).derive("token", "a", 16)


def test_named_keys() -> None:
    keys = Keys(cards=Key(SECRET))
    assert list(keys) == ["cards"]
    with pytest.raises(ConfigError, match="no key named 'card'") as e:
        keys["card"]
    assert e.value.hint == "Did you mean 'cards'?"
    with pytest.raises(ConfigError, match="str"):
        Keys.of("secret")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'x' is a str"):
        Keys(x="secret")  # type: ignore[arg-type]

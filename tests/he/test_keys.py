"""Key files: what is locked, what is told, what is refused."""

from __future__ import annotations

import json
import stat

import numpy as np
import pytest

from ppc.errors import ConfigError, FileError, KeyFileError, PpcError
from ppc.he import keys
from ppc.he.paillier import PaillierVector

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def private_file(tmp_path_factory, paillier_key):
    path = tmp_path_factory.mktemp("keys") / "k.private.json"
    paillier_key.write(path, passphrase=PASSPHRASE)
    return path


@pytest.fixture
def cheap_scrypt(monkeypatch):
    monkeypatch.setattr(keys, "_SCRYPT_LOG_N", 14)


def test_a_key_comes_back_from_its_file(private_file, paillier_key):
    assert stat.S_IMODE(private_file.stat().st_mode) == 0o600
    again = keys.read_private(private_file, passphrase=PASSPHRASE)
    assert again.key_id == paillier_key.key_id
    vector = PaillierVector.encrypt(paillier_key.public, [1.5])
    assert vector.decrypt(again).tolist() == [1.5]


def test_the_public_half_is_readable_from_both_files(tmp_path, private_file, paillier_key):
    path = tmp_path / "k.public.json"
    paillier_key.public.write(path)
    for file in (path, private_file):
        assert keys.read_public(file).key_id == paillier_key.key_id
    described = keys.describe(private_file)
    assert described == {
        "scheme": "paillier",
        "kind": "private",
        "key_id": paillier_key.key_id,
        "parameters": {"bits": 2048, "randomness": "djn"},
        "locked_by": "passphrase",
    }
    assert keys.describe(path)["locked_by"] is None
    with pytest.raises(KeyFileError, match="holds a public key"):
        keys.read_private(path, passphrase=PASSPHRASE)


def test_the_private_part_is_not_in_the_file(private_file, paillier_key):
    text = private_file.read_text()
    for number in (paillier_key._p, paillier_key._q):
        assert f"{number:x}" not in text
        assert str(number) not in text
        assert keys.to_text(number.to_bytes(128, "big"))[:40] not in text


def test_a_key_file_locks_too(tmp_path, paillier_key):
    lock = tmp_path / "lock"
    lock.write_bytes(bytes(range(64)))
    path = tmp_path / "k.json"
    paillier_key.write(path, key_file=lock)
    assert keys.describe(path)["locked_by"] == "key-file"
    assert keys.read_private(path, key_file=lock).key_id == paillier_key.key_id
    other = tmp_path / "other"
    other.write_bytes(bytes(64))
    with pytest.raises(KeyFileError, match="key file does not open"):
        keys.read_private(path, key_file=other)
    with pytest.raises(KeyFileError, match="none was given"):
        keys.read_private(path, passphrase=PASSPHRASE)
    short = tmp_path / "short"
    short.write_bytes(bytes(31))
    with pytest.raises(KeyFileError, match="at least 32"):
        paillier_key.write(path, key_file=short)


def test_a_wrong_passphrase_is_told_apart_from_a_damaged_file(private_file):
    with pytest.raises(KeyFileError, match="passphrase does not open"):
        keys.read_private(private_file, passphrase="something else")
    with pytest.raises(KeyFileError, match="none was given"):
        keys.read_private(private_file)


def test_a_private_key_is_never_written_open(tmp_path, paillier_key):
    for arguments in ({}, {"passphrase": PASSPHRASE, "key_file": "x"}, {"passphrase": "short"}):
        with pytest.raises(ConfigError):
            paillier_key.write(tmp_path / "k.json", **arguments)
    assert not list(tmp_path.iterdir())


def test_every_single_byte_flip_of_a_key_file_is_refused(tmp_path, paillier_key):
    data = paillier_key.public.to_bytes()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x01
        with pytest.raises(PpcError):
            keys.public_from_bytes(bytes(damaged))
    for length in range(0, len(data), 7):
        with pytest.raises(KeyFileError):
            keys.public_from_bytes(data[:length])


def test_a_key_whose_parts_were_exchanged_is_refused(tmp_path, cheap_scrypt, paillier_key, other_paillier_key):
    bodies = []
    for i, key in enumerate((paillier_key, other_paillier_key)):
        key.write(tmp_path / f"{i}.json", passphrase=PASSPHRASE)
        bodies.append(json.loads((tmp_path / f"{i}.json").read_text()))
    mixed = {k: v for k, v in bodies[0].items() if k != "checksum"} | {"private": bodies[1]["private"]}
    path = tmp_path / "mixed.json"
    path.write_bytes(keys._seal_file(mixed))
    with pytest.raises(KeyFileError, match="does not open"):
        keys.read_private(path, passphrase=PASSPHRASE)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"format": "x"},
        {"kind": "secret"},
        {"kind": "private"},
        {"scheme": "rsa"},
        {"scheme": ["paillier"]},
        {"public": None},
        {"public": {}},
        {"key_id": "0" * 32},
        {"private": {}},
    ],
)
def test_key_files_of_another_form(paillier_key, change):
    body = json.loads(paillier_key.public.to_bytes())
    body.pop("checksum")
    with pytest.raises(KeyFileError):
        keys.public_from_bytes(keys._seal_file({**body, **change}))


@pytest.mark.parametrize(
    "change",
    [
        {"log_n": 40},
        {"log_n": "17"},
        {"log_n": 1},
        {"lock": "none"},
        {"kdf": "md5"},
        {"salt": "!"},
        {"nonce": ""},
        {"data": 5},
        {"data": ""},
    ],
)
def test_locks_of_another_form(tmp_path, private_file, change):
    body = json.loads(private_file.read_text())
    body.pop("checksum")
    body["private"] = {**body["private"], **change}
    path = tmp_path / "k.json"
    path.write_bytes(keys._seal_file(body))
    with pytest.raises(KeyFileError):
        keys.read_private(path, passphrase=PASSPHRASE)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"null", b"[" * 100_000, b'{"format":"ppc-he-key"}'])
def test_no_key_file_at_all(data):
    with pytest.raises(KeyFileError):
        keys.public_from_bytes(data)


def test_what_generate_does_not_know(tmp_path):
    with pytest.raises(ConfigError, match="no scheme named") as caught:
        keys.generate("pailier")
    assert caught.value.hint == "Did you mean 'paillier'?"
    with pytest.raises(ConfigError, match="no parameter 'bit'") as caught:
        keys.generate("paillier", bit=3072)
    assert caught.value.hint == "Did you mean 'bits'?"
    with pytest.raises(ConfigError):
        keys.generate("paillier", bits=3073)
    with pytest.raises(FileError):
        keys.read_public(tmp_path / "none.json")


def test_keys_are_as_djn_wants_them(paillier_key):
    import gmpy2

    p, q, public = paillier_key._p, paillier_key._q, paillier_key.public
    assert p % 4 == q % 4 == 3
    assert gmpy2.gcd(p - 1, q - 1) == 2
    assert public.n.bit_length() == 2048
    assert gmpy2.powmod(public.h, (p - 1) * (q - 1) // 2, public.n2) == 1  # an n-th residue
    assert np.array_equal(np.array([gmpy2.jacobi(public.h, public.n)]), [1])
    assert gmpy2.legendre(public.h, p) == -1  # of Jacobi symbol 1 and no square

"""The standards' own examples."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ppc.desensitize import checksums
from ppc.desensitize.arrays import text_of
from ppc.desensitize.blockcipher import BlockCipher, Cmac
from ppc.desensitize.detectors import luhn
from ppc.desensitize.ff1 import FF1
from ppc.desensitize.keys import Key
from ppc.desensitize.siv import Siv
from ppc.desensitize.transforms import ff3_1_decrypt_, fpe_decrypt, fpe_encrypt
from ppc.desensitize.transforms.fpe import ALPHABETS
from ppc.desensitize.transforms.tokens import digest_column

FOLDER = Path(__file__).parent.parent / "vectors"


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


@pytest.mark.parametrize("v", load("fpe_ff1.json")["vectors"], ids=lambda v: f"sample{v['sample']}")
def test_ff1_samples(v: dict[str, Any]) -> None:
    secret = bytes.fromhex(v["key"])
    settings = {
        "alphabet": v["alphabet"],
        "tweak_hex": v["tweak"],
        "cipher": f"aes-{8 * len(secret)}",
        "raw_key": True,
        "key": Key(secret),
    }
    assert fpe_encrypt(pa.array([v["plain"]]), **settings).to_pylist() == [v["cipher"]]
    assert fpe_decrypt(pa.array([v["cipher"]]), **settings).to_pylist() == [v["plain"]]
    # The same by the path for long numbers.
    letters = ALPHABETS[v["alphabet"]]
    numerals = [letters.index(c) for c in v["plain"]]
    out = FF1(secret, len(letters)).numerals(numerals, bytes.fromhex(v["tweak"]))
    assert "".join(letters[i] for i in out) == v["cipher"]


@pytest.mark.parametrize("v", load("fpe_ff3_1.json")["vectors"], ids=lambda v: v["plain"][:10])
def test_ff3_1_decrypts(v: dict[str, str]) -> None:
    out = ff3_1_decrypt_(
        pa.array([v["cipher"], None]),
        alphabet=v["alphabet"],
        tweak_hex=v["tweak"],
        cipher="aes-128",
        key=Key(bytes.fromhex(v["key"])),
    )
    assert out.to_pylist() == [v["plain"], None]


def test_sm4() -> None:
    v = load("fpe_building_blocks.json")["sm4"]
    cipher = BlockCipher(bytes.fromhex(v["key"]), sm4=True)
    assert cipher.block(bytes.fromhex(v["plain"])).hex() == v["cipher"]
    many = np.tile(np.frombuffer(bytes.fromhex(v["plain"]), np.uint8), (5, 1))
    assert cipher.encrypt(many)[4].tobytes().hex() == v["cipher"]


def test_sm3() -> None:
    vectors = load("fpe_building_blocks.json")["sm3"]["vectors"]
    digests = digest_column(text_of(pa.array([v["message"] for v in vectors])), "sm3", None)
    assert [d.tobytes().hex() for d in digests] == [v["digest"] for v in vectors]


def test_cmac() -> None:
    v = load("fpe_building_blocks.json")["cmac"]
    message = bytes.fromhex(v["message"])
    mac = Cmac(bytes.fromhex(v["key"]))
    for length, expected in v["macs"].items():
        assert mac.one(message[: int(length)]).hex() == expected
    column = text_of(pa.array([message[: int(n)] for n in v["macs"]], pa.binary()))
    assert [m.tobytes().hex() for m in mac.column(column)] == list(v["macs"].values())


@pytest.mark.parametrize("v", load("fpe_building_blocks.json")["siv"]["vectors"], ids=["A.1", "A.2"])
def test_siv(v: dict[str, Any]) -> None:
    siv = Siv(bytes.fromhex(v["key"]), [bytes.fromhex(ad) for ad in v["associated"]])
    off, data = siv.seal(text_of(pa.array([bytes.fromhex(v["plain"])] * 3, pa.binary())))
    for i in range(3):
        assert data[off[i] : off[i + 1]].tobytes().hex() == v["sealed"]
    off, data, good = siv.open(text_of(pa.array([bytes.fromhex(v["sealed"])], pa.binary())))
    assert good.all()
    assert data[off[0] : off[1]].tobytes().hex() == v["plain"]


def _hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 in six lines, to hold `Key.derive` against."""
    prk = hmac.new(salt, ikm, "sha256").digest()
    out = block = b""
    for i in range(1, -(-length // 32) + 1):
        block = hmac.new(prk, block + info + bytes([i]), "sha256").digest()
        out += block
    return out[:length]


def test_hkdf() -> None:
    v = {k: bytes.fromhex(x) for k, x in load("fpe_building_blocks.json")["hkdf"].items() if k != "source"}
    assert _hkdf(v["ikm"], v["salt"], v["info"], len(v["okm"])) == v["okm"]
    secret = bytes(range(32))
    assert Key(secret).derive("token", "customer", 48) == _hkdf(secret, b"ppc.desensitize/1", b"token\0customer", 48)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sm3"])
def test_hashes_equal_openssl_at_every_length(algorithm: Any) -> None:
    messages = [b"x" * n for n in range(300)]
    text = text_of(pa.array(messages, pa.binary()))
    plain = digest_column(text, algorithm, None)
    keyed = digest_column(text, algorithm, b"k" * 32)
    for i, m in enumerate(messages):
        assert plain[i].tobytes() == hashlib.new(algorithm, m).digest()
        assert keyed[i].tobytes() == hmac.new(b"k" * 32, m, algorithm).digest()


def test_check_digits() -> None:
    # ISO/IEC 7812-1, annex B; GB 11643-1999, annex A; GB 32100-2015, a code in use.
    assert checksums.luhn_digit(np.array([[7, 9, 9, 2, 7, 3, 9, 8, 7, 1]])) == [3]
    assert luhn("4111 1111 1111 1111")
    assert not luhn("4111 1111 1111 1112")
    for number in ("11010519491231002X", "440524188001010014"):
        body = np.array([[int(c) for c in number[:17]]])
        assert chr(checksums.resident_check(body)[0]) == number[17]
    code = "91350100M000100Y43"
    body = np.array([[checksums.CREDIT_ALPHABET.index(c) for c in code[:17]]])
    assert checksums.CREDIT_ALPHABET[checksums.credit_check(body)[0]] == code[17]

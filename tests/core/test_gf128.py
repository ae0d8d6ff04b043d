"""GF(2^128), bit matrices and fixed-key AES: against plain integers, and the portable twins against the fast ones."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.core import aes, cpu, gf128
from ppc.errors import ConfigError

ELEMENTS = st.integers(0, 2**128 - 1)
MODULUS = 1 << 128 | 0x87


def times(a: int, b: int) -> int:
    """The textbook product."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        b >>= 1
        a <<= 1
        if a >> 128:
            a ^= MODULUS
    return product


def words(values) -> np.ndarray:
    return np.array([[v & 2**64 - 1, v >> 64] for v in values], np.uint64).reshape(-1, 2)


@pytest.fixture(params=["as the processor can", "portable"])
def path(request, monkeypatch):
    if request.param == "portable":
        monkeypatch.setenv(cpu.PORTABLE, "1")
        assert not cpu.has("pclmul")
    return request.param


@settings(max_examples=100, deadline=None)
@given(ELEMENTS, ELEMENTS)
def test_integers(a, b):
    assert gf128.int_multiply(a, b) == times(a, b)
    assert gf128.to_int(gf128.from_int(a)) == a
    if a:
        assert times(a, gf128.int_inverse(a)) == 1


def test_products(path):
    rng = np.random.default_rng(1)
    edge = [0, 1, 2, 1 << 63, 1 << 64, 1 << 127, 2**128 - 1]
    a = np.concatenate([rng.integers(0, 2**64, (200, 2), np.uint64), words(edge)])
    b = np.concatenate([rng.integers(0, 2**64, (200, 2), np.uint64), words(edge[::-1])])
    expected = words([times(gf128.to_int(x), gf128.to_int(y)) for x, y in zip(a, b, strict=True)])
    assert (gf128.multiply(a, b) == expected).all()
    for n in (0, 1, 7, len(a)):
        total = b[1].copy()
        gf128.add_dot(total, a[:n], b[:n])
        assert (total == b[1] ^ np.bitwise_xor.reduce(expected[:n], axis=0)).all()
    for factor in (b[0], words([0])[0], words([1])[0]):
        out = b.copy()
        gf128.add_scaled(out, a, factor)
        assert (out == (b ^ words([times(gf128.to_int(x), gf128.to_int(factor)) for x in a]))).all()


def test_frobenius_is_a_linear_map(path):
    a = np.random.default_rng(2).integers(0, 2**64, (50, 2), np.uint64)
    for power in (0, 1, 2, 5):
        out = np.zeros_like(a)
        gf128.add_mapped(out, a, gf128.tables(gf128.frobenius(power)))
        expected = a
        for _ in range(power):
            expected = gf128.multiply(expected, expected)
        assert (out == expected).all()


@pytest.mark.parametrize("n", [1, 63, 64, 65, 700])
def test_transpose(n):
    columns = np.random.default_rng(n).integers(0, 2**64, (128, (n + 63) // 64), np.uint64)
    bits = np.unpackbits(columns.view(np.uint8), axis=1, bitorder="little")[:, :n]
    rows = gf128.transpose(columns, n)
    assert (np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little") == bits.T).all()


@pytest.mark.parametrize("n", [0, 1, 3, 20_000])
def test_aes(n):
    key = bytes(range(16))
    x = np.random.default_rng(n).integers(0, 2**64, (n, 2), np.uint64)

    def pi(blocks):
        raw = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks.tobytes())
        return np.frombuffer(raw, np.uint64).reshape(-1, 2)

    assert (aes.encrypt(key, x) == pi(x)).all()
    assert (aes.mmo(key, x) == pi(x) ^ x).all()
    tweaks = np.stack([np.arange(7, 7 + n, dtype=np.uint64), np.zeros(n, np.uint64)], axis=1)
    assert (aes.tmmo(key, x, 7) == pi(pi(x) ^ tweaks) ^ pi(x)).all()


def test_aes_vector_of_the_standard():
    # FIPS 197, appendix C.1
    plain = np.frombuffer(bytes.fromhex("00112233445566778899aabbccddeeff"), np.uint64).reshape(1, 2)
    assert aes.encrypt(bytes(range(16)), plain).tobytes().hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


def test_keys_of_another_length_are_refused():
    with pytest.raises(ConfigError, match="16 bytes"):
        aes.encrypt(bytes(32), np.zeros((1, 2), np.uint64))

import copy
import pickle

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ppc.core import rng
from ppc.errors import ConfigError

KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")

# Each statistical test below rejects a good generator once in 1e6 runs; the keys are fixed, so it never does by chance.
FALSE_ALARM = 1e-6


def chi_square_p(counts):
    return stats.chisquare(counts).pvalue


def test_the_stream_is_aes_ctr_of_sp_800_38a():
    # SP 800-38A F.5.1, CTR-AES128: key, first counter block, and the output blocks (key stream).
    nonce, block = 0xF0F1F2F3F4F5F6F7, 0xF8F9FAFBFCFDFEFF
    expected = "ec8cdf7398607cb0f2d21675ea9ea1e4"
    stream = rng.Stream(KEY, nonce).seek_words(2 * block)
    assert stream.bytes(16).hex() == expected


def test_words_bytes_and_the_cipher_agree():
    reference = Cipher(algorithms.AES(KEY), modes.CTR(bytes(8) + bytes(8))).encryptor().update(bytes(4096))
    assert rng.Stream(KEY).bytes(4096) == reference
    assert rng.Stream(KEY).uint64(512).tobytes() == reference
    assert rng.Stream(KEY).bits((2, 4)).tobytes() == reference[:64]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000), st.integers(0, 40))
def test_seeking_is_reading_on(position, n):
    whole = rng.Stream(KEY, 7).uint64(position + n)
    np.testing.assert_array_equal(rng.Stream(KEY, 7).seek_words(position).uint64(n), whole[position:])


def test_streams_are_apart():
    firsts = {rng.Stream(KEY, i).bytes(16) for i in range(100)} | {
        rng.Stream(KEY).derive(f"{i}").bytes(16) for i in range(100)
    }
    assert len(firsts) == 200
    assert rng.Stream(KEY, 1).derive("a").bytes(8) != rng.Stream(KEY, 2).derive("a").bytes(8)
    assert rng.os_stream().bytes(16) != rng.os_stream().bytes(16)
    assert len(rng.random_key()) == 16 != len(rng.random_bytes(5))


@pytest.mark.parametrize(("low", "high"), [(0, 2), (-3, 4), (0, 6), (5, 6), (-(2**63), 2**63), (0, 3 * 2**61)])
def test_integers_stay_within_and_are_uniform(low, high):
    n = 60_000
    values = rng.Stream(KEY, 3).integers(low, high, n)
    assert values.min() >= low
    assert values.max() <= high - 1
    bins = min(high - low, 12)
    counts = np.bincount([(int(v) - low) * bins // (high - low) for v in values], minlength=bins)
    assert bins == 1 or chi_square_p(counts) > FALSE_ALARM


def test_the_test_for_uniformity_would_see_a_modulo_bias():
    words = rng.Stream(KEY, 3).uint64(60_000) % np.uint64(2**64 - 2**62)  # folds the top quarter onto the bottom
    counts = np.bincount((words >> np.uint64(60)).astype(int), minlength=12)
    assert chi_square_p(counts) < FALSE_ALARM


def test_permutations_are_uniform():
    stream = rng.Stream(KEY, 9)
    seen = {}
    for _ in range(12_000):
        p = tuple(stream.permutation(4))
        seen[p] = seen.get(p, 0) + 1
    assert len(seen) == 24
    assert chi_square_p(list(seen.values())) > FALSE_ALARM
    assert sorted(stream.permutation(1000).tolist()) == list(range(1000))
    assert stream.permutation(0).size == 0


def test_words_are_uniform():
    octets = np.frombuffer(rng.Stream(KEY, 5).bytes(1 << 20), np.uint8)
    assert chi_square_p(np.bincount(octets, minlength=256)) > FALSE_ALARM


def test_keys_do_not_show():
    stream = rng.Stream(KEY)
    assert KEY.hex() not in repr(stream)
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="key"):
            leak(stream)


@pytest.mark.parametrize(
    "make",
    [
        lambda: rng.Stream(b"short"),
        lambda: rng.Stream(KEY, -1),
        lambda: rng.Stream(KEY, 2**64),
        lambda: rng.Stream(KEY).integers(3, 3),
    ],
)
def test_bad_arguments(make):
    with pytest.raises(ConfigError):
        make()

"""The one source of randomness: bytes of the operating system, and AES-128-CTR streams expanded from a key.

A `Stream` is a pseudo-random function of (key, nonce, position). Two parties that hold the same key draw the same
words without talking, and either can seek to any position. AES-CTR is a secure stream as long as no (key, nonce) pair
is drawn from for two purposes: a caller that needs several streams of one key numbers them by the nonce.

Source: NIST SP 800-38A §6.5 (counter mode). The counter block is the nonce (64 bits, big-endian), then the block
number.
"""

from __future__ import annotations

import hashlib
import math
import os
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from ppc.errors import ConfigError

KEY_BYTES: Final = 16  # AES-128: 128-bit security, SP 800-57
_BLOCK: Final = 16
_ZEROS: Final = bytes(1 << 18)  # one update's worth of plaintext; stays in the second-level cache
_ZEROS_VIEW: Final = memoryview(_ZEROS)

Words = NDArray[np.uint64]


def random_bytes(n: int) -> bytes:
    """`n` bytes of the operating system's generator."""
    return os.urandom(n)


def random_key() -> bytes:
    """A fresh key for a `Stream`."""
    return os.urandom(KEY_BYTES)


def derive_key(key: bytes, label: str) -> bytes:
    """Another key, independent for whoever knows only one of them: SHA-256 of key and label, cut."""
    return hashlib.sha256(b"ppc/core/rng/derive\0" + key + label.encode()).digest()[:KEY_BYTES]


class Stream:
    """The AES-128-CTR key stream of `key` and `nonce`, read as bytes, words, integers or permutations.

    Args:
        key: 16 bytes.
        nonce: 0 <= nonce < 2**64; each gives an independent stream of 2**64 blocks.

    A stream is used by one thread. Its repr never shows the key.
    """

    __slots__ = ("_cipher", "_key", "_nonce")

    def __init__(self, key: bytes, nonce: int = 0) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigError(f"a stream's key has {KEY_BYTES} bytes, not {len(key)}")
        if not 0 <= nonce < 1 << 64:
            raise ConfigError("a stream's nonce is between 0 and 2**64 - 1")
        self._key = bytes(key)
        self._nonce = int(nonce)
        self._cipher = self._at(0)

    def _at(self, block: int) -> CipherContext:
        counter = self._nonce.to_bytes(8, "big") + block.to_bytes(8, "big")
        return Cipher(algorithms.AES(self._key), modes.CTR(counter)).encryptor()

    def __repr__(self) -> str:
        return f"<Stream nonce={self._nonce}>"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a Stream holds a key and is not pickled")

    def seek_words(self, position: int) -> Stream:
        """Go to the word at `position` (in 8-byte words from the start); returns itself."""
        self._cipher = self._at(position // 2)
        if position % 2:
            self._cipher.update(_ZEROS[:8])
        return self

    def _fill(self, out: memoryview) -> None:
        # `out` has one block to spare, as update_into asks of its buffer.
        n = len(out) - _BLOCK
        for start in range(0, n, len(_ZEROS)):
            size = min(len(_ZEROS), n - start)
            self._cipher.update_into(_ZEROS_VIEW[:size], out[start : start + size + _BLOCK])

    def fill(self, out: Words) -> None:
        """The next len(out) - 2 words into `out`, which is contiguous; what its last two words hold is lost."""
        self._fill(memoryview(out.view(np.uint8)))

    def bytes(self, n: int) -> bytes:
        """The next `n` bytes."""
        return self._cipher.update(bytes(n))

    def uint64(self, shape: int | tuple[int, ...]) -> Words:
        """The next words, as an array of `shape`, uniform over 0 … 2**64 − 1."""
        n = shape if isinstance(shape, int) else math.prod(shape)
        buffer = np.empty(n + 2, np.uint64)
        self._fill(memoryview(buffer.view(np.uint8)))
        return buffer[:n].reshape(shape)

    def bits(self, shape_words: int | tuple[int, ...]) -> Words:
        """Packed random bits: the next words, 64 bits in each."""
        return self.uint64(shape_words)

    def integers(self, low: int, high: int, shape: int | tuple[int, ...] = ()) -> NDArray[np.int64]:
        """Integers uniform over low … high − 1, without bias (words outside the last whole multiple are drawn anew).

        Raises:
            ConfigError: not low < high, or a bound that is no 64-bit integer.
        """
        if not (-(1 << 63) <= low < high <= 1 << 63):
            raise ConfigError("integers needs low < high, both 64-bit")
        span = high - low
        n = shape if isinstance(shape, int) else math.prod(shape)
        if span & (span - 1) == 0:
            words = self.uint64(n) & np.uint64(span - 1)
        else:
            limit = np.uint64((1 << 64) // span * span - 1)  # the last word of a whole multiple of span
            words = self.uint64(n)
            while (bad := words > limit).any():
                words[bad] = self.uint64(int(bad.sum()))
            words %= np.uint64(span)
        words += np.uint64(low % (1 << 64))
        return words.view(np.int64).reshape(shape)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """A permutation of 0 … n − 1, uniform over all: the order of n distinct random words."""
        while True:
            keys = self.uint64(n)
            order = np.argsort(keys, kind="stable")
            sorted_keys = keys[order]
            if not (sorted_keys[1:] == sorted_keys[:-1]).any():  # a tie would favour the identity
                return order.astype(np.int64, copy=False)

    def derive(self, label: str) -> Stream:
        """An independent stream for `label`, at its start; the same for every holder of this stream's key and nonce."""
        return Stream(derive_key(self._key, f"{self._nonce}\0{label}"))


def os_stream() -> Stream:
    """A stream of a fresh key that nobody else knows."""
    return Stream(random_key())

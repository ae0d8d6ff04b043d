"""Whole columns through a block cipher: one OpenSSL call for all blocks. CMAC (RFC 4493, SP 800-38B) on top of it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ppc.desensitize.arrays import Bytes, Text

KEY_BYTES: Final = {"aes-128": 16, "aes-192": 24, "aes-256": 32, "sm4": 16}


class BlockCipher:
    """AES or SM4 (GB/T 32907-2016) under one key, on arrays of 16-byte blocks."""

    __slots__ = ("_encryptor",)

    def __init__(self, key: bytes, *, sm4: bool = False) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        algorithm: Any = algorithms.SM4(key) if sm4 else algorithms.AES(key)
        # ECB over distinct inputs is the bare permutation, which is what CMAC, CTR and FF1 are built from.
        self._encryptor = Cipher(algorithm, modes.ECB()).encryptor()

    def block(self, block: bytes) -> bytes:
        """One block."""
        return bytes(self._encryptor.update(block))

    def blocks(self, source: npt.NDArray[Any], target: Bytes) -> None:
        """Encrypt the bytes of `source` (a multiple of 16) into `target`, which is at least 15 bytes longer."""
        self._encryptor.update_into(memoryview(source).cast("B"), memoryview(target))

    def encrypt(self, source: npt.NDArray[Any]) -> Bytes:
        """Encrypt a C-contiguous array of whole blocks; (blocks, 16) bytes."""
        size = source.nbytes
        target = np.empty(size + 15, np.uint8)
        if size:
            self.blocks(source, target)
        return target[:size].reshape(-1, 16)

    def __repr__(self) -> str:
        return "<BlockCipher>"


def double(block: bytes) -> bytes:
    """Multiply by x in GF(2**128): the `dbl` of RFC 4493 and RFC 5297."""
    value = int.from_bytes(block, "big") << 1
    if value >> 128:
        value = (value & ((1 << 128) - 1)) ^ 0x87
    return value.to_bytes(16, "big")


class Cmac:
    """AES-CMAC of every row of a column."""

    def __init__(self, key: bytes) -> None:
        self._cipher = BlockCipher(key)
        k1 = double(self._cipher.block(bytes(16)))
        self._k1 = np.frombuffer(k1, np.uint8)
        self._k2 = np.frombuffer(double(k1), np.uint8)

    def column(self, text: Text) -> Bytes:
        """The MACs, uint8 (n, 16). Costs one AES block for 16 bytes of each row."""
        from ppc.desensitize._kernels import mac

        n = len(text)
        words = np.empty((n + 2, 2), np.uint64)
        room = words.view(np.uint8)
        room[n], room[n + 1] = self._k1, self._k2
        blocks = room[:n]
        count = np.empty(n, np.int32)
        most = mac.cmac_first(text.offsets, text.data, self._k1, self._k2, words, blocks, count)
        out = self._cipher.encrypt(blocks)
        if most > 1:
            rows = np.empty(n, np.int64)
            for step in range(1, most):
                m = mac.cmac_next(text.offsets, text.data, self._k1, self._k2, count, step, out, blocks, rows)
                mac.scatter(rows, m, self._cipher.encrypt(blocks[:m]), out)
        return out

    def one(self, message: bytes) -> bytes:
        """The MAC of one message."""
        text = Text(np.array([0, len(message)], np.int32), np.frombuffer(message or b"\0", np.uint8), None)
        return self.column(text).tobytes()

    def __repr__(self) -> str:
        return "<Cmac>"

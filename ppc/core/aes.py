"""Fixed-key AES on whole arrays, and the hash functions that are made of it.

A block is two words (little-endian), an array of blocks has shape (n, 2). The cipher is OpenSSL's, in constant time on
processors with AES instructions, called once for a whole buffer.

- `encrypt(key, x)` = π(x), AES-128 under a public key: a permutation that nobody can tell from a random one.
- `mmo(key, x)` = π(x) ⊕ x (Matyas–Meyer–Oseas): correlation robust if π is an ideal permutation: H(Δ ⊕ x) looks
  random for a secret Δ, and any number of distinct x.
- `tmmo(key, x, tweaks)` = π(π(x) ⊕ i) ⊕ π(x): tweakable circular correlation robust, the same with a tweak i and even
  if the hashed values depend on Δ themselves. For OT extension.

The keys are public, and drawn anew for a session, so that work spent on one session does not help against another.

Source: Guo, Katz, Wang, Yu, "Efficient and secure multiparty computation from fixed-key block ciphers", IEEE S&P 2020,
sections 7.2 and 7.4.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from ppc.errors import ConfigError

Words = NDArray[np.uint64]

KEY_BYTES: Final = 16  # AES-128
_PIECE: Final = 1 << 18  # bytes an update: stays in the second-level cache


def encrypt(key: bytes, blocks: Words) -> Words:
    """AES-128 of each block under `key`; blocks and result uint64 (n, 2)."""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"the key of a permutation has {KEY_BYTES} bytes, not {len(key)}")
    n = blocks.shape[0]
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    source = memoryview(np.ascontiguousarray(blocks, "<u8").reshape(-1).view(np.uint8))
    out = np.empty(2 * n + 2, "<u8")  # one block to spare, as update_into asks of its buffer
    target = memoryview(out.view(np.uint8))
    for at in range(0, 16 * n, _PIECE):
        size = min(_PIECE, 16 * n - at)
        cipher.update_into(source[at : at + size], target[at : at + size + 16])
    return out[: 2 * n].astype(np.uint64, copy=False).reshape(n, 2)


def mmo(key: bytes, blocks: Words) -> Words:
    """π(x) ⊕ x of each block; uint64 (n, 2)."""
    out = encrypt(key, blocks)
    out ^= blocks
    return out


def tmmo(key: bytes, blocks: Words, first: int = 0) -> Words:
    """π(π(x) ⊕ i) ⊕ π(x) of each block, the tweak i counting from `first`; uint64 (n, 2)."""
    inner = encrypt(key, blocks)
    tweaked = inner.copy()
    tweaked[:, 0] ^= np.arange(first, first + len(blocks), dtype=np.uint64)
    out = encrypt(key, tweaked)
    out ^= inner
    return out

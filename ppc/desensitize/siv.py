"""AES-SIV (RFC 5297) on whole columns: deterministic authenticated encryption, a value in, a value out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ppc.desensitize._kernels import mac
from ppc.desensitize.arrays import Bytes, Text, allocate
from ppc.desensitize.blockcipher import BlockCipher, Cmac, double

TAG = 16


class Siv:
    """AES-SIV under a key of 32, 48 or 64 bytes (the first half is S2V's, the second CTR's).

    associated: constant strings that are authenticated with every value, in order.
    """

    def __init__(self, key: bytes, associated: Sequence[bytes] = ()) -> None:
        half = len(key) // 2
        self._mac = Cmac(key[:half])
        self._cipher = BlockCipher(key[half:])
        d = self._mac.one(bytes(16))
        for part in associated:
            d = _xor(double(d), self._mac.one(part))
        self._d = np.frombuffer(d, np.uint8)
        self._dbl = np.frombuffer(double(d), np.uint8)

    def seal(self, text: Text) -> tuple[npt.NDArray[np.int32], Bytes]:
        """Offsets and bytes of V || C for every row; each is 16 bytes longer than its plaintext."""
        tags = self._tags(text)
        off = (text.relative() + TAG * np.arange(len(text) + 1)).astype(np.int32)
        out = allocate(int(off[-1]))
        rows = out[: off[-1]]
        self._crypt(text, tags, off, TAG, out)
        index = off[:-1, None] + np.arange(TAG)
        rows[index] = tags
        return off, out

    def open(self, text: Text) -> tuple[npt.NDArray[np.int32], Bytes, npt.NDArray[np.bool_]]:
        """Offsets and bytes of the plaintexts, and which rows are authentic; a row that is not comes out empty."""
        sizes = np.diff(text.offsets)
        whole = sizes >= TAG
        starts = np.where(whole, text.offsets[:-1] + TAG, text.offsets[1:]).astype(np.int32)
        tags = np.zeros((len(text), TAG), np.uint8)
        if whole.any():
            tags[whole] = text.data[text.offsets[:-1][whole, None] + np.arange(TAG)]
        body = _gather(text.data, starts, text.offsets[1:])
        off = body.offsets
        out = allocate(body.nbytes)
        self._crypt(body, tags, off, 0, out)
        plain = Text(off, out, None)
        good = whole & np.all(self._tags(plain) == tags, axis=1)
        if not good.all():
            plain = _gather(out, off[:-1], np.where(good, off[1:], off[:-1]).astype(np.int32))
        return plain.offsets, plain.data, good

    def _tags(self, text: Text) -> Bytes:
        """S2V of every row."""
        off = np.empty(len(text) + 1, np.int32)
        strings = allocate(text.nbytes + TAG * len(text))
        mac.siv_strings(text.offsets, text.data, self._d, self._dbl, off, strings)
        return self._mac.column(Text(off, strings, None))

    def _crypt(self, text: Text, tags: Bytes, off: npt.NDArray[np.int32], lead: int, out: Bytes) -> None:
        blocks = np.empty((int(((np.diff(text.offsets) + 15) >> 4).sum()), 16), np.uint8)
        mac.counter_blocks(text.offsets, tags, blocks)
        stream = self._cipher.encrypt(blocks).reshape(-1) if len(blocks) else np.zeros(1, np.uint8)
        mac.xor_stream(text.offsets, text.data, stream, off, lead, out)

    def __repr__(self) -> str:
        return "<Siv>"


def _gather(data: Bytes, starts: npt.NDArray[np.int32], stops: npt.NDArray[np.int32]) -> Text:
    """The rows data[starts[i]:stops[i]], laid end to end."""
    off = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(stops - starts, out=off[1:])
    out = allocate(int(off[-1]))
    mac.copy_rows(data, starts, off, out)
    return Text(off, out, None)


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))

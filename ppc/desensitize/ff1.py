"""FF1 format-preserving encryption (NIST SP 800-38G and its Revision 1) of whole columns, and FF3-1 decryption.

A column's rows are grouped by their number of numerals n and the length of their tweak. Each group runs FF1's ten
Feistel rounds together: one OpenSSL call encrypts the last block of every row's Q, and a numba kernel does the
arithmetic of the halves. Halves of 56 bits and more take a path on Python integers, with the same calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ppc.desensitize._kernels import ff1 as k
from ppc.desensitize.arrays import Bytes
from ppc.desensitize.blockcipher import BlockCipher

ROUNDS: Final = 10
MIN_DOMAIN: Final = 1_000_000  # SP 800-38G Rev. 1, section 4: radix**minlen >= 1,000,000
MAX_RADIX: Final = 1 << 16
_FAST_BITS: Final = 56
_GROUP_ROWS: Final = 1 << 13

Symbols = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """The constants of FF1 for n numerals of a radix (SP 800-38G, algorithms 7 and 8, steps 1 to 5)."""

    radix: int
    n: int

    @property
    def u(self) -> int:
        return self.n // 2

    @property
    def v(self) -> int:
        return self.n - self.u

    @property
    def b(self) -> int:
        """Bytes of NUM(B): ceil(ceil(v * log2(radix)) / 8), exactly."""
        return (int(self.radix**self.v - 1).bit_length() + 7) // 8

    @property
    def d(self) -> int:
        """Bytes of S that become the number y: 4 * ceil(b / 4) + 4."""
        return 4 * ((self.b + 3) // 4) + 4

    @property
    def fast(self) -> bool:
        return int(self.radix**self.v) < 1 << _FAST_BITS

    def modulus(self, rounds: int) -> int:
        return int(self.radix ** (self.u if rounds % 2 == 0 else self.v))

    def prefix(self, tweak_bytes: int) -> bytes:
        """P = [1][2][1][radix]3[10][u mod 256][n]4[t]4."""
        return (
            bytes([1, 2, 1])
            + self.radix.to_bytes(3, "big")
            + bytes([10, self.u % 256])
            + self.n.to_bytes(4, "big")
            + tweak_bytes.to_bytes(4, "big")
        )


class FF1:
    """FF1 under one key: encrypts and decrypts rows of numerals."""

    def __init__(self, key: bytes, radix: int, *, sm4: bool = False) -> None:
        self._cipher = BlockCipher(key, sm4=sm4)
        self.radix = radix

    def numerals(self, x: list[int], tweak: bytes = b"", *, decrypt: bool = False) -> list[int]:
        """One numeral string, by the general path: the reference for the kernels."""
        shape = Shape(self.radix, len(x))
        a, b = _number(x[: shape.u], self.radix), _number(x[shape.u :], self.radix)
        tweaks = np.frombuffer(tweak, np.uint8).reshape(1, -1)
        (left,), (right,) = self._wide(shape, [a], [b], tweaks, decrypt)
        return _numerals(left, self.radix, shape.u) + _numerals(right, self.radix, shape.v)

    def rows(
        self,
        out: Symbols,
        rows: Ints,
        off: npt.NDArray[np.int32],
        table: npt.NDArray[np.int32],
        letters: Symbols,
        n: int,
        tweaks: Bytes,
        decrypt: bool,
    ) -> None:
        """Encrypt (or decrypt) in place the `n` numerals of each of `rows` within the symbols `out`.

        table: symbol -> numeral; letters: numeral -> symbol; tweaks: (len(rows), t), or (1, t) for all.
        """
        shape = Shape(self.radix, n)
        for start in range(0, len(rows), _GROUP_ROWS):
            part = rows[start : start + _GROUP_ROWS]
            own = tweaks if len(tweaks) == 1 else tweaks[start : start + _GROUP_ROWS]
            if shape.fast:
                a = np.empty(len(part), np.uint64)
                b = np.empty(len(part), np.uint64)
                k.split(part, off, out, table, self.radix, shape.u, a, b)
                self._narrow(shape, a, b, own, decrypt)
                k.join(part, off, table, letters, self.radix, shape.u, n, a, b, out)
            else:
                self._general(shape, out, part, off, table, letters, own, decrypt)

    def _narrow(
        self, shape: Shape, a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64], tweaks: Bytes, decrypt: bool
    ) -> None:
        """The rounds on halves below 2**56, in place."""
        state, last = self._lead(shape, tweaks)
        base = np.ascontiguousarray(state ^ last).view(np.uint64)
        rows = len(a)
        q = np.empty((rows, 2), np.uint64)
        s = np.empty(16 * rows + 15, np.uint8)
        s64 = s[: 16 * rows].view(np.uint64).reshape(rows, 2)
        shift = 8 * shape.b
        order = range(ROUNDS - 1, -1, -1) if decrypt else range(ROUNDS)
        step = k.unturn if decrypt else k.turn
        k.load(base, a if decrypt else b, order[0] << shift, q)
        for position, i in enumerate(order):
            self._cipher.blocks(q, s)
            following = order[position + 1] if position + 1 < ROUNDS else 0
            step(s64, a, b, shape.d, shape.modulus(i), base, following << shift, q)

    def _lead(self, shape: Shape, tweaks: Bytes) -> tuple[Bytes, Bytes]:
        """The CBC state after P and all blocks of Q but those with the round number and NUM(B); the next block.

        Needs b + 1 <= 16, so that round number and number share the last block.
        """
        rows, t = tweaks.shape
        blocks = (t + 1 + shape.b + 15) // 16
        q = np.zeros((rows, 16 * blocks), np.uint8)
        q[:, :t] = tweaks
        state = np.repeat(np.frombuffer(self._cipher.block(shape.prefix(t)), np.uint8)[None, :], rows, axis=0)
        for j in range(blocks - 1):
            state = self._cipher.encrypt(np.ascontiguousarray(state ^ q[:, 16 * j : 16 * j + 16]))
        return state, q[:, 16 * (blocks - 1) :]

    def _wide(
        self, shape: Shape, a: list[int], b: list[int], tweaks: Bytes, decrypt: bool
    ) -> tuple[list[int], list[int]]:
        """The rounds on Python integers, every AES block position of all rows in one call."""
        rows, t = len(a), tweaks.shape[1]
        size = t + (-t - shape.b - 1) % 16 + 1 + shape.b
        prefix = np.frombuffer(self._cipher.block(shape.prefix(t)), np.uint8)
        q = np.zeros((rows, size), np.uint8)
        q[:, :t] = tweaks
        order = range(ROUNDS - 1, -1, -1) if decrypt else range(ROUNDS)
        for i in order:
            q[:, size - shape.b - 1] = i
            numbers = b"".join(x.to_bytes(shape.b, "big") for x in (a if decrypt else b))
            q[:, size - shape.b :] = np.frombuffer(numbers, np.uint8).reshape(rows, shape.b)
            r = np.repeat(prefix[None, :], rows, axis=0)
            for j in range(0, size, 16):
                r = self._cipher.encrypt(np.ascontiguousarray(r ^ q[:, j : j + 16]))
            s = [r]
            for j in range(1, (shape.d + 15) // 16):
                mask = np.frombuffer(j.to_bytes(16, "big"), np.uint8)
                s.append(self._cipher.encrypt(np.ascontiguousarray(r ^ mask)))
            stream = np.concatenate(s, axis=1)[:, : shape.d]
            m = shape.modulus(i)
            y = [int.from_bytes(row.tobytes(), "big") for row in stream]
            if decrypt:
                a, b = [(p - z) % m for p, z in zip(b, y, strict=True)], a
            else:
                a, b = b, [(p + z) % m for p, z in zip(a, y, strict=True)]
        return a, b

    def _general(
        self,
        shape: Shape,
        out: Symbols,
        rows: Ints,
        off: npt.NDArray[np.int32],
        table: npt.NDArray[np.int32],
        letters: Symbols,
        tweaks: Bytes,
        decrypt: bool,
    ) -> None:
        """`rows` for halves of 56 bits and more."""
        places, a, b = [], [], []
        for i in rows:
            span = np.arange(off[i], off[i + 1])
            where = span[table[out[span]] >= 0]
            x = table[out[where]].tolist()
            places.append(where)
            a.append(_number(x[: shape.u], self.radix))
            b.append(_number(x[shape.u :], self.radix))
        own = tweaks if len(tweaks) == len(rows) else np.repeat(tweaks, len(rows), axis=0)
        left, right = self._wide(shape, a, b, own, decrypt)
        for where, p, q in zip(places, left, right, strict=True):
            out[where] = letters[_numerals(p, self.radix, shape.u) + _numerals(q, self.radix, shape.v)]

    def __repr__(self) -> str:
        return f"<FF1 radix={self.radix}>"


def ff3_1_decrypt(key: bytes, tweak: bytes, x: list[int], radix: int) -> list[int]:
    """FF3-1 decryption of one numeral string (SP 800-38G Rev. 1, algorithm 10), for data of other systems.

    tweak: 7 bytes. The second draft of Revision 1 (2025) dropped FF3-1, so nothing is encrypted with it here.
    """
    cipher = BlockCipher(key[::-1])
    n = len(x)
    u = (n + 1) // 2
    v = n - u
    left = tweak[:3] + bytes([tweak[3] & 0xF0])
    right = tweak[4:7] + bytes([(tweak[3] & 0x0F) << 4])
    # Numerals are read in reverse order throughout.
    a, b = _number(x[:u][::-1], radix), _number(x[u:][::-1], radix)
    for i in range(7, -1, -1):
        m, w = (radix**u, right) if i % 2 == 0 else (radix**v, left)
        block = (int.from_bytes(w, "big") ^ i).to_bytes(4, "big") + a.to_bytes(12, "big")
        y = int.from_bytes(cipher.block(block[::-1])[::-1], "big")
        a, b = (b - y) % m, a
    return _numerals(a, radix, u)[::-1] + _numerals(b, radix, v)[::-1]


def ff3_1_longest(radix: int) -> int:
    """The most numerals FF3-1 takes: 2 * floor(log_radix(2**96))."""
    length = 0
    while radix ** (length + 1) <= 1 << 96:
        length += 1
    return 2 * length


def _number(x: list[int], radix: int) -> int:
    value = 0
    for numeral in x:
        value = value * radix + numeral
    return value


def _numerals(value: int, radix: int, length: int) -> list[int]:
    out = []
    for _ in range(length):
        value, numeral = divmod(value, radix)
        out.append(numeral)
    return out[::-1]

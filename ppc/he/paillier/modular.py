"""Arithmetic modulo one large odd number, on whole lists of residues.

Two engines give the same answers: `GmpModulus` works number by number with gmpy2; `LaneModulus` works on eight numbers
at a time with AVX-512 IFMA (`_kernels/`), several times faster and without Python's lock, so that threads help.
`modulus(n)` picks the lanes where the processor has them.

A list of residues is a uint64 array (count, words): each row one number below N, little-endian 64-bit words.
"""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from ppc.core import cpu, rng

Words = NDArray[np.uint64]
Digits = NDArray[np.uint8]

_LIMB_BITS: Final = 52
_FEW: Final = 4  # up to here the lanes do not pay


def to_words(numbers: Sequence[Any], words: int) -> Words:
    """Non-negative integers below 2**(64 * words) as rows of words."""
    joined = b"".join([mpz(x).to_bytes(8 * words, "little") for x in numbers])
    return np.frombuffer(joined, "<u8").reshape(len(numbers), words)


def to_ints(rows: Words) -> list[Any]:
    """The integers (mpz) in the rows."""
    data, size = np.ascontiguousarray(rows).tobytes(), 8 * rows.shape[1]
    return [mpz.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]


def words_of(n: int) -> int:
    """How many 64-bit words hold every residue below n."""
    return -(-int(n).bit_length() // 64)


def cpu_threads(threads: int | None) -> int:
    """The number of threads to use: `threads`, or one for each processor this process may run on."""
    return max(1, threads if threads is not None else len(os.sched_getaffinity(0)))


def in_threads(work: Callable[[int, int], None], count: int, threads: int | None, unit: int = 1) -> None:
    """Call work(start, stop) on slices of 0 … count, cut at multiples of `unit`, one in each thread."""
    units = -(-count // unit)
    parts = min(cpu_threads(threads), units)
    if parts <= 1:
        work(0, count)
        return
    edges = [min(count, unit * (units * i // parts)) for i in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        for done in [pool.submit(work, a, b) for a, b in itertools.pairwise(edges)]:
            done.result()


def digits_of(exponents: Words, width: int) -> Digits:
    """Exponents (count, words) cut into digits of `width` = 4 or 8 bits, least significant first: (count, digits)."""
    octets = np.ascontiguousarray(exponents).view(np.uint8).reshape(len(exponents), -1)
    if width == 8:
        return octets
    return np.stack([octets & 15, octets >> 4], axis=2).reshape(len(exponents), -1)


def lanes_available() -> bool:
    """Whether this processor has AVX-512 IFMA (and PPC_PORTABLE does not turn special instructions off)."""
    return cpu.has("avx512f") and cpu.has("avx512ifma")


def modulus(n: Any) -> Modulus:
    """The fastest engine for this processor."""
    return LaneModulus(n) if lanes_available() else GmpModulus(n)


class FixedBase(ABC):
    """Powers of one base, from a table of its multiples: exponent digits of 8 bits, one product each."""

    def __init__(self, exponent_bits: int) -> None:
        self.rows: Final = -(-exponent_bits // 8)

    def random_digits(self, count: int) -> Digits:
        """Fresh exponents, uniform over 8 * rows bits."""
        return np.frombuffer(rng.random_bytes(count * self.rows), np.uint8).reshape(count, self.rows)

    @abstractmethod
    def power(self, digits: Digits, factors: Words, threads: int | None) -> Words:
        """factors[i] * base ** exponent[i]; digits (count, rows) least significant first, factors (count, words)."""


class Modulus(ABC):
    """Arithmetic modulo n, an odd number."""

    def __init__(self, n: Any) -> None:
        self.n: Final = mpz(n)
        self.words: Final = words_of(n)

    def rows(self, numbers: Sequence[Any]) -> Words:
        """Integers below n as an array of this modulus."""
        return to_words(numbers, self.words)

    def product(self, a: Words, threads: int | None = None) -> Any:
        """The product of all rows (1 for none), as an mpz."""
        return self._product_gmp(a)

    def _product_gmp(self, a: Words) -> Any:
        acc = mpz(1)
        for x in to_ints(a):
            acc = acc * x % self.n
        return acc

    def inverses(self, a: Words) -> Words:
        """The inverse of every row: one inversion and three products a row (Montgomery's trick).

        Raises:
            ZeroDivisionError: a row has no inverse.
        """
        n, prefix = self.n, [mpz(1)]
        numbers = to_ints(a)
        for x in numbers:
            prefix.append(prefix[-1] * x % n)
        acc, out = gmpy2.invert(prefix[-1], n), []
        for i in range(len(numbers) - 1, -1, -1):
            out.append(acc * prefix[i] % n)
            acc = acc * numbers[i] % n
        return self.rows(out[::-1])

    @abstractmethod
    def multiply(self, a: Words, b: Words, threads: int | None = None) -> Words:
        """Row by row products; one row of b serves all rows of a."""

    @abstractmethod
    def power(self, a: Words, exponent: Any, threads: int | None = None) -> Words:
        """Every row to the same non-negative power."""

    @abstractmethod
    def fixed_base(self, base: Any, exponent_bits: int) -> FixedBase:
        """A table of the base for exponents below 2**exponent_bits."""

    @abstractmethod
    def joint_powers(self, a: Words, exponents: Words, bits: int, threads: int | None = None) -> Words:
        """out[j] = product over i of a[i] ** exponents[i, j]; exponents (n, d) below 2**bits."""

    @abstractmethod
    def each_power(self, a: Words, exponents: Words, bits: int, threads: int | None = None) -> Words:
        """out[i] = a[i] ** exponents[i]; exponents (n,) below 2**bits."""


# --- one number at a time, by GMP ---
class _GmpFixedBase(FixedBase):
    def __init__(self, base: Any, exponent_bits: int, n: Any) -> None:
        super().__init__(exponent_bits)
        self._n, self._table = n, []
        for _ in range(self.rows):
            row = [mpz(1)]
            for _ in range(255):
                row.append(row[-1] * base % n)
            self._table.append(row)
            base = row[-1] * base % n

    def power(self, digits: Digits, factors: Words, threads: int | None) -> Words:
        n, table, out = self._n, self._table, []
        for exponent, acc in zip(digits.tolist(), to_ints(factors), strict=True):
            for row, digit in zip(table, exponent, strict=True):
                acc = acc * row[digit] % n
            out.append(acc)
        return to_words(out, factors.shape[1])


class GmpModulus(Modulus):
    """Number by number with gmpy2. Powers of lists release Python's lock, single products do not."""

    def multiply(self, a: Words, b: Words, threads: int | None = None) -> Words:
        n = self.n
        if len(b) == 1:
            factor = to_ints(b)[0]
            return self.rows([x * factor % n for x in to_ints(a)])
        return self.rows([x * y % n for x, y in zip(to_ints(a), to_ints(b), strict=True)])

    def power(self, a: Words, exponent: Any, threads: int | None = None) -> Words:
        out = np.empty_like(a)

        def work(start: int, stop: int) -> None:
            out[start:stop] = self.rows(gmpy2.powmod_base_list(to_ints(a[start:stop]), mpz(exponent), self.n))

        in_threads(work, len(a), threads)
        return out

    def fixed_base(self, base: Any, exponent_bits: int) -> FixedBase:
        return _GmpFixedBase(mpz(base), exponent_bits, self.n)

    def joint_powers(self, a: Words, exponents: Words, bits: int, threads: int | None = None) -> Words:
        numbers, n = to_ints(a), self.n
        return self.rows([_bucket_power(numbers, exponents[:, j].tolist(), bits, n) for j in range(exponents.shape[1])])

    def each_power(self, a: Words, exponents: Words, bits: int, threads: int | None = None) -> Words:
        return self.rows([gmpy2.powmod(x, e, self.n) for x, e in zip(to_ints(a), exponents.tolist(), strict=True)])


def _bucket_power(bases: list[Any], exponents: list[int], bits: int, n: Any) -> Any:
    """The product of bases[i] ** exponents[i] mod n.

    Source: the bucket method, Pippenger 1976; Bernstein et al., "Faster batch forgery identification", §4.
    """
    width = max(2, min(10, len(bases).bit_length() - 3))
    acc, mask = mpz(1), (1 << width) - 1
    for shift in range((bits - 1) // width * width, -1, -width):
        for _ in range(width):
            acc = acc * acc % n
        buckets: list[Any] = [None] * (mask + 1)
        for base, exponent in zip(bases, exponents, strict=True):
            digit = (exponent >> shift) & mask
            buckets[digit] = base if buckets[digit] is None else buckets[digit] * base % n
        running, total = mpz(1), mpz(1)
        for bucket in buckets[:0:-1]:  # bucket 0 counts for nothing
            if bucket is not None:
                running = running * bucket % n
            total = total * running % n
        acc = acc * total % n
    return acc


# --- eight numbers at a time ---
def _limbs(x: Any, k: int) -> Words:
    mask = (1 << _LIMB_BITS) - 1
    return np.array([int(x >> (_LIMB_BITS * j)) & mask for j in range(k)], np.uint64)


class _LaneFixedBase(FixedBase):
    def __init__(self, base: Any, exponent_bits: int, m: LaneModulus) -> None:
        super().__init__(exponent_bits)
        bases = [mpz(base)]
        for _ in range(self.rows - 1):
            bases.append(gmpy2.powmod(bases[-1], 256, m.n))
        self._m, self._table = m, m.tables(m.rows(bases), 256)

    def power(self, digits: Digits, factors: Words, threads: int | None) -> Words:
        m, out = self._m, np.empty_like(factors)

        def work(start: int, stop: int) -> None:
            m.kernels.fixed_base(
                self._table, digits[start:stop], factors[start:stop], out[start:stop], m.limbs, m.n_inv, m.k
            )

        in_threads(work, len(digits), threads, unit=8)
        return out


class LaneModulus(Modulus):
    """Eight residues in the lanes of AVX-512 registers; every call releases Python's lock."""

    def __init__(self, n: Any) -> None:
        super().__init__(n)
        from ppc.he.paillier._kernels import montgomery

        self.kernels: Final[Any] = montgomery
        k = -(-(self.n.bit_length() + 2) // _LIMB_BITS)
        self.k: Final = k + k % 2
        self.r: Final = mpz(1) << (_LIMB_BITS * self.k)
        self.limbs: Final = _limbs(self.n, self.k)
        self.n_inv: Final = np.uint64(int(gmpy2.invert(-self.n, 1 << _LIMB_BITS)))
        self.one: Final = _limbs(self.r % self.n, self.k)
        self.rr: Final = _limbs(self.r * self.r % self.n, self.k)

    def tables(self, bases: Words, size: int) -> Words:
        """The powers 0 … size-1 of every base, in Montgomery form: (bases, size, k)."""
        table = np.empty((len(bases), size, self.k), np.uint64)
        self.kernels.fixed_base_rows(bases, table, self.limbs, self.n_inv, self.one, self.rr, self.k)
        return table

    def multiply(self, a: Words, b: Words, threads: int | None = None) -> Words:
        a = np.ascontiguousarray(a)
        b = np.ascontiguousarray(np.broadcast_to(b, a.shape))
        out = np.empty_like(a)

        def work(start: int, stop: int) -> None:
            self.kernels.product_pairs(
                a[start:stop], b[start:stop], out[start:stop], self.limbs, self.n_inv, self.rr, self.k
            )

        in_threads(work, len(a), threads if len(a) > 64 else 1, unit=8)
        return out

    def product(self, a: Words, threads: int | None = None) -> Any:
        whole = len(a) // 8 * 8
        if whole < 16:
            return self._product_gmp(a)
        a, parts = np.ascontiguousarray(a), []

        def work(start: int, stop: int) -> None:
            out = np.empty((8, self.words), np.uint64)
            self.kernels.product_all(a[start:stop], out, self.limbs, self.n_inv, self.k)
            parts.append(out)

        in_threads(work, whole, threads if whole > 64 else 1, unit=8)
        lanes = self._product_gmp(np.concatenate([*parts, a[whole:]]))
        return lanes * gmpy2.powmod(self.r, whole, self.n) % self.n  # every product took one factor R out

    def power(self, a: Words, exponent: Any, threads: int | None = None) -> Words:
        a, exponent = np.ascontiguousarray(a), mpz(exponent)
        if len(a) <= _FEW:
            return self.rows(gmpy2.powmod_base_list(to_ints(a), exponent, self.n))
        count = max(1, -(-exponent.bit_length() // 5))
        digits = np.array([int(exponent >> (5 * i)) & 31 for i in range(count - 1, -1, -1)], np.uint8)
        out = np.empty_like(a)

        def work(start: int, stop: int) -> None:
            self.kernels.power(
                a[start:stop], digits, out[start:stop], self.limbs, self.n_inv, self.one, self.rr, self.k
            )

        in_threads(work, len(a), threads, unit=8)
        return out

    def fixed_base(self, base: Any, exponent_bits: int) -> FixedBase:
        return _LaneFixedBase(base, exponent_bits, self)

    def joint_powers(self, a: Words, exponents: Words, bits: int, threads: int | None = None) -> Words:
        acc = [mpz(1)] * exponents.shape[1]
        for start in range(0, len(a), 2048):  # 16 powers of 2048 ciphertexts of a 3072-bit key: 31 MB
            stop = min(len(a), start + 2048)
            part = self._joint_block(a[start:stop], exponents[start:stop], bits, threads)
            acc = [x * y % self.n for x, y in zip(acc, part, strict=True)]
        return self.rows(acc)

    def _joint_block(self, a: Words, exponents: Words, bits: int, threads: int | None) -> list[Any]:
        pad = -len(a) % 8
        table = self.tables(np.concatenate([a, self.rows([1] * pad)]), 16)
        columns = np.pad(exponents, ((0, pad), (0, 0))).T
        windows = -(-bits // 4)
        out: list[Any] = [None] * len(columns)

        def work(start: int, stop: int) -> None:
            lanes = np.empty((8, self.words), np.uint64)
            for j in range(start, stop):
                digits = digits_of(np.ascontiguousarray(columns[j])[:, None], 4)[:, :windows]
                highest_first = np.ascontiguousarray(digits.T[::-1])
                self.kernels.joint_power(table, highest_first, lanes, self.limbs, self.n_inv, self.one, self.k)
                out[j] = self._product_gmp(lanes)

        in_threads(work, len(columns), threads)
        return out

    def each_power(self, a: Words, exponents: Words, bits: int, threads: int | None = None) -> Words:
        out = np.empty((len(a) + 7, self.words), np.uint64)
        windows = -(-bits // 4)

        def work(start: int, stop: int) -> None:
            for first in range(start, stop, 8):
                rows, last = a[first : first + 8], min(first + 8, len(a))
                pad = 8 - len(rows)
                table = self.tables(np.concatenate([rows, self.rows([1] * pad)]), 16)
                digits = digits_of(np.pad(exponents[first:last], (0, pad))[:, None], 4)[:, :windows]
                highest_first = np.ascontiguousarray(digits.T[::-1])
                self.kernels.joint_power(
                    table, highest_first, out[first : first + 8], self.limbs, self.n_inv, self.one, self.k
                )

        in_threads(work, len(a), threads, unit=8)
        return out[: len(a)]

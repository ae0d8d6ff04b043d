"""Paillier keys, and what they do to lists of residues.

A ciphertext of m is (1 + n*m) * r mod n**2, where r is an n-th residue. With DJN's key the residue is h ** a for a
random exponent a of half the bits of n, h = (-x**2) ** n; a table of h makes it cheap. That rests on one assumption
more than Paillier's own (docs/he.md). `full=True` draws r = y ** n for a uniform y instead.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Self

import gmpy2
from gmpy2 import mpz

from ppc.core import rng
from ppc.errors import ConfigError, EnvelopeError, KeyFileError, WeakParameters
from ppc.he.keys import Json, PrivateKey, PublicKey, digest_id
from ppc.he.paillier.modular import FixedBase, Modulus, Words, cpu_threads, in_threads, modulus, to_ints, to_words

DEFAULT_BITS: Final = 3072  # 128-bit security, NIST SP 800-57 part 1, table 2
LEAST_BITS: Final = 2048  # 112-bit security, the least that the same table allows
MOST_BITS: Final = 16384
_TABLE_FROM: Final = 8  # so many encryptions pay for a table


class PaillierPublicKey(PublicKey):
    """n, and DJN's base h (None for an imported key: then every r is drawn in full)."""

    scheme: ClassVar[str] = "paillier"

    def __init__(self, n: Any, h: Any | None = None) -> None:
        n = mpz(n)
        bits = n.bit_length()
        if bits < LEAST_BITS:
            raise WeakParameters(f"a Paillier key has at least {LEAST_BITS} bits, this one has {bits}")
        if bits > MOST_BITS or n % 2 == 0 or bits % 2:
            raise KeyFileError(f"no Paillier modulus: {bits} bits; an odd number of at most {MOST_BITS} is needed")
        self.n: Final = n
        self.n2: Final = n * n
        self.bits: Final = bits
        if h is not None and not (1 < h < self.n2 and gmpy2.gcd(h, n) == 1):
            raise KeyFileError("no Paillier key: its base is not invertible modulo n squared")
        self.h: Final = None if h is None else mpz(h)
        size = bits // 4
        self.key_id = digest_id("paillier", n.to_bytes(size, "big"), b"" if h is None else mpz(h).to_bytes(size, "big"))
        self.parameters = {"bits": bits, "randomness": "full" if h is None else "djn"}
        self.ring: Final[Modulus] = modulus(self.n2)
        self._table: FixedBase | None = None
        self._lock = threading.Lock()

    def public_fields(self) -> Json:
        return {"n": f"{self.n:x}", "h": None if self.h is None else f"{self.h:x}"}

    @classmethod
    def from_fields(cls, fields: Json) -> Self:
        try:
            n = mpz(int(fields["n"], 16))
            h = None if fields["h"] is None else mpz(int(fields["h"], 16))
        except (KeyError, TypeError, ValueError) as error:
            raise KeyFileError("no Paillier key: n or h is missing or no hexadecimal number") from error
        return cls(n, h)

    def encrypt_residues(self, messages: Sequence[Any], *, full: bool = False, threads: int | None = None) -> Words:
        """Ciphertexts of integers taken modulo n: (count, words of n**2)."""
        factors = to_words([1 + self.n * (m % self.n) for m in messages], self.ring.words)
        return self.obfuscate(factors, full=full, threads=threads)

    def obfuscate(self, ciphertexts: Words, *, full: bool = False, threads: int | None = None) -> Words:
        """The same plaintexts under fresh randomness."""
        count = len(ciphertexts)
        if full or self.h is None:
            y = [_random_unit(self.n) for _ in range(count)]
            residues = self.ring.power(self.ring.rows(y), self.n, threads)
            return self.ring.multiply(residues, ciphertexts, threads)
        with self._lock:
            if self._table is None and count >= _TABLE_FROM:
                self._table = self.ring.fixed_base(self.h, self.bits // 2)
            table = self._table
        if table is None:
            exponents = [_random_bits(self.bits // 2) for _ in range(count)]
            residues = self.ring.rows([gmpy2.powmod(self.h, a, self.n2) for a in exponents])
            return self.ring.multiply(residues, ciphertexts, 1)
        return table.power(table.random_digits(count), ciphertexts, threads)

    def check_ciphertexts(self, ciphertexts: Words, where: str | None = None) -> None:
        """Raise `EnvelopeError` unless every row is an element of the group of ciphertexts."""
        if any(not 0 < c < self.n2 for c in to_ints(ciphertexts)):
            raise EnvelopeError("a ciphertext lies outside its group", where=where)
        if len(ciphertexts) and gmpy2.gcd(self.ring.product(ciphertexts), self.n) != 1:
            raise EnvelopeError("a ciphertext is not invertible", where=where)


class PaillierPrivateKey(PrivateKey):
    """The factors of n. Encrypts faster than the public key, modulo p**2 and q**2, and decrypts."""

    public: PaillierPublicKey

    def __init__(self, public: PaillierPublicKey, p: Any, q: Any) -> None:
        p, q = mpz(p), mpz(q)
        if p * q != public.n or p == q or not (gmpy2.is_prime(p) and gmpy2.is_prime(q)):
            raise KeyFileError("the private part does not belong to the public part")
        self.public = public
        self._p, self._q = p, q
        self._p2, self._q2 = p * p, q * q
        self._p2_inverse = gmpy2.invert(self._p2, self._q2)
        self._p_inverse = gmpy2.invert(p, q)
        self._ring_p, self._ring_q = modulus(self._p2), modulus(self._q2)
        # 1 / L_p((1 + n) ** (p-1) mod p**2) mod p = 1 / ((p-1) * q) mod p, and its twin
        self._hp = gmpy2.invert((p - 1) * q % p, p)
        self._hq = gmpy2.invert((q - 1) * p % q, q)
        self._tables: tuple[FixedBase, FixedBase] | None = None
        self._lock = threading.Lock()

    @classmethod
    def generate(cls, bits: int = DEFAULT_BITS) -> Self:
        """A fresh key of `bits` bits (2048 … 16384, even) with DJN's base.

        p and q are 3 mod 4 and gcd(p-1, q-1) = 2, so that -x**2 generates the residues of Jacobi symbol 1.
        """
        if not isinstance(bits, int) or bits < LEAST_BITS:
            raise WeakParameters(
                f"a Paillier key has at least {LEAST_BITS} bits",
                hint=f"{DEFAULT_BITS} bits give 128-bit security and are the default.",
            )
        if bits % 16 or bits > MOST_BITS:
            raise ConfigError(f"the bits of a Paillier key are a multiple of 16 up to {MOST_BITS}, not {bits}")
        while True:
            p, q = _random_prime(bits // 2), _random_prime(bits // 2)
            if gmpy2.gcd(p - 1, q - 1) == 2 and abs(p - q).bit_length() > bits // 2 - 100:
                break
        n = p * q
        x = _random_unit(n)
        h = gmpy2.powmod(-x * x % n, n, n * n)
        return cls(PaillierPublicKey(n, h), p, q)

    def secret_bytes(self) -> bytes:
        size = self.public.bits // 8
        return bytes(self._p.to_bytes(size, "big") + self._q.to_bytes(size, "big"))

    @classmethod
    def from_secret(cls, public: Any, secret: bytes) -> Self:
        half = len(secret) // 2
        return cls(public, mpz.from_bytes(secret[:half], "big"), mpz.from_bytes(secret[half:], "big"))

    def encrypt_residues(self, messages: Sequence[Any], *, full: bool = False, threads: int | None = None) -> Words:
        """As the public key's, by the Chinese remainder theorem: half the length, a quarter of the work."""
        public = self.public
        factors = [1 + public.n * (m % public.n) for m in messages]
        at_p = self._ring_p.rows([f % self._p2 for f in factors])
        at_q = self._ring_q.rows([f % self._q2 for f in factors])
        if full or public.h is None:
            # y ** n modulo p**2 depends on y mod p alone, and y -> y ** q is a bijection of the units mod p
            y = self._ring_p.rows([_random_unit(self._p) for _ in messages])
            z = self._ring_q.rows([_random_unit(self._q) for _ in messages])
            at_p = self._ring_p.multiply(self._ring_p.power(y, self._p, threads), at_p, threads)
            at_q = self._ring_q.multiply(self._ring_q.power(z, self._q, threads), at_q, threads)
        else:
            with self._lock:
                if self._tables is None:
                    if len(messages) < _TABLE_FROM:
                        return public.encrypt_residues(messages, threads=threads)
                    half = public.bits // 2
                    self._tables = (
                        self._ring_p.fixed_base(public.h % self._p2, half),
                        self._ring_q.fixed_base(public.h % self._q2, half),
                    )
                table_p, table_q = self._tables
            digits = table_p.random_digits(len(messages))
            at_p = table_p.power(digits, at_p, threads)
            at_q = table_q.power(digits, at_q, threads)
        p2, q2, inverse = self._p2, self._q2, self._p2_inverse
        joined = [a + p2 * ((b - a) * inverse % q2) for a, b in zip(to_ints(at_p), to_ints(at_q), strict=True)]
        return to_words(joined, public.ring.words)

    def decrypt_residues(self, ciphertexts: Words, *, threads: int | None = None) -> list[Any]:
        """The plaintexts as integers (mpz) between 0 and n-1.

        Source: Paillier '99, §7: decryption modulo p**2 and q**2.
        """
        numbers = to_ints(ciphertexts)
        parts: dict[str, list[Any]] = {}
        per_side = max(1, cpu_threads(threads) // 2)

        def one_side(start: int, stop: int) -> None:
            for side in ("p", "q")[start:stop]:
                prime, square, ring, h = (
                    (self._p, self._p2, self._ring_p, self._hp)
                    if side == "p"
                    else (self._q, self._q2, self._ring_q, self._hq)
                )
                powers = ring.power(ring.rows([c % square for c in numbers]), prime - 1, per_side)
                parts[side] = [(x - 1) // prime * h % prime for x in to_ints(powers)]

        in_threads(one_side, 2, min(2, cpu_threads(threads)))
        p, q, inverse = self._p, self._q, self._p_inverse
        return [a + p * ((b - a) * inverse % q) for a, b in zip(parts["p"], parts["q"], strict=True)]


def signed(residue: Any, n: Any) -> Any:
    """The residue's representative between -n/2 and n/2."""
    return residue - n if residue > n // 2 else residue


def _random_bits(bits: int) -> Any:
    return mpz.from_bytes(rng.random_bytes(-(-bits // 8)), "little") & ((mpz(1) << bits) - 1)


def _random_unit(n: Any) -> Any:
    while True:
        x = _random_bits(n.bit_length())
        if 0 < x < n and gmpy2.gcd(x, n) == 1:
            return x


def _random_prime(bits: int) -> Any:
    """A prime of exactly `bits` bits, 3 mod 4, its two highest bits set."""
    top = mpz(3) << (bits - 2)
    while True:
        candidate = _random_bits(bits) | top | 3
        if gmpy2.is_prime(candidate, 40):
            return candidate

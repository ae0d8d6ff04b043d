"""Ring-LWE encryption of polynomials modulo 2**64, for sums of products with plain polynomials.

The BFV scheme without products of ciphertexts: a ciphertext of m is (a, b = -a s + e + round(q m / 2**64)) in the ring
Z_q[x] / (x^8192 + 1), with q the product of three primes just below 2**61. Plain polynomials have any 64-bit
coefficients, because the plaintext modulus is the sharing's own: no Chinese remainders of plaintexts, no statistical
masks. (SEAL's plaintext modulus ends at 60 bits, which takes four ciphertexts for one; see docs/decisions/0015.)

The party that multiplies hides what it multiplied with: it adds a fresh encryption of zero under the other's public key
(the other may know its own secret key: the new part `a` is a sample of ring-LWE with a secret of the adding party) and
noise that covers what the products leave of the other's errors.

That noise is a sum of four uniform numbers, which a shift changes less than one uniform number. The holder of the key
sees N numbers y + f with y < 2**78 and f from a density p. By Cauchy and Schwarz the squared Hellinger distance of p
from itself shifted by y is at most y**2 I / 8, with I = 3.12 / 2**(2 FLOOD_BITS) the Fisher information of four uniform
numbers' sum; such distances add up over the N numbers, and the total variation is at most sqrt(N I) y / 2. With y at
its mean square that is below 2**-40 sqrt(N) in the worst case, and below 2**-45 sqrt(N) for one block of 8192 full-size
coefficients; of one uniform number of the same range it would be N y, not sqrt(N) y. Numbers in fixed point, such as
features, are 2**40 times smaller than full-size ones, and so is what they leave.

Parameters: degree 8192, log2 q = 183, secret uniform over -1, 0, 1, errors of standard deviation 3.24. The table of the
Homomorphic Encryption Standard allows 218 bits at this degree for 128-bit security (classical, ternary secret).
Correctness: an error is at most 2**117 + 2**78 < q / 2**65 = 2**118.

Source: Fan, Vercauteren (ePrint 2012/144); Brakerski (CRYPTO 2012); rounding in the encoding: Kim, Polyakov, Zucca
(ASIACRYPT 2021), §3; Albrecht and others, "Homomorphic Encryption Standard" (2018), table 1; flooding: Asharov and
others (EUROCRYPT 2012), lemma 1; Hellinger distances: Tsybakov, Introduction to Nonparametric Estimation, §2.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core.rng import Stream
from ppc.mpc.lattice import _kernels

Words: TypeAlias = NDArray[np.uint64]

DEGREE: Final = 8192
PRIMES: Final = (2305843009213317121, 2305843009213120513, 2305843009212694529)  # 1 modulo 2 · 8192
SECURE_BITS: Final = 218  # of q at most, for 128-bit security at this degree
FLOOD_BITS: Final = 116  # of each of the uniform numbers that the covering noise adds up
FLOOD_TERMS: Final = 4
MOST_TERMS: Final = 1 << 20  # plain coefficients in one sum: 2**63 · 3.26 · 2**10 · 9 < 2**78 bounds their noise
_ADDED_AT_ONCE: Final = 32  # products of 122 bits in a sum of 128
_Q: Final = math.prod(PRIMES)
_TWO64: Final = 1 << 64


def describe() -> str:
    """One line for plans."""
    return (
        f"matrix products: ring-LWE (BFV) of degree {DEGREE} with {_Q.bit_length()} bits of modulus (128-bit "
        f"security by the Homomorphic Encryption Standard up to {SECURE_BITS})"
    )


def _words(values: list[int]) -> Words:
    return np.array(values, np.uint64)


def _ratio(c: int, q: int) -> int:
    return c * _TWO64 // q


@dataclass(frozen=True)
class _Tables:
    """Constants for the kernels, by prime."""

    primes: Words
    ones: Words  # ratio of 1
    lifts: Words  # 2**64
    lift_ratios: Words
    scale: Words  # 2**-64
    scale_ratios: Words
    hats: Words  # (q / q_i)^-1
    hat_ratios: Words
    high: Words
    low: Words
    roots: Words
    root_ratios: Words
    inverse: Words
    inverse_ratios: Words
    last: Words
    last_ratios: Words


def _root(q: int) -> int:
    """A primitive root of unity of order 2 · DEGREE."""
    g = 2
    while pow(r := pow(g, (q - 1) // (2 * DEGREE), q), DEGREE, q) != q - 1:
        g += 1
    return r


def _powers(root: int, q: int) -> list[int]:
    """root ** k in bit-reversed order of k."""
    bits = DEGREE.bit_length() - 1
    out, power = [0] * DEGREE, 1
    for k in range(DEGREE):
        out[int(f"{k:0{bits}b}"[::-1], 2)] = power
        power = power * root % q
    return out


def _tables() -> _Tables:
    def each(values: list[int]) -> tuple[Words, Words]:
        return _words(values), _words([_ratio(v, q) for v, q in zip(values, PRIMES, strict=True)])

    lifts = each([_TWO64 % q for q in PRIMES])
    scale = each([pow(_TWO64, -1, q) for q in PRIMES])
    hats = each([pow(_Q // q, -1, q) for q in PRIMES])
    last = each([pow(DEGREE, -1, q) for q in PRIMES])

    def powers(sign: int) -> tuple[Words, Words]:
        values = [_powers(pow(_root(q), sign, q), q) for q in PRIMES]
        ratios = [[_ratio(v, q) for v in row] for row, q in zip(values, PRIMES, strict=True)]
        return np.array(values, np.uint64), np.array(ratios, np.uint64)

    high = [(1 << 124) // q for q in PRIMES]
    low = [((1 << 124) % q) * _TWO64 // q for q in PRIMES]
    ones = _words([_ratio(1, q) for q in PRIMES])
    return _Tables(
        _words(list(PRIMES)), ones, *lifts, *scale, *hats, _words(high), _words(low), *powers(1), *powers(-1), *last
    )


_T: Final = _tables()


def _forward(a: Words) -> Words:
    _kernels.forward(a, _T.roots, _T.root_ratios, _T.primes)
    return a


def _backward(a: Words) -> Words:
    _kernels.backward(a, _T.inverse, _T.inverse_ratios, _T.last, _T.last_ratios, _T.primes)
    return a


def _empty() -> Words:
    return np.empty((len(PRIMES), DEGREE), np.uint64)


def _errors(stream: Stream) -> Words:
    out = _empty()
    _kernels.errors(stream.uint64(DEGREE), _T.primes, out)
    return out


def _ternary(stream: Stream) -> Words:
    out = _empty()
    _kernels.ternary(stream.uint64(DEGREE), _T.primes, out)
    return _forward(out)


def _uniform(stream: Stream) -> Words:
    out = stream.uint64((len(PRIMES), DEGREE))
    _kernels.uniform(out, _T.primes)
    return out


def _reduced(acc: Words) -> Words:
    out = _empty()
    _kernels.reduce(acc, _T.lifts, _T.lift_ratios, _T.ones, _T.primes, out)
    return out


def _product(x: Words, y: Words) -> Words:
    acc = np.zeros((len(PRIMES), DEGREE, 2), np.uint64)
    _kernels.multiply_add(acc, x, y)
    return _reduced(acc)


def _sum(x: Words, y: Words) -> Words:
    out = _empty()
    _kernels.add(x, y, _T.primes, out)
    return out


#: Less the mean of the covering noise, FLOOD_TERMS · 2**(FLOOD_BITS - 1), so that it stays within ±2**117.
_CENTRE: Final = _words([-(FLOOD_TERMS << (FLOOD_BITS - 1)) % q for q in PRIMES])


def _flood(stream: Stream, n: int) -> tuple[Words, Words]:
    """The low and the high words of n sums of FLOOD_TERMS uniform numbers of FLOOD_BITS bits."""
    low, high = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    for _ in range(FLOOD_TERMS):
        fine, coarse = stream.uint64((2, n))
        low += fine
        high += (coarse >> np.uint64(128 - FLOOD_BITS)) + (low < fine)
    return low, high


def plain(coefficients: Words) -> Words:
    """A polynomial with signed 64-bit coefficients (8192,), ready to be multiplied with: values (3, 8192)."""
    out = _empty()
    _kernels.signed(coefficients, _T.ones, _T.primes, out)
    return _forward(out)


def public_part(seed: bytes, number: int) -> Words:
    """The part `a` of ciphertext `number` of the holder of a seed that both know."""
    return _uniform(Stream(seed, number))


class Key:
    """The secret key of the party that encrypts."""

    def __init__(self, stream: Stream, seed: bytes) -> None:
        self._stream = stream
        self._seed = seed
        self._secret = _ternary(stream)
        self._number = 0
        self.public = self.encrypt(np.zeros(DEGREE, np.uint64))  # of ciphertext 0: an encryption of zero

    def __repr__(self) -> str:
        return "<lattice.Key>"

    def encrypt(self, message: Words) -> Words:
        """The part b of the next ciphertext, as values (3, 8192), of coefficients modulo 2**64 (8192,)."""
        e = _errors(self._stream)
        _kernels.add_encoded(message, np.uint64(_Q % _TWO64), _T.scale, _T.scale_ratios, _T.primes, e)
        a_s = _product(public_part(self._seed, self._number), self._secret)
        self._number += 1
        return _sum(_forward(e), _T.primes[:, None] - a_s)

    def decrypt(self, a: Words, b: Words, places: NDArray[np.int64]) -> Words:
        """Coefficients at some places, from a as values (3, 8192) and b at these places (3, len(places))."""
        a_s = _backward(_product(a, self._secret))[:, places]
        phase = np.empty_like(a_s)
        _kernels.add(a_s, np.ascontiguousarray(b), _T.primes, phase)
        out = np.empty(len(places), np.uint64)
        _kernels.decode(phase, _T.hats, _T.hat_ratios, _T.high, _T.low, _T.primes, out)
        return out


class Evaluator:
    """The party that multiplies: it knows the other's seed and public key."""

    def __init__(self, stream: Stream, seed: bytes, public: Words) -> None:
        self._stream = stream
        self._seed = seed
        self._public = public_part(seed, 0), public
        self._number = 1

    def __repr__(self) -> str:
        return "<lattice.Evaluator>"

    def complete(self, bs: Words) -> list[tuple[Words, Words]]:
        """Ciphertexts (a, b) from the parts b (n, 3, 8192) that came, in the order in which they were encrypted."""
        out = []
        for b in bs:
            out.append((public_part(self._seed, self._number), b))
            self._number += 1
        return out

    def combine(
        self, pairs: list[tuple[tuple[Words, Words], Words]], places: NDArray[np.int64], masks: Words
    ) -> tuple[Words, Words]:
        """An encryption of Σ ciphertext · polynomial - masks at the places, which tells nothing else.

        a as values (3, 8192), b at the places (3, len(places)).
        """
        sums = []
        for part in (0, 1):
            total = None
            for start in range(0, len(pairs), _ADDED_AT_ONCE):
                acc = np.zeros((len(PRIMES), DEGREE, 2), np.uint64)
                for ciphertext, polynomial in pairs[start : start + _ADDED_AT_ONCE]:
                    _kernels.multiply_add(acc, ciphertext[part], polynomial)
                reduced = _reduced(acc)
                total = reduced if total is None else _sum(total, reduced)
            sums.append(np.zeros_like(_T.roots) if total is None else total)
        u = _ternary(self._stream)
        a = _sum(_sum(sums[0], _product(self._public[0], u)), _forward(_errors(self._stream)))
        b = _backward(_sum(sums[1], _product(self._public[1], u)))[:, places]
        b = np.ascontiguousarray(b)
        low, high = _flood(self._stream, len(places))
        _kernels.add_flood(low, high, _T.lifts, _T.lift_ratios, _T.ones, _T.primes, b)
        centre = np.ascontiguousarray(np.broadcast_to(_CENTRE[:, None], b.shape))
        _kernels.add(b, centre, _T.primes, b)
        _kernels.add_encoded(np.negative(masks), np.uint64(_Q % _TWO64), _T.scale, _T.scale_ratios, _T.primes, b)
        return a, b

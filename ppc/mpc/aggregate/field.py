"""Arithmetic modulo the Mersenne prime 2**61 − 1 on uint64 arrays, and Shamir's sharing over it.

Numbers from −2**59 to 2**59 are carried as residues. `ppc.mpc.aggregate.shamir` shares the seeds of masks; this shares
numbers that are computed with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.core.rng import os_stream

PRIME: Final = 2**61 - 1
MAX_ABS: Final = 2**59

Elements = NDArray[np.uint64]

_P: Final = np.uint64(PRIME)
_LOW30: Final = np.uint64(2**30 - 1)
_LOW31: Final = np.uint64(2**31 - 1)


def encode(x: Any) -> Elements:
    """Integers within ±2**59 as residues."""
    return np.asarray(np.asarray(x, np.int64) % np.int64(PRIME)).astype(np.uint64)


def decode(x: Elements) -> NDArray[np.int64]:
    """Residues as integers between −2**60 and 2**60."""
    signed = x.astype(np.int64)
    return np.asarray(np.where(signed > PRIME // 2, signed - PRIME, signed))


def _reduce(x: Elements) -> Elements:
    x = (x & _P) + (x >> np.uint64(61))
    return np.asarray(x - _P * (x >= _P))


def add(a: Elements, b: Elements) -> Elements:
    return _reduce(a + b)


def subtract(a: Elements, b: Elements) -> Elements:
    return _reduce(a + (_P - b))


def multiply(a: Elements, b: Elements) -> Elements:
    """a·b modulo 2**61 − 1, by halves of 31 bits: no sum of parts passes 2**63.3."""
    au, ad = a >> np.uint64(31), a & _LOW31
    bu, bd = b >> np.uint64(31), b & _LOW31
    middle = ad * bu + au * bd
    return _reduce(au * bu * np.uint64(2) + (middle >> np.uint64(30)) + ((middle & _LOW30) << np.uint64(31)) + ad * bd)


def scale(a: Elements, factor: int) -> Elements:
    """a times a public integer."""
    return multiply(a, np.uint64(factor % PRIME) + np.zeros_like(a))


def total(a: Elements) -> Elements:
    """The sum along the last axis."""
    low = np.atleast_1d((a & _LOW31).sum(-1, dtype=np.uint64))
    high = np.atleast_1d((a >> np.uint64(31)).sum(-1, dtype=np.uint64))  # below 2**30 each: 2**33 terms fit
    return add(_reduce(low), multiply(_reduce(high), np.full_like(high, 2**31))).reshape(a.shape[:-1])


def power(a: Elements, exponent: int) -> Elements:
    """a to a public power."""
    out = np.ones_like(a)
    for bit in bin(exponent)[2:]:
        out = multiply(out, out)
        if bit == "1":
            out = multiply(out, a)
    return out


def uniform(shape: int | tuple[int, ...]) -> Elements:
    """Uniform residues; the residue of 2**61 − 1 itself makes 0 more likely by 2**-61."""
    return _reduce(os_stream().uint64(shape) & _P)


def split(secrets: Elements, parties: int, degree: int) -> Elements:
    """Shares (parties, m) of secrets (m,): row i is the polynomial's value at i + 1."""
    from ppc.mpc.aggregate import _kernels

    out = np.empty((parties, secrets.size), np.uint64)
    _kernels.split(np.ascontiguousarray(secrets.reshape(-1)), uniform((degree, secrets.size)), out)
    return out


def weights(parties: int) -> list[int]:
    """Lagrange's coefficients at 0 for the points 1 … parties."""
    found = []
    for i in range(1, parties + 1):
        above = below = 1
        for j in range(1, parties + 1):
            if j != i:
                above, below = above * j % PRIME, below * (j - i) % PRIME
        found.append(above * pow(below, -1, PRIME) % PRIME)
    return found


def combine(shares: Sequence[Elements] | Elements, factors: Sequence[int]) -> Elements:
    """Σ factors[i] · shares[i], over as many shares as there are factors."""
    from ppc.mpc.aggregate import _kernels

    rows = np.stack(list(shares[: len(factors)]))
    out = np.empty(rows[0].size, np.uint64)
    words = np.array([f % PRIME for f in factors], np.uint64)
    _kernels.combine(np.ascontiguousarray(rows.reshape(len(factors), -1)), words, out)
    return out.reshape(rows.shape[1:])

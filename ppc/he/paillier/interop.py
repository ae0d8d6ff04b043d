"""Keys and numbers of python-paillier (`phe`), in and out.

phe carries a number as mantissa * 16**exponent. What leaves here has a fixed exponent; what comes in is brought to the
smallest exponent among the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gmpy2 import mpz, powmod

from ppc.errors import ParameterMismatch
from ppc.he.paillier.keys import PaillierPrivateKey, PaillierPublicKey
from ppc.he.paillier.packing import Packing
from ppc.he.paillier.vector import PaillierVector

_BASE_BITS = 4  # phe's exponents count powers of 16


def from_phe_public(key: Any) -> PaillierPublicKey:
    """A `phe.PaillierPublicKey`. It has no short-exponent base, so encryption draws its randomness in full."""
    return PaillierPublicKey(key.n)


def from_phe_private(key: Any) -> PaillierPrivateKey:
    """A `phe.PaillierPrivateKey`."""
    return PaillierPrivateKey(from_phe_public(key.public_key), key.p, key.q)


def to_phe_public(key: PaillierPublicKey) -> Any:
    """The key as a `phe.PaillierPublicKey`."""
    from phe import paillier

    return paillier.PaillierPublicKey(int(key.n))


def to_phe_private(key: PaillierPrivateKey) -> Any:
    """The key as a `phe.PaillierPrivateKey`."""
    from phe import paillier

    secret = key.secret_bytes()
    half = len(secret) // 2
    p, q = int.from_bytes(secret[:half], "big"), int.from_bytes(secret[half:], "big")
    return paillier.PaillierPrivateKey(to_phe_public(key.public), p, q)


def from_phe_numbers(numbers: Sequence[Any], key: PaillierPublicKey, *, value_bits: int = 24) -> PaillierVector:
    """`phe.EncryptedNumber`s as a vector, one number a ciphertext.

    phe does not record how large its numbers can be: `value_bits` is the caller's word that |x| <= 2**value_bits.
    """
    if not numbers:
        raise ParameterMismatch("there are no numbers")
    for number in numbers:
        if int(number.public_key.n) != int(key.n):
            raise ParameterMismatch("a phe number was made with another modulus")
    lowest = min(0, *(number.exponent for number in numbers))
    rows = [
        powmod(mpz(x.ciphertext(be_secure=False)), mpz(1) << (_BASE_BITS * (x.exponent - lowest)), key.n2)
        for x in numbers
    ]
    shift = -_BASE_BITS * lowest
    packing = Packing(0, value_bits, None, shift)
    ciphertexts = key.ring.rows(rows)
    key.check_ciphertexts(ciphertexts)
    return PaillierVector(
        key, ciphertexts, (len(numbers),), packing, 1 << (value_bits + shift), "float64" if shift else "int64"
    )


def to_phe_numbers(vector: PaillierVector) -> list[Any]:
    """A vector of one number a ciphertext as `phe.EncryptedNumber`s, re-randomised if it was computed."""
    from phe import paillier

    vector._need_single("export to phe")
    ready = vector if vector.fresh else vector.rerandomized()
    lift = -vector.packing.point % _BASE_BITS
    rows = vector.public.ring.power(ready.ciphertexts, 1 << lift) if lift else ready.ciphertexts
    public = to_phe_public(vector.public)
    exponent = -(vector.packing.point + lift) // _BASE_BITS
    octets = np.ascontiguousarray(rows).tobytes()
    size = 8 * rows.shape[1]
    return [
        paillier.EncryptedNumber(public, int.from_bytes(octets[i : i + size], "little"), exponent)
        for i in range(0, len(octets), size)
    ]

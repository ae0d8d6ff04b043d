"""Single CKKS ciphertexts: operations that leave their operands alone, and the error of a rotation."""

from __future__ import annotations

import math
from typing import Any

from ppc.he.lattice import CkksPublicKey, tenseal


# TenSEAL brings two operands to one level by switching the right one down in place. So the higher one goes to the left,
# where it is copied first; copying by hand would copy the whole context too (0.2 s).
def primes_left(chunk: Any) -> int:
    """The moduli that a chunk still has: its level, and one."""
    return int(chunk.ciphertext()[0].coeff_modulus_size())


def added(x: Any, y: Any) -> Any:
    """x + y of two chunks, neither of them touched."""
    return x + y if primes_left(x) >= primes_left(y) else y + x


def zeros(public: CkksPublicKey, size: int, level: int) -> Any:
    """A fresh encryption of zeros at that level."""
    chunk = tenseal().ckks_vector(public.context, [0.0] * size)
    while primes_left(chunk) > level + 1:
        chunk = chunk * 1.0
    return chunk


def rotation_error(public: CkksPublicKey, size: int) -> float:
    """Error of summing `size` slots by rotations.

    Key switching multiplies its noise by digits between 0 and q, not centred ones. Their mean, q/2 in every
    coefficient, weighs 0.64 N on the first slot, so a rotation errs there by 3 * 3.2 * sqrt(N/2) * 0.32 N: three
    standard deviations.
    """
    n = public.degree
    return math.ceil(math.log2(max(size, 2))) * 3.1 * math.sqrt(n / 2) * n / public.scale

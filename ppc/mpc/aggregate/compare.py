"""Signs and inner products of pooled numbers, which stay closed themselves."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ValueRangeError
from ppc.mpc.aggregate import field
from ppc.mpc.aggregate.field import Elements
from ppc.mpc.aggregate.machine import Machine, Script, Shared

BITS: Final = 61
_HALF: Final = pow(2, -1, field.PRIME)


class Negative(Shared):
    """Bits (m,): 1 where a pooled number is negative on every scale. Nothing else opens.

    Each site gives integers (scales, m); the sums over the sites lie within ±2**59. A number that is told on several
    scales (units of different size) counts as negative only if it is on all of them.

    Cost: 12 rounds and one for each further scale; about 250 · 8 · n bytes sent by a site for each number and scale.
    Threat: semi-honest; up to (n − 1) // 2 sites may pool what they saw; three sites or more.
    Leaks: the bits, to every site.
    Source: the sign is the last bit of 2x (Nishide, Ohta, PKC 2007); shared random bits as square roots (Damgård,
    Fitzi, Kiltz, Nielsen, Toft, TCC 2006). All 61 bits of the mask are random: it hides perfectly but for 2**-61.
    """

    def __init__(self, me: str, parties: tuple[str, ...], values: NDArray[np.int64]) -> None:
        super().__init__(me, parties)
        if values.size and not np.abs(values).max() <= field.MAX_ABS // len(parties):
            raise ValueRangeError("a number to be compared is too large", where="comparison")
        self._values = values

    def script(self, machine: Machine) -> Script:
        x = yield from machine.share(field.encode(self._values))
        signs = yield from negative(machine, x.reshape(-1))
        each = signs.reshape(self._values.shape)
        both = each[0]
        for other in each[1:]:
            both = yield from machine.multiply(both, other)
        bits = yield from machine.open(both)
        return bits


class Inner(Shared):
    """Σ_k A_k · B_k for vectors A, B (m,) of pooled non-negative integers; only this one number opens, below 2**59.

    Each site gives integers (pairs, 2, m) and learns the (pairs,) inner products.

    Cost: 4 rounds, 16 · n · m bytes sent by a site for each pair.
    Threat: semi-honest; up to (n − 1) // 2 sites may pool what they saw; three sites or more.
    Leaks: the inner products, to every site.
    Source: Ben-Or, Goldwasser, Wigderson, STOC '88; the opened product is hidden by a sharing of 0 of degree 2t.
    """

    def __init__(self, me: str, parties: tuple[str, ...], vectors: NDArray[np.int64]) -> None:
        super().__init__(me, parties)
        self._vectors = vectors

    def script(self, machine: Machine) -> Script:
        shared = yield from machine.share(field.encode(self._vectors))
        product = field.total(field.multiply(shared[:, 0], shared[:, 1]))
        hidden = yield from machine.zeros(product.shape)
        return (yield from machine.open(field.add(product, hidden)))


# --- protocols ---
def random_bits(machine: Machine, shape: tuple[int, ...]) -> Script:
    """[b], uniform bits that nobody knows: a / √(a²) is ±1. Cost: 3 rounds."""
    a = yield from machine.share(field.uniform(shape))
    hidden = yield from machine.zeros(shape)
    square = yield from machine.open(field.add(field.multiply(a, a), hidden))
    root = field.power(square, (field.PRIME + 1) // 4)
    sign = field.multiply(a, field.power(root, field.PRIME - 2))
    return field.scale(field.add(sign, np.ones_like(sign)), _HALF)


def negative(machine: Machine, x: Elements) -> Script:
    """[x < 0] for [x] (m,), −2**60 < x < 2**60: 2x modulo the odd prime is odd exactly if x is negative."""
    bits = yield from random_bits(machine, (BITS, len(x)))
    mask = field.combine(bits, [1 << i for i in range(BITS)])
    c = yield from machine.open(field.add(field.add(x, x), mask))
    wrapped = yield from less(machine, c, bits)
    both = yield from machine.multiply(bits[0], wrapped)
    odd = field.subtract(field.add(bits[0], wrapped), field.add(both, both))
    flip = c & np.uint64(1)
    return np.where(flip == 1, field.subtract(np.ones_like(odd), odd), odd)


def less(machine: Machine, c: Elements, bits: Elements) -> Script:
    """[c < r] for public c (m,) and the bits of [r] (61, m), the lowest first. Cost: 6 rounds, 122 products."""
    place = np.arange(BITS, dtype=np.uint64)[:, None]
    one = (c[None, :] >> place) & np.uint64(1)
    ones = np.ones_like(bits)
    below = np.where(one == 1, np.zeros_like(bits), bits)
    equal = np.where(one == 1, bits, field.subtract(ones, bits))
    while len(below) > 1:
        n = len(below) // 2
        low, high = slice(0, 2 * n, 2), slice(1, 2 * n, 2)
        left = np.concatenate([equal[high], equal[high]])
        right = np.concatenate([below[low], equal[low]])
        products = yield from machine.multiply(left, right)
        rest_below, rest_equal = below[2 * n :], equal[2 * n :]
        below = np.concatenate([field.add(below[high], products[:n]), rest_below])
        equal = np.concatenate([products[n:], rest_equal])
    return np.asarray(below[0])

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


class Dominant(Shared):
    """Bits (m,): 1 where the one or two largest of all sites' rows make too much of a pooled sum. Nothing else opens.

    Each site gives its two largest rows, on several scales, `tops` (3, scales, m): the first, the first times a public
    factor, and the second; and its part of three bounds, `bounds` (3, scales, m). Told is where, on every scale, the
    first exceeds the first bound; or the first and second together the second; or the first times its factor and the
    second together the third. Which rule it was, whose the rows are and how large: all that stays closed.

    Cost: 18 rounds, and 25 for each doubling of the sites; about 250 · 8 · n bytes sent by a site for each of
    2 (n − 1) + 3 comparisons of a number on a scale.
    Threat: semi-honest; up to (n − 1) // 2 sites may pool what they saw; three sites or more.
    Leaks: the bits, to every site.
    Source: a tournament of comparisons as in `Negative`; the rules are those of Hundepool et al., Statistical
    Disclosure Control, 2012, §4.2.2.
    """

    def __init__(self, me: str, parties: tuple[str, ...], tops: NDArray[np.int64], bounds: NDArray[np.int64]) -> None:
        super().__init__(me, parties)
        for values in (tops, bounds):
            if values.size and not np.abs(values).max() <= field.MAX_ABS // len(parties):
                raise ValueRangeError("a number to be compared is too large", where="comparison")
        self._tops = tops
        self._bounds = bounds

    def script(self, machine: Machine) -> Script:
        own = np.zeros((machine.n, 3, self._tops[0].size), np.int64)
        own[machine.rank] = self._tops.reshape(3, -1)
        tops = yield from machine.share(field.encode(own))
        first, scaled, second = yield from two_largest(machine, tops[:, :2], tops[:, 2])
        bounds = yield from machine.share(field.encode(self._bounds.reshape(3, -1)))
        above = np.stack([first, field.add(first, second), field.add(scaled, second)])
        signs = yield from negative(machine, field.subtract(bounds, above).reshape(-1))
        held, *scales = signs.reshape(self._bounds.shape).swapaxes(0, 1)
        for scale in scales:
            held = yield from machine.multiply(held, scale)
        found = held[0]
        for rule in held[1:]:
            both = yield from machine.multiply(found, rule)
            found = field.subtract(field.add(found, rule), both)
        return (yield from machine.open(found))


# --- protocols ---
def two_largest(machine: Machine, first: Elements, second: Elements) -> Script:
    """(3, m): the largest, what it carries, and the second largest of [first] (k, 2, m) and [second] (k, m).

    first[:, 0] ≥ second are the values, first[:, 1] is carried beside. The halves play each other, again and again.
    """
    while len(first) > 1:
        half = len(first) // 2
        x, y, b, d = first[:half], first[half : 2 * half], second[:half], second[half : 2 * half]
        lost = yield from negative(machine, field.subtract(x[:, 0], y[:, 0]).reshape(-1))
        lost = lost.reshape(half, 1, -1)
        change = np.concatenate([field.subtract(y, x), field.subtract(d, b)[:, None]], axis=1)
        change = yield from machine.multiply(np.broadcast_to(lost, change.shape).copy(), change)
        top, follower = field.add(x, change[:, :2]), field.add(b, change[:, 2])  # the winner and its own second
        loser = field.subtract(field.add(x[:, 0], y[:, 0]), top[:, 0])
        behind = yield from negative(machine, field.subtract(loser, follower).reshape(-1))
        more = yield from machine.multiply(behind.reshape(loser.shape), field.subtract(follower, loser))
        first = np.concatenate([top, first[2 * half :]])
        second = np.concatenate([field.add(loser, more), second[2 * half :]])
    return np.concatenate([first[0], second])


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

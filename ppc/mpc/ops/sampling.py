"""Random numbers that nobody knows: bits, integers, fixed-point numbers, coins, and the noise of differential privacy.

Everything starts from uniform words that the engine gives without a message. A coin compares one with a public
threshold; a geometric number has independent bits, each a coin; a discrete Gaussian is read off a table of its
distribution, and a wide one is y1 + k y2 of two narrower ones.

Threat: the engine's; the numbers are uniform to whoever lacks an honest party's share. Leaks: shapes and the public
parameters. Costs are for two parties and the additive engine, n numbers.
Source: noise from biased coins: Dwork, Kenthapadi, McSherry, Mironov, Naor (EUROCRYPT 2006); Champion, shelat, Ullman
(CCS 2019), who also give what the exact bits are; table and convolution of discrete Gaussians: Micciancio, Walter
(CRYPTO 2017) §4; Pöppelmann, Ducas, Güneysu (CHES 2014) §4.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from ppc.errors import ConfigError, TypeMismatchError, ValueRangeError
from ppc.mpc.ops.arithmetic import concatenate, stack
from ppc.mpc.ops.compare import b2a, bit_mul, less_than, open_bits, stack_bits
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

_BLOCK: Final = 1 << 22  # comparisons at once: about 75 MB of correlations
_NUMBERS: Final = 64  # correlations of random_integers at most: 32 times it would have to fail
_COIN: Final = 63  # bits of a coin's probability

# A narrow discrete Gaussian is read off its table; above, y1 + k y2 of two narrower ones. That is a discrete Gaussian
# but for about e = 2**-60 if their sqrt(2 pi) sigma is at least sqrt(2) k eta, where eta = sqrt(log(2 + 2 / e) / pi) is
# the smoothing parameter of the integers (Micciancio, Walter 2017, §4). tests/mpc/test_sampling.py adds the
# distributions up exactly and finds the sum within 2**-50.
_NARROW: Final = 16.0
_SMOOTH: Final = 2.07  # sqrt(2) eta / sqrt(2 pi)
_TAIL_BITS: Final = 60  # what is cut off the ends has less than 2**-60
_DIGITS: Final = 40  # decimal digits of probabilities before they are rounded to 63 bits
MAX_SIGMA: Final = 2.0**40


def _shape(shape: tuple[int, ...] | int) -> tuple[int, ...]:
    wanted = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(n < 0 for n in wanted):
        raise ValueRangeError(f"no array has the shape {wanted}", where="shape")
    return wanted


def random_bits(s: Session, shape: tuple[int, ...] | int) -> BShare:
    """Uniform bits. Exact. Cost: none."""
    return s.engine.random_bits(s, _shape(shape))


def random_uniform(s: Session, shape: tuple[int, ...] | int, *, frac_bits: int | None = None) -> AShare:
    """Uniform multiples of 2**-f in [0, 1), with f fraction bits (the session's). Exact.

    Cost: 1 round, f n / 8 bytes.
    """
    f = s.fx.frac_bits if frac_bits is None else frac_bits
    if not 0 < f <= 60:
        raise ConfigError(f"a fraction has 1 to 60 fraction bits, not {f}")
    return _from_bits(s, _shape(shape), f).reinterpret(f)


def _from_bits(s: Session, shape: tuple[int, ...], count: int) -> AShare:
    """Uniform integers of `count` bits."""
    flags = b2a(s, s.engine.random_bits(s, (count, *shape)))
    return _weighted(flags)


def _weighted(flags: AShare) -> AShare:
    """The integers whose bits, lowest first, are the rows."""
    weights = flags.ring.words([1 << i for i in range(len(flags))])
    return flags.scale(weights.reshape(-1, *[1] * (flags.ndim - 1))).sum(axis=0)


def random_integers(s: Session, low: int, high: int, shape: tuple[int, ...] | int) -> AShare:
    """Uniform integers low … high - 1 (frac_bits 0), at most 2**60 of them. Exact.

    If high - low is no power of two, candidates of m bits are drawn and those beyond the range thrown away. Which ones
    are is opened; that is independent of the values that stay.

    Cost: for a power of two 2**m, 1 round, m n / 8 bytes. Else 5 rounds, m / 8 + 13.125 bytes for each of about
    n 2**m / (high - low) candidates: so many that they fail to suffice less than once in 2**40 times,
    when it takes 5 rounds more.
    """
    wanted = _shape(shape)
    span = high - low
    if not (0 < span <= 1 << 60 and low >= -(1 << 61) and high <= 1 << 61):
        raise ValueRangeError(f"integers from {low} to {high - 1}", where="random_integers", hint="low < high")
    m = (span - 1).bit_length()
    n = math.prod(wanted)
    if span == 1 << m or not n:
        return (_from_bits(s, wanted, m) if m else s.engine.constant(s, s.ring.zeros(wanted), 0)) + low
    kept: list[AShare] = []
    missing = n
    with s.reserved(_NUMBERS):
        while missing > 0:
            candidates = _from_bits(s, (_enough(missing, span / 2**m),), m)
            good = np.flatnonzero(open_bits(s, less_than(s, candidates, span)) | s.tracing)
            kept.append(candidates[good[:missing]])
            missing -= len(kept[-1])
    return concatenate(kept).reshape(wanted) + low


def _enough(n: int, rate: float) -> int:
    """So many trials of success rate > 1/2 that fewer than n succeed with odds below 2**-40 (Hoeffding's bound)."""
    slack = 20 * math.log(2.0)  # exp(-2 t^2 / N) <= 2**-40 for t = sqrt(slack N)
    root = (math.sqrt(slack) + math.sqrt(slack + 4 * rate * n)) / (2 * rate)
    return math.ceil(root * root)


# --- coins ---
def bernoulli(s: Session, p: ArrayLike, shape: tuple[int, ...] | int | None = None) -> BShare:
    """Independent coins, each true with its public probability p, a number or an array that broadcasts to `shape`.

    A uniform word r, without its top bit, is below p 2**63: the XOR of [r < 0] and [r - p 2**63 < 0].

    Error: p is rounded to a multiple of 2**-63: statistical distance 2**-64 a coin.
    Cost: 3 rounds, 18 n bytes if p is one number, 26 n if not.
    """
    probabilities = np.asarray(p, np.float64)
    wanted = probabilities.shape if shape is None else _shape(shape)
    if not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
        raise ValueRangeError("a probability lies between 0 and 1", where="p")
    try:
        np.broadcast_to(probabilities, wanted)
    except ValueError:
        raise TypeMismatchError(f"probabilities of shape {probabilities.shape} for {wanted}", where="p") from None
    units = [_coin_units(Fraction(v)) for v in probabilities.ravel().tolist()]
    return _coins(s, units, probabilities.shape, wanted)


def _coin_units(p: Fraction) -> int:
    return round(p * (1 << _COIN))


def _in_ring(s: Session, units: list[int]) -> list[int]:
    """Thresholds of 63 bits for a word of the ring without its top bit."""
    return [u << (s.ring.bits - 1 - _COIN) for u in units]


def _coins(s: Session, units: list[int], shape: tuple[int, ...], wanted: tuple[int, ...]) -> BShare:
    """Coins of probability units / 2**63, of a shape that broadcasts to `wanted`."""
    r = s.engine.random(s, wanted)
    units = _in_ring(s, units)
    if not shape:
        negative, below = s.engine.less_than_zero(s, r, [0, units[0]])
        return negative ^ below
    threshold = s.engine.constant(s, s.ring.words(units).reshape(shape), 0)
    both = stack([r, r - threshold.broadcast_to(wanted)])
    (below,) = s.engine.less_than_zero(s, both, [0])
    return below[0] ^ below[1]


# --- noise ---
def geometric(s: Session, scale: float, shape: tuple[int, ...] | int) -> AShare:
    """Integers g >= 0 with probability (1 - a) a**g, a = exp(-1 / scale).

    The bits of g are independent, bit i true with probability 1 / (1 + exp(2**i / scale)). As many bits are drawn as
    leave less than 2**-60 beyond them.

    Error: statistical distance below 2**-57 a number.
    Cost: 4 rounds, 26.125 m n bytes with m = log2(42 scale) bits, rounded up (scale 10: 9).
    """
    wanted = _shape(shape)
    if not 0 < scale <= MAX_SIGMA:
        raise ValueRangeError(f"a scale lies between 0 and {MAX_SIGMA:g}", where="scale")
    m = max(1, math.ceil(math.log2(_TAIL_BITS * math.log(2.0) * scale)))
    shape = (m, *[1] * len(wanted))
    flags = b2a(s, _coins(s, [_coin_units(_bit_of_geometric(i, scale)) for i in range(m)], shape, (m, *wanted)))
    return _weighted(flags)


def _bit_of_geometric(i: int, scale: float) -> Fraction:
    """1 / (1 + exp(2**i / scale))."""
    power = _exp(-Fraction(2**i) / Fraction(scale))
    return power / (1 + power)


def _exp(x: Fraction) -> Fraction:
    """exp(x) for x <= 0, to _DIGITS digits; 0 for what no 63 bits show."""
    if x < -100:
        return Fraction(0)
    with localcontext() as context:
        context.prec = _DIGITS
        return Fraction((Decimal(x.numerator) / Decimal(x.denominator)).exp())


def discrete_laplace(s: Session, scale: float, shape: tuple[int, ...] | int) -> AShare:
    """Integers x with probability proportional to exp(-|x| / scale): the difference of two geometric numbers.

    With sensitivity d, adding it to a count is (d / scale)-differentially private, up to the error.

    Error: statistical distance below 2**-56 a number.
    Cost: as two `geometric`: 4 rounds, 52.25 m n bytes.
    Source: the geometric mechanism, Ghosh, Roughgarden, Sundararajan (STOC 2009).
    """
    wanted = _shape(shape)
    both = geometric(s, scale, (2, *wanted))
    return both[0] - both[1]


def discrete_gaussian(s: Session, sigma: float, shape: tuple[int, ...] | int) -> AShare:
    """Integers x with probability proportional to exp(-x**2 / (2 sigma**2)).

    Up to sigma = 16, |x| is the number of table entries that a uniform word reaches, and a random bit gives the sign.
    Above, x = y1 + k y2, where both have deviation sigma / sqrt(1 + k**2) and k is as large as the bound of the
    convolution theorem allows; so sigma = 1e6 takes 8 narrow numbers.

    Error: statistical distance below 2**-50 a number.
    Cost: (5.125 t + 21.125) n bytes for each narrow number of deviation v, t = 9.1 v, in 5 rounds for all of them (up
    to 4 million comparisons; 4 rounds for each further 4 million).
    """
    wanted = _shape(shape)
    if not 0 < sigma <= MAX_SIGMA:
        raise ValueRangeError(f"sigma lies between 0 and {MAX_SIGMA:g}", where="sigma")
    narrow, factors = split_sigma(sigma)
    x = _narrow(s, narrow, (2 ** len(factors), *wanted))
    for k in factors:
        half = len(x) // 2
        x = x[:half] + x[half:] * k
    return x[0]


def split_sigma(sigma: float) -> tuple[float, list[int]]:
    """The narrow deviation and the factors k, first the innermost: sigma**2 = narrow**2 (1 + k**2)…"""
    factors: list[int] = []
    while sigma > _NARROW:
        # The largest k with sigma / sqrt(1 + k^2) >= _SMOOTH k, and at least 1.
        square = (math.sqrt(1 + 4 * (sigma / _SMOOTH) ** 2) - 1) / 2
        k = max(1, math.floor(math.sqrt(square)))
        factors.insert(0, k)
        sigma /= math.sqrt(1 + k * k)
    return sigma, factors


def table(sigma: float) -> list[int]:
    """Thresholds of a uniform number of 63 bits: |x| of a discrete Gaussian is how many of them it reaches."""
    last = max(1, math.ceil(sigma * math.sqrt(2 * _TAIL_BITS * math.log(2.0))))
    square = 2 * Fraction(sigma) ** 2
    weights = [_exp(-(j * j) / square) * (1 if j == 0 else 2) for j in range(last + 1)]
    whole, reached, out = sum(weights, Fraction(0)), Fraction(0), []
    for w in weights[:-1]:
        reached += w
        out.append(_coin_units(reached / whole))
    return out


def _narrow(s: Session, sigma: float, shape: tuple[int, ...]) -> AShare:
    thresholds = table(sigma)
    n = math.prod(shape)
    size = max(1, _BLOCK // len(thresholds))
    counts = [_reached(s, thresholds, min(size, n - i)) for i in range(0, n, size)]
    magnitude = concatenate(counts).reshape(shape) if counts else s.engine.constant(s, s.ring.zeros(shape), 0)
    return magnitude - bit_mul(s, s.engine.random_bits(s, shape), magnitude * 2)


def _reached(s: Session, thresholds: list[int], n: int) -> AShare:
    """How many thresholds uniform numbers of 63 bits reach. 4 rounds, 8 n + 5.125 (t + 1) n bytes."""
    r = s.engine.random(s, (n,))
    negative, *below = s.engine.less_than_zero(s, r, [0, *_in_ring(s, thresholds)])
    reached: AShare = len(thresholds) - b2a(s, stack_bits([negative ^ b for b in below])).sum(axis=0)
    return reached

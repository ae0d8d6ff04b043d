"""Ring-LWE: transforms, encryption and sums of products against definitions; parameters; what an answer shows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ppc.core import rng
from ppc.mpc.lattice import _kernels, rlwe
from ppc.mpc.pairwise import lattices
from ppc.mpc.pairwise.products import Shape

N = rlwe.DEGREE
Q = math.prod(rlwe.PRIMES)
LOW = (1 << 64) - 1


def numbers(seed, n):
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


def times(x, y):
    """x y modulo t**N + 1 and 2**64, for an x with few terms."""
    out = np.zeros(N, np.uint64)
    for i in np.nonzero(x)[0]:
        turned = np.roll(y, i)
        turned[:i] = np.negative(turned[:i])
        out += x[i] * turned
    return out


def few(seed, count=25):
    x = np.zeros(N, np.uint64)
    x[np.random.default_rng(seed).choice(N, count, replace=False)] = numbers(seed, count)
    return x


@pytest.fixture(scope="module")
def parties():
    seed = rng.random_key()
    key = rlwe.Key(rng.os_stream(), seed)
    return key, rlwe.Evaluator(rng.os_stream(), seed, key.public)


def test_parameters_are_within_the_standard():
    assert Q.bit_length() == 183 <= rlwe.SECURE_BITS  # degree 8192, 128 bits, ternary secret: table 1
    for q in rlwe.PRIMES:
        assert q < 1 << 61
        assert q % (2 * N) == 1
        assert all(pow(a, q - 1, q) == 1 for a in (2, 3, 5, 7, 11))
    assert len(set(rlwe.PRIMES)) == 3
    # Errors stay decodable: the covering noise, and 9 deviations of what products leave, against q / 2**65.
    noise = 2**63 * math.sqrt(rlwe.MOST_TERMS * (21 / 2 + 1 / 12)) * 9
    assert noise < 2**78
    assert noise + rlwe.FLOOD_TERMS * 2 ** (rlwe.FLOOD_BITS - 1) < Q // 2**65
    # The Fisher information of a sum of four uniform numbers, and what the docstring makes of it.
    x = np.linspace(0, 2, 200_001)[1:]
    f = (x**3 - 4 * np.maximum(x - 1, 0) ** 3) / 6
    slope = (x**2 - 4 * np.maximum(x - 1, 0) ** 2) / 2
    information = 2 * np.trapezoid(slope**2 / f, x)
    assert information == pytest.approx(3.12, abs=0.01)
    assert math.sqrt(information) * noise / 9 / 2 < 2**-40 * 2.0**rlwe.FLOOD_BITS
    assert math.sqrt(information) * 2**63 * math.sqrt(8192 / 3 * 10.6) / 2 < 2**-45 * 2.0**rlwe.FLOOD_BITS


def test_the_transform_multiplies_polynomials_and_inverts():
    x, y = few(1), numbers(2, N)
    got = rlwe._backward(rlwe._product(rlwe.plain(x), rlwe.plain(y)))
    for i, q in enumerate(rlwe.PRIMES):
        signed = [int(v) - (1 << 64 if v >> np.uint64(63) else 0) for v in y]
        want = [0] * N
        for place in np.nonzero(x)[0].tolist():
            c = int(x[place]) - (1 << 64 if int(x[place]) >> 63 else 0)
            for j in range(0, N, 97):
                source = (j - place) % N
                want[j] += c * signed[source] * (-1 if j < place else 1)
        assert all(int(got[i, j]) == want[j] % q for j in range(0, N, 97))
    again = rlwe._backward(rlwe.plain(y))
    assert int(again[0, 5]) == (int(y[5]) - (1 << 64 if int(y[5]) >> 63 else 0)) % rlwe.PRIMES[0]


def test_encoding_and_decoding_round_as_defined():
    m = np.concatenate([numbers(3, 50), np.array([0, 1, 2**63, 2**63 - 1, LOW], np.uint64)])
    out = np.zeros((3, len(m)), np.uint64)
    _kernels.add_encoded(m, np.uint64(Q & LOW), rlwe._T.scale, rlwe._T.scale_ratios, rlwe._T.primes, out)
    for j, v in enumerate(m.tolist()):
        assert [int(r) for r in out[:, j]] == [(Q * v + (1 << 63) >> 64) % q for q in rlwe.PRIMES]
    told = np.empty(len(m), np.uint64)
    t = rlwe._T
    _kernels.decode(out, t.hats, t.hat_ratios, t.high, t.low, t.primes, told)
    assert (told == m).all()


def test_sums_of_products_are_exact(parties):
    key, evaluator = parties
    places = np.arange(3, N, 5)
    for terms in (1, 40):
        messages = [numbers(10 + i, N) for i in range(terms)]
        plains = [few(50 + i, 4) for i in range(terms)]
        masks = numbers(terms, len(places))
        ciphertexts = evaluator.complete(np.stack([key.encrypt(m) for m in messages]))
        pairs = [(c, rlwe.plain(x)) for c, x in zip(ciphertexts, plains, strict=True)]
        a, b = evaluator.combine(pairs, places, masks)
        want = np.sum([times(x, m) for x, m in zip(plains, messages, strict=True)], axis=0, dtype=np.uint64)
        assert (key.decrypt(a, b, places) + masks == want[places]).all()


def phases(parties, pairs, every=64):
    """What the holder of the key sees of an answer: signed numbers modulo q at some places."""
    key, evaluator = parties
    a, b = evaluator.combine(pairs, np.arange(N), np.zeros(N, np.uint64))
    phase = rlwe._sum(rlwe._backward(rlwe._product(a, key._secret)), np.ascontiguousarray(b))
    hats = [Q // q * pow(Q // q, -1, q) for q in rlwe.PRIMES]
    values = [sum(int(phase[i, j]) * hats[i] for i in range(3)) % Q for j in range(0, N, every)]
    return [v - Q if v > Q // 2 else v for v in values]


def test_what_large_products_leave_is_as_small_as_is_said_and_covered(parties, monkeypatch):
    """The blocks of (10^6, 4095) @ (4095, 1) with coefficients near ±2**63: the most that any shape leaves."""
    key, evaluator = parties
    plan = lattices._plan(lattices._pieces(Shape(1_000_000, 4095, 1))[0])
    assert 2**19 < plan.terms <= rlwe.MOST_TERMS
    x = np.zeros(N, np.uint64)
    x[: plan.nw * plan.dw] = np.uint64(1 << 63) - (numbers(6, plan.nw * plan.dw) & np.uint64(1))
    zero = np.zeros((plan.parts[1], N), np.uint64)
    pairs = [(c, rlwe.plain(x)) for c in evaluator.complete(np.stack([key.encrypt(m) for m in zero]))]
    covered = phases(parties, pairs)
    assert max(map(abs, covered)) < 2**117 + 2**78
    # Four uniform numbers: a chi-square of eighths of the range. One uniform number of the same range is rejected.
    edges = np.linspace(0, 4, 9)
    cdf = sum((-1) ** k * math.comb(4, k) * np.maximum(edges - k, 0) ** 4 / 24 for k in range(5))
    many = np.array([v / 2.0**116 + 2 for v in phases(parties, pairs[:1], 1)])
    counts = np.histogram(many, edges)[0]
    assert stats.chisquare(counts, N * np.diff(cdf)).pvalue > 1e-9
    assert stats.chisquare(counts).pvalue < 1e-9
    # Without it: nine deviations are beyond 2**76, all that the terms of one inner product alone would leave.
    monkeypatch.setattr(rlwe, "_flood", lambda stream, n: (np.zeros(n, np.uint64), np.full(n, np.uint64(1 << 53))))
    bare = 9 * np.std([v / 2.0**64 for v in phases(parties, pairs, 4)])
    assert 2**12.5 < bare < 2**14


def test_errors_and_secrets_have_their_distributions():
    words = rng.os_stream().uint64(N)
    out = np.empty((3, N), np.uint64)
    _kernels.errors(words, rlwe._T.primes, out)
    q = rlwe.PRIMES[1]
    e = np.array([int(v) - (q if int(v) > q // 2 else 0) for v in out[1]])
    assert np.abs(e).max() <= 21
    # Variance 10.5: its estimate from 8192 deviates by 0.16; six of these are passed by chance with odds of 2e-9.
    assert abs(e.var() - 10.5) < 1.0
    assert abs(e.mean()) < 0.22
    _kernels.ternary(words, rlwe._T.primes, out)
    counts = np.unique(out[2], return_counts=True)[1]
    assert len(counts) == 3
    assert stats.chisquare(counts).pvalue > 1e-9


def test_ciphertexts_look_uniform(parties):
    """Chi-square over the top 8 of 61 bits; false alarms once in 1e9. An unmasked one is rejected."""
    key, evaluator = parties
    zero = np.zeros(N, np.uint64)
    b = key.encrypt(zero)
    (c,) = evaluator.complete(b[None])
    a, answer = evaluator.combine([(c, rlwe.plain(few(9)))], np.arange(N), zero)

    def p(words):
        return stats.chisquare(np.bincount((words.reshape(-1) >> np.uint64(53)).astype(int), minlength=256)).pvalue

    for words in (b, a, answer, rlwe.public_part(bytes(16), 7)):
        assert p(words) > 1e-9
    assert p(rlwe._errors(rng.os_stream())) < 1e-9


def test_nothing_secret_is_printed(parties):
    assert [repr(p) for p in parties] == ["<lattice.Key>", "<lattice.Evaluator>"]

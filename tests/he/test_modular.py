"""The two engines against Python's integers, at the edges and at random."""

from __future__ import annotations

import math
import secrets
import threading

import numpy as np
import pytest
from gmpy2 import mpz
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.he.paillier import modular
from ppc.he.paillier.modular import GmpModulus, LaneModulus, digits_of, in_threads, lanes_available, to_ints, to_words

needs_lanes = pytest.mark.skipif(not lanes_available(), reason="this processor has no AVX-512 IFMA")
ENGINES = [GmpModulus, pytest.param(LaneModulus, marks=needs_lanes)]
N = (1 << 3071) + 0x1B5D  # odd, with a nearly empty middle: carries run far
DENSE = (1 << 3072) - 1143  # all limbs nearly full


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


def residues(n: int, count: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    edges = [0, 1, n - 1, n - 2, n // 2, (1 << 52) - 1, 1 << 52]
    drawn = [int.from_bytes(rng.bytes(n.bit_length() // 8), "little") % n for _ in range(count)]
    return (edges + drawn)[:count]


@pytest.mark.parametrize("n", [N, DENSE, 3 * 5 * 7, (1 << 4095) + 5], ids=["sparse", "dense", "tiny", "4096"])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 30])
def test_products_and_powers_are_those_of_python(engine, n, count):
    m = engine(n)
    a, b = residues(n, count, 1), residues(n, count, 2)[::-1]
    a, b = [x % n for x in a], [x % n for x in b]
    rows, others = m.rows(a), m.rows(b)
    assert to_ints(m.multiply(rows, others)) == [x * y % n for x, y in zip(a, b, strict=True)]
    assert to_ints(m.multiply(rows, others[:1])) == [x * b[0] % n for x in a]
    assert m.product(rows) == math.prod(a) % n
    for exponent in (0, 1, 2, 31, 32, 0xFEDCBA9876543210FF):
        assert to_ints(m.power(rows, exponent)) == [pow(x, exponent, n) for x in a]


@pytest.mark.parametrize("threads", [1, 2])
def test_joint_powers_of_python(engine, threads):
    n, rng = DENSE, np.random.default_rng(5)
    m, bases = engine(n), residues(DENSE, 21, 3)
    exponents = rng.integers(0, 1 << 33, (21, 3), dtype=np.uint64)
    exponents[:, 1] = 0
    exponents[0, 2] = (1 << 33) - 1
    out = to_ints(m.joint_powers(m.rows(bases), exponents, 33, threads))
    for j in range(3):
        expected = math.prod(pow(b, int(e), n) for b, e in zip(bases, exponents[:, j], strict=True)) % n
        assert out[j] == expected
    each = to_ints(m.each_power(m.rows(bases), exponents[:, 2], 33, threads))
    assert each == [pow(b, int(e), n) for b, e in zip(bases, exponents[:, 2], strict=True)]


@needs_lanes
def test_joint_powers_over_more_rows_than_one_block(monkeypatch):
    n = (1 << 200) + 235
    lanes, gmp = LaneModulus(n), GmpModulus(n)
    rows = lanes.rows(residues(n, 2100, 8))
    exponents = np.random.default_rng(1).integers(0, 1 << 20, (2100, 2), dtype=np.uint64)
    assert (lanes.joint_powers(rows, exponents, 20) == gmp.joint_powers(rows, exponents, 20)).all()


def test_a_fixed_base_gives_the_powers_of_its_digits(engine):
    n, base = N, 0xABCDEF0123456789
    m = engine(n)
    table = m.fixed_base(base, 61)
    assert table.rows == 8
    digits = table.random_digits(11)
    digits = np.vstack([digits, np.zeros((1, 8), np.uint8), np.full((1, 8), 255, np.uint8)])
    factors = residues(n, 13, 9)
    out = to_ints(table.power(digits, m.rows(factors), 2))
    for row, factor, got in zip(digits, factors, out, strict=True):
        assert got == pow(base, int.from_bytes(row.tobytes(), "little"), n) * factor % n


def test_inverses(engine):
    m = engine(DENSE)
    a = [x for x in residues(DENSE, 20, 4) if x and math.gcd(x, DENSE) == 1]
    out = to_ints(m.inverses(m.rows(a)))
    assert all(x * y % DENSE == 1 for x, y in zip(a, out, strict=True))


@needs_lanes
@settings(max_examples=40, deadline=None)
@given(bits=st.integers(60, 700), seed=st.integers(0, 1 << 30), exponent=st.integers(0, 1 << 80))
def test_the_lanes_agree_with_gmp_for_every_size(bits, seed, exponent):
    rng = np.random.default_rng(seed)
    n = int.from_bytes(rng.bytes(bits // 8 + 1), "little") % (1 << bits) | 1 | (1 << (bits - 1))
    lanes, gmp = LaneModulus(n), GmpModulus(n)
    a = lanes.rows([x % n for x in residues(n, 10, seed)])
    assert (lanes.multiply(a, a[::-1]) == gmp.multiply(a, a[::-1])).all()
    assert (lanes.power(a, exponent) == gmp.power(a, exponent)).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, (1 << 192) - 1), min_size=1, max_size=5))
def test_words_and_integers_are_inverse(numbers):
    assert to_ints(to_words(numbers, 3)) == numbers


def test_digits_come_least_significant_first():
    word = np.array([[0x1234567890ABCDEF]], np.uint64)
    assert digits_of(word, 4)[0].tolist() == [0xF, 0xE, 0xD, 0xC, 0xB, 0xA, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert digits_of(word, 8)[0].tolist() == [0xEF, 0xCD, 0xAB, 0x90, 0x78, 0x56, 0x34, 0x12]


def test_slices_cover_everything_once_and_errors_come_through():
    seen, lock = [], threading.Lock()

    def work(a, b):
        with lock:
            seen.extend(range(a, b))

    for count, threads, unit in [(0, 3, 8), (1, 3, 8), (17, 3, 8), (64, 2, 8), (5, 9, 1)]:
        seen.clear()
        in_threads(work, count, threads, unit)
        assert sorted(seen) == list(range(count))
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda a, b: 1 // 0, 10, 2)


def test_an_environment_variable_turns_the_lanes_off(monkeypatch):
    monkeypatch.setenv("PPC_PORTABLE", "1")
    assert isinstance(modular.modulus(mpz(secrets.randbits(256) | 1)), GmpModulus)

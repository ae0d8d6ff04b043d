"""Signs and inner products of pooled numbers: right at every edge, nothing but noise on the way, dropouts survived."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.errors import ValueRangeError
from ppc.mpc.aggregate import field

Run = Callable[..., dict[str, Any]]
RESIDUES = st.integers(0, field.PRIME - 1)


# --- the field ---
@given(st.lists(st.tuples(RESIDUES, RESIDUES), min_size=1, max_size=8))
def test_arithmetic_is_that_of_whole_numbers(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(x, np.uint64) for x in zip(*pairs, strict=True))
    p = field.PRIME
    assert field.add(a, b).tolist() == [(x + y) % p for x, y in pairs]
    assert field.subtract(a, b).tolist() == [(x - y) % p for x, y in pairs]
    assert field.multiply(a, b).tolist() == [x * y % p for x, y in pairs]
    assert field.scale(a, 3**70).tolist() == [x * 3**70 % p for x, _ in pairs]
    assert int(field.total(a)) == sum(x for x, _ in pairs) % p
    assert field.power(a, p - 2).tolist() == [pow(x, p - 2, p) for x, _ in pairs]


def test_kernels_are_sums_of_products() -> None:
    """Of polynomials and of combinations, beside the NumPy arithmetic that the test above holds to whole numbers."""
    shares = field.uniform((7, 40))
    factors = field.weights(7)
    slow = np.zeros(40, np.uint64)
    for row, factor in zip(shares, factors, strict=True):
        slow = field.add(slow, field.scale(row, factor))
    assert (field.combine(shares, factors) == slow).all()
    assert (field.combine(field.split(shares[0], 7, 6), factors) == shares[0]).all()
    top = np.full(3, field.PRIME - 1, np.uint64)
    assert (field.combine([top, top], [field.PRIME - 1, 1]) == 0).all()


@pytest.mark.parametrize("n", [3, 4, 5, 50])
def test_shares_give_the_secret_and_too_few_are_uniform(n: int) -> None:
    secrets = field.encode([0, 1, -1, 2**59, -(2**59)])
    t = (n - 1) // 2
    shares = field.split(secrets, n, t)
    assert field.decode(field.combine(shares, field.weights(t + 1))).tolist() == [0, 1, -1, 2**59, -(2**59)]
    many = field.split(np.zeros(20_000, np.uint64), n, t)
    for share in many:  # the top bits of one share; chi-square with 15 degrees of freedom, above 60 once in 5 million
        counts = np.bincount((share >> np.uint64(57)).astype(int), minlength=16)
        assert ((counts - 1250) ** 2 / 1250).sum() < 60


# --- signs ---
@pytest.mark.parametrize("n", [3, 4, 10, 50])
def test_signs_at_the_edge(run_sites: Run, n: int) -> None:
    totals = [-(2**50), -2, -1, 0, 1, 2, 2**50]

    def work(pool: Any, i: int) -> Any:
        part = np.array([t if i == n - 1 else 0 for t in totals], np.int64)
        hide = np.full(len(totals), 2**40 if i == 0 else -(2**40) if i == 1 else 0)
        return pool.negative([part + hide])

    for bits, sites in run_sites(n, work).values():
        assert bits.tolist() == [t < 0 for t in totals]
        assert len(sites) == n


def test_random_signs_on_two_scales(run_sites: Run) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(-1000, 1000, (3, 2, 200))
    found = run_sites(3, lambda pool, i: pool.negative(values[i]))
    true = (values.sum(0) < 0).all(0)
    assert all((bits == true).all() for bits, _ in found.values())


def test_two_sites_cannot_hide_a_number_from_each_other(run_sites: Run) -> None:
    found = run_sites(2, lambda pool, i: (pool.negative([[1]]), pool.inner([[[1], [1]]])))
    assert all(told == (None, None) for told in found.values())


def test_a_number_out_of_range_never_travels(run_sites: Run) -> None:
    found = run_sites(3, lambda pool, i: pool.negative([[2**58 if i == 2 else 0]]))
    assert isinstance(found["site-2"], ValueRangeError)


# --- inner products ---
def test_inner_products(run_sites: Run) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.integers(0, 1000, (5, 2, 2, 300))
    pooled = vectors.sum(0)
    true = (pooled[:, 0] * pooled[:, 1]).sum(-1)
    for values, sites in run_sites(5, lambda pool, i: pool.inner(vectors[i])).values():
        assert values.tolist() == true.tolist()
        assert len(sites) == 5


# --- dropouts, and what travels ---
@pytest.mark.parametrize("victim", [0, 3])
def test_a_lost_site_is_left_out_whenever_it_goes(run_sites: Run, victim: int) -> None:
    """Site 3 alone makes the sum positive: the bit tells whose numbers are in it, and must fit the sites named."""
    for life in range(1, 40, 7):
        found = run_sites(
            5,
            lambda pool, i: (pool.negative([[10 if i == 3 else -1]]), pool.finish())[0],
            lives={victim: life},
            quorum=3,
        )
        for rank in range(5):
            if rank != victim:
                bits, sites = found[f"site-{rank}"]
                assert bits.tolist() == [("site-3" not in sites)]


def test_frames_are_noise_and_alike_whatever_the_numbers(run_sites: Run) -> None:
    """Of two inputs with the same signs, every frame has the same shape, and the bytes of each are uniform."""
    shapes = []
    for numbers in ([[0, 0], [5, 5], [0, 0]], [[7, -900], [-9, 10**9], [3, 4]]):
        seen: list[np.ndarray] = []

        def change(rank: int, lines: dict[str, Any], seen: list[np.ndarray] = seen) -> None:
            for line in lines.values():

                def send(tag: str, *arrays: Any, _send: Any = line.send) -> None:
                    seen.extend(np.array(a) for a in arrays if a.nbytes > 500)
                    _send(tag, *arrays)

                line.send = send

        run_sites(3, lambda pool, i, v=numbers: pool.negative([v[i] * 20]), change=change)
        shapes.append(sorted(a.shape for a in seen))
        assert len(seen) > 20
        # Sealed shares: each once, though it passes the leader; an all-zero row stands for what a site keeps.
        rows = {r.tobytes() for a in seen if a.dtype == np.uint8 and a.ndim == 2 for r in a if r.any()}
        octets = np.frombuffer(b"".join(rows), np.uint8)
        expected = len(octets) / 256
        assert ((np.bincount(octets, minlength=256) - expected) ** 2 / expected).sum() < 400  # once in ten million
        for opened in (a for a in seen if a.dtype == np.uint64 and a.size > 100):
            top = np.bincount((opened >> np.uint64(57)).astype(int), minlength=16)
            assert ((top - opened.size / 16) ** 2 / (opened.size / 16)).sum() < 70
    assert shapes[0] == shapes[1]


def test_the_cost_is_as_stated(run_sites: Run) -> None:
    m, n = 100, 5

    def work(pool: Any, i: int) -> tuple[int, int]:
        pool.negative(np.zeros((1, m), np.int64))
        readings = [c.meter.snapshot() for c in pool._star._channels.values()]
        return sum(r.sent for r in readings), max(r.rounds for r in readings)

    found = run_sites(n, work)
    for i in range(1, n):
        sent, rounds = found[f"site-{i}"]
        assert sent < 275 * 8 * n * m
        assert rounds <= 2 * 16


# --- the largest two ---
@pytest.mark.parametrize("n", [3, 4, 7])
def test_the_largest_two_of_all_sites_are_held_to_every_bound(run_sites: Run, n: int) -> None:
    rng = np.random.default_rng(n)
    m = 60
    rows = np.sort(rng.integers(0, 50, (n, m, 2)), axis=-1)[..., ::-1]
    first, second = rows[..., 0], rows[..., 1]
    bounds = rng.integers(0, 500 // n, (n, 3, m))
    top = np.sort(rows.transpose(1, 0, 2).reshape(m, -1), axis=1)
    x1, x2, (a, b, c) = top[:, -1], top[:, -2], bounds.sum(0)
    true = (x1 > a) | (x1 + x2 > b) | (3 * x1 + x2 > c)
    assert 0 < true.sum() < m

    def work(pool: Any, i: int) -> Any:
        return pool.dominant(np.stack([first[i], 3 * first[i], second[i]])[:, None], bounds[i][:, None])

    for bits, sites in run_sites(n, work).values():
        assert (bits == true).all()
        assert len(sites) == n


def test_the_largest_two_must_exceed_a_bound_on_every_scale(run_sites: Run) -> None:
    tops = np.array([[[5, 5], [5, 5]]] * 2 + [[[0, 0], [0, 0]]])
    bounds = np.array([[[1, 9], [1, 1]]] + [[[9, 9], [9, 9]]] * 2)
    for bits, _ in run_sites(3, lambda pool, i: pool.dominant(tops * (i == 1), bounds * (i == 2))).values():
        assert bits.tolist() == [True, False]


@pytest.mark.parametrize("n", [3, 5])
def test_the_cost_of_the_largest_two_is_as_stated(run_sites: Run, n: int) -> None:
    m = 40

    def work(pool: Any, i: int) -> tuple[int, int]:
        pool.dominant(np.ones((3, 1, m), np.int64), np.ones((3, 1, m), np.int64))
        readings = [c.meter.snapshot() for c in pool._star._channels.values()]
        return sum(r.sent for r in readings), max(r.rounds for r in readings)

    found = run_sites(n, work)
    for i in range(1, n):
        sent, rounds = found[f"site-{i}"]
        assert sent < (2 * (n - 1) + 3) * 275 * 8 * n * m
        assert rounds <= 18 + 25 * (n - 1).bit_length()

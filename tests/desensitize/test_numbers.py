"""Numbers: coarser, bounded, noisy, swapped, aggregated."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.desensitize import transforms as t
from ppc.desensitize._kernels import mdav
from ppc.desensitize.keys import Key
from ppc.errors import ConfigError, ValueRangeError


def test_bucket() -> None:
    array = pa.array([0, 9, 10, -1, None, 25.5])
    assert t.bucket(array, width=10.0).to_pylist() == ["[0, 10)", "[0, 10)", "[10, 20)", "[-10, 0)", None, "[20, 30)"]
    assert t.bucket(array, width=0.5, start=0.25).to_pylist()[5] == "[25.25, 25.75)"
    assert t.bucket(array, edges=[0.0, 10.0]).to_pylist() == ["[0, 10)", "[0, 10)", ">= 10", "< 0", None, ">= 10"]
    assert t.bucket(array, edges=[10.0], labels=["low", "high"]).to_pylist()[:3] == ["low", "low", "high"]
    for bad in (
        {},
        {"width": 1.0, "edges": [1.0]},
        {"edges": [2.0, 1.0]},
        {"width": 0.0},
        {"width": float("inf")},
        {"edges": [1.0], "labels": ["a"]},
    ):
        with pytest.raises(ConfigError):
            t.bucket(array, **bad)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.integers(-(10**9), 10**9), max_size=20), st.sampled_from([1.0, 5.0, 1000.0]))
def test_round(values: list[int | None], to: float) -> None:
    out = t.round_(pa.array(values, pa.int64()), to=to).to_pylist()
    assert out == [None if v is None else int(np.rint(v / to) * to) for v in values]


def test_round_decimals() -> None:
    assert t.round_(pa.array([0.123, 0.15, 0.25]), to=0.1).to_pylist() == [0.1, 0.2, 0.2]
    assert t.round_(pa.array([Decimal("1.26"), None]), to=0.5).to_pylist() == [Decimal("1.50"), None]


def test_top_bottom_code() -> None:
    array = pa.array([1, 50, 99, None])
    assert t.top_bottom_code(array, low=10.0, high=90.0).to_pylist() == [10, 50, 90, None]
    assert t.top_bottom_code(array, high=90.0).to_pylist() == [1, 50, 90, None]
    for bad in ({}, {"low": 2.0, "high": 1.0}, {"low": float("nan")}):
        with pytest.raises(ConfigError):
            t.top_bottom_code(array, **bad)


def test_nan_and_infinity_are_named() -> None:
    for f in (lambda a: t.round_(a), lambda a: t.bucket(a, width=1.0), lambda a: t.microaggregate(a)):
        with pytest.raises(ValueRangeError, match="2 value"):
            f(pa.array([1.0, float("nan"), float("inf"), None]))
    with pytest.raises(ValueRangeError) as e:
        t.round_(pa.array([2**53 + 1]), to=2.0)
    assert "9007199254740993" not in str(e.value)
    with pytest.raises(ValueRangeError, match="does not fit"):
        t.round_(pa.array([120], pa.int8()), to=200.0)


@pytest.mark.parametrize(("distribution", "spread"), [("laplace", 2**0.5), ("gaussian", 1.0), ("uniform", 3**-0.5)])
@pytest.mark.parametrize("keyed", [False, True])
def test_noise_has_the_spread_it_says(distribution: str, spread: float, keyed: bool, key: Key) -> None:
    """Mean and standard deviation over 40,000 rows, within five standard errors: false alarms below 1e-6 each."""
    n = 40_000
    array = pa.array(np.arange(n, dtype=np.float64))
    out = np.array(t.noise(array, scale=3.0, distribution=distribution, keyed=keyed, key=key)) - np.arange(n)
    std = 3.0 * spread
    assert abs(out.mean()) < 5 * std / n**0.5
    kurtosis = {"laplace": 6.0, "gaussian": 3.0, "uniform": 1.8}[distribution]
    assert abs(out.std() / std - 1) < 5 * ((kurtosis - 1) / 4 / n) ** 0.5
    # The same test would see a scale that is off by a tenth.
    assert abs(1.1 - 1) > 5 * ((kurtosis - 1) / 4 / n) ** 0.5


def test_keyed_noise_is_a_function_of_entity_or_value(key: Key) -> None:
    array = pa.array([10.0, 10.0, 20.0, None])
    out = t.noise(array, scale=1.0, keyed=True, key=key).to_pylist()
    assert out[0] == out[1] != out[2]
    assert out[3] is None
    who = pa.array(["a", "b", "a", "c"])
    by = t.noise(array, scale=1.0, keyed=True, entity=who, key=key).to_pylist()
    assert by[0] != by[1]
    assert abs((by[2] - by[0]) - 10) < 1e-9
    assert t.noise(array, scale=1.0).to_pylist() != t.noise(array, scale=1.0).to_pylist()


def test_shuffle_and_rank_swap(key: Key) -> None:
    values = [None if i % 7 == 0 else float((i * 37) % 1000) for i in range(1000)]
    array = pa.array(values)
    for f in (t.shuffle, t.rank_swap):
        out = f(array, keyed=True, key=key)
        assert out.equals(f(array, keyed=True, key=key))
        assert out.is_null().equals(array.is_null())
        assert sorted(out.drop_null().to_pylist()) == sorted(v for v in values if v is not None)
        assert not f(array).equals(f(array))
    present = np.array([v for v in values if v is not None])
    moved = np.array(t.rank_swap(array, percent=5.0, keyed=True, key=key).drop_null())
    ranks = {v: r for r, v in enumerate(sorted(present))}
    # Equal values have one rank here, so a swap among ties may look a few ranks longer.
    assert max(abs(ranks[a] - ranks[b]) for a, b in zip(present, moved, strict=True)) <= 0.05 * len(present) + 2
    assert np.mean(present != moved) > 0.9


def brute_mdav(x: np.ndarray, k: int) -> list[set[int]]:
    """MDAV as its authors write it."""
    left = list(range(len(x)))
    groups = []

    def nearest(point: np.ndarray) -> set[int]:
        return set(sorted(left, key=lambda i: (((x[i] - point) ** 2).sum(), i))[:k])

    def farthest(point: np.ndarray) -> int:
        return max(left, key=lambda i: ((x[i] - point) ** 2).sum())

    while len(left) >= 3 * k:
        r = farthest(x[left].mean(axis=0))
        s = farthest(x[r])
        for p in (r, s):
            g = nearest(x[p])
            groups.append(g)
            left = [i for i in left if i not in g]
    if len(left) >= 2 * k:
        g = nearest(x[farthest(x[left].mean(axis=0))])
        groups.append(g)
        left = [i for i in left if i not in g]
    if left:
        groups.append(set(left))
    return groups


@pytest.mark.parametrize("k", [2, 3, 7])
def test_mdav_against_the_definition(k: int) -> None:
    rng = np.random.default_rng(k)
    for n in (k, 2 * k - 1, 2 * k, 3 * k, 50):
        x = rng.normal(size=(n, 2))
        group = np.zeros(n, np.int64)
        count = mdav.mdav(x, k, group)
        assert sorted(map(sorted, brute_mdav(x, k))) == sorted(sorted(np.flatnonzero(group == g)) for g in range(count))
        line = rng.normal(size=(n, 1))
        count = mdav.line(np.argsort(line[:, 0]), np.ascontiguousarray(line[:, 0]), k, group)
        assert sorted(map(sorted, brute_mdav(line, k))) == sorted(
            sorted(np.flatnonzero(group == g)) for g in range(count)
        )


def test_microaggregate_keeps_means_and_group_sizes() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=500), rng.normal(size=500)
    together = [pa.array(a), pa.array(b)]
    out = [np.array(t.microaggregate(c, k=5, together=together)) for c in together]
    assert np.allclose(out[0].mean(), a.mean())
    pairs = {}
    for pair in zip(*out, strict=True):
        pairs[pair] = pairs.get(pair, 0) + 1
    assert min(pairs.values()) >= 5
    assert max(pairs.values()) <= 9
    with pytest.raises(ValueRangeError, match="too few"):
        t.microaggregate(pa.array([1.0, 2.0, None]), k=3)
    assert t.microaggregate(pa.array([1, 2, 3, None]), k=3).to_pylist() == [2.0, 2.0, 2.0, None]

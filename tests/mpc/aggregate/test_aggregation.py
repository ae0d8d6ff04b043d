"""Pooled sums and tests of counts: right with dropouts, never a wrong number, nothing but noise on the way."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from ppc.errors import ConfigError, ProtocolAbort, ValueRangeError
from ppc.mpc.aggregate import Aggregation, default_quorum
from ppc.net import memory

HEAVY = os.environ.get("PPC_HEAVY") == "1"
Run = Callable[..., dict[str, Any]]


def value(rank: int) -> float:
    """Distinct powers of two: a sum tells whose values are in it."""
    return float(1 << rank)


@pytest.mark.parametrize("n", [2, 3, 5, 50])
def test_every_site_gets_the_sum(run_sites: Run, n: int) -> None:
    found = run_sites(n, lambda pool, i: pool.sum(np.array([i + 1, -0.5 * i, 1e-12])))
    for told in found.values():
        assert told.values == pytest.approx([n * (n + 1) / 2, -0.25 * n * (n - 1), n * 1e-12], rel=1e-7)
        assert told.sites == tuple(f"site-{i}" for i in range(n))


def test_more_sums_than_one_batch_of_keys_and_an_empty_one(run_sites: Run) -> None:
    def work(pool: Aggregation, i: int) -> list[float]:
        sums = [pool.sum([i + k]) for k in range(20)]
        empty = pool.sum(np.zeros(0))
        assert empty is not None
        assert empty.values.shape == (0,)
        return [float(s.values[0]) for s in sums if s]

    assert all(told == [3.0 + 3 * k for k in range(20)] for told in run_sites(3, work).values())


def test_notes_reach_everyone(run_sites: Run) -> None:
    found = run_sites(3, lambda pool, i: pool.gather({"rank": i}))
    assert all(told == {f"site-{i}": {"rank": i} for i in range(3)} for told in found.values())


@pytest.mark.parametrize("minimum", [1, 2, 5])
def test_small_counts_are_found_at_the_edge(run_sites: Run, minimum: int) -> None:
    totals = [0, 1, minimum - 1, minimum, minimum + 1, 40]

    def work(pool: Aggregation, i: int) -> Any:
        return pool.small([t // 3 + (i < t % 3) for t in totals], minimum)

    for bits, sites in run_sites(3, work).values():
        assert bits.tolist() == [0 < t < minimum for t in totals]
        assert len(sites) == 3


# --- dropouts ---
def check_sums(found: dict[str, Any], n: int, quorum: int, killed: set[int]) -> None:
    """Every sum that any site got is that of the sites it names, at least `quorum`, and all sites agree."""
    sums: dict[int, set[tuple[float, tuple[str, ...]]]] = {}
    for site, told in found.items():
        rank = int(site.split("-")[1])
        if rank not in killed:
            assert isinstance(told, list) or (isinstance(told, ProtocolAbort) and len(killed) > n - quorum), told
        for k, item in enumerate(told if isinstance(told, list) else []):
            assert item.values[0] == sum(value(int(s.split("-")[1])) for s in item.sites)
            assert item.values[1] == k * len(item.sites)
            assert len(item.sites) >= quorum
            sums.setdefault(k, set()).add((float(item.values[0]), item.sites))
    assert all(len(versions) == 1 for versions in sums.values())


def several(k: int) -> Callable[[Aggregation, int], Any]:
    """A site that takes part in k sums."""

    def work(pool: Aggregation, i: int) -> Any:
        sums = [pool.sum([value(i), float(j)]) for j in range(k)]
        pool.finish()
        return sums

    return work


@pytest.mark.parametrize("seed", range(100 if HEAVY else 25))
def test_three_of_ten_killed_at_random_moments(run_sites: Run, seed: int) -> None:
    rng = random.Random(seed)
    killed = rng.sample(range(10), 3)
    found = run_sites(
        10,
        several(3),
        lives={k: rng.randint(1, 70 if k == 0 else 25) for k in killed},
    )
    check_sums(found, 10, default_quorum(10), set(killed))


@pytest.mark.parametrize("life", range(1, 75, 4))
def test_the_leader_dies_at_any_moment(run_sites: Run, life: int) -> None:
    found = run_sites(4, several(2), lives={0: life})
    check_sums(found, 4, 3, {0})


def test_below_the_quorum_there_is_a_clear_failure(run_sites: Run) -> None:
    found = run_sites(4, several(1), lives={2: 2, 3: 2})
    for site in ("site-0", "site-1"):
        assert isinstance(found[site], ProtocolAbort)
        assert "2 of 4 sites are left, and 3 are needed" in str(found[site])
        assert "site-2" in str(found[site])
        assert "site-3" in str(found[site])


def test_a_sum_within_other_sites_does_not_open(run_sites: Run) -> None:
    def work(pool: Aggregation, i: int) -> Any:
        all_four = [f"site-{k}" for k in range(4)]
        before = pool.sum([value(i)], within=all_four)
        after = pool.sum([value(i)], within=all_four)
        return before, after, pool.sum([value(i)])

    found = run_sites(4, work, lives={3: 12})
    for site in ("site-0", "site-1", "site-2"):
        before, after, rest = found[site]
        assert before is None or before.values[0] == 15
        assert after is None
        assert rest.values[0] == 7


def test_the_test_of_counts_begins_anew_without_the_lost_site(run_sites: Run) -> None:
    for life in range(1, 12, 2):
        found = run_sites(4, lambda pool, i: pool.small([2 * (i == 3) + 3 * (i == 1)], 5), lives={3: life})
        for site in ("site-0", "site-1", "site-2"):
            bits, sites = found[site]
            assert bits.tolist() == [len(sites) == 3]  # 3 patients without site-3, 5 with it


# --- who misbehaves ---
def _late(rank: int, lines: dict[str, Any]) -> None:
    if rank == 2:
        send = lines["site-0"].send

        def never(tag: str, *arrays: Any) -> None:
            if not tag.endswith("reply 2"):
                send(tag, *arrays)

        lines["site-0"].send = never


def _twice(rank: int, lines: dict[str, Any]) -> None:
    if rank == 2:
        send = lines["site-0"].send

        def again(tag: str, *arrays: Any) -> None:
            send(tag, *arrays)
            send(tag, *arrays)

        lines["site-0"].send = again


def _malformed(rank: int, lines: dict[str, Any]) -> None:
    if rank == 2:
        send = lines["site-0"].send
        lines["site-0"].send = lambda tag, *arrays: send(tag, *(a[:-1] for a in arrays))


@pytest.mark.parametrize(
    ("change", "why"), [(_late, "late"), (_twice, "malformed"), (_malformed, "malformed")], ids=["late", "twice", "bad"]
)
def test_who_misbehaves_is_excluded_by_name(run_sites: Run, change: Any, why: str) -> None:
    def work(pool: Aggregation, i: int) -> Any:
        first = pool.sum([value(i)])
        return first, pool.sum([value(i)]), dict(pool.lost)

    found = run_sites(4, work, change=change, deadline_s=0.4)
    for site in ("site-0", "site-1", "site-3"):
        first, second, lost = found[site]
        for told in (first, second):
            assert told.values[0] == sum(value(int(s[-1])) for s in told.sites)
        assert set(second.sites) == {"site-0", "site-1", "site-3"}
        assert why in lost["site-2"]
    assert isinstance(found["site-2"], ProtocolAbort)


def test_settings_are_checked() -> None:
    lines = memory.network(["a", "b", "c"])["a"]
    with pytest.raises(ConfigError, match="quorum"):
        Aggregation("a", ["a", "b", "c"], lines, quorum=1)
    with pytest.raises(ConfigError, match="no channel to d"):
        Aggregation("a", ["a", "b", "d"], lines)
    with pytest.raises(ConfigError, match="between 2 and 50"):
        Aggregation("a", ["a"], lines)
    assert [default_quorum(n) for n in (2, 3, 4, 10, 50)] == [2, 2, 3, 7, 34]


def test_a_value_out_of_range_never_travels(run_sites: Run) -> None:
    found = run_sites(3, lambda pool, i: pool.sum([np.nan if i == 2 else 1.0], name="column 'age'"))
    assert isinstance(found["site-2"], ValueRangeError)
    assert found["site-0"].sites == ("site-0", "site-1")


# --- what travels ---
@pytest.fixture
def frames(run_sites: Run) -> Callable[[list[float]], list[tuple[int, str, Any]]]:
    """Every array that any site sends in one sum of a long vector: (sender, tag, array)."""

    def record(values: list[float]) -> list[tuple[int, str, Any]]:
        seen: list[tuple[int, str, Any]] = []

        def change(rank: int, lines: dict[str, Any]) -> None:
            for line in lines.values():

                def send(tag: str, *arrays: Any, _send: Any = line.send) -> None:
                    seen.extend((rank, tag, np.array(a)) for a in arrays)
                    _send(tag, *arrays)

                line.send = send

        run_sites(3, lambda pool, i: pool.sum(np.full(4000, values[i])), change=change)
        return seen

    return record


def uniform(words: Any) -> float:
    """Chi-square of the bytes, 255 degrees of freedom: above 400 once in ten million."""
    octets = np.ascontiguousarray(words).view(np.uint8).reshape(-1)
    return float(((np.bincount(octets, minlength=256) - len(octets) / 256) ** 2 / (len(octets) / 256)).sum())


def test_the_leader_receives_noise_and_equal_sums_look_alike(frames: Any) -> None:
    for values in ([0.0, 0.0, 0.0], [5.0, -2.0, -3.0]):
        seen = frames(values)
        vectors = [a for rank, _tag, a in seen if rank != 0 and a.dtype == np.uint64 and a.shape == (4000, 2)]
        assert len(vectors) == 2
        for vector in vectors:
            assert uniform(vector) < 400
        # Neither do two of them, nor one and the same place of both halves, show anything together.
        for a, b in combinations(vectors, 2):
            assert uniform(a + b) < 400
            assert uniform(a ^ b) < 400
        sent_in_clear = [a for rank, _tag, a in seen if a.dtype == np.uint64 and rank == 0]
        assert all((a == 0).all() for a in sent_in_clear), "only the pooled sum, which is 0, leaves the leader"
    assert uniform(np.full(4000, 5, np.uint64)) > 400


def test_bytes_a_site_are_the_vector_and_a_little(run_sites: Run) -> None:
    def work(pool: Aggregation, i: int) -> int:
        pool.sum(np.zeros(100_000))
        return sum(c.meter.sent for c in pool._star._channels.values())

    found = run_sites(5, work)
    assert all(found[f"site-{i}"] < 1.1 * 16 * 100_000 for i in range(1, 5))


def test_frames_of_the_test_of_counts_look_alike_whatever_the_counts(run_sites: Run) -> None:
    """No encoded count, no point twice, and bytes as of random points; so for small, for large and for no counts."""
    import nacl.bindings as sodium

    known = {sodium.crypto_scalarmult_ed25519_base_noclamp(k.to_bytes(32, "little")) for k in range(1, 60)}
    for counts in ([0] * 40, [1] * 40, [17] * 40):
        seen: list[Any] = []

        def change(rank: int, lines: dict[str, Any], seen: list[Any] = seen) -> None:
            for line in lines.values():

                def send(tag: str, *arrays: Any, _send: Any = line.send) -> None:
                    seen.extend(a.reshape(-1, 32) for a in arrays if a.dtype == np.uint8 and a.shape[-1:] == (32,))
                    _send(tag, *arrays)

                line.send = send

        run_sites(3, lambda pool, i, c=counts: pool.small(c, 5), change=change)
        points = np.concatenate(seen)
        assert len(points) > 2000
        assert not {p.tobytes() for p in points} & known
        # The top byte of a point is not uniform: the field is 2^255 - 19, and its last bit is a sign.
        once = np.unique(points, axis=0)
        assert uniform(once[:, :31]) < 400

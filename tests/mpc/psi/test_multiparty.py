"""Matching among three and more parties: right on every kind of set, telling no more than it says."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.errors import ConfigError, DisclosureRefused, FrameError, PpcError, ProtocolAbort, TypeMismatchError
from ppc.mpc.psi import multiparty, oprf
from ppc.mpc.psi.keys import Normalise, prepare
from ppc.net import memory

QUICK = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def ids(values) -> dict:
    return {"id": pa.array([f"customer {v}" for v in values], pa.string())}


def among(programs, nets=None):
    """Run each party's program of its channels; what each returned or raised."""
    names = list(programs)
    nets = nets or memory.network(names)
    results = {}

    def call(name):
        try:
            results[name] = programs[name](nets[name])
        except PpcError as e:
            results[name] = e
            for end in nets[name].values():
                end.abort(e)

    threads = [threading.Thread(target=call, args=(n,), daemon=True) for n in names]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
        assert not t.is_alive(), "a party hangs"
    return results


def match(sets, nets=None, **options):
    """The matched keys, after checking that they are right and that all have them in one order."""
    found = among({n: lambda c, n=n: multiparty.intersect(c, ids(sets[n]), **options) for n in sets}, nets)
    for result in found.values():
        if isinstance(result, Exception):
            raise result
        assert result.dtype == np.int64
    lists = [[sets[n][i] for i in found[n]] for n in sets]
    assert all(keys == lists[0] for keys in lists), "the order is not shared"
    assert len(lists[0]) == len(set(lists[0]))
    assert set(lists[0]) == set.intersection(*(set(s) for s in sets.values()))
    return lists[0]


@QUICK
@given(st.lists(st.sets(st.integers(0, 40)), min_size=3, max_size=4))
def test_agrees_with_python_sets(sets):
    match({f"party-{i}": list(s) for i, s in enumerate(sets)})


@pytest.mark.parametrize(
    "sets",
    [
        ([], [1], [1]),
        ([1], [1], [1]),
        ([1], [2], [3]),
        ([1, 2], [2, 3], [3, 1]),  # every two have one in common, all three none
        (list(range(300)), list(range(300)), list(range(300))),
        ([7], list(range(900)), list(range(5, 500))),
    ],
)
def test_sizes_and_overlaps(sets):
    match(dict(zip("abc", sets, strict=True)))


def test_five_parties_and_both_kinds_of_randomness():
    universe = np.random.default_rng(3).permutation(9000)
    sets = {f"p{i}": universe[300 * i : 6000 + 300 * i].tolist() for i in range(3)}
    assert len(match(sets, randomness="silent")) == 5400
    match({f"p{i}": list(range(i, 60 + i)) for i in range(5)}, randomness="ot")


def test_nulls_and_normalised_names():
    norm = Normalise(case=True, spaces="trim")
    keys = [
        prepare({"n": pa.array(v, pa.string())}, normalise=norm)
        for v in (["Ann", None, "Bob"], ["bob ", "cid"], [None, "BOB", "dan", "ann"])
    ]
    found = among({n: lambda c, k=k: multiparty.intersect(c, k) for n, k in zip("abc", keys, strict=True)})
    assert [found[n].tolist() for n in "abc"] == [[2], [0], [1]]


def test_two_parties_are_refused():
    with pytest.raises(ConfigError, match="three or more"):
        multiparty.intersect({"b": memory.pair("a", "b")[0]}, ids([1]))


def test_other_kinds_of_keys_other_settings_and_too_many_rows_are_named():
    text, whole = ids([1]), {"id": pa.array([1])}
    found = among(
        {n: lambda c, k=k: multiparty.intersect(c, k) for n, k in zip("abc", (text, text, whole), strict=True)}
    )
    assert any(isinstance(e, TypeMismatchError) and "c" in str(e) for e in found.values())
    found = among({
        n: lambda c, r=r: multiparty.intersect(c, text, randomness=r)
        for n, r in zip("abc", ("ot", "silent", "ot"), strict=True)
    })  # fmt: skip
    assert any(isinstance(e, ProtocolAbort) for e in found.values())
    sizes = {"a": 2, "b": 9, "c": 2}
    found = among({n: lambda c, n=n: multiparty.intersect(c, ids(range(sizes[n])), max_peer_rows=4) for n in sizes})
    assert isinstance(found["a"], DisclosureRefused)
    assert "9 keys" in str(found["a"])
    assert all(isinstance(e, PpcError) for e in found.values())


def test_a_leader_that_lies_about_the_result_is_refused(monkeypatch):
    real = multiparty._names

    def other(keys, naming):
        names = real(keys, naming).copy()
        names[:, 0] ^= 1
        return names

    sets = {"a": [1, 2], "b": [1, 2, 3], "c": [1, 2, 3, 4]}

    def leader(channels):
        return multiparty.intersect(channels, ids(sets["a"]))

    calls = threading.local()
    monkeypatch.setattr(
        multiparty, "_names", lambda keys, naming: (other if getattr(calls, "lies", False) else real)(keys, naming)
    )

    def lying(channels):
        calls.lies = True
        return leader(channels)

    found = among({"a": lying, **{n: lambda c, n=n: multiparty.intersect(c, ids(sets[n])) for n in "bc"}})
    assert isinstance(found["b"], FrameError)
    assert isinstance(found["c"], FrameError)
    assert "not mine" in str(found["b"])


def test_a_party_that_vanishes_is_noticed_by_all():
    def leave(channels):
        for end in channels.values():
            end.close()

    sets = {"a": list(range(50)), "b": list(range(60))}
    found = among({**{n: lambda c, n=n: multiparty.intersect(c, ids(sets[n])) for n in "ab"}, "c": leave})
    assert all(isinstance(found[n], PpcError) for n in "ab")


def test_what_the_leader_reads_of_partial_matches_is_uniform():
    """The leader's sum of blocks, for keys that it and one other have but not the third, is spread evenly over bytes.

    Chi-square over 256 values with 8000 bytes; false alarm 1e-6 (limit 375.4 at 255 degrees of freedom). Without the
    third party's zero share the sum would be zero, which fails.
    """
    seen = []
    real = oprf.query

    def spy(channel, keys, mine, programmed, salt):
        got = real(channel, keys, mine, programmed, salt)
        seen.append((channel.peer, got))
        return got

    multiparty.oprf.query, restore = spy, real
    try:
        match({"a": list(range(500)), "b": list(range(500)), "c": list(range(1000, 1501))})
    finally:
        multiparty.oprf.query = restore
    (blocks,) = [got for peer, got in seen if peer == "b"]
    counts = np.bincount(blocks.view(np.uint8).ravel(), minlength=256)
    expected = counts.sum() / 256
    assert ((counts - expected) ** 2 / expected).sum() < 375.4
    assert counts.sum() == 8000


def test_cost():
    from ppc.mpc.psi import okvs

    sets = {"a": list(range(9000)), "b": list(range(100, 9200)), "c": list(range(200, 9400))}
    nets = memory.network(list(sets))
    match(sets, nets)
    store = {n: 16 * okvs.layout(len(s)).blocks for n, s in sets.items()}
    for other in "bc":
        ours, theirs = nets["a"][other].meter, nets[other]["a"].meter
        assert 0 < ours.sent - store["a"] - 16 * 8800 < 700_000
        assert 0 < theirs.sent - store[other] < 140_000
    assert nets["b"]["c"].meter.sent < 1000

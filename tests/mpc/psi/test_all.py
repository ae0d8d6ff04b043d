"""What holds for every protocol of `conftest.PROTOCOLS`: the right rows for any sets, an error for anything else."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.errors import DisclosureRefused, KeyColumnError, PpcError, ProtocolAbort, TypeMismatchError
from ppc.mpc.psi.keys import Normalise, prepare
from ppc.net import memory

RELAXED = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
KEYS = st.one_of(st.text(min_size=1, max_size=12), st.integers(0, 40).map(str))


def text(values) -> dict:
    return {"id": pa.array(values, pa.string())}


def match(both, run, left, right, channels=None):
    """The matching rows of both, checked against Python's sets and each other."""
    a, b = both(lambda c: run(c, text(left)), lambda c: run(c, text(right)), channels)
    for result in (a, b):
        if isinstance(result, Exception):
            raise result
        assert result.dtype == np.int64
    left_keys, right_keys = [left[i] for i in a], [right[i] for i in b]
    assert left_keys == right_keys, "the order is not shared"
    assert len(left_keys) == len(set(left_keys))
    assert set(left_keys) == set(left) & set(right)
    return a, b


@RELAXED
@given(st.sets(KEYS, max_size=30), st.sets(KEYS, max_size=30), st.randoms(use_true_random=False))
def test_agrees_with_python_sets(both, run, left, right, random):
    left, right = sorted(left), sorted(right)
    random.shuffle(right)
    match(both, run, left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([], []),
        ([], ["1"]),
        (["1"], []),
        (["1"], ["1"]),
        (["1"], ["2"]),
        (range(300), range(300)),
        (range(300), range(300, 600)),
        ([5], range(900)),
        (range(900), [5, 5000]),
    ],
    ids=["none", "none here", "none there", "one", "one apart", "all", "no match", "one of many", "many and two"],
)
def test_sizes_and_overlaps(both, run, left, right):
    match(both, run, [str(v) for v in left], [str(v) for v in right])


def test_thousands_of_rows(both, run):
    universe = [str(v) for v in np.random.default_rng(3).permutation(14_000)]
    a, _ = match(both, run, universe[:5_000], universe[4_000:12_000])
    assert len(a) == 1_000
    assert not (np.diff(a) > 0).all()  # the order is not that of the rows; by chance in one of 1000! runs


def test_rows_without_a_key_never_match(both, run):
    nothing = [None, "", None]
    assert [len(r) for r in both(lambda c: run(c, text(nothing)), lambda c: run(c, text(nothing)))] == [0, 0]
    some = [None, "a", "", "b"]
    a, b = both(lambda c: run(c, text(some)), lambda c: run(c, text([None, "b", "c"])))
    assert (a.tolist(), b.tolist()) == ([3], [1])


def test_repetitions_at_either_side(both, run):
    """Refused before anything is sent, or the first row of each stands for all."""
    twice, once = ["a", "b", "a", "c"], ["c", "a"]
    for left, right in ((twice, once), (once, twice), (twice, twice)):
        with pytest.raises(KeyColumnError, match="1 of 4 rows"):
            run(memory.pair("bank-a", "bank-b")[0], text(twice))
        first = [prepare(text(side), duplicates="first") for side in (left, right)]
        a, b = both(lambda c, k=first[0]: run(c, k), lambda c, k=first[1]: run(c, k))
        assert {left[i] for i in a} == set(left) & set(right)
        assert [left[i] for i in a] == [right[i] for i in b]
        assert all(side.index(side[i]) == i for side, rows in ((left, a), (right, b)) for i in rows)


def test_items_of_a_megabyte(both, run):
    big = "x" * (1 << 20)
    a, b = both(lambda c: run(c, text([big, "y", big + "1"])), lambda c: run(c, text([big + "2", big])))
    assert (a.tolist(), b.tolist()) == ([0], [1])


def test_numbers_never_match_texts(both, run):
    a, b = both(lambda c: run(c, {"id": pa.array([12])}), lambda c: run(c, text(["12"])))
    for error in (a, b):
        assert isinstance(error, TypeMismatchError)
        assert "integer" in error.what
        assert "text" in error.what


def test_text_that_is_not_utf8(run):
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )
    ends = memory.pair("bank-a", "bank-b")
    with pytest.raises(KeyColumnError, match="UTF-8"):
        run(ends[0], {"id": broken})
    assert ends[0].meter.messages == 0


def test_several_columns(both, run):
    left = prepare(
        {"name": pa.array(["Ann", "Bob", None, "Cid", "ANN "]), "born": pa.array([1, 2, 3, 4, 1])},
        normalise=Normalise(case=True, spaces="trim"), duplicates="first",
    )  # fmt: skip
    right = prepare(
        {"n": pa.array(["cid", "ann", None, "bob"]), "b": pa.array([4, 1, 3, 9], pa.int16())},
        normalise=Normalise(case=True, spaces="trim"),
    )
    a, b = both(lambda c: run(c, left), lambda c: run(c, right))
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == [(0, 1), (3, 0)]


# --- peers that differ, and peers that go ---
def test_a_peer_with_another_protocol(both, registry):
    names = list(registry)
    for one, other in zip(names, names[1:] + names[:1], strict=True):
        a, b = both(lambda c, r=registry[one]: r(c, text(["1"])), lambda c, r=registry[other]: r(c, text(["1"])))
        for error in (a, b):
            assert isinstance(error, ProtocolAbort), (one, other)
            assert "protocol" in error.what


def test_a_peer_with_other_settings(both, run):
    a, b = both(
        lambda c: run(c, prepare(text(["x"]), normalise=Normalise(case=True))), lambda c: run(c, text(["x"]))
    )  # fmt: skip
    for error in (a, b):
        assert isinstance(error, ProtocolAbort)
        assert "normalise" in error.what


def test_a_set_larger_than_allowed(both, run):
    a, b = both(
        lambda c: run(c, text(["x"]), max_peer_rows=9), lambda c: run(c, text([str(v) for v in range(10)]))
    )  # fmt: skip
    assert isinstance(a, DisclosureRefused)
    assert "10 keys; at most 9" in a.what
    assert isinstance(b, PpcError)


class Dies(Exception):
    """The party that is killed."""


@pytest.mark.parametrize("dying", ["bank-a", "bank-b"])
def test_a_peer_that_dies_at_any_message(both, run, dying):
    """The other one gets an error that names it, and no result; whichever message is the last."""
    rows = [str(v) for v in range(20)], [str(v) for v in range(10, 40)]

    def attempt(limit: int):
        ends = memory.pair("bank-a", "bank-b")
        end = ends[dying == "bank-b"]
        queue, sent = end._queue, 0

        def dies(parts):
            nonlocal sent
            if sent >= limit:
                raise Dies
            sent += 1
            queue(parts)

        end._queue = dies
        results = both(lambda c: run(c, text(rows[0])), lambda c: run(c, text(rows[1])), ends)
        return results[dying == "bank-b"], results[dying == "bank-a"], sent

    whole = attempt(10**6)[2]
    assert whole >= 3
    for limit in range(whole):
        dead, living, _ = attempt(limit)
        assert isinstance(dead, Dies)
        assert isinstance(living, PpcError), f"{living!r} after {limit} messages"
        assert living.party == dying


def test_the_greeting_says_what_is_announced_and_no_more(both, run):
    ends = memory.pair("bank-a", "bank-b")
    frames: list[bytes] = []
    put = ends[0]._out.put
    ends[0]._out.put = lambda frame: (frames.append(bytes(frame)), put(frame))[1]
    match(both, run, ["a", "b"], ["b"], ends)
    hello = json.loads(frames[0][frames[0].index(b"{") :])
    assert set(hello) == {"protocol", "types", "normalise", "rows", "nonce"}
    assert (hello["rows"], hello["types"]) == (2, ["text"])

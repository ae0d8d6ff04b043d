"""A prepared large set and clients with small ones: right, the cache is guarded, hostile bytes are refused."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.errors import DisclosureRefused, FileError, FrameError, ProtocolAbort, TypeMismatchError, ValueRangeError
from ppc.mpc.psi import unbalanced
from ppc.mpc.psi.keys import Normalise, as_keys, prepare
from ppc.mpc.psi.unbalanced import Cache, ask, build, serve
from ppc.net import memory
from ppc.net.channel import Spec

QUICK = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def ids(values) -> dict:
    return {"id": pa.array([f"customer {v}" for v in values], pa.string())}


def both_learn(both, large, small, cache=None, **options):
    cache = cache or build(ids(large))
    served, asked = both(lambda c: serve(c, cache, tell=True), lambda c: ask(c, ids(small), tell=True, **options))
    for result in (served, asked):
        if isinstance(result, Exception):
            raise result
    match, known = asked
    assert [large[i] for i in served] == [small[i] for i in match.rows]
    assert {small[i] for i in match.rows} == set(large) & set(small)
    assert len(match.rows) == len(set(match.rows.tolist()))
    return match, known


@QUICK
@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60), max_size=10))
def test_agrees_with_python_sets(both, large, small):
    both_learn(both, list(large), list(small)[::-1])


@QUICK
@given(
    st.dictionaries(st.integers(0, 30), st.one_of(st.none(), st.text(max_size=20)), max_size=20),
    st.sets(st.integers(0, 30)),
)
def test_labels_come_with_their_keys(both, labelled, small):
    labels = pa.array(list(labelled.values()), pa.string())
    cache, small = build(ids(labelled), labels=labels), list(small)
    _, (match, _) = both(lambda c: serve(c, cache), lambda c: ask(c, ids(small)))
    found = dict(zip([small[i] for i in match.rows], match.labels.to_pylist(), strict=True))
    assert found == {k: (labelled[k] or "").encode() for k in set(small) & set(labelled)}


def test_one_cache_serves_many_clients_and_travels_once(both):
    cache = build(ids(range(2000)))
    _, known = both_learn(both, list(range(2000)), list(range(1990, 2010)), cache)
    ends = memory.pair("server", "client")
    served, (match, again) = both(
        lambda c: serve(c, cache, tell=True), lambda c: ask(c, ids([3, 5000]), tell=True, known=known), ends
    )
    assert served.tolist() == [3]
    assert match.rows.tolist() == [0]
    assert again is known
    assert ends[0].meter.sent < 1000
    fresh = build(ids(range(2000)))
    assert fresh.version != cache.version
    assert not (fresh.tags[:5] == cache.tags[:5]).all()
    both_learn(both, list(range(2000)), [3, 5000], fresh, known=known)  # another cache: what is known is not used


def test_rows_without_a_key_and_several_columns(both):
    norm = Normalise(case=True)
    table = prepare({"n": pa.array(["Ann", None, "Bob"]), "b": pa.array([1, 2, 3])}, normalise=norm)
    mine = prepare({"x": pa.array(["bob", "ANN", None]), "y": pa.array([3, 9, 1])}, normalise=norm)
    served, (match, _) = both(lambda c: serve(c, build(table), tell=True), lambda c: ask(c, mine, tell=True))
    assert served.tolist() == [2]
    assert match.rows.tolist() == [0]


# --- the cache ---
def test_a_cache_goes_to_a_file_and_comes_back(both, tmp_path):
    path = tmp_path / "customers.cache"
    cache = build(ids(range(50)), labels=pa.array([f"grade {v}" for v in range(50)]))
    cache.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    back = Cache.read(path)
    _, (match, _) = both(lambda c: serve(c, back), lambda c: ask(c, ids([7, 99])))
    assert match.labels.to_pylist() == [b"grade 7"]
    assert cache.secret.hex() not in repr(back)
    assert "customer" not in repr(back)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(back)


def test_what_is_no_cache_is_refused(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(FileError, match="cannot read"):
        Cache.read(path)
    path.write_bytes(b"something else")
    with pytest.raises(FileError, match="no cache"):
        Cache.read(path)
    head = {"salt": "00", "secret": "00", "types": ["text"], "normalise": {}, "keys": 1}
    for wrong in (head, {**head, "normalise": {"case": 1, "spaces": "maybe"}}):
        table = pa.table({"tag": pa.array([b"12"], pa.binary(2)), "row": [0]})
        with (
            pa.OSFile(str(path), "wb") as out,
            pa.ipc.new_file(
                out, table.replace_schema_metadata({"ppc psi cache v1": json.dumps(wrong)}).schema
            ) as writer,
        ):
            writer.write_table(table)
        with pytest.raises(FileError, match="no cache"):
            Cache.read(path)


def test_labels_must_fit():
    with pytest.raises(ValueRangeError, match="1 labels for 2 rows"):
        build(ids([1, 2]), labels=pa.array(["a"]))
    with pytest.raises(ValueRangeError, match="4097 bytes"):
        build(ids([1]), labels=pa.array(["x" * 4097]))
    with pytest.raises(ValueRangeError, match="text or binary"):
        build(ids([1]), labels=pa.array([1.5]))


def test_tags_and_sealed_labels_look_random():
    """Equal labels under different keys differ, and bytes of tags and labels are spread evenly: chi-square at 255
    degrees of freedom below 375.4 each (false alarm 1e-6 each). The unsealed labels fail it."""
    n = 2000
    cache = build(ids(range(n)), labels=pa.array(["the same label"] * n))
    for rows in (cache.tags, cache.labels):
        counts = np.bincount(rows.ravel(), minlength=256)
        assert ((counts - rows.size / 256) ** 2 / (rows.size / 256)).sum() < 375.4
    bare = np.bincount(np.frombuffer(b"the same label" * n, np.uint8), minlength=256)
    assert ((bare - bare.sum() / 256) ** 2 / (bare.sum() / 256)).sum() > 375.4
    assert (np.diff(cache.tags.astype(np.int64)[:, 0]) >= 0).all()


# --- what a peer may do ---
def test_too_many_keys_other_kinds_and_other_wishes_are_named(both):
    cache = build(ids([1]))
    found, _ = both(lambda c: serve(c, cache, max_peer_rows=2), lambda c: ask(c, ids(range(3))))
    assert isinstance(found, DisclosureRefused)
    assert "3 keys" in str(found)
    found, _ = both(lambda c: serve(c, cache), lambda c: ask(c, {"id": pa.array([1])}))
    assert isinstance(found, TypeMismatchError)
    found, _ = both(lambda c: serve(c, cache, tell=True), lambda c: ask(c, ids([1])))
    assert isinstance(found, ProtocolAbort)


def hostile_client(points=None, found=None):
    def run(c):
        unbalanced.greet(c, as_keys(ids([1])), unbalanced._spoken(True), 10)
        c.recv_bytes("psi salt", 64)
        c.recv("psi label length", Spec(np.uint64, 1))
        c.send("psi known", np.array([True], np.uint8))
        c.send("psi points", points)
        c.recv("psi points", Spec(np.uint8, (1, 32)))
        c.send("psi found", found)

    return run


def test_points_outside_the_group_and_places_that_do_not_exist(both):
    cache = build(ids([1, 2]))
    good = unbalanced.group.hash_and_multiply([b"x" * 32], unbalanced.group.secret_scalar())
    small_order = np.zeros((1, 32), np.uint8)
    small_order[0, 0] = 1
    for bad in (small_order, np.full((1, 32), 255, np.uint8)):
        found, _ = both(lambda c: serve(c, cache, tell=True), hostile_client(bad))
        assert isinstance(found, FrameError)
        assert "prime-order group" in str(found)
    for place in ([2], [-1], [0, 1], [[0]], [0.0]):
        found, _ = both(lambda c: serve(c, cache, tell=True), hostile_client(good, np.array(place)))
        assert isinstance(found, FrameError), place


def test_a_label_of_an_impossible_length_is_refused(both):
    cache = build(ids([1]), labels=pa.array(["abc"]))
    cache.labels[0, :4] ^= 255
    _, found = both(lambda c: serve(c, cache), lambda c: ask(c, ids([1])))
    assert isinstance(found, FrameError)
    assert "impossible length" in str(found)


def test_a_client_with_too_many_keys_is_sent_elsewhere(both, monkeypatch):
    monkeypatch.setattr(unbalanced, "_MAX_CLIENT_BITS", 3)
    with pytest.raises(ValueRangeError, match="at most 8 keys"):
        ask(memory.pair("a", "b")[0], ids(range(9)))


def test_tags_that_begin_alike_are_told_apart():
    tags = np.zeros((3, 11), np.uint8)
    tags[:, 10] = [1, 2, 3]
    outputs = np.zeros((4, 32), np.uint8)
    outputs[:, 10] = [3, 0, 1, 9]
    mine, place = unbalanced._look_up(outputs, tags)
    assert mine.tolist() == [0, 2]
    assert place.tolist() == [2, 0]

"""Sets in buckets: the same result as at once, padded sizes, bounded memory, and going on after a stop."""

from __future__ import annotations

import math
import stat

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.errors import DisclosureRefused, FileError, KeyColumnError, PeerUnavailable, ProtocolAbort, TypeMismatchError
from ppc.mpc.psi import large, protocols
from ppc.mpc.psi.keys import prepare
from ppc.mpc.psi.large import Work, buckets_for, capacity, intersect
from ppc.mpc.psi.spool import RECORD, Spool, gather
from ppc.net import memory


def keyset(values, batch=7, **options):
    values = pa.array(values, pa.string()) if not isinstance(values, pa.Array) else values
    parts = [{"id": values.slice(i, batch)} for i in range(0, max(1, len(values)), batch)]
    return gather(parts, **options)


def plain(channel, keys, theirs, progress):
    """Stands for a protocol where only buckets are tested: the digests themselves travel."""
    mine = keys.digests()
    assert len(keys) <= 1 << 20
    channel.send("digests", mine)
    (other,) = channel.recv_arrays("digests", 1 << 26)
    assert len(other) == theirs, "the peer fills its buckets up"
    known = {d.tobytes(): i for i, d in enumerate(mine)}
    common = sorted(d.tobytes() for d in other if d.tobytes() in known)
    return keys.rows[[known[d] for d in common]].reshape(-1)


def run(both, left, right, **options):
    a, b = both(
        lambda c: intersect(c, left, options.get("match", plain), "plain", bucket_rows=options.get("bucket_rows", 20)),
        lambda c: intersect(c, right, options.get("match", plain), "plain", bucket_rows=options.get("bucket_rows", 20)),
    )
    return a, b


# --- the bound ---
@settings(deadline=None, max_examples=60)
@given(st.integers(1, 1 << 26), st.integers(2, 64))
def test_a_bucket_overflows_with_probability_below_2_to_minus_40(rows, buckets):
    from scipy.stats import binom

    k = capacity(rows, buckets)
    assert math.ceil(rows / buckets) <= k <= rows
    assert buckets * binom.sf(k, rows, 1 / buckets) <= 2.0**-40


def test_the_padding_is_small_for_large_buckets():
    assert capacity(1 << 24, 16) < 1.01 * (1 << 20)
    assert capacity(0, 5) == 0
    assert capacity(9, 1) == 9
    assert (buckets_for(1 << 20), buckets_for(5 << 18), buckets_for((5 << 18) + 1), buckets_for(1 << 24)) == (
        1,
        1,
        2,
        16,
    )


def test_the_exact_tail_would_reject_a_bucket_without_room():
    from scipy.stats import binom

    assert 16 * binom.sf(1 << 20, 1 << 24, 1 / 16) > 2.0**-40


# --- the same as at once ---
@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(0, 150), max_size=90), st.sets(st.integers(0, 150), max_size=90))
def test_buckets_give_the_intersection(left, right):
    import threading

    left, right = [f"k{i}" for i in left], [f"k{i}" for i in right]
    ends, found = memory.pair("a", "b"), [None, None]

    def party(i, values):
        with keyset(values) as keys:
            found[i] = intersect(ends[i], keys, plain, "plain", bucket_rows=20).rows

    threads = [threading.Thread(target=party, args=(i, v)) for i, v in enumerate((left, right))]
    [t.start() for t in threads]
    [t.join(60) for t in threads]
    pairs = [(left[i], right[j]) for i, j in zip(*found, strict=True)]
    assert all(x == y for x, y in pairs)
    assert {x for x, _ in pairs} == set(left) & set(right)


@pytest.mark.parametrize("protocol", ["ecdh", "rr22"])
def test_real_protocols_in_buckets(both, protocol):
    left, right = [f"k{i}" for i in range(700)], [f"k{i}" for i in range(300, 1000)][::-1]

    def match(channel, keys, theirs, progress):
        return protocols.intersect(channel, keys, protocol=protocol, max_peer_rows=theirs, progress=progress)

    seen = []
    a, b = both(
        lambda c: intersect(
            c, keyset(left), match, protocol, bucket_rows=250, progress=lambda f, w: seen.append((f, w))
        ),
        lambda c: intersect(c, keyset(right), match, protocol, bucket_rows=250),
    )
    assert (a.buckets, a.theirs) == (3, 700)
    assert [left[i] for i in a.rows] == [right[j] for j in b.rows]
    assert sorted(left[i] for i in a.rows) == sorted(set(left) & set(right))
    assert seen[-1][1].startswith("bucket 3 of 3")
    assert [f for f, _ in seen] == sorted(f for f, _ in seen)


def test_what_travels_depends_on_sizes_only(both):
    """Two pairs of sets of the same sizes, all matching and none: to the byte the same traffic, apart from the plan."""
    sizes = []
    for overlap in (0, 60):
        left, right = [f"x{i}" for i in range(60)], [f"x{i}" for i in range(60 - overlap, 120 - overlap)]
        ends = memory.pair("a", "b")
        counts = []

        def counting(channel, keys, theirs, progress, counts=counts):
            counts.append((channel.me, len(keys), theirs))
            return plain(channel, keys, theirs, progress)

        both(
            lambda c: intersect(c, keyset(left), counting, "plain", bucket_rows=20),  # noqa: B023
            lambda c: intersect(c, keyset(right), counting, "plain", bucket_rows=20),  # noqa: B023
            ends,
        )
        sizes.append(sorted(counts))
    assert sizes[0] == sizes[1]


def test_the_order_says_nothing_of_places(both):
    """Over many sessions the first row of the result is each row equally often (chi-square, false alarm 2^-20)."""
    from scipy.stats import chi2

    values = [f"k{i}" for i in range(8)]

    def match(
        channel, keys, theirs, progress
    ):  # in the order of a hash under this session's salt, as protocols have it
        order = np.argsort(keys.hashed(channel.salt, "tag")[:, 0])
        return keys.rows[order]

    firsts = np.zeros(8)
    for _ in range(400):
        a, b = memory.pair("a", "b")
        import os

        a.salt = b.salt = os.urandom(16)
        found = both(
            lambda c: intersect(c, keyset(values), match, "x", bucket_rows=6),
            lambda c: intersect(c, keyset(values), match, "x", bucket_rows=6),
            (a, b),
        )
        firsts[found[0].rows[0]] += 1
    statistic = ((firsts - 50) ** 2 / 50).sum()
    assert statistic < chi2.isf(2.0**-20, 7)
    assert ((np.eye(8)[0] * 400 - 50) ** 2 / 50).sum() > chi2.isf(2.0**-20, 7), "a fixed order is noticed"


@pytest.mark.parametrize(
    ("left", "right"), [([], []), ([], ["a"]), (["a"], ["b"]), (["a"], ["a"]), ([None] * 9, ["a"])]
)
def test_sets_that_are_hardly_there(both, left, right):
    a, b = run(both, keyset(left), keyset(right))
    common = len(set(left) & set(right) - {None})
    assert (len(a.rows), len(b.rows)) == (common, common)


def test_unequal_sizes(both):
    a, b = run(both, keyset(["k5"]), keyset([f"k{i}" for i in range(300)]))
    assert (list(a.rows), list(b.rows), a.buckets) == ([0], [5], 15)


# --- keys on disk ---
def test_a_spool_gives_back_what_it_took(tmp_path):
    rng = np.random.default_rng(7)
    records = np.zeros(5000, RECORD)
    records["row"] = np.arange(5000)
    part = rng.integers(0, 9, 5000)
    with Spool(9, tmp_path, buffer_bytes=4000) as spool:
        for at in range(0, 5000, 333):
            spool.add(records[at : at + 333], part[at : at + 333])
        (folder,) = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for i in range(9):
            assert list(spool.part(i)["row"]) == list(np.flatnonzero(part == i))
        spool.drop(3)
        assert not len(spool.part(3))
        path = next(p for p in folder.iterdir() if p.stat().st_size)
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(FileError, match="changed or cut"):
            spool.part(int(path.name))
    assert not list(tmp_path.iterdir()), "nothing stays behind"


def test_what_lies_on_disk_is_noise(tmp_path):
    """A known record does not show, and two equal ones look different; the bits are fair (false alarm 2^-20)."""
    from scipy.stats import norm

    records = np.zeros(4000, RECORD)
    with Spool(2, tmp_path, buffer_bytes=1) as spool:
        for at in range(0, 4000, 1000):
            spool.add(records[at : at + 1000], np.arange(1000) % 2)
        data = [np.frombuffer(p.read_bytes(), np.uint8) for p in sorted(next(tmp_path.iterdir()).iterdir())]
        whole = np.concatenate(data)
        assert len(np.unique(whole.reshape(-1, 40), axis=0)) == 4000
        n = 8 * len(whole)
        assert abs(np.unpackbits(whole).sum() - n / 2) < norm.isf(2.0**-21) * np.sqrt(n) / 2
        assert all(not spool.part(i)["digest"].any() and len(spool.part(i)) == 2000 for i in range(2))


def test_a_spilled_set_is_the_set(tmp_path):
    values = pa.array([f"k{i % 900}" for i in range(1000)])
    with keyset(values, repeated="first", folder=tmp_path, buffer_bytes=2000) as spilled:
        assert list(tmp_path.iterdir())
        keys = spilled.all()
    whole = prepare({"id": values}, duplicates="first")
    order = np.argsort(keys.rows)
    assert np.array_equal(keys.rows[order], whole.rows)
    assert np.array_equal(keys.digests()[order], whole.digests())
    assert not list(tmp_path.iterdir())


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=60), st.integers(1, 20))
def test_repetitions(values, batch):
    texts = [None if v is None else f"k{v}" for v in values]
    seen = {}
    for row, text in enumerate(texts):
        if text is not None:
            seen.setdefault(text, []).append(row)
    firsts = sorted(rows[0] for rows in seen.values())
    repeated = sum(len(rows) - 1 for rows in seen.values())
    with keyset(texts, batch, repeated="first") as keys:
        assert sorted(keys.all().rows) == firsts
        assert (keys.total, keys.nulls, keys.duplicates) == (len(texts), texts.count(None), repeated)
    with keyset(texts, batch, repeated="drop") as keys:
        assert sorted(keys.all().rows) == sorted(r[0] for r in seen.values() if len(r) == 1)
        assert keys.total == keys.nulls + keys.duplicates + len(keys)
    with keyset(texts, batch, repeated="all") as keys:
        some = np.array(firsts[::-2], np.int64)
        rows, at = keys.twins_of(some)
        assert [list(rows[at == i]) for i in range(len(some))] == [seen[texts[r]] for r in some]
        assert list(at) == sorted(at)
    if repeated:
        with pytest.raises(KeyColumnError, match=f"{repeated} of {len(texts)} rows repeat"):
            keyset(texts, batch)


def test_a_set_shows_and_pickles_nothing():
    import pickle

    keys = keyset(["secret"])
    assert "secret" not in repr(keys)
    with pytest.raises(TypeError):
        pickle.dumps(keys)


# --- what parties do not agree on ---
def test_peers_that_differ(both):
    a, _ = both(
        lambda c: intersect(c, keyset(["12"]), plain, "plain"),
        lambda c: intersect(c, keyset(pa.array([12])), plain, "plain"),
    )
    assert isinstance(a, TypeMismatchError)
    assert "text at bank-a and integer at bank-b" in str(a)
    a, _ = both(
        lambda c: intersect(c, keyset(["12"]), plain, "plain", bucket_rows=9),
        lambda c: intersect(c, keyset(["12"]), plain, "plain", bucket_rows=8),
    )
    assert isinstance(a, ProtocolAbort)
    a, _ = both(
        lambda c: intersect(c, keyset(["12"]), plain, "plain", max_peer_rows=1),
        lambda c: intersect(c, keyset(["12", "13"]), plain, "plain"),
    )
    assert isinstance(a, DisclosureRefused)


@pytest.mark.parametrize(
    "greeting", [b"", b"[]", b'{"session": 1, "next": 0}', b'{"session": "", "next": true}', b"\xff"]
)
def test_a_peer_that_talks_nonsense(both, greeting):
    a, _ = both(
        lambda c: intersect(c, keyset(["12"]), plain, "plain"),
        lambda c: (c.send_bytes("psi resume", greeting), c.recv_bytes("psi resume", 999)),
    )
    assert a.code == "PPC-E303"


# --- going on ---
class Stop(Exception):
    pass


def stopping(after, seen):
    def match(channel, keys, theirs, progress):
        seen.append(channel.me)
        if len(seen) > after:
            raise Stop
        return plain(channel, keys, theirs, progress)

    return match


def test_a_run_goes_on_where_it_stopped(both, tmp_path):
    left, right = [f"k{i}" for i in range(100)], [f"k{i}" for i in range(50, 150)]

    def party(values, folder, match):
        def call(channel):
            with Work(folder) as work, keyset(values) as keys:
                return intersect(channel, keys, match, "plain", bucket_rows=20, work=work)

        return call

    a, b = both(party(left, tmp_path / "a", stopping(3, [])), party(right, tmp_path / "b", plain))
    assert isinstance(a, Stop)
    assert isinstance(b, PeerUnavailable)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in (tmp_path / "a").iterdir())
    ran_a, ran_b = [], []
    a, b = both(party(left, tmp_path / "a", stopping(99, ran_a)), party(right, tmp_path / "b", stopping(99, ran_b)))
    assert (a.resumed_at, b.resumed_at, a.buckets) == (3, 3, 5)
    assert (len(ran_a), len(ran_b)) == (2, 2)
    assert [left[i] for i in a.rows] == [right[j] for j in b.rows]
    assert {left[i] for i in a.rows} == set(left) & set(right)
    # All is done: a third time nothing is matched any more.
    again, _ = both(party(left, tmp_path / "a", stopping(0, [])), party(right, tmp_path / "b", stopping(0, [])))
    assert list(again.rows) == list(a.rows)
    with Work(tmp_path / "a") as work:
        work.clear()
    assert not (tmp_path / "a").exists()


def test_another_set_begins_anew(both, tmp_path):
    def party(values, folder, match=plain):
        def call(channel):
            with Work(folder) as work, keyset(values) as keys:
                return intersect(channel, keys, match, "plain", bucket_rows=20, work=work)

        return call

    left, right = [f"k{i}" for i in range(100)], [f"k{i}" for i in range(50, 150)]
    both(party(left, tmp_path / "a", stopping(3, [])), party(right, tmp_path / "b"))
    changed = [*left[:-1], "k149"]
    a, b = both(party(changed, tmp_path / "a"), party(right, tmp_path / "b"))
    assert (a.resumed_at, b.resumed_at) == (0, 0)
    assert {changed[i] for i in a.rows} == set(changed) & set(right)
    assert [changed[i] for i in a.rows] == [right[j] for j in b.rows]


def test_a_damaged_result_is_noticed(both, tmp_path):
    def party(values, folder):
        def call(channel):
            with Work(folder) as work, keyset(values) as keys:
                return intersect(channel, keys, plain, "plain", bucket_rows=20, work=work)

        return call

    left = [f"k{i}" for i in range(60)]
    both(party(left, tmp_path / "a"), party(left, tmp_path / "b"))
    file = tmp_path / "a" / "pass-1-bucket-00001.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    a, _ = both(party(left, tmp_path / "a"), party(left, tmp_path / "b"))
    assert isinstance(a, FileError)
    assert "damaged" in a.what
    (tmp_path / "a" / "pass-1.json").write_text("{")
    a, _ = both(party(left, tmp_path / "a"), party(left, tmp_path / "b"))
    assert isinstance(a, FileError)


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    folder = tmp_path / "w"
    folder.mkdir(mode=0o700)
    (folder / ".pass-1-bucket-00003.npy.x1y2.part").write_bytes(b"half")
    (folder / "ppc-psi-abc").mkdir()
    (folder / "ppc-psi-abc" / "keys").write_bytes(b"keys")
    with Work(folder) as work:
        assert [p.name for p in folder.iterdir()] == ["lock"]
        work.clear()
    assert not folder.exists()


def test_the_working_folder_is_private_and_used_by_one(tmp_path):
    with Work(tmp_path / "w"), pytest.raises(FileError, match="another run"):
        Work(tmp_path / "w")
    (tmp_path / "w" / "ppc-psi-left").mkdir()
    (tmp_path / "w" / "ppc-psi-left" / "keys").write_text("x")
    with Work(tmp_path / "w"):
        assert not (tmp_path / "w" / "ppc-psi-left").exists(), "keys of a run that died are removed"
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(FileError, match="others can read"):
        Work(tmp_path / "open")


def test_an_overfull_bucket_is_an_error(both, monkeypatch):
    monkeypatch.setattr(large, "capacity", lambda rows, buckets: rows // buckets)
    a, _ = run(both, keyset([f"k{i}" for i in range(100)]), keyset([f"k{i}" for i in range(100)]))
    assert isinstance(a, ProtocolAbort)
    assert "unevenly" in a.what

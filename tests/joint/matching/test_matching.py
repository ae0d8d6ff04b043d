"""Rows of two tables matched by one key or several alternatives, and written in the order that both share."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.dataset import io
from ppc.dataset.stream import open_table
from ppc.errors import ColumnError, ConfigError, KeyColumnError, PpcError, ProtocolAbort, TypeMismatchError
from ppc.joint.matching import Settings, match, output, plan, prepare_passes, write_matched
from ppc.net import memory


@pytest.fixture
def two(tmp_path):
    """Matches two tables in threads; what each party found or raised."""

    def run(left, right, a, b=None):
        b = b or a
        for name, table in (("left", left), ("right", right)):
            io.write(table, tmp_path / f"{name}.parquet")
        tables = [open_table(tmp_path / f"{name}.parquet") for name in ("left", "right")]
        ends, found = memory.pair("left", "right"), [None, None]

        def party(i, chosen):
            try:
                found[i] = match(ends[i], tables[i], chosen, prepare_passes(tables[i], chosen))
            except PpcError as e:
                found[i] = e
                ends[i].abort(e)

        threads = [threading.Thread(target=party, args=x, daemon=True) for x in enumerate((a, b))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
            assert not t.is_alive()
        return *found, *tables

    return run


def by(*keys, **options):
    return Settings(keys=tuple((k,) if isinstance(k, str) else k for k in keys), protocol="ecdh", **options)


PEOPLE = pa.table(
    {
        "id": ["1", "2", None, "4", "5", None],
        "phone": ["030 123456", None, "030 123457", "030 123458", None, "x"],
        "name": ["Ada", "Bob", "Eve", "Dan", "José Núñez", "Fay"],
        "birth": ["1990", "1991", "1992", "1993", "1994", "1995"],
    }
)
CLIENTS = pa.table(
    {
        "id": ["9", "2", "1", None, None, None],
        "phone": ["+49 30 123457", "+49 30 123456", None, "+49 30 123458", None, None],
        "name": ["EVE", "Bob", "Ada", "Dan", "Jose Nunez", "Zoe"],
        "birth": ["1992", "1991", "1990", "1993", "1994", "1995"],
    }
)


def test_alternatives_by_priority(two):
    chosen = by("id", "phone", ("name", "birth"), forms={"phone": "phone:DE", "name": "name"})
    a, b, *_ = two(PEOPLE, CLIENTS, chosen)
    assert a.by == b.by == (2, 2, 1)
    pairs = dict(zip(a.rows.tolist(), b.rows.tolist(), strict=True))
    # Row 0 matches by id; so client 1, who has row 0's phone but matched by id to row 1, is not matched again.
    assert pairs == {0: 2, 1: 1, 2: 0, 3: 3, 4: 4}
    assert list(a.at) == list(b.at) == [0, 1, 2, 3, 4]


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_alternatives_are_as_a_join_by_hand(two, data):
    def table(draw):
        n = draw(st.integers(1, 9))
        cells = st.one_of(st.none(), st.integers(0, 6))
        columns = {c: draw(st.lists(cells, min_size=n, max_size=n)) for c in ("x", "y")}
        return pa.table({c: pa.array(v, pa.int64()) for c, v in columns.items()} | {"row": list(range(n))})

    left, right = data.draw(st.composite(lambda draw: (table(draw), table(draw)))())
    try:
        a, b, *_ = two(left, right, by("x", "y", duplicates="drop"))
    except AssertionError:
        raise
    if isinstance(a, PpcError):
        assert isinstance(a, KeyColumnError) or isinstance(b, KeyColumnError)
        return
    wanted, used_l, used_r = set(), set(), set()
    for key in ("x", "y"):
        lefts, rights = left[key].to_pylist(), right[key].to_pylist()

        def alone(values, used):
            free = [None if i in used else v for i, v in enumerate(values)]
            return {v: i for i, v in enumerate(free) if v is not None and free.count(v) == 1}

        one, two_ = alone(lefts, used_l), alone(rights, used_r)
        found = {(one[v], two_[v]) for v in one.keys() & two_.keys()}
        wanted |= found
        used_l |= {i for i, _ in found}
        used_r |= {j for _, j in found}
    assert set(zip(a.rows.tolist(), b.rows.tolist(), strict=True)) == wanted


def test_all_rows_of_a_key(two):
    left = pa.table({"k": ["a", "b", "a", "c", "a"]})
    right = pa.table({"k": ["c", "a", "x", "c"]})
    a, b, *_ = two(left, right, by("k", duplicates="all"))
    assert a.matched == b.matched == 2
    rows = {
        left["k"][int(r)].as_py(): sorted(b.rows[b.at == i].tolist())
        for i, r in zip(a.at, a.rows, strict=True)
    }  # fmt: skip
    assert rows == {"a": [1], "c": [0, 3]}
    assert sorted(a.rows.tolist()) == [0, 2, 3, 4]


def test_only_a_count(two):
    a, b, *_ = two(PEOPLE, CLIENTS, by("name", reveal="count"))
    assert (a.matched, b.matched, len(a.rows), len(b.rows)) == (3, 3, 0, 0) or (a.matched, b.matched) == (2, 2)
    assert a.matched == len(set(PEOPLE["name"].to_pylist()) & set(CLIENTS["name"].to_pylist()))


def test_names_that_are_alike_come_last(two):
    # Long names: an index of 0.85 and more is missed with chance below 2^-20.
    long, other = "Maria Magdalena von Habsburg-Lothringen", "Jean-Baptiste Poquelin de la Montagne Verte"
    left = pa.table({"id": ["1", None, None, "4"], "who": ["Ada", other, long, "Zoe"], "born": [1, 2, 3, 4]})
    names = ["Eve", long.replace("gen", "ger"), other.replace("Verte", "Verde"), "Zoé"]
    right = pa.table({"nr": ["1", None, "7", None], "name": names, "b": [1, 3, 2, 5]})
    a, b, *_ = two(left, right, by("id", similar=("who", "born")), by("nr", similar=("name", "b")))
    assert a.by == b.by == (1, 2)
    assert dict(zip(a.rows.tolist(), b.rows.tolist(), strict=True)) == {0: 0, 1: 2, 2: 1}
    assert a.at.tolist() == b.at.tolist() == [0, 1, 2]
    a, *_ = two(left, right, by("id", similar=("born", "id")), by("nr", similar=("b", "nr")))
    assert isinstance(a, TypeMismatchError)
    a, *_ = two(left, right, by("id", similar=("who", "born")), by("nr"))
    assert "similar is 2 at left" in str(a)
    assert "trades privacy" in str(plan(by("id", similar=("who", "born"))))
    assert "trades privacy" not in str(plan(by("id")))


# --- what is wrong ---
def test_settings_that_differ_are_named(two):
    a, b, *_ = two(PEOPLE, CLIENTS, by("id"), by("id", "phone"))
    assert isinstance(a, ProtocolAbort)
    assert "alternatives is 1 at left and '2' at right" in str(a)
    a, b, *_ = two(PEOPLE, CLIENTS, by("id", reveal="count"), by("id"))
    assert "reveal" in str(a)
    a, b, *_ = two(PEOPLE, CLIENTS, by("id", case=True), by("id"))
    assert isinstance(a, ProtocolAbort)
    assert "normalise" in str(a)
    a, b, *_ = two(PEOPLE, CLIENTS, by("phone", forms={"phone": "phone:DE"}), by("phone"))
    assert isinstance(a, TypeMismatchError)
    assert "phone at left and text at right" in str(a)
    assert isinstance(b, PpcError)


def test_numbers_and_texts_do_not_meet_in_silence(two):
    a, *_ = two(pa.table({"k": [12]}), pa.table({"k": ["12"]}), by("k"))
    assert isinstance(a, TypeMismatchError)
    assert "integer at left and text at right" in str(a)


@pytest.mark.parametrize(
    ("left", "right", "common"),
    [
        (["a"], ["a"], 1),
        (["a"], ["b"], 0),
        ([], ["a"], 0),
        ([], [], 0),
        (["x" * (1 << 20), "y"], ["y", "x" * (1 << 20)], 2),
        (["a", None], [None, "a"], 1),
    ],
    ids=["one row", "no match", "empty", "both empty", "items of 1 MB", "nulls"],
)
def test_small_and_odd_tables(two, left, right, common):
    a, b, *_ = two(pa.table({"k": pa.array(left, pa.string())}), pa.table({"k": pa.array(right, pa.string())}), by("k"))
    assert (a.matched, b.matched) == (common, common)


def test_a_column_of_nulls_is_an_error_before_anybody_connects(tmp_path):
    io.write(pa.table({"k": pa.array([None, None], pa.string()), "t": ["x", "y"]}), tmp_path / "a.parquet")
    table = open_table(tmp_path / "a.parquet")
    with pytest.raises(KeyColumnError, match="no row has a key"):
        prepare_passes(table, by("k"))
    with pytest.raises(KeyColumnError, match="2 have a value that is not of the form"):
        prepare_passes(table, by("t", forms={"t": "phone:DE"}))
    io.write(pa.table({"k": ["a", "b"], "t": ["x", "x"]}), tmp_path / "b.parquet")
    with pytest.raises(KeyColumnError, match="1 of 2 rows repeat"):
        prepare_passes(open_table(tmp_path / "b.parquet"), by("k", "t"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"keys": ()}, {"keys": ((),)}, {"forms": {"z": "email"}}, {"forms": {"k": "fone"}}, {"duplicates": "last"},
        {"reveal": "all"}, {"protocol": "x"}, {"randomness": "x"}, {"max_peer_rows": 0}, {"bucket_rows": 0},
        {"keys": (("k",), ("l",)), "reveal": "count"}, {"similar": ("n",)}, {"threshold": 0.1},
        {"similar": ("n", "k"), "security": "malicious"}, {"similar": ("n", "k"), "forms": {"n": "email"}},
        {"spaces": "none"},
    ],
)  # fmt: skip
def test_settings_are_checked(wrong):
    with pytest.raises(ConfigError):
        Settings(**{"keys": (("k",),), **wrong})


# --- the plan ---
def test_the_plan_says_what_alternatives_and_counts_leak():
    text = str(plan(by("id", "phone")))
    assert "by which of the alternatives" in text
    assert "which of its own rows" in text
    text = str(plan(by("id", reveal="count")))
    assert "how many keys both have, and not which" in text
    assert "which of its own rows" not in text
    large = plan(by("id"), 1 << 24, 1 << 20)
    assert large["buckets"] == 16
    assert large["padded_bucket_keys"][0] > 1 << 20


# --- the output ---
@pytest.fixture
def ranges(monkeypatch):
    monkeypatch.setattr(output, "_RANGE_ROWS", 64)


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_rows_are_written_in_the_shared_order(two, tmp_path, ranges, kind):
    n = 1000
    left = pa.table({"k": [f"k{i}" for i in range(n)], "v": list(range(n))})
    right = pa.table({"w": [i / 2 for i in range(n)], "k": [f"k{i}" for i in range(n // 2, n + n // 2)][::-1]})
    a, b, ta, tb = two(left, right, by("k"))
    for found, table, name in ((a, ta, "a"), (b, tb, "b")):
        assert write_matched(table, found, tmp_path / f"{name}.{kind}", number="m") == n // 2
    one, other = (io.read(tmp_path / f"{x}.{kind}").to_arrow() for x in "ab")
    assert one["k"].to_pylist() == other["k"].to_pylist()
    assert one["m"].to_pylist() == other["m"].to_pylist() == list(range(n // 2))
    assert one.drop_columns("m").to_pydict() == left.take(pa.array(a.rows)).to_pydict()
    assert other.column_names == ["w", "k", "m"]


def test_forms_of_output(two, tmp_path, ranges):
    left, right = pa.table({"k": ["a", "b", "a", "c"], "v": [1, 2, 3, 4]}), pa.table({"k": ["c", "a", "x"]})
    a, b, ta, tb = two(left, right, by("k", duplicates="all"))
    assert write_matched(ta, a, tmp_path / "rows.csv", columns=[], everything=True) == 4
    rows = io.read(tmp_path / "rows.csv").to_arrow()
    assert rows.column_names == ["row", "match"]
    assert rows["row"].to_pylist()[-1] == 1
    assert rows["match"].to_pylist()[-1] is None
    assert write_matched(tb, b, tmp_path / "out.parquet", everything=True, columns=["k"]) == 3
    joined = io.read(tmp_path / "out.parquet").to_arrow().to_pylist()
    assert joined[-1] == {"k": "x", "match": None}
    numbers = {r["k"]: r["match"] for r in joined}
    for row, number in zip(rows["row"].to_pylist()[:-1], rows["match"].to_pylist()[:-1], strict=True):
        assert numbers[left["k"][row].as_py()] == number
    with pytest.raises(ColumnError, match="has a column 'v' already"):
        write_matched(ta, a, tmp_path / "x.csv", number="v")
    none = type(a)(0, np.empty(0, np.int64), np.empty(0, np.int64), (0,), 4, 0, 0, 0, 4, 3, 1, 0)
    assert write_matched(ta, none, tmp_path / "none.csv") == 0
    assert (tmp_path / "none.csv").read_text() == "k,v\n"
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".part"]

"""Tables read in batches: the same rows from every kind of source, twice, and what is wrong with them by name."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import sqlite3
import stat

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ppc.dataset import io
from ppc.dataset.schema import Schema
from ppc.dataset.stream import BATCH_ROWS, open_table, writing
from ppc.errors import ColumnError, FileError, QueryError, TypeMismatchError

N = 3 * BATCH_ROWS // 2
ROWS = pa.table({"id": pa.array(range(N)), "name": pa.array([None if i % 7 == 0 else f"n{i}" for i in range(N)])})


def whole(table, columns=None):
    batches = list(table.batches(columns))
    assert all(b.num_rows <= BATCH_ROWS for b in batches)
    return pa.Table.from_batches(batches)


@pytest.fixture(params=["csv", "csv whole", "tsv", "csv.gz", "parquet", "arrow", "arrows", "duckdb", "sqlite"])
def source(request, tmp_path):
    """(what to open, options)"""
    kind = request.param
    path = tmp_path / f"rows.{kind.split()[0]}"
    if kind in ("csv", "csv whole", "tsv", "parquet", "arrow"):
        io.write(ROWS, path)
        return path, {"whole_bytes": 1 << 30 if "whole" in kind else 10, "typed": ["id"]}
    if kind == "csv.gz":
        io.write(ROWS, tmp_path / "x.csv")
        path.write_bytes(gzip.compress((tmp_path / "x.csv").read_bytes()))
        return path, {"typed": ["id"]}
    if kind == "arrows":
        path = path.with_suffix(".arrow")
        with pa.ipc.new_stream(str(path), ROWS.schema) as out:
            out.write_table(ROWS)
        return path, {}
    if kind == "duckdb":
        with duckdb.connect(str(path)) as db:
            db.register("rows_", ROWS)
            db.execute("CREATE TABLE t AS SELECT * FROM rows_")
        return f"duckdb:///{path}?table=t", {"scratch": tmp_path}
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (id INTEGER, name TEXT)")
        db.executemany("INSERT INTO t VALUES (?, ?)", zip(*(c.to_pylist() for c in ROWS.columns), strict=True))
    db.close()
    return f"sqlite:///{path}?table=t", {"scratch": tmp_path}


def test_the_same_rows_from_every_source_twice(source):
    what, options = source
    table = open_table(what, **options)
    assert table.names == ("id", "name")
    for _ in range(2):
        found = whole(table)
        assert found.column("id").type == pa.int64()
        assert found.to_pydict() == ROWS.to_pydict()
    assert whole(table, ["name"]).column_names == ["name"]
    assert whole(table, ["name", "id"]).column_names == ["name", "id"]
    with pytest.raises(ColumnError, match="no column 'nam'"):
        next(table.batches(["nam"]))


def test_copies_of_queries_are_private(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (1)")
    db.close()
    (tmp_path / "s").mkdir()
    open_table(f"sqlite:///{tmp_path}/a.db?query=SELECT x FROM t WHERE x > 0", scratch=tmp_path / "s")
    (copy,) = (tmp_path / "s").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_types_of_a_large_csv_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "n,code,day,time,word,none\n1,007,2024-01-31,2024-01-31 10:00:00,x,\n"
        "-20,12,2024-02-29,2024-02-29T23:59:59,2024-02-30,\n"
    )
    table = open_table(path, typed=["n", "code", "day", "time", "word", "none"], whole_bytes=1)
    assert whole(table).to_pydict() == {
        "time": [dt.datetime(2024, 1, 31, 10), dt.datetime(2024, 2, 29, 23, 59, 59)],
        "n": [1, -20],
        "code": ["007", "12"],
        "day": [dt.date(2024, 1, 31), dt.date(2024, 2, 29)],
        "word": ["x", "2024-02-30"],
        "none": [None, None],
    }
    at_once = whole(open_table(path, whole_bytes=1 << 20))
    assert [at_once.schema.field(n).type for n in ("n", "code", "day")] == [pa.int64(), pa.string(), pa.date32()]
    assert pa.types.is_timestamp(at_once.schema.field("time").type)
    texts = pa.table({n: pa.array([], pa.string()) for n in table.names})
    Schema.from_arrow(texts.schema, "a").write(tmp_path / "a.schema.toml")
    described = open_table(path, typed=["n"], whole_bytes=1)
    assert whole(described).column("n").to_pylist() == ["1", "-20"]


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_is_wrong_with_a_csv_file(tmp_path, size):
    path = tmp_path / "a.csv"
    path.write_bytes("id,name\n1,Müller\n".encode("latin-1"))
    with pytest.raises(FileError, match="not utf-8"):
        whole(open_table(path, typed=["id"], whole_bytes=size))
    assert whole(open_table(path, encoding="latin-1", whole_bytes=size)).column("name").to_pylist() == ["Müller"]
    path.write_text("id,name\n1,a\n2\n")
    with pytest.raises(FileError, match="a row has 1 values"):
        whole(open_table(path, whole_bytes=size))
    path.write_text("")
    with pytest.raises(FileError, match="empty"):
        open_table(path, whole_bytes=size)
    with pytest.raises(FileError, match="no such file"):
        open_table(tmp_path / "b.csv")
    path.write_text("id,name\n")
    table = whole(open_table(path, whole_bytes=size))
    assert (table.num_rows, table.column_names) == (0, ["id", "name"])
    with pytest.raises(ColumnError):
        whole(open_table(path, typed=["nr"], whole_bytes=size), ["nr"])


def test_a_file_that_changes_in_between(tmp_path):
    path = tmp_path / "a.parquet"
    io.write(ROWS.slice(0, 3), path)
    table = open_table(path)
    whole(table)
    io.write(ROWS.slice(0, 4), path)
    with pytest.raises(FileError, match="changed while"):
        whole(table)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_damaged_and_empty_files(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    io.write(ROWS.slice(0, 0), path)
    assert whole(open_table(path)).schema.names == ["id", "name"]
    io.write(ROWS, path)
    path.write_bytes(path.read_bytes()[: 3 << 10])
    with pytest.raises(FileError, match="damaged"):
        whole(open_table(path))


def test_columns_with_dots_in_their_names(tmp_path):
    table = pa.table({"a.b": [1], "a": [{"b": 2}], "c": [3]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert whole(open_table(tmp_path / "a.parquet"), ["a.b"]).to_pydict() == {"a.b": [1]}


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("sqlite:///DIR/a.db", FileError),
        ("sqlite:///DIR/a.db?table=u", FileError),
        ("sqlite:///DIR/a.db?query=SELEC", FileError),
        ("sqlite:///DIR/a.db?query=CREATE TABLE z (x)", QueryError),
        ("sqlite:///DIR/no/a.db?table=t", FileError),
        ("sqlite:///DIR/a.db?query=SELECT * FROM mixed", TypeMismatchError),
        ("nosuchdb://host/x?table=t", FileError),
        ("postgresql+psycopg://u:hunter2@127.0.0.1:1/x?table=t", FileError),
    ],
)
def test_databases_that_do_not_answer(tmp_path, url, error):
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("CREATE TABLE mixed (x)")
        db.executemany("INSERT INTO mixed VALUES (?)", [(1,), ("secretvalue",)])
    db.close()
    with pytest.raises(error) as caught:
        open_table(url.replace("DIR", str(tmp_path)), scratch=tmp_path)
    assert "hunter2" not in str(caught.value)
    assert "secretvalue" not in str(caught.value)


def test_an_empty_result_of_a_query(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("CREATE TABLE t (x INTEGER, y TEXT)")
    db.close()
    table = open_table(f"sqlite:///{tmp_path}/a.db?table=t", scratch=tmp_path)
    assert (whole(table).num_rows, table.names) == (0, ("x", "y"))


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "arrow"])
def test_files_are_written_whole_or_not_at_all(tmp_path, kind):
    path = tmp_path / f"out.{kind}"
    with writing(path, ROWS.schema) as write:
        for batch in ROWS.to_batches(1000):
            write(batch)
    assert io.read(path).to_arrow().equals(ROWS)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), writing(path, ROWS.schema) as write:
        write(ROWS.slice(0, 9).to_batches()[0])
        raise RuntimeError
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.postgres
def test_tables_and_queries_of_postgresql(postgres, tmp_path):
    import sqlalchemy as sa

    url = postgres.replace("postgresql://", "postgresql+psycopg://")
    engine = sa.create_engine(url)
    with engine.begin() as db:
        db.execute(
            sa.text(
                "CREATE TABLE customers (id bigint, name text, born date, seen timestamptz, worth numeric(9, 0), "
                "height double precision, vip boolean, raw bytea)"
            )
        )
        db.execute(
            sa.text(
                "INSERT INTO customers SELECT i, CASE WHEN i % 3 > 0 THEN 'n' || i END, DATE '2000-01-01' + i, "
                "TIMESTAMPTZ '2020-01-01 00:00+00' + i * INTERVAL '1 hour', i * 10, i / 2.0, i % 2 = 0, "
                r"'\x00ff'::bytea FROM generate_series(1, 40000) AS i"
            )
        )
    engine.dispose()
    table = open_table(f"{url}?table=customers", scratch=tmp_path)
    found = whole(table)
    assert [str(f.type) for f in found.schema] == [
        "int64", "string", "date32[day]", "timestamp[us, tz=UTC]", "int64", "double", "bool", "binary",
    ]  # fmt: skip
    assert found.num_rows == 40_000
    assert found.sort_by("id").slice(1, 1).to_pylist() == [
        {
            "id": 2, "name": "n2", "born": dt.date(2000, 1, 3), "seen": dt.datetime(2020, 1, 1, 2, tzinfo=dt.UTC),
            "worth": 20, "height": 1.0, "vip": True, "raw": b"\x00\xff",
        }
    ]  # fmt: skip
    some = open_table(f"{url}?query=SELECT name FROM public.customers WHERE id < 4 ORDER BY id", scratch=tmp_path)
    assert whole(some).to_pydict() == {"name": ["n1", "n2", None]}
    with pytest.raises(FileError, match="no table 'customer'"):
        open_table(f"{url}?table=customer", scratch=tmp_path)
    with pytest.raises(QueryError):
        open_table(f"{url}?query=SELECT nothing FROM customers", scratch=tmp_path)

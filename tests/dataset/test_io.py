"""Files: which reader an ending means, schemas beside data, damaged files, and writing whole or not at all."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ppc.dataset import Dataset, Field, Schema, read
from ppc.errors import ColumnError, FileError, SchemaError, TypeMismatchError

BINARY = ["d.parquet", "d.pq", "d.arrow", "d.feather", "d.ipc"]


@pytest.mark.parametrize("name", BINARY)
def test_what_is_written_is_read_back(tmp_path, customers, name):
    path = tmp_path / name
    customers.write(path)
    again = read(path, schema=customers.schema, name="customers")
    assert again.equals(customers)
    assert again.name == "customers"
    assert read(path).name == "d"
    assert read(path, columns=["age", "joined"]).columns == ["age", "joined"]
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert path.stat().st_mode & 0o777 == 0o644


def test_every_type_survives_parquet_and_arrow(tmp_path):
    table = pa.table(
        {
            "list": [["a"], None, []],
            "bytes": [b"\x00", None, b""],
            "money": pa.array([1, None, 2], pa.int32()).cast(pa.decimal128(20, 2)),
            "nan": [float("nan"), None, float("inf")],
            "none": pa.nulls(3),
            "small": pa.array([1, None, 2], pa.uint8()),
            "a.b": [1, 2, 3],
        }
    )
    ds = Dataset.from_arrow(table)
    for name in ("d.parquet", "d.arrow"):
        ds.write(tmp_path / name)
        again = read(tmp_path / name)
        assert again.schema == ds.schema.__class__(ds.schema.fields, "d")
        assert again.drop(["nan"]).equals(ds.drop(["nan"]))
        assert np.isnan(again.numpy("nan")[0])
        assert again.count("nan") == 2  # in these files NaN is a value; only CSV takes it for a missing one
        assert read(tmp_path / name, columns=["a.b", "small"]).columns == ["a.b", "small"]


def test_an_arrow_stream_is_read_as_well(tmp_path):
    path = tmp_path / "d.arrow"
    table = pa.table({"x": [1, 2]})
    with pa.OSFile(str(path), "wb") as f, pa.ipc.new_stream(f, table.schema) as out:
        out.write_table(table)
    assert read(path).column("x").to_pylist() == [1, 2]


def test_a_schema_beside_the_data_is_used(tmp_path, customers):
    customers.write(tmp_path / "customers.csv")
    assert read(tmp_path / "customers.csv").schema["customer_id"].role is None
    customers.schema.write(tmp_path / "customers.schema.toml")
    assert read(tmp_path / "customers.csv").equals(customers)
    other = tmp_path / "other.toml"
    customers.schema.with_field(Field("age", "float64")).write(other)
    assert read(tmp_path / "customers.csv", schema=other).schema["age"].type == "float64"
    (tmp_path / "customers.schema.toml").write_text("[fields.age]\ntype = 'int'\n")
    with pytest.raises(SchemaError, match="no column type 'int'") as e:
        read(tmp_path / "customers.csv")
    assert "customers.schema.toml" in e.value.where


@pytest.mark.parametrize("name", ["d.parquet", "d.arrow"])
def test_a_schema_that_does_not_fit(tmp_path, name):
    path = tmp_path / name
    Dataset.from_arrow(pa.table({"income": ["a", "b"]})).write(path)
    with pytest.raises(TypeMismatchError, match="'income' should be float64, but is string") as e:
        read(path, schema=Schema((Field("income", "float64"),)))
    assert str(path) in e.value.where
    with pytest.raises(FileError, match="no such schema file"):
        read(path, schema=tmp_path / "nowhere.toml")


# --- what can not be read ---
def test_missing_files_suggest_the_nearest(tmp_path):
    (tmp_path / "customers.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FileError, match="no such file") as e:
        read(tmp_path / "custmers.csv")
    assert e.value.hint == "Did you mean 'customers.csv'?"
    with pytest.raises(FileError, match="no such file"):
        read(tmp_path / "nowhere" / "customers.csv")
    with pytest.raises(FileError, match="a folder"):
        read(tmp_path)
    with pytest.raises(FileError, match="can not be read"):
        read("a\0b.csv")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "d.csv"
    path.write_text("a\n1\n")

    def refuse(self, mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # a mode would not stop root
    with pytest.raises(FileError, match="Permission denied"):
        read(path)


@pytest.mark.parametrize("name", ["d.xlsx", "d", "d.parquet.gz", "d.json"])
def test_unknown_endings(tmp_path, name, customers):
    path = tmp_path / name
    path.write_text("x")
    with pytest.raises(FileError, match="no known kind") as e:
        read(path)
    assert ".parquet" in e.value.hint
    with pytest.raises(FileError, match="can not be written"):
        customers.write(path)


@pytest.mark.parametrize("name", [*BINARY, "d.csv.gz"])
def test_damaged_files(tmp_path, customers, name):
    path = tmp_path / name
    for content in (b"not at all", b"PAR1" + b"\0" * 40 + b"PAR1", b"ARROW1\0\0" + b"\xff" * 100, b"\x1f\x8b\x08"):
        path.write_bytes(content)
        with pytest.raises(FileError, match="damaged") as e:
            read(path)
        assert str(path) in e.value.where
    path.write_bytes(b"")
    with pytest.raises(FileError, match="is empty"):
        read(path)
    if name in BINARY:
        customers.write(path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(FileError, match="damaged"):
            read(path)


def test_names_in_parquet_are_checked(tmp_path):
    path = tmp_path / "d.parquet"
    for names, what in ((["a", "a"], "2 columns are named 'a'"), (["a", ""], "no name")):
        pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=names), path)
        with pytest.raises(ColumnError, match=what) as e:
            read(path)
        assert str(path) in e.value.where
    pq.write_table(pa.table({"age": [1]}), path)
    with pytest.raises(ColumnError) as e:
        read(path, columns=["agee"])
    assert e.value.hint == "Did you mean 'age'?"


def test_a_nested_column_can_be_left_out(tmp_path):
    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"x": [1], "s": [{"a": 1}]}), path)
    with pytest.raises(TypeMismatchError, match="column 's' is of type struct") as e:
        read(path)
    assert str(path) in e.value.where
    assert read(path, columns=["x"]).columns == ["x"]


# --- writing ---
def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, customers, monkeypatch):
    path = tmp_path / "d.parquet"
    customers.write(path)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        args[1].write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(FileError, match="No space left"):
        customers.take([0]).write(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["d.parquet"]


def test_writing_where_there_is_no_folder(tmp_path, customers):
    with pytest.raises(FileError):
        customers.write(tmp_path / "nowhere" / "d.csv")


def test_what_csv_can_not_hold_is_refused_before_a_file_is_there(tmp_path):
    ds = Dataset.from_arrow(pa.table({"x": [[1]]}))
    with pytest.raises(TypeMismatchError, match="column 'x' is list"):
        ds.write(tmp_path / "d.csv")
    assert list(tmp_path.iterdir()) == []


def test_inputs_are_untouched(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(b"a,b\n1,?\n")
    stat = path.stat()
    read(path)
    assert path.read_bytes() == b"a,b\n1,?\n"
    assert path.stat().st_mtime_ns == stat.st_mtime_ns


def test_taiwan_credit(real_data):
    ds = read(real_data / "credit_default_taiwan.csv")
    assert len(ds) == 30_000
    assert all(f.is_numeric for f in ds.schema)
    assert all(ds.count(c) == 30_000 for c in ds.columns)

"""Tables and queries of DuckDB files, read only, and with nothing else in reach."""

import duckdb
import pytest

from ppc.dataset import Field, Schema, duckdbfile, read
from ppc.errors import ColumnError, FileError, QueryError, TypeMismatchError


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "bank.db"
    with duckdb.connect(str(path)) as db:
        db.execute(
            "CREATE TABLE loans AS SELECT i AS id, i * 1.5::DOUBLE AS amount, 'x' || i AS note FROM range(5) t(i)"
        )
        db.execute("CREATE SCHEMA risk; CREATE VIEW risk.big AS SELECT * FROM loans WHERE amount > 2")
        db.execute('CREATE TABLE "odd.name & more" AS SELECT 1 AS x')
        db.execute("CREATE TABLE bad AS SELECT 'secret-value' AS v")
        db.execute("CREATE TABLE nested AS SELECT {'a': 1} AS s, 2 AS n")
    return path


def url(path, rest):
    return f"duckdb:///{path}?{rest}"


def test_a_table(database):
    ds = read(url(database, "table=loans"))
    assert ds.name == "loans"
    assert ds.columns == ["id", "amount", "note"]
    assert ds.sum("amount") == 15.0
    assert read(url(database, "table=loans"), columns=["note", "id"]).columns == ["note", "id"]
    assert len(read(url(database, "table=risk.big"))) == 3
    assert len(read(url(database, "table=main.loans"))) == 5
    assert read(url(database, "table=odd.name%20%26%20more")).sum("x") == 1


def test_a_query(database):
    ds = read(url(database, "query=SELECT id + 1 AS n FROM loans WHERE amount > 2 ORDER BY id DESC"))
    assert ds.column("n").to_pylist() == [5, 4, 3]
    assert ds.name == "bank"
    assert len(read(url(database, "query=SELECT%20*%20FROM%20loans%20--%20%23"))) == 5


def test_relative_paths(database, monkeypatch):
    monkeypatch.chdir(database.parent)
    assert len(read("duckdb:///bank.db?table=loans")) == 5


def test_under_a_schema(database, tmp_path):
    schema = Schema((Field("id", "int64"), Field("amount", "float64"), Field("note", "string")))
    schema.write(tmp_path / "s.toml")
    assert read(url(database, "table=loans"), schema=tmp_path / "s.toml").schema == schema
    with pytest.raises(TypeMismatchError, match="'note' should be int64, but is string"):
        read(url(database, "table=loans"), schema=schema.with_field(Field("note", "int64")))


@pytest.mark.parametrize(
    "text",
    [
        "duckdb://host/bank.db?table=loans",
        "duckdb:///?table=loans",
        "duckdb:///bank.db",
        "duckdb:///bank.db?table=",
        "duckdb:///bank.db?table=a&table=b",
        "duckdb:///bank.db?table=a&query=SELECT 1",
        "duckdb:///bank.db?tabel=a",
        "duckdb:///bank.db?loans",
        "duckdb:bank.db?table=loans",
    ],
)
def test_malformed_urls(text):
    with pytest.raises(FileError) as e:
        duckdbfile.parse(text)
    assert "duckdb:///file.db?table=t" in e.value.hint


def test_what_is_not_there(database, tmp_path):
    with pytest.raises(FileError, match="no such database"):
        read(url(tmp_path / "nowhere.db", "table=loans"))
    assert not (tmp_path / "nowhere.db").exists()
    with pytest.raises(FileError, match="no table 'loan'") as e:
        read(url(database, "table=loan"))
    assert e.value.hint == "Did you mean 'loans'?"
    with pytest.raises(ColumnError, match="no column 'amout'") as c:
        read(url(database, "table=loans"), columns=["amout"])
    assert c.value.hint == "Did you mean 'amount'?"
    other = tmp_path / "text.db"
    other.write_text("not a database, not at all" * 1000)
    with pytest.raises(FileError, match="can not be opened"):
        read(url(other, "table=loans"))


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("SELECT", "not valid SQL"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("DROP TABLE loans", "one SELECT"),
        ("INSERT INTO loans VALUES (1, 2, 'x')", "one SELECT"),
        ("ATTACH 'x.db'", "one SELECT"),
        ("SET enable_external_access = true", "one SELECT"),
        ("COPY loans TO 'out.csv'", "one SELECT"),
        ("SELECT * FROM read_text('/etc/hostname')", "failed"),
        ("SELECT * FROM '/etc/hostname'", "failed"),
        ("SELECT * FROM glob('/etc/*')", "failed"),
        ("SELECT * FROM nowhere", "failed"),
        ("SELECT CAST(v AS INTEGER) FROM bad", "failed"),
    ],
)
def test_queries_that_are_refused(database, query, what):
    before = database.read_bytes()
    with pytest.raises(QueryError, match=what) as e:
        read(url(database, f"query={query}"))
    assert "secret-value" not in f"{e.value}{e.value.hint}{e.value.__cause__}"
    assert database.read_bytes() == before


def test_python_variables_are_out_of_reach(database):
    import pyarrow as pa

    hidden = pa.table({"x": [1]})
    with pytest.raises(QueryError):
        read(url(database, "query=SELECT * FROM hidden"))
    assert hidden.num_rows == 1


def test_a_nested_column_can_be_left_out(database):
    assert read(url(database, "table=nested"), columns=["n"]).columns == ["n"]

"""Files of any kind and size, in bounded memory."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset import Dataset, Field, Schema
from ppc.desensitize.discovery import scan_file
from ppc.errors import ConfigError, FileError, TypeMismatchError

Make = Callable[..., Dataset]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".arrow"])
def test_every_kind(suffix: str, table: Make, tmp_path: Path) -> None:
    ds = table(phone=[f"138{i:08d}" for i in range(300)], n=list(range(300)))
    path = tmp_path / f"people{suffix}"
    ds.write(path)
    seen: list[float] = []
    found, schema = scan_file(path, progress=lambda f, _: seen.append(f))
    assert (found.dataset, found.rows, found.looked_at) == ("people", 300, 300)
    assert found["phone"].category == "person.phone"
    assert schema.names == ["phone", "n"]
    assert seen == sorted(seen)


def test_compressed_and_database(table: Make, tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "people.csv.gz"
    path.write_bytes(gzip.compress(b"email\n" + b"".join(b"u%d@example.org\n" % i for i in range(50))))
    assert scan_file(path)[0]["email"].category == "person.email"
    with duckdb.connect(str(tmp_path / "d.db")) as con:
        con.execute("CREATE TABLE t AS SELECT 'u' || range || '@example.org' AS x1 FROM range(50)")
    assert scan_file(f"duckdb:///{tmp_path}/d.db?table=t")[0]["x1"].category == "person.email"


def test_the_sample_is_spread_over_the_file(table: Make, tmp_path: Path) -> None:
    path = tmp_path / "sorted.parquet"
    n = 300_000
    x = pa.array([f"u{i}@example.org" if i >= n * 3 // 4 else f"row {i}" for i in range(n)])
    table(x1=x).write(path)
    found, _ = scan_file(path, rows=2000, threshold=0.1)
    assert (found.rows, found.looked_at) == (n, 2000)
    # A quarter; five standard deviations of 2,000 draws.
    assert found["x1"].matched == pytest.approx(0.25, abs=0.05)
    assert scan_file(path, rows=2000, threshold=0.1)[0] == found


def test_what_a_schema_says_of_types_holds_and_the_rest_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("code,extra\n1,x\n2,y\n")
    schema = Schema((Field("code", "string", unit="none"), Field("gone", "int64")), "a")
    _, merged = scan_file(path, schema=schema)
    assert [(f.name, f.type) for f in merged] == [("code", "string"), ("extra", "string")]
    assert merged["code"].unit == "none"


def test_a_column_that_changes_its_mind_is_text(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w") as f:
        f.write("a,b\n")
        f.writelines(f"{i},{'x' * 80}\n" for i in range(110_000))  # beyond what the types are read off
        f.write("12a,y\n")
    found, merged = scan_file(path)
    assert merged["a"].type == "string"
    assert found.rows == 110_001
    with pytest.raises(TypeMismatchError) as e:
        scan_file(path, schema=Schema((Field("a", "int64"), Field("b", "string"))))
    assert "12a" not in str(e.value)


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        scan_file(tmp_path / "missing.csv")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(FileError):
        scan_file(tmp_path / "x.parquet")
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    with pytest.raises(FileError):
        scan_file(tmp_path / "x.xlsx")
    with pytest.raises(ConfigError):
        scan_file(tmp_path / "missing.csv", rows=0)


@pytest.mark.heavy
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    batches = 400 if os.environ.get("PPC_HEAVY") == "1" else 20
    path = tmp_path / "big.parquet"
    texts = pa.array([f"u{i}@example.org, a text of some length to fill the file" for i in range(50_000)])
    batch = pa.table({"x1": texts, "x2": np.arange(50_000)})
    with pq.ParquetWriter(path, batch.schema) as writer:
        for _ in range(batches):
            writer.write_table(batch)
    # In a process of its own: the pool's peak is that of its whole life.
    script = (
        "import sys, pyarrow as pa; from ppc.desensitize.discovery import scan_file; "
        "print(scan_file(sys.argv[1])[0].rows, pa.default_memory_pool().max_memory())"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    rows, peak = (int(x) for x in done.stdout.split())
    assert rows == 50_000 * batches
    assert peak < 64 << 20  # the data are 4 MB a batch

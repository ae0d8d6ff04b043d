"""Files of any size: bounded memory, and whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ppc.dataset
import ppc.desensitize as desensitize
from ppc.desensitize.keys import Key, KeyRef
from ppc.desensitize.stream import desensitize_file, preview
from ppc.errors import ColumnError, ConfigError, FileError, PolicyFileError, PpcError, TypeMismatchError

POLICY: list[dict[str, Any]] = [
    {"column": "id", "use": "token"},
    {"column": "phone", "use": "mask_phone"},
    {"column": "amount", "use": "round", "to": 10.0},
    {"column": "note", "when": "amount > 50", "use": "redact"},
    {"column": "note", "use": "keep"},
]

POLICYOBJ = desensitize.Policy.model_validate({"rule": POLICY})


def table(rows: int) -> Any:
    i = np.arange(rows)
    return pa.table(
        {
            "id": pa.array([f"{v:07d}" for v in i]),
            "phone": pa.array([None if v % 9 == 5 else f"138{v * 7919 % 10**8:08d}" for v in i]),
            "amount": pa.array((i * 37 % 10000) / 100),
            "note": pa.array(['quote " and, comma' if v % 4 else "line\nbreak é" for v in i]),
        }
    )


@pytest.mark.parametrize("source", [".parquet", ".arrow", ".csv", ".tsv"])
@pytest.mark.parametrize("target", [".parquet", ".arrow", ".csv"])
def test_a_file_gives_what_memory_gives(source: str, target: str, tmp_path: Path, key: Key) -> None:
    data = ppc.dataset.Dataset.from_arrow(table(5000))
    data.write(tmp_path / f"in{source}")
    seen: list[float] = []
    report = desensitize_file(
        tmp_path / f"in{source}",
        POLICYOBJ,
        key,
        tmp_path / f"out{target}",
        batch_rows=700,
        progress=lambda f, _: seen.append(f),
    )
    expected = desensitize.apply(ppc.dataset.read(tmp_path / f"in{source}"), POLICY, key).to_arrow()
    found = ppc.dataset.read(tmp_path / f"out{target}").to_arrow()
    # A CSV file does not tell 10.0 from 10.
    assert found.cast(expected.schema).equals(expected)
    assert report.rows == 5000
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({f"in{source}", f"out{target}"})


def test_zipped_csv_schema_and_arrow_stream(tmp_path: Path, key: Key) -> None:
    import gzip

    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(b"id,phone,amount,note\n1,13812345678,7,x\n"))
    schema = ppc.dataset.Schema.from_arrow(table(1).schema)
    schema.write(tmp_path / "in.schema.toml")
    desensitize_file(tmp_path / "in.csv.gz", POLICYOBJ, key, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert found["phone"] == ["138****5678"]
    assert found["amount"] == [10.0]
    data = table(100)
    with pa.ipc.new_stream(str(tmp_path / "s.arrow"), data.schema) as w:
        w.write_table(data, max_chunksize=30)
    desensitize_file(tmp_path / "s.arrow", POLICYOBJ, key, tmp_path / "s2.arrow")
    assert ppc.dataset.read(tmp_path / "s2.arrow").num_rows == 100


def test_empty_files(tmp_path: Path, key: Key) -> None:
    pq.write_table(table(0), tmp_path / "in.parquet")
    report = desensitize_file(tmp_path / "in.parquet", POLICYOBJ, key, tmp_path / "out.csv")
    assert report.rows == 0
    assert (tmp_path / "out.csv").read_text() == "id,phone,amount,note\n"


def test_preview_writes_nothing(tmp_path: Path, key: Key) -> None:
    pq.write_table(table(100), tmp_path / "in.parquet")
    before, after, report = preview(tmp_path / "in.parquet", POLICYOBJ, key)
    assert before.num_rows == after.num_rows == report.rows == 10
    assert after.column("phone")[0].as_py() == "138****0000"
    assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]


def bad_files(tmp_path: Path) -> list[tuple[str, type[PpcError]]]:
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1topsecretPAR1")
    (tmp_path / "damaged.arrow").write_bytes(b"topsecret" * 9)
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "kind.xlsx").write_bytes(b"x")
    head = "id,phone,amount,note\n"
    (tmp_path / "ragged.csv").write_text(head + "1,2,3,4\n" * 10 + "1,2,topsecret\n")
    (tmp_path / "latin.csv").write_bytes(head.encode() + b"1,2,3,topsecret\xe9\n")
    return [
        ("missing.csv", FileError),
        ("damaged.parquet", FileError),
        ("damaged.arrow", FileError),
        ("empty.csv", FileError),
        ("kind.xlsx", FileError),
        ("ragged.csv", FileError),
        ("latin.csv", FileError),
    ]


def test_bad_inputs_leave_nothing(tmp_path: Path, key: Key) -> None:
    for name, error in bad_files(tmp_path):
        with pytest.raises(error) as e:
            desensitize_file(tmp_path / name, POLICYOBJ, key, tmp_path / "out.parquet")
        assert name in str(e.value), name
        assert "topsecret" not in str(e.value.to_dict())
        assert not list(tmp_path.glob("*out*"))


def test_text_with_surrogates(tmp_path: Path, key: Key) -> None:
    """A lone surrogate, as UTF-8 does not allow it, from a writer that did not look; and one on its way from pandas."""
    import pandas as pd

    bytes_ = pa.array([b"fine", b"topsecret\xed\xa0\x80", None])
    text = pa.Array.from_buffers(pa.string(), 3, bytes_.buffers(), 1)
    bad = pa.table({"note": text, "id": ["1", "2", "3"]})
    pq.write_table(bad, tmp_path / "in.parquet")
    with pa.ipc.new_file(str(tmp_path / "in.arrow"), bad.schema) as w:
        w.write_table(bad)
    policy = desensitize.Policy.model_validate({"default": "keep", "rule": [{"column": "note", "use": "mask_phone"}]})
    ways: list[Any] = [
        lambda: desensitize.arrow.apply(bad, policy),
        lambda: desensitize.arrow.apply_batches(bad.to_reader(), policy).read_all(),
        lambda: desensitize.apply(ppc.dataset.Dataset.from_arrow(bad), policy),
        lambda: desensitize_file(tmp_path / "in.parquet", policy, key, tmp_path / "out.parquet"),
        lambda: desensitize_file(tmp_path / "in.arrow", policy, key, tmp_path / "out.csv"),
        lambda: desensitize.pandas.apply(pd.DataFrame({"note": pd.Series(["topsecret\ud800"], dtype=object)}), policy),
    ]
    for way in ways:
        with pytest.raises(TypeMismatchError, match="note") as e:
            way()
        assert "surrogates" in f"{e.value} {e.value.hint}"
        assert "topsecret" not in str(e.value.to_dict())
    assert not list(tmp_path.glob("*out*"))


def test_a_value_that_does_not_fit_the_first_lines(tmp_path: Path, key: Key) -> None:
    path = tmp_path / "in.csv"
    with path.open("w") as f:
        f.write("id,phone,amount,note\n")
        f.writelines(f"{i:08d},13812345678,{i % 100},some text that fills the file\n" for i in range(220_000))
        f.write("00000001,13812345678,topsecret,x\n")
    with pytest.raises(TypeMismatchError, match="does not fit") as e:
        desensitize_file(path, POLICYOBJ, key, tmp_path / "out.csv")
    assert "topsecret" not in str(e.value.to_dict())
    assert "in.csv" in str(e.value)
    assert not list(tmp_path.glob("*out*"))


def test_refusals(tmp_path: Path, key: Key) -> None:
    pq.write_table(table(10), tmp_path / "in.parquet")
    with pytest.raises(ConfigError, match="output is the input"):
        desensitize_file(tmp_path / "in.parquet", POLICYOBJ, key, tmp_path / "in.parquet")
    with pytest.raises(FileError, match=r"\.xlsx"):
        desensitize_file(tmp_path / "in.parquet", POLICYOBJ, key, tmp_path / "out.xlsx")
    with pytest.raises(FileError, match="cannot write"):
        desensitize_file(tmp_path / "in.parquet", POLICYOBJ, key, tmp_path / "no" / "out.csv")
    with pytest.raises(ConfigError, match="positive"):
        desensitize_file(tmp_path / "in.parquet", POLICYOBJ, key, tmp_path / "o.csv", batch_rows=0)
    whole = desensitize.Policy.model_validate({"default": "keep", "rule": [{"column": "amount", "use": "shuffle"}]})
    with pytest.raises(PolicyFileError, match="needs the whole column"):
        desensitize_file(tmp_path / "in.parquet", whole, None, tmp_path / "o.csv")
    binary = desensitize.Policy.model_validate(
        {"default": "drop", "rule": [{"column": "id", "use": "encrypt", "encoding": "binary"}]}
    )
    with pytest.raises(TypeMismatchError, match="CSV can not hold"):
        desensitize_file(tmp_path / "in.parquet", binary, key, tmp_path / "o.csv")
    twice = pa.Table.from_arrays([pa.array(["a"])] * 2, names=["id", "id"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(ColumnError, match="2 columns"):
        desensitize_file(tmp_path / "twice.parquet", POLICYOBJ, key, tmp_path / "o.csv")
    assert not list(tmp_path.glob("o.*"))


def test_a_failure_in_the_middle_leaves_the_earlier_output(tmp_path: Path, key: Key) -> None:
    bad = pa.table({"card": ["6222021234567890"] * 5000 + ["topsecret"]})
    pq.write_table(bad, tmp_path / "in.parquet")
    (tmp_path / "out.csv").write_text("what was there")
    policy = desensitize.Policy.model_validate({"rule": [{"column": "card", "use": "fpe_encrypt"}]})
    with pytest.raises(PpcError) as e:
        desensitize_file(tmp_path / "in.parquet", policy, key, tmp_path / "out.csv", batch_rows=1000)
    assert "topsecret" not in str(e.value.to_dict())
    assert (tmp_path / "out.csv").read_text() == "what was there"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.parquet", "out.csv"]


def run(code: str, *args: str, **popen: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen
    )


DISK_FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from ppc.desensitize.keys import KeyRef
from ppc.desensitize.stream import desensitize_file
from ppc.errors import FileError
try:
    desensitize_file(sys.argv[1], sys.argv[2], KeyRef.file(sys.argv[3]), sys.argv[4])
except FileError as e:
    print(e)
"""


@pytest.mark.parametrize("kind", [".csv", ".parquet", ".arrow"])
def test_a_full_disk(kind: str, tmp_path: Path, key_ref: KeyRef) -> None:
    pq.write_table(table(30_000), tmp_path / "in.parquet")
    (tmp_path / "p.toml").write_text('default = "keep"\n[[rule]]\ncolumn = "id"\nuse = "hash"\n')
    out = tmp_path / f"out{kind}"
    process = run(DISK_FULL, str(tmp_path / "in.parquet"), str(tmp_path / "p.toml"), key_ref.where, str(out))
    said, errors = process.communicate(timeout=120)
    assert "File too large" in said, errors
    assert str(out) in said
    assert not list(tmp_path.glob("*out*"))


KILLED = """
import sys, time
from ppc.desensitize.keys import KeyRef
from ppc.desensitize.stream import desensitize_file
def slow(fraction, text):
    print(text, flush=True)
    time.sleep(0.2)
desensitize_file(sys.argv[1], sys.argv[2], KeyRef.file(sys.argv[3]), sys.argv[4], batch_rows=1000, progress=slow)
"""


def test_killed_in_the_middle(tmp_path: Path, key_ref: KeyRef) -> None:
    pq.write_table(table(50_000), tmp_path / "in.parquet")
    (tmp_path / "p.toml").write_text('default = "keep"\n[[rule]]\ncolumn = "id"\nuse = "token"\n')
    (tmp_path / "out.csv").write_text("what was there")
    process = run(
        KILLED, str(tmp_path / "in.parquet"), str(tmp_path / "p.toml"), key_ref.where, str(tmp_path / "out.csv")
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert (tmp_path / "out.csv").read_text() == "what was there"


def test_told_to_end_in_the_middle(tmp_path: Path) -> None:
    """SIGTERM, as a scheduler sends it: nothing stays on the disk, not even a hidden part of the result."""
    rows = 400_000
    text = pa.array([f"ring 138{i:08d}, write to a{i}@b.com, or come to 广东省深圳市 {i}" for i in range(rows)])
    pq.write_table(pa.table({"note": text}), tmp_path / "in.parquet", row_group_size=10_000)
    (tmp_path / "p.toml").write_text('[[rule]]\ncolumn = "note"\nuse = "free_text"\n')
    command = [sys.executable, "-m", "ppc.cli", "desensitize", "in.parquet", "-p", "p.toml", "-o", "out.parquet"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob(".out*")):
        time.sleep(0.02)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.parquet", "p.toml"]


MEMORY = """
import json, sys
import numpy as np, pyarrow as pa
from ppc.desensitize.engines.arrow import apply_batches
from ppc.desensitize.keys import Key
rows, times = 65536, int(sys.argv[1])
i = np.arange(rows)
batch = pa.record_batch({
    "id": pa.array([f"{v:07d}" for v in i]), "phone": pa.array([f"138{v:08d}" for v in i]),
    "card": pa.array([f"622202{v:010d}" for v in i]), "amount": pa.array(i / 100),
    "mail": pa.array([f"u{v}@b.com" for v in i]),
    "pad": pa.array(["x" * 60] * rows)})
policy = [{"column": "id", "use": "token"}, {"column": "phone", "use": "mask", "first": 3, "last": 4},
    {"column": "card", "use": "fpe_encrypt"}, {"column": "amount", "use": "round"},
    {"column": "mail", "use": "mask_email"}, {"column": "pad", "use": "encrypt"}]
reader = pa.RecordBatchReader.from_batches(batch.schema, (batch for _ in range(times)))
done = 0
for out in apply_batches(reader, policy, Key(bytes(32))):
    done += out.num_rows
# getrusage would count what the parent had when this process was forked.
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps({"rows": done, "gigabytes": batch.nbytes * times / 1e9, "peak_mb": peak / 1024}))
"""


@pytest.mark.heavy
def test_memory_is_bounded(tmp_path: Path) -> None:
    """10 GB in full (PPC_HEAVY=1), 0.8 GB in short; the peak may not pass 500 MB and does not grow with the data."""
    times = 1100 if os.environ.get("PPC_HEAVY") else 90
    process = run(MEMORY, str(times))
    said, errors = process.communicate(timeout=1200)
    found = json.loads(said or "{}")
    assert found, errors
    assert found["rows"] == 65536 * times
    assert found["peak_mb"] < 500


def test_a_light_import() -> None:
    """`import ppc.desensitize` loads none of the heavy libraries."""
    heavy = "'pyarrow', 'numba', 'duckdb', 'pandas', 'polars', 'pyspark', 'cryptography'"
    code = f"import ppc.desensitize, sys; print([m for m in ({heavy}) if m in sys.modules])"
    said, _ = run(code).communicate(timeout=60)
    assert said.strip() == "[]"

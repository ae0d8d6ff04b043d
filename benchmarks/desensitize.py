"""How many rows a second each kind of desensitization does, on one core, against other tools in the same run.

    python benchmarks/desensitize.py                 a table
    python benchmarks/desensitize.py --json          one JSON object a figure
    python benchmarks/desensitize.py --rows 1000000 --only token

Kernels take and give Arrow arrays in memory; the best of several runs counts. Peers: pandas' and Polars' own fastest
expressions in this process; ff3 and Presidio in `.peers/NAME` (an environment with the package), on fewer rows because
they are slow. A peer that is not there is said to be absent.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import duckdb  # noqa: E402
import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
import pyarrow as pa  # noqa: E402

import ppc.desensitize as desensitize  # noqa: E402
from ppc.desensitize import transforms as t  # noqa: E402
from ppc.desensitize.keys import Key  # noqa: E402

pa.set_cpu_count(1)
KEY = Key(bytes(range(32)))
PEERS = Path(__file__).parent.parent / ".peers"

FF3 = """
import time
from ff3 import FF3Cipher
c = FF3Cipher("2DE79D232DF5585D68CE47882AE256D6" * 2, "CBD09280979564")
values = ["%016d" % (i * 7919) for i in range(3000)]
for v in values[:50]: c.encrypt(v)
best = 1e9
for _ in range(3):
    s = time.perf_counter()
    for v in values: c.encrypt(v)
    best = min(best, time.perf_counter() - s)
print(len(values) / best)
"""
PRESIDIO = """
import time
from presidio_anonymizer import AnonymizerEngine
from presidio_anonymizer.entities import OperatorConfig, RecognizerResult
engine = AnonymizerEngine()
values = ["138%08d" % i for i in range(2000)]
how = {"PHONE": OperatorConfig("mask", {"masking_char": "*", "chars_to_mask": 4, "from_end": False})}
def run():
    for v in values: engine.anonymize(v, [RecognizerResult("PHONE", 3, 7, 1.0)], how)
run()
s = time.perf_counter(); run()
print(len(values) / (time.perf_counter() - s))
"""


def rate(run: Callable[[], Any], rows: int, repeats: int) -> float:
    """Rows a second, of the best run."""
    run()
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return rows / best


def peer(name: str, code: str) -> float | None:
    """What another tool reports, run in its own environment; None if it is absent."""
    folder = PEERS / name
    python = folder / "bin" / "python"
    if not folder.exists():
        return None
    command = [str(python) if python.exists() else sys.executable, "-c", code]
    environment = {**os.environ, **({} if python.exists() else {"PYTHONPATH": str(folder)})}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    return float(done.stdout.split()[-1]) if done.returncode == 0 and done.stdout.strip() else None


class Table:
    """The figures, printed as they come."""

    def __init__(self, as_json: bool, only: str) -> None:
        self.as_json, self.only = as_json, only
        self.missed: list[str] = []

    def wants(self, work: str) -> bool:
        return self.only in work

    def add(
        self, work: str, value: float, unit: str, target: str, met: bool | None, against: str = "", other: Any = None
    ) -> None:
        """One figure. met is None where no target was set, or a peer that it needs is absent."""
        ratio = round(value / other, 2) if other else None
        if met is False:
            self.missed.append(work)
        if self.as_json:
            line = {"work": work, "value": round(value, 4), "unit": unit, "peer": against or None, "ratio": ratio}
            print(json.dumps({**line, "target": target, "met": met}), flush=True)
            return
        compared = f"{ratio:g} x {against}" if ratio else f"{against} absent" if against else ""
        verdict = {True: "met", False: "MISSED", None: ""}[met]
        print(f"{work:42} {value:10.2f} {unit:8} {compared:34} {target:26} {verdict}", flush=True)


def kernels(table: Table, rows: int, repeats: int) -> None:
    number = np.random.default_rng(1).integers(0, 10**8, rows)
    phone = pa.array([f"138{v:08d}" for v in number])
    card = pa.array([f"62220212{v:08d}" for v in number])
    email = pa.array([f"user{v}@example.com" for v in number])
    ident = pa.array(np.arange(rows) + 10**9).cast(pa.string())
    days = pa.array((number % 20000).astype(np.int32), pa.int32()).cast(pa.date32())
    amount = pa.array(number / 100)
    name = pa.array([["王小明", "欧阳修远", "李雷"][v % 3] for v in number])

    work: list[tuple[str, Callable[[], Any], float | None]] = [
        ("fixed mask", lambda: t.mask(phone, first=3, last=4), 50e6),
        ("fixed mask, non-ASCII", lambda: t.mask(name, first=1), None),
        ("phone mask", lambda: t.mask_phone(phone), None),
        ("e-mail mask", lambda: t.mask_email(email), 5e6),
        ("CMAC token", lambda: t.token(ident, key=KEY), 30e6),
        ("HMAC-SHA-256, hexadecimal", lambda: t.hash_(ident, key=KEY), 1.5e6),
        ("HMAC-SM3, hexadecimal", lambda: t.hash_(ident, algorithm="sm3", key=KEY), None),
        ("FF1 AES-256, 16 digits", lambda: t.fpe_encrypt(card, key=KEY), 5e6),
        ("FF1 AES-128, 16 digits", lambda: t.fpe_encrypt(card, cipher="aes-128", key=KEY), None),
        ("AES-SIV, base64url", lambda: t.encrypt(email, key=KEY), None),
        ("fake resident ID", lambda: t.fake_resident_id(ident, key=KEY), None),
        ("fake Chinese name", lambda: t.fake_name(ident, key=KEY), None),
        ("bucket", lambda: t.bucket(amount, width=100.0), None),
        ("date shift by entity", lambda: t.date_shift(days, entity=ident, key=KEY), None),
        ("date to its month", lambda: t.truncate_date(days, to="month"), None),
    ]
    speeds: dict[str, float] = {}
    for label, run, target in work:
        if table.wants(label):
            speeds[label] = rate(run, rows, repeats)
            want = f">= {target / 1e6:g} M rows/s" if target else ""
            table.add(label, speeds[label] / 1e6, "M rows/s", want, speeds[label] >= target if target else None)
    if "fixed mask" in speeds:
        compare_masks(table, phone, speeds["fixed mask"], rows, repeats)
    if "FF1 AES-256, 16 digits" in speeds:
        ours = speeds["FF1 AES-256, 16 digits"]
        theirs = peer("ff3", FF3)
        met = None if theirs is None else ours >= 300 * theirs
        table.add("FF1 against ff3", ours / 1e6, "M rows/s", ">= 300 x", met, "ff3", theirs and theirs / 1e6)
    adapters(table, phone, card, ident, speeds, rows, repeats)


def compare_masks(table: Table, phone: Any, ours: float, rows: int, repeats: int) -> None:
    series = pl.Series("x", phone).to_frame()
    frame = phone.to_pandas()
    star = pl.lit("****")
    expressions = {
        "Polars slices": lambda: series.select(
            pl.concat_str(pl.col("x").str.slice(0, 3), star, pl.col("x").str.slice(7, 4))
        ),
        "Polars head and tail": lambda: series.select(pl.col("x").str.head(3) + star + pl.col("x").str.tail(4)),
        "pandas slices": lambda: frame.str[:3] + "****" + frame.str[-4:],
    }
    for name, run in expressions.items():
        theirs = rate(run, rows, 2)
        table.add("fixed mask against " + name, ours / 1e6, "M rows/s", ">= 1 x", ours >= theirs, name, theirs / 1e6)
    theirs_too = peer("presidio", PRESIDIO)
    table.add(
        "fixed mask against Presidio", ours / 1e6, "M rows/s", "", None, "Presidio", theirs_too and theirs_too / 1e6
    )


def adapters(
    table: Table, phone: Any, card: Any, ident: Any, speeds: dict[str, float], rows: int, repeats: int
) -> None:
    """The same through engines, from the engine's own table: Polars to its own table, DuckDB to Arrow.

    Each is held against the kernel, and against the engine handing the column over and taking it back as it is. DuckDB
    is measured twice: with rows that go back into it, and with rows that leave it.
    """
    cases: list[tuple[str, Any, list[dict[str, Any]]]] = [
        ("fixed mask", phone, [{"column": "x", "use": "mask", "first": 3, "last": 4}]),
        ("CMAC token", ident, [{"column": "x", "use": "token"}]),
        ("FF1 AES-256, 16 digits", card, [{"column": "x", "use": "fpe_encrypt"}]),
    ]
    for label, column, policy in cases:
        if label not in speeds:
            continue
        data = pa.table({"x": column})
        frame = pl.from_arrow(data)
        con = duckdb.connect(config={"threads": 1})
        con.register("a", data)
        con.sql("CREATE TABLE stored AS SELECT * FROM a")

        def back_into_duckdb(con: Any = con, policy: Any = policy) -> None:
            desensitize.duckdb.apply(con, "stored", policy, KEY).to_arrow_table()

        def out_of_duckdb(con: Any = con, policy: Any = policy) -> None:
            for _ in desensitize.duckdb.reader(con, "stored", policy, KEY):
                pass

        def through_polars(frame: Any = frame, policy: Any = policy) -> None:
            desensitize.polars.apply(frame, policy, KEY)

        def polars_and_back(frame: Any = frame) -> None:
            pl.Series("x", frame.to_arrow().column(0).cast(pa.string()))

        def duckdb_and_back(con: Any = con) -> None:
            con.from_arrow(con.table("stored").to_arrow_table()).to_arrow_table()

        def duckdb_out(con: Any = con) -> None:
            for _ in con.table("stored").to_arrow_reader(1 << 17):
                pass

        for how, run, idle, alone in (
            ("through Polars", through_polars, polars_and_back, "Polars there and back"),
            ("out of DuckDB", out_of_duckdb, duckdb_out, "DuckDB out"),
            ("back into DuckDB", back_into_duckdb, duckdb_and_back, "DuckDB there and back"),
        ):
            speed, bare = rate(run, rows, repeats), rate(idle, rows, repeats)
            work, kernel = f"{label} {how}", speeds[label]
            target = ">= 0.5 x the kernel"
            table.add(work, speed / 1e6, "M rows/s", target, speed >= 0.5 * kernel, "the kernel", kernel / 1e6)
            table.add(work, speed / 1e6, "M rows/s", "", None, alone, bare / 1e6)


def stream(table: Table, gigabytes: float) -> None:
    """A stream of one batch repeated; memory is the peak of a process of its own."""
    label = f"a stream of {gigabytes:g} GB"
    if not table.wants(label):
        return
    command = [sys.executable, __file__, "--role", "stream", "--gigabytes", str(gigabytes)]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    table.add(f"{label}, peak memory", done["peak_mb"], "MB", "< 500 MB", done["peak_mb"] < 500)
    table.add(f"{label}, speed", done["rows_per_s"] / 1e6, "M rows/s", "", None)


def run_stream(gigabytes: float) -> dict[str, float]:
    rows = 1 << 16
    i = np.arange(rows)
    batch = pa.record_batch(
        {
            "id": pa.array([f"{v:07d}" for v in i]),
            "phone": pa.array([f"138{v:08d}" for v in i]),
            "card": pa.array([f"622202{v:010d}" for v in i]),
            "email": pa.array([f"user{v}@example.com" for v in i]),
            "amount": pa.array(i / 100),
            "note": pa.array(["x" * 60] * rows),
        }
    )
    policy = [
        {"column": "id", "use": "token"},
        {"column": "phone", "use": "mask", "first": 3, "last": 4},
        {"column": "card", "use": "fpe_encrypt"},
        {"column": "email", "use": "mask_email"},
        {"column": "amount", "use": "round", "to": 10.0},
        {"column": "note", "use": "redact"},
    ]
    times = int(gigabytes * 1e9 / batch.nbytes) + 1
    reader = pa.RecordBatchReader.from_batches(batch.schema, (batch for _ in range(times)))
    started = time.perf_counter()
    done = sum(b.num_rows for b in desensitize.arrow.apply_batches(reader, policy, KEY))
    seconds = time.perf_counter() - started
    return {"peak_mb": peak_mb(), "rows_per_s": done / seconds}


def peak_mb() -> float:
    """This process's largest resident memory. (getrusage would count what its parent had when it was forked.)"""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="lines whose name contains this")
    parser.add_argument("--gigabytes", type=float, default=10.0, help="the size of the stream; 0 leaves it out")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "stream":
        print(json.dumps(run_stream(options.gigabytes)))
        return 0
    table = Table(options.json, options.only)
    kernels(table, options.rows, options.repeats)
    if options.gigabytes > 0:
        stream(table, options.gigabytes)
    if table.missed:
        print(f"targets missed: {', '.join(table.missed)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

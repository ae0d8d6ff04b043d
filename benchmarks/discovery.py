"""How fast personal data are found, on one core: check digits by the row, tables and files by the second.

python benchmarks/discovery.py                 a table
python benchmarks/discovery.py --json          one JSON object a figure
python benchmarks/discovery.py --rows 100000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

from ppc.dataset import Dataset  # noqa: E402
from ppc.desensitize.checksums import luhn_digit, resident_check  # noqa: E402
from ppc.desensitize.discovery import checks, scan, scan_file  # noqa: E402
from ppc.desensitize.transforms.free_text import free_text  # noqa: E402

pa.set_cpu_count(1)
PEER = Path(__file__).parent.parent / ".peers" / "presidio" / "bin" / "python"
PRESIDIO = """
import sys, time
from presidio_analyzer import predefined_recognizers as r
found = [r.EmailRecognizer(), r.CreditCardRecognizer(), r.IbanRecognizer(), r.IpRecognizer(), r.UrlRecognizer(),
         r.UsSsnRecognizer(), r.PhoneRecognizer(supported_regions=("CN", "US", "GB"))]
texts = sys.stdin.read().splitlines()
def run():
    for t in texts:
        for x in found: x.analyze(t, x.supported_entities, None)
run()
since = time.perf_counter()
run()
print(len(texts) / (time.perf_counter() - since))
"""


def best(function: Callable[[], Any], runs: int = 5) -> float:
    """The least seconds of some runs, after one that compiles."""
    function()
    seconds = float("inf")
    for _ in range(runs):
        since = time.perf_counter()
        function()
        seconds = min(seconds, time.perf_counter() - since)
    return seconds


def digits(rng: np.random.Generator, n: int, length: int, lead: str = "") -> Any:
    """`n` rows of random digits (n, length), the first of them `lead`."""
    rows = rng.integers(0, 10, (n, length))
    rows[:, : len(lead)] = [int(c) for c in lead]
    return rows


def texts(rows: Any, last: Any = None) -> pa.Array:
    """Rows of digits, and characters (codes) after them, as strings."""
    codes = rows.astype(np.uint8) + 48
    if last is not None:
        codes = np.concatenate([codes, np.asarray(last, np.uint8)[:, None]], axis=1)
    offsets = np.arange(0, codes.size + 1, codes.shape[1], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(codes), [None, pa.py_buffer(offsets), pa.py_buffer(codes.copy())])


def valid(n: int) -> dict[str, pa.Array]:
    """Columns of valid numbers."""
    rng = np.random.default_rng(1)
    resident = digits(rng, n, 17, "110105198")
    resident[:, 10:14] = [0, 1, 2, 3]
    card = digits(rng, n, 15, "6222")
    return {
        "resident_id": texts(resident, resident_check(resident)),
        "card": texts(card, luhn_digit(card) + 48),
        "digits16": texts(digits(rng, n, 16, "4")),
        "digits18": texts(digits(rng, n, 18)),
        "mobile": texts(digits(rng, n, 11, "138")),
    }


def table(n: int) -> Dataset:
    """A table of `n` rows and 20 columns of all kinds."""
    rng = np.random.default_rng(2)
    made = valid(n)
    number = rng.integers(0, 10**9, n)
    return Dataset.from_arrow(
        pa.table(
            {
                "id_card": made["resident_id"],
                "card": made["card"],
                "phone": made["mobile"],
                "a": made["digits16"],
                "b": made["digits18"],
                "email": [f"u{x}@mail.example.org" for x in number],
                "note": [f"customer {x} asked to call 1380013{x % 10000:04d} again" for x in number],
                "uuid": [f"{x:08x}-0000-4000-8000-{y:012x}" for x, y in zip(number, number, strict=True)],
                "ip": [f"10.{x % 256}.{x // 256 % 256}.{x // 65536 % 256}" for x in number],
                "name": np.array(["王小明", "李雷", "张伟", "刘洋"])[number % 4],
                "address": [f"北京市朝阳区建国路{x % 999}号" for x in number],
                "gender": np.array(["M", "F"])[number % 2],
                "city": np.array(["北京市", "上海市", "广州市"])[number % 3],
                "birth_date": pa.array((number % 20000).astype(np.int32), pa.int32()).cast(pa.date32()),
                "age": number % 90,
                "amount": rng.gamma(2, 100, n),
                "count": number % 1000,
                "flag": number % 2 == 0,
                "counter": np.arange(n) + 10**10,
                "time": pa.array(number).cast(pa.timestamp("s")),
            }
        ),
        name="wide",
    )


def figures(rows: int, peers: bool) -> Iterator[dict[str, Any]]:
    made = valid(rows)
    rate = rows / best(lambda: checks.resident_id(made["resident_id"])) / 1e6
    assert checks.resident_id(made["resident_id"]).all()
    yield {"work": "resident ID check", "value": rate, "unit": "M rows/s", "target": ">= 20", "met": rate >= 20}
    for name, function, column in (
        ("resident ID check, random digits", checks.resident_id, "digits18"),
        ("card check", checks.card, "card"),
        ("credit code check", checks.credit_code, "digits18"),
    ):
        rate = rows / best(lambda f=function, c=column: f(made[c])) / 1e6
        yield {"work": name, "value": rate, "unit": "M rows/s"}
    wide = table(rows)
    scan(wide)
    since = time.perf_counter()
    found = scan(wide)
    seconds = time.perf_counter() - since
    assert found["id_card"].category == "person.id"
    assert found["note"].category == "text.free"
    assert found["a"].category is None
    assert found["b"].category is None
    target = {"target": "< 3", "met": seconds < 3} if rows == 1_000_000 else {}
    yield {"work": f"scan of {rows:,} x 20", "value": seconds, "unit": "s", **target}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".parquet", ".csv"):
            path = Path(folder) / f"wide{suffix}"
            wide.write(path)
            yield {"work": f"scan of that file, {suffix}", "value": best(lambda p=path: scan_file(p), 1), "unit": "s"}
    some = wide.to_arrow()["note"].slice(0, 50_000).combine_chunks()
    bare = pa.array([f"nothing of note in row {i} of this table, {i % 97} in all" for i in range(50_000)])
    for name, column in (("a phone number in each", some), ("nothing to find", bare)):
        speed = len(column) / best(lambda c=column: free_text(c), 2) / 1e3
        line = {"work": f"free_text, {name}", "value": speed, "unit": "k rows/s", "peer": "presidio"}
        other = presidio(column.slice(0, 2000).to_pylist()) if peers else None
        yield line if other is None else {**line, "peer_value": other / 1e3, "ratio": speed / (other / 1e3)}


def presidio(texts_: list[str]) -> float | None:
    """Texts a second of Presidio's patterns; None if it is absent."""
    if not PEER.exists():
        return None
    done = subprocess.run(
        [str(PEER), "-c", PRESIDIO], input="\n".join(texts_), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    for line in figures(options.rows, not options.no_peers):
        if options.json:
            print(json.dumps({"peer": None, "ratio": None, "target": None, "met": None, **line}), flush=True)
            continue
        verdict = {True: "met", False: "MISSED", None: ""}[line.get("met")]
        goal = f"target {line['target']}: {verdict}" if line.get("target") else ""
        ratio = f"{line['ratio']:.0f}x {line['peer']}" if line.get("ratio") else ""
        print(f"{line['work']:36} {line['value']:10.2f} {line['unit']:10} {ratio:16} {goal}", flush=True)


if __name__ == "__main__":
    main()

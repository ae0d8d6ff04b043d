"""How long anonymity takes to measure and to make, on one core, against pycanon and anjana in the same run.

    python benchmarks/anonymity.py                 a table
    python benchmarks/anonymity.py --json          one JSON object a figure
    python benchmarks/anonymity.py --rows 100000 --no-peers

Data are made up: quasi-identifiers of the sizes that censuses have, and a sensitive column. pycanon and anjana run in
`.peers/pycanon` on the same table, read from a CSV file outside the time taken; measures must agree to 1e-9. A peer
that is not there is said to be absent.
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
from ppc.desensitize import anonymity  # noqa: E402
from ppc.desensitize.anonymity import Anonymizer, summarize  # noqa: E402

pa.set_cpu_count(1)
PEER = Path(__file__).parent.parent / ".peers" / "pycanon" / "bin" / "python"
QI = ["age", "sex", "education", "marital", "region", "work"]

MEASURE = """
import json, sys, time
import pandas as pd
from pycanon import anonymity as a
table = pd.read_csv(sys.argv[1], dtype={c: str for c in json.loads(sys.argv[4])})
qi, secret = json.loads(sys.argv[2]), [sys.argv[3]]
for name in json.loads(sys.argv[5]):
    since = time.perf_counter()
    value = getattr(a, name)(table, qi, secret)
    value = float(value[0] if isinstance(value, tuple) else value)
    print(json.dumps([name, value, time.perf_counter() - since]), flush=True)
"""
PEER_SECONDS = 120  # what a peer may take for all that it is asked
MAKE = """
import json, sys, time
import pandas as pd
from anjana.anonymity import k_anonymity
table = pd.read_csv(sys.argv[1], dtype=str)
qi = json.loads(sys.argv[2])
given = json.load(open(sys.argv[3]))
hierarchies = {c: {int(l): pd.Series(v).values for l, v in levels.items()} for c, levels in given.items()}
since = time.perf_counter()
out = k_anonymity(table, [], qi, int(sys.argv[4]), 5, hierarchies)
print(json.dumps([len(out), time.perf_counter() - since]))
"""


def people(n: int) -> Dataset:
    """`n` rows, six quasi-identifiers and a sensitive column: 7 columns."""
    rng = np.random.default_rng(7)
    weights = 1 / np.arange(1, 42)
    age = np.clip(rng.normal(42, 16, n), 17, 90).astype(np.int64)
    return Dataset.from_arrow(
        pa.table(
            {
                "age": age,
                "sex": rng.choice(["f", "m"], n),
                "education": rng.choice([f"e{i:02d}" for i in range(16)], n),
                "marital": rng.choice([f"m{i}" for i in range(7)], n, p=[0.4, 0.3, 0.1, 0.08, 0.06, 0.04, 0.02]),
                "region": rng.choice([f"r{i:02d}" for i in range(41)], n, p=weights / weights.sum()),
                "work": rng.choice([f"w{i}" for i in range(8)], n),
                "income": (rng.gamma(2, 12_000, n) // 2000).astype(np.int64),
            }
        ),
        name="people",
    )


def best(function: Callable[[], Any], runs: int) -> tuple[Any, float]:
    """The result and the least time of some runs, after one that compiles."""
    function()
    seconds, result = float("inf"), None
    for _ in range(runs):
        since = time.perf_counter()
        result = function()
        seconds = min(seconds, time.perf_counter() - since)
    return result, seconds


def peer(script: str, *arguments: str) -> list[Any]:
    """What a script in the peer's environment printed before its time was up, one JSON value a line."""
    if not PEER.exists():
        return []
    command = [str(PEER), "-c", script, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PEER_SECONDS)
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
        lines = (said.decode() if isinstance(said, bytes) else said).splitlines()
    else:
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        lines = done.stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("[")]


def measures(rows: int, peers: bool) -> Iterator[dict[str, Any]]:
    """Each measure of a generalized table of `rows` × 7, against pycanon."""
    ds = people(rows)
    released = Anonymizer(k=5, quasi_identifiers=QI, method="mondrian").fit_transform(ds)
    ours: dict[str, Callable[[Dataset], float]] = {
        "k_anonymity": lambda d: anonymity.k_anonymity(d, QI),
        "l_diversity": lambda d: anonymity.distinct_l_diversity(d, QI, "income"),
        "t_closeness": lambda d: anonymity.t_closeness(d, QI, "income"),
        "basic_beta_likeness": lambda d: anonymity.basic_beta_likeness(d, QI, "income"),
        "delta_disclosure": lambda d: anonymity.delta_disclosure(d, QI, "income"),
    }
    asked = sorted((n for n in ours if n != "k_anonymity"), key=lambda n: n != "t_closeness")  # what has a target first
    theirs: dict[str, tuple[float, float]] = {}
    if peers:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "released.csv"
            released.write(path)
            told = peer(MEASURE, str(path), json.dumps(QI), "income", json.dumps(QI), json.dumps(asked))
            theirs = {n: (value, seconds) for n, value, seconds in told}
    for name, function in ours.items():
        value, seconds = best(lambda function=function: function(released), 5)
        line: dict[str, Any] = {"work": f"{name}, {rows:,} x 7", "value": seconds, "unit": "s"}
        if name in asked:
            line |= {"peer": "pycanon", "ratio": None, "target": ">= 500x" if name == "t_closeness" else None}
            if name not in theirs and peers and PEER.exists():  # it did not end: the ratio is at least this
                line |= {"peer": "pycanon, unfinished", "peer_value": PEER_SECONDS, "ratio": PEER_SECONDS / seconds}
            elif name in theirs:
                same, slow = theirs[name]
                assert abs(same - value) < 1e-9 * max(1, abs(value)), (name, same, value)
                line |= {"peer_value": slow, "ratio": slow / seconds}
                if name == "t_closeness":
                    line["met"] = slow / seconds >= 500
        yield line


def making(rows: int, peers: bool) -> Iterator[dict[str, Any]]:
    """Mondrian on `rows` × 7; the lattice on 30,000 rows; the same by anjana."""
    ds = people(rows)
    Anonymizer(k=10, quasi_identifiers=QI, method="mondrian").fit(people(2000))
    made, seconds = best(lambda: Anonymizer(k=10, quasi_identifiers=QI, method="mondrian").fit_transform(ds), 1)
    assert anonymity.k_anonymity(made, QI) >= 10
    target = {"target": "< 10 s", "met": seconds < 10} if rows == 1_000_000 else {}
    yield {"work": f"mondrian k=10, {rows:,} x 7", "value": seconds, "unit": "s", **target}
    _, seconds = best(lambda: summarize(made, QI, ["income"]), 1)
    yield {"work": f"all measures, {made.num_rows:,} x 7", "value": seconds, "unit": "s"}
    small = people(30_000)
    hierarchies = tables(small)
    fit = lambda: Anonymizer(  # noqa: E731
        k=10, quasi_identifiers=QI, method="lattice", suppression=0.05, hierarchies=hierarchies
    ).fit_transform(small)
    out, seconds = best(fit, 3)
    assert anonymity.k_anonymity(out, QI) >= 10
    line: dict[str, Any] = {"work": "optimal lattice k=10, 30,000 x 7", "value": seconds, "unit": "s", "peer": "anjana"}
    if peers and PEER.exists():
        with tempfile.TemporaryDirectory() as folder:
            small.write(Path(folder) / "small.csv")
            # anjana's form: for each level, what each value becomes.
            levels = {c: dict(enumerate(zip(*table, strict=True))) for c, table in hierarchies.items()}
            (Path(folder) / "h.json").write_text(json.dumps(levels))
            told = peer(MAKE, f"{folder}/small.csv", json.dumps(QI), f"{folder}/h.json", "10")
            if told:
                kept, slow = told[0]
                line |= {"peer_value": slow, "ratio": slow / seconds, "peer_rows": kept, "rows": out.num_rows}
            else:
                line |= {"peer": "anjana, unfinished", "peer_value": PEER_SECONDS, "ratio": PEER_SECONDS / seconds}
    yield line


def tables(ds: Dataset) -> dict[str, list[list[str]]]:
    """A hierarchy for each quasi-identifier as rows of value, levels, '*'."""
    out = {}
    for name in QI:
        values = sorted({str(v) for v in ds.to_arrow()[name].to_pylist()})
        if name == "age":
            out[name] = [
                [v, f"{int(v) // 5 * 5}", f"{int(v) // 10 * 10}+", f"{int(v) // 20 * 20}++", "*"] for v in values
            ]
        elif len(values) > 4:
            out[name] = [[v, f"{v[0]}-{int(v[1:]) // 4}", "*"] for v in values]
        else:
            out[name] = [[v, "*"] for v in values]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows for mondrian")
    parser.add_argument("--measured", type=int, default=30_000, help="rows for the measures")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    for part in (measures(options.measured, not options.no_peers), making(options.rows, not options.no_peers)):
        for line in part:
            if options.json:
                print(json.dumps({"peer": None, "ratio": None, "target": None, "met": None, **line}), flush=True)
                continue
            ratio = line.get("ratio")
            absent = f"{line['peer']:>10} absent" if line.get("peer") else ""
            against = f"{ratio:9,.0f}x {line['peer']}" if ratio else absent
            verdict = {True: "met", False: "MISSED", None: ""}[line.get("met")]
            goal = f"target {line['target']}: {verdict}" if line.get("target") else ""
            print(f"{line['work']:36} {line['value']:10.4f} s  {against:28} {goal}", flush=True)


if __name__ == "__main__":
    main()

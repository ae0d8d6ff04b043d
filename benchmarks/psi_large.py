"""How time and memory grow with sets that are matched in buckets on disk.

Two processes, a channel of mutual TLS 1.3 on loopback, from a Parquet file with a text key and a number to a Parquet
file of the matching rows; half of the keys match. Seconds are of the slower party, from opening its file to having
written; memory is the peak of a process.

    python benchmarks/psi_large.py [--json] [--log2 20 22 24]

With more than one size, the last line is how much longer a key takes at the largest than at the smallest.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MEMORY_MB = 2000
LINEARITY = 1.3
_CHUNK = 1 << 20


def write_file(path: Path, party: str, n: int) -> None:
    """`n` customers in an order of their own, as text keys of 18 digits, in a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    start = 0 if party == "bank-a" else n // 2
    step = 0x9E3779B1 % n | 1  # odd, so each number comes once: n is a power of two
    schema = pa.schema({"customer": pa.string(), "amount": pa.int64()})
    with pq.ParquetWriter(path, schema) as out:
        for at in range(0, n, _CHUNK):
            import numpy as np

            numbers = (np.arange(at, min(n, at + _CHUNK), dtype=np.int64) * step) % n + start
            keys = pa.array(numbers + 110_101_190_000_000_000).cast(pa.string())
            out.write_table(pa.table({"customer": keys, "amount": numbers}, schema=schema))


def run_party(party: str, folder: Path, port: int) -> dict[str, float]:
    """Match the file of `party`; bank-a listens."""
    from ppc.dataset.stream import open_table
    from ppc.joint.matching import Settings, match, prepare_passes, write_matched
    from ppc.net import identity, tls

    me = identity.load(folder, party)
    if party == "bank-a":
        listener = tls.Listener(me)
        (folder / "port").write_text(str(listener.address[1]))
        channel = listener.accept("benchmark", "bank-b", 60)
        listener.close()
    else:
        channel = tls.connect(me, "bank-a", "127.0.0.1", port, "benchmark", 60)
    settings = Settings(keys=(("customer",),))
    since = time.perf_counter()
    table = open_table(folder / f"{party}.parquet", typed=settings.columns)
    passes = prepare_passes(table, settings, folder=folder)
    found = match(channel, table, settings, passes, folder=folder)
    rows = write_matched(table, found, folder / f"{party}.out.parquet", folder=folder)
    seconds = time.perf_counter() - since
    sent = channel.meter.snapshot().sent
    channel.close()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "sent": sent, "rows": rows,
        "memory": usage.ru_maxrss / 1024, "buckets": found.buckets,
    }  # fmt: skip


def measure(n: int) -> dict[str, float]:
    """Both parties' figures for `n` keys each."""
    import pyarrow.parquet as pq

    from ppc.net import identity

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        identity.create_ca(folder)
        for party in ("bank-a", "bank-b"):
            identity.issue(folder, party)
            write_file(folder / f"{party}.parquet", party, n)
        command = [sys.executable, __file__, "--folder", name, "--party"]
        parties = [subprocess.Popen([*command, "bank-a"], stdout=subprocess.PIPE, text=True)]
        while not ((folder / "port").exists() and (folder / "port").read_text()):
            time.sleep(0.02)
            if parties[0].poll() is not None:
                raise SystemExit("bank-a failed")
        port = (folder / "port").read_text()
        parties.append(subprocess.Popen([*command, "bank-b", "--port", port], stdout=subprocess.PIPE, text=True))
        figures = [json.loads(p.communicate()[0]) for p in parties]
        assert all(f["rows"] == n - n // 2 for f in figures)
        columns = [
            pq.read_table(folder / f"{p}.out.parquet", columns=["customer"])["customer"] for p in ("bank-a", "bank-b")
        ]
        assert columns[0].equals(columns[1]), "both files are in one order"
    return {
        "seconds": max(f["seconds"] for f in figures),
        "cpu": sum(f["cpu"] for f in figures),
        "bytes": sum(f["sent"] for f in figures),
        "memory": max(f["memory"] for f in figures),
        "buckets": figures[0]["buckets"],
    }


def show(as_json: bool, work: str, value: float, unit: str, target: float | None = None) -> None:
    if as_json:
        met = None if target is None else value <= target
        line = {"work": work, "value": value, "unit": unit, "peer": None, "ratio": None, "target": target, "met": met}
        print(json.dumps(line), flush=True)
    else:
        print(f"{work:60} {value:>10} {unit}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--log2", type=int, nargs="+", default=[20, 22], help="set sizes, as powers of two")
    parser.add_argument("--party", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.party:
        print(json.dumps(run_party(options.party, options.folder, options.port)))
        return
    per_key = []
    for log2 in sorted(options.log2):
        found = measure(1 << log2)
        work = f"psi in buckets 2^{log2} x 2^{log2}"
        show(options.json, f"{work}: time, file to file", round(found["seconds"], 2), "s")
        show(options.json, f"{work}: processor time of both", round(found["cpu"], 1), "s")
        show(options.json, f"{work}: peak memory of a process", round(found["memory"]), "MB", MEMORY_MB)
        show(options.json, f"{work}: traffic of both", round(found["bytes"] / (1 << log2), 1), "bytes/item")
        show(options.json, f"{work}: buckets", found["buckets"], "buckets")
        per_key.append(found["cpu"] / (1 << log2))
    if len(per_key) > 1:
        show(options.json, "psi in buckets: processor time a key, largest/smallest", round(per_key[-1] / per_key[0], 2),
             "times", LINEARITY)  # fmt: skip


if __name__ == "__main__":
    main()

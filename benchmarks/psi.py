"""How long two parties take to match their customers, and what travels.

Two processes, mutual TLS 1.3 on loopback, keys in an Arrow column to row indices; half of the keys match. The time is
that of the slower party from its keys to its result; connecting and generating the data are not in it.

Every protocol is warmed up on a few keys, so that compiling kernels (once for an installation) is not in it either.

    python benchmarks/psi.py [--json] [--log2 12 14 16] [--protocol ecdh kkrt rr22 rr22-ot rr22-malicious]
                             [--vs spu openmined]

With `--vs spu` SecretFlow SPU, installed in `.peers/spu`, matches the same keys in the same go: two processes, loopback
without TLS, CSV file to CSV file. With `--vs openmined` so does OpenMined's PSI, in one process (see
`peers/openmined_psi.py`), beside our fastest protocol. `rr22-malicious` beside `rr22` also gives the ratio of the two.
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
from typing import Any


def keys_of(party: str, n: int) -> Any:
    """`n` synthetic customer numbers as text; the two parties share half of them."""
    import numpy as np
    import pyarrow as pa

    start = 0 if party == "bank-a" else n // 2
    numbers = np.random.default_rng(1).permutation(np.arange(start, start + n)) + 110_101_190_000_000_000
    return {"customer": pa.array(numbers).cast(pa.string())}


def run_party(party: str, folder: str, n: int, port: int, protocol: str) -> dict[str, float]:
    """Match `n` keys as `party`; bank-a listens."""
    import numpy as np

    from ppc.mpc.psi import protocols
    from ppc.net import identity, tls

    columns = keys_of(party, n)
    me = identity.load(folder, party)
    if party == "bank-a":
        listener = tls.Listener(me)
        (Path(folder) / "port").write_text(str(listener.address[1]))
        channel = listener.accept("benchmark", "bank-b", 60)
    else:
        channel = tls.connect(me, "bank-a", "127.0.0.1", port, "benchmark", 60)
    name, _, variant = protocol.partition("-")
    options = {"protocol": name, "randomness": "ot" if variant == "ot" else "silent"}
    options["security"] = "malicious" if variant == "malicious" else "semi-honest"
    protocols.intersect(channel, keys_of(party, 1 << 10 if name == "ecdh" else 1 << 13), **options)
    channel.exchange("start", np.zeros(1, np.uint8))
    before = channel.meter.snapshot()
    since, burnt = time.perf_counter(), time.process_time()
    rows = protocols.intersect(channel, columns, **options)
    seconds, cpu = time.perf_counter() - since, time.process_time() - burnt
    cost = channel.meter.snapshot() - before
    channel.close()
    if party == "bank-a":
        listener.close()
    assert len(rows) == n - n // 2
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sent, rounds = cost.sent, cost.rounds
    return {"seconds": seconds, "cpu": cpu, "sent": sent, "rounds": rounds, "memory": memory}


def measure(n: int, protocol: str) -> dict[str, float]:
    """Both parties' figures for `n` keys each: the slower one's seconds, the bytes of both."""
    from ppc.net import identity

    with tempfile.TemporaryDirectory() as folder:
        identity.create_ca(folder)
        for party in ("bank-a", "bank-b"):
            identity.issue(folder, party)
        command = [sys.executable, __file__, "--folder", folder, "--rows", str(n), "--protocol", protocol, "--party"]
        parties = [subprocess.Popen([*command, "bank-a"], stdout=subprocess.PIPE, text=True)]
        port = Path(folder) / "port"
        while not (port.exists() and port.read_text()):
            time.sleep(0.02)
            if parties[0].poll() is not None:
                raise SystemExit("bank-a failed")
        parties.append(
            subprocess.Popen([*command, "bank-b", "--port", port.read_text()], stdout=subprocess.PIPE, text=True)
        )
        figures = [json.loads(p.communicate()[0]) for p in parties]
    return {
        "seconds": max(f["seconds"] for f in figures),
        "cpu": sum(f["cpu"] for f in figures),
        "bytes": sum(f["sent"] for f in figures),
        "rounds": figures[0]["rounds"],
        "memory": max(f["memory"] for f in figures),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--log2", type=int, nargs="+", default=[12, 14, 16], help="set sizes, as powers of two")
    parser.add_argument("--protocol", nargs="+", default=["ecdh", "rr22"], choices=PROTOCOLS)
    parser.add_argument("--vs", nargs="+", choices=["spu", "openmined"], default=[], help="measure these peers too")
    parser.add_argument("--party", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.party:
        print(json.dumps(run_party(options.party, options.folder, options.rows, options.port, options.protocol[0])))
        return
    seconds: dict[tuple[str, int], float] = {}
    burnt: dict[tuple[str, int], float] = {}
    for log2 in options.log2:
        for protocol in options.protocol:
            peer = None
            if "spu" in options.vs and protocol in ("ecdh", "kkrt", "rr22"):
                peer = measure_spu(1 << log2, protocol)
            seconds[protocol, log2], burnt[protocol, log2] = report(protocol, log2, options.json, peer)
        for what, figures in (("time", seconds), ("processor time", burnt)):
            honest, checked = figures.get(("rr22", log2)), figures.get(("rr22-malicious", log2))
            if honest and checked:
                work = f"psi rr22-malicious 2^{log2} x 2^{log2}: {what} against semi-honest"
                line(options.json, work, checked / honest, "x", None, 1.5 if log2 == 20 else None)
        if "openmined" in options.vs:
            peer = measure_openmined(1 << log2)
            best = min(t for (_, n), t in seconds.items() if n == log2)
            work = f"psi 2^{log2} x 2^{log2}: openmined's time against ours"
            line(options.json, work, peer / best, "x", f"openmined.psi: {peer:.3f} s", 60 if log2 == 16 else None, True)


PROTOCOLS = ["ecdh", "kkrt", "rr22", "rr22-ot", "rr22-malicious"]

# (protocol, log2, figure): what is to be reached, and a peer's figure on the machine of the documentation
TARGETS = {
    ("rr22", 20, "time"): (2.25, 4.5),
    ("rr22", 20, "traffic of both parties"): (36, 33),
    ("rr22", 20, "peak memory of a process"): (700, 680),
    ("rr22", 16, "time"): (0.38, 0.38),
    ("ecdh", 16, "time"): (4.2, 1.4),
}


def measure_spu(n: int, protocol: str) -> float:
    """Seconds of SPU's slower party for `n` keys each."""
    import socket

    import pyarrow as pa
    import pyarrow.csv

    here = Path(__file__).resolve().parent
    python = here.parent / ".peers/spu/bin/python"
    with tempfile.TemporaryDirectory() as folder, socket.socket() as a, socket.socket() as b:
        ports = []
        for s in (a, b):
            s.bind(("127.0.0.1", 0))
            ports.append(str(s.getsockname()[1]))
            s.close()
        parties = []
        for rank, party in enumerate(("bank-a", "bank-b")):
            pa.csv.write_csv(pa.table(keys_of(party, n)), f"{folder}/{party}.csv")
            command = [python, here / "peers/spu_psi.py", str(rank), *ports, protocol]
            files = [f"{folder}/{party}.csv", f"{folder}/{party}.out.csv"]
            parties.append(
                subprocess.Popen([*command, *files], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            )
        lines = [p.communicate()[0].splitlines() for p in parties]
    figures = [json.loads(next(x for x in reversed(party) if x.startswith("{"))) for party in lines]
    assert all(f["found"] == n - n // 2 for f in figures)
    return max(f["seconds"] for f in figures)


def measure_openmined(n: int) -> float:
    """Seconds of OpenMined's PSI for `n` keys each, client and server on a core of their own."""
    here = Path(__file__).resolve().parent
    python = here.parent / ".peers/openmined/bin/python"
    found = subprocess.run(
        [python, here / "peers/openmined_psi.py", str(n)], capture_output=True, text=True, check=True
    )
    figures = json.loads(found.stdout.splitlines()[-1])
    assert figures["found"] == n - n // 2
    return float(figures["seconds"])


def report(protocol: str, log2: int, as_json: bool, measured_peer: float | None = None) -> tuple[float, float]:
    """Measure one size and print its figures; the peer of the targets is SecretFlow's SPU 0.9.5.

    Returns the slower party's seconds, and the processor seconds of both.
    """
    n = 1 << log2
    found = measure(n, protocol)
    for name, value, unit in (
        ("time", round(found["seconds"], 3), "s"),
        ("processor time of both parties", round(found["cpu"], 3), "s"),
        ("traffic of both parties", round(found["bytes"] / n, 1), "bytes/item"),
        ("rounds", found["rounds"], "rounds"),
        ("peak memory of a process", round(found["memory"]), "MB"),
    ):
        target, peer = TARGETS.get((protocol, log2, name), (None, None))
        if name == "time" and measured_peer is not None:
            if target is not None and peer is not None:
                target = round(measured_peer * target / peer, 3)  # the same share of what the peer needs here and now
            peer = round(measured_peer, 3)
        beside = None if peer is None else f"spu 0.9.5: {peer}"
        line(as_json, f"psi {protocol} 2^{log2} x 2^{log2}: {name}", value, unit, beside, target, ratio_to=peer)
    return found["seconds"], found["cpu"]


def line(
    as_json: bool, work: str, value: float, unit: str, peer: str | None, target: float | None, at_least: bool = False,
    ratio_to: float | None = None,
) -> None:  # fmt: skip
    """One figure, as JSON or for people."""
    met = None if target is None else (value >= target if at_least else value <= target)
    if as_json:
        ratio = None if ratio_to is None else round(value / ratio_to, 2)
        figure = {"work": work, "value": round(value, 3), "unit": unit, "peer": peer, "ratio": ratio}
        print(json.dumps({**figure, "target": target, "met": met}), flush=True)
    else:
        print(f"{work:66} {round(value, 3):>10} {unit}" + ("" if peer is None else f"    {peer}"), flush=True)


if __name__ == "__main__":
    main()

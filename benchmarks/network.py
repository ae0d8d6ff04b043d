"""What a channel costs: a small round trip and the throughput of large frames; two processes, TLS on loopback.

python benchmarks/network.py [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from ppc.net import identity, tls
from ppc.net.channel import Spec

ROUNDS = 3000
WORDS = 8 << 20  # 64 MB


def figures(channel: Any) -> list[tuple[str, float, str, float]]:
    """Work, value, unit and target of each measurement; both parties run this in step."""
    first = channel.me == "bank-a"
    small, large = np.zeros(4, np.uint64), np.ones(WORDS, np.uint64)
    spec = Spec.of(small)

    def exchange() -> None:
        for _ in range(ROUNDS):
            channel.exchange("x", small)

    def ask() -> None:
        for _ in range(ROUNDS):
            if first:
                channel.send("question", small)
                channel.recv("answer", spec)
            else:
                channel.recv("question", spec)
                channel.send("answer", small)

    def one_way() -> None:
        if first:
            channel.send("large", large)
            channel.recv("done", spec)
        else:
            channel.recv("large", Spec.of(large))
            channel.send("done", small)

    def both_ways() -> None:
        channel.exchange("large", large)

    def best(work: Any, repeat: int) -> float:
        times = []
        for _ in range(repeat):
            channel.exchange("start", small)
            since = time.perf_counter()
            work()
            times.append(time.perf_counter() - since)
        return min(times)

    return [
        ("exchange of 32 bytes", 1e3 * best(exchange, 2) / ROUNDS, "ms", 0.15),
        ("question and answer of 32 bytes", 1e3 * best(ask, 2) / ROUNDS, "ms", 0.15),
        ("64 MB one way", large.nbytes / best(one_way, 5) / 1e9, "GB/s", 0.7),
        ("64 MB both ways at once, each way", large.nbytes / best(both_ways, 5) / 1e9, "GB/s", 0.35),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--peer", nargs=2, metavar=("FOLDER", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        folder, port = options.peer
        with tls.connect(identity.load(folder, "bank-b"), "bank-a", "127.0.0.1", int(port), "benchmark", 30) as channel:
            figures(channel)
        return
    with tempfile.TemporaryDirectory() as folder:
        identity.create_ca(folder)
        for party in ("bank-a", "bank-b"):
            identity.issue(folder, party)
        with tls.Listener(identity.load(folder, "bank-a")) as listener:
            peer = subprocess.Popen([sys.executable, __file__, "--peer", folder, str(listener.address[1])])
            with listener.accept("benchmark", "bank-b", 30) as channel:
                found = figures(channel)
            peer.wait()
    for work, value, unit, target in found:
        met = value <= target if unit == "ms" else value >= target
        if options.json:
            line = {"work": f"channel: {work}", "value": round(value, 3), "unit": unit}
            print(json.dumps(line | {"peer": None, "ratio": None, "target": target, "met": bool(met)}))
        else:
            print(f"{work:40} {value:8.3f} {unit:5} target {target:g}: {'met' if met else 'missed'}")


if __name__ == "__main__":
    main()

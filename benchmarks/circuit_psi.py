"""How long circuit PSI and union IDs take, and what travels.

Two processes and a dealer, mutual TLS 1.3 on loopback, keys in an Arrow column to shares (circuit PSI, one column of
numbers at each party) or to IDs (union); half of the keys match. The time is that of the slower party from its keys to
its result; connecting, generating the data and compiling kernels (once for an installation) are not in it.

    python benchmarks/circuit_psi.py [--json] [--log2 12 16 20] [--protocol circuit union]
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

PARTIES = ("bank-a", "bank-b")
#: (protocol, log2): seconds to be reached
TARGETS = {("circuit", 16): 5.0, ("circuit", 20): 60.0}


def keys_of(party: str, n: int) -> Any:
    """`n` synthetic customer numbers as text; the two parties share half of them."""
    import numpy as np
    import pyarrow as pa

    start = 0 if party == PARTIES[0] else n // 2
    numbers = np.random.default_rng(1).permutation(np.arange(start, start + n)) + 110_101_190_000_000_000
    return {"customer": pa.array(numbers).cast(pa.string())}


def run_party(party: str, folder: Path, n: int, protocol: str) -> dict[str, float]:
    """Match `n` keys as `party`; bank-a listens."""
    import numpy as np

    from ppc.mpc.psi import circuit, union
    from ppc.mpc.session import Session
    from ppc.net import identity, tls

    me = identity.load(folder, party)
    helper = tls.connect(me, "helper", "127.0.0.1", wait_for(folder / "helper.port"), "benchmark", 60)
    listener = None
    if party == PARTIES[0]:
        listener = tls.Listener(me)
        publish(folder / "port", listener.address[1])
        channel = listener.accept("benchmark", PARTIES[1], 60)
    else:
        channel = tls.connect(me, PARTIES[0], "127.0.0.1", wait_for(folder / "port"), "benchmark", 60)
    peer = next(p for p in PARTIES if p != party)

    def run(s: Session, keys: Any, rows: int) -> int:
        if protocol == "circuit":
            return circuit.match(s, keys, np.ones((rows, 1)), receiver=0).bins
        return union.universal_ids(s, keys).common

    with Session.additive(party, PARTIES, {peer: channel}, helper) as s:
        run(s, keys_of(party, 1 << 13), 1 << 13)
        keys = keys_of(party, n)
        channel.exchange("start", np.zeros(1, np.uint8))
        before, dealt = s.meter, s.offline
        since, used = time.perf_counter(), time.process_time()
        found = run(s, keys, n)
        seconds, cpu = time.perf_counter() - since, time.process_time() - used
        cost, dealt = s.meter - before, s.offline - dealt
    if listener is not None:
        listener.close()
    assert protocol == "circuit" or found == n - n // 2
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": seconds, "cpu": cpu, "sent": cost.sent, "dealt": dealt.received, "rounds": cost.rounds,
        "memory": memory,
    }  # fmt: skip


def run_helper(folder: Path) -> None:
    """Deal to both parties until they are done."""
    from ppc.mpc.correlations import dealer
    from ppc.net import identity, tls

    with tls.Listener(identity.load(folder, "helper")) as listener:
        publish(folder / "helper.port", listener.address[1])
        dealer.serve({p: listener.accept("benchmark", p, 60) for p in PARTIES})


def publish(path: Path, port: int) -> None:
    """The port in a file, whole or not at all."""
    path.with_suffix(".part").write_text(str(port))
    path.with_suffix(".part").replace(path)


def wait_for(path: Path) -> int:
    """The port that another process publishes."""
    for _ in range(3000):
        if path.exists():
            return int(path.read_text())
        time.sleep(0.02)
    raise SystemExit(f"nobody listens: {path.name}")


def measure(n: int, protocol: str) -> dict[str, float]:
    """Both parties' figures for `n` keys each: the slower one's seconds, the bytes of both."""
    from ppc.net import identity

    with tempfile.TemporaryDirectory() as folder:
        identity.create_ca(folder)
        for name in (*PARTIES, "helper"):
            identity.issue(folder, name)
        command = [sys.executable, __file__, "--folder", folder, "--rows", str(n), "--protocol", protocol, "--party"]
        helper = subprocess.Popen([*command, "helper"])
        parties = [subprocess.Popen([*command, p], stdout=subprocess.PIPE, text=True) for p in PARTIES]
        figures = [json.loads(p.communicate()[0] or "null") for p in parties]
        helper.wait()
    if None in figures:
        raise SystemExit("a party failed")
    return {
        "seconds": max(f["seconds"] for f in figures),
        "cpu": max(f["cpu"] for f in figures),
        "bytes": sum(f["sent"] for f in figures),
        "dealt": sum(f["dealt"] for f in figures),
        "rounds": max(f["rounds"] for f in figures),
        "memory": max(f["memory"] for f in figures),
    }


def report(protocol: str, log2: int, as_json: bool) -> None:
    """Measure one size and print its figures."""
    n = 1 << log2
    found = measure(n, protocol)
    for name, value, unit in (
        ("time", round(found["seconds"], 3), "s"),
        ("processor time of a party", round(found["cpu"], 3), "s"),
        ("traffic of both parties", round(found["bytes"] / n, 1), "bytes/item"),
        ("from the dealer", round(found["dealt"] / n, 1), "bytes/item"),
        ("rounds", found["rounds"], "rounds"),
        ("peak memory of a process", round(found["memory"]), "MB"),
    ):
        work = f"{protocol} psi 2^{log2} x 2^{log2}: {name}" if protocol == "circuit" else f"union ids 2^{log2}: {name}"
        target = TARGETS.get((protocol, log2)) if name == "time" else None
        if as_json:
            met = None if target is None else value <= target
            line = {"work": work, "value": value, "unit": unit, "peer": None, "ratio": None}
            print(json.dumps({**line, "target": target, "met": met}), flush=True)
        else:
            print(f"{work:60} {value:>10} {unit}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--log2", type=int, nargs="+", default=[12, 16], help="set sizes, as powers of two")
    parser.add_argument("--protocol", nargs="+", default=["circuit", "union"], choices=["circuit", "union"])
    parser.add_argument("--party", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.party == "helper":
        run_helper(options.folder)
    elif options.party:
        print(json.dumps(run_party(options.party, options.folder, options.rows, options.protocol[0])))
    else:
        for protocol in options.protocol:
            for log2 in options.log2:
                report(protocol, log2, options.json)


if __name__ == "__main__":
    main()

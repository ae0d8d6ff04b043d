"""The other ways of matching: three parties, counts and sums over common keys, a prepared large set and small clients.

Each party is a process; mutual TLS 1.3 on loopback; keys in an Arrow column. The time is that of the slowest party from
its keys to its result, after a warm-up on a few keys (kernels are compiled once for an installation).

    python benchmarks/psi_kinds.py [--json] [--only WORK …] [--smaller BITS]

`--smaller 4` takes sets that are 2^4 times smaller.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from memory import peak_megabytes

PARTIES = ("bank-a", "bank-b", "bank-c")


def keys_of(n: int, start: int = 0) -> dict[str, Any]:
    """`n` customer numbers from `start` on, as text, in a random order."""
    import numpy as np
    import pyarrow as pa

    numbers = np.random.default_rng(start).permutation(np.arange(start, start + n)) + 110_101_190_000_000_000
    return {"customer": pa.array(numbers).cast(pa.string())}


# --- each work: what a party does with its channels; returns a check of its result ---
def three(me: str, channels: Mapping[str, Any], n: int, _: Path) -> None:
    from ppc.mpc.psi import multiparty

    rows = multiparty.intersect(channels, keys_of(n, PARTIES.index(me) * n // 4))
    assert len(rows) == n // 2


def count(me: str, channels: Mapping[str, Any], n: int, _: Path) -> None:
    from ppc.mpc.psi import cardinality

    (channel,) = channels.values()
    assert cardinality.count(channel, keys_of(n, PARTIES.index(me) * n // 2)) == n // 2


def total(me: str, channels: Mapping[str, Any], n: int, _: Path) -> None:
    import numpy as np

    from ppc.joint.totals import PaillierAdder, PaillierSealer
    from ppc.mpc.psi import cardinality

    (channel,) = channels.values()
    if me == "bank-a":
        result = cardinality.own_total(channel, keys_of(n), np.ones((n, 1), np.int64), PaillierSealer())
        assert result.sums == (n // 2,)
    else:
        assert (
            cardinality.peer_total(channel, keys_of(n, n // 2), PaillierAdder(), columns=1, min_rows=1).count == n // 2
        )


def unbalanced(me: str, channels: Mapping[str, Any], n: int, folder: Path) -> None:
    from ppc.mpc.psi import unbalanced as cached

    (channel,) = channels.values()
    if me == "bank-a":
        cached.serve(channel, cached.Cache.read(folder / f"{n}.cache"))
    else:
        small = min(1 << 10, n)
        match, _ = cached.ask(channel, keys_of(small, n - small // 2))
        assert len(match.rows) == small // 2


def prepare(n: int, folder: Path) -> None:
    """The server's cache for `n` keys."""
    from ppc.mpc.psi import unbalanced as cached

    cached.build(keys_of(n)).write(folder / f"{n}.cache")


WORKS: dict[
    str, tuple[Callable[..., None], int, int, float | None]
] = {  # how, parties, log2 of rows, target in seconds
    "three parties, rr22": (three, 3, 20, None),
    "count": (count, 2, 16, None),
    "count and sum": (total, 2, 14, None),
    "2^10 keys against a cache": (unbalanced, 2, 22, 1.0),
}


def run_party(me: str, work: str, bits: int, folder: Path) -> dict[str, float]:
    """One party's figures. Party i listens for those after it."""
    import numpy as np

    from ppc.net import identity, tls

    function, parties, _, _ = WORKS[work]
    rank = PARTIES.index(me)
    own = identity.load(str(folder), me)
    channels = {}
    listener = tls.Listener(own)
    (folder / f"{me}.part").write_text(str(listener.address[1]))
    (folder / f"{me}.part").rename(folder / f"{me}.port")
    for name in PARTIES[:rank]:
        port = folder / f"{name}.port"
        while not port.exists():
            time.sleep(0.02)
        channels[name] = tls.connect(own, name, "127.0.0.1", int(port.read_text()), "benchmark", 60)
    for name in PARTIES[rank + 1 : parties]:
        channels[name] = listener.accept("benchmark", name, 60)
    function(me, channels, 1 << min(bits, 12), folder)
    for _name, channel in sorted(channels.items()):
        channel.exchange("start", np.zeros(1, np.uint8))
    before = [c.meter.snapshot() for c in channels.values()]
    since = time.perf_counter()
    function(me, channels, 1 << bits, folder)
    seconds = time.perf_counter() - since
    sent = sum((c.meter.snapshot() - b).sent for c, b in zip(channels.values(), before, strict=True))
    for channel in channels.values():
        channel.close()
    listener.close()
    return {"seconds": seconds, "sent": sent, "memory": peak_megabytes()}


def measure(work: str, bits: int) -> tuple[dict[str, float], float | None]:
    """The slowest party's seconds, the bytes of all, the largest process; and the seconds of preparing, if any."""
    from ppc.net import identity

    function, parties, _, _ = WORKS[work]
    preparing = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if function is unbalanced:
            prepare(1 << min(bits, 12), folder)
            since = time.perf_counter()
            prepare(1 << bits, folder)
            preparing = time.perf_counter() - since
        identity.create_ca(name)
        for party in PARTIES[:parties]:
            identity.issue(name, party)
        command = [sys.executable, __file__, "--folder", name, "--bits", str(bits), "--only", work, "--party"]
        running = [subprocess.Popen([*command, p], stdout=subprocess.PIPE, text=True) for p in PARTIES[:parties]]
        outputs = [p.communicate(timeout=1800)[0] for p in running]
        if any(p.returncode for p in running):
            raise SystemExit(f"{work}: a party failed")
        figures = [json.loads(text) for text in outputs]
    return {
        "seconds": max(f["seconds"] for f in figures),
        "sent": sum(f["sent"] for f in figures),
        "memory": max(f["memory"] for f in figures),
    }, preparing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--only", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--smaller", type=int, default=0, help="sets of 2^BITS times fewer keys")
    parser.add_argument("--party", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--bits", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.party:
        print(json.dumps(run_party(options.party, options.only[0], options.bits, options.folder)))
        return
    for work in options.only:
        _, _, log2, target = WORKS[work]
        bits = max(log2 - options.smaller, 4)
        figures, preparing = measure(work, bits)
        lines = [
            ("time", round(figures["seconds"], 3), "s", target),
            ("traffic of all", round(figures["sent"] / 2**20, 2), "MB", None),
            ("peak memory of a process", round(figures["memory"]), "MB", None),
        ]
        if preparing is not None:
            lines.append(("preparing the cache, once", round(preparing, 1), "s", None))
        for name, value, unit, limit in lines:
            what = f"psi {work} of 2^{bits}: {name}"
            if options.json:
                line = {"work": what, "value": value, "unit": unit, "peer": None, "ratio": None, "target": limit}
                print(json.dumps({**line, "met": None if limit is None else value <= limit}), flush=True)
            else:
                print(f"{what:64} {value:>10} {unit}", flush=True)


if __name__ == "__main__":
    main()

"""Random oblivious transfers between two real processes, mutual TLS on loopback: how many a second, and their bytes.

    python benchmarks/ot.py            a table
    python benchmarks/ot.py --json     one JSON object a figure

Each line makes transfers in one direction, hashes them to pads (two at the sender, one at the chooser), and checks a
sample: the chooser's pad must be the sender's of that choice.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ppc.core import aes, bits
from ppc.mpc.correlations.pairwise import PairwiseSource
from ppc.net import identity, tls
from ppc.net.channel import Spec

NAMES = ("bank-a", "bank-b")
WORDS = 1 << 16  # 64 transfers each: 2**22
PIECE = 1 << 13  # rows hashed at a time
LINES = (
    ("random OTs, SoftSpokenOT k = 4", "ot", 4, 10e6, 4.1),
    ("random OTs, SoftSpokenOT k = 2", "ot", 2, 10e6, 8.1),
    ("random OTs, SoftSpokenOT k = 8", "ot", 8, None, 2.1),
    ("random OTs, silent", "silent", 4, None, 1.0),
)


def party(folder: Path, rank: int) -> None:
    me = identity.load(folder, NAMES[rank])
    if rank == 0:
        with tls.Listener(me) as listener:
            temporary = folder / "port.part"
            temporary.write_text(str(listener.address[1]))
            os.replace(temporary, folder / "port")
            channel: Any = listener.accept("bench", NAMES[1], 60)
    else:
        while not (folder / "port").exists():
            time.sleep(0.05)
        channel = tls.connect(me, NAMES[0], "127.0.0.1", int((folder / "port").read_text()), "bench", 60)
    for name, randomness, k, _, _ in LINES:
        source = PairwiseSource(channel, rank, randomness, k)
        make(source, rank, 1 << 10)  # base transfers, and compilation
        channel.exchange("barrier", np.zeros(1, np.uint64))
        before, began, worked = channel.meter.snapshot(), time.perf_counter(), time.process_time()
        pads, choices = make(source, rank, WORDS)
        channel.exchange("barrier", np.zeros(1, np.uint64))
        seconds, cpu = time.perf_counter() - began, time.process_time() - worked
        cost = channel.meter.snapshot() - before
        wrong = check(channel, rank, pads, choices)
        print(json.dumps({"name": name, "seconds": seconds, "cpu": cpu, "sent": cost.sent, "wrong": wrong}), flush=True)
    channel.close()


def make(source: PairwiseSource, rank: int, words: int) -> tuple[list[Any], Any]:
    """The pads of one direction: [first, second] at the sender, [chosen] and the choices at the other party."""
    delta = source.delta
    step = min(words, 1 << 12 if source.randomness == "ot" else WORDS)
    kept: list[Any] = []
    chosen = None
    for _ in range(0, words, step):
        q, r, t = source.rows(*((step, 0) if rank == 0 else (0, step)))
        made: list[list[Any]] = [[], []]
        for at in range(0, 64 * step, PIECE):
            part = slice(at, at + PIECE)
            for out, rows in zip(made, (q[part], q[part] ^ delta) if rank == 0 else (t[part],), strict=False):
                out.append(aes.mmo(source.hash_key, rows))
        if chosen is None:  # the first ones are the sample; the others have been made, and may go
            kept, chosen = [np.concatenate(out) for out in made if out], r
    return kept, chosen


def check(channel: Any, rank: int, pads: list[Any], choices: Any) -> int:
    n = 1 << 12
    if rank == 0:
        channel.send("sample", np.stack([p[:n] for p in pads]))
        return 0
    (both,) = channel.recv("sample", Spec(np.uint64, (2, n, 2)))
    want = np.where(bits.unpack(choices, n)[:, None] == 1, both[1], both[0])
    return int((want != pads[0][:n]).any(axis=1).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rank", type=int)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    if args.rank is not None:
        return party(args.folder, args.rank)
    with tempfile.TemporaryDirectory() as name:
        identity.create_ca(Path(name))
        for who in NAMES:
            identity.issue(Path(name), who, ["127.0.0.1"])
        command = [sys.executable, __file__, "--folder", name, "--rank"]
        processes = [subprocess.Popen([*command, str(r)], stdout=subprocess.PIPE, text=True) for r in (0, 1)]
        outputs = [[json.loads(line) for line in p.communicate()[0].splitlines()] for p in processes]
        if any(p.returncode for p in processes):
            raise SystemExit("a process failed")
    n = 64 * WORDS
    if not args.json:
        print(f"{'work':36} {'M OT/s':>8} {'bytes':>7} {'CPU ns':>7} {'wrong':>6}")
    for line, a, b in zip(LINES, *outputs, strict=True):
        rate, each = n / max(a["seconds"], b["seconds"]), (a["sent"] + b["sent"]) / n
        wrong, cpu = b["wrong"], max(a["cpu"], b["cpu"]) / n * 1e9
        met = wrong == 0 and (line[3] is None or rate >= line[3]) and each <= line[4]
        target = f"{f'>= {line[3] / 1e6:g} M/s, ' if line[3] else ''}<= {line[4]:g} bytes"
        if args.json:
            print(json.dumps({
                "work": line[0], "value": round(rate), "unit": "OT/s", "peer": None, "ratio": None, "target": target,
                "met": met, "bytes_each": round(each, 3), "cpu_ns": round(cpu, 1), "wrong": wrong,
            }))  # fmt: skip
        else:
            print(
                f"{line[0]:36} {rate / 1e6:8.2f} {each:7.3f} {cpu:7.1f} {wrong:6d} {'' if met else 'MISSED ' + target}"
            )


if __name__ == "__main__":
    main()

"""How long two parties take to grow boosted trees on shares, what travels, and how near it is to the same in the clear.

Both parties and the helper as threads of one process, from data in memory to shares of the leaves; the masking of the
features and all correlated randomness included. Made-up rows, half of the columns at each party.

    python benchmarks/trees.py [--json] [--rows 30000] [--columns 20] [--trees 10] [--depth 4]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import numpy as np

from ppc.core.rng import Stream
from ppc.joint.credit import boosted_clear
from ppc.joint.credit.boosted_training import TreesParams
from ppc.mpc import run
from ppc.mpc.learn import boosting
from ppc.mpc.learn.candidates import Candidates

TARGET_S = 60.0


def customers(rows: int, columns: int) -> tuple[list[Any], Any]:
    """Two parties' features and a label that depends on both."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, columns))
    half = columns // 2
    z = x[:, 0] + 2 * np.sin(2 * x[:, half]) + x[:, 1] * x[:, -1] - 1
    return [x[:, :half], x[:, half:]], (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(np.float64)


def measure(rows: int, columns: int, params: TreesParams) -> dict[str, tuple[float, str]]:
    """The figures of one training, name: (value, unit)."""
    blocks, y = customers(rows, columns)
    stream = Stream(b"a public stream.")

    def program(s: Any) -> Any:
        own = blocks[s.rank]
        mine = Candidates.of(own, params)
        counts = tuple(len(Candidates.of(b, params)) for b in blocks)
        table = boosting.Table(counts, mine)
        before, dealt = s.meter, s.offline
        label = y if s.rank == 0 else None
        grown = boosting.train(s, own, table, label, 0, params, stream, lambda fraction, text: None)
        return grown, s.meter - before, s.offline - dealt

    began = time.perf_counter()
    found = run(program)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    clear = boosted_clear.fit(blocks, y, params, stream)
    in_clear = time.perf_counter() - began
    width = 0
    same = np.zeros(clear.splits.feature.shape, bool)
    for (grown, _, _), block in zip(found, blocks, strict=True):
        own = grown.splits.feature >= 0
        same |= own & (grown.splits.feature + width == clear.splits.feature)
        same |= (grown.splits.owner < 0) & (clear.splits.owner < 0)
        width += block.shape[1]
    return {
        "time": (seconds, "s"),
        "time of the same in the clear (NumPy)": (in_clear, "s"),
        "splits that are those of the clear": (float(same.mean()), "share"),
        "rounds": (found[0][1].rounds, "rounds"),
        "sent by the two parties": (sum(m.sent for _, m, _ in found) / 1e6, "MB"),
        "sent by the helper": (sum(d.received for _, _, d in found) / 1e6, "MB"),
        "peak memory, all in one process": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--trees", type=int, default=10)
    parser.add_argument("--depth", type=int, default=4)
    options = parser.parse_args()
    params = TreesParams(trees=options.trees, depth=options.depth)
    shape = f"{options.rows} x {options.columns}, {options.trees} trees of depth {options.depth}"
    standard = (options.rows, options.columns, options.trees, options.depth) == (30_000, 20, 10, 4)
    for name, (value, unit) in measure(options.rows, options.columns, params).items():
        target = TARGET_S if standard and name == "time" else None
        work = f"boosted trees, {shape}: {name}"
        if options.json:
            met = None if target is None else value <= target
            line = {"work": work, "value": round(value, 4), "unit": unit, "peer": None, "ratio": None}
            print(json.dumps({**line, "target": target, "met": met}), flush=True)
        else:
            print(f"{work:100} {value:>12.3f} {unit}", flush=True)


if __name__ == "__main__":
    main()

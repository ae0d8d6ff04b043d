"""How long hospitals take for their statistics.

Sites are threads of one process with in-memory channels: the frames are those of the network. All sites share this
machine's cores, so beside the time until all are done stands the processor time a site: what its own computer would do.

    python benchmarks/statistics.py [--json] [--rows 1000000] [--sites 10] [--quick]
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ppc.dataset import Dataset
from ppc.joint import Job, simulate
from ppc.mpc.aggregate import Aggregation
from ppc.net import memory


def among(n: int, work: Callable[[Aggregation, int], Any]) -> tuple[float, list[int]]:
    """Seconds until all of `n` sites have done `work`, and the bytes that each sent."""
    names = [f"site-{i}" for i in range(n)]
    lines = memory.network(names)

    def site(rank: int) -> None:
        work(Aggregation(names[rank], names, lines[names[rank]]), rank)

    threads = [threading.Thread(target=site, args=(r,)) for r in range(n)]
    since = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - since, [sum(c.meter.sent for c in lines[p].values()) for p in names]


def vectors(size: int) -> list[dict[str, Any]]:
    """A vector of `size` values over 20 sites, and how cost grows with the number of sites."""
    x = np.linspace(-1, 1, size)
    among(3, lambda pool, i: pool.sum(x[:1000]))  # kernels are compiled once for an installation
    found = []
    per_site = {}
    for n in (5, 10, 20):
        seconds, sent = min(among(n, lambda pool, i: pool.sum(x)) for _ in range(2))
        per_site[n] = seconds / n
        if n == 20:
            found.append(line(f"sum of {size:,} values, 20 sites", seconds, "s", target=3.0))
            found.append(line("bytes a site, over those of the vector", max(sent[1:]) / (16 * size), "x", target=1.1))
    found.append(line("seconds a site, 20 sites over 5", per_site[20] / per_site[5], "x", target=4.0))
    return found


def statistics(rows: int, sites: int) -> list[dict[str, Any]]:
    """`describe` of 20 columns and a logistic model of 20 covariates."""
    rng = np.random.default_rng(1)
    names = [f"x{i:02d}" for i in range(20)]
    found: list[dict[str, Any]] = []
    import pyarrow as pa

    # Every site has the same rows: memory for one, work for all.
    x = rng.normal(size=(rows, 20)) * np.arange(1, 21)
    eta = 0.3 + x[:, :5] @ np.array([0.3, -0.2, 0.1, 0.05, -0.04])
    y = (rng.random(rows) < 1 / (1 + np.exp(-eta))).astype(np.int64)
    table = pa.table({**{n: x[:, i] for i, n in enumerate(names)}, "y": y})
    del x, eta
    parties = [f"site-{i:02d}" for i in range(sites)]
    data = {p: Dataset.from_arrow(table, name=p) for p in parties}

    def step(**parts: Any) -> tuple[float, float, Any]:
        job = Job.from_dict({"name": "bench", "parties": parties, "step": [parts]})
        before = time.process_time()
        result = simulate(job, data)[parties[0]].steps[0]
        return result.seconds, (time.process_time() - before) / sites, result.summary

    # The job's start, with the hash of every row, is in the processor time but not in the step's own.
    for title, parts, target in (
        ("describe of 20 columns", {"operator": "describe", "columns": names}, 10.0),
        ("glm of 20 covariates", {"operator": "glm", "outcome": "y", "terms": names}, 20.0),
    ):
        seconds, cpu, summary = step(**parts)
        assert not {"refused", "problem"} & set(summary), summary
        size = f"{title}, {sites} sites x {rows:,} rows"
        found.append(line(f"{size}: processor time a site", cpu, "s", target=target))
        found.append(line(f"{size}: until all are done on this one machine", seconds, "s"))
    quarter = {p: Dataset.from_arrow(table.slice(0, rows // 4), name=p) for p in parties}
    whole = step(operator="describe", columns=names)[1]
    data = quarter
    found.append(
        line(
            "describe: processor time, over that of a quarter of the rows",
            whole / step(operator="describe", columns=names)[1],
            "x",
            target=4.5,
        )
    )
    # Counts are tested, then for dominance sums (with contributors), spreads and fourth powers, on three scales each.
    words = [np.ones((3, k), np.int64) for k in (60, 20, 20)]
    among(3, lambda pool, i: pool.negative(words[0]))
    tests, _ = among(
        sites,
        lambda pool, i: (
            pool.small(np.full(40, 1000), 5),
            [pool.negative(w) for w in words],
            [pool.sum(np.ones(80)) for _ in range(4)],
        ),
    )
    found.append(line(f"aggregation in a describe of 20 columns, {sites} sites", tests, "s", target=1.0))
    return found


def line(work: str, value: float, unit: str, *, target: float | None = None) -> dict[str, Any]:
    return {"work": work, "value": round(float(value), 4), "unit": unit, "peer": None, "ratio": None,
            "target": target, "met": None if target is None else bool(value <= target)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each figure")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sites", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run?")
    options = parser.parse_args()
    size, rows, sites = (10_000, 2_000, 3) if options.quick else (1_000_000, options.rows, options.sites)
    for figure in vectors(size) + statistics(rows, sites):
        if options.json:
            print(json.dumps(figure), flush=True)
        else:
            marks = {None: "", True: f"target {figure['target']}: met", False: f"target {figure['target']}: NOT met"}
            print(f"{figure['work']:<92} {figure['value']:>9.3f} {figure['unit']:<2} {marks[figure['met']]}")


if __name__ == "__main__":
    main()

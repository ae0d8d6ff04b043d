"""How long two banks and a helper take for a joint credit model, what travels, and how much memory it needs.

Three processes, mutual TLS 1.3 on loopback. Made-up customers, 40 features, 20 at each bank; nine in ten match. The
job: align, woe, logistic_regression (gradient descent), score. "taiwan" is real: 30,000 credit card holders with 23
features (PPC_TEST_DATA/credit_default_taiwan.csv), all of them at both banks. Seconds are of the slower
bank, from its data in memory to the scores, just-in-time compilation included; memory is of each process at its peak.

    python benchmarks/credit.py [--json] [--rows 1000 10000 taiwan] [--full] [--solver newton]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BANKS = ("bank-a", "bank-b")
FEATURES = 20
TAIWAN = "taiwan"
TARGETS = {"30000": 60.0, TAIWAN: 60.0}


def job(solver: str) -> dict[str, Any]:
    return {
        "name": "benchmark",
        "parties": list(BANKS),
        "helper": "helper",
        "step": [
            {"operator": "align", "keys": ["customer"], "holdout": 0.3},
            {"operator": "woe", "label": "bad", "on_constant": "drop"},
            {"operator": "logistic_regression", "label": "bad", "solver": solver, "l2": 0.001},
            {"operator": "score", "rows": "holdout"},
        ],
    }


def customers(bank: str, rows: str) -> Any:
    """`rows` customers of a bank with 20 features; bank-a has the label. Every feature tells a little."""
    import numpy as np
    import pyarrow as pa

    from ppc.dataset import Dataset

    if rows == TAIWAN:
        return card_holders(bank)
    n = int(rows)
    start = 0 if bank == "bank-a" else n // 10
    ids = np.arange(start, start + n)
    # What both banks' features depend on: the same for the same customer, whoever computes it.
    risk = np.random.default_rng(1).normal(size=n + n // 10)[ids]
    rng = np.random.default_rng(2 if bank == "bank-a" else 3)
    columns: dict[str, Any] = {"customer": pa.array(ids + 110_101_190_000_000_000).cast(pa.string())}
    for j in range(FEATURES):
        columns[f"{bank[-1]}{j:02}"] = 0.3 * risk + rng.normal(size=n)
    if bank == "bank-a":
        columns["bad"] = (rng.random(n) < 1 / (1 + np.exp(2 - risk))).astype(np.int8)
    order = rng.permutation(n)
    return Dataset.from_arrow(pa.table(columns)).take(order)


def card_holders(bank: str) -> Any:
    """One bank's columns of the Taiwan data, in an order of its own."""
    import numpy as np

    import ppc

    folder = Path(os.environ.get("PPC_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    whole = ppc.read(folder / "credit_default_taiwan.csv").rename({"USER_ID": "customer", "DID_DEFAULT_PAYMENT": "bad"})
    features = [c for c in whole.columns if c not in ("customer", "bad")]
    own = ["bad", *features[:5], *features[11:17]] if bank == "bank-a" else [*features[5:11], *features[17:]]
    order = np.random.default_rng(BANKS.index(bank)).permutation(whole.num_rows)
    return whole.select(["customer", *own]).take(order)


def run_role(role: str, folder: Path, rows: str, solver: str) -> dict[str, Any]:
    """One process: a bank, or the helper."""
    from ppc.net import identity, tls

    me = identity.load(folder, role)
    if role == "helper":
        from ppc.mpc.correlations import dealer

        with tls.Listener(me) as listener:
            (folder / "helper.port").write_text(str(listener.address[1]))
            channels = {bank: listener.accept("benchmark", bank, 600) for bank in BANKS}
            dealer.serve(channels)
            for channel in channels.values():
                channel.close()
        return {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}

    from ppc.joint import Job, run_party

    data = customers(role, rows)
    if role == "bank-a":
        listener = tls.Listener(me)
        (folder / "bank-a.port").write_text(str(listener.address[1]))
        peer = listener.accept("benchmark", "bank-b", 600)
    else:
        peer = tls.connect(me, "bank-a", "127.0.0.1", _port(folder, "bank-a"), "benchmark", 600)
    helper = tls.connect(me, "helper", "127.0.0.1", _port(folder, "helper"), "benchmark", 600)
    other = BANKS[1 - BANKS.index(role)]
    began = time.perf_counter()
    result = run_party(
        Job.from_dict(job(solver)),
        me=role,
        dataset=data,
        channels={other: peer},
        dealer=helper,
        workdir=folder / role,
    )
    return {
        "seconds": time.perf_counter() - began,
        "rounds": result.cost.rounds,
        "sent": result.cost.sent,
        "received": result.cost.received,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "steps": {s.name: s.seconds for s in result.steps},
    }


def _port(folder: Path, role: str) -> int:
    path = folder / f"{role}.port"
    deadline = time.monotonic() + 120
    while not (path.exists() and path.read_text()):
        if time.monotonic() > deadline:
            raise SystemExit(f"{role} does not listen")
        time.sleep(0.02)
    return int(path.read_text())


def measure(rows: str, solver: str) -> dict[str, dict[str, Any]]:
    """Every role's figures for so many customers at each bank."""
    from ppc.net import identity

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        identity.create_ca(folder)
        for role in ("helper", *BANKS):
            identity.issue(folder, role)
        command = [sys.executable, __file__, "--folder", name, "--rows", rows, "--solver", solver, "--role"]
        roles = {r: subprocess.Popen([*command, r], stdout=subprocess.PIPE, text=True) for r in ("helper", *BANKS)}
        try:
            return {r: json.loads(p.communicate()[0]) for r, p in roles.items()}
        finally:
            for process in roles.values():
                process.kill()
                process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rows", nargs="+", default=["1000", "10000", "30000", TAIWAN, "100000"])
    parser.add_argument("--full", action="store_true", help="1,000,000 rows too")
    parser.add_argument("--solver", choices=("sgd", "newton"), default="sgd")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        print(json.dumps(run_role(options.role, options.folder, options.rows[0], options.solver)))
        return
    for n in [*options.rows, *(["1000000"] if options.full else [])]:
        found = measure(n, options.solver)
        a, b = (found[bank] for bank in BANKS)
        lines = [("time", max(a["seconds"], b["seconds"]), "s", TARGETS.get(n))]
        lines += [(f"time of {step}", max(a["steps"][step], b["steps"][step]), "s", None) for step in a["steps"]]
        lines += [
            ("rounds", a["rounds"], "rounds", None),
            ("sent by the two banks", (a["sent"] + b["sent"]) / 1e6, "MB", None),
            (
                "received by the two banks, the helper's part included",
                (a["received"] + b["received"]) / 1e6,
                "MB",
                None,
            ),
            ("peak memory of a bank", max(a["memory"], b["memory"]), "MB", 1500.0 if n in TARGETS else None),
            ("peak memory of the helper", found["helper"]["memory"], "MB", None),
        ]
        for name, value, unit, target in lines:
            size = "Taiwan, 30000 rows x 23" if n == TAIWAN else f"{n} rows x {2 * FEATURES}"
            work = f"joint credit model, {options.solver}, {size}: {name}"
            value = round(value, 3)
            if options.json:
                met = None if target is None else value <= target
                line = {"work": work, "value": value, "unit": unit, "peer": None, "ratio": None, "target": target}
                print(json.dumps({**line, "met": met}), flush=True)
            else:
                print(f"{work:100} {value:>12} {unit}", flush=True)


if __name__ == "__main__":
    main()

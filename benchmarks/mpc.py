"""Secure computation between real processes: two parties with or without a dealer, or three; mutual TLS on loopback.

    python benchmarks/mpc.py                 a table
    python benchmarks/mpc.py --json          one JSON object a figure
    python benchmarks/mpc.py --only sigmoid  lines whose name contains a word
    python benchmarks/mpc.py --engine replicated  three parties, no dealer
    python benchmarks/mpc.py --engine pairwise    two parties, no dealer; --randomness silent for transfers from LPN
    python benchmarks/mpc.py --vs spu        the peer runs the same work right afterwards, from .peers/spu
    python benchmarks/mpc.py --wan           logistic regression on a virtual line of 20 ms and 100 Mbit/s

Every line reports the online seconds (correlated randomness fetched beforehand), the seconds with the dealer at work at
the same time, the megabytes a party sends, rounds, and how many elements are off by more than the stated error: it must
be zero. `x shares` is the most memory that a party needs beyond what it has before, over the bytes of its shares of the
operands and of the result.

Without `--vs` the peer's figures are SecretFlow-SPU 0.9.5, semi2k with its first party as the dealer, two processes
over loopback on a 2-core machine of the same kind. There one party makes the triples, which its docs call fit for
debugging only; here a third process does, which sees no input. For `replicated` the peer is SPU's ABY3, three
processes, measured in the same way; for `pairwise` it is SPU's Cheetah, and seconds and megabytes are offline and
online together, memory included. SPU's loopback is plain TCP, ours mutual TLS.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from memory import Peak

from ppc.mpc import Session, ops, run
from ppc.mpc.correlations import dealer
from ppc.mpc.fixed import FixedMatrix
from ppc.mpc.shares import AShare, BShare
from ppc.net import identity, tls

NAMES = {
    "additive": ["bank-a", "bank-b"], "replicated": ["bank-a", "bank-b", "bank-c"], "pairwise": ["bank-a", "bank-b"],
}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """A line: `prepare(session)` gives operands, `run` is timed, `wrong` counts elements beyond the stated error."""

    name: str
    prepare: Callable[[Session], Any]
    run: Callable[[Session, Any], Any]
    wrong: Callable[[Session, Any, Any], int]
    peer_s: float | None = None
    target: str = ""
    target_s: float | None = None
    target_mb: float | None = None
    target_memory_mb: float | None = None
    repeats: int = 5
    ahead: bool = True  # every pass takes the same correlations, so that they can be fetched beforehand


def data(seed: int, shape: Any, scale: float = 1.0) -> Any:
    """The same at both parties, so that each can check the result."""
    return np.round(np.random.default_rng(seed).normal(size=shape) * scale * 2**18) / 2**18


def given(s: Session, x: Any, owner: int) -> Any:
    """A share of x that is no input any more: what a computation works on."""
    return ops.share(s, x if s.rank == owner else None, owner, x.shape) + 0


def off(s: Session, result: Any, exact: Any, tolerance: Any) -> int:
    got = ops.open(s, result)
    return int((~(np.abs(got - exact) <= tolerance)).sum())


def share_pair(n: Any, scale: float) -> Callable[[Session], Any]:
    return lambda s: (ops.share(s, data(1, n, scale) if s.rank == 0 else None, 0, n),
                      ops.share(s, data(2, n, scale) if s.rank == 1 else None, 1, n))  # fmt: skip


def computed_pair(n: Any, scale: float) -> Callable[[Session], Any]:
    return lambda s: (given(s, data(1, n, scale), 0), given(s, data(2, n, scale), 1))


STEP = 2.0**-18
N = 1_000_000


def fresh(x: Any) -> Any:
    """The same share without its masked opening."""
    return x + 0


def mean_and_variance(s: Session, x: Any) -> Any:
    n = x.size
    mean = ops.mul_public(s, x.sum(), 1 / n)
    centred = x - mean
    column = centred.reshape(-1, 1)
    square = ops.matmul_t(s, column, column)
    return ops.concatenate([mean.reshape(1), ops.mul_public(s, square, 1 / (n - 1)).reshape(1)])


def logistic(n: int, d: int, batch: int, epochs: int, rate: float) -> Work:
    half = d // 2

    def features() -> tuple[Any, Any]:
        if (n, d) == (569, 30):
            from sklearn.datasets import load_breast_cancer

            x, y = load_breast_cancer(return_X_y=True)
            return (x - x.mean(0)) / x.std(0), y.astype(float)
        r = np.random.default_rng(3)
        x = r.normal(size=(n, d))
        return x, (r.random(n) < 1 / (1 + np.exp(-x @ r.normal(size=d)))).astype(float)

    def prepare(s: Session) -> Any:
        return features()

    def run(s: Session, operands: Any) -> Any:
        x, y = operands
        parts = (x[:, :half], x[:, half:])
        f = [ops.fixed_matrix(s, p if s.rank == r else None, r, p.shape) for r, p in enumerate(parts)]
        label = ops.share(s, y if s.rank == 0 else None, 0, n)
        w = [ops.constant(s, np.zeros(p.shape[1])) for p in parts]
        b = ops.constant(s, np.zeros(1))
        batches = [slice(i, min(n, i + batch)) for _ in range(epochs) for i in range(0, n, batch)]
        for rows in s.repeat(batches):
            k = rows.stop - rows.start
            batched = [m.rows(rows) for m in f]
            logits = ops.matmul_fixed_many(s, list(zip(batched, w, strict=True)), truncated=False)
            g = ops.sigmoid(s, logits[0] + logits[1] + b.shift_left(18)) - label[rows]
            grads = ops.matmul_fixed_t_many(s, [(m, g) for m in batched], truncated=False)
            flat = ops.concatenate([*grads, g.sum().reshape(1).shift_left(18)])
            step = ops.rescale(s, ops.mul_public(s, flat, rate / k, frac_bits=20, truncated=False), 18)
            w = [w[0] - step[:half], w[1] - step[half:d]]
            b = b - step[d:]
        return ops.concatenate([*w, b])

    def wrong(s: Session, operands: Any, result: Any) -> int:
        x, y = operands
        x1, w = np.c_[x, np.ones(n)], np.zeros(d + 1)
        for _ in range(epochs):
            for i in range(0, n, batch):
                xb = x1[i : i + batch]
                w -= rate / len(xb) * xb.T @ (1 / (1 + np.exp(-xb @ w)) - y[i : i + batch])
        got = ops.open(s, result)
        accuracy = [(((x1 @ v) > 0) == y).mean() for v in (got, w)]
        return int(np.abs(got - w).max() > 2e-2) + int(abs(accuracy[0] - accuracy[1]) > 2 / n)

    name = f"logistic regression {n}x{d}, {epochs} epochs, batch {batch}"
    peer, reach, mb = {569: (3.3, 0.5, None), 50_000: (6.6, 1.3, 60.0)}[n]
    return Work(name, prepare, run, wrong, peer, f"<= {reach} s", reach, mb, repeats=3)


def works() -> list[Work]:
    x1, y1 = data(1, N, 30.0), data(2, N, 30.0)
    x3 = data(4, N, 3.0)
    big = data(1, (1000, 1000), 1.0), data(2, (1000, 100), 1.0)
    tall = data(1, (100_000, 50), 1.0), data(2, 50, 1.0)
    logits = data(1, 100_000, 4.0)
    quotient = data(1, 100_000, 30.0), np.abs(data(2, 100_000, 30.0)) + 2.0**-7
    sides = np.where(np.arange(N) % 3 == 0, STEP, data(1, N, 1e6))
    return [
        Work("1e6 products", share_pair(N, 30.0), lambda s, v: ops.mul(s, *_reshared(v)),
             lambda s, v, r: off(s, r, x1 * y1, STEP), 0.29, "5x, <= 16.1 MB", 0.29 / 5, 16.1),
        Work("1e6 products of computed values", computed_pair(N, 30.0),
             lambda s, v: ops.mul(s, fresh(v[0]), fresh(v[1])),
             lambda s, v, r: off(s, r, x1 * y1, STEP), 0.29, "5x", 0.29 / 5),
        Work("1000x1000 @ 1000x100",
             lambda s: (given(s, big[0], 0), given(s, big[1], 1)),
             lambda s, v: ops.matmul(s, fresh(v[0]), fresh(v[1])),
             lambda s, v, r: off(s, r, big[0] @ big[1], STEP), 0.37, "5x", 0.37 / 5),
        Work("100,000x50 @ 50", lambda s: (ops.share(s, tall[0] if s.rank == 0 else None, 0, tall[0].shape),
                                          ops.share(s, tall[1] if s.rank == 1 else None, 1, tall[1].shape)),
             lambda s, v: ops.matmul(s, *_reshared(v)),
             lambda s, v, r: off(s, r, tall[0] @ tall[1], STEP), 0.50, "5x", 0.50 / 5),
        Work("100,000x50 @ 50 of computed values", lambda s: (given(s, tall[0], 0), given(s, tall[1], 1)),
             lambda s, v: ops.matmul(s, fresh(v[0]), fresh(v[1])),
             lambda s, v, r: off(s, r, tall[0] @ tall[1], STEP), 0.50, "5x", 0.50 / 5),
        Work("100,000x50 @ 50, X fixed",
             lambda s: (ops.fixed_matrix(s, tall[0] if s.rank == 0 else None, 0, tall[0].shape), given(s, tall[1], 1)),
             lambda s, v: ops.matmul_fixed(s, v[0], fresh(v[1])),
             lambda s, v, r: off(s, r, tall[0] @ tall[1], STEP), 0.50, "10x", 0.50 / 10),
        Work("1e6 less than zero", lambda s: given(s, sides - STEP / 2, 0), lambda s, v: ops.less_than_zero(s, v),
             lambda s, v, r: int((ops.open_bits(s, r) != (np.round((sides - STEP / 2) / STEP) < 0)).sum()),
             1.08, "5x, <= 40 MB, <= 8 rounds", 1.08 / 5, 40.0),
        Work("mean and variance of 1e6", lambda s: given(s, x3, 0), mean_and_variance,
             lambda s, v, r: off(s, r, np.array([x3.mean(), x3.var(ddof=1)]), 2e-5),
             0.25, "5x", 0.25 / 5),
        Work("sigmoid of 1e5", lambda s: given(s, logits, 0), lambda s, v: ops.sigmoid(s, v),
             lambda s, v, r: off(s, r, 1 / (1 + np.exp(-logits)), 1e-3), 0.70, "5x", 0.70 / 5),
        Work("1e5 divisions", lambda s: (given(s, quotient[0], 0), given(s, quotient[1], 1)),
             lambda s, v: ops.divide(s, fresh(v[0]), v[1], low=0.005, high=1000.0),
             lambda s, v, r: off(s, r, quotient[0] / quotient[1],
                                 4e-6 * np.abs(quotient[0] / quotient[1]) + (1 + 4 / quotient[1]) * STEP),
             0.65, "4x", 0.65 / 4),
        Work("sort 10,000", lambda s: given(s, x3[:10_000], 0), lambda s, v: ops.sort(s, v)[0],
             lambda s, v, r: off(s, r, np.sort(x3[:10_000]), 0), 1.10, "5x", 1.10 / 5),
        Work("sort 1e6", lambda s: given(s, x3, 0), lambda s, v: ops.sort(s, v)[0],
             lambda s, v, r: off(s, r, np.sort(x3), 0), repeats=1),
        logistic(569, 30, 64, 10, 0.5),
        logistic(50_000, 50, 1024, 3, 0.5),
    ]  # fmt: skip


# SPU's ABY3: seconds, and how many times faster it should be here.
ABY3 = {
    "1e6 products": (0.30, 3), "1e6 products of computed values": (0.30, 3), "1000x1000 @ 1000x100": (0.32, 3),
    "100,000x50 @ 50": (0.05, 1), "100,000x50 @ 50 of computed values": (0.05, 1),
    "100,000x50 @ 50, X fixed": (0.05, 1),
    "1e6 less than zero": (1.6, 3), "sigmoid of 1e5": (1.4, 3), "1e5 divisions": (0.78, 3), "sort 10,000": (1.65, 3),
    "logistic regression 569x30, 10 epochs, batch 64": (4.1, 3),
    "logistic regression 50000x50, 3 epochs, batch 1024": (9.0, 3),
}  # fmt: skip


# SPU's Cheetah, two processes, offline and online together: seconds, and what to reach in s, MB sent, MB of memory.
CHEETAH = {
    "1e6 products": (8.8, 4.4, None, 600.0), "1e6 products of computed values": (8.8, 4.4, None, 600.0),
    "1000x1000 @ 1000x100": (23.6, 23.6 / 3, None, None), "1e6 less than zero": (19.3, 5.0, 300.0, None),
    "logistic regression 569x30, 10 epochs, batch 64": (5.7, 2.5, None, None),
    "logistic regression 50000x50, 3 epochs, batch 1024": (41.0, 10.0, None, None),
}  # fmt: skip


def without_dealer() -> list[Work]:
    """The lines that the peer has, each run once for warmth and three times for its figures."""
    out = []
    for work in works():
        if work.name in CHEETAH:
            peer, seconds, mb, memory = CHEETAH[work.name]
            said = [
                f"<= {seconds:.1f} s",
                *([f"<= {mb:.0f} MB"] if mb else []),
                *([f"<= {memory:.0f} MB memory"] if memory else []),
            ]
            out.append(replace(work, peer_s=peer, target=", ".join(said), target_s=seconds, target_mb=mb,
                               target_memory_mb=memory, repeats=1 if seconds > 3 else 3))  # fmt: skip
    return out


def for_engine(engine: str) -> list[Work]:
    """The lines, with the peer and the target of an engine."""
    if engine == "additive":
        return works()
    if engine == "pairwise":
        return without_dealer()
    out = []
    for work in works():
        peer, factor = ABY3.get(work.name, (None, 1))
        target = {} if peer is None else {"target": f"{factor}x", "target_s": peer / factor}
        out.append(replace(work, **{"peer_s": peer, "target": "", "target_s": None, "target_mb": None, **target}))
    return out


def _reshared(v: Any) -> Any:
    """Inputs as they are right after sharing: nothing of them has been opened under a mask."""
    out = []
    for x in v:
        copy = x + 0
        record = x.mask
        if record is not None:
            copy.mask = type(record)(record.number, record.owner, record.rows, record.width, None, record.plain)
        out.append(copy)
    return out


def measure(s: Session, work: Work) -> dict[str, Any]:
    operands = work.prepare(s)
    result = work.run(s, operands)  # compiles, and fills caches
    wrong = work.wrong(s, operands, result)
    whole, busy, online, cost, offline = [], [], [], None, None
    for _ in range(work.repeats):
        _barrier(s)
        before, start, dealt, worked = s.meter, time.perf_counter(), s.offline, time.process_time()
        work.run(s, operands)
        _barrier(s)
        whole.append(time.perf_counter() - start)
        busy.append(time.process_time() - worked)
        cost, offline = s.meter - before, s.offline - dealt
    # It asks ahead by itself, or depends on what is opened, or there is nothing to ask for.
    loop = not work.ahead or work.name.startswith(("logistic", "sort")) or not s.asks_ahead
    for i, _ in enumerate([] if loop else s.repeat(range(work.repeats + 2))):
        s.fetch_ahead()
        _barrier(s)
        start = time.perf_counter()
        work.run(s, operands)
        _barrier(s)
        if i >= 2:
            online.append(time.perf_counter() - start)
    assert cost is not None
    assert offline is not None
    with Peak() as peak:
        result = work.run(s, operands)
    shares = share_bytes(operands) + share_bytes(result)
    return {
        "of_shares": None if peak.bytes is None or not shares else peak.bytes / shares,
        "wrong": wrong,
        "whole": float(np.median(whole)),
        "online": float(np.median(online)) if online else None,
        "sent": cost.sent,
        "rounds": cost.rounds - 1,
        "dealt": offline.received,
        "cpu": float(np.median(busy)),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def share_bytes(x: Any) -> int:
    """The bytes of all shares in a value; the plain data of a training set count for its fixed matrices."""
    if isinstance(x, AShare | BShare):
        return sum(p.nbytes for p in x.parts)
    if isinstance(x, FixedMatrix):
        return 8 * x.shape[0] * x.shape[1]
    if isinstance(x, np.ndarray):
        return x.nbytes
    return sum(share_bytes(v) for v in x) if isinstance(x, list | tuple) else 0


def _barrier(s: Session) -> None:
    s.exchange("barrier", np.zeros(1, np.uint64))


def party(folder: Path, rank: int, only: str, engine: str, randomness: Any) -> None:
    names = NAMES[engine]
    name = names[rank]
    me = identity.load(folder, name)
    with tls.Listener(me) as listener:
        _publish(folder / f"{name}.port", listener.address[1])

        def connected(peer: str) -> Any:
            return tls.connect(me, peer, "127.0.0.1", _port(folder / f"{peer}.port"), "bench", 30)

        to_dealer = connected("helper") if engine == "additive" else None
        channels = {peer: connected(peer) for peer in names[:rank]}
        channels |= {peer: listener.accept("bench", peer, 30) for peer in names[rank + 1 :]}
        if to_dealer is not None:
            session = Session.additive(name, names, channels, to_dealer)
        elif engine == "pairwise":
            session = Session.two_party(name, names, channels, randomness=randomness)
        else:
            session = Session.replicated(name, names, channels)
        with session as s:
            for work in for_engine(engine):
                if only in work.name:
                    print(json.dumps({"name": work.name, **measure(s, work)}), flush=True)


def helper(folder: Path) -> None:
    with tls.Listener(identity.load(folder, "helper")) as listener:
        _publish(folder / "helper.port", listener.address[1])
        dealer.serve({n: listener.accept("bench", n, 60) for n in NAMES["additive"]})
    print(json.dumps({"cpu": time.process_time()}))


def _publish(path: Path, port: int) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(str(port))
    os.replace(temporary, path)


def _port(path: Path) -> int:
    for _ in range(600):
        if path.exists():
            return int(path.read_text())
        time.sleep(0.05)
    raise SystemExit(f"{path.name} did not appear")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="lines whose name contains this")
    parser.add_argument("--vs", choices=["spu"], help="run this peer as well")
    parser.add_argument("--wan", action="store_true", help="one line, on a virtual line of 20 ms and 100 Mbit/s")
    parser.add_argument("--engine", choices=list(NAMES), default="additive")
    parser.add_argument("--randomness", choices=["ot", "silent"], default="ot")
    parser.add_argument("--role", choices=["party", "helper"])
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    if args.wan:
        return wan(args.engine, args.json)
    if args.role == "party":
        return party(args.folder, args.rank, args.only, args.engine, args.randomness)
    if args.role == "helper":
        return helper(args.folder)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        identity.create_ca(folder)
        for who in (*NAMES[args.engine], "helper"):
            identity.issue(folder, who, ["127.0.0.1"])
        base = [sys.executable, __file__, "--folder", name, "--only", args.only, "--engine", args.engine,
                "--randomness", args.randomness]  # fmt: skip
        roles = [["--role", "party", "--rank", str(r)] for r in range(len(NAMES[args.engine]))]
        if args.engine == "additive":
            roles.append(["--role", "helper"])
        processes = [subprocess.Popen([*base, *role], stdout=subprocess.PIPE, text=True) for role in roles]
        outputs = [p.communicate()[0] for p in processes]
        if any(p.returncode for p in processes):
            raise SystemExit("a process failed")
    lines = [[json.loads(line) for line in out.splitlines()] for out in outputs[: len(NAMES[args.engine])]]
    by_name = {w.name: w for w in for_engine(args.engine)}
    if not args.json:
        heads = (
            ("online", 8),
            ("+dealer", 8),
            ("MB", 7),
            ("rounds", 6),
            ("dealt MB", 8),
            ("wrong", 5),
            ("mem MB", 6),
            ("x shares", 8),
            ("cpu s", 6),
            ("peer", 6),
        )
        print(f"{'work':52} " + " ".join(f"{h:>{w}}" for h, w in heads) + "  ratio")
    for parties in zip(*lines, strict=True):
        work = by_name[parties[0]["name"]]
        report(against(work, args.engine) if args.vs else work, args.engine, parties, args.json)


LATENCY_S, BANDWIDTH_BPS = 0.020, 100e6


def wan(engine: str, as_json: bool) -> None:
    """Logistic regression between threads over virtual lines: its time against rounds, bytes and nothing else."""
    work = logistic(569, 30, 64, 10, 0.5)

    def program(s: Session) -> Any:
        operands = work.prepare(s)
        before, start = s.meter, time.perf_counter()
        result = work.run(s, operands)
        return time.perf_counter() - start, s.meter - before, work.wrong(s, operands, result)

    parties = len(NAMES[engine])
    run(program, engine=engine, parties=parties)  # compiles
    alone = max(t for t, _, _ in run(program, engine=engine, parties=parties))
    told = run(program, engine=engine, parties=parties, latency_s=LATENCY_S, bandwidth_bps=BANDWIDTH_BPS)
    seconds = max(t for t, _, _ in told)
    rounds, sent = max(c.rounds for _, c, _ in told), max(c.sent for _, c, _ in told)
    expected = rounds * LATENCY_S + 8 * sent / BANDWIDTH_BPS
    wrong = max(w for _, _, w in told)
    met = abs(seconds / expected - 1) <= 0.2 and not wrong
    if as_json:
        print(json.dumps({
            "work": f"{engine}: {work.name}, 20 ms, 100 Mbit/s", "value": round(seconds, 3), "unit": "s", "peer": None,
            "ratio": round(seconds / expected, 3), "target": "within 20% of rounds and bytes", "met": met,
            "expected_s": round(expected, 3), "without_line_s": round(alone, 3),
            "rounds": rounds, "megabytes": round(sent / 1e6, 3), "wrong": wrong,
        }))  # fmt: skip
    else:
        print(
            f"{work.name}, 20 ms, 100 Mbit/s: {seconds:.2f} s; {rounds} rounds and {sent / 1e6:.2f} MB say "
            f"{expected:.2f} s ({seconds / expected:.2f} of it; {alone:.2f} s without a line)"
            f"{'' if met else ', MISSED: within 20%'}"
        )


# The lines that the peer runs in the same go, by its name for them.
VERSUS = {
    "1e6 products": "products", "1e6 products of computed values": "products", "1000x1000 @ 1000x100": "matmul",
    "100,000x50 @ 50": "vector", "100,000x50 @ 50 of computed values": "vector", "100,000x50 @ 50, X fixed": "vector",
    "1e6 less than zero": "less", "mean and variance of 1e6": "variance", "sigmoid of 1e5": "sigmoid",
    "1e5 divisions": "divide", "sort 10,000": "sort",
    "logistic regression 569x30, 10 epochs, batch 64": "logistic_569",
    "logistic regression 50000x50, 3 epochs, batch 1024": "logistic_50000",
}  # fmt: skip
PROTOCOLS = {"additive": "SEMI2K", "replicated": "ABY3", "pairwise": "CHEETAH"}
_SECONDS: dict[str, float] = {}  # of the peer's works that ran in this go


def against(work: Work, engine: str) -> Work:
    """The line with SPU's time of this minute instead of the one that was measured beforehand."""
    if work.name not in VERSUS or work.peer_s is None or work.target_s is None:
        return work
    here = Path(__file__).resolve().parent
    name = VERSUS[work.name]
    if name not in _SECONDS:
        command = [here.parent / ".peers/spu/bin/python", here / "peers/spu_mpc.py", PROTOCOLS[engine], name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=900)
        if done.returncode:
            raise SystemExit("SPU failed; `make peers` installs it into .peers/spu")
        answer = next(line for line in done.stdout.splitlines() if line.startswith("{"))  # its log goes there as well
        _SECONDS[name] = json.loads(answer)["seconds"]
    seconds = _SECONDS[name]
    if work.target.startswith("<="):  # an absolute target stays as it is
        return replace(work, peer_s=seconds)
    return replace(work, peer_s=seconds, target_s=seconds * work.target_s / work.peer_s)


def report(work: Work, engine: str, parties: Sequence[dict[str, Any]], as_json: bool) -> None:
    whole = max(p["whole"] for p in parties)
    seconds = whole if parties[0]["online"] is None else max(p["online"] for p in parties)
    # Without a dealer what the parties send each other is all there is: both directions count.
    megabytes = sum(p["sent"] for p in parties) / 1e6 if engine == "pairwise" else max(p["sent"] for p in parties) / 1e6
    memory = max(p["memory_mb"] for p in parties)
    told = [p["of_shares"] for p in parties if p["of_shares"] is not None]
    of_shares = max(told) if told else None
    ratio = None if work.peer_s is None else work.peer_s / seconds
    wrong = max(p["wrong"] for p in parties)
    met = (
        wrong == 0
        and (work.target_s is None or seconds <= work.target_s)
        and (work.target_mb is None or megabytes <= work.target_mb)
        and (work.target_memory_mb is None or memory <= work.target_memory_mb)
    )
    rounds, dealt = max(p["rounds"] for p in parties), parties[-1]["dealt"] / 1e6
    if as_json:
        name = work.name if engine == "additive" else f"{engine}: {work.name}"
        print(json.dumps({
            "work": name, "value": round(seconds, 5), "unit": "s",
            "peer": None if work.peer_s is None else round(work.peer_s, 4),
            "ratio": None if ratio is None else round(ratio, 2), "target": work.target, "met": met,
            "with_dealer_s": round(whole, 5), "megabytes": round(megabytes, 3), "rounds": rounds,
            "dealt_megabytes": round(dealt, 3), "wrong": wrong,
            "memory_mb": round(memory), "peak_over_shares": None if of_shares is None else round(of_shares, 2),
            "cpu_s": round(max(p["cpu"] for p in parties), 4),
        }))  # fmt: skip
    else:
        missed = "" if met else f"MISSED {work.target}"
        print(
            f"{work.name:52} {seconds:8.4f} {whole:8.4f} {megabytes:7.2f} {rounds:6d} {dealt:8.1f} {wrong:5d} "
            f"{memory:6.0f} {of_shares or 0:8.1f} {max(p['cpu'] for p in parties):6.2f} "
            f"{work.peer_s or 0:6.2f} {ratio or 0:5.1f}x {missed}"
        )


if __name__ == "__main__":
    main()

"""One line of benchmarks/mpc.py on SecretFlow SPU, run with the peer's own interpreter.

python spu_mpc.py PROTOCOL WORK    (SEMI2K, ABY3 or CHEETAH; prints seconds, and elements off by more than 1e-3 of
                                    1 + |x|, as JSON)

Two or three processes over loopback; every party holds its shares beforehand, and the slowest one's time counts.
"""

import importlib.util
import json
import multiprocessing
import socket
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import spu.libspu as libspu
from spu import api
from spu.utils import frontend

REPEATS = 3
SLOW = ("logistic_569", "logistic_50000")  # once, after one run for warmth


def data(seed, shape, scale):
    return np.round(np.random.default_rng(seed).normal(size=shape) * scale * 2**18) / 2**18


def blobs(n, d):
    """The training set of benchmarks/mpc.py, features and labels."""
    if n == 569:
        path = importlib.util.find_spec("sklearn")
        if path is not None:
            from sklearn.datasets import load_breast_cancer

            x, y = load_breast_cancer(return_X_y=True)
            return (x - x.mean(0)) / x.std(0), y.astype(float)
    r = np.random.default_rng(3)
    x = r.normal(size=(n, d))
    return x, (r.random(n) < 1 / (1 + np.exp(-x @ r.normal(size=d)))).astype(float)


def logistic(n, batch, epochs, rate, np_=jnp, loop=jax.lax.fori_loop, sigmoid=jax.nn.sigmoid):
    """Mini-batch gradient descent, the steps of one epoch written out."""

    def fit(x, y):
        x1 = np_.concatenate([x, np_.ones((n, 1))], axis=1)

        def epoch(_, w):
            for i in range(0, n, batch):
                xb = x1[i : i + batch]
                w = w - rate / len(xb) * np_.matmul(xb.T, sigmoid(np_.matmul(xb, w)) - y[i : i + batch])
            return w

        return loop(0, epochs, epoch, np_.zeros(x.shape[1] + 1))

    return fit


def in_the_clear(n, batch, epochs, rate):
    def loop(first, last, body, state):
        for i in range(first, last):
            state = body(i, state)
        return state

    return logistic(n, batch, epochs, rate, np, loop, lambda z: 1 / (1 + np.exp(-z)))


def moments(np_):
    return lambda x: np_.stack([np_.mean(x), np_.var(x, ddof=1)])


WORKS = {
    "products": (jnp.multiply, lambda: (data(1, 1_000_000, 30.0), data(2, 1_000_000, 30.0)), np.multiply),
    "matmul": (jnp.matmul, lambda: (data(1, (1000, 1000), 1.0), data(2, (1000, 100), 1.0)), np.matmul),
    "vector": (jnp.matmul, lambda: (data(1, (100_000, 50), 1.0), data(2, 50, 1.0)), np.matmul),
    "less": (lambda x: x < 0, lambda: (data(1, 1_000_000, 1e3),), lambda x: x < 0),
    "variance": (moments(jnp), lambda: (data(4, 1_000_000, 3.0),), moments(np)),
    "divide": (
        jnp.divide,
        lambda: (data(1, 100_000, 30.0), np.abs(data(2, 100_000, 30.0)) + 2.0**-7),
        np.divide,
    ),
    "sort": (jnp.sort, lambda: (data(4, 1_000_000, 3.0)[:10_000],), np.sort),
    "logistic_569": (logistic(569, 64, 10, 0.5), lambda: blobs(569, 30), in_the_clear(569, 64, 10, 0.5)),
    "logistic_50000": (
        logistic(50_000, 1024, 3, 0.5),
        lambda: blobs(50_000, 50),
        in_the_clear(50_000, 1024, 3, 0.5),
    ),
    "sigmoid": (jax.nn.sigmoid, lambda: (data(1, 100_000, 4.0),), lambda x: 1 / (1 + np.exp(-x))),
}


def config_of(protocol):
    config = libspu.RuntimeConfig(protocol=getattr(libspu.ProtocolKind, protocol), field=libspu.FieldType.FM64)
    config.fxp_fraction_bits = 18
    config.sigmoid_mode = libspu.RuntimeConfig.SigmoidMode.SIGMOID_REAL
    return config


def party(rank, ports, protocol, name, shares, pipe):
    function, make, _ = WORKS[name]
    arrays = make()
    secret = libspu.Visibility.VIS_SECRET
    names = [f"in{i}" for i in range(len(arrays))]
    visibility = [secret] * len(arrays)
    executable, _ = frontend.compile(
        frontend.Kind.JAX, function, arrays, {}, names, visibility, lambda out: [f"out{i}" for i in range(len(out))]
    )
    description = libspu.link.Desc()
    for r, port in enumerate(ports):
        description.add_party(f"party-{r}", f"127.0.0.1:{port}")
    runtime = api.Runtime(libspu.link.create_brpc(description, rank), config_of(protocol))
    for input_name, (meta, chunks) in zip(names, shares, strict=True):
        share = libspu.Share()
        share.meta, share.share_chunks = meta, chunks
        runtime.set_var(input_name, share)
    seconds = []
    for _ in range((1 if name in SLOW else REPEATS) + 1):
        since = time.perf_counter()
        runtime.run(executable)
        seconds.append(time.perf_counter() - since)
    result = runtime.get_var("out0")
    pipe.send((statistics.median(seconds[1:]), result.meta, result.share_chunks))


def main():
    protocol, name = sys.argv[1:]
    parties = {"SEMI2K": 2, "ABY3": 3, "CHEETAH": 2}[protocol]
    _, make, clear = WORKS[name]
    io = api.Io(parties, config_of(protocol))
    shared = [io.make_shares(x, libspu.Visibility.VIS_SECRET) for x in make()]
    sockets = [socket.socket() for _ in range(parties)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for rank in range(parties):
        mine, theirs = context.Pipe()
        shares = [(x[rank].meta, x[rank].share_chunks) for x in shared]
        processes.append(context.Process(target=party, args=(rank, ports, protocol, name, shares, theirs)))
        processes[-1].start()
        pipes.append(mine)
    answers = [pipe.recv() for pipe in pipes]
    results = []
    for _, meta, chunks in answers:
        share = libspu.Share()
        share.meta, share.share_chunks = meta, chunks
        results.append(share)
    got = io.reconstruct(results)
    exact = clear(*make())
    wrong = int((np.abs(got.astype(float) - exact) > 1e-3 * (1 + np.abs(exact))).sum())
    print(json.dumps({"seconds": max(a[0] for a in answers), "wrong": wrong}))
    for process in processes:
        process.terminate()


if __name__ == "__main__":
    main()

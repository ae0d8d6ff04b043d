"""One suite for every engine: each operation of `ppc.mpc.ops` against NumPy, over shapes and edges of the range.

The plain engine is held against NumPy as well, so it may serve as the reference for programs. An engine joins by one
line in ENGINES, an operation by one line in CASES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppc.core.fixedpoint import FixedPoint
from ppc.mpc import Session, ops, run
from ppc.mpc.shares import AShare, BShare

STEP = 2.0**-18

ENGINES = {
    "plain": {"engine": "plain"},
    "additive-2": {"engine": "additive", "parties": 2},
    "additive-3": {"engine": "additive", "parties": 3},
    "replicated": {"engine": "replicated", "parties": 3},
    "pairwise": {"engine": "pairwise"},
}
MANY = [name for name in ENGINES if name != "pairwise"]  # its base transfers take a quarter of a second a session

# Every case also runs in the ring of 128 bits, with the same formats; what needs that ring is in test_wide_ring.
WIDE = {
    engine: {"fx": FixedPoint(18, 128), **how}
    for engine, how in ENGINES.items()
    if engine not in ("additive-3", "pairwise")
}


@dataclass(frozen=True)
class Case:
    """`secret(session, *shares)` must equal `clear(*arrays)` within `tolerance(*arrays)`, for inputs within ±bound."""

    secret: Callable
    clear: Callable
    bound: float
    shapes: Callable = lambda n, d: [(n, d), (n, d)]
    tolerance: Callable = lambda *xs: 0.0
    low: float | None = None  # inputs are positive, from here
    log: bool = False  # inputs are spread evenly in logarithm
    integers: bool = False
    smallest: int = 0


def one(n, d):
    return [(n, d)]


def fixed(s, x, w):
    f = ops.fixed_matrix(s, x.plain, x.owner, x.shape)
    return ops.matmul_fixed(s, f, w)


def fixed_rows(s, x, w):
    f = ops.fixed_matrix(s, x.plain, x.owner, x.shape)
    half = x.shape[0] // 2
    top, rest = ops.rows(f, slice(0, half)), f.rows(slice(half, None))
    return ops.concatenate(ops.matmul_fixed_many(s, [(top, w), (rest, w)]))


def fixed_t(s, x, g):
    f = ops.fixed_matrix(s, x.plain, x.owner, x.shape)
    both = ops.matmul_fixed_t_many(s, [(f.rows(slice(0, 2)), g[:2]), (f.rows(slice(2, None)), g[2:])])
    return both[0] + both[1]


def quantised(x, bits=18):
    return np.round(x * 2.0**bits) / 2.0**bits


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def spd(x):
    """A positive definite matrix of moderate condition from any (n, d) array."""
    d = x.shape[1]
    return quantised(x.T @ x / max(1, len(x)) + 0.5 * np.eye(d))


CASES: dict[str, Case] = {
    "open": Case(lambda s, x: x, lambda x: x, 2.0**43, one),
    "add": Case(lambda s, x, y: x + y, lambda x, y: x + y, 2.0**42),
    "subtract": Case(lambda s, x, y: x - y, lambda x, y: x - y, 2.0**42),
    "public": Case(lambda s, x: 1.5 - (x + np.float64(2.25)) * 3, lambda x: 1.5 - (x + 2.25) * 3, 2.0**40, one),
    "public array": Case(
        lambda s, x: np.arange(x.shape[1]) - x - np.arange(x.shape[1]) / 4,
        lambda x: np.arange(x.shape[1]) * 0.75 - x, 2.0**40, one,
    ),
    "broadcast": Case(lambda s, x, y: x + y, lambda x, y: x + y, 2.0**40, lambda n, d: [(n, d), (d,)]),
    "sum": Case(lambda s, x: x.sum(axis=0), lambda x: x.sum(axis=0), 2.0**30, one),
    "total": Case(lambda s, x: x.sum(), lambda x: x.sum(), 2.0**30, one, lambda x: 1e-15 * np.abs(x).sum()),
    "cumsum": Case(lambda s, x: x.cumsum(axis=0), lambda x: x.cumsum(axis=0), 2.0**30, one),
    "slice": Case(lambda s, x: x[1:, ::-1].T, lambda x: x[1:, ::-1].T, 2.0**43, one),
    "reshape": Case(lambda s, x: x.T.reshape(x.size), lambda x: x.T.reshape(x.size), 2.0**43, one),
    "concatenate": Case(
        lambda s, x, y: ops.concatenate([x, y], axis=1), lambda x, y: np.concatenate([x, y], axis=1), 2.0**43
    ),
    "stack": Case(lambda s, x, y: ops.stack([x, y]), lambda x, y: np.stack([x, y]), 2.0**43),
    "mul": Case(lambda s, x, y: ops.mul(s, x, y), np.multiply, 2.0**12.9, tolerance=lambda x, y: STEP),
    "mul computed": Case(
        lambda s, x, y: ops.mul(s, x + y, x - y), lambda x, y: (x + y) * (x - y), 2.0**11, tolerance=lambda x, y: STEP
    ),
    "mul again": Case(
        lambda s, x, y: ops.mul(s, x, y) + ops.mul(s, y, x) + ops.mul(s, x, x + 1),
        lambda x, y: 2 * x * y + x * (x + 1), 2.0**11, tolerance=lambda x, y: 3 * STEP,
    ),
    "mul broadcast": Case(
        lambda s, x, y: ops.mul(s, x, y), np.multiply, 2.0**12, lambda n, d: [(n, d), (d,)], lambda x, y: STEP
    ),
    "mul integers": Case(lambda s, x, y: ops.mul(s, x, y), np.multiply, 2.0**26, integers=True),
    "square": Case(lambda s, x: ops.square(s, x), np.square, 2.0**12.9, one, lambda x: STEP),
    "square computed": Case(lambda s, x: ops.square(s, -x), np.square, 2.0**12.9, one, lambda x: STEP),
    "mul public": Case(
        lambda s, x: ops.mul_public(s, x, [[0.1], [-7.3]]), lambda x: x * quantised(np.array([[0.1], [-7.3]])), 2.0**20,
        lambda n, d: [(2, d)], lambda x: STEP + 1e-15 * np.abs(x),
    ),
    "matmul": Case(
        lambda s, x, y: ops.matmul(s, x, y), np.matmul, 2.0**10, lambda n, d: [(n, d), (d, 3)], lambda x, y: STEP
    ),
    "matmul vector": Case(
        lambda s, x, y: ops.matmul(s, x, y), np.matmul, 2.0**10, lambda n, d: [(n, d), (d,)], lambda x, y: STEP
    ),
    "matmul transposed": Case(
        lambda s, x, y: ops.matmul_t(s, x, y), lambda x, y: x.T @ y, 2.0**9, tolerance=lambda x, y: STEP
    ),
    "gram": Case(lambda s, x: ops.matmul_t(s, x, x), lambda x: x.T @ x, 2.0**9, one, lambda x: STEP),
    "dot": Case(lambda s, x, y: ops.dot(s, x, y), np.dot, 2.0**9, lambda n, d: [(n,), (n,)], lambda x, y: STEP),
    "fixed": Case(fixed, np.matmul, 2.0**10, lambda n, d: [(n, d), (d, 2)], lambda x, y: STEP),
    "fixed vector": Case(fixed, np.matmul, 2.0**10, lambda n, d: [(n, d), (d,)], lambda x, y: STEP),
    "fixed rows": Case(fixed_rows, np.matmul, 2.0**10, lambda n, d: [(n, d), (d,)], lambda x, y: STEP),
    "fixed transposed": Case(
        fixed_t, lambda x, g: x.T @ g, 2.0**9, lambda n, d: [(n, d), (n,)], lambda x, g: 2 * STEP, smallest=3
    ),
    "truncate": Case(
        lambda s, x: ops.truncate(s, x, 10), lambda x: x, 2.0**43.9, one, lambda x: 2.0**-8
    ),
    "rescale": Case(
        lambda s, x: ops.rescale(s, ops.rescale(s, x, 30), 18), lambda x: x, 2.0**31.9, one, lambda x: STEP
    ),
    "less than zero": Case(lambda s, x: ops.less_than_zero(s, x), lambda x: x < 0, 2.0**43.9, one),
    "less than": Case(lambda s, x, y: ops.less_than(s, x, y), np.less, 2.0**43),
    "less than equals": Case(lambda s, x, y: ops.less_than(s, x, x), lambda x, y: np.zeros(x.shape, bool), 2.0**43),
    "less than public": Case(lambda s, x: ops.less_than(s, x, 0.5), lambda x: x < 0.5, 2.0**43, one),
    "less than each": Case(
        lambda s, x: ops.less_than_each(s, x, [-1.0, 0.0, 2.5])[2], lambda x: x < 2.5, 2.0**43, one
    ),
    "bits": Case(
        lambda s, x, y: ops.or_(
            s, ~ops.less_than_zero(s, x), ops.and_(s, ops.less_than_zero(s, x), ops.less_than_zero(s, y))
        ),
        lambda x, y: (x >= 0) | (y < 0), 2.0**40,
    ),
    "xor": Case(
        lambda s, x, y: ops.less_than_zero(s, x) ^ ops.less_than_zero(s, y) ^ np.True_, lambda x, y: (x < 0) == (y < 0),
        2.0**40,
    ),
    "bits rearranged": Case(
        lambda s, x: ops.less_than_zero(s, x).T[:, ::2].reshape(-1), lambda x: (x < 0).T[:, ::2].reshape(-1),
        2.0**40, one,
    ),
    "b2a": Case(lambda s, x: ops.b2a(s, ops.less_than_zero(s, x)), lambda x: 1.0 * (x < 0), 2.0**43, one),
    "bit times number": Case(
        lambda s, x, y: ops.bit_mul(s, ops.less_than_zero(s, x), y), lambda x, y: (x < 0) * y, 2.0**43
    ),
    "select": Case(
        lambda s, x, y: ops.select(s, ops.less_than_zero(s, x), x, y), lambda x, y: np.where(x < 0, x, y), 2.0**42
    ),
    "select public": Case(
        lambda s, x: ops.select(s, ops.less_than_zero(s, x), 2.5, x) + ops.select(s, ops.less_than_zero(s, x), x, -1.0),
        lambda x: np.where(x < 0, 2.5 + x, x - 1.0), 2.0**41, one,
    ),
    "absolute": Case(lambda s, x: ops.absolute(s, x), np.abs, 2.0**42, one),
    "sign": Case(lambda s, x: ops.sign(s, x), np.sign, 2.0**42, one),
    "maximum": Case(lambda s, x, y: ops.maximum(s, x, y), np.maximum, 2.0**42),
    "minimum": Case(lambda s, x, y: ops.minimum(s, x, y), np.minimum, 2.0**42),
    "clip": Case(lambda s, x: ops.clip(s, x, -2.5, 7.0), lambda x: np.clip(x, -2.5, 7.0), 2.0**42, one),
    "sigmoid": Case(lambda s, x: ops.sigmoid(s, x), lambda x: 0.5 + 0.5 * np.tanh(x / 2), 12.0, one, lambda x: 1e-3),
    "sigmoid far out": Case(
        lambda s, x: ops.sigmoid(s, x), lambda x: 0.5 + 0.5 * np.tanh(x / 2), 2.0**43, one, lambda x: 1e-3
    ),
    "sigmoid of a product": Case(
        lambda s, x, y: ops.sigmoid(s, ops.mul(s, x, y, truncated=False)), lambda x, y: 0.5 + 0.5 * np.tanh(x * y / 2),
        8.0, tolerance=lambda x, y: 1e-3,
    ),
    "reciprocal": Case(
        lambda s, x: ops.reciprocal(s, x), lambda x: 1 / x, 2.0**26, one, lambda x: 2**-15 / x + STEP, STEP, True
    ),
    "reciprocal in bounds": Case(
        lambda s, x: ops.reciprocal(s, x, low=0.5, high=1000), lambda x: 1 / x, 1000.0, one,
        lambda x: 2**-15 / x + STEP, 0.5, True,
    ),
    "reciprocal signed": Case(
        lambda s, x: ops.reciprocal(s, -x, signed=True), lambda x: -1 / x, 2.0**26, one, lambda x: 2**-15 / x + STEP,
        STEP, True,
    ),
    "divide": Case(
        lambda s, x, y: ops.divide(s, x, y, low=0.25, high=100), np.divide, 100.0,
        tolerance=lambda x, y: 4e-6 * np.abs(x / y) + (1 + 4 / y) * STEP, low=0.25,
    ),
    "inverse square root": Case(
        lambda s, x: ops.inverse_sqrt(s, x), lambda x: x**-0.5, 2.0**26, one, lambda x: 2e-6 * x**-0.5 + STEP,
        STEP, True,
    ),
    "divide by large numbers": Case(
        lambda s, x, y: ops.divide(s, x, -y, signed=True), lambda x, y: -x / y, 2.0**22,
        tolerance=lambda x, y: 4e-6 * np.abs(x / y) + (1 + 4 / y) * STEP, low=1000.0,
    ),
    "divide with broadcasting": Case(
        lambda s, x, y: ops.divide(s, x, y, low=0.25, high=100), np.divide, 100.0, lambda n, d: [(n, d), (d,)],
        lambda x, y: 4e-6 * np.abs(x / y) + (1 + 4 / y) * STEP, low=0.25,
    ),
    "divide public": Case(
        lambda s, y: ops.divide(s, 1e4, y, low=0.25, high=100), lambda y: 1e4 / y, 100.0, one,
        lambda y: 4e-6 * 1e4 / y + (1 + 4 / y) * STEP, low=0.25,
    ),
    "square root": Case(
        lambda s, x: ops.sqrt(s, x), np.sqrt, 2.0**26, one, lambda x: 2e-6 * np.sqrt(x) + STEP, STEP, True
    ),
    "logarithm": Case(lambda s, x: ops.log(s, x), np.log, 2.0**26, one, lambda x: 1e-5 + STEP, STEP, True),
    "exponential": Case(
        lambda s, x: ops.exp(s, x), np.exp, 13.0, one, lambda x: 4e-5 * np.exp(x) + STEP + 1.01 * np.exp(-13)
    ),
    "exponential of negatives": Case(
        lambda s, x: ops.exp(s, -x, low=-13, high=0.5), lambda x: np.exp(-x), 1e6, one,
        lambda x: 4e-6 * np.exp(-x) + STEP + 1.01 * np.exp(-13), STEP, True,
    ),
    "tanh": Case(lambda s, x: ops.tanh(s, x), np.tanh, 12.0, one, lambda x: 2e-3),
    "softmax": Case(lambda s, x: ops.softmax(s, x), softmax, 20.0, one, lambda x: 5e-5),
    "polynomial": Case(
        lambda s, x: ops.polynomial(s, x, [1.5, -2, 0.25, 0, 1]), lambda x: 1.5 - 2 * x + 0.25 * x**2 + x**4, 1.0, one,
        lambda x: 8 * STEP,
    ),
    "equal": Case(lambda s, x, y: ops.equal(s, x, y), np.equal, 2.0**40),
    "equal to itself": Case(lambda s, x: ops.equal(s, x, x + 0), lambda x: x == x, 2.0**40, one),
    "maximum along": Case(
        lambda s, x: ops.maximum_along(s, x, 1), lambda x: x.max(axis=1), 2.0**42, one
    ),
    "minimum along": Case(
        lambda s, x: ops.minimum_along(s, x, 0), lambda x: x.min(axis=0), 2.0**42, one, smallest=1
    ),
    "argmax": Case(lambda s, x: ops.argmax(s, x, -1), lambda x: x.argmax(axis=-1), 2.0**42, one),
    "argmin of equals": Case(
        lambda s, x: ops.argmin(s, ops.concatenate([x, x])), lambda x: np.concatenate([x, x]).argmin(axis=0),
        2.0**42, one, smallest=1,
    ),
    "mean": Case(lambda s, x: ops.mean(s, x, 1), lambda x: x.mean(axis=1), 2.0**12, one,
                 lambda x: STEP + 2e-6 * abs(x.mean(axis=1))),
    "variance": Case(
        lambda s, x: ops.variance(s, x, 0), lambda x: x.var(axis=0, ddof=1), 2.0**9, one,
        lambda x: 3 * STEP * (1 + np.abs(x).max()) + 1e-5 * x.var(axis=0, ddof=1), smallest=2,
    ),
    "covariance": Case(
        lambda s, x: ops.covariance(s, x), lambda x: np.cov(x.T).reshape(x.shape[1], x.shape[1]), 2.0**9, one,
        lambda x: 3 * STEP * (1 + np.abs(x).max()) + 1e-5 * np.abs(x).max() ** 2, smallest=2,
    ),
    "standardise": Case(
        lambda s, x: ops.standardise(s, x), lambda x: (x - x.mean(axis=0)) / x.std(axis=0), 8.0, one,
        lambda x: 2e-4, 0.5, smallest=4,
    ),
    "sort": Case(lambda s, x: ops.sort(s, x.ravel())[0], lambda x: np.sort(x.ravel()), 2.0**30, one),
    "sort with payload": Case(
        lambda s, x, y: ops.concatenate([v.reshape(-1) for v in ops.sort(s, x[:, 0], y, x)]),
        lambda x, y: np.concatenate(
            [v[np.argsort(x[:, 0], kind="stable")].reshape(-1) for v in (x[:, 0], y, x)]
        ), 2.0**30,
    ),
    "sort of equals is stable": Case(
        lambda s, x, y: ops.sort(s, ops.mul_public(s, x, 0.0, truncated=False)[:, 0], y)[1], lambda x, y: y, 2.0**10
    ),
    "shuffle": Case(lambda s, x: ops.sort(s, ops.shuffle(s, x).ravel())[0], lambda x: np.sort(x.ravel()), 2.0**30, one),
    "median": Case(
        lambda s, x: ops.median(s, x.ravel()), np.median, 2.0**20, one, lambda x: STEP, smallest=1
    ),
    "quantiles": Case(
        lambda s, x: ops.quantile(s, x.ravel(), [0, 0.1, 0.75, 1]), lambda x: np.quantile(x, [0, 0.1, 0.75, 1]),
        2.0**18, one, lambda x: STEP + 1e-5 * np.ptp(x), smallest=1,
    ),
    "largest": Case(
        lambda s, x: ops.top_k(s, x.ravel(), 1)[0], lambda x: x.max().reshape(1), 2.0**30, one, smallest=1
    ),
    "outer": Case(
        lambda s, x, y: ops.outer(s, x, y), np.outer, 2.0**12.9, lambda n, d: [(n,), (d,)], lambda x, y: STEP
    ),
    "prefix sum": Case(
        lambda s, x: ops.prefix_sum(x, 1, exclusive=True), lambda x: np.cumsum(x, axis=1) - x, 2.0**30, one
    ),
    "truncate exactly": Case(
        lambda s, x: ops.truncate_exact(s, x, 10), lambda x: np.floor(x * 2**8) / 2**8, 2.0**43.9, one
    ),
    "floor": Case(lambda s, x: ops.floor(s, x), np.floor, 2.0**43, one),
    "ceil": Case(lambda s, x: ops.ceil(s, x), np.ceil, 2.0**43, one),
    "round": Case(lambda s, x: ops.round_half_up(s, x), lambda x: np.floor(x + 0.5), 2.0**42, one),
    "one hot": Case(
        lambda s, x: ops.one_hot(s, x, 5), lambda x: (x[..., None] == np.arange(5)) * 1.0, 7.0, one, integers=True
    ),
    "one hot of listed values": Case(
        lambda s, x: ops.one_hot(s, ops.floor(s, x).shift_left(18), [2.0, -1.0, 0.0]),
        lambda x: (np.floor(x)[..., None] == [2, -1, 0]) * 1.0, 4.0, one,
    ),
    "lookup public": Case(
        lambda s, x: ops.lookup(s, TABLE, x), lambda x: TABLE[np.clip(x, 0, 5).astype(int)], 8.0, one, integers=True
    ),
    "lookup public rows": Case(
        lambda s, x: ops.lookup(s, TABLE.reshape(3, 2), x), lambda x: TABLE.reshape(3, 2)[np.clip(x, 0, 2).astype(int)],
        4.0, one, integers=True,
    ),
    "lookup secret": Case(
        lambda s, x, t: ops.lookup(s, t, x), lambda x, t: t[np.clip(x, 0, len(t) - 1).astype(int)], 40.0,
        lambda n, d: [(n, 2), (d, 3)], integers=True,
    ),
    "gather": Case(
        lambda s, x, t: ops.gather(s, t, x), lambda x, t: t[np.clip(x, 0, len(t) - 1).astype(int)], 40.0,
        lambda n, d: [(n,), (d, 2)], integers=True,
    ),
    "histogram": Case(
        lambda s, x: ops.histogram(s, x, EDGES), lambda x: np.histogram(x, EDGES)[0], 4.0, one,
    ),
    "histogram of integers": Case(
        lambda s, x: ops.histogram(s, x, [-2.5, 0.5, 2, 3]), lambda x: np.histogram(x, [-2.5, 0.5, 2, 3])[0], 4.0, one,
        integers=True,
    ),
    "weighted histogram": Case(
        lambda s, x, w: ops.histogram(s, x, EDGES, weights=w), lambda x, w: np.histogram(x, EDGES, weights=w)[0], 4.0,
        tolerance=lambda x, w: 1e-12,
    ),
    "permute": Case(
        lambda s, x: ops.permute(s, places_of(s, x), x)[0], lambda x: x[::-1], 2.0**40, one
    ),
    "permute and back": Case(
        lambda s, x: there_and_back(s, x, places_of(s, x)), lambda x: x, 2.0**40, one
    ),
    "partition": Case(
        lambda s, x: ops.partition(s, ops.less_than_zero(s, x[:, 0]), x)[0],
        lambda x: x[np.argsort(~(x[:, 0] < 0), kind="stable")], 2.0**40, one,
    ),
    "group by": Case(
        lambda s, x, v: all_of(s, ops.group_by(s, x, v)), lambda x, v: grouped(x, v, None), 3.0,
        lambda n, d: [(n,), (n, d)], integers=True,
    ),
    "group by of fractions": Case(
        lambda s, x, v: all_of(s, ops.group_by(s, x, v)), lambda x, v: grouped(x, v, None), 3.0,
        lambda n, d: [(n,), (n, d)],
    ),
    "group by known categories": Case(
        lambda s, x, v: all_of(s, ops.group_by(s, x, v, categories=[2, 0, -1])),
        lambda x, v: grouped(x, v, [2, 0, -1]), 3.0, lambda n, d: [(n,), (n, d)], integers=True,
    ),
    "inner join count": Case(
        lambda s, x, y: ops.inner_join_count(s, x, y), lambda x, y: (x[:, None] == y).sum(), 6.0,
        lambda n, d: [(n,), (2 * d,)], integers=True,
    ),
    "inner join sum": Case(
        lambda s, x, y: ops.inner_join_sum(s, x[:, 0], x[:, 1], y),
        lambda x, y: ((x[:, :1] == y) * x[:, 1:]).sum(), 6.0, lambda n, d: [(n, 2), (2 * d,)], integers=True,
    ),
    "inner join sum of products": Case(
        lambda s, x, y: ops.inner_join_sum(s, x[:, 0], x[:, 1], y[:, 0], y[:, 1]),
        lambda x, y: ((x[:, :1] == y[:, 0]) * x[:, 1:] * y[:, 1]).sum(), 6.0,
        lambda n, d: [(n, 2), (2 * d, 2)], integers=True,
    ),
    "inverse": Case(
        lambda s, x: ops.inverse(s, spd_share(s, x), condition=200), lambda x: np.linalg.inv(spd(x)), 2.0, one,
        lambda x: 4e-4 * np.linalg.norm(np.linalg.inv(spd(x)), 2), smallest=1,
    ),
    "solve": Case(
        lambda s, x, g: ops.solve(s, spd_share(s, x), g, condition=200), lambda x, g: np.linalg.solve(spd(x), g), 2.0,
        lambda n, d: [(n, d), (d,)],
        lambda x, g: 4e-4 * np.linalg.norm(np.linalg.inv(spd(x)), 2) * (1 + np.abs(g).sum()), smallest=1,
    ),
}  # fmt: skip


TABLE = np.array([3.25, -7.0, 0.0, 11.5, 1e6, -0.125])
EDGES = [-3.0, -0.5, 0.0, 1.25, 4.0]


def places_of(s, x):
    """The secret permutation that turns rows round."""
    n = len(x)
    return ops.share(s, np.arange(n)[::-1] if s.rank == 0 else None, 0, n, frac_bits=0)


def there_and_back(s, x, places):
    return ops.permute(s, ops.inverse_permutation(s, places), *ops.permute(s, places, x))[0]


def all_of(s, g):
    """Everything a group-by gives, as one array."""
    columns = [g.keys, g.counts.reinterpret(0), *g.sums, g.present]
    f = max(c.frac_bits for c in columns)
    return ops.concatenate([ops.rescale(s, c, f).reshape(len(g), c.size // len(g) if len(g) else 1) for c in columns],
                           axis=1)  # fmt: skip


def grouped(x, v, categories):
    """The same in the clear: key, count, sums, presence; zeros behind the last group."""
    keys = np.unique(x) if categories is None else np.array(categories, float)
    rows = [[k, (x == k).sum(), *v[x == k].sum(axis=0), (x == k).any()] for k in keys]
    width = 3 + v.shape[1] if len(x) or categories is not None else 4
    out = np.zeros((len(x) if categories is None else len(keys), width))
    if rows:
        out[: len(rows)] = rows
    return out


def spd_share(s, x):
    gram = ops.matmul_t(s, x, x, truncated=False)
    return ops.mul_public(s, ops.rescale(s, gram, 24), 1 / max(1, x.shape[0])) + 0.5 * np.eye(x.shape[1])


class Input:
    """A share that also remembers what its owner gave, for operations that take plain input."""

    def __init__(self, owner, plain, shape):
        self.owner, self.plain, self.shape = owner, plain, shape


def draw(case: Case, n: int, d: int, seed: int) -> list[np.ndarray]:
    r = np.random.default_rng(seed)
    out = []
    for shape in case.shapes(max(n, case.smallest), max(d, case.smallest)):
        low = case.low or 0.0
        if case.log:
            x = np.exp(r.uniform(np.log(low), np.log(case.bound), shape))
        elif case.low:
            x = r.uniform(low, case.bound, shape)
        else:
            x = r.uniform(-1, 1, shape) * case.bound * r.choice([1.0, 1e-3, 1e-6], shape)
            edges = [0.0, STEP, -STEP, 1.0, -1.0, case.bound, -case.bound]
            x = np.where(r.random(shape) < 0.25, r.choice(edges, shape), x)
        x = np.round(x) if case.integers else quantised(x)
        out.append(np.clip(x, low if case.low else -case.bound, case.bound))
    return out


def compute(s: Session, case: Case, arrays: list[np.ndarray]) -> np.ndarray:
    """The case at one party; the first input is the first party's, the second the last one's."""
    shares: list = []
    takes_plain = case.secret in (fixed, fixed_rows, fixed_t)
    for i, x in enumerate(arrays):
        owner = 0 if i == 0 else len(s.parties) - 1
        mine = x if s.rank == owner else None
        if takes_plain and i == 0:
            shares.append(Input(owner, mine, x.shape))
        else:
            shares.append(ops.share(s, mine, owner, x.shape, frac_bits=0 if case.integers else None))
    result = case.secret(s, *shares)
    assert isinstance(result, AShare | BShare)
    return ops.open(s, result) if isinstance(result, AShare) else ops.open_bits(s, result)


def check(results: list[np.ndarray], case: Case, arrays: list[np.ndarray]) -> None:
    expected = np.asarray(case.clear(*arrays))
    for got in results:
        assert got.shape == expected.shape
        np.testing.assert_array_equal(got, results[0])  # every party sees the same
        error = np.abs(got.astype(float) - expected.astype(float))
        assert (error <= case.tolerance(*arrays) + 1e-15 * np.abs(expected)).all()


@pytest.mark.parametrize("engine", MANY)
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(n=st.integers(0, 40), d=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_operation_agrees_with_numpy(engine, name, n, d, seed):
    case = CASES[name]
    arrays = draw(case, n, d, seed)
    check(run(lambda s: compute(s, case, arrays), **ENGINES[engine]), case, arrays)


@pytest.mark.parametrize("engine", WIDE)
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(n=st.integers(1, 40), d=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_operation_agrees_in_the_ring_of_128_bits(engine, name, n, d, seed):
    case = CASES[name]
    arrays = draw(case, n, d, seed)
    check(run(lambda s: compute(s, case, arrays), **WIDE[engine]), case, arrays)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=1, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_operation_agrees_with_numpy_between_two_parties(name, seed):
    """One session for several sizes, the empty one among them."""
    case = CASES[name]
    inputs = [draw(case, n, d, seed + n) for n, d in ((0, 2), (1, 1), (37, 3))]
    both = run(lambda s: [compute(s, case, arrays) for arrays in inputs], engine="pairwise")
    for i, arrays in enumerate(inputs):
        check([results[i] for results in both], case, arrays)


@pytest.mark.parametrize("engine", ENGINES)
def test_many_elements_and_no_wrong_one(engine):
    n = 20_000 if engine in MANY else 2_000
    for name in ("mul", "less than", "select", "sigmoid", "truncate", "reciprocal"):
        case = CASES[name]
        arrays = draw(case, n, 1, 7)
        check(run(lambda s, c=case, a=arrays: compute(s, c, a), **ENGINES[engine]), case, arrays)


@pytest.mark.parametrize("engine", ENGINES)
def test_numbers_without_dimensions(engine):
    def program(s):
        x = ops.share(s, 1.5 if s.rank == 0 else None, 0, ())
        y = ops.mul(s, x, x - 3.0)
        return ops.open(s, ops.select(s, ops.less_than(s, y, x), y, x))

    for got in run(program, **ENGINES[engine]):
        assert got.shape == ()
        assert abs(float(got) + 2.25) <= STEP


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("frac_bits", [8, 16, 20, 24])
def test_other_fixed_point_formats(engine, frac_bits):
    fx = FixedPoint(frac_bits)
    x = np.linspace(-20, 20, 401)
    step = fx.step

    def program(s):
        a = ops.share(s, x if s.rank == 0 else None, 0, x.shape)
        product = ops.open(s, ops.mul(s, a, a + 1))
        return product, ops.open(s, ops.sigmoid(s, a)), ops.open_bits(s, ops.less_than(s, a, 3))

    q = fx.decode(fx.encode(x))
    for product, sigmoid, below in run(program, fx=fx, **ENGINES[engine]):
        assert np.abs(product - q * (q + 1)).max() <= step
        assert np.abs(sigmoid - 1 / (1 + np.exp(-q))).max() <= 1e-3 + step
        np.testing.assert_array_equal(below, q < 3)

"""Training on shares against the same training in the clear, on the reference engine and on two parties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ppc.core.rng import Stream
from ppc.joint.credit import clear, newton, sgd
from ppc.joint.credit.training import P_BITS, X_BITS, LogisticParams, Schedule, row_weights
from ppc.mpc import local, ops
from ppc.mpc.session import Session

STREAM = Stream(b"0123456789abcdef")
SIZES = (3, 4)
PARAMETERS = {
    "plain sgd": {"epochs": 6, "batch_size": 256},
    "sgd with everything": {
        "epochs": 5, "batch_size": 300, "l1": 0.01, "l2": 0.02, "class_weight": "balanced", "momentum": 0.5,
    },
    "sgd that stops by loss": {"epochs": 30, "batch_size": 512, "early_stop": "loss", "tolerance": 1e-3},
    "sgd that stops by change": {"epochs": 30, "batch_size": 512, "early_stop": "change", "tolerance": 0.05},
    "newton": {"solver": "newton"},
    "newton with l2 and weights": {"solver": "newton", "l2": 0.01, "class_weight": {"0": 1.0, "1": 2.5}},
}  # fmt: skip


@dataclass
class Outcome:
    w: np.ndarray[Any, Any]
    se: np.ndarray[Any, Any] | None
    iterations: int
    losses: tuple[float, ...]


def data() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(2000, sum(SIZES)))
    x[:, 3] = 0.9 * x[:, 0] + 0.45 * x[:, 3]  # correlated across the parties
    x[:, 4] = np.exp(x[:, 4])  # a long tail
    z = x @ np.array([0.8, -0.5, 0.2, 0.4, -0.3, 0.0, 1.0]) - 0.6
    return x, (rng.random(len(x)) < clear.sigmoid(z)).astype(float)


def train(s: Session, x: Any, y: Any, params: LogisticParams, owners: tuple[int, int]) -> Outcome:
    """Both feature blocks and the label (at the first owner) into the secure training."""
    n = len(y)
    schedule = Schedule(params, n, STREAM)
    order = schedule.order if params.solver == "sgd" else np.arange(n)
    z, y = clear.Scale.of(x).apply(x)[order], y[order]
    blocks = (z[:, : SIZES[0]], z[:, SIZES[0] :])
    weights = row_weights(y, params.class_weight)

    def mine(rank: int, value: Any) -> Any:
        return value if s.rank == rank else None

    def shared(run: slice) -> Any:
        parts = [
            ops.share(s, mine(o, b[run]), o, b[run].shape, frac_bits=X_BITS)
            for o, b in zip(owners, blocks, strict=True)
        ]
        return ops.concatenate(parts, axis=1)

    inputs = sgd.Inputs(
        tuple(
            ops.fixed_matrix(s, mine(o, b), o, b.shape, frac_bits=X_BITS) for o, b in zip(owners, blocks, strict=True)
        ),
        ops.share(s, mine(owners[0], y), owners[0], (n,), frac_bits=P_BITS),
        None if weights is None else ops.share(s, mine(owners[0], weights), owners[0], (n,), frac_bits=P_BITS),
        shared,
    )
    fractions: list[float] = []

    def report(fraction: float, text: str) -> None:
        fractions.append(fraction)

    if params.solver == "newton":
        trained = newton.train(s, inputs, params, report)
    else:
        trained = sgd.train(s, inputs, params, schedule, report)
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1
    se = None if trained.variance is None else np.sqrt(ops.open(s, trained.variance) * trained.unit)
    return Outcome(ops.open(s, trained.w), se, trained.iterations, trained.losses)


def check(found: Outcome, params: LogisticParams, weights_within: float, se_within: float) -> None:
    x, y = data()
    exact = clear.fit(x, y, params, STREAM)
    assert found.iterations == exact.iterations
    assert np.abs(found.w - np.r_[exact.intercept, exact.coef]).max() < weights_within
    assert len(found.losses) == (exact.iterations if params.stops == "loss" else 0)
    assert found.losses == pytest.approx(exact.losses[: len(found.losses)], abs=1e-3)
    if exact.se is not None:
        assert found.se is not None
        assert np.abs(found.se / exact.se - 1).max() < se_within


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_reference_engine_differs_by_rounding_only(name: str) -> None:
    params = LogisticParams(**PARAMETERS[name])
    check(train(Session.plain(), *data(), params, (0, 0)), params, 1e-4, 1e-3)


@pytest.mark.parametrize("name", PARAMETERS)
def test_two_parties_agree_with_the_clear(name: str) -> None:
    params = LogisticParams(**PARAMETERS[name])
    a, b = local.run(lambda s: train(s, *data(), params, (0, 1)))
    assert np.array_equal(a.w, b.w)
    check(a, params, 5e-3, 1e-2)


def test_perfect_collinearity_does_not_break_newton() -> None:
    """Twice the same feature has no unique optimum: the sum of its weights is still right, and nothing overflows."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1500, sum(SIZES)))
    y = (rng.random(1500) < clear.sigmoid(x[:, 0])).astype(float)
    one = clear.fit(x[:, :6], y, LogisticParams(solver="newton"), STREAM)
    twice = x.copy()
    twice[:, 6] = x[:, 0]
    found = train(Session.plain(), twice, y, LogisticParams(solver="newton"), (0, 0))
    assert found.w[1] + found.w[7] == pytest.approx(one.coef[0], abs=1e-3)


def test_a_batch_costs_seven_rounds_and_eight_bytes_a_row_for_the_residual() -> None:
    """The cost that the docstring states, on the channel's own meter."""
    params = LogisticParams(epochs=2, batch_size=500)

    def program(s: Session) -> Outcome:
        x, y = data()
        before = s.meter
        train(s, x, y, params, (0, 1))
        cost = s.meter - before
        return Outcome(np.array([cost.rounds, cost.sent]), None, 0, ())

    rounds, sent = local.run(program)[0].w
    steps = 2 * 4
    assert rounds <= 7 * steps + 3
    features = 8 * 2000 * SIZES[0]
    assert sent <= features + 2 * 2000 * (8 + 34.25) + steps * (8 * 3 * (1 + sum(SIZES)) + 7 * 100) + 1000

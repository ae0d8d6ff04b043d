"""What secure and clear training share, and the clear training against scikit-learn and statsmodels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ppc.core.rng import Stream
from ppc.joint.credit import clear
from ppc.joint.credit.training import STEP_BITS, LogisticParams, Scale, Schedule, row_weights

STREAM = Stream(b"0123456789abcdef")


def data(n: int = 2000, d: int = 6, seed: int = 1) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * np.arange(1, d + 1) + 3.0
    x[:, 1] += 0.5 * x[:, 0]
    z = clear.Scale.of(x).apply(x) @ np.linspace(-1, 1, d) - 0.7
    return x, (rng.random(n) < clear.sigmoid(z)).astype(float)


def test_every_row_is_in_one_batch_of_every_epoch() -> None:
    schedule = Schedule(LogisticParams(batch_size=64, epochs=3), 1000, STREAM)
    assert sorted(schedule.order.tolist()) == list(range(1000))
    covered = np.concatenate([np.arange(b.start, b.stop) for b in schedule.batches])
    assert sorted(set(covered.tolist())) == list(range(1000))
    assert len({b.stop - b.start for b in schedule.batches}) == 1
    assert len(covered) - 1000 < len(schedule.batches)
    for batches in schedule.epochs:
        assert sorted(batches.tolist()) == list(range(len(schedule.batches)))
    assert len({tuple(b.tolist()) for b in schedule.epochs}) == 3


def test_few_rows_make_one_batch() -> None:
    schedule = Schedule(LogisticParams(batch_size=1024), 10, STREAM)
    assert schedule.batches == (slice(0, 10),)


def test_the_step_is_the_decayed_rate_over_the_batch() -> None:
    schedule = Schedule(LogisticParams(learning_rate=0.1, decay=0.5, batch_size=100), 1000, STREAM)
    for epoch in (0, 1, 7):
        step = schedule.step(epoch, schedule.batches[0]) / 2**STEP_BITS
        assert step == pytest.approx(0.1 / (1 + 0.5 * epoch) / 100, rel=1e-3)


@pytest.mark.parametrize(
    "bad",
    [
        {"l1": 0.1, "solver": "newton"},
        {"class_weight": {"0": 1.0}},
        {"class_weight": {"0": 1.0, "2": 1.0}},
        {"class_weight": {"0": 0.0, "1": 1.0}},
        {"momentum": 1.0},
        {"l2": float("nan")},
        {"epochs": 0},
        {"learning_rate": -1.0},
        {"save_as": "../m"},
        {"solver": "lbfgs"},
    ],
)
def test_parameters_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LogisticParams(**bad)


def test_standardised_features_have_mean_0_and_variance_1() -> None:
    x, _ = data()
    z = Scale.of(x).apply(x)
    assert np.allclose(z.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(z.std(axis=0), 1, atol=1e-5)


def test_balanced_weights_give_both_classes_the_same_sum() -> None:
    y = np.array([1.0, 0, 0, 0, 0])
    weights = row_weights(y, "balanced")
    assert weights is not None
    assert weights[y == 1].sum() == pytest.approx(weights[y == 0].sum())
    assert weights.sum() == pytest.approx(5)
    assert row_weights(y, {"0": 1.0, "1": 3.0}).tolist() == [3, 1, 1, 1, 1]  # type: ignore[union-attr]
    assert row_weights(y, None) is None


@pytest.mark.parametrize("weighted", [False, True])
def test_newton_agrees_with_statsmodels(weighted: bool) -> None:
    sm = pytest.importorskip("statsmodels.api")
    x, y = data()
    sample = np.random.default_rng(3).uniform(0.2, 3, len(y)) if weighted else None
    model = clear.fit(x, y, LogisticParams(solver="newton", tolerance=1e-9), STREAM, sample_weight=sample)
    z = sm.add_constant(model.scale.apply(x))
    weights = None if sample is None else sample / sample.mean()
    peer = sm.GLM(y, z, family=sm.families.Binomial(), freq_weights=weights).fit(tol=1e-12)
    assert np.abs(peer.params - np.r_[model.intercept, model.coef]).max() < 1e-6
    assert np.abs(peer.bse / model.se - 1).max() < 1e-5
    assert np.abs(peer.tvalues - model.z).max() < 1e-3
    assert np.abs(peer.pvalues - model.p).max() < 1e-5


def test_newton_with_l2_agrees_with_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    x, y = data()
    params = LogisticParams(solver="newton", l2=0.05, class_weight="balanced", tolerance=1e-9)
    model = clear.fit(x, y, params, STREAM)
    peer = linear.LogisticRegression(C=1 / (0.05 * len(y)), class_weight="balanced", tol=1e-10, max_iter=1000)
    peer.fit(model.scale.apply(x), y)
    assert np.abs(peer.coef_[0] - model.coef).max() < 1e-5
    assert abs(peer.intercept_[0] - model.intercept) < 1e-5


def test_sgd_comes_near_the_optimum() -> None:
    x, y = data(8000)
    sgd = clear.fit(x, y, LogisticParams(epochs=40, batch_size=256, decay=0.3), STREAM)
    best = clear.fit(x, y, LogisticParams(solver="newton"), STREAM)
    assert np.abs(sgd.coef - best.coef).max() < 0.03
    assert abs(sgd.intercept - best.intercept) < 0.03


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_l1_is_the_penalty_that_it_says_whatever_the_momentum(momentum) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    x, y = data()
    x = np.hstack([x, np.random.default_rng(5).normal(size=(len(x), 4))])
    params = LogisticParams(l1=0.06, epochs=400, batch_size=len(x), decay=0.0, momentum=momentum)
    model = clear.fit(x, y, params, STREAM)
    peer = linear.LogisticRegression(C=1 / (0.06 * len(y)), l1_ratio=1.0, solver="saga", tol=1e-8, max_iter=5000)
    peer.fit(model.scale.apply(x), y)
    assert (peer.coef_ == 0).any()
    assert np.abs(peer.coef_[0] - model.coef).max() < 5e-3
    assert np.abs(model.coef[-4:]).max() < 1e-3 < np.abs(model.coef[0])


def test_early_stops() -> None:
    x, y = data()
    some = clear.fit(x, y, LogisticParams(epochs=50, early_stop="loss", tolerance=1e-3), STREAM)
    assert 1 < some.iterations < 50
    assert len(some.losses) == some.iterations
    few = clear.fit(x, y, LogisticParams(epochs=50, early_stop="change", tolerance=0.1), STREAM)
    assert few.iterations < 50

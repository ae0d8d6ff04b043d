from __future__ import annotations

import json

import numpy as np
import pytest

from ppc.errors import FrameError, JobFileError, LabelError
from ppc.joint.credit import metrics
from ppc.joint.credit.assess import AGGREGATES
from ppc.joint.credit.evaluate import _checked

TRAIN = {"operator": "logistic_regression", "epochs": 5, "batch_size": 256, "learning_rate": 0.3}


def two_banks(n: int = 1000) -> tuple[dict, dict]:
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(2, n))
    y = (rng.random(n) < 1 / (1 + np.exp(1 - x - u))).astype(float)
    return {"y": y, "x": x}, {"u": u}


def test_figures_are_those_of_the_joint_scores(run_credit) -> None:
    from sklearn.metrics import roc_auc_score

    a, b = two_banks()
    results = run_credit(a, b, TRAIN, {"operator": "evaluate", "groups": 5}, {"operator": "score"}, every=3)
    figures = results["bank-a"].summary("evaluate")
    p = results["bank-a"].artifacts.of("score").table("scores")["probability"].to_numpy()
    held = np.arange(1000) % 3 == 0
    for name, rows in (("train", ~held), ("holdout", held)):
        assert figures[name]["rows"] == rows.sum()
        assert figures[name]["auc"] == pytest.approx(roc_auc_score(a["y"][rows], p[rows]), abs=1e-12)
        assert figures[name]["ks"] == pytest.approx(metrics.ks(a["y"][rows], p[rows])[0], abs=1e-12)
        assert len(figures[name]["gains"]["lift"]) == 5
    assert figures["stability"]["psi"] == pytest.approx(metrics.stability(p[~held], p[held], groups=5).psi)
    cutoffs = {figures[n]["confusion"]["cutoff"] for n in ("train", "holdout")}
    assert cutoffs == {metrics.ks(a["y"][~held], p[~held])[1]}
    json.dumps(figures, allow_nan=False)


def test_the_others_learn_nothing_unless_figures_are_shared(run_credit) -> None:
    a, b = two_banks()
    silent = run_credit(a, b, TRAIN, {"operator": "evaluate"}, every=3)
    assert silent["bank-b"].summary("evaluate")["shared"] is None
    assert not [d for d in silent["bank-b"].plan.to("bank-b") if d.step == "evaluate"]
    shared = run_credit(a, b, TRAIN, {"operator": "evaluate", "share_metrics": True}, every=3)
    told = shared["bank-b"].summary("evaluate")["shared"]
    own = shared["bank-a"].summary("evaluate")
    assert told["holdout"] == {k: own["holdout"][k] for k in AGGREGATES}
    assert told["psi"] == own["stability"]["psi"]
    assert [d.to for d in shared["bank-b"].plan.disclosures if d.step == "evaluate"] == ["bank-a", "bank-b"]


def test_without_a_holdout(run_credit) -> None:
    a, b = two_banks()
    results = run_credit(a, b, TRAIN, {"operator": "evaluate", "cutoff": 0.4, "share_metrics": True})
    figures = results["bank-a"].summary("evaluate")
    assert figures["holdout"] is None
    assert figures["stability"] is None
    assert figures["train"]["confusion"]["cutoff"] == 0.4
    assert set(results["bank-b"].summary("evaluate")["shared"]) == {"train", "psi"}


def test_weights(run_credit) -> None:
    a, b = two_banks()
    a["w"] = np.random.default_rng(1).integers(1, 4, 1000).astype(float)
    steps = [{**TRAIN, "drop": ["w"]}, {"operator": "evaluate", "weight": "w"}, {"operator": "score"}]
    results = run_credit(a, b, *steps)
    p = results["bank-a"].artifacts.of("score").table("scores")["probability"].to_numpy()
    assert results["bank-a"].summary("evaluate")["train"]["auc"] == pytest.approx(metrics.auc(a["y"], p, a["w"]))


def test_secret_weights_are_evaluated_too(run_credit) -> None:
    a, b = two_banks()
    open_ = run_credit(a, b, TRAIN, {"operator": "evaluate"}, every=3)
    secret = run_credit(a, b, {**TRAIN, "weights": "secret"}, {"operator": "evaluate"}, every=3)
    auc = [r["bank-a"].summary("evaluate")["holdout"]["auc"] for r in (open_, secret)]
    assert auc[0] == pytest.approx(auc[1], abs=1e-3)


def test_a_holdout_of_one_class_is_named(run_credit) -> None:
    a, b = two_banks()
    a["y"][::3] = 0
    with pytest.raises(LabelError, match="holdout"):
        run_credit(a, b, TRAIN, {"operator": "evaluate"}, every=3)


def test_who_evaluates_must_hold_the_label(run_credit) -> None:
    a, b = two_banks()
    b["y"] = a.pop("y")
    with pytest.raises(LabelError, match="the result goes to bank-a"):
        run_credit(a, b, TRAIN, {"operator": "evaluate"})


@pytest.mark.parametrize(
    ("step", "why"), [({"weight": "u"}, "weight"), ({"cutoff": 2.0}, "cutoff"), ({"groups": 1}, "groups")]
)
def test_a_wrong_step_is_refused_before_anything_runs(run_credit, step: dict, why: str) -> None:
    a, b = two_banks(100)
    with pytest.raises(JobFileError) as caught:
        run_credit(a, b, TRAIN, {"operator": "evaluate", **step})
    assert why in f"{caught.value} {caught.value.where}"


def test_there_must_be_a_model(run_credit) -> None:
    a, b = two_banks(100)
    with pytest.raises(JobFileError, match="model"):
        run_credit(a, b, {"operator": "evaluate"})


def test_figures_that_make_no_sense_name_who_sent_them() -> None:
    good = {"train": dict.fromkeys(AGGREGATES, 0.5), "psi": None}
    assert _checked(good, "bank-a") == good
    assert _checked(None, "bank-a") is None
    for bad in ([], {"x": 1}, {"train": {}}, {**good, "psi": "much"}, {"train": {**good["train"], "auc": []}}):
        with pytest.raises(FrameError) as caught:
            _checked(bad, "bank-a")
        assert caught.value.party == "bank-a"

"""`logistic_regression` and `score` as steps of a job, against the same training on pooled data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppc.dataset.dataset import Dataset
from ppc.errors import DisclosureRefused, ModelFileError, ProtocolAbort, RemoteFailure
from ppc.joint import Job, PartyResult, outcomes, simulate
from ppc.joint.credit import clear, label
from ppc.joint.credit.model import ModelHalf

Jobs = Callable[..., Job]
Banks = Callable[..., dict[str, Dataset]]
ALIGN = {"operator": "align", "keys": ["id"], "holdout": 0.25}
MODEL = {"operator": "logistic_regression", "name": "model", "label": "bad"}


@dataclass
class Run:
    """The results of a job, both halves of its model, and the pooled rows that nobody has in real life."""

    results: dict[str, PartyResult]
    halves: list[ModelHalf]
    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    held: np.ndarray[Any, Any]
    job: Job

    @property
    def weights(self) -> np.ndarray[Any, Any]:
        return np.concatenate([[self.halves[0].intercept], *(h.coef for h in self.halves if h.coef is not None)])

    def pooled(self, sample_weight: np.ndarray[Any, Any] | None = None) -> clear.ClearModel:
        train = ~self.held
        params: Any = self.job.step("model").params
        weight = None if sample_weight is None else sample_weight[train]
        stream = self.job.public_stream("model\0")
        return clear.fit(self.x[train], self.y[train], params, stream, sample_weight=weight)


def run(job: Job, data: dict[str, Dataset], **more: Any) -> Run:
    results = simulate(job, data, **more)
    aligned = [d.take(results[b].artifacts.of("align").array("rows")) for b, d in data.items()]
    halves = [ModelHalf.from_dict(results[b].artifacts.of("model").json("model")) for b in data]
    held = results["bank-a"].artifacts.of("align").array("holdout")
    x = np.hstack([h.features(d).matrix for h, d in zip(halves, aligned, strict=True)])
    return Run(results, halves, x, label.binary(aligned[0], "bad"), held, job)


@pytest.mark.parametrize(
    "params",
    [
        {"epochs": 10, "batch_size": 64},
        {"epochs": 5, "batch_size": 64, "l1": 0.01, "l2": 0.01, "class_weight": "balanced"},
        {"solver": "newton"},
    ],
)
def test_the_joint_model_is_the_pooled_one(bank_job: Jobs, bank_data: Banks, params: dict[str, Any]) -> None:
    found = run(bank_job(ALIGN, {**MODEL, **params}), bank_data())
    pooled = found.pooled()
    assert np.abs(found.weights - np.r_[pooled.intercept, pooled.coef]).max() < 1e-2
    assert found.results["bank-b"].summary("model")["intercept"] is None
    assert found.results["bank-b"].summary("model")["rows"] == (~found.held).sum()
    assert [c["feature"] for c in found.results["bank-b"].summary("model")["coefficients"]] == [
        "income",
        "visits",
        "calls",
    ]
    if pooled.se is not None and pooled.p is not None:
        se = np.concatenate([[found.halves[0].intercept_se], *(h.se for h in found.halves if h.se is not None)])
        p = np.concatenate([h.p for h in found.halves if h.p is not None])
        assert np.abs(se / pooled.se - 1).max() < 1e-2
        assert np.abs(p - pooled.p[1:]).max() < 1e-2


def test_newton_agrees_with_statsmodels(bank_job: Jobs, bank_data: Banks) -> None:
    sm = pytest.importorskip("statsmodels.api")
    found = run(bank_job(ALIGN, {**MODEL, "solver": "newton"}), bank_data())
    x, y = found.x[~found.held], found.y[~found.held]
    peer = sm.Logit(y, sm.add_constant((x - x.mean(axis=0)) / x.std(axis=0))).fit(disp=0)
    se = np.concatenate([[found.halves[0].intercept_se], *(h.se for h in found.halves if h.se is not None)])
    assert np.abs(peer.params - found.weights).max() < 5e-3
    assert np.abs(se / peer.bse - 1).max() < 1e-2


@pytest.mark.parametrize("at", ["bank-a", "bank-b"])
def test_sample_weights_at_either_party(bank_job: Jobs, bank_data: Banks, at: str) -> None:
    def add(table: dict[str, Any]) -> None:
        table["w"] = 0.5 + (np.arange(len(table["id"])) % 4)

    data = bank_data(**{at[-1]: add})
    step = {**MODEL, "solver": "newton", "sample_weight": "w", "class_weight": "balanced"}
    found = run(bank_job(ALIGN, step), data)
    weight = data[at].take(found.results[at].artifacts.of("align").array("rows")).numpy("w")
    pooled = found.pooled(weight)
    assert np.abs(found.weights - np.r_[pooled.intercept, pooled.coef]).max() < 1e-2
    assert "w" not in found.halves[0].names + found.halves[1].names


def test_scores_go_to_the_result_party_only(bank_job: Jobs, bank_data: Banks) -> None:
    found = run(bank_job(ALIGN, MODEL, {"operator": "score", "rows": "holdout"}, result="bank-b"), bank_data())
    assert "scores" not in found.results["bank-a"].artifacts.of("score")
    table = found.results["bank-b"].artifacts.of("score").table("scores")
    assert table.column_names == ["id", "logit", "probability"]
    pooled = found.pooled()
    assert np.abs(np.asarray(table["logit"]) - pooled.logits(found.x[found.held])).max() < 3e-2
    assert table.num_rows == found.held.sum()


def test_secret_weights_score_like_known_ones(bank_job: Jobs, bank_data: Banks) -> None:
    step = {**MODEL, "weights": "secret", "epochs": 6}
    found = run(bank_job(ALIGN, step, {"operator": "score"}), bank_data())
    for half in found.halves:
        assert half.secret
        assert half.coef is None
        assert half.intercept is None
    logits = np.asarray(found.results["bank-a"].artifacts.of("score").table("scores")["logit"])
    assert np.abs(logits - found.pooled().logits(found.x)).max() < 3e-2
    # Neither half alone is anything like the weights.
    pooled = found.pooled()
    for half in found.halves:
        assert half.share is not None
        alone = half.share[0].view(np.int64) / 2.0**half.share_bits
        assert np.abs(alone - np.r_[pooled.intercept, pooled.coef]).max() > 100


@pytest.mark.parametrize("randomness", ["ot", "silent"])
def test_two_banks_need_no_helper(bank_job: Jobs, bank_data: Banks, randomness: Any) -> None:
    job = bank_job(ALIGN, {**MODEL, "epochs": 2, "batch_size": 64})
    found = run(replace(job, helper="none", randomness=randomness), bank_data())
    pooled = found.pooled()
    assert np.abs(found.weights - np.r_[pooled.intercept, pooled.coef]).max() < 1e-2
    assert set(found.results) == {"bank-a", "bank-b"}


def test_a_saved_model_scores_new_rows_in_another_job(bank_job: Jobs, bank_data: Banks, tmp_path: Path) -> None:
    models = tmp_path / "models"
    data = bank_data()
    found = run(bank_job(ALIGN, {**MODEL, "save_as": "m1"}), data, models=models)
    new = {bank: d.take(np.arange(100, 400)) for bank, d in data.items()}
    score = bank_job({**ALIGN, "holdout": 0.0}, {"operator": "score", "model": "m1"})
    results = simulate(score, new, models=models)
    aligned = [d.take(results[b].artifacts.of("align").array("rows")) for b, d in new.items()]
    want = sum(h.partial(d) for h, d in zip(found.halves, aligned, strict=True))
    got = np.asarray(results["bank-a"].artifacts.of("score").table("scores")["logit"])
    assert np.abs(got - want).max() < 1e-5
    # Halves of two trainings do not fit, a missing or damaged file is named.
    run(bank_job(ALIGN, {**MODEL, "save_as": "m2"}), data, models=models)
    (models / "bank-a" / "m2.model.json").replace(models / "bank-a" / "m1.model.json")
    for error in outcomes(score, new, models=models).values():
        assert isinstance(error, ProtocolAbort)
        assert "model" in error.what
    (models / "bank-b" / "m1.model.json").write_text("{}")
    assert isinstance(outcomes(score, new, models=models)["bank-b"], ModelFileError)
    (models / "bank-b" / "m1.model.json").unlink()
    error = outcomes(score, new, models=models)["bank-b"]
    assert isinstance(error, ModelFileError)
    assert error.hint == "Known names: m2"


def test_a_model_of_the_label_holder_alone(bank_job: Jobs, bank_data: Banks) -> None:
    found = run(bank_job(ALIGN, {**MODEL, "features": "label_holder", "solver": "newton"}), bank_data())
    assert [h.names for h in found.halves] == [("age", "debt"), ()]
    pooled = found.pooled()
    assert np.abs(found.weights - np.r_[pooled.intercept, pooled.coef]).max() < 1e-2


def test_the_label_may_be_at_the_second_party(bank_job: Jobs, bank_data: Banks) -> None:
    data = bank_data()
    swapped = {"bank-a": data["bank-b"], "bank-b": data["bank-a"]}
    results = simulate(bank_job(ALIGN, {**MODEL, "epochs": 3}), swapped)
    assert results["bank-a"].summary("model")["intercept"] is None
    assert isinstance(results["bank-b"].summary("model")["intercept"], float)


def test_a_resumed_job_scores_with_the_model_on_disk(bank_job: Jobs, bank_data: Banks, tmp_path: Path) -> None:
    data = bank_data()
    first = run(bank_job(ALIGN, {**MODEL, "weights": "secret", "epochs": 4}), data, workdir=tmp_path)
    again = run(
        bank_job(ALIGN, {**MODEL, "weights": "secret", "epochs": 4}, {"operator": "score"}), data, workdir=tmp_path
    )
    assert [s.resumed for s in again.results["bank-a"].steps] == [True, True, False]
    assert again.halves[0].model_id == first.halves[0].model_id
    logits = np.asarray(again.results["bank-a"].artifacts.of("score").table("scores")["logit"])
    assert np.abs(logits - first.pooled().logits(first.x)).max() < 3e-2


def test_coefficients_that_would_tell_labels_are_refused(bank_job: Jobs, bank_data: Banks) -> None:
    def one_customer(table: dict[str, Any]) -> None:
        table["calls"] = (table["id"] == "CUST-00100").astype(float)

    def outlier(table: dict[str, Any]) -> None:
        table["income"][np.flatnonzero(table["id"] == "CUST-00100")] = 1e9

    job = bank_job({**ALIGN, "holdout": 0.0}, {**MODEL, "solver": "newton"})
    for change, name in ((one_customer, "calls"), (outlier, "income")):
        found = outcomes(job, bank_data(b=change))
        assert isinstance(found["bank-b"], DisclosureRefused)
        assert f"'{name}'" in found["bank-b"].what
        assert isinstance(found["bank-a"], RemoteFailure)
        assert found["bank-a"].party == "bank-b"
    # The label holder may look at its own labels as it likes; and where nobody learns a coefficient, nothing is told.
    simulate(job, bank_data(a=lambda t: t.update(age=(t["id"] == "CUST-00100").astype(float))))
    hidden = bank_job(ALIGN, {**MODEL, "epochs": 1, "weights": "secret"})
    simulate(hidden, bank_data(b=outlier))


def test_weights_that_make_a_model_of_one_customer_are_refused(bank_job: Jobs, bank_data: Banks) -> None:
    """Nearly all weight on one row: the model says that row's label, whose owner did not want to tell it."""

    def one_customer(table: dict[str, Any]) -> None:
        table["w"] = np.where(table["id"] == "CUST-00100", 1e5, 1.0)

    step = {**MODEL, "solver": "newton", "max_iterations": 4, "sample_weight": "w"}
    job = bank_job({**ALIGN, "holdout": 0.0}, step)
    for at in ("bank-a", "bank-b"):
        found = outcomes(job, bank_data(**{at[-1]: one_customer}))
        assert isinstance(found[at], DisclosureRefused)
        assert "'w'" in found[at].what
    secret = run(bank_job({**ALIGN, "holdout": 0.0}, {**step, "weights": "secret"}), bank_data(b=one_customer))
    params, target = job.step("model").params, 7
    for y in (0.0, 1.0):
        label_ = secret.y.copy()
        label_[target] = y
        weight = np.ones(len(label_))
        weight[target] = 1e5
        told = clear.fit(secret.x, label_, params, job.public_stream("model\0"), sample_weight=weight)  # type: ignore[arg-type]
        assert (told.logits(secret.x)[target] > 0) == bool(y), "the attack works in the clear"


def test_few_cases_do_not_carry_many_coefficients(bank_job: Jobs, bank_data: Banks) -> None:
    def few(table: dict[str, Any]) -> None:
        table["bad"] = np.isin(table["id"], [f"CUST-{i:05d}" for i in range(5)]).astype(np.int64)

    found = outcomes(bank_job({**ALIGN, "holdout": 0.0}, MODEL), bank_data(a=few))
    assert isinstance(found["bank-a"], DisclosureRefused)
    assert "each of the 3 coefficients" in found["bank-a"].what
    assert isinstance(found["bank-b"], RemoteFailure)

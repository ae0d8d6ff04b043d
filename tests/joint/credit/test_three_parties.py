"""Three institutions train one model: with a helper on additive shares, without one on replicated shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ppc.dataset.dataset import Dataset
from ppc.dataset.schema import Field, Role, Schema
from ppc.errors import JobFileError, KeyColumnError
from ppc.joint import Job, plan, simulate
from ppc.joint.credit import clear
from ppc.joint.credit.training import LogisticParams

PARTIES = ("bank", "telecom", "shop")
N = 1500


def customers() -> tuple[dict[str, Dataset], np.ndarray]:
    """Three tables that overlap in part, rows in other orders; and the ids that all have."""
    import pyarrow as pa

    rng = np.random.default_rng(11)
    x = rng.normal(size=(N, 5))
    bad = (rng.random(N) < 1 / (1 + np.exp(1 - x @ np.array([0.8, -0.5, 0.6, 0.4, -0.3])))).astype(np.int64)
    ids = np.array([f"C{i:05d}" for i in range(N)])
    tables = {}
    kept = {"bank": slice(0, 1400), "telecom": slice(50, 1500), "shop": slice(100, 1450)}
    for party, columns in zip(PARTIES, ((0, 1), (2, 3), (4,)), strict=True):
        order = rng.permutation(np.arange(N)[kept[party]])
        table: dict[str, Any] = {"id": ids[order], **{f"x{c}": x[order, c] for c in columns}}
        if party == "bank":
            table["bad"] = bad[order]
        fields = [Field("id", "string", role=Role.IDENTIFIER)]
        fields += [Field(f"x{c}", "float64", role=Role.FEATURE) for c in columns]
        if party == "bank":
            fields.append(Field("bad", "int64", role=Role.LABEL))
        tables[party] = Dataset.from_arrow(pa.table(table), Schema(tuple(fields)), party)
    return tables, ids[100:1400]


def job(*steps: dict[str, Any], **more: Any) -> Job:
    return Job.from_dict({"name": "three", "parties": list(PARTIES), "step": list(steps), **more})


ALIGN = {"operator": "align", "keys": ["id"], "holdout": 0.3}


def test_rows_that_all_three_have_in_one_order() -> None:
    data, common = customers()
    results = simulate(job(ALIGN), data)
    seen = [data[p].take(results[p].artifacts.of("align").array("rows")).column("id").to_pylist() for p in PARTIES]
    assert seen[0] == seen[1] == seen[2]
    assert sorted(seen[0]) == common.tolist()


@pytest.mark.parametrize("helper", ["none", "helper"])
def test_a_scorecard_of_three(helper: str) -> None:
    data, common = customers()
    steps = [
        ALIGN,
        {"operator": "woe"},
        {"operator": "select"},
        {"operator": "logistic_regression", "solver": "newton", "l2": 0.01},
        {"operator": "scorecard"},
        {"operator": "evaluate"},
        {"operator": "score"},
    ]
    results = simulate(job(*steps, helper=helper), data)
    # The true model's AUC is 0.78; the holdout of 390 rows is drawn anew each time, with a deviation of 0.03.
    assert results["bank"].summary("evaluate")["holdout"]["auc"] > 0.6
    assert set(results["bank"].summary("logistic_regression")["features"]) == set(PARTIES)
    assert sum(results["bank"].summary("align")[k] for k in ("train", "holdout")) == len(common)


@pytest.mark.parametrize("helper", ["none", "helper"])
def test_the_model_is_that_of_the_pooled_rows(helper: str) -> None:
    data, _ = customers()
    model = {"operator": "logistic_regression", "solver": "newton", "l2": 0.02, "tolerance": 1e-3}
    results = simulate(job({**ALIGN, "holdout": 0.0}, model, helper=helper), data)
    pooled = {}
    for p in PARTIES:
        t = data[p].take(results[p].artifacts.of("align").array("rows"))
        pooled.update({n: t.numpy(n) for n in t.schema.names if n.startswith(("x", "bad"))})
    x = np.column_stack([pooled[f"x{i}"] for i in range(5)])
    best = clear.fit(x, pooled["bad"], LogisticParams(solver="newton", l2=0.02), _stream())
    coefficients = []
    for p in PARTIES:
        half = results[p].artifacts.of("logistic_regression").json("model")
        coefficients += half["coef"]
    np.testing.assert_allclose(coefficients, best.coef, atol=5e-3)


def _stream() -> Any:
    from ppc.core.rng import Stream

    return Stream(b"a public stream.")


def test_trees_of_three_without_a_helper() -> None:
    data, _ = customers()
    steps = [ALIGN, {"operator": "boosted_trees", "trees": 3, "depth": 2, "bins": 8}, {"operator": "evaluate"}]
    results = simulate(job(*steps), data)
    assert results["bank"].summary("evaluate")["holdout"]["auc"] > 0.58


def test_the_plan_says_what_three_learn_and_on_what_it_rests() -> None:
    data, _ = customers()
    schemas, rows = {p: d.schema for p, d in data.items()}, {p: d.num_rows for p, d in data.items()}
    text = " ".join(plan(job(ALIGN, {"operator": "logistic_regression"}), schemas, rows).text().split())
    assert "bank learns which of its own rows all of telecom, shop have too; not which only some of them have" in text
    assert "Rests on replicated shares of three parties" in text
    for bad in ({"protocol": "ecdh"}, {"protocol": "rr22"}, {"security": "malicious"}):
        with pytest.raises(JobFileError, match="protocol of their own"):
            plan(job({**ALIGN, **bad}), schemas, rows)
    with pytest.raises(JobFileError, match="for two parties"):
        plan(job({**ALIGN, "reveal": "none"}), schemas, rows)


def test_keys_that_would_never_match_are_named_at_any_party() -> None:
    data, _ = customers()
    schemas = {p: d.schema for p, d in data.items()}
    schemas["shop"] = Schema((Field("id", "int64", role=Role.IDENTIFIER), *schemas["shop"].fields[1:]))
    with pytest.raises(KeyColumnError, match="at shop"):
        plan(job(ALIGN), schemas, dict.fromkeys(PARTIES, 10))

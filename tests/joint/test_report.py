"""A finished job's report shows what the party learned, and only that."""

import html as escaping
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset import Dataset
from ppc.joint import Job, report, simulate
from ppc.joint.artifacts import Store
from ppc.joint.credit import pooled
from ppc.joint.party import PartyResult
from ppc.report import html

JOB = """
name = "small"
parties = ["bank-a", "bank-b"]
helper = "helper"
result = "bank-a"

[datasets]
bank-a = "a"
bank-b = "b"

[[step]]
operator = "align"
keys = ["id"]
holdout = 0.3

[[step]]
operator = "woe"
label = "bad"
on_constant = "drop"

[[step]]
operator = "select"

[[step]]
operator = "logistic_regression"
solver = "newton"
l2 = 0.01
label = "bad"

[[step]]
operator = "scorecard"

[[step]]
operator = "evaluate"
label = "bad"
share_metrics = true
"""


@pytest.fixture(scope="module")
def datasets() -> dict[str, Dataset]:
    rng = np.random.default_rng(7)
    n = 1200
    x = rng.normal(size=(n, 4))
    bad = (rng.random(n) < 1 / (1 + np.exp(1.2 - x @ [1.0, 0.5, -1.0, 0.4]))).astype(np.int64)
    ids = np.array([f"c{i:05d}" for i in range(n)])
    order = rng.permutation(n)
    a = pa.table({"id": ids, "income": x[:, 0], "age": x[:, 1], "bad": bad})
    b = pa.table({"id": ids[order], "balance": x[order, 2], "tenure": x[order, 3]})
    return {"bank-a": Dataset.from_arrow(a, name="a"), "bank-b": Dataset.from_arrow(b, name="b")}


@pytest.fixture(scope="module")
def results(datasets: dict[str, Dataset]) -> dict[str, PartyResult]:
    return simulate(Job.from_toml(JOB), datasets)


def _text(page: str) -> str:
    return escaping.unescape(re.sub(r"<[^>]+>", " ", page))


def test_each_party_sees_its_own_half(results: dict[str, PartyResult]) -> None:
    pages = {p: html.render(report.build(report.record(r))) for p, r in results.items()}
    for page in pages.values():
        text = _text(page)
        for title in (
            "How good the model is",
            "Scorecard",
            "Model",
            "Features",
            "What each party learned",
            "What it cost",
        ):
            assert title in text
    scorecards = {p: re.findall(r"<tr><td>(\w+)</td>", page) for p, page in pages.items()}
    assert "income" in scorecards["bank-a"]
    assert "balance" in scorecards["bank-b"]
    # The other's bins and points are nowhere; its names are, in the selection and in what was learned.
    assert ">[" in pages["bank-a"]
    assert "base" in _text(pages["bank-a"])
    assert len(re.findall(r"<svg", pages["bank-a"])) > len(re.findall(r"<svg", pages["bank-b"]))


def test_the_plan_and_its_hash_are_in_the_report(results: dict[str, PartyResult]) -> None:
    result = results["bank-b"]
    text = _text(html.render(report.build(report.record(result))))
    assert result.plan.hash in text
    for disclosure in result.plan.disclosures:
        assert disclosure.what in text


def test_costs_add_up(results: dict[str, PartyResult]) -> None:
    record = report.record(results["bank-a"])
    built = report.build(record)
    table: Any = built.sections[-1].blocks[0]
    assert table.rows[-1][3] == sum(s["rounds"] for s in record["steps"])
    assert table.rows[-1][4] == pytest.approx(sum(s["sent"] for s in record["steps"]) / 1e6)


def test_a_report_is_written_whole(results: dict[str, PartyResult], tmp_path: Path) -> None:
    path = report.write(report.record(results["bank-a"]), tmp_path / "report.html")
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_joint_model_is_the_pooled_one(results: dict[str, PartyResult], datasets: dict[str, Dataset]) -> None:
    folders = {p: Store.of_finished(r.artifacts.root).of("align") for p, r in results.items()}
    aligned = {p: d.take(folders[p].array("rows")) for p, d in datasets.items()}
    holdout = folders["bank-a"].array("holdout")
    clear = pooled.train(results["bank-a"].plan, aligned, holdout)
    joint = results["bank-a"].summary("evaluate")["holdout"]
    assert abs(joint["auc"] - clear.best["auc"]) <= 0.005
    for party, result in results.items():
        for c in result.summary("logistic_regression")["coefficients"]:
            assert c["coef"] == pytest.approx(clear.coef[party, c["feature"]], abs=1e-2)
    alone = pooled.train(results["bank-a"].plan, aligned, holdout, ["bank-a"])
    assert alone.best["auc"] < clear.best["auc"]

"""Joint scorecards without showing who matched: `align` with `reveal = "none"`, and every step that follows it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.dataset.dataset import Dataset
from ppc.errors import ColumnError, DisclosureRefused, JobFileError, NoMatchError
from ppc.joint import Job, PartyResult, outcomes, plan, report, simulate
from ppc.joint.credit import boosted_clear, carriers, clear, graded, label, metrics, told, woe
from ppc.joint.credit.boosted_model import TreesHalf
from ppc.joint.credit.counts import Counts, WoeTable, tally
from ppc.joint.credit.fit import BinningRule, feature_values
from ppc.joint.credit.frame import Rows
from ppc.joint.credit.model import ModelHalf
from ppc.mpc import local, ops
from ppc.mpc.additive import AdditiveEngine
from ppc.report import html

Jobs = Callable[..., Job]
BANKS = ["bank-a", "bank-b"]
ALIGN = {"operator": "align", "keys": ["id"], "reveal": "none", "holdout": 0.25}
WOE = {"operator": "woe", "label": "bad"}
MODEL = {"operator": "logistic_regression", "name": "model", "label": "bad", "solver": "newton"}
EVALUATE = {"operator": "evaluate", "label": "bad", "share_metrics": True}


def banks(people: int = 4000, each: int = 3000, change: Callable[[dict[str, Any]], None] | None = None) -> dict:
    """Made-up customers, some at each bank: bank-a has age, debt and the label, bank-b income, visits and calls."""
    rng = np.random.default_rng(11)
    t: dict[str, Any] = {
        "id": np.array([f"CUST-{i:05d}" for i in range(people)]),
        "age": rng.normal(45, 12, people).round(),
        "debt": rng.gamma(2.0, 1500.0, people).round(2),
        "income": rng.normal(3000, 800, people).round(2),
        "visits": rng.poisson(4, people).astype(float),
        "calls": rng.normal(size=people).round(4),
        "exposure": 0.5 + np.arange(people) % 4,
    }
    z = -0.02 * (t["age"] - 45) + 0.0003 * t["debt"] - 0.0008 * (t["income"] - 3000) + 0.15 * t["visits"] - 2.0
    t["bad"] = (rng.random(people) < 1 / (1 + np.exp(-z))).astype(np.int64)
    if change is not None:
        change(t)
    own = [rng.permutation(people)[:each] for _ in BANKS]
    names = [["id", "age", "debt", "bad"], ["id", "income", "visits", "calls"]]
    if "weighted" in t:
        names[0].append("exposure")
    return {
        bank: Dataset.from_arrow(pa.table({n: pa.array(t[n][rows]) for n in columns}), name=bank)
        for bank, rows, columns in zip(BANKS, own, names, strict=True)
    }


class Matched:
    """The matched rows, which nobody has in real life: from both parties' artifacts."""

    def __init__(self, results: dict[str, PartyResult], data: dict[str, Dataset]) -> None:
        left = {b: results[b].artifacts.of("align") for b in data}
        places = {b: x.array("places") for b, x in left.items()}
        self.common = np.intersect1d(*places.values())
        self.held = left["bank-a"].array("holdout")[self.common]
        self.tables = {
            b: d.take(left[b].array("rows")[np.searchsorted(places[b], self.common)]) for b, d in data.items()
        }
        ids = [t.column("id").to_pylist() for t in self.tables.values()]
        assert ids[0] == ids[1]
        assert set(ids[0]) == set(data["bank-a"].column("id").to_pylist()) & set(
            data["bank-b"].column("id").to_pylist()
        )

    def label(self) -> np.ndarray[Any, Any]:
        return label.binary(self.tables["bank-a"], "bad")


def run(job: Job, data: dict[str, Dataset], **more: Any) -> tuple[dict[str, PartyResult], Matched]:
    results = simulate(job, data, **more)
    return results, Matched(results, data)


def halves_of(results: dict[str, PartyResult]) -> list[ModelHalf]:
    return [ModelHalf.from_dict(r.artifacts.of("model").json("model")) for r in results.values()]


def logits(results: dict[str, PartyResult], found: Matched) -> np.ndarray[Any, Any]:
    return sum(h.partial(found.tables[h.party]) for h in halves_of(results))


def pooled(job: Job, results: dict[str, PartyResult], found: Matched, weight: Any = None) -> np.ndarray[Any, Any]:
    """Logits of the same training in the clear, on the pooled matched rows."""
    x = np.hstack([h.features(found.tables[h.party]).matrix for h in halves_of(results)])
    train = ~found.held
    params: Any = job.step("model").params
    stream = job.public_stream("model\0")
    model = clear.fit(
        x[train], found.label()[train], params, stream, sample_weight=None if weight is None else weight[train]
    )
    return model.logits(x)


@pytest.fixture(scope="module")
def whole() -> tuple[Job, dict[str, PartyResult], Matched, dict[str, Dataset], list[int]]:
    """A whole job, and the sizes of everything that was opened after `align`."""
    steps = [ALIGN, WOE, {"operator": "select"}, MODEL, {"operator": "scorecard"}, EVALUATE]
    job = Job.from_dict({"name": "credit", "parties": BANKS, "helper": "helper", "step": steps})
    data, opened = banks(), []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "reveal", "open_bits"):
            made = getattr(AdditiveEngine, name)

            def spy(s: Any, x: Any, *rest: Any, made: Any = made) -> Any:
                opened.extend(y.size for y in (x if isinstance(x, list | tuple) else [x]))
                return made(s, x, *rest)

            patch.setattr(AdditiveEngine, name, staticmethod(spy))
        results, found = run(job, data)
    return job, results, found, data, opened


def test_counts_and_nothing_else_of_the_match(whole: Any) -> None:
    _, results, found, data, _ = whole
    for bank in BANKS:
        summary = results[bank].summary("align")
        assert summary["matched"] == len(found.common)
        assert summary["holdout"] == found.held.sum()
        assert summary["train"] == (~found.held).sum()
        assert summary["union"] == 2 * 3000 - len(found.common)
        # A party's own rows are all there, in an order that says nothing about the other's.
        left = results[bank].artifacts.of("align")
        assert sorted(left.array("rows")) == list(range(data[bank].num_rows))
    ids = [{tuple(i) for i in results[b].artifacts.of("align").array("ids").tolist()} for b in BANKS]
    assert len(ids[0] & ids[1]) == len(found.common)
    assert len(ids[0] | ids[1]) == summary["union"]


def test_no_value_of_single_rows_is_opened(whole: Any) -> None:
    """After the union is known, what is opened is far smaller than the rows: counts, coefficients, bits of features."""
    _, results, _, _, opened = whole
    union = results["bank-a"].summary("align")["union"]
    by_rows = sorted(n for n in opened if n >= 300)
    # The two large ones (one at each party) are the shuffled IDs inside `align`.
    assert len(by_rows) == 2
    assert by_rows[0] > union / 2
    assert len(opened) > 50


def test_a_share_of_who_matched_tells_nothing_by_itself(whole: Any) -> None:
    _, results, found, _, _ = whole
    parts = [np.load(results[b].artifacts.of("align").path("member"))[0] for b in BANKS]
    member = np.zeros(len(parts[0]), np.uint64)
    member[found.common] = 1
    assert (parts[0] + parts[1] == member).all()
    for part in (*parts, parts[0] + parts[1]):
        counts = np.bincount(np.frombuffer(part.tobytes(), np.uint8), minlength=256)
        expected = counts.sum() / 256
        statistic = ((counts - expected) ** 2).sum() / expected
        # 255 degrees of freedom: above 400 with probability below 1e-7; the plain bits are far from uniform.
        assert (statistic < 400) == (part is parts[0] or part is parts[1])


def test_the_partners_counts_are_those_of_the_matched_rows(whole: Any) -> None:
    _, results, found, _, _ = whole
    train = ~found.held
    y = found.label()[train]
    for name, table in results["bank-b"].artifacts.of("woe").json("woe").items():
        fitted = WoeTable.from_dict(table)
        values = feature_values(found.tables["bank-b"].take(np.flatnonzero(train)), name)
        counts = tally(fitted.binning.apply(values), fitted.binning.n_bins, y)
        assert fitted.counts.rows.tolist() == counts.rows.tolist()
        assert np.allclose(fitted.counts.bad, counts.bad)
        assert counts.rows[counts.rows > 0].min() >= 20
    # The label holder's own bins rest on all of its training rows, so that they tell it nothing.
    (table, *_) = results["bank-a"].artifacts.of("woe").json("woe").values()
    left = results["bank-a"].artifacts.of("align")
    assert sum(table["rows"]) == (~left.array("holdout")[left.array("places")]).sum()


def test_the_model_is_the_pooled_one(whole: Any) -> None:
    job, results, found, _, _ = whole
    y, held = found.label(), found.held
    joint, clear_ = logits(results, found), pooled(job, results, found)
    assert np.abs(joint - clear_).max() < 3e-2
    assert abs(metrics.auc(y[held], joint[held]) - metrics.auc(y[held], clear_[held])) < 1e-3
    assert metrics.auc(y[held], joint[held]) > 0.62
    for half in halves_of(results):
        assert half.se is not None
        assert (half.se > 0).all()
        assert (half.se < 0.2).all()


def test_figures_agree_with_those_of_single_scores(whole: Any) -> None:
    _, results, found, _, _ = whole
    y, z = found.label(), logits(results, found)
    told = results["bank-a"].summary("evaluate")
    for name, rows in (("train", ~found.held), ("holdout", found.held)):
        figures = told[name]
        p = clear.sigmoid(z[rows])
        assert figures["rows"] == rows.sum()
        assert figures["bad_rate"] == pytest.approx(y[rows].mean(), abs=1e-6)
        assert figures["auc"] == pytest.approx(metrics.auc(y[rows], z[rows]), abs=3e-3)
        assert figures["ks"] == pytest.approx(metrics.ks(y[rows], z[rows])[0], abs=4e-2)
        assert figures["brier"] == pytest.approx(metrics.brier(y[rows], p), abs=2e-3)
    shared = results["bank-b"].summary("evaluate")["shared"]
    assert shared["holdout"]["auc"] == told["holdout"]["auc"]
    assert shared["psi"] == told["stability"]["psi"]


def test_points_add_up(whole: Any) -> None:
    _, results, _, _, _ = whole
    cards = [results[b].summary("scorecard") for b in BANKS]
    assert isinstance(cards[0]["base_points"], float)
    assert cards[1]["base_points"] is None
    assert all(c["points"] for c in cards)


@pytest.mark.parametrize("label_at", ["bank-a", "bank-b"])
def test_sgd_with_row_and_class_weights(bank_job: Jobs, label_at: str) -> None:
    step = {**MODEL, "solver": "sgd", "epochs": 3, "batch_size": 128, "sample_weight": "exposure",
            "class_weight": {"0": 1.0, "1": 2.0}, "early_stop": "loss", "tolerance": 1e-6}  # fmt: skip
    job = bank_job({**ALIGN, "holdout": 0.0}, step, result=label_at)
    data = banks(change=lambda t: t.update(weighted=True))
    if label_at == "bank-b":
        data = {"bank-a": data["bank-b"], "bank-b": data["bank-a"]}
    results = simulate(job, data)
    halves = halves_of(results)
    left = {b: results[b].artifacts.of("align") for b in BANKS}
    common = np.intersect1d(*(x.array("places") for x in left.values()))
    rows = {b: x.array("rows")[np.searchsorted(x.array("places"), common)] for b, x in left.items()}
    tables = {b: d.take(rows[b]) for b, d in data.items()}
    y = label.binary(tables[label_at], "bad")
    x = np.hstack([h.features(tables[h.party]).matrix for h in halves])
    model = clear.fit(x, y, job.step("model").params, job.public_stream("model\0"),
                      sample_weight=tables[label_at].numpy("exposure"))  # fmt: skip
    joint = sum(h.partial(tables[h.party]) for h in halves)
    assert abs(metrics.auc(y, joint) - metrics.auc(y, model.logits(x))) < 5e-3
    assert np.corrcoef(joint, model.logits(x))[0, 1] > 0.98
    summary = results[label_at].summary("model")
    assert summary["rows"] == len(common)
    assert 0 < summary["losses"][-1] < summary["losses"][0] < 0.3


def test_row_weights_in_bins_and_figures(bank_job: Jobs) -> None:
    weighted = {"weight": "exposure"}
    steps = [{**WOE, **weighted, "drop": ["exposure"]}, {**MODEL, "sample_weight": "exposure"}]
    job = bank_job(ALIGN, *steps, {**EVALUATE, **weighted})
    results, found = run(job, banks(change=lambda t: t.update(weighted=True)))
    held, y, w = found.held, found.label(), found.tables["bank-a"].numpy("exposure")
    z = logits(results, found)
    assert np.abs(z - pooled(job, results, found, w)).max() < 2e-2
    told = results["bank-a"].summary("evaluate")["holdout"]
    assert told["rows"] == held.sum()
    assert told["bad_rate"] == pytest.approx((w * y)[held].sum() / w[held].sum(), abs=1e-5)
    assert told["auc"] == pytest.approx(metrics.auc(y[held], z[held], w[held]), abs=5e-3)
    for name, table in results["bank-b"].artifacts.of("woe").json("woe").items():
        fitted = WoeTable.from_dict(table)
        values = feature_values(found.tables["bank-b"].take(np.flatnonzero(~held)), name)
        counts = tally(fitted.binning.apply(values), fitted.binning.n_bins, y[~held], w[~held])
        assert fitted.counts.rows.tolist() == counts.rows.tolist()
        assert np.allclose(fitted.counts.bad, counts.bad, atol=1e-3)
        assert np.allclose(fitted.counts.good, counts.good, atol=1e-3)


def test_a_report_of_a_hidden_match(whole: Any) -> None:
    _, results, _, _, _ = whole
    for result in results.values():
        page = html.render(report.build(report.record(result)))
        assert "which ones nobody learned" in page


@pytest.mark.heavy
def test_taiwan(taiwan: dict[str, np.ndarray[Any, Any]], bank_job: Jobs) -> None:
    """Real rows, two thirds of which match: the joint model beside the pooled one, on customers neither has seen."""
    rng = np.random.default_rng(4)
    key, target = "USER_ID", next(n for n in taiwan if "DEFAULT" in n.upper())
    names = [n for n in taiwan if n not in (target, key)]
    n = len(taiwan[key]) if os.environ.get("PPC_HEAVY") == "1" else 6000
    data = {}
    for bank, columns, share in (("bank-a", names[:12], 0.9), ("bank-b", names[12:], 0.75)):
        rows = rng.permutation(n)[: round(share * n)]
        table = {"id": pa.array(taiwan[key][rows].astype(np.int64))} | {c: pa.array(taiwan[c][rows]) for c in columns}
        if bank == "bank-a":
            table["bad"] = pa.array(taiwan[target][rows])
        data[bank] = Dataset.from_arrow(pa.table(table), name=bank)
    job = bank_job({**ALIGN, "holdout": 0.3}, WOE, {"operator": "select"}, MODEL, EVALUATE)
    results, found = run(job, data)
    y, held = found.label(), found.held
    joint, clear_ = logits(results, found), pooled(job, results, found)
    exact = metrics.auc(y[held], joint[held])
    assert abs(exact - metrics.auc(y[held], clear_[held])) < 1e-3
    assert results["bank-a"].summary("evaluate")["holdout"]["auc"] == pytest.approx(exact, abs=3e-3)
    assert exact > 0.6


def test_secret_weights_are_evaluated_too(bank_job: Jobs) -> None:
    job = bank_job(ALIGN, {**MODEL, "weights": "secret"}, EVALUATE)
    results, _ = run(job, banks(1500, 1200))
    assert halves_of(results)[0].secret
    assert results["bank-a"].summary("evaluate")["holdout"]["auc"] > 0.55


def test_boosted_trees(bank_job: Jobs) -> None:
    step = {"operator": "boosted_trees", "name": "model", "label": "bad", "trees": 4, "bins": 8}
    job = bank_job(ALIGN, step, EVALUATE)
    results, found = run(job, banks(3000, 2500))
    halves = [TreesHalf.from_dict(r.artifacts.of("model").json("model")) for r in results.values()]
    x = [h.features(found.tables[h.party]).matrix for h in halves]
    train, y = ~found.held, found.label()
    params: Any = job.step("model").params
    peer = boosted_clear.fit([part[train] for part in x], y[train], params, job.public_stream("model\0"))
    auc = metrics.auc(y[found.held], peer.logits(np.hstack(x))[found.held])
    told = results["bank-a"].summary("evaluate")["holdout"]["auc"]
    assert told == pytest.approx(auc, abs=4e-2)
    assert results["bank-a"].summary("model")["rows"] == train.sum()


def test_correlations_are_those_of_the_matched_rows(bank_job: Jobs) -> None:
    def related(t: dict[str, Any]) -> None:
        t["visits"] = t["age"] + np.random.default_rng(5).normal(0, 6, len(t["age"])).round()

    select = {"operator": "select", "iv_min": 0.0, "disclose": "correlations", "max_correlation": 0.95}
    results, found = run(bank_job(ALIGN, WOE, select), banks(change=related))
    told = results["bank-b"].summary("select")["correlations"]
    columns = {}
    for bank in BANKS:
        tables = results[bank].artifacts.of("woe").json("woe")
        for name, table in tables.items():
            values = feature_values(found.tables[bank].take(np.flatnonzero(~found.held)), name)
            columns[f"{bank}.{name}"] = WoeTable.from_dict(table).transform(values)
    exact = np.corrcoef(np.stack([columns[n] for n in told["names"]]))
    across = np.array([[a.split(".")[0] != b.split(".")[0] for b in told["names"]] for a in told["names"]])
    assert np.abs(np.array(told["matrix"]) - exact)[across].max() < 2e-3
    assert np.abs(exact[across]).max() > 0.6
    # What the decisions say, they say about the same numbers.
    few = {**select, "disclose": "decisions", "max_correlation": 0.5}
    results, _ = run(bank_job(ALIGN, WOE, few), banks(change=related))
    assert "correlation" in results["bank-a"].summary("select")["removed"].values()


def test_no_correlation_with_a_feature_of_one_matched_row(bank_job: Jobs) -> None:
    """Its size would say where bank-b's features put that one customer."""
    flagged = np.arange(60)  # of 4000 customers
    data = banks(change=lambda t: t.update(debt=np.isin(np.arange(len(t["id"])), flagged).astype(float)))
    known = data["bank-b"].column("id").to_pylist()
    gone = {f"CUST-{i:05d}" for i in flagged}
    here = sorted(gone & set(data["bank-a"].column("id").to_pylist()) & set(known))
    gone.remove(here[0])
    data["bank-b"] = data["bank-b"].take(np.array([i for i, name in enumerate(known) if name not in gone]))
    select = {"operator": "select", "iv_min": 0.0, "disclose": "correlations", "max_correlation": 1.0}
    results, found = run(bank_job({**ALIGN, "holdout": 0.0}, {**WOE, "min_share": 0.0}, select), data)
    told = results["bank-b"].summary("select")["correlations"]
    columns = {}
    for bank in BANKS:
        for name, table in results[bank].artifacts.of("woe").json("woe").items():
            columns[f"{bank}.{name}"] = WoeTable.from_dict(table).transform(feature_values(found.tables[bank], name))
    exact = np.corrcoef(np.stack([columns[n] for n in told["names"]]))
    row = told["names"].index("bank-a.debt")
    others = [i for i, n in enumerate(told["names"]) if n.startswith("bank-b.")]
    assert len(found.common) > 1000
    assert np.abs(exact[row, others]).max() > 5e-3
    assert np.abs(np.array(told["matrix"])[row, others]).max() < 1e-4
    ages = told["names"].index("bank-a.age")
    assert np.abs(np.array(told["matrix"]) - exact)[ages, others].max() < 2e-3


def test_a_resumed_job(bank_job: Jobs, tmp_path: Path) -> None:
    data = banks(1500, 1200)
    first = simulate(bank_job(ALIGN, WOE), data, workdir=tmp_path)
    again = simulate(bank_job(ALIGN, WOE, MODEL, EVALUATE), data, workdir=tmp_path)
    assert [s.resumed for s in again["bank-b"].steps] == [True, True, False, False]
    assert again["bank-a"].summary("align") == first["bank-a"].summary("align")
    assert again["bank-a"].summary("evaluate")["train"]["rows"] == first["bank-a"].summary("align")["train"]


# --- what is refused, and when ---
def schemas(data: dict[str, Dataset]) -> tuple[dict, dict]:
    return {b: d.schema for b, d in data.items()}, {b: d.num_rows for b, d in data.items()}


def test_the_plan_says_what_is_told(bank_job: Jobs) -> None:
    data = banks(300, 200)
    made = plan(
        bank_job(ALIGN, WOE, {"operator": "select"}, MODEL, {"operator": "scorecard"}, EVALUATE), *schemas(data)
    )
    text = made.text(width=1000)
    assert "which of its own rows" not in text
    assert "the score of every matched row" not in text
    assert "how many rows match, but not which" in text
    assert "how many of a group match, but not which" in text
    assert "no single score" in text
    shown = plan(bank_job({**ALIGN, "reveal": "intersection"}, WOE, MODEL, EVALUATE), *schemas(data))
    assert "which of its own rows" in shown.text(width=1000)
    assert made.view("woe").max_rows == 400
    assert made.cost.bytes > shown.cost.bytes
    assert "carry it" not in plan(bank_job(ALIGN, {**MODEL, "weights": "secret"}), *schemas(data)).text(width=1000)


def test_steps_that_cannot_run_say_so_in_the_plan(bank_job: Jobs) -> None:
    data = banks(300, 200)
    with pytest.raises(JobFileError, match="would say who matches") as caught:
        plan(bank_job(ALIGN, MODEL, {"operator": "score"}), *schemas(data))
    assert "intersection" in (caught.value.hint or "")
    with pytest.raises(JobFileError, match="matched already"):
        plan(bank_job(ALIGN, {**ALIGN, "name": "again"}), *schemas(data))
    with pytest.raises(JobFileError, match="matched rows that every party sees"):
        plan(bank_job(ALIGN, {"operator": "matched"}), *schemas(data))
    alone = plan(bank_job(ALIGN, helper="none"), *schemas(data)).text(width=1000)
    assert "Rests on" in alone
    for bad in ({"protocol": "ecdh"}, {"security": "malicious"}, {"or_keys": [["id"]]}, {"reveal": "some"}):
        with pytest.raises(JobFileError):
            bank_job({**ALIGN, **bad})


def failures(job: Job, data: dict[str, Dataset]) -> list[BaseException]:
    return [x for x in outcomes(job, data).values() if isinstance(x, BaseException)]


def test_nothing_in_common_or_too_little(bank_job: Jobs) -> None:
    data = banks(600, 400)
    other = data["bank-b"].with_column("id", pa.array([f"X{i}" for i in range(400)]))
    assert all(isinstance(e, NoMatchError) for e in failures(bank_job(ALIGN), {**data, "bank-b": other}))
    found = failures(bank_job({**ALIGN, "min_rows": 500}), data)
    assert len(found) == 2
    assert all("rows match" in str(e) for e in found)


def test_a_feature_that_few_matched_rows_carry_is_refused(bank_job: Jobs) -> None:
    def few(t: dict[str, Any]) -> None:
        # Twelve customers carry it. Bank-b has some of them, and fewer match: three at most are known to bank-a.
        t["calls"] = np.isin(np.arange(len(t["id"])), np.arange(12)).astype(float)

    data = banks(800, 600, few)
    rare = {f"CUST-{i:05d}" for i in range(3, 12)}
    known = data["bank-a"].column("id").to_pylist()
    data["bank-a"] = data["bank-a"].take(np.array([i for i, name in enumerate(known) if name not in rare]))
    found = failures(bank_job(ALIGN, MODEL), data)
    assert len(found) == 2
    assert all(isinstance(e, DisclosureRefused) for e in found)
    assert {str(e).count("'calls'") for e in found} == {0, 1}, "only its owner is told the name"
    assert not failures(bank_job(ALIGN, {**MODEL, "weights": "secret"}), data)


def test_few_cases_are_refused(bank_job: Jobs) -> None:
    def rare(t: dict[str, Any]) -> None:
        t["bad"] = (np.arange(len(t["id"])) < 14).astype(np.int64)

    data = banks(800, 600, rare)
    for steps, words in (([WOE], "fewer than 20 matched"), ([MODEL], "for each of the 5 coefficients")):
        found = failures(bank_job({**ALIGN, "holdout": 0.0}, *steps), data)
        assert len(found) == 2
        assert all(isinstance(e, DisclosureRefused) and words in e.what for e in found)


@pytest.mark.parametrize(
    ("people", "each", "holdout", "words"),
    [(900, 700, 0.0012, "1 of"), (900, 700, 0.9999, "could say who"), (9000, 700, 0.03, "fewer than 5 matched")],
)
def test_a_small_holdout_does_not_say_who_matches(
    bank_job: Jobs, people: int, each: int, holdout: float, words: str
) -> None:
    """How many of one row match is whether it matches. Neither the number nor a zero is told."""
    opened: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        made = AdditiveEngine.open
        patch.setattr(AdditiveEngine, "open", staticmethod(lambda s, x: opened.append(1) or made(s, x)))
        found = failures(bank_job({**ALIGN, "holdout": holdout}), banks(people, each))
    assert len(found) == 2
    assert all(isinstance(e, DisclosureRefused) and words in e.what for e in found)
    assert not opened


def test_how_many_coefficients_there_may_be_is_asked_before_who_carries_them(bank_job: Jobs) -> None:
    """Each answer about carriers is about a group that its owner chose: many columns would ask about many groups."""
    asked: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(carriers, "too_few", lambda *_: asked.append(1))
        data = banks(800, 600, lambda t: t.update(bad=(np.arange(len(t["id"])) < 14).astype(np.int64)))
        assert len(failures(bank_job({**ALIGN, "holdout": 0.0}, MODEL), data)) == 2
    assert not asked


# --- parts ---
@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_small_intervals_are_joined_with_a_neighbour(small: list[bool]) -> None:
    starts = graded.joined(np.array(small))
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    ends = [*starts[1:], len(small)]
    for a, b in zip(starts, ends, strict=True):
        assert len(small) == 1 or b - a > 1 or not small[a], "a small interval stands alone"
        assert b - a <= 3


@given(st.integers(5, 200), st.floats(0.02, 1))
def test_fine_bins_have_rows_enough(least: int, overlap: float) -> None:
    rows = told.fine_rows(least, overlap)
    spread = np.sqrt(rows * overlap * (1 - overlap))
    assert rows * overlap - 2 * spread >= least - 1e-6
    smaller = rows - 1
    assert smaller * overlap - 2 * np.sqrt(smaller * overlap * (1 - overlap)) < least + 1e-6


def test_limits_of_counts() -> None:
    assert told.hidden_limit(100, 1000, 2000, 2.0) == 25
    assert told.hidden_limit(500, 1000, 1040, 2.0) == 10  # the 40 that do not match are the rarest
    assert told.hidden_limit(500, 1000, 1000, 2.0) == 125  # all match: there is nothing to find out
    assert told.hidden_limit(500, 1000, 1040, 0.0) is None


def test_costs_of_what_is_decided_on_shares() -> None:
    n, features = 3000, 4
    rng = np.random.default_rng(0)
    x, z, y = rng.normal(size=(n, features)), rng.normal(size=n), (rng.random(n) < 0.4).astype(float)

    def program(s: Any) -> Any:
        known = [ops.share(s, np.arange(n) % (2 + r) > 0 if s.rank == r else None, r, n, frac_bits=0) for r in (0, 1)]
        member = ops.mul(s, *known)
        rows = Rows(n, n // 3, np.arange(n), np.arange(n), member)
        scores = ops.share(s, z if s.rank == 0 else None, 0, n, frac_bits=22)
        spent, before = [], s.meter
        carriers.too_few(s, (0, features), x if s.rank else x[:0, :0], rows, 5.0)
        spent.append(s.meter - before)
        before = s.meter
        at = graded.thresholds(s, scores, rows)
        spent.append(s.meter - before)
        before = s.meter
        columns = np.column_stack([y, 1 - y]) if s.rank == 0 else None
        graded.grade(s, scores, rows, columns, 0, at, 0)
        return [*spent, s.meter - before]

    carried, edges, grades = local.run(program)[1]
    assert carried.rounds <= 18
    assert carried.sent <= (32 * features + 8) * n + 5000
    assert edges.rounds <= 7
    assert edges.sent <= 40 * n + 1000
    assert grades.rounds <= 7 + 4 * 7
    assert grades.sent <= 15.2 * n * (graded.INTERVALS - 1)


def test_intervals_do_not_say_which_rows_match() -> None:
    """Who knows its rows' scores looks in each interval for the rows whose mean is told: none is told.

    A score that is the rows' true mean gives them away: the attack is tried on that as well.
    """
    n, rng = 400, np.random.default_rng(7)
    own, z, y = np.sort(rng.permutation(n)[:320]), rng.normal(size=n), (rng.random(n) < 0.4).astype(float)
    matched = np.zeros(n, np.bool_)
    matched[own] = rng.random(len(own)) < 0.5

    def program(s: Any) -> Any:
        bits = ops.share(s, matched.astype(np.int64) if s.rank == 0 else None, 0, n, frac_bits=0)
        rows = Rows(n, int(matched.sum()), own, own, bits)
        scores = ops.share(s, z if s.rank == 0 else None, 0, n, frac_bits=22)
        at = graded.thresholds(s, scores, rows)
        columns = np.column_stack([y, 1 - y])[own] if s.rank == 0 else None
        return at, graded.grade(s, scores, rows, columns, 0, at, 0)

    at, grades = local.run(program)[0]
    assert np.abs(np.array([at.mean(), (at[-1] - at[0]) / 6]) - [z[matched].mean(), z[matched].std()]).max() < 1e-2
    # The intervals as the attacker knows them: it was told which were joined.
    inside, start = np.searchsorted(at, z, side="right"), 0
    true, unique, right, wrong = [], 0, 0, 0
    for k, size in enumerate(grades.rows.astype(int)):
        end = start + 1
        while matched[(inside >= start) & (inside < end)].sum() < size:
            end += 1
        mine = own[(inside[own] >= start) & (inside[own] < end)]
        start = end
        true.append(z[mine][matched[mine]].mean())
        if not 6 < len(mine) <= 14:
            continue
        choices = np.array(list(itertools.combinations(range(len(mine)), size)))
        means = z[mine][choices].mean(axis=1)
        unique += np.count_nonzero(np.abs(means - true[-1]) < 2.0**-17) == 1
        guess = np.zeros(len(mine), np.bool_)
        guess[choices[np.abs(means - grades.score[k]).argmin()]] = True
        right += np.count_nonzero(guess == matched[mine])
        wrong += np.count_nonzero(guess != matched[mine])
    assert unique >= 5, "a true mean names the rows"
    assert np.abs(np.array(true) - grades.score).min() > 2.0**-15, "no true mean is told"
    # Guesses are right about as often as the numbers alone let anyone guess; six deviations above are a leak.
    total = right + wrong
    assert right / total < 0.62 + 3 / np.sqrt(total), (right, total)


def test_evaluations_share_their_intervals(bank_job: Jobs) -> None:
    """Models of its own features give the label holder one known grouping of its rows for each evaluation."""
    own = [{**MODEL, "name": f"m{i}", "features": "label_holder", "l2": 0.01 * i} for i in range(4)]
    steps = [{**EVALUATE, "name": f"e{i}", "model": f"m{i}"} for i in range(4)]
    counted: list[int] = []
    made = graded.thresholds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graded, "thresholds", lambda *a: counted.append(len(found := made(*a)) + 1) or found)
        results = simulate(bank_job({**ALIGN, "holdout": 0.0}, *own, *steps), banks(1500, 1200))
    assert counted == [16] * 8
    assert 0.5 < results["bank-a"].summary("e0")["train"]["auc"] < 1
    assert graded.share_of(1) == 64
    with pytest.raises(DisclosureRefused, match="17 evaluations"):
        graded.share_of(17)


def test_carriers_are_counted_among_matched_rows() -> None:
    rng = np.random.default_rng(3)
    n, own = 400, np.sort(rng.permutation(400)[:300])
    matched = np.zeros(n, np.bool_)
    matched[own] = rng.random(len(own)) < 0.5
    x = np.zeros((300, 5))
    x[:, 0] = rng.normal(size=300)
    at = np.flatnonzero(matched[own])
    x[at[:4], 1] = 1.0  # four matched rows carry it
    x[at[:5], 2] = 1.0  # five do
    x[np.flatnonzero(~matched[own])[:30], 3] = 1.0  # thirty rows carry it, of which none matches
    x[at[0], 4], x[at[1:30], 4] = 1e4, 1.0  # one row outweighs all others

    def program(s: Any) -> Any:
        bits = ops.share(s, matched.astype(np.int64) if s.rank == 0 else None, 0, n, frac_bits=0)
        rows = Rows(n, int(matched.sum()), own if s.rank else own[:0], own if s.rank else own[:0], bits)
        return carriers.too_few(s, (0, 5), x if s.rank else x[:0, :0], rows, 5.0)

    for answer in local.run(program):
        assert answer.tolist() == [False, True, False, True, True]


def test_a_feature_whose_bins_are_all_withheld_is_named() -> None:
    rule = BinningRule()
    fine = rule.fine(np.arange(100.0), "calls")
    nothing = np.zeros(fine.n_bins)
    with pytest.raises(ColumnError, match="'calls' has no group with enough matched rows"):
        woe._final(rule, "calls", fine, Counts(nothing.astype(np.int64), nothing, nothing))

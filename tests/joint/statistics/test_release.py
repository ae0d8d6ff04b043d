"""Jobs with `[release]`: every figure has noise, nothing exact opens, each site pays, and the rest is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ppc.dataset.dataset import Dataset
from ppc.dp.accountant import zcdp_epsilon
from ppc.dp.ledger import Ledger
from ppc.errors import JobFileError
from ppc.joint import Job, plan, simulate
from ppc.joint.simulate import outcomes
from ppc.joint.statistics.release import powers, total_rho
from ppc.mpc.aggregate import Aggregation

LEVELS = {"arm": ["a", "b"], "grade": [1, 2, 3]}
STEPS: list[dict[str, Any]] = [
    {"operator": "describe", "columns": ["age"]},
    {"operator": "describe", "name": "by_arm", "columns": ["age", "stay"], "by": "arm", "levels": LEVELS},
    {"operator": "histogram", "column": "age", "edges": [20, 40, 60, 80, 100]},
    {"operator": "crosstab", "rows": "arm", "columns": "grade", "levels": LEVELS},
    {"operator": "quantiles", "columns": ["age"], "low": 0, "high": 128, "probabilities": [0.25, 0.5]},
    {"operator": "table_one", "columns": ["age", "grade"], "by": "arm", "levels": LEVELS},
]
RELEASE = {"epsilon": 8.0, "bounds": {"age": [20.0, 100.0], "stay": [0.0, 60.0]}}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 6000
    found = pd.DataFrame({
        "age": rng.normal(60, 12, n).clip(20, 100).round(), "stay": rng.exponential(6, n).clip(0, 60),
        "arm": rng.choice(["a", "b"], n), "grade": rng.choice([1, 2, 3], n, p=[0.6, 0.399, 0.001]),
    })  # fmt: skip
    found.loc[:99, "age"] = np.nan
    return found


def job(sites: Mapping[str, Dataset], steps: list[dict[str, Any]], **more: Any) -> Job:
    return Job.from_dict({"name": "noisy", "parties": list(sites), "release": RELEASE, "step": steps, **more})


def close(told: float, true: float, sd: float) -> bool:
    return abs(told - true) <= 7 * sd + 0.5 + 1e-9  # beyond 7 sd: once in 10^11; half a row by rounding


def test_everything_is_near_the_truth(frame: Any, split: Any) -> None:
    sites = split(frame)
    results = simulate(job(sites, STEPS), sites, limits={p: {"rho": 50.0} for p in sites})
    first = next(iter(results.values()))
    for other in results.values():
        assert [s.summary for s in other.steps] == [s.summary for s in first.steps]
    one, by_arm, bars, table, marks, base = (s.summary for s in first.steps)
    sd = one["release"]["noise_sd"]
    (line,) = one["columns"]
    assert close(line["n"], frame.age.count(), sd)
    assert close(line["missing"], 100, sd)
    assert line["mean"] == pytest.approx(frame.age.mean(), abs=7 * line["noise_sd"])
    assert line["sd"] == pytest.approx(frame.age.std(), rel=0.1)
    for line in by_arm["columns"]:
        own = frame[line["column"]][frame.arm == line["group"]]
        assert line["mean"] == pytest.approx(own.mean(), abs=7 * line["noise_sd"])
    true = np.histogram(frame.age.dropna(), bars["edges"])[0]
    assert all(close(c, t, bars["release"]["noise_sd"]) for c, t in zip(bars["counts"], true, strict=True))
    cells = pd.crosstab(frame.arm, frame.grade).to_numpy()
    assert all(
        close(*p, table["release"]["noise_sd"]) for p in zip(np.ravel(table["counts"]), cells.ravel(), strict=True)
    )
    assert table["n"] == sum(map(sum, table["counts"]))
    assert "chi2" not in table
    for q in marks["quantiles"]:
        share = (frame.age.dropna() <= q["value"]).mean()
        assert abs(share - q["p"]) < 0.05
    assert all(close(n, t, base["release"]["noise_sd"]) for n, t in zip(base["n"], cells.sum(1), strict=True))
    assert base["lines"][0]["mean"][1] == pytest.approx(frame.age[frame.arm == "b"].mean(), abs=1)


def test_nothing_exact_opens(frame: Any, split: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    real = Aggregation.sum
    monkeypatch.setattr(Aggregation, "sum", lambda *a, **k: opened.append(real(*a, **k)) or opened[-1])
    for name in ("small", "negative", "inner"):
        monkeypatch.setattr(Aggregation, name, lambda *a, **k: pytest.fail("a test of counts would be exact"))
    sites = split(frame)
    simulate(job(sites, STEPS), sites, limits={p: {"rho": 50.0} for p in sites})
    values = np.concatenate([o.values for o in opened])
    assert len(values) > 150
    assert (values % (1 << 20) == 0).mean() < 0.001


def test_each_site_pays_for_each_step_and_the_whole_is_within_epsilon(frame: Any, split: Any, tmp_path: Path) -> None:
    sites = split(frame)
    simulate(job(sites, STEPS), sites, models=tmp_path, limits={p: {"rho": 50.0} for p in sites})
    for site in sites:
        ledger = Ledger(tmp_path / f"{site}-ledger.db")
        (account,) = ledger.accounts()
        history = account.history()
        assert len(history) == len(STEPS)
        ledger.close()
    rho = total_rho(8.0, 1e-6)
    assert zcdp_epsilon(rho, 1e-6) <= 8.0
    assert zcdp_epsilon(rho * 1.001, 1e-6) > 8.0


def test_a_site_without_budget_stops_the_release(frame: Any, split: Any) -> None:
    sites = split(frame)
    limits = {p: {"rho": 0.8 if p == "site-1" else 50.0} for p in sites}
    result = simulate(job(sites, STEPS[:2]), sites, limits=limits)["site-0"]
    spent = result.steps[0].summary
    assert spent["release"]["rho"] > 0.4
    assert "privacy budget of site-1" in result.steps[1].summary["refused"]


def test_alignment_costs_nothing_and_tells_nothing(frame: Any, split: Any) -> None:
    columns = [{"name": "age", "low": 20.0, "high": 100.0}, {"name": "arm", "type": "category", "levels": ["a", "b"]}]
    steps = [
        {"operator": "align_schema", "columns": columns},
        {"operator": "describe", "columns": ["age"], "by": "arm"},
    ]
    sites = split(frame)
    given = job(sites, steps, release={"epsilon": 2.0})
    told = simulate(given, sites)["site-0"]
    assert told.steps[0].summary["columns"] == []
    assert told.steps[1].summary["release"]["rho"] == pytest.approx(total_rho(2.0, 1e-6), rel=1e-9)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"operator": "glm", "outcome": "age", "terms": ["stay"]}, "need exact sums"),
        ({"operator": "cox", "time": "stay", "event": "grade", "horizon": 9.0, "terms": ["age"]}, "need exact sums"),
        ({"operator": "meta_analysis", "outcome": "age", "by": "arm", "levels": LEVELS}, "need exact sums"),
        ({"operator": "private_release", "counts": ["arm"], "rho": 0.1, "levels": LEVELS}, "states its own cost"),
        ({"operator": "align"}, "has no form with noise"),
    ],
)
def test_what_has_no_noisy_form_is_refused_with_the_reason(frame: Any, split: Any, step: Any, why: str) -> None:
    sites = split(frame)
    given = {"keys": ["arm"]} if step["operator"] == "align" else {}
    helper = {"helper": "h"} if step["operator"] == "align" else {}
    with pytest.raises(JobFileError, match=why) as raised:
        plan(
            job(sites, [{**step, **given}], **helper), {p: d.schema for p, d in sites.items()}, dict.fromkeys(sites, 9)
        )
    assert f"step '{step['operator']}'" in str(raised.value)


def test_numbers_need_public_bounds(frame: Any, split: Any) -> None:
    sites = split(frame)
    given = job(sites, STEPS[:1], release={"epsilon": 1.0})
    with pytest.raises(JobFileError, match="'age' needs public bounds"):
        plan(given, {p: d.schema for p, d in sites.items()}, dict.fromkeys(sites, 9))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"epsilon": 0}, "greater than 0"),
        ({"epsilon": 1.0, "detla": 1e-6}, "unknown key 'detla'"),
        ({}, "epsilon"),
        ({"epsilon": 1.0, "bounds": {"age": [9.0, 1.0]}}, "low must be less than high"),
    ],
)
def test_a_malformed_release_is_refused(table: Any, words: str) -> None:
    with pytest.raises(JobFileError, match=words):
        Job.from_dict({"name": "j", "parties": ["a", "b"], "release": table, "step": STEPS[:1]})


def test_the_plan_states_the_cost_and_its_hash_covers_it(frame: Any, split: Any) -> None:
    sites = split(frame)
    schemas, rows = {p: d.schema for p, d in sites.items()}, dict.fromkeys(sites, 9)
    one = plan(job(sites, STEPS), schemas, rows)
    text = " ".join(one.text().split())
    assert "ε = 8 at δ = 1e-06 for the whole job" in text
    assert "no exact figure opens" in text
    other = plan(job(sites, STEPS, release={**RELEASE, "epsilon": 9.0}), schemas, rows)
    assert one.hash != other.hash


def test_one_row_moves_the_sums_by_no_more_than_is_paid_for() -> None:
    rng = np.random.default_rng(0)
    for x in [*rng.uniform(-500, 500, 50), 20.0, 100.0, 60.0]:
        one = powers(np.array([x]), (20.0, 100.0), np.zeros(1, np.int64), 2, 2)
        assert (np.abs(one) <= 1 << 20).all()
        assert np.count_nonzero(one) <= 3
    assert not powers(np.array([np.nan]), (20.0, 100.0), np.zeros(1, np.int64), 1, 2).any()


@pytest.mark.parametrize("calls", [42, 46, 50, 54])
def test_a_lost_site_leaves_full_noise_and_is_named(frame: Any, split: Any, lossy: Any, calls: int) -> None:
    sites = split(frame, n=4)
    names = list(sites)
    given = job(sites, STEPS[2:3], quorum=3)
    found = outcomes(given, sites, network=lossy(names, {"site-3": calls}), limits={p: {"rho": 50.0} for p in names})
    summary = found["site-0"].steps[0].summary
    rows = pd.concat([sites[p].to_pandas() for p in summary["sites"]])
    assert set(names[:3]) <= set(summary["sites"])
    sd = summary["release"]["noise_sd"]
    true = np.histogram(rows.age.dropna(), summary["edges"])[0]
    assert all(close(c, t, sd) for c, t in zip(summary["counts"], true, strict=True))
    # Two of four parts may be missing or known, so each part is 1/√2 of what is paid for; three are there at least.
    paid = 1 / np.sqrt(2 * summary["release"]["rho"])
    assert sd >= paid

"""Noisy releases: near the truth, never the truth, paid for at every site, refused when a budget is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ppc.dp.ledger import Ledger

STEP: dict[str, Any] = {
    "operator": "private_release", "counts": ["arm"], "means": {"age": [20.0, 100.0]}, "rho": 0.5,
    "levels": {"arm": ["a", "b"]},
}  # fmt: skip


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 4000
    return pd.DataFrame({"age": rng.normal(60, 12, n).clip(20, 100), "arm": rng.choice(["a", "b"], n)})


def test_a_release_is_near_the_truth_and_not_the_truth(frame: Any, split: Any, run: Any) -> None:
    (found,) = run(split(frame), STEP)
    true = frame.arm.value_counts()
    for line in found["counts"]:
        off = line["count"] - true[line["level"]]
        assert 0 < abs(off) < 7 * found["count_noise_sd"]  # beyond 7 sd: once in 10^11
    (mean,) = found["means"]
    assert 0 < abs(mean["mean"] - frame.age.mean()) < 7 * mean["noise_sd"]
    # Sensitivity √3, ρ = ½: σ = √3 if all noise counted; more, because two of three sites' parts do not.
    assert 1.7 < found["count_noise_sd"] < 3.5
    assert found["epsilon"] > 1


def test_nothing_exact_opens(frame: Any, split: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ppc.mpc.aggregate import Aggregation

    opened: list[Any] = []
    real = Aggregation.sum
    monkeypatch.setattr(Aggregation, "sum", lambda *a, **k: opened.append(real(*a, **k)) or opened[-1])
    monkeypatch.setattr(Aggregation, "small", lambda *a, **k: pytest.fail("a test of counts would be exact"))
    run(split(frame), STEP)
    values = np.concatenate([o.values for o in opened])
    assert len(values) == 3 * 4
    assert not (values % (1 << 20) == 0).any()


def test_the_noise_differs_between_runs_and_is_of_the_stated_size(frame: Any, split: Any, run: Any) -> None:
    """40 draws: their spread is within a factor 0.6 … 1.5 of the stated one, but once in ten million."""
    sites = split(frame.head(200))
    steps = [{**STEP, "name": f"s{i}", "rho": 0.02} for i in range(20)]
    found = run(sites, *steps, limits={p: {"rho": 10.0} for p in sites})
    true = frame.head(200).arm.value_counts()
    off = [line["count"] - true[line["level"]] for f in found for line in f["counts"]]
    assert len(set(off)) == 40
    assert 0.6 < np.std(off) / found[0]["count_noise_sd"] < 1.5


def test_every_site_pays_and_the_first_empty_budget_stops_it(frame: Any, split: Any, run: Any, tmp_path: Path) -> None:
    sites = split(frame)
    limits = {"site-1": {"rho": 0.6}}
    (first,) = run(sites, STEP, limits=limits, models=tmp_path)
    (second,) = run(sites, STEP, limits=limits, models=tmp_path)
    assert "means" in first
    assert "privacy budget of site-1" in second["refused"]
    assert "means" not in second
    for site in sites:
        ledger = Ledger(tmp_path / f"{site}-ledger.db")
        (account,) = ledger.accounts()
        assert len(account.history()) == (1 if site == "site-1" else 2)
        ledger.close()


def test_the_plan_says_the_cost(frame: Any, split: Any) -> None:
    from ppc.joint import Job, plan

    sites = split(frame)
    job = Job.from_dict({"name": "p", "parties": list(sites), "step": [STEP]})
    text = plan(job, {p: d.schema for p, d in sites.items()}, dict.fromkeys(sites, 0)).text()
    assert "ρ = 0.5 from each site's budget" in " ".join(text.split())

"""Kaplan–Meier, log-rank and Cox against lifelines on pooled rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

lifelines = pytest.importorskip("lifelines", reason="compares with lifelines, which asks for pandas below 3")
from lifelines.datasets import load_gbsg2, load_rossi, load_waltons  # noqa: E402
from lifelines.statistics import multivariate_logrank_test  # noqa: E402


@pytest.fixture(scope="module")
def breast() -> pd.DataFrame:
    """The German breast cancer study: 686 patients, days to recurrence."""
    frame = load_gbsg2()
    return frame.assign(hormone=(frame.horTh == "yes").astype(int), post=(frame.menostat == "Post").astype(int))


BREAST = {"time": "time", "event": "cens", "horizon": 3000.0}


def grouped(values: Any, ends: list[float]) -> Any:
    """Each time as the end of its group."""
    return np.array(ends)[np.searchsorted(np.array(ends), values)]


def test_kaplan_meier_at_every_time(breast: Any, split: Any, run: Any) -> None:
    step = {"operator": "kaplan_meier", **BREAST, "by": "hormone", "exact": True, "levels": {"hormone": [0, 1]}}
    (found,) = run(split(breast), step)
    for curve in found["curves"]:
        rows = breast[breast.hormone == curve["group"]]
        peer = lifelines.KaplanMeierFitter().fit(rows.time, rows.cens)
        shown = pd.Series(curve["survival"], curve["times"])
        np.testing.assert_allclose(shown, peer.survival_function_.loc[shown.index, "KM_estimate"], rtol=1e-12)
        bands = peer.confidence_interval_.loc[shown.index].to_numpy(float)
        some = (shown > 0) & (shown < 1)
        ours = np.array([curve["low"], curve["high"]], float).T
        np.testing.assert_allclose(ours[some], bands[some], rtol=1e-9)
        assert curve["median"] == peer.median_survival_time_ or np.isinf(peer.median_survival_time_)


def test_grouped_times_hold_no_small_count_and_match_pooled_grouped_times(breast: Any, split: Any, run: Any) -> None:
    (found,) = run(split(breast), {"operator": "kaplan_meier", **BREAST, "interval": 30.0})
    (curve,) = found["curves"]
    left = -np.diff([*curve["at_risk"], 0])
    for d, gone in zip(curve["events"], left, strict=True):
        assert d == 0 or d >= 5
        assert gone - d == 0 or gone - d >= 5
    assert len(curve["times"]) > 15
    peer = lifelines.KaplanMeierFitter().fit(grouped(breast.time, curve["times"]), breast.cens)
    np.testing.assert_allclose(
        curve["survival"], peer.survival_function_.loc[curve["times"], "KM_estimate"], rtol=1e-12
    )


def test_log_rank(breast: Any, split: Any, run: Any) -> None:
    step = {"operator": "log_rank", **BREAST, "by": "tgrade", "exact": True, "levels": {"tgrade": ["I", "II", "III"]}}
    (found,) = run(split(breast), step)
    peer = multivariate_logrank_test(breast.time, breast.tgrade, breast.cens)
    assert [found["chi2"], found["p"], found["df"]] == pytest.approx(
        [peer.test_statistic, peer.p_value, peer.degrees_of_freedom], rel=1e-12
    )


def test_log_rank_with_many_ties(split: Any, run: Any) -> None:
    mice = load_waltons()
    step = {"operator": "log_rank", "time": "T", "event": "E", "horizon": 80.0, "by": "group", "exact": True,
            "levels": {"group": ["control", "miR-137"]}}  # fmt: skip
    (found,) = run(split(mice), step)
    peer = multivariate_logrank_test(mice["T"], mice["group"], mice["E"])
    assert found["chi2"] == pytest.approx(peer.test_statistic, rel=1e-12)


def cox(frame: pd.DataFrame, time: str, event: str, terms: list[str], **more: Any) -> Any:
    fitter = lifelines.CoxPHFitter(**more)
    return fitter.fit(frame[[time, event, *terms]], time, event, fit_options={"precision": 1e-12, "max_steps": 100})


def check(found: Any, peer: Any) -> None:
    lines = found["coefficients"]
    np.testing.assert_allclose([c["coef"] for c in lines], peer.params_, rtol=1e-6)
    np.testing.assert_allclose([c["se"] for c in lines], peer.standard_errors_, rtol=1e-6)
    assert found["loglik"] == pytest.approx(peer.log_likelihood_, rel=1e-8)
    assert found["likelihood_ratio"]["chi2"] == pytest.approx(peer.log_likelihood_ratio_test().test_statistic, rel=1e-6)


ROSSI = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]


def test_cox_with_efron_ties(split: Any, run: Any) -> None:
    frame = load_rossi()
    step = {"operator": "cox", "time": "week", "event": "arrest", "horizon": 52.0, "terms": ROSSI, "exact": True}
    (found,) = run(split(frame), step)
    check(found, cox(frame, "week", "arrest", ROSSI))


def test_cox_with_breslow_ties_against_statsmodels(split: Any, run: Any) -> None:
    from statsmodels.duration.hazard_regression import PHReg

    frame = load_rossi()
    step = {"operator": "cox", "time": "week", "event": "arrest", "horizon": 52.0, "terms": ROSSI, "exact": True,
            "ties": "breslow"}  # fmt: skip
    (found,) = run(split(frame), step)
    peer = PHReg(frame.week, frame[ROSSI].astype(float), status=frame.arrest, ties="breslow").fit(tol=1e-12)
    np.testing.assert_allclose([c["coef"] for c in found["coefficients"]], peer.params, rtol=1e-6)
    np.testing.assert_allclose([c["se"] for c in found["coefficients"]], peer.bse, rtol=1e-6)


def test_cox_at_grouped_times_is_that_of_pooled_grouped_times(breast: Any, split: Any, run: Any) -> None:
    terms = ["hormone", "age", "tsize", "pnodes"]
    sites = split(breast)
    curve, found = run(
        sites,
        {"operator": "kaplan_meier", **BREAST, "interval": 30.0},
        {"operator": "cox", **BREAST, "interval": 30.0, "terms": terms},
    )
    rows = breast.assign(time=grouped(breast.time, curve["curves"][0]["times"]))
    check(found, cox(rows, "time", "cens", terms))


def test_cox_with_a_baseline_for_every_site(breast: Any, split: Any, run: Any) -> None:
    sites = split(breast)
    terms = ["hormone", "age", "tsize"]
    (found,) = run(sites, {"operator": "cox", **BREAST, "terms": terms, "strata": "site"})
    rows = pd.concat([d.to_pandas().assign(site=p) for p, d in sites.items()])
    fitter = lifelines.CoxPHFitter()
    peer = fitter.fit(
        rows[["time", "cens", "site", *terms]], "time", "cens", strata=["site"],
        fit_options={"precision": 1e-12, "max_steps": 100},
    )  # fmt: skip
    np.testing.assert_allclose([c["coef"] for c in found["coefficients"]], peer.params_, rtol=1e-6)
    np.testing.assert_allclose([c["se"] for c in found["coefficients"]], peer.standard_errors_, rtol=1e-6)
    assert not found["exact"]


def c_index(time: Any, event: Any, score: Any) -> float:
    from lifelines.utils import concordance_index

    return float(concordance_index(time, -np.asarray(score), event))


@pytest.mark.parametrize("exact", [True, False])
def test_concordance_between_sites(split: Any, run: Any, exact: bool) -> None:
    """Told to half the share of pairs in one bin of the score; the exact one lies there."""
    frame = load_rossi()
    step = {"operator": "cox", "time": "week", "event": "arrest", "horizon": 52.0, "terms": ROSSI, "exact": exact}
    (found,) = run(split(frame), step)
    told = found["concordance"]
    beta = np.array([c["coef"] for c in found["coefficients"]])
    time = frame.week if exact else grouped(frame.week, found["group_ends"])
    true = c_index(time, frame.arrest, frame[ROSSI].to_numpy(float) @ beta)
    assert abs(told["c"] - true) <= told["within"] + 1e-12
    assert told["within"] < 0.005
    assert abs(told["c"] - true) < 0.001


def test_concordance_within_sites_is_exact(breast: Any, split: Any, run: Any) -> None:
    sites = split(breast)
    terms = ["hormone", "age", "tsize"]
    (found,) = run(sites, {"operator": "cox", **BREAST, "terms": terms, "strata": "site"})
    beta = np.array([c["coef"] for c in found["coefficients"]])
    hits = pairs = 0.0
    for data in sites.values():
        rows = data.to_pandas()
        t, e, s = rows.time.to_numpy(), rows.cens.to_numpy() == 1, rows[terms].to_numpy(float) @ beta
        later = (t[None, :] > t[:, None]) | ((t[None, :] == t[:, None]) & ~e[None, :])
        usable = e[:, None] & later
        pairs += usable.sum()
        hits += (usable & (s[:, None] > s[None, :] + 1e-12)).sum() + 0.5 * (
            usable & np.isclose(s[:, None], s, atol=1e-12)
        ).sum()
    assert found["concordance"]["exact"]
    assert found["concordance"]["c"] == pytest.approx(hits / pairs, abs=1e-6)


def test_two_sites_have_no_concordance_and_only_pairs_open(split: Any, run: Any, monkeypatch: Any) -> None:
    from ppc.mpc.aggregate import Aggregation

    frame = load_rossi()
    step = {"operator": "cox", "time": "week", "event": "arrest", "horizon": 52.0, "terms": ["prio"], "exact": True}
    (two,) = run(split(frame, n=2), step)
    assert two["concordance"] is None
    assert any("needs three sites" in s for s in two["statements"])
    opened: list[Any] = []
    real = Aggregation.inner
    monkeypatch.setattr(Aggregation, "inner", lambda *a, **k: opened.append(real(*a, **k)) or opened[-1])
    run(split(frame), step, {**step, "name": "off", "concordance": False})
    assert [o[0].shape for o in opened] == [(2,)] * 3


def test_a_site_may_forbid_exact_times(breast: Any, split: Any, run: Any) -> None:
    sites = split(breast)
    step = {"operator": "kaplan_meier", **BREAST, "exact": True}
    (found,) = run(sites, step, limits={"site-1": {"exact_times": False}})
    assert "forbids exact event times" in found["refused"]


def test_no_event_at_all_and_a_column_that_separates_are_said(split: Any, run: Any) -> None:
    rng = np.random.default_rng(0)
    t = rng.integers(1, 40, 200).astype(float)
    none = pd.DataFrame({"t": t, "e": 0})
    (found,) = run(split(none), {"operator": "kaplan_meier", "time": "t", "event": "e", "horizon": 50.0})
    assert "no row had the event" in found["problem"]
    e = (np.arange(200) % 2).astype(int)
    sure = pd.DataFrame({"t": t, "e": e, "x": e + 0.0})
    (found,) = run(
        split(sure), {"operator": "cox", "time": "t", "event": "e", "horizon": 50.0, "terms": ["x"], "exact": True}
    )
    assert "separates who has the event" in found["problem"]


def test_negative_times_exclude_their_site_by_name(split: Any, run: Any) -> None:
    from ppc.dataset.dataset import Dataset
    from ppc.joint import Job
    from ppc.joint.simulate import outcomes

    frame = load_waltons()
    sites = split(frame, n=4)
    bad = sites["site-3"].to_pandas()
    bad.loc[0, "T"] = -1.0
    sites["site-3"] = Dataset.from_arrow(bad)
    step = {"operator": "kaplan_meier", "time": "T", "event": "E", "horizon": 80.0, "exact": True}
    found = outcomes(Job.from_dict({"name": "j", "parties": list(sites), "step": [step]}), sites)
    assert "negative times" in str(found["site-3"])
    summary = found["site-0"].summary("kaplan_meier")
    assert summary["sites"] == ["site-0", "site-1", "site-2"]
    assert "negative times" in summary["lost"]["site-3"]
    rest = pd.concat([sites[f"site-{i}"].to_pandas() for i in range(3)])
    peer = lifelines.KaplanMeierFitter().fit(rest["T"], rest["E"])
    curve = summary["curves"][0]
    np.testing.assert_allclose(
        curve["survival"], peer.survival_function_.loc[curve["times"], "KM_estimate"], rtol=1e-12
    )

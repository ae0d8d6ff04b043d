"""What hospitals' data can be like: each kind goes through a whole job and its report, and is said in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ppc.dataset.dataset import Dataset
from ppc.errors import ColumnError
from ppc.joint import Job, plan, report
from ppc.joint.simulate import outcomes
from ppc.report import html

Made = tuple[Mapping[str, Any], str]  # the last step's summary, and the report's text
LEVELS = {"arm": [0, 1], "e": [0, 1]}
SURVIVAL = {"time": "t", "event": "e", "horizon": 60.0, "interval": 5.0}


@pytest.fixture
def study(run: Any) -> Callable[..., Made]:
    """`study(sites, step, …)`: runs a job at every site, renders its report, and looks for a NaN in either."""

    def go(sites: Mapping[str, Any], *steps: dict[str, Any]) -> Made:
        data = {p: d if isinstance(d, Dataset) else Dataset.from_arrow(d) for p, d in sites.items()}
        tables = [{"name": f"step{i}", **s} for i, s in enumerate(steps)]
        quorum = max(2, len(data) // 2 + 1)
        found = outcomes(Job.from_dict({"name": "j", "parties": list(data), "quorum": quorum, "step": tables}), data)
        good = next(r for r in found.values() if not isinstance(r, BaseException))
        page = html.render(report.build(report.record(good)))
        json.dumps([s.summary for s in good.steps], allow_nan=False)  # no NaN, no infinity, anywhere
        assert "nan" not in page.lower().replace("nano", "").replace("finance", "")
        return good.steps[-1].summary, page

    return go


@pytest.fixture(scope="module")
def trial() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 240
    x = rng.normal(50, 10, n).round(1)
    return pd.DataFrame({
        "x": x, "y": (x / 10 + rng.normal(size=n)).round(2), "arm": rng.integers(0, 2, n),
        "t": rng.integers(1, 60, n).astype(float), "e": rng.integers(0, 2, n),
    })  # fmt: skip


STEPS: dict[str, dict[str, Any]] = {
    "describe": {"operator": "describe", "columns": ["x", "y"], "by": "arm"},
    "histogram": {"operator": "histogram", "column": "x", "edges": [40, 50, 60]},
    "quantiles": {"operator": "quantiles", "columns": ["x"], "low": 0, "high": 100},
    "crosstab": {"operator": "crosstab", "rows": "arm", "columns": "e"},
    "ttest": {"operator": "ttest", "column": "x", "by": "arm"},
    "anova": {"operator": "anova", "column": "x", "by": "arm"},
    "mann_whitney": {"operator": "mann_whitney", "column": "x", "by": "arm", "low": 0, "high": 100, "resolution": 5.0},
    "correlation": {"operator": "correlation", "columns": ["x", "y"]},
    "linear_model": {"operator": "linear_model", "outcome": "y", "terms": ["x", "arm"]},
    "glm": {"operator": "glm", "outcome": "e", "terms": ["x", "arm"]},
    "kaplan_meier": {"operator": "kaplan_meier", **SURVIVAL, "by": "arm"},
    "log_rank": {"operator": "log_rank", **SURVIVAL, "by": "arm"},
    "cox": {"operator": "cox", **SURVIVAL, "terms": ["x", "arm"]},
    "table_one": {"operator": "table_one", "columns": ["x", "y"], "by": "arm"},
    "meta_analysis": {"operator": "meta_analysis", "outcome": "x", "by": "arm"},
}


def job_of(*names: str) -> list[dict[str, Any]]:
    return [{**STEPS[n], "levels": LEVELS} for n in names]


def missing(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**dict.fromkeys(frame.columns, np.nan)).astype(float)


# --- one site has little: the answer is that of the others' rows, whatever the statistic ---
ODD: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "no rows": lambda f: f.iloc[:0],
    "one row": lambda f: f.iloc[:1],
    "one class": lambda f: f.iloc[:30].assign(e=0, arm=0),
    "all missing": lambda f: missing(f.iloc[:6]),
}


@pytest.mark.parametrize("kind", ODD)
def test_a_site_with_little_takes_part_in_every_statistic(study: Any, trial: Any, kind: str) -> None:
    odd = ODD[kind](trial)
    sites = {"a": trial.iloc[:120], "b": trial.iloc[120:], "odd": odd.reset_index(drop=True)}
    sites = {p: f.astype(float).reset_index(drop=True) for p, f in sites.items()}
    whole = pd.concat(sites.values()).dropna()
    names = [n for n in STEPS if n != "meta_analysis"]
    _, page = study(sites, *job_of(*names))
    assert "There is no answer" not in page
    for n in ("describe", "linear_model"):
        (found, _) = study(sites, *job_of(n))
        rows = found["n"] if n == "linear_model" else sum(c["n"] for c in found["columns"] if c["column"] == "x")
        assert rows == len(whole)
        assert found["sites"] == ["a", "b", "odd"]


@pytest.mark.parametrize("kind", ["no rows", "one row", "one class", "all missing"])
def test_a_site_without_an_estimate_of_its_own_is_named(study: Any, trial: Any, kind: str) -> None:
    """A meta-analysis is of the sites' own estimates: a site that has none is left out of it, by name."""
    sites = {"a": trial.iloc[:120], "b": trial.iloc[120:], "c": trial.iloc[60:180], "odd": ODD[kind](trial)}
    found, page = study({p: f.astype(float).reset_index(drop=True) for p, f in sites.items()}, *job_of("meta_analysis"))
    assert [e["site"] for e in found["estimates"]] == ["a", "b", "c"]
    assert any("odd" in s for s in found["statements"])
    assert "odd" in page


# --- all sites together have little: a reason in words ---
NOTHING = {
    "no rows": lambda f: f.iloc[:0],
    "one row": lambda f: f.iloc[:1],
    "all missing": lambda f: missing(f),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_of_nothing_every_statistic_says_why_there_is_no_answer(study: Any, trial: Any, kind: str) -> None:
    frame = NOTHING[kind](trial).astype(float).reset_index(drop=True)
    sites = {"a": frame, "b": frame, "c": frame}
    for name in STEPS:
        found, page = study(sites, *job_of(name))
        words = [found.get("refused"), found.get("problem"), *found["statements"]]
        assert any(words), name
        assert any(w.split(": ")[-1][1:40].replace("'", "&#39;") in page for w in words if w), name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("glm", "one class of the outcome has no rows"),
        ("kaplan_meier", "no row had the event"),
        ("log_rank", "no row had the event"),
        ("cox", "no row had the event"),
    ],
)
def test_one_class_everywhere(study: Any, split: Any, trial: Any, name: str, words: str) -> None:
    found, page = study(split(trial.assign(e=0)), *job_of(name))
    assert words in found["problem"]
    assert words in page


def test_one_group_everywhere(study: Any, split: Any, trial: Any) -> None:
    for name in ("ttest", "anova", "mann_whitney", "log_rank", "crosstab", "meta_analysis"):
        found, _ = study(split(trial.assign(arm=0)), *job_of(name))
        assert found.get("refused") or found.get("problem") or found["statements"], name
        assert not {"p", "chi2"} & {k for k, v in found.items() if v is not None}, name


def test_values_that_do_not_vary(study: Any, split: Any, trial: Any) -> None:
    for name in ("describe", "ttest", "anova", "correlation", "linear_model", "glm", "cox", "mann_whitney"):
        found, _ = study(split(trial.assign(x=2.5)), *job_of(name))
        assert found.get("problem") or found["statements"], name


# --- one site's data are of another kind ---
DICTIONARY: dict[str, Any] = {
    "operator": "align_schema",
    "columns": [
        {"name": "x", "unit": "kg", "low": 0, "high": 500},
        {"name": "arm", "type": "category", "levels": ["no", "yes"]},
    ],
}


def clinics(trial: pd.DataFrame, **change: Any) -> dict[str, pd.DataFrame]:
    frame = trial.assign(arm=np.where(trial.arm == 1, "yes", "no"))[["x", "arm"]]
    sites = {p: frame.iloc[i::3].reset_index(drop=True) for i, p in enumerate("abc")}
    sites["c"] = sites["c"].assign(**change)
    return sites


def test_other_units_are_declared_and_made_those_of_the_study(study: Any, trial: Any) -> None:
    sites = clinics(trial)
    sites["c"] = sites["c"].assign(x=sites["c"].x * 1000)
    step = {**DICTIONARY, "sites": {"c": {"x": {"unit": "g"}}}}
    found, _ = study(sites, step, {"operator": "describe", "columns": ["x"]})
    assert found["columns"][0]["mean"] == pytest.approx(trial.x.mean(), rel=1e-12)


def test_other_units_that_nobody_declared_are_out_of_range(study: Any, trial: Any) -> None:
    sites = clinics(trial)
    sites["c"] = sites["c"].assign(x=sites["c"].x * 1000)
    found, page = study(sites, DICTIONARY)
    words = "80 rows have a value of 'x' out of its range; they count as missing"
    assert words in found["statements"]
    assert words.replace("'", "&#39;") in page


@pytest.mark.parametrize(("rows", "named"), [(4, False), (5, True), (6, True)])
def test_a_category_outside_the_domain_is_named_where_it_is_not_rare(
    trial: Any, run: Any, tmp_path: Any, rows: int, named: bool
) -> None:
    """Its rows count as missing; how many is not told below 5; the site's own file has everything."""
    sites = clinics(trial)
    sites["c"].loc[: rows - 1, "arm"] = "perhaps"
    data = {p: Dataset.from_arrow(f) for p, f in sites.items()}
    (found,) = run(data, DICTIONARY, workdir=tmp_path)
    line = found["columns"][1]
    assert line["unknown"] == (rows if named else None)
    assert line.get("unknown_codes") == (["perhaps"] if named else None)
    words = " ".join(found["statements"])
    assert ("not in the dictionary of 'arm': 'perhaps'" in words) == named
    assert ("fewer than 5 rows have a code of 'arm'" in words) == (not named)
    told = {p: json.loads(next((tmp_path / p).rglob("unmapped.json")).read_text()) for p in sites}
    assert told == {"a": {}, "b": {}, "c": {"arm": {"perhaps": rows}}}


def test_a_category_outside_the_levels_is_left_out_and_said(study: Any, split: Any, trial: Any) -> None:
    for rows, words in ((3, "fewer than 5 rows"), (7, "7 rows")):
        frame = trial.assign(arm=np.where(np.arange(len(trial)) < rows, 9, trial.arm))
        found, page = study(split(frame), *job_of("crosstab"))
        assert f"{words} have a value of 'arm' outside its levels" in found["statements"]
        assert "outside its levels" in page


def test_a_column_that_a_site_lacks_is_named_before_anything_runs(trial: Any) -> None:
    sites = {p: Dataset.from_arrow(f) for p, f in clinics(trial).items()}
    sites["c"] = Dataset.from_arrow(clinics(trial)["c"].drop(columns="x"))
    job = Job.from_dict({"name": "j", "parties": list(sites), "step": [{"operator": "describe", "columns": ["x"]}]})
    with pytest.raises(ColumnError) as raised:
        plan(job, {p: d.schema for p, d in sites.items()}, dict.fromkeys(sites, 0))
    assert "'x'" in str(raised.value)
    assert raised.value.party == "c"


# --- what cannot be fitted ---
@pytest.mark.parametrize("term", ["number", "category"])
def test_separation(study: Any, split: Any, trial: Any, term: str) -> None:
    """By a number, completely; by a category, in one of its levels only (quasi-complete)."""
    rng = np.random.default_rng(1)
    z = (trial.x > 50).astype(float) if term == "category" else trial.x
    y = np.where(trial.x > 50, 1, 0 if term == "number" else rng.integers(0, 2, len(trial)))
    step = {"operator": "glm", "outcome": "y", "terms": ["z", "arm"], "levels": {"arm": [0, 1]}}
    found, page = study(split(trial.assign(z=z, y=y)), step)
    assert "separation" in found["problem"]
    assert "z" in found["problem"].split("by ")[1]
    assert "have no finite estimate" in page


def test_no_convergence(study: Any, split: Any, trial: Any) -> None:
    for name in ("glm", "cox"):
        found, page = study(split(trial), {**job_of(name)[0], "max_iterations": 1})
        assert "did not converge in 1 iteration" in found["problem"], name
        assert "did not converge" in page


# --- times ---
def test_zero_and_tied_times_are_times(study: Any, split: Any, trial: Any) -> None:
    lifelines = pytest.importorskip("lifelines")
    frame = trial.assign(t=np.floor(trial.t / 20) * 20)  # 0, 20 or 40, for eighty patients each
    assert (frame.t == 0).sum() > 50
    for exact in (True, False):
        found, _ = study(split(frame), {"operator": "kaplan_meier", **SURVIVAL, "interval": 20.0, "exact": exact})
        (curve,) = found["curves"]
        peer = lifelines.KaplanMeierFitter().fit(frame.t, frame.e)
        np.testing.assert_allclose(
            curve["survival"], peer.survival_function_.loc[curve["times"], "KM_estimate"], rtol=1e-12
        )
    found, _ = study(split(frame), {**job_of("cox")[0], "interval": 20.0})
    fit = lifelines.CoxPHFitter().fit(frame[["t", "e", "x", "arm"]], "t", "e", fit_options={"precision": 1e-12})
    np.testing.assert_allclose([c["coef"] for c in found["coefficients"]], fit.params_, rtol=1e-6)


@pytest.mark.parametrize("name", ["kaplan_meier", "log_rank", "cox"])
@pytest.mark.parametrize(("column", "value", "words"), [("t", -3.0, "negative times"), ("e", 7, "must be 0 or 1")])
def test_impossible_times_and_events_leave_their_site_out_by_name(
    study: Any, split: Any, trial: Any, name: str, column: str, value: float, words: str
) -> None:
    sites = {p: d.to_pandas() for p, d in split(trial, n=4).items()}
    sites["site-2"].loc[0, column] = value
    found, page = study(sites, {**STEPS[name], "levels": {"arm": [0, 1]}})
    assert found["sites"] == ["site-0", "site-1", "site-3"]
    assert words in found["lost"]["site-2"]
    assert str(value) not in found["lost"]["site-2"]
    assert words in page

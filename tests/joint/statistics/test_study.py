"""Harmonisation, meta-analysis, and sites that are lost in the middle of a study."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ppc.dataset.dataset import Dataset
from ppc.errors import JobFileError, ProtocolAbort
from ppc.joint import Job, plan
from ppc.joint.simulate import outcomes
from ppc.joint.statistics.meta import combine
from ppc.joint.statistics.units import factor


# --- align_schema ---
def dictionary(**sites: Any) -> dict[str, Any]:
    columns = [
        {"name": "age", "unit": "year", "low": 0, "high": 120},
        {"name": "chol", "unit": "mg/dL", "substance": "cholesterol", "low": 50, "high": 1000},
        {"name": "sex", "type": "category", "levels": ["female", "male"]},
        {"name": "country", "type": "category", "levels": ["FR", "DE"]},
    ]
    return {"operator": "align_schema", "columns": columns, "sites": sites}


@pytest.fixture
def clinics() -> tuple[dict[str, Dataset], pd.DataFrame]:
    """Two sites with their own names, units and codes, and the same rows as the study would have them."""
    rng = np.random.default_rng(2)
    n = 80
    study = pd.DataFrame({
        "age": rng.integers(30, 80, n).astype(float), "chol": rng.normal(220, 30, n).round(1),
        "sex": rng.choice(["female", "male"], n), "country": np.repeat(["FR", "DE"], n // 2),
    })  # fmt: skip
    a, b = study.iloc[: n // 2].drop(columns="country"), study.iloc[n // 2 :].drop(columns="country")
    sex = b.sex.map({"female": 0, "male": 1}).to_numpy()
    b = pd.DataFrame({"Alter": b.age.to_numpy(), "Chol": b.chol.to_numpy() / 38.665, "G": sex})
    return {"paris": Dataset.from_arrow(a), "berlin": Dataset.from_arrow(b)}, study


SITES = {
    "paris": {"country": {"value": "FR"}},
    "berlin": {
        "age": {"column": "Alter"},
        "chol": {"column": "Chol", "unit": "mmol/L"},
        "sex": {"column": "G", "codes": {"0": "female", "1": "male"}},
        "country": {"value": "DE"},
    },
}


def test_names_units_and_codes_are_aligned(clinics: Any, run: Any) -> None:
    sites, study = clinics
    aligned, described, table = run(
        sites,
        dictionary(**SITES),
        {"operator": "describe", "columns": ["age", "chol"]},
        {"operator": "crosstab", "rows": "sex", "columns": "country"},
    )
    assert aligned["n"] == 80
    assert [line["missing"] for line in aligned["columns"]] == [0, 0, 0, 0]
    age, chol = described["columns"]
    assert age["mean"] == pytest.approx(study.age.mean(), rel=1e-12)
    assert chol["mean"] == pytest.approx(study.chol.mean(), rel=1e-9)
    assert table["counts"] == pd.crosstab(study.sex, study.country)[["FR", "DE"]].to_numpy().tolist()


def test_what_does_not_map_is_counted(clinics: Any, run: Any) -> None:
    sites, _ = clinics
    broken = sites["paris"].to_pandas()
    broken.loc[:9, "sex"] = "x"
    broken.loc[:5, "age"] = 400.0
    broken.loc[20:22, "chol"] = np.nan
    aligned, _ = run(
        {**sites, "paris": Dataset.from_arrow(broken)},
        dictionary(**SITES),
        {"operator": "describe", "columns": ["age"]},
    )
    by_name = {line["column"]: line for line in aligned["columns"]}
    assert by_name["sex"]["unknown"] == 10
    assert by_name["age"]["out_of_range"] == 6
    assert by_name["chol"]["missing"] is None  # 3: too few to tell
    assert "10 rows have a code of 'sex' that is not in the dictionary; they count as missing" in aligned["statements"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"berlin": {"age": {"column": "Altr"}}}, "Altr"),
        ({"vienna": {}}, "vienna"),
        ({"berlin": {**SITES["berlin"], "chol": {"column": "Chol", "unit": "kPa"}}}, "kPa is a pressure"),
        ({"berlin": {**SITES["berlin"], "weight": {}}}, "weight"),
    ],
)
def test_a_wrong_mapping_is_refused_before_anything_runs(clinics: Any, run: Any, change: Any, words: str) -> None:
    from ppc.errors import InputError

    sites, _ = clinics
    with pytest.raises(InputError, match=words):
        run(sites, dictionary(**{**SITES, **change}))


def test_units() -> None:
    assert factor("mmol/L", "mg/dL", "cholesterol")[0] == pytest.approx(38.665)
    assert factor("mmol/L", "mg/dL", "glucose")[0] == pytest.approx(18.0156)
    scale, shift = factor("degF", "degC", None)
    assert 98.6 * scale + shift == pytest.approx(37.0)
    scale, shift = factor("degC", "degF", None)
    assert 37.0 * scale + shift == pytest.approx(98.6)
    with pytest.raises(JobFileError, match="substance"):
        factor("mmol/L", "mg/dL", None)


# --- meta-analysis ---
def test_meta_analysis_combines_the_sites_own_estimates(heart: Any, run: Any) -> None:
    from statsmodels.stats.meta_analysis import combine_effects

    step = {"operator": "meta_analysis", "outcome": "thalach", "by": "sick", "levels": {"sick": [0, 1]}}
    (found,) = run(heart, step)
    b, v = [], []
    for data in heart.values():
        frame = data.to_pandas().dropna(subset=["thalach"])
        low, high = (frame.thalach[frame.sick == k] for k in (0, 1))
        b.append(high.mean() - low.mean())
        v.append(high.var() / len(high) + low.var() / len(low))
    peer = combine_effects(np.array(b), np.array(v), method_re="dl").summary_frame()
    assert [e["estimate"] for e in found["estimates"]] == pytest.approx(b, rel=1e-9)
    for kind, row in (("fixed", "fixed effect"), ("random", "random effect")):
        assert [found[kind]["estimate"], found[kind]["se"]] == pytest.approx(
            [peer.loc[row, "eff"], peer.loc[row, "sd_eff"]], rel=1e-9
        )


def test_equal_estimates_have_no_heterogeneity() -> None:
    found = combine(np.array([1.0, 1.0, 1.0]), np.array([0.5, 0.2, 0.1]))
    assert (found["tau2"], found["i2"], found["fixed"]["estimate"]) == (0.0, 0.0, 1.0)


def test_the_plan_says_that_an_estimate_of_each_site_is_shown(heart: Any) -> None:
    step = {"operator": "meta_analysis", "outcome": "thalach", "by": "sick", "levels": {"sick": [0, 1]}}
    job = Job.from_dict({"name": "m", "parties": list(heart), "step": [step]})
    text = plan(job, {p: d.schema for p, d in heart.items()}, {p: len(d) for p, d in heart.items()}).text()
    assert "va learns the site's own estimate and its standard error" in " ".join(text.split())


# --- dropouts in a job ---
STUDY = [
    {"operator": "describe", "columns": ["age", "thalach"]},
    {"operator": "glm", "outcome": "sick", "terms": ["age", "thalach"]},
    {"operator": "crosstab", "rows": "sex", "columns": "sick", "levels": {"sex": [0, 1], "sick": [0, 1]}},
]


@pytest.mark.parametrize("victim", ["va", "cleveland"])
@pytest.mark.parametrize("calls", [45, 80, 140, 190])
def test_a_study_goes_on_without_a_lost_site(heart: Any, lossy: Any, victim: str, calls: int) -> None:
    """Whenever the site is lost, also the leader: every figure is that of the sites which it names."""
    import statsmodels.api as sm

    names = list(heart)
    job = Job.from_dict({"name": "j", "parties": names, "step": STUDY})
    found = outcomes(job, heart, network=lossy(names, {victim: calls}))
    rest = [found[p] for p in names if p != victim]
    first = rest[0]
    for other in rest:
        assert [s.summary for s in other.steps] == [s.summary for s in first.steps]
    described, model, table = (s.summary for s in first.steps)

    def rows(summary: Any) -> pd.DataFrame:
        assert set(names) - set(summary["sites"]) <= {victim}
        return pd.concat([heart[p].to_pandas() for p in summary["sites"]])

    frame = rows(described)
    assert described["columns"][0]["mean"] == pytest.approx(frame.age.mean(), rel=1e-12)
    frame = rows(model).dropna(subset=["age", "thalach"])
    peer = sm.GLM(frame.sick, sm.add_constant(frame[["age", "thalach"]]), sm.families.Binomial()).fit(tol=1e-12)
    np.testing.assert_allclose([c["coef"] for c in model["coefficients"]], peer.params, rtol=1e-6)
    frame = rows(table)
    assert table["counts"] == pd.crosstab(frame.sex, frame.sick).to_numpy().tolist()
    if isinstance(found[victim], BaseException):
        assert first.lost.keys() == {victim}


def test_below_the_quorum_the_study_stops_and_names_the_lost(heart: Any, lossy: Any) -> None:
    names = list(heart)
    job = Job.from_dict({"name": "j", "parties": names, "quorum": 4, "step": STUDY})
    found = outcomes(job, heart, network=lossy(names, {"va": 60}))
    for party in names[:3]:
        assert isinstance(found[party], ProtocolAbort)
        assert "3 of 4 sites are left, and 4 are needed; lost: va" in str(found[party])


def test_a_quorum_must_be_more_than_half() -> None:
    doc = {"name": "j", "parties": list("abcd"), "quorum": 2, "step": STUDY}
    with pytest.raises(JobFileError, match="more than half"):
        Job.from_dict(doc)


def test_forty_sites_compute_one_study(split: Any, run: Any) -> None:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"age": rng.integers(20, 90, 2000).astype(float)})
    sites = {f"s{i:02d}": Dataset.from_arrow(frame.iloc[i::40].reset_index(drop=True)) for i in range(40)}
    (found,) = run(sites, {"operator": "describe", "columns": ["age"]})
    assert len(found["sites"]) == 40
    assert found["columns"][0]["mean"] == pytest.approx(frame.age.mean(), rel=1e-12)
    assert found["columns"][0]["kurtosis"] is not None


def test_infinite_values_exclude_their_site_naming_the_column(split: Any) -> None:
    frame = pd.DataFrame({"age": np.arange(100.0)})
    sites = split(frame, n=4)
    bad = sites["site-2"].to_pandas()
    bad.loc[0, "age"] = np.inf
    sites["site-2"] = Dataset.from_arrow(bad)
    step = {"operator": "describe", "columns": ["age"]}
    found = outcomes(Job.from_dict({"name": "j", "parties": list(sites), "quorum": 3, "step": [step]}), sites)
    assert "infinite values" in str(found["site-2"])
    assert "column 'age'" in str(found["site-2"])
    assert found["site-0"].summary("describe")["sites"] == ["site-0", "site-1", "site-3"]


@pytest.mark.parametrize("seed", range(100 if os.environ.get("PPC_HEAVY") == "1" else 4))
def test_a_job_of_ten_sites_survives_three_killed_at_random_moments(lossy: Any, seed: int) -> None:
    """Every figure is that of the sites which it names, seven at least, the same at all that are left."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": rng.integers(20, 90, 1500).astype(float), "sex": rng.integers(0, 2, 1500)})
    names = [f"s{i}" for i in range(10)]
    sites = {p: Dataset.from_arrow(frame.iloc[i::10].reset_index(drop=True)) for i, p in enumerate(names)}
    steps = [
        {"operator": "describe", "columns": ["age"]},
        {"operator": "crosstab", "rows": "sex", "columns": "sex", "levels": {"sex": [0, 1]}},
        {"operator": "linear_model", "outcome": "age", "terms": ["sex"]},
    ]
    victims = rng.choice(names, 3, replace=False)
    # In about the first 90 calls the parties agree on the plan; the leader makes ten times the others' calls after it.
    lives = {str(v): int(rng.integers(100, 2000 if v == "s0" else 400)) for v in victims}
    found = outcomes(Job.from_dict({"name": "j", "parties": names, "step": steps}), sites, network=lossy(names, lives))
    rest = [found[p] for p in names if p not in lives]
    for other in rest:
        assert [s.summary for s in other.steps] == [s.summary for s in rest[0].steps]
    described, _, model = (s.summary for s in rest[0].steps)
    for summary in (described, model):
        assert len(summary["sites"]) >= 7
        assert set(names) - set(summary["sites"]) <= set(lives)
    rows = pd.concat([sites[p].to_pandas() for p in described["sites"]])
    assert described["columns"][0]["mean"] == pytest.approx(rows.age.mean(), rel=1e-12)
    rows = pd.concat([sites[p].to_pandas() for p in model["sites"]])
    means = rows.groupby("sex").age.mean()
    assert model["coefficients"][1]["coef"] == pytest.approx(means[1] - means[0], rel=1e-9)

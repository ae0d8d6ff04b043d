"""Describe, t tests, analysis of variance, correlation and the linear model against pooled SciPy and statsmodels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ppc.errors import TypeMismatchError

EXACT: dict[str, Any] = {"rel": 1e-9, "abs": 1e-12}


def test_describe_is_that_of_pooled_rows(heart: Any, pooled: Any, run: Any) -> None:
    columns = ["age", "trestbps", "chol", "thalach", "oldpeak"]
    (found,) = run(heart, {"operator": "describe", "columns": columns})
    frame = pooled(heart)
    for line in found["columns"]:
        x = frame[line["column"]].dropna()
        assert line["n"] == len(x)
        assert line["missing"] == frame[line["column"]].isna().sum()
        assert line["mean"] == pytest.approx(x.mean(), **EXACT)
        assert line["variance"] == pytest.approx(x.var(), **EXACT)
        assert line["skewness"] == pytest.approx(stats.skew(x), **EXACT)
        assert line["kurtosis"] == pytest.approx(stats.kurtosis(x), **EXACT)
    assert found["sites"] == list(heart)


def test_describe_within_groups(heart: Any, pooled: Any, run: Any) -> None:
    (found,) = run(heart, {"operator": "describe", "columns": ["age"], "by": "sex", "levels": {"sex": [0, 1]}})
    groups = pooled(heart).groupby("sex")["age"]
    for line in found["columns"]:
        x = groups.get_group(line["group"])
        assert (line["n"], line["mean"], line["sd"]) == pytest.approx((len(x), x.mean(), x.std()), **EXACT)


@pytest.mark.parametrize("kind", ["welch", "student"])
def test_t_test(heart: Any, pooled: Any, run: Any, kind: str) -> None:
    (found,) = run(
        heart, {"operator": "ttest", "column": "thalach", "by": "sick", "kind": kind, "levels": {"sick": [0, 1]}}
    )
    frame = pooled(heart).dropna(subset=["thalach"])
    a, b = (frame.thalach[frame.sick == k] for k in (0, 1))
    peer = stats.ttest_ind(a, b, equal_var=kind == "student")
    low, high = peer.confidence_interval()
    assert [found[k] for k in ("t", "p", "df", "low", "high")] == pytest.approx(
        [peer.statistic, peer.pvalue, peer.df, low, high], **EXACT
    )


def test_paired_t_test(heart: Any, pooled: Any, run: Any) -> None:
    (found,) = run(heart, {"operator": "ttest", "column": "thalach", "paired": "trestbps"})
    frame = pooled(heart).dropna(subset=["thalach", "trestbps"])
    peer = stats.ttest_rel(frame.thalach, frame.trestbps)
    assert [found["t"], found["p"], found["df"]] == pytest.approx([peer.statistic, peer.pvalue, peer.df], **EXACT)


def test_anova(heart: Any, pooled: Any, run: Any) -> None:
    (found,) = run(heart, {"operator": "anova", "column": "age", "by": "cp", "levels": {"cp": [1, 2, 3, 4]}})
    peer = stats.f_oneway(*(g for _, g in pooled(heart).groupby("cp")["age"]))
    assert [found["f"], found["p"]] == pytest.approx([peer.statistic, peer.pvalue], **EXACT)


def test_pearson(heart: Any, pooled: Any, run: Any) -> None:
    columns = ["age", "trestbps", "chol", "thalach"]
    (found,) = run(heart, {"operator": "correlation", "columns": columns})
    frame = pooled(heart)[columns].dropna()
    assert found["n"] == len(frame)
    np.testing.assert_allclose(found["r"], np.corrcoef(frame.T), rtol=1e-9, atol=1e-12)
    assert found["p"][0][3] == pytest.approx(stats.pearsonr(frame.age, frame.thalach).pvalue, **EXACT)


def test_spearman_is_exact_where_every_cell_is_large_enough(split: Any, run: Any) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 8, 600)
    frame = pd.DataFrame({"x": x, "y": np.clip(x + rng.integers(-3, 4, 600), 0, 8)})
    ranges = {"x": [0, 8, 1], "y": [0, 9, 1]}
    (found,) = run(
        split(frame), {"operator": "correlation", "columns": ["x", "y"], "method": "spearman", "ranges": ranges}
    )
    peer = stats.spearmanr(frame.x, frame.y)
    assert found["statements"] == []
    assert [found["r"][0][1], found["p"][0][1]] == pytest.approx([peer.statistic, peer.pvalue], **EXACT)


def test_mann_whitney_is_exact_where_every_cell_is_large_enough(split: Any, run: Any) -> None:
    rng = np.random.default_rng(2)
    arm = rng.integers(0, 2, 700)
    frame = pd.DataFrame({"x": rng.integers(0, 6, 700) + arm * (rng.random(700) < 0.2), "arm": arm})
    step = {"operator": "mann_whitney", "column": "x", "by": "arm", "low": 0, "high": 8, "levels": {"arm": [0, 1]}}
    (found,) = run(split(frame), step)
    peer = stats.mannwhitneyu(frame.x[arm == 0], frame.x[arm == 1], method="asymptotic")
    assert found["at_resolution"]
    assert [found["u"], found["p"]] == pytest.approx([peer.statistic, peer.pvalue], **EXACT)


def test_linear_model(heart: Any, pooled: Any, run: Any) -> None:
    import statsmodels.formula.api as smf

    (found,) = run(
        heart,
        {
            "operator": "linear_model", "outcome": "thalach", "terms": ["age", "chol", "sex", "cp"],
            "levels": {"sex": [0, 1], "cp": [1, 2, 3, 4]},
        },
    )  # fmt: skip
    peer = smf.ols("thalach ~ age + chol + C(sex) + C(cp)", pooled(heart)).fit()
    order = ["Intercept", "age", "chol", "C(sex)[T.1.0]", "C(cp)[T.2.0]", "C(cp)[T.3.0]", "C(cp)[T.4.0]"]
    names = {n.replace(".0]", "]"): n for n in peer.params.index}
    order = [names[n.replace(".0]", "]")] for n in order]
    lines = found["coefficients"]
    np.testing.assert_allclose([c["coef"] for c in lines], peer.params[order], rtol=1e-9)
    np.testing.assert_allclose([c["se"] for c in lines], peer.bse[order], rtol=1e-9)
    np.testing.assert_allclose([c["p"] for c in lines], peer.pvalues[order], rtol=1e-7)
    for name in ("r2", "f", "aic"):
        assert found[name] == pytest.approx({"r2": peer.rsquared, "f": peer.fvalue, "aic": peer.aic}[name], rel=1e-9)
    assert found["n"] == peer.nobs


def test_columns_that_depend_on_each_other_are_named(heart: Any, run: Any) -> None:
    twice = {p: d.with_column("months", d.numpy("age") * 12) for p, d in heart.items()}
    (found,) = run(twice, {"operator": "linear_model", "outcome": "thalach", "terms": ["age", "months", "chol"]})
    assert "age and months depend on each other" in found["problem"]


def test_text_without_levels_is_refused_before_anything_runs(split: Any, run: Any) -> None:
    sites = split(pd.DataFrame({"x": ["a", "b"] * 30}))
    with pytest.raises(TypeMismatchError, match="neither a number nor a category"):
        run(sites, {"operator": "describe", "columns": ["x"]})

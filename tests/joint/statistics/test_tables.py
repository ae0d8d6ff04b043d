"""Tables, counts and quantiles against pooled SciPy and pandas; what is small stays closed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import Table2x2

from ppc.errors import JobFileError

EXACT: dict[str, Any] = {"rel": 1e-9, "abs": 1e-12}


def frame_of(table: list[list[int]]) -> pd.DataFrame:
    rows = [(r, c) for r, line in enumerate(table) for c, n in enumerate(line) for _ in range(n)]
    return pd.DataFrame(rows, columns=["r", "c"])


def crosstab(table: list[list[int]]) -> dict[str, Any]:
    levels = {"r": list(range(len(table))), "c": list(range(len(table[0])))}
    return {"operator": "crosstab", "rows": "r", "columns": "c", "levels": levels}


def test_two_by_two(heart: Any, pooled: Any, run: Any) -> None:
    step = {"operator": "crosstab", "rows": "sex", "columns": "sick", "levels": {"sex": [0, 1], "sick": [0, 1]}}
    (found,) = run(heart, step)
    table = pd.crosstab(pooled(heart).sex, pooled(heart).sick).to_numpy()
    assert found["counts"] == table.tolist()
    plain = stats.chi2_contingency(table, correction=False)
    assert [found["chi2"], found["p"], found["df"]] == pytest.approx(
        [plain.statistic, plain.pvalue, plain.dof], **EXACT
    )
    assert found["p_fisher"] == pytest.approx(stats.fisher_exact(table).pvalue, **EXACT)
    peer = Table2x2(table)
    ratio = found["odds_ratio"]
    assert [ratio["value"], ratio["low"], ratio["high"]] == pytest.approx(
        [peer.oddsratio, *peer.oddsratio_confint()], **EXACT
    )
    # statsmodels' risk ratio is of the first column in the first row.
    other = Table2x2(table[::-1, ::-1])
    ratio = found["risk_ratio"]
    assert [ratio["value"], ratio["low"], ratio["high"]] == pytest.approx(
        [other.riskratio, *other.riskratio_confint()], **EXACT
    )


def test_larger_table_and_unknown_codes(heart: Any, pooled: Any, run: Any) -> None:
    step = {"operator": "crosstab", "rows": "cp", "columns": "restecg",
            "levels": {"cp": [1, 2, 3, 4], "restecg": [0, 1, 2]}}  # fmt: skip
    (found,) = run(heart, step)
    frame = pooled(heart)
    table = pd.crosstab(frame.cp, frame.restecg).to_numpy()
    peer = stats.chi2_contingency(table)
    assert [found["chi2"], found["p"]] == pytest.approx([peer.statistic, peer.pvalue], **EXACT)
    assert found["statements"] == ["fewer than 5 rows left out: a value is missing or unknown"]
    step["levels"]["cp"] = [1, 2, 3]
    (found,) = run(heart, step)
    asymptomatic = int((frame.cp == 4).sum())
    assert f"{asymptomatic} rows have a value of 'cp' outside its levels" in found["statements"]


@pytest.mark.parametrize("edge", [4, 5, 6])
def test_suppression_at_the_edge(split: Any, run: Any, edge: int) -> None:
    table = [[30, edge], [20, 25]]
    (found,) = run(split(frame_of(table)), crosstab(table))
    if edge >= 5:
        assert found["counts"] == table
        return
    # A small cell, and in a 2×2 table all others with it: else totals would give it away.
    assert found["counts"] == [[None, None], [None, None]]
    assert "chi2" not in found
    assert "4 cells are suppressed" in found["statements"][0]


def test_complementary_suppression_leaves_no_small_sum(split: Any, run: Any) -> None:
    table = [[3, 20, 30, 8], [12, 9, 7, 11], [15, 0, 9, 10], [40, 50, 60, 70]]
    (found,) = run(split(frame_of(table)), crosstab(table))
    shown = np.array([[np.nan if c is None else c for c in line] for line in found["counts"]])
    hidden, true = np.isnan(shown), np.array(table)
    assert hidden[0, 0]
    assert (shown[~hidden] == true[~hidden]).all()
    for axis in (0, 1):
        for h, t in zip(hidden if axis else hidden.T, true if axis else true.T, strict=True):
            assert not h.any() or (h.sum() >= 2 and t[h].sum() >= 5)
    assert found["row_totals"] == true.sum(1).tolist()


def test_a_level_of_few_rows_is_refused_by_name(split: Any, run: Any) -> None:
    table = [[30, 20, 1], [20, 25, 2]]
    (found,) = run(split(frame_of(table)), crosstab(table))
    assert "level '2' of 'c'" in found["refused"]
    assert "counts" not in found


def test_no_small_count_ever_opens(split: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of everything that any secure sum opened in these steps, no count is from 1 to 4."""
    from ppc.mpc.aggregate import Aggregation

    opened: list[np.ndarray] = []
    real = Aggregation.sum

    def spy(self: Aggregation, *args: Any, **more: Any) -> Any:
        found = real(self, *args, **more)
        if found is not None:
            opened.append(found.values)
        return found

    monkeypatch.setattr(Aggregation, "sum", spy)
    table = [[3, 20, 30, 2], [12, 1, 7, 11], [15, 0, 9, 10]]
    levels = {"r": [0, 1, 2], "c": [0, 1, 2, 3]}
    frame = frame_of(table).assign(age=lambda f: np.arange(len(f)) % 60)
    run(
        split(frame),
        crosstab(table),
        {"operator": "histogram", "column": "age", "edges": [0, 2, 4, 6, 20, 58, 60], "where": "r < 2"},
        {"operator": "table_one", "columns": ["c"], "by": "r", "levels": levels},
        {"operator": "quantiles", "columns": ["age"], "low": 0, "high": 60},
    )
    values = np.concatenate(opened)
    assert len(values) > 100
    assert not ((values > 0.5) & (values < 4.5)).any()


def test_a_site_can_only_tighten(split: Any, run: Any) -> None:
    table = [[30, 7], [20, 25]]
    sites = split(frame_of(table))
    (free,) = run(sites, crosstab(table))
    (tight,) = run(sites, crosstab(table), limits={"site-1": {"min_cell": 10}})
    (loose,) = run(sites, {**crosstab(table), "min_cell": 8}, limits={"site-1": {"min_cell": 2}})
    assert free["counts"] == table
    for found in (tight, loose):
        assert found["counts"] == [[None, None], [None, None]]
    assert tight["limits"]["min_cell"] == 10


# --- histogram, quantiles ---
def test_histogram(heart: Any, pooled: Any, run: Any) -> None:
    edges = [30, 40, 50, 60, 70]
    (found,) = run(heart, {"operator": "histogram", "column": "age", "edges": edges})
    age = pooled(heart).age
    assert 1 <= (age < 30).sum() < 5
    assert (found["below"], found["counts"][0]) == (None, None), "a small bin, and one to protect it"
    assert [*found["counts"][1:], found["above"]] == [*np.histogram(age, edges)[0][1:], (age > 70).sum()]


def test_a_single_small_bin_takes_a_neighbour_with_it(split: Any, run: Any) -> None:
    x = np.repeat([0.5, 1.5, 2.5, 3.5], [20, 3, 20, 20])
    (found,) = run(split(pd.DataFrame({"x": x})), {"operator": "histogram", "column": "x", "edges": [0, 1, 2, 3, 4]})
    assert found["n"] == 63
    assert found["counts"].count(None) == 2
    assert found["counts"][1] is None


def test_quantiles_are_exact_at_their_resolution(split: Any, run: Any) -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(120, 15, 6000).round()
    step = {"operator": "quantiles", "columns": ["x"], "low": 0, "high": 256, "probabilities": [0.05, 0.25, 0.5, 0.9]}
    (found,) = run(split(pd.DataFrame({"x": x})), step)
    for q in found["quantiles"]:
        assert q["at_resolution"]
        assert q["value"] == np.quantile(x, q["p"], method="inverted_cdf")


def test_quantiles_of_few_rows_tell_an_interval_that_holds_them(heart: Any, pooled: Any, run: Any) -> None:
    step = {"operator": "quantiles", "columns": ["chol"], "low": 0, "high": 700, "resolution": 0.5}
    (found,) = run(heart, step)
    chol = pooled(heart).chol.dropna()
    for q in found["quantiles"]:
        assert q["low"] <= np.quantile(chol, q["p"], method="inverted_cdf") < q["high"]
        assert q["high"] - q["low"] < 12


# --- table one ---
def test_table_one(heart: Any, pooled: Any, run: Any) -> None:
    step = {"operator": "table_one", "columns": ["age", "sex", "chol", "cp"], "by": "sick",
            "levels": {"sick": [0, 1], "sex": [0, 1], "cp": [1, 2, 3, 4]}}  # fmt: skip
    (found,) = run(heart, step)
    frame = pooled(heart)
    arms = [frame[frame.sick == k] for k in (0, 1)]
    assert found["n"] == [len(a) for a in arms]
    age, sex, chol, cp = found["lines"]
    for line, column in ((age, "age"), (chol, "chol")):
        assert line["mean"] == pytest.approx([a[column].mean() for a in arms], **EXACT)
        assert line["sd"] == pytest.approx([a[column].std() for a in arms], **EXACT)
        assert line["missing"] == [a[column].isna().sum() for a in arms]
        peer = stats.ttest_ind(*(a[column].dropna() for a in arms), equal_var=False)
        assert line["p"] == pytest.approx(peer.pvalue, **EXACT)
    for line, column in ((sex, "sex"), (cp, "cp")):
        table = pd.crosstab(frame[column], frame.sick).to_numpy()
        assert line["counts"] == table.tolist()
        assert line["p"] == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, **EXACT)


def test_categories_need_public_levels(split: Any, run: Any) -> None:
    with pytest.raises(JobFileError, match="public list of its levels"):
        run(split(frame_of([[9, 9], [9, 9]])), {"operator": "crosstab", "rows": "r", "columns": "c"})


# --- sites with little ---
def test_sites_with_no_rows_one_row_or_nothing_but_missing_values(run: Any) -> None:
    from ppc.dataset.dataset import Dataset

    rng = np.random.default_rng(1)
    x = rng.normal(size=60)
    parts = [x, np.zeros(0), np.array([0.5]), np.full(4, np.nan)]
    sites = {f"s{i}": Dataset.from_arrow(pd.DataFrame({"x": p, "y": np.abs(p)})) for i, p in enumerate(parts)}
    describe, line = run(
        sites,
        {"operator": "describe", "columns": ["x"]},
        {"operator": "linear_model", "outcome": "y", "terms": ["x"]},
    )
    whole = np.append(x, 0.5)
    (found,) = describe["columns"]
    assert found["mean"] == pytest.approx(whole.mean(), **EXACT)
    assert found["missing"] is None  # 4 of them: a small count
    assert line["n"] == 61


def test_all_missing_and_constant_columns_are_said(split: Any, run: Any) -> None:
    frame = pd.DataFrame({"none": np.full(60, np.nan), "same": np.full(60, 2.5), "x": np.arange(60.0)})
    describe, r = run(
        split(frame),
        {"operator": "describe", "columns": ["none", "same"]},
        {"operator": "correlation", "columns": ["same", "x"]},
    )
    none, same = describe["columns"]
    assert (none["n"], none["mean"], none["missing"]) == (0, None, 60)
    assert "'none' has no values" in describe["statements"]
    assert (same["mean"], same["variance"], same["skewness"]) == (2.5, 0.0, None)
    assert any("'same' is constant" in s for s in describe["statements"])
    assert r["r"][0][1] is None
    assert any("'same' is constant" in s for s in r["statements"])

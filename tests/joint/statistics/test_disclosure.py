"""Dominance, few contributors, extremes and rounding: what stays closed, and that nothing else does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.errors import ConfigError
from ppc.joint.statistics.limits import BASES, Limits, strictest
from ppc.joint.statistics.rounding import rounded, to_base


def describe(*columns: str, **more: Any) -> dict[str, Any]:
    return {"operator": "describe", "columns": list(columns), **more}


# --- dominance ---
@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize(("share", "shown"), [(0.89, True), (0.91, False), (0.999999, False)])
def test_a_sum_that_is_nearly_one_row_stays_closed(split: Any, run: Any, n: int, share: float, shown: bool) -> None:
    rest = np.full(50, 2.0)
    cost = np.append(rest, rest.sum() * share / (1 - share))
    # With two sites each knows the other's part: the site without the large row always has an even part here.
    sites = split(pd.DataFrame({"cost": cost}), n)
    if n == 2:
        from ppc.dataset.dataset import Dataset

        sites = {
            "a": Dataset.from_arrow(pd.DataFrame({"cost": cost})),
            "b": Dataset.from_arrow(pd.DataFrame({"cost": rest})),
        }
    (found,) = run(sites, describe("cost"))
    (line,) = found["columns"]
    assert (line["mean"] is not None) == shown
    assert line["n"] == sum(len(s) for s in sites.values())
    if shown:
        assert line["mean"] == pytest.approx(cost.mean() if n > 2 else np.append(cost, rest).mean(), rel=1e-12)
    else:
        assert any("make most of its sum" in s for s in found["statements"])


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1.0, 1e6])
def test_the_rule_does_not_depend_on_the_unit(split: Any, run: Any, unit: float) -> None:
    cost = np.append(np.ones(40), [4000.0]) * unit
    even = np.arange(1.0, 42.0) * unit
    (found,) = run(split(pd.DataFrame({"cost": cost, "even": even})), describe("cost", "even"))
    assert [c["mean"] is None for c in found["columns"]] == [True, False]


def test_nothing_of_a_dominated_sum_opens(split: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ppc.mpc.aggregate import Aggregation

    opened: list[np.ndarray] = []
    real = Aggregation.sum

    def spy(self: Aggregation, *a: Any, **k: Any) -> Any:
        found = real(self, *a, **k)
        if found is not None:
            opened.append(found.values)
        return found

    monkeypatch.setattr(Aggregation, "sum", spy)
    cost = np.append(np.ones(40), [12345.0])
    run(split(pd.DataFrame({"cost": cost})), describe("cost"))
    values = np.concatenate(opened)
    assert len(values) > 4
    assert values.max() < 100


def test_a_lonely_outlier_hides_the_spread_or_the_kurtosis_only(split: Any, run: Any) -> None:
    rng = np.random.default_rng(3)
    spread = np.append(np.full(99, 100.0) + rng.normal(size=99) * 0.01, 400.0)
    fourth = np.append(rng.normal(100, 10, 99), 240.0)
    (found,) = run(split(pd.DataFrame({"spread": spread, "fourth": fourth})), describe("spread", "fourth"))
    a, b = found["columns"]
    assert (a["mean"], a["sd"], a["kurtosis"]) == (pytest.approx(spread.mean(), rel=1e-12), None, None)
    assert b["sd"] == pytest.approx(fourth.std(ddof=1), rel=1e-9)
    assert (b["skewness"], b["kurtosis"]) == (None, None)


def test_the_rule_holds_where_several_sites_have_one_row_each(run: Any) -> None:
    """Each row is all of its own site's part, and none is much of the whole: the second test tells them apart."""
    from ppc.dataset.dataset import Dataset

    sites = {f"s{i}": Dataset.from_arrow(pd.DataFrame({"x": [10.0 + i]})) for i in range(12)}
    (found,) = run(sites, describe("x"), limits={})
    assert found["columns"][0]["mean"] == pytest.approx(15.5, rel=1e-12)


@pytest.mark.parametrize(("ones", "shown"), [(0, True), (1, False), (4, False), (5, True), (56, False), (60, True)])
def test_a_mean_of_zeros_and_ones_is_a_count(split: Any, run: Any, ones: int, shown: bool) -> None:
    (found,) = run(split(pd.DataFrame({"x": np.repeat([1, 0], [ones, 60 - ones])})), describe("x"))
    assert (found["columns"][0]["mean"] is not None) == shown


def test_tests_of_means_refuse_a_dominated_group(split: Any, run: Any) -> None:
    frame = pd.DataFrame({"cost": np.append(np.ones(59), 9e5), "arm": np.arange(60) % 2, "before": np.ones(60)})
    levels = {"arm": [0, 1]}
    t, f, paired, table = run(
        split(frame),
        {"operator": "ttest", "column": "cost", "by": "arm", "levels": levels},
        {"operator": "anova", "column": "cost", "by": "arm", "levels": levels},
        {"operator": "ttest", "name": "paired", "column": "cost", "paired": "before"},
        {"operator": "table_one", "columns": ["cost"], "by": "arm", "levels": levels},
    )
    for found in (t, f):
        assert "make most of the sum" in found["refused"]
        assert "'1'" in found["refused"]
    assert "the differences" in paired["refused"]
    assert table["lines"][0]["mean"] == [1.0, None]
    assert table["lines"][0]["p"] is None


def test_a_site_may_demand_a_stricter_share_and_the_job_cannot_switch_it_off(split: Any, run: Any) -> None:
    sites = split(pd.DataFrame({"x": np.append(np.full(40, 2.0), 120.0)}))
    free, off = run(sites, describe("x"), describe("x", name="off", dominance=1.0))
    (tight,) = run(sites, describe("x"), limits={"site-2": {"dominance": 0.5}})
    assert free["columns"][0]["mean"] is not None
    assert off["limits"]["dominance"] == 0.9
    assert tight["columns"][0]["mean"] is None


def parts(*rows: list[float]) -> dict[str, Any]:
    """One site for each list of values."""
    from ppc.dataset.dataset import Dataset

    return {f"s{i}": Dataset.from_arrow(pd.DataFrame({"cost": np.array(r, float)})) for i, r in enumerate(rows)}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("pair", "shown"), [(941.0, True), (961.0, False)])
def test_two_rows_that_are_nearly_all_of_a_sum_close_it(run: Any, together: bool, pair: float, shown: bool) -> None:
    """(2, k): neither row alone is half of the sum; whether they lie at one site or at two."""
    rest = [(1000 - pair) / 60] * 20
    half = [pair / 2]
    sites = parts(rest + half + half, rest, rest) if together else parts(rest + half, rest + half, rest)
    (found,) = run(sites, describe("cost", p_percent=0.0), limits={p: {"p_percent": 0.0} for p in sites})
    assert (found["columns"][0]["mean"] is not None) == shown


@pytest.mark.parametrize(("rest", "shown"), [(90.0, False), (110.0, True)])
@pytest.mark.parametrize("n", [3, 6])
def test_the_second_largest_cannot_tell_the_largest(run: Any, n: int, rest: float, shown: bool) -> None:
    """p %: the largest is 1000 of S, and all but the largest two are under (over) a tenth of it."""
    small = [rest / (10 * n)] * 10
    sites = parts([*small, 1000.0], [*small, 400.0], *[small] * (n - 2))
    off = {p: {"dominance_two": 1.0, "dominance": 1.0} for p in sites}
    (found,) = run(sites, describe("cost", dominance=1.0, dominance_two=1.0), limits=off)
    assert (found["columns"][0]["mean"] is not None) == shown
    (found,) = run(sites, describe("cost", dominance=1.0, dominance_two=1.0, p_percent=0.0),
                   limits={p: {**v, "p_percent": 0.0} for p, v in off.items()})  # fmt: skip
    assert found["columns"][0]["mean"] is not None


def test_of_a_closed_sum_neither_the_rule_nor_the_site_opens(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit a cell, from the comparison of all sites' largest; whoever has the row, the answers are the same."""
    from ppc.mpc.aggregate import Aggregation

    transcripts = []
    for at in range(3):
        told: list[Any] = []

        def keep(name: str, told: list[Any] = told) -> Any:
            real = getattr(Aggregation, name)

            def call(self: Aggregation, *a: Any, **k: Any) -> Any:
                found = real(self, *a, **k)
                if self._star.me == "s0":
                    told.append((name, np.asarray(found[0]).tolist()))
                return found

            return call

        with monkeypatch.context() as patch:
            for name in ("negative", "dominant", "small"):
                patch.setattr(Aggregation, name, keep(name))
            sites = parts(*[[2.0] * 20 + [9e4] * (i == at) for i in range(3)])
            (found,) = run(sites, describe("cost"))
        assert found["columns"][0]["mean"] is None
        transcripts.append(told)
    assert transcripts[0] == transcripts[1] == transcripts[2]
    assert ("dominant", [True]) in transcripts[0]


@given(
    st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=5), min_size=1, max_size=4),
    st.floats(0.5, 1), st.floats(0.5, 1), st.floats(0, 100),
)  # fmt: skip
def test_what_the_first_test_passes_satisfies_the_rules(
    sites: list[list[int]], one: float, two: float, p: float
) -> None:
    from ppc.joint.statistics.dominance import alone, largest_two

    limits = Limits(dominance=one, dominance_two=two, p_percent=p)
    every = [float(x) for s in sites for x in s]
    tops = sum(sum(largest_two(np.array(s, float))) for s in sites)
    if tops <= min(one, two, 1 / (1 + p / 100)) * sum(every) * (1 - 1e-12):
        assert not alone(limits, np.array(largest_two(np.array(every)))[:, None], np.array([sum(every)])).any()


def test_a_constant_column_is_not_taken_for_a_dominated_one(split: Any, run: Any) -> None:
    """Its deviations are errors of rounding, smaller than any unit in which sums are compared."""
    frame = pd.DataFrame({"a": np.full(90, 0.1), "b": np.full(90, 12345678.9)})
    (found,) = run(split(frame), describe("a", "b"))
    assert not any("far from all others" in s for s in found["statements"])
    assert [c["mean"] for c in found["columns"]] == pytest.approx([0.1, 12345678.9], rel=1e-12)


# --- extremes ---
AGES = {"age": [0.0, 120.0, 1.0]}


def test_extremes_need_every_sites_policy(split: Any, run: Any) -> None:
    frame = pd.DataFrame({"age": np.append(np.arange(30, 80), [19, 97])})
    sites = split(frame)
    step = describe("age", extremes=AGES)
    (closed,) = run(sites, step)
    (most,) = run(sites, step, limits={p: {"extremes": True} for p in list(sites)[:-1]})
    (open_,) = run(sites, step, limits={p: {"extremes": True} for p in sites})
    for found in (closed, most):
        assert found["columns"][0]["min"] is found["columns"][0]["max"] is None
        assert any("not every site's policy allows it" in s for s in found["statements"])
    assert (open_["columns"][0]["min"], open_["columns"][0]["max"]) == (19.0, 97.0)


@pytest.mark.parametrize("n", [2, 4])
def test_extremes_by_group_on_a_grid(split: Any, run: Any, n: int) -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"bmi": rng.normal(27, 4, 200), "sex": rng.integers(0, 2, 200)})
    sites = split(frame, n)
    step = describe("bmi", by="sex", levels={"sex": [0, 1]}, extremes={"bmi": [10.0, 60.0, 0.1]})
    (found,) = run(sites, step, limits={p: {"extremes": True} for p in sites})
    for line in found["columns"]:
        own = frame.bmi[frame.sex == line["group"]]
        assert line["min"] <= own.min() < line["min"] + 0.1 + 1e-9
        assert line["max"] <= own.max() < line["max"] + 0.1 + 1e-9


def test_the_plan_says_that_extremes_are_single_values(split: Any) -> None:
    from ppc.joint import Job, plan

    sites = split(pd.DataFrame({"age": np.arange(60)}))
    job = Job.from_dict({"name": "p", "parties": list(sites), "step": [describe("age", extremes=AGES)]})
    text = " ".join(plan(job, {p: d.schema for p, d in sites.items()}, dict.fromkeys(sites, 0)).text().split())
    assert "A SINGLE PATIENT'S VALUE EACH" in text
    assert "sums of which one row makes more than 90%" in text
    assert "sums of which two rows make more than 95% stay closed" in text
    assert "tell the largest row to within 10%" in text


# --- rounding ---
@given(st.integers(0, 10**9), st.integers(1, 1000))
def test_the_nearest_multiple(count: int, base: int) -> None:
    told = to_base(count, base)
    assert told % base == 0
    assert -base / 2 < told - count <= base / 2
    assert to_base(told, base) == told


def test_counts_are_told_in_multiples_and_figures_to_four_digits(heart: Any, run: Any) -> None:
    levels = {"sex": [0, 1], "sick": [0, 1]}
    steps = [
        {"operator": "crosstab", "rows": "sex", "columns": "sick", "levels": levels},
        describe("age", "chol"),
        {"operator": "glm", "outcome": "sick", "terms": ["age"]},
        {"operator": "ttest", "column": "age", "by": "sick", "levels": levels},
        {"operator": "histogram", "column": "age", "edges": [37.5, 50, 62.25]},
    ]
    exact = run(heart, *steps)
    told = run(heart, *steps, limits={"va": {"round_to": 5}, "hungarian": {"round_to": 2}})
    assert told[0]["limits"]["round_to"] == 10
    for line, true in zip(told[0]["counts"], exact[0]["counts"], strict=True):
        assert line == [to_base(c, 10) for c in true]
    assert told[0]["counts"] != exact[0]["counts"]
    assert told[0]["row_totals"] == [to_base(c, 10) for c in exact[0]["row_totals"]]
    assert told[1]["columns"][0]["mean"] == float(f"{exact[1]['columns'][0]['mean']:.4g}")
    assert told[2]["df"] % 10 == 0
    assert told[3]["df"] % 10 == 0
    assert told[4]["edges"] == [37.5, 50, 62.25]
    assert all(n is None or n % 10 == 0 for n in told[4]["counts"])
    for found in told:
        assert any("multiples of 10" in s for s in found["statements"])
        for said in found["statements"]:
            rows = said.split()[0]
            assert not rows.isdigit() or int(rows) % 10 == 0


def test_nested_results_are_rounded_and_public_ones_are_not() -> None:
    found = rounded(
        {"curves": [{"times": [1.23456, 2.0], "events": [3, 8], "survival": [0.123456]}], "p": 0.98765432}, 5
    )
    assert found == {"curves": [{"times": [1.23456, 2.0], "events": [5, 10], "survival": [0.1235]}], "p": 0.9877}


# --- limits ---
@given(
    st.lists(
        st.builds(
            Limits, min_cell=st.integers(1, 20), min_rows=st.integers(1, 50), rows_per_parameter=st.floats(1, 20),
            exact_times=st.booleans(), extremes=st.booleans(), rho=st.floats(0.1, 5), dominance=st.floats(0.5, 1),
            dominance_two=st.floats(0.5, 1), p_percent=st.floats(0, 100), round_to=st.sampled_from(BASES),
        ),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_the_strictest_satisfies_everyone(every: list[Limits]) -> None:
    both = strictest(every)
    for one in every:
        assert both.min_cell >= one.min_cell
        assert both.min_rows >= one.min_rows
        assert both.rows_per_parameter >= one.rows_per_parameter
        assert both.exact_times <= one.exact_times
        assert both.extremes <= one.extremes
        assert both.rho <= one.rho
        assert both.dominance <= one.dominance
        assert both.dominance_two <= one.dominance_two
        assert both.p_percent >= one.p_percent
        assert both.round_to % one.round_to == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dominance", 0.4),
        ("dominance_two", 1.1),
        ("p_percent", -1),
        ("p_percent", float("nan")),
        ("dominance", float("nan")),
        ("round_to", 0),
        ("round_to", 2.5),
        ("extremes", 1),
        ("min_cell", 0),
    ],
)
def test_limits_are_checked(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        Limits.of({name: value})

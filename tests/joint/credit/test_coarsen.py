from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.errors import ConfigError
from ppc.joint.credit.binning import Codes
from ppc.joint.credit.coarsen import MergeRule, chi_merge, coarsen, optimal_runs
from ppc.joint.credit.counts import Counts, tally
from ppc.joint.credit.prebin import prebin

TRENDS = ["ascending", "descending", "peak", "valley", "none", "auto"]


def make(good: list[int], bad: list[int]) -> Counts:
    g, b = np.asarray(good, dtype=float), np.asarray(bad, dtype=float)
    return Counts((g + b).astype(np.int64), g, b)


def sums(counts: Counts, runs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(np.asarray([v[a:b].sum() for a, b in runs]) for v in (counts.rows, counts.good, counts.bad))


def value(counts: Counts, totals: tuple[float, float], runs: list[tuple[int, int]]) -> float:
    _, g, b = sums(counts, runs)
    return float(np.sum((b / totals[1] - g / totals[0]) * np.log((b / totals[1]) / (g / totals[0]))))


def follows(trend: str, rate: np.ndarray) -> bool:
    step = np.diff(rate)
    up, down = (step > 0).tolist(), (step < 0).tolist()
    if trend == "none":
        return True
    if trend == "auto":
        return all(up) or all(down)
    first, then = {"ascending": (up, None), "descending": (down, None), "peak": (up, down), "valley": (down, up)}[trend]
    if then is None:
        return all(first)
    return any(all(first[:i]) and all(then[i:]) for i in range(len(step) + 1))


def best_by_hand(counts: Counts, totals: tuple[float, float], max_bins: int, least: float, trend: str) -> float:
    m, best = len(counts), -np.inf
    for k in range(1, min(m, max_bins) + 1):
        for cuts in itertools.combinations(range(1, m), k - 1):
            runs = list(itertools.pairwise([0, *cuts, m]))
            n, g, b = sums(counts, runs)
            if (g > 0).all() and (b > 0).all() and (n >= least).all() and follows(trend, b / (g + b)):
                best = max(best, value(counts, totals, runs))
    return best


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=8),
    st.integers(1, 5),
    st.integers(0, 15),
    st.sampled_from(TRENDS),
)
def test_optimal_binning_is_optimal(cells: list[tuple[int, int]], max_bins: int, least: int, trend: str) -> None:
    counts = make([g for g, _ in cells], [b for _, b in cells])
    totals = (float(counts.good.sum()) + 3, float(counts.bad.sum()) + 2)
    runs = optimal_runs(counts, totals, max_bins, least, trend)
    assert [i for a, b in runs for i in range(a, b)] == list(range(len(counts)))
    expected = best_by_hand(counts, totals, max_bins, least, trend)
    if np.isfinite(expected):
        n, g, b = sums(counts, runs)
        assert len(runs) <= max_bins
        assert (n >= least).all()
        assert follows(trend, b / (g + b))
        assert value(counts, totals, runs) == pytest.approx(expected, abs=1e-9)
    else:
        assert runs == [(0, len(counts))]


def test_the_trend_is_what_was_asked_for() -> None:
    counts = make([90, 70, 50, 30, 55, 75, 95], [10, 30, 50, 70, 45, 25, 5])
    totals = (float(counts.good.sum()), float(counts.bad.sum()))

    def rates(trend: str) -> list[float]:
        _, g, b = sums(counts, optimal_runs(counts, totals, 7, 0, trend))
        return (b / (g + b)).tolist()

    assert rates("peak") == [0.1, 0.3, 0.5, 0.7, 0.45, 0.25, 0.05]
    assert rates("ascending") == sorted(rates("ascending"))
    assert rates("descending") == sorted(rates("descending"), reverse=True)
    assert rates("none") == rates("peak")
    auto = max((rates("ascending"), rates("descending")), key=len)
    assert rates("auto") in (rates("ascending"), rates("descending"))
    assert len(rates("auto")) == len(auto)


def test_many_fine_bins_are_quick_and_monotone() -> None:
    rng = np.random.default_rng(3)
    rate = np.linspace(0.05, 0.4, 50)
    rows = rng.integers(200, 400, 50)
    bad = rng.binomial(rows, rate)
    counts = make((rows - bad).tolist(), bad.tolist())
    runs = optimal_runs(counts, (float(counts.good.sum()), float(counts.bad.sum())), 8, 0.05 * rows.sum(), "auto")
    _, g, b = sums(counts, runs)
    assert 5 <= len(runs) <= 8
    assert (np.diff(b / (g + b)) > 0).all()


def test_chi_merge_joins_what_is_alike_and_keeps_what_differs() -> None:
    counts = make([90, 91, 89, 50, 51, 20], [10, 9, 11, 50, 49, 80])
    assert chi_merge(counts, 8, 0, 0.05) == [(0, 3), (3, 5), (5, 6)]
    assert chi_merge(counts, 2, 0, 0.05) == [(0, 3), (3, 6)]


def test_chi_merge_against_the_definition() -> None:
    from scipy.stats import chi2, chi2_contingency

    counts = make([40, 35], [10, 15])
    p = chi2_contingency([[40, 10], [35, 15]], correction=False).pvalue
    assert chi2.sf(chi2_contingency([[40, 10], [35, 15]], correction=False).statistic, 1) == pytest.approx(p)
    assert chi_merge(counts, 8, 0, p * 1.001) == [(0, 1), (1, 2)]
    assert chi_merge(counts, 8, 0, p * 0.999) == [(0, 2)]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=15),
    st.integers(1, 6),
    st.integers(0, 40),
)
def test_chi_merge_keeps_its_promises(cells: list[tuple[int, int]], max_bins: int, least: int) -> None:
    counts = make([g for g, _ in cells], [b for _, b in cells])
    runs = chi_merge(counts, max_bins, least, 0.05)
    assert [i for a, b in runs for i in range(a, b)] == list(range(len(counts)))
    assert len(runs) <= max_bins
    if len(runs) > 1:
        n, g, b = sums(counts, runs)
        assert (n >= least).all()
        assert (g > 0).all()
        assert (b > 0).all()


@pytest.mark.parametrize("method", ["optimal", "chi_merge"])
def test_categories_are_merged_by_their_rate(method: str) -> None:
    values = Codes.of(["a"] * 100 + ["b"] * 100 + ["c"] * 100 + ["d"] * 100)
    y = np.concatenate([np.repeat([1.0, 0.0], [n, 100 - n]) for n in (10, 60, 11, 59)])
    fine = prebin(values, name="c")
    counts = tally(fine.apply(values), fine.n_bins, y)
    rule = MergeRule(method, max_bins=2)
    final, merged = coarsen(fine, counts, rule)
    assert {frozenset(g) for g in final.groups} == {frozenset("ac"), frozenset("bd")}
    again = tally(final.apply(values), final.n_bins, y)
    for name in ("rows", "good", "bad"):
        assert getattr(again, name).tolist() == getattr(merged, name).tolist()


@given(st.integers(0, 2**32 - 1), st.sampled_from(["optimal", "chi_merge", "keep"]), st.sampled_from(TRENDS))
def test_merged_counts_are_the_counts_of_the_merged_bins(seed: int, method: str, trend: str) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=300).round(1)
    y = (rng.random(300) < 1 / (1 + np.exp(-x))).astype(float)
    x[rng.random(300) < 0.1] = np.nan
    x[rng.random(300) < 0.1] = -9
    fine = prebin(x, name="x", min_rows=5, specials=[-9.0])
    final, merged = coarsen(fine, tally(fine.apply(x), fine.n_bins, y), MergeRule(method, trend=trend))
    again = tally(final.apply(x), final.n_bins, y)
    assert again.rows.tolist() == merged.rows.tolist()
    assert again.bad.tolist() == merged.bad.tolist()
    assert again.good.tolist() == merged.good.tolist()


def test_a_least_share_is_of_all_rows() -> None:
    x = np.arange(1000.0)
    y = (np.arange(1000) % 7 == 0).astype(float) + ((x > 970) & (np.arange(1000) % 7 != 0))
    fine = prebin(x, name="x", bins=50)
    final, merged = coarsen(fine, tally(fine.apply(x), fine.n_bins, y), MergeRule(min_share=0.1))
    assert final.n_regular > 1
    assert merged.rows[: final.n_regular].min() >= 100


@pytest.mark.parametrize(
    "wrong",
    [{"max_bins": 0}, {"min_share": 1.0}, {"min_share": float("nan")}, {"significance": 0.0}, {"trend": "zigzag"}],
)
def test_rules_are_checked(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        MergeRule(**wrong)

"""Counts of labels by bin: few enough that they do not give the labels away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, vstack

from ppc.errors import DisclosureRefused
from ppc.joint.credit import told
from ppc.joint.credit.fit import BinningRule

ROWS, RATE = 1000, 0.05


def _case(features: int) -> tuple[dict[str, Any], np.ndarray]:
    rng = np.random.default_rng(5)
    return {f"x{j}": rng.normal(size=ROWS) for j in range(features)}, (rng.random(ROWS) < RATE).astype(float)


def _guess(values: dict[str, Any], label: np.ndarray, most: int | None) -> np.ndarray:
    """The attack: any labels between 0 and 1 that fit all counts, by linear programming."""
    rules = dict.fromkeys(values, BinningRule())
    fine, _ = told.fine_bins(values, rules, most, drop=True)
    hot = []
    for name, bins in fine.items():
        index = bins.apply(values[name])
        hot.append(csr_matrix((np.ones(ROWS), (index, np.arange(ROWS))), shape=(bins.n_bins, ROWS)))
    a = vstack(hot)
    goal = np.random.default_rng(1).normal(size=ROWS)
    solved = linprog(goal, A_eq=a, b_eq=a @ label, bounds=(0, 1), method="highs")
    return np.asarray(solved.x > 0.5)


def test_without_a_limit_counts_give_every_label_away_and_with_it_they_do_not() -> None:
    values, label = _case(12)
    assert (_guess(values, label, None) == label).all()
    guess = _guess(values, label, told.limit(label, 2.0))
    # Of those it calls bad, hardly more are bad than among all customers.
    assert label[guess].mean() < 4 * RATE
    assert label[guess].sum() < 0.3 * label.sum()


def test_bins_are_made_wider_until_the_counts_fit() -> None:
    values, _ = _case(12)
    rules = {name: BinningRule("equal_width" if j % 2 else "optimal") for j, name in enumerate(values)}
    whole, same = told.fine_bins(values, rules, None, drop=False)
    assert same == rules
    fine, used = told.fine_bins(values, rules, 40, drop=False)
    assert told.counts(fine, values) <= 40 < told.counts(whole, values)
    assert list(fine) == list(values)
    assert all(used[n].fine(values[n], n) == fine[n] for n in values)
    # Just enough is left as it is.
    assert told.fine_bins(values, rules, told.counts(whole, values), drop=False) == (whole, rules)
    with pytest.raises(DisclosureRefused, match="12 features could give labels away"):
        told.fine_bins(values, rules, 12, drop=False)


@pytest.mark.parametrize(("bad", "cases", "most"), [(10, 2.0, 5), (90, 2.0, 5), (50, 4.0, 12), (50, 0.0, None)])
def test_the_limit_follows_the_rarer_class(bad: int, cases: float, most: int | None) -> None:
    label = np.repeat([1.0, 0.0], [bad, 100 - bad])
    assert told.limit(label, cases) == most


def test_a_job_keeps_to_the_limit_and_says_so(run_credit: Any) -> None:
    values, label = _case(12)
    label = (np.random.default_rng(2).random(ROWS) < 0.3).astype(int)
    step = {"operator": "woe", "method": "equal_frequency", "on_constant": "drop"}
    a, b = {"y": label, "own": values["x0"]}, {f"z{j}": values[f"x{j}"] for j in range(1, 12)}
    free = run_credit(a, b, {**step, "cases_per_count": 0.0})["bank-b"]
    held = run_credit(a, b, {**step, "cases_per_count": 6.0})
    most = told.limit(label.astype(float), 6.0)

    def counts(result: Any) -> int:
        bins = [sum(row["rows"] > 0 for row in table) for table in result.summary("woe")["tables"].values()]
        return sum(bins) - len(bins) + 1

    assert counts(held["bank-b"]) <= most < counts(free)
    # The label holder's own features keep their bins.
    assert len(held["bank-a"].summary("woe")["tables"]["own"]) >= 8
    assert "at most one count for 6 rows of the rarer class" in " ".join(held["bank-a"].plan.text().split())
    assert "no limit to the number of counts" in " ".join(free.plan.text().split())

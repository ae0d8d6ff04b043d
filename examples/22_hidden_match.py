"""Two banks compute on their common customers, and neither learns who they are.

First a sum over the match by circuit PSI, then a whole scorecard with `reveal = "none"`. All run in this process.
Run it: python examples/22_hidden_match.py
"""

import numpy as np
import pyarrow as pa

from ppc.dataset import Dataset
from ppc.joint import Job, plan, simulate
from ppc.mpc import ops
from ppc.mpc.local import run
from ppc.mpc.psi import circuit

rng = np.random.default_rng(3)
PEOPLE = 3_000
ids = np.array([f"C{i:06d}" for i in range(PEOPLE)])
income, debt = rng.normal(3000, 700, PEOPLE).round(), rng.gamma(2.0, 1500.0, PEOPLE).round()
risk = 0.0006 * debt - 0.001 * (income - 3000) - 2.0
default = (rng.random(PEOPLE) < 1 / (1 + np.exp(-risk))).astype(np.int64)

# Each bank knows two thirds of these people.
at_a, at_b = rng.permutation(PEOPLE)[:2000], rng.permutation(PEOPLE)[:2000]
bank_a = Dataset.from_arrow(pa.table({"id": ids[at_a], "debt": debt[at_a], "default": default[at_a]}))
bank_b = Dataset.from_arrow(pa.table({"id": ids[at_b], "income": income[at_b]}))


def debt_and_income(s):
    """What the common customers owe, and what they earn: nothing else is opened, not even how many they are."""
    mine, column = (bank_a, "debt") if s.rank == 0 else (bank_b, "income")
    found = circuit.match(s, {"id": mine.column("id")}, mine.numpy(column).reshape(-1, 1))
    return [float(ops.open(s, whose.sum().reshape(1))[0]) for whose in found.columns]


JOB = Job.from_toml("""
name = "hidden-match"
parties = ["bank-a", "bank-b"]
helper = "helper"

[[step]]
operator = "align"
keys = ["id"]
reveal = "none"
holdout = 0.3

[[step]]
operator = "woe"
label = "default"

[[step]]
operator = "logistic_regression"
solver = "newton"

[[step]]
operator = "evaluate"
""")

if __name__ == "__main__":
    owed, earned = run(debt_and_income)[0]
    print(f"the common customers owe {owed:,.0f} and earn {earned:,.0f} a month")

    datasets = {"bank-a": bank_a, "bank-b": bank_b}
    planned = plan(JOB, {p: d.schema for p, d in datasets.items()}, {p: d.num_rows for p, d in datasets.items()})
    print("\nwhat bank-b will learn:")
    for told in planned.to("bank-b"):
        print(f"- {told.what[:110]}")

    results = simulate(JOB, datasets)
    matched = results["bank-b"].summary("align")
    print(
        f"\n{matched['matched']} customers match, of {matched['union']} that anybody knows; which ones nobody learned"
    )
    for party, result in results.items():
        coefficients = result.summary("logistic_regression")["coefficients"]
        print(f"{party}: " + ", ".join(f"{c['feature']} {c['coef']:+.2f}" for c in coefficients))
    figures = results["bank-a"].summary("evaluate")["holdout"]
    print(f"AUC on {figures['rows']} matched customers that were not trained on: {figures['auc']:.3f}")

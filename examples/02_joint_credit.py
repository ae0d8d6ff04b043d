"""Two banks train one model on customers they share, in one process: the plan, the run, what each bank holds then.

python examples/02_joint_credit.py
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ppc.dataset import Dataset
from ppc.joint import Job, plan, simulate

JOB = """
name = "joint-scorecard"
parties = ["bank-a", "bank-b"]
helper = "helper"
result = "bank-a"

[[step]]
operator = "align"
keys = ["customer"]
holdout = 0.3

[[step]]
name = "model"
operator = "logistic_regression"
label = "default"
solver = "newton"

[[step]]
operator = "score"
rows = "holdout"
"""


def made_up_customers(n: int = 3000) -> tuple[Dataset, Dataset]:
    """Bank A knows debt and who defaulted, bank B knows income and how often a payment was late."""
    rng = np.random.default_rng(7)
    names = np.array([f"customer-{i:05d}" for i in range(n)])
    debt, income, late = rng.gamma(2, 4000, n), rng.normal(3000, 900, n), rng.poisson(1.5, n)
    z = 0.0001 * debt - 0.0008 * income + 0.5 * late
    default = rng.random(n) < 1 / (1 + np.exp(-z + 0.5))
    at_a, at_b = rng.permutation(n)[: n * 9 // 10], rng.permutation(n)[: n * 9 // 10]
    a = {"customer": names[at_a], "debt": debt[at_a], "default": default[at_a]}
    b = {"customer": names[at_b], "income": income[at_b], "late": late[at_b]}
    return Dataset.from_arrow(pa.table(a), name="loans"), Dataset.from_arrow(pa.table(b), name="accounts")


def main() -> None:
    a, b = made_up_customers()
    job = Job.from_toml(JOB)
    # Before anything runs: who will learn what, from schemas alone.
    print(plan(job, {"bank-a": a.schema, "bank-b": b.schema}, {"bank-a": len(a), "bank-b": len(b)}).text())

    results = simulate(job, {"bank-a": a, "bank-b": b})
    print(f"matched {results['bank-a'].summary('align')['matched']} customers")
    for bank, result in results.items():
        print(f"\n{bank} holds:")
        for row in result.summary("model")["coefficients"]:
            print(f"  {row['feature']:8} {row['coef']:+.3f} ± {row['se']:.3f}   p = {row['p']:.2g}")

    scores = results["bank-a"].artifacts.of("score").table("scores")
    print(f"\nbank-a has the scores of {scores.num_rows} held-out customers; the first three:")
    for row in scores.slice(0, 3).to_pylist():
        print(f"  {row['customer']}  {row['probability']:.1%}")


if __name__ == "__main__":
    main()

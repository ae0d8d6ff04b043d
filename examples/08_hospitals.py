"""Three hospitals compute a table, a model and survival curves in one process; nobody shows a row.

python examples/08_hospitals.py
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ppc.dataset import Dataset
from ppc.joint import Job, plan, simulate

JOB = """
name = "statins"
parties = ["north", "south", "west"]

[[step]]
operator = "align_schema"
columns = [
  { name = "age", unit = "year", low = 18, high = 110 },
  { name = "chol", unit = "mg/dL", substance = "cholesterol" },
  { name = "arm", type = "category", levels = ["control", "treated"] },
  { name = "days", unit = "day", low = 0 },
  { name = "died" },
]
[step.sites.south]
chol = { column = "chol_si", unit = "mmol/L" }
arm = { column = "group", codes = { "0" = "control", "1" = "treated" } }

[[step]]
operator = "table_one"
columns = ["age", "chol"]
by = "arm"

[[step]]
operator = "glm"
outcome = "died"
terms = ["age", "arm"]

[[step]]
operator = "kaplan_meier"
time = "days"
event = "died"
by = "arm"
interval = 30.0
horizon = 1500.0
"""


def made_up_patients(n: int, seed: int) -> dict[str, np.ndarray]:
    """Treated patients die later."""
    rng = np.random.default_rng(seed)
    age, treated = rng.normal(63, 9, n).round(), rng.integers(0, 2, n)
    days = rng.exponential(900 * np.exp(0.5 * treated - 0.03 * (age - 63))).round() + 1
    return {
        "age": age,
        "chol": rng.normal(210 - 15 * treated, 30).round(),
        "arm": np.where(treated == 1, "treated", "control"),
        "days": np.minimum(days, 1400.0),
        "died": (days <= 1400).astype(np.int64),
    }


def main() -> None:
    tables = {name: made_up_patients(300, seed) for seed, name in enumerate(("north", "south", "west"))}
    south = tables["south"]
    south["chol_si"] = south.pop("chol") / 38.665
    south["group"] = (south.pop("arm") == "treated").astype(np.int64)
    sites = {name: Dataset.from_arrow(pa.table(columns), name=name) for name, columns in tables.items()}

    job = Job.from_toml(JOB)
    print(plan(job, {s: d.schema for s, d in sites.items()}, {s: len(d) for s, d in sites.items()}).text())
    _aligned, table, model, survival = (step.summary for step in simulate(job, sites)["north"].steps)

    for line in table["lines"]:
        cells = (f"{m:.1f} ± {s:.1f}" for m, s in zip(line["mean"], line["sd"], strict=True))
        print(f"{line['column']:<6}", *cells, f"p = {line['p']:.3f}", sep="   ")
    for term in model["coefficients"]:
        print(f"{term['name']:<12} {term['coef']:+.3f} (SE {term['se']:.3f})")
    for curve in survival["curves"]:
        last = curve["survival"][-1]
        print(f"{curve['group']:<8} {curve['n']} patients, {curve['total_events']} died; at the end {last:.0%} survive")


if __name__ == "__main__":
    main()

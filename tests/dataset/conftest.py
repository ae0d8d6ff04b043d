"""A small dataset with every kind of column that an analysis meets."""

import datetime as dt
import os
from pathlib import Path

import pyarrow as pa
import pytest

from ppc.dataset import Dataset, Field, Role, Schema


@pytest.fixture
def customers() -> Dataset:
    schema = Schema(
        (
            Field("customer_id", "string", role=Role.IDENTIFIER, nullable=False),
            Field("age", "int64", role=Role.FEATURE, bounds=(18, 120), unit="years"),
            Field("income", "float64", role=Role.FEATURE, unit="EUR"),
            Field("joined", "date"),
            Field("default", "bool", role=Role.LABEL),
        ),
        name="customers",
    )
    table = pa.table(
        {
            "customer_id": ["007", "008", "009", "010"],
            "age": [30, None, 41, 65],
            "income": [1200.5, 800.0, None, 2000.25],
            "joined": [dt.date(2020, 1, 31), None, dt.date(2021, 2, 28), dt.date(2022, 3, 1)],
            "default": [True, False, None, False],
        }
    )
    return Dataset.from_arrow(table, schema, name="customers")


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("PPC_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real data at {folder}; set PPC_TEST_DATA")
    return folder

"""What a study takes from a hospital's records: one row a patient, columns by code. Read by `fhir` and `omop`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ppc.dataset.dataset import Dataset
from ppc.dataset.schema import Field, Role, Schema
from ppc.errors import ColumnError, ConfigError

Code = str | int
FIXED = ("person", "sex", "age")


@dataclass(frozen=True)
class Measure:
    """A measured quantity: its codes, the unit that values must have (others are an error), and which value counts."""

    codes: tuple[Code, ...]
    unit: Code | None = None
    which: Literal["first", "last"] = "last"


@dataclass(frozen=True)
class Extract:
    """The columns of the study beside `person` (an identifier), `sex` ("female", "male" or null) and `age`.

    Args:
        on: the day at which age is counted; later conditions, values and drugs are left out.
        conditions, drugs: `{column: codes}`; 1 if the patient has one of the codes, else 0.
        measures: `{column: Measure}`; null where the patient has no value.
    """

    on: dt.date
    conditions: Mapping[str, tuple[Code, ...]] = field(default_factory=dict)
    measures: Mapping[str, Measure] = field(default_factory=dict)
    drugs: Mapping[str, tuple[Code, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [*FIXED, *self.conditions, *self.measures, *self.drugs]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ConfigError(f"the extract has column '{twice[0]}' more than once", where="extract")


def assemble(extract: Extract, people: Mapping[str, tuple[str | None, float | None]], flags: Mapping[str, set[str]],
             values: Mapping[str, Mapping[str, float]], name: str) -> Dataset:  # fmt: skip
    """The dataset of `people` (sex and age by identifier), who is in each flag, and each measure's values."""
    order = sorted(people)
    table: dict[str, Any] = {
        "person": pa.array(order, pa.string()),
        "sex": pa.array([people[p][0] for p in order], pa.string()),
        "age": pa.array([people[p][1] for p in order], pa.float64()),
    }
    fields = [
        Field("person", "string", role=Role.IDENTIFIER),
        Field("sex", "string", domain=("female", "male")),
        Field("age", "float64", unit="year"),
    ]
    for column in (*extract.conditions, *extract.drugs):
        table[column] = pa.array(np.array([p in flags[column] for p in order], np.int64))
        fields.append(Field(column, "int64"))
    for column, measure in extract.measures.items():
        table[column] = pa.array([values[column].get(p) for p in order], pa.float64())
        fields.append(Field(column, "float64", unit=str(measure.unit) if isinstance(measure.unit, str) else None))
    return Dataset.from_arrow(pa.table(table), Schema(tuple(fields)), name)


def wrong_unit(column: str, found: int, where: str) -> ColumnError:
    """Values of one measure in several units."""
    return ColumnError(
        f"'{column}' has values in {found} units", where=where,
        hint="Name the unit that counts, or extract one column for each unit and convert with align_schema.",
    )  # fmt: skip

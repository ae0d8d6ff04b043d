"""Every implementation of `Analysable`, under one name each.

To put another one through the suite, add one entry to `IMPLEMENTATIONS`. Import what it needs inside its function, so
that a protection that is broken fails its own tests and nobody else's.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset import Analysable, Dataset, Field, Role, Schema


@dataclass(frozen=True)
class Implementation:
    """One implementation, and how close its answers have to be.

    Attributes:
        name: in the tests' ids.
        build: protects a dataset; gives the protected one, and a tolerance t: an answer a is right for an exact
            answer x if |a − x| <= t · max(1, |x|). If the protected one has `close()`, it is called after the test.
        refuses: the questions ("variance", "histogram") and cases ("one row", "no values") that it refuses with a
            `ProtectionError`. The suite checks that it does; whatever is not listed has to be answered.
    """

    name: str
    build: Callable[[Dataset], tuple[Analysable, float]]
    refuses: frozenset[str] = frozenset()


def _clear(ds: Dataset) -> tuple[Analysable, float]:
    return ds, 1e-13


def _shared(ds: Dataset) -> tuple[Analysable, float]:
    from ppc.mpc.local import LocalSharedDataset

    return LocalSharedDataset(ds), 2e-5


def _encrypted(ds: Dataset) -> tuple[Analysable, float]:
    from ppc import he

    key = he.generate("paillier", bits=2048)
    return he.encrypt(
        ds, key, [f.name for f in ds.schema.fields if f.type in ("int64", "float64", "bool")], squares=True
    ), 1e-6


def _private(ds: Dataset) -> tuple[Analysable, float]:
    from ppc import dp

    # so much budget that the noise is smaller than the tolerance
    return dp.protect(ds, dp.Budget(epsilon=1e8), ledger=":memory:").at(epsilon=1e6), 1e-3


IMPLEMENTATIONS = [
    Implementation("clear", _clear),
    # Bins are compared before they are encrypted, so a histogram has only the edges it was encrypted with.
    Implementation("paillier", _encrypted, refuses=frozenset({"histogram"})),
    Implementation("shared", _shared),
    Implementation("private", _private),
]


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda i: i.name)
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return request.param


class Answers:
    """A protected dataset beside the values that it was made from."""

    def __init__(self, protected: Analysable, tolerance: float, clear: pa.Table) -> None:
        self.protected = protected
        self.clear = clear
        self.tolerance = tolerance

    def release(self, value: object) -> float | np.ndarray:
        return self.protected.release(value)

    def close_enough(self, answer: object, exact: float) -> bool:
        if not isinstance(answer, int | float | np.number) or isinstance(answer, bool):
            return False
        if math.isnan(exact):
            return math.isnan(answer)
        return abs(answer - exact) <= self.tolerance * max(1.0, abs(exact))


@pytest.fixture
def protect(implementation: Implementation) -> Iterator[Callable[[Dataset], Answers]]:
    """Puts a dataset under the implementation of this test."""
    with contextlib.ExitStack() as stack:

        def build(ds: Dataset) -> Answers:
            protected, tolerance = implementation.build(ds)
            close = getattr(protected, "close", None)
            if close is not None:
                stack.callback(close)
            return Answers(protected, tolerance, ds.to_arrow())

        yield build


SCHEMA = Schema(
    (
        Field("patient_id", "string", role=Role.IDENTIFIER),
        Field("age", "int64", role=Role.FEATURE, bounds=(0, 120), unit="years"),
        Field("days", "float64", role=Role.FEATURE, bounds=(0, 100), unit="days"),
        Field("returned", "bool", role=Role.LABEL),
        Field("unknown", "float64", bounds=(0, 1)),
        Field("admitted", "date"),
    ),
    name="stays",
)


@pytest.fixture
def stays() -> Dataset:
    """200 stays in a hospital: integers, halves (to hit the edges of bins), bools, nulls in each, a column of nulls."""
    rng = np.random.default_rng(20240229)
    n = 200

    def some(values: list, share: float) -> list:
        return [None if gone else v for v, gone in zip(values, rng.random(n) < share, strict=True)]

    table = pa.table(
        {
            "patient_id": [f"P{i:04}" for i in range(n)],
            "age": some(rng.integers(0, 121, n).tolist(), 0.1),
            "days": some((rng.integers(0, 201, n) / 2).tolist(), 0.2),
            "returned": some((rng.random(n) < 0.3).tolist(), 0.05),
            "unknown": pa.nulls(n, pa.float64()),
            "admitted": some([dt.date(2024, 1, 1)] * n, 0.1),
        }
    )
    return Dataset.from_arrow(table, SCHEMA, name="stays")

"""Synthetic rows: near in their marginals, honest about it, and drawn from noisy counts alone."""

import numpy as np
import pyarrow as pa
import pytest

from ppc import dp
from ppc.dataset import Dataset, Field, Schema
from ppc.errors import QueryError, TypeMismatchError

SCHEMA = Schema(
    (
        Field("age", "int64", bounds=(0, 99)),
        Field("days", "float64", bounds=(0, 40)),
        Field("ward", "string", domain=("A", "B", "C")),
        Field("old", "bool"),
        Field("free", "string"),
    ),
    name="stays",
)


def people(n=6000):
    rng = np.random.default_rng(4)
    age = rng.integers(0, 100, n)
    days = np.clip(age / 4 + rng.normal(0, 3, n), 0, 40)
    ward = np.where(age < 30, "A", rng.choice(["B", "C"], n))
    return Dataset.from_arrow(pa.table({"age": age, "days": days, "ward": ward, "old": age > 65, "free": ward}), SCHEMA)


@pytest.mark.parametrize("price", [{"epsilon": 3.0}, {"rho": 0.5}])
def test_marginals_and_dependence_come_through(price):
    real = people()
    with dp.Session(real, dp.Budget(10, 1e-6), ledger=":memory:") as s:
        made = s.synthesize(["age", "days", "ward", "old"], **price)
        assert len(s.history()) == 1
        cost = s.budget.totals
        assert float(cost.epsilon) <= 3.0 if "epsilon" in price else float(cost.rho) <= 0.5
    frame, truth = made.dataset.to_pandas(), real.to_pandas()
    assert abs(len(frame) - 6000) < 200
    assert made.dataset.schema["age"].type == "int64"
    assert frame.age.between(0, 99).all()
    assert frame.days.between(0, 40).all()
    assert frame.ward.value_counts(normalize=True).to_dict() == pytest.approx(
        truth.ward.value_counts(normalize=True).to_dict(), abs=0.03
    )
    assert frame.age.mean() == pytest.approx(truth.age.mean(), abs=2)
    assert frame[["age", "days"]].corr().iloc[0, 1] > 0.7
    assert (frame[frame.ward == "A"].age < 40).mean() > 0.9
    # the report is measured with noise, and near what can be computed from the real rows
    cells = [np.histogram(f.age, np.linspace(0, 100, 17))[0] / len(f) for f in (frame, truth)]
    assert made.marginal_error == pytest.approx(0.5 * np.abs(cells[0] - cells[1]).sum(), abs=0.05)
    assert made.marginal_error <= made.pair_error + 0.05 < 0.25
    assert len(made.tree) == 3
    assert "distance" in repr(made)
    for measured, synthetic in made.correlations.values():
        assert abs(measured - synthetic) < 0.1


def test_what_can_not_be_synthesised():
    with dp.Session(people(100), dp.Budget(1), ledger=":memory:") as s:
        for columns in (["age"], ["age", "free"], ["age", dp.unknown("free")]):
            with pytest.raises((QueryError, TypeMismatchError)):
                s.synthesize(columns)
        with pytest.raises(QueryError):
            s.synthesize(["age", "ward"], rows=0)
        assert s.history() == []
        made = dp.synthesize(s, ["ward", dp.bin("age", [0, 50, 100])], epsilon=0.5, rows=50)
        assert len(made.dataset) == 50


def test_a_person_has_one_part_in_it():
    real = people(2000)
    real = real.with_column("p", np.arange(2000) // 4)
    with dp.Session(real, dp.Budget(10), dp.person("p", max_rows=2), ":memory:") as s:
        made = s.synthesize(["ward", "old"], epsilon=5)
        assert abs(len(made.dataset) - 1000) < 60, "two rows of each of 500 persons"


def test_a_distance_moves_with_all_rows_of_a_person():
    """Its noise is for one number, which nine rows in nine cells may all move one way; counts by cell have less."""
    from ppc.dp import synth

    unit = dp.person("p", max_rows=9, max_groups=9, max_rows_per_group=1)
    made = synth.prepare(["ward", "old"], people(4).with_column("p", np.arange(4)).schema, unit, dp.Price(rho=1))
    assert [m.sensitivity for m in made.reports] == [9, 9]
    assert [m.sensitivity for m in made.ones] == [3, 3]

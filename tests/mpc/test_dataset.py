import math

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset import Dataset, Field, Schema
from ppc.errors import ConfigError, PpcError, ProtectionError, SchemaError, TypeMismatchError, ValueRangeError
from ppc.mpc import run, share
from ppc.mpc.local import LocalSharedDataset

SCHEMA = Schema(
    (
        Field("income", "float64", bounds=(-1000, 250_000), unit="EUR"),
        Field("age", "int64", bounds=(18, 110), nullable=False),
        Field("wealth", "float64"),
        Field("city", "string"),
    )
)


def customers(n, seed=1):
    r = np.random.default_rng(seed)
    income = np.clip(np.exp(r.normal(10, 0.8, n)), -1000, 250_000)
    return Dataset.from_arrow(
        pa.table(
            {
                "income": pa.array(income, mask=r.random(n) < 0.1),
                "age": r.integers(18, 111, n),
                "wealth": r.normal(size=n),
                "city": pa.array(["x"] * n, pa.string()),
            }
        ),
        SCHEMA,
    )


def ask(s, ds, to=None):
    d = share(s, ds if s.rank == 0 else None, 0, to=to)
    return [d.release(v) for c in ("income", "age") for v in (d.count(c), d.sum(c), d.mean(c), d.variance(c))]


@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("n", [2, 1000, 100_000])
def test_answers_at_every_party(parties, n):
    ds = customers(n)
    expected = [v for c in ("income", "age") for v in (ds.count(c), ds.sum(c), ds.mean(c), ds.variance(c))]
    for got in run(lambda s: ask(s, ds), parties=parties):
        # 1 / (rows with a value - 1) is within 2**-15 of itself (`ops.reciprocal`), and each rounding is a random one.
        np.testing.assert_allclose(got, expected, rtol=4e-5)


def test_no_rows_at_all():
    for got in run(lambda s: ask(s, customers(0))):
        assert got[:2] == [0, 0.0]
        assert all(math.isnan(v) for v in (*got[2:4], *got[6:]))


def test_only_one_party_may_see():
    first, second = run(lambda s: ask(s, customers(50), to="party-1"))
    assert first == [None] * 8
    assert second[0] == customers(50).count("income")


def test_the_owner_may_be_any_party_and_the_schema_travels():
    def program(s):
        d = share(s, customers(20) if s.rank == 1 else None, "party-1", columns=["age", "city"])
        return d.schema.names, d.schema["age"].bounds, len(d), d.num_rows, d.release(d.count("city")), repr(d)

    first, second = run(program)
    assert first == second
    assert first[:4] == (["age", "city"], (18.0, 110.0), 20, 20)
    assert first[4] == 20


def test_a_column_without_bounds_is_counted_and_not_summed():
    with LocalSharedDataset(customers(10)) as d:
        assert d.release(d.count("wealth")) == 10
        with pytest.raises(ProtectionError, match="bounds") as e:
            d.sum("wealth")
        assert "ppc.he" in (e.value.hint or "")


def test_values_outside_of_the_bounds_are_refused_before_anything_is_sent():
    ds = customers(10)
    bad = ds.with_schema(ds.schema.with_field(Field("age", "int64", bounds=(18, 20), nullable=False)))
    with pytest.raises(ValueRangeError, match="'age'") as e:
        run(lambda s: ask(s, bad))
    assert "party" not in str(e.value)


def test_a_schema_that_forbids_nulls_is_held():
    table = pa.table({"x": pa.array([1.0, None])})
    ds = Dataset.from_arrow(table, Schema((Field("x", "float64", bounds=(0, 1)),)))
    lying = Schema((Field("x", "float64", bounds=(0, 1), nullable=False),))
    with pytest.raises(SchemaError, match="'x'"):
        run(lambda s: share(s, ds.with_schema(lying) if s.rank == 0 else None, 0) and None)


def test_wrong_arguments():
    def program(s):
        for owner in ("party-7", 5):
            with pytest.raises(ConfigError):
                share(s, None, owner)
        with pytest.raises(ConfigError, match="dataset"):
            share(s, None, s.rank)
        return True

    assert run(program) == [True, True]
    with LocalSharedDataset(customers(3)) as d, pytest.raises(TypeMismatchError):
        d.release(3)


def test_a_failure_at_the_start_is_raised_and_leaves_no_thread():
    with pytest.raises(PpcError):
        LocalSharedDataset(customers(3).with_schema(SCHEMA.with_field(Field("age", "int64", bounds=(0, 1)))))


def test_histograms_of_many():
    ds = customers(5000)
    edges = [0, 10_000, 20_000, 50_000, 250_000]
    with LocalSharedDataset(ds) as d:
        np.testing.assert_array_equal(d.release(d.histogram("income", edges)), ds.histogram("income", edges))
        np.testing.assert_array_equal(
            d.release(d.histogram("age", [18, 30, 110, 1e9])), ds.histogram("age", [18, 30, 110, 1e9])
        )

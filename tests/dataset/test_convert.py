"""How data are fitted to a schema: what may change its type, and what is refused, by name and never by value."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from ppc.dataset import Dataset, Field, Schema
from ppc.errors import SchemaError, TypeMismatchError


def fitted(values, kind, wanted, **more):
    ds = Dataset.from_arrow(pa.table({"x": pa.array(values, kind)}), name="d")
    return ds.with_schema(Schema((Field("x", wanted, **more),))).column("x")


@pytest.mark.parametrize(
    ("values", "kind", "wanted"),
    [
        ([1, None], "int64", "float64"),
        ([1, None], "int64", "int8"),
        ([1.0, None], "float64", "int64"),
        ([1.5, None], "float32", "float64"),
        ([0, 1, None], "int64", "bool"),
        ([None, None], "null", "string"),
        ([None, None], "null", "bool"),
        ([], "float64", "int64"),
        ([Decimal("1.5"), None], pa.decimal128(5, 1), "float64"),
        ([1, None], "int32", "decimal128(12, 2)"),
        ([dt.datetime(2020, 1, 1), None], pa.timestamp("ns"), "timestamp"),
    ],
)
def test_types_may_change_where_no_value_does(values, kind, wanted):
    column = fitted(values, kind, wanted)
    assert Schema.from_arrow(pa.schema([("x", column.type)]))["x"].type == wanted
    assert [None if v is None else float(v) if isinstance(v, Decimal) else v for v in column.to_pylist()] == [
        None if v is None else float(v) if isinstance(v, Decimal) else v for v in values
    ]


def test_a_date_may_be_a_timestamp():
    assert fitted([dt.date(2020, 1, 2)], "date32", "timestamp").to_pylist() == [dt.datetime(2020, 1, 2)]


@pytest.mark.parametrize(
    ("values", "kind", "wanted", "found"),
    [
        (["73501"], "string", "int64", "string"),
        ([73501], "int64", "string", "int64"),
        ([73501], "int64", "int8", "int64"),
        ([73501.25], "float64", "int64", "float64"),
        ([2**62 + 1], "int64", "float64", "int64"),
        ([-73501], "int64", "uint64", "int64"),
        ([float("nan")], "float64", "int64", "float64"),
        ([2], "int64", "bool", "int64"),
        ([True], "bool", "int64", "bool"),
        ([1.0], "float64", "null", "float64"),
        ([dt.datetime(2020, 1, 1, 1)], pa.timestamp("us"), "date", "timestamp"),
        ([dt.datetime(2020, 1, 1, 1)], pa.timestamp("us"), "timestamp[us, tz=UTC]", "timestamp"),
        ([[1]], pa.list_(pa.int64()), "int64", "list<int64>"),
    ],
)
def test_other_types_are_refused_by_name(values, kind, wanted, found):
    with pytest.raises(TypeMismatchError) as e:
        fitted(values, kind, wanted)
    assert "column 'x'" in e.value.what
    assert f"should be {wanted}" in e.value.what
    assert f"but is {found}" in e.value.what
    assert "dataset 'd'" in e.value.where
    assert "73501" not in f"{e.value}{e.value.hint}{e.value.__cause__}"


def test_columns_that_only_one_of_them_has():
    ds = Dataset.from_arrow(pa.table({"age": [1], "income": [2]}))
    with pytest.raises(SchemaError, match="schema has column 'agee', which the data do not have") as e:
        ds.with_schema(Schema((Field("agee", "int64"), Field("income", "int64"))))
    assert e.value.hint == "Did you mean 'age'?"
    with pytest.raises(SchemaError, match="data have column 'income', which the schema does not have") as e:
        ds.with_schema(Schema((Field("age", "int64"),)))
    assert "[fields.income]" in e.value.hint


def test_nulls_where_the_schema_says_none():
    with pytest.raises(SchemaError, match="may not have missing values") as e:
        fitted([1, None, None], "int64", "int64", nullable=False)
    assert "column 'x', data row 2" in e.value.where
    assert fitted([1, 2], "int64", "int64", nullable=False).null_count == 0

"""Datasets: in from any Arrow library and out again, selections, and errors that name the column."""

import builtins
import math

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ppc.dataset import Analysable, Dataset, Field, Role, Schema
from ppc.errors import ColumnError, MissingExtra, SchemaError, TypeMismatchError, ValueRangeError

DATA = {"x": [1, 2, None], "s": ["a", None, "c"]}


# --- in and out ---
@pytest.mark.parametrize(
    "make",
    [
        pa.table,
        lambda d: pa.record_batch(d),
        lambda d: pa.table(d).to_reader(),
        lambda d: pd.DataFrame(d).convert_dtypes(),
        pl.DataFrame,
        lambda d: duckdb.from_arrow(pa.table(d)),
        lambda d: Dataset.from_arrow(pa.table(d)),
    ],
    ids=["table", "batch", "reader", "pandas", "polars", "duckdb", "dataset"],
)
def test_anything_that_speaks_arrow_becomes_a_dataset(make):
    ds = Dataset.from_arrow(make(DATA), name="d")
    assert ds.to_arrow().to_pydict() == DATA
    assert [f.type for f in ds.schema] == ["int64", "string"]
    assert ds.name == "d"
    assert ds.schema.name == "d"


def test_and_is_handed_back(customers):
    assert pa.table(customers).equals(customers.to_arrow())
    assert pl.DataFrame(customers)["age"].to_list() == [30, None, 41, 65]
    assert customers.to_polars().equals(pl.DataFrame(customers))
    assert customers.to_pandas()["customer_id"].tolist() == ["007", "008", "009", "010"]
    assert duckdb.sql("SELECT sum(age) FROM customers").fetchall() == [(136,)]


@pytest.mark.parametrize("obj", [3, None, "customers.csv", [[1, 2]], {"x": [1]}, np.eye(2)])
def test_what_is_not_a_table(obj):
    with pytest.raises(TypeMismatchError, match=f"found {type(obj).__name__}") as e:
        Dataset.from_arrow(obj)
    assert "__arrow_c_stream__" in e.value.hint


def test_the_unnamed_index_of_a_pandas_frame_is_left_out():
    frame = pd.DataFrame({"x": [1, 2, 3]})
    assert Dataset.from_arrow(frame[frame.x > 1]).columns == ["x"]
    named = Dataset.from_arrow(frame.set_index(pd.Index([7, 8, 9], name="id")))
    assert named.columns == ["x", "id"]
    assert named.numpy("id").tolist() == [7, 8, 9]


def test_a_pandas_column_of_mixed_objects_is_refused_without_its_values():
    with pytest.raises(TypeMismatchError) as e:
        Dataset.from_arrow(pd.DataFrame({"ok": [1, 2], "mixed": ["secret-value", 1]}))
    assert "mixed" in str(e.value)
    assert "secret-value" not in str(e.value)


def test_encodings_are_decoded_and_metadata_dropped():
    table = pa.table(
        {
            "d": pa.array(["a", "b", "a"]).dictionary_encode(),
            "l": pa.array(["a", None, "b"], pa.large_string()),
            "v": pa.array(["a", None, "b"], pa.string_view()),
            "r": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([5, 6], pa.int64())),
            "u": pa.array([b"0" * 16] * 3, pa.uuid()),
        }
    ).replace_schema_metadata({"author": "somebody"})
    ds = Dataset.from_arrow(table)
    assert [str(t) for t in ds.to_arrow().schema.types] == ["string", "string", "string", "int64", "binary"]
    assert ds.column("r").to_pylist() == [5, 5, 6]
    assert ds.to_arrow().schema.metadata is None


def test_names_that_are_none():
    with pytest.raises(ColumnError, match="2 columns are named 'a'"):
        Dataset.from_arrow(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
    with pytest.raises(ColumnError, match="column 2 of 2 has no name"):
        Dataset.from_arrow(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", " "]))


@pytest.mark.parametrize(("name", "call"), [("pandas", "to_pandas"), ("polars", "to_polars")])
def test_pandas_and_polars_are_optional(monkeypatch, customers, name, call):
    real = builtins.__import__

    def without(module, *args, **kwargs):
        if module.split(".")[0] == name:
            raise ImportError(module)
        return real(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra) as e:
        getattr(customers, call)()
    assert e.value.hint == f"pip install {name}"


def test_a_dataset_can_not_be_changed(customers):
    with pytest.raises(AttributeError, match="can not be changed"):
        customers.name = "other"
    with pytest.raises(AttributeError, match="can not be changed"):
        del customers._table


def test_the_repr_shows_no_values(customers):
    assert repr(customers) == "<Dataset 'customers' rows=4 columns=5>"
    assert len(customers) == customers.num_rows == 4


def test_it_satisfies_the_protocol(customers):
    assert isinstance(customers, Analysable)
    assert not isinstance(customers.to_arrow(), Analysable)


# --- arrays ---
def test_arrays(customers):
    assert np.array_equal(customers.numpy("age"), [30, np.nan, 41, 65], equal_nan=True)
    assert np.array_equal(customers.numpy("default"), [1, 0, np.nan, 0], equal_nan=True)
    both = customers.matrix(["income", "age"])
    assert both.shape == (4, 2)
    assert both.dtype == np.float64
    assert both.flags.c_contiguous
    assert np.array_equal(both[:, 1], customers.numpy("age"), equal_nan=True)
    assert customers.matrix([]).shape == (4, 0)


def test_text_is_no_array_of_numbers(customers):
    for ask in (customers.numpy, customers.sum, customers.mean, customers.variance):
        with pytest.raises(TypeMismatchError, match="'customer_id' is string"):
            ask("customer_id")
    with pytest.raises(TypeMismatchError, match="'joined' is date"):
        customers.matrix(["age", "joined"])


def test_finite_reports_the_first_row_that_is_not(customers):
    with pytest.raises(ValueRangeError) as e:
        customers.numpy("income", finite=True)
    assert "column 'income', data row 3" in e.value.where
    infinite = customers.with_column("income", [1.0, 2.0, 3.0, math.inf])
    with pytest.raises(ValueRangeError, match="infinite") as e:
        infinite.matrix(["income"], finite=True)
    assert "data row 4" in e.value.where
    assert customers.where("age is not null").numpy("age", finite=True).tolist() == [30, 41, 65]


def test_unknown_columns_are_refused_with_the_nearest_name(customers):
    asks = [
        lambda: customers.column("incme"),
        lambda: customers.numpy("incme"),
        lambda: customers.count("incme"),
        lambda: customers.histogram("incme", [0, 1]),
        lambda: customers.select(["age", "incme"]),
        lambda: customers.drop(["incme"]),
        lambda: customers.rename({"incme": "x"}),
    ]
    for ask in asks:
        with pytest.raises(ColumnError, match="no column 'incme'") as e:
            ask()
        assert e.value.hint == "Did you mean 'income'?"
        assert "dataset 'customers'" in e.value.where


# --- selections ---
def test_select_and_drop(customers):
    assert customers.select(["income", "age"]).columns == ["income", "age"]
    assert customers.drop(["age", "joined"]).columns == ["customer_id", "income", "default"]
    assert customers.select(["age"]).schema["age"].unit == "years"
    with pytest.raises(TypeMismatchError, match="list of column names"):
        customers.select("age")


@pytest.mark.parametrize(
    "condition",
    [
        "age > 40",
        np.array([False, False, True, True]),
        [False, None, True, True],
        pa.array([False, None, True, True]),
        pd.Series([False, False, True, True]),
        pl.Series([False, None, True, True]),
    ],
)
def test_where(customers, condition):
    chosen = customers.where(condition)
    assert chosen.column("customer_id").to_pylist() == ["009", "010"]
    assert chosen.schema == customers.schema


@pytest.mark.parametrize("mask", [[True], [1, 0, 1, 0], np.ones((4, 1), bool), ["a"] * 4, 3, None, []])
def test_masks_that_are_none(customers, mask):
    with pytest.raises(TypeMismatchError):
        customers.where(mask)


def test_an_empty_mask_fits_no_rows(customers):
    none = customers.where("age < 0")
    assert len(none.where([])) == 0


def test_take(customers):
    assert customers.take([3, 0, 0]).column("customer_id").to_pylist() == ["010", "007", "007"]
    assert len(customers.take([])) == 0
    assert len(customers.take(np.array([2], dtype=np.uint8))) == 1
    assert customers.take(pa.array([1])).column("customer_id").to_pylist() == ["008"]
    for indices in ([4], [-1]):
        with pytest.raises(ValueRangeError, match="from 0 to 3"):
            customers.take(indices)
    for indices in ([0.5], [True], [[0]], 1, ["a"]):
        with pytest.raises(TypeMismatchError):
            customers.take(indices)


# --- other columns and schemas ---
def test_with_column(customers):
    more = customers.with_column("ratio", customers.numpy("income") / customers.numpy("age"))
    assert more.columns[-1] == "ratio"
    assert more.count("ratio") == 2  # NaN from NumPy is a null, as it was before
    assert "ratio" not in customers.columns
    doubled = customers.with_column("income", customers.numpy("income") * 2)
    assert doubled.columns == customers.columns
    assert doubled.schema["income"] == customers.schema["income"]  # the same type: the same meaning
    text = customers.with_column("income", ["low", "low", None, "high"])
    assert text.schema["income"] == Field("income", "string")
    named = customers.with_column("w", [1, 2, 3, 4], Field("w", "float64", role=Role.WEIGHT))
    assert named.schema.by_role("weight")[0].name == "w"
    assert named.column("w").type == pa.float64()
    assert customers.with_column("p", pl.Series([1, 2, 3, 4])).sum("p") == 10
    assert customers.with_column("p", pd.Series([1.5, np.nan, 3, 4])).count("p") == 3
    assert customers.select([]).with_column("a", [1, 2]).columns == ["a"]


def test_with_column_refuses_what_does_not_fit(customers):
    with pytest.raises(TypeMismatchError, match="3 values for 4 rows"):
        customers.with_column("x", [1, 2, 3])
    with pytest.raises(SchemaError, match="of column 'y', not of 'x'"):
        customers.with_column("x", [1, 2, 3, 4], Field("y", "int64"))
    with pytest.raises(TypeMismatchError, match="should be int64, but is string"):
        customers.with_column("x", ["a", "b", "c", "d"], Field("x", "int64"))
    with pytest.raises(TypeMismatchError) as e:
        customers.with_column("x", ["secret-value", 1, 2, 3])
    assert "secret-value" not in str(e.value)
    with pytest.raises(ColumnError):
        customers.with_column("", [1, 2, 3, 4])


def test_rename(customers):
    renamed = customers.rename({"age": "years", "income": "age"})
    assert renamed.columns == ["customer_id", "years", "age", "joined", "default"]
    assert renamed.schema["years"].bounds == (18, 120)
    assert renamed.schema["age"].unit == "EUR"
    assert renamed.mean("years") == customers.mean("age")
    with pytest.raises(ColumnError, match="2 columns are named 'income'"):
        customers.rename({"age": "income"})


def test_with_schema(customers):
    other = Schema(tuple(reversed(customers.schema.fields))).with_field(Field("age", "float64"))
    again = customers.with_schema(other)
    assert again.schema == other
    assert again.columns == other.names
    assert again.column("age").type == pa.float64()
    assert again.mean("age") == customers.mean("age")


def test_equals(customers):
    assert customers.equals(customers.take([0, 1, 2, 3]))
    assert not customers.equals(customers.take([1, 0, 2, 3]))
    assert not customers.equals(customers.with_schema(customers.schema.with_field(Field("age", "int64"))))


# --- release ---
def test_release_gives_numbers_and_nothing_else(customers):
    assert customers.release(customers.sum("age")) == 136
    assert customers.release(customers.histogram("age", [0, 40, 80])).tolist() == [1, 2]
    assert type(customers.release(np.float64(1.5))) is float
    for value in ("text", None, customers, [1]):
        with pytest.raises(TypeMismatchError):
            customers.release(value)

"""Which columns enter a model, and pipelines that give new rows the same features."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset.dataset import Dataset
from ppc.dataset.schema import Field, Role, Schema
from ppc.errors import ColumnError, ModelFileError, ValueRangeError
from ppc.joint import PlanView
from ppc.joint.credit import features

A = Schema(
    (
        Field("id", "string"),
        Field("age", "int64"),
        Field("city", "string"),
        Field("opened", "date"),
        Field("exposure", "float64", role=Role.WEIGHT),
        Field("bad", "int64", role=Role.LABEL),
    )
)
B = Schema((Field("id", "string"), Field("age", "float64"), Field("debt", "float64"), Field("vip", "bool")))
VIEW = PlanView(("a", "b"), "a", {"a": A, "b": B}, {"a": 10, "b": 20}, facts={"keys": ("id",)})


def test_candidates_are_numbers_booleans_and_text_without_another_role() -> None:
    assert features.candidates(VIEW) == {"a": ("age", "city"), "b": ("age", "debt", "vip")}
    assert features.candidates(VIEW, numeric=True)["a"] == ("age",)
    assert features.candidates(VIEW, drop=("a.age", "vip"))["b"] == ("age", "debt")
    assert features.candidates(VIEW, apart=[("b", "debt")])["b"] == ("age", "vip")


def test_the_role_feature_says_it_exactly() -> None:
    schema = B.with_field(Field("debt", "float64", role=Role.FEATURE))
    view = PlanView(("a", "b"), "a", {"a": A, "b": schema}, {"a": 1, "b": 1})
    assert features.candidates(view)["b"] == ("debt",)


def test_earlier_steps_decide_what_is_expected() -> None:
    view = VIEW.with_features({"a": ("age",), "b": ("debt", "vip")})
    assert features.expected(view, drop=("vip",)) == {"a": ("age",), "b": ("debt",)}


def test_views_name_columns_and_owners() -> None:
    assert VIEW.resolve("debt") == ("b", "debt")
    assert VIEW.resolve("b.age") == ("b", "age")
    assert VIEW.label(None) == ("a", "bad")
    with pytest.raises(ColumnError, match="is at a and b"):
        VIEW.resolve("age")
    with pytest.raises(ColumnError, match="no party has a column 'dept'") as caught:
        VIEW.resolve("dept")
    assert caught.value.hint == "Did you mean 'debt'?"
    with pytest.raises(ColumnError) as caught:
        VIEW.column("b", "vipp")
    assert caught.value.party == "b"
    assert VIEW.max_rows == 10


def test_a_pipeline_is_a_function_of_specs_and_rows() -> None:
    data = Dataset.from_arrow(pa.table({"x": [1.0, 2.0], "y": [3, 4], "z": [True, False]}))
    pipeline: features.Pipeline = [{"kind": "columns", "names": ["z", "x", "y"]}, {"kind": "keep", "names": ["y", "z"]}]
    made = features.apply(pipeline, data)
    assert made.names == ("y", "z")
    assert made.matrix.tolist() == [[3.0, 1.0], [4.0, 0.0]]
    assert features.apply([], data).matrix.shape == (2, 0)
    assert features.apply(pipeline, data.take(np.arange(0))).matrix.shape == (0, 2)


def test_pipelines_of_another_version_are_refused() -> None:
    data = Dataset.from_arrow(pa.table({"x": [1.0]}))
    with pytest.raises(ModelFileError, match="unknown feature transform 'splines'"):
        features.apply([{"kind": "splines"}], data)
    with pytest.raises(ModelFileError, match="begin with 'keep'"):
        features.apply([{"kind": "keep", "names": ["x"]}], data)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, None, 4711.0], "1 missing"),
        ([1.0, float("nan"), 4711.0], "NaN"),
        ([1.0, float("-inf"), 4711.0], "infinite"),
    ],
)
def test_values_that_no_regression_takes(values: list[float | None], message: str) -> None:
    data = Dataset.from_arrow(pa.table({"x": values}), name="loans")
    with pytest.raises(ValueRangeError, match=message) as caught:
        features.finite(data, "x")
    assert "loans" in (caught.value.where or "")
    assert "'x'" in caught.value.what
    assert "4711" not in str(caught.value)

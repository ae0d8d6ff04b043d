"""Labels: what counts as binary, and what is refused without showing a value."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from ppc.dataset.dataset import Dataset
from ppc.dataset.schema import Field
from ppc.errors import LabelError
from ppc.joint.credit import label


def dataset(values: Any) -> Dataset:
    return Dataset.from_arrow(pa.table({"y": values}), name="loans")


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        ([0, 1, 1], None),
        ([0.0, 1.0, 1.0], None),
        ([False, True, True], None),
        (["good", "bad", "bad"], "bad"),
        ([1, 2, 2], "2"),
    ],
)
def test_binary_labels(values: Any, positive: str | None) -> None:
    assert label.binary(dataset(values), "y", positive=positive).tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("values", "positive", "message"),
    [
        ([0, 1, None], None, "1 missing"),
        ([0, 1, 2], None, "3 distinct values"),
        ([4711, 4712, 4711], None, "two values, but not 0 and 1"),
        ([0.0, 1.0, float("nan")], None, "not binary"),
        (["good", "bad"], None, "not 0/1"),
        (["good", "bad", "4711"], "bad", "3 distinct values"),
        (["good", "fine"], "bad", "one class"),
        ([1, 1, 1], None, "one class"),
    ],
)
def test_other_labels_are_refused(values: Any, positive: str | None, message: str) -> None:
    with pytest.raises(LabelError, match=message) as caught:
        label.binary(dataset(values), "y", positive=positive)
    assert "loans" in (caught.value.where or "")
    assert "4711" not in str(caught.value)


def test_types_are_checked_from_the_schema() -> None:
    label.check_type(Field("y", "int64"), party="a", where=None, positive=None)
    label.check_type(Field("y", "string"), party="a", where=None, positive="bad")
    with pytest.raises(LabelError, match="is text"):
        label.check_type(Field("y", "string"), party="a", where=None, positive=None)
    with pytest.raises(LabelError, match="of type date"):
        label.check_type(Field("y", "date"), party="a", where=None, positive=None)

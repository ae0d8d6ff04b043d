"""Artifacts: bit-exact, private, whole or absent, and damage is found."""

from __future__ import annotations

import math
import stat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.errors import FileError, InternalError, JobStateError
from ppc.joint import artifacts
from ppc.joint.artifacts import Store


def finish(store: Store, index: int = 0, step: str = "one", run: str = "r1") -> None:
    store.finish(index, step, key="k", run=run, seconds=1.5)


@given(st.lists(st.floats(width=64)))
def test_json_floats_keep_their_bits(values: list[float]) -> None:
    back = artifacts.loads(artifacts.dumps({"v": values}))["v"]
    assert np.array_equal(np.array(back, np.float64), np.array(values, np.float64), equal_nan=True)
    for a, b in zip(back, values, strict=True):
        assert math.isnan(a) if math.isnan(b) else math.copysign(1, a) == math.copysign(1, b)


def test_values_come_back_as_they_went(tmp_path: Path) -> None:
    store = Store(tmp_path / "w")
    step = store.begin(0, "one")
    array = np.array([[1.5, -0.0], [np.nan, np.inf]])
    table = pa.table({"a": [1, None, 3], "b": ["x", "y", None]})
    step.put_array("array", array)
    step.put_array("bits", np.array([True, False]))
    step.put_table("table", table)
    step.put_json("json", {"a": [1, 2.5, None, "x"], "n": np.float64(0.1), "v": np.arange(3)})
    finish(store)
    again = Store(tmp_path / "w")
    assert again.finished(0, "one", key="k") == "r1"
    step = again.of("one")
    assert step.array("array").tobytes() == array.tobytes()
    assert step.array("bits").tolist() == [True, False]
    assert step.table("table").equals(table)
    assert step.json("json") == {"a": [1, 2.5, None, "x"], "n": 0.1, "v": [0, 1, 2]}
    assert again.latest("bits") is step
    assert again.latest("absent") is None
    assert again.seconds(0, "one") == 1.5
    for name in step.names:
        assert stat.S_IMODE(step.path(name).stat().st_mode) == 0o600


def test_an_unfinished_step_does_not_count(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.begin(0, "one").put_array("x", np.arange(3))
    again = Store(tmp_path)
    assert again.finished(0, "one", key="k") is None
    with pytest.raises(JobStateError, match="'one' has not finished"):
        again.of("one")
    again.begin(0, "one")  # what was left is swept away
    finish(again)
    assert again.of("one").names == []


def test_beginning_a_step_removes_the_later_ones(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i, name in enumerate(("one", "two", "three")):
        store.begin(i, name)
        finish(store, i, name)
    store.begin(1, "two")
    again = Store(tmp_path)
    assert again.finished(0, "one", key="k") == "r1"
    assert again.finished(1, "two", key="k") is None
    assert again.finished(2, "three", key="k") is None


@pytest.mark.parametrize("damage", ["flip", "cut", "delete", "manifest", "other key"])
def test_damage_is_found(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    step = store.begin(0, "one")
    step.put_array("x", np.arange(100))
    finish(store)
    path = step.path("x")
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[:-8])
    elif damage == "delete":
        path.unlink()
    elif damage == "manifest":
        (path.parent / artifacts.MANIFEST).write_text("{")
    assert Store(tmp_path).finished(0, "one", key="other" if damage == "other key" else "k") is None
    if damage in ("flip", "cut", "delete"):
        with pytest.raises(FileError):
            store.of("one").array("x")


def test_wrong_uses(tmp_path: Path) -> None:
    store = Store(tmp_path)
    step = store.begin(0, "one")
    step.put_json("rows", 1)
    with pytest.raises(JobStateError, match="left no artifact 'row'") as caught:
        step.json("row")
    assert caught.value.hint == "Did you mean 'rows'?"
    with pytest.raises(InternalError, match="of kind json"):
        step.array("rows")
    with pytest.raises(InternalError, match="cannot be the name"):
        step.put_json("../x", 1)
    with pytest.raises(ValueError, match="Object arrays"):
        step.put_array("o", np.array([object()], object))
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot make the job's folder") as caught:
        Store(tmp_path / "file" / "w")
    assert "another folder" in (caught.value.hint or "")

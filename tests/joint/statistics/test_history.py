"""Questions whose rows differ by few from those of an earlier one are refused; the sites remember."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ppc.dataset.dataset import Dataset
from ppc.joint.statistics.history import History, difference


@pytest.fixture
def patients(split: Any) -> dict[str, Dataset]:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"id": np.arange(300), "x": rng.normal(size=300), "name": [f"p{i}" for i in range(300)]})
    sites: dict[str, Dataset] = split(frame)
    return sites


def describe(where: str | None = None) -> dict[str, Any]:
    return {"operator": "describe", "columns": ["x"], **({} if where is None else {"where": where})}


@pytest.mark.parametrize(("left_out", "refused"), [(0, False), (1, True), (4, True), (5, False), (6, False)])
def test_at_the_edge(patients: Any, run: Any, left_out: int, refused: bool) -> None:
    """The rows that differ lie at several sites: only their sum counts, and it stays closed."""
    first, second = run(patients, describe("id < 200"), describe(f"id < {200 - left_out}"))
    assert "columns" in first
    assert ("refused" in second) == refused
    if refused:
        assert "differ by fewer than 5 from those of an earlier question (study, step0)" in second["refused"]


def test_the_sites_remember_between_jobs(patients: Any, run: Any, tmp_path: Path) -> None:
    run(patients, describe(), models=tmp_path / "models")
    (again,) = run(patients, describe(), models=tmp_path / "models")
    (fewer,) = run(patients, describe("id <> 17"), models=tmp_path / "models")
    (others,) = run(patients, describe("id > 40"), models=tmp_path / "models")
    (elsewhere,) = run(patients, describe("id <> 17"), models=tmp_path / "fresh")
    assert "refused" in fewer
    assert all("columns" in found for found in (again, others, elsewhere))


def test_a_changed_value_is_a_changed_row(patients: Any, run: Any, tmp_path: Path) -> None:
    run(patients, describe(), models=tmp_path / "models")
    frame = patients["site-0"].to_pandas()
    frame.loc[0, "x"] = 9.0
    (found,) = run({**patients, "site-0": Dataset.from_arrow(frame)}, describe(), models=tmp_path / "models")
    assert "refused" in found


def test_marks_do_not_depend_on_the_order_and_tell_nothing_without_the_key(patients: Any, tmp_path: Path) -> None:
    one, other = History(tmp_path / "a"), History(tmp_path / "b")
    data = patients["site-2"]
    marks = one.marks(data)
    assert (marks == one.marks(data.take(np.arange(len(data))[::-1]))).all()
    assert not np.intersect1d(marks, other.marks(data)).size
    assert len(np.unique(marks)) == len(data)
    assert difference(marks, one.marks(data.take(np.arange(len(data) - 3)))) == 3
    assert (tmp_path / "a" / "key").stat().st_mode & 0o777 == 0o600


def test_difference_counts_repeated_rows() -> None:
    a, b = np.array([1, 1, 2], np.uint64), np.array([1, 3, 4], np.uint64)
    assert difference(a, b) == 2
    assert difference(a, a) == 0
    assert difference(a, a[:0]) == 3

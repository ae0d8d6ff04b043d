from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset.dataset import Dataset
from ppc.errors import DisclosureRefused, LabelError, TypeMismatchError
from ppc.joint.credit.binning import Codes
from ppc.joint.credit.fit import BinningRule, feature_values, take


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset.from_arrow(
        pa.table(
            {
                "age": pa.array([30, None, 50], pa.int32()),
                "flag": [True, None, False],
                "home": ["own", None, "rent"],
                "code": [2, 1, 2],
                "since": [dt.date(2020, 1, 1)] * 3,
            }
        )
    )


def test_numbers_flags_and_text(dataset: Dataset) -> None:
    np.testing.assert_array_equal(feature_values(dataset, "age"), [30, np.nan, 50])
    np.testing.assert_array_equal(feature_values(dataset, "flag"), [1, np.nan, 0])
    home = feature_values(dataset, "home")
    assert isinstance(home, Codes)
    assert [None if c < 0 else home.labels[c] for c in home.codes] == ["own", None, "rent"]


def test_codes_are_categories_when_asked_for(dataset: Dataset) -> None:
    code = feature_values(dataset, "code", categorical=True)
    assert isinstance(code, Codes)
    assert [code.labels[c] for c in code.codes] == ["2", "1", "2"]
    assert isinstance(feature_values(dataset, "code"), np.ndarray)


def test_other_types_are_refused_by_name(dataset: Dataset) -> None:
    with pytest.raises(TypeMismatchError, match="since"):
        feature_values(dataset, "since")


def test_rows_of_either_kind(dataset: Dataset) -> None:
    rows = np.array([2, 0])
    np.testing.assert_array_equal(take(feature_values(dataset, "age"), rows), [50, 30])
    home = take(feature_values(dataset, "home"), rows)
    assert [home.labels[c] for c in home.codes] == ["rent", "own"]


@pytest.mark.parametrize("method", ["optimal", "chi_merge", "equal_frequency", "equal_width"])
def test_bins_hold_enough_rows_and_are_few_enough(method: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=900)
    y = (rng.random(900) < 1 / (1 + np.exp(-2 * x))).astype(float)
    rule = BinningRule(method, max_bins=5, min_rows=30, specials=(9.0,))
    x[:40] = 9.0
    table = rule.fit(x, y, "x")
    rows = table.counts.rows
    assert 2 <= table.binning.n_regular <= 5
    assert ((rows == 0) | (rows >= 30)).all()
    assert rows[table.binning.special_bins[0]] == 40
    assert table.binning.n_bins <= rule.most_fine_bins
    assert table.iv > 0.5
    np.testing.assert_array_equal(table.transform(x), table.woe[table.binning.apply(x)])


def test_one_class_and_too_few_rows() -> None:
    with pytest.raises(LabelError):
        BinningRule().fit(np.arange(100.0), np.zeros(100), "x")
    with pytest.raises(DisclosureRefused):
        BinningRule().fit(np.arange(10.0), np.tile([0.0, 1.0], 5), "x")

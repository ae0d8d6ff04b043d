"""Hierarchies: tables, intervals, prefixes, dates; and what they lack."""

from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ppc.desensitize import transforms as t
from ppc.desensitize.hierarchy import Hierarchy
from ppc.errors import ConfigError, FileError, PpcError, TypeMismatchError, ValueRangeError

CSV = (
    "influenza A;flu;respiratory;*\ninfluenza B;flu;respiratory;*\nrhinitis;cold;respiratory;*\nulcer;ulcer;stomach;*\n"
)
TOML = """
[levels]
1 = { flu = ["influenza A", "influenza B"], cold = ["rhinitis"], ulcer = ["ulcer"] }
2 = { respiratory = ["flu", "cold"], stomach = ["ulcer"] }
3 = { "*" = ["respiratory", "stomach"] }
"""


@pytest.mark.parametrize("made", [Hierarchy.from_csv(CSV), Hierarchy.from_toml(TOML)], ids=["csv", "toml"])
def test_tables(made: Hierarchy) -> None:
    array = pa.array(["influenza B", "ulcer", None])
    assert made.height == 3
    assert [made.apply(array, i).to_pylist() for i in range(4)] == [
        ["influenza B", "ulcer", None],
        ["flu", "ulcer", None],
        ["respiratory", "stomach", None],
        ["*", "*", None],
    ]
    with pytest.raises(ConfigError, match="0 to 3"):
        made.apply(array, 4)
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301


def test_a_value_that_the_hierarchy_lacks() -> None:
    array = pa.array(["rhinitis", "topsecret", None])
    rows = [["rhinitis", "cold"]]
    with pytest.raises(ValueRangeError, match=r"1 value\(s\) are not in the hierarchy") as e:
        t.generalize(array, hierarchy=rows, level=1)
    assert "topsecret" not in str(e.value.to_dict())
    assert t.generalize(array, hierarchy=rows, level=1, missing="*").to_pylist() == ["cold", "*", None]
    assert t.generalize(array, hierarchy=rows, level=1, missing="null").to_pylist() == ["cold", None, None]


def test_intervals() -> None:
    h = Hierarchy.of({"kind": "interval", "widths": [5, 10], "low": 0, "high": 100})
    array = pa.array([0, 7, 12, 100, None])
    assert h.height == 3
    assert h.apply(array, 1).to_pylist() == ["[0, 5)", "[5, 10)", "[10, 15)", "[95, 100)", None]
    assert h.apply(array, 2).to_pylist() == ["[0, 10)", "[0, 10)", "[10, 20)", "[90, 100)", None]
    assert h.apply(array, 3).to_pylist() == ["*", "*", "*", "*", None]
    for bad in ([-1], [101], [float("nan")]):
        with pytest.raises(ValueRangeError, match="1 value"):
            h.apply(pa.array(bad, pa.float64()), 1)
    with pytest.raises(TypeMismatchError):
        h.apply(pa.array(["a"]), 1)


def test_prefixes_and_dates() -> None:
    h = Hierarchy.of({"kind": "prefix", "keep": [4, 2]})
    assert [h.apply(pa.array(["518000", "51"]), i).to_pylist() for i in range(4)] == [
        ["518000", "51"],
        ["5180**", "51"],
        ["51****", "51"],
        ["*", "*"],
    ]
    d = Hierarchy.of({"kind": "date", "levels": ["day", "week", "month", "quarter", "year", "decade"]})
    day = pa.array([dt.date(2021, 1, 2), None])
    assert [d.apply(day, i).to_pylist()[0] for i in range(1, 8)] == [
        "2021-01-02",
        "2020-W53",
        "2021-01",
        "2021-Q1",
        "2021",
        "2020s",
        "*",
    ]
    with pytest.raises(TypeMismatchError):
        d.apply(pa.array([1]), 1)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        ({"kind": "intervall", "widths": [1]}, "no hierarchy of kind"),
        ({"kind": "interval"}, "widths"),
        ({"kind": "interval", "widths": [2, 3]}, "multiple"),
        ({"kind": "interval", "widths": [0]}, "positive"),
        ({"kind": "interval", "widths": [1], "low": 5, "high": 5}, "less than"),
        ({"kind": "interval", "widths": [1], "hihg": 5}, "no such key"),
        ({"kind": "prefix", "keep": [2, 3]}, "falling"),
        ({"kind": "prefix", "keep": [2], "char": "ab"}, "one character"),
        ({"kind": "date", "levels": ["year", "month"]}, "rise"),
        ({"kind": "date", "levels": ["years"]}, "rise"),
        ({}, "levels"),
        ({"levels": {"2": {"a": ["b"]}}}, "level 1 is missing"),
        ({"levels": {"1": {"a": ["x"], "b": ["x"]}}}, "two groups"),
        ({"levels": {"1": {"a": ["x"]}, "2": {"c": ["b"]}}}, "in no group of level 2"),
        (7, "file's name"),
        ([["a"]], "one column"),
        ([["a", "b"], ["c", "d", "e"]], "a line of 3 columns"),
        ([["a", "b"], ["a", "c"]], "two lines"),
        ([["a", "g", "x"], ["b", "g", "y"]], "splits a group"),
    ],
)
def test_hierarchies_that_are_none(raw: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        Hierarchy.of(raw)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text(CSV, "utf-8-sig")
    (tmp_path / "h.toml").write_text(TOML)
    assert Hierarchy.read(tmp_path / "h.csv").table == Hierarchy.read(tmp_path / "h.toml").table
    assert t.generalize(pa.array(["ulcer"]), hierarchy=str(tmp_path / "h.csv"), level=2).to_pylist() == ["stomach"]
    (tmp_path / "bad.toml").write_text("levels = = 1")
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.csv").write_text("")
    for name, error in (
        ("none.csv", FileError),
        ("bad.toml", ConfigError),
        ("bad.csv", FileError),
        ("empty.csv", ConfigError),
    ):
        with pytest.raises(error) as e:
            Hierarchy.read(tmp_path / name)
        assert name in str(e.value)
    with pytest.raises(PpcError, match="hierarchy"):
        t.generalize(pa.array(["a"]), hierarchy=str(tmp_path / "none.csv"), level=1)

"""Detectors that people write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ppc.dataset import Dataset, Role
from ppc.desensitize.discovery import load_detectors, scan
from ppc.desensitize.discovery.user import parse
from ppc.desensitize.transforms.free_text import free_text
from ppc.errors import ConfigError, FileError

TOML = r"""
[[detector]]
name = "staff_number"
category = "person.staff"
title = "Staff number"
role = "identifier"
pattern = 'S-\d{6}'
shape = '[A-Z]-\d{6}'
chance = 0.04
names = ["staff_no", "工号"]
text = true

[[detector]]
name = "branch"
category = "org.branch"
words = ["North", "South", "East"]

[[detector]]
name = "loyalty"
category = "person.loyalty"
pattern = '\d{8}'
shape = '\d{8}'
chance = 0.1
check = "luhn"
"""


def test_they_are_used(tmp_path: Path, table: Callable[..., Dataset]) -> None:
    path = tmp_path / "own.toml"
    path.write_text(TOML, "utf-8")
    own = load_detectors(path)
    ds = table(x1=[f"S-{i:06d}" for i in range(60)], x2=["north", "SOUTH", "East"] * 20)
    found = scan(ds, detectors=own)
    assert (found["x1"].category, found["x1"].role) == ("person.staff", Role.IDENTIFIER)
    assert found["x1"].title == "Staff number"
    assert found["x2"].category == "org.branch"
    assert free_text(pa.array(["see S-000123 there"]), find=["staff_number"]).to_pylist() == [
        "see [person.staff] there"
    ]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"name": "a"}, "category"),
        ({"name": "a", "category": "b"}, "needs a pattern"),
        ({"name": "a", "category": "b", "pattern": "("}, "not a regular expression"),
        ({"name": "a", "category": "b", "pattern": r"(?<=x)y"}, "not a regular expression"),
        ({"name": "a", "category": "b", "names": ["x"], "check": "lunn"}, "Did you mean 'luhn'"),
        ({"name": "a", "category": "b", "names": ["x"], "role": "identifer"}, "Did you mean 'identifier'"),
        ({"name": "a", "category": "b", "names": ["x"], "chance": 1.0}, "chance"),
        ({"name": "a", "category": "b", "names": ["x"], "power": float("nan")}, "power"),
        ({"name": "a", "category": "b", "names": ["x"], "text": True}, "needs a pattern"),
        ({"name": "a", "category": "b", "names": ["x"], "patern": "y"}, "patern"),
    ],
)
def test_errors_name_the_detector_and_the_key(entry: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as e:
        parse({"detector": [{"name": "ok", "category": "c", "names": ["z"]}, entry]})
    assert says in f"{e.value}"
    assert "detector 2" in f"{e.value}"


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        load_detectors(tmp_path / "missing.toml")
    path = tmp_path / "bad.toml"
    path.write_text("[[detector]\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_detectors(path)
    for text in ("[detector]\nname = 'a'\n", "[[detectors]]\nname = 'a'\n"):
        path.write_text(text)
        with pytest.raises(ConfigError):
            load_detectors(path)

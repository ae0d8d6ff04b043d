"""Hierarchies from one file; identifiers are not released."""

from pathlib import Path

import pytest

from ppc.dataset import Field, Role, Schema
from ppc.desensitize.anonymity import read_hierarchies
from ppc.desensitize.anonymity.recipe import refuse_identifiers
from ppc.errors import ConfigError, DisclosureRefused, FileError


def test_tables_and_files(tmp_path: Path) -> None:
    (tmp_path / "city.csv").write_text("bonn;west;*\njena;east;*\n")
    path = tmp_path / "h.toml"
    path.write_text('[age]\nkind = "interval"\nwidths = [5, 10]\n[city]\nfile = "city.csv"\n')
    found = read_hierarchies(path)
    assert {n: h.kind for n, h in found.items()} == {"age": "interval", "city": "table"}
    assert found["city"].height == 2


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("[age]\nkind = 'intervall'\n", ConfigError, "key 'age'"),
        ("[age]\nfile = 3\n", ConfigError, "key 'age'"),
        ("[age]\nfile = 'gone.csv'\n", FileError, "gone.csv"),
        ("[age\n", ConfigError, "not valid TOML"),
    ],
)
def test_errors(text: str, error: type[Exception], says: str, tmp_path: Path) -> None:
    path = tmp_path / "h.toml"
    path.write_text(text)
    with pytest.raises(error, match=says):
        read_hierarchies(path)
    with pytest.raises(FileError):
        read_hierarchies(tmp_path / "none.toml")


def test_identifiers_are_refused() -> None:
    plain = Schema((Field("age", "int64", role=Role.QUASI_IDENTIFIER),))
    refuse_identifiers(plain)
    with pytest.raises(DisclosureRefused, match="'phone' identifies"):
        refuse_identifiers(plain.with_field(Field("phone", "string", role=Role.IDENTIFIER)))

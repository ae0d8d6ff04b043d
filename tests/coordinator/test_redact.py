from __future__ import annotations

import pytest

from ppc.coordinator.redact import fault_of, without_paths
from ppc.errors import (
    ColumnError,
    ConfigError,
    FileError,
    InternalError,
    KeyFileError,
    PeerUnavailable,
    PolicyFileError,
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/alice/secret/a.csv", "a.csv"),
        ("cannot read /srv/data/a.csv, line 3", "cannot read a.csv, line 3"),
        ("data/2024/a.csv", "a.csv"),
        ("../keys/bank-a.key", "bank-a.key"),
        ("~/a.csv", "a.csv"),
        (r"C:\data\a.csv", "a.csv"),
        ("duckdb:////srv/db/file.db?table=t", "file.db?table=t"),
        ("key 'x' at '/a/b'", "key 'x' at 'b'"),
        ("rows and/or columns, 1/2, n/a, step 'woe'", "rows and/or columns, 1/2, n/a, step 'woe'"),
    ],
)
def test_paths_are_cut_to_their_last_part(text: str, left: str) -> None:
    assert without_paths(text) == left


def test_an_error_of_the_tree_keeps_its_words() -> None:
    error = ColumnError("column 'x' is constant", where="/data/a.csv, column 'x'", hint="leave it out")
    fault = fault_of(error, party="bank-b", step="woe")
    assert (fault.code, fault.what, fault.where) == ("PPC-E103", "column 'x' is constant", "a.csv, column 'x'")
    assert (fault.hint, fault.party, fault.step) == ("leave it out", "bank-b", "woe")


def test_another_exception_tells_its_class_only() -> None:
    fault = fault_of(ValueError("could not convert '4711-1234' to a number"), party="bank-b", step="woe")
    assert fault.code == InternalError.code
    assert "4711" not in str(fault.to_dict())
    assert "ValueError" in fault.what
    assert fault.hint == "the log of bank-b has the details"


@pytest.mark.parametrize("cls", [ConfigError, PolicyFileError, KeyFileError])
def test_what_concerns_one_installation_stays_there(cls: type[ConfigError]) -> None:
    fault = fault_of(cls("key 'allow.0' is wrong", where="/etc/ppc/policy.toml", hint="edit it"), party="bank-b")
    assert fault.code == cls.code
    assert "allow" not in str(fault.to_dict())
    assert "policy.toml" not in str(fault.to_dict())


def test_the_hint_about_a_file_stays_home() -> None:
    fault = fault_of(
        FileError("there is no such file", where="/data/a.csv", hint="did you mean b.csv?"), party="bank-b"
    )
    assert fault.where == "a.csv"
    assert fault.hint is None


def test_the_party_that_an_error_names_is_kept() -> None:
    assert fault_of(PeerUnavailable("gone", party="bank-a"), party="bank-b").party == "bank-a"

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ppc.coordinator import templates
from ppc.coordinator.config import (
    CoordinatorConfig,
    HelperConfig,
    MemberConfig,
    PartyConfig,
    beside,
    check,
    join_address,
    load,
    split_address,
    split_ports,
)
from ppc.errors import ConfigError, FileError

PARTY = """\
name = "bank-a"
[coordinator]
address = "127.0.0.1:7400"
[identity]
certificate = "a.pem"
key = "a.key"
ca = "ca.pem"
[datasets.customers]
path = "c.csv"
"""


def write(tmp_path: Path, text: str, name: str = "party.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_what_is_left_out_has_a_safe_default(tmp_path: Path) -> None:
    config = load(write(tmp_path, PARTY), PartyConfig)
    assert config.data_plane.listen == "127.0.0.1:0"
    assert config.coordinator.name == "coordinator"
    assert config.datasets["customers"].schema_file is None
    assert load(tmp_path / "party.toml", MemberConfig).name == "bank-a"


@pytest.mark.parametrize(
    ("old", "new", "where", "hint"),
    [
        ("path =", "pth =", "datasets.customers.pth", "Did you mean 'path'?"),
        ("address =", "adress =", "coordinator.adress", "Did you mean 'address'?"),
        ("[coordinator]", "[cordinator]", "cordinator", "Did you mean 'coordinator'?"),
        ("127.0.0.1:7400", "127.0.0.1", "coordinator.address", None),
        ("127.0.0.1:7400", "127.0.0.1:99999", "coordinator.address", None),
        ('name = "bank-a"', 'name = "bank a"', "name", None),
        ('name = "bank-a"', "name = 7", "name", None),
        ('key = "a.key"', "", "identity.key", None),
        ("[datasets.customers]", "[datasets.customers]\nvisible_to = 3", "visible_to", None),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path: Path, old: str, new: str, where: str, hint: str | None) -> None:
    assert old in PARTY
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, PARTY.replace(old, new, 1)), PartyConfig)
    assert caught.value.where is not None
    assert "party.toml" in caught.value.where
    assert where in caught.value.where
    if hint:
        assert caught.value.hint == hint


def test_malformed_toml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 3"):
        load(write(tmp_path, "a = 1\nb = 2\nc = = 3\n"), PartyConfig)


def test_files_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    write(tmp_path, PARTY)
    with pytest.raises(FileError) as caught:
        load(tmp_path / "prty.toml", PartyConfig)
    assert caught.value.hint == "Did you mean 'party.toml'?"
    (tmp_path / "bin.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "bin.toml", PartyConfig)
    (tmp_path / "big.toml").write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigError, match="larger"):
        load(tmp_path / "big.toml", PartyConfig)
    with pytest.raises(FileError):
        load(tmp_path, PartyConfig)


def test_a_coordinator_that_would_admit_nobody_is_an_error(tmp_path: Path) -> None:
    text = PARTY.partition("[datasets")[0].replace('[coordinator]\naddress = "127.0.0.1:7400"\n', "")
    with pytest.raises(ConfigError, match=r"roster\.parties is empty"):
        load(write(tmp_path, text), CoordinatorConfig)
    config = load(write(tmp_path, 'admit = "ca"\n' + text), CoordinatorConfig)
    assert config.admit == "ca"


@pytest.mark.parametrize(
    ("text", "host", "ports"),
    [
        ("127.0.0.1:0", "127.0.0.1", [0]),
        ("host.example:7000-7002", "host.example", [7000, 7001, 7002]),
        ("[::1]:80", "::1", [80]),
    ],
)
def test_addresses(text: str, host: str, ports: list[int]) -> None:
    found_host, found_ports = split_ports(text)
    assert (found_host, list(found_ports)) == (host, ports)
    assert split_address(join_address(host, ports[0])) == (host, ports[0])


@pytest.mark.parametrize(
    "bad", ["", "host", ":80", "host:", "host:x", "a:1-0", "a:0-3", "a:70000", "::1:80", "a b:1", "a:1:2"]
)
def test_bad_addresses(bad: str) -> None:
    with pytest.raises(ValueError, match="port"):
        split_ports(bad)


def test_a_range_is_no_address() -> None:
    with pytest.raises(ValueError, match="one port"):
        split_address("a:1-2")


def test_paths_are_seen_from_the_file(tmp_path: Path) -> None:
    assert beside(tmp_path / "x" / "party.toml", "../data/a.csv") == tmp_path.resolve() / "data" / "a.csv"
    assert beside(tmp_path / "party.toml", "/abs/a.csv") == Path("/abs/a.csv")


def test_the_templates_are_valid() -> None:
    keys = {"certificate": "a.pem", "key": "a.key", "ca": 'with "quotes".pem'}
    texts = {
        CoordinatorConfig: templates.coordinator_toml("127.0.0.1:0", keys, ["bank-a"], ["helper"]),
        PartyConfig: templates.party_toml("bank-a", "h:1", keys, "127.0.0.1:0", {"my data": "a b.csv"}),
        HelperConfig: templates.helper_toml("helper", "h:1", keys, "127.0.0.1:0", ["bank-a"]),
    }
    for model, text in texts.items():
        config = check(tomllib.loads(text), model, where="template")
        assert str(config.identity.ca) == 'with "quotes".pem'  # type: ignore[attr-defined]
    none = templates.party_toml("bank-a", "h:1", keys, "127.0.0.1:0", {})
    assert check(tomllib.loads(none), PartyConfig, where="template").datasets == {}

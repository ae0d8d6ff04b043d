from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ppc.coordinator.config import IdentityFiles, Roster
from ppc.coordinator.identity import (
    Doorkeeper,
    certificate_of,
    check_chain,
    fingerprint,
    identity_of,
    party_of,
    read_authorities,
    read_pem,
)
from ppc.coordinator.jobs import Role
from ppc.errors import FileError, IdentityError
from ppc.net import identity as certificates

ROSTER = Roster(parties=("bank-a", "bank-b"), helpers=("helper",))


def pem(keys: Any, name: str) -> bytes:
    return bytes(keys[name].cert_path.read_bytes())


def test_the_certificate_says_who_calls(keys: Any) -> None:
    assert Doorkeeper(ROSTER).admit(pem(keys, "bank-a")) == "bank-a"


def test_whoever_is_not_on_the_roster_is_refused(keys: Any) -> None:
    with pytest.raises(IdentityError, match="stranger is not known"):
        Doorkeeper(ROSTER).admit(pem(keys, "stranger"))
    assert Doorkeeper(Roster(), admit_all=True).admit(pem(keys, "stranger")) == "stranger"


def test_an_empty_roster_admits_nobody(keys: Any) -> None:
    with pytest.raises(IdentityError):
        Doorkeeper(Roster()).admit(pem(keys, "bank-a"))


def test_a_pin_holds_a_party_to_one_certificate(keys: Any, other_keys: Any) -> None:
    right = fingerprint(certificate_of(pem(keys, "bank-a")))
    for pin in (right, f"sha256:{right}"):
        assert Doorkeeper(ROSTER.model_copy(update={"pins": {"bank-a": pin}})).admit(pem(keys, "bank-a")) == "bank-a"
    pinned = Doorkeeper(ROSTER.model_copy(update={"pins": {"bank-a": right}}))
    with pytest.raises(IdentityError, match="not the certificate"):
        pinned.admit(pem(other_keys, "bank-a"))


def test_roles_come_from_the_roster() -> None:
    door = Doorkeeper(ROSTER)
    door.allow_role("bank-a", Role.PARTY)
    door.allow_role("helper", Role.HELPER)
    with pytest.raises(IdentityError, match="not a helper"):
        door.allow_role("bank-a", Role.HELPER)
    with pytest.raises(IdentityError, match="not a party"):
        door.allow_role("helper", Role.PARTY)


def test_an_authority_names_no_party(keys: Any, ca: bytes) -> None:
    with pytest.raises(IdentityError, match="does not name one party"):
        party_of(certificate_of(ca))


def test_a_chain_needs_the_right_authority_and_the_right_time(keys: Any, other_keys: Any, ca: bytes) -> None:
    mine, others = certificate_of(pem(keys, "bank-a")), certificate_of(pem(other_keys, "bank-a"))
    check_chain(mine, read_authorities(ca), at=time.time())
    both = read_authorities(ca + other_keys["bank-a"].ca_path.read_bytes())
    check_chain(mine, both, at=time.time())
    check_chain(others, both, at=time.time())
    with pytest.raises(IdentityError, match="another authority"):
        check_chain(others, read_authorities(ca), at=time.time())
    for at in (time.time() - 86400, time.time() + 500 * 86400, float("nan"), float("inf"), -1e30):
        with pytest.raises(IdentityError):
            check_chain(mine, read_authorities(ca), at=at)


def test_an_identity_is_checked_when_it_is_read(keys: Any, tmp_path: Path) -> None:
    who = keys["bank-a"]
    files = IdentityFiles(certificate=who.cert_path, key=who.key_path, ca=who.ca_path)
    assert identity_of("bank-a", files, tmp_path / "party.toml").name == "bank-a"
    with pytest.raises(IdentityError, match="is of bank-a, not of bank-b"):
        identity_of("bank-b", files, tmp_path / "party.toml")
    gone = files.model_copy(update={"certificate": tmp_path / "none.pem"})
    with pytest.raises(IdentityError, match="cannot be read"):
        identity_of("bank-a", gone, tmp_path / "party.toml")


def test_an_expired_certificate_is_an_error_with_the_way_out(keys: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Made 400 days ago: the authority's and the party's clocks are moved, not the check."""
    from datetime import UTC, datetime, timedelta

    class Past(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) - timedelta(days=400)

    with monkeypatch.context() as patch:
        patch.setattr(certificates, "datetime", Past)
        certificates.create_ca(tmp_path)
        who = certificates.issue(tmp_path, "bank-a")
    files = IdentityFiles(certificate=who.cert_path, key=who.key_path, ca=who.ca_path)
    with pytest.raises(IdentityError, match="expired on") as caught:
        identity_of("bank-a", files, tmp_path / "party.toml")
    assert caught.value.hint == "issue a new one: ppc ca issue bank-a"


def test_garbage_is_no_certificate(tmp_path: Path) -> None:
    for data in (b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(IdentityError):
            certificate_of(data)
    with pytest.raises(FileError):
        read_pem(tmp_path / "none")
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    with pytest.raises(FileError, match="too long"):
        read_pem(tmp_path / "big")


def test_settings_whose_key_is_missing_or_of_another_certificate_are_refused(keys: Any, tmp_path: Path) -> None:
    mine = keys["bank-a"]
    for key in (tmp_path / "none.key", keys["bank-b"].key_path):
        files = IdentityFiles(certificate=str(mine.cert_path), key=str(key), ca=str(mine.ca_path))
        with pytest.raises(IdentityError, match="private key cannot be used") as caught:
            identity_of("bank-a", files, tmp_path / "party.toml")
        assert "ppc ca issue bank-a" in (caught.value.hint or "")

"""Authorities, certificates, and what makes one unacceptable."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path

import pytest

from ppc.errors import ConfigError, FileError, IdentityError
from ppc.net import identity


def test_what_is_issued(tmp_path: Path):
    identity.create_ca(tmp_path, "two banks", valid_days=30)
    me = identity.issue(tmp_path, "bank-a", ["bank-a.example", "10.0.0.1"], valid_days=20)
    found = me.check()
    assert found.party == "bank-a"
    assert found.hosts == ("bank-a.example", "10.0.0.1")
    assert not found.is_authority
    assert found.days_left == 19
    assert len(found.fingerprint) == 64
    authority = identity.inspect(me.ca_path)
    assert authority.is_authority
    assert authority.party is None
    assert "two banks" in authority.subject
    assert found.issuer == authority.subject
    assert identity.load(tmp_path, "bank-a") == me
    assert sorted(os.listdir(tmp_path)) == ["bank-a.key", "bank-a.pem", "ca.key", "ca.pem"]


def test_keys_are_private_and_nothing_is_overwritten(tmp_path: Path):
    identity.create_ca(tmp_path)
    me = identity.issue(tmp_path, "bank-a")
    for key in ("ca.key", "bank-a.key"):
        assert (tmp_path / key).stat().st_mode & 0o777 == 0o600
        assert identity.key_is_private(tmp_path / key)
    assert not identity.key_is_private(me.cert_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(FileError, match="exists"):
        identity.create_ca(tmp_path)
    with pytest.raises(FileError, match="exists"):
        identity.issue(tmp_path, "bank-a")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_into_another_folder(tmp_path: Path):
    identity.create_ca(tmp_path / "ca")
    me = identity.issue(tmp_path / "ca", "bank-a", out=tmp_path / "bank-a")
    assert me.key_path == tmp_path / "bank-a" / "bank-a.key"
    assert me.ca_path == tmp_path / "ca" / "ca.pem"
    me.context(server=True)


def test_openssl_agrees(tmp_path: Path):
    """Another implementation verifies the chain, strictly."""
    identity.create_ca(tmp_path)
    me = identity.issue(tmp_path, "bank-a", ["localhost"])
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(me.ca_path), str(me.cert_path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no openssl command")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["", "../x", "a b", "-a", "x" * 64, "bänk", "a/b", "a\n"])
def test_names_that_no_party_can_have(tmp_path: Path, name):
    with pytest.raises(ConfigError, match="party's name"):
        identity.issue(tmp_path, name)


def test_bad_requests(tmp_path: Path):
    with pytest.raises(IdentityError, match=r"ca\.pem"):
        identity.issue(tmp_path, "bank-a")
    identity.create_ca(tmp_path)
    with pytest.raises(ConfigError, match="authority's own"):
        identity.issue(tmp_path, "ca")
    with pytest.raises(ConfigError, match="days"):
        identity.issue(tmp_path, "bank-a", valid_days=0)
    with pytest.raises(ConfigError, match="host"):
        identity.issue(tmp_path, "bank-a", ["a..b"])
    identity.create_ca(tmp_path / "other")
    (tmp_path / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    with pytest.raises(FileError, match="does not belong"):
        identity.issue(tmp_path, "bank-a")
    assert not (tmp_path / "bank-a.key").exists()


def test_a_certificate_of_somebody_else(tmp_path: Path):
    identity.create_ca(tmp_path)
    a = identity.issue(tmp_path, "bank-a")
    b = identity.issue(tmp_path, "bank-b")
    with pytest.raises(IdentityError, match="of bank-b, not of bank-a") as e:
        identity.Identity("bank-a", b.cert_path, b.key_path, b.ca_path).context(server=False)
    assert e.value.party == "bank-a"
    with pytest.raises(IdentityError, match="of no party"):
        identity.Identity("bank-a", a.ca_path, a.key_path, a.ca_path).check()
    with pytest.raises(IdentityError, match="private key"):
        identity.Identity("bank-a", a.cert_path, b.key_path, a.ca_path).context(server=False)


def test_files_that_are_not_what_they_should_be(tmp_path: Path):
    identity.create_ca(tmp_path)
    a = identity.issue(tmp_path, "bank-a")
    junk = tmp_path / "junk.pem"
    junk.write_text("not a certificate")
    with pytest.raises(IdentityError, match="not a PEM"):
        identity.Identity("bank-a", junk, a.key_path, a.ca_path).check()
    with pytest.raises(IdentityError, match="cannot be read"):
        identity.Identity("bank-a", tmp_path / "none", a.key_path, a.ca_path).check()
    for key in (junk, tmp_path / "none"):
        with pytest.raises(IdentityError, match="private key"):
            identity.Identity("bank-a", a.cert_path, key, a.ca_path).context(server=True)
    for ca in (junk, tmp_path / "none"):
        with pytest.raises(IdentityError, match="authority"):
            identity.Identity("bank-a", a.cert_path, a.key_path, ca).context(server=True)


def test_a_key_with_a_passphrase_is_an_error_not_a_prompt(tmp_path: Path):
    from cryptography.hazmat.primitives import serialization as s

    identity.create_ca(tmp_path)
    a = identity.issue(tmp_path, "bank-a")
    key = s.load_pem_private_key(a.key_path.read_bytes(), None)
    locked = s.BestAvailableEncryption(b"secret")
    a.key_path.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, locked))
    with pytest.raises(IdentityError, match="private key"):
        a.context(server=True)


def test_expired_or_not_yet_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from datetime import UTC, datetime, timedelta

    identity.create_ca(tmp_path)

    class Clock(datetime):
        shift = timedelta()

        @classmethod
        def now(cls, tz=None):
            return datetime.now(UTC) + cls.shift

    monkeypatch.setattr(identity, "datetime", Clock)
    Clock.shift = timedelta(days=-30)
    old = identity.issue(tmp_path, "bank-a", valid_days=10)
    Clock.shift = timedelta(days=30)
    new = identity.issue(tmp_path, "bank-b")
    Clock.shift = timedelta()
    with pytest.raises(IdentityError, match="expired on") as e:
        old.context(server=True)
    assert "ppc ca issue bank-a" in str(e.value.hint)
    assert identity.inspect(old.cert_path).days_left < 0
    with pytest.raises(IdentityError, match="not valid before"):
        new.check()


def test_party_of_wants_exactly_one_name():
    def names(*pairs):
        return {"subjectAltName": pairs}

    assert identity.party_of(names(("DNS", "bank-a"), ("URI", "ppc:party:bank-b"))) == "bank-b"
    assert identity.party_of(names(("DNS", "bank-a"))) is None
    assert identity.party_of(names(("URI", "ppc:party:a"), ("URI", "ppc:party:b"))) is None
    assert identity.party_of(names(("URI", "ppc:party:a b"))) is None
    assert identity.party_of(None) is None


def test_contexts_are_tls_1_3_and_mutual(authority: Path):
    for server in (True, False):
        context = identity.load(authority, "bank-a").context(server=server)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_3
        assert context.verify_mode == ssl.CERT_REQUIRED

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ppc.coordinator import statements
from ppc.coordinator.jobs import Signed
from ppc.coordinator.statements import Statement, Word
from ppc.errors import IdentityError, PlanMismatch

SAID = Statement(Word.APPROVE, "bank-a", "probe-1", 1, "job-hash", "plan-hash", "fine")


def test_what_was_signed_is_what_is_read(keys: Any, ca: bytes) -> None:
    found = statements.verify(statements.sign(SAID, keys["bank-a"]), ca)
    assert replace(found, time=0.0) == SAID
    assert found.time > 1.7e9


def test_nobody_signs_for_another(keys: Any) -> None:
    with pytest.raises(IdentityError, match="bank-b cannot speak for bank-a"):
        statements.sign(SAID, keys["bank-b"])


def test_a_changed_payload_is_found(keys: Any, ca: bytes) -> None:
    signed = statements.sign(SAID, keys["bank-a"])
    forged = replace(signed, payload=signed.payload.replace(b"plan-hash", b"plan-hush"))
    with pytest.raises(IdentityError):
        statements.verify(forged, ca)


def test_every_flipped_bit_of_the_signature_is_found(keys: Any, ca: bytes) -> None:
    signed = statements.sign(SAID, keys["bank-a"])
    for position in range(0, len(signed.signature), 7):
        bad = bytearray(signed.signature)
        bad[position] ^= 1
        with pytest.raises(IdentityError):
            statements.verify(replace(signed, signature=bytes(bad)), ca)


def test_another_party_cannot_borrow_the_name(keys: Any, ca: bytes) -> None:
    """bank-b signs a payload in which bank-a speaks, and shows its own certificate, or bank-a's."""
    parts = json.loads(statements.sign(replace(SAID, party="bank-b"), keys["bank-b"]).payload)
    payload = json.dumps({**parts, "party": "bank-a"}, sort_keys=True, separators=(",", ":")).encode()
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = serialization.load_pem_private_key(keys["bank-b"].key_path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(b"ppc.coordinator.v1 statement\0" + payload, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(IdentityError, match="in the name of bank-a is signed by bank-b"):
        statements.verify(Signed(payload, signature, keys["bank-b"].cert_path.read_bytes()), ca)
    with pytest.raises(IdentityError, match="not valid"):
        statements.verify(Signed(payload, signature, keys["bank-a"].cert_path.read_bytes()), ca)


def test_a_certificate_of_another_authority_does_not_count(other_keys: Any, ca: bytes) -> None:
    with pytest.raises(IdentityError, match="another authority"):
        statements.verify(statements.sign(SAID, other_keys["bank-a"]), ca)


def test_a_signature_without_the_context_does_not_count(keys: Any, ca: bytes) -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    signed = statements.sign(SAID, keys["bank-a"])
    key = serialization.load_pem_private_key(keys["bank-a"].key_path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    bare = replace(signed, signature=key.sign(signed.payload, ec.ECDSA(hashes.SHA256())))
    with pytest.raises(IdentityError):
        statements.verify(bare, ca)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b"not json",
        b"\xff\xfe",
        b'{"v":2}',
        b"[" * 100_000,
        b'{"v":1,"word":"approve","party":"bank-a","job":"../x","attempt":1,"job_hash":"","plan_hash":"","reason":"","time":0}',
        b'{"v":1,"word":"sing","party":"bank-a","job":"x","attempt":1,"job_hash":"","plan_hash":"","reason":"","time":0}',
        b'{"v":1,"word":"approve","party":"bank-a","job":"x","attempt":"1","job_hash":"","plan_hash":"","reason":"","time":0}',
    ],
)
def test_malformed_payloads_are_identity_errors(keys: Any, ca: bytes, payload: bytes) -> None:
    certificate = keys["bank-a"].cert_path.read_bytes()
    with pytest.raises(IdentityError):
        statements.verify(Signed(payload, b"x", certificate), ca)
    with pytest.raises(IdentityError):
        statements.verify(Signed(b"{}", b"x", b"no certificate"), ca)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"word": Word.DENY}, "word"),
        ({"job": "probe-2"}, "job"),
        ({"attempt": 2}, "attempt"),
        ({"job_hash": "other"}, "job hash"),
    ],
)
def test_a_statement_about_something_else_is_a_mismatch_that_says_what(change: dict[str, Any], named: str) -> None:
    with pytest.raises(PlanMismatch, match=f"another {named}"):
        statements.require(replace(SAID, **change), word=Word.APPROVE, job="probe-1", attempt=1, job_hash="job-hash")

"""What a party says about a job, signed with the key of its certificate.

The coordinator passes statements on and keeps them, but cannot make one: each agent checks for itself that a proposal,
an approval or a person's decision comes from the party it names and speaks of the very plan that this agent computed.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ppc.coordinator.identity import certificate_of, check_chain, party_of, read_authorities
from ppc.coordinator.jobs import Signed, check_job_id, clip
from ppc.errors import IdentityError, InputError, KeyFileError, PlanMismatch
from ppc.net.identity import Identity

MAX_BYTES: Final = 8192
_VERSION: Final = 1
# Another context than TLS or anything else that this key may ever sign.
_CONTEXT: Final = b"ppc.coordinator.v1 statement\0"


class Word(StrEnum):
    """What a statement can say."""

    SUBMIT = "submit"
    APPROVE = "approve"
    DENY = "deny"
    CANCEL = "cancel"
    RETRY = "retry"


@dataclass(frozen=True)
class Statement:
    """`party` says `word` about one attempt of a job, of this text and this plan."""

    word: Word
    party: str
    job: str
    attempt: int
    job_hash: str
    plan_hash: str = ""
    reason: str = ""
    time: float = 0.0


def sign(statement: Statement, identity: Identity) -> Signed:
    """The statement with the time of now, signed by `identity` (whose name it must carry)."""
    if statement.party != identity.name:
        raise IdentityError(f"{identity.name} cannot speak for {statement.party}")
    parts = {**asdict(statement), "time": round(time.time(), 3), "reason": clip(statement.reason), "v": _VERSION}
    payload = json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()
    try:
        with open(identity.key_path, "rb") as file:
            key = serialization.load_pem_private_key(file.read(), None)
        with open(identity.cert_path, "rb") as file:
            certificate = file.read()
    except (OSError, ValueError, TypeError) as error:
        raise KeyFileError("cannot read the party's key or certificate", where=str(identity.key_path)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFileError("the party's key is not an elliptic-curve key", where=str(identity.key_path))
    return Signed(payload, key.sign(_CONTEXT + payload, ec.ECDSA(hashes.SHA256())), certificate)


def verify(signed: Signed, ca: bytes) -> Statement:
    """What the signed bytes say; raises `IdentityError` if they are not whole, not signed, or not by who they name.

    `ca` is the authority's certificate (PEM). Signatures on old statements stay good after the certificate has expired:
    what counts is that it was valid when the statement was made.
    """
    if len(signed.payload) > MAX_BYTES or len(signed.certificate) > 4 * MAX_BYTES:
        raise IdentityError("a signed statement is too long")
    certificate = certificate_of(signed.certificate)
    statement = _parse(signed.payload)
    check_chain(certificate, read_authorities(ca), at=statement.time)
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise IdentityError("the certificate of a signed statement has no elliptic-curve key")
    try:
        key.verify(signed.signature, _CONTEXT + signed.payload, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise IdentityError("the signature of a statement is not valid", party=statement.party) from None
    name = party_of(certificate)
    if name != statement.party:
        raise IdentityError(f"a statement in the name of {statement.party} is signed by {name}")
    return statement


def require(statement: Statement, *, word: Word, job: str, attempt: int, job_hash: str) -> Statement:
    """The statement itself, if it says `word` about this attempt of this job; `PlanMismatch` names what differs."""
    expected = {"word": word, "job": job, "attempt": attempt, "job_hash": job_hash}
    for name, value in expected.items():
        if getattr(statement, name) != value:
            raise PlanMismatch(
                f"the signed '{word}' of {statement.party} is about another {name.replace('_', ' ')}",
                where=f"job {job}",
                party=statement.party,
            )
    return statement


def _parse(payload: bytes) -> Statement:
    try:
        parts = json.loads(payload)
        if not isinstance(parts, dict) or parts.pop("v", None) != _VERSION:
            raise ValueError
        kinds: dict[str, type | tuple[type, ...]] = {"attempt": int, "time": (int, float)}
        names = {f.name for f in fields(Statement)}
        if set(parts) != names or not all(isinstance(parts[n], kinds.get(n, str)) for n in names):
            raise ValueError
        check_job_id(parts["job"])
        return Statement(**{**parts, "word": Word(parts["word"])})
    except (ValueError, TypeError, InputError, RecursionError):
        raise IdentityError("a signed statement is malformed") from None

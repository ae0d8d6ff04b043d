"""Who is calling: certificates that arrive as bytes, held against the authority and the roster."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ppc.coordinator.config import CoordinatorConfig, Roster
from ppc.coordinator.jobs import Role
from ppc.errors import ConfigError, FileError, IdentityError
from ppc.net.identity import PARTY_URI, Identity, check_party_name

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from ppc.coordinator.config import IdentityFiles

MAX_PEM_BYTES: Final = 1 << 16


def identity_of(name: str, files: IdentityFiles, config: Path) -> Identity:
    """The identity that a configuration file describes, checked: valid now, in the name of `name`, with its key."""
    from ppc.coordinator.config import beside

    identity = Identity(name, beside(config, files.certificate), beside(config, files.key), beside(config, files.ca))
    identity.check()
    identity.context(server=False)
    return identity


def read_pem(path: Path) -> bytes:
    """The bytes of a key, certificate or authority file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read the file: {error.strerror}", where=str(path)) from None
    if len(data) > MAX_PEM_BYTES:
        raise FileError("this is too long to be a PEM file of ppc", where=str(path))
    return data


def certificate_of(pem: bytes) -> x509.Certificate:
    """The (first) certificate in PEM bytes from the wire."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise IdentityError("this is not a PEM certificate") from None


def read_authorities(pem: bytes) -> list[x509.Certificate]:
    """Every authority in a PEM file: while one is replaced, the file holds the old and the new."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise IdentityError("the authority's file is not a PEM certificate") from None


def party_of(certificate: x509.Certificate) -> str:
    """The one party that the certificate names; raises `IdentityError` if it names none, or several."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        uris = []
    parties = [uri[len(PARTY_URI) :] for uri in uris if uri.startswith(PARTY_URI)]
    if len(parties) != 1:
        raise IdentityError("the certificate does not name one party", hint="issue one with: ppc ca issue NAME")
    try:
        return check_party_name(parties[0])
    except ConfigError:
        raise IdentityError("the certificate's party name is not allowed") from None


def check_chain(certificate: x509.Certificate, authorities: Sequence[x509.Certificate], *, at: float) -> None:
    """Raises `IdentityError` unless one of the authorities issued the certificate and it was valid at that time.

    `at` is in seconds since the epoch. An authority issues directly: there are no chains in between.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        when = datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError, ValueError):
        raise IdentityError("a time that is not a time") from None
    if not certificate.not_valid_before_utc <= when <= certificate.not_valid_after_utc:
        raise IdentityError(
            "the certificate was not valid at that time", hint="issue a new one with: ppc ca issue NAME"
        )
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
            return
        except (ValueError, TypeError, InvalidSignature):
            continue
    raise IdentityError("the certificate is of another authority")


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate's DER form, in hex: what a roster pins."""
    from cryptography.hazmat.primitives import hashes

    return certificate.fingerprint(hashes.SHA256()).hex()


class Doorkeeper:
    """Who may speak to the coordinator, and as what. Whoever is not on the roster may not."""

    def __init__(self, roster: Roster, *, admit_all: bool = False) -> None:
        self._roster = roster
        self._admit_all = admit_all

    @staticmethod
    def of(config: CoordinatorConfig) -> Doorkeeper:
        """The doorkeeper of a coordinator.toml."""
        return Doorkeeper(config.roster, admit_all=config.admit == "ca")

    def knows(self, name: str) -> bool:
        """Whether a job may name this participant."""
        return self._admit_all or name in self._roster.parties or name in self._roster.helpers

    def admit(self, pem: bytes) -> str:
        """The caller's name; raises `IdentityError` for anyone who is not expected."""
        certificate = certificate_of(pem)
        name = party_of(certificate)
        if not self.knows(name):
            raise IdentityError(
                f"{name} is not known to this coordinator",
                hint="its operator adds it to the roster in coordinator.toml",
            )
        pin = self._roster.pins.get(name)
        if pin is not None and pin.removeprefix("sha256:") != fingerprint(certificate):
            raise IdentityError(f"this is not the certificate that the coordinator expects of {name}")
        return name

    def allow_role(self, name: str, role: Role) -> None:
        """Raises `IdentityError` unless `name` may serve in that role."""
        if self._admit_all:
            return
        allowed = self._roster.helpers if role is Role.HELPER else self._roster.parties
        if name not in allowed:
            raise IdentityError(f"{name} is not a {role} on this coordinator's roster")

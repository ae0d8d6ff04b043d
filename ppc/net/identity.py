"""Who a party is on the wire: a private authority, and a certificate that carries the party's name.

A party's name is the subject alternative name `URI:ppc:party:NAME`. Host names may be in the certificate too (`DNS`,
`IP`), for other tools; ppc itself never takes a host name for an identity, so a party may move between hosts. The
authority is pinned: no public authority is ever consulted. Keys are EC P-256 (128-bit security, SP 800-57 part 1,
table 2), certificates X.509 v3 (RFC 5280), files PEM. A private key is written with mode 0600 and nothing is ever
overwritten.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ppc.core.files import atomic_write
from ppc.errors import ConfigError, FileError, IdentityError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

PARTY_URI: Final = "ppc:party:"
CA_DAYS: Final = 3650
PARTY_DAYS: Final = 397  # a year and a month, so that a yearly renewal is in time
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_CLOCK_SKEW: Final = timedelta(minutes=5)


def check_party_name(name: str) -> str:
    """`name`, if it can be a party's name: 1 to 63 letters, digits, dots, dashes and underscores."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name[:80]!r} cannot be a party's name",
            hint="use 1 to 63 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    return name


@dataclass(frozen=True)
class Identity:
    """A party's name and the files that prove it: its certificate, its private key, and the authority that all
    trust."""

    name: str
    cert_path: Path
    key_path: Path
    ca_path: Path

    def __init__(self, name: str, cert_path: Path | str, key_path: Path | str, ca_path: Path | str) -> None:
        object.__setattr__(self, "name", check_party_name(name))
        object.__setattr__(self, "cert_path", Path(cert_path))
        object.__setattr__(self, "key_path", Path(key_path))
        object.__setattr__(self, "ca_path", Path(ca_path))

    def check(self) -> Certificate:
        """What the certificate says, if it is valid now and carries this party's name; else `IdentityError`."""
        found = inspect(self.cert_path)
        where = f"certificate {self.cert_path}"
        if found.party != self.name:
            raise IdentityError(
                f"the certificate is of {found.party or 'no party'}, not of {self.name}",
                where=where,
                hint=f"name the certificate of {self.name} in the settings; ppc ca issue {self.name} makes one",
                party=self.name,
            )
        now = datetime.now(UTC)
        if not found.not_before <= now:
            raise IdentityError(
                f"the certificate is not valid before {found.not_before:%Y-%m-%d %H:%M} UTC",
                where=where,
                hint="is this machine's clock right?",
                party=self.name,
            )
        if not now <= found.not_after:
            raise IdentityError(
                f"the certificate expired on {found.not_after:%Y-%m-%d}",
                where=where,
                hint=f"issue a new one: ppc ca issue {self.name}",
                party=self.name,
            )
        return found

    def context(self, *, server: bool) -> ssl.SSLContext:
        """A TLS 1.3 context that shows this certificate and accepts only peers with one from the same authority."""
        self.check()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # the party's name is checked instead, see `party_of`
        context.verify_mode = ssl.CERT_REQUIRED
        if server:
            context.num_tickets = 0  # no resumption: every connection shows its certificate
        try:
            context.load_cert_chain(self.cert_path, self.key_path, password="")  # never prompt for one
        except (OSError, ssl.SSLError) as e:
            raise IdentityError(
                f"the private key cannot be used: {_reason(e)}",
                where=f"key {self.key_path}",
                hint=f"it lies beside the certificate that `ppc ca issue {self.name}` made, and fits that one only",
                party=self.name,
            ) from None
        try:
            context.load_verify_locations(self.ca_path)
        except (OSError, ssl.SSLError) as e:
            raise IdentityError(
                f"the authority's certificate cannot be used: {_reason(e)}",
                where=f"authority {self.ca_path}",
                hint="it is the file ca.pem that `ppc ca init` made; everyone has the same",
            ) from None
        return context


@dataclass(frozen=True)
class Certificate:
    """What a certificate says."""

    party: str | None  # None for an authority
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    hosts: tuple[str, ...]
    is_authority: bool
    fingerprint: str  # SHA-256 of the DER form, hexadecimal

    @property
    def days_left(self) -> int:
        """Whole days until it expires; negative if it has."""
        return (self.not_after - datetime.now(UTC)).days


def party_of(peer_certificate: dict[str, Any] | None) -> str | None:
    """The one party's name in what `SSLSocket.getpeercert()` returned; `None` if there is none, or more than one."""
    names = [
        value[len(PARTY_URI) :]
        for kind, value in (peer_certificate or {}).get("subjectAltName", ())
        if kind == "URI" and value.startswith(PARTY_URI)
    ]
    return names[0] if len(names) == 1 and _NAME.fullmatch(names[0]) else None


def inspect(path: Path | str) -> Certificate:
    """Read a certificate, without judging it."""
    from cryptography import x509

    certificate = _load_certificate(Path(path))
    hosts: list[str] = []
    parties: list[str] = []
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts += names.get_values_for_type(x509.DNSName)
        hosts += [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        parties = [u[len(PARTY_URI) :] for u in uris if u.startswith(PARTY_URI)]
    except x509.ExtensionNotFound:
        pass
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    return Certificate(
        party=parties[0] if len(parties) == 1 else None,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        hosts=tuple(hosts),
        is_authority=is_authority,
        fingerprint=certificate.fingerprint(_sha256()).hex(),
    )


def key_is_private(path: Path | str) -> bool:
    """True if nobody but its owner can read the key file."""
    return not Path(path).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def create_ca(folder: Path | str, name: str = "ppc", *, valid_days: int = CA_DAYS) -> tuple[Path, Path]:
    """Make a new authority: `ca.pem`, which every party gets, and `ca.key`, which stays with who issues certificates.

    Returns the two paths. `FileError` if either exists.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    _check_days(valid_days)
    folder = Path(folder)
    cert_path, key_path = folder / "ca.pem", folder / "ca.key"
    _refuse_existing(cert_path, key_path)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(f"{name} authority")
    certificate = (
        _builder(subject, subject, key, valid_days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, _sha256())
    )
    _write(certificate, cert_path, key, key_path)
    return cert_path, key_path


def issue(
    folder: Path | str,
    party: str,
    hosts: Sequence[str] = (),
    *,
    valid_days: int = PARTY_DAYS,
    out: Path | str | None = None,
    country: str | None = None,
) -> Identity:
    """Issue `party`'s certificate from the authority in `folder`: `PARTY.pem` and `PARTY.key` in `out` (default
    `folder`).

    `hosts` are host names and addresses to add to the certificate; `country` is where the party is (ISO 3166, two
    letters). `FileError` if there is no authority, or if the
    party already has files here.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    check_party_name(party)
    if party == "ca":
        raise ConfigError("'ca' is the authority's own name", hint="choose another name for the party")
    _check_days(valid_days)
    if country is not None and not re.fullmatch("[A-Z]{2}", country):
        raise ConfigError(f"'{country[:20]}' is not a country's code", hint="two capital letters of ISO 3166: DE, CN")
    folder = Path(folder)
    out = folder if out is None else Path(out)
    ca_path, ca_key_path = folder / "ca.pem", folder / "ca.key"
    cert_path, key_path = out / f"{party}.pem", out / f"{party}.key"
    _refuse_existing(cert_path, key_path)
    authority = _load_certificate(ca_path)
    try:
        ca_key = serialization.load_pem_private_key(ca_key_path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as e:
        raise FileError(
            f"the authority's key cannot be read: {_reason(e)}", where=str(ca_key_path), hint="run: ppc ca init"
        ) from None
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey) or ca_key.public_key() != authority.public_key():
        raise FileError("the authority's key does not belong to its certificate", where=str(ca_key_path))
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(PARTY_URI + party)]
    names += [_host(h) for h in hosts]
    certificate = (
        _builder(_name(party, country), authority.subject, key, valid_days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, _sha256())
    )
    _write(certificate, cert_path, key, key_path)
    return Identity(party, cert_path, key_path, ca_path)


def load(folder: Path | str, party: str) -> Identity:
    """The identity of `party` from the files that `issue` left in `folder`, checked."""
    folder = Path(folder)
    identity = Identity(party, folder / f"{party}.pem", folder / f"{party}.key", folder / "ca.pem")
    identity.check()
    return identity


# --- helpers ---
def _sha256() -> Any:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256()


def _name(common_name: str, country: str | None = None) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    where = [x509.NameAttribute(NameOID.COUNTRY_NAME, country)] if country else []
    return x509.Name([*where, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host.encode("idna").decode("ascii"))
    except (UnicodeError, ValueError):
        raise ConfigError(f"{host[:80]!r} is not a host name or an address") from None


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, valid_days: int
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=valid_days))
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(certificate: x509.Certificate, cert_path: Path, key: EllipticCurvePrivateKey, key_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    try:
        key_path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(key_path, mode=0o600) as f:
            f.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with atomic_write(cert_path) as f:
            f.write(certificate.public_bytes(Encoding.PEM))
    except OSError as e:
        raise FileError(f"cannot be written: {_reason(e)}", where=str(cert_path)) from None


def _load_certificate(path: Path) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as e:
        raise IdentityError(
            f"the certificate cannot be read: {_reason(e)}",
            where=f"certificate {path}",
            hint="run: ppc ca init, then: ppc ca issue",
        ) from None
    except ValueError:
        raise IdentityError("this is not a PEM certificate", where=f"certificate {path}") from None


def _refuse_existing(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise FileError("the file exists; ppc does not overwrite it", where=str(path), hint="move it away first")


def _check_days(valid_days: int) -> None:
    if not 1 <= valid_days <= 36_500:
        raise ConfigError(f"a certificate is valid for 1 to 36500 days, not {valid_days}")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "not a PEM key without passphrase"

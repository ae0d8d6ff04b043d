"""A party's side of the calls to the coordinator.

Before the first call the client looks at who answers: a TLS 1.3 handshake with the party's own certificate, in which
the other side must show a certificate of the authority that names the coordinator. gRPC then accepts that one
certificate only. (gRPC itself compares host names; ppc never takes a host name for an identity.)
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from ppc.coordinator import rpc
from ppc.coordinator.config import MemberConfig, load, split_address
from ppc.coordinator.identity import certificate_of, check_chain, identity_of, party_of, read_authorities, read_pem
from ppc.coordinator.jobs import (
    DatasetEntry,
    Directive,
    Event,
    Hello,
    JobRecord,
    JobState,
    Notice,
    Report,
    Signed,
)
from ppc.coordinator.rpc import adapter, grpc, pb
from ppc.errors import FrameError, IdentityError, InternalError, NetError, PeerTimeout, PeerUnavailable, PpcError
from ppc.net.identity import Identity

CALL_S: Final = 15.0
CONNECT_S: Final = 5.0
MAX_MESSAGE_BYTES: Final = 16 << 20

T = TypeVar("T")


@dataclass(frozen=True)
class About:
    """What the coordinator says of itself."""

    name: str
    version: str
    time: float
    caller: str
    online: tuple[str, ...]
    open_jobs: int


class Client:
    """A connection to the coordinator, as one party. Close it, or use it as a context manager."""

    def __init__(self, identity: Identity, address: str, server: str = "coordinator") -> None:
        """Raises `IdentityError` if the other side is not `server`, or does not accept us; `PeerUnavailable` if nobody
        answers."""
        self.identity, self.address, self.server = identity, address, server
        certificate = _who_answers(identity, address, server)
        credentials = grpc.ssl_channel_credentials(
            certificate, read_pem(identity.key_path), read_pem(identity.cert_path)
        )
        options: list[tuple[str, Any]] = [
            *rpc.channel_options(MAX_MESSAGE_BYTES),
            ("grpc.ssl_target_name_override", _name_in(certificate)),
            ("grpc.default_authority", server),
            ("grpc.enable_retries", 0),
            # One client, one connection: no pool that outlives it.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self._channel = grpc.secure_channel(address, credentials, options)
        self._stub = adapter.CoordinatorStub(self._channel)  # type: ignore[no-untyped-call]

    @staticmethod
    def of(path: Path) -> Client:
        """The client of a party.toml or helper.toml."""
        config = load(path, MemberConfig)
        return Client(
            identity_of(config.name, config.identity, path), config.coordinator.address, config.coordinator.name
        )

    @property
    def me(self) -> str:
        """The party that calls."""
        return self.identity.name

    def close(self) -> None:
        """Ends the connection and every call on it."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- calls ----
    def about(self) -> About:
        """Who the coordinator is, and who is connected to it."""
        m = self._call(self._stub.About, pb.AboutRequest())
        return About(m.name, m.version, m.time, m.caller, tuple(m.online), m.open_jobs)

    def catalog(self) -> tuple[list[DatasetEntry], list[str]]:
        """The datasets that this party may see, and the agents that are connected."""
        m = self._call(self._stub.GetCatalog, pb.GetCatalogRequest())
        return [rpc.entry_from(d) for d in m.datasets], list(m.online)

    def submit(self, job_toml: str, signed: Signed) -> JobRecord:
        """Proposes a job."""
        request = pb.SubmitRequest(job_toml=job_toml, statement=rpc.signed_to(signed))
        return rpc.job_from(self._call(self._stub.Submit, request))

    def job(self, job_id: str) -> JobRecord:
        """One job; `JobNotFound` unless this party takes part in it."""
        return rpc.job_from(self._call(self._stub.GetJob, pb.GetJobRequest(job_id=job_id)))

    def jobs(self, states: Iterable[JobState] = (), limit: int = 100) -> list[JobRecord]:
        """This party's jobs, the newest first."""
        request = pb.ListJobsRequest(states=rpc.states_to(states), limit=limit)
        return [rpc.job_from(j) for j in self._call(self._stub.ListJobs, request).jobs]

    def decide(self, signed: Signed) -> JobRecord:
        """Approves, denies, cancels or retries: the signed statement says which."""
        return rpc.job_from(self._call(self._stub.Decide, pb.DecideRequest(statement=rpc.signed_to(signed))))

    def watch(self, job_id: str, after: int = 0) -> Iterator[Event]:
        """The job's events, until it has ended."""
        call = self._stub.Watch(pb.WatchRequest(job_id=job_id, after_seq=after))
        try:
            for message in call:
                yield rpc.event_from(message)
        except grpc.RpcError as error:
            raise self._error(error) from None
        finally:
            call.cancel()

    # ---- an agent's stream ----
    def attend(self, outgoing: Iterator[Hello | Report | Notice | Leave | Beat]) -> Attendance:
        """Opens an agent's stream; `outgoing` is what it says, from now on."""
        return Attendance(self._stub.Attend(_said(item) for item in outgoing), self._error)

    # ---- errors ----
    def _call(self, method: Callable[..., T], request: Any) -> T:
        try:
            return method(request, timeout=CALL_S)
        except grpc.RpcError as error:
            raise self._error(error) from None

    def _error(self, error: Any) -> PpcError:
        """A gRPC error as one of the tree."""
        known = rpc.error_from(error.trailing_metadata() if hasattr(error, "trailing_metadata") else None)
        if known is not None:
            return known
        code = error.code() if hasattr(error, "code") else None
        where = f"coordinator at {self.address}"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return PeerTimeout("the coordinator did not answer in time", where=where, party=self.server)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return NetError("the coordinator refuses the call: too large, or too many at once", where=where)
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, None):
            return PeerUnavailable(
                "the connection to the coordinator is lost", where=where, party=self.server, hint="is it running?"
            )
        return InternalError(f"the coordinator answered {code.name}", where=where)


@dataclass(frozen=True)
class Beat:
    """A sign of life."""


@dataclass(frozen=True)
class Leave:
    """A goodbye."""

    reason: str


class Attendance:
    """An agent's open stream: what the coordinator asks, until one side ends it."""

    def __init__(self, call: Any, error: Callable[[Any], PpcError]) -> None:
        self._call, self._error = call, error

    def __iter__(self) -> Iterator[Directive | Beat]:
        try:
            for message in self._call:
                kind = message.WhichOneof("body")
                if kind == "directive":
                    yield rpc.directive_from(message.directive)
                elif kind == "heartbeat":
                    yield Beat()
                else:
                    raise FrameError(f"the coordinator sent '{kind}'", where="agent stream")
        except grpc.RpcError as error:
            raise self._error(error) from None

    def cancel(self) -> None:
        """Ends the stream; safe from another thread."""
        self._call.cancel()


def _said(item: Hello | Report | Notice | Leave | Beat) -> Any:
    if isinstance(item, Hello):
        return rpc.hello_to(item)
    if isinstance(item, Report):
        return rpc.report_to(item)
    if isinstance(item, Notice):
        return rpc.notice_to(item)
    if isinstance(item, Leave):
        return pb.AgentMessage(leave=pb.Leave(reason=item.reason))
    return pb.AgentMessage(heartbeat=pb.Heartbeat(time=time.time()))


# ---- who answers ----
def _who_answers(identity: Identity, address: str, server: str) -> bytes:
    """The certificate (PEM) that the other side shows, once it has proved to be `server` and has accepted ours."""
    context = identity.context(server=False)
    context.set_alpn_protocols(["h2"])
    where = f"coordinator at {address}"
    deadline = time.monotonic() + CONNECT_S
    try:
        with (
            socket.create_connection(split_address(address), timeout=CONNECT_S) as raw,
            context.wrap_socket(raw) as tls,
        ):
            der = tls.getpeercert(binary_form=True) or b""
            tls.settimeout(max(0.1, deadline - time.monotonic()))
            # In TLS 1.3 a server that refuses our certificate says so only after the handshake: by an alert, or by
            # hanging up. One that accepts it begins to speak HTTP/2.
            if not tls.recv(1):
                raise IdentityError(
                    f"the coordinator does not accept the certificate of {identity.name}",
                    where=where,
                    hint="is it of the same authority as the coordinator's?",
                )
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message or "not valid"
        raise IdentityError(
            f"the certificate that answers cannot be trusted: {reason}",
            where=where,
            hint="is it of the authority in our own settings, and has it expired?",
        ) from None
    except ssl.SSLError as error:
        raise IdentityError(
            f"TLS failed: {(error.reason or 'unknown').replace('_', ' ').lower()}",
            where=where,
            hint="is this the coordinator's address, and are both certificates of one authority?",
        ) from None
    except TimeoutError:
        raise PeerTimeout("the coordinator did not answer in time", where=where, party=server) from None
    except ConnectionResetError:
        raise IdentityError(
            "the coordinator hung up during the handshake", where=where, hint="does it accept our certificate?"
        ) from None
    except OSError as error:
        raise PeerUnavailable(
            f"the coordinator cannot be reached: {error.strerror or 'no such host'}",
            where=where,
            party=server,
            hint="is it running, and is this its address?",
        ) from None
    pem = ssl.DER_cert_to_PEM_cert(der).encode()
    certificate = certificate_of(pem)
    check_chain(certificate, read_authorities(read_pem(identity.ca_path)), at=time.time())
    name = party_of(certificate)
    if name != server:
        raise IdentityError(
            f"{name} answers where {server} was expected",
            where=where,
            hint='check "coordinator" in the configuration: address and name',
        )
    return pem


def _name_in(pem: bytes) -> str:
    """A name that gRPC's own check will find in the certificate: its first DNS name, else its common name."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    certificate = certificate_of(pem)
    with contextlib.suppress(x509.ExtensionNotFound):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for name in names.get_values_for_type(x509.DNSName):
            if "*" not in name:
                return name
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else party_of(certificate)

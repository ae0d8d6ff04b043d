"""The coordinator on the network: gRPC over mutual TLS around a `Board`."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import ppc
from ppc.coordinator import rpc
from ppc.coordinator.board import Board
from ppc.coordinator.config import CoordinatorConfig, beside, join_address, split_address
from ppc.coordinator.floor import Member
from ppc.coordinator.identity import Doorkeeper, identity_of, read_pem
from ppc.coordinator.rpc import adapter, grpc, pb
from ppc.coordinator.store import Store
from ppc.errors import (
    FrameError,
    IdentityError,
    InputError,
    InternalError,
    JobError,
    JobNotFound,
    JobStateError,
    NetError,
    PeerTimeout,
    PortInUse,
    PpcError,
)

log = logging.getLogger("ppc.coordinator")

_CALLS: Final = 256  # concurrent calls: each watcher and each agent holds one
_TICK_S: Final = 0.3
_HELLO_S: Final = 10.0


def _status(error: PpcError) -> Any:
    """The gRPC status nearest to an error; the error itself travels beside it."""
    codes: list[tuple[type[PpcError], Any]] = [
        (IdentityError, grpc.StatusCode.PERMISSION_DENIED),
        (JobNotFound, grpc.StatusCode.NOT_FOUND),
        (JobStateError, grpc.StatusCode.FAILED_PRECONDITION),
        (InputError, grpc.StatusCode.INVALID_ARGUMENT),
        (FrameError, grpc.StatusCode.INVALID_ARGUMENT),
        (JobError, grpc.StatusCode.FAILED_PRECONDITION),
        (NetError, grpc.StatusCode.UNAVAILABLE),
    ]
    return next((code for cls, code in codes if isinstance(error, cls)), grpc.StatusCode.INTERNAL)


def _abort(context: Any, error: PpcError) -> Any:
    context.set_trailing_metadata(rpc.error_metadata(error))
    context.abort(_status(error), error.what)


class _Service(adapter.CoordinatorServicer):
    """Turns calls into calls of the board. A method never trusts a name that a message carries."""

    def __init__(self, board: Board, door: Doorkeeper, name: str) -> None:
        self._board, self._door, self._name = board, door, name

    # ---- unary calls ----
    def About(self, request: Any, context: Any) -> Any:
        def answer(caller: str) -> Any:
            return pb.AboutReply(
                name=self._name,
                version=ppc.__version__,
                time=time.time(),
                caller=caller,
                online=self._board.online(),
                open_jobs=self._board.open_jobs,
            )

        return self._answer(context, answer)

    def GetCatalog(self, request: Any, context: Any) -> Any:
        def answer(caller: str) -> Any:
            entries = [rpc.entry_to(e) for e in self._board.catalog(caller)]
            return pb.Catalog(datasets=entries, online=self._board.online())

        return self._answer(context, answer)

    def Submit(self, request: Any, context: Any) -> Any:
        def answer(caller: str) -> Any:
            signed = rpc.signed_from(request.statement)
            if signed is None:
                raise IdentityError("a submission must be signed")
            return rpc.job_to(self._board.submit(caller, request.job_toml, signed))

        return self._answer(context, answer)

    def GetJob(self, request: Any, context: Any) -> Any:
        return self._answer(context, lambda caller: rpc.job_to(self._board.job(caller, request.job_id)))

    def ListJobs(self, request: Any, context: Any) -> Any:
        def answer(caller: str) -> Any:
            states = rpc.states_from(request.states)
            jobs = self._board.jobs(caller, states, request.limit or 100)
            return pb.ListJobsReply(jobs=[rpc.job_to(j) for j in jobs])

        return self._answer(context, answer)

    def Decide(self, request: Any, context: Any) -> Any:
        def answer(caller: str) -> Any:
            signed = rpc.signed_from(request.statement)
            if signed is None:
                raise IdentityError("a decision must be signed")
            return rpc.job_to(self._board.decide(caller, signed))

        return self._answer(context, answer)

    # ---- streams ----
    def Watch(self, request: Any, context: Any) -> Iterator[Any]:
        box = self._answer(context, lambda caller: self._board.watch(caller, request.job_id, request.after_seq))
        try:
            while context.is_active() and not box.drained:
                event = box.get(1.0)
                if event is not None:
                    yield rpc.event_to(event)
        finally:
            self._board.leave(request.job_id, box)

    def Attend(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        attendance = _Attendance(self._board, self._answer(context, self._agent), self._door)
        reader = threading.Thread(target=attendance.read, args=(requests,), daemon=True, name="ppc-attend")
        reader.start()
        try:
            member = attendance.member()
        except PpcError as error:
            _abort(context, error)
            return
        # The stream ends with the connection: do not wait for the next directive to notice.
        context.add_callback(member.outbox.close)
        yield pb.CoordinatorMessage(heartbeat=pb.Heartbeat(time=time.time()))
        while not member.outbox.drained:
            directive = member.outbox.get(1.0)
            if directive is not None:
                yield rpc.directive_to(directive)
            elif not member.outbox.closed:
                yield pb.CoordinatorMessage(heartbeat=pb.Heartbeat(time=time.time()))
        if attendance.error is not None:
            _abort(context, attendance.error)

    @staticmethod
    def _agent(caller: str) -> str:
        return caller

    def _answer(self, context: Any, answer: Callable[[str], Any]) -> Any:
        """The caller's name into `answer`; its errors into a gRPC status."""
        try:
            certificates = context.auth_context().get("x509_pem_cert", [])
            if len(certificates) != 1:
                raise IdentityError("the call carries no certificate")
            return answer(self._door.admit(certificates[0]))
        except PpcError as error:
            log.info("refused: %s", error)
            return _abort(context, error)
        except Exception as error:
            log.exception("a call failed")
            hint = "the coordinator's log has the details"
            return _abort(context, InternalError(f"unexpected error ({type(error).__name__})", hint=hint))


class _Attendance:
    """The half of an agent's stream that comes in."""

    def __init__(self, board: Board, caller: str, door: Doorkeeper) -> None:
        self._board, self._caller, self._door = board, caller, door
        self._met = threading.Event()
        self._member: Member | None = None
        self.error: PpcError | None = None

    def member(self) -> Member:
        """The member, once it has introduced itself; raises what made that fail."""
        if not self._met.wait(_HELLO_S):
            raise PeerTimeout("the agent did not introduce itself", party=self._caller)
        if self.error is not None:
            raise self.error
        if self._member is None:
            raise FrameError("the agent left before it introduced itself", party=self._caller)
        return self._member

    def read(self, requests: Iterator[Any]) -> None:
        """Takes messages until the stream ends."""
        reason: str | None = None
        try:
            for message in requests:
                kind = message.WhichOneof("body")
                if kind == "leave":
                    reason = message.leave.reason or "stopped"
                    break
                self._take(kind, message)
        except PpcError as error:
            self.error = error
        except grpc.RpcError:
            pass  # the connection broke: the agent may come back
        except Exception as error:
            # A stream that breaks raises a bare Exception in gRPC's own iterator.
            if type(error) is not Exception:
                log.exception("an agent's stream failed")
                self.error = InternalError(f"unexpected error ({type(error).__name__})")
        finally:
            self._met.set()
            if self._member is not None:
                self._board.part(self._member, reason)

    def _take(self, kind: str | None, message: Any) -> None:
        if self._member is None:
            if kind != "hello":
                raise FrameError("an agent must introduce itself first", party=self._caller)
            hello = rpc.hello_from(message.hello)
            self._door.allow_role(self._caller, hello.role)
            self._member = self._board.attend(self._caller, hello)
            self._met.set()
            return
        self._board.heard(self._member)
        if kind == "report":
            self._board.report(self._member, rpc.report_from(message.report))
        elif kind == "event":
            self._board.notice(self._member, rpc.notice_from(message.event))
        elif kind != "heartbeat":
            raise FrameError(f"an agent cannot send '{kind}' now", party=self._caller)


class CoordinatorServer:
    """A coordinator that listens. `start()`, then `stop()`; or as a context manager."""

    def __init__(self, config: CoordinatorConfig, path: Path) -> None:
        """`path` is the configuration's file: relative paths in it start there."""
        self._config = config
        identity = identity_of(config.name, config.identity, path)
        ca = read_pem(identity.ca_path)
        self._credentials = grpc.ssl_server_credentials(
            [(read_pem(identity.key_path), read_pem(identity.cert_path))], ca, require_client_auth=True
        )
        door = Doorkeeper.of(config)
        self._store = Store(_store_url(config.store, path))
        self.board = Board(
            self._store,
            ca,
            knows=door.knows,
            lease_s=config.lease_s,
            prepare_s=config.prepare_s,
            proposal_s=config.proposal_days * 86400,
            max_open_jobs=config.max_open_jobs,
        )
        self._stopping = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True, name="ppc-tick")
        self._pool = ThreadPoolExecutor(_CALLS, thread_name_prefix="ppc-call")
        options = rpc.channel_options(config.max_message_bytes)
        # Without this a second coordinator could bind the same port and get half of the calls.
        options.append(("grpc.so_reuseport", 0))
        self._server = grpc.server(self._pool, options=options, maximum_concurrent_rpcs=_CALLS)
        adapter.add_CoordinatorServicer_to_server(_Service(self.board, door, config.name), self._server)  # type: ignore[no-untyped-call]
        self.address = ""

    def start(self) -> str:
        """Begins to listen; returns host:port. Raises `PortInUse`."""
        host, port = split_address(self._config.listen)
        try:
            bound = self._server.add_secure_port(join_address(host, port), self._credentials)
        except RuntimeError:
            bound = 0
        if not bound:
            self._store.close()
            raise PortInUse(
                "the address is taken or not permitted",
                where=self._config.listen,
                hint='choose another port in "listen"; port 0 takes any free one',
            )
        self.address = join_address(host, bound)
        self._server.start()
        self._ticker.start()
        return self.address

    def stop(self, grace_s: float = 1.0) -> None:
        """Ends every call and closes the store. Jobs stay as they are, for the next start."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self.board.stop()
        self._server.stop(grace_s).wait(grace_s + 5)
        if self._ticker.ident is not None:
            self._ticker.join(5)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._store.close()

    def __enter__(self) -> CoordinatorServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _tick(self) -> None:
        while not self._stopping.wait(_TICK_S):
            try:
                self.board.tick()
            except PpcError as error:
                log.error("%s", error)


def _store_url(url: str, config: Path) -> str:
    """SQLite files lie beside the configuration."""
    prefix = "sqlite:///"
    if url.startswith(prefix) and url != prefix and not url.startswith(prefix + ":memory:"):
        return prefix + str(beside(config, url[len(prefix) :]))
    return url


@contextlib.contextmanager
def serving(config: CoordinatorConfig, path: Path) -> Iterator[CoordinatorServer]:
    """A coordinator for the length of a block."""
    with CoordinatorServer(config, path) as server:
        yield server

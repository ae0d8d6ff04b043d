from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ppc.coordinator import statements
from ppc.coordinator.client import Beat, Client, Leave
from ppc.coordinator.jobs import DatasetEntry, Directive, DirectiveKind, Hello, JobState, Phase, Report, Role
from ppc.coordinator.mailbox import Mailbox
from ppc.coordinator.server import CoordinatorServer
from ppc.coordinator.statements import Statement, Word
from ppc.errors import (
    IdentityError,
    JobFileError,
    JobNotFound,
    JobStateError,
    NetError,
    PeerTimeout,
    PeerUnavailable,
    PortInUse,
)
from ppc.net.identity import Identity

JOB = """\
name = "probe"
parties = ["bank-a", "bank-b"]
[datasets]
bank-a = "left"
bank-b = "right"
[[step]]
operator = "probe"
"""


@pytest.fixture
def server(server_config: Callable[..., Any], tmp_path: Path) -> Iterator[CoordinatorServer]:
    """A coordinator in this process."""
    with CoordinatorServer(server_config(lease_s=1.5), tmp_path / "coordinator.toml") as one:
        yield one


@pytest.fixture
def client(server: CoordinatorServer, keys: dict[str, Identity]) -> Iterator[Callable[..., Client]]:
    """Connections to it."""
    opened = []

    def connect(name: str, **parts: Any) -> Client:
        one = Client(parts.pop("who", keys[name]), server.address, **parts)
        opened.append(one)
        return one

    yield connect
    for one in opened:
        one.close()


class Standing:
    """An agent's stream, open."""

    def __init__(self, client: Client, role: Role = Role.PARTY, instance: str = "one") -> None:
        dataset = {"bank-a": "left", "bank-b": "right"}.get(client.me)
        entries = (DatasetEntry(client.me, dataset, "", 100),) if dataset else ()
        self.out: Mailbox[Any] = Mailbox()
        self.out.put(Hello(role, "0", instance, entries, (), 2))
        self.call = client.attend(self._say())
        self.stream = iter(self.call)
        self.directives: list[Directive] = []
        assert isinstance(next(self.stream), Beat)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _say(self) -> Iterator[Any]:
        while not self.out.drained:
            item = self.out.get(0.3)
            yield item if item is not None else Beat()

    def _read(self) -> None:
        try:
            for item in self.stream:
                if isinstance(item, Directive):
                    self.directives.append(item)
        except NetError:
            pass

    def wait(self, kind: DirectiveKind) -> Directive:
        """The first directive of that kind."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for directive in self.directives:
                if directive.kind is kind:
                    return directive
            time.sleep(0.01)
        raise AssertionError(f"no {kind} among {[d.kind for d in self.directives]}")


def submission(keys: Any, name: str = "bank-a", job_id: str = "probe-1") -> Any:
    return statements.sign(Statement(Word.SUBMIT, name, job_id, 1, "jh", ""), keys[name])


# ---- who gets in ----
def test_the_caller_is_who_the_certificate_says(client: Callable[..., Client]) -> None:
    about = client("bank-a").about()
    assert (about.caller, about.name, about.online) == ("bank-a", "coordinator", ())


def test_whoever_is_not_on_the_roster_is_told_so(client: Callable[..., Client]) -> None:
    with pytest.raises(IdentityError, match="stranger is not known to this coordinator"):
        client("stranger").about()


def test_a_certificate_of_another_authority_is_refused_from_both_sides(
    server: CoordinatorServer, keys: Any, other_keys: Any
) -> None:
    with pytest.raises(IdentityError, match="cannot be trusted"):
        Client(other_keys["bank-a"], server.address)
    other, mine = other_keys["bank-a"], keys["bank-a"]
    half = Identity("bank-a", other.cert_path, other.key_path, mine.ca_path)
    with pytest.raises(IdentityError, match=r"does not accept the certificate of bank-a|hung up|TLS failed"):
        Client(half, server.address)


def test_another_party_cannot_pose_as_the_coordinator(server_config: Any, keys: Any, tmp_path: Path) -> None:
    config = server_config(keys["bank-b"], name="bank-b")
    with CoordinatorServer(config, tmp_path / "c.toml") as impostor:
        with pytest.raises(IdentityError, match="bank-b answers where coordinator was expected"):
            Client(keys["bank-a"], impostor.address)
        with Client(keys["bank-a"], impostor.address, "bank-b") as honest:
            assert honest.about().name == "bank-b"


def test_host_names_in_a_certificate_do_not_matter(server_config: Any, keys: Any, tmp_path: Path) -> None:
    """A coordinator whose certificate has host names, none of them its address."""
    from ppc.net import identity as certificates

    ca = keys["coordinator"].ca_path.parent
    named = certificates.issue(ca, "named-coordinator", ["coordinator.example"], out=tmp_path)
    who = Identity("named-coordinator", named.cert_path, named.key_path, named.ca_path)
    config = server_config(who, name="named-coordinator")
    with (
        CoordinatorServer(config, tmp_path / "c.toml") as server,
        Client(keys["bank-a"], server.address, "named-coordinator") as client,
    ):
        assert client.about().caller == "bank-a"


def test_a_call_without_a_certificate_does_not_get_through(server: CoordinatorServer, keys: Any) -> None:
    import ssl

    context = ssl.create_default_context(cafile=str(keys["bank-a"].ca_path))
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    host, port = server.address.split(":")
    with (
        socket.create_connection((host, int(port)), timeout=5) as raw,
        context.wrap_socket(raw) as tls,
        contextlib.suppress(OSError),  # an alert
    ):
        assert tls.recv(1) == b""


def test_plain_text_does_not_get_through(server: CoordinatorServer) -> None:
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 100)
        raw.settimeout(5)
        try:
            answer = raw.recv(1000)
        except OSError:
            answer = b""
    assert b"\x00\x00\x00\x04" not in answer  # no HTTP/2 settings frame


def test_nobody_there_and_nobody_answering_are_told_apart(keys: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(PeerUnavailable, match="cannot be reached"):
            Client(keys["bank-a"], address)
        free.listen()
        start = time.monotonic()
        with pytest.raises(PeerTimeout, match="did not answer"):
            Client(keys["bank-a"], address)
        assert time.monotonic() - start < 8
    with pytest.raises(PeerUnavailable):
        Client(keys["bank-a"], "no-such-host.invalid:1")


def test_an_expired_certificate_of_our_own_is_found_before_the_call(
    server: CoordinatorServer, keys: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    from datetime import UTC, datetime, timedelta

    from ppc.net import identity as certificates

    class Past(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) - timedelta(days=400)

    with monkeypatch.context() as patch:
        patch.setattr(certificates, "datetime", Past)
        old = certificates.issue(keys["bank-a"].ca_path.parent, "bank-old", out=tmp_path)
    with pytest.raises(IdentityError, match="expired on"):
        Client(old, server.address)


# ---- errors and caps ----
def test_errors_keep_their_class_across_the_wire(client: Callable[..., Client], keys: Any) -> None:
    one = client("bank-a")
    with pytest.raises(JobNotFound, match="no job 'nothing'") as caught:
        one.job("nothing")
    assert caught.value.hint == "ppc jobs lists them"
    with pytest.raises(JobFileError, match="not valid TOML"):
        one.submit("name = = 1", submission(keys))
    with pytest.raises(JobFileError, match="bank-a has no dataset 'left'"):
        one.submit(JOB, submission(keys))
    with pytest.raises(IdentityError, match="sent a statement of bank-b"):
        one.submit(JOB, submission(keys, "bank-b"))


def test_a_message_that_is_too_large_is_refused(client: Callable[..., Client], keys: Any) -> None:
    with pytest.raises(NetError, match="too large"):
        client("bank-a").submit("#" * (5 << 20), submission(keys))


def test_a_port_in_use_is_a_clear_error(server: CoordinatorServer, server_config: Any, tmp_path: Path) -> None:
    config = server_config(listen=server.address, store=f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(PortInUse, match="taken") as caught:
        CoordinatorServer(config, tmp_path / "coordinator.toml").start()
    assert caught.value.where == server.address


# ---- agents' streams ----
def test_an_agent_stands_until_it_leaves(server: CoordinatorServer, client: Callable[..., Client]) -> None:
    agent = Standing(client("bank-a"))
    assert client("bank-b").about().online == ("bank-a",)
    entries, online = client("bank-b").catalog()
    assert ([e.name for e in entries], online) == (["left"], ["bank-a"])
    agent.out.put(Leave("done"))
    agent.thread.join(5)
    assert not agent.thread.is_alive()
    assert client("bank-b").about().online == ()
    assert [e.name for e in client("bank-b").catalog()[0]] == ["left"]  # known from before


def test_an_agent_that_is_silent_is_given_up(server: CoordinatorServer, client: Callable[..., Client]) -> None:
    agent = Standing(client("bank-a"))
    agent.out.get = lambda _timeout: time.sleep(30)  # type: ignore[method-assign, assignment, func-returns-value]
    deadline = time.monotonic() + 6
    while client("bank-b").about().online and time.monotonic() < deadline:
        time.sleep(0.1)
    assert client("bank-b").about().online == ()


def test_a_helper_cannot_serve_as_a_party(client: Callable[..., Client]) -> None:
    with pytest.raises(IdentityError, match="helper is not a party on this coordinator's roster"):
        Standing(client("helper"))


def test_a_second_agent_of_a_name_is_refused(client: Callable[..., Client]) -> None:
    first = Standing(client("bank-a"))
    with pytest.raises(JobStateError, match="another agent of bank-a"):
        Standing(client("bank-a"), instance="two")
    first.out.close()


def test_a_job_over_the_wire(client: Callable[..., Client], keys: Any) -> None:
    agents = {name: Standing(client(name)) for name in ("bank-a", "bank-b")}
    one = client("bank-a")
    job = one.submit(JOB, submission(keys))
    watched: list[Any] = []
    watcher = threading.Thread(target=lambda: watched.extend(client("bank-b").watch(job.id)))
    watcher.start()
    for name, agent in agents.items():
        directive = agent.wait(DirectiveKind.CONSIDER)
        assert directive.job_toml == JOB
        said = Statement(Word.APPROVE, name, job.id, 1, "jh", "ph")
        agent.out.put(Report(job.id, 1, Phase.APPROVED, "ph", statements.sign(said, keys[name])))
    for name, agent in agents.items():
        assert len(agent.wait(DirectiveKind.PREPARE).approvals) == 2
        agent.out.put(Report(job.id, 1, Phase.READY, "ph", address=f"{name}:1"))
    for agent in agents.values():
        assert agent.wait(DirectiveKind.START).addresses == {"bank-a": "bank-a:1", "bank-b": "bank-b:1"}
        agent.out.put(Report(job.id, 1, Phase.DONE))
    watcher.join(5)
    assert not watcher.is_alive()
    assert watched[-1].state is JobState.DONE
    assert one.job(job.id).state is JobState.DONE
    assert [j.id for j in one.jobs()] == [job.id]
    assert one.jobs([JobState.FAILED]) == []
    with pytest.raises(JobNotFound):
        client("helper").job(job.id)


def test_stopping_lets_every_watcher_and_agent_go(
    server: CoordinatorServer, client: Callable[..., Client], keys: Any
) -> None:
    agents = [Standing(client(name)) for name in ("bank-a", "bank-b")]
    client("bank-a").submit(JOB, submission(keys))
    ended = threading.Event()

    def watch() -> None:
        try:
            for _ in client("bank-b").watch("probe-1"):
                pass
        except NetError:
            pass
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    time.sleep(0.2)
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 5
    assert ended.wait(5)
    for agent in agents:
        agent.thread.join(5)
        assert not agent.thread.is_alive()

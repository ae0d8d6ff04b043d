"""`ppc coordinator`, `ppc party`, `ppc helper`: the processes that stay."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ppc.coordinator.desk import Desk

ReadyOption = Annotated[
    Path | None,
    typer.Option("--ready-file", help="Write address and process id there (JSON) once it serves."),
]
CheckOption = Annotated[bool, typer.Option("--check", help="Check the settings and stop.")]
EofOption = Annotated[bool, typer.Option("--until-eof", hidden=True, help="Stop when stdin is closed.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors only.")]


def coordinator(
    config: Annotated[Path, typer.Option("--config", "-c", help="Its settings.")] = Path("coordinator.toml"),
    ready_file: ReadyOption = None,
    check: CheckOption = False,
    quiet: QuietOption = False,
    until_eof: EofOption = False,
) -> None:
    """Serve as the coordinator: catalog, jobs, approvals, progress. It sees no data, no share and no result."""
    from ppc.coordinator.config import CoordinatorConfig, load
    from ppc.coordinator.identity import identity_of
    from ppc.coordinator.server import CoordinatorServer

    _log(quiet)
    settings = load(config, CoordinatorConfig)
    if check:
        identity_of(settings.name, settings.identity, config)
        typer.echo(f"{config}: ok")
        return
    stopping = threading.Event()
    _on_signals(stopping.set, until_eof)
    server = CoordinatorServer(settings, config)
    address = server.start()
    try:
        logging.getLogger("ppc.coordinator").info("%s listens on %s", settings.name, address)
        _ready(ready_file, name=settings.name, role="coordinator", address=address)
        stopping.wait()
    finally:
        server.stop()
        _gone(ready_file)


def party(
    config: Annotated[Path, typer.Option("--config", "-c", envvar="PPC_CONFIG", help="Its settings.")] = Path(
        "party.toml"
    ),
    ready_file: ReadyOption = None,
    check: CheckOption = False,
    quiet: QuietOption = False,
    until_eof: EofOption = False,
) -> None:
    """Serve as a party's agent: it holds the data, decides by policy.toml what may run, and runs it."""
    from ppc.coordinator.desk import PartyDesk

    _serve(PartyDesk, config, ready_file, check, quiet, until_eof)


def helper(
    config: Annotated[Path, typer.Option("--config", "-c", envvar="PPC_CONFIG", help="Its settings.")] = Path(
        "helper.toml"
    ),
    ready_file: ReadyOption = None,
    check: CheckOption = False,
    quiet: QuietOption = False,
    until_eof: EofOption = False,
) -> None:
    """Serve as the helper: it deals correlated randomness, never sees an input, and must not collude with a party."""
    from ppc.coordinator.desk import HelperDesk

    _serve(HelperDesk, config, ready_file, check, quiet, until_eof)


def _serve(
    desk_of: Callable[[Path], Desk], config: Path, ready_file: Path | None, check: bool, quiet: bool, until_eof: bool
) -> None:
    from ppc.coordinator.agent import Agent

    _log(quiet)
    desk = desk_of(config)
    if check:
        desk.open()
        desk.close()
        typer.echo(f"{config}: ok ({len(desk.entries())} datasets)")
        return
    written = threading.Event()

    def on_ready() -> None:
        if not written.is_set():
            written.set()
            _ready(ready_file, name=desk.me, role=str(desk.role), coordinator=desk.coordinator.address)

    agent = Agent(desk, on_ready=on_ready)
    _on_signals(agent.stop, until_eof)
    try:
        agent.run()
    finally:
        _gone(ready_file)


def _log(quiet: bool) -> None:
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )


def _on_signals(stop: Callable[[], None], until_eof: bool) -> None:
    def handler(*_: object) -> None:
        # Not here: the thread that the signal interrupted may hold the very lock that `stop` needs.
        threading.Thread(target=stop, name="ppc-stop").start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)
    if until_eof:

        def wait() -> None:
            # Not by sys.stdin, whose lock a daemon thread would hold when the interpreter ends.
            while os.read(0, 4096):
                pass
            stop()

        threading.Thread(target=wait, daemon=True, name="ppc-eof").start()


def _ready(path: Path | None, **parts: Any) -> None:
    if path is not None:
        from ppc.core.files import atomic_write

        with atomic_write(path) as file:
            file.write(json.dumps({**parts, "pid": os.getpid()}).encode())


def _gone(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)

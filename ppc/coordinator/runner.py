"""The agent's side of a child process that works on one job: start it, talk to it, and be sure that it ends.

The two talk in JSON lines over the child's stdin and stdout. Nothing about the job is in its arguments or environment.
What the child prints or logs goes to a file that only the party can read.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ppc.errors import FileError, InternalError

log = logging.getLogger("ppc.agent")

GRACE_S: Final = 3.0  # between asking a child to stop and killing it
Message = dict[str, Any]


class Runner:
    """One child process. `on_message` is called from a thread of its own, last of all with `{"event": "exit"}`."""

    def __init__(self, task: Mapping[str, Any], log_path: Path, on_message: Callable[[Message], None]) -> None:
        self._on_message = on_message
        self._lock = threading.Lock()
        self._kill_at: float | None = None
        try:
            log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise FileError(f"cannot write the log of the job: {error.strerror}", where=str(log_path)) from error
        try:
            # A session of its own: Ctrl-C at the agent's terminal goes to the agent alone, and what the child starts
            # can be ended with it. -P keeps the present folder out of the search for modules.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ppc.coordinator.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=descriptor,
                start_new_session=True,
            )
        except OSError as error:
            raise InternalError(f"cannot start a process for the job: {error.strerror}") from error
        finally:
            os.close(descriptor)
        self._reader = threading.Thread(target=self._read, name="ppc-runner", daemon=True)
        self._reader.start()
        self.send(task)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def send(self, message: Mapping[str, Any]) -> None:
        """A line to the child; lost if it has ended."""
        with self._lock:
            try:
                if self._process.stdin is not None:
                    self._process.stdin.write(json.dumps(message).encode() + b"\n")
                    self._process.stdin.flush()
            except (OSError, ValueError):
                pass  # it has ended: the reader tells

    def cancel(self) -> None:
        """Asks the child to stop; `tick` kills it if it does not."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + GRACE_S
            self.send({"do": "cancel"})

    def tick(self) -> None:
        """Kills a child that was asked to stop and did not."""
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            self.kill()

    def kill(self) -> None:
        """Ends the child and whatever it started, at once."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._process.kill()

    def wait(self, timeout_s: float) -> bool:
        """Whether the child has ended within that time."""
        self._reader.join(timeout_s)
        return not self._reader.is_alive()

    def _read(self) -> None:
        pipe = self._process.stdout
        if pipe is None:
            return
        for line in pipe:
            try:
                message = json.loads(line)
                if not isinstance(message, dict):
                    raise ValueError
            except ValueError:
                log.warning("a job's process wrote a line that is no message")
                continue
            self._on_message(message)
        code = self._process.wait()
        pipe.close()
        with self._lock:
            if self._process.stdin is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
        self._on_message({"event": "exit", "code": code})


def ask(task: Mapping[str, Any], log_path: Path, timeout_s: float) -> Message:
    """Runs a child for one answer: its last message before it ended."""
    messages: list[Message] = []
    runner = Runner(task, log_path, messages.append)
    if not runner.wait(timeout_s):
        runner.kill()
        runner.wait(5.0)
        raise InternalError(f"a process of the agent did not end within {timeout_s:g} s")
    answers = [m for m in messages if m.get("event") != "exit"]
    if not answers:
        code = messages[-1].get("code") if messages else None
        raise InternalError(f"a process of the agent ended without an answer (status {code})", where=str(log_path))
    return answers[-1]

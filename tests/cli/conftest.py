"""Runs the command in this process, and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest


class Outcome(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str


@pytest.fixture
def ppc(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`ppc(...)` in this process."""
    from ppc.cli import main

    def run(*arguments: Any) -> Outcome:
        capsys.readouterr()
        status = main([str(a) for a in arguments])
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture
def ppc_process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`ppc(...)` as a process."""

    def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **options.pop("environment", {})}
        return subprocess.run(
            [sys.executable, "-m", "ppc.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
            **options,
        )

    return run

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from typing import Any

import pytest

import ppc as package
from ppc.cli import COMMANDS, Command, _run
from ppc.errors import BudgetExceeded, ColumnError, InternalError, PeerUnavailable


def test_help_lists_every_command_with_its_line(ppc: Any) -> None:
    found = ppc("--help")
    assert found.status == 0
    for name, command in COMMANDS.items():
        assert name in found.out
        assert command.help.split(":")[0].split(",")[0][:30] in found.out


def test_help_loads_nothing_heavy(ppc_process: Any) -> None:
    code = (
        "import sys; from ppc.cli import main; main(['--help']);"
        "heavy = {'numpy', 'pyarrow', 'numba', 'grpc', 'sqlalchemy', 'duckdb', 'cryptography', 'pandas'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == "[]", "these are what takes time"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_loads_and_explains_itself(ppc: Any, name: str) -> None:
    found = ppc(name, "--help")
    assert found.status == 0, found.err
    assert "Usage: ppc " + name in " ".join(found.out.split())


def test_version(ppc: Any) -> None:
    found = ppc("--version")
    assert found.status == 0
    assert found.out.startswith(f"ppc {package.__version__} (Python ")


def test_no_arguments_show_the_help(ppc: Any) -> None:
    found = ppc()
    assert found.status in (0, 2)
    assert "Usage: ppc" in found.out + found.err


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["submit"], ["jobs", "--nothing"], ["jobs", "--limit", "x"], ["ca", "isue", "a"]]
)
def test_wrong_usage_is_status_2_on_stderr(ppc: Any, arguments: list[str]) -> None:
    found = ppc(*arguments)
    assert found.status == 2
    assert found.out == ""
    assert found.err


def test_a_misspelt_command_gets_a_suggestion(ppc: Any) -> None:
    assert "Did you mean 'submit'?" in ppc("subbmit").err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ColumnError("no column", where="a.csv", hint="add it"), 3),
        (BudgetExceeded("spent"), 4),
        (PeerUnavailable("x"), 5),
    ],
)
def test_an_error_is_two_lines_on_stderr_and_a_status(
    ppc: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fail() -> None:
        raise error

    command(monkeypatch, fail)
    found = ppc("broken")
    assert found.status == status
    assert found.out == ""
    lines = found.err.splitlines()
    assert lines[0] == f"error[{error.code}]: {error}"  # type: ignore[attr-defined]
    assert lines[1:] == (["hint: add it"] if status == 3 else [])
    assert "Traceback" in ppc("broken", "--debug").err
    assert "Traceback" in ppc("--debug", "broken").err


def test_a_defect_is_an_internal_error_without_a_traceback(ppc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a value 4711")

    command(monkeypatch, fail)
    found = ppc("broken")
    assert found.status == InternalError.exit_status
    assert "error[PPC-E900]: unexpected ZeroDivisionError" in found.err
    assert "4711" not in found.err
    assert "Traceback" not in found.err
    assert "4711" in ppc("broken", "--debug").err


def test_ctrl_c_is_130_without_a_traceback(ppc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    command(monkeypatch, fail)
    found = ppc("broken")
    assert found.status == 130
    assert "Traceback" not in found.err


@pytest.mark.parametrize("lines", [1, 1_000_000])
def test_a_reader_that_goes_away_gets_no_traceback(tmp_path: Any, lines: int) -> None:
    """Whether the pipe breaks while the command prints, or only when it ends."""
    script = (
        "import sys, time, types; import ppc.cli as c\n"
        "def spout():\n"
        f"    print('x\\n' * {lines})\n"
        "    time.sleep(0.5)\n"
        "m = types.ModuleType('spouting'); m.spout = spout; sys.modules['spouting'] = m\n"
        "c.COMMANDS['spout'] = c.Command('spouting:spout', 'x')\n"
        "sys.exit(c.main(['spout']))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(20) == _run.BROKEN_PIPE_STATUS
        assert process.stderr.read() == b""


def test_a_command_whose_package_is_missing_says_what_to_install(ppc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "broken", Command("a_package_that_is_not_there:f", "x"))
    found = ppc("broken")
    assert found.status == 8
    assert "hint: pip install a_package_that_is_not_there" in found.err


def test_every_target_exists() -> None:
    for command in COMMANDS.values():
        module, _, attribute = command.target.partition(":")
        assert hasattr(importlib.import_module(module), attribute)


def command(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:
    """A command `broken` that calls `function`."""
    import types

    module = types.ModuleType("broken_command")
    module.run = function  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "broken_command", module)
    monkeypatch.setitem(COMMANDS, "broken", Command("broken_command:run", "x"))


def test_the_interrupt_of_a_real_process(tmp_path: Any) -> None:
    """Ctrl-C while a command waits for a coordinator that does not answer."""
    import socket

    from ppc.net import identity as certificates

    certificates.create_ca(tmp_path)
    certificates.issue(tmp_path, "bank-a")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        (tmp_path / "party.toml").write_text(
            f'name = "bank-a"\n[coordinator]\naddress = "127.0.0.1:{silent.getsockname()[1]}"\n'
            '[identity]\ncertificate = "bank-a.pem"\nkey = "bank-a.key"\nca = "ca.pem"\n'
        )
        with subprocess.Popen(
            [sys.executable, "-m", "ppc.cli", "jobs"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            silent.settimeout(20)
            connection, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
            connection.close()
    assert process.returncode == _run.INTERRUPTED_STATUS
    assert (out, err) == ("", "interrupted\n")

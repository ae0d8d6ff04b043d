"""From the arguments to a command, and from an exception to an exit status."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from ppc.cli import COMMANDS
from ppc.errors import InternalError, MissingExtra, PpcError, did_you_mean

USAGE_STATUS: Final = 2
INTERRUPTED_STATUS: Final = 130
BROKEN_PIPE_STATUS: Final = 1  # as typer has it, when it notices first

# The class that typer raises for a wrong option, whichever library it takes it from.
_UsageError: Any = typer.BadParameter.__mro__[2]


class _Commands(TyperGroup):
    """Finds commands in `COMMANDS`; imports one only to run it or to show its own help."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=entry.help, rich_help_panel=entry.section)
        return load(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS)
            ctx.fail(f"There is no command '{args[0]}'." + (f" {hint}" if hint and hint.startswith("Did") else ""))
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False


def load(name: str) -> Any:
    """The command of one entry of `COMMANDS`."""
    entry = COMMANDS[name]
    module, _, attribute = entry.target.partition(":")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "ppc":
            raise
        raise MissingExtra(
            f"'ppc {name}' needs the package '{error.name}'", hint=f"pip install {error.name}"
        ) from error
    if isinstance(target, typer.Typer):
        command: Any = get_group(target)
    else:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
        app.command()(target)
        command = get_command(app)
    command.name = name
    return command


_app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        import platform

        import ppc

        typer.echo(
            f"ppc {ppc.__version__} (Python {platform.python_version()}, {platform.system()} {platform.machine()})"
        )
        raise typer.Exit


@_app.callback(epilog="Each command explains itself: ppc COMMAND --help")
def _root(
    version: bool = typer.Option(False, "--version", help="Show the version.", is_eager=True, callback=_version),
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks; may stand anywhere on the line."),
) -> None:
    """Compute together on data that nobody shows: joint models and statistics, and desensitization."""


def run(argv: list[str]) -> int:
    """Runs the command that `argv` names; returns its exit status and lets no exception out."""
    plain = argv[: argv.index("--")] if "--" in argv else argv
    debug = "--debug" in plain or os.environ.get("PPC_DEBUG") == "1"
    argv = [a for a in plain if a != "--debug"] + argv[len(plain) :]
    try:
        answer = get_group(_app).main(args=argv, prog_name="ppc", standalone_mode=False)
        sys.stdout.flush()
        if answer == INTERRUPTED_STATUS:  # how typer passes Ctrl-C on
            print("interrupted", file=sys.stderr)
        return answer if isinstance(answer, int) else 0
    except PpcError as error:
        if debug:
            traceback.print_exc()
        show(error)
        return error.exit_status
    except typer.Exit as error:
        return int(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED_STATUS
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more may be written to it, not even at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE_STATUS
    except _UsageError as error:
        error.show(file=sys.stderr)
        return USAGE_STATUS
    except Exception as error:
        if debug:
            traceback.print_exc()
        hint = "this is a defect of ppc; run the command again with --debug and report what it shows"
        show(InternalError(f"unexpected {type(error).__name__}", hint=hint))
        return InternalError.exit_status


def show(error: PpcError) -> None:
    """The error for a person, on stderr."""
    print(f"error[{error.code}]: {error}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)

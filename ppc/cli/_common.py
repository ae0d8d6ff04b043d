"""What several commands share: options, output, and a client."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppc.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from ppc.coordinator.client import Client

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="PPC_CONFIG", help="party.toml or helper.toml of who acts.", show_default=True
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
DEFAULT_CONFIG = Path("party.toml")


def client(config: Path, *, plans: bool = False) -> Client:
    """A connection as the party of `config`; if it is to plan, with the party's own operators loaded."""
    from ppc.coordinator.client import Client
    from ppc.errors import FileError

    if not config.exists():
        hint = "say who you are: --config party.toml, or PPC_CONFIG; `ppc init party` writes one"
        raise FileError("there is no such file", where=str(config), hint=hint)
    if plans:
        from ppc.coordinator.config import MemberConfig, load
        from ppc.coordinator.planning import load_operators

        load_operators(load(config, MemberConfig).operators)
    return Client.of(config)


def print_json(value: Any) -> None:
    """One JSON value on one line."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))


def out() -> Console:
    """The console for results."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def err() -> Console:
    """The console for progress and remarks."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """A plain table on stdout; tab-separated when stdout is no terminal, so that other tools can read it."""
    if not sys.stdout.isatty():
        print("\t".join(columns))
        for row in rows:
            print("\t".join(row))
        return
    from rich.markup import escape
    from rich.table import Table

    grid = Table(*columns, title=title, box=None, header_style="bold", pad_edge=False, title_justify="left")
    for row in rows:
        grid.add_row(*(escape(cell) for cell in row))
    out().print(grid)


def pairs(values: Sequence[str], option: str) -> dict[str, str]:
    """`["bank-a=a.csv", …]` as a dict; `ConfigError` that shows the form if one is not NAME=VALUE."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not name or not rest:
            raise ConfigError(f"'{value}' is not PARTY=VALUE", where=option, hint=f"for example: {option} bank-a=a.csv")
        if name in found:
            raise ConfigError(f"'{name}' is given twice", where=option)
        found[name] = rest
    return found


def read_text(path: Path) -> str:
    """A job file's text."""
    from ppc.coordinator.jobhead import MAX_JOB_BYTES
    from ppc.errors import FileError, JobFileError

    try:
        if path.stat().st_size > MAX_JOB_BYTES:
            raise JobFileError(f"the job file is larger than {MAX_JOB_BYTES} bytes", where=str(path))
        return path.read_text("utf-8")
    except OSError as error:
        raise FileError(f"cannot read the job file: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise JobFileError("the job file is not UTF-8 text", where=str(path)) from None


def ago(seconds: float) -> str:
    """A time span for people: 45 s, 3 min, 2 h, 5 d."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"

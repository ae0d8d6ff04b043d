"""`ppc desensitize`, `ppc policy draft` and `ppc key new`."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppc.cli._common import JsonOption, err, out, print_json
from ppc.errors import ConfigError

if TYPE_CHECKING:
    from ppc.desensitize.keys import KeyRef
    from ppc.desensitize.policy import Policy

policy_app = typer.Typer(help="Draft and check desensitization policies.", no_args_is_help=True)
key_app = typer.Typer(help="Make keys for desensitization.", no_args_is_help=True)

SchemaOption = Annotated[
    Path | None, typer.Option("--schema", "-s", help="The schema of the columns (default: NAME.schema.toml beside IN).")
]
PolicyOption = Annotated[Path, typer.Option("--policy", "-p", help="The policy file (TOML).")]
KeyOption = Annotated[
    list[str] | None,
    typer.Option("--key", "-k", help="FILE, env:NAME, or NAME=FILE for a key that the policy names; may be repeated."),
]
PassphraseOption = Annotated[
    str | None,
    typer.Option("--passphrase-env", help="The environment variable with the passphrase of encrypted key files."),
]


def desensitize(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A .csv, .tsv, .parquet or .arrow file.")],
    policy: PolicyOption,
    output: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write.")] = None,
    key: KeyOption = None,
    passphrase_env: PassphraseOption = None,
    schema: SchemaOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show ten rows before and after; write nothing.")] = False,
    in_memory: Annotated[
        bool, typer.Option("--in-memory", help="Read the whole file: for transformations that need whole columns.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out rules that name columns of other tables than this one.")
    ] = False,
    report_file: Annotated[Path | None, typer.Option("--report", help="Also write the report as JSON.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Transform a file by a policy, column by column, in bounded memory; the result appears whole or not at all."""
    keys = _keys(key or [], passphrase_env)
    rules = _policy(policy, source, schema) if partial else policy
    if dry_run:
        from ppc.desensitize.stream import preview

        before, after, report = preview(source, rules, keys, schema=schema)
        if as_json:
            rows = [_plain(t.to_pylist()) for t in (before, after)]
            print_json({"before": rows[0], "after": rows[1], "report": report.to_dict()})
        else:
            _show("before", before)
            _show("after", after)
            print(report.text())
        return
    if output is None:
        raise ConfigError("--out is missing", where="--out", hint="Name the file to write, or add --dry-run.")
    with _told_to_end(), _bar() as progress:
        if in_memory:
            import ppc.dataset
            from ppc.desensitize import apply_with_report

            ds, report = apply_with_report(ppc.dataset.read(source, schema), rules, keys, progress=progress)
            ds.write(output)
        else:
            from ppc.desensitize.stream import desensitize_file

            report = desensitize_file(source, rules, keys, output, schema=schema, progress=progress)
    if report_file is not None:
        from ppc.core.files import atomic_write

        with atomic_write(report_file) as f:
            f.write(json.dumps(report.to_dict(), ensure_ascii=False, indent=2).encode())
    if as_json:
        print_json({"out": str(output), **report.to_dict()})
    else:
        print(report.text())
        err().print(f"wrote {output}")


@policy_app.command()
def draft(
    schema: Annotated[Path, typer.Argument(help="A schema file (ppc scan writes one), or a data file.")],
    output: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write (default: stdout).")] = None,
) -> None:
    """Draft a policy: one rule a column, by its category, role and grade, with the reason."""
    import ppc.dataset
    from ppc.dataset.schema import Schema
    from ppc.desensitize.draft import draft as make

    found = Schema.read(schema) if schema.suffix == ".toml" else ppc.dataset.read(schema).schema
    text = make(found)
    if output is None:
        print(text, end="")
        return
    from ppc.core.files import atomic_write

    if output.exists():
        raise ConfigError("the file is there already", where=str(output), hint="Name another, or remove it first.")
    with atomic_write(output) as f:
        f.write(text.encode())
    err().print(f"wrote {output}")


@policy_app.command()
def check(
    policy: Annotated[Path, typer.Argument(help="A policy file.")],
    schema: Annotated[Path, typer.Option("--schema", "-s", help="The schema (or data file) to check it against.")],
    key: KeyOption = None,
) -> None:
    """Check a policy against a schema and say what would be done to each column; reads no row."""
    import ppc.dataset
    from ppc.dataset.schema import Schema
    from ppc.desensitize.plan import Plan, Tally
    from ppc.desensitize.policy import Policy
    from ppc.desensitize.report import report

    found = Schema.read(schema) if schema.suffix == ".toml" else ppc.dataset.read(schema).schema
    print(report(Plan.make(Policy.read(policy), found, _keys(key or [])), Tally()).text())


@key_app.command()
def new(path: Annotated[Path, typer.Argument(help="The file to write (mode 0600).")]) -> None:
    """Make a random key of 32 bytes. Who has it can undo what is reversible: keep it apart from the data."""
    from ppc.desensitize.keys import Key

    if path.exists():
        raise ConfigError("the file is there already", where=str(path), hint="A key is never overwritten.")
    made = Key.generate()
    made.save(path)
    print(f"key {made.id}  {path}")


def _policy(path: Path, source: Path, schema: Path | None) -> Policy:
    """The policy's rules for the columns of this file."""
    from ppc.desensitize.policy import Policy
    from ppc.desensitize.stream import open_source

    with open_source(source, schema, 1) as opened:
        return Policy.read(path).only(opened.kinds.names)


def _keys(given: list[str], passphrase_env: str | None = None) -> dict[str, KeyRef]:
    from ppc.desensitize.keys import KeyRef

    keys: dict[str, KeyRef] = {}
    for text in given:
        name, equals, rest = text.partition("=")
        if not equals or "/" in name or name.startswith("env:"):
            name, rest = "default", text
        if name in keys:
            raise ConfigError(f"key '{name}' is given twice", where="--key")
        ref = KeyRef.parse(rest)
        keys[name] = KeyRef.file(ref.where, passphrase_env=passphrase_env) if ref.kind == "file" else ref
    return keys


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {k: v if v is None or isinstance(v, bool | int | float | str) else str(v) for k, v in r.items()} for r in rows
    ]


def _show(title: str, table: Any) -> None:
    from rich.markup import escape
    from rich.table import Table

    grid = Table(*(escape(n) for n in table.column_names), title=title, title_justify="left", header_style="bold")
    for row in table.to_pylist():
        grid.add_row(*("" if v is None else escape(str(v)) for v in row.values()))
    out().print(grid)


@contextmanager
def _told_to_end() -> Iterator[None]:
    """SIGTERM, as schedulers send it, is as Ctrl-C: half a result must not be left on the disk."""
    if threading.current_thread() is not threading.main_thread():  # only that one hears signals
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _bar() -> Iterator[Any]:
    """A progress bar on stderr; nothing if that is no terminal."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("desensitize", total=1.0)
        yield lambda fraction, text: bars.update(task, completed=fraction, description=text)

"""`ppc doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ppc.cli._common import JsonOption, err, out, print_json


def doctor(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", envvar="PPC_CONFIG", help="party.toml, helper.toml or coordinator.toml, to check it too."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check versions, processor, compiled code, certificates, clock, ports and the coordinator; say how to fix each.

    The exit status is 0 if nothing is broken (warnings do not count), else 1.
    """
    from rich.markup import escape

    from ppc.coordinator.doctor import Level, examine

    if config is None and Path("party.toml").exists():
        config = Path("party.toml")
    marks = {Level.OK: "[green]ok  [/]", Level.WARN: "[yellow]warn[/]", Level.FAIL: "[red]fail[/]"}
    found = []
    for finding in examine(config):
        found.append(finding)
        if not as_json:
            out().print(f"{marks[finding.level]} {escape(finding.what)}")
            if finding.fix:
                out().print(f"     fix: {escape(finding.fix)}")
    broken = sum(f.level is Level.FAIL for f in found)
    if as_json:
        print_json([{"check": f.check, "level": str(f.level), "what": f.what, "fix": f.fix} for f in found])
    elif broken:
        err().print(f"{broken} of {len(found)} checks failed")
    if broken:
        raise typer.Exit(1)

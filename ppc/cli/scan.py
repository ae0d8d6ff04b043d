"""`ppc scan` and `ppc inventory`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppc.cli._common import JsonOption, err, print_json, table
from ppc.cli.desensitize import _bar
from ppc.errors import ConfigError

if TYPE_CHECKING:
    from ppc.desensitize.discovery.schema_file import Draft
    from ppc.desensitize.grading import Pack

PackOption = Annotated[
    list[str] | None,
    typer.Option("--pack", "-p", help="A rule pack for grades, by name or file; may be repeated (--packs lists them)."),
]


def scan(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE…", help="CSV, Parquet or Arrow files, or duckdb: addresses.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="The schema file (default: NAME.schema.toml beside FILE).")
    ] = None,
    write: Annotated[bool, typer.Option("--write/--no-write", help="Whether to write the schema file.")] = True,
    rows: Annotated[int, typer.Option("--rows", min=1, help="How many rows to judge, spread over the file.")] = 10_000,
    every: Annotated[bool, typer.Option("--all", help="Judge all rows.")] = False,
    pack: PackOption = None,
    detectors: Annotated[
        list[Path] | None, typer.Option("--detectors", "-d", help="A TOML file of further detectors; may be repeated.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="The score from which a column is said to hold something.")] = 0.5,
    packs: Annotated[bool, typer.Option("--packs", help="List the rule packs, and end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find what the columns of files hold, and draft their schemas: category, role, grade, each with its reason.

    A schema that is there is brought up to date; what a person wrote in it stays, comments too.
    """
    from ppc.dataset.schema import Schema
    from ppc.desensitize.discovery import load_detectors, scan_file, schema_file
    from ppc.desensitize.grading import available

    if packs:
        known = available().values()
        if as_json:
            print_json([p.model_dump(mode="json") for p in known])
        else:
            rows_ = [[p.label, str(p.date), "yes" if p.general else "", p.title, _verified(p)] for p in known]
            table(("pack", "dated", "by default", "title", "rules verified"), rows_)
        return
    if not files:
        raise ConfigError("name a file to scan", where="FILE")
    if output is not None and len(files) > 1:
        raise ConfigError("--out goes with one file", where="--out", hint="Leave it out for several.")
    own = [d for path in detectors or () for d in load_detectors(path)]
    results = []
    for file in files:
        remote = file.startswith("duckdb:")
        if remote and write and output is None:
            raise ConfigError("a table in a database has no place beside it", where="--out", hint="Name a schema file.")
        target = output or (None if remote else schema_file.beside(file))
        known_schema = Schema.read(target) if target is not None and target.is_file() else None
        with _bar() as progress:
            found, merged = scan_file(
                file,
                schema=known_schema,
                rows=None if every else rows,
                detectors=own,
                packs=pack,
                threshold=threshold,
                progress=progress,
            )
        draft = schema_file.write(target, found, merged) if write and target is not None else None
        if as_json:
            results.append({**found.to_dict(), "file": file, "schema": draft.to_dict() if draft else None})
            continue
        head, lines = found.table()
        said = f"{file}: {found.rows:,} rows, {found.looked_at:,} judged; grades by {_names(found.packs)}"
        table(head, lines, title=said)
        if any(not b.verified for f in found for b in f.bases):
            err().print("Some grades rest on clauses that are marked unverified: see the schema, or --json.")
        if draft is not None:
            _told(draft)
    if as_json:
        print_json(results)


def inventory(
    places: Annotated[list[Path], typer.Argument(help="Schema files, data files with one beside them, or folders.")],
    pack: PackOption = None,
    least: Annotated[int, typer.Option("--grade", "-g", min=1, max=5, help="Only columns of this grade or more.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """List datasets, their columns and grades, the gravest first: an inventory of important data. Opens no data."""
    from ppc.desensitize.discovery import inventory as make

    found = make(places, packs=pack)
    if as_json:
        print_json(found.to_dict(least))
        return
    head, rows = found.table(least)
    table(head, rows)


def _names(packs: tuple[str, ...]) -> str:
    return ", ".join(packs) or "no pack"


def _verified(pack: Pack) -> str:
    return f"{sum(r.verified for r in pack.rule)} of {len(pack.rule)}"


def _told(draft: Draft) -> None:
    parts = [f"{len(draft.added)} columns added", f"{len(draft.filled)} values filled in"]
    if draft.kept:
        parts.append(f"{len(draft.kept)} left as a person wrote them")
    err().print(f"wrote {draft.path}: " + ", ".join(parts), markup=False)
    if draft.gone:
        err().print(f"the data no longer have: {', '.join(draft.gone)}; take them out of the schema", markup=False)

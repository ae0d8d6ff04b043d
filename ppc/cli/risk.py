"""`ppc risk` and `ppc anonymize`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppc.cli._common import JsonOption, err, print_json, table
from ppc.cli.desensitize import SchemaOption, _bar
from ppc.errors import ConfigError

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset

QiOption = Annotated[
    list[str] | None,
    typer.Option("--qi", "-q", help="A quasi-identifier, or several with commas (default: by role in the schema)."),
]


def risk(
    file: Annotated[Path, typer.Argument(help="The table that is to be released.")],
    qi: QiOption = None,
    sensitive: Annotated[
        list[str] | None, typer.Option("--sensitive", help="A sensitive column (default: by role); repeatable.")
    ] = None,
    population: Annotated[
        Path | None, typer.Option(help="Who could be in the data: adds the journalist's risk, k-map, δ-presence.")
    ] = None,
    original: Annotated[Path | None, typer.Option(help="The table before: adds what was lost.")] = None,
    label: Annotated[str | None, typer.Option(help="Score a model of this column before and after.")] = None,
    threshold: Annotated[float, typer.Option(help="A row is at risk above this probability.")] = 0.2,
    schema: SchemaOption = None,
    html: Annotated[Path | None, typer.Option("--html", help="Also write a report with plots.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how anonymous a table is: k, l, t and their kin, the risk of re-identification, and what it cost."""
    import ppc.dataset
    from ppc.cli._risk_report import lines, report
    from ppc.desensitize.anonymity import summarize

    ds = ppc.dataset.read(file, schema)
    found = summarize(
        ds,
        _listed(qi),
        _listed(sensitive),
        population=_other(population),
        original=_other(original),
        label=label,
        threshold=threshold,
    )
    if html is not None:
        from ppc.report.html import write

        write(report(found), html)
    if as_json:
        print_json(found.to_dict())
    else:
        table(("measure", "value", "meaning"), lines(found), title=f"{file}: {found.risk.rows:,} rows")
    if html is not None:
        err().print(f"wrote {html}", markup=False)


def anonymize(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A .csv, .tsv, .parquet or .arrow file.")],
    output: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Rows of each class, at least.")],
    qi: QiOption = None,
    sensitive: Annotated[str | None, typer.Option("--sensitive", help="The column that l and t protect.")] = None,
    l: Annotated[float | None, typer.Option("--l", help="l-diversity of each class, at least.")] = None,
    diversity: Annotated[str, typer.Option(help="Of l: distinct, entropy or recursive.")] = "distinct",
    t: Annotated[float | None, typer.Option("--t", help="Distance of each class from the whole, at most.")] = None,
    hierarchies: Annotated[
        Path | None, typer.Option("--hierarchies", "-H", help="A TOML file with a hierarchy for each column.")
    ] = None,
    method: Annotated[str, typer.Option(help="auto, lattice or mondrian.")] = "auto",
    suppression: Annotated[float, typer.Option(help="The greatest share of rows to leave out.")] = 0.05,
    drop_identifiers: Annotated[
        bool, typer.Option("--drop-identifiers", help="Leave out columns whose role is identifier.")
    ] = False,
    schema: SchemaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Generalize quasi-identifiers until every class of rows satisfies k, l and t; the result appears whole or not."""
    import ppc.dataset
    from ppc.dataset.schema import Role
    from ppc.desensitize.anonymity import Anonymizer, read_hierarchies
    from ppc.desensitize.anonymity.recipe import refuse_identifiers, with_roles
    from ppc.desensitize.anonymity.summary import roles
    from ppc.desensitize.discovery.schema_file import beside

    if output.exists() and output.resolve() == source.resolve():
        raise ConfigError("the output is the input", where="--out", hint="Give another name for the output.")
    ds = ppc.dataset.read(source, schema)
    if drop_identifiers:
        ds = ds.drop([f.name for f in ds.schema.by_role(Role.IDENTIFIER)])
    refuse_identifiers(ds.schema)
    names, secret = roles(ds.schema, _listed(qi), None if sensitive is None else [sensitive])
    with _bar() as progress:
        made = Anonymizer(
            k=k,
            quasi_identifiers=names,
            sensitive=sensitive,
            l=l,
            diversity=diversity,  # type: ignore[arg-type]
            t=t,
            hierarchies=None if hierarchies is None else read_hierarchies(hierarchies),
            method=method,  # type: ignore[arg-type]
            suppression=suppression,
            progress=progress,
        ).fit(ds)
        released = made.transform(ds)
    released.write(output)
    with_roles(released.schema, names, secret).write(beside(output))
    result: dict[str, Any] = {
        "out": str(output),
        "rows": released.num_rows,
        "left_out": ds.num_rows - released.num_rows,
        "classes": made.classes_,
        "levels": made.levels_,
        "utility": made.utility_.to_dict(),
    }
    if as_json:
        print_json(result)
        return
    rows = [["rows released", f"{released.num_rows:,} of {ds.num_rows:,}"], ["classes", f"{made.classes_:,}"]]
    if made.levels_ is None:
        rows.append(["method", "mondrian: each class has ranges of its own"])
    else:
        rows += [[f"level of {name}", str(level)] for name, level in made.levels_.items()]
    rows += [[f"loss: {name.replace('_', ' ')}", f"{value:.4g}"] for name, value in made.utility_.to_dict().items()]
    table(("", ""), rows)
    err().print(f"wrote {output}, and {beside(output)}", markup=False)


def _listed(given: list[str] | None) -> list[str] | None:
    return [part.strip() for text in given for part in text.split(",") if part.strip()] if given else None


def _other(path: Path | None) -> Dataset | None:
    import ppc.dataset

    return None if path is None else ppc.dataset.read(path)

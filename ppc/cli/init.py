"""`ppc init coordinator|party|helper`: settings to begin with. Nothing is overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppc.cli._common import JsonOption, print_json

if TYPE_CHECKING:
    from pydantic import BaseModel

app = typer.Typer(help="Write the settings of a coordinator, party or helper.", no_args_is_help=True)

DirOption = Annotated[Path, typer.Option("--dir", "-d", help="Where the files go.")]
KeysOption = Annotated[Path, typer.Option("--keys", help="The folder with the certificate, its key and ca.pem.")]
AddressOption = Annotated[str, typer.Option("--coordinator", help="host:port of the coordinator.")]
ListenOption = Annotated[str, typer.Option("--listen", help="host:port (or host:first-last) to listen on.")]


@app.command()
def coordinator(
    party: Annotated[list[str], typer.Option("--party", help="Who may take part; repeat it.")],
    helper: Annotated[list[str] | None, typer.Option("--helper", help="A helper; may be repeated.")] = None,
    folder: DirOption = Path("."),
    keys: KeysOption = Path("ca"),
    listen: ListenOption = "127.0.0.1:7400",
    as_json: JsonOption = False,
) -> None:
    """Write coordinator.toml."""
    from ppc.coordinator.config import CoordinatorConfig
    from ppc.coordinator.templates import coordinator_toml

    text = coordinator_toml(listen, _keys(keys, folder, "coordinator"), party, helper or [])
    _write({folder / "coordinator.toml": (text, CoordinatorConfig)}, as_json, "ppc coordinator --config")


@app.command()
def party(
    name: Annotated[str, typer.Argument(help="The party's name, as its certificate says it.")],
    data: Annotated[list[str] | None, typer.Option("--data", help="NAME=FILE: a dataset; may be repeated.")] = None,
    folder: DirOption = Path("."),
    keys: KeysOption = Path("ca"),
    address: AddressOption = "127.0.0.1:7400",
    listen: ListenOption = "127.0.0.1:0",
    as_json: JsonOption = False,
) -> None:
    """Write party.toml and policy.toml. The policy allows nothing until you write a rule."""
    from ppc.cli._common import pairs
    from ppc.coordinator.config import PartyConfig
    from ppc.coordinator.policy import Policy
    from ppc.coordinator.templates import party_toml, policy_toml

    datasets = {k: _relative(Path(v), folder) for k, v in pairs(data or [], "--data").items()}
    text = party_toml(name, address, _keys(keys, folder, name), listen, datasets)
    files: dict[Path, tuple[str, type[BaseModel]]] = {
        folder / "party.toml": (text, PartyConfig),
        folder / "policy.toml": (policy_toml(), Policy),
    }
    _write(files, as_json, "ppc party --config")


@app.command()
def helper(
    serve: Annotated[list[str], typer.Option("--serve", help="A party it deals for; repeat it.")],
    name: Annotated[str, typer.Argument(help="The helper's name, as its certificate says it.")] = "helper",
    folder: DirOption = Path("."),
    keys: KeysOption = Path("ca"),
    address: AddressOption = "127.0.0.1:7400",
    listen: ListenOption = "127.0.0.1:0",
    as_json: JsonOption = False,
) -> None:
    """Write helper.toml."""
    from ppc.coordinator.config import HelperConfig
    from ppc.coordinator.templates import helper_toml

    text = helper_toml(name, address, _keys(keys, folder, name), listen, serve)
    _write({folder / "helper.toml": (text, HelperConfig)}, as_json, "ppc helper --config")


def _keys(keys: Path, folder: Path, name: str) -> dict[str, str]:
    return {
        "certificate": _relative(keys / f"{name}.pem", folder),
        "key": _relative(keys / f"{name}.key", folder),
        "ca": _relative(keys / "ca.pem", folder),
    }


def _relative(path: Path, folder: Path) -> str:
    """As seen from the folder of the settings, so that the whole can be moved."""
    import os

    return os.path.relpath(path.resolve(), folder.resolve()) if not path.is_absolute() else str(path)


def _write(files: Mapping[Path, tuple[str, type[BaseModel]]], as_json: bool, command: str) -> None:
    import tomllib

    from ppc.coordinator.config import check
    from ppc.core.files import atomic_write
    from ppc.errors import FileError

    for path, (text, model) in files.items():
        check(tomllib.loads(text), model, where=str(path))
        if path.exists():
            raise FileError("the file exists; ppc does not overwrite it", where=str(path), hint="move it away first")
    for path, (text, _model) in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(text.encode())
    if as_json:
        print_json([str(p) for p in files])
    else:
        for path in files:
            print(path)
        first = next(iter(files))
        typer.echo(f"read it, then: {command} {first} --check", err=True)

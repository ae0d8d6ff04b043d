"""`ppc keys new`, `ppc keys show` and `ppc keys public`: keys for computing on ciphertexts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ppc.cli._common import JsonOption, err, print_json
from ppc.errors import ConfigError, FileError

app = typer.Typer(help="Make and show keys for computing on ciphertexts.", no_args_is_help=True)

PassphraseOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="A file with the passphrase; else PPC_PASSPHRASE, else you are asked."),
]
KeyFileOption = Annotated[
    Path | None, typer.Option("--key-file", help="A file of 32 or more random bytes that locks the private key.")
]


def lock_of(passphrase_file: Path | None, key_file: Path | None, *, confirm: bool = False) -> dict[str, Any]:
    """What opens or locks a private key: never from the command line itself, where others could read it."""
    if key_file is not None:
        if passphrase_file is not None:
            raise ConfigError("give --passphrase-file or --key-file, not both")
        return {"key_file": key_file}
    if passphrase_file is not None:
        try:
            text = passphrase_file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FileError("cannot read the passphrase", where=str(passphrase_file)) from error
        return {"passphrase": text.rstrip("\r\n")}
    if "PPC_PASSPHRASE" in os.environ:
        return {"passphrase": os.environ["PPC_PASSPHRASE"]}
    return {"passphrase": typer.prompt("passphrase", hide_input=True, confirmation_prompt=confirm, err=True)}


@app.command()
def new(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The private key file to write (mode 0600).")],
    scheme: Annotated[str, typer.Option("--scheme", "-s", help="paillier, ckks or bfv.")] = "paillier",
    bits: Annotated[int | None, typer.Option("--bits", help="Paillier: 3072 by default, 2048 the least.")] = None,
    depth: Annotated[int | None, typer.Option("--depth", help="ckks, bfv: products that follow one another.")] = None,
    scale_bits: Annotated[int | None, typer.Option("--scale-bits", help="ckks: precision, 25 to 50.")] = None,
    plain_bits: Annotated[int | None, typer.Option("--plain-bits", help="bfv: size of the integers, 20 to 59.")] = None,
    rotations: Annotated[bool, typer.Option("--rotations", help="ckks, bfv: with keys to sum in ciphertexts.")] = False,
    passphrase_file: PassphraseOption = None,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key pair. A passphrase or a key file locks the private part; `ppc keys public` takes the rest out."""
    from ppc.he.keys import generate

    if path.exists():
        raise FileError("there is a file of that name already", where=str(path), hint="Keys are never overwritten.")
    given = {"bits": bits, "depth": depth, "scale_bits": scale_bits, "plain_bits": plain_bits}
    parameters: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if rotations:
        parameters["rotations"] = True
    lock = lock_of(passphrase_file, key_file, confirm=True)
    key = generate(scheme, **parameters)
    key.write(path, **lock)
    if as_json:
        print_json({"file": str(path), "scheme": key.scheme, "key_id": key.key_id, "parameters": key.public.parameters})
    else:
        print(f"private key  {path}  (keep it; who has it and its lock reads everything)")
        print(f"key id       {key.key_id}")
        err().print(f"next: ppc keys public {path} PUBLIC", markup=False)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A key file, private or public.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a key file is: scheme, id, parameters. Nothing of the private part, and no passphrase is needed."""
    from ppc.he.keys import describe

    found = describe(path)
    if as_json:
        print_json(found)
        return
    print(f"scheme      {found['scheme']}")
    print(f"kind        {found['kind']}")
    print(f"key id      {found['key_id']}")
    for name, value in found["parameters"].items():
        print(f"{name:<11} {value}")
    if found["locked_by"]:
        print(f"locked by   {found['locked_by']}")


@app.command()
def public(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A private key file.")],
    out: Annotated[Path, typer.Argument(metavar="PUBLIC", help="The public key file to write.")],
    as_json: JsonOption = False,
) -> None:
    """Write the public part of a key, for those who encrypt and compute. No passphrase is needed."""
    from ppc.he.keys import read_public

    if out.exists():
        raise FileError("there is a file of that name already", where=str(out), hint="Keys are never overwritten.")
    key = read_public(path)
    key.write(out)
    if as_json:
        print_json({"file": str(out), "key_id": key.key_id})
    else:
        print(f"public key  {out}")
        print(f"key id      {key.key_id}")

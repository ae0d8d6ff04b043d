"""`ppc ca init` and `ppc ca issue`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ppc.cli._common import JsonOption, print_json

app = typer.Typer(help="Make an authority, and certificates for parties.", no_args_is_help=True)

DirOption = Annotated[Path, typer.Option("--dir", "-d", help="The authority's folder.")]


@app.command()
def init(
    folder: DirOption = Path("ca"),
    name: Annotated[str, typer.Option("--name", help="What to call the authority.")] = "ppc",
    days: Annotated[int, typer.Option("--days", min=1, max=36500, help="How long it is valid.")] = 3650,
    as_json: JsonOption = False,
) -> None:
    """Make a new authority: ca.pem, which every party gets, and ca.key, which never leaves this folder."""
    from ppc.net.identity import create_ca

    certificate, key = create_ca(folder, name, valid_days=days)
    if as_json:
        print_json({"certificate": str(certificate), "key": str(key)})
    else:
        print(f"authority    {certificate}  (give it to every party)")
        print(f"private key  {key}  (keep it here: whoever has it can be anyone)")


@app.command()
def issue(
    party: Annotated[
        str, typer.Argument(help="The name that the certificate says: a party, a helper, or 'coordinator'.")
    ],
    folder: DirOption = Path("ca"),
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the files go (default: the authority's folder).")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option("--host", help="A host name or address to add; may be repeated.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=36500, help="How long it is valid.")] = 397,
    country: Annotated[
        str | None, typer.Option("--country", help="Where the party is (ISO 3166, two letters), for policies.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Issue a certificate and its private key (mode 0600). Give both to that party alone, by a safe way."""
    from ppc.net.identity import inspect
    from ppc.net.identity import issue as make

    identity = make(folder, party, host or (), valid_days=days, out=out, country=country)
    found = inspect(identity.cert_path)
    if as_json:
        print_json(
            {
                "party": party,
                "certificate": str(identity.cert_path),
                "key": str(identity.key_path),
                "ca": str(identity.ca_path),
                "expires": found.not_after.isoformat(),
                "fingerprint": found.fingerprint,
            }
        )
    else:
        print(f"certificate  {identity.cert_path}  (valid until {found.not_after:%Y-%m-%d})")
        print(f"private key  {identity.key_path}")
        print(f"fingerprint  sha256:{found.fingerprint}")


@app.command()
def show(
    certificate: Annotated[Path, typer.Argument(help="A certificate (PEM).")],
    as_json: JsonOption = False,
) -> None:
    """Show what a certificate says."""
    from ppc.net.identity import inspect

    found = inspect(certificate)
    parts = {
        "party": found.party,
        "subject": found.subject,
        "authority": found.is_authority,
        "issuer": found.issuer,
        "valid_from": found.not_before.isoformat(),
        "expires": found.not_after.isoformat(),
        "days_left": found.days_left,
        "hosts": list(found.hosts),
        "fingerprint": f"sha256:{found.fingerprint}",
    }
    if as_json:
        print_json(parts)
    else:
        for name, value in parts.items():
            print(f"{name:<12} {', '.join(value) if isinstance(value, list) else value}")

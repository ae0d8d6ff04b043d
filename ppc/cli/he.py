"""`ppc he encrypt`, `ppc he sum` and `ppc he decrypt`: sums of columns that whoever adds them can not read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppc.cli._common import JsonOption, err, print_json, table
from ppc.cli.keys import KeyFileOption, PassphraseOption, lock_of
from ppc.errors import ConfigError, FileError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ppc.he.values import EncryptedValue

app = typer.Typer(help="Encrypt columns, add them up unread, decrypt the sums.", no_args_is_help=True)

KeyOption = Annotated[Path, typer.Option("--key", "-k", help="The key file.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="The file to write.")]
_QUESTIONS = ("sum", "mean", "variance")


@contextmanager
def _bar(text: str) -> Iterator[Callable[[float, str], None]]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    console = err()
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(text, total=1.0)
        yield lambda fraction, what: bar.update(task, completed=fraction, description=what or text)


@app.command()
def encrypt(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A .csv, .tsv, .parquet or .arrow file.")],
    key: KeyOption,
    columns: Annotated[list[str], typer.Option("--columns", "-c", help="Columns to encrypt; a,b or repeated.")],
    out: OutOption,
    by: Annotated[list[str] | None, typer.Option("--by", help="Clear columns to group by later.")] = None,
    squares: Annotated[bool, typer.Option("--squares", help="Also the squares, for variances.")] = False,
    frac_bits: Annotated[
        int | None, typer.Option("--frac-bits", help="Fraction bits; 20 for decimals, 0 for integers.")
    ] = None,
    value_bits: Annotated[int | None, typer.Option("--value-bits", help="|x| is at most 2**this (24).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Encrypt columns of a file under somebody's public key; the other columns stay clear."""
    from ppc.he.dataset import encrypt_file
    from ppc.he.keys import read_public

    with _bar("encrypting") as progress:
        made = encrypt_file(
            source,
            out,
            read_public(key),
            _names(columns),
            by=_names(by or []),
            squares=squares,
            frac_bits=frac_bits,
            value_bits=value_bits,
            progress=progress,
        )
    if as_json:
        print_json({"file": str(out), "rows": len(made), "encrypted": made.encrypted_columns, "key_id": made.key_id})
    else:
        print(f"{out}: {len(made)} rows, encrypted: {', '.join(made.encrypted_columns)}")


@app.command()
def sum(
    sources: Annotated[list[Path], typer.Argument(metavar="IN…", help="Encrypted datasets, or answers to add up.")],
    key: KeyOption,
    out: OutOption,
    columns: Annotated[list[str] | None, typer.Option("--columns", "-c", help="Default: all encrypted ones.")] = None,
    question: Annotated[str, typer.Option("--question", "-q", help="sum, mean or variance.")] = "sum",
    as_json: JsonOption = False,
) -> None:
    """Add up encrypted columns of all files. Needs the public key only, and learns nothing but counts."""
    from ppc.he.keys import read_public

    if question not in _QUESTIONS:
        raise ConfigError(f"--question is one of {', '.join(_QUESTIONS)}, not '{question}'")
    public, total = read_public(key), None
    for path in sources:
        part = _answers(path, public, _names(columns or []), question)
        total = part if total is None else total + part
    if total is None:
        raise ConfigError("there is nothing to add")
    total.to_envelope().write(out)
    counts = {name: value.count for name, value in total.values.items()}
    if as_json:
        print_json({"file": str(out), "counts": counts, "key_id": total.public.key_id})
    else:
        print(f"{out}: {', '.join(f'{name} of {n} values' for name, n in counts.items())}")


@app.command()
def decrypt(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A file of `ppc he sum`.")],
    key: KeyOption,
    passphrase_file: PassphraseOption = None,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the answers in a file of `ppc he sum`. Needs the private key."""
    from ppc.he.envelope import Envelope
    from ppc.he.keys import read_private, read_public
    from ppc.he.paillier.keys import PaillierPrivateKey
    from ppc.he.values import Answers

    envelope = Envelope.read(source)
    read_public(key).check(envelope.key_id)  # before anyone is asked for a passphrase
    private = read_private(key, **lock_of(passphrase_file, key_file))
    if not isinstance(private, PaillierPrivateKey):
        raise ConfigError("a Paillier key is needed", where=str(key))
    answers = Answers.from_envelope(envelope, private)
    values = answers.release(private)
    if as_json:
        print_json({name: {"value": _plain(v), "count": answers.values[name].count} for name, v in values.items()})
        return
    table(
        ["answer", "value", "values"],
        [[name, repr(_plain(v)), str(answers.values[name].count)] for name, v in values.items()],
    )


def _answers(path: Path, public: Any, columns: list[str], question: str) -> Any:
    from ppc.he.dataset import EncryptedDataset
    from ppc.he.envelope import Envelope
    from ppc.he.values import Answers

    try:
        with path.open("rb") as file:
            head = file.read(5)
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror}", where=str(path)) from error
    if head == b"PPCHE":
        return Answers.from_envelope(Envelope.read(path), public)
    dataset = EncryptedDataset.open(path, public)
    asked: dict[str, EncryptedValue] = {}
    for name in columns or dataset.encrypted_columns:
        if name not in dataset.encrypted_columns:
            raise ConfigError(f"column '{name}' is not encrypted in this file", where=str(path))
        asked[f"{question}({name})"] = getattr(dataset, question)(name)
    return Answers(asked)


def _names(values: list[str]) -> list[str]:
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


def _plain(value: Any) -> Any:
    """A number that JSON knows; NaN (of no values) becomes null."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return None if isinstance(value, float) and value != value else value

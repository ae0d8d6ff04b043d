"""`ppc offline`: correlated randomness made ahead of time, in one file for each party."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ppc.cli._common import JsonOption, err, print_json, size

app = typer.Typer(
    no_args_is_help=True,
    help="Make correlated randomness ahead of time, so that no helper is needed while a program runs.",
    rich_markup_mode="rich",
)


@app.command("make")
def make(
    program: Annotated[
        str, typer.Option("--program", "-p", help="MODULE:FUNCTION or FILE.py:FUNCTION; it takes a session.")
    ],
    parties: Annotated[str, typer.Option("--parties", help="Their names in rank order, with commas.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the files PARTY.ppcoff.")],
    runs: Annotated[int, typer.Option("--runs", "-n", min=1, help="How many times the program can then run.")] = 1,
    spare: Annotated[
        float, typer.Option("--spare", min=0, help="How much more than was seen to make: 0.25 is a quarter.")
    ] = 0.25,
    frac_bits: Annotated[int, typer.Option("--frac-bits", min=1, max=40, help="Of the session.")] = 18,
    ring_bits: Annotated[int, typer.Option("--ring-bits", help="Of the session: 64 or 128.")] = 64,
    run_it: Annotated[
        bool, typer.Option("--run", help="Run the program on inputs here, instead of following it from shapes.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """See what a program takes, and write a file of it for each party.

    Whoever runs this is the dealer: no party, colluding with none. Hand each file to its party over a secret channel
    and delete it here.

    The program is followed from shapes: owners may give None for their values. One that goes on by what it opened needs
    --run, and inputs of the right shapes.
    """
    from ppc.core.fixedpoint import FixedPoint
    from ppc.mpc.correlations.cachefile import make as write
    from ppc.mpc.correlations.needs import record

    names = [p.strip() for p in parties.split(",")]
    function, fx = _function(program), FixedPoint(frac_bits, ring_bits)
    with err().status("seeing what the program takes"):
        needs = record(function, parties=names, fx=fx, spare=spare, traced=not run_it)
    out.mkdir(parents=True, exist_ok=True)
    with err().status(f"making correlations for {runs} runs"):
        paths = write(out, needs, names, runs=runs, program=program, fx=fx)
    if as_json:
        print_json(
            {
                "files": {n: {"path": str(p), "bytes": p.stat().st_size} for n, p in paths.items()},
                "runs": runs,
                "per_run": needs.summary(),
            }
        )
        return
    for name, path in paths.items():
        print(f"{path}  {size(path.stat().st_size)}  for {name} alone")
    _show_needs(needs.summary(), runs)


@app.command("show")
def show(file: Annotated[Path, typer.Argument(metavar="FILE.ppcoff")], as_json: JsonOption = False) -> None:
    """Show whose a file is, what is in it, and how many runs are left. Spends nothing."""
    from ppc.mpc.correlations.cachefile import CacheFile

    with CacheFile(file) as opened:
        h, left = opened.header, opened.left
    if as_json:
        print_json(
            {
                "cache": h.cache,
                "party": h.party,
                "parties": list(h.parties),
                "program": h.program,
                "frac_bits": h.frac_bits,
                "ring_bits": h.ring_bits,
                "runs": h.runs,
                "left": left,
                "per_run": h.needs.summary(),
            }
        )
        return
    print(f"{h.party}'s part of cache {h.cache[:8]}, of {', '.join(h.parties)}, for {h.program}")
    print(f"{left} of {h.runs} runs left")
    _show_needs(h.needs.summary(), 1)


def _show_needs(summary: dict[str, int], runs: int) -> None:
    print("in each run:" if runs != 1 else "in a run:")
    for name, count in summary.items():
        print(f"  {count:>14,} {name}")


def _function(text: str) -> Callable[..., Any]:
    """What MODULE:FUNCTION or FILE.py:FUNCTION names."""
    from ppc.errors import ConfigError, did_you_mean

    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise ConfigError(f"'{text}' is not MODULE:FUNCTION", where="--program", hint="for example: study.py:program")
    try:
        module = _load_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except (ImportError, FileNotFoundError) as error:
        raise ConfigError(f"cannot load '{place}': {error}", where="--program") from None
    function = getattr(module, name, None)
    if not callable(function):
        hint = did_you_mean(name, [n for n in dir(module) if callable(getattr(module, n)) and not n.startswith("_")])
        raise ConfigError(f"'{place}' has no function '{name}'", where="--program", hint=hint)
    return function  # type: ignore[no-any-return]


def _load_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError("there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module

"""`ppc budget show`, `history`, `compare` and `set`: what was spent of the privacy of each dataset."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from ppc.cli._common import JsonOption, print_json, table

if TYPE_CHECKING:
    from ppc.dp.ledger import Account, Ledger

app = typer.Typer(help="Show and set what may be learnt about the people in a dataset.", no_args_is_help=True)

LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger", "-l", envvar="PPC_LEDGER", help="SQLite file or database URL; else the user's own ledger."
    ),
]
OwnerOption = Annotated[str | None, typer.Option("--owner", help="Whose account, if several owners use the name.")]
DatasetArgument = Annotated[str, typer.Argument(help="The dataset's name.")]


@app.command()
def show(ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """List all accounts: budget, spent, left."""
    from ppc.dp.budget import shown

    book = _open(ledger)
    statuses = [a.status() for a in book.accounts()]
    if as_json:
        print_json([s.to_dict() for s in statuses])
        return
    rows = [
        [s.dataset, s.owner, str(s.budget), shown(s.spent), shown(s.left), str(s.entries), str(s.open)]
        for s in statuses
    ]
    table(["DATASET", "OWNER", "BUDGET", "SPENT", "LEFT", "RELEASES", "UNFINISHED"], rows)


@app.command()
def history(
    dataset: DatasetArgument,
    ledger: LedgerOption = None,
    owner: OwnerOption = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="The last so many.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show who asked what, when, what it cost and what was left."""
    from ppc.dp.accountant import Totals
    from ppc.dp.budget import shown

    account = _account(_open(ledger), dataset, owner)
    entries = account.history(limit)
    if as_json:
        for entry in entries:
            print_json(entry.to_dict())
        return
    budget = account.status().budget
    whole = budget.rho if budget.rho is not None else budget.epsilon
    rows = []
    for e in entries:
        cost = Totals().plus(e.charges)
        text = f"ρ = {shown(cost.rho)}" if budget.rho is not None or cost.gaussian else f"ε = {shown(cost.epsilon)}"
        if cost.delta:
            text += f", δ = {shown(cost.delta)}"
        left = shown(max(whole - e.spent, whole * 0)) if whole is not None else ""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(e.time))
        rows.append([when, e.who, e.what, text, left, e.state])
    table(["TIME", "WHO", "QUESTION", "COST", "LEFT", "STATE"], rows)


@app.command()
def compare(
    dataset: DatasetArgument,
    delta: Annotated[float, typer.Option("--delta", help="The δ at which ε is told.")] = 1e-6,
    ledger: LedgerOption = None,
    owner: OwnerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add up what was spent by basic composition, zCDP and privacy loss distributions."""
    import math

    found = _account(_open(ledger), dataset, owner).compare(delta)
    values = {"basic": found.basic, "zcdp": found.zcdp, "pld": found.pld}
    if as_json:
        print_json({"delta": delta, **{k: v if math.isfinite(v) else None for k, v in values.items()}})
        return
    print(found)


@app.command(name="set")
def set_budget(
    dataset: DatasetArgument,
    epsilon: Annotated[str | None, typer.Option("--epsilon", help="The budget in ε.")] = None,
    delta: Annotated[str, typer.Option("--delta", help="With ε: the δ.")] = "0",
    rho: Annotated[str | None, typer.Option("--rho", help="The budget in ρ (zCDP).")] = None,
    each: Annotated[
        str | None, typer.Option("--each", help="With ε and δ: what every release costs; the account adds up tighter.")
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option("--limit", help="EPSILON/PERIOD, as in 0.5/day. May be given several times.")
    ] = None,
    ledger: LedgerOption = None,
    owner: OwnerOption = None,
) -> None:
    """Give a dataset a budget or limits, as its owner decides. What is spent stays spent."""
    from ppc.dp.budget import Budget
    from ppc.dp.ledger import Limit
    from ppc.errors import ConfigError

    book = _open(ledger)
    given = epsilon is not None or rho is not None
    budget = Budget(epsilon, delta, rho=rho, each=each) if given else None
    limits = None
    if limit is not None:
        limits = []
        for text in limit:
            amount, slash, period = text.partition("/")
            if not slash:
                raise ConfigError(
                    f"'{text}' is not EPSILON/PERIOD", where="--limit", hint="for example: --limit 0.5/day"
                )
            limits.append(Limit(Budget(amount), period))
    if budget is None and limits is None:
        raise ConfigError("nothing to set", where="budget set", hint="--epsilon 1, --rho 0.1, or --limit 0.5/day")
    matching = [a for a in book.accounts() if a.dataset == dataset and owner in (None, a.owner)]
    if matching:
        account = _account(book, dataset, owner)
        account.change(budget, limits)
    else:
        account = book.account(dataset, owner, budget, limits=limits or ())
    print(account.status())


def _open(place: str | None) -> Ledger:
    from ppc.dp.ledger import Ledger

    return Ledger(place)


def _account(book: Ledger, dataset: str, owner: str | None) -> Account:
    from ppc.errors import ConfigError, did_you_mean

    accounts = book.accounts()
    found = [a for a in accounts if a.dataset == dataset and owner in (None, a.owner)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(a.owner for a in found)
        raise ConfigError(f"dataset '{dataset}' has several owners", where=book.place, hint=f"--owner one of: {names}")
    raise ConfigError(
        f"there is no account of dataset '{dataset}'",
        where=book.place,
        hint=did_you_mean(dataset, [a.dataset for a in accounts]),
    )

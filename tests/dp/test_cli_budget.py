"""`ppc budget`: what the owner of the data sees and sets."""

import json
from decimal import Decimal

import pytest

from ppc import dp
from ppc.cli import main
from ppc.dp.accountant import Charge
from ppc.dp.ledger import Ledger


@pytest.fixture
def place(tmp_path, monkeypatch):
    path = str(tmp_path / "budget.db")
    monkeypatch.setenv("PPC_LEDGER", path)
    return path


def run(capsys, *arguments):
    status = main(["budget", *arguments])
    out = capsys.readouterr()
    return status, out.out, out.err


def test_set_spend_and_show(place, capsys):
    status, out, _ = run(
        capsys, "set", "stays", "--epsilon", "3", "--delta", "1e-6", "--owner", "ana", "--limit", "3/day"
    )
    assert (status, "left 3" in out) == (0, True)
    book = Ledger(place)
    account = book.account("stays", "ana")
    account.commit(account.reserve([Charge.laplace(Decimal("0.5"), 1024)], {"q": 1}, "mean(days)", who="ben"))
    account.reserve([Charge.gaussian(Decimal("0.001")).with_delta(Decimal("1e-9"))], {"q": 2}, "count", who="eva")
    book.close()
    _, out, _ = run(capsys, "show")
    assert out.split("\n")[0].split("\t") == ["DATASET", "OWNER", "BUDGET", "SPENT", "LEFT", "RELEASES", "UNFINISHED"]
    assert out.split("\n")[1].split("\t")[-2:] == ["2", "1"]
    _, out, _ = run(capsys, "show", "--json")
    (shown,) = json.loads(out)
    assert shown["dataset"] == "stays"
    _, out, _ = run(capsys, "history", "stays")
    first, second = (line.split("\t") for line in out.strip().split("\n")[1:])
    assert first[1:] == ["ben", "mean(days)", "ε = 0.5", "2.5", "committed"]
    assert second[1] == "eva"
    assert second[-1] == "reserved"
    _, out, _ = run(capsys, "history", "stays", "--json", "--limit", "1")
    assert json.loads(out)["query"] == {"q": 2}
    _, out, _ = run(capsys, "compare", "stays", "--delta", "1e-6", "--json")
    assert set(json.loads(out)) == {"delta", "basic", "zcdp", "pld"}
    assert "PLD" in run(capsys, "compare", "stays")[1]
    _, out, _ = run(capsys, "set", "stays", "--epsilon", "9")
    assert "ε = 9" in out


def test_a_declared_price(place, capsys):
    status, out, _ = run(capsys, "set", "stays", "--epsilon", "4.7", "--delta", "1e-6", "--each", "0.1")
    assert (status, "each release 0.1" in out) == (0, True)
    status, _, err = run(capsys, "set", "other", "--epsilon", "1", "--each", "0.1")
    assert status != 0
    assert "goes with epsilon and delta" in err


def test_mistakes_are_told(place, capsys):
    for arguments, word in (
        (["set", "stays"], "nothing to set"), (["set", "stays", "--epsilon", "0"], "epsilon"),
        (["set", "stays", "--epsilon", "1", "--limit", "3"], "EPSILON/PERIOD"),
        (["set", "stays", "--epsilon", "1", "--rho", "1"], "epsilon or in rho"), (["history", "nothing"], "no account"),
    ):  # fmt: skip
        status, _, err = run(capsys, *arguments)
        assert status != 0
        assert word in err
    book = Ledger(place)
    for owner in ("a", "b"):
        book.account("twice", owner, dp.Budget(1))
    book.close()
    status, _, err = run(capsys, "history", "twice")
    assert status != 0
    assert "--owner" in err

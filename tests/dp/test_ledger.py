"""The ledger on SQLite and PostgreSQL: never overspent, by any number of processes; crashes leave costs spent."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc import dp
from ppc.dp.accountant import Charge, Totals
from ppc.dp.ledger import Ledger, Limit
from ppc.errors import BudgetExceeded, ConfigError, FileError, ProtectionError


def charge(epsilon):
    return [Charge.pure(Decimal(epsilon))]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request, tmp_path):
    """Where an empty ledger can be; on PostgreSQL in a database of its own."""
    if request.param == "sqlite":
        return str(tmp_path / "budget.db")
    url = request.getfixturevalue("postgres")
    import psycopg

    name = f"t{os.urandom(6).hex()}"
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
    return url.rsplit("/", 1)[0] + "/" + name


def test_reserve_commit_and_history(place):
    book = Ledger(place)
    account = book.account("stays", "hospital", dp.Budget(1))
    number = account.reserve(charge("0.3"), {"q": 1}, "count", who="ana")
    (entry,) = account.history()
    assert (entry.state, entry.who, entry.what, entry.spent) == ("reserved", "ana", "count", Decimal("0.3"))
    assert account.status().open == 1
    account.commit(number)
    assert account.history()[0].state == "committed"
    assert account.status().open == 0
    with pytest.raises(ProtectionError):
        account.commit(number)
    with pytest.raises(ProtectionError):
        account.commit(999)
    for _ in range(7):
        account.reserve(charge("0.1"), {}, "x")
    with pytest.raises(BudgetExceeded) as e:
        account.reserve(charge("0.0001"), {}, "x")
    assert "ppc budget set" in e.value.hint
    assert account.status().left == 0
    assert len(account.history(3)) == 3
    assert json.loads(json.dumps([x.to_dict() for x in account.history()]))[0]["query"] == {"q": 1}
    book.close()
    again = Ledger(place)
    assert again.account("stays", "hospital").status().spent == 1
    again.close()


def test_an_account_keeps_its_budget_and_unit(place):
    book = Ledger(place)
    book.account("stays", "a", dp.Budget(1), unit={"by": "patient"})
    book.account("stays", "a", dp.Budget("1.0"), unit={"by": "patient", "max_rows": 9})
    with pytest.raises(ConfigError, match="budget of ε = 1"):
        book.account("stays", "a", dp.Budget(2))
    with pytest.raises(ConfigError, match="another unit"):
        book.account("stays", "a", dp.Budget(1), unit={"by": None})
    with pytest.raises(ConfigError, match="no account"):
        book.account("other", "a")
    account = book.account("stays", "a")
    account.reserve(charge(1), {}, "x")
    account.change(dp.Budget(3))
    assert account.status().left == 2
    account.change(dp.Budget(rho=1))
    assert account.status().spent == Decimal("0.5")
    assert [a.dataset for a in book.accounts()] == ["stays"]
    book.close()


def test_limits_per_period(place, monkeypatch):
    book = Ledger(place)
    account = book.account("stays", "a", dp.Budget(10), limits=[Limit(dp.Budget(1), "day")])
    now = [1e9]
    monkeypatch.setattr(time, "time", lambda: now[0])
    for _ in range(2):
        account.reserve(charge("0.5"), {}, "x")
    with pytest.raises(BudgetExceeded, match="per day"):
        account.reserve(charge("0.1"), {}, "x")
    now[0] += 86_399
    with pytest.raises(BudgetExceeded):
        account.reserve(charge("0.1"), {}, "x")
    now[0] += 2
    account.reserve(charge("1"), {}, "x")
    account.change(limits=[])
    account.reserve(charge("5"), {}, "x")
    book.close()
    for bad in (
        ("fortnight", dp.Budget(1)),
        (-1, dp.Budget(1)),
        ("day", dp.Budget(1, 1e-6)),
        (float("nan"), dp.Budget(1)),
    ):
        with pytest.raises(ConfigError):
            Limit(bad[1], bad[0])


def test_prices_settled_beforehand_get_the_tighter_accounting(tmp_path):
    book = Ledger(tmp_path / "b.db")
    one = [Charge.laplace(Decimal("0.1"), 1024)]
    for adaptive, most in ((True, 82), (False, 100)):
        account = book.account(f"stays{adaptive}", "a", dp.Budget("4.7", "1e-6", adaptive=adaptive))
        account.reserve(one * 80, {}, "x")
        done = 80
        with pytest.raises(BudgetExceeded):
            for _ in range(40):
                account.reserve(one, {}, "x")
                done += 1
        assert done == pytest.approx(most, abs=1)
    assert account.compare(1e-6).pld <= 4.7
    book.close()


def test_a_declared_price_is_settled_by_construction(place):
    """Every release is entered at that price, whatever is asked; nothing else is taken, so PLDs may be added up."""
    book = Ledger(place)
    budget = dp.Budget("4.7", "1e-6", each="0.1")
    assert dp.Budget.from_dict(json.loads(json.dumps(budget.to_dict()))) == budget
    assert "each release 0.1" in str(budget)
    account = book.account("stays", "a", budget)
    whole, half = Charge.laplace(Decimal("0.1"), 1024), Charge.laplace(Decimal("0.05"), 1024)
    account.reserve([half, half], {}, "two figures")
    account.reserve([half], {}, "less is entered as the whole")
    assert [e.charges for e in account.history()] == [(whole,), (whole,)]
    for other in (
        [Charge.laplace(Decimal("0.11"), 1024)], [half, half, half], [Charge.laplace(Decimal("0.1"), 3)],
        [Charge.pure(Decimal("0.1"))], [Charge.gaussian(Decimal("0.001"))], [half.with_delta(Decimal("1e-9"))],
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r"costs ε = 0\.1"):
            account.reserve(other, {}, "x")
    done = 2
    with pytest.raises(BudgetExceeded):
        while True:
            account.reserve([whole], {}, "x")
            done += 1
    assert done == 100
    assert float(account.status().spent) <= 4.7
    with pytest.raises(ConfigError, match="other prices"):
        account.change(dp.Budget("9", "1e-6", each="0.2"))
    account.change(dp.Budget("9", "1e-6", each="0.1"))
    coarse = book.account("coarse", "a", dp.Budget("4.7", "1e-6", each="0.5"))
    coarse.reserve([Charge.pure(Decimal("0.2"), "selection"), Charge.laplace(Decimal("0.3"), 1)], {}, "any pure one")
    assert coarse.history()[0].charges == (Charge.pure(Decimal("0.5")),)
    for bad in ({"epsilon": 1, "each": 0.1}, {"rho": 1, "each": 0.1}, {"epsilon": 1, "delta": 1e-6, "each": -1}):
        with pytest.raises(ConfigError):
            dp.Budget(**bad)
    book.close()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 400), st.booleans(), st.booleans()), max_size=25))
def test_what_the_ledger_shows_bounds_what_was_released(steps):
    """Costs in thousandths; some releases fail halfway. The sum of what was released never exceeds what is shown."""
    book = Ledger(":memory:")
    account = book.account("d", "o", dp.Budget(1))
    released = Decimal(0)
    for thousandths, dies, gaussian in steps:
        cost = Decimal(thousandths) / 1000
        try:
            number = account.reserve([Charge.gaussian(cost) if gaussian else Charge.pure(cost)], {}, "x")
        except BudgetExceeded:
            assert gaussian or account.status().spent + cost > 1
            continue
        released += cost
        if not dies:
            account.commit(number)
        status = account.status()
        assert released <= status.spent <= 1
        assert status.spent == sum((e.charges[0].epsilon for e in account.history()), Decimal(0))
    book.close()


HAMMER = """
import sys
from decimal import Decimal
from ppc.dp.accountant import Charge
from ppc.dp.budget import Budget
from ppc.dp.ledger import Ledger
from ppc.errors import BudgetExceeded
place, tries = sys.argv[1], int(sys.argv[2])
account = Ledger(place).account("stays", "hospital", Budget("1", "1e-6") if "mixed" in sys.argv else Budget("1"))
won = 0
for _ in range(tries):
    try:
        account.commit(account.reserve([Charge.pure(Decimal("0.01"))], {}, "x"))
        won += 1
    except BudgetExceeded:
        pass
print(won)
"""


@pytest.mark.integration
@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_sixteen_processes_spend_exactly_the_budget(place, heavy):
    """All open the ledger, make the tables and the account, and spend at once; together 1.00 in steps of 0.01."""
    tries = 40 if heavy else 9
    command = [sys.executable, "-c", HAMMER, place, str(tries)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(16)]
    done = [r.communicate(timeout=200) for r in runs]
    assert all(r.returncode == 0 for r in runs), [err[-2000:] for _, err in done if err][:1]
    won = [int(out) for out, _ in done]
    assert sum(won) == 100
    book = Ledger(place)
    status = book.account("stays", "hospital").status()
    assert (status.spent, status.left, status.entries, status.open) == (1, 0, 100, 0)
    book.close()


VICTIM = """
import os, sys
import pyarrow as pa
from ppc import dp
from ppc.dataset import Dataset
place, out, trigger = sys.argv[1:4]
ds = Dataset.from_arrow(pa.table({"x": [1.0, 2.0, 3.0]}), name="stays")
session = dp.Session(ds, dp.Budget(1e6), ledger=place, owner="hospital")
session.release(dp.count(), epsilon=1)  # everything is loaded
with open(out, "ab", buffering=0) as f:
    f.write(b"ready\\n")
    while True:
        value = float(session.release(dp.count(), epsilon=1))
        f.write(b"released\\n")
"""


@pytest.mark.integration
@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_a_process_killed_at_any_moment_leaves_what_it_released_spent(place, tmp_path, heavy):
    """kill -9 at random points of a loop of releases: the ledger never shows less than what came out, and after it
    others go on. A reservation that was never reported stays spent."""
    runs, batch = (200, 4) if heavy else (8, 4)
    released = spent = 0
    for first in range(0, runs, batch):
        outs = [tmp_path / f"{i}.log" for i in range(first, min(first + batch, runs))]
        victims = [subprocess.Popen([sys.executable, "-c", VICTIM, place, str(o), ""]) for o in outs]
        try:
            for out in outs:
                deadline = time.monotonic() + 120
                while not (out.exists() and b"ready" in out.read_bytes()) and time.monotonic() < deadline:
                    assert all(v.poll() is None for v in victims), "a victim died by itself"
                    time.sleep(0.01)
            for victim in victims:
                time.sleep(random.random() * 0.05)
                victim.send_signal(signal.SIGKILL)
        finally:
            for victim in victims:
                victim.kill()
                victim.wait()
        released += sum(o.read_bytes().count(b"released") + 1 for o in outs)
        book = Ledger(place)
        account = book.account("stays", "hospital")
        status = account.status()
        spent = int(status.spent)
        assert released <= spent == status.entries
        assert status.open <= first + batch, "at most one unfinished reservation for each process that died"
        assert status.totals == Totals().plus(c for e in account.history() for c in e.charges)
        book.close()
    assert spent > runs


def test_a_failure_after_the_reservation_leaves_it_spent(stays):
    with dp.Session(stays, dp.Budget(1), ledger=":memory:") as s:
        s._engine.sums = lambda request: 1 / 0
        with pytest.raises(ZeroDivisionError):
            s.release(dp.count(), epsilon=0.5)
        assert (s.budget.spent, s.budget.open) == (Decimal("0.5"), 1)


def test_where_the_ledger_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("PPC_LEDGER", raising=False)
    book = Ledger()
    book.account("d", "o", dp.Budget(1))
    book.close()
    assert (tmp_path / "ppc" / "budget.db").exists()
    monkeypatch.setenv("PPC_LEDGER", str(tmp_path / "other.db"))
    Ledger().close()
    assert (tmp_path / "other.db").exists()


def test_ledgers_that_can_not_be_opened(tmp_path):
    (tmp_path / "broken.db").write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(FileError):
        Ledger(tmp_path / "broken.db")
    with pytest.raises(ConfigError):
        Ledger("nonsense://[")
    with pytest.raises(FileError) as e:
        Ledger("postgresql://someone:secret@127.0.0.1:1/x")
    assert "secret" not in str(e.value) + str(e.value.hint)
